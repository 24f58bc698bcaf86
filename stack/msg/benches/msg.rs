//! What a message costs. Unless its name says otherwise one iteration is one message, and the
//! pool is warm: no cell is made. Payload is not touched, except by checksums.
//!
//! Baselines in the same run: a `Vec<u8>` of the same size from the system's allocator, and the
//! clone and drop of a `Bytes`.

use criterion::{BatchSize, Criterion, Throughput, criterion_group, criterion_main};
use millstream_msg::checksum::{self, Sum};
use millstream_msg::offload::{Can, finish};
use millstream_msg::{Gso, Msg, MsgList, Offload, Pool, PoolConfig};
use std::hint::black_box;
use std::time::Duration;

fn life(c: &mut Criterion) {
    let mut pool = Pool::new(PoolConfig::STACK);
    let mut group = c.benchmark_group("life");
    for (name, len) in [("small", 128), ("frame", 1500), ("large", 32_000)] {
        group.bench_function(format!("alloc_free/{name}"), |b| {
            b.iter(|| {
                let msg = pool.alloc(black_box(64), black_box(len)).unwrap();
                pool.free(black_box(msg));
            });
        });
        group.bench_function(format!("baseline_vec/{name}"), |b| {
            b.iter(|| drop(black_box(Vec::<u8>::with_capacity(black_box(64 + len)))));
        });
    }
    // 64 messages alive at once, first in first out: ns per 64.
    group.throughput(Throughput::Elements(64));
    group.bench_function("alloc_free/small_64_at_once", |b| {
        b.iter(|| {
            let mut held = MsgList::new();
            (0..64).for_each(|_| held.push(pool.alloc(64, 128).unwrap()));
            held.for_each(|msg| pool.free(msg));
        });
    });
    group.finish();
}

/// The message that is duplicated or cut is made before.
fn windows(c: &mut Criterion) {
    let mut pool = Pool::new(PoolConfig::STACK);
    let mut group = c.benchmark_group("windows");
    let mut msg = pool.copy_from(64, &[1; 1400]).unwrap();
    group.bench_function("dup_free", |b| {
        b.iter(|| {
            let dup = black_box(&msg).dup(&mut pool).unwrap();
            pool.free(black_box(dup));
        });
    });
    let bytes = bytes::Bytes::from(vec![1; 1400]);
    drop(bytes.clone());
    group.bench_function("baseline_bytes_clone_drop", |b| {
        b.iter(|| drop(black_box(black_box(&bytes).clone())));
    });
    // The front half stays the message; the other half is freed and the length restored.
    group.bench_function("split_free", |b| {
        b.iter(|| {
            let rest = msg.split_off(&mut pool, black_box(700)).unwrap();
            pool.free(black_box(rest));
            msg.commit(700);
        });
    });
    group.bench_function("prepend_trim_in_place", |b| {
        b.iter(|| {
            black_box(msg.prepend(&mut pool, black_box(20)).unwrap());
            msg.trim_front(black_box(20));
        });
    });
    let dup = msg.dup(&mut pool).unwrap();
    group.bench_function("prepend_links_block_trim", |b| {
        b.iter(|| {
            let mut window = dup.dup(&mut pool).unwrap();
            black_box(window.prepend(&mut pool, black_box(20)).unwrap());
            window.trim_front(20);
            pool.free(window);
        });
    });
    group.finish();
}

/// `Msg::drop`, as any thread does it, and the owner's collection of the cell. On one thread: the
/// cost of the atomics without that of a contended cache line.
fn remote(c: &mut Criterion) {
    let mut pool = Pool::new(PoolConfig::STACK);
    c.bench_function("remote/alloc_drop_collect", |b| {
        b.iter(|| {
            drop(black_box(pool.alloc(64, 128).unwrap()));
            pool.collect();
        });
    });
}

/// Bytes are warm in the cache as far as they fit.
fn checksums(c: &mut Criterion) {
    let mut routines: Vec<(&str, Sum)> = vec![("portable", checksum::sum_portable)];
    #[cfg(target_arch = "x86_64")]
    if std::arch::is_x86_feature_detected!("avx2") {
        // SAFETY: the processor has AVX2.
        routines.push(("avx2", |bytes| unsafe { checksum::sum_avx2(bytes) }));
    }
    let mut group = c.benchmark_group("checksum");
    for len in [64, 1460, 16_384, 65_536] {
        let bytes = vec![0x5a; len];
        group.throughput(Throughput::Bytes(len as u64));
        for (name, sum) in &routines {
            group.bench_function(format!("{name}/{len}"), |b| b.iter(|| sum(black_box(&bytes))));
        }
    }
    group.finish();
}

/// A TCP super-frame of 64 KiB in 45 packets of 1,448 bytes of payload; the packets are freed.
/// Making the super-frame is excluded. Reported per packet.
fn segmentation(c: &mut Criterion) {
    const SEGMENT: u16 = 1448;
    let mut pool = Pool::new(PoolConfig::STACK);
    let frame = bytes::Bytes::from(super_frame());
    let packets = (frame.len() - 66).div_ceil(usize::from(SEGMENT)) as u64;
    let mut group = c.benchmark_group("finish_64k_tcp");
    group.throughput(Throughput::Elements(packets));
    #[cfg(target_arch = "x86_64")]
    if std::arch::is_x86_feature_detected!("avx2") {
        // SAFETY: the processor has AVX2.
        pool.set_sum(|bytes| unsafe { checksum::sum_avx2(bytes) });
    }
    let mut whole = pool.wrap_bytes(frame).unwrap();
    whole.set_offload(Offload {
        needs_csum: true,
        gso: Gso::TcpV4,
        gso_size: SEGMENT,
        hdr_len: 66,
        csum_start: 34,
        csum_offset: 16,
    });
    for (name, csum) in [("with_checksums", false), ("taker_sums", true)] {
        let can = Can { csum, ..Can::NOTHING };
        group.bench_function(name, |b| {
            let pool = std::cell::RefCell::new(&mut pool);
            b.iter_batched(
                || whole.dup(&mut pool.borrow_mut()).unwrap(),
                |msg| cut(msg, can, &mut pool.borrow_mut()),
                BatchSize::SmallInput,
            );
        });
    }
    group.finish();
}

fn cut(msg: Msg, can: Can, pool: &mut Pool) {
    let mut out = MsgList::new();
    finish(msg, 14, can, pool, &mut out).unwrap();
    out.for_each(|packet| pool.free(black_box(packet)));
}

/// Ethernet, IPv4 and TCP with a timestamp, and 65,160 bytes of payload.
fn super_frame() -> Vec<u8> {
    let mut frame = vec![0; 66 + 65_160];
    frame[14] = 0x45;
    frame[23] = 6;
    frame[46] = 8 << 4;
    frame
}

criterion_group! {
    name = benches;
    config = Criterion::default()
        .warm_up_time(Duration::from_millis(500))
        .measurement_time(Duration::from_secs(2));
    targets = life, windows, remote, checksums, segmentation
}
criterion_main!(benches);
