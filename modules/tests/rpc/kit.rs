//! The module `rpc` between a transport and a program that the test plays.

use millstream_core::tpi::{self, Info, Primitive, State};
use millstream_core::{Side, Value};
use millstream_modules::rpc::primitive::{self, R_CALL_IND, R_REPLY_IND, reply_req};
use millstream_modules::rpc::{Commons, Role, Rpc, drc, marking};
use millstream_msg::{Kind, Msg};
use millstream_onc::message::Outcome;
use millstream_onc::xdr::{Decoder, Encoder};
use millstream_onc::{Answer, Call, Later, ProcedureInfo, Program, Registry, VersionInfo};
use millstream_rig::Rig;
use std::net::SocketAddr;

pub(crate) const PROGRAM: u32 = 536_872_241;
pub(crate) const PEER: &str = "10.0.0.2:700";
pub(crate) const LOCAL: &str = "10.0.0.1:5001";

/// A program that is in the registry so that its calls go up: the test answers them.
pub(crate) struct Listed;

const PROCEDURES: &[ProcedureInfo] =
    &[ProcedureInfo::new(0, "NULL"), ProcedureInfo::new(1, "SQUARE")];

impl Program for Listed {
    fn number(&self) -> u32 {
        PROGRAM
    }

    fn versions(&self) -> &'static [VersionInfo] {
        const V1: VersionInfo = VersionInfo { number: 1, procedures: PROCEDURES };
        &[V1, VersionInfo { number: 2, ..V1 }]
    }

    fn call(&mut self, _: &Call<'_>, _: Decoder<'_>, _: &mut Encoder<'_>, _: &mut Later) -> Answer {
        Answer::SystemErr
    }
}

/// The octets of a call of `SQUARE`, version 1, without mark.
pub(crate) fn square(xid: u32, number: u32) -> Vec<u8> {
    call(xid, [PROGRAM, 1, 1], &number.to_be_bytes())
}

/// The octets of a call without credential, without mark.
pub(crate) fn call(xid: u32, [program, version, procedure]: [u32; 3], args: &[u8]) -> Vec<u8> {
    let words = [xid, 0, 2, program, version, procedure, 0, 0, 0, 0];
    [&words.map(u32::to_be_bytes).concat()[..], args].concat()
}

/// A record of one fragment.
pub(crate) fn record(octets: &[u8]) -> Vec<u8> {
    [&marking::mark(octets.len() as u32, true)[..], octets].concat()
}

/// The octets of a reply, without mark.
pub(crate) fn reply(xid: u32, words: &[u32]) -> Vec<u8> {
    let head = [xid, 1].map(u32::to_be_bytes).concat();
    [head, words.iter().flat_map(|word| word.to_be_bytes()).collect()].concat()
}

/// The octets of the reply of a call that went well, without mark.
pub(crate) fn success(xid: u32, results: &[u8]) -> Vec<u8> {
    [&reply(xid, &[0, 0, 0, 0])[..], results].concat()
}

/// A call that came up.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Up {
    pub(crate) name: u32,
    pub(crate) xid: u32,
    pub(crate) procedure: [u32; 3],
    pub(crate) flavour: u32,
    pub(crate) body: Vec<u8>,
    pub(crate) peer: Option<SocketAddr>,
    pub(crate) args: Vec<u8>,
}

/// A reply that came up.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Ended {
    pub(crate) handle: u32,
    pub(crate) status: u32,
    pub(crate) words: [u32; 2],
    pub(crate) results: Vec<u8>,
}

pub(crate) struct Kit {
    pub(crate) rig: Rig,
    pub(crate) commons: Commons,
}

impl Drop for Kit {
    /// The module leaves without waiting for calls that the test has not answered, and replies
    /// that are kept go back to their pools.
    fn drop(&mut self) {
        if !std::thread::panicking() {
            let _left_before = self.rig.set("leave", "0");
            self.commons.lock().drc.let_go(self.rig.perimeter().pool());
        }
    }
}

pub(crate) fn commons() -> Commons {
    commons_of(drc::BYTES_MIN)
}

