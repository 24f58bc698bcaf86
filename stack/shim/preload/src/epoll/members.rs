//! members: which sets a socket of the stack is in, so that who hears of a change tells all of
//! them.

use super::Set;
use crate::socket::Socket;
use libc::c_int;
use millstream_port::{Id, Sockets};
use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

#[derive(Debug)]
struct Members {
    /// Sets, and the descriptor that the socket has there.
    sets: BTreeMap<Id, Vec<(&'static Set, c_int)>>,
    /// Sockets that have changed.
    changed: Vec<Id>,
}

/// Held while changes are told: who finds nothing here afterwards has been told of everything.
static MEMBERS: Mutex<Members> = Mutex::new(Members { sets: BTreeMap::new(), changed: Vec::new() });

/// Tells all sets of what has changed at their sockets. False where the stack keeps no list of it.
pub(crate) fn tell(stack: &dyn Sockets) -> bool {
    let mut members = members();
    let Members { sets, changed } = &mut *members;
    let keeps_list = stack.changed(changed);
    for id in changed.drain(..) {
        for (set, fd) in sets.get(&id).into_iter().flatten() {
            set.list(*fd);
        }
    }
    keeps_list
}

/// A socket comes into a set.
pub(super) fn join(id: Id, set: &'static Set, fd: c_int) {
    let mut members = members();
    let sets = members.sets.entry(id).or_default();
    if !sets.iter().any(|(other, at)| std::ptr::eq(*other, set) && *at == fd) {
        sets.push((set, fd));
    }
}

/// A socket leaves a set.
pub(super) fn leave(id: Id, set: &'static Set, fd: c_int) {
    let mut members = members();
    let Some(sets) = members.sets.get_mut(&id) else { return };
    sets.retain(|(other, at)| !(std::ptr::eq(*other, set) && *at == fd));
    if sets.is_empty() {
        members.sets.remove(&id);
    }
}

/// A socket was closed.
pub(crate) fn closed(socket: &Socket) {
    let left = members().sets.remove(&socket.known());
    for (set, fd) in left.into_iter().flatten() {
        set.drop_interest(fd, socket.known());
    }
}

/// After fork: numbers of sockets are the parent's.
pub(crate) fn forked() {
    members().sets.clear();
}

fn members() -> MutexGuard<'static, Members> {
    MEMBERS.lock().unwrap_or_else(PoisonError::into_inner)
}
