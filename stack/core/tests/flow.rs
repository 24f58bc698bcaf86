//! Flow control, scheduling and the rules of modules, item by item of the semantics.

mod common;

use common::{Cross, Holder, Null, Polite, TIGHT, cells, perimeter, settle};
use millstream_core::{
    Cx, Errno, Event, HeadEvent, ModInfo, Module, Perimeter, PlumbError, Side, Step, StreamId,
};
use millstream_msg::{Band, Kind, Msg};
use millstream_rig::{Probe, Rig, RigMux};
use std::sync::{Arc, Mutex};

fn banded(rig: &mut Rig, band: u8, bytes: &[u8]) -> Msg {
    let mut msg = rig.msg(bytes);
    msg.set_band(Band(band));
    msg
}

fn of_kind(rig: &mut Rig, kind: Kind, bytes: &[u8]) -> Msg {
    let mut msg = rig.msg(bytes);
    msg.set_kind(kind);
    msg
}

#[test]
fn a_queue_orders_high_priority_then_bands_then_normal_c2() {
    let mut rig = Rig::new(Box::new(Polite));
    rig.full(Side::Read);
    rig.full_band(Side::Read, 1);
    rig.full_band(Side::Read, 9);
    rig.up(b"n1");
    for (band, text) in [(1, b"a1"), (9, b"z1"), (1, b"a2")] {
        let msg = banded(&mut rig, band, text);
        rig.put(Side::Read, msg);
    }
    rig.up(b"n2");
    rig.relieve(Side::Read);
    assert_eq!(rig.above_bytes(), [b"z1", b"a1", b"a2", b"n1", b"n2"]);
}

#[test]
fn zero_length_messages_are_flow_controlled_c9() {
    let mut rig = Rig::new(Box::new(Polite));
    rig.full(Side::Read);
    let mut sent = 0;
    while rig.room(Side::Read) && sent < 1000 {
        rig.up(b"");
        sent += 1;
    }
    assert_eq!(sent, TIGHT.hiwat, "as many messages as bytes");
    rig.relieve(Side::Read);
    assert_eq!(rig.above().len(), sent as usize);
}

#[test]
fn marks_are_advisory_a_put_on_a_full_queue_succeeds_c12() {
    let mut rig = Rig::new(Box::new(Polite));
    rig.full(Side::Read);
    for _ in 0..100 {
        rig.up(b"more than fits");
    }
    assert!(!rig.room(Side::Read));
    assert_eq!(rig.balance().queued, 100);
    rig.relieve(Side::Read);
    assert_eq!(rig.above().len(), 100);
}

#[test]
fn a_writer_is_woken_once_per_cycle_and_not_between_the_marks_c23() {
    let mut rig = Rig::new(Box::new(Polite));
    for cycle in 1..=3 {
        rig.full(Side::Read);
        while rig.room(Side::Read) {
            rig.up(b"four");
        }
        // Refused a second time: still one wake.
        assert!(!rig.room(Side::Read));
        assert_eq!(rig.woken(Side::Read), cycle - 1);
        rig.relieve(Side::Read);
        assert_eq!(rig.woken(Side::Read), cycle);
    }
}

#[test]
fn who_was_not_refused_is_not_woken_c21() {
    let mut rig = Rig::new(Box::new(Polite));
    rig.full(Side::Read);
    for _ in 0..100 {
        rig.up(b"four");
    }
    rig.relieve(Side::Read);
    assert_eq!(rig.woken(Side::Read), 0);
}

#[test]
fn a_put_that_only_queues_does_not_wake_the_writer_c23() {
    // The batch leaves the inbox for the queue: never low in between.
    let mut rig = Rig::new(Box::new(Polite));
    rig.full(Side::Read);
    while rig.room(Side::Read) {
        rig.up(b"four");
    }
    let woken = rig.woken(Side::Read);
    let batch = (0..20).map(|_| rig.msg(b"four")).collect::<Vec<_>>().into_iter().collect();
    rig.inject(Side::Read, batch);
    assert_eq!(rig.woken(Side::Read), woken);
}

#[test]
fn bands_are_independent_c20() {
    let mut rig = Rig::new(Box::new(Polite));
    rig.full_band(Side::Read, 3);
    let msg = banded(&mut rig, 3, b"waits");
    rig.put(Side::Read, msg);
    assert!(rig.above().is_empty());
    assert_eq!(rig.balance().queued, 1);
    rig.relieve(Side::Read);
    assert_eq!(rig.above_bytes(), [b"waits"]);

    let mut rig = Rig::new(Box::new(Null));
    rig.full(Side::Read);
    let msg = banded(&mut rig, 3, b"passes");
    rig.put(Side::Read, msg);
    assert_eq!(rig.above_bytes(), [b"passes"]);
    assert_eq!(rig.overruns(Side::Read), 0);
}

