//! No heap allocation per message in steady state: a counting allocator watches.

mod common;

use common::{Null, Polite, perimeter};
use millstream_core::{Event, Perimeter};
use millstream_rig::Probe;
use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;

struct Counting;

thread_local! {
    static COUNT: Cell<u64> = const { Cell::new(0) };
}

// SAFETY: passes everything on to the system's allocator.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        COUNT.with(|count| count.set(count.get() + 1));
        // SAFETY: passed on from the caller.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, memory: *mut u8, layout: Layout) {
        // SAFETY: passed on from the caller.
        unsafe { System.dealloc(memory, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// Heap allocations of 200 rounds of `batch` messages in each direction, after a warm-up.
fn allocations(batch: usize, service: bool) -> u64 {
    let mut p = perimeter();
    let probe = Probe::new();
    let (stream, driver) = p.open_device("probe", Box::new(probe.clone()));
    for _ in 0..4 {
        let null: Box<dyn millstream_core::Module> = Box::new(Null);
        p.push(stream, if service { Box::new(Polite) } else { null }).unwrap();
    }
    let round = |p: &mut Perimeter| {
        for i in 0..batch as u32 {
            let up = p.pool().copy_from(0, &i.to_le_bytes()).unwrap();
            probe.arrive(up);
            let down = p.pool().copy_from(0, &i.to_le_bytes()).unwrap();
            if let Err((_, msg)) = p.putmsg(stream, down) {
                p.pool().free(msg);
            }
        }
        p.poll(driver, batch);
        while p.turn(0, 1000).more {}
        let mut up = 0;
        while let Ok(Some(got)) = p.getmsg(stream) {
            p.pool().free(got.data.unwrap());
            up += 1;
            while p.turn(0, 1000).more {}
        }
        assert_eq!(up, batch);
        for msg in probe.sent() {
            p.pool().free(msg);
        }
        while let Some(event) = p.event() {
            assert!(!matches!(event, Event::DeviceGone(..)));
        }
    };
    for _ in 0..20 {
        round(&mut p);
    }
    let before = COUNT.get();
    for _ in 0..200 {
        round(&mut p);
    }
    COUNT.get() - before
}

#[test]
fn no_heap_allocation_per_message_in_steady_state() {
    for batch in [1, 32] {
        for service in [false, true] {
            assert_eq!(allocations(batch, service), 0, "batch {batch}, service queues {service}");
        }
    }
}
