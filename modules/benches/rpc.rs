//! rpc: what a call costs in the module, in and out, without TCP.
//!
//! One iteration is one message of `batch` calls: copied into a block, read by `rpc`, answered by
//! the module above it, and their replies taken as one message. `rpc` has a module above it that
//! answers batches in place, or each call (`rpc_one_by_one`); `programs` stands for the whole
//! server. `once` is remembered in the cache. Two hops are in it, the device's side and the
//! answering module too.

#[path = "rpc_kit/mod.rs"]
mod rpc_kit;

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use rpc_kit::{Above, Server, What};

fn calls(c: &mut Criterion) {
    let mut group = c.benchmark_group("rpc_call");
    let aboves = [
        (Above::Batches, "rpc"),
        (Above::Stub, "rpc_one_by_one"),
        (Above::Programs, "rpc_and_programs"),
    ];
    for (above, name) in aboves {
        for (what, called) in [(What::Null, "null"), (What::Square, "square"), (What::Once, "once")]
        {
            for batch in [1, 16, 64, 512] {
                group.throughput(Throughput::Elements(batch as u64));
                let id = BenchmarkId::new(format!("{name}/{called}"), batch);
                group.bench_function(id, |b| {
                    let mut server = Server::new(above, what, batch);
                    b.iter(|| server.round());
                });
            }
        }
    }
    group.finish();
}

criterion_group!(benches, calls);
criterion_main!(benches);
