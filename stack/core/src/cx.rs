//! What a module can do while it runs.

use crate::device::Caps;
use crate::flow::Due;
use crate::held::QueueView;
use crate::module::{Drop, Marks};
use crate::mux::{Lower, Upper};
use crate::net::{NONE, Net, QueueNo, queue_no, side_of};
use crate::queue::{Flush, NO_ENABLE, Side, WANT_READ, is_ordinary};
use crate::rng::Rng;
use crate::slab::Key;
use crate::trace::End;
use millstream_msg::{Band, Kind, Msg, MsgList, NoMem, Pool};

/// The context of one dispatch: the net, as seen from one node.
///
/// Methods without a side work on the side that is running: read for `r` procedures, write for
/// `w` procedures, read in timers, open and drain (use the methods that name a side there).
pub struct Cx<'a> {
    pub(crate) net: &'a mut Net,
    pub(crate) node: u32,
    pub(crate) pair: u32,
    pub(crate) side: Side,
    /// Outputs in the own direction wait in the net's `out` for the end of the dispatch.
    gather: bool,
    /// The neighbour's queue in the own direction.
    next: QueueNo,
    charge: Charge,
}

/// What flow control still counts for the input of a dispatch.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Charge {
    /// Nothing.
    Nothing,
    /// One message of band 0 of so many bytes, at a target beyond the own queue: passing it on
    /// leaves its charge as it is, which is most of flow control's work saved.
    One(u32),
    /// The one message was passed on with its charge.
    Passed,
    /// This much.
    Due(Due),
    /// It was taken back; writers of this queue may wait.
    Eased(QueueNo),
}

/// How a dispatch runs.
impl<'a> Cx<'a> {
    /// A context that posts at once.
    #[inline]
    pub(crate) fn new(net: &'a mut Net, node: u32, pair: u32, side: Side) -> Self {
        let next = net.next_of(queue_no(pair, side));
        Self { net, node, pair, side, gather: false, next, charge: Charge::Nothing }
    }

    /// A context for the put of one message.
    #[inline(always)]
    pub(crate) fn one(
        net: &'a mut Net,
        node: u32,
        queue: QueueNo,
        next: QueueNo,
        charge: Charge,
    ) -> Self {
        let (pair, side) = (queue >> 1, side_of(queue));
        Self { net, node, pair, side, gather: false, next, charge }
    }

    /// A context for puts of many messages or for a service procedure: it gathers the outputs.
    #[inline]
    pub(crate) fn many(
        net: &'a mut Net,
        node: u32,
        queue: QueueNo,
        next: QueueNo,
        charge: Charge,
    ) -> Self {
        debug_assert!(net.out.is_empty(), "one dispatch at a time");
        Self { gather: true, ..Self::one(net, node, queue, next, charge) }
    }

    /// The one message was passed on with its charge: nothing is left to settle.
    #[inline(always)]
    pub(crate) fn passed_straight(&self) -> bool {
        matches!(self.charge, Charge::Passed)
    }

    /// The dispatch is over: posts what was gathered and settles flow control.
    #[inline]
    pub(crate) fn end(&mut self) {
        if self.gather && !self.net.out.is_empty() {
            self.post_out();
        }
        if let Charge::Eased(target) = self.charge {
            self.net.relief(target);
        } else if let Some(due) = self.due() {
            self.net.release(due);
        }
    }

    /// The end of a dispatch of one message that was counted as passed on and was not.
    pub(crate) fn end_single(&mut self) {
        self.end();
        let at = self.side as usize;
        let Some(place) = self.net.pairs.at(self.pair).map(|pair| pair.stat) else { return };
        if let Some(record) = self.net.stats.record(place) {
            record.straight[at] -= 1;
            record.rest.calls[at] += 1;
            record.rest.msgs_in[at] += 1;
        }
    }

    /// What is left of the input's charge.
    #[inline]
    fn due(&self) -> Option<Due> {
        match self.charge {
            Charge::One(bytes) => {
                let pair = self.net.pairs.at(self.pair)?;
                Some(Due { target: pair.queues[self.side as usize].target, bytes, msgs: 1 })
            }
            Charge::Due(due) if due.msgs | due.bytes != 0 => Some(due),
            Charge::Due(_) | Charge::Nothing | Charge::Passed | Charge::Eased(_) => None,
        }
    }

    /// Discharges what is left of the input before the end.
    fn ease(&mut self) {
        if let Some(due) = self.due() {
            self.net.discharge_due(due);
            self.charge = Charge::Eased(due.target);
        }
    }

