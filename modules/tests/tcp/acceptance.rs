//! Which segments are taken: the window test, blind attacks (RFC 5961), and their limits.

use crate::kit::*;

//= rfc9293#section-3.10.7.4
#[test]
fn what_is_left_of_the_window_is_answered_by_an_ack_and_dropped() {
    let mut t = T::established();
    t.inject_all(&[data(1000), data(1000)]);
    t.expect(ack(2001));
    t.expect_read(2000);
    t.inject(data(500).seq(1));
    t.expect(ack(2001).seq(1));
    assert_eq!(t.event(), None);
}

//= rfc9293#section-3.10.7.4
#[test]
fn what_is_right_of_the_window_is_answered_by_an_ack_and_dropped() {
    let mut t = T::established();
    t.inject(data(10).seq(0x2000_0000));
    t.expect(ack(1).seq(1));
    assert_eq!(t.event(), None);
    t.expect_alive();
}

//= rfc9293#section-3.10.7.4
#[test]
fn a_segment_across_an_edge_of_the_window_is_trimmed() {
    let mut t = T::established();
    t.inject_all(&[data(1000), data(1000).seq(501)]);
    t.expect(ack(1501));
    t.expect_read(1500);
}

//= rfc9293#section-3.3.2
#[test]
fn every_state_is_reached_and_told() {
    for state in State::ALL {
        let mut t = T::in_state(state);
        if state == State::Closed {
            t.inject(plain());
            t.expect(rst_ack().ack(1));
        } else if state == State::SynReceived {
            // The user has nothing to do with it yet.
            t.expect_state(State::Listen);
            t.expect_within(1500, syn_ack());
        } else if state != State::TimeWait {
            t.expect_state(state);
        }
    }
}

//= rfc9293#section-3.10.7.4
#[test]
fn data_without_ack_are_dropped() {
    for state in State::RECEIVING {
        let mut t = T::in_state(state);
        t.inject(data(10).no_ack());
        t.advance(600);
        assert_eq!(t.event(), None, "in {state:?}");
        t.inject(seg().flag(FIN).seq(1));
        t.advance(600);
        assert_eq!(t.event(), None, "in {state:?}");
    }
}

//= rfc9293#section-3.10.7.4
//= rfc5961#section-3.2
#[test]
fn a_reset_at_the_next_number_resets() {
    let mut t = T::established();
    t.inject(rst());
    t.expect_nothing();
    t.expect_event(Event::Broken(ECONNRESET, -1));
    t.expect_gone();
}

//= rfc9293#section-3.10.7.4
//= rfc5961#section-3.2
#[test]
fn a_reset_elsewhere_in_the_window_is_challenged() {
    let mut t = T::established();
    t.inject(rst().seq(2));
    t.expect(ack(1).seq(1));
    assert_eq!(t.event(), None);
    t.expect_alive();
}

//= rfc9293#section-3.10.7.4
//= rfc5961#section-3.2
#[test]
fn a_reset_outside_the_window_is_dropped_in_silence() {
    let mut t = T::established();
    t.inject(data(1000));
    t.inject(data(1000));
    t.sent_now();
    t.inject(rst().seq(1));
    t.inject(rst().seq(0x4000_0000));
    t.expect_nothing_for(600);
    assert_eq!(t.drops("none"), 0);
    t.expect_read(2000);
    t.expect_alive();
}

//= rfc9293#section-3.10.7.4
//= rfc5961#section-4.2
#[test]
fn a_syn_in_any_synchronized_state_is_challenged() {
    for state in State::SYNCHRONIZED {
        if state == State::TimeWait {
            continue;
        }
        let mut t = T::in_state(state);
        let next = t.p().nxt;
        t.p().lax = true;
        for seq in [0, next + 10, 0x5000_0000] {
            t.inject(syn().mss(1000).seq(seq));
            t.expect(ack(next).no_flag(SYN | RST));
            t.advance(600);
            t.sent_now();
        }
        t.inject(rst());
        t.expect_gone();
    }
}

//= rfc5961#section-4.2
#[test]
fn a_challenged_peer_that_lost_its_state_resets_and_opens_anew() {
    let mut t = T::established();
    t.advance(1000);
    let iss = t.p().iss.wrapping_add(1_000_000);
    let old = t.peers[0].irs;
    t.inject(plain().seq(1_000_000));
    let challenge = t.expect(ack(1));
    t.inject(rst().seq(challenge.ack));
    t.expect_event(Event::Broken(ECONNRESET, -1));
    t.renew(iss);
    t.user = 0;
    t.handshake(plain());
    assert_ne!(t.p().irs, old);
    t.accept();
    t.expect_alive();
}

