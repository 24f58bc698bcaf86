//! Calls that go up in one message, and replies that come down in one.

use crate::kit::*;
use millstream_core::tpi::{Primitive, address_at};
use millstream_core::{Drop, Errno, Side};
use millstream_modules::rpc::batch::{self, CallEntry, ENTRIES_AT, ENTRY, ReplyEntry};
use millstream_modules::rpc::{Role, RpcDrop, drc, primitive};
use millstream_msg::{Kind, Msg};
use millstream_onc::message::Outcome;
use millstream_rig::ms;

/// A message of calls: its block, its octets.
struct Came {
    block: Vec<u8>,
    data: Vec<u8>,
}

impl Came {
    fn entries(&self) -> Vec<CallEntry> {
        let count = batch::count(&self.block);
        (0..count).map(|n| CallEntry::read(&self.block, n).unwrap()).collect()
    }

    /// The records, without marks.
    fn records(&self) -> Vec<Vec<u8>> {
        let entries = self.entries();
        entries.iter().map(|call| self.data[call.at..][..call.len].to_vec()).collect()
    }
}

fn batched() -> Kit {
    let mut kit = Kit::tcp();
    ask(&mut kit, 1);
    kit
}

fn ask(kit: &mut Kit, wanted: u32) {
    let mut msg = kit.rig.msg(&[batch::R_BATCHES, wanted].map(u32::to_ne_bytes).concat());
    msg.set_kind(Kind::Ctl);
    kit.rig.put(Side::Write, msg);
    assert!(kit.rig.below().is_empty(), "it is no business of the transport");
}

fn came(kit: &mut Kit) -> Vec<Came> {
    let read = |msg: &Msg| {
        let block = msg.first().to_vec();
        assert_eq!(primitive::number(&block), Some(batch::R_CALLS_IND));
        let data = bytes(msg)[block.len()..].to_vec();
        Came { block, data }
    };
    kit.rig.above().iter().map(read).collect()
}

/// Answers in the order given: results, or an outcome.
fn answer(kit: &mut Kit, answers: &[(u32, u32, Option<Outcome>, &[u8])]) {
    let mut block = vec![0; ENTRIES_AT + answers.len() * ENTRY];
    let mut data = Vec::new();
    for (n, &(call, xid, outcome, results)) in answers.iter().enumerate() {
        let good = outcome == Some(Outcome::Success);
        let reply = if good { record(&success(xid, results)) } else { Vec::new() };
        ReplyEntry { call, outcome, len: reply.len() }.write(&mut block, n);
        data.extend(reply);
    }
    batch::replies(&mut block, answers.len());
    let mut msg = kit.rig.msg(&block);
    msg.set_kind(Kind::Proto);
    if !data.is_empty() {
        let data = kit.rig.msg(&data);
        msg.link(data);
    }
    kit.rig.put(Side::Write, msg);
}

const DONE: Option<Outcome> = Some(Outcome::Success);

#[test]
fn rpc_hands_up_the_calls_of_a_message_together_when_asked_to() {
    let mut kit = batched();
    let calls: Vec<_> = (0..100).map(|xid| square(xid, xid)).collect();
    kit.records(&calls);
    let batches = came(&mut kit);
    assert_eq!(batches.len(), 1);
    assert_eq!(batches[0].records(), calls);
    assert_eq!(address_at(&batches[0].block, 12), PEER.parse().ok());
    assert_eq!(address_at(&batches[0].block, 20), LOCAL.parse().ok());
    assert!(batches[0].entries().iter().all(|call| call.header == 40));
    let entries = batches[0].entries();
    let answers: Vec<_> =
        entries.iter().zip(0..).map(|(call, xid)| (call.call, xid, DONE, &b"done"[..])).collect();
    answer(&mut kit, &answers);
    let want: Vec<u8> = (0..100).flat_map(|xid| record(&success(xid, b"done"))).collect();
    assert_eq!(kit.sent(), (want, 1));
    assert_eq!((kit.count("calls"), kit.count("replies"), kit.count("in-progress")), (100, 100, 0));
    ask(&mut kit, 0);
    kit.records(&calls[..2]);
    assert_eq!(kit.calls().len(), 0, "both came before");
    kit.records(&[square(100, 1), square(101, 1)]);
    assert_eq!(kit.calls().len(), 2, "one by one again");
}

