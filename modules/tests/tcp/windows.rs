//! Windows: closed ones and their probes, shrinking ones, silly ones, at both ends.

use crate::kit::*;

//= rfc9293#section-3.8.6
#[test]
fn no_more_is_sent_than_the_window_takes() {
    let mut t = T::established_with(plain().win(2500));
    t.set(opt::NODELAY, 1);
    t.write(10_000);
    // What is left of the window is silly.
    t.expect_octets(1, 2001);
    t.expect_nothing();
    t.inject(ack(2001));
    t.expect_octets(2001, 4001);
    t.expect_nothing();
}

//= rfc9293#section-3.8.6
#[test]
fn must_34_a_window_taken_back_stops_new_data_and_breaks_nothing() {
    let mut t = T::established();
    t.write(20_000);
    let sent = t.expect_octets(1, 10_001);
    assert_eq!(sent.len(), 10);
    // All is acknowledged up to 3001, and the window ends at 5001: inside what was sent.
    t.p().window = 2000;
    t.inject(ack(3001));
    let later = t.sent_in(30_000);
    assert!(later.iter().all(|sent| sent.end() <= 10_001), "nothing new: {later:#?}");
    t.p().window = 0xffff;
    t.inject(ack(10_001));
    t.expect(data(1000).seq(10_001));
    assert_eq!(t.event(), None);
}

//= rfc9293#section-3.8.6.1
#[test]
fn must_35_must_36_a_closed_window_is_probed() {
    let mut t = T::established();
    t.p().window = 0;
    t.write(1000);
    t.sent_now();
    t.inject(ack(1001));
    t.write(1000);
    t.expect_nothing();
    let first = t.expect_within(2000, seg().flag(ACK));
    assert!(first.len() <= 1 && first.seq >= 1000 && first.seq <= 1001, "{first:?}");
    t.inject(ack(1001));
    t.p().window = 0xffff;
    t.inject(ack(1001));
    t.expect_octets(first.seq.max(1001), 2001);
}

//= rfc9293#section-3.8.6.1
#[test]
fn shld_29_30_probes_come_after_the_time_out_and_ever_more_rarely() {
    let mut t = T::established();
    t.write(1000);
    t.sent_now();
    t.p().window = 0;
    t.inject(ack(1001));
    t.write(1000);
    let mut last = t.ms();
    let mut waits = Vec::new();
    for _ in 0..6 {
        let probe = t.expect_within(120_000, seg().flag(ACK));
        waits.push(probe.ms() - last);
        last = probe.ms();
        t.inject(ack(1001));
    }
    assert!(waits[0] >= 190, "{waits:?}");
    for pair in waits.windows(2) {
        assert!(pair[1] * 2 >= pair[0] * 3, "they do not become rarer: {waits:?}");
    }
}

//= rfc9293#section-3.8.6.1
#[test]
fn must_37_a_window_may_stay_closed_while_probes_are_answered() {
    let mut t = T::established();
    t.write(1000);
    t.sent_now();
    t.p().window = 0;
    t.inject(ack(1001));
    t.write(1000);
    let mut probes = 0;
    let end = t.ms() + 3_600_000;
    while t.ms() < end {
        t.expect_within(130_000, seg().flag(ACK));
        probes += 1;
        t.advance(10);
        t.inject(ack(1001));
        t.sent_now();
    }
    assert!(probes > 20);
    assert_eq!(t.event(), None, "an hour, and it is there");
    t.p().window = 0xffff;
    t.inject(ack(1001));
    t.expect(data(1000).seq(1001));
}

//= rfc9293#section-3.8.6.1
#[test]
fn a_closed_window_whose_probes_nobody_answers_ends_the_connection() {
    let mut t = T::established();
    t.write(1000);
    t.sent_now();
    t.p().window = 0;
    t.inject(ack(1001));
    t.write(1000);
    t.advance(3_600_000);
    assert_eq!(t.event(), Some(Event::Broken(ETIMEDOUT, -1)));
}

