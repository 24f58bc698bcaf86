//! What comes in: order, duplicates, acknowledgements and when they are sent.

use crate::kit::*;
use millstream_modules::services::stream::{Echo, Served};

//= rfc9293#section-3.8.6.3
#[test]
fn must_40_a_lone_segment_is_acknowledged_within_half_a_second() {
    let mut t = T::established();
    // Past the quick acknowledgements of the beginning.
    for _ in 0..40 {
        t.inject(data(1000));
        t.sent_in(50);
    }
    t.advance(1000);
    t.sent_now();
    let next = t.p().nxt;
    t.inject(data(100));
    t.expect_within(500, ack(next + 100));
}

//= rfc9293#section-3.8.6.3
//= rfc5681#section-4.2
#[test]
fn shld_19_every_second_full_segment_is_acknowledged_at_once() {
    let mut t = T::established();
    let mut acked = 1;
    for n in 0..20 {
        t.inject(data(1000));
        t.inject(data(1000));
        acked = t.sent_now().last().map_or(acked, |sent| sent.ack);
        let waits = 2001 + 2000 * n - acked;
        assert!(waits < 2000, "{waits} octets wait");
    }
}

//= rfc9293#section-3.8.6.3
#[test]
fn shld_18_acknowledgements_ride_on_data() {
    let mut t = T::established();
    for _ in 0..40 {
        t.inject(data(1000));
        t.sent_in(50);
    }
    t.advance(1000);
    t.sent_now();
    let next = t.p().nxt;
    t.inject(data(10));
    if t.sent_now().is_empty() {
        t.write(5);
        t.expect(data(5).ack(next + 10));
        t.inject(ack(6));
        t.expect_nothing_for(1000);
    }
}

//= rfc9293#section-3.8.6.3
#[test]
fn an_answer_from_within_the_stack_carries_the_acknowledgement_though_it_is_a_quick_one() {
    let mut t = T::established();
    let stream = t.rig.upper(t.user);
    let echo = Box::new(Served::new(Echo::default()));
    t.rig.perimeter().insert(stream, 0, echo).unwrap();
    for n in 0..3 {
        t.p().written.extend(pattern_of(10 * n as usize, 10));
        t.inject(data(10));
        let sent = t.sent_now();
        assert_eq!(sent.len(), 1, "{sent:?}");
        assert_eq!((sent[0].seq, sent[0].ack), (1 + 10 * n, 11 + 10 * n));
        t.inject(ack(11 + 10 * n));
    }
    t.inject(fin());
    let sent = t.sent_now();
    assert_eq!(sent.len(), 1, "its end carries that of the peer's: {sent:?}");
    assert_eq!((sent[0].flags & FIN, sent[0].ack), (FIN, 32));
}

#[test]
fn quick_acknowledgements_can_be_asked_for() {
    let mut t = T::established();
    for _ in 0..40 {
        t.inject(data(1000));
        t.sent_in(50);
    }
    t.advance(1000);
    t.sent_now();
    t.set(opt::QUICKACK, 1);
    let next = t.p().nxt;
    t.inject(data(10));
    t.expect(ack(next + 10));
}

//= rfc9293#section-3.9.2
#[test]
fn must_58_acknowledgements_of_a_burst_are_put_together() {
    let mut t = T::established();
    let burst: Vec<Seg> = (0..20).map(|_| data(1000)).collect();
    t.inject_all(&burst);
    let sent = t.sent_in(500);
    assert!((1..=10).contains(&sent.len()), "{} acknowledgements of 20 segments", sent.len());
    assert_eq!(sent.last().unwrap().ack, 20_001);
    t.expect_read(20_000);
}

//= rfc9293#section-3.10.7.4
#[test]
fn must_59_all_that_waits_is_taken_before_the_acknowledgement() {
    let mut t = T::established_with(with_sack());
    for hole in (1..=5).rev() {
        t.inject(data(100).seq(1 + 100 * hole));
    }
    t.sent_now();
    t.inject(data(100).seq(1));
    t.expect(ack(601));
    t.expect_nothing();
    t.expect_read(600);
}

