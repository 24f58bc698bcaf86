//! Changes that would make neighbours disagree on what messages are are refused with a sentence.

mod common;

use common::slow::{Moves, SlowMux};
use common::{Null, cells, perimeter};
use millstream_core::{
    Broken, Contract, Cx, Errno, Format, Formats, Joint, LinkInfo, Lower, Marks, ModInfo, Module,
    Mux, MuxInfo, Perimeter, PlumbError, Refused, State, Step, StreamId, Upper,
};
use millstream_msg::Msg;
use millstream_rig::Probe;

macro_rules! module {
    ($name:ident, $text:literal, $contract:expr, $headroom:literal) => {
        struct $name;

        impl Module for $name {
            fn info(&self) -> &'static ModInfo {
                const INFO: ModInfo = ModInfo {
                    contract: $contract,
                    headroom: $headroom,
                    ..ModInfo::new($text, "for tests")
                };
                &INFO
            }
        }
    };
}

module!(Ether, "ether", Contract::between(Format::Packets, Format::Frames), 14);
module!(Router, "router", Contract::between(Format::Packets, Format::Packets), 0);
module!(Cutter, "cutter", Contract { boundaries: false, ..Contract::TRANSPARENT }, 0);
module!(Large, "large", Contract::TRANSPARENT, 500);
module!(Either, "either", Contract { below: EITHER, ..Contract::TRANSPARENT }, 0);

/// Frames or packets from below.
const EITHER: Joint = Joint {
    takes: Formats::of(Format::Frames).or(Formats::of(Format::Packets)),
    emits: Formats::ANY,
};

/// A stream on a device of frames.
fn line() -> (Perimeter, StreamId) {
    let mut p = perimeter();
    let probe = Probe::new().with_formats(Formats::of(Format::Frames));
    let (stream, _) = p.open_device("tap0", Box::new(probe));
    (p, stream)
}

fn refused<T>(result: Result<T, PlumbError>) -> (Broken, String) {
    match result.err() {
        Some(PlumbError::Contract(broken)) => ((*broken).clone(), broken.to_string()),
        other => panic!("not refused for a contract: {other:?}"),
    }
}

fn names(p: &Perimeter, stream: StreamId) -> Vec<String> {
    p.chain(stream).unwrap().into_iter().rev().map(|view| view.name).collect()
}

#[test]
fn a_push_that_breaks_a_contract_is_refused_with_a_sentence() {
    let (mut p, stream) = line();
    let (broken, why) = refused(p.push(stream, Box::new(Router)));
    assert_eq!(why, "router takes IP packets from below, but tap0 sends Ethernet frames");
    assert_eq!((broken.fits_at, broken.from_above), (None, false));
    assert_eq!(names(&p, stream), ["tap0", "head"], "nothing has changed");
    p.push(stream, Box::new(Ether)).unwrap();
    p.push(stream, Box::new(Router)).unwrap();
    let (_, why) = refused(p.push(stream, Box::new(Ether)));
    assert_eq!(why, "ether takes Ethernet frames from below, but router sends IP packets");
}

#[test]
fn the_sentence_says_where_the_module_fits() {
    let (mut p, stream) = line();
    p.push(stream, Box::new(Ether)).unwrap();
    let (broken, why) = refused(p.insert(stream, 0, Box::new(Router)));
    assert_eq!(broken.fits_at, Some(1));
    assert!(why.ends_with("; it fits at position 1"), "{why}");
    p.insert(stream, 1, Box::new(Router)).unwrap();
}

#[test]
fn what_comes_from_above_is_checked_too() {
    let (mut p, stream) = line();
    p.push(stream, Box::new(Ether)).unwrap();
    p.push(stream, Box::new(Null)).unwrap();
    p.push(stream, Box::new(Router)).unwrap();
    // Between the two, what cuts packets makes bytes of them, in both directions.
    let (_, why) = refused(p.insert(stream, 1, Box::new(Cutter)));
    let expected = "router takes IP packets from below, but cutter sends bytes";
    assert_eq!(why, format!("{expected}; it fits at position 3"));
    // A program takes bytes.
    p.push(stream, Box::new(Cutter)).unwrap();
}

#[test]
fn a_module_may_take_more_than_one_format() {
    let (mut p, stream) = line();
    p.push(stream, Box::new(Either)).unwrap();
    p.push(stream, Box::new(Ether)).unwrap();
    p.push(stream, Box::new(Either)).unwrap();
    p.insert(stream, 0, Box::new(Null)).unwrap();
    let takes = EITHER.takes.to_string();
    assert_eq!(takes, "Ethernet frames or IP packets");
}

#[test]
fn nothing_is_asked_of_a_device_that_says_nothing() {
    let mut p = perimeter();
    let (stream, _) = p.open_device("any", Box::new(Probe::new()));
    p.push(stream, Box::new(Router)).unwrap();
}

