//! Flow control: charging, asking, calling back. Semantics C9 to C31.
//!
//! A message is charged to the *target* of the queue it is posted to: the nearest queue at or
//! after it with a service procedure. It stays charged while it is in transit through modules
//! without service procedures, and while the target holds it.

use crate::module::Marks;
use crate::net::{NONE, Net, QueueNo};
use crate::queue::{self, BANDED, Queue, SERVICE, WANT_BAND, WANT_WRITE, band_of};
use crate::slab::Key;
use alloc::vec::Vec;
use millstream_msg::{Band, Msg, MsgList};

/// Counts of the bands above 0 of a pair, made when the first such message is charged.
#[derive(Debug, Default)]
pub(crate) struct Bands {
    /// Sorted by band. By side.
    records: [Vec<BandRecord>; 2],
}

#[derive(Clone, Copy, Debug)]
struct BandRecord {
    band: u8,
    want_write: bool,
    bytes: u32,
    msgs: u32,
}

impl Bands {
    fn record(&mut self, side: usize, band: Band) -> &mut BandRecord {
        let records = &mut self.records[side];
        let at = match records.binary_search_by_key(&band.0, |r| r.band) {
            Ok(at) => at,
            Err(at) => {
                let fresh = BandRecord { band: band.0, want_write: false, bytes: 0, msgs: 0 };
                records.insert(at, fresh);
                at
            }
        };
        &mut records[at]
    }
}

/// What a dispatch has taken from an inbox and not yet discharged: band 0 only.
///
/// A module that passes a message on towards the same target leaves the charge as it is; that is
/// most of flow control's work saved.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Due {
    pub(crate) target: QueueNo,
    pub(crate) bytes: u32,
    pub(crate) msgs: u32,
}

impl Due {
    pub(crate) const NOTHING: Self = Self { target: NONE, bytes: 0, msgs: 0 };
}

impl Net {
    #[inline]
    pub(crate) fn charge(&mut self, target: QueueNo, msg: &Msg) {
        let len = msg.len() as u32;
        if msg.band().0 != 0 {
            return self.charge_band(target, band_of(msg), len);
        }
        self.charge_counts(target, len, 1);
    }

    #[inline]
    fn charge_counts(&mut self, target: QueueNo, bytes: u32, msgs: u32) {
        let Some(q) = self.queue_mut(target) else { return };
        q.bytes = q.bytes.wrapping_add(bytes);
        q.msgs += msgs;
    }

    /// Charges a batch; one addition when all of it is band 0.
    pub(crate) fn charge_batch(&mut self, target: QueueNo, batch: &MsgList) {
        if batch.iter().any(|msg| msg.band().0 != 0) {
            for msg in batch.iter() {
                self.charge(target, msg);
            }
            return;
        }
        self.charge_counts(target, batch.bytes(), batch.len() as u32);
    }

    /// Charges what a dispatch of band 0 has put out; what it took in from the same target is
    /// balanced against it.
    #[inline]
    pub(crate) fn charge_moved(&mut self, target: QueueNo, batch: &MsgList, due: &mut Due) {
        let (mut bytes, mut msgs) = (batch.bytes(), batch.len() as u32);
        if target == due.target {
            if bytes == due.bytes && msgs == due.msgs {
                *due = Due::NOTHING;
                return;
            }
            let both = msgs.min(due.msgs);
            (msgs, due.msgs) = (msgs - both, due.msgs - both);
            let both = bytes.min(due.bytes);
            (bytes, due.bytes) = (bytes - both, due.bytes - both);
        }
        self.charge_counts(target, bytes, msgs);
    }

    /// Takes a charge back. [`Net::relief`] then calls waiting writers; it is apart, so that a
    /// message that only goes from an inbox to the queue does not wake anybody.
    #[inline]
    pub(crate) fn discharge(&mut self, target: QueueNo, msg: &Msg) {
        let len = msg.len() as u32;
        if msg.band().0 != 0 {
            return self.discharge_band(target, band_of(msg), len);
        }
        self.discharge_counts(target, len, 1);
    }

    /// Takes the charges of a batch back.
    pub(crate) fn discharge_batch(&mut self, target: QueueNo, batch: &MsgList) {
        let banded = self.queue(target).is_some_and(|q| q.has(BANDED));
        if banded {
            for msg in batch.iter() {
                self.discharge(target, msg);
            }
            return;
        }
        self.discharge_counts(target, batch.bytes(), batch.len() as u32);
    }

    #[inline]
    fn discharge_counts(&mut self, target: QueueNo, bytes: u32, msgs: u32) {
        let Some(q) = self.queue_mut(target) else { return };
        q.bytes = q.bytes.wrapping_sub(bytes);
        q.msgs -= msgs;
    }

