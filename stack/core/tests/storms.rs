//! What wears a stack out: storms of flushes, and modules that never let go of a message.

mod common;

use common::{Hoarder, Polite, TIGHT, cells, perimeter, settle};
use millstream_core::{Errno, Event, Module, NodeId, Perimeter, Priority, StreamId};
use millstream_msg::Kind;
use millstream_rig::Probe;

struct Line {
    p: Perimeter,
    stream: StreamId,
    driver: NodeId,
    probe: Probe,
}

/// A stream with one module on a probe.
fn line(module: Box<dyn Module>) -> Line {
    let (mut p, probe) = (perimeter(), Probe::new());
    let (stream, driver) = p.open_device("line", Box::new(probe.clone()));
    p.push(stream, module).unwrap();
    settle(&mut p, 0);
    while p.event().is_some() {}
    Line { p, stream, driver, probe }
}

impl Line {
    fn arrives(&mut self, kind: Kind, bytes: &[u8]) {
        let mut msg = self.p.pool().copy_from(0, bytes).unwrap();
        msg.set_kind(kind);
        self.probe.arrive(msg);
    }

    /// Lets the driver read as long as it wants to.
    fn poll(&mut self) {
        while self.p.poll(self.driver, 4) > 0 {
            settle(&mut self.p, 0);
        }
        settle(&mut self.p, 0);
    }

    fn read_all(&mut self) -> Vec<Vec<u8>> {
        let mut all = Vec::new();
        while let Ok(Some(got)) = self.p.getmsg(self.stream) {
            let msg = got.data.or(got.control).unwrap();
            all.push(msg.first().to_vec());
            self.p.pool().free(msg);
        }
        all
    }

    fn sent(&mut self) -> Vec<Vec<u8>> {
        let mut all = Vec::new();
        for msg in self.probe.sent() {
            all.push(msg.first().to_vec());
            self.p.pool().free(msg);
        }
        all
    }
}

#[test]
fn a_storm_of_flushes_makes_one_round_each_and_leaves_nothing() {
    const STORM: u64 = 10_000;
    let mut line = line(Box::new(Polite));
    let before = cells(&mut line.p);
    let mut read = 0;
    for round in 0..STORM {
        line.arrives(Kind::Data, b"data");
        line.arrives(Kind::Flush, &[3]);
        if round % 3 == 0 {
            line.arrives(Kind::Data, b"more");
        }
        line.poll();
        read += line.read_all().len() as u64;
    }
    let chain = line.p.chain(line.stream).unwrap();
    let dropped = chain.iter().map(|node| node.stat.dropped()).sum::<u64>();
    let data = STORM + STORM.div_ceil(3);
    assert_eq!(read + dropped, data, "each message was read or flushed");
    assert_eq!(chain[1].stat.msgs_in, [data + STORM, STORM], "each flush came up and went down");
    assert_eq!(cells(&mut line.p), before);
}

#[test]
fn a_storm_of_flushes_from_both_ends_comes_to_rest() {
    let mut line = line(Box::new(Polite));
    let before = cells(&mut line.p);
    for bits in [1, 2, 3].into_iter().cycle().take(3000) {
        for _ in 0..3 {
            line.arrives(Kind::Flush, &[bits]);
        }
        line.p.flush(line.stream, bits).unwrap();
        line.poll();
    }
    assert_eq!(cells(&mut line.p), before);
    assert!(line.read_all().is_empty() && line.sent().is_empty());
}

#[test]
fn a_module_that_queues_for_ever_stops_its_feeders_and_loses_nothing() {
    let mut line = line(Box::new(Hoarder));
    for i in 0..200_u8 {
        line.arrives(Kind::Data, &[i]);
    }
    line.poll();
    let most = TIGHT.hiwat as usize + 4;
    assert!(200 - line.probe.waiting() <= most, "the device keeps what has no room");
    let blocked = std::iter::from_fn(|| line.p.event());
    assert!(blocked.into_iter().any(|event| matches!(event, Event::ReadBlocked(_))));
    let refused = (0..=u8::MAX).find(|&i| {
        let msg = line.p.pool().copy_from(0, &[i]).unwrap();
        match line.p.putmsg(line.stream, msg) {
            Ok(()) => {
                settle(&mut line.p, 0);
                false
            }
            Err((errno, msg)) => {
                assert_eq!(errno, Errno::EAGAIN);
                line.p.pool().free(msg);
                true
            }
        }
    });
    let written = refused.expect("the writer is stopped");
    line.p.pop(line.stream).unwrap();
    settle(&mut line.p, 0);
    line.poll();
    let read = line.read_all();
    assert_eq!(read, (0..200).map(|i| [i]).collect::<Vec<_>>(), "all, in order");
    assert_eq!(line.sent(), (0..written).map(|i| [i]).collect::<Vec<_>>());
}

#[test]
fn a_module_that_hoards_what_flow_control_does_not_stop_ends_with_the_pool() {
    let mut line = line(Box::new(Hoarder));
    let before = cells(&mut line.p);
    let mut stored = 0;
    // High priority is never refused: only the pool ends it.
    while let Ok(mut msg) = line.p.pool().copy_from(0, b"urgent") {
        msg.set_kind(Kind::PcProto);
        line.p.putmsg(line.stream, msg).unwrap();
        settle(&mut line.p, 0);
        stored += 1;
        assert!(stored < 1_000_000, "the pool is bounded");
    }
    assert_eq!(line.p.write(line.stream, b"more"), Err(Errno::EAGAIN), "flow control is first");
    let urgent = line.p.putpmsg(line.stream, Some(b"urgent"), None, Priority::High);
    assert_eq!(urgent, Err(Errno::ENOSR), "the cause is named");
    line.p.pop(line.stream).unwrap();
    settle(&mut line.p, 0);
    assert_eq!(cells(&mut line.p), before, "with the module it is all back");
}
