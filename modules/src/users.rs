//! The streams above a multiplexor by number, the one below, and flow control between them.
//!
//! A multiplexor asks with [`Users::admits`] whether messages of a user may go on, queues them at
//! that user otherwise, and takes them with [`Users::next`] in its service procedure. Those that
//! the lower stream has no room for wait in a list; relief wakes the first, and who has finished
//! wakes the next. So relief costs the same with 100,000 users, idle or waiting.

use crate::room::grow_for;
use alloc::collections::VecDeque;
use alloc::vec::Vec;
use millstream_core::{Cx, Drop, Errno, Key, Lower, Upper};
use millstream_msg::{Band, Msg, MsgList};

/// Users of a multiplexor with one stream below.
#[derive(Debug, Default)]
pub struct Users {
    /// By number.
    slots: Vec<Slot>,
    lower: Option<Lower>,
    /// Numbers whose slots say `waits`, the longest first.
    waiting: VecDeque<u32>,
}

/// A user; its number is its stream's cookie. 12 bytes, of 100,000.
#[derive(Clone, Copy, Debug)]
struct Slot {
    stream: Key,
    is_open: bool,
    /// In the list of those that wait, once. Outlives the user: the next of the same number is
    /// woken for nothing, which does no harm.
    waits: bool,
}

impl Slot {
    const FREE: Self =
        Self { stream: Key { index: 0, generation: 0 }, is_open: false, waits: false };
}

impl Users {
    /// A stream was opened above; its cookie is this number from now on.
    pub fn open(&mut self, cx: &mut Cx<'_>, mut upper: Upper, number: u32) {
        let at = number as usize;
        if self.slots.len() <= at {
            grow_for(&mut self.slots, at + 1);
            self.slots.resize(at + 1, Slot::FREE);
            // Here, so that no service procedure has to take memory.
            self.waiting.reserve_exact(self.slots.capacity() - self.waiting.len());
        }
        upper.cookie = u64::from(number);
        cx.set_upper_cookie(upper, upper.cookie);
        (self.slots[at].stream, self.slots[at].is_open) = (upper.key(), true);
    }

    /// A stream above is gone.
    pub fn close(&mut self, cx: &mut Cx<'_>, number: u32) {
        let Some(slot) = self.slots.get_mut(number as usize) else { return };
        slot.is_open = false;
        // It may have been woken and not served: then nobody else wakes the next.
        if !slot.waits {
            self.wake(cx);
        }
    }

    /// The stream of a number.
    pub fn upper(&self, number: u32) -> Option<Upper> {
        let slot = self.slots.get(number as usize).filter(|slot| slot.is_open)?;
        Some(Upper::of(slot.stream, number.into()))
    }

    /// All streams above.
    pub fn iter(&self) -> impl Iterator<Item = Upper> {
        (0..self.slots.len() as u32).filter_map(|number| self.upper(number))
    }

    /// A stream was linked below.
    ///
    /// # Errors
    /// `EBUSY`: there is one.
    pub fn link(&mut self, lower: Lower) -> Result<(), Errno> {
        if self.lower.is_some() {
            return Err(Errno::EBUSY);
        }
        self.lower = Some(lower);
        Ok(())
    }

    /// The stream below is gone. Who waited for it waits no longer.
    pub fn unlink(&mut self, cx: &mut Cx<'_>) {
        self.lower = None;
        self.wake(cx);
    }

    /// The stream below.
    pub fn lower(&self) -> Option<Lower> {
        self.lower
    }

    /// May messages of this user go on now? Otherwise ordinary ones belong in its queue.
    pub fn admits(&self, cx: &mut Cx<'_>, from: Upper) -> bool {
        cx.upper_len(from) == 0 && self.has_room(cx)
    }

    /// The next message of a user's queue, for the service procedure: until there is none, or no
    /// room for it.
    pub fn next(&mut self, cx: &mut Cx<'_>, user: Upper) -> Option<Msg> {
        if !self.has_room(cx) {
            if let Some(slot) = self.slots.get_mut(user.cookie as usize)
                && !core::mem::replace(&mut slot.waits, true)
            {
                self.waiting.push_back(user.cookie as u32);
            }
            return None;
        }
        let msg = cx.getq_upper(user);
        if msg.is_none() {
            self.wake(cx);
        }
        msg
    }

    /// The stream below has room again.
    pub fn relieved(&mut self, cx: &mut Cx<'_>) {
        self.wake(cx);
    }

    /// Sends messages down; they are lost when nothing is linked.
    pub fn put_down(&self, cx: &mut Cx<'_>, batch: MsgList) {
        match self.lower {
            Some(lower) if !batch.is_empty() => cx.put_lower_batch(lower, batch),
            _ => batch.for_each(|msg| cx.discard(msg, Drop::GONE)),
        }
    }

