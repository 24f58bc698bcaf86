//! Opens and closes that take their time: what comes meanwhile waits in order, other changes wait
//! their turn, and everything ends.

mod common;

use common::slow::{End, Log, Slow, SlowMux};
use common::{Null, Polite, cells, perimeter, settle};
use millstream_core::{
    Change, Errno, Event, HeadEvent, NodeId, Perimeter, PlumbError, StreamId, Ticket,
};
use millstream_msg::{Kind, Msg};
use millstream_rig::{Probe, ms, secs};
use std::time::Duration;

/// One stream on a probe.
struct Line {
    p: Perimeter,
    stream: StreamId,
    driver: NodeId,
    probe: Probe,
    log: Log,
    now: u64,
}

impl Line {
    fn new() -> Self {
        let (mut p, probe) = (perimeter(), Probe::new());
        let (stream, driver) = p.open_device("line", Box::new(probe.clone()));
        Self { p, stream, driver, probe, log: Log::default(), now: 0 }
    }

    fn msg(&mut self, bytes: &[u8]) -> Msg {
        self.p.pool().copy_from(0, bytes).unwrap()
    }

    fn down(&mut self, bytes: &[u8]) {
        let msg = self.msg(bytes);
        self.p.putmsg(self.stream, msg).unwrap();
        settle(&mut self.p, self.now);
    }

    fn up(&mut self, bytes: &[u8]) {
        let msg = self.msg(bytes);
        self.arrive(msg);
    }

    /// An answer of high priority, from below.
    fn answer(&mut self, bytes: &[u8]) {
        let mut msg = self.msg(bytes);
        msg.set_kind(Kind::PcProto);
        self.arrive(msg);
    }

    fn arrive(&mut self, msg: Msg) {
        self.probe.arrive(msg);
        self.p.poll(self.driver, 8);
        settle(&mut self.p, self.now);
    }

    fn advance(&mut self, ns: u64) {
        self.now += ns;
        settle(&mut self.p, self.now);
    }

    fn sent(&self) -> Vec<Vec<u8>> {
        self.probe.sent_bytes()
    }

    fn received(&mut self) -> Vec<Vec<u8>> {
        let mut all = Vec::new();
        while let Ok(Some(got)) = self.p.getmsg(self.stream) {
            let msg = got.data.or(got.control).unwrap();
            all.push(msg.first().to_vec());
            self.p.pool().free(msg);
        }
        all
    }

    fn changed(&mut self) -> Vec<(Ticket, Result<(), PlumbError>)> {
        let events = std::iter::from_fn(|| self.p.event());
        events
            .filter_map(|event| match event {
                Event::Changed(ticket, result) => Some((ticket, result)),
                _ => None,
            })
            .collect()
    }

    fn names(&self) -> Vec<String> {
        let chain = self.p.chain(self.stream).unwrap();
        chain.into_iter().rev().filter(|v| v.kind == "module").map(|v| v.name).collect()
    }

    /// A module whose open is pending is pushed.
    fn opening(&mut self) -> Ticket {
        let module = Box::new(Slow::told(&self.log));
        self.p.push(self.stream, module).unwrap().ticket().expect("pending")
    }

    /// A module is popped whose close is pending.
    fn closing(&mut self) -> Ticket {
        let slow = Slow { open: End::Now, ..Slow::told(&self.log) };
        assert_eq!(self.p.push(self.stream, Box::new(slow)), Ok(Change::Done(())));
        self.p.pop(self.stream).unwrap().ticket().expect("pending")
    }

    fn finish(mut self) {
        if self.p.close(self.stream).is_ok() {
            self.advance(secs(20));
        }
        assert!(self.p.chain(self.stream).is_err(), "closed");
        drop(self.probe.sent());
        assert_eq!(cells(&mut self.p), 0, "cells are back");
    }
}

