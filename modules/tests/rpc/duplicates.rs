//! A call that comes twice is executed once.

use crate::kit::*;
use millstream_modules::rpc::{Role, RpcDrop};
use millstream_onc::message::Outcome;
use millstream_rig::ms;

#[test]
fn rpc_answers_a_datagram_that_came_again_with_the_reply_of_the_first() {
    let mut kit = Kit::udp();
    for _ in 0..3 {
        kit.datagram(PEER, &square(1, 3));
    }
    let calls = kit.calls();
    assert_eq!(calls.len(), 1, "executed once, however often it came meanwhile");
    assert_eq!(kit.rig.drops(RpcDrop::Duplicate), 2);
    kit.answer_squares(&calls);
    kit.datagram(PEER, &square(1, 3));
    assert!(kit.calls().is_empty());
    let reply = (PEER.to_owned(), success(1, &9u32.to_be_bytes()));
    assert_eq!(kit.datagrams(), [reply.clone(), reply]);
    assert_eq!((kit.count("duplicates-waiting"), kit.count("duplicates-answered")), (2, 1));
}

#[test]
fn rpc_executes_calls_that_differ_in_xid_arguments_port_or_procedure() {
    let mut kit = Kit::udp();
    kit.datagram(PEER, &square(1, 3));
    kit.datagram(PEER, &square(2, 3));
    kit.datagram(PEER, &square(1, 4));
    kit.datagram("10.0.0.2:701", &square(1, 3));
    kit.datagram(PEER, &call(1, [PROGRAM, 2, 1], &3u32.to_be_bytes()));
    assert_eq!(kit.calls().len(), 5);
    // Procedure 0 does nothing: it is not remembered.
    kit.datagram(PEER, &call(1, [PROGRAM, 1, 0], b""));
    kit.datagram(PEER, &call(1, [PROGRAM, 1, 0], b""));
    assert_eq!(kit.calls().len(), 2);
}

#[test]
fn rpc_answers_a_call_sent_again_on_a_new_connection_with_the_reply_of_the_first() {
    let shared = commons();
    let mut first = Kit::connected(Some(Role::Server), shared.clone(), "10.0.0.2:700");
    first.records(&[square(1, 3)]);
    let calls = first.calls();
    first.answer_squares(&calls);
    let mut second = Kit::connected(Some(Role::Server), shared, "10.0.0.2:999");
    second.records(&[square(1, 3), square(2, 5)]);
    assert_eq!(second.calls().iter().map(|up| up.xid).collect::<Vec<_>>(), [2]);
    assert_eq!(second.sent().0, record(&success(1, &9u32.to_be_bytes())));
}

#[test]
fn rpc_answers_on_the_new_connection_what_is_in_progress_on_the_old_one_when_it_is_done() {
    let shared = commons();
    let mut first = Kit::connected(Some(Role::Server), shared.clone(), "10.0.0.2:700");
    first.records(&[square(1, 3)]);
    let mut second = Kit::connected(Some(Role::Server), shared, "10.0.0.2:999");
    second.records(&[square(1, 3)]);
    second.rig.advance(ms(100));
    assert!(second.calls().is_empty() && second.sent().0.is_empty());
    let calls = first.calls();
    first.answer_squares(&calls);
    second.rig.advance(ms(20));
    assert_eq!(second.sent().0, record(&success(1, &9u32.to_be_bytes())));
}

#[test]
fn rpc_executes_again_what_was_refused() {
    let mut kit = Kit::udp();
    kit.datagram(PEER, &square(1, 3));
    let name = kit.calls()[0].name;
    kit.answer(name, Outcome::SystemErr, b"");
    kit.datagram(PEER, &square(1, 3));
    assert_eq!(kit.calls().len(), 1);
}

/// Results of a call that are as long as those of a READ.
fn page() -> Vec<u8> {
    (0..8192_u32).flat_map(|n| n.to_be_bytes()).collect()
}

#[test]
fn rpc_answers_a_datagram_that_came_again_with_the_long_reply_of_the_first_without_a_copy() {
    let mut kit = Kit::udp_with(roomy());
    kit.datagram(PEER, &square(1, 3));
    let calls = kit.calls();
    assert_eq!(calls.len(), 1);
    kit.answer(calls[0].name, Outcome::Success, &page());
    let before = kit.rig.perimeter().pool().stats().compacted_bytes;
    for _ in 0..3 {
        kit.datagram(PEER, &square(1, 3));
    }
    assert!(kit.calls().is_empty(), "run once");
    assert_eq!(kit.rig.perimeter().pool().stats().compacted_bytes, before);
    let reply = (PEER.to_owned(), success(1, &page()));
    assert_eq!(kit.datagrams(), std::array::from_fn::<_, 4, _>(|_| reply.clone()));
    assert_eq!(kit.count("duplicates-answered"), 3);
}

#[test]
fn rpc_answers_a_call_sent_again_on_a_new_connection_with_the_long_reply_of_the_first() {
    let shared = roomy();
    let mut first = Kit::connected(Some(Role::Server), shared.clone(), "10.0.0.2:700");
    first.records(&[square(1, 3)]);
    let calls = first.calls();
    first.answer(calls[0].name, Outcome::Success, &page());
    assert_eq!(first.sent().0, record(&success(1, &page())));
    let mut second = Kit::connected(Some(Role::Server), shared.clone(), "10.0.0.2:999");
    second.records(&[square(1, 3), square(2, 5)]);
    assert_eq!(second.calls().iter().map(|up| up.xid).collect::<Vec<_>>(), [2]);
    assert_eq!(second.sent().0, record(&success(1, &page())));
    // And on one where it is still in progress when it comes again.
    second.records(&[square(7, 3)]);
    let calls = second.calls();
    let mut third = Kit::connected(Some(Role::Server), shared, "10.0.0.2:998");
    third.records(&[square(7, 3)]);
    second.answer(calls[0].name, Outcome::Success, &page());
    third.rig.advance(ms(20));
    assert_eq!(third.sent().0, record(&success(7, &page())));
    first.collect();
    second.collect();
}

#[test]
fn rpc_remembers_long_replies_within_bounded_memory() {
    let mut kit = Kit::udp_with(roomy());
    for xid in 0..200 {
        kit.datagram(PEER, &square(xid, 3));
        let calls = kit.calls();
        kit.answer(calls[0].name, Outcome::Success, &page());
        kit.rig.below();
        assert!(kit.count("cached-bytes-of-long-replies") <= ROOMY as u64);
    }
    assert!(kit.count("cached-bytes-of-long-replies") > ROOMY as u64 / 2);
    kit.datagram(PEER, &square(0, 3));
    assert_eq!(kit.calls().len(), 1, "forgotten");
    kit.datagram(PEER, &square(199, 3));
    assert_eq!(kit.calls().len(), 0);
}

#[test]
fn rpc_remembers_within_bounded_memory() {
    let mut kit = Kit::udp();
    for xid in 0..1000 {
        kit.datagram(PEER, &square(xid, 3));
        let calls = kit.calls();
        kit.answer_squares(&calls);
        kit.rig.below();
    }
    assert!(kit.count("cached-calls") <= 16 && kit.count("cached-octets") < 4096);
    kit.datagram(PEER, &square(0, 3));
    assert_eq!(kit.calls().len(), 1, "forgotten");
    kit.datagram(PEER, &square(999, 3));
    assert_eq!(kit.calls().len(), 0);
}
