//! Senders and receivers over one bottleneck, in virtual time: what `loss` is measured with.
//! Segments are numbers only; the receiver acknowledges as RFC 5681, 2018, 2883 and 7323 say.

use millstream_core::Rng;
use millstream_modules::tcp::congestion::Algorithm;
use millstream_modules::tcp::loss::{Ack, Expired, Loss, Records, Sending};
use millstream_modules::tcp::{Range, Seq};
use std::cmp::Reverse;
use std::collections::BinaryHeap;

pub(crate) const MSS: u32 = 1448;
pub(crate) const MS: u64 = 1_000_000;

/// A path: a bottleneck with a queue, and what else befalls segments. Parts in millionths.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Path {
    /// Octets a second that the bottleneck carries.
    pub(crate) rate: u64,
    /// Round trip without a queue, in nanoseconds.
    pub(crate) rtt: u64,
    /// Octets that wait before the bottleneck.
    pub(crate) queue: u64,
    /// Segments lost at random, after the bottleneck.
    pub(crate) loss: u32,
    /// Segments that are lost in a row, on the average; 1: each on its own.
    pub(crate) burst: u32,
    /// Segments that are held back by `held`.
    pub(crate) reorder: u32,
    /// How long, in nanoseconds.
    pub(crate) held: u64,
    /// Segments that arrive twice.
    pub(crate) twice: u32,
    /// ACKs lost.
    pub(crate) ack_loss: u32,
    /// Octets in the queue from which segments are marked, on flows that know ECN.
    pub(crate) mark: Option<u64>,
}

impl Path {
    pub(crate) fn new(mbit: u64, rtt_ms: u64) -> Self {
        let rate = mbit * 125_000;
        let rtt = rtt_ms * MS;
        let queue = (rate * rtt / 1_000_000_000).max(20 * u64::from(MSS));
        Self {
            rate,
            rtt,
            queue,
            loss: 0,
            burst: 1,
            reorder: 0,
            held: 0,
            twice: 0,
            ack_loss: 0,
            mark: None,
        }
    }
}

/// How a flow is set up.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Setup {
    pub(crate) algorithm: Algorithm,
    pub(crate) sack: bool,
    pub(crate) stamps: bool,
    /// Octets that the application has in all.
    pub(crate) octets: u64,
    /// Segments that leave as one, at most.
    pub(crate) together: u32,
    /// When it begins, in nanoseconds.
    pub(crate) starts: u64,
    /// The receiver holds ACKs of one segment back for so long, in nanoseconds.
    pub(crate) delayed: u64,
    /// The window of the receiver, in octets.
    pub(crate) window: u32,
}

impl Default for Setup {
    fn default() -> Self {
        Self {
            algorithm: Algorithm::Cubic,
            sack: true,
            stamps: true,
            octets: u64::MAX,
            together: 4,
            starts: 0,
            delayed: 40 * MS,
            window: 16 << 20,
        }
    }
}

pub(crate) struct Flow {
    pub(crate) setup: Setup,
    pub(crate) loss: Loss,
    pub(crate) records: Records,
    una: Seq,
    nxt: Seq,
    unsent: u64,
    receiver: Receiver,
    tell_reduced: bool,
    /// Octets that the receiver has in order.
    pub(crate) delivered: u64,
    pub(crate) segments: u64,
    pub(crate) timeouts: u32,
    /// When all was acknowledged, in nanoseconds.
    pub(crate) done_at: Option<u64>,
}

#[derive(Default)]
struct Receiver {
    next: Seq,
    /// What is out of order, the latest arrival first.
    blocks: Vec<Range>,
    duplicate: Option<Range>,
    stamp: u64,
    unacked: u32,
    ack_at: Option<u64>,
    echo: bool,
}

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Event {
    Data { range: (u32, u32), stamp: u64, marked: bool, reduced: bool },
    Ack { ack: u32, sacks: Vec<(u32, u32)>, stamp: u64, echo: bool },
}