fn ticket<T>(change: Result<Change<T>, PlumbError>) -> Ticket {
    match change.map(|change| change.ticket()) {
        Ok(Some(ticket)) => ticket,
        other => panic!("not pending: {other:?}"),
    }
}

#[test]
fn what_comes_during_a_pending_open_waits_and_goes_through_the_module_in_order_d8() {
    let mut line = Line::new();
    let ticket = line.opening();
    for n in 0..3 {
        line.down(&[b'a' + n]);
        line.up(&[b'p' + n]);
    }
    assert!(line.sent().is_empty() && line.received().is_empty());
    assert!(line.p.chain(line.stream).unwrap()[1].pending);
    assert_eq!(line.log.take(), ["open"]);

    line.answer(b"open");

    assert_eq!(line.changed(), [(ticket, Ok(()))]);
    assert_eq!(line.sent(), [b"a", b"b", b"c"]);
    assert_eq!(line.received(), [b"p", b"q", b"r"]);
    let mut log = line.log.take();
    log.sort();
    assert_eq!(log, ["down a", "down b", "down c", "up p", "up q", "up r"]);
    assert!(!line.p.chain(line.stream).unwrap()[1].pending);
    line.log.take();
    line.down(b"after");
    assert_eq!(line.log.take(), ["down after"]);
    line.answer(b"close");
    line.finish();
}

#[test]
fn a_pending_open_that_fails_takes_the_module_out_without_close_d7() {
    let mut line = Line::new();
    let ticket = line.opening();
    line.down(b"a");
    line.up(b"p");
    line.answer(b"fail");
    assert_eq!(line.changed(), [(ticket, Err(PlumbError::Refused(Errno::EPROTO)))]);
    assert_eq!((line.sent(), line.received()), (vec![b"a".to_vec()], vec![b"p".to_vec()]));
    assert!(line.names().is_empty());
    assert_eq!(line.log.take(), ["open"], "neither close nor a message");
    line.finish();
}

#[test]
fn a_pending_open_fails_with_etime_after_the_close_time_of_the_stream() {
    let mut line = Line::new();
    line.p.set_close_time(line.stream, Duration::from_millis(40)).unwrap();
    let ticket = line.opening();
    line.advance(ms(39));
    assert!(line.changed().is_empty());
    line.advance(ms(2));
    assert_eq!(line.changed(), [(ticket, Err(PlumbError::Refused(Errno::ETIME)))]);
    line.answer(b"open");
    assert!(line.names().is_empty(), "a late answer is nobody's");
    line.received();
    line.finish();
}

#[test]
fn a_module_whose_close_is_pending_leaves_when_it_says_so_and_data_goes_by_e80() {
    let mut line = Line::new();
    let ticket = line.closing();
    line.down(b"a");
    line.up(b"p");
    assert!(line.sent().is_empty() && line.received().is_empty());
    line.answer(b"close");
    assert_eq!(line.changed(), [(ticket, Ok(()))]);
    assert_eq!((line.sent(), line.received()), (vec![b"a".to_vec()], vec![b"p".to_vec()]));
    assert_eq!(line.log.take(), ["open", "close"], "it saw nothing after its close");
    line.finish();
}

#[test]
fn a_module_that_never_finishes_its_close_leaves_after_15_s_e80() {
    let mut line = Line::new();
    let ticket = line.closing();
    line.down(b"a");
    line.advance(secs(15) - ms(1));
    assert!(line.changed().is_empty());
    line.advance(ms(2));
    assert_eq!(line.changed(), [(ticket, Ok(()))]);
    assert_eq!(line.sent(), [b"a"]);
    line.finish();
}

