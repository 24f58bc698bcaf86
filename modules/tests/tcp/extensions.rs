//! What is agreed with SYN: window scale and timestamps (RFC 7323), SACK (RFC 2018, RFC 2883), ECN
//! (RFC 3168).

use crate::kit::*;

//= rfc7323#section-2.2
#[test]
fn what_the_peer_does_not_offer_is_not_answered() {
    let mut t = T::listening();
    t.inject(plain());
    let answer = t.expect(syn_ack().no_ts().no_flag(ECE | CWR));
    assert!(answer.wscale.is_none() && !answer.sack_ok);
}

//= rfc7323#section-2.2
#[test]
fn what_the_peer_offers_is_answered() {
    let mut t = T::listening();
    t.inject(full().ts(4711, 0));
    let answer = t.expect(syn_ack().sack_ok().echo(4711));
    assert!(answer.wscale.is_some_and(|shift| shift <= 14));
}

//= rfc7323#section-2.2
#[test]
fn an_active_open_offers_all() {
    let mut t = T::connecting();
    let offer = t.expect(seg().flag(SYN).sack_ok().ts_on().mss(1460));
    assert!(offer.wscale.is_some());
    assert_eq!(offer.ts.unwrap().1, 0, "nothing to echo");
}

//= rfc7323#section-2.2
#[test]
fn a_peer_without_extensions_gets_none() {
    let mut t = T::connected_with(plain());
    t.write(1000);
    t.expect(data(1000).no_ts());
    t.inject(data(100).seq(101));
    t.expect(ack(1).sack(&[]));
    // The window that SYN offered and later ones are as they stand.
    assert!(t.p().host_wscale.is_some());
}

//= rfc7323#section-2.3
#[test]
fn the_window_of_the_peer_is_scaled_behind_its_syn() {
    let mut t = T::established_with(plain().wscale(3).win(1000));
    t.write(20_000);
    t.p().window = 1000;
    let octets: usize = t.sent_now().iter().map(Sent::len).sum();
    assert_eq!(octets, 8000);
}

//= rfc7323#section-2.2
#[test]
fn the_window_in_a_syn_is_not_scaled() {
    let mut t = T::connecting();
    t.expect(seg().flag(SYN));
    t.p().window = 600;
    t.inject(plain().wscale(4).win(600).seq(0).ack(1));
    t.expect(ack(1));
    t.event();
    t.write(9600);
    let octets: usize = t.sent_now().iter().map(Sent::len).sum();
    assert_eq!(octets, 600, "the last window it knows");
}

//= rfc7323#section-3.2
#[test]
fn every_segment_carries_a_timestamp_and_the_echo() {
    let mut t = T::established_with(full());
    t.advance(50);
    t.inject(data(10).ts(777_777, 0));
    t.sent_in(500);
    t.write(10);
    t.expect(data(10).echo(777_777));
    t.shutdown();
    t.expect(fin().echo(777_777));
}

//= rfc7323#section-4.3
#[test]
fn a_delayed_ack_echoes_the_first_segment_it_acknowledges() {
    let mut t = T::established_with(plain().ts_on());
    for _ in 0..40 {
        t.inject(data(988));
        t.sent_in(50);
    }
    t.advance(1000);
    t.sent_now();
    let clock = {
        let now = t.rig.now();
        t.p().clock(now)
    };
    t.inject(data(988).ts(clock, 0));
    if t.sent_now().is_empty() {
        t.inject(data(988).ts(clock + 5, 0));
        t.expect(seg().flag(ACK).echo(clock));
    }
}

//= rfc7323#section-4.3
#[test]
fn an_ack_of_a_segment_out_of_order_echoes_the_last_in_order() {
    let mut t = T::established_with(full());
    t.inject(data(100).ts(600_000, 0));
    t.inject(data(100).ts(600_001, 0));
    t.sent_in(500);
    t.inject(data(100).seq(301).ts(600_020, 0));
    let sent = t.expect(ack(201));
    assert!(sent.ts.unwrap().1 < 600_020, "{sent:#?}");
    // What fills the hole is echoed.
    t.inject(data(100).seq(201).ts(600_010, 0));
    t.expect(ack(401).echo(600_010));
}

//= rfc7323#section-5.3
#[test]
fn paws_drops_an_old_segment_and_answers_it() {
    let mut t = T::established_with(full());
    t.inject(data(100).ts(900_000, 0));
    t.inject(data(100).ts(900_001, 0));
    t.sent_in(500);
    t.expect_read(200);
    t.inject(data(100).ts(899_000, 0));
    t.expect(ack(201));
    assert_eq!(t.event(), None);
    t.p().nxt = 201;
    t.inject(data(100).ts(900_002, 0));
    t.expect_read(100);
}

