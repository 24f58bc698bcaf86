//! Ethernet headers: every message of an interface's stream is a whole frame, 14 bytes first.
//!
//! On the way down `ip` writes the header. Where it does not know the link address yet, the
//! destination is `00:00:a.b.c.d` with next hop a.b.c.d, and `arp` below fills it in. A real
//! station may have an address that begins with 00:00 (an OUI of Xerox), but only below `arp`:
//! nothing above it writes addresses of stations.

use crate::actions::reasons;
use core::net::Ipv4Addr;
use millstream_msg::{Msg, MsgFlags, NoMem, Pool};

/// An address of a station or of a group (IEEE 802).
pub type Mac = [u8; 6];

/// Bytes of an Ethernet header.
pub const HEADER_LEN: usize = 14;
/// All stations of the link.
pub const BROADCAST: Mac = [0xff; 6];
/// Not an address: "to be filled in".
pub const UNSPECIFIED: Mac = [0; 6];

/// Ethertypes that the stack knows.
pub mod ethertype {
    /// IPv4 (RFC 894).
    pub const IPV4: u16 = 0x0800;
    /// ARP (RFC 826).
    pub const ARP: u16 = 0x0806;
    /// A VLAN tag (802.1Q).
    pub const VLAN: u16 = 0x8100;
    /// IPv6 (RFC 2464).
    pub const IPV6: u16 = 0x86dd;
    /// An outer VLAN tag (802.1ad).
    pub const QINQ: u16 = 0x88a8;
    /// Below this the field is a length (802.3), not a type.
    pub const FIRST: u16 = 0x0600;
}

reasons! {
    /// Why a frame was dropped for its Ethernet header.
    pub enum EtherDrop {
        /// Fewer than 14 bytes.
        Short => "ether_short",
        /// It has a VLAN tag; interfaces carry untagged frames.
        Tagged => "ether_tagged",
        /// The type field is a length (802.3, LLC).
        NotEthernet2 => "ether_802_3",
        /// No module of this stream takes the type.
        UnknownType => "ether_unknown_type",
        /// The source address is a group address.
        GroupSource => "ether_group_source",
    }
}

/// A parsed Ethernet header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct View {
    /// Destination.
    pub dst: Mac,
    /// Source.
    pub src: Mac,
    /// Ethertype, or a length when below [`ethertype::FIRST`].
    pub ethertype: u16,
}

impl View {
    /// Reads the header at the front of `bytes`.
    pub fn parse(bytes: &[u8]) -> Option<Self> {
        let &[d0, d1, d2, d3, d4, d5, s0, s1, s2, s3, s4, s5, t0, t1] = bytes.first_chunk()?;
        Some(Self {
            dst: [d0, d1, d2, d3, d4, d5],
            src: [s0, s1, s2, s3, s4, s5],
            ethertype: u16::from_be_bytes([t0, t1]),
        })
    }

    /// Reads the header of a received frame wherever its blocks are cut, and refuses what no
    /// stream of ours carries.
    pub fn receive(frame: &Msg) -> Result<Self, EtherDrop> {
        let bytes = match frame.first().first_chunk() {
            Some(bytes) => *bytes,
            // Nearly always in the first block; who cut it pays for the copy.
            None => {
                let mut bytes = [0; HEADER_LEN];
                if frame.copy_out(0, &mut bytes) < HEADER_LEN {
                    return Err(EtherDrop::Short);
                }
                bytes
            }
        };
        let view = Self::parse(&bytes).ok_or(EtherDrop::Short)?;
        if is_group(view.src) {
            return Err(EtherDrop::GroupSource);
        }
        match view.ethertype {
            ethertype::VLAN | ethertype::QINQ => Err(EtherDrop::Tagged),
            length if length < ethertype::FIRST => Err(EtherDrop::NotEthernet2),
            _ => Ok(view),
        }
    }

    /// The header's bytes.
    pub fn to_bytes(&self) -> [u8; HEADER_LEN] {
        let [d0, d1, d2, d3, d4, d5] = self.dst;
        let [s0, s1, s2, s3, s4, s5] = self.src;
        let [t0, t1] = self.ethertype.to_be_bytes();
        [d0, d1, d2, d3, d4, d5, s0, s1, s2, s3, s4, s5, t0, t1]
    }

    /// Puts this header in front of a message.
    pub fn prepend(&self, msg: &mut Msg, pool: &mut Pool) -> Result<(), NoMem> {
        msg.prepend(pool, HEADER_LEN)?.copy_from_slice(&self.to_bytes());
        Ok(())
    }