    fn post_out(&mut self) {
        let out = core::mem::take(&mut self.net.out);
        self.net.stat(self.node).msgs_out[self.side as usize] += out.len() as u64;
        let banded = core::mem::take(&mut self.net.out_banded);
        match &mut self.charge {
            Charge::Due(due) if !banded => self.net.post_moved(self.next, out, due),
            _ => self.net.post_batch(self.next, out),
        }
    }
}

/// A module's queues and neighbours.
impl Cx<'_> {
    /// Passes a message on in the direction it came (`putnext(9F)`). Calls nobody: the neighbour
    /// runs after this procedure has returned.
    #[inline(always)]
    pub fn putnext(&mut self, msg: Msg) {
        if let Charge::One(bytes) = self.charge
            && msg.len() as u32 == bytes
            && msg.band().0 == 0
            && self.net.direct
        {
            self.charge = Charge::Passed;
            self.net.hand_on(self.next, msg);
        } else if self.gather {
            self.net.out_banded |= msg.band().0 != 0;
            self.net.out.push(msg);
        } else {
            self.putnext_otherwise(msg);
        }
    }

    fn putnext_otherwise(&mut self, msg: Msg) {
        if let Charge::One(bytes) = self.charge
            && msg.len() as u32 == bytes
            && msg.band().0 == 0
        {
            self.charge = Charge::Passed;
            return self.net.deliver(self.next, msg);
        }
        self.net.stat(self.node).msgs_out[self.side as usize] += 1;
        self.net.post(self.next, msg);
    }

    /// Passes a message on upward (read) or downward (write).
    #[inline]
    pub fn put(&mut self, side: Side, msg: Msg) {
        if side == self.side {
            return self.putnext(msg);
        }
        let Some(pair) = self.net.pairs.at(self.pair) else { return self.net.lose(msg) };
        let (next, stat) = (pair.next(side), pair.stat);
        match self.net.stats.record(stat) {
            Some(record) => record.rest.msgs_out[side as usize] += 1,
            None => self.net.stat(self.node).msgs_out[side as usize] += 1,
        }
        self.net.post(next, msg);
    }

    /// Passes messages on together, in order.
    pub fn put_batch(&mut self, side: Side, mut batch: MsgList) {
        if side == self.side && self.gather {
            self.net.out_banded |= batch.iter().any(|msg| msg.band().0 != 0);
            return self.net.out.append(&mut batch);
        }
        let next = self.net.next_of(queue_no(self.pair, side));
        self.net.stat(self.node).msgs_out[side as usize] += batch.len() as u64;
        self.net.post_batch(next, batch);
    }

    /// Sends a message back the way it came (`qreply(9F)`).
    #[inline]
    pub fn qreply(&mut self, msg: Msg) {
        self.put(self.side.other(), msg);
    }

    /// Is there room for an ordinary message of this band ahead? After a refusal the service
    /// procedure is enabled when there is (`bcanputnext(9F)`).
    #[inline]
    pub fn canputnext(&mut self, band: Band) -> bool {
        self.canput(self.side, band)
    }

    /// As [`Cx::canputnext`], for a named direction.
    #[inline]
    pub fn canput(&mut self, side: Side, band: Band) -> bool {
        if side != self.side {
            let next = self.net.next_of(queue_no(self.pair, side));
            return self.canput_at(next, band);
        }
        let Some(target) = self.net.queue(self.next).map(|q| q.target) else { return true };
        // With what was gathered there is room even while the input is charged too.
        let (bytes, msgs) = (self.net.out.bytes(), self.net.out.len() as u32);
        if band.0 == 0 && !self.net.out_banded && self.net.has_room(target, bytes, msgs) {
            return true;
        }
        self.canput_exactly(target, band)
    }

    #[cold]
    fn canput_exactly(&mut self, target: QueueNo, band: Band) -> bool {
        if self.gather && !self.net.out.is_empty() {
            self.post_out();
        }
        // The input may be charged there too.
        self.ease();
        self.net.canput(target, band)
    }

    /// Queues a message behind those of the same priority (`putq(9F)`).
    pub fn putq(&mut self, msg: Msg) {
        self.net.putq(queue_no(self.pair, self.side), msg);
    }

    /// Queues a message on a named side.
    pub fn putq_on(&mut self, side: Side, msg: Msg) {
        self.net.putq(queue_no(self.pair, side), msg);
    }

    /// Puts a message back in front of those of its priority (`putbq(9F)`). Never a high-priority
    /// one from a service procedure: it would enable itself for ever.
    pub fn putbq(&mut self, msg: Msg) {
        self.net.putbq(queue_no(self.pair, self.side), msg);
    }

    /// The first message of the own queue (`getq(9F)`).
    pub fn getq(&mut self) -> Option<Msg> {
        self.net.getq(queue_no(self.pair, self.side))
    }

    /// The first message of the own queue on a named side.
    pub fn getq_on(&mut self, side: Side) -> Option<Msg> {
        self.net.getq(queue_no(self.pair, side))
    }

    /// Inserts a message into an own queue before the one at a place, or at the end (`insq(9F)`).
    ///
    /// # Errors
    /// The message is given back when there is no such place, or when it would break the order of
    /// the queue: high priority, then bands from 255 down to 0.
    pub fn insq(&mut self, side: Side, before: Option<usize>, msg: Msg) -> Result<(), Msg> {
        self.net.insq(queue_no(self.pair, side), before, msg)
    }

    /// Takes the message at a place of an own queue out (`rmvq(9F)`); places count from the front.
    pub fn rmvq(&mut self, side: Side, at: usize) -> Option<Msg> {
        self.net.rmvq(queue_no(self.pair, side), at)
    }

    /// The messages of an own queue, first to last.
    pub fn queued(&self, side: Side) -> impl Iterator<Item = &Msg> {
        self.net.queue(queue_no(self.pair, side)).into_iter().flat_map(|q| q.held.iter())
    }

    /// Water marks and counts of an own queue (`strqget(9F)`), for one band. Only the marks can be
    /// set ([`Cx::set_marks`]); the counts follow what the queue holds.
    pub fn queue_view(&self, side: Side, band: Band) -> Option<QueueView> {
        self.net.queue_view(queue_no(self.pair, side), band)
    }

    /// Messages in the own queue (`qsize(9F)`).
    pub fn queue_len(&self) -> usize {
        self.net.queue(queue_no(self.pair, self.side)).map_or(0, |q| q.held.len())
    }

    /// Messages in the own queue on a named side.
    pub fn queue_len_on(&self, side: Side) -> usize {
        self.net.queue(queue_no(self.pair, side)).map_or(0, |q| q.held.len())
    }

    /// Schedules the own service procedure (`qenable(9F)`).
    pub fn qenable(&mut self, side: Side) {
        self.net.qenable(queue_no(self.pair, side));
    }

    /// Ordinary messages do not schedule the service procedure (`noenable(9F)`), or do again
    /// (`enableok(9F)`).
    pub fn set_enabling(&mut self, side: Side, on: bool) {
        if let Some(q) = self.net.queue_mut(queue_no(self.pair, side)) {
            if on { q.clear(NO_ENABLE) } else { q.set(NO_ENABLE) }
        }
    }

    /// Sets the water marks of an own queue (`strqset(9F)`); writers that now have room are
    /// called back.
    pub fn set_marks(&mut self, side: Side, marks: Marks) {
        self.net.set_marks(queue_no(self.pair, side), marks);
    }

    /// The canonical service procedure: passes on while there is room.
    pub fn forward_queue(&mut self) {
        let queue = queue_no(self.pair, self.side);
        if self.gather
            && !self.net.out_banded
            && let Some(target) = self.net.queue(self.next).map(|q| q.target)
        {
            self.net.forward_run(queue, target);
        }
        while let Some(front) = self.net.queue(queue).and_then(|q| q.held.front()) {
            let (kind, band) = (front.kind(), front.band());
            if is_ordinary(kind) && !self.canputnext(band) {
                // As after getq and putbq: the next putq does not enable, the relief does.
                if let Some(q) = self.net.queue_mut(queue) {
                    q.clear(WANT_READ);
                }
                return;
            }
            if let Some(msg) = self.net.getq(queue) {
                self.putnext(msg);
            }
        }
        if let Some(q) = self.net.queue_mut(queue) {
            q.set(WANT_READ);
        }
    }

    /// The canonical put of a module with a service procedure: passes on while the own queue is
    /// empty and there is room, queues otherwise. M_FLUSH flushes the own queues first.
    pub fn put_or_queue(&mut self, msg: Msg) {
        if !is_ordinary(msg.kind()) {
            if msg.kind() == Kind::Flush {
                self.flush_own(&msg);
            }
            self.putnext(msg);
        } else if self.queue_len() == 0 && self.canputnext(msg.band()) {
            self.putnext(msg);
        } else {
            self.putq(msg);
        }
    }

    /// Flushes the own queues as an M_FLUSH says (E61). The message itself is to be passed on.
    pub fn flush_own(&mut self, flush: &Msg) {
        use crate::tpi::flush::{READ, WRITE, parse};
        let (bits, band) = parse(flush.first());
        for (bit, side) in [(READ, Side::Read), (WRITE, Side::Write)] {
            if bits & bit != 0 {
                self.flushq(side, Flush::All, band);
            }
        }
    }

    /// Ends an M_FLUSH of an upper, as at a driver: its write queue is flushed, the rest goes back
    /// up (E62, H8).
    pub fn turn_flush_upper(&mut self, upper: Upper, msg: Msg) {
        match self.own(upper.pair, Side::Write) {
            Some(queue) => crate::driver::turn_flush(self.net, self.node, queue >> 1, msg),
            None => self.net.lose(msg),
        }
    }

    /// Turns an M_FLUSH of a lower round, as at a head: its read queue is flushed, and the write
    /// side once (E63, H8).
    pub fn turn_flush_lower(&mut self, lower: Lower, msg: Msg) {
        let Some(queue) = self.own(lower.pair, Side::Read) else { return self.net.lose(msg) };
        let (bits, band) = crate::tpi::flush::parse(msg.first());
        if bits & crate::tpi::flush::READ != 0 {
            for flushed in self.net.flushq(queue, Flush::All, band) {
                self.discard(flushed, Drop::FLUSHED);
            }
        }
        crate::head::turn_round(self.net, queue >> 1, msg);
    }

    /// Removes messages of the own queue (`flushq(9F)`, `flushband(9F)`); they are counted as
    /// flushed.
    pub fn flushq(&mut self, side: Side, what: Flush, band: Option<Band>) {
        let flushed = self.net.flushq(queue_no(self.pair, side), what, band);
        for msg in flushed {
            self.discard(msg, Drop::FLUSHED);
        }
    }

    /// Says what device the streams above this node may take it for: that of a multiplexor's
    /// lower stream.
    pub fn set_caps(&mut self, caps: Option<Caps>) {
        match caps {
            Some(caps) => self.net.caps.insert(self.node, caps),
            None => self.net.caps.remove(&self.node),
        };
    }

    /// The device at the bottom of this stream, when there is one.
    pub fn caps(&self) -> Option<Caps> {
        let mut at = self.pair;
        loop {
            let pair = self.net.pairs.at(at)?;
            if pair.down == NONE {
                return self.net.caps.get(&pair.node).copied();
            }
            at = pair.down;
        }
    }
}

