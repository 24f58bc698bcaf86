//! `Ports`: the users of each port, counted by address and kind: 100,000 connections that came to
//! one listener are one entry.

use super::any_like;
use super::index::NONE;
use crate::hash::Keyed;
use crate::room::grow_for;
use alloc::vec::Vec;
use hashbrown::HashMap;

#[derive(Debug)]
pub(super) struct Ports {
    /// The first entry of each port in use.
    first: HashMap<u16, u32, Keyed>,
    entries: Vec<Entry>,
    /// The first free entry.
    free: u32,
}

/// How a socket uses its port.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(Rust, packed(4))]
pub(super) struct Use {
    pub(super) local: [u64; 2],
    /// SO_REUSEADDR.
    pub(super) reuse: bool,
    /// The port was chosen for a connection.
    pub(super) auto: bool,
    pub(super) listening: bool,
}

#[derive(Clone, Copy, Debug)]
struct Entry {
    usage: Use,
    /// Sockets that use the port this way, at least 1.
    count: u32,
    /// The next entry of the port, or the next free one.
    next: u32,
}

impl Ports {
    /// No port is in use.
    pub(super) fn new(key: u64) -> Self {
        Self { first: HashMap::with_hasher(Keyed::new(key)), entries: Vec::new(), free: NONE }
    }

    /// May a socket not be bound to the port at this address?
    pub(super) fn conflicts(&self, port: u16, local: [u64; 2], reuse: bool) -> bool {
        let shared = |usage: &Use| reuse && usage.reuse && !usage.listening;
        self.users(port).any(|usage| overlap(usage.local, local) && !shared(usage))
    }

    /// Has somebody bound the port by its number at this address?
    pub(super) fn has_bound(&self, port: u16, local: [u64; 2]) -> bool {
        self.users(port).any(|usage| overlap(usage.local, local) && !usage.auto)
    }

    /// One more uses the port.
    pub(super) fn add(&mut self, port: u16, usage: Use) {
        if let Some((at, _)) = self.find(port, usage) {
            self.entries[at as usize].count += 1;
            return;
        }
        let next = self.first.get(&port).copied().unwrap_or(NONE);
        let entry = Entry { usage, count: 1, next };
        let at = self.free;
        let at = if at == NONE {
            let len = self.entries.len() + 1;
            grow_for(&mut self.entries, len);
            self.entries.push(entry);
            self.entries.len() as u32 - 1
        } else {
            self.free = core::mem::replace(&mut self.entries[at as usize], entry).next;
            at
        };
        self.first.insert(port, at);
    }

    /// One less uses the port.
    pub(super) fn remove(&mut self, port: u16, usage: Use) {
        let Some((at, before)) = self.find(port, usage) else { return };
        let entry = &mut self.entries[at as usize];
        entry.count -= 1;
        if entry.count > 0 {
            return;
        }
        let next = core::mem::replace(&mut entry.next, self.free);
        self.free = at;
        if let Some(before) = before {
            self.entries[before as usize].next = next;
        } else if next == NONE {
            self.first.remove(&port);
        } else {
            self.first.insert(port, next);
        }
    }

    /// The entry of a use and the one before it.
    fn find(&self, port: u16, usage: Use) -> Option<(u32, Option<u32>)> {
        let mut before = None;
        let mut at = *self.first.get(&port)?;
        while self.entries.get(at as usize)?.usage != usage {
            before = Some(at);
            at = self.entries[at as usize].next;
        }
        Some((at, before))
    }

    fn users(&self, port: u16) -> impl Iterator<Item = &Use> {
        let mut at = self.first.get(&port).copied().unwrap_or(NONE);
        core::iter::from_fn(move || {
            let entry = self.entries.get(at as usize)?;
            at = entry.next;
            Some(&entry.usage)
        })
    }
}

/// Two addresses of one family overlap when they are the same or one is the unspecified one.
fn overlap(a: [u64; 2], b: [u64; 2]) -> bool {
    let any = any_like(a);
    any == any_like(b) && (a == b || a == any || b == any)
}
