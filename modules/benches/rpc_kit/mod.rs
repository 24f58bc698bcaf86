//! A server whose connection is a device in memory: calls go in as octets, replies come out as
//! octets. `rpc` alone has a module above it that answers each call at once, in its own block, or
//! all of a batch.

use millstream_core::tpi::{self, Info, Primitive, State};
use millstream_core::{
    Caps, Config, Cx, Device, Errno, ModInfo, Module, NodeId, Perimeter, Side, Step,
};
use millstream_modules::programs::Programs;
use millstream_modules::rpc::batch::{self, CallEntry, R_BATCHES, R_CALLS_IND, ReplyEntry};
use millstream_modules::rpc::primitive::{R_CALL_IND, number, reply_req, word};
use millstream_modules::rpc::replies::Replies;
use millstream_modules::rpc::{Commons, Role, Rpc, drc, marking};
use millstream_msg::offload::Can;
use millstream_msg::{Kind, Msg, MsgList, Pool, PoolConfig};
use millstream_onc::message::Outcome;
use millstream_onc::xdr::{Decoder, Encoder};
use millstream_onc::{
    Answer, Call, Completions, Later, ProcedureInfo, Program, Registry, VersionInfo,
};
use std::sync::{Arc, Mutex};

/// What is above `rpc`.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Above {
    /// A module that answers each call in place.
    Stub,
    /// The same in batches.
    Batches,
    /// `programs`, with a program that squares.
    Programs,
}

/// What is called.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum What {
    /// Procedure 0: without arguments, and not remembered.
    Null,
    /// Procedure 1: an int. It may be executed twice.
    Square,
    /// Procedure 2: the same, and its reply goes into the cache.
    Once,
}

pub(crate) struct Server {
    p: Perimeter,
    driver: NodeId,
    wire: Arc<Mutex<Ends>>,
    octets: Vec<u8>,
    call_len: usize,
    xid: u32,
}

#[derive(Default)]
struct Ends {
    arrived: MsgList,
    sent: MsgList,
}

impl Server {
    /// `batch` calls come in one message.
    pub(crate) fn new(above: Above, what: What, batch: usize) -> Self {
        let pool = Pool::new(PoolConfig::STACK);
        let mut p = Perimeter::new(Config { pool, seed: 1, clock: None });
        let wire = Arc::new(Mutex::new(Ends::default()));
        let (stream, driver) = p.open_device("wire", Box::new(Wire(wire.clone())));
        let registry = Registry::default();
        registry.register(Box::new(Square)).map_err(drop).expect("the first program");
        let commons = Commons::new(registry.clone(), drc::BYTES, 1);
        let above: Box<dyn Module> = match above {
            Above::Stub => Box::new(Stub),
            Above::Batches => Box::new(Batches),
            Above::Programs => Box::new(Programs::new(registry, Completions::default())),
        };
        let rpc = Box::new(Rpc::new(Some(Role::Server), commons));
        for module in [Box::new(Transport) as Box<dyn Module>, rpc, above] {
            p.push(stream, module).expect("the stream takes modules");
            while p.turn(0, 1000).more {}
        }
        let procedure = what as u32;
        let words = [0, 0, 2, NUMBER, 1, procedure, 0, 0, 0, 0].map(u32::to_be_bytes).concat();
        let args: &[u8] = if what == What::Null { &[] } else { &[0, 0, 0, 12] };
        let mark = marking::mark((words.len() + args.len()) as u32, true);
        let call = [&mark[..], &words, args].concat();
        let call_len = call.len();
        Self { p, driver, wire, octets: call.repeat(batch), call_len, xid: 0 }
    }

    /// One message of calls goes in, their replies come out.
    pub(crate) fn round(&mut self) {
        for call in self.octets.chunks_exact_mut(self.call_len) {
            self.xid = self.xid.wrapping_add(1);
            call[4..8].copy_from_slice(&self.xid.to_be_bytes());
        }
        let msg = self.p.pool().copy_from(0, &self.octets).expect("memory");
        self.ends().arrived.push(msg);
        self.p.poll(self.driver, 1);
        while self.p.turn(0, 1000).more {}
        let sent = std::mem::take(&mut self.ends().sent);
        assert!(!sent.is_empty(), "replies have come");
        sent.for_each(|msg| self.p.pool().spend(msg));
    }

    fn ends(&self) -> std::sync::MutexGuard<'_, Ends> {
        self.wire.lock().expect("one thread")
    }
}

struct Wire(Arc<Mutex<Ends>>);

impl Device for Wire {
    fn caps(&self) -> Caps {
        Caps { mtu: 1500, mac: [2, 0, 0, 0, 0, 1], can: Can::ALL }
    }