//= rfc9293#section-3.8
//= rfc5681#section-4.2
#[test]
fn shld_31_segments_out_of_order_are_kept_and_answered_at_once() {
    let mut t = T::established();
    t.inject(data(100).seq(101));
    t.expect(ack(1));
    t.inject(data(100).seq(201));
    t.expect(ack(1));
    assert_eq!(t.event(), None);
    t.inject(data(100).seq(1));
    t.expect(ack(301));
    t.expect_read(300);
}

//= rfc5681#section-4.2
#[test]
fn a_segment_that_fills_a_part_of_a_hole_is_acknowledged_at_once() {
    let mut t = T::established();
    t.inject(data(100).seq(301));
    t.expect(ack(1));
    t.inject(data(100).seq(1));
    t.expect(ack(101));
    t.inject(data(100).seq(101));
    t.expect(ack(201));
    t.inject(data(100).seq(201));
    t.expect(ack(401));
    t.expect_read(400);
}

//= rfc9293#section-3.10.7.4
#[test]
fn what_came_first_stays_where_segments_overlap() {
    let mut t = T::established();
    t.inject(seg().flag(ACK).seq(11).bytes(b"BBBBBBBBBB"));
    t.inject(seg().flag(ACK).seq(6).bytes(b"aaaaaaaaaaaaaaaaaaaa"));
    t.inject(seg().flag(ACK).seq(1).bytes(b"ccccccc"));
    assert_eq!(t.read(), b"cccccccaaaBBBBBBBBBBaaaaa"[..].to_vec());
}

#[test]
fn every_order_of_arrival_gives_the_same_octets() {
    let orders = [[0, 1, 2, 3], [3, 2, 1, 0], [1, 0, 3, 2], [2, 3, 0, 1], [3, 0, 2, 1]];
    for order in orders {
        let mut t = T::established_with(with_sack());
        for piece in order {
            // With one octet of overlap on both sides.
            let from = (1 + piece * 500_u32).saturating_sub(1).max(1);
            t.inject(data(501).seq(from));
        }
        let end = t.sent_in(500).last().unwrap().ack;
        t.expect_read(end as usize - 1);
        assert!(end >= 2000, "{end}");
    }
}

#[test]
fn a_super_segment_is_taken_whole() {
    let mut t = T::established_with(full());
    t.inject(data(20_000).gso(1448));
    t.expect_read(20_000);
    let sent = t.sent_in(500);
    assert_eq!(sent.last().unwrap().ack, 20_001);
}

#[test]
fn a_super_segment_out_of_order_is_kept() {
    let mut t = T::established_with(full());
    t.inject(data(14_480).seq(1449).gso(1448));
    t.expect(ack(1).sack(&[(1449, 15_929)]));
    t.inject(data(1448).seq(1));
    t.expect(ack(15_929));
    t.expect_read(15_928);
}

#[test]
fn data_wait_for_a_reader_and_lose_nothing() {
    let mut t = T::established();
    t.stop_reading();
    for _ in 0..5 {
        t.inject(data(1000));
    }
    t.advance(500);
    assert_eq!(t.event(), None);
    t.go_on_reading();
    t.expect_read(5000);
    t.inject(data(500));
    t.expect_read(500);
}

#[test]
fn a_fin_waits_behind_data_that_wait_for_a_reader() {
    let mut t = T::established();
    t.stop_reading();
    t.inject(data(1000));
    t.inject(fin());
    t.advance(500);
    assert_eq!(t.event(), None);
    t.go_on_reading();
    t.expect_read(1000);
    t.expect_event(Event::Ended);
}

//= rfc9293#section-3.4
#[test]
fn numbers_wrap_in_both_directions() {
    let mut t = T::listening();
    t.p().iss = u32::MAX - 1500;
    t.handshake(with_sack());
    t.accept();
    t.inject(data(1000).seq(1001));
    t.inject(data(1000).seq(2001));
    t.inject(data(1000).seq(1));
    t.expect_read(3000);
    let sent = t.sent_in(500);
    assert_eq!(sent.last().unwrap().ack, 3001);
    t.inject(fin().seq(3001));
    t.expect_within(500, ack(3002));
    t.expect_event(Event::Ended);
}
