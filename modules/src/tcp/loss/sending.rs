//! What may leave, and what left.

use super::{Frto, Loss, Records, Sending, State, acked::TICK_NS, initial_window};
use crate::tcp::{
    congestion::Congestion as _,
    seq::{Range, Seq},
};

/// How much of the window is used: while it is not it does not grow, and after a time-out falls to
/// what is (RFC 7661, as Linux does it).
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Usage {
    /// The most that was in flight in this window of data, in octets; 0 before the first.
    most: u32,
    /// Where this window of data ends.
    end: Seq,
    /// The most that was in flight since `since`, in octets.
    used: u32,
    /// From when the window has not been full, in milliseconds of the clock; 0: not known.
    since_ms: u32,
}

impl Loss {
    /// New data (or SYN, or FIN) `range` left as one segment or super-segment; `at.una` and
    /// `at.nxt` as they are without it or with it.
    pub fn sent(&mut self, records: &mut Records, range: Range, at: &Sending) {
        if range.is_empty() {
            return;
        }
        if records.is_empty() {
            records.timer_from = at.now;
        }
        records.push(range, at.now);
        records.prr.sent(range.len());
        self.last_sent = at.now;
        if self.frto == Frto::New {
            self.frto = Frto::Judge;
        }
        let pipe = self.pipe(records, at);
        let limited = pipe.saturating_add(at.mss) > self.window.cwnd;
        let Usage { most, end, .. } = self.usage;
        if limited || !at.una.before(end) || !self.limited && pipe > most {
            self.usage = Usage { most: pipe, end: range.end, ..self.usage };
            self.limited = limited;
        }
        self.validate(pipe, at);
    }

    /// A window that the application or the peer has not filled for a time-out says little about
    /// the network: half of what was not used is given up (RFC 7661 section 4.4.1, as Linux).
    fn validate(&mut self, pipe: u32, at: &Sending) {
        let now_ms = (at.now / TICK_NS) as u32;
        if self.usage.since_ms == 0 || self.grows() {
            (self.usage.used, self.usage.since_ms) = (0, now_ms);
            return;
        }
        self.usage.used = self.usage.used.max(pipe);
        let unused = u64::from(now_ms.wrapping_sub(self.usage.since_ms)) * TICK_NS;
        if unused < self.rtt.timeout() {
            return;
        }
        let used = self.usage.used.max(initial_window(self.initial, at.mss));
        if self.state == State::Open && used < self.window.cwnd {
            self.window.ssthresh = self.window.ssthresh.max(self.window.cwnd / 4 * 3);
            self.window.cwnd = used + (self.window.cwnd - used) / 2;
            self.control.unused();
        }
        (self.usage.used, self.usage.since_ms) = (0, now_ms);
    }

    /// `range`, of what is in flight, left again.
    pub fn retransmitted(&mut self, records: &mut Records, range: Range, at: &Sending) {
        let Some(first) = records.first() else { return };
        let range = Range::new(range.start.latest(first.range.start), range.end);
        if !range.start.before(range.end) {
            return;
        }
        if range.start == first.range.start {
            records.timer_from = at.now;
        }
        records.resent(range, at.now);
        records.prr.sent(range.len());
        self.last_sent = at.now;
        let past = self.past_mut();
        past.counters.resent = past.counters.resent.wrapping_add(range.len());
        past.undo.resent(range, at.now);
    }

    /// What is to be sent again now: whole segments, as far as the window lets them. The caller may
    /// send less of it, and asks again.
    pub fn next_lost(&self, records: &Records, at: &Sending) -> Option<Range> {
        if self.frto == Frto::New {
            return None;
        }
        let lost = records.first_lost()?;
        let budget = self.window.cwnd.saturating_sub(self.pipe(records, at));
        let run = records.run(lost, at.mss);
        if budget >= run.len() {
            return Some(run);
        }
        let whole = budget / at.mss * at.mss;
        (whole > 0).then(|| Range::new(run.start, run.start.add(whole)))
    }

    /// Octets of new data that may leave now, as far as the network is concerned: a segment is
    /// not cut to fit, what is above the quota waits. Zero while lost data wait.
    pub fn quota(&self, records: &Records, at: &Sending) -> u32 {
        if records.lost() > 0 && self.frto != Frto::New {
            return 0;
        }
        self.window.cwnd.saturating_sub(self.pipe(records, at))
    }

    /// Octets that are believed to be in the network. Duplicate ACKs of a peer without SACK each
    /// stand for a segment that left it.
    pub(super) fn pipe(&self, records: &Records, at: &Sending) -> u32 {
        records.pipe().saturating_sub(u32::from(self.duplicates).saturating_mul(at.mss))
    }

    /// Data are to be sent after a pause: the window is halved for each timeout that passed, down
    /// to what a new connection has (RFC 5681 4.1, as Linux does it). Call it before [`quota`]
    /// when nothing is in flight.
    ///
    /// [`quota`]: Loss::quota
    pub fn idle_restart(&mut self, records: &Records, at: &Sending) {
        let timeout = self.rtt.timeout();
        if !records.is_empty() || self.handshake || self.last_sent == 0 {
            return;
        }
        let idle = at.now.saturating_sub(self.last_sent);
        if idle <= timeout {
            return;
        }
        let least = initial_window(self.initial, at.mss).min(self.window.cwnd);
        let halvings = (idle / timeout).min(31) as u32;
        let slow = self.window.cwnd / 4 * 3;
        self.window.ssthresh = self.window.ssthresh.max(slow);
        self.window.cwnd = (self.window.cwnd >> halvings).max(least);
        self.control.unused();
        self.usage = Usage::default();
        self.last_sent = at.now;
    }

    /// May the window grow by what was delivered?
    pub(super) fn grows(&self) -> bool {
        self.limited
            || self.window.slow_start() && self.window.cwnd < self.usage.most.saturating_mul(2)
    }
}
