//! Modules and multiplexors are replaced while messages are in them: ids, queues and timers stay,
//! state moves and comes back.

mod common;

use common::slow::{End, Log, Moves, Slow, SlowMux};
use common::{Delayer, Holder, Null, Polite, TIGHT, cells, perimeter, settle};
use millstream_core::{Change, Errno, Event, Module, NodeId, Perimeter, PlumbError, StreamId};
use millstream_rig::{Probe, ms};

struct Line {
    p: Perimeter,
    stream: StreamId,
    driver: NodeId,
    probe: Probe,
    now: u64,
}

impl Line {
    fn new(module: Box<dyn Module>) -> Self {
        let (mut p, probe) = (perimeter(), Probe::new());
        p.set_audit(true);
        let (stream, driver) = p.open_device("line", Box::new(probe.clone()));
        p.push(stream, module).unwrap();
        Self { p, stream, driver, probe, now: 0 }
    }

    fn down(&mut self, bytes: &[u8]) {
        let msg = self.p.pool().copy_from(0, bytes).unwrap();
        self.p.putmsg(self.stream, msg).unwrap();
    }

    fn up(&mut self, bytes: &[u8]) {
        let msg = self.p.pool().copy_from(0, bytes).unwrap();
        self.probe.arrive(msg);
        self.p.poll(self.driver, 8);
    }

    fn settle(&mut self) {
        settle(&mut self.p, self.now);
        let audit = self.p.audit().unwrap_or_else(|why| panic!("{why}"));
        assert_eq!(audit.outside, self.probe.holds() as i64, "what is outside is in the device");
    }

    fn advance(&mut self, ns: u64) {
        self.now += ns;
        self.settle();
    }

    fn received(&mut self) -> Vec<Vec<u8>> {
        let mut all = Vec::new();
        while let Ok(Some(got)) = self.p.getmsg(self.stream) {
            let data = got.data.unwrap();
            all.push(data.first().to_vec());
            self.p.pool().free(data);
        }
        all
    }

    fn name(&self) -> String {
        self.p.chain(self.stream).unwrap()[1].name.clone()
    }

    fn finish(mut self) {
        self.p.close(self.stream).unwrap();
        self.advance(ms(20_000));
        drop(self.probe.sent());
        assert_eq!(cells(&mut self.p), 0, "cells are back");
    }
}

#[test]
fn state_moves_to_the_successor_and_timers_stay() {
    let mut line = Line::new(Box::new(Moves::new(1)));
    line.down(b"a");
    line.up(b"p");
    line.settle();
    let old = line.p.replace(line.stream, 0, Box::new(Moves::new(2))).unwrap().done().unwrap();
    assert_eq!((old.info().name, line.name().as_str()), ("moves", "moves2"));
    drop(old);
    assert_eq!(line.p.headroom(line.stream), Ok(8), "that of the successor");
    line.down(b"b");
    line.settle();
    assert!(line.probe.sent_bytes().is_empty());
    // The timer that the predecessor set fires at the successor.
    line.advance(ms(1));
    assert_eq!(line.probe.sent_bytes(), [b"a", b"b"]);
    assert_eq!(line.received(), [b"p"]);
    line.finish();
}

#[test]
fn a_refused_import_changes_nothing_and_says_why() {
    let mut line = Line::new(Box::new(Moves::new(1)));
    line.down(b"a");
    line.settle();
    let refused = line.p.replace(line.stream, 0, Box::new(Moves::new(3))).err().unwrap();
    assert_eq!(refused, PlumbError::NotTaken("this version takes no state"));
    assert!(refused.to_string().contains("this version takes no state; nothing has changed"));
    assert_eq!(line.name(), "moves");
    line.down(b"b");
    line.settle();
    line.advance(ms(1));
    assert_eq!(line.probe.sent_bytes(), [b"a", b"b"]);
    line.finish();
}

#[test]
fn a_state_that_nobody_takes_back_is_said_to_be_lost() {
    let mut line = Line::new(Box::new(Moves::new(4)));
    let refused = line.p.replace(line.stream, 0, Box::new(Moves::new(1))).err();
    assert_eq!(refused, Some(PlumbError::StateLost("this version takes no state")));
    line.down(b"a");
    line.settle();
    line.advance(ms(1));
    assert_eq!(line.probe.sent_bytes(), [b"a"], "the old one goes on");
    line.finish();
}

#[test]
fn a_module_without_state_is_drained_before_its_successor_sees_anything() {
    let mut line = Line::new(Box::new(Delayer::default()));
    line.down(b"a");
    line.up(b"p");
    line.settle();
    // In its inbox, not put yet: still the predecessor's.
    line.down(b"b");
    line.p.replace(line.stream, 0, Box::new(Null)).unwrap();
    line.down(b"c");
    line.settle();
    assert_eq!(line.probe.sent_bytes(), [b"a", b"b", b"c"]);
    assert_eq!(line.received(), [b"p"]);
    assert_eq!(line.name(), "null");
    line.finish();
}

