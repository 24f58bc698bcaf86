//! The services over TCP, on a rig whose lower end plays `tcp`.

use millstream_core::tpi::{self, Primitive};
use millstream_core::{Errno, Module, SetOptions, Side};
use millstream_modules::services::stream::{Chargen, Discard, Echo, LINGER_NS, Served, Tell};
use millstream_modules::services::{ServiceDrop, chargen};
use millstream_msg::{Kind, Msg, MsgList};
use millstream_rig::Rig;

/// A rig with a service, and the connection stands.
fn connected(module: impl Module) -> Rig {
    let mut rig = Rig::new(Box::new(module));
    let opts = SetOptions { hiwat: Some(1 << 20), ..SetOptions::default() };
    let opts = opts.to_msg(rig.perimeter().pool()).unwrap();
    rig.put(Side::Read, opts);
    assert_eq!(kinds(&rig.above()), [Kind::SetOpts], "the head is told");
    rig
}

fn primitive(rig: &mut Rig, primitive: &Primitive) {
    let mut msg = rig.msg(primitive.as_bytes());
    msg.set_kind(primitive.kind());
    rig.put(Side::Read, msg);
}

fn kinds(msgs: &[Msg]) -> Vec<Kind> {
    msgs.iter().map(Msg::kind).collect()
}

/// Primitives among these, in order; 0 for data.
fn numbers(msgs: &[Msg]) -> Vec<i32> {
    let number = |msg: &Msg| match msg.kind() {
        Kind::Data => 0,
        _ => tpi::primitive(msg.first()).unwrap(),
    };
    msgs.iter().map(number).collect()
}

fn text(msg: &Msg) -> Vec<u8> {
    msg.cursor().chunks().flatten().copied().collect()
}

#[test]
fn tcp_echo_sends_the_blocks_back_and_ends_when_the_peer_does() {
    let mut rig = connected(Served::new(Echo::default()));
    let msg = rig.msg(b"hello");
    let place = msg.first().as_ptr();
    rig.put(Side::Read, msg);
    let back = rig.below();
    assert_eq!((text(&back[0]), back[0].first().as_ptr()), (b"hello".to_vec(), place));
    drop(back);
    primitive(&mut rig, &Primitive::ordrel_ind());
    assert_eq!(numbers(&rig.below()), [tpi::T_ORDREL_REQ]);
    assert_eq!(numbers(&rig.above()), [tpi::T_ORDREL_IND]);
    rig.finish();
}

#[test]
fn tcp_echo_holds_what_finds_no_room_and_the_peers_end_behind_it() {
    let mut rig = connected(Served::new(Echo::default()));
    rig.full(Side::Write);
    for _ in 0..2000 {
        rig.up(&[7; 1400]);
    }
    assert!(!rig.room(Side::Read), "tcp is to close the window");
    primitive(&mut rig, &Primitive::ordrel_ind());
    assert!(rig.below().is_empty() && rig.above().is_empty());
    assert_eq!(rig.overruns(Side::Write), 0);
    rig.relieve(Side::Write);
    let below = rig.below();
    assert_eq!(numbers(&below[2000..]), [tpi::T_ORDREL_REQ]);
    assert!(below[..2000].iter().all(|msg| msg.len() == 1400));
    drop(below);
    assert_eq!(numbers(&rig.above()), [tpi::T_ORDREL_IND]);
    assert!(rig.woken(Side::Read) > 0, "and tcp is called back");
    rig.finish();
}

#[test]
fn tcp_echo_takes_data_with_a_primitive_and_urgent_data_in_their_place() {
    let mut rig = connected(Served::new(Echo::default()));
    rig.up(b"a");
    for (word, data) in [(Primitive::exdata_ind(false), b"b"), (Primitive::data_ind(false), b"c")] {
        let mut msg = rig.msg(word.as_bytes());
        msg.set_kind(Kind::Proto);
        let data = rig.msg(data);
        msg.link(data);
        rig.put(Side::Read, msg);
    }
    assert_eq!(rig.below_bytes(), [b"a", b"b", b"c"]);
    rig.finish();
}

#[test]
fn a_reset_ends_a_service_at_once_and_what_waits_has_a_reason() {
    let mut rig = connected(Served::new(Echo::default()));
    rig.full(Side::Write);
    rig.up(b"for nobody");
    primitive(&mut rig, &Primitive::discon_ind(Errno::ECONNRESET, -1));
    assert_eq!(numbers(&rig.above()), [tpi::T_DISCON_IND]);
    assert_eq!(rig.drops(ServiceDrop::Gone), 1);
    rig.relieve(Side::Write);
    assert!(rig.below().is_empty());
    rig.finish();
}

