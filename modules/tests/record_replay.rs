//! record writes what passes, replay plays it back at its times, and the format between them.

mod small_kit;

use millstream_core::Side;
use millstream_modules::capture::Sink;
use millstream_modules::record::Record;
use millstream_modules::recording::{self, Event, Reader};
use millstream_modules::replay::Replay;
use millstream_msg::{Band, Gso, Kind, Msg, MsgFlags, Offload, Pool, PoolConfig};
use millstream_rig::{Faults, Sim};
use proptest::prelude::*;
use small_kit::*;
use std::sync::{Arc, Mutex};

/// A file in memory that has room for so many bytes.
#[derive(Clone)]
struct File(Arc<Mutex<(Vec<u8>, usize)>>);

impl File {
    fn new(room: usize) -> Self {
        Self(Arc::new(Mutex::new((Vec::new(), room))))
    }

    fn bytes(&self) -> Vec<u8> {
        self.0.lock().unwrap().0.clone()
    }
}

impl Sink for File {
    fn write(&mut self, block: &[u8]) -> bool {
        let mut file = self.0.lock().unwrap();
        let fits = file.0.len() + block.len() <= file.1;
        if fits {
            file.0.extend_from_slice(block);
        }
        fits
    }
}

fn recording(room: usize) -> (Stack, File) {
    let file = File::new(room);
    (Stack::with(Record::new(Box::new(file.clone()), "tap0")), file)
}

type Told = (u64, Side, Vec<(Kind, Vec<u8>)>);

/// Time, way, types and bytes of each message; losses as the number behind.
fn told(bytes: &[u8]) -> (Vec<Told>, u64) {
    let (mut messages, mut lost) = (Vec::new(), 0);
    for entry in Reader::new(bytes).unwrap() {
        let entry = entry.unwrap();
        match entry.event {
            Event::Message(side, parts) => {
                let parts = parts.iter().map(|(kind, bytes)| (kind, bytes.to_vec())).collect();
                messages.push((entry.time_ns, side, parts));
            }
            Event::Lost(count) => lost += count,
        }
    }
    (messages, lost)
}

#[test]
fn record_writes_both_ways_with_time_type_band_and_offload_and_passes_all() {
    let (mut s, file) = recording(1 << 20);
    let mut up = s.msg(b"control");
    up.set_kind(Kind::Proto);
    let data = s.msg(b"data");
    up.link(data);
    s.up(up);
    s.turn(0);
    let offload = Offload { gso: Gso::Udp, gso_size: 100, ..Offload::NONE };
    let mut down = s.msg(&[7; 300]);
    down.set_band(Band(3));
    down.set_offload(offload);
    down.set_flags(MsgFlags::DELIM);
    s.down(down);
    s.turn(5 * MS);
    assert_eq!((s.received().len(), s.sent().len()), (2, 1));
    let bytes = file.bytes();
    let (messages, lost) = told(&bytes);
    let control = vec![(Kind::Proto, b"control".to_vec()), (Kind::Data, b"data".to_vec())];
    assert_eq!(messages[0], (0, UP, control));
    assert_eq!(messages[1], (5 * MS, DOWN, vec![(Kind::Data, vec![7; 300])]));
    assert_eq!((messages.len(), lost), (2, 0));
    let last = Reader::new(&bytes).unwrap().last().unwrap().unwrap();
    let Event::Message(_, parts) = last.event else { panic!("{last:?}") };
    assert_eq!((parts.band, parts.offload, parts.flags), (Band(3), offload, MsgFlags::DELIM));
    assert_eq!((s.count("up.recorded"), s.count("down.recorded")), (1, 1));
    s.assert_nothing_leaked();
}

#[test]
fn record_counts_what_the_file_does_not_take_and_marks_the_gap() {
    let (mut s, file) = recording(200);
    for _ in 0..5 {
        let msg = s.msg(&[1; 50]);
        s.down(msg);
    }
    s.turn(0);
    assert_eq!((s.count("down.recorded"), s.count("down.lost")), (1, 4));
    file.0.lock().unwrap().1 = 1 << 20;
    let msg = s.msg(&[2; 50]);
    s.down(msg);
    s.turn(MS);
    let (messages, lost) = told(&file.bytes());
    assert_eq!((messages.len(), lost), (2, 4));
    assert_eq!(s.sent().len(), 6, "traffic does not wait for the file");
}

#[test]
fn record_leaves_the_other_direction_out_when_told() {
    let (mut s, file) = recording(1 << 20);
    s.set("direction=up");
    for way in [Stack::down, Stack::up] {
        let msg = s.msg(b"x");
        way(&mut s, msg);
    }
    s.turn(0);
    let (messages, _) = told(&file.bytes());
    assert_eq!(messages.iter().map(|(_, side, _)| *side).collect::<Vec<_>>(), [UP]);
    assert_eq!(s.set_error("direction=left"), "direction=left: one of both, up, down");
    assert_eq!(s.set_error("file=/x"), "file=/x: fixed once it is in");
}

