//! What comes from the peer and stays where it was received: the program reads it in the arena, and
//! has it until it says that it has taken it. For programs that need no isolation in this.

use super::inward::copy_in;
use millstream_core::Perimeter;
use millstream_msg::{Msg, Pool};
use millstream_port::piece::{PIECES, Piece, Pieces};
use millstream_port::ring::Ring;
use millstream_port::slot::Slot;
use millstream_port::{Arena, Memory};
use std::collections::VecDeque;
use std::io;
use std::os::fd::BorrowedFd;
use std::sync::Arc;
use std::sync::atomic::Ordering;

/// The arena of a stack.
#[derive(Debug)]
pub(super) struct Shared {
    arena: Arc<Arena>,
    /// Bytes that one program holds at most.
    most: usize,
    /// Bytes that all programs hold, with what is around them.
    lent: usize,
}

/// Blocks of one connection that its program has.
#[derive(Debug)]
pub(super) struct Lent {
    table: Ring,
    /// Pieces that were put into the table, counted.
    put: u32,
    /// In the order of their octets: the count behind the last, and the block.
    out: VecDeque<(u32, Msg)>,
}

/// Who is charged: all programs, and one.
pub(super) type On<'a> = (&'a mut Shared, &'a mut usize);

/// What is shorter is copied: its block would be held for less than its own head costs.
const PIECE_MIN: usize = 4096;

/// Of the arena programs hold at most one part in so many: the stack goes on receiving while none
/// of them reads.
const PART: usize = 4;

impl Shared {
    /// Makes the largest blocks of a pool in memory that programs may read: those that were not
    /// made yet.
    pub(super) fn make(pool: &mut Pool, most: usize) -> io::Result<Self> {
        Ok(Self { arena: Arena::of_pool(pool)?, most, lent: 0 })
    }

    /// To be sent to programs.
    pub(super) fn fd(&self) -> Option<BorrowedFd<'_>> {
        self.arena.fd()
    }

    /// Where the octets of a first block are, if it may be lent to a program that holds so much.
    fn place(&self, msg: &Msg, held: usize) -> Option<usize> {
        let block = msg.blocks().next()?;
        let size = block.truesize();
        let may = held + size <= self.most && self.lent + size <= self.arena.len() / PART;
        let at = self.arena.offset(block.as_ptr(), block.len());
        at.filter(|_| may && block.len() >= PIECE_MIN)
    }
}

impl Lent {
    /// With a place for the table.
    pub(super) fn new(table: Ring) -> Self {
        Self { table, put: 0, out: VecDeque::new() }
    }

    /// The program has some.
    pub(super) fn has_any(&self) -> bool {
        !self.out.is_empty()
    }

    /// Gives the program the first block of a message, or a copy; how many octets, and what is left
    /// of the message.
    pub(super) fn give(
        &mut self,
        core: &mut Perimeter,
        on: On<'_>,
        (memory, slot): (&Memory, Slot<'_>),
        (ring, count): (Ring, u32),
        mut msg: Msg,
        room: usize,
    ) -> (usize, Option<Msg>) {
        let place =
            on.0.place(&msg, *on.1).filter(|_| self.out.len() < PIECES && room >= PIECE_MIN);
        let rest = match place {
            Some(_) if msg.first().len() > room => msg.split_off(core.pool(), room).ok(),
            _ => None,
        };
        let (first, behind) = msg.unlink();
        let rest = rest.or(behind);
        let Some(at) = place.filter(|_| first.len() <= room) else {
            let (copied, left) = copy_in(core, memory, (ring, count), first, room);
            // One that was made before the arena would be received into again and again.
            core.pool().leave_strays_out();
            return (copied, joined(left, rest));
        };
        let (len, size) = (first.len(), first.truesize());
        *on.1 += size;
        on.0.lent += size;
        let piece = Piece { start: count, len: len as u32, at: at as u64 };
        Pieces::new(memory, self.table.at).write(self.put, piece);
        self.put = self.put.wrapping_add(1);
        slot.pieces_put().store(self.put, Ordering::Release);
        self.out.push_back((count.wrapping_add(len as u32), first));
        (len, rest)
    }

    /// Blocks of which the program has taken the last octet are the stack's again.
    pub(super) fn collect(&mut self, core: &mut Perimeter, on: &mut On<'_>, taken: u32) {
        // Counts are at most a ring apart.
        while self.out.front().is_some_and(|(end, _)| taken.wrapping_sub(*end) < 1 << 31) {
            self.take_back(core, on);
        }
    }

    fn take_back(&mut self, core: &mut Perimeter, on: &mut On<'_>) {
        let Some((_, msg)) = self.out.pop_front() else { return };
        *on.1 -= msg.truesize();
        on.0.lent -= msg.truesize();
        core.pool().free(msg);
    }

    /// Takes all back. What was not taken of it is put where it belongs among `bytes`, of which the
    /// first has the count `taken`. Returns the place of the table.
    pub(super) fn end(
        mut self,
        core: &mut Perimeter,
        mut on: On<'_>,
        taken: u32,
        bytes: &mut [u8],
    ) -> Ring {
        self.collect(core, &mut on, taken);
        while let Some((end, msg)) = self.out.front() {
            let (end, len) = (end.wrapping_sub(taken) as usize, msg.len());
            // Counts that lie are nobody's octets.
            if let Some(part) = bytes.get_mut(end.saturating_sub(len)..end) {
                msg.copy_out(len - part.len(), part);
            }
            self.take_back(core, &mut on);
        }
        self.table
    }
}

/// What is left of the first block, before the others.
fn joined(left: Option<Msg>, rest: Option<Msg>) -> Option<Msg> {
    match (left, rest) {
        (Some(mut left), Some(rest)) => {
            left.link(rest);
            Some(left)
        }
        (left, rest) => left.or(rest),
    }
}
