//! One direction of an impaired link: what is lost, what is sent twice, what is held and until
//! when. Plain state; time, memory and where messages go are arguments.

use super::dice::Dice;
use super::params::{Limit, Params};
use crate::actions::reasons;
use alloc::collections::{BinaryHeap, VecDeque};
use alloc::vec::Vec;
use core::cmp::{Ordering, Reverse};
use millstream_core::{Drop, Side};
use millstream_msg::offload::{self, Can, Refusal};
use millstream_msg::{Msg, MsgFlags, MsgList, Pool};

reasons! {
    /// Why `impair` dropped a packet.
    pub enum ImpairDrop {
        /// By `loss`.
        Loss => "impair: loss",
        /// By `partition`.
        Partition => "impair: partition",
        /// As much is held as `limit` allows.
        QueueFull => "impair: queue full",
        /// As much waits for `rate` as `queue` allows.
        RateQueueFull => "impair: rate queue full",
        /// A super-frame could not be cut: its request and its bytes do not fit together.
        BadOffload => "bad offload request",
        /// A super-frame could not be cut: no message cell was left.
        NoMem => "no memory",
    }
}

impl From<ImpairDrop> for Drop {
    fn from(reason: ImpairDrop) -> Self {
        Self(reason.name())
    }
}

/// One direction.
#[derive(Debug)]
pub struct Line {
    params: Params,
    /// False: messages only keep their order (`direction`).
    active: bool,
    dice: Dice,
    /// In order of arrival and of release.
    ordered: VecDeque<Held>,
    /// Those that others may overtake.
    aside: BinaryHeap<Reverse<Held>>,
    packets: u64,
    bytes: u64,
    arrivals: u64,
    /// When the last bit that waits for `rate` is out. Nanoseconds.
    sent_until: u64,
    /// What rounding to nanoseconds left, in 1/rate of them: no rate is exceeded in the long run.
    sent_rest: u64,
    /// What happened to packets.
    pub counters: Counters,
}

/// What happened to packets.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counters {
    /// Lost by `loss`.
    pub lost: u64,
    /// Stopped by `partition`.
    pub partitioned: u64,
    /// Sent twice.
    pub duplicated: u64,
    /// Changed by one bit.
    pub corrupted: u64,
    /// Held back so that others overtake.
    pub reordered: u64,
    /// Dropped because of `limit`.
    pub queue_full: u64,
    /// Dropped because of `queue`.
    pub rate_queue_full: u64,
    /// Super-frames cut into packets.
    pub cut: u64,
}

/// Where messages go: on, or away with a reason. The caller empties both and keeps them.
#[derive(Debug, Default)]
pub struct Out {
    /// In the order in which they leave.
    pub on: MsgList,
    /// Dropped.
    pub dropped: Vec<(Msg, ImpairDrop)>,
}

impl Line {
    /// A direction that does nothing.
    pub fn new(seed: u64, side: Side) -> Self {
        Self {
            params: Params::default(),
            active: true,
            dice: Dice::new(seed, side),
            ordered: VecDeque::new(),
            aside: BinaryHeap::new(),
            packets: 0,
            bytes: 0,
            arrivals: 0,
            sent_until: 0,
            sent_rest: 0,
            counters: Counters::default(),
        }
    }

    /// A frame has come.
    pub fn input(&mut self, msg: Msg, now: u64, pool: &mut Pool, out: &mut Out) {
        self.release(now, &mut out.on);
        if !self.active {
            return self.follow(msg, now, out);
        }
        if self.params.partition {
            self.counters.partitioned += msg.offload().packets(msg.len()) as u64;
            return out.dropped.push((msg, ImpairDrop::Partition));
        }
        let cut = self.params.cut && self.params.is_per_packet() && msg.offload().is_super();
        if !cut {
            return self.packet(msg, now, pool, out);
        }
        // The checksum stays a request: who is below may be able to fill it in.
        let can = Can { csum: true, ..Can::NOTHING };
        let mut packets = MsgList::new();
        match offload::finish(msg, L3, can, pool, &mut packets) {
            Ok(()) => self.counters.cut += 1,
            Err(refusal) => return out.dropped.push(refused(refusal)),
        }
        for packet in packets {
            self.packet(packet, now, pool, out);
        }
    }

    /// A message that is no frame, or a frame in a direction that is not impaired: it keeps its
    /// place behind what came before, and is not lost whatever the limit.
    pub fn follow(&mut self, msg: Msg, now: u64, out: &mut Out) {
        self.release(now, &mut out.on);
        self.hold(msg, now, now, 0, out);
    }

