//! What routers say: soft errors, forged ones, and paths that take less.

use crate::kit::*;
use millstream_modules::ctl::Ctl;
use millstream_modules::ip::icmp::{Cause, SoftError};

/// A connection with 5000 octets in flight; its first segment.
fn in_flight() -> (T, Sent) {
    let mut t = T::established_with(syn().mss(1460));
    t.write(5000);
    let first = t.sent_now().remove(0);
    (t, first)
}

const SOFT: [Cause; 7] = [
    Cause::NetUnreachable,
    Cause::HostUnreachable,
    Cause::SourceRouteFailed,
    Cause::TimeExceeded,
    Cause::ReassemblyTimeExceeded,
    Cause::ParameterProblem(0),
    Cause::Prohibited,
];

//= rfc9293#section-3.9.2.2
#[test]
fn must_56_soft_errors_end_no_connection() {
    for cause in SOFT {
        let (mut t, first) = in_flight();
        t.icmp(&first, cause);
        assert_eq!(t.event(), None, "{cause:?}");
        t.inject(ack(5001));
        t.expect_alive();
    }
}

//= rfc9293#section-3.9.2.2
#[test]
fn must_56_soft_errors_end_no_open() {
    for cause in [Cause::NetUnreachable, Cause::HostUnreachable, Cause::TimeExceeded] {
        let mut t = T::connecting();
        let first = t.expect(seg().flag(SYN));
        t.icmp(&first, cause);
        assert_eq!(t.event(), None, "{cause:?}");
        t.expect_within(2000, seg().flag(SYN));
        t.inject(plain().seq(0).ack(1));
        let peer = t.p().addr;
        t.expect_event(Event::Connected(peer));
    }
}

//= rfc9293#section-3.9.2.2
#[test]
fn must_47_a_soft_error_is_why_a_connection_timed_out() {
    let (mut t, first) = in_flight();
    t.icmp(&first, Cause::HostUnreachable);
    t.advance(4_000_000);
    t.expect_event(Event::Broken(EHOSTUNREACH, -1));
    let mut t = T::connecting();
    let first = t.expect(seg().flag(SYN));
    t.icmp(&first, Cause::NetUnreachable);
    t.advance(1_000_000);
    t.expect_event(Event::Broken(ENETUNREACH, -1));
}

//= rfc9293#section-3.9.2.2
#[test]
fn must_54_the_quote_selects_the_connection() {
    let (mut t, _) = in_flight();
    t.add_peer(addr(PEER, 6000));
    t.user = 0;
    t.handshake(syn().mss(1460));
    t.accept();
    t.write(5000);
    let second = t.sent_now().remove(0);
    t.icmp(&second, Cause::PacketTooBig(Some(1000)));
    let again = t.sent_in(10);
    assert!(again.iter().any(|sent| sent.seq == 1 && sent.len() == 960), "{again:#?}");
    t.peer = 0;
    t.expect_nothing();
    // And one about nobody does no harm.
    let other = Sent { src: addr(HOST, 1), ..second };
    t.icmp(&other, Cause::PacketTooBig(Some(600)));
    t.expect_nothing();
}

//= rfc5927#section-5.2
#[test]
fn shld_26_hard_errors_end_no_connection_that_stands() {
    for cause in [Cause::ProtocolUnreachable, Cause::PortUnreachable] {
        let (mut t, first) = in_flight();
        t.icmp(&first, cause);
        assert_eq!(t.event(), None, "{cause:?}");
        t.inject(ack(5001));
        t.expect_alive();
    }
}

