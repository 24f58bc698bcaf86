//! The TCP classes of bad input, by their numbers in the checklist: no panic, no memory that grows,
//! no answer to forged input, and the service answers afterwards.

use crate::kit::*;
use std::net::SocketAddr;

/// Cells that are out.
fn cells(t: &mut T) -> usize {
    let stats = t.rig.perimeter().pool().stats();
    [stats.small, stats.frame, stats.large, stats.bare, stats.external].iter().map(|c| c.out).sum()
}

/// A listener with an established connection: the connection is the current one.
fn service() -> T {
    T::established_with(with_sack())
}

#[track_caller]
fn serves(t: &mut T) {
    t.expect_service(0);
}

#[test]
fn b24_option_length_0_does_not_loop() {
    for kind in [2, 3, 4, 5, 8, 253] {
        let mut t = service();
        t.inject(data(10).raw_options(&[kind, 0, 0, 0]));
        t.inject(plain().raw_options(&[kind, 0, 0, 0]).from(addr(PEER, 6000)));
        t.advance(500);
        serves(&mut t);
    }
}

#[test]
fn b25_an_mss_option_of_another_length_is_not_read_past() {
    for options in [&[2, 2, 1, 1][..], &[2, 3, 9, 1], &[1, 1, 2, 4], &[2, 4], &[1, 2, 4, 5]] {
        let mut t = T::listening();
        t.inject(syn().raw_options(options));
        t.sent_in(10);
        serves(&mut t);
    }
}

#[test]
fn b25_an_mss_of_0_or_1_makes_no_flood_of_tiny_segments() {
    for mss in [0, 1, 7] {
        let mut t = T::listening();
        t.inject(syn().mss(mss));
        if t.sent_now().is_empty() {
            continue;
        }
        t.inject(ack(1));
        t.accept();
        t.p().mss = Some(1000);
        t.write(10_000);
        let sent = t.sent_now();
        assert!(sent.len() <= 20, "{} segments", sent.len());
        assert!(sent.iter().all(|sent| sent.len() >= 40), "{sent:#?}");
        serves(&mut t);
    }
}

#[test]
fn b26_a_window_scale_of_255_is_14() {
    let mut t = T::established_with(plain().wscale(255).win(1));
    t.write(40_000);
    let octets: usize = t.sent_now().iter().map(Sent::len).sum();
    assert_eq!(octets, 10_000, "the initial flight: the window is 16 KiB");
    t.inject(seg().flag(ACK).win(1));
    t.advance(10);
    assert!((10_002..=10_001 + 16_384).contains(&t.p().rcv_nxt), "{}", t.p().rcv_nxt);
    serves(&mut t);
}

#[test]
fn b27_sack_blocks_that_are_none_do_no_harm() {
    let bad: [&[(u32, u32)]; 6] = [
        &[(3001, 2001)],
        &[(2001, 2001)],
        &[(20_001, 30_001)],
        &[(0x8000_0000, 0x8000_1000)],
        &[(1001, 0xffff_0000)],
        &[(0xffff_f000, 1001)],
    ];
    for blocks in bad {
        let mut t = service();
        t.write(5000);
        t.expect_octets(1, 5001);
        for _ in 0..5 {
            t.inject(ack(1).sack(blocks));
        }
        t.sent_in(50);
        t.inject(ack(5001));
        t.advance(100);
        t.sent_now();
        t.expect_nothing_for(5000);
        t.expect_alive();
    }
}

#[test]
fn b28_an_urgent_pointer_of_0_does_not_underflow() {
    let mut t = service();
    t.inject(data(10).urgent(0));
    t.inject(seg().urgent(0).len(0));
    t.inject(data(10).urgent(0).seq(101));
    t.inject(data(90).urgent(1));
    t.advance(500);
    let octets: usize = std::iter::from_fn(|| t.event())
        .map(|event| match event {
            Event::Data(bytes) | Event::Urgent(bytes) => bytes.len(),
            _ => 0,
        })
        .sum();
    assert_eq!(octets, 110);
    t.users[1].received = 110;
    serves(&mut t);
}

#[test]
fn b29_urgent_pointers_past_the_data_in_syn_and_out_of_order_do_no_harm() {
    let mut t = T::listening();
    t.inject(plain().urgent(65_535));
    t.expect(syn_ack().ack(1));
    t.inject(seg().ack(1).urgent(65_535));
    t.accept();
    t.inject(data(10).urgent(65_535));
    t.inject(data(10).seq(5001).urgent(65_535));
    t.inject(data(10).seq(101).urgent(1));
    t.inject(fin().seq(11).urgent(9));
    t.advance(500);
    let ended = std::iter::from_fn(|| t.event()).any(|event| event == Event::Ended);
    assert!(ended);
    serves(&mut t);
}