/// A recording of numbered frames, each so many milliseconds behind the first, on their ways.
fn made(frames: &[(u64, Side)]) -> Vec<u8> {
    let mut pool = Pool::new(PoolConfig::TINY);
    let mut bytes = Vec::new();
    recording::head(&mut bytes, 77 * MS, "tap0");
    for (number, (ms, side)) in frames.iter().enumerate() {
        let msg = pool.copy_from(0, &numbered(number as u32, 60)).unwrap();
        assert!(recording::message(&mut bytes, (100 + ms) * MS, *side, &msg));
        pool.free(msg);
    }
    bytes
}

fn replaying(recording: Vec<u8>) -> Stack {
    let mut s = Stack::with(Replay::new(recording).unwrap());
    s.turn(0);
    // Timers are some microseconds late.
    s.turn(MS / 10);
    s
}

impl Stack {
    fn numbers(&mut self) -> (Vec<u32>, Vec<u32>) {
        let up = self.received().iter().map(number).collect();
        (up, self.sent().iter().map(number).collect())
    }
}

#[test]
fn replay_plays_both_ways_at_the_recorded_times_after_its_insertion() {
    let mut s = replaying(made(&[(0, UP), (10, DOWN), (10, UP), (30, DOWN)]));
    assert_eq!(s.numbers(), (vec![0], vec![]));
    s.turn(9 * MS);
    assert_eq!(s.numbers(), (vec![], vec![]));
    s.turn(11 * MS);
    assert_eq!(s.numbers(), (vec![2], vec![1]));
    s.turn(31 * MS);
    assert_eq!(s.numbers(), (vec![], vec![3]));
    assert_eq!((s.count("up.played"), s.count("down.played"), s.count("left.bytes")), (2, 2, 0));
    s.assert_nothing_leaked();
}

#[test]
fn replay_goes_at_another_speed_and_as_fast_as_there_is_room() {
    let frames: Vec<_> = (0..200).map(|n| (n * 100, DOWN)).collect();
    let mut s = Stack::with(Replay::new(made(&frames)).unwrap());
    s.set("speed=10");
    s.turn(0);
    s.turn(101 * MS);
    assert_eq!(s.sent().len(), 11);
    // The time so far stays what it was: only what follows is slower.
    s.set("speed=1");
    s.turn(102 * MS);
    assert_eq!(s.sent().len(), 0);
    s.turn(301 * MS);
    assert_eq!(s.sent().len(), 2);
    s.set("speed=max");
    s.turn(302 * MS);
    s.turn(303 * MS);
    s.turn(304 * MS);
    assert_eq!(s.sent().len(), 200 - 13);
    let want = "max or a factor from 0.001 to 1000, as 2 or 0.5";
    assert_eq!(s.set_error("speed=0"), format!("speed=0: {want}"));
}

#[test]
fn replay_holds_and_begins_again_when_told() {
    let mut s = replaying(made(&[(0, DOWN), (10, DOWN), (20, DOWN)]));
    s.turn(5 * MS);
    s.set("play=off");
    s.turn(100 * MS);
    assert_eq!(s.numbers().1, [0]);
    s.set("play=on");
    s.turn(104 * MS);
    assert_eq!(s.numbers().1, [0_u32; 0]);
    s.turn(106 * MS);
    assert_eq!(s.numbers().1, [1]);
    s.set("play=again direction=down");
    s.turn(107 * MS);
    assert_eq!(s.numbers().1, [0]);
    s.turn(200 * MS);
    assert_eq!(s.numbers().1, [1, 2]);
}

#[test]
fn replay_waits_for_room_and_loses_nothing() {
    let frames: Vec<_> = (0..3000).map(|_| (0, DOWN)).collect();
    let mut s = Stack::with(Replay::new(made(&frames)).unwrap());
    s.wire.ends().room = Some(0);
    for ms in 0..60 {
        s.turn(ms * MS);
    }
    let played = s.count("down.played");
    assert!(played > 0 && played < 3000, "{played} found room in the driver's queue");
    s.wire.ends().room = None;
    s.p.writable(s.driver);
    for ms in 60..200 {
        s.turn(ms * MS);
    }
    assert!(s.sent().iter().map(number).eq(0..3000));
    assert_eq!(s.count("lost"), 0);
}

#[test]
fn replay_in_a_simulation_gives_the_same_frames_at_the_same_times_every_time() {
    let run = |speed: &str| {
        let mut sim = Sim::exactly(5);
        let (a, b) = (sim.host(), sim.host());
        let link = sim.link(a, b, Faults { delay_ns: MS, loss_ppm: 100_000, ..Faults::NONE });
        let frames: Vec<_> = (0..200).map(|n| (n * 3, DOWN)).collect();
        let stream = sim.stream(link, a);
        let host = sim.perimeter(a);
        host.push(stream, Box::new(Replay::new(made(&frames)).unwrap())).unwrap();
        host.set(stream, 0, "speed", speed).unwrap();
        sim.run_until(2_000 * MS);
        (sim.hash(), sim.sent())
    };
    assert_eq!(run("1"), run("1"));
    assert_eq!((run("1").1, run("7.5").1), (200, 200));
    assert_ne!(run("1").0, run("7.5").0, "other times");
}

