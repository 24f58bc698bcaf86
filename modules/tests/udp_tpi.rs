//! udp as a transport provider: what it answers to each primitive of its user, in which state.

use millstream_core::Errno;
use millstream_core::tpi::option::{Record, Records};
use millstream_core::tpi::{self, Malformed, Primitive, State, View, decode_address};
use millstream_modules::udp::{Udp, option};
use millstream_msg::Kind;
use millstream_rig::RigMux;
use std::net::SocketAddr;

const LOCAL: &str = "10.0.0.1:4000";
const PEER: &str = "10.0.0.9:5000";

/// udp with a user above and a stream below.
struct Provider(RigMux);

impl Provider {
    fn new() -> Self {
        let mut rig = RigMux::new(Box::new(Udp::new(7)), 1, 1);
        // The word to `ip` which protocol it takes.
        rig.below(0);
        Self(rig)
    }

    fn bound() -> Self {
        let mut udp = Self::new();
        assert!(matches!(udp.ask(&Primitive::bind_req(addr(LOCAL))).view(), View::BindAck(_)));
        udp
    }

    fn connected() -> Self {
        let mut udp = Self::bound();
        udp.put(Primitive::conn_req(addr(PEER)).as_bytes(), None);
        assert_eq!(udp.answers(), [tpi::T_OK_ACK, tpi::T_CONN_CON]);
        udp
    }

    fn put(&mut self, control: &[u8], data: Option<&[u8]>) {
        let mut msg = self.0.msg(control);
        msg.set_kind(Kind::Proto);
        if let Some(data) = data {
            let data = self.0.msg(data);
            msg.link(data);
        }
        self.0.put_down(0, msg);
    }

    /// Numbers of what has come up, in order; M_ERROR by its negative error number.
    fn answers(&mut self) -> Vec<i32> {
        let all = self.0.above(0);
        all.iter()
            .map(|msg| match msg.kind() {
                Kind::Error => -i32::from(msg.first()[0]),
                kind => {
                    let number = tpi::primitive(msg.first()).unwrap();
                    assert_eq!(tpi::kind(number), Some(kind), "message class");
                    number
                }
            })
            .collect()
    }

    /// Sends a request that has one answer.
    fn ask(&mut self, request: &Primitive) -> Answer {
        self.put(request.as_bytes(), None);
        let all = self.0.above(0);
        let [answer] = &all[..] else { panic!("{} answers", all.len()) };
        assert_eq!(tpi::primitive(answer.first()).and_then(tpi::kind), Some(answer.kind()));
        Answer(answer.first().to_vec())
    }

    fn refused(&mut self, request: &Primitive) -> (i32, i32) {
        let answer = self.ask(request);
        let View::ErrorAck(refusal) = answer.view() else { panic!("{:?}", answer.view()) };
        assert_eq!(Some(refusal.of()), tpi::primitive(request.as_bytes()));
        (refusal.tli(), refusal.errno())
    }

    fn state(&mut self) -> Option<State> {
        let answer = self.ask(&Primitive::info_req());
        let View::InfoAck(info) = answer.view() else { panic!("{:?}", answer.view()) };
        State::from_number(info.current_state())
    }
}

struct Answer(Vec<u8>);

impl Answer {
    fn view(&self) -> View<'_> {
        View::new(&self.0).unwrap()
    }
}

fn addr(text: &str) -> SocketAddr {
    text.parse().unwrap()
}

#[test]
fn m3_the_state_follows_bind_connect_disconnect_and_unbind() {
    let mut udp = Provider::new();
    assert_eq!(udp.state(), Some(State::Unbnd));
    let ack = udp.ask(&Primitive::bind_req(addr(LOCAL)));
    let View::BindAck(ack) = ack.view() else { panic!("{ack:?}", ack = ack.view()) };
    assert_eq!((decode_address(ack.addr()), ack.qlen()), (Some(addr(LOCAL)), 0));
    assert_eq!(udp.state(), Some(State::Idle));
    udp.put(Primitive::conn_req(addr(PEER)).as_bytes(), None);
    assert_eq!(udp.answers(), [tpi::T_OK_ACK, tpi::T_CONN_CON]);
    assert_eq!(udp.state(), Some(State::DataXfer));
    assert!(matches!(udp.ask(&Primitive::discon_req(-1)).view(), View::OkAck(_)));
    assert_eq!(udp.state(), Some(State::Idle));
    assert!(matches!(udp.ask(&Primitive::unbind_req()).view(), View::OkAck(_)));
    assert_eq!(udp.state(), Some(State::Unbnd));
}