/// A multiplexor's streams.
impl Cx<'_> {
    /// Puts a message up an upper.
    pub fn put_upper(&mut self, upper: Upper, msg: Msg) {
        let next = self.beyond(upper.pair, Side::Read);
        self.net.stat(self.node).msgs_out[0] += 1;
        self.net.post(next, msg);
    }

    /// Puts a message down a lower.
    pub fn put_lower(&mut self, lower: Lower, msg: Msg) {
        let next = self.beyond(lower.pair, Side::Write);
        self.net.stat(self.node).msgs_out[1] += 1;
        self.net.post(next, msg);
    }

    /// Puts messages up an upper together, in order.
    pub fn put_upper_batch(&mut self, upper: Upper, batch: MsgList) {
        let next = self.beyond(upper.pair, Side::Read);
        self.net.stat(self.node).msgs_out[0] += batch.len() as u64;
        self.net.post_batch(next, batch);
    }

    /// Puts messages down a lower together, in order.
    pub fn put_lower_batch(&mut self, lower: Lower, batch: MsgList) {
        let next = self.beyond(lower.pair, Side::Write);
        self.net.stat(self.node).msgs_out[1] += batch.len() as u64;
        self.net.post_batch(next, batch);
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

    fn own(&self, pair: Key, side: Side) -> Option<QueueNo> {
        self.net.pairs.get(pair).map(|_| queue_no(pair.index, side))
    }

    fn beyond(&self, pair: Key, side: Side) -> QueueNo {
        match self.own(pair, side) {
            Some(queue) => self.net.next_of(queue),
            None => NONE,
        }
    }

    fn canput_at(&mut self, queue: QueueNo, band: Band) -> bool {
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

    /// Cancels a timer; true when it was set. It will not run after this returns.
    pub fn cancel(&mut self, token: u64) -> bool {
        self.net.timers.cancel(self.node, token)
    }

    /// Frees a message that has done its work.
    #[inline]
    pub fn free(&mut self, msg: Msg) {
        self.net.stat(self.node).consumed += 1;
        self.net.note_end(&msg, End::Consumed);
        self.net.pool.free(msg);
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

impl core::fmt::Debug for Cx<'_> {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("Cx").field("node", &self.node).field("side", &self.side).finish()
    }
}
