//! Floods: state has a bound, and each frame costs the same however much came before.

use crate::frames::{Ip, PEER_MAC, US, arp, asks_for, our_mac, parse, udp};
use crate::lab::Lab;
use millstream_modules::arp::{PENDING_TOTAL_TRUESIZE_MAX, UNRESOLVED_MAX};
use millstream_modules::ip::reass::{
    DATAGRAMS_MAX, FRAGMENTS_MAX, SOURCE_DATAGRAMS_MAX, SOURCE_TRUESIZE_MAX, TRUESIZE_MAX,
};
use millstream_rig::secs;

const COUNT: u32 = 10_000;

/// A fragment of another datagram for each `n`.
fn incomplete(n: u32, sources: u32, len: usize) -> Vec<u8> {
    let source = n % sources;
    let ip = Ip { src: [10, 0, 1 + (source >> 8) as u8, source as u8], ..Ip::to_us(17) };
    ip.piece((n / sources) as u16, 0, true, &udp(5000, 7, &vec![0; len - 8]))
}

fn reassembly_is_bounded(lab: &mut Lab) {
    assert!(lab.shows(lab.ip, "reassembling") <= DATAGRAMS_MAX as u64);
    assert!(lab.shows(lab.ip, "reassembly_bytes") <= TRUESIZE_MAX as u64);
}

#[test]
fn bad_input_08_incomplete_datagrams_of_many_sources() {
    let mut lab = Lab::host();
    for n in 0..COUNT {
        assert_eq!(lab.feed(&[incomplete(n, 500, 1480)]), Vec::<Vec<u8>>::new());
        reassembly_is_bounded(&mut lab);
    }
    let dropped = lab.dropped_only("frag_memory");
    assert_eq!(dropped, u64::from(COUNT) - lab.shows(lab.ip, "reassembling"));
    lab.alive();
    lab.advance(secs(31));
    assert_eq!(lab.shows(lab.ip, "reassembling"), 0);
    let told = lab.sent().len();
    assert!(told <= 60, "{told} words about fragments that did not come");
    lab.finish();
}

#[test]
fn bad_input_08_incomplete_datagrams_of_one_source() {
    let mut lab = Lab::host();
    for n in 0..COUNT {
        assert_eq!(lab.feed(&[incomplete(n, 1, 1480)]), Vec::<Vec<u8>>::new());
    }
    assert_eq!(lab.shows(lab.ip, "reassembling"), SOURCE_DATAGRAMS_MAX as u64);
    assert!(lab.shows(lab.ip, "reassembly_bytes") <= SOURCE_TRUESIZE_MAX as u64);
    let refused = lab.dropped_only("frag_source_limit");
    assert_eq!(refused, u64::from(COUNT) - SOURCE_DATAGRAMS_MAX as u64);
    // Others still have theirs joined.
    let data = udp(5000, 7, &[7; 100]);
    let ip = Ip { fragment: 0, ..Ip::to_us(17) };
    let mut whole = data;
    whole[6..8].fill(0);
    let sent =
        lab.feed(&[ip.piece(1, 0, true, &whole[..56]), ip.piece(1, 56, false, &whole[56..])]);
    assert_eq!(parse(&sent[0]).payload[8..], [7; 100]);
    lab.finish();
}

#[test]
fn bad_input_08_tiny_pieces_of_one_datagram() {
    let mut lab = Lab::host();
    let piece = |n: u32| Ip::to_us(17).piece(1, 16 * n as u16, true, &[0; 8]);
    let frames: Vec<_> = (1..4000).map(piece).collect();
    assert_eq!(lab.feed(&frames), Vec::<Vec<u8>>::new());
    assert_eq!(lab.shows(lab.ip, "reassembling"), 1);
    let bytes = lab.shows(lab.ip, "reassembly_bytes");
    assert!(bytes <= FRAGMENTS_MAX as u64 * 1024, "small cells for small pieces: {bytes}");
    let dropped = lab.dropped();
    let named = ["frag_too_many", "frag_poisoned"];
    assert!(dropped.iter().all(|(name, _)| named.contains(&&**name)), "{dropped:?}");
    lab.finish();
}

