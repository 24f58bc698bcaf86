//! `Records`: what is sent and not acknowledged, in order of sequence: the scoreboard of RFC 6675
//! and the times that RACK needs.

use super::{Sending, prr::Prr, rack::Newest, ranges::Ranges};
use crate::tcp::seq::{Range, Seq};
use alloc::collections::VecDeque;

/// The data in flight. Empty between flights, then without heap in use, but with its capacity: it
/// may be lent to another connection.
#[derive(Clone, Debug, Default)]
pub struct Records {
    /// Contiguous, in order of sequence.
    list: VecDeque<Record>,
    /// Octets of records that were selectively acknowledged.
    sacked: Ranges,
    /// Octets that are taken for lost and were not sent again since.
    lost: Ranges,
    /// What was sent again, in order of time. An entry whose records were acknowledged or sent
    /// once more since says nothing.
    resent: VecDeque<Record>,
    /// Records before it that were sent once are sacked or taken for lost: RACK looks behind it.
    fresh: Seq,
    /// How many records are sacked.
    sacked_records: u32,
    /// The delivered record that was sent last.
    pub(super) newest: Newest,
    /// When RACK looks again, in nanoseconds, if something may still be only reordered.
    pub(super) reorder_at: Option<u64>,
    /// From when the retransmission timer runs, in nanoseconds.
    pub(super) timer_from: u64,
    /// The reduction that is going on.
    pub(super) prr: Prr,
    /// How fast this round trip delivers.
    sample: Sample,
    /// Records that were looked at one by one.
    #[cfg(test)]
    looked: u64,
}

/// What is delivered in one round trip.
#[derive(Clone, Copy, Debug, Default)]
struct Sample {
    /// When it began, in nanoseconds.
    from: u64,
    /// It is over when this is acknowledged.
    end: Seq,
    /// Octets so far.
    octets: u32,
}

/// One segment, or one super-segment, as it was handed down.
#[derive(Clone, Copy, Debug)]
pub(super) struct Record {
    pub(super) range: Range,
    /// When it was last sent, in nanoseconds.
    pub(super) sent: u64,
    /// Was it sent more than once?
    pub(super) again: bool,
    pub(super) sacked: bool,
}

impl Records {
    /// True when nothing is in flight.
    pub fn is_empty(&self) -> bool {
        self.list.is_empty()
    }

    /// Records that are kept.
    pub fn len(&self) -> usize {
        self.list.len()
    }

    /// Octets of heap that the structure holds.
    pub fn heap_bytes(&self) -> usize {
        (self.list.capacity() + self.resent.capacity()) * size_of::<Record>()
            + self.sacked.heap_bytes()
            + self.lost.heap_bytes()
    }

    /// Octets that are sent and not acknowledged.
    pub(super) fn outstanding(&self) -> u32 {
        match (self.list.front(), self.list.back()) {
            (Some(first), Some(last)) => last.range.end.since(first.range.start),
            _ => 0,
        }
    }

    /// Octets that are sacked.
    pub fn sacked(&self) -> u32 {
        self.sacked.bytes()
    }

    /// Octets that wait to be sent again.
    pub fn lost(&self) -> u32 {
        self.lost.bytes()
    }

    pub(super) fn sacked_records(&self) -> u32 {
        self.sacked_records
    }

    /// Octets that are believed to be in the network (RFC 6675: pipe).
    pub(super) fn pipe(&self) -> u32 {
        self.outstanding() - self.sacked.bytes() - self.lost.bytes()
    }

    pub(super) fn first(&self) -> Option<&Record> {
        self.list.front()
    }

    pub(super) fn last(&self) -> Option<&Record> {
        self.list.back()
    }

    pub(super) fn first_lost(&self) -> Option<Range> {
        self.lost.first()
    }

    /// The record that `seq` is in, or the number of records when it is behind them. O(log n).
    fn position(&self, seq: Seq) -> usize {
        self.list.partition_point(|record| !record.range.end.after(seq))
    }

    /// New data left.
    pub(super) fn push(&mut self, range: Range, now: u64) {
        debug_assert!(self.list.back().is_none_or(|last| last.range.end == range.start));
        if self.list.is_empty() {
            self.clear();
            self.fresh = range.start;
            self.sample = Sample { from: now, end: range.end, octets: 0 };
        }
        self.list.push_back(Record { range, sent: now, again: false, sacked: false });
    }

