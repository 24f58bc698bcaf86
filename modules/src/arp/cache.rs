//! The table of stations: who has which address, who was asked, and the frames that wait.
//!
//! Two lists, each least recently used first: live entries and unresolved ones. Each has a limit
//! of its own, so that hosts that do not answer can only push out each other.

use super::ArpDrop;
use crate::actions::Actions;
use crate::ether::{Mac, UNSPECIFIED};
use crate::hash::Keyed;
use alloc::vec::Vec;
use core::net::Ipv4Addr;
use hashbrown::HashMap;
use millstream_msg::{Msg, MsgList};

/// What is known of an address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum State {
    /// Asked, no answer yet; frames wait.
    Incomplete,
    /// Did not answer: not asked again until the deadline.
    Failed,
    /// The station is known.
    Live,
    /// The station is known, and asked whether it is still there.
    Probe,
}

impl State {
    const fn list(self) -> usize {
        match self {
            Self::Incomplete | Self::Failed => UNRESOLVED,
            Self::Live | Self::Probe => LIVE,
        }
    }
}

/// What is known of one address. Times are nanoseconds.
#[derive(Debug)]
pub(super) struct Entry {
    pub(super) address: Ipv4Addr,
    pub(super) mac: Mac,
    pub(super) state: State,
    /// Requests sent in this state.
    pub(super) tries: u8,
    /// When the state has to be looked at.
    pub(super) deadline: u64,
    /// Confirmed until then: no probe before.
    pub(super) fresh_until: u64,
    /// Last confirmation: protected from change for a moment.
    pub(super) confirmed: u64,
    /// Last frame sent through the entry.
    pub(super) used: u64,
    pending: MsgList,
    pending_truesize: usize,
    prev: u16,
    next: u16,
}

#[derive(Debug, Clone, Copy)]
struct Lru {
    oldest: u16,
    newest: u16,
    len: usize,
}

#[derive(Debug)]
pub(super) struct Cache {
    slots: Vec<Entry>,
    index: HashMap<Ipv4Addr, u16, Keyed>,
    /// Free slots, linked by `next`.
    free: u16,
    lists: [Lru; 2],
    pending_truesize: usize,
}

impl Cache {
    /// Takes its memory at once: the table does not grow later.
    pub(super) fn new(hash: Keyed) -> Self {
        Self {
            slots: Vec::with_capacity(LIVE_MAX + UNRESOLVED_MAX),
            index: HashMap::with_capacity_and_hasher(LIVE_MAX + UNRESOLVED_MAX, hash),
            free: NONE,
            lists: [Lru { oldest: NONE, newest: NONE, len: 0 }; 2],
            pending_truesize: 0,
        }
    }

    #[inline]
    pub(super) fn find(&self, address: Ipv4Addr) -> Option<u16> {
        self.index.get(&address).copied()
    }

    #[inline]
    pub(super) fn at(&mut self, id: u16) -> &mut Entry {
        &mut self.slots[usize::from(id)]
    }

    /// Slots, free ones included (see [`Cache::in_use`]).
    pub(super) fn slots(&self) -> u16 {
        self.slots.len() as u16
    }

    pub(super) fn in_use(&self, id: u16) -> bool {
        let entry = &self.slots[usize::from(id)];
        self.index.get(&entry.address) == Some(&id)
    }

    /// Live and unresolved entries.
    pub(super) fn counts(&self) -> (usize, usize) {
        (self.lists[LIVE].len, self.lists[UNRESOLVED].len)
    }

    /// Adds an address that is not there. The oldest entry of the same list makes room.
    pub(super) fn insert(
        &mut self,
        address: Ipv4Addr,
        state: State,
        out: &mut Actions<ArpDrop>,
    ) -> u16 {
        self.make_room(state.list(), out);
        let id = self.free_slot();
        let entry = self.at(id);
        *entry = Entry { address, state, ..Entry::EMPTY };
        self.index.insert(address, id);
        self.link(state.list(), id);
        id
    }

    /// Changes the state; an entry that becomes live may push out the oldest live one.
    pub(super) fn set_state(&mut self, id: u16, state: State, out: &mut Actions<ArpDrop>) {
        let from = self.at(id).state.list();
        self.at(id).tries = 0;
        if from != state.list() {
            self.unlink(from, id);
            self.make_room(state.list(), out);
            self.link(state.list(), id);
        }
        self.at(id).state = state;
    }

    /// Marks the entry as the most recently used of its list.
    #[inline]
    pub(super) fn touch(&mut self, id: u16, now: u64) {
        let entry = self.at(id);
        entry.used = now;
        let list = entry.state.list();
        if self.lists[list].newest != id {
            self.unlink(list, id);
            self.link(list, id);
        }
    }

    pub(super) fn remove(&mut self, id: u16, reason: ArpDrop, out: &mut Actions<ArpDrop>) {
        let pending = self.take_pending(id);
        out.discard_all(pending, reason);
        let entry = self.at(id);
        let (address, list) = (entry.address, entry.state.list());
        self.unlink(list, id);
        self.index.remove(&address);
        let free = self.free;
        self.at(id).next = free;
        self.free = id;
    }

    /// Lets a frame wait for the entry's station. The oldest frames that wait for the same
    /// station make room.
    pub(super) fn hold(&mut self, id: u16, frame: Msg, out: &mut Actions<ArpDrop>) {
        let size = frame.truesize();
        self.pending_truesize += size;
        let total = &mut self.pending_truesize;
        let entry = &mut self.slots[usize::from(id)];
        entry.pending.push(frame);
        entry.pending_truesize += size;
        while entry.pending.len() > PENDING_MESSAGES_MAX
            || entry.pending_truesize > PENDING_TRUESIZE_MAX
            || *total > PENDING_TOTAL_TRUESIZE_MAX
        {
            let Some(oldest) = entry.pending.pop() else { return };
            let size = oldest.truesize();
            entry.pending_truesize -= size;
            *total -= size;
            out.discard(oldest, ArpDrop::QueueFull);
        }
    }

