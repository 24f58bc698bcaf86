//! The kernel's programs that put load on what is measured: the same for all lines.

use crate::Trouble;
use crate::lab::Mode;
use hdrhistogram::Histogram;
use nix::errno::Errno;
use nix::sys::socket::sockopt::{RcvBufForce, UdpGroSegment, UdpGsoSegment};
use nix::sys::socket::{MsgFlags, MultiHeaders, recvmmsg, sendmmsg, setsockopt};
use std::io::{IoSlice, IoSliceMut, Read, Write};
use std::net::{TcpStream, UdpSocket};
use std::os::fd::AsRawFd;
use std::time::{Duration, Instant};

/// How a client behaves.
#[derive(Clone, Copy, Debug)]
pub struct Load {
    /// Datagrams kept under way, at most [`OUTSTANDING_MAX`].
    pub outstanding: usize,
    /// Length of the measured time.
    pub seconds: f64,
    /// Whether the client waits in the kernel.
    pub mode: Mode,
}

/// What a client has seen.
#[derive(Clone, Copy, Debug)]
pub struct Echoed {
    /// Answers per second.
    pub per_second: f64,
    /// Times from sending to answer, by [`PERCENTILES`], in microseconds.
    pub times_us: [f64; PERCENTILES.len()],
    /// Datagrams without an answer after `LOST_AFTER`.
    pub lost: u64,
}

/// Which percentiles are taken of the times.
pub const PERCENTILES: [f64; 5] = [50.0, 90.0, 99.0, 99.9, 99.99];

/// Names and units of the figures of an echo, as [`Echoed::figures`] gives them.
pub const FIGURES: &[(&str, &str)] = &[
    ("rate", "/s"),
    ("p50", "us"),
    ("p90", "us"),
    ("p99", "us"),
    ("p99.9", "us"),
    ("p99.99", "us"),
    ("lost", "datagrams"),
];

impl Echoed {
    /// As [`FIGURES`] names them.
    pub fn figures(&self) -> Vec<f64> {
        [&[self.per_second], &self.times_us[..], &[self.lost as f64]].concat()
    }
}

/// Datagrams under way at most.
pub const OUTSTANDING_MAX: usize = 64;

/// Bytes of a datagram.
pub const DATAGRAM: usize = 64;

/// A datagram without an answer is lost.
const LOST_AFTER: Duration = Duration::from_millis(100);

/// Time before measuring: addresses are resolved, memory is touched.
const WARM_UP: f64 = 0.1;

/// Warm-ups at most: the kernel takes up to a second to notice that a veth has its carrier.
const READY_MAX: usize = 30;

/// Keeps `outstanding` datagrams under way with sendmmsg and recvmmsg.
///
/// A datagram carries the number of its slot and of the round: after a loss all slots are free
/// again, and answers of earlier rounds do not count.
///
/// # Errors
/// The kernel's, and when nothing comes back at all.
pub fn echo(socket: &UdpSocket, load: Load) -> Result<Echoed, Trouble> {
    let mut window = Window::new(socket, load)?;
    let mut ready = 0;
    while window.run(WARM_UP)?.answers == 0 && ready < READY_MAX {
        ready += 1;
    }
    let Seen { answers, lost, seconds, times } = window.run(load.seconds)?;
    if answers == 0 {
        return Err("no datagram came back".into());
    }
    let times_us = PERCENTILES.map(|percent| times.value_at_percentile(percent) as f64 / 1000.0);
    Ok(Echoed { per_second: answers as f64 / seconds, times_us, lost })
}

/// Datagrams under way.
struct Window<'a> {
    socket: &'a UdpSocket,
    flags: MsgFlags,
    free: Vec<u8>,
    outstanding: usize,
    sent: [Instant; OUTSTANDING_MAX],
    round: u8,
    /// Of the last answer, or of the round's beginning.
    last: Instant,
    out: Vec<[u8; DATAGRAM]>,
    back: Vec<[u8; DATAGRAM]>,
    headers: MultiHeaders<()>,
}

struct Seen {
    answers: u64,
    lost: u64,
    seconds: f64,
    times: Histogram<u64>,
}

