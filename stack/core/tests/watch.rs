//! Messages are followed, seen at boundaries, and their times in queues taken, without a change of
//! the stack; when nobody looks, nothing is left.

mod common;

use common::{Delayer, Null, Polite, cells, perimeter, settle};
use millstream_core::trace::{End, Hop, Path, Pick, Stay};
use millstream_core::watch::{Sight, Spy};
use millstream_core::{
    Cx, Drop, Marks, ModInfo, Module, NodeId, Perimeter, PlumbError, Side, StreamId,
};
use millstream_msg::Msg;
use millstream_rig::Probe;
use std::sync::{Arc, Mutex};

/// A stream of these modules, from the bottom, on a device of the test.
fn stack(modules: Vec<Box<dyn Module>>) -> (Perimeter, Probe, StreamId, NodeId) {
    let mut p = perimeter();
    let probe = Probe::new();
    let (stream, driver) = p.open_device("probe", Box::new(probe.clone()));
    for module in modules {
        p.push(stream, module).unwrap();
    }
    settle(&mut p, 0);
    (p, probe, stream, driver)
}

fn arrive(p: &mut Perimeter, probe: &Probe, driver: NodeId, bytes: &[u8]) {
    let frame = p.pool().copy_from(0, bytes).unwrap();
    probe.arrive(frame);
    p.poll(driver, 32);
}

fn all(stream: StreamId) -> Pick {
    Pick { stream, side: None, wanted: None, count: 64 }
}

fn nodes(path: &Path) -> Vec<&str> {
    path.hops.iter().map(|hop| hop.place.node.as_str()).collect()
}

fn read_all(p: &mut Perimeter, stream: StreamId) -> usize {
    let mut count = 0;
    while let Ok(Some(got)) = p.getmsg(stream) {
        count += 1;
        for part in [got.control, got.data].into_iter().flatten() {
            p.pool().free(part);
        }
    }
    count
}

/// Frees what begins with `c`, drops what begins with `d`, and frees what begins with `f` by
/// itself, as a protocol does that has no context.
struct Sieve;

impl Module for Sieve {
    fn info(&self) -> &'static ModInfo {
        const INFO: ModInfo = ModInfo::new("sieve", "for tests");
        &INFO
    }

    fn rput(&mut self, cx: &mut Cx<'_>, msg: Msg) {
        match msg.first() {
            [b'c', ..] => cx.free(msg),
            [b's', ..] => {
                // The first part has served, the second goes on with the marks of both.
                let (first, rest) = msg.unlink();
                cx.free(first);
                rest.into_iter().for_each(|rest| cx.putnext(rest));
            }
            [b'd', ..] => cx.discard(msg, Drop("by the sieve")),
            [b'f', ..] => {
                cx.pool().free(msg);
                cx.count_consumed(1);
            }
            _ => cx.putnext(msg),
        }
    }
}

#[test]
fn a_message_is_followed_from_the_device_to_the_head_with_what_it_looked_like() {
    let (mut p, probe, stream, driver) = stack(vec![Box::new(Null), Box::new(Delayer::default())]);
    p.start_trace(all(stream));
    arrive(&mut p, &probe, driver, b"frame");
    settle(&mut p, 1_000);
    assert_eq!(p.traced(), [], "it is held");
    settle(&mut p, 500_000);
    let [path] = &p.traced()[..] else { panic!("one path") };
    assert_eq!(nodes(path), ["null", "delayer", "head"]);
    assert_eq!((path.number, path.end), (1, Some(End::Delivered)));
    let Hop { place, side, len, bytes, stay, stayed_ns, .. } = &path.hops[1];
    assert_eq!((place.stream.as_str(), place.pos, *side), ("probe", Some(1), Side::Read));
    assert_eq!((*len, &bytes[..], *stay), (5, &b"frame"[..], Stay::Kept));
    assert_eq!(*stayed_ns, 499_000, "from its put to the timer's turn");
    assert_eq!(path.hops[0].waited_ns, None, "nobody saw it before");
    assert_eq!(path.hops[2].waited_ns, Some(0));
    assert_eq!(read_all(&mut p, stream), 1);
}

