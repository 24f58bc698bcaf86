//! A recording of echo above udp goes into modules again: the same one gives the same messages,
//! another one gives differences with their places.

use millstream_core::tpi::Primitive;
use millstream_core::{Config, Module, Perimeter, Side};
use millstream_host::ctl::Param;
use millstream_host::offline::{self, Difference, Message, Recording};
use millstream_modules::capture::Sink;
use millstream_modules::ip::{self, Request};
use millstream_modules::record::Record;
use millstream_modules::services::{Kinds, Service};
use millstream_modules::udp::{Udp, build};
use millstream_msg::{Kind, Pool, PoolConfig};
use millstream_rig::{Probe, ms};
use std::sync::{Arc, Mutex};

#[derive(Clone, Default)]
struct File(Arc<Mutex<Vec<u8>>>);

impl Sink for File {
    fn write(&mut self, block: &[u8]) -> bool {
        self.0.lock().unwrap().extend_from_slice(block);
        true
    }
}

const US: [u8; 4] = [10, 0, 0, 1];

/// Runs a service above udp with a recorder below it, and feeds it datagrams.
fn record(kind: Kinds, datagrams: &[&[u8]]) -> Recording {
    let pool = Pool::new(PoolConfig::TINY);
    let mut p = Perimeter::new(Config { pool, seed: 1, clock: None });
    p.set_wall_offset(1_000_000_000_000_000_000);
    let udp = p.add_mux(Box::new(Udp::new(3)));
    let probe = Probe::new();
    let (wire, driver) = p.open_device("wire", Box::new(probe.clone()));
    p.link(udp, wire).unwrap();
    let stream = p.open_mux(udp, "service").unwrap();
    let bind = Primitive::bind_req((US, 7).into());
    let mut msg = p.pool().copy_from(0, bind.as_bytes()).unwrap();
    msg.set_kind(Kind::Proto);
    p.putmsg(stream, msg).unwrap();
    p.turn(0, 1000);
    let file = File::default();
    let recorder: Box<dyn Module> = Box::new(Record::new(Box::new(file.clone()), "service"));
    p.push(stream, recorder).unwrap();
    p.push(stream, Box::new(Service::new(kind))).unwrap();
    for (number, data) in datagrams.iter().enumerate() {
        let mut msg = p.pool().copy_from(128, data).unwrap();
        let request = Request::new(US.into(), ip::protocol::UDP);
        build::send(&mut msg, 5000, 7, &request, None, p.pool()).unwrap();
        let request = Request::take(&mut msg, p.pool()).unwrap();
        ip::build::output(&mut msg, &request, [10, 0, 0, 9].into(), 0, p.pool()).unwrap();
        probe.arrive(msg);
        p.poll(driver, 1);
        p.turn(ms(10) * number as u64, 1000);
    }
    let bytes = file.0.lock().unwrap().clone();
    Recording::of(&bytes).unwrap()
}

fn replay(recording: &Recording, module: &str, params: &[(&str, &str)]) -> Vec<Message> {
    let params: Vec<Param> =
        params.iter().map(|(k, v)| Param((*k).to_owned(), (*v).to_owned())).collect();
    offline::run(module, &params, &recording.went(Side::Read)).unwrap()
}

fn differences(recording: &Recording, got: &[Message]) -> Vec<Difference> {
    let down: Vec<&Message> = got.iter().filter(|m| m.side == Side::Write).collect();
    offline::diff(&recording.went(Side::Write), &down)
}

#[test]
fn echo_recorded_above_udp_and_replayed_into_echo_differs_in_nothing() {
    let recording = record(Kinds::Echo, &[b"one", b"", b"three", &[9; 1400]]);
    assert_eq!((recording.place.as_str(), recording.messages.len()), ("service", 8));
    let got = replay(&recording, "echo", &[]);
    assert_eq!(differences(&recording, &got), []);
    let times = |messages: Vec<&Message>| -> Vec<u64> {
        messages.iter().map(|message| message.time_ns).collect()
    };
    assert_eq!(times(got.iter().collect()), times(recording.went(Side::Write)));
}

