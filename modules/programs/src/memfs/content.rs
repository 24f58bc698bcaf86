//! content: the octets of a file in memory. Blocks are handed out as they are; a block that is
//! still on its way to a reader is copied before it is written to.

use super::Budget;
use bytes::{Bytes, BytesMut};
use std::collections::BTreeMap;

/// Blocks of [`BLOCK`] octets; where none is, and behind the end of a short one, are zeros.
#[derive(Debug, Default)]
pub(super) struct Content {
    blocks: BTreeMap<u64, Bytes>,
    len: u64,
    /// Octets that the blocks take.
    used: usize,
}

impl Content {
    pub(super) fn len(&self) -> u64 {
        self.len
    }

    /// Octets that the blocks take.
    pub(super) fn used(&self) -> u64 {
        self.used as u64
    }

    /// Octets from a place on, `len` unless the file ends before. None is copied.
    pub(super) fn read(&self, from: u64, len: usize) -> Vec<Bytes> {
        let end = self.len.min(from.saturating_add(len as u64));
        let mut at = from;
        let mut pieces = Vec::with_capacity(len.min(1 << 20) / BLOCK + 2);
        while at < end {
            let (number, offset) = place(at);
            let most = (BLOCK - offset).min((end - at) as usize);
            let piece = match self.blocks.get(&number) {
                Some(block) if offset < block.len() => {
                    block.slice(offset..block.len().min(offset + most))
                }
                _ => Bytes::from_static(&ZEROS).slice(..most),
            };
            at += piece.len() as u64;
            pieces.push(piece);
        }
        pieces
    }

    /// Writes pieces one after another; returns how many octets there was room for.
    pub(super) fn write(&mut self, from: u64, pieces: &[&[u8]], budget: &mut Budget) -> usize {
        let mut source = Source { pieces, offset: 0 };
        let mut written = 0;
        loop {
            let (number, offset) = place(from + written as u64);
            let count = source.left(BLOCK - offset);
            if count == 0 || !self.fill(number, offset, count, &mut source, budget) {
                break;
            }
            written += count;
        }
        if written > 0 {
            self.len = self.len.max(from + written as u64);
        }
        written
    }

    /// Writes `count` octets into one block; false if there is no room for it.
    fn fill(
        &mut self,
        number: u64,
        offset: usize,
        count: usize,
        source: &mut Source<'_>,
        budget: &mut Budget,
    ) -> bool {
        let old = self.blocks.get(&number).map_or(0, Bytes::len);
        let new = old.max(offset + count);
        if !budget.exchange(room(old), room(new)) {
            return false;
        }
        self.used = self.used - room(old) + room(new);
        let block = self.blocks.remove(&number).unwrap_or_default();
        let mut block = writable(block, new);
        let inside = block.len().saturating_sub(offset).min(count);
        if block.len() < offset {
            block.resize(offset, 0);
        }
        source.copy(inside, |at, octets| {
            block[offset + at..offset + at + octets.len()].copy_from_slice(octets);
        });
        source.copy(count - inside, |_, octets| block.extend_from_slice(octets));
        self.blocks.insert(number, block.freeze());
        true
    }

    /// Cuts the file, or has it end with zeros.
    pub(super) fn set_len(&mut self, len: u64, budget: &mut Budget) {
        if len < self.len {
            let (last, keep) = place(len);
            let gone = self.blocks.split_off(&(last + 1));
            let mut freed: usize = gone.values().map(|block| room(block.len())).sum();
            if let Some(block) = self.blocks.get_mut(&last)
                && block.len() > keep
            {
                freed += room(block.len()) - room(keep);
                // Of its own size: what was cut off is not held for ever.
                *block = Bytes::copy_from_slice(&block[..keep]);
            }
            self.used -= freed;
            budget.give_back(freed);
        }
        self.len = len;
    }
}

/// What is written, as far as it was not yet.
struct Source<'a> {
    pieces: &'a [&'a [u8]],
    /// Octets of the first piece that are written.
    offset: usize,
}

impl Source<'_> {
    /// Octets that are left, `most` if there are more.
    fn left(&self, most: usize) -> usize {
        let mut left = 0;
        for piece in self.pieces {
            left += piece.len();
            if left - self.offset >= most {
                return most;
            }
        }
        left - self.offset
    }

    /// Hands out the next `count` octets, with their places from here.
    fn copy(&mut self, count: usize, mut to: impl FnMut(usize, &[u8])) {
        let mut at = 0;
        while at < count
            && let Some(piece) = self.pieces.first()
        {
            let octets = &piece[self.offset..piece.len().min(self.offset + count - at)];
            to(at, octets);
            at += octets.len();
            self.offset += octets.len();
            if self.offset == piece.len() {
                (self.pieces, self.offset) = (&self.pieces[1..], 0);
            }
        }
    }
}

/// The same octets, in a buffer that nobody else sees and that has room for `len` of them.
fn writable(block: Bytes, len: usize) -> BytesMut {
    if room(len) == room(block.len()) {
        match block.try_into_mut() {
            Ok(block) => return block,
            Err(block) => return copied(&block, len),
        }
    }
    copied(&block, len)
}

