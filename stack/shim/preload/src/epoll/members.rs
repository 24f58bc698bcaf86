//! members: which sets a socket of the stack is in, so that who hears of a change tells all of
//! them.

use super::Set;
use crate::socket::Socket;
use crate::table;
use libc::c_int;
use millstream_port::{Id, Sockets};
use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

#[derive(Debug)]
pub(super) struct Members {
    /// Sets, and the descriptor that the socket has there.
    sets: BTreeMap<Id, Vec<(&'static Set, c_int)>>,
    /// Sockets that have changed.
    changed: Vec<Id>,
}

/// Held while changes are told: who finds nothing here afterwards has been told of everything.
static MEMBERS: Mutex<Members> = Mutex::new(Members { sets: BTreeMap::new(), changed: Vec::new() });

/// Tells all sets of what has changed at their sockets.
pub(crate) fn tell(stack: &dyn Sockets) {
    let mut moved = Vec::new();
    {
        let mut members = members();
        let Members { sets, changed } = &mut *members;
        stack.changed(changed);
        for id in changed.drain(..) {
            let inside = sets.get(&id).map_or(&[][..], Vec::as_slice);
            inside.iter().for_each(|(set, fd)| set.list_change(stack, *fd));
            if stack.is_exported(id) {
                moved.extend(inside.iter().map(|(_, fd)| *fd));
            }
        }
    }
    moved.into_iter().filter_map(table::served).for_each(Socket::note_exported);
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
    for (set, fd) in take(socket.known()) {
        set.drop_interest(fd, socket.known());
    }
}

/// Octets of a socket are at its descriptors: the kernel tells of them.
pub(crate) fn exported(socket: &Socket) {
    for (set, fd) in take(socket.known()) {
        set.hand_over(fd);
    }
}

fn take(id: Id) -> Vec<(&'static Set, c_int)> {
    members().sets.remove(&id).unwrap_or_default()
}

/// After fork: numbers of sockets are the parent's.
pub(crate) fn forked() {
    members().sets.clear();
}

/// Nobody tells or changes anything while it lives.
pub(super) fn members() -> MutexGuard<'static, Members> {
    MEMBERS.lock().unwrap_or_else(PoisonError::into_inner)
}
