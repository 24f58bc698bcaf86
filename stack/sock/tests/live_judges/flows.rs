//! Traffic whose every byte and number is compared: a transfer of the kernel's TCP, and datagrams
//! that are echoed.

use crate::lab::DEADLINE;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// A flow that runs on threads of its own until it is told to stop.
pub(crate) struct Flow {
    stop: Arc<AtomicBool>,
    seen: Arc<AtomicU64>,
    sender: JoinHandle<std::io::Result<u64>>,
    receiver: Option<JoinHandle<std::io::Result<u64>>>,
}

/// A socket of datagrams, of the kernel or of a stack.
pub(crate) trait Datagrams: Send + Sync + 'static {
    fn send_to(&self, data: &[u8], to: SocketAddr) -> std::io::Result<usize>;
    fn recv_from(&self, out: &mut [u8]) -> std::io::Result<(usize, SocketAddr)>;
}

impl Datagrams for std::net::UdpSocket {
    fn send_to(&self, data: &[u8], to: SocketAddr) -> std::io::Result<usize> {
        self.send_to(data, to)
    }

    fn recv_from(&self, out: &mut [u8]) -> std::io::Result<(usize, SocketAddr)> {
        self.recv_from(out)
    }
}

impl Datagrams for millstream::UdpSocket {
    fn send_to(&self, data: &[u8], to: SocketAddr) -> std::io::Result<usize> {
        self.send_to(data, to)
    }

    fn recv_from(&self, out: &mut [u8]) -> std::io::Result<(usize, SocketAddr)> {
        self.recv_from(out)
    }
}

impl Flow {
    /// A transfer through a connection; counts bytes.
    pub(crate) fn transfer(listener: TcpListener, stream: TcpStream) -> Self {
        let (stop, seen) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU64::new(0)));
        let receiver = {
            let seen = seen.clone();
            std::thread::spawn(move || sink(&listener, &seen))
        };
        let sender = {
            let stop = stop.clone();
            std::thread::spawn(move || source(stream, &stop))
        };
        Self { stop, seen, sender, receiver: Some(receiver) }
    }

    /// Numbered datagrams to who echoes them, [`WINDOW`] on their way; counts echoes.
    pub(crate) fn echoed(socket: Arc<impl Datagrams>, echo: SocketAddr) -> Self {
        let (stop, seen) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU64::new(0)));
        let sender = {
            let (stop, seen) = (stop.clone(), seen.clone());
            std::thread::spawn(move || numbered(&*socket, echo, &stop, &seen))
        };
        Self { stop, seen, sender, receiver: None }
    }

    /// What has come so far.
    pub(crate) fn seen(&self) -> u64 {
        self.seen.load(Ordering::Relaxed)
    }

    /// Waits until more than this has come.
    pub(crate) fn wait_beyond(&self, before: u64) {
        let end = Instant::now() + DEADLINE;
        while self.seen() <= before {
            assert!(!self.sender.is_finished(), "the flow has ended: see its thread");
            assert!(Instant::now() < end, "the flow does not go on");
            std::thread::sleep(Duration::from_micros(100));
        }
    }

    /// Ends it when all that was sent has come; how much that was.
    pub(crate) fn finish(self) -> u64 {
        self.stop.store(true, Ordering::Relaxed);
        let sent = self.sender.join().unwrap().unwrap();
        let got = match self.receiver {
            Some(receiver) => receiver.join().unwrap().unwrap(),
            None => self.seen.load(Ordering::Relaxed),
        };
        assert_eq!(got, sent, "all that was sent, and nothing else");
        sent
    }
}

/// Byte `n` of the transfer, not periodic in anything that a packet or a buffer is.
fn pattern(n: u64) -> u8 {
    (n.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 56) as u8
}

/// Writes until told to stop; how much.
fn source(mut stream: TcpStream, stop: &AtomicBool) -> std::io::Result<u64> {
    let mut sent = 0;
    let mut chunk = vec![0; 1 << 16];
    while !stop.load(Ordering::Relaxed) {
        for (n, byte) in chunk.iter_mut().enumerate() {
            *byte = pattern(sent + n as u64);
        }
        stream.write_all(&chunk)?;
        sent += chunk.len() as u64;
    }
    Ok(sent)
}

/// Reads to the end and compares every byte; how much.
fn sink(listener: &TcpListener, seen: &AtomicU64) -> std::io::Result<u64> {
    let (mut stream, _) = listener.accept()?;
    stream.set_read_timeout(Some(DEADLINE * 3))?;
    let mut got = 0;
    let mut chunk = vec![0; 1 << 16];
    loop {
        let n = stream.read(&mut chunk)?;
        if n == 0 {
            return Ok(got);
        }
        let wrong = (0..n).find(|&i| chunk[i] != pattern(got + i as u64));
        assert_eq!(wrong.map(|i| got + i as u64), None, "the byte that is not what was sent");
        got += n as u64;
        seen.store(got, Ordering::Relaxed);
    }
}

/// Far below what any buffer on the way holds.
const WINDOW: u64 = 16;

/// Sends numbers until told to stop, and takes each one back: none is missing, comes twice or
/// before another. How many.
fn numbered(
    socket: &impl Datagrams,
    echo: SocketAddr,
    stop: &AtomicBool,
    seen: &AtomicU64,
) -> std::io::Result<u64> {
    let (mut sent, mut got) = (0, 0);
    let mut buf = [0; 2048];
    loop {
        while sent - got < WINDOW && !stop.load(Ordering::Relaxed) {
            socket.send_to(&datagram(sent), echo)?;
            sent += 1;
        }
        if got == sent {
            return Ok(sent);
        }
        let (n, from) = socket.recv_from(&mut buf)?;
        let number = buf.first_chunk().map(|bytes| u64::from_be_bytes(*bytes));
        assert!(
            buf[..n] == datagram(got)[..] && from == echo,
            "instead of echo {got}: {n} bytes from {from}, number {number:?}"
        );
        got += 1;
        seen.store(got, Ordering::Relaxed);
    }
}

/// Datagram `n`: its number, and 8 to 1,400 bytes in all.
fn datagram(n: u64) -> Vec<u8> {
    let len = 8 + n * 37 % 1393;
    n.to_be_bytes().into_iter().chain((8..len).map(|i| pattern(n + i))).collect()
}

/// Sends back what comes to a socket, on a thread of its own, until it is handed nothing.
pub(crate) fn echo(socket: Arc<impl Datagrams>) -> JoinHandle<()> {
    std::thread::spawn(move || {
        let mut buf = [0; 2048];
        loop {
            let (n, from) = socket.recv_from(&mut buf).unwrap();
            if n == 0 {
                return;
            }
            socket.send_to(&buf[..n], from).unwrap();
        }
    })
}
