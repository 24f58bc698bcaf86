//! The services on a stream whose lower end plays `udp`.

mod small_kit;

use millstream_core::tpi::{self, Primitive, T_UNITDATA_REQ};
use millstream_modules::services::{Kinds, Service};
use millstream_msg::{Gso, Kind, Msg, MsgFlags, Offload};
use small_kit::*;
use std::net::SocketAddr;

/// A stream whose device keeps what a driver would refuse.
struct Udp(Stack);

impl Udp {
    fn with(kind: Kinds) -> Self {
        let mut s = Stack::new(5);
        s.p.push(s.stream, Box::new(Keep)).unwrap();
        s.p.push(s.stream, Box::new(Service::new(kind))).unwrap();
        Self(s)
    }

    fn indication(&mut self, from: &str, data: &[u8]) -> Msg {
        let from: SocketAddr = from.parse().unwrap();
        let to: SocketAddr = "10.0.0.1:7".parse().unwrap();
        let primitive = Primitive::unitdata_ind(from).with_address(12, to);
        let mut msg = self.0.msg(primitive.as_bytes());
        msg.set_kind(Kind::Proto);
        let data = self.0.msg(data);
        msg.link(data);
        msg
    }

    /// The answers to a message.
    fn ask(&mut self, msg: Msg) -> Vec<Msg> {
        self.0.up(msg);
        self.0.turn(0);
        self.0.sent()
    }

    fn ask_from(&mut self, from: &str) -> Vec<Msg> {
        let msg = self.indication(from, b"hello");
        self.ask(msg)
    }

    fn drops(&self, reason: &str) -> u64 {
        self.0.drops(reason)
    }
}

/// Makes M_PROTO on its way down look like data, which the device takes.
struct Keep;

impl millstream_core::Module for Keep {
    fn info(&self) -> &'static millstream_core::ModInfo {
        const INFO: millstream_core::ModInfo = millstream_core::ModInfo::new("keep", "keeps all");
        &INFO
    }

    fn wput(&mut self, cx: &mut millstream_core::Cx<'_>, mut msg: Msg) {
        msg.set_kind(Kind::Data);
        // What udp would cut it into stays visible here.
        msg.set_ctx(msg.offload().gso_size);
        msg.set_offload(Offload::NONE);
        cx.putnext(msg);
    }
}

/// Destination, own address and data of an answer.
fn parse(msg: &Msg) -> (SocketAddr, SocketAddr, Vec<u8>) {
    assert_eq!(tpi::primitive(msg.first()), Some(T_UNITDATA_REQ));
    let to = tpi::address_at(msg.first(), 4).unwrap();
    let from = tpi::address_at(msg.first(), 12).unwrap();
    (to, from, bytes(msg)[msg.first().len()..].to_vec())
}

#[test]
fn echo_sends_the_same_blocks_back_to_the_source() {
    let mut udp = Udp::with(Kinds::Echo);
    let msg = udp.indication("10.0.0.2:5000", b"hello");
    let places: Vec<_> = msg.blocks().map(|block| block.as_ptr()).collect();
    let before = udp.0.p.pool().stats();
    let reply = udp.ask(msg).remove(0);
    let (to, from, data) = parse(&reply);
    assert_eq!((to.to_string(), from.to_string()), ("10.0.0.2:5000".into(), "10.0.0.1:7".into()));
    assert_eq!(data, b"hello");
    assert_eq!(reply.blocks().map(|block| block.as_ptr()).collect::<Vec<_>>(), places);
    let after = udp.0.p.pool().stats();
    let copied = after.copied_bytes - before.copied_bytes;
    assert_eq!((copied, after.pulled_bytes), (0, before.pulled_bytes));
}

#[test]
fn echo_sends_a_super_datagram_back_whole() {
    let mut udp = Udp::with(Kinds::Echo);
    let mut msg = udp.indication("[fd00::2]:5000", &[7; 5000]);
    msg.set_offload(Offload {
        needs_csum: true,
        gso: Gso::Udp,
        gso_size: 1000,
        hdr_len: 42,
        csum_start: 34,
        csum_offset: 6,
    });
    let reply = udp.ask(msg).remove(0);
    assert_eq!((reply.ctx(), parse(&reply).2.len()), (1000, 5000));
}

#[test]
fn echo_copies_a_shared_control_block_before_it_writes() {
    let mut udp = Udp::with(Kinds::Echo);
    let msg = udp.indication("10.0.0.2:5000", b"hello");
    let twin = msg.dup(udp.0.p.pool()).unwrap();
    let reply = udp.ask(msg).remove(0);
    assert_eq!(parse(&reply).2, b"hello");
    assert_eq!(tpi::primitive(twin.first()), Some(tpi::T_UNITDATA_IND));
}