#[test]
fn a_close_waits_until_the_device_has_taken_what_was_sent_before_e80() {
    let mut line = Line::new();
    line.p.push(line.stream, Box::new(Polite)).unwrap();
    line.probe.set_room(Some(1));
    for n in 0..4 {
        line.down(&[b'a' + n]);
    }
    let ticket = ticket(line.p.close(line.stream));
    assert_eq!(line.sent(), [b"a"]);
    line.advance(secs(10));
    line.probe.set_room(Some(2));
    line.p.writable(line.driver);
    line.advance(0);
    assert_eq!((line.sent(), line.changed()), (vec![vec![b'b'], vec![b'c']], vec![]));
    line.probe.set_room(None);
    line.p.writable(line.driver);
    line.advance(0);
    assert_eq!((line.sent(), line.changed()), (vec![vec![b'd']], vec![(ticket, Ok(()))]));
    line.finish();
}

#[test]
fn a_close_gives_a_backlog_up_after_15_s_or_the_set_time_e80() {
    for (set, time) in [(None, secs(15)), (Some(40), ms(40))] {
        let mut line = Line::new();
        if let Some(set) = set {
            line.p.set_close_time(line.stream, Duration::from_millis(set)).unwrap();
        }
        line.probe.set_room(Some(0));
        line.down(b"a");
        let ticket = ticket(line.p.close(line.stream));
        line.advance(time - ms(1));
        assert!(line.changed().is_empty());
        line.advance(ms(2));
        assert_eq!(line.changed(), [(ticket, Ok(()))]);
        assert!(line.sent().is_empty());
        line.finish();
    }
}

#[test]
fn a_close_does_not_wait_for_a_device_that_fails_meanwhile_e80() {
    let mut line = Line::new();
    line.probe.set_room(Some(0));
    line.down(b"a");
    let ticket = ticket(line.p.close(line.stream));
    line.probe.fail(Errno::EIO);
    line.p.poll(line.driver, 8);
    line.advance(0);
    assert_eq!(line.changed(), [(ticket, Ok(()))]);
    line.finish();
}

#[test]
fn changes_asked_for_meanwhile_wait_and_are_done_in_order_d10() {
    let mut line = Line::new();
    let first = line.opening();
    let second = ticket(line.p.push(line.stream, Box::new(Polite)));
    let third = ticket(line.p.insert(line.stream, 0, Box::new(Null)));
    let wrong = ticket(line.p.remove(line.stream, 9));
    let last = ticket(line.p.pop(line.stream));
    assert_eq!(line.names(), ["slow"]);
    assert_eq!(line.p.pending(line.stream), Some(first));
    line.answer(b"open");
    let no_position = Err(PlumbError::NoPosition { pos: 9, modules: 3 });
    assert_eq!(
        line.changed(),
        [(first, Ok(())), (second, Ok(())), (third, Ok(())), (wrong, no_position), (last, Ok(()))]
    );
    assert_eq!(line.names(), ["null", "slow"]);
    assert_eq!(line.p.pending(line.stream), None);
    line.answer(b"close");
    line.finish();
}

#[test]
fn a_change_that_waits_may_be_pending_itself() {
    let mut line = Line::new();
    let first = line.opening();
    let second = line.opening();
    line.answer(b"open");
    assert_eq!(line.changed(), [(first, Ok(()))]);
    assert_eq!(line.p.pending(line.stream), Some(second));
    line.up(b"p");
    assert!(line.received().is_empty(), "it waits for the second one");
    line.advance(secs(16));
    assert_eq!(line.changed(), [(second, Err(PlumbError::Refused(Errno::ETIME)))]);
    assert_eq!(line.received(), [b"p"]);
    line.finish();
}

#[test]
fn a_stream_is_closed_although_an_open_is_pending() {
    let mut line = Line::new();
    let opening = line.opening();
    let waits = ticket(line.p.push(line.stream, Box::new(Null)));
    line.down(b"a");
    let closing = ticket(line.p.close(line.stream));
    let closed = Err(PlumbError::Closed);
    assert_eq!(line.changed(), [(waits, closed.clone()), (opening, closed), (closing, Ok(()))]);
    assert_eq!(line.sent(), [b"a"], "what waited was sent first");
    assert_eq!(line.log.take(), ["open"]);
    line.finish();
}

