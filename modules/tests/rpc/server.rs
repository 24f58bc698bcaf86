//! Calls of peers: from records to programs, and replies back.

use crate::kit::*;
use millstream_core::tpi::{self, State};
use millstream_core::{Drop, Side};
use millstream_modules::rpc::{Role, RpcDrop, marking};
use millstream_onc::message::Outcome;
use millstream_rig::secs;

#[test]
fn rpc_asks_what_is_below_and_the_push_waits_for_the_answer() {
    let mut kit = Kit::opened(Some(Role::Server), commons(), tpi::T_CLTS, State::Idle);
    assert!(kit.rig.below().is_empty(), "datagrams: there is no peer to ask for");
    kit.datagram(PEER, &square(1, 3));
    assert_eq!(kit.calls().len(), 1);
}

#[test]
fn rpc_holds_what_comes_until_its_role_and_the_peer_are_known() {
    let mut kit = Kit::connected(None, commons(), PEER);
    kit.records(&[square(1, 3)]);
    assert!(kit.calls().is_empty());
    assert_eq!(kit.rig.balance().queued, 1);
    kit.rig.set("role", "server").unwrap();
    let calls = kit.calls();
    assert_eq!(calls[0].peer, PEER.parse().ok());
    assert_eq!(kit.rig.set("role", "both").unwrap_err(), "role=both: client or server");
}

#[test]
fn rpc_hands_a_record_up_as_one_message_with_what_it_is_and_its_arguments() {
    let mut kit = Kit::tcp();
    kit.records(&[square(77, 3)]);
    let calls = kit.calls();
    let name = calls[0].name;
    let peer = PEER.parse().ok();
    let [args, body] = [3u32.to_be_bytes().to_vec(), vec![]];
    let want = Up { name, xid: 77, procedure: [PROGRAM, 1, 1], flavour: 0, body, peer, args };
    assert_eq!(calls, [want]);
    kit.answer(name, Outcome::Success, &9u32.to_be_bytes());
    assert_eq!(kit.sent(), (record(&success(77, &9u32.to_be_bytes())), 1));
    kit.answer(name, Outcome::Success, b"once");
    assert_eq!(kit.rig.drops(RpcDrop::StrayReply), 1);
}

#[test]
fn rpc_hands_the_credential_up_as_it_came() {
    let mut kit = Kit::tcp();
    let body = [0, 0, 500, 100, 0].map(u32::to_be_bytes).concat();
    let words = [5, 0, 2, PROGRAM, 1, 0, 1, body.len() as u32].map(u32::to_be_bytes).concat();
    kit.records(&[[&words[..], &body, &[0; 8]].concat()]);
    let calls = kit.calls();
    assert_eq!((calls[0].flavour, &calls[0].body), (1, &body));
}

#[test]
fn rpc_joins_fragments_of_one_octet_and_empty_ones() {
    let mut kit = Kit::tcp();
    let octets = square(1, 12);
    let (last, rest) = octets.split_last().unwrap();
    let mut wire: Vec<u8> =
        rest.iter().flat_map(|octet| [&marking::mark(1, false)[..], &[*octet]].concat()).collect();
    wire.extend(marking::mark(0, false));
    wire.extend([&marking::mark(1, true)[..], &[*last]].concat());
    wire.extend(record(&square(2, 13)));
    kit.rig.up(&wire);
    let calls = kit.calls();
    assert_eq!(calls.iter().map(|up| (up.xid, up.args[3])).collect::<Vec<_>>(), [(1, 12), (2, 13)]);
}

#[test]
fn rpc_takes_calls_that_come_octet_by_octet() {
    let mut kit = Kit::tcp();
    for octet in [record(&square(1, 12)), record(&square(2, 13))].concat() {
        kit.rig.up(&[octet]);
    }
    assert_eq!(kit.calls().len(), 2);
}

#[test]
fn rpc_sends_the_replies_of_a_batch_in_one_message() {
    let mut kit = Kit::tcp();
    let calls: Vec<_> = (0..500).map(|xid| square(xid, xid)).collect();
    kit.records(&calls);
    let calls = kit.calls();
    assert_eq!(calls.len(), 500);
    kit.answer_squares(&calls);
    let want: Vec<u8> =
        (0..500u32).flat_map(|xid| record(&success(xid, &(xid * xid).to_be_bytes()))).collect();
    assert_eq!(kit.sent(), (want, 1));
}

