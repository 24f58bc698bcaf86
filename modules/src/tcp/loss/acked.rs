//! An acknowledgment arrives: what it tells, and what follows from that.

use super::{Ack, Acked, Loss, Records, Sending, State, rack::Newest, records::Record};
use crate::tcp::{congestion::Congestion as _, seq::Range};

/// What one ACK did to the flight.
#[derive(Clone, Copy)]
pub(super) struct Step {
    /// Octets that were in flight before it, without those that were sacked.
    pub(super) flight: u32,
    /// Did the first octet that is not acknowledged move?
    pub(super) advanced: bool,
    /// Is it a duplicate?
    pub(super) dup: bool,
}

/// What one ACK tells about the records.
#[derive(Default)]
pub(super) struct News {
    /// Octets delivered: acknowledged for the first time, in whichever way.
    pub(super) delivered: u32,
    /// Octets selectively acknowledged for the first time.
    pub(super) sacked: u32,
    /// Round-trip time of the record that was sent first among those sent once, in nanoseconds.
    rtt: Option<u64>,
    /// The shortest round trip of what was delivered and sent once, in nanoseconds.
    fastest: Option<u64>,
    /// Was something delivered that was sent again? Then `rtt` may be that of the repair.
    pub(super) again: bool,
    /// Was something delivered that was sent once, and before the recovery began?
    pub(super) original: bool,
    /// Octets acknowledged.
    pub(super) bytes: u32,
    /// D-SACK of what this connection sent again.
    pub(super) dsack: Option<Range>,
    /// What RACK knows if only what was sent once counts.
    pub(super) newest_once: Newest,
}

impl Loss {
    /// An ACK arrived; `at.una` is as it was before. The caller has refused what acknowledges more
    /// than `at.nxt` or is older than `at.una`.
    pub fn acked(&mut self, records: &mut Records, ack: &Ack<'_>, at: &Sending) -> Acked {
        // An echo of what never was says nothing.
        let ack = &Ack { echo: ack.echo.filter(|rtt| *rtt <= ECHO_MAX_NS), ..*ack };
        self.sack = ack.sack_ok;
        let undone = self.past().counters.undone;
        let sacked_before = records.sacked();
        let mut news = News { dsack: self.duplicate(ack, at), ..News::default() };
        self.learn(records, ack, at, &mut news);
        let advanced = ack.ack.after(at.una);
        let dup = !advanced && !records.is_empty() && ack.pure;
        let at = Sending { una: ack.ack.latest(at.una), ..*at };
        let mut done = Acked {
            bytes: news.bytes,
            sacked: news.sacked,
            all: records.is_empty(),
            dup,
            ..Acked::default()
        };
        if advanced {
            // Those of a SYN are for `established` to see.
            self.timeouts = if self.handshake { self.timeouts } else { 0 };
            records.timer_from = at.now;
            self.reordering_round(at.una);
        }
        self.measure(ack, &news, at.now);
        if let Some(rate) = records.delivered(news.delivered, &at) {
            self.delivery_rate = rate;
        }
        if self.handshake {
            done.dup = false;
            return done;
        }
        let step =
            Step { flight: records.outstanding() + news.bytes - sacked_before, advanced, dup };
        let falls = self.falls();
        let lost = self.judge(records, ack, &at, &mut news, step);
        done.cwr = ack.ece && self.marked(records, &at, step.flight);
        if self.falls() || !falls {
            self.resize(records, &at, &news, advanced && lost == 0);
        }
        if done.all {
            // What arrives from now on is of new data, so nothing is left to wait for.
            if self.state >= State::Cwr {
                self.finish(&at);
            }
            self.state = State::Open;
        }
        done.undone = self.past().counters.undone != undone;
        done
    }

    /// Takes the ACK and the SACK blocks into the records.
    fn learn(&mut self, records: &mut Records, ack: &Ack<'_>, at: &Sending, news: &mut News) {
        if ack.sacks.is_empty() && records.is_orderly() {
            return self.learn_in_order(records, ack, at, news);
        }
        let least = self.rtt.least();
        // The clock of timestamps has steps of a millisecond.
        let echoed = ack.echo.map(|rtt| at.now.saturating_sub(rtt) + TICK_NS);
        let (recover, may_undo) = (self.recover, self.in_recovery());
        let mut newest = records.newest;
        news.newest_once = newest.unsent();
        let mut reorders = false;
        let mut delivered = |news: &mut News, record: &Record, echoed: Option<u64>| {
            reorders |= newest.delivered(record, at.now, echoed, least);
            if !record.again {
                if may_undo {
                    news.newest_once.delivered(record, at.now, echoed, least);
                }
                let rtt = at.now.saturating_sub(record.sent);
                news.fastest = Some(news.fastest.map_or(rtt, |known| known.min(rtt)));
            }
            news.delivered += record.range.len();
            news.again |= record.again;
            news.original |= !record.again && !record.range.end.after(recover);
        };
        if ack.ack.after(at.una) {
            news.bytes = ack.ack.since(at.una).min(records.outstanding());
            records.acknowledge(ack.ack, |record| {
                if !record.sacked {
                    delivered(news, record, echoed);
                    if !record.again {
                        let rtt = at.now.saturating_sub(record.sent);
                        news.rtt = Some(news.rtt.map_or(rtt, |known| known.max(rtt)));
                    }
                }
            });
        }
        let blocks = if ack.sack_ok { ack.sacks } else { &[] };
        for (number, block) in blocks.iter().enumerate() {
            if number == 0 && is_duplicate(ack) {
                continue;
            }
            if !plausible(*block, at) {
                self.count_bad_sack();
                continue;
            }
            // What the cumulative ACK passed is nothing new, and no fault.
            let block = Range::new(block.start.latest(ack.ack.latest(at.una)), block.end);
            records.sack(block, at.mss, |record| {
                // The timestamp is that of what came in order (RFC 7323 4.3), not of this one.
                delivered(news, record, None);
                news.sacked += record.range.len();
            });
        }
        if reorders {
            self.past_mut().reordering.seen = true;
        }
        records.newest = newest;
    }

