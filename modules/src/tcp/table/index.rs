//! `Index`: a hash table of slot numbers, chained through the slots, that grows by one bucket for
//! each entry added beyond one a bucket (linear hashing; Litwin, 1980).

use super::Slot;
use crate::room::grow_for;
use alloc::vec::Vec;

#[derive(Debug, Default)]
pub(super) struct Index {
    /// The first slot of each bucket.
    heads: Vec<u32>,
    len: usize,
}

impl Index {
    /// The slot with this hash that `is` says yes to.
    #[inline]
    pub(super) fn find(
        &self,
        slots: &[Slot],
        hash: u32,
        is: impl Fn(&Slot) -> bool,
    ) -> Option<u32> {
        let mut at = *self.heads.get(self.bucket(hash))?;
        while let Some(slot) = slots.get(at as usize) {
            if slot.hash == hash && is(slot) {
                return Some(at);
            }
            at = slot.next;
        }
        None
    }

    /// Adds a slot, whose hash is set.
    pub(super) fn insert(&mut self, slots: &mut [Slot], number: u32) {
        self.len += 1;
        if self.len > self.heads.len() {
            self.split(slots);
        }
        self.link(slots, number);
    }

    /// Takes a slot out that is in.
    pub(super) fn remove(&mut self, slots: &mut [Slot], number: u32) {
        let bucket = self.bucket(slots[number as usize].hash);
        let behind = slots[number as usize].next;
        let mut at = self.heads[bucket];
        if at == number {
            self.heads[bucket] = behind;
        } else {
            while slots[at as usize].next != number {
                at = slots[at as usize].next;
            }
            slots[at as usize].next = behind;
        }
        self.len -= 1;
    }

    /// The longest chain: what a look-up may cost.
    #[cfg(test)]
    pub(super) fn longest(&self, slots: &[Slot]) -> usize {
        let of = |head: &u32| {
            core::iter::successors(Some(*head), |at| Some(slots.get(*at as usize)?.next)).count()
                - 1
        };
        self.heads.iter().map(of).max().unwrap_or(0)
    }

    fn link(&mut self, slots: &mut [Slot], number: u32) {
        let bucket = self.bucket(slots[number as usize].hash);
        slots[number as usize].next = self.heads[bucket];
        self.heads[bucket] = number;
    }

    /// Adds a bucket, which takes its part of the one it is split from.
    fn split(&mut self, slots: &mut [Slot]) {
        let new = self.heads.len();
        grow_for(&mut self.heads, new + 1);
        self.heads.push(NONE);
        if new == 0 {
            return;
        }
        let from = new - (1 << new.ilog2());
        let mut at = core::mem::replace(&mut self.heads[from], NONE);
        while at != NONE {
            let next = slots[at as usize].next;
            self.link(slots, at);
            at = next;
        }
    }

    #[inline]
    fn bucket(&self, hash: u32) -> usize {
        let mask = self.heads.len().next_power_of_two() - 1;
        let bucket = hash as usize & mask;
        if bucket < self.heads.len() { bucket } else { bucket & (mask >> 1) }
    }
}

/// The end of a chain.
pub(super) const NONE: u32 = u32::MAX;