#[test]
fn rpc_answers_in_the_order_of_the_answers_and_a_slow_call_holds_up_nobody() {
    let mut kit = Kit::tcp();
    kit.records(&[square(1, 1), square(2, 2), square(3, 3)]);
    let calls = kit.calls();
    for at in [2, 1] {
        kit.answer_squares(&calls[at..=at]);
    }
    kit.rig.up(&record(&square(4, 4))[..20]);
    kit.rig.advance(secs(5));
    kit.answer_squares(&calls[..1]);
    let want = [(3u32, 9u32), (2, 4), (1, 1)];
    let want: Vec<u8> =
        want.iter().flat_map(|(xid, n)| record(&success(*xid, &n.to_be_bytes()))).collect();
    assert_eq!(kit.sent().0, want);
}

#[test]
fn rpc_has_no_reply_for_a_batch_call() {
    let mut kit = Kit::tcp();
    kit.records(&[square(1, 1), square(2, 2)]);
    let calls = kit.calls();
    let silent = kit.reply_msg(calls[0].name, None, b"");
    kit.rig.put(Side::Write, silent);
    kit.answer_squares(&calls[1..]);
    assert_eq!(kit.sent().0, record(&success(2, &4u32.to_be_bytes())));
    assert_eq!(kit.count("silent"), 1);
}

#[test]
fn rpc_holds_calls_while_replies_cannot_go_down_and_the_transport_is_told() {
    let mut kit = Kit::tcp();
    kit.rig.full(Side::Write);
    for round in 0..2000 {
        let calls: Vec<_> = (0..20).map(|n| square(round * 20 + n, n)).collect();
        if !kit.rig.room(Side::Read) {
            break;
        }
        kit.records(&calls);
    }
    assert!(kit.calls().is_empty(), "no reply could leave");
    assert!(!kit.rig.room(Side::Read), "the transport has to wait: its window closes");
    let queued = kit.rig.balance().queued;
    assert!(queued < 1100, "{queued} messages are held");
    kit.rig.relieve(Side::Write);
    loop {
        let calls = kit.calls();
        if calls.is_empty() {
            break;
        }
        kit.answer_squares(&calls);
        kit.sent();
    }
    assert_eq!(kit.rig.balance().queued, 0);
    assert!(kit.rig.room(Side::Read));
    assert_eq!((kit.rig.overruns(Side::Read), kit.rig.overruns(Side::Write)), (0, 0));
}

#[test]
fn rpc_keeps_replies_while_they_cannot_go_down_and_takes_no_more_calls() {
    let mut kit = Kit::tcp();
    kit.records(&[square(1, 1), square(2, 2)]);
    let calls = kit.calls();
    kit.rig.full(Side::Write);
    kit.answer_squares(&calls);
    assert_eq!(kit.sent(), (vec![], 0));
    kit.records(&[square(3, 3)]);
    assert!(kit.calls().is_empty());
    kit.rig.relieve(Side::Write);
    let want = [(1u32, 1u32), (2, 4)];
    let want: Vec<u8> =
        want.iter().flat_map(|(xid, n)| record(&success(*xid, &n.to_be_bytes()))).collect();
    assert_eq!(kit.sent(), (want, 1));
    assert_eq!(kit.calls()[0].xid, 3);
    assert_eq!(kit.rig.overruns(Side::Write), 0);
}

#[test]
fn rpc_hands_up_no_more_calls_than_may_be_in_progress() {
    let mut kit = Kit::tcp();
    kit.rig.set("calls-max", "10").unwrap();
    let calls: Vec<_> = (0..10_000).map(|xid| square(xid, xid)).collect();
    kit.records(&calls);
    let mut answered = 0;
    loop {
        let calls = kit.calls();
        if calls.is_empty() {
            break;
        }
        assert!(calls.len() <= 10, "{}", calls.len());
        answered += calls.len();
        kit.answer_squares(&calls);
    }
    assert_eq!(answered, 10_000);
    assert_eq!(kit.sent().0.len(), 10_000 * 32);
}

