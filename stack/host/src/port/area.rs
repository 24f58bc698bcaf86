//! The bytes of a port's memory that rings and buffers are made of: spans of powers of two, halved
//! when they are taken and joined when they are back.

use millstream_port::ring::Ring;
use std::collections::BTreeSet;

/// Spans that are free, by size.
#[derive(Debug)]
pub(crate) struct Area {
    at: usize,
    /// Offsets in the area, of spans of `SMALLEST << order` bytes.
    free: Vec<BTreeSet<usize>>,
    taken: usize,
}

/// The smallest ring. Bytes.
pub(crate) const SMALLEST: usize = 4096;
/// The largest ring: half of it is the most that a program writes or reads in one go, between two
/// switches of processes, and all of it stays in the second-level cache. Bytes.
const LARGEST: usize = 512 * 1024;

impl Area {
    /// Of `len` bytes, a power of two, at an offset.
    pub(crate) fn new(at: usize, len: usize) -> Self {
        let orders = (len / SMALLEST).ilog2() as usize + 1;
        let mut free = vec![BTreeSet::new(); orders];
        free[orders - 1].insert(0);
        Self { at, free, taken: 0 }
    }

    /// Bytes that are taken.
    pub(crate) fn taken(&self) -> usize {
        self.taken
    }

    fn left(&self) -> usize {
        let spans = self.free.iter().enumerate();
        spans.map(|(order, free)| free.len() * (SMALLEST << order)).sum()
    }

    /// A ring for one direction of one more connection: the more is left the larger, so that the
    /// first are fast and many find room.
    pub(crate) fn take_fair(&mut self) -> Option<Ring> {
        let share = (self.left() / SHARE).clamp(SMALLEST, LARGEST);
        let mut order = (share / SMALLEST).ilog2() as usize;
        loop {
            match self.take(order) {
                None if order > 0 => order -= 1,
                taken => return taken,
            }
        }
    }

    /// A span of at least so many bytes.
    pub(crate) fn take_whole(&mut self, len: usize) -> Option<Ring> {
        self.take(len.div_ceil(SMALLEST).next_power_of_two().ilog2() as usize)
    }

    fn take(&mut self, order: usize) -> Option<Ring> {
        let from = (order..self.free.len()).find(|at| !self.free[*at].is_empty())?;
        let span = self.free[from].pop_first()?;
        for half in order..from {
            self.free[half].insert(span + (SMALLEST << half));
        }
        let size = SMALLEST << order;
        self.taken += size;
        Some(Ring { at: self.at + span, size: size as u32 })
    }

    /// It is not used any more.
    pub(crate) fn give_back(&mut self, ring: Ring) {
        let (mut span, mut order) = (ring.at - self.at, (ring.size as usize / SMALLEST).ilog2());
        self.taken -= ring.size as usize;
        while order as usize + 1 < self.free.len() {
            let buddy = span ^ (SMALLEST << order);
            if !self.free[order as usize].remove(&buddy) {
                break;
            }
            span = span.min(buddy);
            order += 1;
        }
        self.free[order as usize].insert(span);
    }
}

/// One ring gets this part of what is left.
const SHARE: usize = 16;

#[cfg(test)]
mod tests {
    use super::*;

    const LEN: usize = 1 << 20;

    #[test]
    fn the_first_get_more_than_the_last_and_all_are_apart() {
        let mut area = Area::new(4096, LEN);
        let rings: Vec<Ring> = std::iter::from_fn(|| area.take_fair()).collect();
        assert_eq!(rings[0].size as usize, LEN / 16);
        assert_eq!(rings.last().unwrap().size as usize, SMALLEST);
        assert_eq!(area.taken(), LEN);
        let mut spans: Vec<_> = rings.iter().map(|r| (r.at, r.at + r.size as usize)).collect();
        spans.sort_unstable();
        assert!(spans.windows(2).all(|two| two[0].1 <= two[1].0));
        assert!(spans[0].0 >= 4096 && spans.last().unwrap().1 <= 4096 + LEN);
    }

    #[test]
    fn what_is_back_is_whole_again() {
        let mut area = Area::new(0, LEN);
        let mut rings: Vec<Ring> = std::iter::from_fn(|| area.take_fair()).collect();
        // In an order that has nothing to do with that of taking.
        rings.sort_by_key(|ring| (ring.at / SMALLEST).reverse_bits());
        rings.into_iter().for_each(|ring| area.give_back(ring));
        assert_eq!((area.taken(), area.left()), (0, LEN));
        assert_eq!(area.take_fair().unwrap().size as usize, LEN / 16);
    }
}