#[test]
fn m3_requests_out_of_state_are_refused_with_toutstate_and_change_nothing() {
    let out = (tpi::TOUTSTATE, Errno::EINVAL.0);
    let bind = Primitive::bind_req(addr("0.0.0.0:0"));
    let connect = Primitive::conn_req(addr(PEER));
    let mut udp = Provider::new();
    for request in [&connect, &Primitive::unbind_req(), &Primitive::discon_req(-1)] {
        assert_eq!(udp.refused(request), out);
    }
    assert_eq!(udp.state(), Some(State::Unbnd));
    let mut udp = Provider::connected();
    for request in [&connect, &bind, &Primitive::unbind_req(), &Primitive::conn_res(0, 0)] {
        assert_eq!(udp.refused(request), out);
    }
    assert_eq!(udp.state(), Some(State::DataXfer));
}

#[test]
fn m3_data_that_has_no_acknowledgement_is_fatal_out_of_state() {
    for request in [Primitive::data_req(false), Primitive::exdata_req(false)] {
        let mut udp = Provider::new();
        udp.put(request.as_bytes(), Some(b"x"));
        assert_eq!(udp.answers(), [-Errno::EPROTO.0], "unbound");
    }
    let mut udp = Provider::new();
    udp.0.down(0, b"plain data is T_DATA_REQ");
    assert_eq!(udp.answers(), [-Errno::EPROTO.0]);
    let mut udp = Provider::connected();
    udp.put(Primitive::ordrel_req().as_bytes(), None);
    assert_eq!(udp.answers(), [-Errno::EPROTO.0], "datagrams have no end");
}

#[test]
fn m3_data_that_crossed_a_disconnect_is_dropped_in_silence() {
    let mut udp = Provider::bound();
    udp.0.down(0, b"late");
    udp.put(Primitive::data_req(false).as_bytes(), Some(b"late too"));
    assert_eq!((udp.answers(), udp.0.below(0).len()), (vec![], 0));
    assert_eq!(udp.0.drops(millstream_modules::udp::UdpDrop::NoDestination), 2);
}

#[test]
fn m7_data_of_a_connected_stream_goes_to_its_peer_plain_or_with_a_primitive() {
    let mut udp = Provider::connected();
    udp.0.down(0, b"plain");
    udp.put(Primitive::data_req(false).as_bytes(), Some(b"proto"));
    udp.put(Primitive::unitdata_req(addr(PEER)).as_bytes(), Some(b"named"));
    let sent = udp.0.below_bytes(0);
    let data: Vec<&[u8]> = sent.iter().map(|packet| &packet[packet.len() - 5..]).collect();
    assert_eq!(data, [b"plain", b"proto", b"named"]);
}

#[test]
fn m7_datagrams_unbound_too_large_or_to_no_address_come_back_as_uderror() {
    let to = Primitive::unitdata_req(addr(PEER));
    let error = |udp: &mut Provider| {
        let all = udp.0.above(0);
        let [msg] = &all[..] else { panic!("{} answers", all.len()) };
        let bytes = msg.first().to_vec();
        let View::UderrorInd(error) = View::new(&bytes).unwrap() else { panic!("{bytes:?}") };
        (decode_address(error.dest()), error.errno())
    };
    let mut udp = Provider::new();
    udp.put(to.as_bytes(), Some(b"x"));
    assert_eq!(error(&mut udp), (Some(addr(PEER)), Errno::EPROTO.0));
    let mut udp = Provider::bound();
    udp.put(to.as_bytes(), Some(&[0; 65_508]));
    assert_eq!(error(&mut udp), (Some(addr(PEER)), Errno::EMSGSIZE.0));
    let nowhere = Primitive::new(&[tpi::T_UNITDATA_REQ, 0, 0, 0, 0]).with_span(4, &[9; 16]);
    udp.put(nowhere.as_bytes(), Some(b"x"));
    assert_eq!(error(&mut udp), (None, Errno::EINVAL.0));
    udp.put(to.with_word(8, 4096).as_bytes(), Some(b"x"));
    assert_eq!(udp.answers(), [], "it does not say where to");
    assert_eq!(udp.0.below(0).len(), 0);
}

#[test]
fn m8_info_and_capability_tell_sizes_and_service_of_datagrams() {
    let mut udp = Provider::bound();
    let answer = udp.ask(&Primitive::capability_req(tpi::TC1_INFO | tpi::TC1_ACCEPTOR_ID));
    let View::CapabilityAck(ack) = answer.view() else { panic!("{:?}", answer.view()) };
    assert_eq!(ack.bits(), tpi::TC1_INFO, "what it does not have it does not tell");
    let info = ack.info().unwrap();
    assert_eq!((info.tsdu(), info.tidu(), info.service()), (65_507, 65_507, tpi::T_CLTS));
    assert_eq!((info.etsdu(), info.cdata(), info.ddata()), (-2, -2, -2));
    assert_eq!(info.as_bytes(), udp.ask(&Primitive::info_req()).0);
    let answer = udp.ask(&Primitive::capability_req(0));
    assert!(matches!(answer.view(), View::CapabilityAck(ack) if ack.info().is_none()));
}

