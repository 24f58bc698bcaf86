//! Headers, options and addresses of IPv4.

use crate::frames::{Addr, Ip, PEER, US, echo, parse, udp, udp_with};
use crate::lab::Lab;

/// Packets of several protocols with a change to the header.
fn changed(change: impl Fn(&mut Ip)) -> Vec<Vec<u8>> {
    let payloads =
        [(17, udp(5000, 7, b"x")), (17, udp(5000, 9999, b"x")), (1, echo(8, 1, 1, b"x"))];
    let make = |(protocol, payload): &(u8, Vec<u8>)| {
        let mut ip = Ip::to_us(*protocol);
        change(&mut ip);
        ip.frame(payload)
    };
    payloads.iter().map(make).collect()
}

#[test]
fn bad_input_01_total_length_beyond_the_frame() {
    let mut frames = Vec::new();
    for beyond in [1_u16, 8, 100, 40_000] {
        frames.extend(changed(|ip| ip.total_len = Some(20 + 8 + 1 + beyond)));
    }
    frames.extend(changed(|ip| ip.total_len = Some(u16::MAX)));
    Lab::host().silent("ip_truncated", frames);
}

#[test]
fn bad_input_01_bytes_behind_the_packet_are_not_part_of_it() {
    let mut lab = Lab::host();
    for padding in [1, 17, 1000] {
        let mut frame = Ip::to_us(1).frame(&echo(8, 1, 1, b"data"));
        frame.extend(vec![0xee; padding]);
        let sent = lab.feed(&[frame]);
        assert_eq!(parse(&sent[0]).payload[8..], *b"data");
    }
    lab.finish();
}

#[test]
fn bad_input_02_total_length_below_the_header() {
    let mut frames = Vec::new();
    for total in [0_u16, 1, 19] {
        frames.extend(changed(|ip| ip.total_len = Some(total)));
    }
    frames.extend(changed(|ip| {
        ip.options = vec![1; 8];
        ip.total_len = Some(27);
    }));
    Lab::host().silent("ip_total_length", frames);
}

#[test]
fn bad_input_03_header_length_below_20_or_beyond_the_packet() {
    let mut frames = Vec::new();
    for words in 0..5 {
        frames.extend(changed(|ip| ip.header_words = Some(words)));
    }
    for words in [8, 15] {
        frames.push(Ip { header_words: Some(words), ..Ip::to_us(17) }.frame(b"short"));
    }
    Lab::host().silent("ip_header_length", frames);
}

#[test]
fn bad_input_03_header_longer_than_the_total_length() {
    let ip = Ip { header_words: Some(15), total_len: Some(59), ..Ip::to_us(17) };
    Lab::host().silent("ip_total_length", vec![ip.frame(&[0; 100])]);
}

/// Tunnelled packets: only the outer one is answered, as a protocol that nobody takes.
fn tunnel(protocol: u8, inner: Vec<u8>, cut: bool) {
    let mut lab = Lab::host();
    let ip = Ip::to_us(protocol);
    let frames = if cut {
        let (first, rest) = inner.split_at(24);
        vec![ip.piece(7, 0, true, first), ip.piece(7, 24, false, rest)]
    } else {
        vec![ip.frame(&inner)]
    };
    let sent = lab.feed(&frames);
    assert_eq!(sent.len(), 1, "about the outer packet only");
    let error = parse(&sent[0]);
    assert_eq!((error.dst, error.protocol, &error.payload[..2]), (PEER, 1, &[3, 2][..]));
    assert_eq!(error.payload[8 + 20..], inner, "all of it is quoted");
    assert_eq!(lab.dropped_only("ip_no_protocol"), 1);
    lab.finish();
}

#[test]
fn bad_input_04_ipv4_in_ipv4_with_a_wrong_inner_length() {
    for total in [0_u16, 19, 20, 30, 500, u16::MAX] {
        let inner = Ip { total_len: Some(total), ..Ip::to_us(17) }.packet(&udp(5000, 7, b"inner"));
        tunnel(4, inner.clone(), false);
        tunnel(4, inner, true);
    }
}

#[test]
fn bad_input_05_ipv6_in_ipv4_with_a_wrong_inner_length() {
    for payload in [0_u16, 1, 500, u16::MAX] {
        let mut inner = vec![0x60, 0, 0, 0];
        inner.extend(payload.to_be_bytes());
        inner.extend([17, 64]);
        inner.extend([0xfe; 32]);
        inner.extend(udp_with(5000, 7, 8, 0, b""));
        tunnel(41, inner.clone(), false);
        tunnel(41, inner, true);
    }
}

/// Options that end wrongly, and the place of the fault in the header.
const BAD_OPTIONS: [([u8; 8], u8); 6] = [
    ([7, 0, 4, 0, 0, 0, 0, 0], 20),
    ([1, 7, 1, 0, 0, 0, 0, 0], 21),
    ([7, 9, 4, 0, 0, 0, 0, 0], 20),
    ([68, 255, 5, 0, 0, 0, 0, 0], 20),
    ([1, 1, 1, 1, 148, 5, 0, 0], 24),
    ([1, 1, 1, 1, 1, 1, 1, 131], 27),
];

#[test]
fn bad_input_06_option_of_length_0_or_1_or_beyond_the_header() {
    let mut lab = Lab::host();
    for (options, at) in BAD_OPTIONS {
        let ip = Ip { options: options.to_vec(), ..Ip::to_us(17) };
        let sent = lab.feed(&[ip.frame(&udp(5000, 7, b"x"))]);
        assert_eq!(sent.len(), 1, "one parameter problem");
        let error = parse(&sent[0]);
        assert_eq!(
            (error.dst, &error.payload[..5]),
            (PEER, &[12, 0, error.payload[2], error.payload[3], at][..])
        );
        assert_eq!(error.payload[8 + 20..8 + 28], options, "quoted as they came");
        assert_eq!(lab.dropped_only("ip_bad_option"), 1);
    }
    lab.finish();
}