impl<'a> Window<'a> {
    fn new(socket: &'a UdpSocket, load: Load) -> Result<Self, Trouble> {
        socket.set_read_timeout(Some(LOST_AFTER))?;
        let now = Instant::now();
        let flags = match load.mode {
            Mode::Sleeping => MsgFlags::MSG_WAITFORONE,
            Mode::Polling => MsgFlags::MSG_DONTWAIT,
        };
        Ok(Self {
            socket,
            flags,
            free: (0..load.outstanding.min(OUTSTANDING_MAX) as u8).collect(),
            outstanding: load.outstanding.min(OUTSTANDING_MAX),
            sent: [now; OUTSTANDING_MAX],
            round: 0,
            last: now,
            out: vec![[0; DATAGRAM]; OUTSTANDING_MAX],
            back: vec![[0; DATAGRAM]; OUTSTANDING_MAX],
            headers: MultiHeaders::preallocate(OUTSTANDING_MAX, None),
        })
    }

    fn run(&mut self, for_seconds: f64) -> Result<Seen, Trouble> {
        let times = Histogram::new_with_bounds(1, 10_000_000_000, 3)?;
        let mut seen = Seen { answers: 0, lost: 0, seconds: 0.0, times };
        let start = Instant::now();
        let mut now = start;
        self.last = start;
        while seen.seconds < for_seconds {
            self.fill(now)?;
            let any = self.take(&mut seen)?;
            now = Instant::now();
            if !any && now.duration_since(self.last) > LOST_AFTER {
                seen.lost += self.give_up(now);
            }
            seen.seconds = now.duration_since(start).as_secs_f64();
        }
        Ok(seen)
    }

    fn fill(&mut self, now: Instant) -> Result<(), Trouble> {
        let count = self.free.len();
        for (slot, datagram) in self.free.drain(..).zip(&mut self.out) {
            datagram[..2].copy_from_slice(&[slot, self.round]);
            self.sent[usize::from(slot)] = now;
        }
        let mut sent = 0;
        while sent < count {
            let slices: Vec<_> = self.out[sent..count].iter().map(|d| [IoSlice::new(d)]).collect();
            let fd = self.socket.as_raw_fd();
            let none = [None::<()>; OUTSTANDING_MAX];
            let flags = MsgFlags::empty();
            match sendmmsg(fd, &mut self.headers, &slices, none, [], flags) {
                Ok(results) => sent += results.count(),
                // The queue of the interface is full: what is missing counts as lost.
                Err(Errno::ENOBUFS | Errno::ECONNREFUSED) => break,
                Err(errno) => return Err(errno.into()),
            }
        }
        Ok(())
    }

    /// Takes what has come back; false when nothing has.
    fn take(&mut self, seen: &mut Seen) -> Result<bool, Trouble> {
        let mut slices: Vec<_> = self.back.iter_mut().map(|d| [IoSliceMut::new(d)]).collect();
        let fd = self.socket.as_raw_fd();
        let count = match recvmmsg(fd, &mut self.headers, &mut slices, self.flags, None) {
            Ok(results) => results.count(),
            Err(Errno::EAGAIN | Errno::EINTR | Errno::ECONNREFUSED) => return Ok(false),
            Err(errno) => return Err(errno.into()),
        };
        let now = Instant::now();
        for datagram in &self.back[..count] {
            let [slot, round, ..] = *datagram;
            let Some(sent) = self.sent.get(usize::from(slot)) else { continue };
            if round == self.round {
                self.free.push(slot);
                seen.times.saturating_record(now.duration_since(*sent).as_nanos() as u64);
                seen.answers += 1;
            }
        }
        self.last = now;
        Ok(count > 0)
    }

    /// Begins a new round; how many are lost.
    fn give_up(&mut self, now: Instant) -> u64 {
        let lost = self.outstanding - self.free.len();
        self.free = (0..self.outstanding as u8).collect();
        self.round = self.round.wrapping_add(1);
        self.last = now;
        lost as u64
    }
}