#[test]
fn rpc_answers_what_is_no_plain_call_of_a_batch_itself() {
    let mut kit = batched();
    let unknown = call(3, [PROGRAM + 1, 1, 0], b"");
    let version = call(4, [PROGRAM, 9, 0], b"");
    kit.records(&[square(1, 1), square(2, 2), unknown, square(5, 5), version, square(6, 6)]);
    let batches = came(&mut kit);
    let records: Vec<_> = batches.iter().map(Came::records).collect();
    assert_eq!(records, [vec![square(1, 1), square(2, 2)], vec![square(5, 5)], vec![square(6, 6)]]);
    let refused = [reply(3, &[0, 0, 0, 1]), reply(4, &[0, 0, 0, 2, 1, 2])];
    assert_eq!(kit.sent().0, refused.map(|octets| record(&octets)).concat());
}

#[test]
fn rpc_hands_up_a_record_in_pieces_alone_and_goes_on_with_batches() {
    let mut kit = batched();
    let octets: Vec<u8> = (0..9).flat_map(|xid| record(&square(xid, xid))).collect();
    // The fifth record is cut.
    let (front, back) = octets.split_at(48 * 4 + 20);
    kit.rig.up(front);
    let batches = came(&mut kit);
    assert_eq!(batches.iter().map(|came| came.entries().len()).collect::<Vec<_>>(), [4]);
    kit.rig.up(back);
    let mut up = kit.rig.above();
    let rest = up.pop().unwrap();
    assert_eq!(batch::count(rest.first()), 4);
    let alone: Vec<_> = up.iter().filter_map(read_call).collect();
    assert_eq!(alone.iter().map(|call| call.xid).collect::<Vec<_>>(), [4]);
}

#[test]
fn rpc_sends_successes_refusals_and_nothing_as_a_batch_says() {
    let mut kit = batched();
    kit.records(&[square(1, 1), square(2, 2), square(3, 3), square(4, 4)]);
    let calls = came(&mut kit)[0].entries();
    let names: Vec<u32> = calls.iter().map(|call| call.call).collect();
    // The second is answered by a message of its own, later.
    answer(
        &mut kit,
        &[
            (names[0], 1, DONE, b"one."),
            (names[2], 3, Some(Outcome::GarbageArgs), b""),
            (names[3], 4, None, b""),
        ],
    );
    let want = [success(1, b"one."), reply(3, &[0, 0, 0, 4])].map(|octets| record(&octets));
    let sent = kit.sent().0;
    assert!(sent == want.concat() || sent == [&want[1][..], &want[0]].concat());
    assert_eq!((kit.count("in-progress"), kit.count("silent")), (1, 1));
    kit.answer(names[1], Outcome::Success, b"two.");
    assert_eq!(kit.sent().0, record(&success(2, b"two.")));
    // What went wrong may be tried again; what is done or silent has its reply.
    kit.records(&[square(1, 1), square(2, 2), square(3, 3), square(4, 4)]);
    assert_eq!(came(&mut kit).iter().flat_map(Came::records).collect::<Vec<_>>(), [square(3, 3)]);
    let again = [success(1, b"one."), success(2, b"two.")];
    let again: Vec<u8> = again.iter().flat_map(|octets| record(octets)).collect();
    assert_eq!(kit.sent().0[..again.len()], again);
}

#[test]
fn rpc_sends_no_reply_to_a_call_that_is_over_and_those_around_it() {
    let mut kit = batched();
    kit.records(&[square(1, 1), square(2, 2), square(3, 3)]);
    let names: Vec<u32> = came(&mut kit)[0].entries().iter().map(|call| call.call).collect();
    kit.answer(names[1], Outcome::Success, b"two.");
    kit.sent();
    let late = |n: usize| (names[n], n as u32 + 1, DONE, &b"late"[..]);
    answer(&mut kit, &[late(0), late(1), late(2)]);
    let want = [success(1, b"late"), success(3, b"late")].map(|octets| record(&octets));
    assert_eq!(kit.sent().0, want.concat());
    assert_eq!(kit.rig.drops(RpcDrop::StrayReply), 1);
    answer(&mut kit, &[late(0), (7, 7, Some(Outcome::SystemErr), b"")]);
    assert!(kit.sent().0.is_empty());
    assert_eq!(kit.count("stray-replies"), 3);
}

#[test]
fn rpc_hands_up_no_more_calls_at_once_than_may_be_in_progress() {
    let mut kit = batched();
    kit.rig.set("calls-max", "10").unwrap();
    let calls: Vec<_> = (0..25).map(|xid| square(xid, xid)).collect();
    kit.records(&calls);
    let mut seen = Vec::new();
    for want in [10, 10, 5] {
        let batches = came(&mut kit);
        let entries: Vec<_> = batches.iter().flat_map(Came::entries).collect();
        assert_eq!(entries.len(), want);
        seen.extend(batches.iter().flat_map(Came::records));
        let answers: Vec<_> = entries.iter().map(|call| (call.call, 0, DONE, &b""[..])).collect();
        answer(&mut kit, &answers);
    }
    assert_eq!(seen, calls);
}

