//! ring: nanoseconds of octets that go into the ring of a shared-memory port and come out of it,
//! and of a call through its lane.
//!
//! `write_read/N`: one iteration copies N octets in and out again and moves both counts, as both
//! sides do, in one thread. `call`: a call without octets is put, taken and answered, and the
//! answer read. Excluded: bells, and whatever sleeps. Baseline: the same octets through a pipe,
//! which the kernel copies twice as well, and through a `VecDeque`, which shares nothing.

#[path = "../../core/benches/common/short.rs"]
mod short;

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use millstream_port::Memory;
use millstream_port::lane::{Lane, Request};
use millstream_port::layout::Layout;
use millstream_port::ring::Ring;
use std::collections::VecDeque;
use std::hint::black_box;
use std::io::{Read, Write};
use std::sync::atomic::Ordering;

const SIZES: [usize; 4] = [1, 64, 1500, 65_536];
/// Bytes of the ring.
const RING: u32 = 1 << 17;
/// Where its counts are, and its bytes.
const HEAD: usize = 0;
const TAIL: usize = 64;
const AT: usize = 4096;

fn rings(c: &mut Criterion) {
    let mut group = c.benchmark_group("ring");
    for len in SIZES {
        group.throughput(Throughput::Bytes(len as u64));
        let (data, mut out) = (vec![7; len], vec![0; len]);
        group.bench_function(BenchmarkId::new("write_read", len), |b| {
            let memory = Memory::make("ring", AT + RING as usize).unwrap();
            let ring = Ring { at: AT, size: RING };
            let (head, tail) = (memory.u32_at(HEAD), memory.u32_at(TAIL));
            b.iter(|| {
                let (at, from) = (head.load(Ordering::Relaxed), tail.load(Ordering::Acquire));
                let room = RING - ring.filled(at, from).unwrap();
                assert!(room as usize >= len);
                ring.write(&memory, at, black_box(&data));
                head.store(at.wrapping_add(len as u32), Ordering::Release);
                let filled = ring.filled(head.load(Ordering::Acquire), from).unwrap();
                ring.read(&memory, from, &mut out[..filled as usize]);
                tail.store(from.wrapping_add(filled), Ordering::Release);
                black_box(&out);
            });
        });
        group.bench_function(BenchmarkId::new("baseline_deque", len), |b| {
            let mut queue = VecDeque::with_capacity(RING as usize);
            b.iter(|| {
                queue.extend(black_box(&data));
                queue.read_exact(&mut out).unwrap();
                black_box(&out);
            });
        });
        // What a pipe takes at once: more would wait for a reader.
        if len < 65_536 {
            group.bench_function(BenchmarkId::new("baseline_pipe", len), |b| {
                let (mut reader, mut writer) = std::io::pipe().unwrap();
                b.iter(|| {
                    writer.write_all(black_box(&data)).unwrap();
                    reader.read_exact(&mut out).unwrap();
                    black_box(&out);
                });
            });
        }
    }
    group.finish();
    let mut group = c.benchmark_group("lane");
    group.throughput(Throughput::Elements(1));
    group.bench_function("call", |b| {
        let layout = Layout { slots: 64, pool: 1 << 16 };
        let memory = Memory::make("lane", layout.len()).unwrap();
        let lane = Lane::new(&memory, layout);
        let mut out = [0; 64];
        b.iter(|| {
            let asked = Request { op: 6, id: 3, args: [1, 2, 3, 4] };
            let number = lane.put(black_box(asked), &[]).unwrap();
            let (taken, request) = lane.take();
            black_box(request);
            lane.answer(taken, Ok(([1, 2, 3], &[])));
            lane.reply(number, &mut out).unwrap().unwrap()
        });
    });
    group.finish();
}

criterion_group! {
    name = benches;
    config = short::short();
    targets = rings
}
criterion_main!(benches);