    /// Forgets everything, keeps the memory.
    pub fn clear(&mut self) {
        self.list.clear();
        self.sacked.clear();
        self.lost.clear();
        self.resent.clear();
        self.sacked_records = 0;
        self.newest = Newest::default();
        self.reorder_at = None;
        self.prr = Prr::default();
    }

    /// `octets` more were delivered, and `una` is the first octet that is not acknowledged: octets
    /// a second of the round trip, if it is over.
    pub(super) fn delivered(&mut self, octets: u32, at: &Sending) -> Option<u32> {
        let sample = &mut self.sample;
        sample.octets = sample.octets.saturating_add(octets);
        if at.una.before(sample.end) || sample.octets == 0 {
            return None;
        }
        let took = at.now.saturating_sub(sample.from).max(1);
        let rate = u64::from(sample.octets) * 1_000_000_000 / took;
        *sample = Sample { from: at.now, end: at.nxt, octets: 0 };
        Some(rate.min(u32::MAX.into()) as u32)
    }

    /// Octets that were sent again and may be on their way.
    pub fn again(&self) -> u32 {
        let again = self.list.iter().filter(|record| record.again && !record.sacked);
        again.map(|record| record.range.len()).sum()
    }

    /// Was all that is in flight sent once, and is nothing of it sacked or taken for lost?
    pub(super) fn is_orderly(&self) -> bool {
        self.resent.is_empty() && self.sacked.bytes() == 0 && self.lost.bytes() == 0
    }

    /// Takes out what lies before `ack` of an orderly flight: the first and the last record of it.
    pub(super) fn acknowledge_in_order(&mut self, ack: Seq) -> Option<(Record, Record)> {
        let first = *self.list.front()?;
        let mut last = first;
        while let Some(record) = self.list.front_mut().filter(|r| r.range.start.before(ack)) {
            last = *record;
            if record.range.end.after(ack) {
                record.range.start = ack;
                break;
            }
            self.list.pop_front();
        }
        last.range.end = last.range.end.earliest(ack);
        self.fresh = self.fresh.latest(ack);
        Some((first, last))
    }

    /// Takes out what lies before `ack`; `tell` sees each record, the part of one that is left
    /// behind included.
    pub(super) fn acknowledge(&mut self, ack: Seq, mut tell: impl FnMut(&Record)) {
        while let Some(first) = self.list.front_mut().filter(|r| r.range.start.before(ack)) {
            if first.range.end.after(ack) {
                tell(&Record { range: Range::new(first.range.start, ack), ..*first });
                first.range.start = ack;
                break;
            }
            tell(first);
            self.sacked_records -= u32::from(first.sacked);
            self.list.pop_front();
        }
        self.sacked.cut(ack);
        self.lost.cut(ack);
        self.fresh = self.fresh.latest(ack);
        while self.resent.front().is_some_and(|entry| !entry.range.end.after(ack)) {
            self.resent.pop_front();
        }
    }

    /// Marks what `block` covers; `tell` sees each record that is newly covered. A part of a record
    /// counts as far as it is whole segments, so that records can be split no finer than that.
    ///
    /// The cost is that of the records which are new, and of finding the edges: what was covered
    /// before is skipped at once.
    pub(super) fn sack(&mut self, block: Range, mss: u32, mut tell: impl FnMut(&Record)) {
        if self.sacked.gap(block).is_none() {
            return;
        }
        let start = self.edge(block.start, mss, true);
        let end = self.edge(block.end, mss, false);
        if !start.before(end) {
            return;
        }
        let block = Range::new(start, end);
        let mut rest = block;
        while let Some(gap) = self.sacked.gap(rest) {
            let from = self.position(gap.start);
            for record in self.list.range_mut(from..) {
                if !record.range.start.before(gap.end) {
                    break;
                }
                #[cfg(test)]
                {
                    self.looked += 1;
                }
                tell(record);
                record.sacked = true;
                self.sacked_records += 1;
            }
            self.lost.remove(gap);
            rest.start = gap.end;
        }
        self.sacked.insert(block);
    }

