//! What an idle connection costs, with its head, queues and table entries, after a request and an
//! answer. Bytes:
//!
//! | | |
//! |---|---|
//! | state of the connection | 560 |
//! | two pairs of queues | 352 |
//! | counters of the head, from its first message on | 232 |
//! | user and socket, with the user's settings | 168 |
//! | stream, node, head and name | 212 |
//! | place among ends and ports | 60 |
//! | room of the tables for more, timers | 240 |

mod two_hosts;

use millstream_rig::{Faults, ms, secs};
use std::alloc::{GlobalAlloc, Layout, System};
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use two_hosts::{Two, pattern};

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

const COUNT: usize = 100_000;

#[test]
fn a_hundred_thousand_idle_connections_take_at_most_1850_bytes_each() {
    let mut two = Two::new(Faults::NONE);
    let callers = [1, 3, 4, 5].map(|n| [10, 0, 0, n]);
    for [.., n] in &callers[1..] {
        let host = two.hosts[0];
        let address = format!("0 10.0.0.{n}/24");
        two.sim.perimeter(host.id).set_mux(host.ip, "address", &address).unwrap();
    }
    let listener = two.listen(1, 80);
    // Pools have grown and stations are known when the counting begins.
    let warm = two.connect(0, listener, 80);
    let mut all = Vec::with_capacity(COUNT);
    two.pass(secs(1));
    let before = BYTES.load(Relaxed);
    for n in 0..COUNT {
        let (client, _) = two.call_from(0, callers[n % 4], 80);
        let (server, _) = two.accept(1, listener);
        two.await_message(0, client);
        two.take(0, client);
        // A request and its answer: what they used is given back.
        two.write(0, client, &pattern(0, 100));
        two.write(1, server, &pattern(0, 100));
        all.push((client, server));
        if n % 100 == 99 {
            two.pass(ms(1));
            for (client, server) in &all[n - 99..] {
                assert_eq!(two.read(1, *server).len(), 100);
                assert_eq!(two.read(0, *client).len(), 100);
            }
        }
    }
    two.pass(secs(1));
    let each = (BYTES.load(Relaxed) - before) / (2 * COUNT);
    println!("an idle connection takes {each} bytes");
    assert!(each <= 1850, "{each}");
    // They are alive.
    for (client, server) in all.iter().step_by(1000).chain([&warm]) {
        assert_eq!(two.write(0, *client, b"still there"), 11);
        two.pass(ms(1));
        assert_eq!(two.read(1, *server), b"still there");
    }
}
