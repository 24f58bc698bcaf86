//! begins: what a message begins with, told from its bytes, for those who look at places that they
//! know nothing of: traces, captures at all boundaries. Protocol modules know it and do not ask.

use crate::ether::ethertype;
use crate::filter::{Facts, Link};
use crate::ip::Request;
use crate::pcapng::LinkType;
use millstream_core::{Side, tpi};
use millstream_msg::{Kind, Msg};

/// What a message begins with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Begins {
    /// An Ethernet header.
    Ethernet,
    /// An IPv4 or IPv6 header.
    Packet,
    /// What a transport asks of `ip`, in front of its packet.
    Request,
    /// A primitive of the transport provider interface.
    Primitive,
    /// None of them.
    Other,
}

impl Begins {
    /// Of a message.
    pub fn of(msg: &Msg) -> Self {
        let mut bytes = [0; LOOK];
        let n = msg.copy_out(0, &mut bytes);
        Self::of_bytes(msg.kind(), &bytes[..n], msg.len())
    }

    /// Of the first bytes of a message with so many bytes.
    pub fn of_bytes(kind: Kind, bytes: &[u8], len: usize) -> Self {
        match kind {
            Kind::Proto | Kind::PcProto => match tpi::primitive(bytes).and_then(tpi::name) {
                Some(_) => Self::Primitive,
                None => Self::Other,
            },
            Kind::Data if is_ipv4(bytes, len) => Self::Packet,
            Kind::Data if is_frame(bytes) => Self::Ethernet,
            Kind::Data if is_ipv6(bytes, len) => Self::Packet,
            Kind::Data if Request::decode(bytes).is_some() => Self::Request,
            _ => Self::Other,
        }
    }

    /// How a recording names it.
    pub const fn link_type(self) -> LinkType {
        match self {
            Self::Ethernet => LinkType::Ethernet,
            Self::Packet => LinkType::Raw,
            Self::Request | Self::Primitive | Self::Other => LinkType::User,
        }
    }

    /// What rules of `filter` ask of a message that begins so; `None` when there is nothing.
    pub fn facts(self, msg: &Msg, side: Side) -> Option<Facts> {
        let facts = match self {
            Self::Ethernet => Facts::of(msg, Link::Ethernet, side),
            Self::Packet => Facts::of(msg, Link::Ip, Side::Read),
            Self::Request => Facts::of(msg, Link::Ip, Side::Write),
            Self::Primitive => Facts::of(msg, Link::Tpi, side),
            Self::Other => return None,
        };
        Some(Facts { side, ..facts })
    }
}

/// Enough for each of them.
const LOOK: usize = 64;

/// The header's checksum decides: that bytes of something else have it is one chance in 65,536.
fn is_ipv4(bytes: &[u8], len: usize) -> bool {
    let Some(&first) = bytes.first().filter(|first| **first >> 4 == 4) else { return false };
    let header = usize::from(first & 15) * 4;
    let Some(header) = bytes.get(..header).filter(|header| header.len() >= 20) else {
        return false;
    };
    let total = usize::from(u16::from_be_bytes([header[2], header[3]]));
    // A super-frame beyond 65,535 bytes cannot say its length.
    (total == 0 || total <= len) && millstream_msg::checksum::sum_portable(header) == 0xffff
}

fn is_ipv6(bytes: &[u8], len: usize) -> bool {
    let Some(header) = bytes.first_chunk::<40>() else { return false };
    let payload = usize::from(u16::from_be_bytes([header[4], header[5]]));
    header[0] >> 4 == 6 && (payload == 0 || payload + 40 <= len)
}

fn is_frame(bytes: &[u8]) -> bool {
    let (Some(kind), Some(&next)) = (bytes.get(12..14), bytes.get(14)) else { return false };
    match u16::from_be_bytes([kind[0], kind[1]]) {
        ethertype::IPV4 => next >> 4 == 4,
        ethertype::IPV6 => next >> 4 == 6,
        ethertype::ARP | ethertype::VLAN | ethertype::QINQ => true,
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ip::protocol;
    use alloc::vec::Vec;

    /// UDP from 10.0.0.1 to 10.0.0.2 with a right header checksum.
    pub(crate) const PACKET: [u8; 28] = [
        0x45, 0, 0, 28, 0, 0, 0, 0, 64, 17, 0x66, 0xcf, 10, 0, 0, 1, 10, 0, 0, 2, 0, 7, 0, 9, 0, 8,
        0, 0,
    ];

    fn data(bytes: &[u8]) -> Begins {
        Begins::of_bytes(Kind::Data, bytes, bytes.len())
    }

    #[test]
    fn frames_packets_requests_and_primitives_are_told_apart() {
        let mut frame = Vec::from([2; 12]);
        frame.extend([8, 0]);
        frame.extend(PACKET);
        assert_eq!(data(&frame), Begins::Ethernet);
        assert_eq!(data(&PACKET), Begins::Packet);
        let mut six = [0; 40];
        six[0] = 0x60;
        assert_eq!(data(&six), Begins::Packet);
        let request = Request::new([10, 0, 0, 2].into(), protocol::UDP).encode();
        assert_eq!(data(&request), Begins::Request);
        let bind = tpi::T_BIND_REQ.to_ne_bytes();
        assert_eq!(Begins::of_bytes(Kind::Proto, &bind, 4), Begins::Primitive);
    }

    #[test]
    fn what_fits_nothing_is_nothing() {
        let mut bad_sum = PACKET;
        bad_sum[10] ^= 1;
        let mut too_long = PACKET;
        too_long[3] = 29;
        for bytes in [&b""[..], b"text of a program", &bad_sum, &too_long, &PACKET[..19]] {
            assert_eq!(data(bytes), Begins::Other, "{bytes:?}");
        }
        assert_eq!(Begins::of_bytes(Kind::Proto, &[0xff; 4], 4), Begins::Other);
        assert_eq!(Begins::of_bytes(Kind::Flush, &PACKET, 28), Begins::Other);
    }

    #[test]
    fn any_bytes_are_looked_at_without_a_panic() {
        for len in 0..64 {
            for fill in [0, 0x45, 0x60, 0xff, 8, 6] {
                let bytes = Vec::from_iter((0..len).map(|_| fill));
                for kind in [Kind::Data, Kind::Proto, Kind::Ctl] {
                    let _any = Begins::of_bytes(kind, &bytes, len);
                }
            }
        }
    }
}
