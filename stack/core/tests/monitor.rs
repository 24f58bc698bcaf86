//! monitor: modules that break the rules of queues are told by name, and those that keep them are
//! not.

mod common;

use common::{Delayer, Holder, Null, Polite, TIGHT, perimeter, settle};
use millstream_core::{Cx, ModInfo, Module, NodeId, Perimeter, StreamId, Violation};
use millstream_msg::{Kind, Msg};
use millstream_rig::Probe;

const INFO: ModInfo =
    ModInfo { rsrv: true, wsrv: true, read: TIGHT, write: TIGHT, ..ModInfo::new("rude", "tests") };

/// Queues the first message and passes all others on.
#[derive(Default)]
struct Overtaker {
    seen: bool,
}

impl Module for Overtaker {
    fn info(&self) -> &'static ModInfo {
        &INFO
    }

    fn rput(&mut self, cx: &mut Cx<'_>, msg: Msg) {
        if core::mem::replace(&mut self.seen, true) { cx.putnext(msg) } else { cx.putq(msg) }
    }

    fn rsrv(&mut self, cx: &mut Cx<'_>) {
        cx.timer(0, cx.now() + 1_000_000_000);
    }
}

/// Never asks.
struct Pusher;

impl Module for Pusher {
    fn info(&self) -> &'static ModInfo {
        &INFO
    }
}

/// Forgets what it has queued.
struct Forgetful;

impl Module for Forgetful {
    fn info(&self) -> &'static ModInfo {
        &INFO
    }

    fn rput(&mut self, cx: &mut Cx<'_>, msg: Msg) {
        cx.putq(msg);
    }

    fn rsrv(&mut self, _: &mut Cx<'_>) {}
}

/// Puts the first high-priority message back once.
#[derive(Default)]
struct Undecided {
    done: bool,
}

impl Module for Undecided {
    fn info(&self) -> &'static ModInfo {
        &INFO
    }

    fn rput(&mut self, cx: &mut Cx<'_>, msg: Msg) {
        cx.putq(msg);
    }

    fn rsrv(&mut self, cx: &mut Cx<'_>) {
        while let Some(msg) = cx.getq() {
            if core::mem::replace(&mut self.done, true) {
                cx.putnext(msg);
            } else {
                return cx.putbq(msg);
            }
        }
    }
}

struct Line {
    p: Perimeter,
    stream: StreamId,
    driver: NodeId,
    probe: Probe,
}

/// A stream with one module, monitored or not.
fn line(module: Box<dyn Module>, monitored: bool) -> Line {
    let (mut p, probe) = (perimeter(), Probe::new());
    let (stream, driver) = p.open_device("line", Box::new(probe.clone()));
    p.push(stream, module).unwrap();
    p.set_monitor(monitored);
    Line { p, stream, driver, probe }
}

impl Line {
    /// So many messages arrive, one after the other.
    fn arrive(&mut self, kind: Kind, count: usize) -> &mut Self {
        for _ in 0..count {
            let mut msg = self.p.pool().copy_from(0, b"eight by").unwrap();
            msg.set_kind(kind);
            self.probe.arrive(msg);
            self.p.poll(self.driver, 1);
            settle(&mut self.p, 0);
        }
        self
    }

    fn violations(&self) -> Vec<Violation> {
        let chain = self.p.chain(self.stream).unwrap();
        chain[1].stat.violations.iter().map(|(violation, _)| *violation).collect()
    }
}

#[test]
fn a_message_that_overtakes_the_own_queue_is_told_d2() {
    let mut line = line(Box::new(Overtaker::default()), true);
    assert!(line.arrive(Kind::Data, 1).violations().is_empty());
    assert_eq!(line.arrive(Kind::Data, 1).violations(), [Violation::Overtaken]);
}

#[test]
fn a_high_priority_message_may_overtake_d2() {
    let mut line = line(Box::new(Overtaker::default()), true);
    assert!(line.arrive(Kind::Data, 1).arrive(Kind::PcProto, 1).violations().is_empty());
}

#[test]
fn a_high_priority_message_that_is_put_back_is_told_c27() {
    let mut line = line(Box::new(Undecided::default()), true);
    assert_eq!(line.arrive(Kind::PcProto, 1).violations(), [Violation::HighPutBack]);
}

#[test]
fn a_put_without_room_is_told_c20() {
    let mut line = line(Box::new(Pusher), true);
    let marks = TIGHT;
    line.p.set_read_marks(line.stream, marks).unwrap();
    assert!(line.arrive(Kind::Data, 5).violations().is_empty(), "40 bytes are the mark");
    assert_eq!(line.arrive(Kind::Data, 1).violations(), [Violation::Unasked]);
}

#[test]
fn messages_that_a_service_procedure_leaves_behind_are_told_d4() {
    let mut line = line(Box::new(Forgetful), true);
    assert_eq!(line.arrive(Kind::Data, 1).violations(), [Violation::Stranded]);
}

#[test]
fn nothing_is_told_while_nobody_looks() {
    let mut line = line(Box::new(Forgetful), false);
    assert!(line.arrive(Kind::Data, 3).violations().is_empty());
    line.p.set_monitor(true);
    line.p.set_monitor(false);
    assert!(line.arrive(Kind::Data, 3).violations().is_empty());
}

#[test]
fn modules_that_keep_the_rules_are_not_told() {
    let modules: [Box<dyn Module>; 4] =
        [Box::new(Null), Box::new(Polite), Box::new(Holder), Box::new(Delayer::default())];
    for module in modules {
        let mut line = line(module, true);
        line.p.set_read_marks(line.stream, TIGHT).unwrap();
        line.arrive(Kind::Data, 40).arrive(Kind::PcProto, 2).arrive(Kind::Data, 40);
        assert!(line.violations().is_empty(), "{:?}", line.violations());
    }
}
