//! What a multiplexor does with its streams.

use super::Cx;
use crate::mux::{Lower, Upper};
use crate::net::{NONE, QueueNo, queue_no};
use crate::queue::Side;
use crate::slab::Key;
use millstream_msg::{Band, Kind, Msg, MsgList};

/// A multiplexor's streams.
impl Cx<'_> {
    /// Puts a message up an upper.
    #[inline]
    pub fn put_upper(&mut self, upper: Upper, msg: Msg) {
        self.put_beyond(upper.pair, Side::Read, msg);
    }

    /// Puts a message down a lower.
    #[inline]
    pub fn put_lower(&mut self, lower: Lower, msg: Msg) {
        self.put_beyond(lower.pair, Side::Write, msg);
    }

    /// Puts messages up an upper together, in order.
    pub fn put_upper_batch(&mut self, upper: Upper, batch: MsgList) {
        self.put_all_beyond(upper.pair, Side::Read, batch);
    }

    /// Puts messages down a lower together, in order.
    pub fn put_lower_batch(&mut self, lower: Lower, batch: MsgList) {
        self.put_all_beyond(lower.pair, Side::Write, batch);
    }

    /// Is there room up an upper? After a refusal `upper_relieved` is called when there is.
    pub fn canput_upper(&mut self, upper: Upper, band: Band) -> bool {
        let next = self.beyond(upper.pair, Side::Read);
        self.canput_at(next, band)
    }

    /// Is there room down a lower? After a refusal `lower_relieved` is called when there is.
    pub fn canput_lower(&mut self, lower: Lower, band: Band) -> bool {
        let next = self.beyond(lower.pair, Side::Write);
        self.canput_at(next, band)
    }

    /// What waits above an upper, up to where its flow control looks, in band 0: bytes, and for
    /// each message what its marks charge. When that is above the low-water mark,
    /// `upper_relieved` is called once it is not.
    pub fn upper_held(&mut self, upper: Upper) -> u32 {
        let next = self.beyond(upper.pair, Side::Read);
        self.net.queue(next).map(|q| q.target).map_or(0, |target| self.net.watch(target))
    }

    /// Does data (M_DATA) wait above an upper, where its flow control looks?
    pub fn upper_has_data(&self, upper: Upper) -> bool {
        let next = self.beyond(upper.pair, Side::Read);
        let target = self.net.queue(next).map(|q| q.target);
        let held = target.and_then(|target| self.net.queue(target)).map(|q| &q.held);
        held.is_some_and(|held| held.iter().any(|msg| msg.kind() == Kind::Data))
    }

    /// Sets the number that comes with an upper from now on.
    pub fn set_upper_cookie(&mut self, upper: Upper, cookie: u64) {
        self.set_cookie(upper.pair, cookie);
    }

    /// Sets the number that comes with a lower from now on.
    pub fn set_lower_cookie(&mut self, lower: Lower, cookie: u64) {
        self.set_cookie(lower.pair, cookie);
    }

    /// Queues a message on an upper's write queue.
    pub fn putq_upper(&mut self, upper: Upper, msg: Msg) {
        match self.own(upper.pair, Side::Write) {
            Some(queue) => self.net.putq(queue, msg),
            None => self.net.lose(msg),
        }
    }

    /// Puts a message back on an upper's write queue.
    pub fn putbq_upper(&mut self, upper: Upper, msg: Msg) {
        match self.own(upper.pair, Side::Write) {
            Some(queue) => self.net.putbq(queue, msg),
            None => self.net.lose(msg),
        }
    }

    /// The first message of an upper's write queue.
    pub fn getq_upper(&mut self, upper: Upper) -> Option<Msg> {
        let queue = self.own(upper.pair, Side::Write)?;
        self.net.getq(queue)
    }

    /// Messages in an upper's write queue.
    pub fn upper_len(&self, upper: Upper) -> usize {
        self.own(upper.pair, Side::Write)
            .and_then(|queue| self.net.queue(queue))
            .map_or(0, |q| q.held.len())
    }

    /// Schedules the service of an upper's write queue.
    pub fn qenable_upper(&mut self, upper: Upper) {
        if let Some(queue) = self.own(upper.pair, Side::Write) {
            self.net.qenable(queue);
        }
    }

    /// Schedules the service of a lower's read queue.
    pub fn qenable_lower(&mut self, lower: Lower) {
        if let Some(queue) = self.own(lower.pair, Side::Read) {
            self.net.qenable(queue);
        }
    }

    fn put_beyond(&mut self, pair: Key, side: Side, msg: Msg) {
        let next = self.count_beyond(pair, side, 1);
        self.net.post(next, msg);
    }

    fn put_all_beyond(&mut self, pair: Key, side: Side, batch: MsgList) {
        let next = self.count_beyond(pair, side, batch.len() as u64);
        self.net.post_batch(next, batch);
    }

    /// Counts messages that go out by a stream; the queue that takes them.
    #[inline]
    fn count_beyond(&mut self, pair: Key, side: Side, msgs: u64) -> QueueNo {
        let at = self.net.pairs.get(pair).map(|p| (p.next(side), p.stat));
        let (next, stat) = at.unwrap_or((NONE, NONE));
        match self.net.stats.record(stat) {
            Some(record) => record.rest.msgs_out[side as usize] += msgs,
            None => self.net.stat(self.node).msgs_out[side as usize] += msgs,
        }
        next
    }

    fn own(&self, pair: Key, side: Side) -> Option<QueueNo> {
        self.net.pairs.get(pair).map(|_| queue_no(pair.index, side))
    }

    fn beyond(&self, pair: Key, side: Side) -> QueueNo {
        match self.own(pair, side) {
            Some(queue) => self.net.next_of(queue),
            None => NONE,
        }
    }

    pub(super) fn canput_at(&mut self, queue: QueueNo, band: Band) -> bool {
        match self.net.queue(queue).map(|q| q.target) {
            Some(target) => self.net.canput(target, band),
            None => true,
        }
    }

    fn set_cookie(&mut self, pair: Key, cookie: u64) {
        if let Some(pair) = self.net.pairs.get_mut(pair) {
            pair.cookie = cookie;
        }
    }
}