    fn has_room(&self, cx: &mut Cx<'_>) -> bool {
        self.lower.is_none_or(|lower| cx.canput_lower(lower, Band(0)))
    }

    /// Has the one that waits longest served. It wakes the next when it is done.
    fn wake(&mut self, cx: &mut Cx<'_>) {
        while let Some(number) = self.waiting.pop_front() {
            let Some(slot) = self.slots.get_mut(number as usize) else { continue };
            slot.waits = false;
            if let Some(upper) = self.upper(number) {
                return cx.qenable_upper(upper);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::boxed::Box;
    use millstream_core::{Contract, LinkInfo, Marks, Mux, MuxInfo, Step};
    use millstream_rig::RigMux;
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};

    /// Joins all users to one lower, and counts services.
    #[derive(Default)]
    struct Join {
        users: Users,
        opened: u32,
        served: Arc<AtomicUsize>,
    }

    impl Mux for Join {
        fn info(&self) -> &'static MuxInfo {
            const INFO: MuxInfo = MuxInfo {
                name: "join",
                about: "many to one",
                marks: Marks::DEFAULT,
                uwsrv: true,
                lrsrv: false,
                headroom: 0,
                contract: Contract::TRANSPARENT,
            };
            &INFO
        }
        fn uopen(&mut self, cx: &mut Cx<'_>, upper: Upper) -> Result<Step, Errno> {
            self.users.open(cx, upper, self.opened);
            self.opened += 1;
            Ok(Step::Done)
        }
        fn uclose(&mut self, cx: &mut Cx<'_>, upper: Upper) -> Step {
            self.users.close(cx, upper.cookie as u32);
            Step::Done
        }
        fn link(&mut self, _: &mut Cx<'_>, lower: Lower, _: LinkInfo) -> Result<(), Errno> {
            self.users.link(lower)
        }
        fn unlink(&mut self, cx: &mut Cx<'_>, _: Lower) {
            self.users.unlink(cx);
        }
        fn uwput(&mut self, cx: &mut Cx<'_>, from: Upper, msg: Msg) {
            if self.users.admits(cx, from) {
                self.users.put_down(cx, core::iter::once(msg).collect());
            } else {
                cx.putq_upper(from, msg);
            }
        }
        fn uwsrv(&mut self, cx: &mut Cx<'_>, upper: Upper) {
            self.served.fetch_add(1, Ordering::Relaxed);
            while let Some(msg) = self.users.next(cx, upper) {
                self.users.put_down(cx, core::iter::once(msg).collect());
            }
        }
        fn lower_relieved(&mut self, cx: &mut Cx<'_>, _: Lower) {
            self.users.relieved(cx);
        }
        fn lrput(&mut self, cx: &mut Cx<'_>, _: Lower, msg: Msg) {
            cx.free(msg);
        }
    }

    fn rig(users: usize) -> (RigMux, Arc<AtomicUsize>) {
        let join = Join::default();
        let served = Arc::clone(&join.served);
        (RigMux::new(Box::new(join), users, 1), served)
    }

    #[test]
    fn those_that_wait_are_served_in_their_order_when_there_is_room() {
        let (mut rig, _) = rig(3);
        rig.full_below(0);
        for (user, bytes) in [(2, b"a"), (0, b"b"), (1, b"c"), (2, b"d")] {
            rig.down(user, bytes);
        }
        assert!(rig.below_bytes(0).is_empty());
        rig.relieve_below(0);
        assert_eq!(rig.below_bytes(0), [b"a", b"d", b"b", b"c"]);
    }

    #[test]
    fn relief_does_not_touch_those_that_do_not_wait() {
        let (mut rig, served) = rig(1000);
        rig.full_below(0);
        rig.down(500, b"a");
        let before = served.load(Ordering::Relaxed);
        rig.relieve_below(0);
        assert_eq!(rig.below_bytes(0), [b"a"]);
        assert_eq!(served.load(Ordering::Relaxed) - before, 1);
    }

    #[test]
    fn a_user_that_closes_while_it_waits_holds_nobody_up() {
        let (mut rig, _) = rig(3);
        rig.full_below(0);
        for user in 0..3 {
            rig.down(user, &[user as u8]);
        }
        rig.close_upper(0);
        rig.relieve_below(0);
        // What it sent before it closed leaves too.
        assert_eq!(rig.below_bytes(0), [[0], [1], [2]]);
    }

    #[test]
    fn what_waits_for_a_stream_that_is_unlinked_is_dropped_by_name() {
        let (mut rig, _) = rig(2);
        rig.full_below(0);
        rig.down(0, b"a");
        rig.down(1, b"b");
        rig.unlink_lower(0);
        assert_eq!(rig.drops(Drop::GONE), 2);
    }
}