#[test]
fn high_priority_messages_are_never_refused_c22() {
    let mut rig = Rig::new(Box::new(Polite));
    rig.full(Side::Read);
    rig.up(b"waits");
    let msg = of_kind(&mut rig, Kind::PcProto, b"now");
    rig.put(Side::Read, msg);
    assert_eq!(rig.above_bytes(), [b"now"]);
}

#[test]
fn canput_looks_past_modules_without_service_procedures_c20() {
    let mut rig = Rig::new(Box::new(Null));
    assert!(rig.room(Side::Read));
    rig.full(Side::Read);
    assert!(!rig.room(Side::Read));
    rig.relieve(Side::Read);
    assert_eq!(rig.woken(Side::Read), 1);
    assert!(rig.room(Side::Read));
}

/// Counts its service runs; asks for another one `again` times.
struct Servant {
    runs: Arc<Mutex<Vec<u64>>>,
    again: u32,
}

impl Module for Servant {
    fn info(&self) -> &'static ModInfo {
        const INFO: ModInfo = ModInfo { rsrv: true, ..ModInfo::new("servant", "for tests") };
        &INFO
    }

    fn rput(&mut self, cx: &mut Cx<'_>, msg: Msg) {
        match msg.first() {
            b"off" => cx.set_enabling(Side::Read, false),
            b"on" => cx.set_enabling(Side::Read, true),
            b"run" => {
                cx.qenable(Side::Read);
                cx.qenable(Side::Read);
                assert!(self.runs.lock().unwrap().is_empty(), "not on the caller's stack (C28)");
            }
            _ => return cx.putq(msg),
        }
        cx.free(msg);
    }

    fn rsrv(&mut self, cx: &mut Cx<'_>) {
        self.runs.lock().unwrap().push(cx.now());
        if self.again > 0 {
            self.again -= 1;
            cx.qenable(Side::Read);
        }
        cx.forward_queue();
    }
}

fn servant(again: u32) -> (Rig, Arc<Mutex<Vec<u64>>>) {
    let runs = Arc::new(Mutex::new(Vec::new()));
    (Rig::new(Box::new(Servant { runs: runs.clone(), again })), runs)
}

#[test]
fn qenable_twice_runs_the_service_once_c24_c28() {
    let (mut rig, runs) = servant(0);
    rig.up(b"run");
    assert_eq!(runs.lock().unwrap().len(), 1);
}

#[test]
fn qenable_from_the_service_procedure_runs_it_again_c24() {
    let (mut rig, runs) = servant(3);
    rig.up(b"run");
    assert_eq!(runs.lock().unwrap().len(), 4);
}

#[test]
fn noenable_stops_ordinary_messages_only_c26() {
    let (mut rig, runs) = servant(0);
    rig.up(b"off");
    rig.up(b"stays");
    assert!(runs.lock().unwrap().is_empty());
    rig.up(b"on");
    assert!(runs.lock().unwrap().is_empty(), "enableok does not enable by itself");
    rig.up(b"off");
    let msg = of_kind(&mut rig, Kind::PcProto, b"high");
    rig.put(Side::Read, msg);
    assert_eq!(runs.lock().unwrap().len(), 1);
    assert_eq!(rig.above_bytes(), [&b"high"[..], &b"stays"[..]]);
}

#[test]
fn an_unknown_kind_passes_a_module_unchanged_b1() {
    let mut rig = Rig::new(Box::new(Null));
    for kind in [Kind::Ctl, Kind::Ioctl, Kind::Delay, Kind::Cmd, Kind::SetOpts] {
        let msg = of_kind(&mut rig, kind, b"x");
        rig.put(Side::Write, msg);
        assert_eq!(rig.below()[0].kind(), kind);
    }
}

/// Refuses to open, after it has put a message out and queued one.
struct Refuses;

impl Module for Refuses {
    fn info(&self) -> &'static ModInfo {
        const INFO: ModInfo =
            ModInfo { rsrv: true, wsrv: true, ..ModInfo::new("refuses", "for tests") };
        &INFO
    }

    fn open(&mut self, cx: &mut Cx<'_>) -> Result<Step, Errno> {
        let msg = cx.alloc(0, 8).expect("memory");
        cx.put(Side::Read, msg);
        let msg = cx.alloc(0, 8).expect("memory");
        cx.putq_on(Side::Read, msg);
        Err(Errno::EPERM)
    }

    fn close(&mut self, _: &mut Cx<'_>) -> Step {
        panic!("close is not called after a refused open");
    }
}

