//! room: how tables with a place for each connection grow.

use alloc::vec::Vec;

/// Makes room for `len` entries, and for a 64th more: moving a large table is cheap, as the
/// allocator moves pages, and 100,000 connections do not pay for 131,072.
pub(crate) fn grow_for<T>(table: &mut Vec<T>, len: usize) {
    if len > table.capacity() {
        table.reserve_exact((len + (len / 64).max(16)) - table.len());
    }
}