    /// The same for an ACK of what was sent once and in order, as nearly all are: the first and
    /// the last record tell what all of them would.
    fn learn_in_order(&self, records: &mut Records, ack: &Ack<'_>, at: &Sending, news: &mut News) {
        if !ack.ack.after(at.una) {
            return;
        }
        news.bytes = ack.ack.since(at.una).min(records.outstanding());
        let Some((first, last)) = records.acknowledge_in_order(ack.ack) else { return };
        news.delivered = news.bytes;
        news.rtt = Some(at.now.saturating_sub(first.sent));
        news.fastest = Some(at.now.saturating_sub(last.sent));
        news.original = !first.range.end.after(self.recover);
        records.newest.delivered(&last, at.now, None, None);
        news.newest_once = records.newest;
    }

    /// The first block, if it tells of octets that the peer had before (RFC 2883).
    fn duplicate(&mut self, ack: &Ack<'_>, at: &Sending) -> Option<Range> {
        if !ack.sack_ok || !is_duplicate(ack) {
            return None;
        }
        let block = *ack.sacks.first()?;
        // Octets that this connection has sent, and not a window of sequence numbers ago.
        if !plausible(block, at) {
            self.count_bad_sack();
            return None;
        }
        let counters = &mut self.past_mut().counters;
        counters.dsacks = counters.dsacks.wrapping_add(1);
        Some(block)
    }

    fn count_bad_sack(&mut self) {
        let counters = &mut self.past_mut().counters;
        counters.bad_sacks = counters.bad_sacks.wrapping_add(1);
    }

    /// Measures the round trip (RFC 6298 section 3 and 4, Karn): by what was sent once, else by
    /// the timestamp.
    fn measure(&mut self, ack: &Ack<'_>, news: &News, now: u64) {
        let by_record = news.rtt.filter(|_| !news.again);
        if let Some(rtt) = by_record.or(ack.echo.filter(|_| news.bytes > 0)) {
            self.rtt.sample(rtt);
        }
        if let Some(rtt) = news.fastest {
            self.rtt.least_of(rtt, now);
        }
    }

    /// ECN-Echo: one reduction per window of data (RFC 3168 6.1.2).
    fn marked(&mut self, records: &mut Records, at: &Sending, flight: u32) -> bool {
        if self.state > State::Disorder {
            return false;
        }
        self.reduce(records, at, flight, State::Cwr);
        // What the network said is no error, so it is not taken back.
        self.keep_reduction();
        true
    }

    /// Sets the window: by PRR while it falls, else as the controller says.
    fn resize(&mut self, records: &mut Records, at: &Sending, news: &News, safe: bool) {
        match self.state {
            State::Cwr | State::Recovery => {
                let pipe = self.pipe(records, at);
                let ssthresh = self.window.ssthresh;
                let window = records.prr.window(news.delivered, pipe, ssthresh, at.mss, safe);
                self.window.cwnd = window.unwrap_or(self.window.cwnd).max(at.mss);
            }
            // The window grows with what is acknowledged, not with what is out of order (RFC 3042).
            _ if news.bytes == 0 => {}
            _ if self.grows() => {
                let moment = self.moment(at);
                // After a timeout an ACK covers what had arrived long before: what was sacked does
                // not count twice, and without SACK it is a segment at most (RFC 3465 2.3).
                let octets = match (self.state, self.sack) {
                    (State::Loss, true) => news.delivered,
                    (State::Loss, false) => news.bytes.min(at.mss),
                    _ => news.bytes,
                };
                self.control.grow(&mut self.window, octets, &moment);
            }
            _ => self.control.unused(),
        }
    }
}

/// Is the first block a D-SACK: of what is acknowledged, or within the second?
fn is_duplicate(ack: &Ack<'_>) -> bool {
    match ack.sacks {
        [first, ..] if !first.end.after(ack.ack) => true,
        [first, second, ..] => !first.start.before(second.start) && !first.end.after(second.end),
        _ => false,
    }
}

/// Can `block` be of what was sent in the last window?
fn plausible(block: Range, at: &Sending) -> bool {
    block.start.before(block.end) && !block.end.after(at.nxt)
}

/// Nothing is in flight for longer than a timeout and its last doubling.
const ECHO_MAX_NS: u64 = 240_000_000_000;
/// A step of the clock that timestamps are taken from.
pub(super) const TICK_NS: u64 = 1_000_000;
