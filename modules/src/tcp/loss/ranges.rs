//! `Ranges`: a sorted set of octets of the sequence space, as disjoint ranges with gaps between.

use crate::tcp::seq::{Range, Seq};
use alloc::collections::VecDeque;

/// Octets that were marked. Touching ranges are one; all lie within 2^31 of each other.
#[derive(Clone, Debug, Default)]
pub(super) struct Ranges {
    list: VecDeque<Range>,
    /// Octets in all of them.
    bytes: u32,
}

impl Ranges {
    pub(super) fn bytes(&self) -> u32 {
        self.bytes
    }

    /// Octets of heap in use.
    pub(super) fn heap_bytes(&self) -> usize {
        self.list.capacity() * size_of::<Range>()
    }

    pub(super) fn first(&self) -> Option<Range> {
        self.list.front().copied()
    }

    pub(super) fn clear(&mut self) {
        self.list.clear();
        self.bytes = 0;
    }

    /// The first part of `range` that is not in the set. O(log n).
    pub(super) fn gap(&self, range: Range) -> Option<Range> {
        let mut start = range.start;
        let mut at = self.behind(start);
        if let Some(found) = self.list.get(at).filter(|found| !start.before(found.start)) {
            start = found.end;
            at += 1;
        }
        let end = self.list.get(at).map_or(range.end, |next| next.start.earliest(range.end));
        start.before(end).then_some(Range::new(start, end))
    }

    /// Adds the octets of `range`; tells how many were not there. What it swallows is removed at
    /// once, so a range is paid for once; the rest is one move of eight bytes per range behind it.
    pub(super) fn insert(&mut self, range: Range) -> u32 {
        if !range.start.before(range.end) {
            return 0;
        }
        let (mut range, before) = (range, self.bytes);
        // Those which touch it: the first that ends at its start or later, to the last that begins
        // at its end or earlier.
        let from = self.list.partition_point(|known| known.end.before(range.start));
        let mut to = from;
        while let Some(known) = self.list.get(to).filter(|known| !known.start.after(range.end)) {
            range.start = range.start.earliest(known.start);
            range.end = range.end.latest(known.end);
            self.bytes -= known.len();
            to += 1;
        }
        if to == from {
            self.list.insert(from, range);
        } else {
            self.list[from] = range;
            self.list.drain(from + 1..to);
        }
        self.bytes += range.len();
        self.bytes - before
    }

    /// Takes the octets of `range` out; tells how many there were.
    pub(super) fn remove(&mut self, range: Range) -> u32 {
        let before = self.bytes;
        let mut at = self.behind(range.start);
        while let Some(known) = self.list.get(at).copied().filter(|k| k.start.before(range.end)) {
            let head = Range::new(known.start, known.start.latest(range.start));
            let tail = Range::new(known.end.earliest(range.end), known.end);
            self.bytes -= known.len() - head.len() - tail.len();
            match (head.is_empty(), tail.is_empty()) {
                (true, true) => drop(self.list.remove(at)),
                (false, true) => {
                    self.list[at] = head;
                    at += 1;
                }
                (true, false) => {
                    self.list[at] = tail;
                    break;
                }
                (false, false) => {
                    self.list[at] = tail;
                    self.list.insert(at, head);
                    break;
                }
            }
        }
        before - self.bytes
    }

    /// Forgets what lies before `seq`.
    pub(super) fn cut(&mut self, seq: Seq) {
        while let Some(first) = self.list.front_mut().filter(|first| first.start.before(seq)) {
            if first.end.after(seq) {
                self.bytes -= seq.since(first.start);
                first.start = seq;
                return;
            }
            self.bytes -= first.len();
            self.list.pop_front();
        }
    }

    /// The number of the first range that ends behind `seq`.
    fn behind(&self, seq: Seq) -> usize {
        self.list.partition_point(|known| !known.end.after(seq))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::vec::Vec;

    const BASE: Seq = Seq(u32::MAX - 100);

    fn range(start: u32, end: u32) -> Range {
        Range::new(BASE.add(start), BASE.add(end))
    }

    #[test]
    fn touching_ranges_become_one_and_a_cut_leaves_the_rest() {
        let mut set = Ranges::default();
        assert_eq!(set.insert(range(10, 20)), 10);
        assert_eq!(set.insert(range(30, 40)), 10);
        assert_eq!(set.insert(range(15, 30)), 10);
        assert_eq!((set.list.len(), set.bytes()), (1, 30));
        set.cut(BASE.add(35));
        assert_eq!(set.first(), Some(range(35, 40)));
    }

    proptest! {
        #[test]
        fn set_agrees_with_a_row_of_flags(
            steps in proptest::collection::vec((0_u8..4, 0_u32..200, 1_u32..60), 1..80),
        ) {
            let mut set = Ranges::default();
            let mut flags = std::vec![false; 300];
            for (kind, start, len) in steps {
                let part = start as usize..(start + len) as usize;
                let of = range(start, start + len);
                let marked = flags[part.clone()].iter().filter(|f| **f).count() as u32;
                match kind {
                    0 | 1 => {
                        let gap = flags[part.clone()].iter().position(|f| !f);
                        prop_assert_eq!(
                            set.gap(of).map(|gap| gap.start.since(BASE)),
                            gap.map(|gap| start + gap as u32)
                        );
                        prop_assert_eq!(set.insert(of), len - marked);
                        flags[part].fill(true);
                    }
                    2 => {
                        prop_assert_eq!(set.remove(of), marked);
                        flags[part].fill(false);
                    }
                    _ => {
                        set.cut(BASE.add(start / 4));
                        flags[..(start / 4) as usize].fill(false);
                    }
                }
                prop_assert_eq!(set.bytes() as usize, flags.iter().filter(|f| **f).count());
                let members: Vec<bool> =
                    (0..300).map(|n| set.gap(range(n, n + 1)).is_none()).collect();
                prop_assert_eq!(&members, &flags);
            }
        }
    }
}