//= rfc9293#section-3.10.7.4
#[test]
fn an_ack_of_what_was_not_sent_is_answered_by_an_ack_and_dropped() {
    let mut t = T::established();
    t.inject(data(10).ack(2));
    t.expect(ack(1).seq(1));
    t.advance(600);
    assert_eq!(t.event(), None, "its data too");
    t.write(100);
    t.expect_within(10, data(100).seq(1));
}

//= rfc5961#section-5.2
#[test]
fn an_ack_older_than_any_window_is_challenged_and_its_data_dropped() {
    let mut t = T::established();
    t.inject(data(10).ack(0x9000_0000));
    t.expect(ack(1).seq(1));
    t.advance(600);
    assert_eq!(t.event(), None);
}

//= rfc5961#section-5.2
#[test]
fn a_late_ack_within_the_largest_window_is_ignored_but_its_data_taken() {
    let mut t = T::established();
    t.write(5000);
    t.sent_now();
    t.inject(ack(5001));
    t.inject(data(10).ack(1));
    t.expect_read(10);
}

//= rfc5961#section-7
#[test]
fn challenges_are_few() {
    let mut t = T::established();
    for n in 0..1000 {
        t.inject(rst().seq(100 + n));
        t.inject(syn().seq(50_000 + n));
        t.advance(1);
    }
    let count = t.sent_now().len();
    assert!((1..=10).contains(&count), "{count} challenges in a second");
    t.expect_alive();
}

//= rfc5961#section-7
#[test]
fn challenges_of_the_whole_host_are_few() {
    let mut t = T::listening();
    let listener = t.user;
    for n in 0..400 {
        t.add_peer(addr([10, 0, 1 + (n / 200) as u8, (n % 200) as u8 + 1], 5000));
        t.user = listener;
        t.handshake(plain());
        t.accept();
    }
    for peer in 1..t.peers.len() {
        t.peer = peer;
        t.inject(rst().seq(100));
    }
    let count: usize = t.peers.iter().map(|peer| peer.seen.len()).sum();
    assert!((1..=220).contains(&count), "{count} challenges at once");
}

#[test]
fn answers_to_segments_outside_the_window_are_few() {
    let mut t = T::established();
    // Empty ones: data are no part of a loop of answers to answers.
    for _ in 0..1000 {
        t.inject(ack(1).seq(0x3000_0000));
        t.advance(1);
    }
    let count = t.sent_now().len();
    assert!((1..=10).contains(&count), "{count} answers in a second");
}

//= rfc9293#section-3.10.7.4
#[test]
fn must_66_a_reset_is_looked_at_with_a_closed_window() {
    let mut t = T::established_by(opt::RCVBUF, 8192, plain());
    t.fill(500);
    t.inject(rst());
    t.expect_gone();
    t.go_on_reading();
    let last = t.users[t.user].events.back().cloned();
    assert_eq!(last, Some(Event::Broken(ECONNRESET, -1)));
}

//= rfc9293#section-3.10.7.4
#[test]
fn must_66_an_urgent_pointer_is_looked_at_with_a_closed_window() {
    let mut t = T::established_by(opt::RCVBUF, 8192, plain());
    t.fill(500);
    let next = t.p().nxt;
    t.inject(data(1).urgent(1));
    t.advance(300);
    t.go_on_reading();
    t.sent_in(300);
    t.p().nxt = next;
    t.inject(data(1).urgent(1));
    t.advance(300);
    let urgent = t.users[t.user].events.iter().any(|e| matches!(e, Event::Urgent(_)));
    assert!(urgent, "{:?}", t.users[t.user].events.back());
}

//= rfc9293#section-3.10.7.4
#[test]
fn with_a_closed_window_an_ack_is_taken() {
    let mut t = T::established_by(opt::RCVBUF, 8192, plain());
    t.write(1000);
    t.expect(data(1000).seq(1));
    t.inject(ack(1));
    t.stop_reading();
    for _ in 0..1000 {
        t.inject(data(500).ack(1));
        let sent = t.sent_in(50);
        let Some(last) = sent.iter().rfind(|sent| sent.len() == 0) else { continue };
        t.p().nxt = last.ack;
        if last.window == 0 {
            break;
        }
    }
    t.inject(ack(1001));
    t.sent_now();
    t.expect_nothing_for(5000);
}
