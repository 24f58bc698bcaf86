//! hop: nanoseconds per message over 0 to 16 null modules, and the line fitted through them.
//!
//! One iteration is a cycle of 32 messages. Included: the driver's poll, the turn, the hops, the
//! put to the sink, flow accounting and counters. Excluded: allocation, the device. Against: a
//! chain of nested calls that can carry a reply, with the same accounting.
//!
//! `HOP_CLOCK=1` samples the clock as a stack does (one dispatch in 64).

mod common;

use common::{Chain, Nested, Style, TRIPS};
use criterion::{BenchmarkId, Criterion, Throughput, criterion_group};
use std::hint::black_box;
use std::time::{Duration, Instant};

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

/// Nanoseconds per message: the lower twentieth of short runs, so that what else runs on the
/// machine counts little.
fn measure(mut cycle: impl FnMut()) -> f64 {
    const CYCLES: usize = 100;
    let mut runs: Vec<f64> = (0..2000)
        .map(|_| {
            let start = Instant::now();
            for _ in 0..CYCLES {
                cycle();
            }
            start.elapsed().as_nanos() as f64 / (CYCLES * TRIPS) as f64
        })
        .collect();
    runs.sort_by(f64::total_cmp);
    runs[runs.len() / 20]
}

/// Slope and intercept by least squares.
fn fit(points: &[(f64, f64)]) -> (f64, f64) {
    let n = points.len() as f64;
    let (x, y) = points.iter().fold((0.0, 0.0), |sum, p| (sum.0 + p.0 / n, sum.1 + p.1 / n));
    let above: f64 = points.iter().map(|p| (p.0 - x) * (p.1 - y)).sum();
    let below: f64 = points.iter().map(|p| (p.0 - x) * (p.0 - x)).sum();
    (above / below, y - above / below * x)
}

fn line(name: &str, mut at: impl FnMut(usize) -> f64) {
    let points = MODULES.map(|modules| (modules as f64, at(modules)));
    let (slope, intercept) = fit(&points);
    let values: Vec<String> = points.iter().map(|p| format!("{:6.1}", p.1)).collect();
    println!(
        "{name:<20} {} ns/msg at {MODULES:?} modules; \
         slope {slope:.2} ns/module, intercept {intercept:.1} ns",
        values.join(" "),
    );
}

fn lines() {
    for batch in BATCHES {
        for style in [Style::Nothing, Style::PerMessage, Style::Service] {
            line(&format!("{style:?}/batch_{batch}"), |modules| {
                let mut chain = Chain::new(modules, style, batch, clock());
                measure(|| black_box(&mut chain).cycle())
            });
        }
    }
    line("nested_with_reply", |modules| {
        let mut nested = Nested::new(modules);
        measure(|| black_box(&mut nested).cycle())
    });
}

criterion_group! {
    name = benches;
    config = Criterion::default()
        .warm_up_time(Duration::from_millis(200))
        .measurement_time(Duration::from_millis(500))
        .sample_size(30)
        .without_plots();
    targets = hops
}

fn main() {
    // `cargo test --benches` only wants to know that it runs.
    if std::env::args().any(|arg| arg == "--test") {
        Chain::new(4, Style::Service, 32, None).cycle();
        return;
    }
    if std::env::var_os("HOP_LINES_ONLY").is_none() {
        benches();
    }
    lines();
}
