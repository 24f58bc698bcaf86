//! The least that the other end of a TCP connection on a TAP can be: it answers SYN, ACKs or sends
//! blindly, and is no TCP. What it reaches is the ceiling for any stack on the same TAP.
//!
//! With [`Wait::Read`] it waits in read(2), else in poll(2) when no frame is there, or not at all.
//! One connection at a time. Checksums and cutting are left to the device, payload is not looked
//! at, nothing is sent twice unless the kernel stands still.

mod segment;

use self::segment::{Flags, HEADERS, Reply, Segment, VNET, WINDOW};
use crate::Trouble;
use crate::bare::{Wait, answers_arp};
use crate::lab::{Lab, Service, Stop, TICK_MS};
use millstream_drivers::tun::TapFd;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;
use std::io::IoSlice;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

/// What the bare program does with a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Does {
    /// Takes everything; an ACK for so many frames, and when no frame waits.
    Discard {
        /// Frames per ACK.
        ack_every: u32,
    },
    /// Sends super-frames as far as the window goes.
    Chargen,
    /// Sends back what comes in one segment.
    Echo,
}

/// Serves the TAP of a lab.
///
/// # Errors
/// As [`Lab::tap_fd`].
pub fn serve(lab: &Lab, core: Option<usize>, wait: Wait, does: Does) -> Result<Service, Trouble> {
    let tap = lab.tap_fd()?;
    tap.set_nonblocking(wait != Wait::Read)?;
    let client = lab.client()?;
    let stop = Stop::default();
    let theirs = stop.clone();
    let mut bare = Bare::new(tap, wait, does);
    let serve = move || bare.run(&stop);
    Service::start_with("bare tcp", core, serve, move || {
        theirs.store(true, Ordering::Relaxed);
        // Wakes a blocking read. A client that cannot send has no blocking reader either.
        let _sent = client.send(b"the end");
    })
}

/// 44 segments of 1460 bytes, the most below 64 KiB.
const PAYLOAD: usize = 44 * 1460;

/// Without an ACK for so long, everything is sent again.
const AGAIN: Duration = Duration::from_millis(50);

struct Bare {
    tap: TapFd,
    wait: Wait,
    does: Does,
    frame: Vec<u8>,
    payload: Vec<u8>,
    peer: Option<Peer>,
    /// Frames with data since the last ACK that we sent.
    unanswered: u32,
}

/// The connection that there is.
#[derive(Clone, Copy)]
struct Peer {
    reply: Reply,
    /// Next byte that we expect.
    rcv_nxt: u32,
    /// Next byte that we send.
    snd_nxt: u32,
    /// First byte without an ACK.
    snd_una: u32,
    /// Bytes that the kernel takes behind `snd_una`.
    window: u32,
    scale: u8,
    established: bool,
    /// When `snd_una` moved last.
    moved: Instant,
}

impl Bare {
    fn new(tap: TapFd, wait: Wait, does: Does) -> Self {
        let frame = vec![0; VNET + (1 << 16) + 64];
        let payload = vec![b'z'; PAYLOAD];
        Self { tap, wait, does, frame, payload, peer: None, unanswered: 0 }
    }

    fn run(&mut self, stop: &Stop) -> Result<(), Trouble> {
        let mut turns = 0_u32;
        loop {
            turns = turns.wrapping_add(1);
            let wrote = self.does == Does::Chargen && self.blast()?;
            // While the window is open, ACKs need not be looked at after each super-frame.
            let looks = !wrote || turns.is_multiple_of(8);
            let took = looks && self.read()?;
            if stop.load(Ordering::Relaxed) {
                return Ok(());
            }
            if took || wrote {
                continue;
            }
            self.flush_ack()?;
            if self.wait == Wait::Epoll {
                let tick = Timespec { tv_sec: 0, tv_nsec: TICK_MS as i64 * 1_000_000 };
                match poll(&mut [PollFd::new(&self.tap, PollFlags::IN)], Some(&tick)) {
                    Ok(_) | Err(Errno::INTR) => {}
                    Err(errno) => return Err(errno.into()),
                }
            }
        }
    }

    /// Reads a frame and answers it; false when none waits.
    fn read(&mut self) -> Result<bool, Trouble> {
        let n = match rustix::io::read(&self.tap, &mut self.frame) {
            Ok(n) => n,
            Err(Errno::AGAIN | Errno::INTR) => return Ok(false),
            Err(errno) => return Err(errno.into()),
        };
        if n > VNET && answers_arp(&mut self.frame[VNET..n]) {
            // An interface that takes nothing is the kernel's loss.
            let _lost = rustix::io::write(&self.tap, &self.frame[..n]);
            return Ok(true);
        }
        if let Some(segment) = Segment::of(&self.frame[..n]) {
            self.input(segment)?;
        }
        Ok(true)
    }

