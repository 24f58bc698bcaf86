//! What is sent again, when, and when that ends.

use crate::kit::*;
use millstream_modules::ctl::Ctl;

/// Times in milliseconds at which the segment at `seq` is sent from now on, while nobody answers.
fn times(t: &mut T, seq: u32, millis: u64) -> Vec<u64> {
    t.sent_in(millis).iter().filter(|sent| sent.seq == seq).map(Sent::ms).collect()
}

/// A connection without SACK whose round trip took this long each time.
fn with_round_trip(millis: u64) -> T {
    let mut t = T::listening();
    t.inject(plain());
    t.expect(syn_ack());
    t.advance(millis);
    t.inject(ack(1));
    t.accept();
    for _ in 0..20 {
        t.write(1000);
        t.advance(millis);
        t.inject(seg().flag(ACK));
        t.sent_now();
    }
    t
}

//= rfc9293#section-3.8.1
//= rfc6298#section-5
#[test]
fn must_19_time_outs_double() {
    let mut t = T::established();
    t.write(1000);
    let times = times(&mut t, 1, 100_000);
    let waits: Vec<u64> = times.windows(2).map(|t| t[1] - t[0]).collect();
    assert!(waits.len() >= 6, "{waits:?}");
    assert!((190..=1100).contains(&waits[0]), "{waits:?}");
    for pair in waits.windows(2) {
        let twice = (pair[1] as f64) / (pair[0] as f64);
        assert!((1.9..=2.1).contains(&twice), "{waits:?}");
    }
}

//= rfc6298#section-2
#[test]
fn must_18_the_time_out_follows_the_round_trip() {
    for millis in [20, 100, 400] {
        let mut t = with_round_trip(millis);
        t.write(1000);
        let times = times(&mut t, 20_001, 5000);
        let wait = times[1] - times[0];
        let most = millis + 300.max(millis);
        assert!(wait >= millis.max(199) && wait <= most, "{wait} ms at {millis} ms");
    }
}

//= rfc6298#section-3
#[test]
fn must_18_karn_an_ack_of_what_was_sent_twice_measures_nothing() {
    let mut t = with_round_trip(100);
    t.write(1000);
    let sent = times(&mut t, 20_001, 700);
    assert_eq!(sent.len(), 2, "once more");
    let wait = sent[1] - sent[0];
    // At once behind the second: of which one is this?
    t.inject(ack(21_001));
    t.write(1000);
    let sent = times(&mut t, 21_001, 5000);
    let after = sent[1] - sent[0];
    assert!(after >= wait, "{after} ms after {wait}: the time-out stays as it was, or doubled");
    assert!(after <= 2 * wait + 20, "{after} ms after {wait}");
}

//= rfc6298#section-5
#[test]
fn the_time_out_is_restarted_by_an_ack_of_new_data() {
    let mut t = with_round_trip(100);
    t.write(2000);
    t.expect(data(1000).seq(20_001));
    t.expect(data(1000).seq(21_001));
    t.advance(200);
    t.inject(ack(21_001));
    t.expect_nothing_for(199);
    t.expect_within(250, data(1000).seq(21_001));
}

//= rfc9293#section-3.8.3
#[test]
fn must_20_a_connection_that_nobody_answers_ends() {
    let mut t = T::established();
    t.write(1000);
    t.advance(100_000);
    assert_eq!(t.event(), None, "R2 is at least 100 seconds");
    t.advance(3_000_000);
    t.expect_event(Event::Broken(ETIMEDOUT, -1));
    t.sent_now();
    t.expect_nothing_for(200_000);
}

//= rfc9293#section-3.8.3
//= rfc5482#section-2
#[test]
fn must_21_the_user_sets_the_time_after_which_it_ends() {
    let mut t = T::established();
    t.set(opt::USER_TIMEOUT, 5000);
    t.write(1000);
    t.advance(4900);
    assert_eq!(t.event(), None);
    t.advance(3000);
    t.expect_event(Event::Broken(ETIMEDOUT, -1));
}

#[test]
fn the_user_time_out_ends_a_closed_window_that_nobody_opens() {
    let mut t = T::established();
    t.set(opt::USER_TIMEOUT, 5000);
    t.write(1000);
    t.sent_now();
    t.p().window = 0;
    t.inject(ack(1001));
    t.write(1000);
    t.advance(60_000);
    t.expect_event(Event::Broken(ETIMEDOUT, -1));
}

//= rfc9293#section-3.8.1
#[test]
fn a_connection_that_lives_is_not_ended_by_the_user_time_out() {
    let mut t = T::established();
    t.set(opt::USER_TIMEOUT, 2000);
    for _ in 0..10 {
        t.write(1000);
        t.advance(1500);
        t.inject(seg().flag(ACK));
        t.sent_now();
    }
    assert_eq!(t.event(), None);
    t.expect_alive();
}