#[test]
fn every_end_of_a_message_is_named() {
    let (mut p, probe, stream, driver) = stack(vec![Box::new(Sieve)]);
    p.start_trace(all(stream));
    for bytes in [b"c", b"d", b"f", b"x"] {
        arrive(&mut p, &probe, driver, bytes);
        settle(&mut p, 0);
    }
    p.write(stream, b"out").unwrap();
    settle(&mut p, 0);
    let ends: Vec<_> = p.traced().iter().map(|path| path.end).collect();
    let expected = [
        End::Consumed,
        End::Dropped(Drop("by the sieve")),
        End::Consumed,
        End::Delivered,
        End::Sent,
    ];
    assert_eq!(ends, expected.map(Some));
    assert_eq!(read_all(&mut p, stream), 1);
}

#[test]
fn a_message_goes_on_when_only_a_part_of_it_has_served() {
    let (mut p, probe, stream, driver) = stack(vec![Box::new(Sieve)]);
    p.start_trace(all(stream));
    let mut frame = p.pool().copy_from(0, b"s").unwrap();
    let rest = p.pool().copy_from(0, b"rest").unwrap();
    frame.link(rest);
    probe.arrive(frame);
    p.poll(driver, 32);
    settle(&mut p, 0);
    let [path] = &p.traced()[..] else { panic!("one path") };
    assert_eq!((nodes(path), path.end), (vec!["sieve", "head"], Some(End::Delivered)));
    assert_eq!(path.hops[1].bytes, b"rest");
    assert_eq!(read_all(&mut p, stream), 1);
}

#[test]
fn a_message_behind_a_full_device_is_queued_until_it_is_sent() {
    let (mut p, probe, stream, driver) = stack(vec![Box::new(Null)]);
    probe.set_room(Some(0));
    p.start_trace(all(stream));
    p.write(stream, b"out").unwrap();
    settle(&mut p, 1_000);
    assert_eq!(p.traced(), []);
    settle(&mut p, 8_000);
    probe.set_room(None);
    p.writable(driver);
    let [path] = &p.traced()[..] else { panic!("one path") };
    assert_eq!((nodes(path), path.end), (vec!["null", "probe"], Some(End::Sent)));
    assert_eq!((path.hops[1].stay, path.hops[1].stayed_ns), (Stay::Queued, 7_000));
}

#[test]
fn only_so_many_of_the_wanted_side_and_kind_are_followed() {
    let (mut p, probe, stream, driver) = stack(vec![Box::new(Null)]);
    let wanted = |msg: &Msg, side: Side| side == Side::Read && msg.first() == b"yes";
    let side = Some(Side::Read);
    p.start_trace(Pick { stream, side, wanted: Some(Box::new(wanted)), count: 2 });
    for bytes in [&b"no"[..], b"yes", b"yes", b"yes"] {
        arrive(&mut p, &probe, driver, bytes);
    }
    p.write(stream, b"yes").unwrap();
    settle(&mut p, 0);
    let paths = p.traced();
    assert_eq!(paths.iter().map(|path| path.number).collect::<Vec<_>>(), [1, 2]);
    assert!(paths.iter().all(|path| path.hops[0].bytes == b"yes" && path.hops[0].batch == 4));
    assert_eq!(read_all(&mut p, stream), 4);
}

