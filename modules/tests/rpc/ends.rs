//! How connections end, and how the module leaves.

use crate::kit::*;
use millstream_core::Side;
use millstream_core::tpi::{self, Primitive, State};
use millstream_modules::rpc::{Role, Rpc, RpcDrop};
use millstream_msg::Kind;
use millstream_onc::message::Outcome;
use millstream_rig::{ms, secs};

fn words_above(kit: &mut Kit) -> Vec<i32> {
    let above = kit.rig.above();
    let known = [tpi::T_ORDREL_IND, tpi::T_DISCON_IND];
    let words = above.iter().filter_map(|msg| tpi::primitive(msg.first()));
    words.filter(|word| known.contains(word)).collect()
}

#[test]
fn rpc_holds_the_peers_end_back_until_its_calls_are_answered() {
    let mut kit = Kit::tcp();
    kit.records(&[square(1, 3), square(2, 4)]);
    let calls = kit.calls();
    kit.up_word(&Primitive::ordrel_ind());
    assert_eq!(words_above(&mut kit), []);
    kit.answer_squares(&calls[..1]);
    assert_eq!((words_above(&mut kit), kit.below_words()), (vec![], vec![]));
    kit.answer_squares(&calls[1..]);
    assert_eq!(words_above(&mut kit), [tpi::T_ORDREL_IND]);
    let below = kit.rig.below();
    assert_eq!(below[0].kind(), Kind::Data, "the reply, then our end");
    assert_eq!(tpi::primitive(below[1].first()), Some(tpi::T_ORDREL_REQ));
}

#[test]
fn rpc_executes_a_call_to_its_end_though_its_connection_is_reset() {
    let shared = commons();
    let mut kit = Kit::connected(Some(Role::Server), shared.clone(), PEER);
    kit.records(&[square(1, 3)]);
    let calls = kit.calls();
    kit.up_word(&Primitive::discon_ind(millstream_core::Errno(104), -1));
    assert_eq!(words_above(&mut kit), []);
    kit.answer_squares(&calls);
    assert_eq!(words_above(&mut kit), [tpi::T_DISCON_IND]);
    assert!(kit.rig.below().is_empty(), "nobody is there to get it");
    // Whoever asks again gets it.
    let mut again = Kit::connected(Some(Role::Server), shared, PEER);
    again.records(&[square(1, 3)]);
    assert_eq!(again.sent().0, record(&success(1, &9u32.to_be_bytes())));
}

#[test]
fn rpc_ends_an_idle_connection_the_client_before_the_server() {
    for (role, key, idle) in
        [(Role::Client, "client-idle", 300), (Role::Server, "server-idle", 360)]
    {
        let mut kit = Kit::connected(Some(role), commons(), PEER);
        kit.rig.advance(secs(200));
        kit.records(&[square(1, 3)]);
        let calls = kit.calls();
        kit.answer_squares(&calls);
        kit.rig.below();
        kit.rig.advance(secs(idle - 1));
        assert_eq!(kit.below_words(), [], "not yet");
        kit.rig.advance(secs(2));
        assert_eq!(kit.below_words(), [tpi::T_ORDREL_REQ]);
        kit.up_word(&Primitive::ordrel_ind());
        assert_eq!(words_above(&mut kit), [tpi::T_ORDREL_IND]);
        let mut kit = Kit::connected(Some(role), commons(), PEER);
        kit.rig.set(key, "10").unwrap();
        kit.rig.advance(secs(11));
        assert_eq!(kit.below_words(), [tpi::T_ORDREL_REQ], "settable");
        // A peer that does not end its direction is not waited for for ever.
        kit.rig.advance(secs(11));
        assert_eq!(words_above(&mut kit), [tpi::T_ORDREL_IND]);
        let mut kit = Kit::connected(Some(role), commons(), PEER);
        kit.rig.set(key, "0").unwrap();
        kit.rig.advance(secs(100_000));
        assert_eq!(kit.below_words(), [], "0 is never");
    }
}

#[test]
fn rpc_is_not_idle_while_a_call_is_in_progress() {
    let mut kit = Kit::tcp();
    kit.records(&[square(1, 3)]);
    let calls = kit.calls();
    kit.rig.advance(secs(1000));
    assert_eq!(kit.below_words(), []);
    kit.answer_squares(&calls);
    kit.rig.below();
    kit.rig.advance(secs(721));
    assert_eq!(kit.below_words(), [tpi::T_ORDREL_REQ]);
}

#[test]
fn rpc_ends_a_connection_with_half_a_record_when_it_is_idle() {
    let mut kit = Kit::tcp();
    kit.rig.up(&record(&square(1, 3))[..20]);
    kit.rig.advance(secs(361));
    assert_eq!(kit.below_words(), [tpi::T_ORDREL_REQ]);
    kit.up_word(&Primitive::ordrel_ind());
    assert_eq!(kit.rig.drops(RpcDrop::Broken), 1);
}

