//! set: what a program wants to know of sockets of the stack, in one of its epoll sets.

use super::members;
use crate::{table, wait};
use libc::{c_int, epoll_event};
use millstream_port::{Errno, Id, Ready, Sockets};
use std::collections::{BTreeMap, VecDeque};
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use table::File;

/// The stack's side of an epoll set.
#[derive(Debug)]
pub(crate) struct Set {
    /// Descriptors of this process.
    copies: AtomicU32,
    /// The kernel's set has the bell of this process in it.
    has_bell: AtomicBool,
    /// Waits that found something at the stack.
    turns: AtomicU32,
    inner: Mutex<Inner>,
}

#[derive(Debug, Default)]
struct Inner {
    /// By descriptor.
    interests: BTreeMap<c_int, Interest>,
    /// Those to be looked at, once each.
    listed: VecDeque<c_int>,
}

#[derive(Debug)]
struct Interest {
    id: Id,
    /// The program's.
    events: u32,
    data: u64,
    /// Changes when it was listed last.
    seen: u32,
    is_listed: bool,
    /// EPOLLONESHOT: it was told, and has not been changed since.
    is_spent: bool,
}

/// Sets that were closed.
static CLOSED: Mutex<Vec<&'static File>> = Mutex::new(Vec::new());

/// Makes the stack's side of the set at a descriptor. None when its number is too high.
pub(crate) fn open(fd: c_int) -> Option<&'static Set> {
    let file = closed().pop().unwrap_or_else(|| Box::leak(Box::new(File::Set(Set::new()))));
    let File::Set(set) = file else { return None };
    set.copies.store(1, Ordering::Relaxed);
    set.has_bell.store(true, Ordering::Relaxed);
    table::put(fd, file).then_some(set)
}

/// One descriptor fewer stands for a set.
pub(crate) fn forget(file: &'static File) {
    let File::Set(set) = file else { return };
    if set.copies.fetch_sub(1, Ordering::AcqRel) > 1 {
        return;
    }
    let gone = std::mem::take(&mut *set.inner());
    for (fd, interest) in gone.interests {
        members::leave(interest.id, set, fd);
    }
    closed().push(file);
}