pub(crate) struct World {
    pub(crate) path: Path,
    pub(crate) flows: Vec<Flow>,
    pub(crate) now: u64,
    rng: Rng,
    events: BinaryHeap<Reverse<(u64, u64, usize, Event)>>,
    number: u64,
    free_at: u64,
    in_burst: bool,
    /// When a segment was last carried: a burst ends when nothing is.
    carried_at: u64,
    /// Segments that are lost, by their numbers in the order of sending.
    pub(crate) drop_numbers: Vec<u64>,
    /// Nothing arrives at the receiver between these times, but at the end of them.
    pub(crate) outage: Option<(u64, u64)>,
}

impl World {
    pub(crate) fn new(seed: u64, path: Path, setups: &[Setup]) -> Self {
        let start = Seq(u32::MAX - 500_000);
        let flows = setups.iter().map(|setup| {
            let mut loss = Loss::new(setup.algorithm, MSS);
            loss.established(MSS);
            Flow {
                setup: *setup,
                loss,
                records: Records::default(),
                una: start,
                nxt: start,
                unsent: setup.octets,
                receiver: Receiver { next: start, ..Receiver::default() },
                tell_reduced: false,
                delivered: 0,
                segments: 0,
                timeouts: 0,
                done_at: None,
            }
        });
        Self {
            path,
            flows: flows.collect(),
            now: 1,
            rng: Rng::new(seed),
            events: BinaryHeap::new(),
            number: 0,
            free_at: 0,
            in_burst: false,
            carried_at: 0,
            drop_numbers: Vec::new(),
            outage: None,
        }
    }

    /// Runs until `end`, or until all flows have sent all they have.
    pub(crate) fn run(&mut self, end: u64) {
        for flow in 0..self.flows.len() {
            if self.flows[flow].setup.starts <= self.now {
                self.output(flow);
            }
        }
        while self.flows.iter().any(|flow| flow.done_at.is_none()) {
            let Some((time, flow)) = self.next() else { return };
            if time > end {
                break;
            }
            self.now = self.now.max(time);
            self.step(flow);
        }
        self.now = self.now.max(end);
    }

    /// The next time at which something happens, and the flow whose own deadline it is.
    fn next(&self) -> Option<(u64, Option<usize>)> {
        let event = self.events.peek().map(|Reverse((time, ..))| (*time, None));
        let own = self.flows.iter().enumerate().filter_map(|(number, flow)| {
            let start = (flow.setup.starts > self.now).then_some(flow.setup.starts);
            let timer = flow.loss.timer(&flow.records, &flow.at(self.now)).map(|(_, at)| at);
            [start, timer, flow.receiver.ack_at].into_iter().flatten().min().zip(Some(Some(number)))
        });
        own.chain(event).min_by_key(|(time, own)| (*time, own.is_some()))
    }

    fn step(&mut self, own: Option<usize>) {
        if let Some(flow) = own {
            if self.flows[flow].receiver.ack_at.is_some_and(|at| at <= self.now) {
                self.acknowledge(flow);
            }
            self.expire(flow);
            self.output(flow);
        } else if let Some(Reverse((_, _, flow, event))) = self.events.pop() {
            match event {
                Event::Data { range, stamp, marked, reduced } => {
                    let range = Range::new(Seq(range.0), Seq(range.1));
                    self.arrive(flow, range, stamp, marked, reduced);
                }
                Event::Ack { ack, sacks, stamp, echo } => {
                    self.acked(flow, Seq(ack), &sacks, stamp, echo);
                    self.output(flow);
                }
            }
        }
        self.check();
    }