    /// Takes back what is left of the charges of a dispatch's input.
    #[inline]
    pub(crate) fn discharge_due(&mut self, due: &mut Due) {
        let Due { target, bytes, msgs } = core::mem::replace(due, Due::NOTHING);
        self.discharge_counts(target, bytes, msgs);
    }

    /// `canput(9F)` on a target: true, or false and its writers will be called back (C20, C21).
    #[inline]
    pub(crate) fn canput(&mut self, target: QueueNo, band: Band) -> bool {
        if band.0 != 0 {
            return self.canput_band(target, band);
        }
        if self.has_room(target, 0, 0) {
            return true;
        }
        self.refuse(target, WANT_WRITE);
        false
    }

    /// Would band 0 have room with so much more in it? An empty queue is never full (C10): who
    /// waited for it would wait for ever.
    #[inline]
    pub(crate) fn has_room(&self, target: QueueNo, bytes: u32, msgs: u32) -> bool {
        let Some(q) = self.queue(target) else { return true };
        let marks = &self.marks[q.marks as usize];
        let (bytes, msgs) = (q.bytes.wrapping_add(bytes), q.msgs + msgs);
        (marks.weight(bytes, msgs) < marks.hiwat && msgs < marks.hiwat) || msgs == 0
    }

    #[cold]
    fn refuse(&mut self, target: QueueNo, flag: u16) {
        let now = self.now;
        let Some(pair) = self.pairs.at_mut(target >> 1) else { return };
        let side = (target & 1) as usize;
        pair.queues[side].set(flag);
        self.stats[pair.node as usize].blocked_since[side].get_or_insert(now);
    }

    /// Calls writers back whose bands are low (C23). After every discharge.
    #[inline]
    pub(crate) fn relief(&mut self, target: QueueNo) {
        if self.queue(target).is_some_and(|q| q.flags & (WANT_WRITE | WANT_BAND) != 0) {
            self.relief_of_waiting(target);
        }
    }

    #[cold]
    fn relief_of_waiting(&mut self, target: QueueNo) {
        let side = (target & 1) as usize;
        let Some(pair) = self.pairs.at_mut(target >> 1) else { return };
        let q = &mut pair.queues[side];
        let marks = self.marks[q.marks as usize];
        let lowat = marks.lowat;
        let low = |bytes, msgs| lowat == 0 || (marks.weight(bytes, msgs) < lowat && msgs < lowat);
        let mut relieved = false;
        if q.has(WANT_WRITE) && low(q.bytes, q.msgs) {
            q.clear(WANT_WRITE);
            relieved = true;
        }
        if q.has(WANT_BAND)
            && let Some(bands) = pair.bands.and_then(|key| self.bands.get_mut(key))
        {
            let mut waiting = false;
            for record in &mut bands.records[side] {
                if record.want_write && low(record.bytes, record.msgs) {
                    record.want_write = false;
                    relieved = true;
                }
                waiting |= record.want_write;
            }
            if !waiting {
                q.clear(WANT_BAND);
            }
        }
        if q.flags & (WANT_WRITE | WANT_BAND) == 0 {
            let stat = &mut self.stats[pair.node as usize];
            if let Some(since) = stat.blocked_since[side].take() {
                stat.blocked_ns[side] += self.now.saturating_sub(since);
            }
        }
        if relieved {
            self.backenable(target);
        }
    }

    /// Wakes whoever feeds `queue`: the nearest service procedure, or a head, driver or
    /// multiplexor at the end of the stream.
    pub(crate) fn backenable(&mut self, queue: QueueNo) {
        let mut at = self.previous_of(queue);
        while at != NONE {
            let Some(q) = self.queue(at) else { return };
            if q.has(SERVICE) {
                return self.qenable(at);
            }
            let before = self.previous_of(at);
            if before == NONE {
                // A head (write side), a driver (read side) or a multiplexor's end.
                return self.relieved.push_back(at);
            }
            at = before;
        }
    }

    fn charge_band(&mut self, target: QueueNo, band: Band, len: u32) {
        if band.0 == 0 {
            return self.charge_counts(target, len, 1);
        }
        let Some(bands) = self.bands_of(target) else { return };
        let record = bands.record((target & 1) as usize, band);
        record.bytes = record.bytes.wrapping_add(len);
        record.msgs += 1;
    }

    fn discharge_band(&mut self, target: QueueNo, band: Band, len: u32) {
        if band.0 == 0 {
            return self.discharge_counts(target, len, 1);
        }
        let Some(bands) = self.bands_of(target) else { return };
        let record = bands.record((target & 1) as usize, band);
        record.bytes = record.bytes.wrapping_sub(len);
        record.msgs -= 1;
    }

