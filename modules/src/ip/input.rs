//! From a received frame to a packet that the rest can trust: header contiguous and verified,
//! padding gone, offload request fitting.

use super::{IpDrop, View};
use crate::ether::{self, EtherDrop, ethertype};
use millstream_msg::{Msg, Pool, PullupError};

/// Takes the Ethernet header off and checks the IPv4 header. On success the message begins with
/// the IP header, is as long as the packet, has the link's flags and `ctx() == interface`.
///
/// # Shapes
/// The header is contiguous in the first block. Options are not looked at: see
/// [`super::options::scan`].
///
/// # Errors
/// The message may begin with the IP header already; drop it.
///
/// # RFC
/// RFC 1122 section 3.2.1.
pub fn receive(msg: &mut Msg, interface: u16, pool: &mut Pool) -> Result<View, IpDrop> {
    let link = ether::View::receive(msg).map_err(|reason| match reason {
        EtherDrop::Short => IpDrop::EtherShort,
        EtherDrop::Tagged => IpDrop::EtherTagged,
        EtherDrop::NotEthernet2 => IpDrop::EtherLength,
        EtherDrop::GroupSource => IpDrop::EtherSource,
        EtherDrop::UnknownType => IpDrop::EtherType,
    })?;
    if link.ethertype != ethertype::IPV4 {
        return Err(IpDrop::EtherType);
    }
    msg.trim_front(ether::HEADER_LEN);
    msg.set_flags(msg.flags().with(link.link_flags()));
    msg.set_ctx(interface);
    accept(msg, pool)
}

/// Checks the IPv4 header at the front of a message and cuts the padding off.
pub fn accept(msg: &mut Msg, pool: &mut Pool) -> Result<View, IpDrop> {
    let mut other = [0; 1];
    let first = match msg.first().first() {
        Some(first) => *first,
        None if msg.copy_out(0, &mut other) == 0 => return Err(IpDrop::Short),
        None => other[0],
    };
    let header_len = usize::from(first & 15) * 4;
    let pulled = msg.pullup(pool, header_len.max(super::view::MIN_HEADER_LEN).min(msg.len()));
    match pulled {
        Ok(()) => {}
        Err(PullupError::NoMem) => return Err(IpDrop::NoMem),
        Err(_) => return Err(IpDrop::Short),
    }
    let view = View::verify(msg.first())?;
    let total = usize::from(view.total_len);
    if total > msg.len() {
        return Err(IpDrop::Truncated);
    }
    if total < msg.len() {
        msg.truncate(total);
    }
    if !offload_fits(msg, &view) {
        return Err(IpDrop::Offload);
    }
    Ok(view)
}

/// Whether what is left to do lies inside the packet, and behind its header.
fn offload_fits(msg: &Msg, view: &View) -> bool {
    let offload = msg.offload();
    if !offload.needs_csum && !offload.is_super() {
        return true;
    }
    let start = usize::from(offload.csum_start);
    !view.is_fragment()
        && offload.needs_csum
        && start >= view.header()
        && start + usize::from(offload.csum_offset) + 2 <= msg.len()
        && (!offload.is_super() || offload.gso_size > 0)
}

#[cfg(test)]
mod tests {
    use super::super::view::MIN_HEADER_LEN;
    use super::*;
    use etherparse::Ipv4Header;
    use millstream_msg::{MsgFlags, Offload, PoolConfig, checksum};
    use proptest::prelude::*;
    use std::vec::Vec;

    /// A frame to us with `payload` bytes of UDP, then changed and its checksum repaired.
    fn frame(payload: usize, change: impl FnOnce(&mut [u8])) -> Vec<u8> {
        let mut header = Ipv4Header::new(0, 64, 17.into(), [10, 0, 0, 9], [10, 0, 0, 1]).unwrap();
        header.set_payload_len(payload).unwrap();
        let link = ether::View { dst: [2; 6], src: [4; 6], ethertype: ethertype::IPV4 };
        let mut bytes = link.to_bytes().to_vec();
        bytes.extend(header.to_bytes());
        bytes.resize(14 + 20 + payload, 0xaa);
        change(&mut bytes[14..]);
        bytes[24..26].fill(0);
        let ihl = (usize::from(bytes[14] & 15) * 4).clamp(20, bytes.len() - 14);
        let sum = !checksum::sum_portable(&bytes[14..14 + ihl]);
        bytes[24..26].copy_from_slice(&sum.to_ne_bytes());
        bytes
    }

    fn run(bytes: &[u8]) -> Result<(View, Msg), IpDrop> {
        let mut pool = Pool::new(PoolConfig::TINY);
        let mut msg = pool.copy_from(0, bytes).unwrap();
        receive(&mut msg, 3, &mut pool).map(|view| (view, msg))
    }

    fn reason(bytes: &[u8]) -> Option<IpDrop> {
        run(bytes).err()
    }

