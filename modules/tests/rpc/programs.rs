//! `programs` above `rpc`: calls reach programs, now and later.

use crate::kit::*;
use millstream_core::tpi::{self, Info, Primitive, State};
use millstream_core::{Config, Module, Perimeter, Side, StreamId};
use millstream_modules::programs::{ANSWERED, Programs};
use millstream_modules::rpc::primitive::{R_CALL_IND, number};
use millstream_modules::rpc::{Commons, Role, Rpc, drc};
use millstream_msg::{Kind, Msg};
use millstream_onc::xdr::{Decoder, Encoder};
use millstream_onc::{
    Answer, Call, Completions, Credential, Later, ProcedureInfo, Program, Registry, Ticket,
    VersionInfo,
};
use millstream_rig::{Rig, ms};
use std::sync::{Arc, Mutex};

/// Squares at once, or later; says who called.
struct Square(Arc<Mutex<Vec<Ticket>>>);

const PROCEDURES: &[ProcedureInfo] = &[
    ProcedureInfo::new(0, "NULL"),
    ProcedureInfo::new(1, "SQUARE"),
    ProcedureInfo::new(2, "LATER"),
    ProcedureInfo::new(3, "WHO"),
    ProcedureInfo::new(4, "BATCH"),
];

impl Program for Square {
    fn number(&self) -> u32 {
        PROGRAM
    }

    fn versions(&self) -> &'static [VersionInfo] {
        &[VersionInfo { number: 1, procedures: PROCEDURES }]
    }

    fn call(
        &mut self,
        call: &Call<'_>,
        mut args: Decoder<'_>,
        reply: &mut Encoder<'_>,
        later: &mut Later,
    ) -> Answer {
        match call.procedure {
            0 => Answer::Done,
            1 => match args.i32() {
                Ok(number) if reply.i32(number * number).is_ok() => Answer::Done,
                _ => Answer::GarbageArgs,
            },
            2 => {
                self.0.lock().unwrap().push(later.ticket());
                Answer::Later
            }
            3 => {
                let uid = match call.credential {
                    Credential::Sys(sys) => sys.uid,
                    _ => 0,
                };
                assert_eq!(call.peer, PEER.parse().unwrap());
                assert_eq!(call.local, LOCAL.parse().unwrap());
                reply.u32(uid).map_or(Answer::SystemErr, |()| Answer::Done)
            }
            _ => Answer::Silent,
        }
    }
}

/// The module alone: calls come up as from `rpc`.
struct Above {
    rig: Rig,
    tickets: Arc<Mutex<Vec<Ticket>>>,
    /// A server whose calls are handed on.
    server: Kit,
}

impl Above {
    fn new() -> Self {
        let (registry, tickets) = (Registry::default(), Arc::default());
        registry.register(Box::new(Square(Arc::clone(&tickets)))).map_err(drop).unwrap();
        let programs = Programs::new(registry.clone(), Completions::default());
        let commons = Commons::new(registry, drc::BYTES_MIN, 7);
        let server = Kit::connected(Some(Role::Server), commons, PEER);
        let mut rig = Rig::new(Box::new(programs));
        // Batches are asked for: here each call comes alone.
        assert_eq!(rig.below().len(), 1);
        Self { rig, tickets, server }
    }

    /// Hands on what a peer has sent; what goes back to it.
    fn calls(&mut self, calls: &[Vec<u8>]) -> Vec<u8> {
        self.server.records(calls);
        for msg in self.server.rig.above() {
            let (control, args) = (msg.first().to_vec(), bytes(&msg)[msg.first().len()..].to_vec());
            assert_eq!(number(&control), Some(R_CALL_IND));
            let msg = joined(&mut self.rig, msg.kind(), &control, &args);
            self.rig.put(Side::Read, msg);
        }
        self.hand_down()
    }

    fn hand_down(&mut self) -> Vec<u8> {
        for msg in self.rig.below() {
            let (control, results) =
                (msg.first().to_vec(), bytes(&msg)[msg.first().len()..].to_vec());
            let msg = joined(&mut self.server.rig, msg.kind(), &control, &results);
            self.server.rig.put(Side::Write, msg);
        }
        self.server.sent().0
    }
}

fn joined(rig: &mut Rig, kind: Kind, control: &[u8], data: &[u8]) -> Msg {
    let mut msg = rig.msg(control);
    msg.set_kind(kind);
    if !data.is_empty() {
        let data = rig.msg(data);
        msg.link(data);
    }
    msg
}

fn procedure(xid: u32, procedure: u32, args: &[u8]) -> Vec<u8> {
    call(xid, [PROGRAM, 1, procedure], args)
}

