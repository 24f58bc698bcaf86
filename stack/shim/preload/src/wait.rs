//! wait: a thread sleeps until something has changed at a socket of the stack. It sleeps in the C
//! library's `epoll_pwait`, which signals and cancellation end.

use crate::socket::Socket;
use crate::{backend, epoll, errno, real};
use libc::{c_int, epoll_event};
use millstream_port::{Errno, Id, Sockets};
use std::os::fd::AsRawFd;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// An epoll set of this library with the bell in it, of one thread at a time: so each thread has an
/// edge of its own.
#[derive(Debug)]
pub(crate) struct Waiter(c_int);

/// Those that nobody waits with.
static IDLE: Mutex<Vec<c_int>> = Mutex::new(Vec::new());

impl Waiter {
    pub(crate) fn take(stack: &dyn Sockets) -> Result<Self, Errno> {
        if let Some(set) = idle().pop() {
            return Ok(Self(set));
        }
        // SAFETY: no memory is named.
        let set = errno::of_kernel(unsafe { libc::epoll_create1(libc::EPOLL_CLOEXEC) })?;
        let set = backend::keep_internal(set)?;
        ring_in(stack, set)?;
        Ok(Self(set))
    }

    /// Polls readable when the bell was rung since it was emptied.
    pub(crate) fn fd(&self) -> c_int {
        self.0
    }

    /// Forgets what was rung before.
    pub(crate) fn empty(&self) {
        let mut event = epoll_event { events: 0, u64: 0 };
        // SAFETY: there is room for one event.
        unsafe { real::epoll_pwait(self.0, &mut event, 1, 0, std::ptr::null()) };
    }

    /// Waits for the bell, at most until then. False at the deadline.
    fn wait(&self, deadline: Option<Instant>) -> Result<bool, Errno> {
        let mut event = epoll_event { events: 0, u64: 0 };
        // SAFETY: there is room for one event.
        let rung = unsafe {
            real::epoll_pwait(self.0, &mut event, 1, left_ms(deadline), std::ptr::null())
        };
        errno::of_kernel(rung).map(|rung| rung > 0)
    }
}

impl Drop for Waiter {
    fn drop(&mut self) {
        idle().push(self.0);
    }
}

fn idle() -> std::sync::MutexGuard<'static, Vec<c_int>> {
    IDLE.lock().unwrap_or_else(PoisonError::into_inner)
}

/// After fork: they are the parent's.
pub(crate) fn forget_all() {
    idle().clear();
}

/// Puts the bell into an epoll set.
pub(crate) fn ring_in(stack: &dyn Sockets, set: c_int) -> Result<(), Errno> {
    let mut event = epoll_event { events: EDGES, u64: bell_mark() };
    let bell = stack.bell().as_raw_fd();
    // SAFETY: the event is only read.
    let added = unsafe { real::epoll_ctl(set, libc::EPOLL_CTL_ADD, bell, &mut event) };
    match errno::of_kernel(added) {
        Ok(_) | Err(Errno::EEXIST) => Ok(()),
        Err(errno) => Err(errno),
    }
}

/// What names the bell among a program's events: an address that no program has anything at.
pub(crate) fn bell_mark() -> u64 {
    std::ptr::from_ref(&IDLE) as u64
}

/// Tries something at a socket until it is not refused with EAGAIN any more, or until then.
pub(crate) fn until<T>(
    socket: &Socket,
    fd: c_int,
    deadline: Option<Instant>,
    mut attempt: impl FnMut(&'static dyn Sockets, Id) -> Result<T, Errno>,
) -> Result<T, Errno> {
    let stack = backend::stack()?;
    let id = socket.id(stack, fd)?;
    let _inside = backend::enter()?;
    match attempt(stack, id) {
        Err(Errno::EAGAIN) if !is_over(deadline) => {}
        other => return other,
    }
    socket.arm(stack);
    let waiter = Waiter::take(stack)?;
    loop {
        // Sets hear of what has changed meanwhile, so that the stack's list of that stays short.
        epoll::tell(stack);
        stack.sleeps();
        // What has changed before nobody tells of.
        let tried = attempt(stack, id);
        if !matches!(tried, Err(Errno::EAGAIN)) {
            stack.wakes();
            return tried;
        }
        let rung = backend::outside(|| waiter.wait(deadline));
        stack.wakes();
        match rung {
            Ok(true) => {}
            Ok(false) => return Err(Errno::EAGAIN),
            Err(Errno::EINTR) if deadline.is_none() && restarts() => {}
            Err(errno) => return Err(errno),
        }
    }
}

fn is_over(deadline: Option<Instant>) -> bool {
    deadline.is_some_and(|at| at <= Instant::now())
}

/// Milliseconds until then, rounded up; -1 for ever.
pub(crate) fn left_ms(deadline: Option<Instant>) -> c_int {
    let Some(at) = deadline else { return -1 };
    let left = at.saturating_duration_since(Instant::now()) + Duration::from_nanos(999_999);
    c_int::try_from(left.as_millis()).unwrap_or(c_int::MAX)
}

/// Does a call that a signal has interrupted go on by itself? Which signal it was is not told: it
/// does if all that have handlers say so (SA_RESTART).
fn restarts() -> bool {
    (1..=SIGNALS).all(|number| {
        // SAFETY: all bytes of it may be zero.
        let mut action: libc::sigaction = unsafe { std::mem::zeroed() };
        // SAFETY: nothing is changed, and there is room for the answer.
        let known = unsafe { libc::sigaction(number, std::ptr::null(), &mut action) } == 0;
        let handler = action.sa_sigaction;
        let handles = known && handler != libc::SIG_DFL && handler != libc::SIG_IGN;
        !handles || action.sa_flags & libc::SA_RESTART != 0
    })
}

/// Edges of the bell: each ring wakes who waits, however long it stays readable.
const EDGES: u32 = (libc::EPOLLIN | libc::EPOLLET) as u32;
/// Linux has as many.
const SIGNALS: c_int = 64;
