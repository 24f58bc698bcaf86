//! The last decisions of `ip`: the next packet of a flow goes the way of the one before.
//!
//! What is kept is worth something only while addresses, routes and interfaces are as they were:
//! they have a generation, and with another one everything is forgotten.

use core::net::IpAddr;

/// Decisions by what they were made of; one per place, the last one stays.
#[derive(Debug)]
pub(super) struct Recent<K, V> {
    generation: u32,
    entries: [Option<(K, V)>; PLACES],
}

impl<K: Copy + PartialEq, V: Copy> Recent<K, V> {
    pub(super) const fn new() -> Self {
        Self { generation: 0, entries: [None; PLACES] }
    }

    /// What was decided in this generation for the same key.
    #[inline]
    pub(super) fn find(&self, generation: u32, place: usize, key: &K) -> Option<V> {
        match &self.entries[place % PLACES] {
            Some((kept, value)) if self.generation == generation && kept == key => Some(*value),
            _ => None,
        }
    }

    /// Keeps a decision of this generation.
    pub(super) fn keep(&mut self, generation: u32, place: usize, key: K, value: V) {
        if self.generation != generation {
            *self = Self { generation, ..Self::new() };
        }
        self.entries[place % PLACES] = Some((key, value));
    }
}

/// The place for packets between two addresses. Who wants to fill one only makes us decide anew.
#[inline]
pub(super) fn place(a: IpAddr, b: IpAddr) -> usize {
    let fold = |address| match address {
        IpAddr::V4(v4) => v4.to_bits(),
        IpAddr::V6(v6) => (v6.to_bits() ^ v6.to_bits() >> 64) as u32,
    };
    (fold(a).wrapping_mul(3) ^ fold(b)) as usize
}

/// A host talks to few others at the same moment.
const PLACES: usize = 16;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_decision_is_found_by_its_key() {
        let mut recent = Recent::new();
        recent.keep(0, 5, "key", 1);
        assert_eq!(recent.find(0, 5, &"key"), Some(1));
        assert_eq!(recent.find(0, 5, &"other"), None);
    }

    #[test]
    fn another_generation_forgets_all_decisions() {
        let mut recent = Recent::new();
        recent.keep(0, 5, "key", 1);
        assert_eq!(recent.find(1, 5, &"key"), None);
        recent.keep(1, 6, "new", 2);
        assert_eq!(recent.find(1, 5, &"key"), None, "of the generation before");
        assert_eq!(recent.find(1, 6, &"new"), Some(2));
    }

    #[test]
    fn the_last_decision_of_a_place_stays() {
        let mut recent = Recent::new();
        recent.keep(0, 1, "a", 1);
        recent.keep(0, 1 + PLACES, "b", 2);
        assert_eq!((recent.find(0, 1, &"a"), recent.find(0, 1, &"b")), (None, Some(2)));
    }
}
