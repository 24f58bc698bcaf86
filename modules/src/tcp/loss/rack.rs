//! RACK (RFC 8985): what was sent before something that was delivered, and longer ago than a round
//! trip and the reordering that the path is known for, is lost.

use super::{Loss, Records, Sending, past::Past, records::Record};
use crate::tcp::seq::Seq;

/// What RACK has learnt about the path; lives as long as the connection.
#[derive(Clone, Copy, Debug)]
pub(super) struct Reordering {
    /// Was a segment delivered behind one that was sent later?
    pub(super) seen: bool,
    /// Quarters of the least round trip that a segment may be late.
    quarters: u8,
    /// Recoveries until `quarters` is one again.
    persists: u8,
    /// A D-SACK of this round trip was counted: until `round` is acknowledged.
    counted: bool,
    round: Seq,
}

impl Reordering {
    /// Nothing is known.
    pub(super) const NONE: Self =
        Self { seen: false, quarters: 1, persists: 0, counted: false, round: Seq(0) };
}

/// The delivered record that was sent last, and the highest.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Newest {
    /// When it was sent, in nanoseconds, and its end; None before the first.
    sent: Option<(u64, Seq)>,
    /// Its round-trip time in nanoseconds.
    rtt: u64,
    /// The end of the highest delivered record.
    highest: Option<Seq>,
}

impl Newest {
    /// Nothing is known of when what was delivered was sent; of its order, still.
    pub(super) fn unsent(self) -> Self {
        Self { sent: None, rtt: 0, ..self }
    }

    /// `record` was delivered now (steps 2 and 3). `echoed`: when the segment left that the peer's
    /// timestamp names, if it has one. `least`: the least round trip. True if it came behind one
    /// that is higher and was sent once: the path reorders.
    pub(super) fn delivered(
        &mut self,
        record: &Record,
        now: u64,
        echoed: Option<u64>,
        least: Option<u64>,
    ) -> bool {
        let end = record.range.end;
        let behind = self.highest.is_some_and(|highest| end.before(highest));
        if !behind {
            self.highest = Some(end);
        }
        let rtt = now.saturating_sub(record.sent);
        // This may be the ACK of what was sent first: it says nothing about the second time. An
        // eighth is left for a single segment that is faster than those in a queue of its own.
        let earlier = record.again
            && (echoed.is_some_and(|echoed| echoed < record.sent)
                || least.is_some_and(|least| rtt + rtt / 8 < least));
        if !earlier && self.sent.is_none_or(|newest| after(record, newest)) {
            self.sent = Some((record.sent, end));
            self.rtt = rtt;
        }
        behind && !record.again
    }
}

/// Was `record` sent after `(sent, end)`?
fn after(record: &Record, (sent, end): (u64, Seq)) -> bool {
    record.sent > sent || record.sent == sent && record.range.end.after(end)
}

impl Loss {
    /// How late a segment may be (step 4).
    fn reordering_ns(&self, records: &Records, mss: u32) -> u64 {
        let learnt = &self.past().reordering;
        let eager = self.in_recovery() || records.sacked_records() >= DUPLICATES;
        if !learnt.seen && (eager || records.sacked() > 2 * mss) {
            return 0;
        }
        let Some(least) = self.rtt.least() else { return 0 };
        let smoothed = self.rtt.smoothed().unwrap_or(least);
        (u64::from(learnt.quarters) * least / 4).min(smoothed)
    }

    /// Takes for lost what RACK says (step 5); tells the octets that are new.
    pub(super) fn detect(&mut self, records: &mut Records, at: &Sending) -> u32 {
        let Sending { now, mss, .. } = *at;
        records.reorder_at = None;
        let Some(newest) = records.newest.sent else { return 0 };
        let rtt = records.newest.rtt;
        let window = self.reordering_ns(records, mss);
        let (new, waits) = records.mark_late(|record| {
            if after(record, newest) || (record.sent, record.range.end) == newest {
                return None;
            }
            Some(now.saturating_sub(record.sent) >= rtt + window)
        });
        if waits {
            // All that waits was sent before the newest, so at this time all of it is late.
            records.reorder_at = Some((newest.0 + rtt + window).max(now + 1));
        }
        self.count_lost(new);
        new
    }

    /// Was `record` sent so long ago that a timeout takes it for lost (6.3)?
    pub(super) fn late(&self, records: &Records, at: &Sending) -> impl Fn(&Record) -> bool + use<> {
        let Sending { now, mss, .. } = *at;
        let rtt = match records.newest.sent {
            Some(_) => records.newest.rtt,
            None => self.rtt.smoothed().unwrap_or(0),
        };
        // Without SACK nothing would tell later that one that is spared was lost.
        let bound = if self.sack { rtt + self.reordering_ns(records, mss) } else { 0 };
        move |record| now.saturating_sub(record.sent) >= bound
    }

    /// A round trip is over when its data are acknowledged.
    pub(super) fn reordering_round(&mut self, una: Seq) {
        if let Some(Past { reordering, .. }) = self.past.as_deref_mut() {
            reordering.counted &= una.before(reordering.round);
        }
    }

    /// The peer had a segment twice that we sent twice: a wider window, once per round trip.
    pub(super) fn reordering_was_underestimated(&mut self, at: &Sending) {
        let learnt = &mut self.past_mut().reordering;
        if learnt.counted {
            return;
        }
        learnt.counted = true;
        learnt.round = at.nxt;
        learnt.quarters = learnt.quarters.saturating_add(1);
        learnt.persists = PERSISTS;
    }

    /// A recovery is over: after some of them without D-SACK the window is as at first.
    pub(super) fn reordering_may_be_over(&mut self) {
        let learnt = &mut self.past_mut().reordering;
        learnt.persists = learnt.persists.saturating_sub(1);
        if learnt.persists == 0 {
            learnt.quarters = 1;
        }
    }
}

/// So many segments behind a hole make it a loss while no reordering was seen (DupThresh).
pub(super) const DUPLICATES: u32 = 3;
/// Recoveries for which a wider window is kept (RFC 8985: 16).
const PERSISTS: u8 = 16;
