//! poller: the wait sets of a shard. Devices, a bell and a timer are in the set of the
//! application's thread that leads, and in that of the shard's own thread, with its alarm, while
//! that one does.

use crate::bell::{Bell, Timer, timespec};
use rustix::event::epoll::{self, CreateFlags, EventData, EventFlags};
use std::io::Result;
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// Two epoll sets. Level-triggered: a device with frames left is reported again.
///
/// Each thread sleeps in a set with the descriptors themselves, for one call: a set within a set
/// would take a second look. A leader that takes the descriptors out of the other set wakes nobody.
#[derive(Debug)]
pub(crate) struct Poller {
    /// What an application's thread sleeps in.
    guests: OwnedFd,
    /// What the shard's thread sleeps in.
    own: OwnedFd,
    members: Mutex<Members>,
    pub(crate) bell: Arc<Bell>,
    timer: Timer,
    alarm: Timer,
    /// The leader asks the devices again and again instead of sleeping here.
    pub(crate) polling: bool,
}

/// What is in both sets, beside the bell and the timer.
#[derive(Debug)]
struct Members {
    devices: Vec<Option<Member>>,
    /// They wake the shard's thread.
    attached: bool,
}

#[derive(Debug)]
struct Member {
    fd: OwnedFd,
    token: u64,
    flags: EventFlags,
}

/// Names a descriptor of a device, until that is removed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct MemberId(usize);

/// What is ready.
#[derive(Clone, Copy, Debug)]
pub(crate) struct ReadyFd {
    /// A device's number, [`BELL`] or [`TIMER`].
    pub(crate) token: u64,
    pub(crate) readable: bool,
    pub(crate) writable: bool,
}

/// What is ready, of one look at a set.
#[derive(Debug)]
pub(crate) struct Ready {
    fds: [ReadyFd; EVENTS],
    count: usize,
    /// The alarm has rung, in the set that it is in.
    pub(crate) alarm: bool,
}

/// Mark of the bell.
pub(crate) const BELL: u64 = u64::MAX;

/// Mark of the timer.
pub(crate) const TIMER: u64 = u64::MAX - 1;

const ALARM: u64 = u64::MAX - 2;

/// Descriptors reported at once; the others are reported by the next wait.
const EVENTS: usize = 16;

impl Poller {
    pub(crate) fn new(polling: bool) -> Result<Self> {
        let set = || epoll::create(CreateFlags::CLOEXEC);
        let poller = Self {
            guests: set()?,
            own: set()?,
            members: Mutex::new(Members { devices: Vec::new(), attached: true }),
            bell: Arc::new(Bell::new()?),
            timer: Timer::new()?,
            alarm: Timer::new()?,
            polling,
        };
        for set in [&poller.guests, &poller.own] {
            poller.for_ours(|fd, token| add(set, fd, token, EventFlags::IN))?;
        }
        add(&poller.own, poller.alarm.as_fd(), ALARM, EventFlags::IN)?;
        Ok(poller)
    }

    /// From now on `fd` is reported as `token` when it is readable.
    pub(crate) fn add(&self, fd: OwnedFd, token: u64) -> Result<MemberId> {
        self.add_with(fd, token, EventFlags::IN)
    }

    /// From now on `fd` is reported as `token` each time that somebody writes to it: nobody reads
    /// it.
    pub(crate) fn add_bell(&self, fd: OwnedFd, token: u64) -> Result<MemberId> {
        self.add_with(fd, token, EventFlags::IN | EventFlags::ET)
    }

    fn add_with(&self, fd: OwnedFd, token: u64, flags: EventFlags) -> Result<MemberId> {
        let mut members = self.members();
        add(&self.guests, fd.as_fd(), token, flags)?;
        if members.attached {
            add(&self.own, fd.as_fd(), token, flags)?;
        }
        let at = members.devices.iter().position(Option::is_none).unwrap_or_else(|| {
            members.devices.push(None);
            members.devices.len() - 1
        });
        members.devices[at] = Some(Member { fd, token, flags });
        Ok(MemberId(at))
    }

    pub(crate) fn set(&self, MemberId(at): MemberId, read: bool, write: bool) -> Result<()> {
        let mut members = self.members();
        let attached = members.attached;
        let Some(Some(member)) = members.devices.get_mut(at) else { return Ok(()) };
        member.flags = EventFlags::empty();
        member.flags.set(EventFlags::IN, read);
        member.flags.set(EventFlags::OUT, write);
        let data = || EventData::new_u64(member.token);
        if attached {
            epoll::modify(&self.own, &member.fd, data(), member.flags)?;
        }
        Ok(epoll::modify(&self.guests, &member.fd, data(), member.flags)?)
    }

