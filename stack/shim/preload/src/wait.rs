//! wait: a thread sleeps until something has changed at a socket of the stack, or the stack is
//! gone. It sleeps in the C library's `epoll_pwait`, which signals and cancellation end.

use crate::socket::{self, Socket};
use crate::{backend, epoll, errno, real, table};
use libc::{c_int, epoll_event, sigset_t};
use millstream_port::{Errno, Id, MOVED, Sockets};
use std::os::fd::{AsRawFd, BorrowedFd};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// An epoll set of this library with the bell in it, of one thread at a time: so each thread has an
/// edge of its own. That of a program's set has this, too, in it.
#[derive(Debug)]
pub(crate) struct Waiter {
    set: c_int,
    idle: &'static Mutex<Vec<c_int>>,
}

/// What has woken a thread.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Woken {
    /// The time was not over.
    pub(crate) early: bool,
    /// Something is ready in the program's set.
    pub(crate) kernel: bool,
}

/// Those that nobody waits with, and that have no set of a program in them.
static IDLE: Mutex<Vec<c_int>> = Mutex::new(Vec::new());

/// Marks of what is in them.
const BELL: u64 = 0;
const LIFELINE: u64 = 1;
const PROGRAM: u64 = 2;

impl Waiter {
    pub(crate) fn take(stack: &dyn Sockets) -> Result<Self, Errno> {
        Self::take_with(stack, &IDLE, None)
    }

    /// One of those that are idle, or a new one that a program's set is put into.
    pub(crate) fn take_with(
        stack: &dyn Sockets,
        idle: &'static Mutex<Vec<c_int>>,
        program: Option<c_int>,
    ) -> Result<Self, Errno> {
        if let Some(set) = lock(idle).pop() {
            return Ok(Self { set, idle });
        }
        // SAFETY: no memory is named.
        let set = errno::of_kernel(unsafe { real::epoll_create1(libc::EPOLL_CLOEXEC) })?;
        let set = backend::keep_internal(set)?;
        let waiter = Self { set, idle };
        put(set, stack.bell().as_raw_fd(), EDGES, BELL)?;
        if let Some(program) = program {
            put(set, program, libc::EPOLLIN as u32, PROGRAM)?;
        }
        // One that is gone tells of nothing more.
        if let Some(lifeline) = stack.lifeline().filter(|_| !stack.is_gone()) {
            put(set, lifeline.as_raw_fd(), libc::EPOLLRDHUP as u32, LIFELINE)?;
        }
        Ok(waiter)
    }

    /// Polls readable when the bell was rung since it was emptied.
    pub(crate) fn fd(&self) -> c_int {
        self.set
    }

    /// Forgets what was rung before.
    pub(crate) fn empty(&self, stack: &dyn Sockets) {
        // Nobody waits: nothing can fail.
        let _empty = self.wait(stack, 0, std::ptr::null());
    }

    /// Waits for the bell, so long; -1 for ever.
    pub(crate) fn wait(
        &self,
        stack: &dyn Sockets,
        wait_ms: c_int,
        mask: *const sigset_t,
    ) -> Result<Woken, Errno> {
        let mut events = [epoll_event { events: 0, u64: 0 }; 3];
        let room = events.len() as c_int;
        // SAFETY: there is room for as many events.
        let came = unsafe { real::epoll_pwait(self.set, events.as_mut_ptr(), room, wait_ms, mask) };
        let came = errno::of_kernel(came)? as usize;
        let mut woken = Woken { early: came > 0, kernel: false };
        for event in &events[..came] {
            let mark = event.u64;
            match mark {
                LIFELINE => self.mourn(stack),
                PROGRAM => woken.kernel = true,
                _ => {}
            }
        }
        Ok(woken)
    }

    /// The stack is gone: it is told of once.
    fn mourn(&self, stack: &dyn Sockets) {
        let lifeline = stack.lifeline().filter(|_| stack.is_gone());
        if let Some(lifeline) = lifeline.as_ref().map(BorrowedFd::as_raw_fd) {
            let nothing = std::ptr::null_mut();
            // SAFETY: nothing is read for what is taken out.
            unsafe { real::epoll_ctl(self.set, libc::EPOLL_CTL_DEL, lifeline, nothing) };
        }
    }
}