/// With a cache that keeps long replies of as many bytes.
pub(crate) fn roomy() -> Commons {
    commons_of(ROOMY)
}

pub(crate) const ROOMY: usize = 256 << 10;

fn commons_of(cache_bytes: usize) -> Commons {
    let registry = Registry::default();
    registry.register(Box::new(Listed)).map_err(drop).unwrap();
    Commons::new(registry, cache_bytes, 7)
}

impl Kit {
    /// A server on a connection.
    pub(crate) fn tcp() -> Self {
        Self::connected(Some(Role::Server), commons(), PEER)
    }

    /// On a connection from `peer`.
    pub(crate) fn connected(role: Option<Role>, commons: Commons, peer: &str) -> Self {
        let mut kit = Self::opened(role, commons, tpi::T_COTS_ORD, State::DataXfer);
        let asked = kit.below_words();
        assert_eq!(asked, [tpi::T_ADDR_REQ]);
        let ack = Primitive::addr_ack(LOCAL.parse().ok(), peer.parse().ok());
        kit.up_word(&ack);
        kit
    }

    /// On a stream of datagrams.
    pub(crate) fn udp() -> Self {
        Self::udp_with(commons())
    }

    /// On a stream of datagrams, with a cache of its own.
    pub(crate) fn udp_with(commons: Commons) -> Self {
        Self::opened(Some(Role::Server), commons, tpi::T_CLTS, State::Idle)
    }

    pub(crate) fn opened(role: Option<Role>, commons: Commons, service: i32, state: State) -> Self {
        let rig = Rig::new(Box::new(Rpc::new(role, commons.clone())));
        let mut kit = Self { rig, commons };
        assert_eq!(kit.below_words(), [tpi::T_INFO_REQ]);
        let none = tpi::T_INVALID;
        let info = Info {
            tsdu: 0,
            etsdu: none,
            cdata: none,
            ddata: none,
            addr: 28,
            opt: 0,
            tidu: 65536,
            service,
            state,
            provider: 0,
        };
        kit.up_word(&Primitive::info_ack(&info));
        kit
    }

    pub(crate) fn word(&mut self, word: &Primitive) -> Msg {
        let mut msg = self.rig.msg(word.as_bytes());
        msg.set_kind(word.kind());
        msg
    }

    /// A primitive of the transport.
    pub(crate) fn up_word(&mut self, word: &Primitive) {
        let msg = self.word(word);
        self.rig.put(Side::Read, msg);
    }

    /// Numbers of the primitives that went to the transport.
    pub(crate) fn below_words(&mut self) -> Vec<i32> {
        let below = self.rig.below();
        let words = below.iter().filter(|msg| msg.kind() != Kind::Data);
        words.filter_map(|msg| tpi::primitive(msg.first())).collect()
    }

    /// A datagram of the peer.
    pub(crate) fn datagram(&mut self, from: &str, octets: &[u8]) {
        let msg = self.indication(from, octets);
        self.rig.put(Side::Read, msg);
    }

    pub(crate) fn indication(&mut self, from: &str, octets: &[u8]) -> Msg {
        let word = Primitive::unitdata_ind(from.parse().unwrap());
        let word = word.with_address(12, LOCAL.parse().unwrap());
        let mut msg = self.word(&word);
        let data = self.rig.msg(octets);
        msg.link(data);
        msg
    }

    /// Datagrams that went down: where to, and their octets.
    pub(crate) fn datagrams(&mut self) -> Vec<(String, Vec<u8>)> {
        let below = self.rig.below();
        let read = |msg: &Msg| {
            assert_eq!(tpi::primitive(msg.first()), Some(tpi::T_UNITDATA_REQ));
            let to = tpi::address_at(msg.first(), 4).unwrap();
            (to.to_string(), bytes(msg)[msg.first().len()..].to_vec())
        };
        below.iter().map(read).collect()
    }

    /// Records of the peer, in one message.
    pub(crate) fn records(&mut self, records: &[Vec<u8>]) {
        let octets: Vec<u8> = records.iter().flat_map(|octets| record(octets)).collect();
        self.rig.up(&octets);
    }

