//! The demo between kernels: three namespaces with a TAP or one end of a veth pair each, and a
//! stack that joins them.

use super::link::Link;
use super::traffic::{self, Bytes, PATIENCE, Stop, Trips};
use super::{Reading, Stage, text};
use millstream::plan::{self, Interface, Line, Plan};
use millstream::{Prefix, Stack, UdpSocket};
use millstream_drivers::netlink::{Netlink, NetlinkError, Via};
use millstream_drivers::netns::Netns;
use millstream_drivers::{KernelPing, Raw, Tap};
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::os::fd::AsFd;
use std::sync::atomic::Ordering;
use std::thread::JoinHandle;

/// The running lab. Dropped: threads end, the stack stops, namespaces and interfaces are gone.
pub(super) struct Lab {
    wire: Wire,
    stack: Stack,
    host_ping: Trips,
    host_udp: Trips,
    through: Trips,
    transfer: Bytes,
    stop: Stop,
    threads: Vec<JoinHandle<()>>,
}

/// What is between the stack and a kernel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Wire {
    /// A TAP in the kernel's namespace.
    Tap,
    /// A veth pair with a raw socket on the end that is in a namespace of the stack's.
    Veth,
}

/// One namespace with the kernel's end of a wire, and the stack's end.
struct Side {
    netns: Netns,
    line: Line,
}

const MTU: u16 = 1500;
const OURS: [&str; 3] = ["10.9.0.2/24", "10.9.1.2/24", "10.9.2.2/24"];
const THEIRS: [&str; 3] = ["10.9.0.1/24", "10.9.1.1/24", "10.9.2.1/24"];
const LINKS: [&str; 3] = ["host0", "left0", "right0"];
const STACK: Ipv4Addr = Ipv4Addr::new(10, 9, 0, 2);
const RIGHT: Ipv4Addr = Ipv4Addr::new(10, 9, 2, 1);
const ECHO: u16 = 7;
const SINK: u16 = 5001;

impl Lab {
    /// Makes everything and starts the traffic.
    pub(super) fn start(wire: Wire) -> Result<Self, String> {
        let ours = Netns::new().map_err(text)?;
        let mut sides = Vec::new();
        for index in 0..3 {
            sides.push(Side::new(index, wire, &ours)?);
        }
        let mut interfaces = Vec::new();
        let mut spaces = Vec::new();
        for (side, address) in sides.into_iter().zip(OURS) {
            let addresses = vec![address.parse().map_err(text)?];
            interfaces.push(Interface { line: side.line, addresses });
            spaces.push(side.netns);
        }
        let plan = Plan { interfaces, forward: true, ..Plan::default() };
        let stack = Stack::start(plan).map_err(text)?;
        let mut lab = Self {
            wire,
            stack,
            host_ping: Trips::default(),
            host_udp: Trips::default(),
            through: Trips::default(),
            transfer: Bytes::new(),
            stop: Stop::default(),
            threads: Vec::new(),
        };
        lab.start_traffic(spaces)?;
        Ok(lab)
    }

    fn start_traffic(&mut self, spaces: Vec<Netns>) -> Result<(), String> {
        let [host, left, right]: [Netns; 3] =
            spaces.try_into().map_err(|_| "three namespaces were made".to_owned())?;
        let listener =
            right.run(|| TcpListener::bind((RIGHT, SINK))).map_err(text)?.map_err(text)?;
        let socket =
            UdpSocket::bind(&self.stack, SocketAddr::new(STACK.into(), ECHO)).map_err(text)?;
        socket.set_read_timeout(Some(PATIENCE));

        let (stop, bytes) = (self.stop.clone(), self.transfer.clone());
        self.spawn("sink", move || traffic::tcp_sink(&listener, &stop, &bytes));
        let stop = self.stop.clone();
        self.spawn("echo", move || echo(&socket, &stop));
        let (stop, trips) = (self.stop.clone(), self.host_udp.clone());
        let client = host.run(udp_client).map_err(text)??;
        let to = SocketAddr::new(STACK.into(), ECHO);
        self.spawn("udp", move || {
            traffic::repeat(&stop, &trips, || traffic::udp_trip(&client, to))
        });
        self.spawn_ping("ping", host, STACK, self.host_ping.clone());
        let (stop, from) =
            (self.stop.clone(), left.run(Netns::current).map_err(text)?.map_err(text)?);
        self.spawn("source", move || {
            from.enter().map_err(text)?;
            traffic::tcp_source((RIGHT, SINK), &stop)
        });
        self.spawn_ping("through", left, RIGHT, self.through.clone());
        Ok(())
    }

