//! What no sound peer sends: an exact answer or the end of the connection, within bounded memory.

use crate::kit::*;
use millstream_core::Side;
use millstream_core::tpi::{self, Primitive};
use millstream_modules::rpc::RpcDrop;
use millstream_modules::rpc::marking::mark;
use millstream_rig::secs;
use proptest::prelude::*;

/// The connection is reset, whoever is above is told, and nothing that comes later is looked at.
fn assert_ended(kit: &mut Kit) {
    assert_eq!(kit.below_words(), [tpi::T_DISCON_REQ]);
    let above = kit.rig.above();
    assert_eq!(above.len(), 1);
    assert_eq!(tpi::primitive(above[0].first()), Some(tpi::T_ORDREL_IND));
    drop(above);
    kit.up_word(&Primitive::ok_ack(tpi::T_DISCON_REQ));
    kit.records(&[square(1, 3)]);
    assert!(kit.rig.above().is_empty() && kit.rig.below().is_empty());
    assert_eq!(kit.rig.balance().queued, 0);
}

#[test]
fn rpc_ends_a_connection_that_announces_2_gib() {
    let mut kit = Kit::tcp();
    kit.rig.up(&[0x7f, 0xff, 0xff, 0xff]);
    assert_ended(&mut kit);
    assert_eq!(kit.count("broken"), 1);
}

#[test]
fn rpc_ends_a_connection_that_sends_64_mib_of_fragments() {
    let mut kit = Kit::tcp();
    let fragment = [&mark(60_000, false)[..], &[7; 60_000]].concat();
    let mut rounds = 0;
    while kit.below_words().is_empty() {
        kit.rig.up(&fragment);
        rounds += 1;
        assert!(kit.count("octets-of-a-record") <= (1 << 20) + 8192);
    }
    assert_eq!(rounds, 18, "one more than a record may have");
    kit.rig.above();
    assert_eq!(kit.rig.drops(RpcDrop::Broken), 2, "what was held, and the last");
}

#[test]
fn rpc_ends_a_connection_that_sends_empty_fragments_for_ever_or_too_many() {
    let mut kit = Kit::tcp();
    kit.rig.up(&mark(0, false).repeat(64));
    assert!(kit.below_words().is_empty());
    kit.rig.up(&mark(0, false));
    assert_ended(&mut kit);
    let mut kit = Kit::tcp();
    kit.rig.set("fragments-max", "100").unwrap();
    kit.rig.up(&[&mark(1, false)[..], b"x"].concat().repeat(101));
    assert_ended(&mut kit);
}

#[test]
fn rpc_ends_a_connection_whose_record_is_cut_in_its_header() {
    for len in [0, 4, 7, 8, 11, 20, 39] {
        let mut kit = Kit::tcp();
        kit.records(&[square(1, 3), square(2, 3)[..len].to_vec(), square(3, 3)]);
        let calls = kit.rig.above();
        assert_eq!(read_call(&calls[0]).unwrap().xid, 1, "what came before is answered");
        assert_eq!(calls.len(), 1, "{len}");
        let name = read_call(&calls[0]).unwrap().name;
        drop(calls);
        assert_eq!(kit.below_words(), [tpi::T_DISCON_REQ]);
        kit.answer(name, millstream_onc::message::Outcome::Success, b"gone");
        let above = kit.rig.above();
        assert_eq!(tpi::primitive(above[0].first()), Some(tpi::T_ORDREL_IND));
        assert_eq!(kit.count("junk"), 1);
    }
}

#[test]
fn rpc_drops_datagrams_cut_at_every_octet_and_answers_what_can_be() {
    let whole = square(9, 3);
    let mut kit = Kit::udp();
    for len in 0..40 {
        kit.datagram(PEER, &whole[..len]);
    }
    assert!(kit.calls().is_empty());
    assert_eq!(kit.datagrams(), []);
    assert_eq!(kit.rig.drops(RpcDrop::Junk), 40);
    for len in 40..=44 {
        kit.datagram(PEER, &whole[..len]);
    }
    // What the arguments lack is for the program to say.
    assert_eq!(kit.calls().len(), 5);
}

#[test]
fn rpc_drops_replies_that_nobody_waits_for() {
    let mut kit = Kit::tcp();
    let replies: Vec<_> = (0..1000).map(|xid| success(xid, b"surprise")).collect();
    kit.records(&replies);
    assert!(kit.rig.above().is_empty() && kit.rig.below().is_empty());
    assert_eq!(kit.rig.drops(RpcDrop::StrayReply), 1000);
    kit.records(&[square(1, 3)]);
    assert_eq!(kit.calls().len(), 1, "the connection goes on");
}

#[test]
fn rpc_drops_half_a_record_with_its_connection() {
    let mut kit = Kit::tcp();
    kit.rig.up(&record(&square(1, 3))[..30]);
    kit.up_word(&Primitive::discon_ind(millstream_core::Errno(104), -1));
    assert_eq!(kit.rig.drops(RpcDrop::Broken), 1);
    assert_eq!(kit.rig.above().len(), 1);
}

#[test]
fn rpc_drops_datagrams_of_no_host() {
    let mut kit = Kit::udp();
    for from in ["0.0.0.0:700", "224.0.0.1:700", "10.0.0.2:0"] {
        kit.datagram(from, &square(1, 3));
    }
    assert!(kit.calls().is_empty());
    assert_eq!(kit.rig.drops(RpcDrop::Source), 3);
}

#[test]
fn rpc_drops_requests_from_above_that_it_cannot_read() {
    let mut kit = Kit::tcp();
    kit.rig.down(b"data without a word");
    for bytes in [&b"\x02\x52\0\0"[..], b"\x03\x52\0\0\0\0\0\0"] {
        let mut msg = kit.rig.msg(bytes);
        msg.set_kind(millstream_msg::Kind::Proto);
        kit.rig.put(Side::Write, msg);
    }
    assert_eq!(kit.rig.drops(RpcDrop::Malformed), 3);
}

#[test]
fn rpc_takes_ten_thousand_calls_at_once_within_bounded_memory() {
    let mut kit = Kit::tcp();
    let mut sent = 0;
    let wire: Vec<u8> = (0..10_000).flat_map(|xid| record(&square(xid, xid))).collect();
    kit.rig.up(&wire);
    let mut most = 0;
    loop {
        let calls = kit.calls();
        most = most.max(calls.len());
        if calls.is_empty() {
            break;
        }
        kit.answer_squares(&calls);
        sent += kit.sent().0.len();
    }
    assert_eq!(sent, 10_000 * 32);
    assert!(most <= 1024, "{most}");
    kit.rig.advance(secs(1));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn rpc_survives_any_octets_however_they_are_cut(
        octets in proptest::collection::vec(
            prop_oneof![Just(0u8), Just(0x80), Just(2), any::<u8>()], 0..600),
        step in 1usize..100,
        answer in any::<bool>(),
    ) {
        let mut kit = Kit::tcp();
        for piece in octets.chunks(step) {
            kit.rig.up(piece);
            if answer {
                let calls = kit.calls();
                kit.answer_squares(&calls);
            }
        }
        for piece in octets.chunks(step) {
            let mut kit = Kit::udp();
            kit.datagram(PEER, piece);
            let calls = kit.calls();
            kit.answer_squares(&calls);
        }
        let calls: Vec<_> = kit.calls();
        for up in calls {
            kit.answer(up.name, millstream_onc::message::Outcome::Success, b"");
        }
    }
}
