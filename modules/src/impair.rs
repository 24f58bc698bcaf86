//! impair: passes frames as a bad link would: late, in bursts, twice, damaged, or not at all.
//!
//! Each parameter is for both directions, or for one with a prefix: `up.delay=50ms`.
//!
//! | parameter | takes | default | what it does |
//! |---|---|---|---|
//! | `delay` | time | 0 | every message is held so long |
//! | `jitter` | time | 0 | uniformly up to so much more or less; the order is kept |
//! | `loss` | share | 0 | packets are lost |
//! | `burst` | `off`, packets | off | mean length of runs of losses; `loss` stays the average |
//! | `reorder` | share | 0 | packets are held `reorder-delay` longer, others overtake |
//! | `reorder-delay` | time | 5ms | how much longer |
//! | `gap` | packets | 1 | only every so many-th packet may be overtaken |
//! | `duplicate` | share | 0 | packets are sent twice |
//! | `corrupt` | share | 0 | one bit is flipped, behind the link header |
//! | `rate` | `off`, rate | off | frames are sent one after the other at this speed |
//! | `queue` | `off`, bytes | off | so much may wait for `rate`; the rest is lost |
//! | `limit` | packets, bytes | 10000 | so much may be held in all; the rest is lost |
//! | `cut` | `on`, `off` | on | super-frames are cut where a parameter looks at each packet |
//! | `partition` | `on`, `off`, `up`, `down` | off | nothing comes through |
//! | `direction` | `both`, `up`, `down` | both | the other direction is left alone |
//! | `seed` | number | random | starts the random sequences: with the same frames, the same fate |
//!
//! The model of bursts is Gilbert's: inside a burst everything is lost, outside nothing. `delay`
//! and `partition` alone cut nothing: a super-frame that is held whole is still one. A frame is
//! corrupted with its checksums filled in, so that the receiver finds it.
//!
//! Times are 50ms (ns, us, ms, s), shares 0.1%, rates 10mbit (bit, kbit, mbit, gbit), bytes 64k
//! (b, k, m of 1024). Parameters act in the order: partition, cut, loss, duplicate, corrupt, limit,
//! queue, rate, delay.
//!
//! # While running
//! A change is for frames that come after it. What is held stays and keeps its time, except that
//! it leaves earlier when `delay` shrinks, and that what waits for `rate` goes at the new one.
//! Nothing is lost by a change, and taking the module out lets all that is held go in the order
//! in which it came.
//!
//! # What is no frame
//! Ordinary messages other than M_DATA keep their place behind the frames held, untouched and never
//! lost; high-priority ones pass at once. A request of a program for this module (`ask`) is
//! answered at once. M_FLUSH does not reach what is held: it is on the
//! wire. So do bands: a wire has one order.
//!
//! # Flow control
//! Frames that are due wait in the queue when there is no room ahead, and the queue stops writers
//! when it is full. Frames that wait for their time do not: a wire takes what is sent, and what
//! exceeds `limit` or `queue` is lost.

mod dice;
mod line;
mod params;
mod settings;
pub mod units;

pub use line::{Counters, ImpairDrop, Line, Out};
pub use params::{Limit, NAMES, Params};

use crate::ask;
use millstream_core::{Cx, Errno, Fields, Invalid, ModInfo, Module, Side, Step};
use millstream_msg::{Kind, Msg, MsgList};

/// What `impair` says of itself.
pub const INFO: ModInfo = ModInfo {
    rsrv: true,
    wsrv: true,
    ..ModInfo::new("impair", "delays, loses, reorders, repeats and damages frames")
};

/// The module.
#[derive(Debug)]
pub struct Impair {
    lines: [Line; 2],
    /// When the timer of each direction is set for.
    armed: [Option<u64>; 2],
    direction: &'static str,
    seed: Option<u64>,
    out: Out,
}

impl Impair {
    /// A link without faults.
    pub fn new() -> Self {
        let lines = [Side::Read, Side::Write].map(|side| Line::new(0, side));
        Self { lines, armed: [None; 2], direction: "both", seed: None, out: Out::default() }
    }