impl Drop for Waiter {
    fn drop(&mut self) {
        lock(self.idle).push(self.set);
    }
}

/// Puts a descriptor into an epoll set of this library.
fn put(set: c_int, fd: c_int, events: u32, mark: u64) -> Result<(), Errno> {
    let mut event = epoll_event { events, u64: mark };
    // SAFETY: the event is only read.
    let added = unsafe { real::epoll_ctl(set, libc::EPOLL_CTL_ADD, fd, &mut event) };
    errno::of_kernel(added).map(drop)
}

/// Closes those that nobody waits with: after fork they are the parent's, and those of a set that
/// was closed are nobody's.
pub(crate) fn close_all(idle: &Mutex<Vec<c_int>>) {
    for set in std::mem::take(&mut *lock(idle)) {
        table::take(set);
        // SAFETY: it is this library's, and nobody uses it here.
        unsafe { real::close(set) };
    }
}

/// After fork.
pub(crate) fn forked() {
    close_all(&IDLE);
}

/// Nobody takes or puts one back while the guard lives.
pub(crate) fn hold() -> MutexGuard<'static, Vec<c_int>> {
    lock(&IDLE)
}

fn lock(idle: &Mutex<Vec<c_int>>) -> MutexGuard<'_, Vec<c_int>> {
    idle.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Counts a thread among those that the bell is rung for.
pub(crate) struct Sleep<'a>(&'a dyn Sockets);

impl<'a> Sleep<'a> {
    pub(crate) fn begin(stack: &'a dyn Sockets) -> Self {
        stack.sleeps();
        Self(stack)
    }
}

impl Drop for Sleep<'_> {
    /// Also when the thread is cancelled.
    fn drop(&mut self) {
        self.0.wakes();
    }
}

/// Tries something at a socket until it is not refused with EAGAIN any more, or until then.
pub(crate) fn until<T>(
    socket: &'static Socket,
    fd: c_int,
    deadline: Option<Instant>,
    mut attempt: impl FnMut(&'static dyn Sockets, Id) -> Result<T, Errno>,
) -> Result<T, Errno> {
    let stack = backend::stack()?;
    let id = socket.id(stack, fd)?;
    let inside = backend::enter()?;
    match attempt(stack, id) {
        Err(Errno::EAGAIN) if !is_over(deadline) => {}
        Err(MOVED) => {
            drop(inside);
            socket.note_exported();
            return Err(MOVED);
        }
        other => return other,
    }
    drop(inside);
    // Another thread may close its descriptor meanwhile: this call goes on, as in the kernel.
    let _kept = socket::Kept::new(socket);
    sleep_until(socket, stack, id, deadline, attempt)
}

fn sleep_until<T>(
    socket: &'static Socket,
    stack: &'static dyn Sockets,
    id: Id,
    deadline: Option<Instant>,
    mut attempt: impl FnMut(&'static dyn Sockets, Id) -> Result<T, Errno>,
) -> Result<T, Errno> {
    let (waiter, mut inside) = (Waiter::take(stack)?, backend::enter()?);
    socket.arm(stack);
    loop {
        // Sets hear of what has changed meanwhile, so that the stack's list of that stays short.
        epoll::tell(stack);
        let sleep = Sleep::begin(stack);
        // What has changed before nobody tells of.
        let tried = attempt(stack, id);
        match tried {
            Err(Errno::EAGAIN) => {}
            Err(MOVED) => {
                socket.note_exported();
                return tried;
            }
            _ => return tried,
        }
        drop(inside);
        let woken = waiter.wait(stack, left_ms(deadline), std::ptr::null());
        inside = backend::enter()?;
        drop(sleep);
        match woken {
            Ok(woken) if woken.early => {}
            Ok(_) => return Err(Errno::EAGAIN),
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
