//! What a protocol function wants done: messages to send down, to pass up, and to discard with
//! their reasons. A face empties it after each call and keeps it for the next one.

use alloc::vec::Vec;
use millstream_msg::{Msg, MsgList, Pool};

/// Output of a protocol function. `R` is the protocol's enum of drop reasons.
///
/// # Shapes
/// Lists are in order. Nothing is allocated once `dropped` has grown to the largest burst.
#[derive(Debug)]
pub struct Actions<R> {
    /// Messages for the neighbour below.
    pub down: MsgList,
    /// Messages for the neighbour above.
    pub up: MsgList,
    /// Messages to discard, each with its reason. Empty it with `drain(..)`.
    pub dropped: Vec<(Msg, R)>,
    /// Messages that were input and ended here without fault (an ARP reply, say). Freed already.
    pub consumed: u32,
    /// Messages in `down` or `up` that were not input.
    pub created: u32,
}

impl<R: Copy> Actions<R> {
    /// No actions, with room for [`DROPS_ROOM`] drops.
    pub fn new() -> Self {
        Self {
            down: MsgList::new(),
            up: MsgList::new(),
            dropped: Vec::with_capacity(DROPS_ROOM),
            consumed: 0,
            created: 0,
        }
    }

    /// Discards one message.
    pub fn discard(&mut self, msg: Msg, reason: R) {
        self.dropped.push((msg, reason));
    }

    /// Discards all messages of a list.
    pub fn discard_all(&mut self, list: MsgList, reason: R) {
        for msg in list {
            self.discard(msg, reason);
        }
    }

    /// Ends a message that has served.
    pub fn consume(&mut self, msg: Msg, pool: &mut Pool) {
        self.consumed += 1;
        pool.spend(msg);
    }

    /// Sends down a message that was made here.
    pub fn create_down(&mut self, msg: Msg) {
        self.created += 1;
        self.down.push(msg);
    }
}

impl<R: Copy> Default for Actions<R> {
    fn default() -> Self {
        Self::new()
    }
}

/// The batch that a driver reads at once: a whole batch can be dropped without growth.
pub const DROPS_ROOM: usize = 32;

/// Defines an enum of drop reasons with `ALL` and `name()`.
macro_rules! reasons {
    ($(#[$meta:meta])* pub enum $enum:ident {
        $($(#[$doc:meta])* $reason:ident => $name:literal,)+
    }) => {
        $(#[$meta])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        #[non_exhaustive]
        #[repr(u8)]
        pub enum $enum { $($(#[$doc])* $reason,)+ }

        impl $enum {
            /// Every reason, in the order of their numbers (`reason as usize`).
            pub const ALL: &'static [Self] = &[$(Self::$reason,)+];

            /// The name in counters and in `stat`.
            pub const fn name(self) -> &'static str {
                match self { $(Self::$reason => $name,)+ }
            }
        }
    };
}
pub(crate) use reasons;
