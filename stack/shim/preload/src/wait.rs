//! wait: a thread sleeps until something has changed at a socket of the stack, or the stack is
//! gone. It sleeps in the C library's `epoll_pwait`, which signals and cancellation end.

use crate::socket::{self, Socket};
use crate::{backend, epoll, errno, real, table};
use libc::{c_int, epoll_event, sigset_t};
use millstream_port::{Errno, Id, Lead, MOVED, Sockets};
use std::cell::Cell;
use std::os::fd::{AsRawFd, BorrowedFd};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// An epoll set of this library with the bell in it, of one thread at a time: so each thread has an
/// edge of its own. That of a program's set has this, too, in it.
#[derive(Debug)]
pub(crate) struct Waiter {
    set: c_int,
    /// The devices of a stack in this program wake it, too: it was a leader's last.
    leads: Cell<bool>,
    /// Turns as a leader in which others were told of something, and this thread waited on.
    for_others: Cell<u32>,
    idle: &'static Mutex<Idle>,
}

/// Sets that nobody waits with, and whether devices wake them.
pub(crate) type Idle = Vec<(c_int, bool)>;

/// What has woken a thread.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Woken {
    /// The time was not over.
    pub(crate) early: bool,
    /// Something is ready in the program's set.
    pub(crate) kernel: bool,
}

/// Those that nobody waits with, and that have no set of a program in them.
static IDLE: Mutex<Idle> = Mutex::new(Vec::new());

/// Marks of what is in them.
const BELL: u64 = 0;
const LIFELINE: u64 = 1;
const PROGRAM: u64 = 2;
const DEVICES: u64 = 3;

impl Waiter {
    pub(crate) fn take(stack: &dyn Sockets) -> Result<Self, Errno> {
        Self::take_with(stack, &IDLE, None)
    }

    /// One of those that are idle, or a new one that a program's set is put into.
    pub(crate) fn take_with(
        stack: &dyn Sockets,
        idle: &'static Mutex<Idle>,
        program: Option<c_int>,
    ) -> Result<Self, Errno> {
        let for_others = Cell::new(0);
        if let Some((set, leads)) = lock(idle).pop() {
            return Ok(Self { set, leads: Cell::new(leads), for_others, idle });
        }
        // SAFETY: no memory is named.
        let set = errno::of_kernel(unsafe { real::epoll_create1(libc::EPOLL_CLOEXEC) })?;
        let set = backend::keep_internal(set)?;
        let waiter = Self { set, leads: Cell::new(false), for_others, idle };
        put(set, stack.bell().as_raw_fd(), EDGES, BELL)?;
        if let Some(program) = program {
            put(set, program, libc::EPOLLIN as u32, PROGRAM)?;
        }
        // One that is gone tells of nothing more.
        if let Some(lifeline) = stack.lifeline().filter(|_| !stack.is_gone()) {
            put(set, lifeline.as_raw_fd(), libc::EPOLLRDHUP as u32, LIFELINE)?;
        }
        if let Some(devices) = stack.devices() {
            put(set, devices.as_raw_fd(), 0, DEVICES)?;
        }
        Ok(waiter)
    }

    /// From now on the thread is about to sleep here, and runs a stack of its own program if no
    /// other one does. Look at what is possible before, after `sleep` was begun.
    pub(crate) fn lead<'a>(&'a self, sleep: Sleep<'a>) -> Turn<'a> {
        let lead = match backend::enter() {
            Ok(_inside) if self.for_others.get() < FOR_OTHERS => sleep.0.lead(),
            _ => Lead::Others,
        };
        self.set_leads(sleep.0, lead != Lead::Others);
        Turn { waiter: self, sleep: Some(sleep), lead }
    }

    /// The devices wake whoever sleeps here, or do so no longer.
    fn set_leads(&self, stack: &dyn Sockets, leads: bool) {
        if self.leads.replace(leads) == leads {
            return;
        }
        let Some(devices) = stack.devices() else { return };
        let events = if leads { libc::EPOLLIN as u32 } else { 0 };
        let mut event = epoll_event { events, u64: DEVICES };
        // SAFETY: the event is only read.
        let done = unsafe {
            real::epoll_ctl(self.set, libc::EPOLL_CTL_MOD, devices.as_raw_fd(), &mut event)
        };
        debug_assert_eq!(done, 0, "the devices are in each set");
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
        let mut events = [epoll_event { events: 0, u64: 0 }; 4];
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
        lock(self.idle).push((self.set, self.leads.get()));
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
pub(crate) fn close_all(idle: &Mutex<Idle>) {
    for (set, _) in std::mem::take(&mut *lock(idle)) {
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
pub(crate) fn hold() -> MutexGuard<'static, Idle> {
    lock(&IDLE)
}

fn lock(idle: &Mutex<Idle>) -> MutexGuard<'_, Idle> {
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

/// A thread that sleeps, and may run the stack of its program meanwhile, until this goes.
pub(crate) struct Turn<'a> {
    waiter: &'a Waiter,
    sleep: Option<Sleep<'a>>,
    lead: Lead,
}

impl Turn<'_> {
    /// So long, unless there is more to be done.
    pub(crate) fn is_busy(&self) -> bool {
        self.lead == Lead::Runs
    }
}

impl Drop for Turn<'_> {
    /// Also when the thread is cancelled.
    fn drop(&mut self) {
        let Some(sleep) = self.sleep.take() else { return };
        let stack = sleep.0;
        // The bell is for others now: this thread looks for itself.
        drop(sleep);
        if self.lead == Lead::Others {
            return;
        }
        let _inside = backend::enter();
        if stack.led() {
            let told = &self.waiter.for_others;
            told.set(told.get() + 1);
        }
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
        stack.linger();
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
        let turn = waiter.lead(sleep);
        let (busy, left) = (turn.is_busy(), left_ms(deadline));
        let woken = waiter.wait(stack, if busy { 0 } else { left }, std::ptr::null());
        drop(turn);
        inside = backend::enter()?;
        match woken {
            Ok(woken) if woken.early || busy => {}
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
/// As many turns in which others were told of something, and who waits leaves the lead to them: a
/// thread that runs the stack for others costs two switches of threads.
const FOR_OTHERS: u32 = 8;
/// Linux has as many.
const SIGNALS: c_int = 64;