#[test]
fn m8_addresses_are_told_as_far_as_there_are_any() {
    let addresses = |udp: &mut Provider| {
        let answer = udp.ask(&Primitive::addr_req());
        let View::AddrAck(ack) = answer.view() else { panic!("{:?}", answer.view()) };
        (decode_address(ack.local()), decode_address(ack.remote()))
    };
    assert_eq!(addresses(&mut Provider::new()), (None, None));
    assert_eq!(addresses(&mut Provider::bound()), (Some(addr(LOCAL)), None));
    let both = addresses(&mut Provider::connected());
    assert_eq!(both, (Some(addr(LOCAL)), Some(addr(PEER))));
}

#[test]
fn m4_a_bind_without_address_takes_a_port_and_the_older_one_another_port() {
    let mut udp = Provider::bound();
    assert_eq!(udp.0.add_upper(), 1);
    let mut ask = |request: Primitive| {
        let mut msg = udp.0.msg(request.as_bytes());
        msg.set_kind(Kind::Proto);
        udp.0.put_down(1, msg);
        udp.0.above_bytes(1).remove(0)
    };
    let busy = ask(Primitive::bind_req(addr(LOCAL)));
    assert_eq!(tpi::ErrorAck::new(&busy).unwrap().tli(), tpi::TADDRBUSY);
    let other = ask(Primitive::bind_req(addr(LOCAL)).with_word(0, tpi::O_T_BIND_REQ));
    let other = decode_address(tpi::BindAck::new(&other).unwrap().addr()).unwrap();
    assert!(other.ip() == addr(LOCAL).ip() && other.port() >= 49_152);
    ask(Primitive::unbind_req());
    let any = ask(Primitive::new(&[tpi::T_BIND_REQ, 0, 0, 0]));
    let any = decode_address(tpi::BindAck::new(&any).unwrap().addr()).unwrap();
    assert!(any.ip().is_unspecified() && any.port() >= 49_152);
}

#[test]
fn m2_malformed_requests_are_refused_with_the_error_of_their_part() {
    let mut udp = Provider::bound();
    let connect = Primitive::conn_req(addr(PEER));
    assert_eq!(udp.refused(&connect.with_word(8, -1)).0, tpi::TBADADDR);
    assert_eq!(udp.refused(&connect.with_word(4, 3)).0, tpi::TBADADDR, "no address");
    assert_eq!(udp.refused(&connect.with_word(12, 4)).0, tpi::TBADOPT, "points at the words");
    let short = Malformed::Short.numbers();
    assert_eq!(udp.refused(&Primitive::new(&[tpi::T_CONN_REQ])), (short.0, short.1.0));
    assert_eq!(udp.refused(&Primitive::new(&[29])).0, tpi::TNOTSUPPORT);
    assert_eq!(udp.refused(&Primitive::ok_ack(0)).0, tpi::TNOTSUPPORT, "an answer is no request");
    udp.put(&[1, 2], None);
    assert_eq!(udp.answers(), []);
}

#[test]
fn options_are_set_checked_and_read_and_wrong_ones_refused() {
    let mut udp = Provider::bound();
    let value = |udp: &mut Provider, name| {
        let asked = Record { level: option::LEVEL, name, status: 0, value: &[0; 4] };
        let answer = udp.ask(&Primitive::optmgmt_req(tpi::T_CURRENT).with_option(&asked));
        let View::OptmgmtAck(ack) = answer.view() else { panic!("{:?}", answer.view()) };
        let record = Records::new(ack.options()).next().unwrap().unwrap();
        (ack.flags(), record.status, record.word().unwrap())
    };
    assert!(matches!(udp.ask(&option::set(option::TTL, 9)).view(), View::OptmgmtAck(_)));
    assert_eq!(value(&mut udp, option::TTL), (tpi::T_SUCCESS, tpi::T_SUCCESS, 9));
    udp.ask(&option::set(option::TTL, 7).with_word(12, tpi::T_CHECK));
    assert_eq!(value(&mut udp, option::TTL).2, 9, "looked at, not set");
    assert_eq!(udp.refused(&option::set(option::TTL, 256)).0, tpi::TBADOPT);
    assert_eq!(udp.refused(&option::set(99, 1)).0, tpi::TBADOPT);
    assert_eq!(udp.refused(&option::set(option::TTL, 1).with_word(12, 77)).0, tpi::TBADFLAG);
    assert_eq!(udp.refused(&option::set(option::TTL, 1).with_word(20, 6)).0, tpi::TBADOPT);
    let long = Primitive::optmgmt_req(tpi::T_NEGOTIATE).with_span(4, &[0; 68]);
    assert_eq!(udp.refused(&long).0, tpi::TBADOPT);
}
