//! ICMP in and out.

use super::super::route::Interface;
use super::super::{build, frag, reass::Reassembly};
use super::*;
use crate::actions::Actions;
use crate::hash::Keyed;
use etherparse::{Icmpv4Slice, Icmpv4Type, icmpv4::DestUnreachableHeader};
use millstream_msg::{MsgList, PoolConfig};
use proptest::prelude::*;
use std::vec::Vec;

const US: [u8; 4] = [10, 0, 0, 1];
const HOST: [u8; 4] = [10, 0, 0, 9];

fn net() -> Net {
    let mut net = Net::new();
    let index = net.add_interface(Interface::new(1500)).unwrap();
    net.add_address(index, US.into(), 24).unwrap();
    net
}

fn packet(protocol: u8, src: [u8; 4], dst: [u8; 4], payload: &[u8], pool: &mut Pool) -> Msg {
    let mut msg = pool.copy_from(64, payload).unwrap();
    build::output(&mut msg, &Request::new(dst.into(), protocol), src.into(), 5, pool).unwrap();
    msg
}

/// An ICMP packet to us with its checksum right.
fn icmp(head: [u8; 8], data: &[u8], pool: &mut Pool) -> Msg {
    let mut bytes = head.to_vec();
    bytes.extend(data);
    bytes[2..4].fill(0);
    let sum = !checksum::sum_portable(&bytes);
    bytes[2..4].copy_from_slice(&sum.to_ne_bytes());
    packet(protocol::ICMP, HOST, US, &bytes, pool)
}

fn receive(msg: &Msg) -> Result<Received, IpDrop> {
    let view = View::parse(msg.first()).unwrap();
    input(msg, &view, false, &net(), checksum::sum_portable)
}

fn bytes(msg: &Msg) -> Vec<u8> {
    msg.cursor().chunks().flatten().copied().collect()
}

/// The quote of a packet of ours: header and the first bytes of UDP.
fn quote(src: [u8; 4], total: u16, ihl: u8, len: usize) -> Vec<u8> {
    let mut bytes = std::vec![0; 28];
    bytes[0] = 0x40 | ihl;
    bytes[2..4].copy_from_slice(&total.to_be_bytes());
    bytes[9] = protocol::UDP;
    bytes[12..16].copy_from_slice(&src);
    bytes[16..20].copy_from_slice(&[8, 8, 8, 8]);
    bytes[20..28].copy_from_slice(&[1, 2, 3, 4, 5, 6, 7, 8]);
    bytes.truncate(len);
    bytes
}

fn error(head: [u8; 8], data: &[u8]) -> Result<Received, IpDrop> {
    let mut pool = Pool::new(PoolConfig::TINY);
    receive(&icmp(head, data, &mut pool))
}

#[test]
fn echo_is_answered_in_the_same_memory() {
    let mut pool = Pool::new(PoolConfig::TINY);
    let mut msg = icmp([8, 0, 0, 0, 1, 2, 3, 4], b"abcdefg", &mut pool);
    let address = msg.first()[28..].as_ptr();
    let view = View::parse(msg.first()).unwrap();
    assert_eq!(receive(&msg), Ok(Received::EchoRequest));
    echo_reply(&mut msg, &view, &mut pool).unwrap();
    let request = Request::take(&mut msg, &mut pool).unwrap();
    assert_eq!((request.src, request.dst), (Some(US.into()), HOST.into()));
    assert_eq!(msg.first()[8..].as_ptr(), address);
    let data = bytes(&msg);
    let reply = Icmpv4Slice::from_slice(&data).unwrap();
    assert!(matches!(reply.icmp_type(), Icmpv4Type::EchoReply(e) if (e.id, e.seq) == (258, 772)));
    let right = reply.icmp_type().calc_checksum(b"abcdefg");
    assert_eq!(reply.checksum(), right);
}

#[test]
fn echo_reply_is_reported() {
    let reply = error([0, 0, 0, 0, 1, 2, 3, 4], b"");
    assert_eq!(reply, Ok(Received::EchoReply { id: 258, seq: 772 }));
}

#[test]
fn bad_input_17_truncated_echo_is_refused() {
    let mut pool = Pool::new(PoolConfig::TINY);
    for len in 0..8 {
        let msg =
            packet(protocol::ICMP, HOST, US, &[8, 0, 0xf7, 0xff, 0, 0, 0, 0][..len], &mut pool);
        assert_eq!(receive(&msg), Err(IpDrop::IcmpShort));
    }
}