    /// Gives out what is due.
    pub fn release(&mut self, now: u64, on: &mut MsgList) {
        loop {
            let ordered = self.ordered.front().filter(|held| held.release <= now);
            let aside = self.aside.peek().map(|held| &held.0).filter(|held| held.release <= now);
            if ordered.is_none() && aside.is_none() {
                return;
            }
            let overtaken = match (ordered, aside) {
                (Some(ordered), Some(aside)) => aside < ordered,
                (ordered, _) => ordered.is_none(),
            };
            let first = if overtaken {
                self.aside.pop().map(|held| held.0)
            } else {
                self.ordered.pop_front()
            };
            let Some(held) = first else { return };
            on.push(self.let_go(held));
        }
    }

    /// When [`Line::release`] has something to give out next. Nanoseconds.
    pub fn next(&self) -> Option<u64> {
        let ordered = self.ordered.front().map(|held| held.release);
        let aside = self.aside.peek().map(|held| held.0.release);
        ordered.into_iter().chain(aside).min()
    }

    /// Gives out all that is held, in order of arrival.
    pub fn drain(&mut self, on: &mut MsgList) {
        let mut all: Vec<Held> = self.ordered.drain(..).collect();
        all.extend(self.aside.drain().map(|held| held.0));
        all.sort_unstable_by_key(|held| held.arrival);
        for held in all {
            on.push(self.let_go(held));
        }
    }

    /// What the direction does now.
    pub fn params(&self) -> &Params {
        &self.params
    }

    /// Changes what it does, for messages that come from now on.
    ///
    /// # Shapes
    /// What is held stays, in its order, and leaves when it would have left, except: when `delay`
    /// shrinks it leaves so much earlier; when `rate` changes, what still waits for it is sent at
    /// the new one.
    pub fn set_params(&mut self, params: Params, now: u64) {
        let old = core::mem::replace(&mut self.params, params);
        let shorter_by = old.delay_ns.saturating_sub(params.delay_ns);
        if old.rate == params.rate && shorter_by == 0 {
            return;
        }
        let rescale = |sent: u64| match (old.rate, params.rate) {
            (Some(_), None) => sent.min(now),
            (Some(old), Some(new)) if sent > now && old != new => {
                let left = u128::from(sent - now) * u128::from(old.get()) / u128::from(new.get());
                now.saturating_add(u64::try_from(left).unwrap_or(u64::MAX))
            }
            _ => sent,
        };
        if old.rate != params.rate {
            self.sent_until = rescale(self.sent_until);
            self.sent_rest = 0;
        }
        let mut before = 0;
        for held in &mut self.ordered {
            held.retime(rescale(held.sent), shorter_by, before);
            before = held.release;
        }
        let mut aside = core::mem::take(&mut self.aside).into_vec();
        for Reverse(held) in &mut aside {
            held.retime(rescale(held.sent), shorter_by, 0);
        }
        self.aside = aside.into();
    }

    /// Is the direction impaired at all?
    pub fn set_active(&mut self, active: bool) {
        self.active = active;
    }

    /// Starts the random sequences again.
    pub fn set_seed(&mut self, seed: u64, side: Side) {
        self.dice = Dice::new(seed, side);
    }

    /// Messages held.
    pub fn held(&self) -> usize {
        self.ordered.len() + self.aside.len()
    }

    /// Bytes held.
    pub fn held_bytes(&self) -> u64 {
        self.bytes
    }

    /// One packet, or a super-frame that is treated as one.
    fn packet(&mut self, msg: Msg, now: u64, pool: &mut Pool, out: &mut Out) {
        if self.dice.loses(&self.params) {
            self.counters.lost += 1;
            return out.dropped.push((msg, ImpairDrop::Loss));
        }
        // Without memory there is no second one: nobody misses it.
        let twin = self.dice.duplicates(&self.params).then(|| msg.dup(pool).ok()).flatten();
        self.maybe_corrupt(msg, now, pool, out);
        if let Some(twin) = twin {
            self.counters.duplicated += 1;
            self.maybe_corrupt(twin, now, pool, out);
        }
    }

    fn maybe_corrupt(&mut self, msg: Msg, now: u64, pool: &mut Pool, out: &mut Out) {
        if !self.dice.corrupts(&self.params) {
            return self.send(msg, now, out);
        }
        // A checksum that is filled in later would cover the error up.
        let mut packets = MsgList::new();
        if let Err(refusal) = offload::finish(msg, L3, Can::NOTHING, pool, &mut packets) {
            return out.dropped.push(refused(refusal));
        }
        let hit = self.dice.pick(packets.len());
        for (at, mut packet) in packets.enumerate() {
            if at == hit && self.flip_a_bit(&mut packet, pool) {
                self.counters.corrupted += 1;
            }
            self.send(packet, now, out);
        }
    }

    /// Flips one bit behind the link header: a frame for another station would be a loss, and a
    /// link's own errors are found by its own checksum.
    fn flip_a_bit(&mut self, msg: &mut Msg, pool: &mut Pool) -> bool {
        // What can be gathered in one cell with room in front.
        const WITHIN: usize = 16 << 10;
        let end = msg.len().min(WITHIN);
        if end <= L3 {
            return false;
        }
        let at = L3 + self.dice.pick(end - L3);
        let bit = self.dice.pick(8);
        let Ok(bytes) = msg.make_writable(pool, at + 1) else { return false };
        bytes[at] ^= 1 << bit;
        msg.set_flags(msg.flags().without(MsgFlags::CSUM_OK));
        true
    }

