//! queues: nanoseconds per message that goes into a module's queue and comes out of it.
//!
//! One iteration is 64 messages in and 64 out: `first_in_first_out` all of one band, `bands` of
//! four in turn, which come out the highest first, `putbq` one message taken and put back again and
//! again. Included: accounting of flow control, enabling of the service procedure. Excluded: making
//! the messages, the turn around it (one for 64). Baseline: the same messages through a `VecDeque`,
//! without bands or accounting.

#[path = "common/nowhere.rs"]
mod nowhere;
#[path = "common/short.rs"]
mod short;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use millstream_core::{Config, Cx, ModInfo, Module, Perimeter, StreamId};
use millstream_msg::{Band, Msg, MsgList, Pool, PoolConfig};
use nowhere::Nowhere;
use std::cell::Cell;
use std::collections::VecDeque;
use std::hint::black_box;

/// Messages of an iteration.
const MESSAGES: usize = 64;
const TURN: usize = 64;

thread_local! {
    /// Between two iterations.
    static HELD: Cell<MsgList> = const { Cell::new(MsgList::new()) };
}

#[derive(Clone, Copy)]
enum What {
    InAndOut,
    BackAgain,
}

/// Does it when a message comes down, which it sends on.
struct Queues(What);

impl Module for Queues {
    fn info(&self) -> &'static ModInfo {
        const INFO: ModInfo = ModInfo { wsrv: true, ..ModInfo::new("queues", "queues all") };
        &INFO
    }

    fn wput(&mut self, cx: &mut Cx<'_>, trigger: Msg) {
        for msg in HELD.take() {
            cx.putq(msg);
        }
        if let What::BackAgain = self.0 {
            for _ in 0..MESSAGES {
                let front = cx.getq().expect("it was put");
                cx.putbq(black_box(front));
            }
        }
        let mut out = MsgList::new();
        while let Some(msg) = cx.getq() {
            out.push(msg);
        }
        HELD.set(out);
        cx.free(trigger);
    }
}

struct Bench {
    p: Perimeter,
    stream: StreamId,
}

impl Bench {
    fn new(what: What, bands: u8) -> Self {
        let pool = Pool::new(PoolConfig::TINY);
        let mut p = Perimeter::new(Config { pool, seed: 1, clock: None });
        let (stream, _) = p.open_device("nowhere", Box::new(Nowhere));
        p.push(stream, Box::new(Queues(what))).expect("pushed");
        HELD.set(messages(p.pool(), bands));
        Self { p, stream }
    }

    fn cycle(&mut self) {
        let trigger = self.p.pool().alloc(0, 64).expect("memory");
        self.p.putmsg(self.stream, trigger).map_err(|(errno, _)| errno).expect("room");
        self.p.turn(0, TURN);
    }
}

impl Drop for Bench {
    fn drop(&mut self) {
        HELD.take().for_each(|msg| self.p.pool().free(msg));
    }
}

fn messages(pool: &mut Pool, bands: u8) -> MsgList {
    (0..MESSAGES)
        .map(|nth| {
            let mut msg = pool.copy_from(0, &[7; 64]).expect("memory");
            msg.set_band(Band(nth as u8 % bands));
            msg
        })
        .collect()
}

fn queues(c: &mut Criterion) {
    let mut group = c.benchmark_group("queues");
    group.throughput(Throughput::Elements(MESSAGES as u64));
    let cases = [
        ("first_in_first_out", What::InAndOut, 1),
        ("bands", What::InAndOut, 4),
        ("putbq", What::BackAgain, 1),
    ];
    for (name, what, bands) in cases {
        group.bench_function(name, |b| {
            let mut bench = Bench::new(what, bands);
            b.iter(|| black_box(&mut bench).cycle());
        });
    }
    group.bench_function("baseline_vec_deque", |b| {
        let mut pool = Pool::new(PoolConfig::TINY);
        let mut held = messages(&mut pool, 1);
        let mut queue = VecDeque::with_capacity(MESSAGES);
        b.iter(|| {
            queue.extend(std::mem::take(&mut held));
            while let Some(msg) = black_box(&mut queue).pop_front() {
                held.push(msg);
            }
        });
        held.for_each(|msg| pool.free(msg));
    });
    group.finish();
}

criterion_group! {
    name = benches;
    config = short::short();
    targets = queues
}
criterion_main!(benches);
