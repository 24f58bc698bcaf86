//! No wake-up is lost between a writer that was refused and a reader that drains (C31).

mod common;

use common::{Polite, TIGHT, perimeter};
use millstream_core::{Event, HeadEvent, Perimeter, StreamId};
use millstream_rig::Probe;
use std::sync::{Condvar, Mutex};
use std::time::{Duration, Instant};

/// A perimeter that two threads share, and what its events said.
struct Shared {
    p: Perimeter,
    writable: bool,
    waits: u64,
}

impl Shared {
    /// After each entry: work off, and tell whoever waits.
    fn leave(&mut self, stream: StreamId, writer: &Condvar, reader: &Condvar) {
        while self.p.turn(0, 10_000).more {}
        while let Some(event) = self.p.event() {
            match event {
                Event::Head(of, HeadEvent::Writable) if of == stream => {
                    self.writable = true;
                    writer.notify_one();
                }
                Event::WantWrite(_) => reader.notify_one(),
                _ => {}
            }
        }
    }
}

const MESSAGES: u32 = 1_000_000;
/// A lost wake-up ends here; a run takes a few seconds.
const DEADLINE: Duration = Duration::from_secs(120);

#[test]
fn no_wakeup_is_lost_in_a_million_messages_between_threads_c31() {
    let probe = Probe::new();
    let mut p = perimeter();
    let (stream, driver) = p.open_device("probe", Box::new(probe.clone()));
    p.push(stream, Box::new(Polite)).unwrap();
    p.set_driver_marks(driver, TIGHT);
    // The device takes nothing by itself; its queue is as narrow as the module's.
    probe.set_room(Some(0));
    let shared = Mutex::new(Shared { p, writable: true, waits: 0 });
    let (writer, reader) = (Condvar::new(), Condvar::new());
    let start = Instant::now();
    std::thread::scope(|threads| {
        threads.spawn(|| {
            let mut next = 0_u32;
            while next < MESSAGES {
                let mut s = shared.lock().unwrap();
                while !s.writable {
                    s.waits += 1;
                    let (back, timeout) = writer.wait_timeout(s, DEADLINE).unwrap();
                    s = back;
                    assert!(!timeout.timed_out(), "the writer was not woken at {next}");
                }
                let msg = s.p.pool().copy_from(0, &next.to_le_bytes()).expect("memory");
                match s.p.putmsg(stream, msg) {
                    Ok(()) => next += 1,
                    Err((_, msg)) => {
                        s.p.pool().free(msg);
                        s.writable = false;
                    }
                }
                s.leave(stream, &writer, &reader);
            }
            // The last few fit into the device's room: no backlog tells of them.
            reader.notify_one();
        });
        let mut expected = 0_u32;
        while expected < MESSAGES {
            let mut s = shared.lock().unwrap();
            probe.set_room(Some(7));
            s.p.writable(driver);
            s.leave(stream, &writer, &reader);
            let sent = probe.sent();
            if sent.is_empty() {
                let (back, timeout) = reader.wait_timeout(s, DEADLINE).unwrap();
                drop(back);
                assert!(!timeout.timed_out(), "the reader was not woken at {expected}");
                continue;
            }
            for msg in sent {
                assert_eq!(msg.first(), expected.to_le_bytes());
                expected += 1;
                s.p.pool().free(msg);
            }
            assert!(start.elapsed() < DEADLINE, "no progress at {expected}");
        }
    });
    let s = shared.into_inner().unwrap();
    println!("{MESSAGES} messages, the writer waited {} times", s.waits);
    assert!(s.waits > 0, "flow control was met");
}