    /// The boundary between records at `seq`, or the next one (`up`) or the last one before it.
    /// Makes one on the grid of segments of a record that is not sacked.
    fn edge(&mut self, seq: Seq, mss: u32, up: bool) -> Seq {
        let at = self.position(seq);
        let Some(record) = self.list.get(at) else {
            return seq;
        };
        let Range { start, end } = record.range;
        let into = seq.since(start);
        if into == 0 {
            return seq;
        }
        let cut = if up { into.div_ceil(mss) * mss } else { into / mss * mss };
        if record.sacked || cut >= end.since(start) {
            return if up { end } else { start };
        }
        if cut == 0 {
            return start;
        }
        if self.list.len() >= RECORDS_SPLIT_MAX {
            return if up { end } else { start };
        }
        self.split(at, start.add(cut));
        start.add(cut)
    }

    /// Splits record `at` in two.
    fn split(&mut self, at: usize, seq: Seq) {
        let first = &mut self.list[at];
        let mut second = *first;
        first.range.end = seq;
        second.range.start = seq;
        self.sacked_records += u32::from(second.sacked);
        self.list.insert(at + 1, second);
    }

    /// Is the octet `seq` in flight and was it sent once?
    pub(super) fn left_once(&self, seq: Seq) -> bool {
        let found = self.list.get(self.position(seq));
        found.is_some_and(|record| !record.again && !seq.before(record.range.start))
    }

    /// Takes the parts of `range` that are not sacked for lost; tells how many octets are new.
    pub(super) fn mark_lost(&mut self, range: Range) -> u32 {
        let mut rest = range;
        let mut new = 0;
        while let Some(gap) = self.sacked.gap(rest) {
            new += self.lost.insert(gap);
            rest.start = gap.end;
        }
        new
    }

    /// Takes nothing for lost any more.
    pub(super) fn unmark(&mut self) {
        self.lost.clear();
        self.reorder_at = None;
        self.fresh = self.list.front().map_or(self.fresh, |first| first.range.start);
        // What was taken for lost after it was sent again has no entry any more.
        self.resent.clear();
        self.resent.extend(self.list.iter().filter(|record| record.again && !record.sacked));
        self.resent.make_contiguous().sort_unstable_by_key(|record| record.sent);
    }

    /// `range` was sent again, in one piece.
    pub(super) fn resent(&mut self, range: Range, now: u64) {
        for seq in [range.start, range.end] {
            let at = self.position(seq);
            if self.list.get(at).is_some_and(|record| seq.after(record.range.start)) {
                self.split(at, seq);
            }
        }
        let from = self.position(range.start);
        for record in self.list.range_mut(from..) {
            if !record.range.start.before(range.end) {
                break;
            }
            record.sent = now;
            record.again = true;
        }
        self.lost.remove(range);
        // Entries that say nothing are dropped before they outnumber the records.
        if self.resent.len() > 2 * self.list.len() + 16 {
            let mut resent = core::mem::take(&mut self.resent);
            resent.retain(|entry| self.speaks(entry));
            self.resent = resent;
        }
        self.resent.push_back(Record { range, sent: now, again: true, sacked: false });
    }

    /// Is a record of `entry` still as it was when it was sent again, and not sacked?
    fn speaks(&self, entry: &Record) -> bool {
        let from = self.position(entry.range.start);
        (self.list.range(from.min(self.list.len())..))
            .take_while(|record| record.range.start.before(entry.range.end))
            .any(|record| !record.sacked && record.sent == entry.sent)
    }

    /// Takes for lost what was sent early enough that `late` says so: what was sent once, in order
    /// of sequence, and what was sent again, in order of time. Stops at the first that is not late,
    /// so a record is looked at once per time it was sent. `late` is None for what was sent behind
    /// all that was delivered. Tells the octets, and whether some may be late yet.
    pub(super) fn mark_late(&mut self, late: impl Fn(&Record) -> Option<bool>) -> (u32, bool) {
        let (mut new, mut waits) = (0, false);
        let mut at = self.position(self.fresh);
        while let Some(record) = self.list.get(at).copied() {
            #[cfg(test)]
            {
                self.looked += 1;
            }
            if !record.sacked && !record.again {
                match late(&record) {
                    Some(true) => new += self.lost.insert(record.range),
                    Some(false) => {
                        waits = true;
                        break;
                    }
                    None => break,
                }
            }
            self.fresh = record.range.end;
            at += 1;
        }
        while let Some(entry) = self.resent.front().copied() {
            match late(&entry) {
                _ if !self.speaks(&entry) => {}
                Some(true) => new += self.mark_entry(&entry),
                Some(false) => {
                    waits = true;
                    break;
                }
                None => break,
            }
            self.resent.pop_front();
        }
        (new, waits)
    }

