//! Addresses in the bytes of calls.

use std::net::{IpAddr, SocketAddr};

/// Bytes of an address.
pub const LEN: usize = 20;

/// As bytes: family, port, and the address, padded.
pub fn to_bytes(address: SocketAddr) -> [u8; LEN] {
    let mut bytes = [0; LEN];
    let family: u16 = if address.is_ipv4() { 4 } else { 6 };
    bytes[..2].copy_from_slice(&family.to_ne_bytes());
    bytes[2..4].copy_from_slice(&address.port().to_ne_bytes());
    match address.ip() {
        IpAddr::V4(ip) => bytes[4..8].copy_from_slice(&ip.octets()),
        IpAddr::V6(ip) => bytes[4..].copy_from_slice(&ip.octets()),
    }
    bytes
}

/// Of bytes; what follows them.
pub fn of_bytes(bytes: &[u8]) -> Option<(SocketAddr, &[u8])> {
    let (address, rest) = bytes.split_first_chunk::<LEN>()?;
    let word = |at: usize| u16::from_ne_bytes([address[at], address[at + 1]]);
    let (_, ip) = address.split_last_chunk::<16>()?;
    let ip = match word(0) {
        4 => IpAddr::from([ip[0], ip[1], ip[2], ip[3]]),
        6 => IpAddr::from(*ip),
        _ => return None,
    };
    Some((SocketAddr::new(ip, word(2)), rest))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_come_back_as_they_were() {
        for text in ["10.9.0.1:80", "[2001:db8::1]:65535"] {
            let address: SocketAddr = text.parse().unwrap();
            let bytes = [&to_bytes(address)[..], b"rest"].concat();
            assert_eq!(of_bytes(&bytes), Some((address, &b"rest"[..])));
            assert_eq!(of_bytes(&bytes[..LEN - 1]), None);
        }
        assert_eq!(of_bytes(&[9; LEN]), None);
    }
}