#[test]
fn programs_answer_and_say_what_is_wrong_with_arguments() {
    let mut above = Above::new();
    let sent = above.calls(&[procedure(1, 1, &12u32.to_be_bytes()), procedure(2, 0, b"")]);
    let want = [success(1, &144u32.to_be_bytes()), success(2, b"")];
    assert_eq!(sent, want.map(|octets| record(&octets)).concat());
    assert_eq!(above.calls(&[procedure(3, 1, b"")]), record(&reply(3, &[0, 0, 0, 4])));
}

#[test]
fn programs_know_who_calls_from_where() {
    let mut above = Above::new();
    assert_eq!(above.calls(&[procedure(1, 3, b"")]), record(&success(1, &[0; 4])));
    let body = [0, 0, 500, 100, 0].map(u32::to_be_bytes).concat();
    let words = [5, 0, 2, PROGRAM, 1, 3, 1, body.len() as u32].map(u32::to_be_bytes).concat();
    let sent = above.calls(&[[&words[..], &body, &[0; 8]].concat()]);
    assert_eq!(sent, record(&success(5, &500u32.to_be_bytes())));
}

#[test]
fn programs_answer_later_from_any_thread_and_hold_up_nobody() {
    let mut above = Above::new();
    let sent = above.calls(&[procedure(1, 2, b""), procedure(2, 1, &3u32.to_be_bytes())]);
    assert_eq!(sent, record(&success(2, &9u32.to_be_bytes())));
    let ticket = above.tickets.lock().unwrap().pop().unwrap();
    std::thread::spawn(move || ticket.answer(|to| to.u32(77)).unwrap()).join().unwrap();
    above.rig.advance(ms(30));
    assert_eq!(above.hand_down(), record(&success(1, &77u32.to_be_bytes())));
    // Long results are lent, not copied.
    above.calls(&[procedure(3, 2, b"")]);
    let ticket = above.tickets.lock().unwrap().pop().unwrap();
    let long = vec![7; 100_000];
    ticket.answer(|to| to.opaque_fixed(&long)).unwrap();
    above.rig.advance(ms(30));
    assert_eq!(above.hand_down(), record(&success(3, &long)));
}

#[test]
fn programs_send_the_reply_at_once_when_they_are_told_of_the_answer() {
    let mut above = Above::new();
    above.calls(&[procedure(1, 2, b"")]);
    let ticket = above.tickets.lock().unwrap().pop().unwrap();
    ticket.answer(|to| to.u32(77)).unwrap();
    above.rig.set(ANSWERED, "").unwrap();
    assert_eq!(above.hand_down(), record(&success(1, &77u32.to_be_bytes())));
    assert_eq!(above.rig.set("speed", "9").unwrap_err(), "no parameter speed");
}

#[test]
fn programs_answer_a_dropped_ticket_with_system_err() {
    let mut above = Above::new();
    above.calls(&[procedure(1, 2, b"")]);
    above.tickets.lock().unwrap().clear();
    above.rig.advance(ms(30));
    assert_eq!(above.hand_down(), record(&reply(1, &[0, 0, 0, 5])));
}

#[test]
fn programs_have_no_answer_to_a_call_of_a_batch() {
    let mut above = Above::new();
    assert_eq!(
        above.calls(&[procedure(1, 4, b""), procedure(2, 0, b"")]),
        record(&success(2, b""))
    );
}

#[test]
fn programs_leave_when_their_tickets_are_back() {
    let mut above = Above::new();
    above.calls(&[procedure(1, 2, b"")]);
    let stream = above.rig.perimeter().streams()[0].0;
    let pending = above.rig.perimeter().remove(stream, 1).unwrap();
    assert!(pending.ticket().is_some());
    above.rig.advance(ms(100));
    assert_eq!(above.rig.view().name, "programs");
    above.tickets.lock().unwrap().clear();
    above.rig.advance(ms(30));
    assert_eq!(above.hand_down(), record(&reply(1, &[0, 0, 0, 5])));
    std::mem::forget(above.rig);
}

/// The whole stream: octets of a peer go in, octets come out.
struct Whole {
    p: Perimeter,
    probe: millstream_rig::Probe,
    driver: millstream_core::NodeId,
    tickets: Arc<Mutex<Vec<Ticket>>>,
}

impl Whole {
    fn new() -> Self {
        let mut p = Perimeter::new(Config {
            pool: millstream_msg::Pool::new(millstream_msg::PoolConfig::STACK),
            seed: 7,
            clock: None,
        });
        let probe = millstream_rig::Probe::new();
        let (stream, driver) = p.open_device("probe", Box::new(probe.clone()));
        let (registry, tickets) = (Registry::default(), Arc::default());
        registry.register(Box::new(Square(Arc::clone(&tickets)))).map_err(drop).unwrap();
        let commons = Commons::new(registry.clone(), drc::BYTES, 7);
        p.push(stream, Box::new(Wire)).unwrap();
        push(&mut p, stream, Box::new(Rpc::new(Some(Role::Server), commons)));
        push(&mut p, stream, Box::new(Programs::new(registry, Completions::default())));
        Self { p, probe, driver, tickets }
    }