#[test]
fn a_trace_that_stops_gives_what_it_has_and_marks_that_are_left_mean_nothing() {
    let (mut p, probe, stream, driver) = stack(vec![Box::new(Delayer::default())]);
    p.start_trace(all(stream));
    arrive(&mut p, &probe, driver, b"first");
    settle(&mut p, 0);
    let [path] = &p.stop_trace()[..] else { panic!("one path") };
    assert_eq!((nodes(path), path.end), (vec!["delayer"], None));
    // The first comes out of the delay while another trace runs, and is none of its messages.
    p.start_trace(all(stream));
    arrive(&mut p, &probe, driver, b"second");
    settle(&mut p, 1_000_000);
    settle(&mut p, 2_000_000);
    let [path] = &p.stop_trace()[..] else { panic!("one path") };
    assert_eq!(path.hops[0].bytes, b"second");
    assert_eq!(p.stop_trace(), []);
    assert_eq!(read_all(&mut p, stream), 2);
    assert_eq!(cells(&mut p), 0);
}

/// What a spy saw: above, below, side, bytes.
type Sights = Arc<Mutex<Vec<(String, String, Side, Vec<u8>)>>>;

struct Notes(Sights);

impl Spy for Notes {
    fn see(&mut self, sight: &Sight<'_>, msg: &Msg) {
        let [above, below] = sight.places();
        let mut bytes = vec![0; msg.len()];
        msg.copy_out(0, &mut bytes);
        self.0.lock().unwrap().push((above.node, below.node, sight.side, bytes));
    }
}

#[test]
fn a_spy_sees_each_boundary_in_both_directions_and_nothing_after_it_was_taken_away() {
    let (mut p, probe, stream, driver) = stack(vec![Box::new(Null), Box::new(Polite)]);
    let sights = Sights::default();
    p.start_spy(Some(vec![stream]), Box::new(Notes(sights.clone())));
    arrive(&mut p, &probe, driver, b"in");
    settle(&mut p, 0);
    p.write(stream, b"out").unwrap();
    settle(&mut p, 0);
    let seen = std::mem::take(&mut *sights.lock().unwrap());
    let shape = |(above, below, side, bytes): &(String, String, Side, Vec<u8>)| {
        format!("{above}|{below} {side:?} {}", String::from_utf8_lossy(bytes))
    };
    let expected = [
        "null|probe Read in",
        "polite|null Read in",
        "head|polite Read in",
        "head|polite Write out",
        "polite|null Write out",
        "null|probe Write out",
    ];
    assert_eq!(seen.iter().map(shape).collect::<Vec<_>>(), expected);
    assert!(p.stop_spy().is_some() && p.stop_spy().is_none());
    arrive(&mut p, &probe, driver, b"in");
    settle(&mut p, 0);
    assert!(sights.lock().unwrap().is_empty());
    assert_eq!(read_all(&mut p, stream), 2);
}

/// Holds what goes up until something else lets it go, however full it is ahead.
struct Reservoir;

impl Module for Reservoir {
    fn info(&self) -> &'static ModInfo {
        const MARKS: Marks = Marks { hiwat: 4, lowat: 4, ..Marks::DEFAULT };
        const INFO: ModInfo =
            ModInfo { read: MARKS, rsrv: true, ..ModInfo::new("reservoir", "for tests") };
        &INFO
    }

    fn rput(&mut self, cx: &mut Cx<'_>, msg: Msg) {
        cx.set_enabling(Side::Read, false);
        cx.putq(msg);
    }

    fn timer(&mut self, cx: &mut Cx<'_>, _: u64) {
        cx.set_enabling(Side::Read, true);
        cx.qenable(Side::Read);
    }

    fn set(&mut self, cx: &mut Cx<'_>, _: &str, _: &str) -> Result<(), millstream_core::Invalid> {
        cx.timer(0, cx.now());
        Ok(())
    }
}

