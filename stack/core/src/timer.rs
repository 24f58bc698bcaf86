//! A hierarchical timer wheel: 6 levels of 64 slots, one entry per (owner, token).

use alloc::vec::Vec;
use hashbrown::HashMap;

/// Deadlines of owners, in nanoseconds, with a resolution of 2^16 ns (65 us, rounded up).
///
/// Setting and expiring are constant time. Moving a deadline later does not touch the wheel: the
/// entry is put back when its old slot comes up. Moving it earlier, or cancelling, leaves the old
/// entry behind as a stale one that the slot's turn discards; when most are stale or free, all
/// memory beyond what the timers need is given back.
pub(crate) struct Timers {
    slots: Vec<u32>,
    /// Per level, a bit per slot that has entries.
    occupied: [u64; LEVELS],
    entries: Vec<Entry>,
    free: u32,
    index: HashMap<(u32, u64), Armed, Keyed>,
    /// The tokens set by each owner that ever set one, in no order: an owner that leaves costs what
    /// it has set, not what all have.
    owners: HashMap<u32, Vec<u64>, Keyed>,
    /// The tick up to which everything has expired.
    tick: u64,
    /// The first tick after that one at which a slot with entries begins; until then a turn has
    /// nothing to look for.
    soonest: u64,
}

/// Where a timer stands.
#[derive(Clone, Copy)]
struct Armed {
    deadline_ns: u64,
    entry: u32,
    /// Its place among the tokens of its owner.
    place: u32,
}

/// A place on a slot's list. 24 bytes.
struct Entry {
    token: u64,
    /// Tick whose slot holds it; valid while the index names this entry.
    tick: u64,
    owner: u32,
    next: u32,
}

const _: () = assert!(size_of::<Entry>() == 24);

const TICK_SHIFT: u32 = 16;
const LEVELS: usize = 6;
const SLOT_BITS: u32 = 6;
const SLOTS: u64 = 1 << SLOT_BITS;
const NONE: u32 = u32::MAX;
/// The furthest deadline that the wheel holds: 52 days. Further ones are put back there.
const HORIZON: u64 = (1 << (SLOT_BITS * LEVELS as u32)) - 1;

/// Entries that stay however few timers are set: 24 KiB.
const ENTRIES_KEPT: usize = 1024;

type Keyed = core::hash::BuildHasherDefault<Fx>;

/// Owners and tokens are chosen by the stack, not by peers, so the hash needs no key.
#[derive(Default)]
struct Fx(u64);

impl core::hash::Hasher for Fx {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        for &byte in bytes {
            self.write_u64(u64::from(byte));
        }
    }

    fn write_u32(&mut self, value: u32) {
        self.write_u64(u64::from(value));
    }

    fn write_u64(&mut self, value: u64) {
        self.0 = (self.0.rotate_left(5) ^ value).wrapping_mul(0x517c_c1b7_2722_0a95);
        self.0 ^= self.0 >> 32;
    }
}

impl Timers {
    pub(crate) fn new(now_ns: u64) -> Self {
        Self {
            slots: alloc::vec![NONE; LEVELS * SLOTS as usize],
            occupied: [0; LEVELS],
            entries: Vec::new(),
            free: NONE,
            index: HashMap::default(),
            owners: HashMap::default(),
            tick: now_ns >> TICK_SHIFT,
            soonest: u64::MAX,
        }
    }

    /// Sets or moves the timer `(owner, token)`.
    pub(crate) fn set(&mut self, owner: u32, token: u64, deadline_ns: u64) {
        if let Some(armed) = self.index.get_mut(&(owner, token)) {
            let entry_tick = self.entries[armed.entry as usize].tick;
            armed.deadline_ns = deadline_ns;
            if tick_of(deadline_ns) < entry_tick {
                let entry = self.place(owner, token, deadline_ns);
                if let Some(armed) = self.index.get_mut(&(owner, token)) {
                    armed.entry = entry;
                }
            }
            return;
        }
        let entry = self.place(owner, token, deadline_ns);
        let tokens = self.owners.entry(owner).or_default();
        let place = tokens.len() as u32;
        tokens.push(token);
        self.index.insert((owner, token), Armed { deadline_ns, entry, place });
    }

    /// Cancels the timer; true when it was set.
    pub(crate) fn cancel(&mut self, owner: u32, token: u64) -> bool {
        let Some(armed) = self.index.remove(&(owner, token)) else { return false };
        if let Some(tokens) = self.owners.get_mut(&owner) {
            tokens.swap_remove(armed.place as usize);
            if let Some(&moved) = tokens.get(armed.place as usize)
                && let Some(other) = self.index.get_mut(&(owner, moved))
            {
                other.place = armed.place;
            }
        }
        true
    }

    /// The owner has a timer set.
    pub(crate) fn has(&self, owner: u32) -> bool {
        self.owners.get(&owner).is_some_and(|tokens| !tokens.is_empty())
    }

    /// Cancels all timers of an owner that is gone.
    pub(crate) fn cancel_all(&mut self, owner: u32) {
        for token in self.owners.remove(&owner).unwrap_or_default() {
            self.index.remove(&(owner, token));
        }
    }

