//! The joints: pairs of queues, who is next to whom, and what follows from a change of it.

use super::error::PlumbError;
use super::pending::Place;
use crate::module::Marks;
use crate::net::{NONE, Pair, Role, queue_no};
use crate::perimeter::{Node, Perimeter, StreamId};
use crate::queue::{Flush, NO_ENABLE, Queue, SERVICE, Side, WANT_READ};
use alloc::vec::Vec;
use millstream_msg::MsgList;

impl Perimeter {
    /// The pairs of a stream's modules, from the bottom.
    pub(super) fn modules(&self, stream: StreamId) -> Result<Vec<u32>, PlumbError> {
        let s = self.streams.get(stream.0).ok_or(PlumbError::NoStream)?;
        let mut pairs = Vec::new();
        let mut at = self.net.pairs.at(s.bottom).map_or(NONE, Pair::up);
        while at != NONE && at != s.top {
            pairs.push(at);
            at = self.net.pairs.at(at).map_or(NONE, Pair::up);
        }
        Ok(pairs)
    }

    /// Position and pair of the module at a place.
    pub(super) fn pair_at(
        &self,
        stream: StreamId,
        place: Place,
    ) -> Result<(usize, u32), PlumbError> {
        let modules = self.modules(stream)?;
        let pos = match place {
            Place::Top => modules.len().saturating_sub(1),
            Place::At(pos) => pos,
        };
        let pair =
            modules.get(pos).ok_or(PlumbError::NoPosition { pos, modules: modules.len() })?;
        Ok((pos, *pair))
    }

    pub(super) fn bottom_of(&self, stream: StreamId) -> u32 {
        self.streams.get(stream.0).map_or(NONE, |s| s.bottom)
    }

    pub(super) fn node_of(&self, pair: u32) -> u32 {
        self.net.pairs.at(pair).map_or(NONE, |p| p.node)
    }

    pub(crate) fn new_pair(
        &mut self,
        node: u32,
        role: Role,
        marks: [Marks; 2],
        flags: [u16; 2],
    ) -> u32 {
        let marks = marks.map(|m| self.net.intern(m));
        let key = self.net.pairs.insert(Pair {
            queues: [Queue::new(marks[0], flags[0]), Queue::new(marks[1], flags[1])],
            node,
            stream: NONE,
            role,
            cookie: 0,
            bands: NONE,
            stat: NONE,
        });
        key.index
    }

    /// Makes `below` lead up to `lower_end` and `above` lead down to `upper_end`.
    pub(super) fn relink(&mut self, below: u32, above: u32, lower_end: u32, upper_end: u32) {
        if let Some(p) = self.net.pairs.at_mut(below) {
            p.lead(Side::Read, lower_end);
        }
        if let Some(p) = self.net.pairs.at_mut(above) {
            p.lead(Side::Write, upper_end);
        }
    }

    /// After a change: targets of both directions, and the headroom.
    pub(crate) fn settle(&mut self, stream: StreamId) {
        // A message in the slot is charged to a target that may be another one afterwards.
        self.spill_slot();
        let Some(s) = self.streams.get(stream.0) else { return };
        let (top, bottom) = (s.top, s.bottom);
        self.net.retarget(queue_no(top, Side::Read));
        self.net.retarget(queue_no(bottom, Side::Write));
        let mut headroom = 0_u16;
        let mut at = bottom;
        while at != NONE {
            let Some(p) = self.net.pairs.at(at) else { break };
            headroom = headroom.saturating_add(match self.nodes.at(p.node) {
                Some(Node::Module(m, _) | Node::Pending(m, _)) => m.info().headroom,
                Some(Node::Mux(m)) if p.role == Role::Upper => m.info().headroom,
                _ => 0,
            });
            at = p.up();
        }
        if let Some(s) = self.streams.get_mut(stream.0) {
            s.headroom = headroom;
        }
    }

    /// Gives queues a service procedure or takes it away: SERVICE and NO_ENABLE, read side first.
    pub(super) fn set_flags(&mut self, pair: u32, flags: [u16; 2]) {
        let Some(p) = self.net.pairs.at_mut(pair) else { return };
        for (queue, flags) in p.queues.iter_mut().zip(flags) {
            queue.clear(SERVICE | NO_ENABLE);
            queue.set(flags);
        }
    }

    pub(super) fn set_pair_marks(&mut self, pair: u32, marks: [Marks; 2]) {
        for (queue, marks) in Self::queues_of(pair).into_iter().zip(marks) {
            self.net.set_marks(queue, marks);
        }
    }

    /// Whoever waits for what is at or behind a pair asks again: nobody is stranded by a change
    /// (C30).
    pub(super) fn wake_before(&mut self, pair: u32) {
        for queue in Self::queues_of(pair) {
            self.net.backenable(queue);
        }
    }

    /// Runs what is in an inbox now.
    pub(super) fn run_now(&mut self, queue: u32) {
        self.run_inbox(queue);
        self.spill_slot();
    }

    /// Takes what a queue holds. Whoever waited to serve it has nothing to serve any more: the next
    /// message enables.
    pub(super) fn take_held(&mut self, queue: u32) -> MsgList {
        let held = self.net.flushq(queue, Flush::All, None);
        if let Some(q) = self.net.queue_mut(queue) {
            q.set(WANT_READ);
        }
        held
    }

    /// What a queue holds comes to its node once more, ahead of what is in the inbox.
    pub(super) fn put_again(&mut self, queue: u32) {
        let held = self.take_held(queue);
        // It is counted again when it comes.
        let (node, side) = (self.node_of(queue >> 1), (queue & 1) as usize);
        self.net.stats.uncount(node, side, &held);
        self.ledger_returns(queue, &held);
        self.put_ahead(queue, held);
    }

    /// What was posted to a pair that leaves, and not put to it, goes to its neighbours.
    pub(super) fn forward_inboxes(&mut self, pair: u32) {
        for queue in Self::queues_of(pair) {
            let Some(target) = self.net.queue(queue).map(|q| q.target) else { return };
            let inbox = self.net.take_inbox(queue);
            if inbox.is_empty() {
                continue;
            }
            self.net.ledger_unposts(queue, &inbox);
            self.net.discharge_batch(target, &inbox);
            let next = self.net.next_of(queue);
            self.net.post_batch(next, inbox);
            self.net.relief(target);
        }
    }

    /// Puts messages into an inbox ahead of what is there.
    pub(super) fn put_ahead(&mut self, queue: u32, messages: MsgList) {
        if messages.is_empty() {
            return;
        }
        let later = self.net.take_inbox(queue);
        if !later.is_empty() {
            let target = self.net.queue(queue).map_or(NONE, |q| q.target);
            self.net.discharge_batch(target, &later);
            self.net.ledger_unposts(queue, &later);
        }
        self.net.post_batch(queue, messages);
        self.net.post_batch(queue, later);
    }
}