#[test]
fn b30_the_initial_number_is_not_to_be_foretold() {
    let mut t = T::listening();
    let mut numbers = Vec::new();
    for port in 5000..5064 {
        t.add_peer(addr(PEER, port));
        t.inject(plain());
        numbers.push(t.expect(syn_ack()).raw_seq);
        t.inject(rst());
    }
    // A line through any three does not hit the fourth.
    let hits = numbers
        .windows(4)
        .filter(|n| {
            let (a, b, c) =
                (n[1].wrapping_sub(n[0]), n[2].wrapping_sub(n[1]), n[3].wrapping_sub(n[2]));
            let next = b.wrapping_add(b.wrapping_sub(a));
            (c.wrapping_sub(next) as i32).unsigned_abs() < 1 << 16
        })
        .count();
    assert!(hits <= 1, "{hits} of 61 are foretold");
}

#[test]
fn b31_blind_resets_syns_and_acks_in_the_window_break_nothing() {
    let mut t = service();
    t.write(1000);
    t.sent_now();
    t.inject(ack(1001));
    for n in 1..60 {
        t.inject(rst().seq(1 + n * 1000));
        t.inject(syn().mss(1000).seq(1 + n * 1000));
        t.inject(data(10).seq(1 + n * 1000).ack(0x9000_0000 + n));
        t.advance(50);
    }
    let answers = t.sent_now();
    assert!(answers.iter().all(|sent| sent.flags & (RST | SYN | FIN) == 0 && sent.len() == 0));
    assert!(answers.len() <= 40, "{} answers in 3 s", answers.len());
    t.expect_alive();
}

#[test]
fn b32_data_offsets_below_5_and_beyond_the_segment_are_dropped() {
    let mut t = service();
    for words in [0, 1, 4, 15] {
        t.inject(data(10).data_offset(words));
        t.inject(plain().seq(0).data_offset(words).from(addr(PEER, 6000)));
        t.p().nxt = 1;
    }
    t.expect_nothing_for(500);
    assert!(t.strays.is_empty());
    assert_eq!(t.event(), None);
    t.expect_alive();
}

#[test]
fn b32_packets_shorter_than_a_header_are_dropped() {
    let mut t = service();
    let now = t.rig.now();
    let whole = t.p().send(&data(10).seq(5000), now).to_bytes();
    for len in 20..40 {
        let mut short = whole[..len].to_vec();
        short[2..4].copy_from_slice(&(len as u16).to_be_bytes());
        t.inject_bytes(&short);
    }
    t.expect_nothing_for(500);
    t.expect_alive();
}

#[test]
fn b33_odd_flags_and_ports_do_no_harm() {
    let all: Vec<u8> = (0..=255).collect();
    for flags in all {
        let mut t = service();
        t.p().lax = true;
        let odd = Seg { flags, mask: 0xff, ..seg() };
        t.inject(odd.clone().from(addr(PEER, 6000)).len(5).ack_if(flags));
        t.inject(odd.seq(100).len(5).ack_if(flags));
        t.inject(plain().from(addr(PEER, 0)));
        t.inject(plain().to(addr(HOST, 0)));
        t.advance(10);
        assert!(t.strays.iter().all(|sent| sent.dst.port() != 0), "an answer to port 0");
        t.strays.clear();
        t.sent_now();
        serves(&mut t);
    }
}

#[test]
fn b33_data_in_a_syn_are_taken_or_sent_again() {
    let mut t = T::listening();
    t.inject(plain().len(100));
    let answer = t.expect(seg().flag(SYN | ACK));
    assert!(answer.ack == 1 || answer.ack == 101);
    t.p().nxt = 1;
    t.inject(ack(1).seq(answer.ack));
    t.accept();
    t.inject(data(100).seq(1));
    t.expect_read(100);
}

#[test]
fn b33_syn_with_fin_opens_nothing_that_cannot_be_used() {
    let mut t = T::listening();
    t.inject(plain().flag(FIN));
    t.sent_in(100);
    serves(&mut t);
}

#[test]
fn b34_resets_and_data_with_a_wrong_checksum_are_dropped() {
    let mut t = service();
    t.inject(rst().bad_sum());
    t.inject(data(10).bad_sum());
    t.inject(fin().bad_sum());
    t.expect_nothing_for(500);
    assert_eq!(t.event(), None);
    t.expect_alive();
}

#[test]
fn b35_a_flood_of_syns_takes_bounded_memory_and_ends_by_itself() {
    let mut t = service();
    let before = cells(&mut t);
    for n in 0..20_000_u32 {
        t.inject(plain().seq(0).from(far(n)));
        if n % 100 == 0 {
            t.strays.clear();
        }
    }
    assert!(cells(&mut t) < before + 64, "{} cells", cells(&mut t));
    serves(&mut t);
    t.advance(600_000);
    t.strays.clear();
    t.advance(600_000);
    assert!(t.strays.is_empty(), "those half-way are gone");
}

