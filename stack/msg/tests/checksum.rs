//! The Internet checksum against a slow reference, over any chain.

use millstream_msg::checksum::{self, Sum};
use millstream_msg::{Free, Msg, Pool, PoolConfig};
use proptest::prelude::*;

/// The one's complement sum of big-endian words, one at a time (RFC 1071, section 1).
fn reference(bytes: &[u8]) -> u16 {
    let mut sum = 0_u32;
    for word in bytes.chunks(2) {
        sum += u32::from(word[0]) << 8 | u32::from(*word.get(1).unwrap_or(&0));
        sum = (sum & 0xffff) + (sum >> 16);
    }
    sum as u16
}

/// A partial sum is in memory order.
fn partial(bytes: &[u8]) -> u16 {
    checksum::word(reference(bytes))
}

/// The routines that this processor has.
fn routines() -> Vec<Sum> {
    let mut all: Vec<Sum> = vec![checksum::sum_portable];
    #[cfg(target_arch = "x86_64")]
    if std::arch::is_x86_feature_detected!("avx2") {
        // SAFETY: the processor has AVX2.
        all.push(|bytes| unsafe { checksum::sum_avx2(bytes) });
    }
    all
}

/// A chain with blocks of the given lengths; every third is foreign.
fn chain(pool: &mut Pool, bytes: &mut [u8], cuts: &[usize]) -> Msg {
    let mut msg = pool.alloc(0, 0).unwrap();
    let mut at = 0;
    for (i, &cut) in cuts.iter().chain([&usize::MAX]).enumerate() {
        let part = &mut bytes[at..];
        let n = cut.min(part.len());
        let block = if i % 3 == 2 {
            // SAFETY: `bytes` outlives the message and is only read meanwhile.
            unsafe { pool.wrap_foreign(part.as_mut_ptr(), n, Free::None) }
        } else {
            pool.copy_from(i % 2, &part[..n])
        };
        msg.link(block.unwrap());
        at += n;
    }
    msg
}

proptest! {
    #[test]
    fn sum_of_a_slice_at_any_alignment_is_that_of_rfc1071(
        bytes in proptest::collection::vec(any::<u8>(), 0..5000), skip in 0..9_usize,
    ) {
        let bytes = &bytes[skip.min(bytes.len())..];
        for sum in routines() {
            prop_assert_eq!(sum(bytes), partial(bytes));
        }
    }

    #[test]
    fn sum_of_a_chain_ignores_where_the_blocks_end(
        mut bytes in proptest::collection::vec(any::<u8>(), 0..4000),
        cuts in proptest::collection::vec(0..700_usize, 0..12),
        from in 0..4000_usize,
        len in 0..4000_usize,
    ) {
        let mut pool = Pool::new(PoolConfig::TINY);
        let from = from.min(bytes.len());
        let len = len.min(bytes.len() - from);
        let expected = partial(&bytes[from..from + len]);
        let msg = chain(&mut pool, &mut bytes, &cuts);
        for sum in routines() {
            prop_assert_eq!(checksum::of_msg(&msg, from, len, sum), expected);
        }
        pool.free(msg);
    }

    #[test]
    fn update_is_the_checksum_of_the_changed_bytes_rfc1624(
        mut bytes in proptest::collection::vec(any::<u8>(), 2..64),
        place in 0..31_usize,
        new in prop_oneof![Just(0), Just(0xffff), any::<u16>()],
    ) {
        let at = (place * 2).min(bytes.len() / 2 * 2 - 2);
        let before = !partial(&bytes);
        let old = u16::from_ne_bytes([bytes[at], bytes[at + 1]]);
        bytes[at..at + 2].copy_from_slice(&new.to_ne_bytes());
        let updated = checksum::update(before, old, new);
        prop_assert_eq!(zero(updated), zero(!partial(&bytes)));
    }
}

/// 0 has two forms in one's complement.
fn zero(sum: u16) -> u16 {
    if sum == 0xffff { 0 } else { sum }
}

#[test]
fn sum_does_not_overflow_on_large_blocks_of_ones() {
    for len in [4 << 20, (4 << 20) + 64, (8 << 20) + 63] {
        let bytes = vec![0xff; len];
        for sum in routines() {
            assert_eq!(sum(&bytes), partial(&bytes));
        }
    }
}

/// The example of RFC 1624, section 4, where equation 2 would give 0xffff.
#[test]
fn update_gives_0_in_the_example_of_rfc1624_4() {
    let [before, old, new] = [0xdd2f, 0x5555, 0x3285].map(checksum::word);
    assert_eq!(checksum::update(before, old, new), 0);
}

#[test]
fn update_at_the_edges_verifies_as_the_changed_header_does() {
    for old in [0, 1, 0x7fff, 0x8000, 0xfffe, 0xffff] {
        for new in [0, 1, 0x7fff, 0x8000, 0xfffe, 0xffff] {
            for rest in [1, 0x1234, 0xfffe, 0xffff] {
                let before = !checksum::add(old, rest);
                let after = checksum::update(before, old, new);
                let verified = checksum::add(checksum::add(new, rest), after);
                assert_eq!(verified, 0xffff, "{old:#x} {new:#x} {rest:#x}");
            }
        }
    }
}
