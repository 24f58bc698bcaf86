//! The books of a perimeter: what they say of modules that do as they should, and whom they name
//! when one does not.

mod common;

use common::{Delayer, Holder, Null, perimeter, settle};
use millstream_core::{Audit, AuditError, Cx, ModInfo, Module, NodeId, Perimeter, Side, StreamId};
use millstream_msg::Msg;
use millstream_rig::{Probe, ms};
use std::sync::{Arc, Mutex};

struct Line {
    p: Perimeter,
    stream: StreamId,
    driver: NodeId,
    probe: Probe,
}

impl Line {
    fn new(modules: Vec<Box<dyn Module>>) -> Self {
        let (mut p, probe) = (perimeter(), Probe::new());
        p.set_audit(true);
        let (stream, driver) = p.open_device("line", Box::new(probe.clone()));
        for module in modules {
            p.push(stream, module).unwrap();
        }
        Self { p, stream, driver, probe }
    }

    fn down(&mut self, count: usize) {
        for _ in 0..count {
            let msg = self.p.pool().copy_from(64, b"message").unwrap();
            self.p.putmsg(self.stream, msg).unwrap();
            settle(&mut self.p, 0);
        }
    }

    fn up(&mut self, count: usize) {
        for _ in 0..count {
            let msg = self.p.pool().copy_from(64, b"message").unwrap();
            self.probe.arrive(msg);
        }
        self.p.poll(self.driver, count);
        settle(&mut self.p, 0);
    }

    fn audit(&mut self) -> Audit {
        self.p.audit().unwrap()
    }

    /// Taken, made, put, consumed, discarded, queued, kept of the first module.
    fn account(&mut self) -> [i64; 7] {
        let node = &self.audit().nodes[0];
        let counts = [node.taken, node.made, node.put, node.consumed, node.discarded, node.queued];
        let [taken, made, put, consumed, discarded, queued] = counts.map(|count| count as i64);
        assert_eq!(taken + made, put + consumed + discarded + queued + node.kept, "the law");
        [taken, made, put, consumed, discarded, queued, node.kept]
    }
}

/// What a bad module does with a message on its way down; up, all pass.
enum Deed {
    /// Frees it and says nothing.
    Free,
    /// Lets it fall out of scope.
    Forget,
    /// Hides it where another module finds it.
    Hide(Arc<Mutex<Vec<Msg>>>),
    /// Passes it on, with what was hidden.
    Find(Arc<Mutex<Vec<Msg>>>),
    /// Frees it as it should be, then drops the next, then doubles the next.
    Good(usize),
    /// Joins two to one.
    Join(Option<Msg>),
}

struct Doer(Deed);

impl Module for Doer {
    fn info(&self) -> &'static ModInfo {
        const INFO: ModInfo = ModInfo::new("doer", "for tests");
        &INFO
    }

    fn wput(&mut self, cx: &mut Cx<'_>, mut msg: Msg) {
        match &mut self.0 {
            Deed::Free => cx.pool().free(msg),
            Deed::Forget => drop(msg),
            Deed::Hide(place) => place.lock().unwrap().push(msg),
            Deed::Find(place) => {
                place.lock().unwrap().drain(..).for_each(|msg| cx.putnext(msg));
                cx.putnext(msg);
            }
            Deed::Good(count) => {
                *count += 1;
                match *count {
                    1 => cx.free(msg),
                    2 => cx.discard(msg, millstream_core::Drop::UNEXPECTED_TYPE),
                    _ => {
                        let twin = msg.dup(cx.pool()).unwrap();
                        cx.put(Side::Read, twin);
                        cx.putnext(msg);
                    }
                }
            }
            Deed::Join(first) => match first.take() {
                None => *first = Some(msg),
                Some(mut first) => {
                    msg.trim_front(1);
                    first.link(msg);
                    cx.putnext(first);
                }
            },
        }
    }
}

#[test]
fn the_account_of_a_module_says_what_became_of_each_block() {
    let mut line = Line::new(vec![Box::new(Doer(Deed::Good(0)))]);
    line.down(3);
    assert_eq!(line.account(), [3, 1, 2, 1, 1, 0, 0]);
    line.up(2);
    assert_eq!(line.account(), [5, 1, 4, 1, 1, 0, 0]);
    let outside = line.probe.holds() as i64;
    assert_eq!((line.audit().outside, line.audit().waiting), (outside, 0));
}

