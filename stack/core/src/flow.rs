//! Flow control: charging, asking, calling back. Semantics C9 to C31.
//!
//! A message is charged to the *target* of the queue it is posted to: the nearest queue at or
//! after it with a service procedure. It stays charged while it is in transit through modules
//! without service procedures, and while the target holds it.

use crate::module::Marks;
use crate::net::{NONE, Net, QueueNo};
use crate::queue::{BANDED, DRAINING, RELIEVED, SERVICE, WANT_BAND, WANT_WRITE, band_of};
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
    /// Number of its own water marks, when they are not those of the queue.
    marks: Option<u16>,
}

impl Bands {
    fn record(&mut self, side: usize, band: Band) -> &mut BandRecord {
        let records = &mut self.records[side];
        let at = match records.binary_search_by_key(&band.0, |r| r.band) {
            Ok(at) => at,
            Err(at) => {
                let (bytes, msgs, marks) = (0, 0, None);
                records
                    .insert(at, BandRecord { band: band.0, want_write: false, bytes, msgs, marks });
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
        // All of them, as it is nearly always: that is cheaper than to stop at the first.
        if batch.iter().fold(0, |bands, msg| bands | msg.band().0) != 0 {
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

    /// Takes charges back and calls waiting writers.
    #[inline]
    pub(crate) fn release(&mut self, due: Due) {
        let Some(q) = self.queue_mut(due.target) else { return };
        q.bytes = q.bytes.wrapping_sub(due.bytes);
        q.msgs -= due.msgs;
        if q.flags & (WANT_WRITE | WANT_BAND | DRAINING) != 0 {
            self.relief_of_waiting(due.target);
        }
    }

    /// Takes back what is left of the charges of a dispatch's input.
    pub(crate) fn discharge_due(&mut self, due: Due) {
        self.discharge_counts(due.target, due.bytes, due.msgs);
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
        self.marks[q.marks as usize].room(q.bytes.wrapping_add(bytes), q.msgs + msgs)
    }

    /// What is charged to a target in band 0; its writers are called back when that has fallen
    /// below the low-water mark.
    pub(crate) fn watch(&mut self, target: QueueNo) -> u32 {
        let Some(q) = self.queue(target) else { return 0 };
        let (bytes, msgs, marks) = (q.bytes, q.msgs, self.marks[q.marks as usize]);
        if !marks.low(bytes, msgs)
            && let Some(q) = self.queue_mut(target)
        {
            q.set(WANT_WRITE);
        }
        marks.weight(bytes, msgs)
    }

    /// Charges one message of band 0 when there is room for it; false when there is none.
    #[inline]
    pub(crate) fn charge_if_room(&mut self, target: QueueNo, bytes: u32) -> bool {
        let Some(pair) = self.pairs.at_mut(target >> 1) else { return false };
        let q = &mut pair.queues[(target & 1) as usize];
        if !self.marks[q.marks as usize].room(q.bytes, q.msgs) {
            return false;
        }
        q.bytes = q.bytes.wrapping_add(bytes);
        q.msgs += 1;
        true
    }

    #[cold]
    fn refuse(&mut self, target: QueueNo, flag: u16) {
        let now = self.now;
        let Some(pair) = self.pairs.at_mut(target >> 1) else { return };
        let side = (target & 1) as usize;
        pair.queues[side].set(flag);
        let node = pair.node;
        self.stats.of(node).blocked_since[side].get_or_insert(now);
    }

    /// Calls writers back whose bands are low (C23). After every discharge.
    #[inline]
    pub(crate) fn relief(&mut self, target: QueueNo) {
        if self.is_wanted(target) {
            self.relief_of_waiting(target);
        }
    }

    #[cold]
    fn relief_of_waiting(&mut self, target: QueueNo) {
        let side = (target & 1) as usize;
        let Some(pair) = self.pairs.at_mut(target >> 1) else { return };
        let q = &mut pair.queues[side];
        let marks = self.marks[q.marks as usize];
        let mut relieved = false;
        let drained = q.has(DRAINING) && q.held.is_empty();
        if drained {
            q.clear(DRAINING);
        }
        if q.has(WANT_WRITE) && marks.low(q.bytes, q.msgs) {
            q.clear(WANT_WRITE);
            relieved = true;
        }
        if q.has(WANT_BAND)
            && let Some(bands) = self.bands.at_mut(pair.bands)
        {
            let mut waiting = false;
            for record in &mut bands.records[side] {
                let marks = record.marks.map_or(marks, |own| self.marks[usize::from(own)]);
                if record.want_write && marks.low(record.bytes, record.msgs) {
                    record.want_write = false;
                    relieved = true;
                }
                waiting |= record.want_write;
            }
            if !waiting {
                q.clear(WANT_BAND);
            }
        }
        // Who only watches was not refused, and has no record of it.
        if q.flags & (WANT_WRITE | WANT_BAND) == 0
            && let Some(stat) = self.stats.known(pair.node)
            && let Some(since) = stat.blocked_since[side].take()
        {
            stat.blocked_ns[side] += self.now.saturating_sub(since);
        }
        if relieved {
            self.backenable(target);
        }
        if drained {
            self.drained(target >> 1);
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
                return self.relieve_end(at);
            }
            at = before;
        }
    }

    /// Somebody was refused at this queue and waits, or a close waits for its end.
    pub(crate) fn is_wanted(&self, queue: QueueNo) -> bool {
        self.queue(queue).is_some_and(|q| q.flags & (WANT_WRITE | WANT_BAND | DRAINING) != 0)
    }

    /// Puts the end of a stream on the list of those to be told, once.
    fn relieve_end(&mut self, end: QueueNo) {
        if let Some(q) = self.queue_mut(end)
            && !q.has(RELIEVED)
        {
            q.set(RELIEVED);
            self.relieved.push_back(end);
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
        let (bytes, msgs, _) = self.band_counts(target, band);
        if self.marks_of(target, band).room(bytes, msgs) {
            return true;
        }
        if let Some(bands) = self.bands_of(target) {
            bands.record((target & 1) as usize, band).want_write = true;
        }
        self.refuse(target, WANT_BAND);
        false
    }

    /// Bytes, messages, and whether a writer waits, of one band of a queue.
    pub(crate) fn band_counts(&self, queue: QueueNo, band: Band) -> (u32, u32, bool) {
        let Some(pair) = self.pairs.at(queue >> 1) else { return (0, 0, false) };
        let side = (queue & 1) as usize;
        if band.0 == 0 {
            let q = &pair.queues[side];
            return (q.bytes, q.msgs, q.has(WANT_WRITE));
        }
        let record = self.band_record(queue, band);
        record.map_or((0, 0, false), |r| (r.bytes, r.msgs, r.want_write))
    }

    /// Water marks of a band of a queue: its own, or the queue's.
    pub(crate) fn marks_of(&self, queue: QueueNo, band: Band) -> Marks {
        let Some(q) = self.queue(queue) else { return Marks::DEFAULT };
        let own = self.band_record(queue, band).and_then(|record| record.marks);
        self.marks[usize::from(own.unwrap_or(q.marks))]
    }

    /// `strqset(9F)` of the water marks of one band; of band 0: of the queue, whose bands have
    /// them too unless they have their own.
    pub(crate) fn set_marks_of(&mut self, queue: QueueNo, band: Band, marks: Marks) {
        if band.0 == 0 {
            return self.set_marks(queue, marks);
        }
        let number = self.intern(marks);
        if let Some(bands) = self.bands_of(queue) {
            bands.record((queue & 1) as usize, band).marks = Some(number);
        }
        self.relief(queue);
    }

    /// The lowest band above `band` that the queue has ever seen.
    pub(crate) fn band_used_above(&self, queue: QueueNo, band: Band) -> Option<Band> {
        let bands = self.bands.at(self.pairs.at(queue >> 1)?.bands)?;
        let above = bands.records[(queue & 1) as usize].iter().find(|r| r.band > band.0)?;
        Some(Band(above.band))
    }

    fn band_record(&self, queue: QueueNo, band: Band) -> Option<&BandRecord> {
        let bands = self.bands.at(self.pairs.at(queue >> 1)?.bands)?;
        bands.records[(queue & 1) as usize].iter().find(|record| record.band == band.0)
    }

    /// The pair of these bands is gone.
    pub(crate) fn drop_bands(&mut self, bands: u32) {
        if let Some(key) = self.bands.key_at(bands) {
            self.bands.remove(key);
        }
    }

    fn bands_of(&mut self, queue: QueueNo) -> Option<&mut Bands> {
        let pair = self.pairs.at_mut(queue >> 1)?;
        pair.queues[(queue & 1) as usize].set(BANDED);
        if pair.bands == NONE {
            pair.bands = self.bands.insert(Bands::default()).index;
        }
        self.bands.at_mut(pair.bands)
    }

    /// Recomputes the targets of one direction of a stream, from the end backwards, and moves the
    /// charges of messages in inboxes along. `last` is the queue at the end of the direction; in a
    /// pipe the direction goes on at the other end.
    pub(crate) fn retarget(&mut self, last: QueueNo) {
        let across = self.across(last);
        let mut target = self.queue(across).map_or(last, |q| q.target);
        let mut at = last;
        while at != NONE {
            let Some(q) = self.queue_mut(at) else { return };
            if q.has(SERVICE) {
                target = at;
            }
            let before = core::mem::replace(&mut q.target, target);
            let ticket = q.inbox;
            if before != target
                && let Some(inbox) = self.inboxes.get_mut(ticket).map(core::mem::take)
            {
                if before != NONE {
                    self.discharge_batch(before, &inbox);
                    self.relief(before);
                }
                self.charge_batch(target, &inbox);
                if let Some(place) = self.inboxes.get_mut(ticket) {
                    *place = inbox;
                }
            }
            at = self.previous_of(at);
        }
    }
}