    /// What is sent to these octets, and in how many messages.
    fn send(&mut self, octets: &[u8], piece: usize) -> (Vec<u8>, usize) {
        for piece in octets.chunks(piece) {
            let frame = self.p.pool().copy_from(0, piece).unwrap();
            self.probe.arrive(frame);
        }
        while self.probe.waiting() > 0 {
            self.p.poll(self.driver, 16);
            while self.p.turn(0, 1000).more {}
        }
        let sent: Vec<_> = self.probe.sent_bytes();
        (sent.concat(), sent.len())
    }

    fn calls(&mut self, calls: &[Vec<u8>]) -> Vec<u8> {
        let octets: Vec<u8> = calls.iter().flat_map(|call| record(call)).collect();
        self.send(&octets, octets.len()).0
    }
}

#[test]
fn programs_and_rpc_serve_ten_thousand_calls_of_one_message_in_one_stream() {
    let mut whole = Whole::new();
    let calls = |n: u32| record(&procedure(n, 1, &n.to_be_bytes()));
    let octets: Vec<u8> = (0..10_000).flat_map(calls).collect();
    let (sent, messages) = whole.send(&octets, 32 << 10);
    let want = |n: u32| record(&success(n, &n.wrapping_mul(n).to_be_bytes()));
    let want: Vec<u8> = (0..10_000).flat_map(want).collect();
    assert_eq!(sent, want);
    assert!(messages <= 40, "{messages} messages");
}

#[test]
fn programs_answer_each_call_of_a_batch_in_its_own_way() {
    let mut whole = Whole::new();
    let sent = whole.calls(&[
        procedure(1, 1, &12u32.to_be_bytes()),
        procedure(2, 1, b""),
        procedure(3, 2, b""),
        procedure(4, 4, b""),
        procedure(5, 0, b""),
    ]);
    // Refusals go first: they are written by another module.
    let want = [reply(2, &[0, 0, 0, 4]), success(1, &144u32.to_be_bytes()), success(5, b"")];
    assert_eq!(sent, want.map(|octets| record(&octets)).concat());
    let ticket = whole.tickets.lock().unwrap().pop().unwrap();
    ticket.answer(|to| to.u32(77)).unwrap();
    while whole.p.turn(ms(30), 1000).more {}
    assert_eq!(whole.probe.sent_bytes().concat(), record(&success(3, &77u32.to_be_bytes())));
}

#[test]
fn programs_know_who_calls_in_a_batch_whose_callers_differ() {
    let mut whole = Whole::new();
    let by = |xid: u32, uid: u32| {
        let body = [0, 0, uid, 100, 0].map(u32::to_be_bytes).concat();
        let words = [xid, 0, 2, PROGRAM, 1, 3, 1, body.len() as u32].map(u32::to_be_bytes);
        [&words.concat()[..], &body, &[0; 8]].concat()
    };
    let uids = [500, 500, 600, 500];
    let mut calls: Vec<_> = uids.iter().zip(1..).map(|(&uid, xid)| by(xid, uid)).collect();
    calls.insert(2, procedure(9, 3, b""));
    let mut want: Vec<_> =
        uids.iter().zip(1..).map(|(uid, xid)| success(xid, &uid.to_be_bytes())).collect();
    want.insert(2, success(9, &[0; 4]));
    let want: Vec<u8> = want.iter().flat_map(|octets| record(octets)).collect();
    assert_eq!(whole.calls(&calls), want);
}

fn push(p: &mut Perimeter, stream: StreamId, module: Box<dyn Module>) {
    p.push(stream, module).unwrap();
    while p.turn(0, 1000).more {}
}

/// A connection that stands: answers what `rpc` asks.
struct Wire;

impl Module for Wire {
    fn info(&self) -> &'static millstream_core::ModInfo {
        const INFO: millstream_core::ModInfo = millstream_core::ModInfo::new("wire", "answers");
        &INFO
    }

    fn wput(&mut self, cx: &mut millstream_core::Cx<'_>, msg: Msg) {
        let none = tpi::T_INVALID;
        let answer = match tpi::primitive(msg.first()) {
            Some(tpi::T_INFO_REQ) if msg.kind() == Kind::PcProto => Primitive::info_ack(&Info {
                tsdu: 0,
                etsdu: none,
                cdata: none,
                ddata: none,
                addr: 28,
                opt: 0,
                tidu: 65536,
                service: tpi::T_COTS_ORD,
                state: State::DataXfer,
                provider: 0,
            }),
            Some(tpi::T_ADDR_REQ) if msg.kind() == Kind::PcProto => {
                Primitive::addr_ack(LOCAL.parse().ok(), PEER.parse().ok())
            }
            _ => return cx.putnext(msg),
        };
        cx.free(msg);
        let word = answer.to_msg(answer.kind(), cx.pool()).unwrap();
        cx.put(Side::Read, word);
    }
}
