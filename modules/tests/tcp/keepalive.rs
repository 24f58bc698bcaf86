//! Keepalive: off unless asked for, and then patient.

use crate::kit::*;

/// A connection with keepalive after 10 s, each 2 s, 3 times.
fn kept() -> T {
    let mut t = T::established();
    t.set(opt::KEEPALIVE, 1);
    t.set(opt::KEEPIDLE, 10);
    t.set(opt::KEEPINTVL, 2);
    t.set(opt::KEEPCNT, 3);
    t
}

/// An old number, and no data.
fn probe() -> Seg {
    ack(1).seq(0)
}

//= rfc9293#section-3.8.4
#[test]
fn must_25_keepalive_is_off() {
    let mut t = T::established();
    assert_eq!(t.get(opt::KEEPALIVE), 0);
    t.expect_nothing_for(24 * 3_600_000);
    t.expect_alive();
}

//= rfc9293#section-3.8.4
#[test]
fn must_24_keepalive_is_switched_per_connection() {
    let mut t = kept();
    t.add_peer(addr(PEER, 6000));
    t.user = 0;
    t.handshake(plain());
    t.accept();
    t.expect_nothing_for(60_000);
    assert_eq!(t.get(opt::KEEPALIVE), 0);
    t.peer = 0;
    assert!(!t.sent_now().is_empty());
}

//= rfc9293#section-3.8.4
#[test]
fn keepalive_can_be_switched_off_again() {
    let mut t = kept();
    t.advance(5000);
    t.set(opt::KEEPALIVE, 0);
    t.expect_nothing_for(60_000);
}

//= rfc9293#section-3.8.4
#[test]
fn must_26_a_probe_comes_after_the_interval_without_anything() {
    let mut t = kept();
    t.expect_between(9_900, 10_500, probe());
}

//= rfc9293#section-3.8.4
#[test]
fn must_26_traffic_puts_the_probe_off() {
    let mut t = kept();
    for _ in 0..5 {
        t.expect_nothing_for(8000);
        t.inject(data(10));
        t.advance(500);
        t.sent_now();
    }
    t.expect_between(9_000, 10_500, seg().flag(ACK).len(0).seq(0));
}

//= rfc9293#section-3.8.4
#[test]
fn must_27_the_interval_is_an_option() {
    let mut t = kept();
    t.set(opt::KEEPIDLE, 1);
    assert_eq!(t.get(opt::KEEPIDLE), 1);
    t.expect_between(900, 1500, probe());
}

//= rfc9293#section-3.8.4
#[test]
fn must_28_the_interval_is_two_hours_unless_set() {
    let mut t = T::established();
    assert!(t.get(opt::KEEPIDLE) >= 7200);
    t.set(opt::KEEPALIVE, 1);
    t.expect_nothing_for(7_190_000);
    t.expect_within(60_000, probe());
}

//= rfc9293#section-3.8.4
#[test]
fn must_29_a_probe_without_answer_ends_nothing() {
    let mut t = kept();
    t.expect_within(10_500, probe());
    t.expect_between(1_900, 2_500, probe());
    assert_eq!(t.event(), None);
    t.inject(ack(1));
    t.expect_nothing_for(9_900);
    t.expect_within(700, probe());
    t.expect_alive();
}

//= rfc9293#section-3.8.4
#[test]
fn the_last_probe_without_answer_ends_the_connection() {
    let mut t = kept();
    t.expect_within(10_500, probe());
    t.expect_within(2500, probe());
    t.expect_within(2500, probe());
    assert_eq!(t.event(), None);
    t.advance(2500);
    t.expect_event(Event::Broken(ETIMEDOUT, -1));
}

//= rfc9293#section-3.8.4
#[test]
fn shld_12_a_probe_has_no_data_and_is_answered_by_an_ack() {
    let mut t = T::established();
    t.inject(data(1000));
    t.inject(data(1000));
    t.sent_now();
    // What Linux, and what older ones send.
    t.inject(seg().flag(ACK).seq(2000));
    t.expect(ack(2001));
    t.advance(1000);
    t.inject(data(1).seq(2000));
    t.expect(ack(2001));
}

//= rfc9293#section-3.8.4
#[test]
fn probes_wait_while_data_are_not_acknowledged() {
    let mut t = kept();
    t.write(1000);
    let sent = t.sent_in(60_000);
    assert!(sent.iter().all(|sent| sent.seq == 1 && sent.len() == 1000), "{sent:#?}");
}

//= rfc9293#section-3.8.4
#[test]
fn a_peer_that_has_forgotten_the_connection_ends_it_by_a_reset() {
    let mut t = kept();
    let sent = t.expect_within(10_500, probe());
    t.inject(rst().seq(sent.ack));
    t.expect_event(Event::Broken(ECONNRESET, -1));
}

//= rfc9293#section-3.8.4
#[test]
fn keepalive_goes_on_when_the_peer_has_ended_its_direction() {
    let mut t = kept();
    t.inject(fin());
    t.sent_in(500);
    t.expect_event(Event::Ended);
    t.expect_within(10_500, ack(2).seq(0));
}
