//! Octets received that are in no ring: a program reads them from where the stack has them. They
//! count as if they lay in the ring, whose places they leave out; a table says which.

use crate::Memory;
use std::sync::atomic::Ordering;

/// Octets that lie together in the arena.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Piece {
    /// Count of the first, as counts of the ring.
    pub start: u32,
    /// How many.
    pub len: u32,
    /// Offset of the first in the arena.
    pub at: u64,
}

/// Pieces that were not read to their end at once.
pub const PIECES: usize = 128;

/// Bytes of a table.
pub const TABLE: usize = PIECES * 16;

/// The table of a connection: the piece with number N has place N modulo [`PIECES`]. It stays until
/// it is taken; who reads one that was written anew meanwhile finds its count of octets taken, too.
#[derive(Clone, Copy, Debug)]
pub struct Pieces<'a> {
    memory: &'a Memory,
    at: usize,
}

/// What comes at a count.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Next {
    /// So many octets of the ring, or fewer.
    Ring(usize),
    /// So many octets of the arena, from an offset on.
    Arena(usize, usize),
}

impl<'a> Pieces<'a> {
    /// At an offset.
    pub fn new(memory: &'a Memory, at: usize) -> Self {
        Self { memory, at }
    }

    /// Writes one. By the stack.
    pub fn write(self, number: u32, piece: Piece) {
        let [what, at] = self.words(number);
        let span = u64::from(piece.start) << 32 | u64::from(piece.len);
        self.memory.u64_at(what).store(span, Ordering::Relaxed);
        self.memory.u64_at(at).store(piece.at, Ordering::Relaxed);
    }

    /// Reads one.
    pub fn read(self, number: u32) -> Piece {
        let [what, at] = self.words(number);
        let span = self.memory.u64_at(what).load(Ordering::Relaxed);
        let at = self.memory.u64_at(at).load(Ordering::Relaxed);
        Piece { start: (span >> 32) as u32, len: span as u32, at }
    }

    fn words(self, number: u32) -> [usize; 2] {
        let at = self.at + number as usize % PIECES * 16;
        [at, at + 8]
    }

    /// Where the octet with this count is. Pieces up to `put` were written, and those before `seen`
    /// lie before it, which is moved on.
    pub fn next(self, count: u32, seen: &mut u32, put: u32) -> Next {
        if put.wrapping_sub(*seen) > PIECES as u32 {
            *seen = put.wrapping_sub(PIECES as u32);
        }
        while *seen != put {
            let piece = self.read(*seen);
            let into = count.wrapping_sub(piece.start);
            if into < piece.len {
                return Next::Arena(piece.at as usize + into as usize, (piece.len - into) as usize);
            }
            let before = piece.start.wrapping_sub(count);
            // Nothing is no piece: the table may be used for something else by now.
            if (1..1 << 31).contains(&before) {
                return Next::Ring(before as usize);
            }
            *seen = seen.wrapping_add(1);
        }
        Next::Ring(usize::MAX)
    }
}

const _: () = assert!(PIECES.is_power_of_two());

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn octets_are_found_in_the_arena_and_between_its_pieces() {
        let memory = Memory::make("pieces", 4096).unwrap();
        let table = Pieces::new(&memory, 64);
        let start = u32::MAX - 10;
        table.write(7, Piece { start, len: 100, at: 5000 });
        table.write(8, Piece { start: start.wrapping_add(130), len: 50, at: 9000 });
        let mut seen = 7;
        let mut next = |into: u32| table.next(start.wrapping_add(into), &mut seen, 9);
        assert_eq!(next(0), Next::Arena(5000, 100));
        assert_eq!(next(99), Next::Arena(5099, 1));
        assert_eq!(next(100), Next::Ring(30));
        assert_eq!(next(140), Next::Arena(9010, 40));
        assert_eq!(next(180), Next::Ring(usize::MAX));
        assert_eq!(seen, 9);
    }

    #[test]
    fn who_is_behind_the_table_begins_with_what_is_in_it() {
        let memory = Memory::make("pieces", 4096).unwrap();
        let table = Pieces::new(&memory, 0);
        for number in 0..1000 {
            table.write(number, Piece { start: number * 10, len: 10, at: number.into() });
        }
        let mut seen = 3;
        assert_eq!(table.next(9995, &mut seen, 1000), Next::Arena(999 + 5, 5));
        assert_eq!(seen, 999);
    }
}
