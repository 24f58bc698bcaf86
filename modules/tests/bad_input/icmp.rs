//! ICMP and IGMP messages.

use crate::frames::{Ip, PEER, US, echo, icmp, parse, udp, with_sum};
use crate::lab::Lab;
use millstream_core::tpi::{self, Primitive};
use millstream_modules::udp::option;
use millstream_rig::secs;

#[test]
fn bad_input_17_echo_with_a_truncated_header() {
    let whole = echo(8, 1, 1, b"");
    let frames = (0..8).map(|len| Ip::to_us(1).frame(&with_sum_if_room(&whole[..len])));
    Lab::host().silent("icmp_short", frames.collect());
}

fn with_sum_if_room(bytes: &[u8]) -> Vec<u8> {
    if bytes.len() < 4 { bytes.to_vec() } else { with_sum(bytes.to_vec()) }
}

#[test]
fn bad_input_17_echo_without_data() {
    let mut lab = Lab::host();
    let sent = lab.feed(&[Ip::to_us(1).frame(&echo(8, 7, 9, b""))]);
    assert_eq!(parse(&sent[0]).payload, echo(0, 7, 9, b""));
    lab.finish();
}

#[test]
fn bad_input_17_answer_of_zeros_has_a_checksum_that_is_not_zero() {
    // By increment alone it would be +0, which is right for everything but nothing (RFC 1624).
    let mut lab = Lab::host();
    for len in [0, 1, 56] {
        let sent = lab.feed(&[Ip::to_us(1).frame(&echo(8, 0, 0, &vec![0; len]))]);
        assert_eq!(parse(&sent[0]).payload[..4], [0, 0, 0xff, 0xff]);
    }
    lab.finish();
}

#[test]
fn bad_input_17_echo_with_a_wrong_checksum() {
    let mut bytes = echo(8, 1, 1, b"data");
    bytes[9] ^= 1;
    Lab::host().silent("icmp_checksum", vec![Ip::to_us(1).frame(&bytes)]);
}

#[test]
fn bad_input_17_types_that_a_host_does_not_answer() {
    let mut lab = Lab::host();
    for kind in (1..=255).filter(|kind| ![3, 5, 8, 11, 12].contains(kind)) {
        let frame = Ip::to_us(1).frame(&icmp(kind, 0, [1, 2, 3, 4], &[0; 40]));
        assert_eq!(lab.feed(&[frame]), Vec::<Vec<u8>>::new(), "type {kind}");
    }
    assert_eq!(lab.dropped_only("icmp_ignored"), 250);
    for code in [1, 2, 255] {
        lab.silently("icmp_ignored", &[Ip::to_us(1).frame(&icmp(8, code, [0; 4], b""))]);
    }
    lab.finish();
}

#[test]
fn bad_input_17_redirects_change_nothing() {
    let quote = Ip { src: US, dst: PEER, ..Ip::to_us(17) }.packet(&udp(7, 5000, b""));
    let redirect = |code| Ip::to_us(1).frame(&icmp(5, code, [10, 0, 0, 66], &quote));
    Lab::host().silent("icmp_redirect", (0..4).map(redirect).collect());
}

/// A packet of ours as errors quote it.
fn ours() -> Vec<u8> {
    Ip { src: US, dst: PEER, ..Ip::to_us(17) }.packet(&udp(7, 5000, &[0; 1000]))
}

fn unreachable(code: u8, quote: &[u8]) -> Vec<u8> {
    Ip::to_us(1).frame(&icmp(3, code, [0; 4], quote))
}

#[test]
fn bad_input_18_error_with_a_truncated_quote() {
    let frames = (0..28).map(|len| unreachable(3, &ours()[..len]));
    Lab::host().silent("icmp_quote", frames.collect());
}

#[test]
fn bad_input_18_error_with_a_bad_quoted_header() {
    let mut frames = Vec::new();
    for first in [0x00, 0x40, 0x44, 0x4f, 0x65, 0xff] {
        let mut quote = ours()[..28].to_vec();
        quote[0] = first;
        frames.push(unreachable(3, &quote));
    }
    let mut quote = ours();
    quote[2..4].fill(0);
    frames.push(unreachable(3, &quote));
    // Never sent by us, or a fragment without ports.
    frames.push(unreachable(3, &Ip { src: PEER, ..Ip::to_us(17) }.packet(&[0; 8])));
    frames.push(unreachable(3, &Ip { src: US, fragment: 1, ..Ip::to_us(17) }.packet(&[0; 8])));
    Lab::host().silent("icmp_quote", frames);
}

