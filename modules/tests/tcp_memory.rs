//! What an idle connection costs at either end, with its head, queues and table entries, after a
//! request and an answer. Bytes:
//!
//! | | |
//! |---|---|
//! | state of the connection | 464 |
//! | two pairs of queues | 264 |
//! | stream, node, head and name | 148 |
//! | user and socket | 44 |
//! | place among connections | 52 |
//! | room of the tables for more, timers | 9 |
//! | at the end that calls: a port of its own | 35 |

mod two_hosts;

use millstream_rig::{Faults, HostId, ms, secs};
use std::alloc::{GlobalAlloc, Layout, System};
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use two_hosts::Two;

struct Counting;

/// Of each host, and of the link between them.
static BYTES: [AtomicUsize; 3] = [const { AtomicUsize::new(0) }; 3];
/// The one that works.
static HOST: AtomicUsize = AtomicUsize::new(2);

fn bytes() -> &'static AtomicUsize {
    &BYTES[HOST.load(Relaxed)]
}

// SAFETY: passes everything on to the system's allocator.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        bytes().fetch_add(layout.size(), Relaxed);
        // SAFETY: passed on from the caller.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, memory: *mut u8, layout: Layout) {
        bytes().fetch_sub(layout.size(), Relaxed);
        // SAFETY: passed on from the caller.
        unsafe { System.dealloc(memory, layout) }
    }

    unsafe fn realloc(&self, memory: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        bytes().fetch_add(size, Relaxed);
        bytes().fetch_sub(layout.size(), Relaxed);
        // SAFETY: passed on from the caller.
        unsafe { System.realloc(memory, layout, size) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

const COUNT: usize = 100_000;
static REQUEST: [u8; 100] = [1; 100];
static ANSWER: [u8; 100] = [2; 100];

#[test]
fn a_hundred_thousand_idle_connections_take_at_most_1024_bytes_at_either_end() {
    let mut two = Two::new(Faults::NONE);
    two.sim.observe(|host| HOST.store(host.map_or(2, HostId::number), Relaxed));
    let callers = [1, 3, 4, 5].map(|n| [10, 0, 0, n]);
    for [.., n] in &callers[1..] {
        let host = two.hosts[0];
        let address = format!("0 10.0.0.{n}/24");
        two.sim.perimeter(host.id).set_mux(host.ip, "address", &address).unwrap();
    }
    let listener = two.listen(1, 80);
    // Pools have grown and stations are known when the counting begins.
    let warm = two.connect(0, listener, 80);
    two.write(1, warm.1, &ANSWER);
    two.pass(secs(1));
    two.read(0, warm.0);
    let mut all = Vec::with_capacity(COUNT);
    two.pass(secs(1));
    let before = BYTES.each_ref().map(|bytes| bytes.load(Relaxed));
    for n in 0..COUNT {
        let (client, _) = two.call_from(0, callers[n % 4], 80);
        let (server, _) = two.accept(1, listener);
        two.await_message(0, client);
        two.take(0, client);
        // A request and its answer: what they used is given back.
        two.write(0, client, &REQUEST);
        two.write(1, server, &ANSWER);
        all.push((client, server));
        if n % 100 == 99 {
            two.pass(ms(1));
            for (client, server) in &all[n - 99..] {
                assert_eq!(two.read(1, *server), REQUEST);
                assert_eq!(two.read(0, *client), ANSWER);
            }
        }
    }
    two.pass(secs(1));
    let each = [0, 1].map(|end| (BYTES[end].load(Relaxed) - before[end]) / COUNT);
    println!(
        "an idle connection takes {} bytes where it calls, {} where it is called",
        each[0], each[1]
    );
    assert!(each.iter().all(|bytes| *bytes <= 1024), "{each:?}");
    // They are alive.
    for (client, server) in all.iter().step_by(1000).chain([&warm]) {
        assert_eq!(two.write(0, *client, b"still there"), 11);
        two.pass(ms(1));
        assert_eq!(two.read(1, *server), b"still there");
    }
}