//= rfc5681#section-3.2
#[test]
fn three_duplicate_acks_bring_the_lost_segment_at_once() {
    let mut t = T::established();
    t.write(6000);
    t.expect_octets(1, 6001);
    t.inject(ack(1));
    t.inject(ack(1));
    t.expect_nothing();
    t.inject(ack(1));
    t.expect(data(1000).seq(1));
    t.inject(ack(6001));
    t.expect_nothing_for(5000);
}

//= rfc3042#section-2
#[test]
fn the_first_duplicate_acks_let_new_data_go() {
    let mut t = T::established();
    t.set(opt::SNDBUF, 1 << 20);
    t.write(30_000);
    t.expect_octets(1, 10_001);
    t.inject(ack(1));
    t.expect(data(1000).seq(10_001));
    t.inject(ack(1));
    t.expect(data(1000).seq(11_001));
    t.inject(ack(1));
    t.expect(data(1000).seq(1));
}

//= rfc5681#section-2
#[test]
fn acks_with_data_or_another_window_are_no_duplicates() {
    let mut t = T::established();
    t.write(6000);
    t.expect_octets(1, 6001);
    for n in 0..5 {
        t.inject(data(10).ack(1));
        t.inject(ack(1).win(60_000 + n));
    }
    let sent = t.sent_now();
    assert!(sent.iter().all(|sent| sent.len() == 0), "{sent:#?}");
}

//= rfc6582#section-3.2
#[test]
fn a_partial_ack_brings_the_next_hole() {
    let mut t = T::established();
    t.write(10_000);
    t.expect_octets(1, 10_001);
    for _ in 0..3 {
        t.inject(ack(1));
    }
    t.expect(data(1000).seq(1));
    t.inject(ack(3001));
    t.expect(data(1000).seq(3001));
    t.inject(ack(10_001));
    t.expect_nothing_for(5000);
}

//= rfc6675#section-5
#[test]
fn with_sack_only_the_holes_are_sent_again() {
    let mut t = T::established_after(50, with_sack());
    t.write(10_000);
    t.expect_octets(1, 10_001);
    // The first and the fifth are lost.
    t.advance(50);
    for end in [2001, 3001, 4001] {
        t.inject(ack(1).sack(&[(1001, end)]));
    }
    for end in [6001, 7001, 8001, 9001, 10_001] {
        t.inject(ack(1).sack(&[(5001, end), (1001, 4001)]));
    }
    let again: Vec<u32> = t.sent_in(60).iter().map(|sent| sent.seq).collect();
    assert_eq!(again, [1, 4001]);
    t.inject(ack(10_001));
    t.expect_nothing_for(5000);
}

//= rfc8985#section-6.2
#[test]
fn a_segment_sent_long_before_one_that_came_is_lost() {
    let mut t = T::established_with(with_sack());
    // A round trip of 100 ms is known.
    for _ in 0..30 {
        t.write(1000);
        t.advance(100);
        t.inject(seg().flag(ACK));
    }
    t.sent_now();
    t.write(1000);
    t.advance(60);
    t.write(1000);
    t.advance(100);
    t.sent_now();
    // One alone behind it: no three duplicates, but time.
    t.inject(ack(30_001).sack(&[(31_001, 32_001)]));
    t.expect_within(100, data(1000).seq(30_001));
}

//= rfc8985#section-7.2
#[test]
fn the_last_segment_lost_is_probed_for_before_the_time_out() {
    let mut t = T::established_with(with_sack());
    for _ in 0..20 {
        t.write(2000);
        t.advance(50);
        t.inject(seg().flag(ACK));
        t.sent_now();
    }
    t.write(3000);
    t.expect_octets(40_001, 43_001);
    let probe = t.expect_between(80, 200, seg().flag(ACK));
    assert_eq!(probe.seq, 42_001, "the last one");
}

//= rfc5681#section-3.1
#[test]
fn must_19_after_a_time_out_it_starts_with_one_segment() {
    let mut t = T::established();
    t.write(10_000);
    t.expect_octets(1, 10_001);
    t.expect_within(3000, data(1000).seq(1));
    t.expect_nothing_for(150);
    t.inject(ack(1001));
    let sent = t.sent_now();
    assert!((1..=2).contains(&sent.len()), "{sent:#?}");
    assert_eq!(sent[0].seq, 1001);
}