    /// The frames that wait for the entry.
    pub(super) fn take_pending(&mut self, id: u16) -> MsgList {
        let entry = &mut self.slots[usize::from(id)];
        self.pending_truesize -= core::mem::take(&mut entry.pending_truesize);
        core::mem::take(&mut entry.pending)
    }

    fn make_room(&mut self, list: usize, out: &mut Actions<ArpDrop>) {
        if self.lists[list].len >= LIMITS[list] {
            self.remove(self.lists[list].oldest, ArpDrop::Evicted, out);
        }
    }

    fn free_slot(&mut self) -> u16 {
        if self.free == NONE {
            self.slots.push(Entry::EMPTY);
            return self.slots.len() as u16 - 1;
        }
        let id = self.free;
        self.free = self.at(id).next;
        id
    }

    fn link(&mut self, list: usize, id: u16) {
        let newest = self.lists[list].newest;
        let entry = self.at(id);
        entry.prev = newest;
        entry.next = NONE;
        match newest {
            NONE => self.lists[list].oldest = id,
            _ => self.at(newest).next = id,
        }
        self.lists[list].newest = id;
        self.lists[list].len += 1;
    }

    fn unlink(&mut self, list: usize, id: u16) {
        let (prev, next) = (self.at(id).prev, self.at(id).next);
        match prev {
            NONE => self.lists[list].oldest = next,
            _ => self.at(prev).next = next,
        }
        match next {
            NONE => self.lists[list].newest = prev,
            _ => self.at(next).prev = prev,
        }
        self.lists[list].len -= 1;
    }
}

impl Entry {
    const EMPTY: Self = Self {
        address: Ipv4Addr::UNSPECIFIED,
        mac: UNSPECIFIED,
        state: State::Failed,
        tries: 0,
        deadline: 0,
        fresh_until: 0,
        confirmed: 0,
        used: 0,
        pending: MsgList::new(),
        pending_truesize: 0,
        prev: NONE,
        next: NONE,
    };
}

/// Stations known at once: a full /22 link.
pub const LIVE_MAX: usize = 1024;
/// Addresses asked for at once, or known not to answer: a scan of a /24.
pub const UNRESOLVED_MAX: usize = 256;
/// Frames that wait for one station: a window of a connection that starts.
pub const PENDING_MESSAGES_MAX: usize = 16;
/// Bytes (truesize) that wait for one station: two super-frames of 64 KiB with their cells.
pub const PENDING_TRUESIZE_MAX: usize = 256 * 1024;
/// Bytes (truesize) that wait for all stations of an interface.
pub const PENDING_TOTAL_TRUESIZE_MAX: usize = 2 * 1024 * 1024;

const NONE: u16 = u16::MAX;
const LIVE: usize = 0;
const UNRESOLVED: usize = 1;
const LIMITS: [usize; 2] = [LIVE_MAX, UNRESOLVED_MAX];
const _: () = assert!(LIVE_MAX + UNRESOLVED_MAX < NONE as usize);

#[cfg(test)]
mod tests {
    use super::*;
    use millstream_msg::{Pool, PoolConfig};

    fn host(n: u32) -> Ipv4Addr {
        Ipv4Addr::from(0x0a00_0000 + n)
    }

    #[test]
    fn unresolved_entries_push_out_each_other_and_no_live_one() {
        let mut cache = Cache::new(Keyed::new(1));
        let mut out = Actions::new();
        for n in 0..LIVE_MAX as u32 {
            cache.insert(host(n), State::Live, &mut out);
        }
        for n in 0..10_000 {
            cache.insert(host(100_000 + n), State::Incomplete, &mut out);
        }
        assert_eq!(cache.counts(), (LIVE_MAX, UNRESOLVED_MAX));
        assert!((0..LIVE_MAX as u32).all(|n| cache.find(host(n)).is_some()));
        assert!(cache.find(host(100_000)).is_none());
    }

    #[test]
    fn least_recently_used_live_entry_goes_first() {
        let mut cache = Cache::new(Keyed::new(1));
        let mut out = Actions::new();
        for n in 0..LIVE_MAX as u32 {
            cache.insert(host(n), State::Live, &mut out);
        }
        let first = cache.find(host(0)).unwrap();
        cache.touch(first, 5);
        cache.insert(host(5000), State::Live, &mut out);
        assert!(cache.find(host(0)).is_some());
        assert!(cache.find(host(1)).is_none());
    }

    #[test]
    fn waiting_frames_are_bounded_and_the_oldest_go() {
        let mut pool = Pool::new(PoolConfig::TINY);
        let mut cache = Cache::new(Keyed::new(1));
        let mut out = Actions::new();
        let id = cache.insert(host(1), State::Incomplete, &mut out);
        for n in 0..40 {
            let frame = pool.copy_from(0, &[n]).unwrap();
            cache.hold(id, frame, &mut out);
        }
        assert_eq!(out.dropped.len(), 40 - PENDING_MESSAGES_MAX);
        assert_eq!(out.dropped[0].0.first(), &[0]);
        assert_eq!(out.dropped[0].1, ArpDrop::QueueFull);
        cache.remove(id, ArpDrop::Evicted, &mut out);
        assert_eq!(out.dropped.len(), 40);
        assert_eq!(cache.pending_truesize, 0);
        assert!(!cache.in_use(id));
    }
}
