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

impl Net {
    #[inline]
    pub(crate) fn charge(&mut self, target: QueueNo, msg: &Msg) {
        let band = band_of(msg);
        let len = msg.len() as u32;
        if band.0 != 0 {
            return self.charge_band(target, band, len);
        }
        let Some(q) = self.queue_mut(target) else { return };
        q.bytes = q.bytes.wrapping_add(len);
        q.msgs += 1;
    }

    /// Charges a batch; one addition when all of it is band 0.
    pub(crate) fn charge_batch(&mut self, target: QueueNo, batch: &MsgList) {
        if batch.iter().any(|msg| band_of(msg).0 != 0) {
            for msg in batch.iter() {
                self.charge(target, msg);
            }
            return;
        }
        let Some(q) = self.queue_mut(target) else { return };
        q.bytes = q.bytes.wrapping_add(batch.bytes());
        q.msgs += batch.len() as u32;
    }

    /// Takes a charge back, and calls waiting writers when the queue got low (C23).
    #[inline]
    pub(crate) fn discharge(&mut self, target: QueueNo, msg: &Msg) {
        let band = band_of(msg);
        if band.0 != 0 {
            return self.discharge_band(target, band, msg.len() as u32);
        }
        self.discharge_counts(target, msg.len() as u32, 1);
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
        if q.has(WANT_WRITE) {
            self.relieve_if_low(target);
        }
    }

    /// `canput(9F)` on a target: true, or false and its writers will be called back (C20, C21).
    #[inline]
    pub(crate) fn canput(&mut self, target: QueueNo, band: Band) -> bool {
        if band.0 != 0 {
            return self.canput_band(target, band);
        }
        let Some(q) = self.queue(target) else { return true };
        let hiwat = self.marks[q.marks as usize].hiwat;
        if q.bytes < hiwat && q.msgs < hiwat.max(1) {
            return true;
        }
        self.refuse(target, WANT_WRITE);
        false
    }

    #[cold]
    fn refuse(&mut self, target: QueueNo, flag: u16) {
        let now = self.now;
        let Some(pair) = self.pairs.at_mut(target >> 1) else { return };
        let side = (target & 1) as usize;
        pair.queues[side].set(flag);
        self.stats[pair.node as usize].blocked_since[side].get_or_insert(now);
    }

    /// Calls the writers of band 0 back if the queue is low.
    #[cold]
    pub(crate) fn relieve_if_low(&mut self, target: QueueNo) {
        let Some(q) = self.queue(target) else { return };
        let lowat = self.marks[q.marks as usize].lowat;
        if lowat == 0 || (q.bytes < lowat && q.msgs < lowat) {
            self.relieve(target, WANT_WRITE);
        }
    }

    /// Back-enables: schedules the nearest service procedure before `target` (C23).
    pub(crate) fn relieve(&mut self, target: QueueNo, flag: u16) {
        let now = self.now;
        if let Some(pair) = self.pairs.at_mut(target >> 1) {
            let side = (target & 1) as usize;
            pair.queues[side].clear(flag);
            let stat = &mut self.stats[pair.node as usize];
            if let Some(since) = stat.blocked_since[side].take() {
                stat.blocked_ns[side] += now.saturating_sub(since);
            }
        }
        self.backenable(target);
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
        let Some(bands) = self.bands_of(target) else { return };
        let record = bands.record((target & 1) as usize, band);
        record.bytes = record.bytes.wrapping_add(len);
        record.msgs += 1;
    }

    fn discharge_band(&mut self, target: QueueNo, band: Band, len: u32) {
        let Some(marks) = self.queue(target).map(|q| self.marks[q.marks as usize]) else { return };
        let Some(bands) = self.bands_of(target) else { return };
        let record = bands.record((target & 1) as usize, band);
        record.bytes = record.bytes.wrapping_sub(len);
        record.msgs -= 1;
        let low = marks.lowat == 0 || (record.bytes < marks.lowat && record.msgs < marks.lowat);
        if record.want_write && low {
            record.want_write = false;
            self.relieve(target, WANT_BAND);
        }
    }

    #[cold]
    fn canput_band(&mut self, target: QueueNo, band: Band) -> bool {
        let Some(q) = self.queue(target) else { return true };
        // A band without a record is writable (C20).
        if !q.has(BANDED) {
            return true;
        }
        let hiwat = self.marks[q.marks as usize].hiwat;
        let Some(bands) = self.bands_of(target) else { return true };
        let record = bands.record((target & 1) as usize, band);
        if record.bytes < hiwat && record.msgs < hiwat.max(1) {
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
        let msg = self.queue_mut(queue)?.getq()?;
        self.discharge(queue, &msg);
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
        flushed
    }

    /// `strqset(9F)` of the water marks. Writers that now have room are called back.
    pub(crate) fn set_marks(&mut self, queue: QueueNo, marks: Marks) {
        let marks = self.intern(marks);
        if let Some(q) = self.queue_mut(queue) {
            q.marks = marks;
        }
        self.relieve_if_low(queue);
    }

    /// True when the queue's pair and side hold messages.
    pub(crate) fn holds(&self, queue: QueueNo) -> bool {
        self.queue(queue).is_some_and(|q: &Queue| !q.held.is_empty())
    }
}