#[test]
fn a_module_that_others_need_is_not_taken_out_alone() {
    let (mut p, stream) = line();
    p.push(stream, Box::new(Ether)).unwrap();
    p.push(stream, Box::new(Router)).unwrap();
    let (_, why) = refused(p.remove(stream, 0));
    assert_eq!(why, "router takes IP packets from below, but tap0 sends Ethernet frames");
    p.pop(stream).unwrap();
    p.remove(stream, 0).unwrap();
    p.push(stream, Box::new(Ether)).unwrap();
    p.push(stream, Box::new(Router)).unwrap();
    // A close takes out everything and asks nobody.
    p.close(stream).unwrap();
    assert_eq!(cells(&mut p), 0);
}

#[test]
fn a_successor_has_to_keep_the_contract() {
    let (mut p, stream) = line();
    p.push(stream, Box::new(Ether)).unwrap();
    p.push(stream, Box::new(Router)).unwrap();
    refused(p.replace(stream, 0, Box::new(Moves::new(1))));
    p.replace(stream, 0, Box::new(Ether)).unwrap();
    p.replace(stream, 1, Box::new(Moves::new(1))).unwrap();
    assert_eq!(names(&p, stream), ["tap0", "ether", "moves", "head"]);
}

struct Net(bool);

impl Mux for Net {
    fn info(&self) -> &'static MuxInfo {
        const fn info(name: &'static str, below: Format) -> MuxInfo {
            MuxInfo {
                name,
                about: "for tests",
                marks: Marks::DEFAULT,
                uwsrv: false,
                lrsrv: false,
                headroom: 0,
                contract: Contract::between(Format::Datagrams, below),
            }
        }
        const PACKETS: MuxInfo = info("net", Format::Packets);
        const FRAMES: MuxInfo = info("bridge", Format::Frames);
        if self.0 { &PACKETS } else { &FRAMES }
    }

    fn uopen(&mut self, _: &mut Cx<'_>, _: Upper) -> Result<Step, Errno> {
        Ok(Step::Done)
    }

    fn uclose(&mut self, _: &mut Cx<'_>, _: Upper) -> Step {
        Step::Done
    }

    fn link(&mut self, _: &mut Cx<'_>, _: Lower, _: LinkInfo) -> Result<(), Errno> {
        Ok(())
    }

    fn unlink(&mut self, _: &mut Cx<'_>, _: Lower) {}

    fn uwput(&mut self, cx: &mut Cx<'_>, _: Upper, msg: Msg) {
        cx.free(msg);
    }

    fn lrput(&mut self, cx: &mut Cx<'_>, _: Lower, msg: Msg) {
        cx.free(msg);
    }

    fn export(&mut self) -> Option<State> {
        Some(State { name: "net", version: 1, value: Box::new(()) })
    }

    fn import(&mut self, _: State) -> Result<(), Refused> {
        Ok(())
    }
}

#[test]
fn a_stream_is_linked_only_below_a_multiplexor_that_takes_what_it_sends() {
    let (mut p, stream) = line();
    let mux = p.add_mux(Box::new(Net(true)));
    let (_, why) = refused(p.link(mux, stream));
    assert_eq!(why, "net takes IP packets from below, but tap0 sends Ethernet frames");
    p.push(stream, Box::new(Ether)).unwrap();
    p.link(mux, stream).unwrap();
    let (_, why) = refused(p.pop(stream));
    assert_eq!(why, "net takes IP packets from below, but tap0 sends Ethernet frames");
    refused(p.replace_mux(mux, Box::new(Net(false))));
    p.replace_mux(mux, Box::new(Net(true))).unwrap();
    p.unlink(stream).unwrap();
    p.replace_mux(mux, Box::new(Net(false))).unwrap();
}

#[test]
fn what_is_pushed_above_a_multiplexor_takes_what_that_sends() {
    let mut p = perimeter();
    let mux = p.add_mux(Box::new(Net(true)));
    let stream = p.open_mux(mux, "user").unwrap();
    let (_, why) = refused(p.push(stream, Box::new(Ether)));
    assert_eq!(why, "ether takes Ethernet frames from below, but net sends datagrams");
    let plain = p.add_mux(Box::new(SlowMux { quick: true, ..SlowMux::default() }));
    let stream = p.open_mux(plain, "plain").unwrap();
    p.push(stream, Box::new(Ether)).unwrap();
}

#[test]
fn modules_that_want_more_in_front_than_a_cell_has_are_refused() {
    let (mut p, stream) = line();
    p.push(stream, Box::new(Large)).unwrap();
    let refused = p.push(stream, Box::new(Ether)).err().unwrap();
    assert_eq!(refused, PlumbError::Headroom { need: 514, most: 512 });
    assert!(refused.to_string().contains("514 bytes in front of a message: there are 512"));
}

#[test]
fn a_stream_takes_32_modules_and_no_more_q6() {
    let (mut p, stream) = line();
    for _ in 0..32 {
        p.push(stream, Box::new(Null)).unwrap();
    }
    assert_eq!(p.push(stream, Box::new(Null)), Err(PlumbError::TooMany));
    p.replace(stream, 31, Box::new(Null)).unwrap();
    p.pop(stream).unwrap();
    p.push(stream, Box::new(Null)).unwrap();
}
