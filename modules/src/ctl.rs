//! ctl: what neighbouring modules tell each other in M_CTL messages, outside the data.
//!
//! | from | to | says |
//! |---|---|---|
//! | ip | arp | addresses of the interface, as they come and go |
//! | ip | transport | addresses of the host, as they come and go; their MTU; which leads where |
//! | arp | ip | "which addresses?", when it is pushed on a running stream |
//! | transport | ip | the protocol or echo identifier it takes; groups it joins and leaves |
//! | transport | ip | a peer does not answer: is the way to it still good? |
//! | ip | arp | the same of a next hop |
//! | transport | ip | a packet that nobody took, to be told to its sender (the packet follows) |
//! | arp | ip | a frame whose next hop does not answer (the frame follows) |
//! | ip | transport | an ICMP error about a packet it sent, or that there is no way for it |

use crate::ip::icmp::{Cause, SoftError};
use core::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use millstream_msg::{Kind, Msg, NoMem, Pool};

/// One such message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ctl {
    /// The interface, or the host, has this address, with a prefix of so many bits.
    AddAddress(IpAddr, u8),
    /// The interface, or the host, no longer has this address.
    RemoveAddress(IpAddr),
    /// The interface with this address of the host takes packets of so many bytes.
    Mtu(IpAddr, u16),
    /// Packets to this network, with a prefix of so many bits, leave with this address.
    Way(IpAddr, u8, IpAddr),
    /// Tell me the addresses of the interface.
    WhichAddresses,
    /// Packets of this protocol are mine.
    TakeProtocol(u8),
    /// Echo replies with this identifier are mine.
    TakeEcho(u16),
    /// Packets to this group on this interface are wanted (`None`: the routed one).
    Join(IpAddr, Option<u16>),
    /// They no longer are.
    Leave(IpAddr, Option<u16>),
    /// What was sent to this address was not acknowledged for long: the way there may be gone
    /// (RFC 9293 section 3.8.3, R1).
    Doubt(IpAddr),
    /// The packet that follows found nobody at its port.
    Undeliverable,
    /// The frame that follows could not be delivered: its next hop does not answer.
    HostUnreachable,
    /// Somebody could not deliver a packet of yours.
    Failed(SoftError),
}

/// Bytes of every such message.
const LEN: usize = 68;

impl Ctl {
    /// The message, as M_CTL.
    pub fn to_msg(self, pool: &mut Pool) -> Result<Msg, NoMem> {
        let mut bytes = [0; LEN];
        match self {
            Self::AddAddress(addr, prefix_len) => {
                bytes[..2].copy_from_slice(&[1, prefix_len]);
                put_address(&mut bytes, 4, addr);
            }
            Self::RemoveAddress(addr) => {
                bytes[0] = 2;
                put_address(&mut bytes, 4, addr);
            }
            Self::Mtu(addr, mtu) => {
                bytes[0] = 11;
                bytes[2..4].copy_from_slice(&mtu.to_be_bytes());
                put_address(&mut bytes, 4, addr);
            }
            Self::Way(network, prefix_len, source) => {
                bytes[..2].copy_from_slice(&[12, prefix_len]);
                put_address(&mut bytes, 4, network);
                put_address(&mut bytes, 21, source);
            }
            Self::WhichAddresses => bytes[0] = 3,
            Self::TakeProtocol(protocol) => bytes[..2].copy_from_slice(&[4, protocol]),
            Self::TakeEcho(id) => {
                bytes[0] = 5;
                bytes[2..4].copy_from_slice(&id.to_be_bytes());
            }
            Self::Join(group, interface) | Self::Leave(group, interface) => {
                let op = if matches!(self, Self::Join(..)) { 6 } else { 7 };
                bytes[..2].copy_from_slice(&[op, u8::from(interface.is_some())]);
                bytes[2..4].copy_from_slice(&interface.unwrap_or_default().to_be_bytes());
                put_address(&mut bytes, 4, group);
            }
            Self::Doubt(addr) => {
                bytes[0] = 13;
                put_address(&mut bytes, 4, addr);
            }
            Self::Undeliverable => bytes[0] = 8,
            Self::HostUnreachable => bytes[0] = 10,
            Self::Failed(error) => {
                let (kind, code, word) = error.cause.to_wire();
                bytes[..4].copy_from_slice(&[9, error.protocol, kind, code]);
                put_address(&mut bytes, 4, error.dst);
                put_address(&mut bytes, 21, error.src);
                put_address(&mut bytes, 38, error.reporter);
                bytes[55..59].copy_from_slice(&word);
                bytes[59..67].copy_from_slice(&error.transport);
            }
        }
        let mut msg = pool.alloc_reserve(0, LEN)?;
        msg.set_kind(Kind::Ctl);
        msg.spare_mut()[..LEN].copy_from_slice(&bytes);
        msg.commit(LEN);
        Ok(msg)
    }
}

