//! impair, filter and record take no heap memory per message: a counting allocator watches one more
//! round of the same traffic.

mod small_kit;

use millstream_modules::capture::Sink;
use millstream_modules::filter::{Filter, Link};
use millstream_modules::impair::Impair;
use millstream_modules::record::Record;
use small_kit::*;
use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;

struct Counting;

thread_local! {
    static TAKEN: Cell<u64> = const { Cell::new(0) };
}

// SAFETY: passes every call on to the system's allocator unchanged; the count touches no memory.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        // A thread that ends has no counter any more.
        let _ = TAKEN.try_with(|taken| taken.set(taken.get() + 1));
        // SAFETY: passed on from the caller.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, place: *mut u8, layout: Layout) {
        // SAFETY: passed on from the caller.
        unsafe { System.dealloc(place, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// Type and IPv4 header of a datagram.
const UDP: [u8; 22] = [8, 0, 0x45, 0, 0, 186, 0, 0, 0, 0, 64, 17, 0, 0, 10, 0, 0, 1, 10, 0, 0, 2];

/// Sends frames down and up in batches over 100 ms; allocations meanwhile.
fn round(s: &mut Stack, from: u64) -> u64 {
    let before = TAKEN.get();
    for step in 0..100 {
        for n in 0..20 {
            let mut bytes = [0; 200];
            bytes[12..34].copy_from_slice(&UDP);
            bytes[14..18].copy_from_slice(&u32::to_be_bytes(n));
            bytes[14] = 0x45;
            let msg = s.msg(&bytes);
            s.p.putmsg(s.stream, msg).unwrap();
            let msg = s.msg(&bytes);
            s.up(msg);
        }
        s.turn(from + step * MS);
        while let Some(msg) = s.wire.ends().sent.pop() {
            s.p.pool().free(msg);
        }
        while let Ok(Some(got)) = s.p.getmsg(s.stream) {
            s.p.pool().free(got.data.unwrap());
        }
        while s.p.event().is_some() {}
    }
    TAKEN.get() - before
}

#[test]
fn impair_takes_no_heap_memory_whatever_happens_to_a_message() {
    let mut s = Stack::with(Impair::new());
    s.p.pool().grow_fully();
    s.set("seed=3 delay=20ms jitter=5ms loss=5% burst=3 reorder=5% duplicate=5% corrupt=5%");
    s.set("rate=100mbit queue=3k limit=2000");
    // Tables grow to the most that is held at a time, which is bounded by `limit`.
    for warm in 0..5 {
        round(&mut s, warm * 100 * MS);
    }
    assert_eq!(round(&mut s, 500 * MS), 0, "allocations in 4,000 messages");
    assert!(s.count("down.rate_queue_full") > 0 && s.count("up.reordered") > 0);
}

/// A file that takes everything and keeps nothing.
struct Nowhere;

impl Sink for Nowhere {
    fn write(&mut self, block: &[u8]) -> bool {
        !block.is_empty()
    }
}

#[test]
fn filter_takes_no_heap_memory_whatever_its_rules_do() {
    let filter = Filter::new(Link::Ethernet).with_file("f", Box::new(Nowhere), "tap0");
    let mut s = Stack::with(filter);
    s.p.pool().grow_fully();
    let rules = "count udp dst 10.0.0.0/8; copy down len >100; reject up udp not port 1-9,80; \
         drop fragment; reflect tcp; divert udp dport 0";
    s.p.set(s.stream, 0, "rules", rules).unwrap();
    round(&mut s, 0);
    assert_eq!(round(&mut s, 100 * MS), 0, "allocations in 4,000 messages");
    assert!(s.count("rule.1") > 0 && s.count("rule.3") > 0 && s.count("rule.6") > 0);
}

#[test]
fn record_takes_no_heap_memory() {
    let mut s = Stack::with(Record::new(Box::new(Nowhere), "tap0"));
    s.p.pool().grow_fully();
    round(&mut s, 0);
    assert_eq!(round(&mut s, 100 * MS), 0, "allocations in 4,000 messages");
    assert_eq!(s.count("up.lost") + s.count("down.lost"), 0);
}