    #[cold]
    fn canput_band(&mut self, target: QueueNo, band: Band) -> bool {
        let Some(q) = self.queue(target) else { return true };
        // A band without a record is writable (C20).
        if !q.has(BANDED) {
            return true;
        }
        let marks = self.marks[q.marks as usize];
        let Some(bands) = self.bands_of(target) else { return true };
        let record = bands.record((target & 1) as usize, band);
        let weight = marks.weight(record.bytes, record.msgs);
        if (weight < marks.hiwat && record.msgs < marks.hiwat) || record.msgs == 0 {
            return true;
        }
        record.want_write = true;
        self.refuse(target, WANT_BAND);
        false
    }

    fn bands_of(&mut self, queue: QueueNo) -> Option<&mut Bands> {
        let pair = self.pairs.at_mut(queue >> 1)?;
        pair.queues[(queue & 1) as usize].set(BANDED);
        let key: Key = match pair.bands {
            Some(key) => key,
            None => *pair.bands.insert(self.bands.insert(Bands::default())),
        };
        self.bands.get_mut(key)
    }

    /// Recomputes the targets of one direction of a stream, from the end backwards, and moves the
    /// charges of messages in inboxes along. `last` is the queue at the end of the direction.
    pub(crate) fn retarget(&mut self, last: QueueNo) {
        let mut target = last;
        let mut at = last;
        while at != NONE {
            let Some(q) = self.queue_mut(at) else { return };
            if q.has(SERVICE) || at == last {
                target = at;
            }
            let before = core::mem::replace(&mut q.target, target);
            if before != target && !q.inbox.is_empty() {
                let inbox = core::mem::take(&mut q.inbox);
                if before != NONE {
                    self.discharge_batch(before, &inbox);
                    self.relief(before);
                }
                self.charge_batch(target, &inbox);
                if let Some(q) = self.queue_mut(at) {
                    q.inbox = inbox;
                }
            }
            at = self.previous_of(at);
        }
    }

    /// `putq` with its accounting (the queue itself is charged).
    pub(crate) fn putq(&mut self, queue: QueueNo, msg: Msg) {
        self.charge(queue, &msg);
        let Some(q) = self.queue_mut(queue) else { return self.lose(msg) };
        if q.putq(msg) {
            self.qenable(queue);
        }
    }

    /// `putbq` with its accounting.
    pub(crate) fn putbq(&mut self, queue: QueueNo, msg: Msg) {
        self.charge(queue, &msg);
        let Some(q) = self.queue_mut(queue) else { return self.lose(msg) };
        if q.putbq(msg) {
            self.qenable(queue);
        }
    }

    /// `getq` with its accounting.
    #[inline]
    pub(crate) fn getq(&mut self, queue: QueueNo) -> Option<Msg> {
        let msg = self.getq_quiet(queue)?;
        self.relief(queue);
        Some(msg)
    }

    /// As [`Net::getq`], but writers are called back by a later [`Net::relief`]: for who may put
    /// a part of the message back.
    #[inline]
    pub(crate) fn getq_quiet(&mut self, queue: QueueNo) -> Option<Msg> {
        let q = self.queue_mut(queue)?;
        let msg = q.getq()?;
        if msg.band().0 != 0 {
            self.discharge(queue, &msg);
        } else {
            q.bytes = q.bytes.wrapping_sub(msg.len() as u32);
            q.msgs -= 1;
        }
        Some(msg)
    }

    /// Takes out what a flush removes, with its accounting; true when something went.
    pub(crate) fn flushq(
        &mut self,
        queue: QueueNo,
        what: queue::Flush,
        band: Option<Band>,
    ) -> MsgList {
        let Some(q) = self.queue_mut(queue) else { return MsgList::new() };
        let flushed = q.flush(what, band);
        self.discharge_batch(queue, &flushed);
        self.relief(queue);
        flushed
    }

    /// `strqset(9F)` of the water marks. Writers that now have room are called back.
    pub(crate) fn set_marks(&mut self, queue: QueueNo, marks: Marks) {
        let marks = self.intern(marks);
        if let Some(q) = self.queue_mut(queue) {
            q.marks = marks;
        }
        self.relief(queue);
    }

    /// True when the queue's pair and side hold messages.
    pub(crate) fn holds(&self, queue: QueueNo) -> bool {
        self.queue(queue).is_some_and(|q: &Queue| !q.held.is_empty())
    }
}

/// A queue with a writer, bare: what the model is compared with.
#[cfg(test)]
pub(crate) mod tests_support {
    use crate::cx::Cx;
    use crate::module::{Marks, ModInfo, Module};
    use crate::net::{QueueNo, queue_no};
    use crate::perimeter::{Config, Perimeter};
    use crate::queue::{ENABLED, Flush, Side};
    use alloc::boxed::Box;
    use alloc::vec::Vec;
    use millstream_msg::{Band, Msg, MsgList, Pool, PoolConfig};

    struct Served;

