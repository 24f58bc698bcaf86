//! Ethernet frames and ARP.

use crate::frames::{Ip, PEER, PEER_MAC, US, arp, arp_with, asks_for, our_mac, udp};
use crate::lab::Lab;
use millstream_rig::secs;

const HEAD: [u8; 6] = [0, 1, 8, 0, 6, 4];
const STRANGER: [u8; 4] = [10, 0, 0, 66];
const STRANGER_MAC: [u8; 6] = [4, 0, 0, 0, 0, 66];

fn request(head: [u8; 6], op: u16) -> Vec<u8> {
    arp_with(head, op, STRANGER_MAC, STRANGER, [0; 6], US)
}

#[test]
fn bad_input_42_arp_that_is_truncated() {
    let whole = request(HEAD, 1);
    let frames = (14..42).map(|len| whole[..len].to_vec());
    Lab::host().silent("arp_truncated", frames.collect());
}

#[test]
fn bad_input_42_arp_with_other_types_and_lengths() {
    let mut lab = Lab::host();
    for (reason, head) in [
        ("arp_hardware_type", [0, 0, 8, 0, 6, 4]),
        ("arp_hardware_type", [0, 6, 8, 0, 6, 4]),
        ("arp_hardware_type", [255, 255, 8, 0, 6, 4]),
        ("arp_protocol_type", [0, 1, 0x86, 0xdd, 6, 4]),
        ("arp_protocol_type", [0, 1, 8, 6, 6, 4]),
        ("arp_address_length", [0, 1, 8, 0, 0, 4]),
        ("arp_address_length", [0, 1, 8, 0, 6, 0]),
        ("arp_address_length", [0, 1, 8, 0, 255, 255]),
        ("arp_address_length", [0, 1, 8, 0, 4, 6]),
    ] {
        lab.silently(reason, &[request(head, 1)]);
    }
    lab.finish();
}

#[test]
fn bad_input_42_arp_with_an_opcode_that_is_none() {
    let codes = [0, 3, 4, 5, 8, 9, 255, 256, 0x0100, 0x0200, u16::MAX];
    Lab::host().silent("arp_opcode", codes.map(|op| request(HEAD, op)).to_vec());
}

#[test]
fn bad_input_42_arp_from_a_group_or_nobody() {
    let mut lab = Lab::host();
    for mac in [[0xff; 6], [1, 0, 0x5e, 0, 0, 1], [0; 6]] {
        lab.silently("arp_sender_mac", &[arp(1, mac, STRANGER, [0; 6], US)]);
        lab.silently("arp_sender_mac", &[arp(2, mac, PEER, our_mac(0), US)]);
    }
    for sender in [[127, 0, 0, 1], [224, 0, 0, 1], [255; 4], [0, 1, 2, 3]] {
        lab.silently("arp_sender_address", &[arp(1, STRANGER_MAC, sender, [0; 6], US)]);
    }
    lab.silently("arp_sender_address", &[arp(2, STRANGER_MAC, [0; 4], our_mac(0), US)]);
    lab.silently("arp_off_link", &[arp(1, STRANGER_MAC, [192, 0, 2, 1], [0; 6], US)]);
    lab.silently("arp_own_frame", &[arp(1, our_mac(0), STRANGER, [0; 6], US)]);
    assert_eq!(lab.arp_shows(0, "live"), 1, "the neighbour only");
    lab.finish();
}

#[test]
fn bad_input_42_sender_is_target() {
    // An announcement changes what is known, and adds nothing.
    let mut lab = Lab::host();
    for op in [1, 2] {
        lab.silently("arp_unsolicited", &[arp(op, STRANGER_MAC, STRANGER, [0; 6], STRANGER)]);
    }
    assert_eq!(lab.arp_shows(0, "live"), 1);
    lab.finish();
}

#[test]
fn bad_input_42_replies_that_nobody_asked_for() {
    let mut lab = Lab::host();
    lab.silently("arp_unsolicited", &[arp(2, STRANGER_MAC, STRANGER, our_mac(0), US)]);
    // Right after the neighbour has answered, a rival does.
    lab.alive();
    lab.dropped();
    let rival = arp(2, STRANGER_MAC, PEER, our_mac(0), US);
    assert_eq!(lab.feed(&[rival]), Vec::<Vec<u8>>::new());
    assert_eq!(lab.dropped_only("arp_unsolicited"), 1);
    let sent = lab.feed(&[Ip::to_us(17).frame(&udp(5000, 7, b"x"))]);
    assert_eq!(sent[0][..6], PEER_MAC, "the answer goes to the neighbour");
    lab.finish();
}

#[test]
fn bad_input_43_probe_without_an_address_is_answered_and_not_learnt_from() {
    let mut lab = Lab::host();
    let probe = arp(1, STRANGER_MAC, [0; 4], [0; 6], US);
    let sent = lab.feed(&[probe]);
    assert_eq!((sent.len(), &sent[0][..6], &sent[0][38..42]), (1, &STRANGER_MAC[..], &[0; 4][..]));
    assert_eq!(lab.arp_shows(0, "live"), 1);
    lab.finish();
}