    fn spawn_ping(&mut self, name: &'static str, from: Netns, to: Ipv4Addr, trips: Trips) {
        let stop = self.stop.clone();
        self.spawn(name, move || {
            from.enter().map_err(text)?;
            let mut ping = KernelPing::open().map_err(text)?;
            traffic::repeat(&stop, &trips, || ping.ping(to, 56, PATIENCE).map_err(text))
        });
    }

    /// A thread of traffic; what ends it before time is said.
    fn spawn(
        &mut self,
        name: &'static str,
        work: impl FnOnce() -> Result<(), String> + Send + 'static,
    ) {
        self.threads.push(std::thread::spawn(move || {
            if let Err(why) = work() {
                eprintln!("millstream demo: {name}: {why}");
            }
        }));
    }
}

impl Stage for Lab {
    fn picture(&self) -> String {
        let rule = match self.wire {
            Wire::Tap => "=====================================  TAPs  ==========================",
            Wire::Veth => "=================================  veth pairs  =======================",
        };
        format!(
            "   host kernel            left kernel                            right kernel
   10.9.0.1               10.9.1.1                               10.9.2.1
      |  host0               |  left0                               |  right0
   {rule}
   [ driver - arp ]       [ driver - (impair) - arp ]            [ driver - arp ]
          \\_______________________  |  ____________________________/
                                  [ ip ] - [ udp ] - application (echo on port 7)
"
        )
    }

    fn columns(&self) -> Vec<&'static str> {
        vec!["ping host-stack", "udp host-stack", "ping left-right", "tcp left-right"]
    }

    fn sample(&mut self) -> Vec<Reading> {
        let transfer = self.transfer.reading();
        vec![self.host_ping.reading(), self.host_udp.reading(), self.through.reading(), transfer]
    }

    fn link(&self) -> Link {
        Link::new(self.stack.handle(), LINKS[1])
    }
}

impl Drop for Lab {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        for thread in self.threads.drain(..) {
            // What ended it was said when it happened.
            let _said = thread.join();
        }
    }
}

impl Side {
    /// `ours`: where the stack's ends of veth pairs are.
    fn new(index: usize, wire: Wire, ours: &Netns) -> Result<Self, String> {
        let (name, mac) = (LINKS[index], plan::random_mac(index));
        let netns = Netns::new().map_err(text)?;
        let kernel = || netns.run(|| set_up_kernel(index)).map_err(text)?;
        let line = match wire {
            Wire::Tap => {
                let tap = netns.run(|| Tap::open(name, mac, MTU)).map_err(text)?.map_err(text)?;
                kernel()?;
                Line::Opened(tap)
            }
            Wire::Veth => {
                ours.run(|| set_up_veth(name, &netns)).map_err(text)?.map_err(text)?;
                kernel()?;
                // With both ends on, it waits until frames pass.
                let raw = ours.run(|| Raw::open(name, Some(mac))).map_err(text)?;
                Line::OpenedRaw(raw.map_err(text)?)
            }
        };
        Ok(Self { netns, line })
    }
}

/// A veth pair from here into another namespace; the end here is switched on.
fn set_up_veth(name: &str, other: &Netns) -> Result<(), NetlinkError> {
    let mut netlink = Netlink::open()?;
    netlink.create_veth(name, name, Some(other.as_fd()))?;
    netlink.set_up(name, true)
}

/// Addresses and routes of the kernel's end, in its namespace.
fn set_up_kernel(index: usize) -> Result<(), String> {
    let theirs: Prefix = THEIRS[index].parse().map_err(text)?;
    let ours: Prefix = OURS[index].parse().map_err(text)?;
    plan::set_up_host(LINKS[index], &[theirs]).map_err(text)?;
    let mut netlink = Netlink::open().map_err(text)?;
    netlink.replace_route(Prefix::DEFAULT_V4, Via::Gateway(ours.address())).map_err(text)
}

/// An application on the stack: sends every datagram back.
pub(super) fn echo(socket: &UdpSocket, stop: &Stop) -> Result<(), String> {
    let mut buffer = vec![0; 65_536];
    while !stop.load(Ordering::Relaxed) {
        match socket.recv_from(&mut buffer) {
            Ok((n, from)) => {
                socket.send_to(&buffer[..n], from).map_err(text)?;
            }
            Err(e) if e.kind() == std::io::ErrorKind::WouldBlock => {}
            Err(e) => return Err(text(e)),
        }
    }
    Ok(())
}

fn udp_client() -> Result<std::net::UdpSocket, String> {
    let socket = std::net::UdpSocket::bind("0.0.0.0:0").map_err(text)?;
    socket.set_read_timeout(Some(PATIENCE)).map_err(text)?;
    Ok(socket)
}