//= rfc5927#section-4.1
#[test]
fn an_error_about_what_is_not_in_flight_is_ignored() {
    let (mut t, first) = in_flight();
    for seq in [first.raw_seq.wrapping_sub(1), first.raw_seq.wrapping_add(5001), 0x7777_7777] {
        let forged = Sent { raw_seq: seq, ..first.clone() };
        t.icmp(&forged, Cause::PacketTooBig(Some(600)));
        t.icmp(&forged, Cause::PortUnreachable);
    }
    t.expect_nothing();
    let mut t = T::connecting();
    let first = t.expect(seg().flag(SYN));
    let forged = Sent { raw_seq: first.raw_seq.wrapping_add(9), ..first };
    t.icmp(&forged, Cause::PortUnreachable);
    assert_eq!(t.event(), None);
}

//= rfc1191#section-6
//= rfc9293#section-3.7.2
#[test]
fn a_path_that_takes_less_gets_shorter_segments_at_once() {
    let (mut t, first) = in_flight();
    t.icmp(&first, Cause::PacketTooBig(Some(1000)));
    let again = t.sent_in(5);
    assert!(!again.is_empty() && again[0].seq == 1 && again[0].len() == 960, "{again:#?}");
    for _ in 0..10 {
        t.inject(seg().flag(ACK));
        let sent = t.sent_in(100);
        assert!(sent.iter().all(|sent| sent.len() <= 960));
    }
    assert_eq!(t.p().rcv_nxt, 5001);
    t.write(4000);
    let sent = t.sent_now();
    assert!(sent.iter().all(|sent| sent.len() <= 960), "{sent:#?}");
}

//= rfc1191#section-6
#[test]
fn a_path_that_takes_less_is_no_congestion() {
    let (mut t, first) = in_flight();
    t.icmp(&first, Cause::PacketTooBig(Some(1400)));
    t.sent_in(5);
    t.inject(ack(5001));
    t.write(10_000);
    let octets: usize = t.sent_now().iter().map(Sent::len).sum();
    assert!(octets >= 6 * 1360, "{octets}");
}

//= rfc5927#section-7
#[test]
fn a_path_does_not_grow_and_does_not_vanish_by_an_error() {
    let (mut t, first) = in_flight();
    t.icmp(&first, Cause::PacketTooBig(Some(9000)));
    t.expect_nothing();
    t.icmp(&first, Cause::PacketTooBig(Some(68)));
    t.sent_in(5);
    t.inject(ack(5001));
    t.write(3000);
    let sent = t.sent_now();
    let longest = sent.iter().map(Sent::len).max();
    assert!(longest >= Some(500), "pieces of {longest:?} octets ask for a flood");
}

//= rfc1191#section-5
#[test]
fn a_router_that_does_not_say_how_much_gets_less() {
    let (mut t, first) = in_flight();
    t.icmp(&first, Cause::PacketTooBig(None));
    t.sent_in(5);
    t.inject(ack(5001));
    t.write(3000);
    let sent = t.sent_now();
    assert!(sent.iter().all(|sent| sent.len() < 1460), "{sent:#?}");
}

#[test]
fn an_error_about_an_older_host_is_not_about_us() {
    let mut t = T::established();
    t.tell(Ctl::Failed(SoftError {
        reporter: [10, 0, 0, 254].into(),
        src: [10, 0, 0, 200].into(),
        dst: PEER.into(),
        protocol: 6,
        cause: Cause::PortUnreachable,
        transport: [0, 80, 19, 136, 0, 0, 0, 0],
    }));
    t.expect_alive();
}

//= rfc9293#section-3.9.2.2
#[test]
fn must_47_a_soft_error_can_be_asked_for_once() {
    let (mut t, first) = in_flight();
    t.icmp(&first, Cause::HostUnreachable);
    assert_eq!(t.get(opt::ERROR), EHOSTUNREACH);
    assert_eq!(t.get(opt::ERROR), 0);
}

//= rfc5927#section-6.1
#[test]
fn a_hard_error_ends_an_open() {
    let mut t = T::connecting();
    let first = t.expect(seg().flag(SYN));
    t.icmp(&first, Cause::PortUnreachable);
    t.expect_event(Event::Broken(ECONNREFUSED, -1));
    t.expect_nothing_for(10_000);
}
