//! `Keyed`: the hash of the tables that peers' addresses go into. Its key is random, so that a
//! peer cannot choose addresses that meet in one bucket.

use core::hash::{BuildHasher, Hasher};

/// A keyed hash: multiply to 128 bits and fold, a word at a time.
///
/// Not cryptographic. It is enough because each table it serves has a small limit of its own, or
/// takes entries from local programs only; a table that remote peers fill to 100,000 needs more.
#[derive(Clone, Copy, Debug)]
pub struct Keyed {
    key: [u64; 2],
}

impl Keyed {
    /// A hash with a key from the stack's random source.
    pub const fn new(key: u64) -> Self {
        // The multiplier is odd and has bits everywhere, whatever the key: 2^64 / golden ratio.
        const GOLDEN: u64 = 0x9e37_79b9_7f4a_7c15;
        Self { key: [key ^ GOLDEN, fold(key ^ GOLDEN, GOLDEN) | 1] }
    }

    /// The hash of one word.
    pub fn word(&self, value: u64) -> u64 {
        let mut hasher = self.build_hasher();
        hasher.write_u64(value);
        hasher.finish()
    }
}

impl BuildHasher for Keyed {
    type Hasher = Fold;

    fn build_hasher(&self) -> Fold {
        Fold { sum: self.key[0], by: self.key[1] }
    }
}

/// The running state of [`Keyed`].
#[derive(Clone, Debug)]
pub struct Fold {
    sum: u64,
    by: u64,
}

impl Hasher for Fold {
    fn write(&mut self, bytes: &[u8]) {
        for chunk in bytes.chunks(8) {
            let mut word = [0; 8];
            for (to, from) in word.iter_mut().zip(chunk) {
                *to = *from;
            }
            self.write_u64(u64::from_le_bytes(word));
        }
        self.write_u64(bytes.len() as u64);
    }

    fn write_u8(&mut self, value: u8) {
        self.write_u64(value.into());
    }

    fn write_u16(&mut self, value: u16) {
        self.write_u64(value.into());
    }

    fn write_u32(&mut self, value: u32) {
        self.write_u64(value.into());
    }

    #[inline]
    fn write_u64(&mut self, value: u64) {
        self.sum = fold(self.sum ^ value, self.by).wrapping_add(self.by);
    }

    fn write_u128(&mut self, value: u128) {
        self.write_u64(value as u64);
        self.write_u64((value >> 64) as u64);
    }

    #[inline]
    fn finish(&self) -> u64 {
        // Once more: hashbrown takes its tags from the top bits.
        fold(self.sum, self.by)
    }
}

#[inline]
const fn fold(a: u64, b: u64) -> u64 {
    let wide = a as u128 * b as u128;
    wide as u64 ^ (wide >> 64) as u64
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;

    #[test]
    fn consecutive_addresses_spread_over_low_and_high_bits() {
        let hash = Keyed::new(1);
        let values: HashSet<u64> = (0..4096).map(|i| hash.word(0x0a00_0000 + i)).collect();
        assert_eq!(values.len(), 4096);
        let buckets: HashSet<u64> = values.iter().map(|v| v % 256).collect();
        let tags: HashSet<u64> = values.iter().map(|v| v >> 57).collect();
        assert!(buckets.len() > 250 && tags.len() > 120, "{} {}", buckets.len(), tags.len());
    }

    #[test]
    fn another_key_gives_another_hash() {
        assert_ne!(Keyed::new(1).word(7), Keyed::new(2).word(7));
    }
}