#[test]
fn a_stream_that_is_closed_waits_for_each_of_its_modules() {
    let mut line = Line::new();
    for _ in 0..2 {
        let slow = Slow { open: End::Now, close: End::After(ms(5)), ..Slow::told(&line.log) };
        line.p.push(line.stream, Box::new(slow)).unwrap();
    }
    let closing = ticket(line.p.close(line.stream));
    assert_eq!(line.p.close(line.stream), Err(PlumbError::Closed));
    assert_eq!(line.p.pop(line.stream).err(), Some(PlumbError::Closed));
    line.advance(ms(6));
    assert_eq!((line.names().len(), line.changed().len()), (1, 0));
    line.advance(ms(6));
    assert_eq!(line.changed(), [(closing, Ok(()))]);
    line.finish();
}

#[test]
fn a_close_waits_for_a_pending_pop() {
    let mut line = Line::new();
    let popped = line.closing();
    let closing = ticket(line.p.close(line.stream));
    line.answer(b"close");
    assert_eq!(line.changed(), [(popped, Ok(())), (closing, Ok(()))]);
    line.finish();
}

#[test]
fn more_than_64_changes_do_not_wait() {
    let mut line = Line::new();
    line.opening();
    for _ in 0..64 {
        ticket(line.p.pop(line.stream));
    }
    assert_eq!(line.p.pop(line.stream).err(), Some(PlumbError::Busy));
    line.finish();
}

#[test]
fn a_flush_takes_what_waits_for_a_pending_module_e61() {
    let mut line = Line::new();
    line.opening();
    line.down(b"a");
    line.up(b"p");
    let mut flush = line.msg(&[3]);
    flush.set_kind(Kind::Flush);
    line.arrive(flush);
    line.answer(b"open");
    assert!(line.sent().is_empty() && line.received().is_empty());
    line.answer(b"close");
    line.finish();
}

#[test]
fn a_writer_who_waits_for_a_pending_module_is_woken_c30() {
    let mut line = Line::new();
    line.opening();
    let mut sent = 0;
    loop {
        let msg = line.msg(&[0; 10]);
        if let Err((Errno::EAGAIN, msg)) = line.p.putmsg(line.stream, msg) {
            line.p.pool().free(msg);
            break;
        }
        settle(&mut line.p, line.now);
        sent += 1;
        assert!(sent < 1000, "flow control looks at what waits");
    }
    line.changed();
    line.answer(b"open");
    let woken = std::iter::from_fn(|| line.p.event())
        .any(|event| event == Event::Head(line.stream, HeadEvent::Writable));
    assert!(woken);
    assert_eq!(line.sent().len(), sent);
    line.answer(b"close");
    line.finish();
}

#[test]
fn an_answer_that_nobody_waits_for_changes_nothing() {
    let mut line = Line::new();
    let slow = Slow { open: End::Now, ..Slow::told(&line.log) };
    line.p.push(line.stream, Box::new(slow)).unwrap();
    for answer in [&b"open"[..], b"fail", b"close"] {
        line.answer(answer);
    }
    assert_eq!(line.names(), ["slow"]);
    assert!(line.changed().is_empty());
    let popped = ticket(line.p.pop(line.stream));
    line.answer(b"fail");
    assert!(line.changed().is_empty(), "it closes, it does not open");
    line.answer(b"close");
    assert_eq!(line.changed(), [(popped, Ok(()))]);
    line.finish();
}

/// A stream above a multiplexor that takes its time, and the line below it.
fn above() -> (Line, NodeId, StreamId, Log) {
    let mut line = Line::new();
    let log = Log::default();
    let mux = SlowMux { log: log.clone(), ..SlowMux::default() };
    let mux = line.p.add_mux(Box::new(mux));
    let upper = line.p.open_mux(mux, "upper").unwrap();
    line.p.link(mux, line.stream).unwrap();
    (line, mux, upper, log)
}