#[test]
fn daytime_gives_the_date_of_the_recording() {
    let recording = record(Kinds::Daytime, &[b"", b""]);
    assert_eq!(differences(&recording, &replay(&recording, "daytime", &[])), []);
    let date = recording.went(Side::Write)[0].bytes();
    assert!(date.windows(4).any(|word| word == b"2001"), "{date:?}");
}

#[test]
fn another_module_gives_differences() {
    let recording = record(Kinds::Echo, &[b"one", b"two", b"three"]);
    let silent = replay(&recording, "discard", &[]);
    let missing: Vec<Difference> = (0..3).map(Difference::Missing).collect();
    assert_eq!(differences(&recording, &silent), missing);
    let other = differences(&recording, &replay(&recording, "time", &[]));
    assert_eq!(other.len(), 3);
    assert!(
        matches!(&other[0], Difference::Changed { bytes, len: Some((a, b)), .. }
        if a + 1 == *b && !bytes.is_empty()),
        "{other:?}"
    );
}

#[test]
fn a_run_is_the_same_every_time_and_what_is_held_comes_out_in_the_end() {
    let datagrams = [&b"datagram"[..]; 50];
    let recording = record(Kinds::Echo, &datagrams);
    let params = [("loss", "20%"), ("delay", "30s"), ("seed", "7")];
    let once = replay(&recording, "impair", &params);
    assert_eq!(once, replay(&recording, "impair", &params));
    // Its parameters speak of frames, which primitives are not: all come, none early.
    assert_eq!(once.len(), 50);
    assert_eq!(replay(&recording, "nth", &[("every", "1")]).len(), 50);
}

#[test]
fn what_a_module_refuses_is_a_sentence() {
    let recording = record(Kinds::Echo, &[b"x"]);
    let inputs = recording.went(Side::Read);
    let run = |name, params: &[Param]| offline::run(name, params, &inputs).unwrap_err();
    assert!(run("nil", &[]).starts_with("no module nil"));
    let every = Param("every".to_owned(), "0".to_owned());
    assert_eq!(run("nth", &[every]), "nth: every=0: off or a number from 1");
}

#[test]
fn differences_are_the_nearest_ones_with_the_bytes_that_changed() {
    let message = |bytes: &[u8]| Message {
        time_ns: 0,
        side: Side::Write,
        band: millstream_msg::Band(0),
        offload: millstream_msg::Offload::NONE,
        parts: vec![(Kind::Data, bytes.to_vec())],
    };
    let all: Vec<Message> = [&b"a"[..], b"b", b"c", b"d"].map(message).to_vec();
    let list = |numbers: &[usize]| numbers.iter().map(|n| &all[*n]).collect::<Vec<_>>();
    let diff = |a: &[usize], b: &[usize]| offline::diff(&list(a), &list(b));
    assert_eq!(diff(&[0, 1, 2], &[0, 2]), [Difference::Missing(1)]);
    assert_eq!(diff(&[0, 2], &[0, 1, 3, 2]), [Difference::Added(1), Difference::Added(2)]);
    assert_eq!(diff(&[0, 1], &[]), [Difference::Missing(0), Difference::Missing(1)]);
    let (old, mut new) = (message(b"0123456789"), message(b"0xx3456y89"));
    let changed = |new: &Message| offline::diff(&[&old], &[new]);
    let (bytes, fields) = (vec![1..3, 7..8], Vec::new());
    let same_length = Difference::Changed { expected: 0, got: 0, bytes, len: None, fields };
    assert_eq!(changed(&new), [same_length]);
    new = message(b"0123");
    new.band.0 = 5;
    let fields = vec!["band"];
    let len = Some((10, 4));
    let shorter = Difference::Changed { expected: 0, got: 0, bytes: vec![], len, fields };
    assert_eq!(changed(&new), [shorter]);
}