#[test]
fn replay_lets_other_traffic_pass_and_keeps_its_order() {
    let mut s = replaying(made(&[(0, UP), (10, UP)]));
    for n in 10..13 {
        let msg = s.msg(&numbered(n, 60));
        s.up(msg);
        s.turn(MS);
    }
    s.turn(20 * MS);
    assert_eq!(s.numbers().0, [0, 10, 11, 12, 1]);
}

#[test]
fn a_recording_that_is_cut_is_played_as_far_as_it_is_sound() {
    let mut bytes = made(&[(0, DOWN), (1, DOWN), (2, DOWN)]);
    let entry = (bytes.len() - 24) / 3;
    bytes.truncate(bytes.len() - 5);
    let mut s = replaying(bytes);
    s.turn(10 * MS);
    assert_eq!(s.numbers().1, [0, 1]);
    assert_eq!(s.count("fault.at_byte"), (24 + 2 * entry) as u64);
    for (at, byte) in [(0, b'X'), (8, 9), (10, 200)] {
        let mut bytes = made(&[]);
        bytes[at] = byte;
        assert!(Replay::new(bytes).is_err(), "{at}");
    }
    assert_eq!(Replay::new(b"MILL".to_vec()).unwrap_err().why, "too short for a recording");
}

#[test]
fn every_length_of_an_entry_that_lies_is_a_fault_at_its_place() {
    let sound = made(&[(0, UP)]);
    let fault = |at: usize, value: &[u8]| {
        let mut bytes = sound.clone();
        bytes[24 + at..24 + at + value.len()].copy_from_slice(value);
        Reader::new(&bytes).unwrap().next().unwrap().unwrap_err()
    };
    for (at, value, why) in [
        (0, &[0xff; 4][..], "an entry of an impossible length"),
        (0, &[41, 0, 0, 0], "an entry of an impossible length"),
        (0, &[0xff, 0, 0, 0], "cut in the middle of an entry"),
        (12, &[3], "an entry of an unknown event"),
        (12, &[2], "an entry of an unknown event"),
        (17, &[9], "an unknown kind of super-frame"),
        (32, &[0, 0], "a message of no or too many parts"),
        (32, &[65, 0], "a message of no or too many parts"),
        (32, &[60, 0], "parts beyond their entry"),
        (34, &[2], "a part of an unknown type"),
        (38, &[0xff; 4], "parts that are not as long as their bytes"),
        (38, &[59, 0, 0, 0], "parts that are not as long as their bytes"),
    ] {
        let found = fault(at, value);
        assert_eq!((found.at, found.why), (24, why), "byte {at}");
    }
}

fn kinds() -> impl Strategy<Value = Kind> {
    prop::sample::select(vec![Kind::Data, Kind::Proto, Kind::PcProto, Kind::Flush, Kind::Ctl])
}

proptest! {
    #[test]
    fn a_message_is_read_as_it_was_written_however_its_blocks_are_cut(
        parts in prop::collection::vec(
            (kinds(), prop::collection::vec(any::<u8>(), 0..40)), 1..6,
        ),
        band: u8, ctx: u16, flow_hash: u32, gso_size: u16, needs_csum: bool,
    ) {
        let mut pool = Pool::new(PoolConfig::TINY);
        let mut whole: Option<Msg> = None;
        for (kind, bytes) in &parts {
            let mut part = pool.copy_from(0, bytes).unwrap();
            part.set_kind(*kind);
            match &mut whole {
                Some(whole) => whole.link(part),
                None => whole = Some(part),
            }
        }
        let mut msg = whole.unwrap();
        msg.set_band(Band(band));
        msg.set_ctx(ctx);
        msg.set_flow_hash(flow_hash);
        msg.set_offload(Offload { needs_csum, gso: Gso::TcpV6, gso_size, ..Offload::NONE });
        let mut bytes = Vec::new();
        recording::head(&mut bytes, 5, "here");
        prop_assert!(recording::message(&mut bytes, 9, Side::Write, &msg));
        let mut reader = Reader::new(&bytes).unwrap();
        prop_assert_eq!((reader.name(), reader.begin_ns()), ("here", 5));
        let entry = reader.next().unwrap().unwrap();
        prop_assert!(entry.time_ns == 9 && reader.next().is_none());
        let Event::Message(Side::Write, read) = entry.event else { panic!("{entry:?}") };
        let again = read.to_msg(0, &mut pool).unwrap();
        let marks = (again.band(), again.ctx(), again.flow_hash());
        prop_assert_eq!(marks, (Band(band), ctx, flow_hash));
        prop_assert_eq!((again.offload(), again.kind()), (msg.offload(), msg.kind()));
        prop_assert_eq!(small_kit::bytes(&again), small_kit::bytes(&msg));
        let joined: Vec<u8> = read.iter().flat_map(|(_, bytes)| bytes).copied().collect();
        prop_assert_eq!(joined, small_kit::bytes(&msg));
    }
}