    /// It is closed.
    pub(crate) fn remove(&self, MemberId(at): MemberId) {
        let mut members = self.members();
        let Some(Some(member)) = members.devices.get_mut(at).map(Option::take) else { return };
        for set in [&self.guests, &self.own] {
            // A descriptor that the kernel no longer knows is not in a set any more, and one that
            // was taken out of the one is still in the other.
            let _unknown = epoll::delete(set, &member.fd);
        }
    }

    /// All devices are closed: their shard is gone.
    pub(crate) fn clear(&self) {
        let count = self.members().devices.len();
        (0..count).for_each(|at| self.remove(MemberId(at)));
    }

    /// The devices wake the shard's thread.
    pub(crate) fn attach(&self) {
        self.change(true, |fd, token, flags| add(&self.own, fd, token, flags));
    }

    /// They do so no longer.
    pub(crate) fn detach(&self) {
        self.change(false, |fd, _, _| Ok(epoll::delete(&self.own, fd)?));
    }

    fn change(&self, attached: bool, step: impl Fn(BorrowedFd<'_>, u64, EventFlags) -> Result<()>) {
        let mut members = self.members();
        if members.attached == attached {
            return;
        }
        members.attached = attached;
        let ours = self.for_ours(|fd, token| step(fd, token, EventFlags::IN));
        // The descriptors are ours, and it was noted whether they are in the set.
        debug_assert!(ours.is_ok(), "{ours:?}");
        for Member { fd, token, flags } in members.devices.iter().flatten() {
            // A device that the kernel no longer knows is removed by who leads.
            let _gone = step(fd.as_fd(), *token, *flags);
        }
    }

    fn for_ours(&self, step: impl Fn(BorrowedFd<'_>, u64) -> Result<()>) -> Result<()> {
        step(self.bell.as_fd(), BELL)?;
        step(self.timer.as_fd(), TIMER)
    }

    /// The timer is ready in `ns` from now. Whoever sleeps need not wake for that.
    pub(crate) fn set_timer(&self, ns: u64) {
        self.timer.set(Duration::from_nanos(ns));
    }

    /// The timer is not ready any more.
    pub(crate) fn clear_timer(&self) {
        self.timer.clear();
    }

    /// Wakes the shard's thread after a time.
    pub(crate) fn set_alarm(&self, after: Duration) {
        self.alarm.set(after);
    }

    /// Wakes the shard's thread now.
    pub(crate) fn ring_alarm(&self) {
        self.set_alarm(Duration::from_nanos(1));
    }

    /// Waits at most `timeout` (`None`: for ever) for what is ready. For an application's thread
    /// that leads, and for who only looks.
    pub(crate) fn wait(&self, timeout: Option<Duration>) -> Result<Ready> {
        wait(&self.guests, timeout)
    }

    /// What an application's thread sleeps in: readable while anything is ready.
    pub(crate) fn guests(&self) -> BorrowedFd<'_> {
        self.guests.as_fd()
    }

    /// Waits for what is ready. For the shard's thread; its alarm is heard then.
    pub(crate) fn wait_own(&self) -> Result<Ready> {
        let ready = wait(&self.own, None)?;
        if ready.alarm {
            self.alarm.clear();
        }
        Ok(ready)
    }

    fn members(&self) -> MutexGuard<'_, Members> {
        // Nothing panics while it is held: its state is whole.
        self.members.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Ready {
    pub(crate) fn nothing() -> Self {
        let none = ReadyFd { token: 0, readable: false, writable: false };
        Self { fds: [none; EVENTS], count: 0, alarm: false }
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = ReadyFd> {
        self.fds[..self.count].iter().copied()
    }
}

fn add(set: &OwnedFd, fd: BorrowedFd<'_>, token: u64, flags: EventFlags) -> Result<()> {
    Ok(epoll::add(set, fd, EventData::new_u64(token), flags)?)
}

fn wait(set: &OwnedFd, timeout: Option<Duration>) -> Result<Ready> {
    let timeout = timeout.map(timespec);
    let mut ready = Ready::nothing();
    let mut buffer = [MaybeUninit::uninit(); EVENTS];
    let events = match epoll::wait(set, &mut buffer, timeout.as_ref()) {
        Ok((events, _)) => &events[..],
        Err(rustix::io::Errno::INTR) => &[],
        Err(errno) => return Err(errno.into()),
    };
    for event in events {
        // The kernel's record is packed: its fields are copied out.
        let (flags, data) = (event.flags, event.data);
        let token = data.u64();
        if token == ALARM {
            ready.alarm = true;
            continue;
        }
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