#[test]
fn what_a_queue_holds_comes_to_a_successor_without_service_procedure() {
    let mut line = Line::new(Box::new(Holder));
    line.p.set_driver_marks(line.driver, TIGHT);
    line.probe.set_room(Some(0));
    for n in 0..4 {
        line.down(&[n; 14]);
        line.settle();
    }
    let held = line.p.chain(line.stream).unwrap()[1].depth[1];
    assert!(held > 0, "the driver is full");
    line.p.replace(line.stream, 0, Box::new(Null)).unwrap();
    line.settle();
    line.p.replace(line.stream, 0, Box::new(Polite)).unwrap();
    line.probe.set_room(None);
    line.p.writable(line.driver);
    line.down(&[4; 14]);
    line.settle();
    let sent = line.probe.sent_bytes();
    assert_eq!(sent.iter().map(|bytes| bytes[0]).collect::<Vec<_>>(), [0, 1, 2, 3, 4]);
    line.finish();
}

#[test]
fn a_successor_that_does_not_open_leaves_the_predecessor_as_it_was() {
    let log = Log::default();
    let mut line = Line::new(Box::new(Delayer::default()));
    line.down(b"a");
    line.settle();
    let slow = Slow { open: End::Now, opens: Err(Errno::EIO), ..Slow::told(&log) };
    let refused = line.p.replace(line.stream, 0, Box::new(slow)).err();
    assert_eq!(refused, Some(PlumbError::Refused(Errno::EIO)));
    line.settle();
    assert!(line.probe.sent_bytes().is_empty(), "it still waits for its timer");
    line.advance(ms(1));
    assert_eq!(line.probe.sent_bytes(), [b"a"]);
    line.finish();
}

#[test]
fn a_successor_whose_pending_open_fails_makes_room_for_the_predecessor_again() {
    for (opens, name) in [(Ok(()), "slow"), (Err(Errno::EIO), "delayer")] {
        let log = Log::default();
        let mut line = Line::new(Box::new(Delayer::default()));
        line.down(b"a");
        line.settle();
        let slow = Slow { open: End::After(ms(1)), opens, close: End::Now, log: log.clone() };
        let ticket = line.p.replace(line.stream, 0, Box::new(slow)).unwrap().ticket().unwrap();
        line.down(b"b");
        line.settle();
        assert_eq!(line.probe.sent_bytes(), [b"a"], "drained; what comes now waits");
        line.advance(ms(2));
        let changed = std::iter::from_fn(|| line.p.event()).find_map(|event| match event {
            Event::Changed(of, result) if of == ticket => Some(result),
            _ => None,
        });
        assert_eq!(changed, Some(opens.map_err(PlumbError::Refused)));
        assert_eq!(line.name(), name);
        line.advance(ms(1));
        assert_eq!(line.probe.sent_bytes(), [b"b"]);
        line.finish();
    }
}

#[test]
fn a_place_without_module_is_not_replaced() {
    let mut line = Line::new(Box::new(Null));
    let refused = line.p.replace(line.stream, 1, Box::new(Null)).err();
    assert_eq!(refused, Some(PlumbError::NoPosition { pos: 1, modules: 1 }));
    line.finish();
}

#[test]
fn a_multiplexor_is_replaced_with_its_streams_and_cookies() {
    let mut line = Line::new(Box::new(Null));
    let (old, new) = (Log::default(), Log::default());
    let slow =
        |log: &Log, moves| SlowMux { log: log.clone(), moves, quick: true, ..SlowMux::default() };
    let mux = line.p.add_mux(Box::new(slow(&old, true)));
    let upper = line.p.open_mux(mux, "upper").unwrap();
    assert!(matches!(line.p.link(mux, line.stream), Ok(Change::Done(_))));
    let stays = line.p.replace_mux(mux, Box::new(slow(&new, false))).err();
    assert_eq!(stays, Some(PlumbError::NotTaken("this multiplexor takes no state")));
    line.p.replace_mux(mux, Box::new(slow(&new, true))).unwrap();
    let msg = line.p.pool().copy_from(0, b"a").unwrap();
    line.p.putmsg(upper, msg).unwrap();
    line.settle();
    assert_eq!((old.take().len(), new.take()), (0, vec!["7 a".to_owned()]));
    assert_eq!(line.probe.sent_bytes(), [b"a"]);
    line.up(b"p");
    line.settle();
    let got = line.p.getmsg(upper).unwrap().unwrap();
    line.p.pool().free(got.data.unwrap());
    line.p.close(upper).unwrap();
    line.finish();
}

#[test]
fn a_multiplexor_with_streams_and_without_state_stays() {
    let mut line = Line::new(Box::new(Null));
    let plain = || SlowMux { quick: true, ..SlowMux::default() };
    let mux = line.p.add_mux(Box::new(plain()));
    assert!(line.p.replace_mux(mux, Box::new(plain())).is_ok(), "it has no streams");
    let upper = line.p.open_mux(mux, "upper").unwrap();
    assert_eq!(line.p.replace_mux(mux, Box::new(plain())).err(), Some(PlumbError::NoState));
    assert_eq!(line.p.replace_mux(line.driver, Box::new(plain())).err(), Some(PlumbError::NotAMux));
    line.p.close(upper).unwrap();
    line.finish();
}
