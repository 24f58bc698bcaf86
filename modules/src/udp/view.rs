//! Datagrams coming up: header, length, checksum.

use super::{HEADER_LEN, UdpDrop};
use crate::ip;
use millstream_msg::checksum::{self, Sum};
use millstream_msg::{Gso, Msg, MsgFlags, Offload};

/// A sound datagram in a packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct View {
    /// Port of the sender; 0 when it wants no answer.
    pub src_port: u16,
    /// Port of the receiver, not 0.
    pub dst_port: u16,
    /// Bytes of the user's data.
    pub payload_len: u16,
    /// Bytes in front of it: IP and UDP headers.
    pub payload_at: u16,
    /// Bytes of each datagram when the packet stands for several (the last may be shorter).
    pub gso_size: Option<u16>,
}

impl View {
    /// Reads the datagram of a whole packet (`msg` begins with the IP header that `packet` is the
    /// view of) and checks it.
    ///
    /// # Shapes
    /// Nothing needs to be contiguous and nothing moves. Without checksum work when the flag
    /// `CSUM_OK` is set or the sender is on this machine (`needs_csum`).
    pub fn parse(msg: &Msg, packet: &ip::View, sum: Sum) -> Result<Self, UdpDrop> {
        let mut head = [0; HEADER_LEN];
        let at = packet.header();
        let room = packet.payload_len();
        if room < HEADER_LEN || msg.copy_out(at, &mut head) < HEADER_LEN {
            return Err(UdpDrop::Short);
        }
        let [s0, s1, d0, d1, l0, l1, c0, c1] = head;
        let len = u16::from_be_bytes([l0, l1]);
        if usize::from(len) < HEADER_LEN || usize::from(len) > room {
            return Err(UdpDrop::Length);
        }
        let offload = msg.offload();
        let trusted = offload.needs_csum || msg.flags().contains(MsgFlags::CSUM_OK);
        if [c0, c1] == [0, 0] && !offload.needs_csum {
            if !packet.dst.is_ipv4() {
                return Err(UdpDrop::NoChecksum);
            }
        } else if !trusted {
            let data = checksum::of_msg(msg, at, usize::from(len), sum);
            if checksum::add(data, packet.pseudo_sum(len)) != 0xffff {
                return Err(UdpDrop::Checksum);
            }
        }
        let dst_port = u16::from_be_bytes([d0, d1]);
        if dst_port == 0 {
            return Err(UdpDrop::PortZero);
        }
        let is_super = offload.gso == Gso::Udp && offload.gso_size > 0;
        Ok(Self {
            src_port: u16::from_be_bytes([s0, s1]),
            dst_port,
            payload_len: len - HEADER_LEN as u16,
            payload_at: (at + HEADER_LEN) as u16,
            gso_size: is_super.then_some(offload.gso_size),
        })
    }