impl Ctl {
    /// Reads an M_CTL message; `None` for one of somebody else.
    pub fn from_msg(msg: &Msg) -> Option<Self> {
        if msg.kind() == Kind::Ctl { Self::read(msg) } else { None }
    }

    /// Reads the bytes of such a message whatever its type: `ip` tells a head that sends echo
    /// requests in M_PROTO.
    pub fn read(msg: &Msg) -> Option<Self> {
        let mut bytes = [0; LEN];
        if msg.copy_out(0, &mut bytes) < LEN {
            return None;
        }
        let word = u16::from_be_bytes([bytes[2], bytes[3]]);
        let interface = (bytes[1] != 0).then_some(word);
        Some(match bytes[0] {
            1 => Self::AddAddress(address(&bytes, 4)?, bytes[1]),
            2 => Self::RemoveAddress(address(&bytes, 4)?),
            3 => Self::WhichAddresses,
            4 => Self::TakeProtocol(bytes[1]),
            5 => Self::TakeEcho(word),
            6 => Self::Join(address(&bytes, 4)?, interface),
            7 => Self::Leave(address(&bytes, 4)?, interface),
            8 => Self::Undeliverable,
            10 => Self::HostUnreachable,
            11 => Self::Mtu(address(&bytes, 4)?, word),
            13 => Self::Doubt(address(&bytes, 4)?),
            12 => Self::Way(address(&bytes, 4)?, bytes[1], address(&bytes, 21)?),
            9 => {
                let word = [bytes[55], bytes[56], bytes[57], bytes[58]];
                Self::Failed(SoftError {
                    protocol: bytes[1],
                    cause: Cause::from_wire(bytes[2], bytes[3], word)?,
                    dst: address(&bytes, 4)?,
                    src: address(&bytes, 21)?,
                    reporter: address(&bytes, 38)?,
                    transport: bytes.get(59..67)?.try_into().ok()?,
                })
            }
            _ => return None,
        })
    }
}

/// Family and 16 bytes.
fn put_address(bytes: &mut [u8; LEN], at: usize, addr: IpAddr) {
    match addr {
        IpAddr::V4(v4) => {
            bytes[at] = 4;
            bytes[at + 1..at + 5].copy_from_slice(&v4.octets());
        }
        IpAddr::V6(v6) => {
            bytes[at] = 6;
            bytes[at + 1..at + 17].copy_from_slice(&v6.octets());
        }
    }
}

fn address(bytes: &[u8; LEN], at: usize) -> Option<IpAddr> {
    match bytes[at] {
        4 => Some(Ipv4Addr::new(bytes[at + 1], bytes[at + 2], bytes[at + 3], bytes[at + 4]).into()),
        6 => {
            let octets: [u8; 16] = bytes.get(at + 1..at + 17)?.try_into().ok()?;
            Some(Ipv6Addr::from(octets).into())
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use millstream_msg::PoolConfig;

    #[test]
    fn every_message_is_read_as_it_was_written() {
        let mut pool = Pool::new(PoolConfig::TINY);
        let v4: IpAddr = [10, 0, 0, 1].into();
        let v6: IpAddr = Ipv6Addr::LOCALHOST.into();
        let error = SoftError {
            reporter: v4,
            src: v6,
            dst: v4,
            protocol: 17,
            cause: Cause::PacketTooBig(Some(1400)),
            transport: [1, 2, 3, 4, 5, 6, 7, 8],
        };
        for ctl in [
            Ctl::AddAddress(v4, 24),
            Ctl::RemoveAddress(v6),
            Ctl::Mtu(v4, 9000),
            Ctl::Way(v4, 16, v6),
            Ctl::Doubt(v4),
            Ctl::WhichAddresses,
            Ctl::TakeProtocol(17),
            Ctl::TakeEcho(777),
            Ctl::Join([224, 0, 0, 5].into(), Some(3)),
            Ctl::Leave([224, 0, 0, 5].into(), None),
            Ctl::Undeliverable,
            Ctl::HostUnreachable,
            Ctl::Failed(error),
        ] {
            let msg = ctl.to_msg(&mut pool).unwrap();
            assert_eq!(Ctl::from_msg(&msg), Some(ctl));
            pool.free(msg);
        }
    }

    #[test]
    fn other_messages_are_nobodys() {
        let mut pool = Pool::new(PoolConfig::TINY);
        let mut msg = pool.copy_from(0, &[200; 80]).unwrap();
        assert_eq!(Ctl::from_msg(&msg), None);
        msg.set_kind(Kind::Ctl);
        assert_eq!(Ctl::from_msg(&msg), None);
        pool.free(msg);
    }
}
