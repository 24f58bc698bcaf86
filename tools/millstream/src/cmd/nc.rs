//! nc: standard input and output become the two directions of a connection of a stack of its own.

use super::Failure;
use super::up::interfaces::{Interfaces, Wanted};
use crate::render;
use millstream::plan::{Plan, random_key};
use millstream::{Stack, TcpListener, TcpStream, UdpSocket};
use std::io::{self, ErrorKind, Read, Write};
use std::net::{IpAddr, Ipv4Addr, Shutdown, SocketAddr};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

/// Connect standard input and output to a peer, through a stack of its own
///
/// The stack has the interfaces that are named, as in millstream up, and ends with the command.
/// nc ADDR PORT connects; nc -l PORT, or nc -l ADDR PORT, waits for a connection. The end of
/// standard input ends our direction; nc ends when the peer has ended its own.
#[derive(Debug, clap::Args)]
#[command(override_usage = "millstream nc --tap IF [--host ADDR/LEN] --addr ADDR/LEN \
    [--gateway ADDR] [-u] [-w SECS] [-z] ADDR PORT\n       millstream nc --raw IF --addr ADDR/LEN \
    [-u] [-w SECS] [-k] -l [ADDR] PORT")]
pub(crate) struct Nc {
    #[command(flatten)]
    interfaces: Interfaces,
    /// Router for all that is not on an interface's network
    #[arg(long, value_name = "ADDR")]
    gateway: Option<IpAddr>,
    /// Datagrams instead of a connection
    #[arg(short)]
    udp: bool,
    /// Wait for a connection, or for datagrams
    #[arg(short)]
    listen: bool,
    /// Wait for the next connection when one has ended
    #[arg(short, requires = "listen", conflicts_with = "udp")]
    keep: bool,
    /// Give up after so many seconds without a connection or without data
    #[arg(short, value_name = "SECS", value_parser = clap::value_parser!(u64).range(1..=86_400))]
    wait: Option<u64>,
    /// Only see whether somebody listens there
    #[arg(short = 'z', conflicts_with_all = ["listen", "udp"])]
    zero: bool,
    /// Where to, or where to listen
    #[arg(value_name = "ADDR PORT", num_args = 1..=2, required = true)]
    place: Vec<String>,
}

/// What standard input brings, for one connection after the other.
type Input = Arc<Mutex<Receiver<Vec<u8>>>>;

impl Nc {
    pub(crate) fn run(self) -> Result<(), Failure> {
        let place = self.place().map_err(Failure::Usage)?;
        let wait = self.wait.map(Duration::from_secs);
        let (udp, listen, keep, zero) = (self.udp, self.listen, self.keep, self.zero);
        let interface = |wanted: Wanted| wanted.interface(false);
        let plan = Plan {
            interfaces: self.interfaces.0.into_iter().map(interface).collect(),
            gateway: self.gateway,
            seed: random_key(),
            ..Plan::default()
        };
        let stack = Stack::start(plan).map_err(|e| Failure::Failed(e.to_string()))?;
        let done = match (udp, listen) {
            (true, _) => datagrams(&stack, place, listen, wait),
            (false, true) => serve(&stack, place, keep, wait),
            (false, false) => connect(&stack, place, zero, wait),
        };
        linger(&stack);
        done.map_err(|e| Failure::Failed(format!("{place}: {}", sentence(&e, wait))))
    }

    /// The address and port that the words say.
    fn place(&self) -> Result<SocketAddr, String> {
        let (addr, port) = match &self.place[..] {
            [addr, port] => (addr.parse::<IpAddr>().map_err(|e| format!("{addr}: {e}"))?, port),
            [port] if self.listen => (IpAddr::V4(Ipv4Addr::UNSPECIFIED), port),
            _ => return Err("nc needs an address and a port: nc ADDR PORT".to_owned()),
        };
        let number = port.parse().ok().filter(|number: &u16| *number > 0);
        let number = number.ok_or_else(|| format!("{port} is no port: from 1 to 65535"))?;
        Ok(SocketAddr::new(addr, number))
    }
}

fn connect(stack: &Stack, peer: SocketAddr, zero: bool, wait: Option<Duration>) -> io::Result<()> {
    let stream = match wait {
        Some(wait) => TcpStream::connect_timeout(stack, peer, wait)?,
        None => TcpStream::connect(stack, peer)?,
    };
    if zero {
        render::line(&format!("{peer} is open"));
        return Ok(());
    }
    relay(stream, &input(), wait)
}

fn serve(stack: &Stack, at: SocketAddr, keep: bool, wait: Option<Duration>) -> io::Result<()> {
    let listener = TcpListener::bind(stack, at)?;
    let input = input();
    loop {
        let (stream, _) = listener.accept()?;
        let done = relay(stream, &input, wait);
        if !keep {
            return done;
        }
        // One that has failed is no reason not to take the next.
        if let Err(e) = done {
            render::complain(&sentence(&e, wait));
        }
    }
}