#[test]
fn joined_messages_are_as_many_blocks_as_before() {
    let mut line = Line::new(vec![Box::new(Doer(Deed::Join(None)))]);
    line.down(3);
    assert_eq!(line.account(), [3, 0, 2, 0, 0, 0, 1]);
}

#[test]
fn what_queues_hold_and_modules_keep_is_told_apart() {
    let mut line = Line::new(vec![Box::new(Delayer::default())]);
    line.down(4);
    assert_eq!(line.account(), [4, 0, 0, 0, 0, 0, 4]);
    settle(&mut line.p, ms(1));
    assert_eq!(line.account(), [4, 0, 4, 0, 0, 0, 0]);
    let mut line = Line::new(vec![Box::new(Holder)]);
    line.probe.set_room(Some(0));
    line.p.set_driver_marks(line.driver, common::TIGHT);
    line.down(12);
    let [taken, _, put, .., queued, kept] = line.account();
    assert!(queued > 0, "the device is full");
    assert_eq!((taken, taken - put, kept), (12, queued, 0));
}

#[test]
fn what_waits_between_neighbours_is_told() {
    let mut line = Line::new(vec![Box::new(Null)]);
    for _ in 0..3 {
        let msg = line.p.pool().copy_from(0, b"message").unwrap();
        line.p.putmsg(line.stream, msg).unwrap();
    }
    assert_eq!((line.audit().waiting, line.audit().outside), (3, 0));
}

#[test]
fn a_module_that_frees_a_message_and_does_not_say_why_is_named() {
    let mut line = Line::new(vec![Box::new(Null), Box::new(Doer(Deed::Free))]);
    line.audit();
    line.down(1);
    let found = line.p.audit().unwrap_err();
    assert!(matches!(&found, AuditError::Unsaid { node, blocks: 1 } if node.pos == Some(1)));
    assert_eq!(found.to_string(), "doer at 1 of line freed 1 blocks and did not say why");
    line.p.pop(line.stream).unwrap();
    assert_eq!(line.p.audit().unwrap_err(), found, "it is known when the module has gone");
}

#[test]
fn a_module_that_lets_a_message_fall_is_named_when_it_leaves() {
    let mut line = Line::new(vec![Box::new(Doer(Deed::Forget))]);
    line.down(2);
    assert_eq!(line.account()[6], 2, "as if it kept them");
    assert_eq!(line.audit().outside, -2, "and outside there are less than none");
    line.p.pop(line.stream).unwrap();
    let found = line.p.audit().unwrap_err();
    assert_eq!(found.to_string(), "doer at 0 of line left with 2 blocks");
}

#[test]
fn a_message_that_comes_from_nowhere_names_who_put_it() {
    let place = Arc::default();
    let (hide, find) = (Deed::Hide(Arc::clone(&place)), Deed::Find(Arc::clone(&place)));
    let mut line = Line::new(vec![Box::new(Doer(find)), Box::new(Null)]);
    line.p.push(line.stream, Box::new(Doer(hide))).unwrap();
    line.down(1);
    line.p.pop(line.stream).unwrap();
    let found = line.p.audit().unwrap_err();
    assert_eq!(found.to_string(), "doer at 2 of line left with 1 blocks");
    line.p.set_audit(true);
    line.p.push(line.stream, Box::new(Doer(Deed::Find(place)))).unwrap();
    line.down(1);
    let found = line.p.audit().unwrap_err();
    assert_eq!(found.to_string(), "doer at 2 of line put on 1 blocks that it never had");
}

#[test]
fn books_that_are_opened_late_balance_from_then_on() {
    let mut line = Line::new(vec![Box::new(Delayer::default()), Box::new(Null)]);
    line.p.set_audit(false);
    assert_eq!(line.p.audit().unwrap_err(), AuditError::Off);
    line.down(2);
    line.p.set_audit(true);
    settle(&mut line.p, ms(1));
    assert_eq!(line.account(), [0, 0, 2, 0, 0, 0, -2], "what it kept was not known");
    line.p.remove(line.stream, 0).unwrap();
    line.down(1);
    assert_eq!(line.account(), [1, 0, 1, 0, 0, 0, 0]);
}
