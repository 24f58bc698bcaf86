//! timers: nanoseconds per deadline in the wheel of timers, set by a module, beside 10,000 others
//! that stand, as many as connections of a busy stack have.
//!
//! One iteration is 64 deadlines: `set_cancel` sets each and cancels it, `move_later` moves one
//! that stands, `set_expire` sets each for the next tick, and the turn in which they are due calls
//! the module for each. Included: the call of the module, one for 64, but for `set_expire`, one
//! each. Baseline: the same deadlines in a `BTreeMap` by time and token, with a `HashMap` that
//! finds them.

#[path = "common/nowhere.rs"]
mod nowhere;
#[path = "common/short.rs"]
mod short;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use millstream_core::{Config, Cx, Errno, ModInfo, Module, Perimeter, Step, StreamId};
use millstream_msg::{Msg, Pool, PoolConfig};
use nowhere::Nowhere;
use std::collections::{BTreeSet, HashMap};
use std::hint::black_box;

/// Deadlines of an iteration.
const DEADLINES: u64 = 64;
/// Timers that stand: their tokens come after those of an iteration.
const OTHERS: u64 = 10_000;
/// What the wheel tells apart.
const TICK_NS: u64 = 1 << 16;
/// How far off those that stand are: longer than a bench takes.
const FAR_NS: u64 = 1 << 50;

const TURN: usize = 4096;

#[derive(Clone, Copy)]
enum What {
    SetCancel,
    MoveLater,
    SetExpire,
}

/// Does it when a message comes down.
struct Sets(What);

impl Module for Sets {
    fn info(&self) -> &'static ModInfo {
        const INFO: ModInfo = ModInfo::new("sets", "sets timers");
        &INFO
    }

    fn open(&mut self, cx: &mut Cx<'_>) -> Result<Step, Errno> {
        let others = if matches!(self.0, What::SetExpire) { 0 } else { OTHERS };
        (0..others).for_each(|nth| cx.timer(DEADLINES + nth, FAR_NS + nth * 1000));
        Ok(Step::Done)
    }

    fn wput(&mut self, cx: &mut Cx<'_>, trigger: Msg) {
        let now = cx.now();
        for nth in 0..DEADLINES {
            match self.0 {
                What::SetCancel => {
                    cx.timer(nth, black_box(FAR_NS));
                    black_box(cx.cancel(nth));
                }
                What::MoveLater => cx.timer(DEADLINES + nth, FAR_NS + now),
                What::SetExpire => cx.timer(nth, now + TICK_NS),
            }
        }
        cx.free(trigger);
    }

    fn timer(&mut self, _: &mut Cx<'_>, token: u64) {
        black_box(token);
    }
}

struct Bench {
    p: Perimeter,
    stream: StreamId,
    now: u64,
}

impl Bench {
    fn new(what: What) -> Self {
        let pool = Pool::new(PoolConfig::TINY);
        let mut p = Perimeter::new(Config { pool, seed: 1, clock: None });
        let (stream, _) = p.open_device("nowhere", Box::new(Nowhere));
        p.push(stream, Box::new(Sets(what))).expect("pushed");
        Self { p, stream, now: 0 }
    }

    fn cycle(&mut self) {
        let trigger = self.p.pool().alloc(0, 64).expect("memory");
        self.p.putmsg(self.stream, trigger).map_err(|(errno, _)| errno).expect("room");
        self.p.turn(self.now, TURN);
        self.now += 2 * TICK_NS;
        self.p.turn(self.now, TURN);
    }
}

/// The baseline.
#[derive(Default)]
struct Tree {
    by_time: BTreeSet<(u64, u64)>,
    by_token: HashMap<u64, u64>,
}

impl Tree {
    fn new(others: u64) -> Self {
        let mut tree = Self::default();
        (0..others).for_each(|nth| tree.set(DEADLINES + nth, FAR_NS + nth * 1000));
        tree
    }

    fn set(&mut self, token: u64, at: u64) {
        if let Some(before) = self.by_token.insert(token, at) {
            self.by_time.remove(&(before, token));
        }
        self.by_time.insert((at, token));
    }

    fn cancel(&mut self, token: u64) {
        if let Some(at) = self.by_token.remove(&token) {
            self.by_time.remove(&(at, token));
        }
    }

    fn expire(&mut self, now: u64) {
        while let Some(&(at, token)) = self.by_time.first().filter(|(at, _)| *at <= now) {
            self.by_time.remove(&(at, token));
            self.by_token.remove(&token);
            black_box(token);
        }
    }

    fn cycle(&mut self, what: What, now: u64) {
        for nth in 0..DEADLINES {
            match what {
                What::SetCancel => {
                    self.set(nth, black_box(FAR_NS));
                    self.cancel(nth);
                }
                What::MoveLater => self.set(DEADLINES + nth, FAR_NS + now),
                What::SetExpire => self.set(nth, now + TICK_NS),
            }
        }
        self.expire(now + 2 * TICK_NS);
    }
}

fn timers(c: &mut Criterion) {
    let mut group = c.benchmark_group("timers");
    group.throughput(Throughput::Elements(DEADLINES));
    for (name, what, others) in [
        ("set_cancel", What::SetCancel, OTHERS),
        ("move_later", What::MoveLater, OTHERS),
        ("set_expire", What::SetExpire, 0),
    ] {
        group.bench_function(name, |b| {
            let mut bench = Bench::new(what);
            b.iter(|| black_box(&mut bench).cycle());
        });
        group.bench_function(format!("baseline_tree/{name}"), |b| {
            let (mut tree, mut now) = (Tree::new(others), 0);
            b.iter(|| {
                black_box(&mut tree).cycle(what, now);
                now += 2 * TICK_NS;
            });
        });
    }
    group.finish();
}

criterion_group! {
    name = benches;
    config = short::short();
    targets = timers
}
criterion_main!(benches);
