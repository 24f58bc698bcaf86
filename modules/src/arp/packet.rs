//! ARP packets of Ethernet and IPv4 (RFC 826): 28 bytes behind the Ethernet header.

use super::ArpDrop;
use crate::ether::{self, Mac, ethertype};
use core::net::Ipv4Addr;
use millstream_msg::{Msg, NoMem, Pool};

/// What the sender wants.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u16)]
pub enum Op {
    /// Who has the target address?
    Request = 1,
    /// The sender has its address.
    Reply = 2,
}

/// An ARP packet whose fields make sense on their own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Packet {
    /// Request or reply.
    pub op: Op,
    /// The sender's station. Never zero or a group.
    pub sender_mac: Mac,
    /// The sender's address: 0.0.0.0 in a probe (RFC 5227), else one that a host can have.
    pub sender: Ipv4Addr,
    /// The target's station; meaningless in a request.
    pub target_mac: Mac,
    /// The address asked for, or of the one that asked.
    pub target: Ipv4Addr,
}

/// Bytes of an ARP packet for Ethernet and IPv4.
pub const PACKET_LEN: usize = 28;
/// Bytes of the frame around it, without padding.
pub const FRAME_LEN: usize = ether::HEADER_LEN + PACKET_LEN;

impl Packet {
    /// Reads the packet behind an Ethernet header. Bytes after it are padding.
    pub fn parse(bytes: &[u8]) -> Result<Self, ArpDrop> {
        let b: &[u8; PACKET_LEN] = bytes.first_chunk().ok_or(ArpDrop::Truncated)?;
        if b[0..2] != [0, 1] {
            return Err(ArpDrop::HardwareType);
        }
        if b[2..4] != ethertype::IPV4.to_be_bytes() {
            return Err(ArpDrop::ProtocolType);
        }
        if b[4..6] != [6, 4] {
            return Err(ArpDrop::AddressLength);
        }
        // 3 and 4 are reverse ARP: nobody assigns our addresses that way.
        let op = match (b[6], b[7]) {
            (0, 1) => Op::Request,
            (0, 2) => Op::Reply,
            _ => return Err(ArpDrop::Opcode),
        };
        let packet = Self {
            op,
            sender_mac: [b[8], b[9], b[10], b[11], b[12], b[13]],
            sender: Ipv4Addr::new(b[14], b[15], b[16], b[17]),
            target_mac: [b[18], b[19], b[20], b[21], b[22], b[23]],
            target: Ipv4Addr::new(b[24], b[25], b[26], b[27]),
        };
        if ether::is_group(packet.sender_mac) || packet.sender_mac == ether::UNSPECIFIED {
            return Err(ArpDrop::SenderMac);
        }
        let probe = packet.sender.is_unspecified() && op == Op::Request;
        if !probe && !can_be_a_host(packet.sender) {
            return Err(ArpDrop::SenderAddress);
        }
        Ok(packet)
    }

    /// The packet's bytes.
    pub fn to_bytes(&self) -> [u8; PACKET_LEN] {
        let mut to = [0; PACKET_LEN];
        to[1] = 1;
        to[2..4].copy_from_slice(&ethertype::IPV4.to_be_bytes());
        to[4..6].copy_from_slice(&[6, 4]);
        to[6..8].copy_from_slice(&(self.op as u16).to_be_bytes());
        to[8..14].copy_from_slice(&self.sender_mac);
        to[14..18].copy_from_slice(&self.sender.octets());
        to[18..24].copy_from_slice(&self.target_mac);
        to[24..28].copy_from_slice(&self.target.octets());
        to
    }

    /// A whole frame from the sender's station to `dst`, from the pool's reserve.
    pub fn frame(&self, dst: Mac, pool: &mut Pool) -> Result<Msg, NoMem> {
        let mut msg = pool.alloc_reserve(0, FRAME_LEN)?;
        let header = ether::View { dst, src: self.sender_mac, ethertype: ethertype::ARP };
        if let Some(to) = msg.spare_mut().first_chunk_mut::<FRAME_LEN>() {
            to[..ether::HEADER_LEN].copy_from_slice(&header.to_bytes());
            to[ether::HEADER_LEN..].copy_from_slice(&self.to_bytes());
        }
        msg.commit(FRAME_LEN);
        Ok(msg)
    }
}

/// An address that a station on the link can have and we may learn.
pub(super) fn can_be_a_host(address: Ipv4Addr) -> bool {
    let first = address.octets()[0];
    first != 0 && first != 127 && first < 224
}

