//! The timers of a flight: retransmission, tail loss probe, reordering.

use super::{Expired, Loss, Probe, Records, Sending, State, Timer};
use crate::tcp::seq::Range;

impl Loss {
    /// Which timer runs, and when it runs off, in nanoseconds. There is one whenever data are in
    /// flight; it changes with every other call.
    pub fn timer(&self, records: &Records, at: &Sending) -> Option<(Timer, u64)> {
        let first = records.first()?;
        let timeout = records.timer_from.saturating_add(self.rtt.timeout());
        if let Some(reorder) = records.reorder_at.filter(|reorder| *reorder < timeout) {
            return Some((Timer::Reorder, reorder));
        }
        let calm = self.state < State::Recovery && records.sacked() == 0 && records.lost() == 0;
        let probes = calm && self.sack && self.timeouts == 0 && !self.handshake;
        if !probes || self.probe.is_some() {
            return Some((Timer::Rto, timeout));
        }
        // Two round trips since data last left or were acknowledged; a single segment may wait for
        // a delayed ACK (RFC 8985 7.2).
        let single = records.len() == 1 && first.range.len() <= at.mss;
        let mut wait = match self.rtt.smoothed() {
            Some(smoothed) => 2 * smoothed,
            None => PROBE_BLIND_NS,
        };
        wait += if single { DELAYED_ACK_NS } else { PROBE_SLACK_NS };
        let probe = self.last_sent.max(records.timer_from).saturating_add(wait);
        Some((Timer::Probe, probe.min(timeout)))
    }

    /// `timer` ran off at `at.now`. One that does not run, or not yet, does nothing.
    /// `more`: as in [`Ack`](super::Ack).
    pub fn expired(
        &mut self,
        records: &mut Records,
        timer: Timer,
        at: &Sending,
        more: bool,
    ) -> Expired {
        match self.timer(records, at) {
            Some((running, when)) if running == timer && when <= at.now => {}
            _ => return Expired::Nothing,
        }
        match timer {
            Timer::Rto => self.time_out(records, at),
            Timer::Probe => self.probe_tail(records, at, more),
            Timer::Reorder => {
                let flight = records.pipe();
                if self.detect(records, at) == 0 {
                    return Expired::Nothing;
                }
                if self.state < State::Recovery {
                    self.reduce(records, at, flight, State::Recovery);
                }
                if self.state == State::Recovery {
                    let pipe = self.pipe(records, at);
                    let ssthresh = self.window.ssthresh;
                    let window = records.prr.window(0, pipe, ssthresh, at.mss, false);
                    self.window.cwnd = window.unwrap_or(self.window.cwnd);
                }
                Expired::Retransmit
            }
        }
    }

    fn time_out(&mut self, records: &mut Records, at: &Sending) -> Expired {
        self.timeouts = self.timeouts.saturating_add(1);
        self.rtt.back_off();
        records.timer_from = at.now;
        self.probe = None;
        let late = self.late(records, at);
        records.mark_all(late);
        if !self.handshake {
            self.reduce_by_timeout(records, at);
        }
        Expired::Retransmit
    }

    /// New data are the best probe, else the last segment is sent again (RFC 8985 7.3).
    fn probe_tail(&mut self, records: &mut Records, at: &Sending, more: bool) -> Expired {
        let Some(Range { start, end }) = records.last().map(|last| last.range) else {
            return Expired::Nothing;
        };
        records.timer_from = at.now;
        let counters = &mut self.past_mut().counters;
        counters.probes = counters.probes.wrapping_add(1);
        self.probe = Some(Probe { end: at.nxt, old: !more });
        if more {
            return Expired::ProbeNew;
        }
        let whole = (end.since(start) - 1) / at.mss * at.mss;
        Expired::ProbeLast(Range::new(start.add(whole), end))
    }
}

/// How long a receiver may hold back an ACK, at most: as Linux does.
const DELAYED_ACK_NS: u64 = 200_000_000;
/// What a probe waits beyond two round trips: a tick of a coarse timer at the peer.
const PROBE_SLACK_NS: u64 = 2_000_000;
/// What a probe waits when no round trip is known (RFC 8985 7.2).
const PROBE_BLIND_NS: u64 = 1_000_000_000;