fn device() -> (Perimeter, StreamId, Probe, millstream_core::NodeId) {
    let mut p = perimeter();
    let probe = Probe::new();
    let (stream, driver) = p.open_device("probe", Box::new(probe.clone()));
    (p, stream, probe, driver)
}

#[test]
fn a_refused_open_takes_the_module_out_without_close_d7() {
    let (mut p, stream, _, _) = device();
    p.push(stream, Box::new(Holder)).unwrap();
    let refused = p.push(stream, Box::new(Refuses));
    assert_eq!(refused, Err(PlumbError::Refused(Errno::EPERM)));
    assert_eq!(p.chain(stream).unwrap().len(), 3);
    settle(&mut p, 0);
    while let Ok(Some(got)) = p.getmsg(stream) {
        p.pool().free(got.data.unwrap());
    }
    assert!(p.can_put(stream, Some(Band(0))).unwrap());
    p.close(stream).unwrap();
    assert_eq!(cells(&mut p), 0);
}

/// Writes until it is refused.
fn fill(p: &mut Perimeter, stream: StreamId) {
    for _ in 0..100_000 {
        let msg = p.pool().copy_from(0, &[0; 200]).expect("memory");
        if let Err((errno, msg)) = p.putmsg(stream, msg) {
            assert_eq!(errno, Errno::EAGAIN);
            return p.pool().free(msg);
        }
        settle(p, 0);
    }
    panic!("never refused");
}

fn writable_events(p: &mut Perimeter) -> usize {
    let events = std::iter::from_fn(|| p.event());
    events.filter(|event| matches!(event, Event::Head(_, HeadEvent::Writable))).count()
}

#[test]
fn a_waiting_writer_is_woken_when_a_module_is_inserted_or_removed_c30() {
    for removed in [false, true] {
        let (mut p, stream, probe, driver) = device();
        probe.set_room(Some(0));
        p.set_driver_marks(driver, TIGHT);
        p.push(stream, Box::new(Polite)).unwrap();
        fill(&mut p, stream);
        writable_events(&mut p);
        if removed {
            drop(p.pop(stream).unwrap());
        } else {
            p.push(stream, Box::new(Polite)).unwrap();
        }
        settle(&mut p, 0);
        // Woken at once, or when the device drains: never stranded.
        let mut woken = writable_events(&mut p);
        if woken > 0 {
            fill(&mut p, stream);
            woken = writable_events(&mut p);
        }
        probe.set_room(None);
        p.writable(driver);
        settle(&mut p, 0);
        woken += writable_events(&mut p);
        assert!(woken > 0, "removed: {removed}");
        assert!(p.can_put(stream, Some(Band(0))).unwrap());
    }
}

#[test]
fn a_driver_queues_what_the_device_leaves_and_sends_it_in_order() {
    let (mut p, stream, probe, driver) = device();
    probe.set_room(Some(3));
    for i in 0..10_u8 {
        p.write(stream, &[i]).unwrap();
    }
    settle(&mut p, 0);
    assert_eq!(probe.sent_bytes(), [[0], [1], [2]]);
    let wants = |p: &mut Perimeter| p.event() == Some(Event::WantWrite(driver));
    assert!(wants(&mut p));
    p.write(stream, &[10]).unwrap();
    settle(&mut p, 0);
    assert!(probe.sent().is_empty(), "behind the backlog");
    probe.set_room(Some(4));
    p.writable(driver);
    assert_eq!(probe.sent_bytes(), [[3], [4], [5], [6]]);
    assert!(wants(&mut p));
    probe.set_room(None);
    p.writable(driver);
    assert_eq!(probe.sent_bytes(), [[7], [8], [9], [10]]);
    assert_eq!(p.event(), None);
}

#[test]
fn a_full_head_blocks_the_device_until_it_is_read() {
    let (mut p, stream, probe, driver) = device();
    p.set_read_marks(stream, TIGHT).unwrap();
    for i in 0..20_u8 {
        let frame = p.pool().copy_from(0, &[i; 10]).unwrap();
        probe.arrive(frame);
        p.poll(driver, 1);
        settle(&mut p, 0);
    }
    let blocked = |p: &mut Perimeter| {
        let events: Vec<Event> = std::iter::from_fn(|| p.event()).collect();
        let count = |wanted| events.iter().filter(|event| **event == wanted).count();
        (count(Event::ReadBlocked(driver)), count(Event::ReadResumed(driver)))
    };
    assert_eq!(blocked(&mut p), (1, 0), "told once, however often it is polled");
    assert_eq!(probe.waiting(), 16, "the device keeps what does not fit");
    let mut out = [0; 10];
    // 40 bytes are full, below 12 is low: not before the third message is gone.
    for left in [30, 20, 10] {
        assert_eq!(p.read(stream, &mut out), Ok(10));
        settle(&mut p, 0);
        assert_eq!(blocked(&mut p).1, usize::from(left < 12));
    }
    assert_eq!(p.poll(driver, 2), 2);
}