//= rfc9293#section-3.8.6.1
#[test]
fn must_36_a_probe_of_our_closed_window_is_answered() {
    let mut t = T::established_by(opt::RCVBUF, 8192, plain());
    t.fill(500);
    let next = t.p().nxt;
    for _ in 0..3 {
        t.advance(1000);
        t.sent_now();
        // With an octet, as RFC 9293 has it, and with none at an old number, as Linux does.
        t.inject(data(1).seq(next));
        t.expect(ack(next).win(0));
        t.advance(1000);
        t.inject(seg().flag(ACK).seq(next - 1));
        t.expect(ack(next).win(0));
    }
}

//= rfc9293#section-3.8.6.2.1
#[test]
fn must_38_a_small_opening_of_the_window_draws_nothing_at_once() {
    let mut t = T::established_with(plain().win(4000));
    t.write(10_000);
    t.expect_octets(1, 4001);
    t.p().window = 100;
    t.inject(ack(4001));
    t.expect_nothing_for(150);
    t.p().window = 1000;
    t.inject(ack(4001));
    t.expect_octets(4001, 5001);
}

//= rfc9293#section-3.8.6.2.1
#[test]
fn must_38_half_of_the_largest_window_is_enough() {
    let mut t = T::established_with(plain().win(800));
    t.write(4000);
    t.expect(data(800).seq(1));
    t.p().window = 200;
    t.inject(ack(801));
    t.expect_nothing_for(150);
    t.p().window = 400;
    t.inject(ack(801));
    t.expect(data(400).seq(801));
}

//= rfc9293#section-3.8.6.2.1
#[test]
fn must_38_a_small_window_is_used_in_the_end() {
    let mut t = T::established_with(plain().win(4000));
    t.write(10_000);
    t.expect_octets(1, 4001);
    t.p().window = 100;
    t.inject(ack(4001));
    let sent = t.expect_within(5000, seg().flag(ACK));
    assert!((1..=100).contains(&sent.len()), "{sent:?}");
}

//= rfc9293#section-3.8.6.2.2
#[test]
fn must_39_the_window_opens_in_one_large_step() {
    let mut t = T::established_by(opt::RCVBUF, 16_384, plain());
    t.fill(1000);
    let next = t.p().nxt;
    t.go_on_reading();
    let update = t.expect_within(10, ack(next));
    let window = t.p().window_of(&update);
    assert!(window >= 1000, "{window} octets are silly");
}

//= rfc9293#section-3.8.6.2.2
#[test]
fn must_39_the_window_never_offers_a_silly_piece() {
    let mut t = T::established_by(opt::RCVBUF, 16_384, plain());
    let mut edge = None;
    for _ in 0..200 {
        // The reader takes a little at a time.
        t.inject(data(100));
        for sent in t.sent_in(50) {
            let new = sent.ack + t.p().window_of(&sent);
            let step = new - edge.unwrap_or(new);
            assert!(step == 0 || step >= 1000, "the edge moved by {step}");
            edge = Some(new);
            t.p().nxt = sent.ack;
        }
    }
    assert!(edge.is_some());
}

//= rfc9293#section-3.8.6
#[test]
fn shld_14_the_window_is_not_taken_back() {
    // The kit holds every acknowledgement to it; here the buffer becomes smaller.
    let mut t = T::established();
    t.inject(data(1000));
    t.inject(data(1000));
    t.sent_now();
    t.set(opt::RCVBUF, 4096);
    t.inject(data(1000));
    t.inject(data(1000));
    let sent = t.sent_in(500);
    assert!(!sent.is_empty());
}

//= rfc9293#section-3.8.6
#[test]
fn data_within_the_window_that_was_offered_are_taken() {
    let mut t = T::established_by(opt::RCVBUF, 16_384, plain());
    t.inject(data(10));
    t.stop_reading();
    let last = t.expect_within(500, ack(11));
    let edge = 11 + t.p().window_of(&last);
    let mut at = 11;
    while at < edge {
        let len = (edge - at).min(1000);
        t.inject(data(len as usize).seq(at));
        at += len;
    }
    let sent = t.sent_in(500);
    assert_eq!(sent.last().unwrap().ack, edge, "what was offered was promised");
    t.go_on_reading();
    t.expect_read(edge as usize - 1);
}