/// Keeps super-datagrams (UDP_SEGMENT out, UDP_GRO in) under way; bytes per second that came
/// back.
///
/// # Errors
/// The kernel's, when it has neither, and when nothing comes back.
pub fn echo_super(socket: &UdpSocket, seconds: f64) -> Result<f64, Trouble> {
    setsockopt(socket, UdpGsoSegment, &(SEGMENT as i32))?;
    setsockopt(socket, UdpGroSegment, &true)?;
    setsockopt(socket, RcvBufForce, &SUPER_BUFFER)?;
    socket.set_read_timeout(Some(LOST_AFTER))?;
    let data = vec![7; SUPER];
    let mut back = vec![0; 1 << 16];
    let mut total = 0;
    let mut under_way = 0;
    let mut start = Instant::now();
    let mut warm = false;
    loop {
        while under_way < SUPERS * SUPER {
            socket.send(&data)?;
            under_way += SUPER;
        }
        match socket.recv(&mut back) {
            Ok(n) => {
                total += n;
                under_way = under_way.saturating_sub(n);
            }
            Err(_) => under_way = 0,
        }
        let elapsed = start.elapsed().as_secs_f64();
        if !warm && elapsed > WARM_UP {
            (warm, total, start) = (true, 0, Instant::now());
        } else if warm && elapsed > seconds {
            if total == 0 {
                return Err("no datagram came back".into());
            }
            return Ok(total as f64 / elapsed);
        }
    }
}

/// Bytes of one datagram of a super-datagram: an MTU less its headers.
const SEGMENT: usize = 1472;
/// Bytes of a super-datagram: 44 datagrams, the most below 64 KiB.
pub const SUPER: usize = 44 * SEGMENT;
/// Super-datagrams under way.
const SUPERS: usize = 8;
/// Room for all that is under way as the kernel counts it. Bytes.
const SUPER_BUFFER: usize = 8 << 20;

/// Sends so many datagrams as fast as it can.
///
/// # Errors
/// The kernel's.
pub fn flood(socket: &UdpSocket, datagrams: u64) -> Result<(), Trouble> {
    let data = [[9; DATAGRAM]; OUTSTANDING_MAX];
    let mut headers = MultiHeaders::<()>::preallocate(OUTSTANDING_MAX, None);
    let mut left = datagrams;
    while left > 0 {
        let slices: Vec<_> = data.iter().map(|d| [IoSlice::new(d)]).collect();
        let count = slices.len().min(left as usize);
        let none = [None::<()>; OUTSTANDING_MAX];
        let fd = socket.as_raw_fd();
        match sendmmsg(fd, &mut headers, &slices[..count], none, [], MsgFlags::empty()) {
            Ok(results) => left -= results.count() as u64,
            // The queue of the interface is full: the datagram is gone, as on any wire.
            Err(Errno::ENOBUFS | Errno::ECONNREFUSED) => left -= 1,
            Err(errno) => return Err(errno.into()),
        }
    }
    Ok(())
}

/// Writes to a connection in pieces of `piece` bytes until `seconds` are over.
///
/// # Errors
/// The kernel's.
pub fn bulk_send(mut stream: &TcpStream, piece: usize, seconds: f64) -> Result<(), Trouble> {
    let data = vec![0; piece];
    let start = Instant::now();
    while start.elapsed().as_secs_f64() < seconds {
        stream.write_all(&data)?;
    }
    Ok(stream.shutdown(std::net::Shutdown::Write)?)
}

/// Reads a connection to its end; bytes per second after a warm-up.
///
/// # Errors
/// The kernel's.
pub fn bulk_receive(mut stream: &TcpStream) -> Result<f64, Trouble> {
    let mut data = vec![0; 128 * 1024];
    let (mut total, mut measured_from) = (0_u64, None);
    let begin = Instant::now();
    let mut end = begin;
    loop {
        let n = stream.read(&mut data)?;
        if n == 0 {
            break;
        }
        end = Instant::now();
        match measured_from {
            None if end.duration_since(begin).as_secs_f64() > WARM_UP => measured_from = Some(end),
            None => {}
            Some(_) => total += n as u64,
        }
    }
    let start = measured_from.ok_or("the connection ended during the warm-up")?;
    Ok(total as f64 / end.duration_since(start).as_secs_f64())
}
