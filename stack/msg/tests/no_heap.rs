//! After warm-up no message costs an allocation of the heap.

use millstream_msg::offload::{Can, finish};
use millstream_msg::{Gso, Msg, MsgList, Offload, Pool, PoolConfig};
use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;

struct Counting;

thread_local! {
    /// Allocations of this thread: the test harness has others.
    static COUNT: Cell<usize> = const { Cell::new(0) };
}

// SAFETY: passes everything on to the system's allocator.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        COUNT.set(COUNT.get() + 1);
        // SAFETY: passed on from the caller.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, memory: *mut u8, layout: Layout) {
        COUNT.set(COUNT.get() + 1);
        // SAFETY: passed on from the caller.
        unsafe { System.dealloc(memory, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

#[test]
fn messages_cost_no_heap_allocation_after_warm_up() {
    let mut pool = Pool::new(PoolConfig::TINY);
    let frame = frame();
    for _ in 0..50 {
        life(&mut pool, &frame);
    }
    let before = COUNT.get();
    for _ in 0..1000 {
        life(&mut pool, &frame);
    }
    assert_eq!(COUNT.get() - before, 0);
}

#[test]
fn a_fully_grown_pool_never_grows() {
    let mut pool = Pool::new(PoolConfig::TINY);
    pool.grow_fully();
    let before = COUNT.get();
    let mut held = MsgList::new();
    while let Ok(msg) = pool.alloc(0, 100) {
        held.push(msg);
    }
    assert!(held.len() > 400);
    drop(held);
    assert_eq!(COUNT.get() - before, 0);
}

/// Everything that happens to messages on their way.
fn life(pool: &mut Pool, frame: &[u8]) {
    let mut msg = pool.copy_from(64, &frame[..1400]).unwrap();
    let dup = msg.dup(pool).unwrap();
    let rest = msg.split_off(pool, 700).unwrap();
    msg.link(rest);
    msg.prepend(pool, 20).unwrap().fill(0);
    msg.pullup(pool, 60).unwrap();
    msg.trim_front(20);
    pool.free(dup);
    drop(msg);

    let mut whole = pool.copy_from(64, frame).unwrap();
    whole.set_offload(Offload {
        needs_csum: true,
        gso: Gso::Udp,
        gso_size: 1400,
        hdr_len: 42,
        csum_start: 34,
        csum_offset: 6,
    });
    let mut packets = MsgList::new();
    finish(whole, 14, Can::NOTHING, pool, &mut packets).unwrap();
    assert!(packets.iter().map(Msg::len).sum::<usize>() > frame.len());
    for packet in packets {
        pool.free(packet);
    }
}

/// A UDP super-frame of 9,000 bytes over IPv4.
fn frame() -> Vec<u8> {
    let mut frame = vec![0; 9000];
    (frame[14], frame[23]) = (0x45, 17);
    frame
}