#[test]
fn bad_input_48_reverse_arp_assigns_nothing() {
    let mut lab = Lab::host();
    for op in [3, 4] {
        lab.silently(
            "arp_opcode",
            &[arp_with(HEAD, op, STRANGER_MAC, STRANGER, our_mac(0), [10, 0, 0, 5])],
        );
        let mut frame = arp_with(HEAD, op, STRANGER_MAC, STRANGER, our_mac(0), [10, 0, 0, 5]);
        frame[12..14].copy_from_slice(&[0x80, 0x35]);
        lab.silently("ether_unknown_type", &[frame]);
    }
    lab.silently("arp_not_for_us", &[arp(1, STRANGER_MAC, STRANGER, [0; 6], [10, 0, 0, 5])]);
    lab.finish();
}

#[test]
fn bad_input_48_a_rival_of_our_address_is_told_once_and_we_stay() {
    let mut lab = Lab::host();
    let claims = [
        arp(1, STRANGER_MAC, US, [0; 6], US),
        arp(2, STRANGER_MAC, US, our_mac(0), US),
        arp(2, STRANGER_MAC, US, PEER_MAC, PEER),
        arp(1, STRANGER_MAC, US, [0; 6], PEER),
    ];
    let sent = lab.feed(&vec![claims; 250].concat());
    assert_eq!(sent.len(), 1, "one defence in ten seconds (RFC 5227)");
    assert_eq!((&sent[0][..6], &sent[0][28..32]), (&[0xff; 6][..], &US[..]));
    assert_eq!(lab.dropped_only("arp_conflict"), 1000);
    assert_eq!(lab.arp_shows(0, "conflicts"), 1000);
    lab.finish();
}

#[test]
fn bad_input_50_frame_shorter_than_its_header() {
    let whole = Ip::to_us(17).frame(&udp(5000, 7, b"x"));
    let frames = (1..14).map(|len| whole[..len].to_vec());
    Lab::host().silent("arp_short_frame", frames.collect());
}

#[test]
fn bad_input_50_vlan_tags_that_are_truncated_or_nested() {
    let mut frames = Vec::new();
    for tag in [[0x81, 0], [0x88, 0xa8]] {
        for rest in [0, 1, 2, 3, 4, 50] {
            let frame = [&our_mac(0)[..], &PEER_MAC, &tag, &vec![0x81; rest]];
            frames.push(frame.concat());
        }
    }
    Lab::host().silent("ether_tagged", frames);
}

#[test]
fn bad_input_50_ethertype_junk() {
    let with = |kind: u16| {
        let mut frame = Ip::to_us(17).frame(&udp(5000, 7, b"x"));
        frame[12..14].copy_from_slice(&kind.to_be_bytes());
        frame
    };
    let mut lab = Lab::host();
    for kind in [0, 1, 46, 0x05dc, 0x05ff] {
        lab.silently("ether_802_3", &[with(kind)]);
    }
    for kind in [0x0600, 0x0801, 0x0805, 0x8863, 0x88cc, 0xffff] {
        lab.silently("ether_unknown_type", &[with(kind)]);
    }
    lab.silently("ip_version", &{
        let mut frame = with(0x0800);
        frame[14] = 0x65;
        [frame]
    });
    lab.finish();
}

#[test]
fn bad_input_50_frame_from_a_group() {
    let mut frame = Ip::to_us(17).frame(&udp(5000, 7, b"x"));
    frame[6..12].fill(0xff);
    Lab::host().silent("ether_group_source", vec![frame]);
}

#[test]
fn bad_input_11_to_15_ipv6_is_refused_by_its_type() {
    let mut frames = Vec::new();
    for next in [0, 17, 43, 44, 58, 60] {
        let mut frame = [&our_mac(0)[..], &PEER_MAC, &[0x86, 0xdd, 0x60, 0, 0, 0, 0, 8]].concat();
        frame.extend([next, 64]);
        frame.extend([0xfe; 40]);
        frames.push(frame);
    }
    Lab::host().silent("ether_unknown_type", frames);
}

#[test]
fn unicast_in_a_frame_to_all_stations_is_not_answered() {
    let frame = Ip { dst_mac: [0xff; 6], ..Ip::to_us(17) }.frame(&udp(5000, 7, b"x"));
    let group = Ip { dst_mac: [1, 0, 0x5e, 1, 2, 3], ..Ip::to_us(1) };
    let ping = group.frame(&crate::frames::echo(8, 1, 1, b""));
    let mut lab = Lab::host();
    lab.silently("ip_link_broadcast", &[frame, ping]);
    lab.advance(secs(1));
    assert!(!lab.sent().iter().any(|frame| asks_for(frame, PEER)));
    lab.finish();
}
