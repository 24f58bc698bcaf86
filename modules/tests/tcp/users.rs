//! The face to users: TPI (streams-semantics M), addresses, options, many connections.

use crate::kit::*;
use millstream_core::Errno;
use millstream_core::tpi::{self, Primitive};
use millstream_msg::Kind;

const UNBND: i32 = tpi::State::Unbnd as i32;
const IDLE: i32 = tpi::State::Idle as i32;
const DATA_XFER: i32 = tpi::State::DataXfer as i32;

#[test]
fn m3_the_state_follows_bind_connect_release_and_unbind() {
    let mut t = T::new();
    t.user = t.open();
    assert_eq!(t.tpi_state(t.user), UNBND);
    let local = t.bind_at(t.user, addr([0, 0, 0, 0], 0), 0);
    assert!(local.port() != 0);
    assert_eq!(t.tpi_state(t.user), IDLE);
    let peer = t.p().addr;
    t.p().host = addr(HOST, local.port());
    t.connect_to(t.user, peer);
    assert_eq!(t.tpi_state(t.user), tpi::State::WconCreq as i32);
    t.expect(seg().flag(SYN));
    t.inject(plain().seq(0).ack(1));
    t.expect_event(Event::Connected(peer));
    assert_eq!(t.tpi_state(t.user), DATA_XFER);
    t.shutdown();
    assert_eq!(t.tpi_state(t.user), tpi::State::WindOrdrel as i32);
    t.sent_now();
    t.inject(ack(2));
    t.inject(fin());
    t.expect_event(Event::Ended);
    assert_eq!(t.tpi_state(t.user), IDLE);
    let done = t.ask(t.user, &Primitive::unbind_req());
    assert_eq!(done, Event::Done(tpi::T_UNBIND_REQ));
    assert_eq!(t.tpi_state(t.user), UNBND);
}

#[test]
fn m3_requests_out_of_state_are_refused_and_change_nothing() {
    let refused = |of| Event::Refused(of, tpi::TOUTSTATE, Errno::EINVAL.0);
    let mut t = T::new();
    t.user = t.open();
    let to = t.p().addr;
    let connect = Primitive::conn_req(to);
    assert_eq!(t.ask(t.user, &connect), refused(tpi::T_CONN_REQ));
    assert_eq!(t.ask(t.user, &Primitive::discon_req(-1)), refused(tpi::T_DISCON_REQ));
    assert_eq!(t.ask(t.user, &Primitive::unbind_req()), refused(tpi::T_UNBIND_REQ));
    assert_eq!(t.ask(t.user, &Primitive::conn_res(0, 0)), refused(tpi::T_CONN_RES));
    assert_eq!(t.tpi_state(t.user), UNBND);
    let mut t = T::established();
    let bind = Primitive::bind_req(addr([0, 0, 0, 0], 0));
    assert_eq!(t.ask(t.user, &bind), refused(tpi::T_BIND_REQ));
    assert_eq!(t.ask(t.user, &connect), refused(tpi::T_CONN_REQ));
    assert_eq!(t.ask(t.user, &Primitive::unbind_req()), refused(tpi::T_UNBIND_REQ));
    assert_eq!(t.tpi_state(t.user), DATA_XFER);
    t.expect_alive();
}

#[test]
fn m3_data_out_of_state_are_fatal() {
    let mut t = T::new();
    t.user = t.open();
    t.put(t.user, &Primitive::data_req(false), Some(b"x"));
    t.expect_event(Event::Failed(Errno::EPROTO.0));
    let mut t = T::connecting();
    t.put(t.user, &Primitive::data_req(false), Some(b"x"));
    t.expect_event(Event::Failed(Errno::EPROTO.0));
}

#[test]
fn m5_wrong_acceptors_and_numbers_are_refused() {
    let mut t = T::listening();
    t.handshake(plain());
    let Some(Event::Calls(_, sequence)) = t.event() else { panic!("nobody calls") };
    let unknown = t.ask(t.user, &Primitive::conn_res(0x7fff_ffff, sequence));
    assert!(matches!(unknown, Event::Refused(tpi::T_CONN_RES, tpi::TBADF, _)), "{unknown:?}");
    let other = t.open();
    let Event::Capability(_, Some(acceptor)) =
        t.ask(other, &Primitive::capability_req(tpi::TC1_ACCEPTOR_ID))
    else {
        panic!("no number")
    };
    let wrong = t.ask(t.user, &Primitive::conn_res(acceptor, sequence + 1));
    assert!(matches!(wrong, Event::Refused(tpi::T_CONN_RES, tpi::TBADSEQ, _)), "{wrong:?}");
    let done = t.ask(t.user, &Primitive::conn_res(acceptor, sequence));
    assert_eq!(done, Event::Done(tpi::T_CONN_RES));
    assert_eq!(t.tpi_state(other), DATA_XFER);
    assert_eq!(t.tpi_state(t.user), IDLE);
}

