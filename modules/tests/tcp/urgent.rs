//! Urgent data (RFC 9293 section 3.8.5, RFC 6093): a pointer, one octet, and word of it.

use crate::kit::*;

//= rfc9293#section-3.8.5
#[test]
fn must_30_the_octet_before_the_pointer_is_urgent() {
    let mut t = T::established();
    t.inject(seg().flag(ACK).bytes(b"abcde").urgent(3));
    let events: Vec<Event> = std::iter::from_fn(|| t.event()).collect();
    let events: Vec<&Event> = events.iter().filter(|e| !matches!(e, Event::Signal(_))).collect();
    let due =
        [Event::Data(b"ab".to_vec()), Event::Urgent(b"c".to_vec()), Event::Data(b"de".to_vec())];
    assert_eq!(events, due.iter().collect::<Vec<_>>());
}

//= rfc9293#section-3.8.5
#[test]
fn must_31_urgent_data_may_be_of_any_length() {
    let mut t = T::established();
    let len = 65_535_u32;
    let mut at = 1;
    let mut events = Vec::new();
    while at < 1 + len {
        let piece = (1 + len - at).min(1000);
        let left = (1 + len - at) as u16;
        t.inject(data(piece as usize).urgent(left));
        at += piece;
        t.sent_in(1);
        events.extend(std::iter::from_fn(|| t.event()));
    }
    let urgent = events.iter().filter(|e| matches!(e, Event::Urgent(_))).count();
    assert_eq!(urgent, 1, "one pointer, one mark");
    let octets: usize = events
        .iter()
        .map(|event| match event {
            Event::Data(bytes) | Event::Urgent(bytes) => bytes.len(),
            _ => 0,
        })
        .sum();
    assert_eq!(octets, len as usize);
}

//= rfc9293#section-3.8.5
#[test]
fn must_32_the_user_is_told_when_the_pointer_comes() {
    let mut t = T::established();
    t.inject(data(10).urgent(500));
    let events: Vec<Event> = std::iter::from_fn(|| t.event()).collect();
    assert!(
        events.iter().any(|e| matches!(e, Event::Signal(_) | Event::Urgent(_))),
        "not a word before the octet comes: {events:?}"
    );
}

//= rfc9293#section-3.8.5
#[test]
fn must_33_the_mark_stands_where_the_urgent_octet_was() {
    let mut t = T::established();
    t.inject(data(10));
    t.inject(seg().flag(ACK).bytes(b"xyz!").urgent(4));
    t.inject(data(10).seq(15));
    let mut before = 0;
    let mut behind = 0;
    let mut seen = false;
    while let Some(event) = t.event() {
        match event {
            Event::Data(bytes) if seen => behind += bytes.len(),
            Event::Data(bytes) => before += bytes.len(),
            Event::Urgent(octet) => {
                assert_eq!(octet, b"!");
                seen = true;
            }
            _ => {}
        }
    }
    assert_eq!((before, seen, behind), (13, true, 10));
}

//= rfc9293#section-3.8.5
//= rfc6093#section-4
#[test]
fn must_62_the_pointer_points_behind_the_urgent_octet() {
    let mut t = T::established();
    t.write_urgent(b"!");
    t.expect(data(1).seq(1).urgent(1));
    t.inject(ack(2));
    t.write_urgent(b"abc");
    t.expect(data(3).seq(2).urgent(3));
}

//= rfc9293#section-3.8.5
#[test]
fn the_pointer_is_in_every_segment_up_to_the_octet() {
    let mut t = T::established();
    t.write_urgent(&[9; 2500]);
    t.expect(data(1000).seq(1).urgent(2500));
    t.expect(data(1000).seq(1001).urgent(1500));
    t.expect(data(500).seq(2001).urgent(500));
    t.inject(ack(2501));
    t.write(10);
    t.expect(data(10).seq(2501).no_flag(URG));
}

//= rfc9293#section-3.8.5
#[test]
fn a_segment_that_is_sent_again_keeps_its_pointer() {
    let mut t = T::established();
    t.write_urgent(b"abc");
    t.expect(data(3).urgent(3));
    t.expect_within(2000, data(3).seq(1).urgent(3));
}

//= rfc9293#section-3.8.6.1
#[test]
fn the_pointer_is_told_though_the_window_is_closed() {
    let mut t = T::established();
    t.write(100);
    t.sent_now();
    t.p().window = 0;
    t.inject(ack(101));
    t.write_urgent(b"!");
    let sent = t.expect_within(5000, seg().flag(ACK | URG));
    assert!(sent.len() <= 1);
    assert_eq!(sent.seq + u32::from(sent.urgent), 102);
}

#[test]
fn an_urgent_octet_stays_in_line_when_the_user_wants_it_so() {
    let mut t = T::established();
    t.set(opt::OOBINLINE, 1);
    t.inject(seg().flag(ACK).bytes(b"abcde").urgent(3));
    let mut all = Vec::new();
    while let Some(event) = t.event() {
        if let Event::Data(bytes) = event {
            all.extend(bytes);
        }
    }
    assert_eq!(all, b"abcde");
}

//= rfc9293#section-3.8.5
#[test]
fn a_pointer_without_its_flag_is_nothing() {
    let mut t = T::established();
    let mut bare = data(10);
    bare.urgent = Some(5);
    t.inject(bare);
    t.expect_read(10);
}

//= rfc9293#section-3.10.7.4
#[test]
fn an_urgent_segment_out_of_order_is_urgent_in_its_turn() {
    let mut t = T::established();
    t.inject(seg().flag(ACK).seq(11).bytes(b"x").urgent(1));
    t.inject(data(10).seq(1));
    let events: Vec<Event> = std::iter::from_fn(|| t.event()).collect();
    let last = events.iter().rfind(|e| !matches!(e, Event::Signal(_)));
    assert_eq!(last, Some(&Event::Urgent(b"x".to_vec())), "{events:?}");
}

//= rfc9293#section-3.10.7.4
#[test]
fn urgent_data_that_come_again_are_told_once() {
    let mut t = T::established();
    t.inject(seg().flag(ACK).bytes(b"ab!").urgent(3));
    t.inject(seg().flag(ACK).seq(1).bytes(b"ab!").urgent(3));
    t.inject(data(10).seq(4));
    let mut urgent = 0;
    let mut octets = 0;
    while let Some(event) = t.event() {
        match event {
            Event::Urgent(_) => urgent += 1,
            Event::Data(bytes) => octets += bytes.len(),
            _ => {}
        }
    }
    assert_eq!((urgent, octets), (1, 12));
}
