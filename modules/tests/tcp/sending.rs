//! When data leave: Nagle, cork, push, slow start, pieces.

use crate::kit::*;
use millstream_msg::Msg;

//= rfc9293#section-3.7.4
#[test]
fn shld_7_a_short_segment_waits_while_data_are_not_acknowledged() {
    let mut t = T::established();
    t.write(10);
    t.expect(data(10).seq(1));
    t.write(10);
    t.write(10);
    t.expect_nothing_for(100);
    t.inject(ack(11));
    t.expect(data(20).seq(11));
}

//= rfc9293#section-3.7.4
#[test]
fn a_full_segment_does_not_wait() {
    let mut t = T::established();
    t.write(10);
    t.expect(data(10).seq(1));
    t.write(1500);
    t.expect(data(1000).seq(11));
    t.expect_nothing_for(100);
    t.inject(ack(1011));
    t.expect(data(500).seq(1011));
}

//= rfc9293#section-3.7.4
#[test]
fn must_17_nagle_can_be_switched_off() {
    let mut t = T::established();
    t.set(opt::NODELAY, 1);
    t.write(10);
    t.expect(data(10).seq(1));
    t.write(10);
    t.expect(data(10).seq(11));
    t.write(1010);
    t.expect(data(1000).seq(21));
    t.expect(data(10).seq(1021));
}

//= rfc9293#section-3.7.4
#[test]
fn switching_nagle_off_sends_what_waits() {
    let mut t = T::established();
    t.write(10);
    t.expect(data(10).seq(1));
    t.write(10);
    t.expect_nothing();
    t.set(opt::NODELAY, 1);
    t.expect(data(10).seq(11));
    assert_eq!(t.get(opt::NODELAY), 1);
}

//= rfc9293#section-3.7.4
#[test]
fn the_last_segment_with_a_fin_does_not_wait() {
    let mut t = T::established();
    t.write(10);
    t.expect(data(10).seq(1));
    t.write(10);
    t.shutdown();
    t.expect(seg().flag(FIN | ACK).seq(11).len(10));
}

#[test]
fn cork_holds_short_segments_until_it_is_drawn() {
    let mut t = T::established();
    t.set(opt::CORK, 1);
    t.write(400);
    t.write(500);
    t.expect_nothing_for(150);
    t.write(200);
    t.expect(data(1000).seq(1));
    t.expect_nothing();
    t.set(opt::CORK, 0);
    t.expect(data(100).seq(1001));
}

#[test]
fn cork_holds_for_200_ms_at_most() {
    let mut t = T::established();
    t.set(opt::CORK, 1);
    t.write(400);
    t.expect_between(150, 450, data(400).seq(1));
}

//= rfc9293#section-3.9.1.2
#[test]
fn must_60_one_octet_leaves_at_once() {
    let mut t = T::established();
    t.write(1);
    t.expect(data(1).seq(1).flag(PSH));
}

//= rfc9293#section-3.9.1.2
#[test]
fn must_61_the_last_segment_of_a_write_is_pushed() {
    let mut t = T::established();
    t.write(2500);
    t.expect(data(1000).seq(1));
    t.expect(data(1000).seq(1001));
    t.expect(data(500).seq(2001).flag(PSH));
    t.inject(ack(2501));
    t.write(3000);
    let sent = t.expect_octets(2501, 5501);
    assert!(sent.last().unwrap().has(PSH), "a write of whole segments too");
}

//= rfc6928#section-2
#[test]
fn must_19_the_first_flight_is_ten_segments() {
    let mut t = T::established();
    t.set(opt::SNDBUF, 1 << 20);
    t.write(40_000);
    let sent = t.sent_now();
    assert_eq!(sent.iter().map(Sent::len).sum::<usize>(), 10_000);
    // Also for an active open, and a large MSS.
    let mut t = T::connected_with(full().win(0xffff));
    t.set(opt::SNDBUF, 1 << 20);
    t.write(40_000);
    let octets = t.sent_now().iter().map(Sent::len).sum::<usize>();
    assert_eq!(octets, 10 * 1448);
}

//= rfc5681#section-3.1
#[test]
fn must_19_slow_start_doubles_each_round_trip() {
    let mut t = T::established_with(plain().wscale(7));
    t.set(opt::SNDBUF, 1 << 20);
    t.write(300_000);
    for flight in [10_000, 20_000, 40_000] {
        t.advance(100);
        let sent = t.sent_now();
        let octets = sent.iter().map(Sent::len).sum::<usize>();
        assert_eq!(octets, flight);
        // An acknowledgement for each two segments.
        for pair in sent.chunks(2) {
            t.inject(ack(pair.last().unwrap().end()));
        }
    }
}

