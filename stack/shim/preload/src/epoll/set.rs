//! set: what a program wants to know of sockets of the stack, and of sets that they are in, in one
//! of its epoll sets.

use super::members;
use crate::wait::{self, Waiter};
use crate::{backend, errno, real, table};
use libc::{c_int, epoll_event};
use millstream_port::{Changes, Errno, Id, Ready, Sockets};
use std::collections::{BTreeMap, VecDeque};
use std::sync::atomic::{AtomicBool, AtomicI32, AtomicU32, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use table::File;

/// The stack's side of an epoll set.
#[derive(Debug)]
pub(crate) struct Set {
    /// Descriptors of this process.
    copies: AtomicU32,
    /// A descriptor of this library for the kernel's set, from the first time that something of the
    /// stack is in it.
    kernel: AtomicI32,
    /// It was inherited, and its sockets have the parent's numbers.
    inherited: AtomicBool,
    /// Waits that found something at the stack.
    turns: AtomicU32,
    /// Threads that wait for it.
    sleepers: AtomicU32,
    /// What they wait with; those that nobody uses.
    waiters: Mutex<wait::Idle>,
    /// Sets that it is in, and its descriptor there.
    above: Mutex<Vec<(&'static Self, c_int)>>,
    inner: Mutex<Inner>,
}

#[derive(Debug, Default)]
pub(super) struct Inner {
    /// By descriptor.
    interests: BTreeMap<c_int, Interest>,
    /// Those to be looked at, once each.
    listed: VecDeque<c_int>,
}

#[derive(Debug)]
struct Interest {
    of: Member,
    /// The program's.
    events: u32,
    data: u64,
    /// Changes when it was listed last.
    seen: Changes,
    is_listed: bool,
    /// EPOLLONESHOT: it was told, and has not been changed since.
    is_spent: bool,
}

/// What is in a set.
#[derive(Clone, Copy, Debug)]
enum Member {
    Socket(Id),
    /// A set, which is in the kernel's, too.
    Set(&'static Set),
}

/// Counts a thread that waits for a set.
pub(super) struct Sleeper(&'static Set);

impl Drop for Sleeper {
    fn drop(&mut self) {
        self.0.sleepers.fetch_sub(1, Ordering::SeqCst);
    }
}

/// Sets that were closed.
static CLOSED: Mutex<Vec<&'static File>> = Mutex::new(Vec::new());

/// Begins to keep the stack's side of the set at a descriptor. None when its number is too high.
pub(crate) fn open(fd: c_int) -> Option<&'static Set> {
    let file = closed().pop().unwrap_or_else(|| Box::leak(Box::new(File::Set(Set::new()))));
    let File::Set(set) = file else { return None };
    set.copies.store(1, Ordering::Relaxed);
    table::put(fd, file).then_some(set)
}

/// One descriptor fewer stands for a set.
pub(crate) fn forget(file: &'static File) {
    let File::Set(set) = file else { return };
    if set.copies.fetch_sub(1, Ordering::AcqRel) > 1 {
        return;
    }
    set.end();
    closed().push(file);
}

/// Nobody opens or closes one while the guard lives.
pub(super) fn closed() -> MutexGuard<'static, Vec<&'static File>> {
    CLOSED.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Set {
    fn new() -> Self {
        Self {
            copies: AtomicU32::new(0),
            kernel: AtomicI32::new(-1),
            inherited: AtomicBool::new(false),
            turns: AtomicU32::new(0),
            sleepers: AtomicU32::new(0),
            waiters: Mutex::default(),
            above: Mutex::default(),
            inner: Mutex::new(Inner::default()),
        }
    }

    pub(crate) fn add_copy(&self) {
        self.copies.fetch_add(1, Ordering::Relaxed);
    }

    /// Has there been anything of the stack in it?
    pub(crate) fn is_used(&self) -> bool {
        self.kernel.load(Ordering::Acquire) >= 0
    }

    /// Something of the stack comes into it.
    pub(super) fn begin_use(&self, fd: c_int) -> Result<(), Errno> {
        if self.is_used() {
            return Ok(());
        }
        // SAFETY: no memory is named.
        let copy = errno::of_kernel(unsafe { real::fcntl(fd, libc::F_DUPFD_CLOEXEC, 0) })?;
        let copy = backend::keep_internal(copy)?;
        let other =
            self.kernel.compare_exchange(-1, copy, Ordering::AcqRel, Ordering::Relaxed).is_err();
        if other {
            close_internal(copy);
        }
        Ok(())
    }

    fn end(&'static self) {
        let gone = std::mem::take(&mut *self.inner());
        for (fd, interest) in gone.interests {
            self.part(fd, interest.of);
        }
        for (above, fd) in std::mem::take(&mut *lock(&self.above)) {
            above.inner().interests.remove(&fd);
        }
        wait::close_all(&self.waiters);
        let kernel = self.kernel.swap(-1, Ordering::AcqRel);
        if kernel >= 0 {
            close_internal(kernel);
        }
    }

    /// A member has left it.
    fn part(&'static self, fd: c_int, of: Member) {
        match of {
            Member::Socket(id) => members::leave(id, self, fd),
            Member::Set(set) => {
                let is_this =
                    |(above, at): &(&Self, c_int)| std::ptr::eq(*above, self) && *at == fd;
                lock(&set.above).retain(|above| !is_this(above));
            }
        }
    }

    /// After fork: what threads wait with is the parent's.
    pub(crate) fn inherit(&self) {
        self.inherited.store(true, Ordering::Relaxed);
        self.sleepers.store(0, Ordering::Relaxed);
        wait::close_all(&self.waiters);
    }

    /// Finds the sockets of a set that was inherited.
    pub(crate) fn adopt(&'static self, stack: &dyn Sockets) {
        if !self.inherited.swap(false, Ordering::Relaxed) {
            return;
        }
        let members: Vec<_> =
            self.inner().interests.iter().map(|(fd, one)| (*fd, one.of)).collect();
        for (fd, of) in members {
            let Member::Socket(_) = of else { continue };
            match table::on_stack(fd).map(|socket| (socket, socket.id(stack, fd))) {
                Some((socket, Ok(id))) => {
                    self.renumber(fd, id);
                    socket.arm(stack);
                }
                // It was closed here, and is the parent's.
                _ => drop(self.inner().interests.remove(&fd)),
            }
        }
    }

    /// A socket has another number in this process: it was inherited.
    fn renumber(&'static self, fd: c_int, id: Id) {
        members::join(id, self, fd);
        let mut inner = self.inner();
        if let Some(interest) = inner.interests.get_mut(&fd) {
            interest.of = Member::Socket(id);
            inner.list(fd);
        }
    }

    /// What a thread waits for it with.
    pub(super) fn waiter(&'static self, stack: &dyn Sockets) -> Result<(Waiter, Sleeper), Errno> {
        let kernel = self.kernel.load(Ordering::Acquire);
        let waiter = Waiter::take_with(stack, &self.waiters, Some(kernel))?;
        self.sleepers.fetch_add(1, Ordering::SeqCst);
        Ok((waiter, Sleeper(self)))
    }

    /// Every few waits the kernel is asked, however much there is at the stack.
    pub(crate) fn is_kernels_turn(&self) -> bool {
        self.turns.fetch_add(1, Ordering::Relaxed).is_multiple_of(KERNELS_TURN)
    }

    /// EPOLL_CTL_ADD of a socket.
    pub(crate) fn add(
        &'static self,
        stack: &dyn Sockets,
        fd: c_int,
        id: Id,
        event: epoll_event,
    ) -> Result<(), Errno> {
        // Before it is in the set: what changes from now on is told.
        members::join(id, self, fd);
        self.insert(fd, Member::Socket(id), event, stack.changes(id))
    }

    /// EPOLL_CTL_ADD of a set, which is in the kernel's already.
    pub(super) fn add_set(
        &'static self,
        fd: c_int,
        set: &'static Self,
        event: epoll_event,
    ) -> Result<(), Errno> {
        lock(&set.above).push((self, fd));
        self.insert(fd, Member::Set(set), event, Changes::default())
    }

    fn insert(
        &self,
        fd: c_int,
        of: Member,
        event: epoll_event,
        seen: Changes,
    ) -> Result<(), Errno> {
        let mut inner = self.inner();
        if inner.interests.contains_key(&fd) {
            return Err(Errno::EEXIST);
        }
        let (events, data) = (event.events, event.u64);
        let (is_listed, is_spent) = (false, false);
        inner.interests.insert(fd, Interest { of, events, data, seen, is_listed, is_spent });
        // What is ready already is told, with edges, too.
        inner.list(fd);
        Ok(())
    }

    /// EPOLL_CTL_MOD.
    pub(crate) fn change(&self, fd: c_int, event: epoll_event) -> Result<(), Errno> {
        let mut inner = self.inner();
        let interest = inner.interests.get_mut(&fd).ok_or(Errno::ENOENT)?;
        if (event.events | interest.events) & EXCLUSIVE != 0 {
            return Err(Errno::EINVAL);
        }
        (interest.events, interest.data) = (event.events, event.u64);
        interest.is_spent = false;
        inner.list(fd);
        Ok(())
    }

    /// EPOLL_CTL_DEL, and the close of a socket.
    pub(crate) fn remove(&'static self, fd: c_int) -> Result<(), Errno> {
        let interest = self.inner().interests.remove(&fd).ok_or(Errno::ENOENT)?;
        self.part(fd, interest.of);
        Ok(())
    }

    /// The socket was closed: it leaves the set, if it is still in it.
    pub(super) fn drop_interest(&self, fd: c_int, id: Id) {
        let is_it = |one: &Interest| matches!(one.of, Member::Socket(of) if of == id);
        let mut inner = self.inner();
        if inner.interests.get(&fd).is_some_and(is_it) {
            inner.interests.remove(&fd);
        }
    }

    /// From now on the kernel tells of a socket.
    pub(super) fn hand_over(&self, fd: c_int) {
        let Some(interest) = self.inner().interests.remove(&fd) else { return };
        let mut event = epoll_event { events: interest.events, u64: interest.data };
        if interest.is_spent {
            event.events &= ONESHOT | EDGE;
        }
        let kernel = self.kernel.load(Ordering::Acquire);
        // SAFETY: the event is only read.
        let _closed = unsafe { real::epoll_ctl(kernel, libc::EPOLL_CTL_ADD, fd, &mut event) };
    }

    /// Something has changed at a socket of the set.
    pub(super) fn list_change(&self, stack: &dyn Sockets, fd: c_int) {
        {
            let mut inner = self.inner();
            let Some(interest) = inner.interests.get_mut(&fd) else { return };
            let Member::Socket(id) = interest.of else { return };
            let before = std::mem::replace(&mut interest.seen, stack.changes(id));
            if !interest.is_edge(before) {
                return;
            }
            inner.list(fd);
        }
        self.list_above();
    }

    /// Sets that it is in look at it.
    fn list_above(&self) {
        let above = lock(&self.above).clone();
        for (set, fd) in above {
            set.inner().list(fd);
            set.list_above();
        }
    }

    /// Takes the kernel's word that something is ready in a set of the set out of its events.
    pub(super) fn hear_kernel(&self, events: &mut [epoll_event], came: usize) -> usize {
        let mut inner = self.inner();
        let mut kept = 0;
        for at in 0..came {
            match inner.set_marked(events[at].u64) {
                Some(fd) => inner.list(fd),
                None => {
                    events[kept] = events[at];
                    kept += 1;
                }
            }
        }
        kept
    }

    /// Writes events of those that are ready; how many. Whoever was told goes to the end.
    pub(super) fn ready(&self, stack: &dyn Sockets, out: &mut [epoll_event]) -> usize {
        let mut inner = self.inner();
        let Inner { interests, listed } = &mut *inner;
        let mut told = 0;
        for _ in 0..listed.len() {
            if told == out.len() {
                break;
            }
            let Some(fd) = listed.pop_front() else { break };
            let Some(interest) = interests.get_mut(&fd) else { continue };
            interest.is_listed = false;
            let events = interest.ready(stack);
            if events == 0 || interest.is_spent {
                continue;
            }
            out[told] = epoll_event { events, u64: interest.data };
            told += 1;
            // Nothing is told until it is changed.
            interest.is_spent = interest.events & ONESHOT != 0;
            if !interest.is_spent && interest.events & EDGE == 0 {
                interest.is_listed = true;
                listed.push_back(fd);
            }
        }
        told
    }

    /// Another thread that waits is woken if there is something for it.
    pub(super) fn pass_on(&self, stack: &dyn Sockets) {
        if self.sleepers.load(Ordering::SeqCst) > 0 && self.is_ready(stack) {
            let one = 1_u64.to_ne_bytes();
            use std::os::fd::AsRawFd;
            // SAFETY: there are as many bytes. Full means that it is rung already.
            unsafe { real::write(stack.bell().as_raw_fd(), one.as_ptr().cast(), one.len()) };
        }
    }

    /// Is anything of the stack ready? Nobody is told of it.
    pub(crate) fn is_ready(&self, stack: &dyn Sockets) -> bool {
        let inner = self.inner();
        inner
            .listed
            .iter()
            .filter_map(|fd| inner.interests.get(fd))
            .any(|interest| !interest.is_spent && interest.ready(stack) != 0)
    }

    /// Is anything of the kernel ready?
    fn is_kernel_ready(&self) -> bool {
        let fd = self.kernel.load(Ordering::Acquire);
        let mut asked = libc::pollfd { fd, events: libc::POLLIN, revents: 0 };
        // SAFETY: there is one.
        fd >= 0 && unsafe { real::poll(&mut asked, 1, 0) } > 0
    }

    /// Nobody changes it while the guard lives.
    pub(super) fn inner(&self) -> MutexGuard<'_, Inner> {
        lock(&self.inner)
    }
}

impl Interest {
    /// What is ready of what the program wants to know.
    fn ready(&self, stack: &dyn Sockets) -> u32 {
        let seen = match self.of {
            Member::Socket(id) => stack.ready(id).0,
            Member::Set(set) if set.is_ready(stack) || set.is_kernel_ready() => {
                Ready::IN.0 | Ready::RDNORM.0
            }
            Member::Set(_) => 0,
        };
        seen & (self.events | ALWAYS)
    }

    /// Is a change since then one that the program wants to know of?
    fn is_edge(&self, before: Changes) -> bool {
        let only_in = self.events & OUTWARD == 0;
        let only_out = self.events & INWARD == 0;
        self.events & EDGE == 0
            || self.seen.inward != before.inward && (!only_out || only_in)
            || self.seen.outward != before.outward && (!only_in || only_out)
    }
}

impl Inner {
    fn list(&mut self, fd: c_int) {
        let Some(interest) = self.interests.get_mut(&fd) else { return };
        if !std::mem::replace(&mut interest.is_listed, true) {
            self.listed.push_back(fd);
        }
    }

    /// The descriptor of the set that an event of the kernel's is about.
    fn set_marked(&self, mark: u64) -> Option<c_int> {
        let is_it = |of: &Member| matches!(of, Member::Set(set) if super::mark(set) == mark);
        self.interests.iter().find(|(_, one)| is_it(&one.of)).map(|(fd, _)| *fd)
    }
}

fn close_internal(fd: c_int) {
    table::take(fd);
    // SAFETY: it is this library's, and nobody uses it any more.
    unsafe { real::close(fd) };
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Told whether or not it was asked for.
const ALWAYS: u32 = Ready::ERR.0 | Ready::HUP.0;
/// Events of either direction.
const INWARD: u32 = Ready::IN.0 | Ready::PRI.0 | Ready::RDHUP.0 | Ready::RDNORM.0 | Ready::RDBAND.0;
const OUTWARD: u32 = Ready::OUT.0 | Ready::WRNORM.0 | Ready::WRBAND.0;
const ONESHOT: u32 = libc::EPOLLONESHOT as u32;
const EDGE: u32 = libc::EPOLLET as u32;
const EXCLUSIVE: u32 = libc::EPOLLEXCLUSIVE as u32;
/// The kernel is asked so seldom while there is something at the stack.
const KERNELS_TURN: u32 = 4;