fn tell(line: &mut Line, upper: StreamId, kind: Kind, bytes: &[u8]) {
    let mut msg = line.msg(bytes);
    msg.set_kind(kind);
    line.p.putmsg(upper, msg).unwrap();
    settle(&mut line.p, line.now);
}

#[test]
fn what_is_sent_before_a_multiplexor_has_opened_an_upper_waits() {
    let (mut line, mux, upper, log) = above();
    let opening = line.p.pending(upper).expect("pending");
    tell(&mut line, upper, Kind::Data, b"a");
    tell(&mut line, upper, Kind::Data, b"b");
    assert!(log.take().is_empty());
    tell(&mut line, upper, Kind::PcProto, b"open");
    assert_eq!(line.changed(), [(opening, Ok(()))]);
    assert_eq!(log.take(), ["7 a", "7 b"]);
    let closing = ticket(line.p.close(upper));
    assert_eq!(log.take(), ["uclose"]);
    assert!(!line.p.remove_mux(mux));
    line.up(b"close");
    assert_eq!(line.changed(), [(closing, Ok(()))]);
    assert!(line.p.chain(upper).is_err());
    line.finish();
}

#[test]
fn an_upper_that_a_multiplexor_does_not_open_is_gone() {
    let (mut line, _, upper, log) = above();
    let opening = line.p.pending(upper).expect("pending");
    let waits = ticket(line.p.push(upper, Box::new(Null)));
    tell(&mut line, upper, Kind::Data, b"a");
    tell(&mut line, upper, Kind::PcProto, b"fail");
    let refused = Err(PlumbError::Refused(Errno::EPROTO));
    assert_eq!(line.changed(), [(opening, refused), (waits, Err(PlumbError::NoStream))]);
    assert!(line.p.chain(upper).is_err());
    assert!(log.take().is_empty(), "close is not called for a failed open");
    line.finish();
}

#[test]
fn a_multiplexor_is_told_when_nobody_waits_for_its_open_any_more() {
    let (mut line, _, upper, log) = above();
    let opening = line.p.pending(upper).expect("pending");
    line.advance(secs(16));
    assert_eq!(line.changed(), [(opening, Err(PlumbError::Refused(Errno::ETIME)))]);
    assert_eq!(log.take(), ["uclose"]);
    line.finish();
}

#[test]
fn an_answer_for_an_upper_that_is_gone_is_not_for_the_one_in_its_place() {
    let (mut line, _, first, _) = above();
    tell(&mut line, first, Kind::PcProto, b"open");
    let late = ticket(line.p.close(first));
    line.advance(secs(16));
    assert_eq!(line.changed().last(), Some(&(late, Ok(()))));

    let other = line.p.add_mux(Box::new(SlowMux::default()));
    let second = line.p.open_mux(other, "second").unwrap();
    tell(&mut line, second, Kind::PcProto, b"open");
    let closing = ticket(line.p.close(second));
    line.changed();
    // The first multiplexor says that the close of its upper is done, at last.
    line.up(b"close");
    assert_eq!((line.changed(), line.p.pending(second)), (vec![], Some(closing)));
    line.advance(secs(16));
    assert_eq!(line.changed(), [(closing, Ok(()))]);
    line.finish();
}

#[test]
fn the_deadline_of_a_close_that_is_done_leaves_the_next_stream_in_its_place_alone() {
    let mut line = Line::new();
    line.probe.set_room(Some(0));
    line.down(b"a");
    let closing = ticket(line.p.close(line.stream));
    line.advance(secs(10));
    line.probe.set_room(None);
    line.p.writable(line.driver);
    line.advance(0);
    assert_eq!(line.changed(), [(closing, Ok(()))]);
    (line.stream, line.driver) = line.p.open_device("line", Box::new(line.probe.clone()));
    line.sent();
    line.advance(secs(300));
    line.down(b"b");
    assert_eq!(line.sent(), [b"b"]);
    line.finish();
}
