//! The table of modules, and the example module of CONTRIBUTING by its name.

mod small_kit;

use millstream_core::Module;
use millstream_modules::capture::Sink;
use millstream_modules::recording;
use millstream_modules::services::http::{Files, Found, Missing};
use millstream_modules::table::{Env, MakeError, ServiceAt, make, names, serves, services};
use small_kit::*;

struct Nowhere;

impl Sink for Nowhere {
    fn write(&mut self, _: &[u8]) -> bool {
        true
    }
}

struct NoFiles;

impl Files for NoFiles {
    fn find(&mut self, _: &str) -> Result<Found, Missing> {
        Err(Missing::None)
    }
}

/// Makes a module where files can be opened, except `/locked`.
fn made(name: &str, params: &[(&str, &str)]) -> Result<Box<dyn Module>, MakeError> {
    let mut sink = |path: &str| match path {
        "/locked" => Err("/locked: permission denied".into()),
        _ => Ok(Box::new(Nowhere) as Box<dyn Sink>),
    };
    let mut source = |path: &str| match path {
        "/locked" => Err("/locked: permission denied".into()),
        "/text" => Ok(b"this is no recording".to_vec()),
        _ => {
            let mut bytes = Vec::new();
            recording::head(&mut bytes, 0, "tap0");
            Ok(bytes)
        }
    };
    let mut files = |_: &str| Ok(Box::new(NoFiles) as Box<dyn Files>);
    let (source, files) = (&mut source, &mut files);
    let env = Env { place: "tap0", sink: &mut sink, source, files, key: 7 };
    make(name, params, &mut { env })
}

/// A stream with a module made by name and set to its parameters, as the command does it.
fn stack(name: &str, params: &[(&str, &str)]) -> Stack {
    let mut s = Stack::new(1);
    s.p.push(s.stream, made(name, params).unwrap()).unwrap();
    for (key, value) in params {
        s.p.set(s.stream, 0, key, value).unwrap();
    }
    s
}

#[test]
fn every_module_is_made_by_its_name_which_no_other_has() {
    let mut seen = std::collections::BTreeSet::new();
    for info in names() {
        let module = made(info.name, &[("file", "/tmp/x"), ("root", "/srv")]).unwrap();
        assert_eq!(module.info().name, info.name);
        assert!(seen.insert(info.name) && !info.about.is_empty());
    }
    assert!(seen.contains("impair") && seen.contains("echo"));
}

#[test]
fn every_module_takes_back_what_it_shows() {
    for info in names() {
        let needs: &[(&str, &str)] = match info.name {
            "capture" | "record" | "replay" => &[("file", "/tmp/x")],
            "http" => &[("root", "/srv")],
            _ => &[],
        };
        let mut s = stack(info.name, needs);
        for (key, value) in s.module().fields.0 {
            if let millstream_core::Value::Text(text) = value {
                let set = s.p.set(s.stream, 0, key, &text);
                assert_eq!(set, Ok(()), "{} {key}={text}", info.name);
            }
        }
    }
}

#[test]
fn services_have_their_well_known_ports() {
    let ports: Vec<_> = services().map(|service| (service.name, service.port)).collect();
    let expected = [("echo", 7), ("discard", 9), ("daytime", 13), ("chargen", 19), ("time", 37)];
    assert_eq!((&ports[..5], &ports[5..]), (&expected[..], &[("http", 80)][..]));
    let of = |name| services().find(|service| service.name == name).unwrap();
    let echo = ServiceAt { name: "echo", port: 7, udp: Some("echo"), tcp: Some("tcp-echo") };
    assert_eq!(of("echo"), echo);
    assert_eq!((of("http").udp, of("http").tcp), (None, Some("http")));
    assert_eq!((serves("tcp-time"), serves("time")), (Some(("TCP", 37)), Some(("UDP", 37))));
    assert_eq!((serves("null"), serves("none")), (None, None));
}

#[test]
fn errors_say_what_there_is_and_what_is_missing() {
    let error = |name, params: &[_]| made(name, params).err().unwrap().to_string();
    assert_eq!(
        error("nil", &[]),
        "no module nil; there are null, count, count2, impair, capture, filter, record, \
         replay, nth, rpc, testmod, echo, discard, daytime, chargen, time, tcp-echo, tcp-discard, \
         tcp-daytime, tcp-chargen, tcp-time, http"
    );
    assert_eq!(error("capture", &[]), "capture needs a file: file=PATH");
    assert_eq!(error("capture", &[("file", "/locked")]), "/locked: permission denied");
    assert_eq!(error("record", &[]), "record needs a file: file=PATH");
    assert_eq!(error("replay", &[("file", "/locked")]), "/locked: permission denied");
    assert_eq!(error("replay", &[("file", "/text")]), "/text: at byte 0: not a recording");
    assert!(error("capture", &[("link", "tr"), ("file", "/x")]).starts_with("link=tr: one of"));
}

#[test]
fn capture_is_made_with_its_file_and_set_to_the_same() {
    let s = stack("capture", &[("file", "/tmp/x"), ("snaplen", "100"), ("link", "raw")]);
    assert_eq!((s.text("file"), s.text("snaplen")), ("/tmp/x".into(), "100".into()));
    assert_eq!(s.text("link"), "raw");
}

#[test]
fn nth_drops_every_third_frame_of_each_direction() {
    let mut s = stack("nth", &[("every", "3")]);
    for n in 0..7 {
        let msg = s.msg(&numbered(n, 60));
        s.down(msg);
    }
    let msg = s.msg(&numbered(0, 60));
    s.up(msg);
    s.turn(0);
    assert_eq!(s.sent().iter().map(number).collect::<Vec<_>>(), [0, 1, 3, 4, 6]);
    assert_eq!((s.received().len(), s.drops("nth: its turn")), (1, 2));
    s.assert_nothing_leaked();
}

#[test]
fn nth_passes_all_until_it_is_set() {
    let mut s = stack("nth", &[]);
    for n in 0..7 {
        let msg = s.msg(&numbered(n, 60));
        s.down(msg);
    }
    s.turn(0);
    assert_eq!((s.sent().len(), s.text("every")), (7, "off".into()));
}

#[test]
fn nth_refuses_a_turn_of_none() {
    let mut s = stack("nth", &[]);
    assert_eq!(s.set_error("every=0"), "every=0: off or a number from 1");
    assert_eq!(s.set_error("each=3"), "no parameter each");
}
