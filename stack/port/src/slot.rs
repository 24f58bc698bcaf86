//! A socket in shared memory: a line of what the stack says, and a line of what the program says.
//! Neither writes the other's, but for one bit: the stack may take a ring back, and the program
//! notices when it has used it meanwhile.

use crate::Memory;
use crate::ring::Ring;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};

/// One slot.
#[derive(Clone, Copy, Debug)]
pub struct Slot<'a> {
    memory: &'a Memory,
    at: usize,
}

/// Of [`Slot::state`], beside the bits of [`crate::Ready`] that no ring tells of: the program has
/// the rings. OUT means that octets may be put into the ring, IN that nothing more comes behind
/// what is in it.
pub const DIRECT: u32 = 1 << 31;

/// Of [`Slot::state`]: octets go through the placeholder. See [`crate::Sockets::export`].
pub const EXPORTED: u32 = 1 << 30;

/// Of both counts of the program: the stack has taken the ring back.
pub const REVOKED: u64 = 1 << 63;

impl<'a> Slot<'a> {
    /// The slot at an offset.
    pub fn new(memory: &'a Memory, at: usize) -> Self {
        Self { memory, at }
    }

    fn u32(self, at: usize) -> &'a AtomicU32 {
        self.memory.u32_at(self.at + at)
    }

    fn u64(self, at: usize) -> &'a AtomicU64 {
        self.memory.u64_at(self.at + at)
    }

    /// Which of those that had the slot one after another it is. By the stack.
    pub fn generation(self) -> &'a AtomicU32 {
        self.u32(0)
    }

    /// What is possible. By the stack.
    pub fn state(self) -> &'a AtomicU32 {
        self.u32(4)
    }

    /// Changes towards something to be read, an end or an error, counted. By the stack.
    pub fn inward(self) -> &'a AtomicU32 {
        self.u32(8)
    }

    /// Changes towards room to write, an end or an error, counted. By the stack.
    pub fn outward(self) -> &'a AtomicU32 {
        self.u32(40)
    }

    /// Octets received, counted. By the stack.
    pub fn received(self) -> &'a AtomicU32 {
        self.u32(12)
    }

    /// Octets that were sent and acknowledged, or copied, counted. By the stack.
    pub fn released(self) -> &'a AtomicU32 {
        self.u32(16)
    }

    /// More is there than the ring has room for: the program tells of room. By the stack.
    pub fn stalled(self) -> &'a AtomicU32 {
        self.u32(36)
    }

    /// The rings, for receiving and for sending. By the stack.
    pub fn set_rings(self, receive: Ring, send: Ring) {
        for (at, ring) in [(20, receive), (28, send)] {
            self.u32(at).store(ring.at as u32, Ordering::Relaxed);
            self.u32(at + 4).store(ring.size, Ordering::Relaxed);
        }
    }

    /// The ring for receiving, as the stack says.
    pub fn receive_ring(self) -> Ring {
        self.ring(20)
    }

    /// The ring for sending, as the stack says.
    pub fn send_ring(self) -> Ring {
        self.ring(28)
    }

    fn ring(self, at: usize) -> Ring {
        let word = |at| self.u32(at).load(Ordering::Relaxed);
        Ring { at: word(at) as usize, size: word(at + 4) }
    }

    /// Where the table of pieces is; 0: there is none. By the stack.
    pub fn pieces(self) -> &'a AtomicU32 {
        self.u32(44)
    }

    /// Pieces that were put into the table, counted. By the stack.
    pub fn pieces_put(self) -> &'a AtomicU32 {
        self.u32(48)
    }

    /// Pieces that were read to their end, counted. By the program, for itself.
    pub fn pieces_seen(self) -> &'a AtomicU32 {
        self.u32(92)
    }

    /// Octets that were taken out, counted. By the program, and [`REVOKED`].
    pub fn taken(self) -> &'a AtomicU64 {
        self.u64(64)
    }

    /// Octets that were put in, counted. By the program, and [`REVOKED`].
    pub fn put(self) -> &'a AtomicU64 {
        self.u64(72)
    }

    /// Events that ring the bell. By the program.
    pub fn armed(self) -> &'a AtomicU32 {
        self.u32(80)
    }

    /// The program found no room to send. By the program, and the stack that tells of room.
    pub fn wants_room(self) -> &'a AtomicU32 {
        self.u32(84)
    }

    /// The program has closed the socket: its generation. By the program.
    pub fn closed(self) -> &'a AtomicU32 {
        self.u32(88)
    }

    /// Begins anew, for another socket. By the stack.
    pub fn reset(self, generation: u32) {
        self.state().store(0, Ordering::Relaxed);
        for at in [8, 12, 16, 20, 24, 28, 32, 36, 40, 44, 48, 80, 84, 88, 92] {
            self.u32(at).store(0, Ordering::Relaxed);
        }
        self.taken().store(0, Ordering::Relaxed);
        self.put().store(0, Ordering::Relaxed);
        self.generation().store(generation, Ordering::Release);
    }
}
