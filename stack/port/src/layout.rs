//! Where things lie in the memory that a stack and a program share. The stack decides, and tells
//! the program how many sockets and bytes there are; neither reads it back.

/// Sizes of one port's memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Layout {
    /// Sockets at once: slots. At most [`SLOTS_MAX`].
    pub slots: usize,
    /// Bytes that rings of sockets are made of.
    pub pool: usize,
}

/// Slots that two words of bits name: 64 words of 64.
pub const SLOTS_MAX: usize = 4096;

/// The stack sleeps: ring its bell (u32, written by the stack).
pub const ASLEEP: usize = 0x40;
/// The stack never sleeps, but asks again and again (u32, written by the stack before the program
/// attaches).
pub const POLLS: usize = 0x48;
/// Threads of the program that wait for its bell (u32, written by the program).
pub const SLEEPERS: usize = 0x80;
/// The call that a program makes.
pub const CALL: usize = 0xc0;
/// The answer to it.
pub const ANSWER: usize = 0x140;
/// Sockets that the stack is to look at: which words, then the words (written by both).
pub const KICKS: usize = 0x200;
/// Sockets that the program may look at: the same (written by both).
pub const CHANGED: usize = 0x600;
/// Slots.
const SLOTS: usize = 0x1000;

/// Bytes of a slot: one line of each side.
pub const SLOT: usize = 128;
/// Bytes that come with a call: a message's control part, data part, and what is around them.
pub const INPUT: usize = 72 * 1024;
/// Bytes that come with an answer.
pub const OUTPUT: usize = 72 * 1024;

const PAGE: usize = 4096;

impl Layout {
    /// Where a slot is.
    pub const fn slot(self, slot: usize) -> usize {
        SLOTS + slot * SLOT
    }

    /// Where the bytes of a call are.
    pub const fn input(self) -> usize {
        self.slot(self.slots).next_multiple_of(PAGE)
    }

    /// Where the bytes of an answer are.
    pub const fn output(self) -> usize {
        self.input() + INPUT
    }

    /// Where the rings are.
    pub const fn pool_at(self) -> usize {
        self.output() + OUTPUT
    }

    /// Bytes of all.
    pub const fn len(self) -> usize {
        (self.pool_at() + self.pool).next_multiple_of(PAGE)
    }

    /// Without room for anything.
    pub const fn is_empty(self) -> bool {
        self.slots == 0
    }
}

const _: () = assert!(KICKS + 8 + SLOTS_MAX / 8 <= CHANGED);
const _: () = assert!(CHANGED + 8 + SLOTS_MAX / 8 <= SLOTS);