    /// Leaves the user's data of the packet in the message, without copying. A super-datagram
    /// keeps the size of its datagrams in `offload().gso_size`.
    pub fn into_payload(self, msg: &mut Msg) {
        msg.trim_front(usize::from(self.payload_at).min(msg.len()));
        msg.truncate(usize::from(self.payload_len).min(msg.len()));
        msg.set_offload(match self.gso_size {
            Some(gso_size) => Offload { gso: Gso::Udp, gso_size, ..Offload::NONE },
            None => Offload::NONE,
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ip::{Request, build};
    use etherparse::{Ipv4Header, UdpHeader};
    use millstream_msg::{Pool, PoolConfig};
    use proptest::prelude::*;
    use std::vec::Vec;

    const SRC: [u8; 4] = [10, 0, 0, 9];
    const DST: [u8; 4] = [10, 0, 0, 1];

    /// A datagram as an independent builder makes it.
    fn datagram(payload: &[u8]) -> Vec<u8> {
        let ip = Ipv4Header::new(8 + payload.len() as u16, 64, 17.into(), SRC, DST).unwrap();
        let udp = UdpHeader::with_ipv4_checksum(5000, 7, &ip, payload).unwrap();
        [&udp.to_bytes()[..], payload].concat()
    }

    fn packet(udp: &[u8], pool: &mut Pool) -> (Msg, ip::View) {
        let mut msg = pool.copy_from(64, udp).unwrap();
        let request = Request::new(DST.into(), 17);
        build::output(&mut msg, &request, SRC.into(), 0, pool).unwrap();
        let view = ip::View::parse(msg.first()).unwrap();
        (msg, view)
    }

    fn parse(udp: &[u8]) -> Result<View, UdpDrop> {
        let mut pool = Pool::new(PoolConfig::TINY);
        let (msg, view) = packet(udp, &mut pool);
        View::parse(&msg, &view, checksum::sum_portable)
    }

    #[test]
    fn bad_input_41_length_below_8_or_beyond_the_packet_is_refused() {
        for len in [0_u16, 1, 7, 13, 65_535] {
            let mut bytes = datagram(b"1234");
            bytes[4..6].copy_from_slice(&len.to_be_bytes());
            assert_eq!(parse(&bytes), Err(UdpDrop::Length), "{len}");
        }
        for len in 0..8 {
            assert_eq!(parse(&datagram(b"")[..len]), Err(UdpDrop::Short));
        }
    }

    #[test]
    fn length_below_the_packet_leaves_the_rest_out() {
        let mut bytes = datagram(b"1234");
        bytes.extend([9; 30]);
        let mut pool = Pool::new(PoolConfig::TINY);
        let (mut msg, packet) = packet(&bytes, &mut pool);
        let view = View::parse(&msg, &packet, checksum::sum_portable).unwrap();
        view.into_payload(&mut msg);
        assert_eq!(msg.first(), b"1234");
    }

    #[test]
    fn wrong_checksum_is_refused_unless_somebody_verified_it() {
        let mut bytes = datagram(b"1234");
        bytes[9] ^= 1;
        assert_eq!(parse(&bytes), Err(UdpDrop::Checksum));
        let mut pool = Pool::new(PoolConfig::TINY);
        let (mut msg, packet) = packet(&bytes, &mut pool);
        msg.set_flags(MsgFlags::CSUM_OK.with_trace(msg.flags().trace()));
        assert!(View::parse(&msg, &packet, checksum::sum_portable).is_ok());
        msg.set_flags(MsgFlags::empty().with_trace(msg.flags().trace()));
        msg.set_offload(Offload { needs_csum: true, csum_start: 20, ..Offload::NONE });
        assert!(View::parse(&msg, &packet, checksum::sum_portable).is_ok());
    }

    #[test]
    fn bad_input_41_checksum_0_means_none_in_ipv4_and_is_refused_in_ipv6() {
        let mut bytes = datagram(b"1234");
        bytes[6..8].fill(0);
        assert!(parse(&bytes).is_ok());
        let mut pool = Pool::new(PoolConfig::TINY);
        let (msg, view) = packet(&bytes, &mut pool);
        let six = |n: u16| core::net::IpAddr::from([0xfe80, 0, 0, 0, 0, 0, 0, n]);
        let view = ip::View { src: six(1), dst: six(2), ..view };
        let got = View::parse(&msg, &view, checksum::sum_portable);
        assert_eq!(got, Err(UdpDrop::NoChecksum));
    }

    #[test]
    fn port_0_takes_nothing() {
        let mut bytes = datagram(b"");
        bytes[2..4].fill(0);
        bytes[6..8].fill(0);
        assert_eq!(parse(&bytes), Err(UdpDrop::PortZero));
    }

    #[test]
    fn super_datagram_keeps_its_size() {
        let mut pool = Pool::new(PoolConfig::TINY);
        let (mut msg, packet) = packet(&datagram(&[1; 3000]), &mut pool);
        msg.set_offload(Offload {
            needs_csum: true,
            gso: Gso::Udp,
            gso_size: 1000,
            hdr_len: 28,
            csum_start: 20,
            csum_offset: 6,
        });
        let view = View::parse(&msg, &packet, checksum::sum_portable).unwrap();
        assert_eq!(view.gso_size, Some(1000));
        view.into_payload(&mut msg);
        assert_eq!(
            (msg.len(), msg.offload().gso_size, msg.offload().packets(3000)),
            (3000, 1000, 3)
        );
    }

    proptest! {
        #[test]
        fn random_bytes_never_panic(bytes in proptest::collection::vec(any::<u8>(), 0..40)) {
            if let Ok(view) = parse(&bytes) {
                prop_assert!(usize::from(view.payload_len) + HEADER_LEN <= bytes.len());
            }
        }

        #[test]
        fn datagram_of_an_independent_builder_is_sound_however_it_is_cut(
            payload in proptest::collection::vec(any::<u8>(), 0..200), cut in 1_usize..28,
        ) {
            let mut pool = Pool::new(PoolConfig::TINY);
            let (mut msg, packet) = packet(&datagram(&payload), &mut pool);
            let rest = msg.split_off(&mut pool, cut).unwrap();
            msg.link(rest);
            let view = View::parse(&msg, &packet, checksum::sum_portable).unwrap();
            prop_assert_eq!((view.src_port, view.dst_port), (5000, 7));
            view.into_payload(&mut msg);
            let left: Vec<u8> = msg.cursor().chunks().flatten().copied().collect();
            prop_assert_eq!(left, payload);
        }
    }
}