fn copied(block: &[u8], len: usize) -> BytesMut {
    let mut copy = BytesMut::with_capacity(room(len));
    copy.extend_from_slice(block);
    copy
}

/// Octets that a block of this length takes.
fn room(len: usize) -> usize {
    if len == 0 { 0 } else { len.next_power_of_two().max(ROOM_MIN) }
}

fn place(at: u64) -> (u64, usize) {
    (at / BLOCK as u64, (at % BLOCK as u64) as usize)
}

/// Octets of a block: about what one super-frame carries, below what allocators map page by page.
pub(super) const BLOCK: usize = 64 << 10;
/// Small files take little.
const ROOM_MIN: usize = 64;
static ZEROS: [u8; BLOCK] = [0; BLOCK];

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn budget() -> Budget {
        Budget { used: 0, max: 1 << 30 }
    }

    fn all(content: &Content) -> Vec<u8> {
        content.read(0, usize::MAX >> 1).concat()
    }

    #[test]
    fn blocks_are_read_without_a_copy_and_not_written_to_while_read() {
        let (mut content, mut budget) = (Content::default(), budget());
        content.write(0, &[&[1; BLOCK]], &mut budget);
        let held = content.read(0, BLOCK);
        let again = content.read(10, 20);
        assert_eq!(held[0][10..].as_ptr(), again[0].as_ptr());
        content.write(0, &[&[2; 5]], &mut budget);
        assert!(held[0].iter().all(|&octet| octet == 1));
        assert_eq!(content.read(0, 6).concat(), [2, 2, 2, 2, 2, 1]);
    }

    #[test]
    fn a_block_that_nobody_reads_is_written_in_place() {
        let (mut content, mut budget) = (Content::default(), budget());
        content.write(0, &[&[1; BLOCK]], &mut budget);
        let place = content.read(0, 1)[0].as_ptr();
        content.write(7, &[&[2; 9]], &mut budget);
        assert_eq!(content.read(0, 1)[0].as_ptr(), place);
    }

    #[test]
    fn room_is_counted_and_given_back() {
        let mut budget = Budget { used: 0, max: 3 * BLOCK };
        let mut content = Content::default();
        assert_eq!(content.write(0, &[&[1; 5 * BLOCK]], &mut budget), 3 * BLOCK);
        assert_eq!(content.write(9 * BLOCK as u64, &[&[1]], &mut budget), 0);
        assert_eq!(content.len(), 3 * BLOCK as u64);
        content.set_len(1, &mut budget);
        assert_eq!((budget.used, content.used()), (ROOM_MIN, ROOM_MIN as u64));
        // Zeros take nothing, wherever the file ends.
        content.set_len(1 << 60, &mut budget);
        assert_eq!(budget.used, ROOM_MIN);
        assert_eq!(content.read((1 << 60) - 2, 9).concat(), [0, 0]);
        content.set_len(0, &mut budget);
        assert_eq!((budget.used, all(&content)), (0, vec![]));
    }

    #[derive(Clone, Debug)]
    enum Act {
        Write(u64, Vec<Vec<u8>>),
        Cut(u64),
        Hold(u64, usize),
    }

    fn act() -> impl Strategy<Value = Act> {
        let at = 0..3 * BLOCK as u64;
        let piece = (any::<u8>(), 0..BLOCK + 9).prop_map(|(octet, len)| vec![octet; len]);
        prop_oneof![
            (at.clone(), prop::collection::vec(piece, 0..4)).prop_map(|(at, p)| Act::Write(at, p)),
            at.clone().prop_map(Act::Cut),
            (at, 0..2 * BLOCK).prop_map(|(at, len)| Act::Hold(at, len)),
        ]
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]
        #[test]
        fn a_file_is_what_a_vector_would_be(acts in prop::collection::vec(act(), 1..20)) {
            let (mut content, mut budget) = (Content::default(), budget());
            let mut model: Vec<u8> = Vec::new();
            let mut held: Vec<(Vec<Bytes>, Vec<u8>)> = Vec::new();
            for act in acts {
                match act {
                    Act::Write(at, pieces) => {
                        let octets = pieces.concat();
                        let slices: Vec<&[u8]> = pieces.iter().map(Vec::as_slice).collect();
                        prop_assert_eq!(content.write(at, &slices, &mut budget), octets.len());
                        if !octets.is_empty() {
                            let end = at as usize + octets.len();
                            model.resize(model.len().max(end), 0);
                            model[at as usize..end].copy_from_slice(&octets);
                        }
                    }
                    Act::Cut(len) => {
                        content.set_len(len, &mut budget);
                        model.resize(len as usize, 0);
                    }
                    Act::Hold(at, len) => {
                        let pieces = content.read(at, len);
                        let now = pieces.concat();
                        let from = model.len().min(at as usize);
                        prop_assert!(now == model[from..model.len().min(from + len)]);
                        held.push((pieces, now));
                    }
                }
                let rooms = content.blocks.values().map(|block| room(block.len())).sum();
                prop_assert_eq!((budget.used, content.used), (rooms, rooms));
            }
            prop_assert!(all(&content) == model);
            prop_assert!(held.iter().all(|(pieces, then)| &pieces.concat() == then));
        }
    }
}
