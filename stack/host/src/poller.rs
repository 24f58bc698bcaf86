//! poller: the wait set of a shard. Devices, a bell, a timer; and the alarm of the shard's own
//! thread, which has that set inside its own while it leads.

use rustix::event::epoll::{self, CreateFlags, EventData, EventFlags};
use rustix::event::{EventfdFlags, Timespec, eventfd};
use rustix::time::{
    Itimerspec, TimerfdClockId, TimerfdFlags, TimerfdTimerFlags, timerfd_create, timerfd_settime,
};
use std::io::Result;
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::Arc;
use std::time::Duration;

/// An epoll set with a bell and a timer. Level-triggered: a device with frames left is reported
/// again.
#[derive(Debug)]
pub(crate) struct Poller {
    epoll: OwnedFd,
    pub(crate) bell: Arc<Bell>,
    timer: Timer,
}

/// What is ready.
#[derive(Clone, Copy, Debug)]
pub(crate) struct ReadyFd {
    /// A device's number, [`BELL`] or [`TIMER`].
    pub(crate) token: u64,
    pub(crate) readable: bool,
    pub(crate) writable: bool,
}

/// What is ready, of one look at the set.
#[derive(Debug)]
pub(crate) struct Ready {
    fds: [ReadyFd; EVENTS],
    count: usize,
}

/// Mark of the bell.
pub(crate) const BELL: u64 = u64::MAX;

/// Mark of the timer.
pub(crate) const TIMER: u64 = u64::MAX - 1;

/// Descriptors reported at once; the others are reported by the next wait.
const EVENTS: usize = 16;

impl Poller {
    pub(crate) fn new() -> Result<Self> {
        let epoll = epoll::create(CreateFlags::CLOEXEC)?;
        let set = Self { epoll, bell: Arc::new(Bell::new()?), timer: Timer::new()? };
        set.add(set.bell.0.as_fd(), BELL)?;
        set.add(set.timer.0.as_fd(), TIMER)?;
        Ok(set)
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

    /// The timer is ready in `ns` from now. Whoever sleeps in the set need not wake for that.
    pub(crate) fn set_timer(&self, ns: u64) {
        self.timer.set(Duration::from_nanos(ns));
    }

    /// The timer is not ready any more.
    pub(crate) fn clear_timer(&self) {
        self.timer.clear();
    }

    /// Waits at most `timeout` (`None`: for ever) for what is ready.
    pub(crate) fn wait(&self, timeout: Option<Duration>) -> Result<Ready> {
        let mut ready = Ready::nothing();
        for (token, flags) in wait(&self.epoll, timeout, &mut [MaybeUninit::uninit(); EVENTS])? {
            let failed = EventFlags::ERR | EventFlags::HUP;
            ready.fds[ready.count] = ReadyFd {
                token,
                readable: flags.intersects(EventFlags::IN | failed),
                writable: flags.intersects(EventFlags::OUT | failed),
            };
            ready.count += 1;
        }
        Ok(ready)
    }
}

impl Ready {
    pub(crate) fn nothing() -> Self {
        let none = ReadyFd { token: 0, readable: false, writable: false };
        Self { fds: [none; EVENTS], count: 0 }
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = ReadyFd> {
        self.fds[..self.count].iter().copied()
    }
}

/// Tokens and flags of what is ready.
fn wait<'a>(
    epoll: &OwnedFd,
    timeout: Option<Duration>,
    buffer: &'a mut [MaybeUninit<epoll::Event>],
) -> Result<impl Iterator<Item = (u64, EventFlags)> + use<'a>> {
    let timeout = timeout.map(timespec);
    let events = match epoll::wait(epoll, buffer, timeout.as_ref()) {
        Ok((events, _)) => &events[..],
        Err(rustix::io::Errno::INTR) => &[],
        Err(errno) => return Err(errno.into()),
    };
    // The kernel's record is packed: its fields are copied out.
    Ok(events.iter().map(|event| {
        let (flags, data) = (event.flags, event.data);
        (data.u64(), flags)
    }))
}

/// What the shard's own thread sleeps in: its alarm, and the wait set of the devices while it
/// leads. An application's thread that takes the lead takes them out there, which wakes nobody.
#[derive(Debug)]
pub(crate) struct Alarm {
    epoll: OwnedFd,
    timer: Timer,
    devices: OwnedFd,
}

/// Mark of the devices' set in the alarm's.
const DEVICES: u64 = 0;

impl Alarm {
    /// With the devices' set in it.
    pub(crate) fn new(devices: &Poller) -> Result<Self> {
        let devices = devices.epoll.try_clone()?;
        let alarm =
            Self { epoll: epoll::create(CreateFlags::CLOEXEC)?, timer: Timer::new()?, devices };
        let add = |fd: BorrowedFd<'_>, token| {
            epoll::add(&alarm.epoll, fd, EventData::new_u64(token), EventFlags::IN)
        };
        add(alarm.devices.as_fd(), DEVICES)?;
        add(alarm.timer.0.as_fd(), TIMER)?;
        Ok(alarm)
    }

    /// The devices wake the shard's thread.
    pub(crate) fn attach(&self) {
        self.interest(EventFlags::IN);
    }

    /// They do so no longer.
    pub(crate) fn detach(&self) {
        self.interest(EventFlags::empty());
    }

    fn interest(&self, flags: EventFlags) {
        let data = EventData::new_u64(DEVICES);
        let changed = epoll::modify(&self.epoll, &self.devices, data, flags);
        // Both descriptors are ours, and the one is in the other's set.
        debug_assert!(changed.is_ok(), "{changed:?}");
    }

    pub(crate) fn set(&self, after: Duration) {
        self.timer.set(after);
    }

    pub(crate) fn ring(&self) {
        self.timer.set(Duration::from_nanos(1));
    }

    /// Sleeps; whether the alarm has rung.
    pub(crate) fn wait(&self) -> Result<bool> {
        let mut buffer = [MaybeUninit::uninit(); 2];
        let rung = wait(&self.epoll, None, &mut buffer)?.any(|(token, _)| token == TIMER);
        if rung {
            self.timer.clear();
        }
        Ok(rung)
    }
}

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
struct Timer(OwnedFd);

impl Timer {
    fn new() -> Result<Self> {
        let flags = TimerfdFlags::CLOEXEC | TimerfdFlags::NONBLOCK;
        Ok(Self(timerfd_create(TimerfdClockId::Monotonic, flags)?))
    }

    /// `after` is not zero, which would stop it.
    fn set(&self, after: Duration) {
        let never = timespec(Duration::ZERO);
        let after = Itimerspec { it_interval: never, it_value: timespec(after) };
        let set = timerfd_settime(&self.0, TimerfdTimerFlags::empty(), &after);
        // The descriptor is ours and the time is in order.
        debug_assert!(set.is_ok(), "{set:?}");
    }

    fn clear(&self) {
        // It was set again since: it is ready later.
        let _later = rustix::io::read(&self.0, &mut [0; 8]);
    }
}

fn timespec(duration: Duration) -> Timespec {
    Timespec {
        tv_sec: i64::try_from(duration.as_secs()).unwrap_or(i64::MAX),
        tv_nsec: i64::from(duration.subsec_nanos()),
    }
}