#[test]
fn bad_input_18_errors_about_errors_and_about_nobody_are_silent() {
    let mut lab = Lab::host();
    // Protocols, ports and peers that nobody here has.
    for (protocol, payload) in [(1, echo(8, 1, 1, b"")), (6, vec![0; 20]), (17, udp(4, 5, b""))] {
        let quote = Ip { src: US, dst: PEER, protocol, ..Ip::to_us(17) }.packet(&payload);
        for kind in [3, 11, 12] {
            let frame = Ip::to_us(1).frame(&icmp(kind, 0, [0; 4], &quote));
            assert_eq!(lab.feed(&[frame]), Vec::<Vec<u8>>::new());
        }
    }
    lab.finish();
}

#[test]
fn bad_input_18_forged_errors_do_not_silence_a_service() {
    let mut lab = Lab::host();
    for n in 0..10_000_u32 {
        let dst = [10, 0, (n >> 8) as u8, n as u8];
        let quote = Ip { src: US, dst, ..Ip::to_us(17) }.packet(&udp(7, 5000, &[0; 1000]));
        assert_eq!(lab.feed(&[unreachable(3, &quote)]), Vec::<Vec<u8>>::new());
    }
    lab.alive();
    lab.finish();
}

#[test]
fn bad_input_19_fragmentation_needed_with_an_mtu_that_cannot_be() {
    let mut frames = Vec::new();
    for mtu in [1_u16, 20, 67, 1028, 1500, 65_535] {
        let [high, low] = mtu.to_be_bytes();
        frames.push(Ip::to_us(1).frame(&icmp(3, 4, [0, 0, high, low], &ours())));
    }
    Lab::host().silent("icmp_mtu", frames);
}

#[test]
fn bad_input_19_fragmentation_needed_is_a_hint_to_the_sender_only() {
    let mut lab = Lab::host();
    let user = lab.open_udp();
    assert_eq!(lab.request(user, &Primitive::bind_req("10.0.0.1:4000".parse().unwrap())), 0);
    assert_eq!(lab.request(user, &Primitive::conn_req("10.0.0.9:5000".parse().unwrap())), 0);
    assert_eq!(tpi::primitive(&lab.take(user)[0].0), Some(tpi::T_CONN_CON));
    for (port, mtu, told) in [(4000, 0, 1), (4000, 68, 1), (4001, 68, 0), (4000, 67, 0)] {
        let quote = Ip { src: US, dst: PEER, ..Ip::to_us(17) }.packet(&udp(port, 5000, &[0; 1000]));
        let frame = Ip::to_us(1).frame(&icmp(3, 4, [0, 0, 0, mtu], &quote));
        assert_eq!(lab.feed(&[frame]), Vec::<Vec<u8>>::new());
        let got = lab.take(user);
        assert_eq!(got.len(), told, "port {port}, MTU {mtu}");
        for (control, _) in got {
            assert_eq!(tpi::primitive(&control), Some(tpi::T_UDERROR_IND));
        }
    }
    // Our next datagram is as long as before: nothing was learnt from a forger.
    lab.put(user, &[5; 1400], millstream_msg::Kind::Data);
    let sent = lab.sent();
    assert_eq!((sent.len(), sent[0].len()), (1, 14 + 20 + 8 + 1400));
    lab.p.close(user).unwrap();
    lab.finish();
}

fn igmp(bytes: Vec<u8>) -> Ip {
    assert!(bytes.len() >= 8);
    Ip { dst: [224, 0, 0, 1], dst_mac: [1, 0, 0x5e, 0, 0, 1], ttl: 1, ..Ip::to_us(2) }
}

/// A version 3 query with `sources` in its count.
fn query(group: [u8; 4], sources: u16, listed: usize) -> Vec<u8> {
    let mut bytes = vec![0x11, 10, 0, 0];
    bytes.extend(group);
    bytes.extend([2, 125]);
    bytes.extend(sources.to_be_bytes());
    bytes.resize(12 + 4 * listed, 9);
    with_sum(bytes)
}

const ALERT: [u8; 4] = [148, 4, 0, 0];

