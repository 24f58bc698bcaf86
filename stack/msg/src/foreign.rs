//! Reads memory that another process may be writing: each byte once, volatile, never as `&[u8]`.

use crate::checksum::{self, Sum};

/// Copies `out.len()` bytes from `from`. Any value seen meanwhile is as good as another.
///
/// # Safety
/// The bytes are mapped.
pub(crate) unsafe fn read(from: *const u8, out: &mut [u8]) {
    let lead = from.align_offset(WORD).min(out.len());
    let (head, rest) = out.split_at_mut(lead);
    let (words, tail) = rest.as_chunks_mut::<WORD>();
    let words_at = from.wrapping_add(lead);
    let tail_at = words_at.wrapping_add(words.len() * WORD);
    // SAFETY: the three parts are the mapped bytes in order; the second begins aligned to a word
    // (or is empty).
    unsafe {
        read_bytes(from, head);
        for (i, word) in words.iter_mut().enumerate() {
            *word = words_at.cast::<u64>().add(i).read_volatile().to_ne_bytes();
        }
        read_bytes(tail_at, tail);
    }
}

/// The partial sum of `len` bytes at `from`.
///
/// # Safety
/// The bytes are mapped.
pub(crate) unsafe fn sum(from: *const u8, len: usize, sum: Sum) -> u16 {
    let mut piece = [0; PIECE];
    let mut total = 0;
    for at in (0..len).step_by(PIECE) {
        let piece = &mut piece[..PIECE.min(len - at)];
        // SAFETY: bytes `at` to `at + piece.len()` are within the mapped ones.
        unsafe { read(from.add(at), piece) };
        total = checksum::add(total, sum(piece));
    }
    total
}

/// # Safety
/// As [`read`].
unsafe fn read_bytes(from: *const u8, out: &mut [u8]) {
    for (i, byte) in out.iter_mut().enumerate() {
        // SAFETY: passed on from the caller.
        *byte = unsafe { from.add(i).read_volatile() };
    }
}

const WORD: usize = size_of::<u64>();

/// Bytes summed at once, on the stack; even, so that all pieces begin on the same half of a word.
const PIECE: usize = 1024;