fn closed() -> MutexGuard<'static, Vec<&'static File>> {
    CLOSED.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Set {
    fn new() -> Self {
        Self {
            copies: AtomicU32::new(0),
            has_bell: AtomicBool::new(false),
            turns: AtomicU32::new(0),
            inner: Mutex::new(Inner::default()),
        }
    }

    pub(crate) fn add_copy(&self) {
        self.copies.fetch_add(1, Ordering::Relaxed);
    }

    /// After fork the bell in the kernel's set is the parent's.
    pub(crate) fn inherit(&self) {
        self.has_bell.store(false, Ordering::Relaxed);
    }

    /// Puts the bell of this process into the kernel's set, if it was inherited.
    pub(crate) fn ring_in(&'static self, stack: &dyn Sockets, fd: c_int) -> Result<(), Errno> {
        if self.has_bell.swap(true, Ordering::Relaxed) {
            return Ok(());
        }
        let descriptors: Vec<c_int> = self.inner().interests.keys().copied().collect();
        for member in descriptors {
            let known = table::on_stack(member).map(|socket| socket.id(stack, member));
            match known {
                Some(Ok(id)) => self.renumber(member, id),
                // It was closed here, and is the parent's.
                None | Some(Err(_)) => {
                    self.inner().interests.remove(&member);
                }
            }
            if let Some(socket) = table::on_stack(member) {
                socket.arm(stack);
            }
        }
        wait::ring_in(stack, fd)
    }

    /// A socket has another number in this process: it was inherited.
    fn renumber(&'static self, fd: c_int, id: Id) {
        members::join(id, self, fd);
        let mut inner = self.inner();
        if let Some(interest) = inner.interests.get_mut(&fd) {
            interest.id = id;
            inner.list(fd);
        }
    }

    /// Every few waits the kernel is asked, however much there is at the stack.
    pub(crate) fn is_kernels_turn(&self) -> bool {
        self.turns.fetch_add(1, Ordering::Relaxed).is_multiple_of(KERNELS_TURN)
    }

    /// EPOLL_CTL_ADD.
    pub(crate) fn add(
        &'static self,
        stack: &dyn Sockets,
        fd: c_int,
        id: Id,
        event: epoll_event,
    ) -> Result<(), Errno> {
        // Before it is in the set: what changes from now on is told.
        members::join(id, self, fd);
        let mut inner = self.inner();
        if inner.interests.contains_key(&fd) {
            return Err(Errno::EEXIST);
        }
        let (events, data) = (event.events, event.u64);
        let seen = stack.changes(id);
        let (is_listed, is_spent) = (false, false);
        inner.interests.insert(fd, Interest { id, events, data, seen, is_listed, is_spent });
        // What is ready already is told, with edges, too.
        inner.list(fd);
        Ok(())
    }

    /// EPOLL_CTL_MOD.
    pub(crate) fn change(&self, fd: c_int, event: epoll_event) -> Result<(), Errno> {
        let mut inner = self.inner();
        let interest = inner.interests.get_mut(&fd).ok_or(Errno::ENOENT)?;
        (interest.events, interest.data) = (event.events, event.u64);
        interest.is_spent = false;
        inner.list(fd);
        Ok(())
    }

    /// EPOLL_CTL_DEL, and the close of a socket.
    pub(crate) fn remove(&'static self, fd: c_int) -> Result<(), Errno> {
        let interest = self.inner().interests.remove(&fd).ok_or(Errno::ENOENT)?;
        members::leave(interest.id, self, fd);
        Ok(())
    }

    /// The socket was closed: it leaves the set, if it is still in it.
    pub(super) fn drop_interest(&self, fd: c_int, id: Id) {
        let mut inner = self.inner();
        if inner.interests.get(&fd).is_some_and(|interest| interest.id == id) {
            inner.interests.remove(&fd);
        }
    }

    /// Something has changed at a socket of the set.
    pub(super) fn list(&self, fd: c_int) {
        self.inner().list(fd);
    }

    /// Lists those that have changed.
    pub(crate) fn hear(&self, stack: &dyn Sockets) {
        if !members::tell(stack) {
            self.look(stack);
        }
    }

    /// Lists those that have changed, where the stack keeps no list.
    fn look(&self, stack: &dyn Sockets) {
        let mut inner = self.inner();
        let Inner { interests, listed } = &mut *inner;
        for (&fd, interest) in interests {
            let changes = stack.changes(interest.id);
            if std::mem::replace(&mut interest.seen, changes) != changes
                && !std::mem::replace(&mut interest.is_listed, true)
            {
                listed.push_back(fd);
            }
        }
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
            let events = stack.ready(interest.id).0 & (interest.events | ALWAYS);
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

    /// Is anything ready? Nobody is told of it.
    pub(crate) fn is_ready(&self, stack: &dyn Sockets) -> bool {
        let inner = self.inner();
        inner.listed.iter().filter_map(|fd| inner.interests.get(fd)).any(|interest| {
            !interest.is_spent && stack.ready(interest.id).0 & (interest.events | ALWAYS) != 0
        })
    }

    fn inner(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Inner {
    fn list(&mut self, fd: c_int) {
        let Some(interest) = self.interests.get_mut(&fd) else { return };
        if !std::mem::replace(&mut interest.is_listed, true) {
            self.listed.push_back(fd);
        }
    }
}

/// Told whether or not it was asked for.
const ALWAYS: u32 = Ready::ERR.0 | Ready::HUP.0;
const ONESHOT: u32 = libc::EPOLLONESHOT as u32;
const EDGE: u32 = libc::EPOLLET as u32;
/// The kernel is asked so seldom while there is something at the stack.
const KERNELS_TURN: u32 = 4;
