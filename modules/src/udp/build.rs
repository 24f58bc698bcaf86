//! Datagrams going down: header, checksum request, super-datagrams.

use super::{HEADER_LEN, UdpDrop};
use crate::ip::view::pseudo_sum;
use crate::ip::{Request, protocol};
use millstream_msg::{Gso, Msg, Offload, Pool};

/// Puts the UDP header and the [`Request`] for `ip` in front of the user's data. The checksum is
/// left as a request: the pseudo-header's sum stands in its place.
///
/// With `gso_size` the data stands for several datagrams of that many bytes (USO); data that fits
/// into one is sent as one.
///
/// # Shapes
/// In place with 56 bytes of headroom in a unique first block, else a block is linked in front.
/// `request.protocol` is set here.
///
/// # Errors
/// The message is unchanged.
pub fn send(
    msg: &mut Msg,
    src_port: u16,
    dst_port: u16,
    request: &Request,
    gso_size: Option<u16>,
    pool: &mut Pool,
) -> Result<(), UdpDrop> {
    let payload = msg.len();
    let len = u16::try_from(payload + HEADER_LEN).ok().filter(|len| *len <= DATAGRAM_MAX);
    let len = len.ok_or(UdpDrop::TooBig)?;
    let gso_size = gso_size.filter(|size| *size > 0 && usize::from(*size) < payload);
    if gso_size.is_some_and(|size| payload.div_ceil(usize::from(size)) > SEGMENTS_MAX) {
        return Err(UdpDrop::TooBig);
    }
    let request = Request { protocol: protocol::UDP, ..*request };
    let sum = pseudo_sum(request.src, request.dst, protocol::UDP, len);
    // Both headers at once, so that a failure leaves the message as it was.
    let mut head = [0; crate::ip::REQUEST_LEN + HEADER_LEN];
    let (record, udp) = head.split_at_mut(crate::ip::REQUEST_LEN);
    record.copy_from_slice(&request.encode());
    udp[..2].copy_from_slice(&src_port.to_be_bytes());
    udp[2..4].copy_from_slice(&dst_port.to_be_bytes());
    udp[4..6].copy_from_slice(&len.to_be_bytes());
    udp[6..].copy_from_slice(&sum.to_ne_bytes());
    msg.prepend(pool, head.len()).map_err(|_| UdpDrop::NoMem)?.copy_from_slice(&head);
    msg.set_offload(Offload {
        needs_csum: true,
        gso: if gso_size.is_some() { Gso::Udp } else { Gso::None },
        gso_size: gso_size.unwrap_or(0),
        hdr_len: head.len() as u16,
        csum_start: crate::ip::REQUEST_LEN as u16,
        csum_offset: 6,
    });
    Ok(())
}

/// Bytes of a UDP header and its data: what fits behind an IPv4 header. (IPv6 would take 20 more;
/// one limit for both keeps users from depending on the family.)
pub const DATAGRAM_MAX: u16 = 65_535 - 20;
/// Datagrams in a super-datagram, as Linux makes them (UDP_MAX_SEGMENTS).
pub const SEGMENTS_MAX: usize = 128;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ip;
    use core::net::IpAddr;
    use etherparse::{Ipv4HeaderSlice, UdpSlice};
    use millstream_msg::PoolConfig;
    use millstream_msg::offload::{Can, finish};
    use millstream_msg::{MsgList, checksum};
    use proptest::prelude::*;
    use std::vec::Vec;

    const SRC: [u8; 4] = [10, 0, 0, 1];

    /// What leaves on the wire for a datagram.
    fn wire(payload: &[u8], src: Option<IpAddr>, gso_size: Option<u16>) -> Vec<Vec<u8>> {
        let mut pool = Pool::new(PoolConfig::TINY);
        let mut msg = pool.copy_from(128, payload).unwrap();
        let request = Request { src, ..Request::new([10, 0, 0, 9].into(), 0) };
        send(&mut msg, 5000, 7, &request, gso_size, &mut pool).unwrap();
        let request = Request::take(&mut msg, &mut pool).unwrap();
        ip::build::output(&mut msg, &request, SRC.into(), 0, &mut pool).unwrap();
        let mut out = MsgList::new();
        finish(msg, 0, Can::NOTHING, &mut pool, &mut out).unwrap();
        out.map(|m| m.cursor().chunks().flatten().copied().collect()).collect()
    }

    /// Reads a packet independently; its payload.
    fn check(packet: &[u8]) -> Vec<u8> {
        let header = Ipv4HeaderSlice::from_slice(packet).unwrap();
        assert_eq!(usize::from(header.total_len()), packet.len());
        let udp = UdpSlice::from_slice(&packet[20..]).unwrap();
        let right = udp.to_header().calc_checksum_ipv4(&header.to_header(), udp.payload()).unwrap();
        assert_eq!(udp.checksum(), right);
        assert_eq!((udp.source_port(), udp.destination_port()), (5000, 7));
        udp.payload().to_vec()
    }

    proptest! {
        #[test]
        fn datagram_is_what_an_independent_parser_reads(
            payload in proptest::collection::vec(any::<u8>(), 0..2000), named: bool,
        ) {
            let packets = wire(&payload, named.then_some(SRC.into()), None);
            prop_assert_eq!(packets.len(), 1);
            prop_assert_eq!(check(&packets[0]), payload);
        }

        #[test]
        fn super_datagram_becomes_sound_datagrams(
            payload in proptest::collection::vec(any::<u8>(), 0..3000), size in 100_u16..1400,
            named: bool,
        ) {
            let packets = wire(&payload, named.then_some(SRC.into()), Some(size));
            let expected = payload.len().div_ceil(usize::from(size)).max(1);
            prop_assert_eq!(packets.len(), expected);
            let joined: Vec<u8> = packets.iter().flat_map(|p| check(p)).collect();
            prop_assert_eq!(joined, payload);
        }
    }

    #[test]
    fn too_many_bytes_or_datagrams_are_refused_and_the_message_is_left_alone() {
        let mut pool = Pool::new(PoolConfig::TINY);
        let request = Request::new([10, 0, 0, 9].into(), 0);
        let mut try_send = |len: usize, gso| {
            let mut msg = pool.copy_from(128, &std::vec![0; len]).unwrap();
            let result = send(&mut msg, 1, 2, &request, gso, &mut pool);
            assert_eq!(msg.len() == len, result.is_err());
            result
        };
        assert_eq!(try_send(65_507, None), Ok(()));
        assert_eq!(try_send(65_508, None), Err(UdpDrop::TooBig));
        assert_eq!(try_send(12_800, Some(100)), Ok(()));
        assert_eq!(try_send(12_801, Some(100)), Err(UdpDrop::TooBig));
    }

    #[test]
    fn payload_is_not_copied() {
        let mut pool = Pool::new(PoolConfig::TINY);
        let mut msg = pool.copy_from(0, &[1; 1000]).unwrap();
        let address = msg.first().as_ptr();
        let _dup = msg.dup(&mut pool).unwrap();
        let request = Request::new([10, 0, 0, 9].into(), 0);
        send(&mut msg, 1, 2, &request, None, &mut pool).unwrap();
        assert!(msg.blocks().any(|block| block.as_ptr() == address));
        let sum = checksum::of_msg(&msg, 48, 6, checksum::sum_portable);
        assert_ne!(sum, 0);
    }
}
