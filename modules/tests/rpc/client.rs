//! Calls to peers.

use crate::kit::*;
use millstream_core::Side;
use millstream_core::tpi::{self, Primitive};
use millstream_modules::rpc::primitive::{ONE_WAY, R_CANCEL_REQ, put_words};
use millstream_modules::rpc::{Role, RpcDrop};
use millstream_msg::Kind;
use millstream_rig::{ms, secs};

fn client() -> Kit {
    Kit::connected(Some(Role::Client), commons(), PEER)
}

/// The xid of each call in some octets, which are records of one fragment.
fn xids(mut octets: &[u8]) -> Vec<u32> {
    let mut xids = Vec::new();
    while let Some((mark, rest)) = octets.split_first_chunk::<4>() {
        let len = (u32::from_be_bytes(*mark) & 0x7fff_ffff) as usize;
        xids.push(u32::from_be_bytes(rest[..4].try_into().unwrap()));
        octets = &rest[len..];
    }
    xids
}

fn ended(handle: u32, status: u32, words: [u32; 2], results: &[u8]) -> Ended {
    Ended { handle, status, words, results: results.to_vec() }
}

#[test]
fn rpc_sends_calls_with_the_header_in_their_headroom_and_finds_replies_in_any_order() {
    let mut kit = client();
    for handle in 0..3u32 {
        kit.call_out(handle, 0, 0, &handle.to_be_bytes());
    }
    let (octets, _) = kit.sent();
    let xids = xids(&octets);
    let want: Vec<u8> = (0..3).flat_map(|n| record(&square(xids[n as usize], n))).collect();
    assert_eq!(octets, want);
    kit.records(&[success(xids[2], b"two!"), success(xids[0], b""), success(99, b"none")]);
    assert_eq!(kit.ended(), [ended(2, 0, [0; 2], b"two!"), ended(0, 0, [0; 2], b"")]);
    assert_eq!(kit.rig.drops(RpcDrop::StrayReply), 1);
    kit.records(&[success(xids[2], b"again")]);
    assert!(kit.ended().is_empty(), "a reply is one");
    kit.records(&[success(xids[1], b"one!")]);
    assert_eq!(kit.ended(), [ended(1, 0, [0; 2], b"one!")]);
}

#[test]
fn rpc_tells_how_a_call_went_wrong_in_the_numbers_of_clnt_stat() {
    for (words, status, told) in [
        (&[0, 0, 0, 1][..], 8, [0, 0]),
        (&[0, 0, 0, 2, 3, 4], 9, [3, 4]),
        (&[0, 0, 0, 3], 10, [0, 0]),
        (&[0, 0, 0, 4], 11, [0, 0]),
        (&[0, 0, 0, 5], 12, [0, 0]),
        (&[1, 0, 2, 2], 6, [2, 2]),
        (&[1, 1, 5], 7, [5, 0]),
        (&[0, 0, 0, 2, 3], 2, [0, 0]),
        (&[7], 2, [0, 0]),
    ] {
        let mut kit = client();
        kit.call_out(5, 0, 0, b"");
        let xid = xids(&kit.sent().0)[0];
        kit.records(&[reply(xid, words)]);
        assert_eq!(kit.ended(), [ended(5, status, told, b"")], "{words:?}");
    }
}

#[test]
fn rpc_gives_a_call_up_when_its_time_is_over_each_at_its_own() {
    let mut kit = client();
    kit.call_out(1, 0, 500, b"");
    kit.call_out(2, 0, 100, b"");
    kit.call_out(3, 0, 0, b"");
    let xids = xids(&kit.sent().0);
    kit.rig.advance(ms(101));
    assert_eq!(kit.ended(), [ended(2, 5, [0; 2], b"")]);
    kit.rig.advance(ms(400));
    assert_eq!(kit.ended(), [ended(1, 5, [0; 2], b"")]);
    kit.records(&[success(xids[0], b"late")]);
    assert!(kit.ended().is_empty());
    kit.rig.set("time-out", "1").unwrap();
    kit.rig.advance(secs(60));
    assert_eq!(kit.ended(), [ended(3, 5, [0; 2], b"")], "as was set when it was sent");
    assert_eq!(kit.count("time-outs"), 3);
}

#[test]
fn rpc_forgets_a_call_that_is_cancelled() {
    let mut kit = client();
    kit.call_out(1, 0, 0, b"");
    kit.call_out(2, 0, 0, b"");
    let xids = xids(&kit.sent().0);
    for handle in [1, 77] {
        let mut words = [0; 8];
        put_words(&mut words, [R_CANCEL_REQ, handle]);
        let mut msg = kit.rig.msg(&words);
        msg.set_kind(Kind::Proto);
        kit.rig.put(Side::Write, msg);
    }
    assert_eq!(kit.ended(), [ended(1, 18, [0; 2], b"")]);
    kit.records(&[success(xids[0], b"late"), success(xids[1], b"good")]);
    assert_eq!(kit.ended(), [ended(2, 0, [0; 2], b"good")]);
}

#[test]
fn rpc_waits_for_no_reply_of_a_one_way_call() {
    let mut kit = client();
    for handle in 0..1000 {
        kit.call_out(handle, ONE_WAY, 1, b"");
    }
    assert_eq!(xids(&kit.sent().0).len(), 1000);
    kit.rig.advance(secs(10));
    assert!(kit.ended().is_empty());
    assert_eq!(kit.count("waiting-for-replies"), 0);
}

