//! Segments going down: header, checksum request, super-segments.

use super::segment::{HEADER_LEN, MAX_HEADER_LEN};
use super::{Flags, Options, Seq, TcpDrop, options};
use crate::ip::view::pseudo_sum;
use crate::ip::{REQUEST_LEN, Request, protocol};
use core::net::SocketAddr;
use millstream_msg::{Gso, Msg, NoMem, Offload, Pool};

/// What the header of a segment says.
#[derive(Clone, Debug)]
pub(super) struct Header {
    /// Us.
    pub(super) local: SocketAddr,
    /// The peer.
    pub(super) remote: SocketAddr,
    /// Number of the first octet.
    pub(super) seq: Seq,
    /// The next octet that we expect; written when [`Flags::ACK`] is set.
    pub(super) ack: Seq,
    /// Control bits.
    pub(super) flags: Flags,
    /// The window, scaled already.
    pub(super) window: u16,
    /// The urgent pointer; written when [`Flags::URG`] is set.
    pub(super) urgent: u16,
    /// Options.
    pub(super) options: Options,
}

/// How a segment goes through `ip`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Way {
    /// Hops; 0: as the stack has it.
    pub(super) ttl: u8,
    /// DSCP and ECN.
    pub(super) tos: u8,
}

/// Puts the TCP header and the [`Request`] for `ip` in front of the payload. The checksum is left
/// as a request: the pseudo-header's sum stands in its place. A payload of more than `mss` octets
/// goes as a super-segment.
///
/// # Shapes
/// In place with 108 bytes of headroom in a unique first block, else a block is linked in front;
/// the payload's blocks stay as they are.
///
/// # Errors
/// The payload, and why.
pub(super) fn segment(
    header: &Header,
    way: Way,
    payload: Option<Msg>,
    mss: u16,
    pool: &mut Pool,
) -> Result<Msg, (Option<Msg>, TcpDrop)> {
    let mut bytes = [0; REQUEST_LEN + MAX_HEADER_LEN];
    let (record, tcp) = bytes.split_at_mut(REQUEST_LEN);
    let mut space = [0; options::OPTIONS_MAX];
    let header_len = HEADER_LEN + header.options.write(&mut space);
    let payload_len = payload.as_ref().map_or(0, Msg::len);
    let Ok(len) = u16::try_from(header_len + payload_len) else {
        return Err((payload, TcpDrop::TooBig));
    };
    let (src, dst) = (header.local.ip(), header.remote.ip());
    let request = Request {
        src: Some(src),
        ttl: way.ttl,
        tos: way.tos,
        dont_fragment: true,
        ..Request::new(dst, protocol::TCP)
    };
    record.copy_from_slice(&request.encode());
    tcp[..2].copy_from_slice(&header.local.port().to_be_bytes());
    tcp[2..4].copy_from_slice(&header.remote.port().to_be_bytes());
    tcp[4..8].copy_from_slice(&header.seq.0.to_be_bytes());
    if header.flags.has(Flags::ACK) {
        tcp[8..12].copy_from_slice(&header.ack.0.to_be_bytes());
    }
    tcp[12] = ((header_len / 4) << 4) as u8;
    tcp[13] = header.flags.0;
    tcp[14..16].copy_from_slice(&header.window.to_be_bytes());
    let sum = pseudo_sum(Some(src), dst, protocol::TCP, len);
    tcp[16..18].copy_from_slice(&sum.to_ne_bytes());
    if header.flags.has(Flags::URG) {
        tcp[18..20].copy_from_slice(&header.urgent.to_be_bytes());
    }
    tcp[HEADER_LEN..].copy_from_slice(&space);
    let head = &bytes[..REQUEST_LEN + header_len];
    let mut msg = match payload {
        Some(mut msg) => match msg.prepend(pool, head.len()) {
            Ok(place) => {
                place.copy_from_slice(head);
                msg
            }
            Err(_) => return Err((Some(msg), TcpDrop::NoMem)),
        },
        None => bare(head, pool).map_err(|_| (None, TcpDrop::NoMem))?,
    };
    let is_super = payload_len > usize::from(mss);
    msg.set_offload(Offload {
        needs_csum: true,
        gso: match (is_super, dst.is_ipv4()) {
            (false, _) => Gso::None,
            (true, true) if header.flags.has(Flags::CWR) => Gso::TcpV4Ecn,
            (true, true) => Gso::TcpV4,
            (true, false) if header.flags.has(Flags::CWR) => Gso::TcpV6Ecn,
            (true, false) => Gso::TcpV6,
        },
        gso_size: if is_super { mss } else { 0 },
        hdr_len: head.len() as u16,
        csum_start: REQUEST_LEN as u16,
        csum_offset: 16,
    });
    Ok(msg)
}