    fn recv(&mut self, _: &mut Pool, out: &mut MsgList, budget: usize) -> Result<usize, Errno> {
        let mut arrived = self.0.lock().expect("one thread").arrived.split_front(budget);
        let count = arrived.len();
        out.append(&mut arrived);
        Ok(count)
    }

    fn send(&mut self, batch: &mut MsgList) -> Result<(), Errno> {
        self.0.lock().expect("one thread").sent.append(batch);
        Ok(())
    }
}

/// Answers what `rpc` asks; octets pass.
struct Transport;

impl Module for Transport {
    fn info(&self) -> &'static ModInfo {
        const INFO: ModInfo = ModInfo::new("transport", "a connection that stands");
        &INFO
    }

    fn wput(&mut self, cx: &mut Cx<'_>, msg: Msg) {
        if msg.kind() == Kind::Data {
            return cx.putnext(msg);
        }
        let addr = "10.0.0.2:700".parse().ok();
        let none = tpi::T_INVALID;
        let answer = match tpi::primitive(msg.first()) {
            Some(tpi::T_INFO_REQ) => Primitive::info_ack(&Info {
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
            _ => Primitive::addr_ack(addr, addr),
        };
        cx.free(msg);
        let word = answer.to_msg(answer.kind(), cx.pool()).expect("memory");
        cx.put(Side::Read, word);
    }
}

/// Makes the block of each call that of its reply; arguments come back as results.
struct Stub;

impl Module for Stub {
    fn info(&self) -> &'static ModInfo {
        const INFO: ModInfo = ModInfo::new("stub", "answers in place");
        &INFO
    }

    fn rput(&mut self, cx: &mut Cx<'_>, msg: Msg) {
        if number(msg.first()) != Some(R_CALL_IND) {
            return cx.putnext(msg);
        }
        let (mut block, args) = msg.unlink();
        let reply = reply_req(word(block.first(), 4).unwrap_or(0), Some(Outcome::Success));
        block.truncate(reply.len());
        if let Some(octets) = block.first_mut() {
            octets.copy_from_slice(&reply);
        }
        args.into_iter().for_each(|args| block.link(args));
        cx.qreply(block);
    }
}

/// The same for calls of a batch.
struct Batches;

impl Module for Batches {
    fn info(&self) -> &'static ModInfo {
        const INFO: ModInfo = ModInfo::new("batches", "answers batches");
        &INFO
    }

    fn open(&mut self, cx: &mut Cx<'_>) -> Result<Step, Errno> {
        let words = [R_BATCHES, 1].map(u32::to_ne_bytes).concat();
        assert!(cx.put_control(Side::Write, Kind::Ctl, &words), "memory");
        Ok(Step::Done)
    }

    fn rput(&mut self, cx: &mut Cx<'_>, msg: Msg) {
        if number(msg.first()) != Some(R_CALLS_IND) {
            return cx.putnext(msg);
        }
        let (mut block, data) = msg.unlink();
        let data = data.expect("records");
        let octets = block.first_mut().expect("the module's own");
        let (count, mut replies) = (batch::count(octets), Replies::new());
        for n in 0..count {
            let call = CallEntry::read(octets, n).expect("an entry");
            let record = &data.first()[call.at..][..call.len];
            let xid = u32::from_be_bytes([record[0], record[1], record[2], record[3]]);
            let written = replies.record(xid, count - n - 1, cx.pool(), |to| {
                let args = &record[call.header..];
                ((), args.is_empty() || to.opaque_fixed(args).is_ok())
            });
            let outcome = Some(Outcome::Success);
            let ((), len) = written.expect("memory");
            ReplyEntry { call: call.call, outcome, len }.write(octets, n);
        }
        batch::replies(octets, count);
        cx.pool().spend(data);
        replies.take().into_iter().for_each(|replies| block.link(replies));
        cx.qreply(block);
    }
}

struct Square;

const NUMBER: u32 = 536_872_241;

impl Program for Square {
    fn number(&self) -> u32 {
        NUMBER
    }

    fn versions(&self) -> &'static [VersionInfo] {
        const PROCEDURES: &[ProcedureInfo] = &[
            ProcedureInfo::new(0, "NULL"),
            ProcedureInfo::new(1, "SQUARE").idempotent(),
            ProcedureInfo::new(2, "ONCE"),
        ];
        &[VersionInfo { number: 1, procedures: PROCEDURES }]
    }

    fn call(
        &mut self,
        call: &Call<'_>,
        mut args: Decoder<'_>,
        reply: &mut Encoder<'_>,
        _: &mut Later,
    ) -> Answer {
        if call.procedure == 0 {
            return Answer::Done;
        }
        match args.i32().and_then(|number| reply.i32(number * number)) {
            Ok(()) => Answer::Done,
            Err(_) => Answer::GarbageArgs,
        }
    }
}