#[test]
fn bad_input_17_echo_without_data_and_with_65507_bytes_in_fragments_is_answered() {
    for len in [0, 65_507] {
        let mut pool = Pool::new(PoolConfig::STACK);
        let data: Vec<u8> = (0..len).map(|i| (i % 255) as u8).collect();
        let msg = icmp([8, 0, 0, 0, 0, 1, 0, 2], &data, &mut pool);
        let mut list = MsgList::new();
        frag::fragment(msg, 1500, &mut pool, &mut list).unwrap();
        let mut reass = Reassembly::new(Keyed::new(1));
        let mut out = Actions::new();
        let mut whole = None;
        for piece in list {
            let view = View::parse(piece.first()).unwrap();
            whole = if view.is_fragment() {
                reass.input(piece, &view, 0, &mut pool, &mut out)
            } else {
                Some(piece)
            };
        }
        let mut whole = whole.unwrap();
        let view = View::parse(whole.first()).unwrap();
        let copied = pool.stats().copied_bytes;
        assert_eq!(receive(&whole), Ok(Received::EchoRequest));
        echo_reply(&mut whole, &view, &mut pool).unwrap();
        let request = Request::take(&mut whole, &mut pool).unwrap();
        build::output(&mut whole, &request, US.into(), 1, &mut pool).unwrap();
        let mut list = MsgList::new();
        frag::fragment(whole, 1500, &mut pool, &mut list).unwrap();
        assert_eq!(pool.stats().copied_bytes, copied);
        assert_eq!(list.iter().map(|m| m.len() - 20).sum::<usize>(), len + 8);
    }
}

#[test]
fn echo_to_many_is_not_answered_rfc1122_3_2_2_6() {
    let mut pool = Pool::new(PoolConfig::TINY);
    let msg = icmp([8, 0, 0, 0, 0, 0, 0, 0], b"smurf", &mut pool);
    let view = View::parse(msg.first()).unwrap();
    let got = input(&msg, &view, true, &net(), checksum::sum_portable);
    assert_eq!(got, Err(IpDrop::IcmpEchoBroadcast));
}

#[test]
fn wrong_checksum_is_refused() {
    let mut pool = Pool::new(PoolConfig::TINY);
    let msg = packet(protocol::ICMP, HOST, US, &[8, 0, 1, 1, 0, 0, 0, 0], &mut pool);
    assert_eq!(receive(&msg), Err(IpDrop::IcmpChecksum));
}

#[test]
fn error_about_our_packet_reaches_the_transport() {
    let got = error([3, 3, 0, 0, 0, 0, 0, 0], &quote(US, 28, 5, 28));
    let Ok(Received::Error(soft)) = got else { panic!("{got:?}") };
    assert_eq!(soft.cause, Cause::PortUnreachable);
    assert_eq!((soft.src, soft.dst), (US.into(), [8, 8, 8, 8].into()));
    assert_eq!((soft.protocol, soft.transport), (protocol::UDP, [1, 2, 3, 4, 5, 6, 7, 8]));
    assert_eq!(soft.reporter, IpAddr::from(HOST));
}

#[test]
fn bad_input_18_truncated_quote_and_bad_header_length_are_refused() {
    for len in 0..28 {
        let got = error([3, 3, 0, 0, 0, 0, 0, 0], &quote(US, 28, 5, len));
        assert_eq!(got, Err(IpDrop::IcmpQuote), "{len}");
    }
    for ihl in [0, 1, 4, 6, 15] {
        let got = error([3, 3, 0, 0, 0, 0, 0, 0], &quote(US, 60, ihl, 28));
        assert_eq!(got, Err(IpDrop::IcmpQuote), "{ihl}");
    }
}

#[test]
fn bad_input_18_quote_that_is_not_ours_is_refused() {
    let got = error([3, 3, 0, 0, 0, 0, 0, 0], &quote([10, 0, 0, 77], 28, 5, 28));
    assert_eq!(got, Err(IpDrop::IcmpQuote));
}

#[test]
fn bad_input_19_frag_needed_with_impossible_mtu_is_refused() {
    let ask = |mtu: u16, total| {
        let [high, low] = mtu.to_be_bytes();
        error([3, 4, 0, 0, 0, 0, high, low], &quote(US, total, 5, 28))
    };
    for mtu in [1, 67, 1500, 1501, 65_535] {
        assert_eq!(ask(mtu, 1500), Err(IpDrop::IcmpMtu), "{mtu}");
    }
    for (mtu, cause) in [(0, None), (68, Some(68)), (1499, Some(1499))] {
        let got = ask(mtu, 1500);
        let Ok(Received::Error(soft)) = got else { panic!("{got:?}") };
        assert_eq!(soft.cause, Cause::PacketTooBig(cause));
    }
}

#[test]
fn redirects_and_junk_are_ignored() {
    let body = quote(US, 28, 5, 28);
    assert_eq!(error([5, 1, 0, 0, 10, 0, 0, 66], &body), Err(IpDrop::IcmpRedirect));
    for (kind, code) in [(4, 0), (13, 0), (15, 0), (17, 0), (255, 255), (3, 99), (8, 1)] {
        assert_eq!(error([kind, code, 0, 0, 0, 0, 0, 0], &body), Err(IpDrop::IcmpIgnored));
    }
}

