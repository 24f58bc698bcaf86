//! SipHash-c-d (Aumasson and Bernstein) over words: the hash that a peer cannot steer, for tables
//! that peers fill and for numbers that they must not guess.
//!
//! `Sip<1, 3>` is for tables (as in Rust's and Linux's); `Sip<2, 4>` for what is sent to peers.

/// A key, with `C` rounds a word and `D` at the end.
#[derive(Clone, Copy, Debug)]
pub struct Sip<const C: usize, const D: usize> {
    key: [u64; 2],
}

impl<const C: usize, const D: usize> Sip<C, D> {
    /// The function with this key.
    pub const fn new(key: [u64; 2]) -> Self {
        Self { key }
    }

    /// The function for one purpose of several that one random number is the key of: knowing the
    /// values for one purpose tells nothing of another.
    pub fn derived(random: u64, purpose: u64) -> Self {
        let root = Sip::<2, 4>::new([random, !random]);
        Self::new([root.words([purpose, 0]), root.words([purpose, 1])])
    }

    /// The hash of `N` words: of their 8 N bytes, little end first.
    #[inline]
    pub fn words<const N: usize>(&self, words: [u64; N]) -> u64 {
        let [k0, k1] = self.key;
        let mut v = [
            k0 ^ 0x736f_6d65_7073_6575,
            k1 ^ 0x646f_7261_6e64_6f6d,
            k0 ^ 0x6c79_6765_6e65_7261,
            k1 ^ 0x7465_6462_7974_6573,
        ];
        let length = (N as u64 * 8) << 56;
        for word in words.into_iter().chain([length]) {
            v[3] ^= word;
            rounds::<C>(&mut v);
            v[0] ^= word;
        }
        v[2] ^= 0xff;
        rounds::<D>(&mut v);
        v[0] ^ v[1] ^ v[2] ^ v[3]
    }
}

#[inline]
const fn rounds<const N: usize>(v: &mut [u64; 4]) {
    let mut n = 0;
    while n < N {
        v[0] = v[0].wrapping_add(v[1]);
        v[2] = v[2].wrapping_add(v[3]);
        v[1] = v[1].rotate_left(13) ^ v[0];
        v[3] = v[3].rotate_left(16) ^ v[2];
        v[0] = v[0].rotate_left(32);
        v[2] = v[2].wrapping_add(v[1]);
        v[0] = v[0].wrapping_add(v[3]);
        v[1] = v[1].rotate_left(17) ^ v[2];
        v[3] = v[3].rotate_left(21) ^ v[0];
        v[2] = v[2].rotate_left(32);
        n += 1;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::hash::{DefaultHasher, Hasher};

    #[test]
    fn the_vectors_of_the_authors_come_out() {
        let word = |from: u8| u64::from_le_bytes(core::array::from_fn(|i| from + i as u8));
        let sip = Sip::<2, 4>::new([word(0), word(8)]);
        assert_eq!(sip.words([]), 0x726f_db47_dd0e_0e31);
        assert_eq!(sip.words([word(0)]), 0x93f5_f579_9a93_2462);
        assert_eq!(sip.words([word(0), word(8)]), 0x3f2a_cc7f_57c2_9bdb);
    }

    #[test]
    fn purposes_have_nothing_in_common() {
        let of = |random, purpose| Sip::<1, 3>::derived(random, purpose).words([7]);
        let all = [of(1, 1), of(1, 2), of(2, 1), of(2, 2)];
        assert!((1..4).all(|n| !all[..n].contains(&all[n])));
    }

    proptest! {
        #[test]
        fn the_fast_one_is_that_of_the_standard_library(words: [u64; 3]) {
            let mut theirs = DefaultHasher::new();
            for word in words {
                theirs.write(&word.to_le_bytes());
            }
            prop_assert_eq!(Sip::<1, 3>::new([0, 0]).words(words), theirs.finish());
        }
    }
}
