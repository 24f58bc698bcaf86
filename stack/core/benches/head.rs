//! head: nanoseconds per message of 64 bytes that goes down from a head, is turned round by a loop
//! driver, and comes up to the head again.
//!
//! `putmsg_getmsg_owned_64`: one iteration is a putmsg of an owned message, a turn, and the getmsg
//! that takes it; no byte is copied, and nothing is allocated. `write_read_64`: the same by write
//! and read, which copy the bytes into a message of the pool and out of it. Included: the turn,
//! both hops, flow accounting, counters, the event of the head.

#[path = "common/looped.rs"]
mod looped;
#[path = "common/short.rs"]
mod short;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use looped::{LEN, Looped};
use std::hint::black_box;

fn head(c: &mut Criterion) {
    let mut group = c.benchmark_group("head");
    group.throughput(Throughput::Elements(1));
    group.bench_function("putmsg_getmsg_owned_64", |b| {
        let mut looped = Looped::new();
        b.iter(|| looped.round_trip());
    });
    group.bench_function("write_read_64", |b| {
        let mut looped = Looped::new();
        let (sent, mut came) = ([7; LEN], [0; LEN]);
        b.iter(|| {
            looped.p.write(looped.stream, black_box(&sent)).unwrap();
            looped.turn();
            looped.p.read(looped.stream, black_box(&mut came)).unwrap()
        });
    });
    group.finish();
}

criterion_group! {
    name = benches;
    config = short::short();
    targets = head
}
criterion_main!(benches);
