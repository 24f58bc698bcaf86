//! Datagrams, and requests of users.

use crate::frames::{Ip, PEER, US, parse, udp, udp_sum, udp_with};
use crate::lab::Lab;
use millstream_core::Errno;
use millstream_core::tpi::{self, Primitive};
use millstream_modules::udp::option;
use millstream_msg::Kind;

#[test]
fn bad_input_41_length_below_8_or_beyond_the_packet() {
    let mut frames = Vec::new();
    for len in [0, 1, 7, 13, 1000, 65_535] {
        for port in [7, 9999] {
            frames.push(Ip::to_us(17).frame(&udp_with(5000, port, len, 0, b"four")));
        }
    }
    Lab::host().silent("udp_length", frames);
}

#[test]
fn bad_input_41_packet_shorter_than_the_header() {
    let whole = udp_with(5000, 7, 8, 0, b"");
    let frames = (0..8).map(|len| Ip::to_us(17).frame(&whole[..len]));
    Lab::host().silent("udp_short", frames.collect());
}

#[test]
fn bad_input_41_wrong_checksum() {
    let mut frames = Vec::new();
    for port in [7, 9999] {
        let mut bytes = udp(5000, port, b"data");
        let sum = udp_sum(PEER, US, &bytes);
        bytes[6..8].copy_from_slice(&(sum ^ 1).to_be_bytes());
        frames.push(Ip::to_us(17).frame(&bytes));
    }
    Lab::host().silent("udp_checksum", frames);
}

#[test]
fn bad_input_41_checksum_0_is_none_and_bytes_behind_the_length_are_left_out() {
    let mut lab = Lab::host();
    let sent = lab.feed(&[Ip::to_us(17).frame(&udp_with(5000, 7, 10, 0, b"yes and no"))]);
    assert_eq!(parse(&sent[0]).payload[8..], *b"ye");
    lab.finish();
}

#[test]
fn bad_input_41_port_0() {
    let mut lab = Lab::host();
    lab.silently("udp_port_zero", &[Ip::to_us(17).frame(&udp(5000, 0, b"x"))]);
    lab.silently("service: from a port that answers", &[Ip::to_us(17).frame(&udp(0, 7, b"x"))]);
    lab.finish();
}

#[test]
fn bad_input_41_services_that_would_answer_each_other_for_ever() {
    let frames = [7, 13, 17, 19, 37].map(|port| Ip::to_us(17).frame(&udp(port, 7, b"loop")));
    Lab::host().silent("service: from a port that answers", frames.to_vec());
}

#[test]
fn bad_input_41_datagram_that_is_gone_in_parts() {
    // The last fragment never comes; the first has the UDP header with a length of the whole.
    let mut lab = Lab::host();
    let first = Ip::to_us(17).piece(1, 0, true, &udp_with(5000, 7, 2000, 0, &[0; 1000]));
    assert_eq!(lab.feed(&[first]), Vec::<Vec<u8>>::new());
    lab.advance(millstream_rig::secs(60));
    let sent: Vec<_> = lab.sent().into_iter().filter(|frame| frame[12..14] == [8, 0]).collect();
    assert_eq!(sent.len(), 1, "its sender is told once");
    assert_eq!(parse(&sent[0]).payload[..2], [11, 1]);
    assert!(lab.dropped().contains(&("frag_timeout".to_owned(), 1)));
    lab.finish();
}

#[test]
fn bad_input_41_primitives_that_are_cut_or_point_outside() {
    let mut lab = Lab::host();
    let user = lab.open_udp();
    let bases = [
        Primitive::bind_req("0.0.0.0:0".parse().unwrap()),
        Primitive::conn_req("10.0.0.9:1".parse().unwrap()),
        Primitive::unitdata_req("10.0.0.9:1".parse().unwrap()),
        Primitive::unitdata_req("[::1]:1".parse().unwrap()),
        option::set(option::TTL, 5),
        option::set_group(option::JOIN, 1, "239.1.2.3".parse().unwrap()),
        Primitive::capability_req(tpi::TC1_INFO),
        Primitive::new(&[tpi::T_UNBIND_REQ]),
        Primitive::new(&[i32::MIN, -1, -1]),
    ];
    for base in bases {
        for len in 1..=base.as_bytes().len() {
            lab.put(user, &base.as_bytes()[..len], Kind::Proto);
            lab.take(user);
        }
        for at in (4..base.as_bytes().len().saturating_sub(4)).step_by(4) {
            for word in [-1_i32, i32::MIN, i32::MAX, 1, 3, 15, 27, 28, 29, 64, 1 << 20] {
                let mut bytes = base.as_bytes().to_vec();
                bytes[at..at + 4].copy_from_slice(&word.to_ne_bytes());
                lab.put(user, &bytes, Kind::Proto);
                lab.take(user);
            }
        }
    }
    lab.sent();
    lab.p.close(user).unwrap();
    lab.finish();
}