    fn expire(&mut self, number: usize) {
        let flow = &mut self.flows[number];
        let at = flow.at(self.now);
        let Some((timer, when)) = flow.loss.timer(&flow.records, &at) else { return };
        if when > self.now {
            return;
        }
        let more = flow.unsent > 0;
        let before = flow.loss.backed_off();
        let expired = flow.loss.expired(&mut flow.records, timer, &at, more);
        flow.timeouts += flow.loss.backed_off().saturating_sub(before);
        match expired {
            Expired::ProbeNew => self.send_new(number, MSS),
            Expired::ProbeLast(range) => {
                flow.loss.retransmitted(&mut flow.records, range, &at);
                self.transmit(number, range);
            }
            Expired::Retransmit | Expired::Nothing => {}
        }
    }

    fn output(&mut self, number: usize) {
        loop {
            let flow = &mut self.flows[number];
            let at = flow.at(self.now);
            let Some(mut range) = flow.loss.next_lost(&flow.records, &at) else { break };
            let most = flow.setup.together * MSS;
            if range.len() > most {
                range.end = range.start.add(most);
            }
            flow.loss.retransmitted(&mut flow.records, range, &at);
            self.transmit(number, range);
        }
        loop {
            let flow = &self.flows[number];
            let at = flow.at(self.now);
            let window = flow.setup.window - flow.nxt.since(flow.una).min(flow.setup.window);
            let room = flow.loss.quota(&flow.records, &at).min(window) / MSS * MSS;
            let len = room.min(flow.setup.together * MSS);
            let len = u64::from(len).min(flow.unsent) as u32;
            if len == 0 {
                return;
            }
            self.send_new(number, len);
        }
    }

    fn send_new(&mut self, number: usize, len: u32) {
        let flow = &mut self.flows[number];
        let len = u64::from(len).min(flow.unsent) as u32;
        let range = Range::new(flow.nxt, flow.nxt.add(len));
        let at = flow.at(self.now);
        flow.loss.sent(&mut flow.records, range, &at);
        flow.nxt = range.end;
        if flow.unsent != u64::MAX {
            flow.unsent -= u64::from(len);
        }
        self.transmit(number, range);
    }

    /// Each segment of `range` goes its own way.
    fn transmit(&mut self, number: usize, range: Range) {
        let mut start = range.start;
        while start.before(range.end) {
            let end = start.add(MSS).earliest(range.end);
            self.carry(number, Range::new(start, end));
            start = end;
        }
    }

    fn carry(&mut self, number: usize, range: Range) {
        let flow = &mut self.flows[number];
        let count = flow.segments;
        flow.segments += 1;
        let reduced = core::mem::take(&mut flow.tell_reduced);
        let path = self.path;
        let octets = u64::from(range.len()) + 66;
        let backlog = self.free_at.saturating_sub(self.now) * path.rate / 1_000_000_000;
        if backlog + octets > path.queue {
            return;
        }
        let marked = path.mark.is_some_and(|mark| backlog > mark);
        self.free_at = self.free_at.max(self.now) + octets * 1_000_000_000 / path.rate;
        if self.drop_numbers.contains(&count) || self.is_lost() {
            return;
        }
        let mut time = self.free_at + path.rtt / 2;
        if self.chance(path.reorder) {
            time += path.held;
        }
        if let Some((from, to)) = self.outage
            && (from..to).contains(&time)
        {
            time = to + (time - from) / 1000;
        }
        let event = Event::Data {
            range: (range.start.0, range.end.0),
            stamp: self.now / MS,
            marked,
            reduced,
        };
        if self.chance(path.twice) {
            self.at(time + 10_000, number, event.clone());
        }
        self.at(time, number, event);
    }

    fn is_lost(&mut self) -> bool {
        let Path { loss, burst, .. } = self.path;
        let (loss, burst) = (u64::from(loss), u64::from(burst));
        if burst <= 1 {
            return self.chance(loss as u32);
        }
        let idle = self.now - core::mem::replace(&mut self.carried_at, self.now);
        self.in_burst = if self.in_burst && idle < 50 * MS {
            !self.chance((1_000_000 / burst) as u32)
        } else {
            self.chance((loss * 1_000_000 / (burst * (1_000_000 - loss))) as u32)
        };
        self.in_burst
    }

