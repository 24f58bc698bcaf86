//! hop: nanoseconds per message over 0 to 16 null modules. `millstream bench layers` fits the line.
//!
//! One iteration is a cycle of 32 messages. Included: the driver's poll, the turn, the hops, the
//! put to the sink, flow accounting and counters. Excluded: allocation, the device. Against: a
//! chain of nested calls that can carry a reply, with the same accounting.
//!
//! `HOP_CLOCK=1` samples the clock as a stack does (one dispatch in 64).

mod common;
#[path = "common/short.rs"]
mod short;

use common::{Chain, Nested, Style, TRIPS};
use criterion::{BenchmarkId, Criterion, Throughput, criterion_group};
use std::hint::black_box;
use std::time::Instant;

const MODULES: [usize; 6] = [0, 1, 2, 4, 8, 16];
const BATCHES: [usize; 2] = [32, 1];

fn clock() -> Option<fn() -> u64> {
    use std::sync::OnceLock;
    static START: OnceLock<Instant> = OnceLock::new();
    START.get_or_init(Instant::now);
    let read: fn() -> u64 = || START.get().map_or(0, |start| start.elapsed().as_nanos() as u64);
    std::env::var_os("HOP_CLOCK").map(|_| read)
}

fn hops(c: &mut Criterion) {
    for style in [Style::Nothing, Style::PerMessage, Style::Service] {
        for batch in BATCHES {
            let mut group = c.benchmark_group(format!("hop/{style:?}/batch_{batch}"));
            group.throughput(Throughput::Elements(TRIPS as u64));
            for modules in MODULES {
                let mut chain = Chain::new(modules, style, batch, clock());
                group.bench_function(BenchmarkId::from_parameter(modules), |b| {
                    b.iter(|| black_box(&mut chain).cycle());
                });
            }
            group.finish();
        }
    }
    let mut group = c.benchmark_group("hop/nested_with_reply");
    group.throughput(Throughput::Elements(TRIPS as u64));
    for modules in MODULES {
        let mut nested = Nested::new(modules);
        group.bench_function(BenchmarkId::from_parameter(modules), |b| {
            b.iter(|| black_box(&mut nested).cycle());
        });
    }
    group.finish();
}

criterion_group! {
    name = benches;
    config = short::short();
    targets = hops
}

fn main() {
    // `cargo test --benches` only wants to know that it runs.
    if std::env::args().any(|arg| arg == "--test") {
        Chain::new(4, Style::Service, 32, None).cycle();
        return;
    }
    benches();
}