    /// Takes the timers of an owner: tokens and deadlines.
    pub(crate) fn take_all(&mut self, owner: u32) -> Vec<(u64, u64)> {
        let taken: Vec<_> = (self.index.iter())
            .filter(|((o, _), _)| *o == owner)
            .map(|(&(_, token), armed)| (token, armed.deadline_ns))
            .collect();
        for (token, _) in &taken {
            self.cancel(owner, *token);
        }
        taken
    }

    /// Sets timers that were taken.
    pub(crate) fn give_all(&mut self, owner: u32, timers: Vec<(u64, u64)>) {
        for (token, deadline_ns) in timers {
            self.set(owner, token, deadline_ns);
        }
    }

    /// The next timer that has expired at `now_ns`.
    pub(crate) fn expire(&mut self, now_ns: u64) -> Option<(u32, u64)> {
        let until = now_ns >> TICK_SHIFT;
        loop {
            let slot = (self.tick & (SLOTS - 1)) as usize;
            while self.slots[slot] != NONE {
                let at = self.slots[slot];
                self.slots[slot] = self.entries[at as usize].next;
                if self.slots[slot] == NONE {
                    self.occupied[0] &= !(1 << slot);
                }
                if let Some(due) = self.due(at, now_ns) {
                    return Some(due);
                }
            }
            if self.tick >= until {
                return None;
            }
            self.advance(until);
        }
    }

    /// A time in nanoseconds by which [`Timers::expire`] should be called again, never later than
    /// the earliest deadline (rounded up to a tick); `None` without timers.
    pub(crate) fn next(&self) -> Option<u64> {
        if self.index.is_empty() {
            return None;
        }
        let here = self.occupied[0] >> (self.tick & (SLOTS - 1)) & 1 != 0;
        Some(if here { self.tick } else { self.soonest } << TICK_SHIFT)
    }

    /// Number of timers set.
    #[cfg(test)]
    pub(crate) fn len(&self) -> usize {
        self.index.len()
    }

    /// Decides about an entry whose slot has come up.
    fn due(&mut self, at: u32, now_ns: u64) -> Option<(u32, u64)> {
        let entry = &self.entries[at as usize];
        let key = (entry.owner, entry.token);
        self.entries[at as usize].next = self.free;
        self.free = at;
        let Some(armed) = self.index.get(&key).copied() else {
            self.shrink();
            return None;
        };
        if armed.entry != at {
            return None;
        }
        if armed.deadline_ns <= now_ns {
            self.cancel(key.0, key.1);
            self.shrink();
            return Some(key);
        }
        let entry = self.place(key.0, key.1, armed.deadline_ns);
        self.index.insert(key, Armed { entry, ..armed });
        None
    }

    /// Goes to the next tick that has entries, at most to `until`, and spreads the slots of upper
    /// levels that begin there.
    fn advance(&mut self, until: u64) {
        if until < self.soonest {
            self.tick = until;
            return;
        }
        if self.index.is_empty() {
            self.shrink();
            self.clear();
            self.tick = until;
            return;
        }
        self.tick = self.soonest;
        for level in 1..LEVELS {
            let shift = SLOT_BITS * level as u32;
            if self.tick & ((1 << shift) - 1) != 0 {
                break;
            }
            let within = (self.tick >> shift) & (SLOTS - 1);
            let slot = level * SLOTS as usize + within as usize;
            self.occupied[level] &= !(1 << within);
            let mut at = core::mem::replace(&mut self.slots[slot], NONE);
            while at != NONE {
                let next = self.entries[at as usize].next;
                self.link(at);
                at = next;
            }
        }
        self.soonest = self.next_occupied().unwrap_or(u64::MAX);
    }

    /// The first tick after this one at which a slot with entries begins.
    fn next_occupied(&self) -> Option<u64> {
        let of = |level: usize| {
            let shift = SLOT_BITS * level as u32;
            let here = self.tick >> shift;
            // Bit 0 becomes the next slot; the current one, a whole round ahead, bit 63.
            let ahead = self.occupied[level].rotate_right((here & (SLOTS - 1)) as u32 + 1);
            (ahead != 0).then(|| (here + 1 + u64::from(ahead.trailing_zeros())) << shift)
        };
        (0..LEVELS).filter_map(of).min()
    }

    fn clear(&mut self) {
        self.slots.fill(NONE);
        self.occupied = [0; LEVELS];
        self.entries.clear();
        self.free = NONE;
        self.soonest = u64::MAX;
    }

    /// Gives memory back when the wheel has room for far more than is set: it was busier once. What
    /// it costs was paid by the timers that have gone since.
    fn shrink(&mut self) {
        let set = self.index.len();
        if self.entries.capacity() < ENTRIES_KEPT || set >= self.entries.capacity() / 4 {
            return;
        }
        self.clear();
        self.entries = Vec::with_capacity(2 * set);
        self.index.shrink_to(2 * set);
        for tokens in self.owners.values_mut() {
            tokens.shrink_to(2 * tokens.len());
        }
        let all: Vec<_> = self.index.iter().map(|(key, armed)| (*key, armed.deadline_ns)).collect();
        for ((owner, token), deadline_ns) in all {
            // What is due in this very tick stays there.
            let entry = self.place_from(self.tick, owner, token, deadline_ns);
            if let Some(armed) = self.index.get_mut(&(owner, token)) {
                armed.entry = entry;
            }
        }
    }

