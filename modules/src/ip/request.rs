//! The record that a transport puts in front of a packet on its way down, instead of a header.
//! It is binary and of fixed size, knows both families, and means the same in another process.

use super::IpDrop;
use core::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use millstream_msg::{Msg, NoMem, Pool, PullupError};

/// How a packet is to be sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Request {
    /// Source. `None`: `ip` chooses, and adds it to the pseudo-header sum at the place that the
    /// checksum request names (transports leave it out then, see [`super::view::pseudo_sum`]).
    pub src: Option<IpAddr>,
    /// Destination.
    pub dst: IpAddr,
    /// Protocol of the payload (IANA).
    pub protocol: u8,
    /// Hops; 0 means the default, which is 1 for multicast (RFC 1112 section 6.1).
    pub ttl: u8,
    /// DSCP and ECN.
    pub tos: u8,
    /// Must not be fragmented on the way.
    pub dont_fragment: bool,
    /// May go to a broadcast address (SO_BROADCAST).
    pub broadcast: bool,
    /// With the router alert option (IGMP).
    pub router_alert: bool,
    /// A copy of a multicast packet comes back to members here (IP_MULTICAST_LOOP).
    pub multicast_loop: bool,
    /// Leaves by this interface, whatever the routes say.
    pub interface: Option<u16>,
}

/// Bytes of an encoded [`Request`].
pub const REQUEST_LEN: usize = 48;

impl Request {
    /// An ordinary packet to `dst`.
    pub const fn new(dst: IpAddr, protocol: u8) -> Self {
        Self {
            src: None,
            dst,
            protocol,
            ttl: 0,
            tos: 0,
            dont_fragment: false,
            broadcast: false,
            router_alert: false,
            multicast_loop: false,
            interface: None,
        }
    }

    /// Puts the record in front of a message.
    pub fn prepend(&self, msg: &mut Msg, pool: &mut Pool) -> Result<(), NoMem> {
        msg.prepend(pool, REQUEST_LEN)?.copy_from_slice(&self.encode());
        Ok(())
    }

    /// Takes the record off a message.
    pub fn take(msg: &mut Msg, pool: &mut Pool) -> Result<Self, IpDrop> {
        match msg.pullup(pool, REQUEST_LEN) {
            Ok(()) => {}
            Err(PullupError::NoMem) => return Err(IpDrop::NoMem),
            Err(_) => return Err(IpDrop::BadRequest),
        }
        let request = Self::decode(msg.first()).ok_or(IpDrop::BadRequest)?;
        msg.trim_front(REQUEST_LEN);
        Ok(request)
    }

    /// The record's bytes: families, protocol, ttl, tos, flags, interface + 1 (2), source (16),
    /// destination (16), 8 reserved.
    pub fn encode(&self) -> [u8; REQUEST_LEN] {
        let mut to = [0; REQUEST_LEN];
        let flag = |set: bool, bit: u8| if set { bit } else { 0 };
        let flags = flag(self.dont_fragment, DONT_FRAGMENT)
            | flag(self.broadcast, BROADCAST)
            | flag(self.router_alert, ROUTER_ALERT)
            | flag(self.multicast_loop, MULTICAST_LOOP);
        let (src_family, src) = self.src.map_or((0, [0; 16]), encode_address);
        let (dst_family, dst) = encode_address(self.dst);
        let interface = self.interface.map_or(0, |index| index.saturating_add(1));
        to[..6].copy_from_slice(&[
            src_family,
            dst_family,
            self.protocol,
            self.ttl,
            self.tos,
            flags,
        ]);
        to[6..8].copy_from_slice(&interface.to_be_bytes());
        to[8..24].copy_from_slice(&src);
        to[24..40].copy_from_slice(&dst);
        to
    }

    /// Reads a record; `None` when it is short or its families do not agree.
    pub fn decode(bytes: &[u8]) -> Option<Self> {
        let b: &[u8; REQUEST_LEN] = bytes.first_chunk()?;
        let (src, rest) = b[8..].split_first_chunk()?;
        let dst = decode_address(b[1], rest.first_chunk()?)?;
        let src = if b[0] == 0 { None } else { Some(decode_address(b[0], src)?) };
        if src.is_some_and(|src| src.is_ipv4() != dst.is_ipv4()) {
            return None;
        }
        Some(Self {
            src,
            dst,
            protocol: b[2],
            ttl: b[3],
            tos: b[4],
            dont_fragment: b[5] & DONT_FRAGMENT != 0,
            broadcast: b[5] & BROADCAST != 0,
            router_alert: b[5] & ROUTER_ALERT != 0,
            multicast_loop: b[5] & MULTICAST_LOOP != 0,
            interface: u16::from_be_bytes([b[6], b[7]]).checked_sub(1),
        })
    }
}

fn encode_address(address: IpAddr) -> (u8, [u8; 16]) {
    match address {
        IpAddr::V4(v4) => {
            let mut bytes = [0; 16];
            bytes[..4].copy_from_slice(&v4.octets());
            (4, bytes)
        }
        IpAddr::V6(v6) => (6, v6.octets()),
    }
}

fn decode_address(family: u8, bytes: &[u8; 16]) -> Option<IpAddr> {
    match (family, *bytes) {
        (4, [a, b, c, d, ..]) => Some(IpAddr::V4(Ipv4Addr::new(a, b, c, d))),
        (6, octets) => Some(IpAddr::V6(Ipv6Addr::from(octets))),
        _ => None,
    }
}

const DONT_FRAGMENT: u8 = 1;
const BROADCAST: u8 = 2;
const ROUTER_ALERT: u8 = 4;
const MULTICAST_LOOP: u8 = 8;

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn request_survives_its_encoding(
            src: Option<[u8; 4]>, dst: [u8; 4], src6: [u8; 16], dst6: [u8; 16], six: bool,
            numbers: [u8; 3], flags: [bool; 4], interface in proptest::option::of(0..u16::MAX),
        ) {
            let request = Request {
                src: if six { src.map(|_| src6.into()) } else { src.map(IpAddr::from) },
                dst: if six { dst6.into() } else { dst.into() },
                protocol: numbers[0],
                ttl: numbers[1],
                tos: numbers[2],
                dont_fragment: flags[0],
                broadcast: flags[1],
                router_alert: flags[2],
                multicast_loop: flags[3],
                interface,
            };
            prop_assert_eq!(Request::decode(&request.encode()), Some(request));
        }

        #[test]
        fn random_bytes_never_panic(bytes in proptest::collection::vec(any::<u8>(), 0..64)) {
            let _ = Request::decode(&bytes);
        }
    }
}