#[test]
fn bad_input_43_silent_hosts_to_resolve() {
    let mut lab = Lab::router();
    let (rest, mut asked) = (lab.cells_out(), 0);
    for n in 0..COUNT {
        let ip = Ip {
            src: [10, 1, 0, 9],
            dst: [10, 0, 100 + (n >> 8) as u8, n as u8],
            dst_mac: our_mac(1),
            ..Ip::to_us(17)
        };
        lab.feed_at(1, &[ip.frame(&udp(5000, 7, &[0; 1000]))]);
        asked += lab.sent().len();
        assert!(lab.arp_shows(0, "unresolved") <= UNRESOLVED_MAX as u64);
    }
    assert!(asked <= 256, "{asked} broadcasts at once");
    let held = lab.cells_out() - rest;
    assert!(held <= 2 * UNRESOLVED_MAX, "{held} cells for {UNRESOLVED_MAX} frames that wait");
    // A neighbour that is known is still reached, and a new one still found.
    lab.alive();
    lab.advance(secs(1));
    lab.sent();
    let new = [10, 0, 0, 200];
    lab.feed(&[Ip { src: new, ..Ip::to_us(17) }.frame(&udp(5000, 7, b"new"))]);
    let sent = {
        lab.advance(secs(2));
        lab.sent()
    };
    assert!(sent.iter().any(|frame| asks_for(frame, new)), "asked for in time");
    lab.feed(&[arp(2, PEER_MAC, new, our_mac(0), US)]);
    lab.rest();
    assert_eq!(lab.arp_shows(0, "unresolved"), 0, "forgotten");
    lab.finish();
}

#[test]
fn bad_input_43_silent_hosts_with_large_datagrams_that_wait() {
    let mut lab = Lab::router();
    let rest = lab.cells_out();
    for n in 0..COUNT {
        let ip = Ip {
            src: [10, 1, 0, 9],
            dst: [10, 0, 100, (n % 200) as u8 + 1],
            dst_mac: our_mac(1),
            ..Ip::to_us(17)
        };
        lab.feed_at(1, &[ip.frame(&udp(5000, 7, &[0; 1400]))]);
    }
    lab.sent();
    let held = lab.cells_out() - rest;
    assert!(held <= PENDING_TOTAL_TRUESIZE_MAX / 1024, "{held} cells wait");
    lab.alive();
    lab.finish();
}

#[test]
fn bad_input_43_stations_that_speak_up_push_out_only_each_other() {
    let mut lab = Lab::host();
    let mut answers = 0;
    for n in 0..COUNT {
        let who = [10, 0, 100 + (n >> 8) as u8, n as u8];
        let mac = [4, 1, 0, 0, (n >> 8) as u8, n as u8];
        answers += lab.feed(&[arp(1, mac, who, [0; 6], US)]).len();
        assert!(lab.arp_shows(0, "live") <= millstream_modules::arp::LIVE_MAX as u64);
    }
    assert_eq!(answers, COUNT as usize, "each asked for us and was answered");
    lab.finish();
}

#[test]
fn bad_input_08_datagrams_to_a_user_who_does_not_read() {
    let mut lab = Lab::host();
    let user = lab.open_udp();
    let bind = millstream_core::tpi::Primitive::bind_req("10.0.0.1:4000".parse().unwrap());
    assert_eq!(lab.request(user, &bind), 0);
    let rest = lab.cells_out();
    let frame = Ip::to_us(17).frame(&udp(5000, 4000, &[0; 1000]));
    for _ in 0..COUNT / 50 {
        assert_eq!(lab.feed(&vec![frame.clone(); 50]), Vec::<Vec<u8>>::new());
    }
    let held = lab.cells_out() - rest;
    // A mebibyte, where each message counts for half a frame besides its bytes; two cells each.
    assert!(held <= 2 * (1 << 20) / 2000, "{held} cells wait");
    assert!(lab.dropped_only("udp_queue_full") > u64::from(COUNT) - 600);
    lab.alive();
    lab.p.close(user).unwrap();
    lab.finish();
}