#[test]
fn tcp_discard_frees_all_and_ends_when_the_peer_does() {
    let mut rig = connected(Served::new(Discard::default()));
    rig.full(Side::Write);
    rig.up(&[0; 1400]);
    assert!(rig.room(Side::Read) && rig.below().is_empty());
    primitive(&mut rig, &Primitive::ordrel_ind());
    assert!(rig.below().is_empty(), "its end waits for room as data do");
    rig.relieve(Side::Write);
    assert_eq!(numbers(&rig.below()), [tpi::T_ORDREL_REQ]);
    assert_eq!(numbers(&rig.above()), [tpi::T_ORDREL_IND]);
    rig.finish();
}

#[test]
fn tcp_daytime_and_time_answer_a_connection_and_end_it() {
    for (module, len) in [(Tell::DAYTIME, None), (Tell::TIME, Some(4))] {
        let mut rig = connected(Served::new(module));
        let below = rig.below();
        assert_eq!(numbers(&below), [0, tpi::T_ORDREL_REQ]);
        match len {
            Some(len) => assert_eq!(below[0].len(), len),
            None => assert!(text(&below[0]).ends_with(b"-UTC\r\n")),
        }
        drop(below);
        rig.up(b"nobody asked");
        assert!(rig.above().is_empty());
        primitive(&mut rig, &Primitive::ordrel_ind());
        assert_eq!(numbers(&rig.above()), [tpi::T_ORDREL_IND]);
        assert!(rig.below().is_empty(), "ended once");
        rig.finish();
    }
}

#[test]
fn tcp_daytime_answers_a_peer_that_has_ended_before_it_was_accepted() {
    let mut rig = Rig::new(Box::new(Served::new(Tell::DAYTIME)));
    let opts = SetOptions { hiwat: Some(1), ..SetOptions::default() };
    let mut batch = MsgList::new();
    batch.push(opts.to_msg(rig.perimeter().pool()).unwrap());
    let word = Primitive::ordrel_ind();
    let mut end = rig.msg(word.as_bytes());
    end.set_kind(word.kind());
    batch.push(end);
    rig.inject(Side::Read, batch);
    assert_eq!(numbers(&rig.below()), [0, tpi::T_ORDREL_REQ]);
    drop(rig.above());
    rig.finish();
}

#[test]
fn nothing_is_answered_before_the_connection_stands() {
    let mut rig = Rig::new(Box::new(Served::new(Tell::DAYTIME)));
    rig.advance(LINGER_NS);
    assert!(rig.below().is_empty());
    rig.finish();
}

#[test]
fn a_peer_that_does_not_end_is_not_waited_for() {
    let mut rig = connected(Served::new(Tell::TIME));
    drop(rig.below());
    rig.advance(LINGER_NS - 1_000_000);
    assert!(rig.above().is_empty());
    rig.advance(2_000_000);
    assert_eq!(numbers(&rig.above()), [tpi::T_ORDREL_IND], "the stream is to be closed");
    primitive(&mut rig, &Primitive::ordrel_ind());
    assert!(rig.above().is_empty(), "told once");
    rig.finish();
}

#[test]
fn tcp_chargen_sends_lines_while_there_is_room_and_copies_none() {
    let mut rig = connected(Served::new(Chargen::default()));
    let sent = rig.below();
    let octets: Vec<u8> = sent.iter().flat_map(text).collect();
    drop(sent);
    let mut expected = vec![0; octets.len()];
    chargen(0, &mut expected);
    assert!(octets == expected, "message after message the lines go on");
    assert!(octets.len() > 1 << 20, "{}", octets.len());
    assert_eq!(rig.perimeter().pool().stats().copied_bytes, 0);
    rig.up(b"ignored");
    rig.full(Side::Write);
    drop(rig.below());
    primitive(&mut rig, &Primitive::ordrel_ind());
    assert!(rig.above().is_empty());
    rig.relieve(Side::Write);
    let below = numbers(&rig.below());
    assert_eq!(below.last(), Some(&tpi::T_ORDREL_REQ), "{below:?}");
    assert_eq!(numbers(&rig.above()), [tpi::T_ORDREL_IND]);
    rig.finish();
}

#[test]
fn without_memory_an_answer_comes_when_there_is_some() {
    let mut rig = Rig::new(Box::new(Served::new(Tell::TIME)));
    let opts = SetOptions { hiwat: Some(1), ..SetOptions::default() };
    let opts = opts.to_msg(rig.perimeter().pool()).unwrap();
    rig.perimeter().pool().fail_nth(1);
    rig.put(Side::Read, opts);
    assert!(rig.below().is_empty());
    rig.perimeter().pool().fail_none();
    rig.advance(20_000_000);
    assert_eq!(numbers(&rig.below()), [0, tpi::T_ORDREL_REQ]);
    drop(rig.above());
    rig.finish();
}

#[test]
fn a_service_that_is_popped_leaves_what_it_held_to_the_head() {
    let mut rig = connected(Served::new(Echo::default()));
    rig.full(Side::Write);
    rig.up(b"first");
    rig.up(b"second");
    drop(rig.remove());
    assert_eq!(rig.above_bytes(), [&b"first"[..], b"second"]);
}