    fn mark_entry(&mut self, entry: &Record) -> u32 {
        let from = self.position(entry.range.start);
        let mut new = 0;
        for record in self.list.range(from..) {
            if !record.range.start.before(entry.range.end) {
                break;
            }
            if !record.sacked && record.sent == entry.sent {
                new += self.lost.insert(record.range);
            }
        }
        new
    }

    /// The timer ran off: all that is not sacked and that `late` names is taken for lost. A first
    /// record that is sacked tells that the peer dropped what it had acknowledged selectively
    /// (RFC 2018 section 8), so nothing of that counts, and all of it is sent again.
    pub(super) fn mark_all(&mut self, late: impl Fn(&Record) -> bool) {
        if self.list.front().is_some_and(|first| first.sacked) {
            self.sacked.clear();
            self.sacked_records = 0;
            for record in self.list.iter_mut().filter(|record| record.sacked) {
                record.sacked = false;
                self.lost.insert(record.range);
            }
        }
        for (number, record) in self.list.iter().enumerate() {
            if !record.sacked && (number == 0 || late(record)) {
                self.lost.insert(record.range);
            }
        }
    }

    /// Takes all for lost that left as segments of more than `mss` octets; tells the octets.
    pub(super) fn mark_longer(&mut self, mss: u32) -> u32 {
        let longer = self.list.iter().filter(|r| !r.sacked && r.range.len() > mss);
        longer.map(|record| self.lost.insert(record.range)).sum()
    }

    /// The segments that may be sent again as one: from `range.start`, over records that end where
    /// a segment does.
    pub(super) fn run(&self, range: Range, mss: u32) -> Range {
        let mut end = range.start;
        for record in self.list.range(self.position(range.start)..) {
            end = record.range.end.earliest(range.end);
            if !end.before(range.end) || !end.since(range.start).is_multiple_of(mss) {
                break;
            }
        }
        Range::new(range.start, end)
    }
}

#[cfg(test)]
impl Records {
    pub(super) fn looked(&self) -> u64 {
        self.looked
    }

    /// Counts all anew; everything must agree.
    pub(super) fn recount(&self) {
        let mut next = self.list.front().map(|first| first.range.start);
        let (mut sacked, mut records) = (0, 0);
        for record in &self.list {
            assert_eq!(Some(record.range.start), next, "contiguous");
            assert!(record.range.start.before(record.range.end));
            let part = |of: &Ranges| of.clone().remove(record.range);
            assert_eq!(part(&self.sacked), u32::from(record.sacked) * record.range.len());
            assert!(!record.sacked || part(&self.lost) == 0, "sacked is not lost");
            sacked += part(&self.sacked);
            records += u32::from(record.sacked);
            next = Some(record.range.end);
        }
        assert_eq!((sacked, records), (self.sacked.bytes(), self.sacked_records));
        let lost: u32 = self.list.iter().map(|r| self.lost.clone().remove(r.range)).sum();
        assert_eq!(lost, self.lost.bytes(), "nothing is lost but what is in flight");
        assert!(self.resent.iter().is_sorted_by_key(|entry| entry.sent));
        for record in self.list.iter().filter(|r| r.again && !r.sacked) {
            let listed = |entry: &Record| {
                entry.sent == record.sent
                    && !record.range.start.before(entry.range.start)
                    && !record.range.end.after(entry.range.end)
            };
            let lost = self.lost.gap(record.range).is_none();
            assert!(lost || self.resent.iter().any(listed), "RACK sees it");
        }
        assert!(self.resent.len() <= 2 * self.list.len() + 17);
    }
}

/// Super-segments are split at the edges of SACK blocks until there are so many records: a split
/// moves those behind it, and a peer chooses the edges. 8192 segments are 12 MB of window.
const RECORDS_SPLIT_MAX: usize = 8192;