#[test]
fn rpc_keeps_the_calls_of_a_batch_that_there_was_no_memory_for() {
    let calls: Vec<_> = (0..5).map(|xid| square(xid, xid)).collect();
    for nth in 1..=3 {
        let mut kit = batched();
        let mut msg = kit.rig.msg(&calls.iter().flat_map(|call| record(call)).collect::<Vec<_>>());
        let half = kit.rig.msg(&record(&square(9, 9))[..30]);
        msg.link(half);
        kit.rig.perimeter().pool().fail_nth(nth);
        kit.rig.put(Side::Read, msg);
        kit.rig.perimeter().pool().fail_none();
        kit.rig.advance(ms(20));
        let up = kit.rig.above();
        let whole: usize = up
            .iter()
            .map(|msg| match primitive::number(msg.first()) {
                Some(batch::R_CALLS_IND) => batch::count(msg.first()),
                _ => 1,
            })
            .sum();
        assert_eq!(whole, 5, "attempt {nth}");
        assert_eq!(kit.count("in-progress"), 5);
    }
}

#[test]
fn rpc_tries_refusals_of_a_batch_again_that_there_was_no_memory_for() {
    let mut kit = batched();
    kit.records(&[square(1, 1), square(2, 2)]);
    let names: Vec<u32> = came(&mut kit)[0].entries().iter().map(|call| call.call).collect();
    let wrong = Some(Outcome::SystemErr);
    kit.rig.perimeter().pool().fail_nth(3);
    answer(&mut kit, &[(names[0], 1, wrong, b""), (names[1], 2, DONE, b"two.")]);
    kit.rig.perimeter().pool().fail_none();
    kit.rig.advance(ms(20));
    let want = [success(2, b"two."), reply(1, &[0, 0, 0, 5])].map(|octets| record(&octets));
    assert_eq!(kit.sent().0, want.concat());
    assert_eq!(kit.count("in-progress"), 0);
}

#[test]
fn rpc_answers_calls_of_a_batch_again_on_a_new_connection() {
    let shared = roomy();
    let mut first = Kit::connected(Some(Role::Server), shared.clone(), PEER);
    ask(&mut first, 1);
    first.records(&[square(1, 3), square(2, 4)]);
    let names: Vec<u32> = came(&mut first)[0].entries().iter().map(|call| call.call).collect();
    let long = vec![7; drc::REPLY_MAX];
    answer(&mut first, &[(names[0], 1, DONE, b"nine"), (names[1], 2, DONE, &long)]);
    first.up_word(&Primitive::discon_ind(Errno::ECONNRESET, -1));
    let mut second = Kit::connected(Some(Role::Server), shared, "10.0.0.2:999");
    ask(&mut second, 1);
    second.records(&[square(1, 3), square(2, 4)]);
    let again = [success(1, b"nine"), success(2, &long)].map(|octets| record(&octets));
    assert_eq!(second.sent().0, again.concat());
    assert!(came(&mut second).is_empty());
    first.collect();
}

#[test]
fn rpc_throws_away_a_batch_of_replies_that_cannot_be_read() {
    let mut kit = batched();
    kit.records(&[square(1, 1)]);
    let name = came(&mut kit)[0].entries()[0].call;
    for (len, claimed) in [(ENTRIES_AT, 5), (8, 1), (4, 0)] {
        let mut block = vec![0; len.max(8)];
        primitive::put_words(&mut block, [batch::R_REPLIES_REQ, claimed]);
        block.truncate(len);
        let mut msg = kit.rig.msg(&block);
        msg.set_kind(Kind::Proto);
        kit.rig.put(Side::Write, msg);
    }
    // More octets than there are.
    let mut block = vec![0; ENTRIES_AT + ENTRY];
    ReplyEntry { call: name, outcome: DONE, len: 100 }.write(&mut block, 0);
    batch::replies(&mut block, 1);
    let mut msg = kit.rig.msg(&block);
    msg.set_kind(Kind::Proto);
    kit.rig.put(Side::Write, msg);
    assert!(kit.sent().0.is_empty());
    assert_eq!(kit.count("in-progress"), 1);
    assert_eq!(kit.rig.drops(Drop::NO_MEMORY), 0);
}