    fn arrive(&mut self, number: usize, range: Range, stamp: u64, marked: bool, reduced: bool) {
        let flow = &mut self.flows[number];
        let here = &mut flow.receiver;
        here.echo = (here.echo && !reduced) || marked;
        let next = here.next;
        if !range.start.after(next) {
            here.stamp = here.stamp.max(stamp);
        }
        let known = !range.end.after(next)
            || here.blocks.iter().any(|b| !range.start.before(b.start) && !range.end.after(b.end));
        let mut at_once = known || !here.blocks.is_empty() || range.start.after(next) || marked;
        if known {
            here.duplicate = Some(range);
        } else {
            let mut merged = range;
            here.blocks.retain(|block| {
                let apart = block.end.before(merged.start) || block.start.after(merged.end);
                if !apart {
                    merged.start = merged.start.earliest(block.start);
                    merged.end = merged.end.latest(block.end);
                }
                apart
            });
            if merged.start.after(next) {
                here.blocks.insert(0, merged);
            } else {
                here.next = merged.end;
                flow.delivered += u64::from(merged.end.since(next));
                here.unacked += merged.end.since(next);
            }
        }
        at_once |= here.unacked >= 2 * MSS || flow.setup.delayed == 0;
        if at_once {
            self.acknowledge(number);
        } else {
            let at = self.now + flow.setup.delayed;
            here.ack_at.get_or_insert(at);
        }
    }

    fn acknowledge(&mut self, number: usize) {
        let sack = self.flows[number].setup.sack;
        let here = &mut self.flows[number].receiver;
        here.unacked = 0;
        here.ack_at = None;
        let sacks = here.duplicate.take().into_iter().chain(here.blocks.iter().copied());
        let sacks = sacks.take(if sack { 3 } else { 0 }).map(|b| (b.start.0, b.end.0)).collect();
        let (ack, stamp, echo) = (here.next.0, here.stamp, here.echo);
        if !self.chance(self.path.ack_loss) {
            let time = self.now + self.path.rtt / 2;
            self.at(time, number, Event::Ack { ack, sacks, stamp, echo });
        }
    }

    fn acked(&mut self, number: usize, ack: Seq, sacks: &[(u32, u32)], stamp: u64, echo: bool) {
        let flow = &mut self.flows[number];
        if ack.before(flow.una) {
            return;
        }
        let sacks: Vec<Range> = sacks.iter().map(|(a, b)| Range::new(Seq(*a), Seq(*b))).collect();
        let told = Ack {
            ack,
            sacks: &sacks,
            sack_ok: flow.setup.sack,
            echo: flow.setup.stamps.then_some((self.now / MS - stamp) * MS),
            ece: echo && self.path.mark.is_some(),
            pure: true,
            more: flow.unsent > 0,
        };
        let at = flow.at(self.now);
        let done = flow.loss.acked(&mut flow.records, &told, &at);
        flow.tell_reduced |= done.cwr;
        flow.una = ack;
        if done.all && flow.unsent == 0 {
            flow.done_at.get_or_insert(self.now);
        }
    }

    /// What always holds.
    fn check(&self) {
        for flow in &self.flows {
            let timer = flow.loss.timer(&flow.records, &flow.at(self.now));
            assert_eq!(timer.is_some(), flow.una != flow.nxt, "a timer runs while data are out");
            assert_eq!(flow.records.is_empty(), flow.una == flow.nxt);
            assert!(flow.loss.cwnd() >= MSS);
        }
    }

    /// Draws no number for what never happens: paths without a fault do not disturb each other.
    fn chance(&mut self, millionths: u32) -> bool {
        millionths > 0 && self.rng.chance(millionths)
    }

    fn at(&mut self, time: u64, number: usize, event: Event) {
        self.number += 1;
        self.events.push(Reverse((time, self.number, number, event)));
    }
}

impl Flow {
    fn at(&self, now: u64) -> Sending {
        Sending { now, una: self.una, nxt: self.nxt, mss: MSS }
    }
}
