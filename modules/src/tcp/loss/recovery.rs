//! What an ACK means for the connection: a loss, its repair, or that there was none.

use super::acked::{News, Step, TICK_NS};
use super::rack::DUPLICATES;
use super::{Ack, Frto, Loss, Records, Sending, State, prr::Prr};
use core::num::NonZeroU32;

use crate::tcp::{
    congestion::{Congestion as _, Window},
    seq::{Range, Seq},
};

/// What is needed to take a reduction back that was in error.
#[derive(Clone, Copy, Debug)]
pub(super) struct Undo {
    /// Where the data began that were in flight at the reduction.
    from: Seq,
    /// Octets that were sent again since, without those that the peer had twice.
    resent: u32,
    /// When data were first sent again, in milliseconds of the clock modulo 2^32, if they were.
    since: Option<NonZeroU32>,
    /// The window before; none that can be taken back to when it is 0.
    before: Window,
}

impl Undo {
    /// There is nothing to take back.
    pub(super) const NONE: Self = Self::new(Seq(0), Window { cwnd: 0, ssthresh: 0 });

    const fn new(from: Seq, before: Window) -> Self {
        Self { from, resent: 0, since: None, before }
    }

    fn is_armed(&self) -> bool {
        self.before.cwnd > 0
    }

    /// `range` was sent again.
    pub(super) fn resent(&mut self, range: Range, now: u64) {
        if self.is_armed() {
            self.resent = self.resent.saturating_add(range.len());
            let now = NonZeroU32::new((now / TICK_NS) as u32);
            self.since = self.since.or(now).or(Some(NonZeroU32::MIN));
        }
    }

    /// The peer had `block` twice; is it of what was sent again since the reduction?
    fn had_twice(&mut self, block: Range) -> bool {
        let since = self.is_armed() && self.resent > 0 && !block.start.before(self.from);
        if since {
            self.resent = self.resent.saturating_sub(block.len());
        }
        since
    }

    /// Was all that was sent again there already (RFC 3708)?
    fn by_duplicates(&self) -> bool {
        self.is_armed() && self.since.is_some() && self.resent == 0
    }

    /// Does an ACK that repairs name a segment that left before the first repair (RFC 3522)?
    fn by_timestamp(&self, ack: &Ack<'_>, now: u64) -> bool {
        let (Some(since), Some(rtt)) = (self.since, ack.echo) else { return false };
        // A step of the clock of timestamps in doubt speaks for the repair.
        let left = (now.saturating_sub(rtt) / TICK_NS) as u32;
        self.is_armed() && (left.wrapping_add(1).wrapping_sub(since.get()) as i32) < 0
    }
}

impl Loss {
    /// Follows the states of a connection; tells the octets that are found lost.
    pub(super) fn judge(
        &mut self,
        records: &mut Records,
        ack: &Ack<'_>,
        at: &Sending,
        news: &mut News,
        step: Step,
    ) -> u32 {
        let calm = self.state == State::Open && self.sack && records.is_orderly();
        if calm && self.probe.is_none() && news.dsack.is_none() {
            return 0;
        }
        if let Some(block) = news.dsack.filter(|_| self.past().counters.resent > 0) {
            // What a probe repeats is no reordering: its ACK was late.
            let probe = self.probe.is_some_and(|probe| probe.end == block.end);
            let ours = !block.end.after(self.recover) && !records.left_once(block.start);
            let since = ours && self.past_mut().undo.had_twice(block);
            self.past_mut().reordering.seen |= since && !probe;
            self.reordering_was_underestimated(at);
        }
        self.answer_probe(ack, at, news, step);
        if !self.sack {
            self.count_duplicates(records, at, news, step);
        }
        let by_time = step.advanced && news.again && self.past().undo.by_timestamp(ack, at.now);
        if self.in_recovery() && by_time
            || self.state == State::Loss && self.spurious(ack, at, news, step)
        {
            self.past_mut().reordering.seen |= self.state == State::Recovery;
            // What was sent again did not arrive yet, so it says nothing about the others.
            records.newest = news.newest_once;
            records.unmark();
            self.take_back();
        }
        // A window that falls for ECN falls until something behind CWR is acknowledged: until then
        // the peer may not have seen it (RFC 3168 6.1.2).
        let over = at.una.after(self.recover) || self.in_recovery() && at.una == self.recover;
        if self.state >= State::Cwr && over {
            self.finish(at);
        }
        if self.past().undo.by_duplicates() && (!self.in_recovery() || records.lost() == 0) {
            self.take_back();
        }
        let lost = self.find_lost(records, at, step.advanced);
        if self.state < State::Recovery && records.lost() > 0 {
            self.reduce(records, at, step.flight, State::Recovery);
        } else if self.state <= State::Disorder {
            let disorder = records.sacked() > 0 || self.duplicates > 0;
            self.state = if disorder { State::Disorder } else { State::Open };
        }
        lost
    }

    /// Begins a reduction: fast recovery, or what ECN asks for.
    pub(super) fn reduce(
        &mut self,
        records: &mut Records,
        at: &Sending,
        flight: u32,
        state: State,
    ) {
        if self.state < State::Cwr {
            self.past_mut().undo = Undo::new(at.una, self.window);
            let moment = self.moment(at);
            self.window.ssthresh = self.control.reduce(&self.window, false, &moment);
            records.prr = Prr::new(flight);
        }
        self.state = state;
        self.recover = at.nxt;
        self.probe = None;
    }

