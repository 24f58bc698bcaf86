//! Octets in a ring: two counts that only grow, one of each side, and the bytes between them.

use crate::Memory;

/// Where a ring's bytes lie.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ring {
    /// Offset in the memory.
    pub at: usize,
    /// Bytes: a power of two.
    pub size: u32,
}

impl Ring {
    /// Octets between two counts; `None` when they are no counts of this ring.
    pub fn filled(self, head: u32, tail: u32) -> Option<u32> {
        let filled = head.wrapping_sub(tail);
        (filled <= self.size).then_some(filled)
    }

    /// With so many octets in it, is there room enough that who waits to put more in is told? Half:
    /// each time costs two switches of processes.
    pub fn is_roomy(self, filled: u32) -> bool {
        filled <= self.size / 2
    }

    /// Where the octet with this count is, and how many follow it before the ring begins again.
    pub fn place(self, count: u32) -> (usize, usize) {
        let from = count & (self.size - 1);
        (self.at + from as usize, (self.size - from) as usize)
    }

    /// Copies octets in, from a count on.
    pub fn write(self, memory: &Memory, count: u32, bytes: &[u8]) {
        let (at, run) = self.place(count);
        let (first, rest) = bytes.split_at(run.min(bytes.len()));
        memory.write(at, first);
        memory.write(self.at, rest);
    }

    /// Copies octets out, from a count on.
    pub fn read(self, memory: &Memory, count: u32, out: &mut [u8]) {
        let (at, run) = self.place(count);
        let run = run.min(out.len());
        let (first, rest) = out.split_at_mut(run);
        memory.read(at, first);
        memory.read(self.at, rest);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::VecDeque;

    #[test]
    fn counts_that_are_too_far_apart_are_none_of_the_ring() {
        let ring = Ring { at: 0, size: 16 };
        assert_eq!(ring.filled(3, u32::MAX - 12), Some(16));
        assert_eq!(ring.filled(4, u32::MAX - 12), None);
        assert_eq!(ring.filled(0, 1), None);
    }

    #[test]
    fn who_waits_for_room_is_told_of_half_a_ring() {
        let ring = Ring { at: 0, size: 4096 };
        assert!(ring.is_roomy(2048) && !ring.is_roomy(2049));
    }

    proptest! {
        /// As a queue of octets, whatever is put in and taken out, over the end of both counts.
        #[test]
        fn octets_come_out_as_they_went_in(
            steps in prop::collection::vec((any::<bool>(), 0_usize..80), 1..200),
        ) {
            let memory = Memory::make("ring", 4096).unwrap();
            let ring = Ring { at: 64, size: 64 };
            let (mut head, mut tail) = (u32::MAX - 100, u32::MAX - 100);
            let (mut model, mut next) = (VecDeque::new(), 0_u8);
            for (put, len) in steps {
                let filled = ring.filled(head, tail).unwrap() as usize;
                prop_assert_eq!(filled, model.len());
                if put {
                    let len = len.min(64 - filled);
                    let bytes: Vec<u8> = (0..len).map(|at| next.wrapping_add(at as u8)).collect();
                    next = next.wrapping_add(len as u8);
                    ring.write(&memory, head, &bytes);
                    model.extend(bytes);
                    head = head.wrapping_add(len as u32);
                } else {
                    let mut out = vec![0; len.min(filled)];
                    ring.read(&memory, tail, &mut out);
                    prop_assert_eq!(&out, &model.drain(..out.len()).collect::<Vec<_>>());
                    tail = tail.wrapping_add(out.len() as u32);
                }
            }
        }
    }
}