    /// One direction.
    pub fn line(&self, side: Side) -> &Line {
        &self.lines[side as usize]
    }

    fn put(&mut self, cx: &mut Cx<'_>, side: Side, msg: Msg) {
        let (line, now) = (&mut self.lines[side as usize], cx.now());
        match msg.kind() {
            Kind::Data => line.input(msg, now, cx.pool(), &mut self.out),
            kind if kind.is_high_priority() => {
                // What is due leaves first.
                self.settle(cx, side, false);
                cx.putnext(msg);
            }
            _ => line.follow(msg, now, &mut self.out),
        }
    }

    /// Hands on what has left the line. `queue`: through the own queue, as from outside a put.
    fn settle(&mut self, cx: &mut Cx<'_>, side: Side, queue: bool) {
        for (msg, reason) in self.out.dropped.drain(..) {
            cx.discard(msg, reason);
        }
        while let Some(msg) = self.out.on.pop() {
            if queue { cx.putq_on(side, msg) } else { cx.put_or_queue(msg) }
        }
        let next = self.lines[side as usize].next();
        if let Some(at) = next.filter(|_| next != self.armed[side as usize]) {
            cx.timer(side as u64, at);
            self.armed[side as usize] = next;
        }
    }
}

impl Default for Impair {
    fn default() -> Self {
        Self::new()
    }
}

impl Module for Impair {
    fn info(&self) -> &'static ModInfo {
        &INFO
    }

    fn open(&mut self, cx: &mut Cx<'_>) -> Result<Step, Errno> {
        if self.seed.is_none() {
            let seed = cx.rng().next_u64();
            self.set_seed(seed);
        }
        Ok(Step::Done)
    }

    fn rput(&mut self, cx: &mut Cx<'_>, msg: Msg) {
        self.put(cx, Side::Read, msg);
        self.settle(cx, Side::Read, false);
    }

    fn wput(&mut self, cx: &mut Cx<'_>, msg: Msg) {
        let Some(msg) = ask::answer(self, cx, msg) else { return };
        self.put(cx, Side::Write, msg);
        self.settle(cx, Side::Write, false);
    }

    fn rput_batch(&mut self, cx: &mut Cx<'_>, mut batch: MsgList) {
        while let Some(msg) = batch.pop() {
            self.put(cx, Side::Read, msg);
        }
        self.settle(cx, Side::Read, false);
    }

    fn wput_batch(&mut self, cx: &mut Cx<'_>, mut batch: MsgList) {
        while let Some(msg) = batch.pop() {
            if let Some(msg) = ask::answer(self, cx, msg) {
                self.put(cx, Side::Write, msg);
            }
        }
        self.settle(cx, Side::Write, false);
    }

    fn timer(&mut self, cx: &mut Cx<'_>, token: u64) {
        let Some(&side) = SIDES.iter().find(|&&side| side as u64 == token) else { return };
        self.armed[side as usize] = None;
        self.lines[side as usize].release(cx.now(), &mut self.out.on);
        self.settle(cx, side, true);
    }

    fn drain(&mut self, cx: &mut Cx<'_>) {
        for side in SIDES {
            // What was due already waits in the queue, ahead of what is held.
            let mut all = MsgList::new();
            while let Some(msg) = cx.getq_on(side) {
                all.push(msg);
            }
            self.lines[side as usize].drain(&mut all);
            cx.put_batch(side, all);
        }
    }

    fn set(&mut self, cx: &mut Cx<'_>, key: &str, value: &str) -> Result<(), Invalid> {
        self.set_param(cx.now(), key, value)?;
        for side in SIDES {
            self.lines[side as usize].release(cx.now(), &mut self.out.on);
            self.settle(cx, side, true);
        }
        Ok(())
    }

    fn show(&self, fields: &mut Fields) {
        self.show_params(fields);
        self.show_counters(fields);
    }
}

const SIDES: [Side; 2] = [Side::Read, Side::Write];
