//! poller: the wait set of a shard. Devices, a bell, a deadline.

use rustix::event::epoll::{self, CreateFlags, EventData, EventFlags};
use rustix::event::{EventfdFlags, Timespec, eventfd};
use std::io::Result;
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

/// An epoll set. Level-triggered: a device with frames left is reported again.
#[derive(Debug)]
pub(crate) struct Poller {
    epoll: OwnedFd,
}

/// What is ready.
#[derive(Clone, Copy, Debug)]
pub(crate) struct ReadyFd {
    pub(crate) token: u64,
    pub(crate) readable: bool,
    pub(crate) writable: bool,
}

impl Poller {
    pub(crate) fn new() -> Result<Self> {
        Ok(Self { epoll: epoll::create(CreateFlags::CLOEXEC)? })
    }

    pub(crate) fn add(&self, fd: BorrowedFd<'_>, token: u64) -> Result<()> {
        Ok(epoll::add(&self.epoll, fd, EventData::new_u64(token), EventFlags::IN)?)
    }

    pub(crate) fn set(
        &self,
        fd: BorrowedFd<'_>,
        token: u64,
        read: bool,
        write: bool,
    ) -> Result<()> {
        let mut flags = EventFlags::empty();
        flags.set(EventFlags::IN, read);
        flags.set(EventFlags::OUT, write);
        Ok(epoll::modify(&self.epoll, fd, EventData::new_u64(token), flags)?)
    }

    pub(crate) fn remove(&self, fd: BorrowedFd<'_>) -> Result<()> {
        Ok(epoll::delete(&self.epoll, fd)?)
    }

    /// Waits at most `timeout_ns` (`None`: for ever) and appends what is ready.
    pub(crate) fn wait(&self, timeout_ns: Option<u64>, out: &mut Vec<ReadyFd>) -> Result<()> {
        let timeout = timeout_ns.map(|ns| Timespec {
            tv_sec: i64::try_from(ns / 1_000_000_000).unwrap_or(i64::MAX),
            tv_nsec: (ns % 1_000_000_000) as i64,
        });
        let mut buffer = [const { MaybeUninit::uninit() }; EVENTS];
        let events = match epoll::wait(&self.epoll, &mut buffer[..], timeout.as_ref()) {
            Ok((events, _)) => events,
            Err(rustix::io::Errno::INTR) => return Ok(()),
            Err(errno) => return Err(errno.into()),
        };
        out.extend(events.iter().map(|event| {
            // The kernel's record is packed: its fields are copied out.
            let (flags, data) = (event.flags, event.data);
            let failed = EventFlags::ERR | EventFlags::HUP;
            ReadyFd {
                token: data.u64(),
                readable: flags.intersects(EventFlags::IN | failed),
                writable: flags.intersects(EventFlags::OUT | failed),
            }
        }));
        Ok(())
    }
}

/// Descriptors reported at once; the others are reported by the next wait.
const EVENTS: usize = 64;

/// An eventfd: wakes a sleeping shard.
#[derive(Debug)]
pub(crate) struct Bell(OwnedFd);

impl Bell {
    pub(crate) fn new() -> Result<Self> {
        Ok(Self(eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK)?))
    }

    pub(crate) fn ring(&self) {
        // Full (2^64 - 2 rings unheard) means that it is rung already.
        let _already_rung = rustix::io::write(&self.0, &1_u64.to_ne_bytes());
    }

    pub(crate) fn hush(&self) {
        // Empty means that nobody rang: nothing to do.
        let _not_rung = rustix::io::read(&self.0, &mut [0; 8]);
    }
}

impl AsFd for Bell {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}