    /// The timer ran off: so does what a recovery has left (RFC 5681 3.1).
    pub(super) fn reduce_by_timeout(&mut self, records: &Records, at: &Sending) {
        let repaired = !at.una.before(self.recover);
        let first = self.state == State::Loss && self.timeouts == 1;
        if self.state <= State::Disorder || repaired || first {
            self.past_mut().undo = Undo::new(at.una, self.window);
            let moment = self.moment(at);
            self.window.ssthresh = self.control.reduce(&self.window, true, &moment);
        }
        self.state = State::Loss;
        self.recover = at.nxt;
        self.held = true;
        self.duplicates = 0;
        self.frto = Frto::Head;
        self.window.cwnd = records.pipe().saturating_add(at.mss);
    }

    /// Segments of more than `at.mss` octets do not pass (RFC 1191): what left as such is sent
    /// again, which is no fault of the window (RFC 1191 section 6.4).
    pub fn too_large(&mut self, records: &mut Records, at: &Sending) {
        if self.handshake || records.mark_longer(at.mss) == 0 {
            return;
        }
        self.keep_reduction();
        self.frto = Frto::Off;
        self.probe = None;
        self.duplicates = 0;
        self.state = State::Loss;
        self.recover = at.nxt;
    }

    /// Takes the last reduction back.
    fn take_back(&mut self) {
        let past = self.past_mut();
        let before = core::mem::replace(&mut past.undo, Undo::NONE).before;
        past.counters.undone = past.counters.undone.wrapping_add(1);
        self.window.cwnd = self.window.cwnd.max(before.cwnd);
        self.window.ssthresh = self.window.ssthresh.max(before.ssthresh);
        self.control.undo();
        self.state = State::Open;
        self.frto = Frto::Off;
        self.held = false;
        self.duplicates = 0;
        self.rtt.forgive();
    }

    /// All that was in flight when the reduction began is acknowledged.
    pub(super) fn finish(&mut self, at: &Sending) {
        if self.state != State::Loss {
            self.window.cwnd = self.window.ssthresh;
        }
        if self.state == State::Recovery {
            self.reordering_may_be_over();
        }
        self.held = self.in_recovery() && !at.una.after(self.recover);
        self.state = State::Open;
        self.frto = Frto::Off;
        self.duplicates = 0;
    }

    /// F-RTO (RFC 5682 section 3): was the timeout spurious?
    fn spurious(&mut self, ack: &Ack<'_>, at: &Sending, news: &News, step: Step) -> bool {
        if self.frto == Frto::Off {
            return false;
        }
        // Data that were sent once arrived, so not all was lost. Without SACK an ACK that covers a
        // repair may cover what arrived long ago.
        if news.original && (self.sack || !news.again) {
            return true;
        }
        let judged = at.nxt.after(self.recover);
        self.frto = if !step.advanced || judged {
            // A duplicate: the loss was real.
            if step.dup || news.sacked > 0 { Frto::Off } else { self.frto }
        } else if ack.more && at.una.before(self.recover) {
            self.recover = at.nxt;
            Frto::New
        } else {
            Frto::Off
        };
        false
    }

    /// Is the tail loss probe answered, and had it repaired a loss (RFC 8985 7.4)?
    fn answer_probe(&mut self, ack: &Ack<'_>, at: &Sending, news: &News, step: Step) {
        let Some(probe) = self.probe.filter(|probe| !at.una.before(probe.end)) else { return };
        let twice = news.dsack.is_some_and(|block| block.end == probe.end);
        if !probe.old || twice {
            self.probe = None;
        } else if at.una.after(probe.end) {
            self.probe = None;
            if self.state < State::Cwr {
                let moment = self.moment(at);
                self.window.ssthresh = self.control.reduce(&self.window, false, &moment);
                self.window.cwnd = self.window.cwnd.min(self.window.ssthresh);
                self.keep_reduction();
            }
        } else if !step.advanced && ack.pure && ack.sacks.is_empty() {
            self.probe = None;
        }
    }

    /// Without SACK: each duplicate stands for a segment that arrived (RFC 6582, RFC 3042).
    fn count_duplicates(&mut self, records: &Records, at: &Sending, news: &mut News, step: Step) {
        let before = u32::from(self.duplicates);
        let mut duplicates = before + u32::from(step.dup);
        if step.advanced {
            // One segment filled the hole, the others are those which made the duplicates.
            let others = news.bytes.div_ceil(at.mss).saturating_sub(1);
            duplicates = if self.in_recovery() { before.saturating_sub(others) } else { 0 };
        }
        // At least the hole itself did not arrive.
        let most = records.pipe().div_ceil(at.mss).saturating_sub(1);
        let duplicates = duplicates.min(most).min(u32::from(u16::MAX));
        self.duplicates = duplicates as u16;
        if self.in_recovery() {
            let known = before.saturating_sub(duplicates).saturating_mul(at.mss);
            let new = if step.dup { at.mss } else { 0 };
            news.delivered = news.bytes.saturating_sub(known) + new;
        }
    }

    /// What is lost, by RACK or by duplicate ACKs; tells the octets that are new.
    fn find_lost(&mut self, records: &mut Records, at: &Sending, advanced: bool) -> u32 {
        if self.sack {
            return self.detect(records, at);
        }
        self.held &= !at.una.after(self.recover);
        let lost = match self.state {
            // A partial ACK: the next hole begins where it ends (RFC 6582 3.2).
            State::Recovery => advanced,
            State::Loss => false,
            _ => u32::from(self.duplicates) >= DUPLICATES && !self.held,
        };
        let Some(first) = records.first().filter(|_| lost) else { return 0 };
        let start = first.range.start;
        let end = start.add(at.mss.min(first.range.len()));
        let new = records.mark_lost(Range::new(start, end));
        self.count_lost(new);
        new
    }

    /// So many octets more were taken for lost.
    pub(super) fn count_lost(&mut self, octets: u32) {
        if octets > 0 {
            let counters = &mut self.past_mut().counters;
            counters.lost = counters.lost.wrapping_add(octets);
        }
    }
}
