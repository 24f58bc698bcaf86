//! What a module puts off until the stack has nothing else to do.

mod common;

use common::perimeter;
use millstream_core::{Cx, ModInfo, Module, Perimeter, StreamId};
use millstream_msg::{Kind, Msg};
use millstream_rig::Probe;

/// Sends the number of messages that it has passed since, when the stack rests.
#[derive(Default)]
struct Counts {
    passed: u8,
}

impl Module for Counts {
    fn info(&self) -> &'static ModInfo {
        const INFO: ModInfo = ModInfo::new("counts", "for tests");
        &INFO
    }

    fn wput(&mut self, cx: &mut Cx<'_>, msg: Msg) {
        self.passed += 1;
        cx.at_rest(1);
        cx.putnext(msg);
    }

    fn timer(&mut self, cx: &mut Cx<'_>, token: u64) {
        assert_eq!(token, 1);
        let count = std::mem::take(&mut self.passed);
        if let Ok(msg) = cx.pool().copy_from(0, &[count]) {
            cx.put(millstream_core::Side::Read, msg);
        }
    }
}

fn bench() -> (Perimeter, StreamId) {
    let mut p = perimeter();
    let (stream, _) = p.open_device("probe", Box::new(Probe::default()));
    p.push(stream, Box::new(Counts::default())).unwrap();
    (p, stream)
}

fn put(p: &mut Perimeter, stream: StreamId) {
    let msg = p.pool().copy_from(0, b"x").unwrap();
    p.putmsg(stream, msg).unwrap();
}

/// What the module has sent up.
fn got(p: &mut Perimeter, stream: StreamId) -> Option<Vec<u8>> {
    let data = p.getmsg(stream).ok()??.data?;
    assert_eq!(data.kind(), Kind::Data);
    let bytes = data.first().to_vec();
    p.pool().free(data);
    Some(bytes)
}

#[test]
fn what_is_put_off_is_done_at_the_end_of_a_turn_and_once() {
    let (mut p, stream) = bench();
    put(&mut p, stream);
    put(&mut p, stream);
    assert!(!p.turn(0, 100).more);
    assert_eq!(got(&mut p, stream), Some(vec![2]));
    assert!(!p.has_put_off());
    p.turn(0, 100);
    assert_eq!(got(&mut p, stream), None);
}

#[test]
fn what_is_put_off_waits_while_turns_go_on() {
    let (mut p, stream) = bench();
    for _ in 0..3 {
        put(&mut p, stream);
        p.turn_on(0, 100);
        assert_eq!((got(&mut p, stream), p.has_put_off()), (None, true));
    }
    p.turn(0, 100);
    assert_eq!(got(&mut p, stream), Some(vec![3]));
}

#[test]
fn a_module_that_has_left_is_not_called() {
    let (mut p, stream) = bench();
    put(&mut p, stream);
    p.turn_on(0, 100);
    drop(p.pop(stream).unwrap());
    assert!(!p.has_put_off());
    assert!(!p.turn(0, 100).more);
}