    fn place(&mut self, owner: u32, token: u64, deadline_ns: u64) -> u32 {
        self.place_from(self.tick + 1, owner, token, deadline_ns)
    }

    /// Puts an entry into the slot of its deadline, at or after a tick.
    fn place_from(&mut self, first: u64, owner: u32, token: u64, deadline_ns: u64) -> u32 {
        let tick = tick_of(deadline_ns).clamp(first, self.tick + HORIZON);
        let entry = Entry { token, tick, owner, next: NONE };
        let at = if self.free == NONE {
            self.entries.push(entry);
            self.entries.len() as u32 - 1
        } else {
            let at = self.free;
            self.free = self.entries[at as usize].next;
            self.entries[at as usize] = entry;
            at
        };
        self.link(at);
        at
    }

    /// Puts an entry on the list of the slot of its tick.
    fn link(&mut self, at: u32) {
        let tick = self.entries[at as usize].tick;
        let delta = tick.saturating_sub(self.tick);
        let level = (0..LEVELS - 1)
            .find(|&level| delta < 1 << (SLOT_BITS * (level as u32 + 1)))
            .unwrap_or(LEVELS - 1);
        let begins = tick >> (SLOT_BITS * level as u32);
        if delta > 0 {
            self.soonest = self.soonest.min(begins << (SLOT_BITS * level as u32));
        }
        let within = begins & (SLOTS - 1);
        let slot = level * SLOTS as usize + within as usize;
        self.entries[at as usize].next = self.slots[slot];
        self.slots[slot] = at;
        self.occupied[level] |= 1 << within;
    }
}

/// Rounded up, so that a timer never fires early.
#[inline]
const fn tick_of(deadline_ns: u64) -> u64 {
    (deadline_ns >> TICK_SHIFT) + 1
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rng::Rng;
    use alloc::collections::BTreeMap;

    #[test]
    fn what_a_busy_time_took_is_given_back_and_no_timer_is_lost() {
        let mut wheel = Timers::new(0);
        let count = 10 * ENTRIES_KEPT as u64;
        let ms = |n: u64| n * 1_000_000;
        for token in 0..count {
            // Each time earlier: what was set before stays behind.
            (0..4).for_each(|n| wheel.set(1, token, ms(1000 - n)));
        }
        for token in 0..100 {
            wheel.set(2, token, ms(5000 + token));
        }
        let mut fired = 0;
        while wheel.expire(ms(2000)).is_some() {
            fired += 1;
        }
        assert_eq!((fired, wheel.len()), (count, 100));
        assert!(wheel.entries.capacity() <= ENTRIES_KEPT);
        assert!(wheel.index.capacity() <= ENTRIES_KEPT);
        assert!(wheel.owners.values().all(|tokens| tokens.capacity() <= ENTRIES_KEPT));
        let late: Vec<_> = core::iter::from_fn(|| wheel.expire(ms(6000))).collect();
        assert_eq!(late.len(), 100);
    }

    #[test]
    fn a_timer_that_is_set_again_to_the_same_time_stays_where_it_is() {
        let mut wheel = Timers::new(0);
        (0..100).for_each(|_| wheel.set(1, 2, 5_000_000));
        assert_eq!(wheel.entries.len(), 1);
    }

    #[test]
    fn agrees_with_an_ordered_map_over_random_operations() {
        for seed in 0..200 {
            let mut rng = Rng::new(seed);
            let mut wheel = Timers::new(0);
            let mut model: BTreeMap<(u32, u64), u64> = BTreeMap::new();
            let mut now = 0;
            for _ in 0..300 {
                match rng.below(4) {
                    0 | 1 => {
                        let span = 1_u64 << (10 + rng.below(34));
                        let (key, at) =
                            ((rng.below(3) as u32, rng.below(5)), now + rng.below(span));
                        wheel.set(key.0, key.1, at);
                        model.insert(key, at);
                    }
                    2 => {
                        let key = (rng.below(3) as u32, rng.below(5));
                        assert_eq!(wheel.cancel(key.0, key.1), model.remove(&key).is_some());
                    }
                    _ => {
                        let span = 1 << (8 + rng.below(32));
                        now += rng.below(span);
                        while let Some(key) = wheel.expire(now) {
                            let at = model.remove(&key).expect("set");
                            assert!(at <= now, "seed {seed}: early");
                        }
                        // Late by at most one tick.
                        let late = model.values().all(|&at| at + (1 << TICK_SHIFT) >= now);
                        assert!(late, "seed {seed}: a timer was missed");
                    }
                }
                assert_eq!(wheel.len(), model.len());
                if let Some(next) = wheel.next() {
                    let earliest = *model.values().min().expect("one");
                    assert!(next <= earliest.max(now) + (2 << TICK_SHIFT), "seed {seed}");
                }
            }
        }
    }
}