#[test]
fn error_quotes_up_to_548_bytes_and_reads_back() {
    for (len, quoted) in [(0, 20), (4, 24), (300, 320), (2000, QUOTE_MAX)] {
        let mut pool = Pool::new(PoolConfig::TINY);
        let msg = packet(protocol::UDP, HOST, [8, 8, 8, 8], &std::vec![1; len], &mut pool);
        let view = View::parse(msg.first()).unwrap();
        let before = bytes(&msg);
        let copied = pool.stats().copied_bytes;
        let cause = Cause::PacketTooBig(Some(1400));
        let mut msg = send(msg, &view, cause, Some(US.into()), &mut pool).unwrap();
        assert_eq!(pool.stats().copied_bytes, copied, "the packet itself is the quote");
        let request = Request::take(&mut msg, &mut pool).unwrap();
        assert_eq!((request.dst, request.protocol), (HOST.into(), protocol::ICMP));
        let data = bytes(&msg);
        let read = Icmpv4Slice::from_slice(&data).unwrap();
        let needed = DestUnreachableHeader::FragmentationNeeded { next_hop_mtu: 1400 };
        assert_eq!(read.icmp_type(), Icmpv4Type::DestinationUnreachable(needed));
        assert_eq!(read.checksum(), read.icmp_type().calc_checksum(read.payload()));
        assert_eq!(read.payload(), &before[..quoted]);
    }
}

#[test]
fn errors_are_not_sent_about_these_rfc1122_3_2_2() {
    let mut pool = Pool::new(PoolConfig::TINY);
    let net = net();
    let ask = |msg: &Msg, to_many| may_send(msg, &View::parse(msg.first()).unwrap(), to_many, &net);
    let udp = packet(protocol::UDP, HOST, US, &[0; 8], &mut pool);
    assert!(ask(&udp, false));
    assert!(!ask(&udp, true));
    for kind in [3, 4, 5, 11, 12, 200] {
        let msg = icmp([kind, 0, 0, 0, 0, 0, 0, 0], &quote(US, 28, 5, 28), &mut pool);
        assert!(!ask(&msg, false), "about an ICMP error");
    }
    assert!(ask(&icmp([8, 0, 0, 0, 0, 0, 0, 0], b"", &mut pool), false));
    for src in [[255; 4], [224, 0, 0, 1], [127, 0, 0, 1], [0; 4], [10, 0, 0, 255]] {
        assert!(!ask(&packet(protocol::UDP, src, US, &[0; 8], &mut pool), false), "{src:?}");
    }
    let group = packet(protocol::UDP, HOST, [239, 0, 0, 1], &[0; 8], &mut pool);
    assert!(!ask(&group, false));
    let mut flagged = packet(protocol::UDP, HOST, US, &[0; 8], &mut pool);
    flagged.set_flags(MsgFlags::LINK_MULTICAST);
    assert!(!ask(&flagged, false));
    let view = View { fragment_offset: 8, ..View::parse(udp.first()).unwrap() };
    assert!(!may_send(&udp, &view, false, &net));
    let empty = packet(protocol::ICMP, HOST, US, &[], &mut pool);
    assert!(!ask(&empty, false));
}

#[test]
fn errors_are_limited_per_destination_and_over_all() {
    let mut limiter = Limiter::new(Keyed::new(5));
    let to = |n: u32| IpAddr::from((0x0a00_0000 + n).to_be_bytes());
    assert_eq!((0..1000).filter(|_| limiter.allow(to(1), 0)).count(), 10);
    assert!((0..10_000).filter(|&n| limiter.allow(to(n), 0)).count() <= 50);
    assert!(limiter.allow(to(1), 1_000_000_000), "and they come back");
}

proptest! {
    #[test]
    fn random_bytes_never_panic(
        data in proptest::collection::vec(any::<u8>(), 0..100), good: bool,
    ) {
        let mut pool = Pool::new(PoolConfig::TINY);
        let msg = match data.split_first_chunk() {
            Some((head, rest)) if good => icmp(*head, rest, &mut pool),
            _ => packet(protocol::ICMP, HOST, US, &data, &mut pool),
        };
        let _ = receive(&msg);
        let view = View::parse(msg.first()).unwrap();
        let _ = may_send(&msg, &view, false, &net());
        let mut copy = msg.copy(&mut pool).unwrap();
        let _ = echo_reply(&mut copy, &view, &mut pool);
        let _ = send(msg, &view, Cause::TimeExceeded, None, &mut pool);
    }
}