    /// How the frame was addressed: nothing, `LINK_BROADCAST` or `LINK_MULTICAST`.
    pub fn link_flags(&self) -> MsgFlags {
        if self.dst == BROADCAST {
            MsgFlags::LINK_BROADCAST
        } else if is_group(self.dst) {
            MsgFlags::LINK_MULTICAST
        } else {
            MsgFlags::empty()
        }
    }
}

/// True for broadcast and multicast addresses.
pub const fn is_group(mac: Mac) -> bool {
    mac[0] & 1 == 1
}

/// The destination that asks `arp` for the station of `next_hop`.
pub const fn unresolved(next_hop: Ipv4Addr) -> Mac {
    let [a, b, c, d] = next_hop.octets();
    [0, 0, a, b, c, d]
}

/// The next hop of a destination made by [`unresolved`].
pub const fn next_hop_of(dst: Mac) -> Option<Ipv4Addr> {
    match dst {
        [0, 0, a, b, c, d] => Some(Ipv4Addr::new(a, b, c, d)),
        _ => None,
    }
}

/// The address of a group on the link: 01:00:5e and the low 23 bits (RFC 1112 section 6.4).
pub const fn multicast(group: Ipv4Addr) -> Mac {
    let [_, b, c, d] = group.octets();
    [0x01, 0x00, 0x5e, b & 0x7f, c, d]
}

#[cfg(test)]
mod tests {
    use super::*;
    use etherparse::{Ethernet2Header, Ethernet2HeaderSlice};
    use millstream_msg::PoolConfig;
    use proptest::prelude::*;

    fn receive(bytes: &[u8]) -> Result<View, EtherDrop> {
        let mut pool = Pool::new(PoolConfig::TINY);
        View::receive(&pool.copy_from(0, bytes).unwrap())
    }

    #[test]
    fn next_hop_survives_in_the_destination() {
        let hop = Ipv4Addr::new(192, 0, 2, 7);
        assert_eq!(next_hop_of(unresolved(hop)), Some(hop));
        assert_eq!(next_hop_of(BROADCAST), None);
        assert_eq!(next_hop_of(multicast(Ipv4Addr::new(224, 0, 0, 1))), None);
    }

    #[test]
    fn group_maps_to_its_low_23_bits_rfc1112_6_4() {
        let mac = multicast(Ipv4Addr::new(239, 129, 2, 3));
        assert_eq!(mac, [0x01, 0x00, 0x5e, 0x01, 2, 3]);
    }

    #[test]
    fn bad_input_50_short_frames_truncated_tags_and_type_junk_are_refused() {
        for len in 0..HEADER_LEN {
            assert_eq!(receive(&[2; 14][..len]), Err(EtherDrop::Short));
        }
        let frame = |kind: u16| View { dst: [2; 6], src: [4; 6], ethertype: kind }.to_bytes();
        // The tag ends right behind its type: still no read past the frame.
        assert_eq!(receive(&frame(ethertype::VLAN)), Err(EtherDrop::Tagged));
        assert_eq!(receive(&frame(ethertype::QINQ)), Err(EtherDrop::Tagged));
        assert_eq!(receive(&frame(0)), Err(EtherDrop::NotEthernet2));
        assert_eq!(receive(&frame(0x05ff)), Err(EtherDrop::NotEthernet2));
        assert!(receive(&frame(0xffff)).is_ok(), "unknown types are the taker's matter");
    }

    #[test]
    fn frame_from_a_group_address_is_refused() {
        let frame = View { dst: [2; 6], src: BROADCAST, ethertype: 0x0800 }.to_bytes();
        assert_eq!(receive(&frame), Err(EtherDrop::GroupSource));
    }

    proptest! {
        #[test]
        fn random_bytes_never_panic(bytes in proptest::collection::vec(any::<u8>(), 0..64)) {
            let _ = View::parse(&bytes);
            let _ = receive(&bytes);
        }

        #[test]
        fn header_is_what_an_independent_parser_reads(dst: Mac, src: Mac, kind: u16) {
            let bytes = View { dst, src, ethertype: kind }.to_bytes();
            let other = Ethernet2HeaderSlice::from_slice(&bytes).unwrap();
            prop_assert_eq!(other.destination(), dst);
            prop_assert_eq!(other.source(), src);
            prop_assert_eq!(other.ether_type().0, kind);
            let theirs = Ethernet2Header { source: src, destination: dst, ether_type: kind.into() };
            prop_assert_eq!(View::parse(&theirs.to_bytes()), View::parse(&bytes));
        }
    }
}