    #[test]
    fn padding_is_cut_and_the_interface_noted() {
        let mut bytes = frame(8, |_| {});
        bytes.resize(60, 0x55);
        let (view, msg) = run(&bytes).unwrap();
        assert_eq!((msg.len(), msg.ctx()), (28, 3));
        assert_eq!(view.payload_len(), 8);
        assert_eq!(msg.flags(), MsgFlags::empty());
    }

    #[test]
    fn link_broadcast_is_flagged() {
        let mut bytes = frame(8, |_| {});
        bytes[..6].fill(0xff);
        assert!(run(&bytes).unwrap().1.flags().contains(MsgFlags::LINK_BROADCAST));
    }

    #[test]
    fn header_split_over_blocks_becomes_contiguous() {
        let mut pool = Pool::new(PoolConfig::TINY);
        let bytes = frame(100, |_| {});
        let mut msg = pool.copy_from(0, &bytes[..7]).unwrap();
        msg.link(pool.copy_from(0, &bytes[7..29]).unwrap());
        msg.link(pool.copy_from(0, &bytes[29..]).unwrap());
        receive(&mut msg, 0, &mut pool).unwrap();
        assert!(msg.first().len() >= MIN_HEADER_LEN);
        assert_eq!(msg.len(), 120);
    }

    #[test]
    fn bad_input_1_total_length_beyond_the_frame_is_refused() {
        let put = |n: u16| move |ip: &mut [u8]| ip[2..4].copy_from_slice(&n.to_be_bytes());
        assert_eq!(reason(&frame(8, put(29))), Some(IpDrop::Truncated));
        assert_eq!(reason(&frame(8, put(65_535))), Some(IpDrop::Truncated));
    }

    #[test]
    fn bad_input_2_total_length_below_the_header_is_refused() {
        for total in [0_u16, 1, 19] {
            let bytes = frame(8, |ip| ip[2..4].copy_from_slice(&total.to_be_bytes()));
            assert_eq!(reason(&bytes), Some(IpDrop::TotalLength));
        }
    }

    #[test]
    fn bad_input_3_header_length_below_20_and_beyond_the_packet_is_refused() {
        for ihl in 0..5 {
            assert_eq!(reason(&frame(8, |ip| ip[0] = 0x40 | ihl)), Some(IpDrop::HeaderLength));
        }
        assert_eq!(reason(&frame(8, |ip| ip[0] = 0x48)), Some(IpDrop::HeaderLength));
        assert_eq!(reason(&frame(8, |ip| ip[0] = 0x4f)), Some(IpDrop::HeaderLength));
    }

    #[test]
    fn bad_input_50_wrong_version_and_truncated_headers_are_refused() {
        assert_eq!(reason(&frame(8, |ip| ip[0] = 0x65)), Some(IpDrop::Version));
        let bytes = frame(8, |_| {});
        for len in 14..34 {
            assert_eq!(reason(&bytes[..len]), Some(IpDrop::Short));
        }
        assert_eq!(reason(&bytes[..13]), Some(IpDrop::EtherShort));
    }

    #[test]
    fn wrong_header_checksum_is_refused() {
        let mut bytes = frame(8, |_| {});
        bytes[25] ^= 1;
        assert_eq!(reason(&bytes), Some(IpDrop::Checksum));
    }

    #[test]
    fn offload_request_outside_the_packet_is_refused() {
        let mut pool = Pool::new(PoolConfig::TINY);
        for (csum_start, csum_offset) in [(14, 6), (34, 60), (60_000, 6), (34, 65_000)] {
            let mut msg = pool.copy_from(0, &frame(8, |_| {})).unwrap();
            let request = Offload { needs_csum: true, csum_start, csum_offset, ..Offload::NONE };
            msg.set_offload(request);
            assert_eq!(receive(&mut msg, 0, &mut pool), Err(IpDrop::Offload));
        }
    }

    #[test]
    fn bad_input_4_5_tunnelled_packets_are_passed_by_their_outer_length_only() {
        // Protocols 4 and 41 have no taker: `NoProtocol`; the inner header is never read.
        for protocol in [4, 41] {
            let bytes = frame(40, |ip| {
                ip[9] = protocol;
                ip[20..24].copy_from_slice(&[0x45, 0, 0xff, 0xff]);
            });
            assert_eq!(run(&bytes).unwrap().1.len(), 60);
        }
    }

    proptest! {
        #[test]
        fn random_packets_never_panic(bytes in proptest::collection::vec(any::<u8>(), 0..120)) {
            let _ = run(&bytes);
            let mut framed = ether::View { dst: [2; 6], src: [4; 6], ethertype: 0x0800 }
                .to_bytes()
                .to_vec();
            framed.extend(&bytes);
            let _ = run(&framed);
        }

        #[test]
        fn accepted_packets_are_as_long_as_they_say(
            payload in 0_usize..100, at in 0_usize..20, value: u8, padding in 0_usize..50,
        ) {
            let mut bytes = frame(payload, |ip| ip[at] = value);
            bytes.resize(bytes.len() + padding, 0);
            if let Ok((view, msg)) = run(&bytes) {
                prop_assert_eq!(usize::from(view.total_len), msg.len());
                prop_assert!(msg.first().len() >= view.header());
            }
        }
    }
}
