//! Each rule on its own, in virtual time. Numbers of segments count from the first of a test.

use super::*;
use std::vec::Vec;

mod detection;
mod windows;

const MSS: u32 = 1000;
const MS: u64 = 1_000_000;
const RTT: u64 = 100 * MS;
/// The space of sequence numbers wraps within every test.
const START: Seq = Seq(u32::MAX - 3500);

/// A sender that has an unlimited lot of data.
struct Line {
    loss: Loss,
    records: Records,
    una: Seq,
    nxt: Seq,
    now: u64,
    sack: bool,
    more: bool,
}

fn at(segment: u32) -> Seq {
    START.add(segment * MSS)
}

fn segments(from: u32, to: u32) -> Range {
    Range::new(at(from), at(to))
}

impl Line {
    fn new(algorithm: Algorithm) -> Self {
        let mut loss = Loss::new(algorithm, MSS);
        loss.established(MSS);
        Self {
            loss,
            records: Records::default(),
            una: START,
            nxt: START,
            now: 1000 * MS,
            sack: true,
            more: true,
        }
    }

    /// One whose round trip is known, with `cwnd` segments of window, all of them in flight.
    fn full(cwnd: u32) -> Self {
        let mut line = Self::new(Algorithm::NewReno);
        line.warm_up();
        line.loss.window.cwnd = cwnd * MSS;
        line.send(cwnd);
        line
    }

    fn full_without_sack(cwnd: u32) -> Self {
        let mut line = Self::full(cwnd);
        line.sack = false;
        line.loss.sack = false;
        line
    }

    /// A round trip with a segment that lies before the first of the test.
    fn warm_up(&mut self) {
        (self.una, self.nxt) = (START.sub(MSS), START.sub(MSS));
        self.send(1);
        self.now += RTT;
        self.ack(0, &[]);
        self.loss.past_mut().counters = Counters::default();
    }

    fn sending(&self) -> Sending {
        Sending { now: self.now, una: self.una, nxt: self.nxt, mss: MSS }
    }

    /// Sends `count` segments of their own, whatever the quota is.
    fn send(&mut self, count: u32) {
        for _ in 0..count {
            self.send_together(1);
        }
    }

    fn send_together(&mut self, count: u32) {
        let range = Range::new(self.nxt, self.nxt.add(count * MSS));
        let sending = self.sending();
        self.loss.sent(&mut self.records, range, &sending);
        self.nxt = range.end;
    }

    fn quota(&self) -> u32 {
        self.loss.quota(&self.records, &self.sending()) / MSS
    }

    fn ack(&mut self, to: u32, sacks: &[(u32, u32)]) -> Acked {
        let sacks: Vec<Range> = sacks.iter().map(|(from, to)| segments(*from, *to)).collect();
        self.hear(at(to), &sacks, None, false)
    }

    fn hear(&mut self, ack: Seq, sacks: &[Range], echo: Option<u64>, ece: bool) -> Acked {
        let (sack_ok, more) = (self.sack, self.more);
        let told = Ack { ack, sacks, sack_ok, echo, ece, pure: true, more };
        let sending = self.sending();
        let done = self.loss.acked(&mut self.records, &told, &sending);
        self.una = ack;
        self.check();
        done
    }

    fn timer(&self) -> Option<(Timer, u64)> {
        self.loss.timer(&self.records, &self.sending())
    }

    /// Waits for the timer that runs.
    fn expire(&mut self) -> (Timer, Expired) {
        let (timer, when) = self.timer().expect("data are in flight");
        self.now = self.now.max(when);
        let more = self.more;
        let sending = self.sending();
        let expired = self.loss.expired(&mut self.records, timer, &sending, more);
        self.check();
        (timer, expired)
    }

    /// Sends again all that may be; the numbers of the first and behind the last segment of each.
    fn resend(&mut self) -> Vec<(u32, u32)> {
        let mut sent = Vec::new();
        while let Some(range) = self.loss.next_lost(&self.records, &self.sending()) {
            let sending = self.sending();
            self.loss.retransmitted(&mut self.records, range, &sending);
            sent.push((range.start.since(START) / MSS, range.end.since(START) / MSS));
            self.check();
        }
        sent
    }

    /// What always holds.
    fn check(&self) {
        self.records.recount();
        assert_eq!(self.timer().is_some(), self.una != self.nxt);
        let pipe = self.loss.pipe(&self.records, &self.sending());
        let quota = self.loss.quota(&self.records, &self.sending());
        assert!(quota == 0 || pipe + quota <= self.loss.cwnd());
        assert!(self.loss.cwnd() >= MSS);
    }
}
