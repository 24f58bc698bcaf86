//! What an idle connection of the stack's TCP costs: everything that is allocated for it, the head,
//! its queues and its entries in tables included. A counting allocator watches.

use millstream_benches::stream::Two;
use std::alloc::{GlobalAlloc, Layout, System};
use std::sync::atomic::{AtomicIsize, Ordering};

struct Counting;

/// Bytes that are allocated now.
static LIVE: AtomicIsize = AtomicIsize::new(0);

// SAFETY: passes every call on to the system's allocator unchanged; the count touches no memory.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        LIVE.fetch_add(layout.size() as isize, Ordering::Relaxed);
        // SAFETY: passed on from the caller.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, place: *mut u8, layout: Layout) {
        LIVE.fetch_sub(layout.size() as isize, Ordering::Relaxed);
        // SAFETY: passed on from the caller.
        unsafe { System.dealloc(place, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// What an end may cost, as promised; 1,016 bytes were measured.
const BYTES_MAX: isize = 1024;

#[test]
fn a_hundred_thousand_idle_connections_cost_no_more_than_is_written() {
    const COUNT: usize = 100_000;
    let mut two = Two::new().unwrap();
    // Stations are known and pools have grown before it is counted.
    let first = two.connected().unwrap();
    two.round(first).unwrap();
    let before = LIVE.load(Ordering::Relaxed);
    let all = two.idle(COUNT).unwrap();
    let listed = (all.capacity() * size_of_val(&all[0])) as isize;
    let each = (LIVE.load(Ordering::Relaxed) - before - listed) / (2 * COUNT as isize);
    println!("{each} bytes an end");
    assert!(each <= BYTES_MAX, "{each} bytes an end");
    // They are alive: the last one carries data.
    let last = all[COUNT - 1];
    let mut came = 0;
    for _ in 0..100 {
        came += two.round(last).unwrap();
    }
    assert!(came > 0);
}