    /// Through the rate and into the delay.
    fn send(&mut self, msg: Msg, now: u64, out: &mut Out) {
        let bytes = msg.len() as u64;
        let full = match self.params.limit {
            Limit::Packets(limit) => self.packets >= limit,
            Limit::Bytes(limit) => self.bytes + bytes > limit,
        };
        if full {
            self.counters.queue_full += 1;
            return out.dropped.push((msg, ImpairDrop::QueueFull));
        }
        let Some(sent) = self.transmit(bytes, now) else {
            self.counters.rate_queue_full += 1;
            return out.dropped.push((msg, ImpairDrop::RateQueueFull));
        };
        let extra = self.dice.hold(&self.params);
        if !self.dice.reorders(&self.params) {
            return self.hold(msg, now, sent, extra, out);
        }
        self.counters.reordered += 1;
        let extra = extra + self.params.reorder_delay_ns;
        let held = self.take(msg, sent, extra, 0);
        self.aside.push(Reverse(held));
    }

    /// When the last of so many bytes is out, at `rate`; `None` when too many wait already.
    fn transmit(&mut self, bytes: u64, now: u64) -> Option<u64> {
        let Some(rate) = self.params.rate else { return Some(now) };
        let start = self.sent_until.max(now);
        if let Some(queue) = self.params.queue {
            let waiting = u128::from(start - now) * u128::from(rate.get()) / BITS_NS;
            if waiting + u128::from(bytes) > u128::from(queue.get()) {
                return None;
            }
        }
        let work = u128::from(bytes) * BITS_NS + u128::from(self.sent_rest);
        // The rest is below the rate, which is a u64.
        self.sent_rest = (work % u128::from(rate.get())) as u64;
        let took = u64::try_from(work / u128::from(rate.get())).unwrap_or(u64::MAX);
        self.sent_until = start.saturating_add(took);
        Some(self.sent_until)
    }

    /// Behind all that is in order; on at once when there is nothing to wait for.
    fn hold(&mut self, msg: Msg, now: u64, sent: u64, extra: u64, out: &mut Out) {
        let before = self.ordered.back().map(|held| held.release);
        if before.is_none() && sent.saturating_add(extra) <= now {
            return out.on.push(msg);
        }
        let held = self.take(msg, sent, extra, before.unwrap_or(0));
        self.ordered.push_back(held);
    }

    fn take(&mut self, msg: Msg, sent: u64, extra: u64, not_before: u64) -> Held {
        self.arrivals += 1;
        self.packets += msg.offload().packets(msg.len()) as u64;
        self.bytes += msg.len() as u64;
        let mut held = Held { release: 0, arrival: self.arrivals, sent, extra, msg };
        held.retime(sent, 0, not_before);
        held
    }

    fn let_go(&mut self, held: Held) -> Msg {
        self.packets -= held.msg.offload().packets(held.msg.len()) as u64;
        self.bytes -= held.msg.len() as u64;
        held.msg
    }
}

/// A message and when it leaves. 40 bytes; ordered by release, then by arrival.
#[derive(Debug)]
struct Held {
    /// Nanoseconds.
    release: u64,
    /// Number in order of arrival.
    arrival: u64,
    /// When its last bit was or will be sent at `rate`. Nanoseconds.
    sent: u64,
    /// Delay with jitter, and what reordering adds. Nanoseconds.
    extra: u64,
    msg: Msg,
}

const _: () = assert!(size_of::<Held>() == 40);

impl Held {
    fn retime(&mut self, sent: u64, shorter_by: u64, not_before: u64) {
        self.sent = sent;
        self.extra = self.extra.saturating_sub(shorter_by);
        self.release = sent.saturating_add(self.extra).max(not_before);
    }

    fn key(&self) -> (u64, u64) {
        (self.release, self.arrival)
    }
}

impl PartialEq for Held {
    fn eq(&self, other: &Self) -> bool {
        self.key() == other.key()
    }
}

impl Eq for Held {}

impl PartialOrd for Held {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Held {
    fn cmp(&self, other: &Self) -> Ordering {
        self.key().cmp(&other.key())
    }
}

fn refused(refusal: Refusal) -> (Msg, ImpairDrop) {
    match refusal {
        Refusal::Malformed(msg) => (msg, ImpairDrop::BadOffload),
        Refusal::NoMem(msg) => (msg, ImpairDrop::NoMem),
    }
}

/// Offset of the IP header in a frame.
const L3: usize = 14;
/// Nanoseconds of one byte at one bit per second.
const BITS_NS: u128 = 8_000_000_000;