//= rfc7323#section-5.2
#[test]
fn paws_does_not_look_at_resets() {
    let mut t = T::established_with(full());
    t.inject(data(100).ts(900_000, 0));
    t.expect_read(100);
    t.inject(rst().ts(1, 0));
    t.expect_event(Event::Broken(ECONNRESET, -1));
}

//= rfc7323#section-5.5
#[test]
fn paws_forgets_a_timestamp_that_is_too_old() {
    let mut t = T::established_with(full());
    t.inject(data(100).ts(900_000, 0));
    t.sent_in(500);
    t.expect_read(100);
    t.advance(25 * 24 * 3_600_000);
    t.inject(data(100).ts(800_000, 0));
    t.expect_read(100);
}

//= rfc7323#section-5.4
#[test]
fn clocks_of_different_connections_do_not_tell_of_each_other() {
    let mut t = T::listening();
    let mut seen = Vec::new();
    for port in 5000..5008 {
        t.add_peer(addr(PEER, port));
        t.inject(full());
        seen.push(t.expect(syn_ack()).ts.unwrap().0);
    }
    seen.dedup();
    assert!(seen.len() > 4, "{seen:?}");
}

//= rfc7323#section-5.4
#[test]
fn the_clock_of_a_connection_ticks_in_milliseconds() {
    let mut t = T::established_with(full());
    t.write(10);
    let first = t.expect(data(10)).ts.unwrap().0;
    t.inject(seg().flag(ACK));
    t.advance(1000);
    t.write(10);
    let passed = t.expect(data(10)).ts.unwrap().0.wrapping_sub(first);
    assert!((900..=1100).contains(&passed), "{passed} in a second");
}

//= rfc2018#section-4
#[test]
fn blocks_tell_of_what_waits_the_latest_first() {
    let mut t = T::established_with(with_sack());
    t.inject(data(100).seq(201));
    t.expect(ack(1).sack(&[(201, 301)]));
    t.inject(data(100).seq(401));
    t.expect(ack(1).sack(&[(401, 501), (201, 301)]));
    t.inject(data(100).seq(601));
    t.expect(ack(1).sack(&[(601, 701), (401, 501), (201, 301)]));
    t.inject(data(100).seq(301));
    t.expect(ack(1).sack(&[(201, 501), (601, 701)]));
    t.inject(data(100).seq(101));
    t.expect(ack(1).sack(&[(101, 501), (601, 701)]));
    t.inject(data(100).seq(1));
    t.expect(ack(501).sack(&[(601, 701)]));
    t.inject(data(100).seq(501));
    t.expect(ack(701).sack(&[]));
    t.expect_read(700);
}

//= rfc2018#section-3
#[test]
fn four_blocks_fit_and_three_beside_a_timestamp() {
    for (syn, most) in [(with_sack(), 4), (full(), 3)] {
        let mut t = T::established_with(syn);
        for n in 1..=6 {
            t.inject(data(100).seq(1 + 200 * n));
        }
        let sent = t.sent_now();
        assert_eq!(sent.last().unwrap().sacks.len(), most);
        assert_eq!(sent.last().unwrap().sacks[0], (1201, 1301));
    }
}

//= rfc2883#section-4.1.1
#[test]
fn a_duplicate_below_the_ack_is_told_by_the_first_block() {
    let mut t = T::established_with(with_sack());
    t.inject(data(1000));
    t.inject(data(1000));
    t.sent_now();
    t.inject(data(500).seq(501));
    t.expect(ack(2001).sack(&[(501, 1001)]));
}

//= rfc2883#section-4.1.3
#[test]
fn a_duplicate_above_the_ack_is_told_before_the_block_it_is_in() {
    let mut t = T::established_with(with_sack());
    t.inject(data(500).seq(501));
    t.inject(data(500).seq(1001));
    t.sent_now();
    t.inject(data(500).seq(1001));
    t.expect(ack(1).sack(&[(1001, 1501), (501, 1501)]));
}

//= rfc2883#section-4.2.1
#[test]
fn the_part_of_a_segment_that_came_before_is_told() {
    let mut t = T::established_with(with_sack());
    t.inject(data(1000));
    t.sent_in(300);
    t.inject(data(1000).seq(501));
    t.expect(ack(1501).sack(&[(501, 1001)]));
}