#[test]
fn times_of_queues_say_how_long_messages_waited_and_who_is_to_blame() {
    let (mut p, probe, stream, driver) = stack(vec![Box::new(Polite), Box::new(Reservoir)]);
    assert_eq!(p.time_queues(stream, Some(0)), Ok(2));
    assert_eq!(p.time_queues(stream, Some(0)), Ok(0), "they are taken already");
    for _ in 0..3 {
        arrive(&mut p, &probe, driver, b"frame");
        settle(&mut p, 1_000);
    }
    // The first one filled the reservoir; the others wait below it.
    let find = |p: &mut Perimeter| {
        let all = p.queue_times(stream).unwrap();
        all.into_iter().find(|times| times.side == Side::Read).unwrap()
    };
    let times = find(&mut p);
    assert_eq!((times.place.node.as_str(), times.place.pos), ("polite", Some(0)));
    assert_eq!((times.queue.count(), times.service.count()), (0, 3));
    settle(&mut p, 3_001_000);
    let [(place, side, ns)] = &find(&mut p).blocked[..] else { panic!("one to blame") };
    assert_eq!((place.node.as_str(), *side, *ns), ("reservoir", Side::Read, 3_000_000));
    p.set(stream, 1, "go", "").unwrap();
    settle(&mut p, 3_101_000);
    let times = find(&mut p);
    assert_eq!((times.inbox.count(), times.queue.count()), (3, 1), "the third waits again");
    assert_eq!(times.queue.max_ns(), 3_100_000);
    assert_eq!(times.blocked[0].2, 3_100_000);
    assert_eq!(p.forget_times(stream, None), Ok(2));
    assert!(p.queue_times(stream).unwrap().is_empty());
    settle(&mut p, 4_000_000);
    read_all(&mut p, stream);
}

#[test]
fn a_position_that_is_not_there_is_refused_and_a_module_takes_its_times_with_it() {
    let (mut p, _, stream, _) = stack(vec![Box::new(Null)]);
    let refused = PlumbError::NoPosition { pos: 1, modules: 1 };
    assert_eq!(p.time_queues(stream, Some(1)), Err(refused));
    // Head, module and driver.
    assert_eq!(p.time_queues(stream, None), Ok(6));
    p.pop(stream).unwrap();
    settle(&mut p, 0);
    assert_eq!(p.queue_times(stream).unwrap().len(), 4);
}

#[test]
fn watching_changes_neither_order_nor_number_of_messages() {
    let run = |watched: bool| {
        let modules: Vec<Box<dyn Module>> =
            vec![Box::new(Null), Box::new(Polite), Box::new(Delayer::default())];
        let (mut p, probe, stream, driver) = stack(modules);
        if watched {
            p.start_trace(all(stream));
            p.start_spy(None, Box::new(Notes(Sights::default())));
            p.time_queues(stream, None).unwrap();
        }
        let mut got = Vec::new();
        for round in 0..300_u64 {
            // In the end nothing more comes and all time is given.
            let (frames, budget) =
                if round < 200 { (round % 5, 1 + round as usize % 7) } else { (0, 1000) };
            for n in 0..frames {
                let frame = p.pool().copy_from(0, &[round as u8, n as u8]).unwrap();
                probe.arrive(frame);
            }
            p.poll(driver, 32);
            p.turn(round * 50_000, budget);
            while let Ok(Some(data)) = p.getmsg(stream) {
                let msg = data.data.unwrap();
                got.push(msg.first().to_vec());
                p.pool().free(msg);
            }
        }
        got
    };
    let (plain, watched) = (run(false), run(true));
    assert_eq!(plain.len(), 400);
    assert_eq!(plain, watched);
}

#[test]
fn a_stream_that_closes_under_a_trace_leaves_no_message_behind() {
    let (mut p, probe, stream, driver) = stack(vec![Box::new(Null)]);
    p.start_trace(all(stream));
    arrive(&mut p, &probe, driver, b"late");
    p.close(stream).unwrap();
    settle(&mut p, 0);
    let [path] = &p.stop_trace()[..] else { panic!("one path") };
    assert_eq!(nodes(path)[0], "null");
    assert_eq!(cells(&mut p), 0);
}