#[test]
fn bad_input_06_source_routes_wherever_they_point() {
    let mut frames = Vec::new();
    for kind in [131, 137] {
        for pointer in [0, 1, 4, 7, 8, 200, 255] {
            let options = vec![kind, 7, pointer, 10, 0, 0, 77, 0];
            frames.extend(changed(|ip| ip.options = options.clone()));
            // Towards somebody else, who would be the next hop.
            frames.extend(changed(|ip| {
                ip.options = options.clone();
                ip.protocol = 253;
            }));
        }
    }
    Lab::host().silent("ip_source_route", frames);
}

#[test]
fn bad_input_06_bad_options_are_not_answered_where_an_error_must_not_be_sent() {
    // RFC 1122 section 3.2.2: not about packets to many, fragments, from nobody, or for others.
    let with = |change: &dyn Fn(&mut Ip)| {
        let mut ip = Ip { options: vec![7, 0, 0, 0], ..Ip::to_us(17) };
        change(&mut ip);
        vec![ip.frame(&udp(5000, 7, b"x"))]
    };
    let mut lab = Lab::host();
    lab.silently("ip_bad_option", &with(&|ip| ip.dst = [255; 4]));
    lab.silently("ip_bad_option", &with(&|ip| ip.dst = [10, 0, 255, 255]));
    lab.silently("ip_bad_option", &with(&|ip| ip.fragment = 100));
    lab.silently("ip_not_member", &with(&|ip| ip.dst = [239, 1, 2, 3]));
    lab.silently("ip_own_source", &with(&|ip| ip.src = US));
    lab.silently("ip_martian_source", &with(&|ip| ip.src = [127, 0, 0, 1]));
    lab.silently("ip_not_for_us", &with(&|ip| ip.dst = [10, 0, 0, 33]));
    lab.silently("ip_link_broadcast", &with(&|ip| ip.dst_mac = [0xff; 6]));
    lab.finish();
}

#[test]
fn bad_input_16_source_is_multicast_broadcast_loopback_or_nobody() {
    let sources: [Addr; 9] = [
        [224, 0, 0, 1],
        [239, 255, 255, 255],
        [255; 4],
        [127, 0, 0, 1],
        [0; 4],
        [0, 1, 2, 3],
        [240, 0, 0, 1],
        [10, 0, 255, 255],
        [10, 0, 0, 0],
    ];
    let frames = sources.into_iter().flat_map(|src| changed(|ip| ip.src = src));
    Lab::host().silent("ip_martian_source", frames.collect());
}

#[test]
fn bad_input_16_source_is_our_own_address() {
    let mut frames = changed(|ip| ip.src = US);
    frames.extend(changed(|ip| {
        ip.src = US;
        ip.dst = [255; 4];
        ip.dst_mac = [0xff; 6];
    }));
    Lab::host().silent("ip_own_source", frames);
}

#[test]
fn bad_input_16_source_is_an_address_of_another_interface() {
    Lab::router().silent("ip_own_source", changed(|ip| ip.src = [10, 1, 0, 1]));
}

#[test]
fn bad_input_16_destination_is_loopback_or_reserved() {
    let destinations = [[127, 0, 0, 1], [0, 0, 0, 0], [240, 0, 0, 1]];
    let frames = destinations.into_iter().flat_map(|dst| changed(|ip| ip.dst = dst));
    Lab::host().silent("ip_martian_destination", frames.collect());
}

#[test]
fn bad_input_38_land_source_and_destination_are_the_target() {
    let mut frames = Vec::new();
    for (from, to) in [(7, 7), (9999, 9999), (7, 9999), (5000, 7)] {
        frames.push(Ip { src: US, ..Ip::to_us(17) }.frame(&udp(from, to, b"land")));
    }
    frames.push(Ip { src: US, ..Ip::to_us(1) }.frame(&echo(8, 1, 1, b"land")));
    frames.push(Ip { src: US, ..Ip::to_us(6) }.frame(&[0; 20]));
    Lab::host().silent("ip_own_source", frames);
}

#[test]
fn broadcast_in_a_frame_to_us_alone_is_not_answered() {
    let mut lab = Lab::host();
    for dst in [[255; 4], [10, 0, 255, 255]] {
        let ip = |protocol| Ip { dst, ..Ip::to_us(protocol) };
        lab.silently("service: sent to many", &[ip(17).frame(&udp(5000, 7, b"x"))]);
        lab.silently("icmp_echo_broadcast", &[ip(1).frame(&echo(8, 1, 1, b"x"))]);
        lab.silently("udp_no_listener", &[ip(17).frame(&udp(5000, 9999, b"x"))]);
        lab.silently("ip_no_protocol", &[ip(253).frame(b"x")]);
        let cut = [ip(17).piece(5, 0, true, &[0; 16])];
        assert_eq!(lab.feed(&cut), Vec::<Vec<u8>>::new());
        lab.advance(millstream_rig::secs(60));
        assert_eq!(lab.sent(), Vec::<Vec<u8>>::new(), "no word about missing fragments");
        lab.dropped();
    }
    lab.finish();
}

#[test]
fn wrong_header_checksum_is_silent() {
    let mut frames = changed(|_| {});
    frames.iter_mut().for_each(|frame| frame[14 + 10] ^= 0x40);
    Lab::host().silent("ip_checksum", frames);
}