#[test]
fn rpc_hands_up_fewer_calls_when_their_replies_are_long() {
    let mut kit = Kit::tcp();
    let long = vec![7; 100_000];
    for round in 0..40 {
        kit.records(&[square(round, 1)]);
        let calls = kit.calls();
        kit.answer(calls[0].name, Outcome::Success, &long);
        kit.rig.below();
    }
    let calls: Vec<_> = (1000..2000).map(|xid| square(xid, xid)).collect();
    kit.records(&calls);
    let calls = kit.calls().len();
    assert!((10..=20).contains(&calls), "{calls}");
}

#[test]
fn rpc_takes_programs_from_whoever_is_above_it() {
    let mut kit = Kit::tcp();
    kit.records(&[call(1, [99, 1, 0], b"")]);
    assert_eq!(kit.sent().0, record(&reply(1, &[0, 0, 0, 1])));
    kit.register([99, 4, 2]);
    kit.register([99, 6, 2]);
    kit.records(&[
        call(2, [99, 4, 1], b"up"),
        call(3, [99, 4, 2], b""),
        call(4, [99, 5, 0], b""),
        call(5, [99, 0, 0], b""),
    ]);
    assert_eq!(kit.calls().iter().map(|up| up.xid).collect::<Vec<_>>(), [2]);
    let range = [0, 0, 0, 2, 4, 6];
    let want = [reply(3, &[0, 0, 0, 3]), reply(4, &range), reply(5, &range)];
    assert_eq!(kit.sent().0, want.map(|octets| record(&octets)).concat());
}

#[test]
fn rpc_shows_calls_and_times_of_each_procedure() {
    let mut kit = Kit::tcp();
    kit.records(&[square(1, 1), call(2, [PROGRAM, 2, 0], b"")]);
    let calls = kit.calls();
    kit.rig.advance(secs(1));
    kit.answer_squares(&calls[..1]);
    let text = format!("{:?}", kit.rig.view().fields);
    assert!(text.contains("536872241.1.1 SQUARE: calls 1, queue p50 0.0"), "{text}");
    assert!(text.contains("536872241.2.0 NULL: calls 1"), "{text}");
    assert!(text.contains("service p50 1000000"), "{text}");
    assert_eq!((kit.count("calls"), kit.count("replies"), kit.count("in-progress")), (2, 1, 1));
}

#[test]
fn rpc_without_memory_waits_and_loses_no_call() {
    for nth in 1..12 {
        let mut kit = Kit::tcp();
        let wire: Vec<u8> = (0..4).flat_map(|xid| record(&square(xid, xid))).collect();
        let msg = kit.rig.msg(&wire);
        kit.rig.perimeter().pool().fail_nth(nth);
        kit.rig.put(Side::Read, msg);
        kit.rig.perimeter().pool().fail_none();
        kit.rig.advance(secs(1));
        let calls = kit.calls();
        assert_eq!(calls.iter().map(|up| up.xid).collect::<Vec<_>>(), [0, 1, 2, 3], "{nth}");
        let batch: Vec<_> = calls
            .iter()
            .map(|up| kit.reply_msg(up.name, Some(Outcome::Success), b"done"))
            .collect();
        kit.rig.perimeter().pool().fail_nth(nth);
        kit.rig.inject(Side::Write, batch.into_iter().collect());
        kit.rig.perimeter().pool().fail_none();
        kit.rig.advance(secs(1));
        assert_eq!(kit.sent().0.len(), 4 * 32, "{nth}");
        assert_eq!(kit.rig.drops(Drop::NO_MEMORY), 0);
    }
}

impl Kit {
    /// RPC_REGISTER, as a head sends it.
    fn register(&mut self, words: [u32; 3]) {
        use millstream_core::ioctl::{Cred, IocId, Iocblk};
        let blk = Iocblk {
            cmd: millstream_modules::rpc::RPC_REGISTER,
            id: IocId(9),
            cred: Cred::default(),
            count: 12,
            rval: 0,
            error: millstream_core::Errno(0),
        };
        let mut msg = self.rig.msg(&blk.to_bytes());
        msg.set_kind(millstream_msg::Kind::Ioctl);
        let data = self.rig.msg(&words.map(u32::to_ne_bytes).concat());
        msg.link(data);
        self.rig.put(Side::Write, msg);
        let answered = self.rig.above();
        assert_eq!(answered[0].kind(), millstream_msg::Kind::IocAck);
    }
}