#[test]
fn discard_answers_nothing_and_drops_nothing() {
    let mut udp = Udp::with(Kinds::Discard);
    assert!(udp.ask_from("10.0.0.2:5000").is_empty());
    assert_eq!(udp.0.module().stat.consumed, 1);
    assert_eq!(udp.0.module().stat.dropped(), 0);
}

#[test]
fn daytime_and_time_tell_the_time_of_the_host() {
    for (kind, answer) in [
        (Kinds::Daytime, &b"Tuesday, November 14, 2023 22:13:20-UTC\r\n"[..]),
        (Kinds::Time, &(1_700_000_000 + 2_208_988_800_u32).to_be_bytes()[..]),
    ] {
        let mut udp = Udp::with(kind);
        udp.0.p.set_wall_offset(1_700_000_000_000_000_000);
        let reply = udp.ask_from("10.0.0.2:5000").remove(0);
        assert_eq!(parse(&reply).2, answer);
    }
}

#[test]
fn chargen_answers_each_datagram_with_0_to_512_characters_rfc864() {
    let mut udp = Udp::with(Kinds::Chargen);
    let mut lengths = std::collections::BTreeSet::new();
    for n in 0..200_u8 {
        let (_, _, data) = parse(&udp.ask_from("10.0.0.2:5000").remove(0));
        assert!(data.len() <= 512);
        assert!(data.first().is_none_or(|&byte| byte == b' ' + n % 95));
        lengths.insert(data.len());
    }
    assert!(lengths.len() > 100, "seed 5");
}

#[test]
fn nothing_answers_a_datagram_to_many() {
    for flag in [MsgFlags::LINK_BROADCAST, MsgFlags::LINK_MULTICAST] {
        for kind in [Kinds::Echo, Kinds::Daytime, Kinds::Chargen, Kinds::Time] {
            let mut udp = Udp::with(kind);
            let mut msg = udp.indication("10.0.0.2:5000", b"hello");
            msg.set_flags(flag);
            assert!(udp.ask(msg).is_empty());
            assert_eq!(udp.drops("service: sent to many"), 1);
        }
    }
}

#[test]
fn nothing_answers_a_port_that_would_answer_back() {
    let mut udp = Udp::with(Kinds::Echo);
    for port in [0, 7, 13, 17, 19, 37] {
        assert!(udp.ask_from(&format!("10.0.0.2:{port}")).is_empty(), "{port}");
    }
    assert_eq!(udp.drops("service: from a port that answers"), 6);
    assert_eq!(udp.ask_from("10.0.0.2:9").len(), 1);
}

#[test]
fn nothing_answers_a_source_that_is_no_host() {
    let mut udp = Udp::with(Kinds::Echo);
    for from in ["224.0.0.1:5000", "0.0.0.0:5000", "[ff02::1]:5000"] {
        assert!(udp.ask_from(from).is_empty(), "{from}");
    }
    let mut bare = udp.0.msg(&tpi::T_UNITDATA_IND.to_ne_bytes());
    bare.set_kind(Kind::Proto);
    assert!(udp.ask(bare).is_empty());
    assert_eq!(udp.drops("service: no host as source"), 4);
}

#[test]
fn an_answer_without_room_is_dropped_with_a_reason() {
    let mut udp = Udp::with(Kinds::Echo);
    udp.0.wire.ends().room = Some(0);
    let mut asked = 0;
    while udp.drops("service: reply blocked") == 0 {
        let msg = udp.indication("10.0.0.2:5000", &[0; 1400]);
        assert!(udp.ask(msg).is_empty());
        asked += 1;
        assert!(asked < 2_000, "never blocked");
    }
    // The write queue of the stream fills first: 1 MiB, with what each message costs besides.
    assert!(asked > 300);
}

#[test]
fn other_messages_pass_to_the_head() {
    let mut udp = Udp::with(Kinds::Echo);
    let mut msg = udp.0.msg(Primitive::ok_ack(tpi::T_BIND_REQ).as_bytes());
    msg.set_kind(Kind::Proto);
    assert!(udp.ask(msg).is_empty());
    assert_eq!(udp.0.received().len(), 1);
}

#[test]
fn word_of_an_undelivered_answer_does_not_wait_at_a_head_that_nobody_reads() {
    let mut udp = Udp::with(Kinds::Echo);
    let peer = "10.0.0.2:5000".parse().unwrap();
    let error = Primitive::uderror_ind(peer, millstream_core::Errno::EIO);
    let mut msg = udp.0.msg(error.as_bytes());
    msg.set_kind(Kind::Proto);
    assert!(udp.ask(msg).is_empty());
    assert_eq!(udp.0.received().len(), 0);
    assert_eq!(udp.drops("service: answer not delivered"), 1);
}

#[test]
fn requests_and_answers_are_counted() {
    let mut udp = Udp::with(Kinds::Time);
    udp.ask_from("10.0.0.2:5000");
    udp.ask_from("10.0.0.2:7");
    assert_eq!((udp.0.count("requests"), udp.0.count("answers")), (2, 1));
}