fn far(n: u32) -> SocketAddr {
    let [_, a, b, c] = n.to_be_bytes();
    addr([172, 20 + a, b, c], 1024 + (n % 50_000) as u16)
}

#[test]
fn b35_resets_of_those_half_way_end_them() {
    let mut t = T::listening();
    for n in 0..2000 {
        t.add_peer(far(n));
        t.inject(plain());
        t.inject(rst());
        t.peers.truncate(1);
        t.peer = 0;
    }
    t.strays.clear();
    t.advance(300_000);
    assert!(t.strays.is_empty(), "{} SYN-ACKs to those that had said no", t.strays.len());
}

#[test]
fn b36_twenty_thousand_pieces_of_one_octet_out_of_order_are_bounded() {
    let mut t = service();
    let before = cells(&mut t);
    let start = std::time::Instant::now();
    for n in 0..20_000_u32 {
        // Every second octet, from far to near: no two are neighbours.
        t.inject(data(1).seq(40_001 - 2 * n));
        if n % 1000 == 0 {
            t.sent_now();
        }
    }
    t.sent_now();
    let held = cells(&mut t) - before;
    assert!(held <= 10_000, "{held} cells are held");
    println!("{:?} for 20,000 pieces", start.elapsed());
    t.inject(rst());
    assert!(cells(&mut t) <= before, "and all of them come back");
    serves(&mut t);
}

#[test]
fn b36_pieces_that_were_dropped_for_memory_come_in_when_sent_again() {
    let mut t = service();
    for n in 0..5000_u32 {
        t.inject(data(1).seq(10_001 - 2 * n));
    }
    t.sent_now();
    let mut at = 1;
    while at < 10_002 {
        let len = (10_002 - at).min(1000);
        t.inject(data(len as usize).seq(at));
        let sent = t.sent_in(200);
        at = sent.last().map_or(at, |sent| sent.ack);
    }
    t.expect_read(at as usize - 1);
}

#[test]
fn b37_sack_patterns_do_not_shatter_the_send_queue() {
    let mut t = T::established_with(syn().mss(88).sack_ok().wscale(7));
    t.set(opt::SNDBUF, 1 << 20);
    t.write(60_000);
    let before = cells(&mut t);
    let mut segments = 0;
    for round in 0..200_u32 {
        let sent = t.sent_in(5);
        segments += sent.len();
        let from = t.p().rcv_nxt.saturating_sub(2000).max(100);
        // Octets here and there of what is in flight.
        let blocks: Vec<(u32, u32)> = (0..4)
            .map(|n| from + 97 * n + round)
            .map(|at| (at, at + 1))
            .filter(|(_, end)| *end <= t.peers[0].rcv_nxt)
            .collect();
        t.inject(ack(1).sack(&blocks));
    }
    assert!(segments < 20_000, "{segments} segments");
    let now = cells(&mut t);
    assert!(now < before + 2000, "{} cells more", now - before);
    for _ in 0..50 {
        t.inject(seg().flag(ACK));
        t.sent_in(50);
    }
    t.expect_alive();
}

#[test]
fn b38_a_segment_from_ourselves_is_dropped() {
    let mut t = T::listening();
    t.inject(plain().from(addr(HOST, PORT)));
    t.inject(plain().from(addr(HOST, 81)));
    t.inject(ack(1).from(addr(HOST, PORT)));
    t.advance(5000);
    let answered = t.strays.iter().any(|sent| sent.src == sent.dst);
    assert!(!answered, "it speaks with itself: {:#?}", t.strays);
    serves(&mut t);
}

#[test]
fn b39_a_storm_of_acks_between_two_that_were_deceived_ends() {
    let mut t = service();
    let mut answers = 0;
    for n in 0..1000 {
        t.inject(ack(0x7000_0000).seq(0x4000_0000));
        t.inject(ack(1).seq(0x4000_0000));
        if n % 10 == 0 {
            t.advance(10);
        }
        answers += t.sent_now().len();
    }
    assert!(answers <= 10, "{answers} answers to 2000 forged ACKs in a second");
    t.expect_alive();
}

#[test]
fn b40_a_reset_in_time_wait_ends_nothing() {
    let mut t = T::in_state(State::TimeWait);
    for seq in [1, 2, 3, 1000] {
        t.inject(rst().seq(seq));
    }
    t.sent_in(1000);
    t.inject(fin().seq(1));
    t.expect(ack(2).seq(2));
}
