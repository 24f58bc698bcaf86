//! The Internet checksum (RFC 1071, RFC 1624): over slices, over chains with odd-length blocks,
//! and by increments.
//!
//! A *partial sum* is a `u16` in memory order: the one's complement sum of the bytes taken as
//! native 16-bit words. Its two bytes can be stored as they are; its complement is the checksum.

use crate::foreign;
use crate::msg::Msg;

/// Sums a slice. The host hands the fastest one in with [`crate::Pool::set_sum`].
pub type Sum = fn(&[u8]) -> u16;

/// The sum of two partial sums.
#[inline]
pub const fn add(a: u16, b: u16) -> u16 {
    let (sum, carry) = a.overflowing_add(b);
    sum + carry as u16
}

/// A big-endian word as a partial sum.
#[inline]
pub const fn word(value: u16) -> u16 {
    value.to_be()
}

/// The partial sum of `bytes`, without processor features. An odd last byte is padded with 0.
#[inline]
pub fn sum_portable(bytes: &[u8]) -> u16 {
    if bytes.len() <= SHORT { sum_short(bytes) } else { sum_lanes(bytes) }
}

/// The longest header of IPv4: what is not longer is summed without lanes.
const SHORT: usize = 60;

#[inline]
fn sum_short(bytes: &[u8]) -> u16 {
    let (words, rest) = bytes.as_chunks::<4>();
    let mut total = words.iter().map(|word| u64::from(u32::from_ne_bytes(*word))).sum::<u64>();
    let mut last = [0; 4];
    last[..rest.len()].copy_from_slice(rest);
    total += u64::from(u32::from_ne_bytes(last));
    fold(total)
}

/// As [`sum_portable`], twice as fast from 1 KiB on.
///
/// # Safety
/// The processor has AVX2 (`is_x86_feature_detected!`).
#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2")]
pub fn sum_avx2(bytes: &[u8]) -> u16 {
    sum_lanes(bytes)
}

/// 32 lanes of 32 bits, which the compiler turns into vectors of the enabled width. A lane takes
/// 65,536 words of 16 bits before it can overflow: blocks of 4 MiB, above any message block.
#[inline(always)]
fn sum_lanes(bytes: &[u8]) -> u16 {
    const LANES: usize = 32;
    const OVERFLOW_AFTER: usize = 2 * LANES * 65_536;
    let mut total = 0_u64;
    for part in bytes.chunks(OVERFLOW_AFTER) {
        let mut lanes = [0_u32; LANES];
        let mut chunks = part.chunks_exact(2 * LANES);
        for chunk in &mut chunks {
            for (lane, pair) in lanes.iter_mut().zip(chunk.chunks_exact(2)) {
                *lane += u32::from(u16::from_ne_bytes([pair[0], pair[1]]));
            }
        }
        total += lanes.iter().map(|&lane| u64::from(lane)).sum::<u64>();
        let mut pairs = chunks.remainder().chunks_exact(2);
        for pair in &mut pairs {
            total += u64::from(u16::from_ne_bytes([pair[0], pair[1]]));
        }
        if let [last] = pairs.remainder() {
            total += u64::from(u16::from_ne_bytes([*last, 0]));
        }
    }
    fold(total)
}

#[inline]
fn fold(mut sum: u64) -> u16 {
    sum = (sum & 0xffff_ffff) + (sum >> 32);
    sum = (sum & 0xffff) + (sum >> 16);
    sum = (sum & 0xffff) + (sum >> 16);
    sum = (sum & 0xffff) + (sum >> 16);
    sum as u16
}

/// The partial sum of bytes `[from, from + len)` of a message, whatever the lengths of its
/// blocks. Foreign blocks are read once, volatile.
pub fn of_msg(msg: &Msg, from: usize, len: usize, sum: Sum) -> u16 {
    let (mut skip, mut left, mut total, mut odd) = (from, len, 0, false);
    for block in msg.blocks() {
        if skip >= block.len() {
            skip -= block.len();
            continue;
        }
        let n = (block.len() - skip).min(left);
        let part = match block.as_slice() {
            Some(bytes) => sum(&bytes[skip..skip + n]),
            // SAFETY: the block has `skip + n` bytes, which stay mapped while it lives.
            None => unsafe { foreign::sum(block.as_ptr().wrapping_add(skip), n, sum) },
        };
        // A block that begins at an odd offset has its bytes in the other half of each word.
        total = add(total, if odd { part.swap_bytes() } else { part });
        odd ^= n % 2 == 1;
        skip = 0;
        left -= n;
        if left == 0 {
            break;
        }
    }
    total
}

/// The checksum field after one 16-bit word of what it covers has changed (RFC 1624, eqn. 3).
/// All in memory order.
#[inline]
pub const fn update(checksum: u16, old: u16, new: u16) -> u16 {
    !add(add(!checksum, !old), new)
}