#[test]
fn the_window_of_a_reader_follows_it() {
    let mut t = T::established_with(full());
    let mut windows = Vec::new();
    for _ in 0..100 {
        t.inject_all(&[data(1448), data(1448)]);
        let sent = t.sent_in(1);
        windows.extend(sent.iter().map(|sent| t.peers[0].window_of(sent)));
    }
    assert!(windows.iter().all(|window| *window >= 10_000), "{windows:?}");
}

//= rfc7323#section-2.3
#[test]
fn a_window_update_alone_lets_data_go() {
    let mut t = T::established_with(plain().win(1000));
    t.write(3000);
    t.expect(data(1000).seq(1));
    t.p().window = 0;
    t.inject(ack(1001));
    t.expect_nothing_for(100);
    t.p().window = 3000;
    t.inject(ack(1001));
    t.expect_octets(1001, 3001);
}

//= rfc9293#section-3.10.7.4
#[test]
fn an_old_segment_does_not_change_the_window() {
    let mut t = T::established_with(plain().win(2000));
    t.inject(data(10).win(2000));
    t.inject(data(10).win(2000));
    t.sent_now();
    t.write(4000);
    t.expect_octets(1, 2001);
    t.inject(ack(2001).win(2000));
    t.expect_octets(2001, 4001);
    // Older by its number: its window is not the one of now.
    t.inject(data(10).seq(1).ack(2001).win(0));
    t.inject(ack(4001).win(2000));
    t.sent_now();
    t.write(1000);
    t.expect(data(1000).seq(4001));
}

//= rfc9293#section-3.8.6.1
#[test]
fn a_fin_waits_for_a_closed_window_like_data() {
    let mut t = T::established();
    t.write(1000);
    t.sent_now();
    t.p().window = 0;
    t.inject(ack(1001));
    t.shutdown();
    let probe = t.expect_within(3000, seg().flag(ACK).no_flag(FIN));
    assert_eq!(probe.len(), 0);
    t.p().window = 1000;
    t.inject(ack(1001));
    t.expect(fin().seq(1001));
}

//= rfc9293#section-3.10.7.4
#[test]
fn a_fin_is_taken_with_a_closed_window() {
    let mut t = T::established_by(opt::RCVBUF, 8192, plain());
    t.fill(500);
    t.inject(fin());
    let next = t.p().nxt;
    t.sent_now();
    t.go_on_reading();
    t.sent_in(500);
    // Taken at once, or when it is sent again.
    t.inject(fin().seq(next - 1));
    t.sent_in(500);
    let events: Vec<Event> = std::iter::from_fn(|| t.event()).collect();
    assert_eq!(events.last(), Some(&Event::Ended));
}

//= rfc9293#section-3.8.6
#[test]
fn shld_16_what_a_window_taken_back_still_covers_is_sent_again_and_nothing_beyond_it() {
    let mut t = T::established_with(with_sack());
    t.write(10_000);
    t.expect_octets(1, 10_001);
    // All but the last segment is lost, and the window ends at 3501 whatever comes.
    let mut at = 1;
    while at < 3501 {
        t.p().window = (3501 - at) as u16;
        t.inject(ack(at).sack(&[(9001, 10_001)]));
        for sent in t.sent_in(10_000) {
            assert!(sent.end() <= 3501, "beyond it: {sent:?}");
            at = if sent.seq <= at { at.max(sent.end()) } else { at };
        }
    }
    t.p().window = 0;
    t.inject(ack(3501).sack(&[(9001, 10_001)]));
    for sent in t.sent_in(10_000) {
        assert_eq!((sent.seq, sent.end()), (3501, 4501), "a probe of it");
    }
    t.p().window = 0xffff;
    while at < 9001 {
        t.inject(ack(at).sack(&[(9001, 10_001)]));
        at = t.sent_in(10_000).iter().map(|sent| sent.end()).fold(at, u32::max);
    }
    t.inject(ack(10_001));
    t.write(100);
    t.expect(data(100).seq(10_001));
}