#[test]
fn a_source_that_is_not_ours_does_not_leave() {
    let mut lab = Lab::host();
    let user = lab.open_udp();
    assert_eq!(lab.request(user, &Primitive::bind_req("0.0.0.0:4000".parse().unwrap())), 0);
    for from in ["10.0.0.77:0", "127.0.0.1:0", "255.255.255.255:0", "10.0.255.255:0", "224.0.0.1:0"]
    {
        let to = Primitive::unitdata_req("10.0.0.9:5000".parse().unwrap());
        let request = to.with_address(12, from.parse().unwrap());
        lab.put(user, request.as_bytes(), Kind::Proto);
        assert_eq!(lab.sent(), Vec::<Vec<u8>>::new(), "{from}");
        assert_eq!(lab.dropped_only("ip_no_source"), 1, "{from}");
        lab.take(user);
    }
    lab.p.close(user).unwrap();
    lab.finish();
}

#[test]
fn a_destination_that_no_link_carries_does_not_leave_by_the_default_route() {
    let mut lab = Lab::host();
    lab.p.set_mux(lab.ip, "route", "0.0.0.0/0 via 10.0.0.9").unwrap();
    let user = lab.open_udp();
    assert_eq!(lab.request(user, &Primitive::bind_req("0.0.0.0:4000".parse().unwrap())), 0);
    for to in ["127.0.0.1:7", "127.255.255.255:7", "0.0.0.0:7", "0.1.2.3:7", "240.0.0.1:7"] {
        let request = Primitive::unitdata_req(to.parse().unwrap());
        lab.put(user, request.as_bytes(), Kind::Proto);
        assert_eq!(lab.sent(), Vec::<Vec<u8>>::new(), "{to}");
        assert_eq!(lab.dropped_only("ip_martian_destination"), 1, "{to}");
    }
    lab.p.close(user).unwrap();
    lab.finish();
}

#[test]
fn a_user_bound_to_a_group_sends_from_our_address() {
    let mut lab = Lab::host();
    let user = lab.open_udp();
    assert_eq!(lab.request(user, &Primitive::bind_req("239.1.2.3:4000".parse().unwrap())), 0);
    let request = Primitive::unitdata_req("10.0.0.9:5000".parse().unwrap());
    lab.put(user, request.as_bytes(), Kind::Proto);
    let sent = lab.sent();
    assert_eq!(parse(&sent[0]).src, US);
    lab.p.close(user).unwrap();
    lab.finish();
}

#[test]
fn unreachable_ports_are_told_once_in_a_while() {
    let mut lab = Lab::host();
    let frames: Vec<_> =
        (0..1000).map(|n| Ip::to_us(17).frame(&udp(5000, 10_000 + n, b"?"))).collect();
    let sent = lab.feed(&frames);
    assert_eq!(sent.len(), 10, "a burst to one host");
    assert!(sent.iter().all(|frame| parse(frame).payload[..2] == [3, 3]));
    assert_eq!(lab.dropped_only("ip_no_port"), 1000);
    let mut told = 0;
    for _ in 0..10 {
        lab.advance(millstream_rig::ms(100));
        told += lab.feed(&frames[..100]).len();
    }
    assert!((9..=11).contains(&told), "ten a second to one host: {told}");
    lab.finish();
}

#[test]
fn unreachable_ports_are_told_to_many_hosts_at_a_limited_rate() {
    let mut lab = Lab::host();
    let frames: Vec<_> = (0..1000_u16)
        .map(|n| {
            let src = [10, 0, 100 + (n / 200) as u8, 1 + (n % 200) as u8];
            let ip = Ip { src, ..Ip::to_us(17) };
            ip.frame(&udp(5000, 9999, b"?"))
        })
        .collect();
    let sent = lab.feed(&frames);
    // Each needs the station of a host that is not there.
    let asked = sent.iter().filter(|frame| frame[12..14] == [8, 6]).count();
    assert_eq!((sent.len(), asked), (50, 50), "a burst to all together");
    lab.finish();
}

#[test]
fn an_address_of_somebody_else_cannot_be_bound() {
    let mut lab = Lab::host();
    let user = lab.open_udp();
    let foreign = Primitive::bind_req("8.8.8.8:7000".parse().unwrap());
    assert_eq!(lab.request(user, &foreign), Errno::EADDRNOTAVAIL.0);
    let own = Primitive::bind_req(std::net::SocketAddr::from((US, 7000)));
    assert_eq!(lab.request(user, &own), 0);
    lab.finish();
}

#[test]
fn a_user_is_told_that_there_is_no_way_for_a_datagram() {
    let cases = [("192.0.2.1:7", Errno::ENETUNREACH), ("255.255.255.255:7", Errno::EACCES)];
    for (to, errno) in cases {
        let mut lab = Lab::host();
        let user = lab.open_udp();
        let any = Primitive::bind_req("0.0.0.0:7000".parse().unwrap());
        assert_eq!(lab.request(user, &any), 0);
        let to = to.parse().unwrap();
        lab.put(user, Primitive::unitdata_req(to).as_bytes(), Kind::Proto);
        let told = lab.take(user);
        let [(control, _)] = &told[..] else { panic!("{to}: {} messages", told.len()) };
        assert_eq!(control[..], *Primitive::uderror_ind(to, errno).as_bytes(), "{to}");
        lab.dropped();
        lab.finish();
    }
}