    /// Calls that came up.
    pub(crate) fn calls(&mut self) -> Vec<Up> {
        self.rig.above().iter().filter_map(read_call).collect()
    }

    /// Replies that came up.
    pub(crate) fn ended(&mut self) -> Vec<Ended> {
        self.rig.above().iter().filter_map(read_ended).collect()
    }

    /// Windows that other pools have on our memory go back to them when they are gone.
    pub(crate) fn collect(&mut self) {
        self.rig.perimeter().pool().collect();
    }

    /// Octets that went to the connection, and in how many messages.
    pub(crate) fn sent(&mut self) -> (Vec<u8>, usize) {
        let below = self.rig.below();
        let data = below.iter().filter(|msg| msg.kind() == Kind::Data);
        (data.clone().flat_map(bytes).collect(), data.count())
    }

    pub(crate) fn reply_msg(&mut self, name: u32, outcome: Option<Outcome>, results: &[u8]) -> Msg {
        let mut msg = self.rig.msg(&reply_req(name, outcome));
        msg.set_kind(Kind::Proto);
        if !results.is_empty() {
            let results = self.rig.msg(results);
            msg.link(results);
        }
        msg
    }

    /// The program answers.
    pub(crate) fn answer(&mut self, name: u32, outcome: Outcome, results: &[u8]) {
        let msg = self.reply_msg(name, Some(outcome), results);
        self.rig.put(Side::Write, msg);
    }

    /// Answers all of these with squares, as one batch.
    pub(crate) fn answer_squares(&mut self, calls: &[Up]) {
        let squared = |up: &Up| {
            let number = u32::from_be_bytes(up.args[..4].try_into().unwrap());
            (up.name, number.wrapping_mul(number).to_be_bytes())
        };
        let batch = calls.iter().map(squared).collect::<Vec<_>>().into_iter();
        let batch = batch.map(|(name, n)| self.reply_msg(name, Some(Outcome::Success), &n));
        let batch = batch.collect();
        self.rig.inject(Side::Write, batch);
    }

    /// A call to the peer.
    pub(crate) fn call_out(&mut self, handle: u32, flags: u32, time_out: u32, args: &[u8]) {
        let mut out = [0; 256];
        let peer = PEER.parse().ok();
        let len = primitive::call_req(
            &mut out,
            handle,
            [PROGRAM, 1, 1],
            [flags, time_out],
            (0, b""),
            peer,
        );
        let mut msg = self.rig.msg(&out[..len.unwrap()]);
        msg.set_kind(Kind::Proto);
        if !args.is_empty() {
            let args = self.rig.msg(args);
            msg.link(args);
        }
        self.rig.put(Side::Write, msg);
    }

    /// A count that the module shows.
    pub(crate) fn count(&self, name: &str) -> u64 {
        let fields = self.rig.view().fields.0;
        match fields.iter().find(|(known, _)| *known == name) {
            Some((_, Value::Count(count))) => *count,
            other => panic!("{name}: {other:?}"),
        }
    }
}

pub(crate) fn bytes(msg: &Msg) -> Vec<u8> {
    let mut out = vec![0; msg.len()];
    msg.copy_out(0, &mut out);
    out
}

pub(crate) fn read_call(msg: &Msg) -> Option<Up> {
    let block = msg.first();
    if primitive::number(block) != Some(R_CALL_IND) {
        return None;
    }
    let at = |at| primitive::word(block, at).unwrap();
    Some(Up {
        name: at(4),
        xid: at(8),
        procedure: [at(12), at(16), at(20)],
        flavour: at(28),
        body: primitive::span(block, 32).unwrap().to_vec(),
        peer: tpi::address_at(block, 40),
        args: bytes(msg)[block.len()..].to_vec(),
    })
}

pub(crate) fn read_ended(msg: &Msg) -> Option<Ended> {
    let block = msg.first();
    if primitive::number(block) != Some(R_REPLY_IND) {
        return None;
    }
    let at = |at| primitive::word(block, at).unwrap();
    let results = bytes(msg)[block.len()..].to_vec();
    Some(Ended { handle: at(4), status: at(8), words: [at(12), at(16)], results })
}