//= rfc9293#section-3.8.6
#[test]
fn shld_16_a_window_taken_back_whole_is_probed_with_the_first_octets() {
    let mut t = T::established_with(with_sack());
    t.write(10_000);
    t.expect_octets(1, 10_001);
    t.p().window = 0;
    t.inject(ack(4001));
    let probes = t.sent_in(10_000);
    assert!(probes.len() >= 3, "{probes:#?}");
    assert!(probes.iter().all(|sent| (sent.seq, sent.end()) == (4001, 5001)), "{probes:#?}");
    t.p().window = 0xffff;
    t.inject(ack(5001));
    let mut at = 5001;
    while at < 10_001 {
        for sent in t.sent_in(10) {
            assert_eq!(sent.seq, at);
            at = sent.end();
        }
        t.inject(ack(at));
    }
    assert_eq!(t.event(), None);
}

//= rfc9293#section-3.8.6
#[test]
fn shld_17_data_beyond_a_window_taken_back_do_not_end_the_connection() {
    let mut t = T::established();
    t.write(10_000);
    t.expect_octets(1, 10_001);
    t.p().window = 0;
    t.inject(ack(4001));
    let end = t.ms() + 2 * 3_600_000;
    while t.ms() < end {
        t.expect_within(130_000, data(1000).seq(4001));
        t.advance(10);
        t.inject(ack(4001));
        t.sent_now();
    }
    assert_eq!(t.event(), None, "two hours, and it is there");
    t.p().window = 0xffff;
    t.inject(ack(10_001));
    t.write(100);
    t.expect(data(100).seq(10_001));
}

//= rfc9293#section-3.8.6
#[test]
fn a_window_taken_back_by_a_peer_that_falls_silent_ends_the_connection() {
    let mut t = T::established();
    t.write(10_000);
    t.expect_octets(1, 10_001);
    t.p().window = 0;
    t.inject(ack(4001));
    t.advance(2 * 3_600_000);
    assert_eq!(t.event(), Some(Event::Broken(ETIMEDOUT, -1)));
}

//= rfc9293#section-3.8.6
#[test]
fn a_window_taken_back_holds_no_connection_that_its_user_has_left() {
    let mut t = T::established();
    t.write(10_000);
    t.expect_octets(1, 10_001);
    t.close();
    t.p().window = 0;
    t.inject(ack(4001));
    let end = t.ms() + 2 * 3_600_000;
    while t.ms() < end && !t.sent_in(1000).iter().any(|sent| sent.has(RST)) {
        t.inject(ack(4001));
    }
    assert!(t.ms() < end, "it ends however long the peer answers");
}

//= rfc9293#section-3.8.6
#[test]
fn window_clamp_bounds_what_is_offered_however_large_the_buffer_is() {
    let mut t = T::established_by(opt::WINDOW_CLAMP, 8000, full());
    for n in 0..100 {
        t.inject(data(1000));
        for sent in t.sent_in(50) {
            let window = t.p().window_of(&sent);
            assert!(window <= 8000 + 127, "{window} after {n}");
        }
    }
    t.expect_read(100_000);
}

//= rfc9293#section-3.8.6.2.2
#[test]
fn window_clamp_below_a_segment_still_opens_again() {
    let mut t = T::established_by(opt::WINDOW_CLAMP, 1, full());
    let mut read = 0;
    for _ in 0..200 {
        let sent = t.sent_in(50);
        if let Some(last) = sent.last() {
            let window = t.p().window_of(last) as usize;
            assert!(window <= 1152 + 127);
            t.inject(data(window.min(1000)));
        } else {
            t.inject(data(1));
        }
        read += t.read().len();
    }
    assert!(read > 50_000, "{read} octets");
}
