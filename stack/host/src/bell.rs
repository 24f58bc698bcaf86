//! bell: descriptors that become readable: an eventfd when it is rung, a timerfd from a time on.

use rustix::event::{EventfdFlags, Timespec, eventfd};
use rustix::time::{
    Itimerspec, TimerfdClockId, TimerfdFlags, TimerfdTimerFlags, timerfd_create, timerfd_settime,
};
use std::io::Result;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::time::Duration;

/// An eventfd: readable while it is rung.
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

/// A timerfd: readable from a time on.
#[derive(Debug)]
pub(crate) struct Timer(OwnedFd);

impl Timer {
    pub(crate) fn new() -> Result<Self> {
        let flags = TimerfdFlags::CLOEXEC | TimerfdFlags::NONBLOCK;
        Ok(Self(timerfd_create(TimerfdClockId::Monotonic, flags)?))
    }

    /// `after` is not zero, which would stop it.
    pub(crate) fn set(&self, after: Duration) {
        let never = timespec(Duration::ZERO);
        let after = Itimerspec { it_interval: never, it_value: timespec(after) };
        let set = timerfd_settime(&self.0, TimerfdTimerFlags::empty(), &after);
        // The descriptor is ours and the time is in order.
        debug_assert!(set.is_ok(), "{set:?}");
    }

    pub(crate) fn clear(&self) {
        // It was set again since: it is ready later.
        let _later = rustix::io::read(&self.0, &mut [0; 8]);
    }
}

impl AsFd for Timer {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

/// The time that a timer is set to. It is not moved later: a timer that is ready too early is set
/// again then.
#[derive(Debug, Default)]
pub(crate) struct Earliest(Option<u64>);

impl Earliest {
    /// True when the timer has to be set to `at`.
    pub(crate) fn moves_to(&mut self, at: u64) -> bool {
        let moves = self.0.is_none_or(|set| at < set);
        if moves {
            self.0 = Some(at);
        }
        moves
    }
}

pub(crate) fn timespec(duration: Duration) -> Timespec {
    Timespec {
        tv_sec: i64::try_from(duration.as_secs()).unwrap_or(i64::MAX),
        tv_nsec: i64::from(duration.subsec_nanos()),
    }
}
