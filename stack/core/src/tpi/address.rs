//! Addresses in primitives: the layouts of `sockaddr_in` and `sockaddr_in6`.

use super::word;
use core::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

/// Largest address in a primitive: `sockaddr_in6`.
pub const ADDR_MAX: usize = 28;

const AF_INET: u16 = 2;
const AF_INET6: u16 = 10;

/// The address named by a length at `at` and an offset behind it. `None` when it does not lie in
/// the primitive or is no address.
pub fn address_at(bytes: &[u8], at: usize) -> Option<SocketAddr> {
    let len = usize::try_from(word(bytes, at)?).ok()?;
    let offset = usize::try_from(word(bytes, at.checked_add(4)?)?).ok()?;
    decode_address(bytes.get(offset..offset.checked_add(len)?)?)
}

/// Reads a `sockaddr_in` or `sockaddr_in6`.
pub fn decode_address(bytes: &[u8]) -> Option<SocketAddr> {
    let family = u16::from_ne_bytes([*bytes.first()?, *bytes.get(1)?]);
    let port = u16::from_be_bytes([*bytes.get(2)?, *bytes.get(3)?]);
    match family {
        AF_INET => {
            let a: [u8; 4] = bytes.get(4..8)?.try_into().ok()?;
            Some(SocketAddr::new(IpAddr::V4(Ipv4Addr::from(a)), port))
        }
        AF_INET6 => {
            let a: [u8; 16] = bytes.get(8..24)?.try_into().ok()?;
            Some(SocketAddr::new(IpAddr::V6(Ipv6Addr::from(a)), port))
        }
        _ => None,
    }
}

/// Writes an address; its length.
pub fn encode_address(addr: SocketAddr, out: &mut [u8; ADDR_MAX]) -> usize {
    *out = [0; ADDR_MAX];
    out[2..4].copy_from_slice(&addr.port().to_be_bytes());
    match addr.ip() {
        IpAddr::V4(a) => {
            out[..2].copy_from_slice(&AF_INET.to_ne_bytes());
            out[4..8].copy_from_slice(&a.octets());
            16
        }
        IpAddr::V6(a) => {
            out[..2].copy_from_slice(&AF_INET6.to_ne_bytes());
            out[8..24].copy_from_slice(&a.octets());
            ADDR_MAX
        }
    }
}