/// A connection of a peer that speaks ECN.
fn with_ecn() -> T {
    let mut t = T::listening();
    t.inject(with_sack().flag(ECE | CWR));
    t.expect(syn_ack().flag(ECE).no_flag(CWR).tos(0));
    t.inject(ack(1));
    t.accept();
    t
}

//= rfc3168#section-6.1.1
#[test]
fn ecn_is_agreed_when_the_peer_asks_for_it() {
    let mut t = with_ecn();
    t.write(3000);
    for _ in 0..3 {
        t.expect(data(1000).tos(2));
    }
}

//= rfc3168#section-6.1.1
#[test]
fn without_ecn_nothing_is_marked() {
    let mut t = T::established();
    t.write(1000);
    t.expect(data(1000).tos(0).no_flag(ECE | CWR));
    t.inject(data(1000).tos(3));
    t.inject(data(1000).tos(3));
    t.expect(seg().flag(ACK).no_flag(ECE));
}

//= rfc3168#section-6.1.3
#[test]
fn a_mark_is_echoed_until_the_peer_says_it_has_heard() {
    let mut t = with_ecn();
    t.inject_all(&[data(1000).tos(2), data(1000).tos(3)]);
    t.expect(ack(2001).flag(ECE).tos(0));
    t.inject_all(&[data(1000).tos(2), data(1000).tos(2)]);
    t.expect(ack(4001).flag(ECE));
    t.inject(data(1000).tos(2).flag(CWR));
    t.inject(data(1000).tos(2));
    let sent = t.sent_in(100);
    assert!(!sent.last().unwrap().has(ECE), "{sent:#?}");
}

//= rfc3168#section-6.1.2
#[test]
fn an_echo_makes_the_flight_smaller_once() {
    let mut t = with_ecn();
    t.set(opt::SNDBUF, 1 << 20);
    t.write(60_000);
    let first = t.expect_octets(1, 10_001);
    assert_eq!(first.len(), 10);
    let mut cwr = 0;
    for n in 1..=10 {
        t.inject(ack(1 + 1000 * n).flag(ECE));
        cwr += t.sent_now().iter().filter(|sent| sent.has(CWR)).count();
    }
    assert_eq!(cwr, 1, "one segment tells that it was heard");
    let flight = t.p().rcv_nxt - 10_001;
    assert!((4000..=9000).contains(&flight), "{flight} octets");
}

//= rfc3168#section-6.1.5
#[test]
fn segments_sent_again_are_not_marked() {
    let mut t = with_ecn();
    t.write(1000);
    t.expect(data(1000).tos(2));
    t.expect_within(3000, data(1000).seq(1).tos(0));
}

/// A host that asks for marks of congestion; its SYN is looked at.
fn asking() -> T {
    let mut t = T::new();
    assert!(t.set_mux("ecn", "on"));
    t.connect();
    t
}

//= rfc3168#section-6.1.1
#[test]
fn ecn_is_asked_for_where_the_stack_is_told_to() {
    let mut t = T::connecting();
    t.expect(syn().no_flag(ECE | CWR));
    let mut t = asking();
    t.expect(syn().flag(ECE | CWR).tos(0));
    t.inject(with_sack().ack(1).flag(ECE));
    t.expect(ack(1).tos(0));
    t.write(1000);
    t.expect(data(1000).tos(2).no_flag(ECE | CWR));
    t.inject(ack(1001).flag(ECE));
    t.write(1000);
    t.expect(data(1000).tos(2).flag(CWR));
}

//= rfc3168#section-6.1.1
#[test]
fn ecn_that_the_peer_does_not_agree_to_is_not_used() {
    // Its answer has no ECE; or an old host sends back the flags as they came.
    for flags in [0, ECE | CWR] {
        let mut t = asking();
        t.expect(syn().flag(ECE | CWR));
        t.inject(with_sack().ack(1).flag(flags));
        t.expect(ack(1));
        t.write(1000);
        t.expect(data(1000).tos(0).no_flag(ECE | CWR));
    }
}

//= rfc3168#section-6.1.1.1
#[test]
fn a_syn_that_asks_for_ecn_and_is_not_answered_is_followed_by_one_that_does_not() {
    let mut t = asking();
    t.expect(syn().flag(ECE | CWR));
    t.expect_within(2000, syn().no_flag(ECE | CWR));
    t.inject(with_sack().ack(1).flag(ECE));
    t.expect(ack(1));
    t.write(1000);
    t.expect(data(1000).tos(0).no_flag(ECE | CWR));
}