#[test]
fn a_partial_read_does_not_wake_the_driver_c23() {
    let (mut p, stream, probe, driver) = device();
    p.set_read_marks(stream, TIGHT).unwrap();
    let frame = p.pool().copy_from(0, &[7; 60]).unwrap();
    probe.arrive(frame);
    p.poll(driver, 1);
    settle(&mut p, 0);
    assert_eq!(p.poll(driver, 1), 0);
    let resumed = |p: &mut Perimeter| {
        settle(p, 0);
        std::iter::from_fn(|| p.event()).any(|event| event == Event::ReadResumed(driver))
    };
    assert_eq!(p.read(stream, &mut [0; 40]), Ok(40));
    assert!(!resumed(&mut p), "20 bytes were put back");
    assert_eq!(p.read(stream, &mut [0; 10]), Ok(10));
    assert!(resumed(&mut p));
}

#[test]
fn a_slow_upper_does_not_block_the_others_h7() {
    let mut rig = RigMux::new(Box::new(Cross::default()), 2, 2);
    rig.full_above(0);
    for _ in 0..100 {
        rig.up(0, b"four");
        rig.up(1, b"four");
    }
    assert_eq!(rig.above(1).len(), 100);
    assert!(rig.above(0).is_empty());
    assert_eq!(rig.overruns_above(0), 0);
    assert!(!rig.room_below(0), "the lower of the slow upper is stopped");
    assert!(rig.room_below(1));
    rig.relieve_above(0);
    assert_eq!(rig.above(0).len(), 100);
    assert_eq!(rig.woken_below(0), 1);
    assert!(rig.room_below(0));
}

#[test]
fn a_blocked_lower_back_pressures_its_upper_and_wakes_it_h7() {
    let mut rig = RigMux::new(Box::new(Cross::default()), 2, 2);
    rig.full_below(0);
    let mut sent = 0;
    while rig.room_above(0) {
        rig.down(0, b"four");
        sent += 1;
    }
    assert_eq!(sent, TIGHT.hiwat.div_ceil(4));
    assert_eq!(rig.overruns_below(0), 0);
    rig.relieve_below(0);
    assert_eq!(rig.woken_above(0), 1);
    assert_eq!(rig.below(0).len(), sent as usize);
}

#[test]
fn what_waits_at_a_head_goes_to_the_multiplexor_on_link_and_back_h5() {
    let (mut p, lower, probe, driver) = device();
    let mux = p.add_mux(Box::new(Cross::default()));
    let upper = p.open_mux(mux, "upper").unwrap();
    let arrive = |p: &mut Perimeter, text: &[u8]| {
        let frame = p.pool().copy_from(0, text).unwrap();
        probe.arrive(frame);
        p.poll(driver, 8);
    };
    arrive(&mut p, b"1");
    settle(&mut p, 0);
    arrive(&mut p, b"2"); // still in the inbox
    p.link(mux, lower).unwrap();
    arrive(&mut p, b"3");
    settle(&mut p, 0);
    assert_eq!(p.read(lower, &mut [0; 8]), Err(Errno::EINVAL), "linked (H4)");
    let mut out = [0; 8];
    assert_eq!(p.read(upper, &mut out), Ok(3));
    assert_eq!(&out[..3], b"123");
    arrive(&mut p, b"4"); // posted to the multiplexor
    p.unlink(lower).unwrap();
    arrive(&mut p, b"5");
    settle(&mut p, 0);
    assert_eq!(p.read(upper, &mut out), Ok(1));
    assert_eq!(p.read(lower, &mut out), Ok(1));
    assert_eq!(out[0], b'5');
}

#[test]
fn links_that_make_no_sense_are_refused_h3() {
    let (mut p, lower, probe, driver) = device();
    let mux = p.add_mux(Box::new(Cross::default()));
    let upper = p.open_mux(mux, "upper").unwrap();
    assert_eq!(p.link(mux, upper).unwrap_err(), PlumbError::Cycle);
    assert_eq!(p.link(driver, lower).unwrap_err(), PlumbError::NotAMux);
    p.link(mux, lower).unwrap();
    assert_eq!(p.link(mux, lower).unwrap_err(), PlumbError::Linked);
    assert_eq!(p.unlink(upper).unwrap_err(), PlumbError::NotLinked);
    p.unlink(lower).unwrap();
    probe.fail(Errno::EIO);
    p.poll(driver, 1);
    settle(&mut p, 0);
    let refused = p.link(mux, lower).unwrap_err();
    assert_eq!(refused, PlumbError::Refused(Errno::EINVAL), "hung up");
}