    impl Module for Served {
        fn info(&self) -> &'static ModInfo {
            const INFO: ModInfo = ModInfo { rsrv: true, ..ModInfo::new("served", "for tests") };
            &INFO
        }

        fn rsrv(&mut self, _: &mut Cx<'_>) {}
    }

    struct NoDevice;

    impl crate::Device for NoDevice {
        fn caps(&self) -> crate::Caps {
            let can = millstream_msg::offload::Can::ALL;
            crate::Caps { mtu: 1500, mac: [0; 6], can }
        }

        fn recv(&mut self, _: &mut Pool, _: &mut MsgList, _: usize) -> Result<usize, crate::Errno> {
            Ok(0)
        }

        fn send(&mut self, _: &mut MsgList) -> Result<(), crate::Errno> {
            Ok(())
        }
    }

    pub(crate) struct Bench {
        p: Perimeter,
        queue: QueueNo,
        writer: QueueNo,
    }

    /// Two modules with service procedures; the upper one's read queue has these marks.
    pub(crate) fn bench(marks: Marks) -> Bench {
        let pool = Pool::new(PoolConfig::TINY);
        let mut p = Perimeter::new(Config { pool, seed: 1, clock: None });
        let (stream, _) = p.open_device("device", Box::new(NoDevice));
        p.push(stream, Box::new(Served)).expect("a module");
        p.push(stream, Box::new(Served)).expect("a module");
        p.turn(0, 1000);
        // Head 1, driver 0 or the other way round: find the modules from the bottom.
        let bottom = p.streams.iter().next().expect("one").1.bottom;
        let writer = p.net.pairs.at(bottom).expect("driver").up;
        let upper = p.net.pairs.at(writer).expect("module").up;
        let queue = queue_no(upper, Side::Read);
        p.net.set_marks(queue, marks);
        Bench { p, queue, writer: queue_no(writer, Side::Read) }
    }

    impl Bench {
        pub(crate) fn pool(&mut self) -> &mut Pool {
            &mut self.p.net.pool
        }

        pub(crate) fn putq(&mut self, msg: Msg) {
            self.p.net.putq(self.queue, msg);
        }

        pub(crate) fn putbq(&mut self, msg: Msg) {
            self.p.net.putbq(self.queue, msg);
        }

        pub(crate) fn getq(&mut self) -> Option<u32> {
            let msg = self.p.net.getq(self.queue)?;
            let id = msg.flow_hash();
            self.p.net.pool.free(msg);
            Some(id)
        }

        pub(crate) fn flush(&mut self, what: Flush, band: Option<Band>) -> Vec<u32> {
            let flushed = self.p.net.flushq(self.queue, what, band);
            flushed.map(|msg| msg.flow_hash()).collect()
        }

        pub(crate) fn canput(&mut self, band: Band) -> bool {
            self.p.net.canput(self.queue, band)
        }

        pub(crate) fn qenable(&mut self) {
            self.p.net.qenable(self.queue);
        }

        /// As the perimeter does before it runs the service procedure.
        pub(crate) fn served(&mut self) {
            let queue = self.queue;
            self.p.net.serve.retain(|&q| q != queue);
            self.p.net.queue_mut(queue).expect("it stays").clear(ENABLED);
        }

        /// Once on the list or not at all (C24).
        pub(crate) fn enabled(&self) -> bool {
            let on_list = self.p.net.serve.iter().filter(|&&q| q == self.queue).count();
            assert_eq!(on_list, usize::from(self.flag(ENABLED)));
            on_list == 1
        }

        pub(crate) fn writer_woken(&mut self) -> bool {
            let writer = self.writer;
            let woken = self.p.net.serve.iter().filter(|&&q| q == writer).count();
            self.p.net.serve.retain(|&q| q != writer);
            self.p.net.queue_mut(writer).expect("it stays").clear(ENABLED);
            assert!(woken <= 1);
            woken == 1
        }

        pub(crate) fn set_flag(&mut self, flag: u16, on: bool) {
            let q = self.p.net.queue_mut(self.queue).expect("it stays");
            if on { q.set(flag) } else { q.clear(flag) }
        }

        pub(crate) fn flag(&self, flag: u16) -> bool {
            self.p.net.queue(self.queue).expect("it stays").has(flag)
        }

        pub(crate) fn order(&self) -> Vec<u32> {
            let held = &self.p.net.queue(self.queue).expect("it stays").held;
            held.iter().map(Msg::flow_hash).collect()
        }

        /// Bytes and messages charged to band 0.
        pub(crate) fn counts(&self) -> (u32, u32) {
            let q = self.p.net.queue(self.queue).expect("it stays");
            (q.bytes, q.msgs)
        }

        pub(crate) fn finish(mut self) {
            while self.getq().is_some() {}
            assert_eq!(self.counts(), (0, 0));
            assert_eq!(self.p.net.pool.stats().small.out, 0);
        }
    }
}