#[test]
fn m8_info_tells_of_a_stream_of_octets_with_orderly_release() {
    let mut t = T::listening();
    // Looked at as it came: the kit's events do not tell all of it.
    let asked = Primitive::capability_req(tpi::TC1_INFO | tpi::TC1_ACCEPTOR_ID);
    let mut msg = t.rig.msg(asked.as_bytes());
    msg.set_kind(Kind::PcProto);
    t.rig.put_down(0, msg);
    let all = t.rig.above(0);
    let ack = tpi::CapabilityAck::new(all[0].first()).unwrap();
    let info = ack.info().unwrap();
    assert_eq!((info.tsdu(), info.service()), (0, tpi::T_COTS_ORD));
    assert_eq!((info.cdata(), info.ddata()), (tpi::T_INVALID, tpi::T_INVALID));
    assert!(ack.bits() & tpi::TC1_ACCEPTOR_ID != 0);
}

#[test]
fn m8_both_addresses_are_told() {
    let mut t = T::established();
    let due = Event::Addresses(Some(addr(HOST, PORT)), Some(addr(PEER, 5000)));
    assert_eq!(t.ask(t.user, &Primitive::addr_req()), due);
}

#[test]
fn a_port_that_is_taken_is_refused_to_another_listener() {
    let mut t = T::listening();
    let other = t.open();
    let bind = Primitive::bind_req(addr([0, 0, 0, 0], PORT)).with_word(12, 4);
    let busy = t.ask(other, &bind);
    assert!(matches!(busy, Event::Refused(tpi::T_BIND_REQ, tpi::TADDRBUSY, _)), "{busy:?}");
    let elsewhere = Primitive::bind_req(addr([10, 0, 0, 77], 82));
    let foreign = t.ask(other, &elsewhere);
    assert!(matches!(foreign, Event::Refused(tpi::T_BIND_REQ, ..)), "{foreign:?}");
}

#[test]
fn a_port_is_free_again_when_its_user_is_gone() {
    let mut t = T::listening();
    t.close();
    let next = t.open();
    t.bind_at(next, addr([0, 0, 0, 0], PORT), 4);
}

#[test]
fn reuseaddr_binds_over_connections_in_time_wait() {
    let mut t = T::established_by(opt::REUSEADDR, 1, plain());
    t.shutdown();
    t.expect(fin().seq(1));
    t.inject(ack(2));
    t.inject(fin());
    t.user = 0;
    t.close();
    t.user = t.open();
    t.set(opt::REUSEADDR, 1);
    t.bind_at(t.user, addr([0, 0, 0, 0], PORT), 4);
    t.expect_service(t.user);
}

#[test]
fn a_second_connection_to_the_same_peer_from_the_same_port_is_refused() {
    let mut t = T::connected();
    let host = t.p().host;
    let peer = t.p().addr;
    let other = t.open();
    let record = t.try_set(other, opt::REUSEADDR, &1_i32.to_ne_bytes());
    assert!(matches!(record, Event::Options(_)));
    if let Event::Bound(..) = t.ask(other, &Primitive::bind_req(host)) {
        let refused = t.ask(other, &Primitive::conn_req(peer));
        assert!(matches!(refused, Event::Refused(tpi::T_CONN_REQ, ..)), "{refused:?}");
    }
    t.expect_alive();
}

#[test]
fn options_unknown_or_out_of_range_are_refused() {
    let mut t = T::established();
    for (option, value) in [
        ((6, 9999), 1),
        ((99, 1), 1),
        (opt::TTL, 256),
        (opt::KEEPIDLE, 0),
        (opt::KEEPIDLE, 40_000),
        (opt::KEEPCNT, 0),
        (opt::KEEPCNT, 128),
        (opt::USER_TIMEOUT, -1),
        (opt::MAXSEG, 1),
        (opt::WINDOW_CLAMP, -1),
        (opt::MAX_PACING_RATE, 0),
    ] {
        let answer = t.try_set(t.user, option, &i32::to_ne_bytes(value));
        assert!(matches!(answer, Event::Refused(..)), "{option:?} = {value}: {answer:?}");
    }
    let short = t.try_set(t.user, opt::NODELAY, &[1]);
    assert!(matches!(short, Event::Refused(..)), "{short:?}");
    t.expect_alive();
}

#[test]
fn options_are_read_as_they_were_set() {
    let mut t = T::established();
    for (option, value) in [
        (opt::NODELAY, 1),
        (opt::CORK, 1),
        (opt::KEEPALIVE, 1),
        (opt::KEEPIDLE, 77),
        (opt::KEEPINTVL, 7),
        (opt::KEEPCNT, 5),
        (opt::USER_TIMEOUT, 12_345),
        (opt::TOS, 0x10),
        (opt::TTL, 33),
        (opt::OOBINLINE, 1),
        (opt::SYNCNT, 3),
        (opt::WINDOW_CLAMP, 20_000),
        (opt::NOTSENT_LOWAT, 16_384),
        (opt::MAX_PACING_RATE, 125_000),
    ] {
        t.set(option, value);
        assert_eq!(t.get(option), value, "{option:?}");
    }
    assert_eq!(t.get(opt::MAXSEG), 1000);
}

#[test]
fn an_accepted_connection_has_the_options_of_its_listener() {
    let mut t = T::established_by(opt::NODELAY, 1, plain());
    assert_eq!(t.get(opt::NODELAY), 1);
}

