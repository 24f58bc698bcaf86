//! streams: a million open streams of two modules on one multiplexor, idle: bytes of heap per
//! stream, and streams opened and closed per second.
//!
//! Included: everything that the heap holds for a stream, its name of 7 bytes, the slack of tables.
//! Excluded: the allocator's own headers. `cargo bench -p millstream-core --bench streams`; an
//! argument is the number of streams.

#[path = "common/looped.rs"]
mod looped;

use looped::Loop;
use millstream_core::{Config, Cx, ModInfo, Module, Perimeter};
use millstream_msg::{Msg, Pool, PoolConfig};
use std::alloc::{GlobalAlloc, Layout, System};
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::time::Instant;

struct Counting;

static BYTES: AtomicUsize = AtomicUsize::new(0);

// SAFETY: passes everything on to the system's allocator.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        BYTES.fetch_add(layout.size(), Relaxed);
        // SAFETY: passed on from the caller.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, memory: *mut u8, layout: Layout) {
        BYTES.fetch_sub(layout.size(), Relaxed);
        // SAFETY: passed on from the caller.
        unsafe { System.dealloc(memory, layout) }
    }

    unsafe fn realloc(&self, memory: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        BYTES.fetch_add(size, Relaxed);
        BYTES.fetch_sub(layout.size(), Relaxed);
        // SAFETY: passed on from the caller.
        unsafe { System.realloc(memory, layout, size) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// A module with as much state as `count` has.
#[derive(Default)]
struct Counter {
    seen: [u64; 4],
}

impl Module for Counter {
    fn info(&self) -> &'static ModInfo {
        const INFO: ModInfo = ModInfo::new("counter", "counts messages");
        &INFO
    }

    fn rput(&mut self, cx: &mut Cx<'_>, msg: Msg) {
        self.seen[0] += 1;
        cx.putnext(msg);
    }
}

fn main() {
    let number = std::env::args().skip(1).find_map(|arg| arg.parse().ok());
    let testing = std::env::args().any(|arg| arg == "--test");
    let count: usize = if testing { 1000 } else { number.unwrap_or(1_000_000) };
    let pool = Pool::new(PoolConfig::TINY);
    let mut p = Perimeter::new(Config { pool, seed: 1, clock: None });
    let ground = p.add_mux(Box::new(Loop));
    let mut streams = Vec::with_capacity(count);
    let before = BYTES.load(Relaxed);
    let start = Instant::now();
    for i in 0..count {
        let stream = p.open_mux(ground, &format!("s{i:06}")).expect("the ground takes all");
        p.push(stream, Box::new(Counter::default())).expect("a module");
        p.push(stream, Box::new(Counter::default())).expect("a module");
        streams.push(stream);
    }
    let opening = start.elapsed().as_secs_f64();
    let bytes = BYTES.load(Relaxed) - before;
    let start = Instant::now();
    for stream in streams {
        p.close(stream).expect("it is open");
    }
    let closing = start.elapsed().as_secs_f64();
    println!("streams: {count} of 2 modules, {} bytes each", bytes / count);
    println!("  opened  {:9.0} a second", count as f64 / opening);
    println!("  closed  {:9.0} a second", count as f64 / closing);
    println!("  both    {:9.0} a second", count as f64 / (opening + closing));
}