#[test]
fn bad_input_23_query_with_more_sources_than_it_carries() {
    let mut frames = Vec::new();
    for (sources, listed) in [(1, 0), (3, 2), (0x4000, 5), (0xffff, 10)] {
        let bytes = query([0; 4], sources, listed);
        let ip = Ip { options: ALERT.to_vec(), ..igmp(bytes.clone()) };
        frames.push(ip.frame(&bytes));
    }
    for len in [0, 1, 7, 9, 10, 11] {
        let mut bytes = query([0; 4], 0, 0)[..len].to_vec();
        if len >= 4 {
            bytes = with_sum(bytes);
        } else {
            bytes.fill(0xff);
        }
        let ip = Ip { options: ALERT.to_vec(), ..igmp(vec![0; 8]) };
        frames.push(ip.frame(&bytes));
    }
    let mut lab = Lab::host();
    for frame in frames {
        assert_eq!(lab.feed(std::slice::from_ref(&frame)), Vec::<Vec<u8>>::new(), "{frame:02x?}");
        let dropped = lab.dropped();
        let named = dropped[0].0.starts_with("igmp_");
        assert!(dropped.len() == 1 && named, "{dropped:?}");
    }
    lab.finish();
}

#[test]
fn bad_input_47_igmp_that_is_forged_or_of_no_use_is_silent() {
    let mut lab = Lab::host();
    let group = [239, 1, 2, 3];
    let user = lab.open_udp();
    assert_eq!(lab.request(user, &Primitive::bind_req("0.0.0.0:4000".parse().unwrap())), 0);
    assert_eq!(join(&mut lab, user, "239.1.2.3", 7), 0);
    lab.advance(secs(10));
    assert_eq!(lab.sent().len(), 2, "joining is told twice");
    lab.dropped();
    let good = query([0; 4], 0, 0);
    let sound = Ip { options: ALERT.to_vec(), ..igmp(good.clone()) };
    // Not from this link, without the alert, to a wrong address, for no group.
    lab.silently("igmp_foreign", &[Ip { ttl: 2, ..sound.clone() }.frame(&good)]);
    lab.silently("igmp_foreign", &[Ip { options: vec![], ..sound.clone() }.frame(&good)]);
    let to_us = Ip { dst: US, dst_mac: crate::frames::our_mac(0), ..sound.clone() };
    lab.silently("igmp_foreign", &[to_us.frame(&good)]);
    for group in [[1, 2, 3, 4], [10, 0, 0, 1], [255; 4]] {
        lab.silently("igmp_group", &[sound.frame(&query(group, 0, 0))]);
    }
    let mut bad = good.clone();
    bad[1] ^= 1;
    lab.silently("igmp_checksum", &[sound.frame(&bad)]);
    // The right one is answered, by a report for the group.
    lab.feed(&[sound.frame(&good)]);
    lab.advance(secs(5));
    let sent = lab.sent();
    assert_eq!(sent.len(), 1);
    assert_eq!(parse(&sent[0]).payload[12..16], group);
    lab.p.close(user).unwrap();
    lab.finish();
}

fn join(lab: &mut Lab, user: millstream_core::StreamId, group: &str, name: i32) -> i32 {
    lab.request(user, &option::set_group(name, 1, group.parse().unwrap()))
}

#[test]
fn bad_input_47_memberships_of_the_wrong_family_leave_nothing_behind() {
    let mut lab = Lab::host();
    for round in 0..200 {
        let user = lab.open_udp();
        let bound = if round % 2 == 0 { "0.0.0.0:0" } else { "[::]:0" };
        assert_eq!(lab.request(user, &Primitive::bind_req(bound.parse().unwrap())), 0);
        for group in ["239.1.2.3", "ff02::1:2", "10.0.0.9", "::1", "ff02::1:3"] {
            for option in [7, 7, 8, 8, 7] {
                join(&mut lab, user, group, option);
            }
        }
        lab.p.close(user).unwrap();
        lab.advance(secs(1));
    }
    lab.rest();
    lab.dropped();
    // No membership is left: the group's packets are nobody's.
    let ip = Ip { dst: [239, 1, 2, 3], dst_mac: [1, 0, 0x5e, 1, 2, 3], ..Ip::to_us(17) };
    lab.silently("ip_not_member", &[ip.frame(&udp(1, 2, b""))]);
    lab.finish();
}

#[test]
fn bad_input_47_option_values_beyond_their_range_are_refused() {
    let mut lab = Lab::host();
    let user = lab.open_udp();
    for name in [-1, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, i32::MAX, i32::MIN] {
        for value in [i32::MIN, -1, 0, 1, 255, 256, 65_536, 65_537, i32::MAX] {
            lab.request(user, &option::set_group(name, value, "239.1.2.3".parse().unwrap()));
            lab.request(user, &option::set(name, value));
        }
    }
    lab.p.close(user).unwrap();
    lab.finish();
}