#[test]
fn rpc_leaves_when_its_calls_are_answered() {
    let mut kit = Kit::tcp();
    kit.records(&[square(1, 3)]);
    let calls = kit.calls();
    let stream = kit.rig.perimeter().streams()[0].0;
    let change = kit.rig.perimeter().remove(stream, 1).unwrap();
    assert!(change.ticket().is_some(), "pending");
    kit.rig.advance(secs(1));
    assert_eq!(kit.rig.view().name, "rpc");
    let results = 9u32.to_be_bytes();
    let mut reply = kit.reply_msg(calls[0].name, Some(Outcome::Success), &results);
    reply.set_kind(Kind::PcProto);
    kit.rig.put(Side::Write, reply);
    assert_eq!(kit.sent().0, record(&success(1, &results)));
    assert_eq!(names(&mut kit), ["neighbour", "neighbour"]);
    std::mem::forget(kit);
}

#[test]
fn rpc_leaves_in_the_end_though_a_call_is_not_answered() {
    let mut kit = Kit::tcp();
    kit.records(&[square(1, 3)]);
    kit.calls();
    let stream = kit.rig.perimeter().streams()[0].0;
    let _pending = kit.rig.perimeter().remove(stream, 1).unwrap();
    kit.rig.advance(secs(16));
    assert_eq!(kit.sent().0, record(&reply(1, &[0, 0, 0, 5])), "SYSTEM_ERR");
    assert_eq!(names(&mut kit), ["neighbour", "neighbour"]);
    std::mem::forget(kit);
}

fn names(kit: &mut Kit) -> Vec<String> {
    let stream = kit.rig.perimeter().streams()[0].0;
    let chain = kit.rig.perimeter().chain(stream).unwrap();
    chain.into_iter().filter(|node| node.kind == "module").map(|node| node.name).collect()
}

#[test]
fn rpc_gives_half_a_record_to_whoever_reads_the_stream_next() {
    let mut kit = Kit::tcp();
    let octets = [record(&square(1, 3)), record(&square(2, 4))].concat();
    let cut = octets.len() - 5;
    kit.rig.up(&octets[..cut]);
    let calls = kit.calls();
    kit.answer_squares(&calls);
    kit.rig.below();
    kit.rig.remove();
    let held: Vec<u8> = kit.rig.above().iter().flat_map(bytes).collect();
    assert_eq!(held, octets[48..cut]);
}

#[test]
fn rpc_takes_calls_when_the_connection_stands_that_was_not_there_yet() {
    let mut kit = Kit::opened(Some(Role::Server), commons(), tpi::T_COTS_ORD, State::Unbnd);
    let opts = millstream_core::SetOptions::default().to_msg(kit.rig.perimeter().pool()).unwrap();
    kit.rig.put(Side::Read, opts);
    // Data may come with the handshake, before the peer's address is known.
    kit.records(&[square(1, 3)]);
    assert!(kit.calls().is_empty());
    assert_eq!(kit.below_words(), [tpi::T_ADDR_REQ]);
    kit.up_word(&Primitive::addr_ack(LOCAL.parse().ok(), PEER.parse().ok()));
    assert_eq!(kit.calls()[0].peer, PEER.parse().ok());
    kit.rig.advance(ms(1));
}

#[test]
fn rpc_does_not_open_above_what_is_no_transport_of_octets_or_datagrams() {
    let commons = commons();
    let rig = millstream_rig::Rig::new(Box::new(Rpc::new(None, commons.clone())));
    let mut kit = Kit { rig, commons };
    kit.rig.below();
    let ack = Primitive::info_ack(&tpi::Info {
        tsdu: 1000,
        etsdu: 0,
        cdata: 0,
        ddata: 0,
        addr: 0,
        opt: 0,
        tidu: 0,
        service: tpi::T_COTS,
        state: State::Idle,
        provider: 0,
    });
    kit.up_word(&ack);
    assert_eq!(names(&mut kit), ["neighbour", "neighbour"]);
    std::mem::forget(kit);
}

#[test]
fn rpc_is_replaced_in_the_midst_of_records_and_calls() {
    let shared = commons();
    let mut kit = Kit::connected(Some(Role::Server), shared.clone(), PEER);
    kit.rig.set("calls-max", "77").unwrap();
    let octets = [record(&square(1, 3)), record(&square(2, 4))].concat();
    let cut = octets.len() - 5;
    kit.rig.up(&octets[..cut]);
    let mut calls = kit.calls();
    let stream = kit.rig.perimeter().streams()[0].0;
    let heir = Box::new(Rpc::new(None, shared));
    assert!(kit.rig.perimeter().replace(stream, 1, heir).unwrap().done().is_some());
    kit.rig.up(&octets[cut..]);
    calls.extend(kit.calls());
    kit.answer_squares(&calls);
    let want = [(1u32, 9u32), (2, 16)].map(|(xid, n)| record(&success(xid, &n.to_be_bytes())));
    assert_eq!(kit.sent().0, want.concat());
    assert!(format!("{:?}", kit.rig.view().fields).contains("(\"calls-max\", Text(\"77\"))"));
}