#[test]
fn rpc_calls_back_on_the_connection_that_calls_came_on() {
    let mut kit = Kit::tcp();
    kit.records(&[square(1, 3)]);
    let calls = kit.calls();
    kit.call_out(8, 0, 0, b"back");
    let xid = xids(&kit.sent().0)[0];
    // The peer answers in the midst of its own calls; its xids are its own.
    kit.records(&[square(xid, 4), success(xid, b"yes!"), square(2, 5)]);
    let above = kit.rig.above();
    let ups: Vec<_> = above.iter().filter_map(read_call).map(|up| up.xid).collect();
    let ends: Vec<_> = above.iter().filter_map(read_ended).collect();
    assert_eq!((ups, ends), (vec![xid, 2], vec![ended(8, 0, [0; 2], b"yes!")]));
    drop(above);
    kit.answer_squares(&calls);
    assert_eq!(kit.sent().0, record(&success(1, &9u32.to_be_bytes())));
    // And a client answers calls of its server.
    let mut kit = client();
    kit.records(&[square(1, 3)]);
    assert_eq!(kit.calls().len(), 1);
}

#[test]
fn rpc_sends_datagrams_again_later_and_later_until_the_reply_comes() {
    let mut kit = Kit::udp();
    kit.call_out(1, 0, 10_000, b"args");
    let first = kit.datagrams();
    assert_eq!(first[0].0, PEER);
    let mut at = Vec::new();
    for step in 1..70 {
        kit.rig.advance(ms(100));
        let again = kit.datagrams();
        if !again.is_empty() {
            assert_eq!(again, first);
            at.push(step);
        }
    }
    // After 1 s, 2 s more, 4 s more.
    assert_eq!(at.len(), 2, "{at:?}");
    assert!((10..12).contains(&at[0]) && (30..33).contains(&at[1]), "{at:?}");
    let xid = u32::from_be_bytes(first[0].1[..4].try_into().unwrap());
    kit.datagram(PEER, &success(xid, b"done"));
    assert_eq!(kit.ended(), [ended(1, 0, [0; 2], b"done")]);
    kit.rig.advance(secs(60));
    assert_eq!(kit.datagrams(), []);
    assert_eq!(kit.count("retransmissions"), 2);
}

#[test]
fn rpc_sends_again_sooner_when_replies_come_fast_and_gives_up_in_time() {
    let mut kit = Kit::udp();
    for handle in 0..20 {
        kit.call_out(handle, 0, 0, b"");
        let xid = u32::from_be_bytes(kit.datagrams()[0].1[..4].try_into().unwrap());
        kit.rig.advance(ms(2));
        kit.datagram(PEER, &success(xid, b""));
    }
    kit.ended();
    kit.call_out(99, 0, 1000, b"");
    kit.rig.below();
    kit.rig.advance(ms(101));
    assert_eq!(kit.datagrams().len(), 1, "100 ms is the least");
    kit.rig.advance(secs(1));
    assert_eq!(kit.ended(), [ended(99, 5, [0; 2], b"")]);
}

#[test]
fn rpc_tells_of_a_datagram_that_was_not_delivered() {
    let mut kit = Kit::udp();
    kit.call_out(1, 0, 0, b"");
    kit.rig.below();
    let errno = millstream_core::Errno::ECONNREFUSED;
    kit.up_word(&Primitive::uderror_ind("10.9.9.9:1".parse().unwrap(), errno));
    assert!(kit.ended().is_empty(), "another's");
    kit.up_word(&Primitive::uderror_ind(PEER.parse().unwrap(), errno));
    assert_eq!(kit.ended(), [ended(1, 23, [errno.0 as u32, 0], b"")]);
}

#[test]
fn rpc_ends_all_calls_with_their_connection_and_takes_no_more() {
    for word in [Primitive::ordrel_ind(), Primitive::discon_ind(millstream_core::Errno(104), -1)] {
        let mut kit = client();
        kit.call_out(1, 0, 0, b"");
        kit.rig.below();
        kit.up_word(&word);
        let above = kit.rig.above();
        let ends: Vec<_> = above.iter().filter_map(read_ended).collect();
        assert_eq!(ends, [ended(1, 4, [0; 2], b"")]);
        let last = tpi::primitive(above.last().unwrap().first());
        assert_eq!(last, tpi::primitive(word.as_bytes()), "then the end itself");
        drop(above);
        kit.call_out(2, 0, 0, b"");
        assert_eq!(kit.ended(), [ended(2, 3, [0; 2], b"")]);
    }
}

#[test]
fn rpc_lets_calls_wait_that_are_too_many() {
    let mut kit = client();
    for handle in 0..5000 {
        kit.call_out(handle, 0, 0, b"");
    }
    let first = xids(&kit.sent().0);
    assert_eq!(first.len(), 4096);
    let replies: Vec<_> = first.iter().map(|xid| success(*xid, b"")).collect();
    kit.records(&replies);
    assert_eq!(kit.ended().len(), 4096);
    kit.rig.advance(ms(20));
    assert_eq!(xids(&kit.sent().0).len(), 5000 - 4096);
}