/// Moves octets both ways until the peer has ended its direction.
fn relay(stream: TcpStream, input: &Input, wait: Option<Duration>) -> io::Result<()> {
    stream.set_read_timeout(wait)?;
    let over = Arc::new(AtomicBool::new(false));
    let writer = {
        let (mut stream, input, over) = (stream.try_clone()?, input.clone(), over.clone());
        std::thread::spawn(move || send(&input, &over, &mut stream))
    };
    let received = receive(stream);
    over.store(true, Ordering::Relaxed);
    // Its error is that of the connection, which reading tells too.
    let _same = writer.join();
    received
}

fn receive(mut stream: TcpStream) -> io::Result<()> {
    let mut piece = vec![0; PIECE];
    let mut out = io::stdout().lock();
    loop {
        let n = stream.read(&mut piece)?;
        if n == 0 {
            return Ok(());
        }
        out.write_all(&piece[..n])?;
        out.flush()?;
    }
}

/// Sends what standard input brings, and ends our direction with it.
fn send(input: &Input, over: &AtomicBool, stream: &mut TcpStream) -> io::Result<()> {
    let input = input.lock().unwrap_or_else(PoisonError::into_inner);
    while !over.load(Ordering::Relaxed) {
        match input.recv_timeout(LOOK) {
            Ok(piece) => stream.write_all(&piece)?,
            Err(RecvTimeoutError::Timeout) => {}
            Err(RecvTimeoutError::Disconnected) => return stream.shutdown(Shutdown::Write),
        }
    }
    Ok(())
}

/// Sends pieces of standard input as datagrams and prints those that come. A listener's peer is
/// whoever has sent last.
fn datagrams(
    stack: &Stack,
    place: SocketAddr,
    listen: bool,
    wait: Option<Duration>,
) -> io::Result<()> {
    let any = SocketAddr::new(IpAddr::V4(Ipv4Addr::UNSPECIFIED), 0);
    let socket = Arc::new(UdpSocket::bind(stack, if listen { place } else { any })?);
    socket.set_read_timeout(wait);
    let peer = Arc::new(Mutex::new((!listen).then_some(place)));
    {
        let (socket, peer, input) = (socket.clone(), peer.clone(), input());
        // It waits for standard input and ends with the process.
        let _sender = std::thread::spawn(move || {
            let input = input.lock().unwrap_or_else(PoisonError::into_inner);
            for piece in input.iter() {
                let to = *peer.lock().unwrap_or_else(PoisonError::into_inner);
                let sent = to.map(|to| {
                    piece.chunks(DATAGRAM).try_for_each(|part| socket.send_to(part, to).map(drop))
                });
                if let Some(Err(e)) = sent {
                    render::complain(&format!("{place}: {e}"));
                }
            }
        });
    }
    let mut datagram = vec![0; PIECE];
    let mut out = io::stdout().lock();
    loop {
        let (n, from) = match socket.recv_from(&mut datagram) {
            Err(e) if is_late(&e) => return Ok(()),
            got => got?,
        };
        if listen {
            *peer.lock().unwrap_or_else(PoisonError::into_inner) = Some(from);
        }
        out.write_all(&datagram[..n])?;
        out.flush()?;
    }
}

/// A thread that reads standard input, a few pieces ahead.
fn input() -> Input {
    let (give, take) = sync_channel(AHEAD);
    // It waits for standard input and ends with the process.
    let _reader = std::thread::spawn(move || {
        let mut input = io::stdin().lock();
        let mut piece = vec![0; PIECE];
        while let Ok(n @ 1..) = input.read(&mut piece) {
            if give.send(piece[..n].to_vec()).is_err() {
                return;
            }
        }
    });
    Arc::new(Mutex::new(take))
}

/// What was sent last leaves before the stack goes.
fn linger(stack: &Stack) {
    let end = Instant::now() + LINGER;
    while Instant::now() < end && stack.is_sending() {
        std::thread::sleep(Duration::from_millis(5));
    }
}

fn is_late(e: &io::Error) -> bool {
    matches!(e.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut)
}

fn sentence(e: &io::Error, wait: Option<Duration>) -> String {
    match wait {
        Some(wait) if is_late(e) => format!("nothing came within {} s", wait.as_secs()),
        _ => e.to_string(),
    }
}

/// Octets read at once.
const PIECE: usize = 64 << 10;
/// Pieces of standard input that wait to be sent.
const AHEAD: usize = 4;
/// Octets of a datagram: what Ethernet takes without cutting.
const DATAGRAM: usize = 1472;
/// The writer looks so often whether its connection is over.
const LOOK: Duration = Duration::from_millis(50);
/// The last segments have so long.
const LINGER: Duration = Duration::from_secs(2);