#[test]
fn a_writer_is_held_when_the_send_buffer_is_full_and_goes_on_later() {
    let mut t = T::established();
    t.set(opt::SNDBUF, 8192);
    for _ in 0..200 {
        t.write(1000);
    }
    for _ in 0..400 {
        t.inject(seg().flag(ACK));
        t.advance(10);
        t.sent_now();
    }
    assert_eq!(t.p().rcv_nxt, 200_001, "all of it came");
}

#[test]
fn what_is_written_before_the_user_hears_of_a_reset_is_dropped_by_name() {
    let mut t = T::established();
    t.inject(data(10));
    t.expect_read(10);
    t.rig.full_below(0);
    t.inject(rst());
    t.write(100);
    assert_eq!(t.drops("gone"), 1);
    t.rig.relieve_below(0);
    t.collect();
    t.expect_event(Event::Broken(ECONNRESET, -1));
}

#[test]
fn a_full_link_holds_data_and_loses_none() {
    let mut t = T::established();
    t.rig.full_below(0);
    t.write(20_000);
    t.advance(10);
    t.rig.relieve_below(0);
    for _ in 0..50 {
        t.collect();
        t.inject(seg().flag(ACK));
        t.advance(50);
    }
    assert_eq!(t.p().rcv_nxt, 20_001);
}

#[test]
fn hundreds_of_connections_do_not_mix() {
    let mut t = T::listening();
    let listener = t.user;
    let mut users = Vec::new();
    for n in 0..300 {
        t.add_peer(addr([10, 0, 1 + (n / 100) as u8, 1 + (n % 100) as u8], 5000 + n));
        t.user = listener;
        t.handshake(plain());
        t.accept();
        users.push((t.peer, t.user));
    }
    for (n, (peer, user)) in users.iter().enumerate() {
        (t.peer, t.user) = (*peer, *user);
        t.inject(seg().flag(ACK).bytes(format!("to {n}").as_bytes()));
        t.write_bytes(format!("from {n}").as_bytes());
    }
    for (n, (peer, user)) in users.iter().enumerate() {
        (t.peer, t.user) = (*peer, *user);
        assert_eq!(t.read(), format!("to {n}").into_bytes());
        let sent = t.sent_now();
        assert!(sent.iter().any(|sent| sent.data == format!("from {n}").into_bytes()));
    }
}

#[test]
fn a_large_write_is_not_copied() {
    let mut t = T::established_with(full());
    let msg = t.rig.msg(&pattern_of(0, 10_000));
    t.p().written = pattern_of(0, 10_000);
    let copied = |t: &mut T| t.rig.perimeter().pool().stats().copied_bytes;
    let before = copied(&mut t);
    t.rig.put_down(t.user, msg);
    assert_eq!(copied(&mut t), before);
    t.collect();
    assert!(t.p().host_max > 10_000);
}

#[test]
fn what_comes_in_is_not_copied() {
    let mut t = T::established_with(full());
    let now = t.rig.now();
    let copied = |t: &mut T| t.rig.perimeter().pool().stats().copied_bytes;
    let packet = t.p().send(&data(1448), now).to_bytes();
    let msg = t.rig.msg(&packet);
    let before = copied(&mut t);
    t.rig.put_up(0, msg);
    // The header of an acknowledgement is written, the payload is not touched.
    assert!(copied(&mut t) - before < 100);
    t.collect();
    t.expect_read(1448);
}

#[test]
fn a_full_send_buffer_stops_the_writer_and_an_ack_wakes_it() {
    let mut t = T::established();
    t.set(opt::SNDBUF, 16_384);
    let full = (1..1000).find(|_| {
        t.write(1000);
        !t.rig.room_above(t.user)
    });
    let octets = 1000 * full.expect("a megabyte finds room");
    let woken = t.rig.woken_above(t.user);
    for _ in 0..200 {
        t.inject(seg().flag(ACK));
        t.advance(10);
        t.sent_now();
    }
    assert_eq!(t.p().rcv_nxt, 1 + octets);
    assert!(t.rig.room_above(t.user) && t.rig.woken_above(t.user) > woken);
}

#[test]
fn a_reader_that_stops_stops_the_peer_and_no_memory_grows() {
    let mut t = T::established_by(opt::RCVBUF, 65_536, plain());
    t.fill(1000);
    let held = t.p().nxt - 1;
    assert!(held <= 2 * 65_536, "{held} octets were taken");
    t.go_on_reading();
    t.expect_read(held as usize);
}

#[test]
fn options_and_the_end_do_not_wait_behind_data_that_have_no_room() {
    let mut t = T::established();
    t.set(opt::SNDBUF, 8192);
    t.p().window = 0;
    t.write(1000);
    t.sent_now();
    t.inject(ack(1001));
    for _ in 0..100 {
        t.write(1000);
    }
    assert_eq!(t.state(), State::Established as u8, "TCP_INFO");
    t.set(opt::NODELAY, 1);
    let before = t.drops("gone");
    t.abort();
    t.expect(rst_ack());
    assert!(t.drops("gone") > before + 50, "what had no room is dropped by name");
}