#[cfg(test)]
mod tests {
    use super::*;
    use etherparse::{ArpHardwareId, ArpOperation, ArpPacketSlice, EtherType};
    use proptest::prelude::*;

    fn valid() -> Packet {
        Packet {
            op: Op::Request,
            sender_mac: [2, 0, 0, 0, 0, 9],
            sender: Ipv4Addr::new(10, 0, 0, 9),
            target_mac: [0; 6],
            target: Ipv4Addr::new(10, 0, 0, 1),
        }
    }

    fn with(at: usize, value: &[u8]) -> Result<Packet, ArpDrop> {
        let mut bytes = valid().to_bytes();
        bytes[at..at + value.len()].copy_from_slice(value);
        Packet::parse(&bytes)
    }

    #[test]
    fn bad_input_42_truncated_packet_is_refused() {
        let bytes = valid().to_bytes();
        for len in 0..PACKET_LEN {
            assert_eq!(Packet::parse(&bytes[..len]), Err(ArpDrop::Truncated));
        }
    }

    #[test]
    fn bad_input_42_wrong_hlen_and_plen_are_refused() {
        for wrong in [[0, 4], [6, 0], [255, 4], [6, 16], [4, 6], [255, 255]] {
            assert_eq!(with(4, &wrong), Err(ArpDrop::AddressLength));
        }
        assert_eq!(with(0, &[0, 6]), Err(ArpDrop::HardwareType));
        assert_eq!(with(2, &[0x86, 0xdd]), Err(ArpDrop::ProtocolType));
    }

    #[test]
    fn bad_input_42_opcode_junk_is_refused() {
        for junk in [[0, 0], [0, 8], [1, 1], [255, 255]] {
            assert_eq!(with(6, &junk), Err(ArpDrop::Opcode));
        }
    }

    #[test]
    fn bad_input_48_reverse_arp_is_refused() {
        assert_eq!(with(6, &[0, 3]), Err(ArpDrop::Opcode));
        assert_eq!(with(6, &[0, 4]), Err(ArpDrop::Opcode));
    }

    #[test]
    fn bad_input_42_group_and_zero_sender_are_refused() {
        assert_eq!(with(8, &[0xff; 6]), Err(ArpDrop::SenderMac));
        assert_eq!(with(8, &[1, 0, 0x5e, 0, 0, 1]), Err(ArpDrop::SenderMac));
        assert_eq!(with(8, &[0; 6]), Err(ArpDrop::SenderMac));
        for no_host in [[127, 0, 0, 1], [224, 0, 0, 1], [255; 4], [0, 0, 0, 1]] {
            assert_eq!(with(14, &no_host), Err(ArpDrop::SenderAddress));
        }
    }

    #[test]
    fn probe_has_sender_zero_and_only_a_request_may() {
        assert!(with(14, &[0; 4]).is_ok());
        let mut bytes = valid().to_bytes();
        bytes[7] = 2;
        bytes[14..18].fill(0);
        assert_eq!(Packet::parse(&bytes), Err(ArpDrop::SenderAddress));
    }

    proptest! {
        #[test]
        fn random_bytes_never_panic(bytes in proptest::collection::vec(any::<u8>(), 0..64)) {
            let _ = Packet::parse(&bytes);
        }

        #[test]
        fn packet_is_what_an_independent_parser_reads(
            mac: Mac, sender: u32, target_mac: Mac, target: u32, reply: bool,
        ) {
            let op = if reply { Op::Reply } else { Op::Request };
            let packet = Packet {
                op, sender_mac: mac, sender: sender.into(), target_mac, target: target.into(),
            };
            let bytes = packet.to_bytes();
            let other = ArpPacketSlice::from_slice(&bytes).unwrap();
            prop_assert_eq!(other.hw_addr_type(), ArpHardwareId::ETHERNET);
            prop_assert_eq!(other.proto_addr_type(), EtherType::IPV4);
            prop_assert_eq!(other.operation(), ArpOperation(op as u16));
            prop_assert_eq!(other.sender_hw_addr(), &mac);
            prop_assert_eq!(other.sender_protocol_addr(), &sender.to_be_bytes());
            prop_assert_eq!(other.target_hw_addr(), &target_mac);
            prop_assert_eq!(other.target_protocol_addr(), &target.to_be_bytes());
            if let Ok(read) = Packet::parse(&bytes) {
                prop_assert_eq!(read, packet);
            }
        }
    }
}
