//! The demo without rights: two stacks in this process, joined by a pair of devices.

use super::lab::echo;
use super::link::Link;
use super::traffic::{Bytes, PATIENCE, Stop, Trips, repeat};
use super::{Reading, Stage, text};
use millstream::plan::{self, Interface, Line, Plan};
use millstream::{Stack, UdpSocket};
use millstream_drivers::{PairEnd, pair};
use std::net::SocketAddr;
use std::sync::atomic::Ordering;
use std::thread::JoinHandle;
use std::time::Instant;

/// Two stacks, and traffic between them.
pub(super) struct PairStage {
    near: Stack,
    /// Dropped after the threads that use it have ended.
    _far: Stack,
    trips: Trips,
    transfer: Bytes,
    stop: Stop,
    threads: Vec<JoinHandle<()>>,
}

const NEAR: &str = "10.9.0.1/24";
const FAR: &str = "10.9.0.2/24";
const LINK: &str = "pair0";
const ECHO: &str = "10.9.0.2:7";
const SINK: &str = "10.9.0.2:9";

impl PairStage {
    pub(super) fn start() -> Result<Self, String> {
        let (a, b) = pair(1500, [plan::random_mac(0), plan::random_mac(1)]);
        let (near, far) = (start(a, NEAR)?, start(b, FAR)?);
        let echo_socket = bound(&far, ECHO)?;
        let sink = bound(&far, SINK)?;
        let client = bound(&near, "10.9.0.1:0")?;
        let source = bound(&near, "10.9.0.1:0")?;
        let (stop, trips, transfer) = (Stop::default(), Trips::default(), Bytes::new());
        let mut threads = Vec::new();
        let mut spawn = |work: Box<dyn FnOnce() -> Result<(), String> + Send>| {
            threads.push(std::thread::spawn(move || {
                if let Err(why) = work() {
                    eprintln!("millstream demo: {why}");
                }
            }));
        };
        let stopped = stop.clone();
        spawn(Box::new(move || echo(&echo_socket, &stopped)));
        let (stopped, noted) = (stop.clone(), trips.clone());
        spawn(Box::new(move || repeat(&stopped, &noted, || trip(&client))));
        let (stopped, counted) = (stop.clone(), transfer.clone());
        spawn(Box::new(move || count(&sink, &stopped, &counted)));
        let stopped = stop.clone();
        spawn(Box::new(move || blast(&source, &stopped)));
        Ok(Self { near, _far: far, trips, transfer, stop, threads })
    }
}

impl Stage for PairStage {
    fn picture(&self) -> String {
        "   application             application (echo on port 7, sink on port 9)
   [ udp ]                 [ udp ]
   [ ip  ] 10.9.0.1        [ ip  ] 10.9.0.2
   [ arp ]                 [ arp ]
   (impair)                   |
   [ pair0 ] ============= [ pair0 ]
"
        .to_owned()
    }

    fn columns(&self) -> Vec<&'static str> {
        vec!["udp near-far", "udp transfer"]
    }

    fn sample(&mut self) -> Vec<Reading> {
        vec![self.trips.reading(), self.transfer.reading()]
    }

    fn link(&self) -> Link {
        Link::new(self.near.handle(), LINK)
    }
}

impl Drop for PairStage {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        for thread in self.threads.drain(..) {
            // What ended it was said when it happened.
            let _said = thread.join();
        }
    }
}

fn start(end: PairEnd, address: &str) -> Result<Stack, String> {
    let line = Line::Pair(LINK.into(), end);
    let interface = Interface { line, addresses: vec![address.parse().map_err(text)?] };
    Stack::start(Plan { interfaces: vec![interface], ..Plan::default() }).map_err(text)
}

fn bound(stack: &Stack, address: &str) -> Result<UdpSocket, String> {
    let socket = UdpSocket::bind(stack, address.parse().map_err(text)?).map_err(text)?;
    socket.set_read_timeout(Some(PATIENCE));
    Ok(socket)
}

fn trip(socket: &UdpSocket) -> Result<Option<std::time::Duration>, String> {
    let to: SocketAddr = ECHO.parse().map_err(text)?;
    let start = Instant::now();
    socket.send_to(b"there and back", to).map_err(text)?;
    Ok(socket.recv_from(&mut [0; 64]).ok().map(|_| start.elapsed()))
}

fn count(socket: &UdpSocket, stop: &Stop, bytes: &Bytes) -> Result<(), String> {
    let mut buffer = vec![0; 2048];
    while !stop.load(Ordering::Relaxed) {
        match socket.recv_from(&mut buffer) {
            Ok((n, _)) => bytes.add(n),
            Err(e) if e.kind() == std::io::ErrorKind::WouldBlock => {}
            Err(e) => return Err(text(e)),
        }
    }
    Ok(())
}

/// Datagrams at a pace that leaves room for the round trips: 100 Mbit/s.
fn blast(socket: &UdpSocket, stop: &Stop) -> Result<(), String> {
    let to: SocketAddr = SINK.parse().map_err(text)?;
    let datagram = [0x5a; 1250];
    let start = Instant::now();
    let mut sent = 0_u32;
    while !stop.load(Ordering::Relaxed) {
        while f64::from(sent) < start.elapsed().as_secs_f64() * 10_000.0 {
            socket.send_to(&datagram, to).map_err(text)?;
            sent += 1;
        }
        std::thread::sleep(std::time::Duration::from_millis(1));
    }
    Ok(())
}
