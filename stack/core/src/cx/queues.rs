//! What a module does with its queues and neighbours.

use super::{Charge, Cx};
use crate::device::Caps;
use crate::held::QueueView;
use crate::module::{Drop, Marks};
use crate::net::{NONE, QueueNo, queue_no};
use crate::queue::{Flush, NO_ENABLE, Side, WANT_READ, is_ordinary};
use millstream_msg::{Band, Kind, Msg, MsgList};

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
    #[inline]
    pub fn put_batch(&mut self, side: Side, batch: MsgList) {
        match batch.into_one() {
            Ok(msg) => self.put(side, msg),
            Err(batch) if batch.is_empty() => {}
            Err(batch) => self.put_many(side, batch),
        }
    }

    fn put_many(&mut self, side: Side, mut batch: MsgList) {
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
            if pair.down() == NONE {
                return self.net.caps.get(&pair.node).copied();
            }
            at = pair.down();
        }
    }
}