/// A segment without payload: what lets memory come back, so that the reserve is for it.
fn bare(head: &[u8], pool: &mut Pool) -> Result<Msg, NoMem> {
    let mut msg = pool.alloc_reserve(LINK_ROOM, head.len())?;
    msg.spare_mut()[..head.len()].copy_from_slice(head);
    msg.commit(head.len());
    Ok(msg)
}

/// Octets of payload in the largest super-segment: what fits behind an IPv4 and the longest TCP
/// header.
pub(super) const SUPER_MAX: u32 = 65_535 - 60 - MAX_HEADER_LEN as u32;
/// In front of a segment without payload: an IPv6 and an Ethernet header take the place of the
/// request, which is longer than an IPv4 header.
const LINK_ROOM: usize = 32;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ip;
    use etherparse::{Ipv4HeaderSlice, TcpSlice};
    use millstream_msg::offload::{Can, finish};
    use millstream_msg::{MsgList, PoolConfig};
    use proptest::prelude::*;
    use std::vec::Vec;

    /// What leaves on the wire for a segment.
    fn wire(payload: &[u8], flags: Flags, mss: u16) -> Vec<Vec<u8>> {
        let mut pool = Pool::new(PoolConfig::TINY);
        let payload = (!payload.is_empty()).then(|| pool.copy_from(0, payload).unwrap());
        let header = Header {
            local: "10.0.0.1:80".parse().unwrap(),
            remote: "10.0.0.9:5000".parse().unwrap(),
            seq: Seq(7),
            ack: Seq(9),
            flags,
            window: 100,
            urgent: 3,
            options: Options::stamped(Some((1, 2))),
        };
        let mut msg = segment(&header, Way::default(), payload, mss, &mut pool).unwrap();
        let request = Request::take(&mut msg, &mut pool).unwrap();
        let src = request.src.unwrap();
        let IpAddr::V4(src) = src else { panic!("one family") };
        ip::build::output(&mut msg, &request, src, 0, &mut pool).unwrap();
        let mut out = MsgList::new();
        finish(msg, 0, Can::NOTHING, &mut pool, &mut out).unwrap();
        out.map(|m| m.cursor().chunks().flatten().copied().collect()).collect()
    }

    use core::net::IpAddr;

    /// Reads a packet independently: its sequence number and payload.
    fn check(packet: &[u8]) -> (u32, Vec<u8>) {
        let header = Ipv4HeaderSlice::from_slice(packet).unwrap();
        assert_eq!(usize::from(header.total_len()), packet.len());
        let tcp = TcpSlice::from_slice(&packet[20..]).unwrap();
        let right = tcp.to_header().calc_checksum_ipv4(&header.to_header(), tcp.payload());
        assert_eq!(tcp.checksum(), right.unwrap());
        assert_eq!((tcp.source_port(), tcp.destination_port()), (80, 5000));
        (tcp.sequence_number(), tcp.payload().to_vec())
    }

    #[test]
    fn segment_without_payload_has_a_sound_checksum() {
        let packets = wire(b"", Flags::ACK, 1460);
        assert_eq!(packets.len(), 1);
        assert_eq!(check(&packets[0]), (7, Vec::new()));
    }

    #[test]
    fn acknowledgement_and_urgent_pointer_are_only_there_with_their_bits() {
        let packet = &wire(b"", Flags::SYN, 1460)[0];
        let tcp = TcpSlice::from_slice(&packet[20..]).unwrap();
        assert_eq!((tcp.acknowledgment_number(), tcp.urgent_pointer()), (0, 0));
    }

    proptest! {
        #[test]
        fn super_segment_becomes_segments_that_an_independent_parser_reads(
            payload in proptest::collection::vec(any::<u8>(), 1..4000), mss in 100_u16..1460,
        ) {
            let packets = wire(&payload, Flags::ACK.with(Flags::PSH), mss);
            prop_assert_eq!(packets.len(), payload.len().div_ceil(usize::from(mss)));
            let mut all = Vec::new();
            for packet in packets {
                let (seq, data) = check(&packet);
                prop_assert_eq!(seq as usize, 7 + all.len());
                all.extend(data);
            }
            prop_assert_eq!(all, payload);
        }
    }
}