    fn input(&mut self, segment: Segment) -> Result<(), Trouble> {
        let now = Instant::now;
        if segment.flags.has(Flags::SYN) {
            let peer = Peer {
                reply: segment.reply,
                rcv_nxt: segment.seq.wrapping_add(1),
                snd_nxt: 1001,
                snd_una: 1001,
                window: u32::from(segment.window),
                scale: segment.scale,
                established: false,
                moved: now(),
            };
            self.peer = Some(peer);
            return self.send(peer, Flags::SYN | Flags::ACK, 1000, &[]);
        }
        let Some(peer) = self.peer.as_mut().filter(|peer| peer.reply.is_of(&segment)) else {
            return Ok(());
        };
        if segment.flags.has(Flags::RST) {
            self.peer = None;
            return Ok(());
        }
        if segment.ack.wrapping_sub(peer.snd_una) as i32 >= 0 {
            if segment.ack != peer.snd_una {
                peer.moved = now();
            }
            peer.snd_una = segment.ack;
            peer.window = u32::from(segment.window) << peer.scale;
            // After everything was sent again an ACK may be ahead of what we have sent.
            if peer.snd_una.wrapping_sub(peer.snd_nxt) as i32 > 0 {
                peer.snd_nxt = peer.snd_una;
            }
        }
        peer.established = true;
        if segment.len > 0 && segment.seq == peer.rcv_nxt {
            peer.rcv_nxt = peer.rcv_nxt.wrapping_add(segment.len);
            self.unanswered += 1;
        } else if segment.len > 0 {
            self.unanswered = u32::MAX;
        }
        if segment.flags.has(Flags::FIN) {
            return self.close();
        }
        match self.does {
            Does::Discard { ack_every } if self.unanswered >= ack_every => self.flush_ack(),
            Does::Echo if segment.len > 0 => self.echo(segment),
            _ => Ok(()),
        }
    }

    /// The ACK that is owed.
    fn flush_ack(&mut self) -> Result<(), Trouble> {
        let Some(peer) = self.peer.filter(|_| self.unanswered > 0) else { return Ok(()) };
        self.unanswered = 0;
        self.send(peer, Flags::ACK, peer.snd_nxt, &[])
    }

    /// Closes with the kernel.
    fn close(&mut self) -> Result<(), Trouble> {
        let Some(mut peer) = self.peer.take() else { return Ok(()) };
        peer.rcv_nxt = peer.rcv_nxt.wrapping_add(1);
        self.unanswered = 0;
        self.send(peer, Flags::ACK | Flags::FIN, peer.snd_nxt, &[])
    }

    fn echo(&mut self, segment: Segment) -> Result<(), Trouble> {
        let Some(mut peer) = self.peer else { return Ok(()) };
        let data = segment.data..segment.data + segment.len as usize;
        let seq = peer.snd_nxt;
        peer.snd_nxt = seq.wrapping_add(segment.len);
        self.peer = Some(peer);
        self.unanswered = 0;
        self.send(peer, Flags::ACK | Flags::PSH, seq, &self.frame[data])
    }

    /// Sends one super-frame if the window has room; false when it has not.
    fn blast(&mut self) -> Result<bool, Trouble> {
        let Some(mut peer) = self.peer.filter(|peer| peer.established) else { return Ok(false) };
        let under_way = peer.snd_nxt.wrapping_sub(peer.snd_una);
        let room = peer.window.min(WINDOW).saturating_sub(under_way) as usize;
        let len = match room {
            PAYLOAD.. => PAYLOAD,
            // A window that is small for good still moves.
            1.. if under_way == 0 => room,
            _ => {
                if under_way > 0 && peer.moved.elapsed() > AGAIN {
                    peer.snd_nxt = peer.snd_una;
                    peer.moved = Instant::now();
                    self.peer = Some(peer);
                }
                return Ok(false);
            }
        };
        let seq = peer.snd_nxt;
        peer.snd_nxt = seq.wrapping_add(len as u32);
        self.peer = Some(peer);
        self.send(peer, Flags::ACK | Flags::PSH, seq, &self.payload[..len])?;
        Ok(true)
    }

    fn send(&self, peer: Peer, flags: Flags, seq: u32, data: &[u8]) -> Result<(), Trouble> {
        let mut headers = [0; VNET + HEADERS];
        let used = peer.reply.write(&mut headers, flags, seq, peer.rcv_nxt, data.len());
        let slices = [IoSlice::new(&headers[..used]), IoSlice::new(data)];
        match rustix::io::writev(&self.tap, &slices) {
            // An interface that takes nothing is the kernel's loss.
            Ok(_) | Err(Errno::AGAIN | Errno::NOBUFS | Errno::IO) => Ok(()),
            Err(errno) => Err(errno.into()),
        }
    }
}
