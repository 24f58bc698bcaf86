//! The least that an echo on a TAP can be: frames are read, addresses and ports swapped, written.
//!
//! Swapping leaves all checksums as they are, also those that the kernel left to the device, so
//! the virtio-net header goes back as it came. No queue, no check, no second frame in memory.

use crate::Trouble;
use crate::lab::{Lab, Mode, Service, Stop, TICK_MS};
use millstream_drivers::tun::TapFd;
use rustix::event::Timespec;
use rustix::event::epoll::{self, CreateFlags, EventData, EventFlags};
use rustix::fs::OFlags;
use rustix::io::Errno;
use std::mem::MaybeUninit;
use std::sync::atomic::Ordering;

/// How the bare program learns that a frame waits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wait {
    /// By a blocking read: one call per frame.
    Read,
    /// By epoll, then reads until there are no more, as the stack does.
    Epoll,
    /// By reading again and again.
    Poll,
}

/// Serves the TAP of a lab.
///
/// # Errors
/// As [`Lab::tap_fd`].
pub fn echo(lab: &Lab, core: Option<usize>, wait: Wait) -> Result<Service, Trouble> {
    let tap = lab.tap_fd()?;
    if wait == Wait::Read {
        let flags = rustix::fs::fcntl_getfl(&tap)?;
        rustix::fs::fcntl_setfl(&tap, flags - OFlags::NONBLOCK)?;
    }
    let client = lab.client()?;
    let stop = Stop::default();
    let theirs = stop.clone();
    let serve = move || serve(&tap, wait, &stop);
    Service::start_with("bare", core, serve, move || {
        theirs.store(true, Ordering::Relaxed);
        // Wakes a blocking read. A client that cannot send has no blocking reader either.
        let _sent = client.send(b"the end");
    })
}

impl From<Mode> for Wait {
    fn from(mode: Mode) -> Self {
        match mode {
            Mode::Sleeping => Self::Read,
            Mode::Polling => Self::Poll,
        }
    }
}

fn serve(tap: &TapFd, wait: Wait, stop: &Stop) -> Result<(), Trouble> {
    let mut frame = vec![0; VNET + (1 << 16)];
    let set = epoll::create(CreateFlags::CLOEXEC)?;
    epoll::add(&set, tap, EventData::new_u64(0), EventFlags::IN)?;
    let tick = Timespec { tv_sec: 0, tv_nsec: TICK_MS as i64 * 1_000_000 };
    while !stop.load(Ordering::Relaxed) {
        match rustix::io::read(tap, &mut frame) {
            Ok(n) => {
                let n = answer(&mut frame[..n]);
                // An interface that takes nothing is the client's loss.
                let _lost = rustix::io::write(tap, &frame[..n]);
            }
            Err(Errno::AGAIN) if wait == Wait::Epoll => {
                let mut events = [const { MaybeUninit::uninit() }; 1];
                epoll::wait(&set, &mut events[..], Some(&tick))?;
            }
            Err(Errno::AGAIN | Errno::INTR) => {}
            Err(errno) => return Err(errno.into()),
        }
    }
    Ok(())
}

/// Bytes of the virtio-net header in front of each frame.
const VNET: usize = 10;

/// Makes the answer to a frame in place; its bytes, 0 for none.
fn answer(bytes: &mut [u8]) -> usize {
    let len = bytes.len();
    let Some(frame) = bytes.get_mut(VNET..) else { return 0 };
    if frame.len() >= 42 && frame[12..14] == [8, 0] && frame[23] == 17 {
        swap(frame, 0, 6, 6);
        swap(frame, 26, 30, 4);
        swap(frame, 34, 36, 2);
        return len;
    }
    if answers_arp(frame) { len } else { 0 }
}

/// Makes the answer to the question for an address in place, whichever it is: this station. False
/// for any other frame.
pub(crate) fn answers_arp(frame: &mut [u8]) -> bool {
    let asks = frame.len() >= 42 && frame[12..14] == [8, 6] && frame[21] == 1;
    if asks {
        frame.copy_within(6..12, 0);
        frame[6..12].copy_from_slice(&MAC);
        frame[21] = 2;
        swap(frame, 22, 32, 10);
        frame[22..28].copy_from_slice(&MAC);
    }
    asks
}

const MAC: [u8; 6] = [2, 0, 0, 0, 0, 2];

fn swap(bytes: &mut [u8], a: usize, b: usize, len: usize) {
    for at in 0..len {
        bytes.swap(a + at, b + at);
    }
}