//= rfc5681#section-3.1
#[test]
fn must_19_losses_make_the_flight_smaller() {
    let mut t = T::established_with(with_sack().wscale(7));
    t.set(opt::SNDBUF, 1 << 20);
    t.write(400_000);
    let mut flights = Vec::new();
    for round in 0..8 {
        let sent = t.sent_in(100);
        flights.push(sent.len());
        let end = t.p().rcv_nxt;
        if round == 2 {
            let lost = sent[0].seq;
            let first = lost + 1000;
            for sent in &sent[1..] {
                t.inject(ack(lost).sack(&[(first, sent.end())]));
            }
            t.advance(100);
            t.inject(ack(end));
        } else {
            for sent in &sent {
                t.inject(ack(sent.end()));
            }
        }
    }
    let before = flights[2];
    assert!(flights[4..].iter().any(|n| *n < before), "{flights:?}");
}

//= rfc5681#section-4.1
#[test]
fn must_19_after_a_long_rest_it_starts_slowly() {
    let mut t = T::established_with(plain().wscale(7));
    t.set(opt::SNDBUF, 1 << 20);
    t.write(150_000);
    for _ in 0..20 {
        for sent in t.sent_in(100) {
            t.inject(ack(sent.end()));
        }
    }
    t.advance(60_000);
    t.write(150_000);
    let octets: usize = t.sent_now().iter().map(Sent::len).sum();
    assert!(octets <= 10_000, "{octets} at once after a minute");
}

//= rfc9293#section-3.8.1
#[test]
fn data_that_were_sent_again_are_told_once() {
    let mut t = T::established();
    t.write(3000);
    t.expect_octets(1, 3001);
    t.advance(2000);
    t.sent_now();
    t.inject(ack(3001));
    t.sent_now();
    t.expect_nothing_for(10_000);
    t.write(100);
    t.expect(data(100).seq(3001));
}

//= rfc5682#section-3.1
#[test]
fn a_time_out_that_was_none_sends_little_again() {
    let mut t = T::established_after(50, full());
    for _ in 0..10 {
        t.write(2896);
        t.advance(50);
        t.inject(seg().flag(ACK));
        t.sent_now();
    }
    let from = t.p().rcv_nxt;
    t.write(14_480);
    let first = t.sent_now();
    assert_eq!(first.len(), 10);
    // The path stops for a while; then all acknowledgements of the first flight come.
    let value = first[0].ts.unwrap().0;
    let again = t.sent_in(700);
    assert!((1..=4).contains(&again.len()), "{again:#?}");
    let clock = {
        let now = t.rig.now();
        t.p().clock(now)
    };
    for n in 1..=5 {
        t.inject(ack(from + 2896 * n).ts(clock, value));
    }
    let more = t.sent_in(200);
    let sent: usize = more.iter().filter(|s| s.seq < from + 14_480).map(Sent::len).sum();
    assert!(sent <= 2 * 1448, "{sent} octets again for nothing");
}

#[test]
fn congestion_control_is_chosen_by_name_also_on_a_live_connection() {
    let mut t = T::established();
    let name = t.get_bytes(opt::CONGESTION);
    assert!(name.starts_with(b"cubic"), "{name:?}");
    t.write(5000);
    t.set_bytes(opt::CONGESTION, b"reno");
    let name = t.get_bytes(opt::CONGESTION);
    assert!(name.starts_with(b"reno"), "{name:?}");
    let answer = t.try_set(t.user, opt::CONGESTION, b"none such");
    assert!(matches!(answer, Event::Refused(..)), "{answer:?}");
    t.inject(ack(5001));
    t.expect_alive();
}

//= rfc9293#section-3.8.3
#[test]
fn must_20_ip_is_told_of_a_peer_that_does_not_answer_after_r1_and_once() {
    let mut t = T::established();
    t.words.clear();
    t.write(1000);
    let again = |t: &mut T| {
        t.advance(1);
        t.p().seen.iter().filter(|sent| sent.seq == 1).count() - 1
    };
    while again(&mut t) < 3 {
        assert_eq!(t.words, [], "two transmissions may be lost");
    }
    t.advance(60_000);
    assert_eq!(t.words, [Ctl::Doubt(PEER.into())]);
    // It answers, and falls silent again.
    t.inject(ack(1001));
    t.write(1000);
    t.advance(600_000);
    assert_eq!(t.words, [Ctl::Doubt(PEER.into()); 2]);
}

//= rfc9293#section-3.8.3
#[test]
fn must_20_ip_is_told_of_a_peer_that_does_not_answer_a_syn() {
    let mut t = T::connecting();
    t.words.clear();
    t.advance(60_000);
    assert_eq!(t.words, [Ctl::Doubt(PEER.into())]);
}