//= rfc9293#section-3.7.1
#[test]
fn octets_are_those_that_were_written_however_they_are_cut() {
    let mut t = T::established_with(plain().wscale(7));
    t.set(opt::SNDBUF, 1 << 20);
    t.set(opt::NODELAY, 1);
    let mut total = 0;
    for len in [1, 999, 1000, 1001, 3, 7, 5000, 1, 64] {
        t.write(len);
        total += len as u32;
    }
    let mut sum = 0;
    for _ in 0..50 {
        sum += t.sent_in(10).iter().map(Sent::len).sum::<usize>() as u32;
        t.inject(seg().flag(ACK));
    }
    // The kit has compared each octet.
    assert_eq!(sum, total);
}

#[test]
fn large_flights_go_down_as_super_segments() {
    let mut t = T::established_with(full());
    t.set(opt::SNDBUF, 1 << 20);
    t.whole = true;
    t.write(14_480);
    let sent = t.expect_octets(1, 14_481);
    assert!(sent.len() < 10, "{} messages", sent.len());
    let size = sent.iter().find_map(|sent| sent.gso_size);
    assert_eq!(size, Some(1448));
}

#[test]
fn ttl_and_tos_and_no_fragments() {
    let mut t = T::established();
    t.write(10);
    let sent = t.expect(data(10));
    assert_eq!((sent.ttl, sent.tos), (64, 0));
    assert!(sent.dont_fragment);
}

//= rfc9293#section-3.9.2
#[test]
fn must_48_the_user_sets_the_type_of_service() {
    let mut t = T::established();
    t.set(opt::TOS, 0xb8);
    t.write(10);
    t.expect(data(10).tos(0xb8));
    t.inject(data(2000));
    t.expect_within(500, ack(2001).tos(0xb8));
    assert_eq!(t.get(opt::TOS), 0xb8);
}

//= rfc9293#section-3.9.2
#[test]
fn must_49_the_user_sets_the_time_to_live() {
    let mut t = T::established();
    t.set(opt::TTL, 9);
    t.write(10);
    assert_eq!(t.expect(data(10)).ttl, 9);
}

//= rfc9293#section-3.9.2.1
#[test]
fn must_50_ip_options_are_ignored() {
    let nops = [1; 40];
    let unknown = [0x9e, 8, 1, 2, 3, 4, 5, 6];
    let route = [131, 7, 4, 10, 0, 0, 3, 0];
    for options in [&nops[..], &unknown, &route] {
        let mut t = T::listening();
        t.inject(plain().ip_options(options));
        t.expect(syn_ack().ack(1));
        t.inject(ack(1).ip_options(options));
        t.accept();
        t.inject(data(10).ip_options(options));
        t.expect_read(10);
    }
}

#[test]
fn a_small_maximum_of_the_user_is_sent_and_obeyed() {
    let mut t = T::new();
    t.user = t.open();
    t.bind_at(t.user, addr([0, 0, 0, 0], 3000), 0);
    t.set(opt::MAXSEG, 600);
    t.p().host = addr(HOST, 3000);
    t.users[t.user].peer = Some(0);
    let to = t.p().addr;
    t.connect_to(t.user, to);
    t.expect(seg().flag(SYN).mss(600));
    t.inject(plain().seq(0).ack(1));
    t.expect(ack(1));
    t.event();
    t.write(1200);
    t.expect(data(600).seq(1));
    t.expect(data(600).seq(601));
}

#[test]
fn connections_that_wait_for_room_below_send_in_the_order_in_which_they_came() {
    let mut t = T::listening();
    let listener = t.user;
    let users = [20, 21, 22].map(|n| {
        t.add_peer(addr([10, 0, 0, n], 2000));
        t.user = listener;
        t.handshake(plain());
        t.accept();
        t.user
    });
    t.collect();
    t.rig.full_below(0);
    for (n, user) in users.into_iter().enumerate() {
        t.rig.down(user, &[0; 30][..10 * (n + 1)]);
    }
    t.rig.relieve_below(0);
    let sizes: Vec<_> = t.rig.below(0).iter().map(Msg::len).collect();
    assert!(sizes.len() == 3 && sizes.is_sorted(), "{sizes:?}");
}

#[test]
fn notsent_lowat_bounds_what_waits_to_be_sent_whatever_the_buffer_holds() {
    let mut t = T::established();
    t.set(opt::SNDBUF, 1 << 20);
    t.set(opt::NOTSENT_LOWAT, 8000);
    for _ in 0..500 {
        t.write(1000);
    }
    let unsent = |t: &mut T| {
        let info = t.get_bytes(opt::INFO);
        u32::from_ne_bytes(*info[144..].first_chunk().unwrap())
    };
    let mut most = 0;
    for _ in 0..400 {
        most = most.max(unsent(&mut t));
        t.inject(seg().flag(ACK));
        t.advance(10);
        t.sent_now();
    }
    assert!((7000..=9000).contains(&most), "{most} octets waited");
    assert_eq!(t.p().rcv_nxt, 500_001, "all of it came");
}
