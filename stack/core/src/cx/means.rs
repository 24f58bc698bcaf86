//! Time, randomness and memory, and the ends of messages.

use super::Cx;
use crate::module::Drop;
use crate::queue::Side;
use crate::rng::Rng;
use crate::trace::End;
use millstream_msg::{Kind, Msg, NoMem, Pool};

/// Time, randomness, memory.
impl Cx<'_> {
    /// Time of this turn, in nanoseconds since an arbitrary start. Monotonic.
    #[inline]
    pub fn now(&self) -> u64 {
        self.net.now
    }

    /// Time of this turn as nanoseconds since 1970-01-01 00:00 UTC.
    pub fn wall(&self) -> u64 {
        self.net.now.wrapping_add(self.net.wall_offset)
    }

    /// Reproducible random numbers.
    #[inline]
    pub fn rng(&mut self) -> &mut Rng {
        &mut self.net.rng
    }

    /// The pool of this perimeter.
    #[inline]
    pub fn pool(&mut self) -> &mut Pool {
        &mut self.net.pool
    }

    /// An empty message with `headroom` bytes in front and room for `len` (`allocb(9F)`).
    #[inline]
    pub fn alloc(&mut self, headroom: usize, len: usize) -> Result<Msg, NoMem> {
        self.net.pool.alloc(headroom, len)
    }

    /// Calls `timer(token)` of this node at `at` (nanoseconds) or up to 66 us later. Setting it
    /// again moves it.
    pub fn timer(&mut self, token: u64, at: u64) {
        self.net.timers.set(self.node, token, at);
    }

    /// Calls `timer(token)` of this node, once, when the stack has nothing else to do: for what is
    /// better left undone if something else does it meanwhile. At the end of this turn, or of one
    /// soon behind it while the stack's owner knows of work that comes: see
    /// [`Perimeter::turn_on`](crate::Perimeter::turn_on).
    pub fn at_rest(&mut self, token: u64) {
        if !self.net.resting.contains(&(self.node, token)) {
            self.net.resting.push((self.node, token));
        }
    }

    /// Cancels a timer; true when it was set. It will not run after this returns.
    pub fn cancel(&mut self, token: u64) -> bool {
        self.net.timers.cancel(self.node, token)
    }

    /// Frees a message that has done its work.
    #[inline]
    pub fn free(&mut self, msg: Msg) {
        self.net.stat(self.node).consumed += 1;
        self.net.note_end(&msg, End::Consumed);
        self.net.pool.spend(msg);
    }

    /// Counts messages that have done their work and were freed elsewhere.
    pub fn count_consumed(&mut self, count: u64) {
        self.net.stat(self.node).consumed += count;
    }

    /// Drops a message, and counts why.
    #[inline]
    pub fn discard(&mut self, msg: Msg, reason: impl Into<Drop>) {
        self.net.discard(self.node, msg, reason.into());
    }

    /// Counts drops of messages that were freed elsewhere (a cache, a reassembly).
    pub fn count_drops(&mut self, reason: impl Into<Drop>, count: u64) {
        self.net.stat(self.node).drop(reason.into(), count);
    }

    /// Builds a control message and sends it in a direction (`putnextctl1(9F)`); false without
    /// memory. Not for data types.
    pub fn put_control(&mut self, side: Side, kind: Kind, bytes: &[u8]) -> bool {
        debug_assert!(!kind.is_data_class(), "putctl refuses data types");
        let Ok(mut msg) = self.net.pool.alloc_reserve(0, bytes.len()) else { return false };
        msg.set_kind(kind);
        msg.spare_mut()[..bytes.len()].copy_from_slice(bytes);
        msg.commit(bytes.len());
        self.put(side, msg);
        true
    }
}
