//! uaddr: addresses as `rpcbind` writes them (RFC 5665), and the names of transports.

use millstream_onc::Transport;
use std::net::{IpAddr, Ipv4Addr, SocketAddr, SocketAddrV4};

/// A universal address: the address, and behind it the port as two numbers.
pub fn to_uaddr(at: SocketAddr) -> String {
    let [high, low] = at.port().to_be_bytes();
    format!("{}.{high}.{low}", at.ip())
}

/// Reads a universal address.
pub fn parse_uaddr(text: &str) -> Option<SocketAddr> {
    let (rest, low) = text.rsplit_once('.')?;
    let (ip, high) = rest.rsplit_once('.')?;
    let port = u16::from_be_bytes([octet(high)?, octet(low)?]);
    Some(SocketAddr::new(ip.parse().ok()?, port))
}

/// The name of a transport over the family of an address.
pub fn netid(transport: Transport, ip: IpAddr) -> &'static str {
    match (transport, ip) {
        (Transport::Tcp, IpAddr::V4(_)) => "tcp",
        (Transport::Udp, IpAddr::V4(_)) => "udp",
        (Transport::Tcp, IpAddr::V6(_)) => "tcp6",
        (Transport::Udp, IpAddr::V6(_)) => "udp6",
    }
}

/// The octets of a `struct sockaddr_in`, as a transport of IPv4 has its addresses; `None` for IPv6.
pub(super) fn to_sockaddr(at: SocketAddr) -> Option<[u8; SOCKADDR_LEN]> {
    let SocketAddr::V4(at) = at else { return None };
    let mut octets = [0; SOCKADDR_LEN];
    octets[..2].copy_from_slice(&AF_INET.to_ne_bytes());
    octets[2..4].copy_from_slice(&at.port().to_be_bytes());
    octets[4..8].copy_from_slice(&at.ip().octets());
    Some(octets)
}

/// Reads a `struct sockaddr_in`.
pub(super) fn parse_sockaddr(octets: &[u8]) -> Option<SocketAddr> {
    let octets = octets.first_chunk::<SOCKADDR_LEN>()?;
    let family = u16::from_ne_bytes([octets[0], octets[1]]);
    let ip = Ipv4Addr::new(octets[4], octets[5], octets[6], octets[7]);
    let at = SocketAddrV4::new(ip, u16::from_be_bytes([octets[2], octets[3]]));
    (family == AF_INET).then_some(at.into())
}

/// Octets of a `struct sockaddr_in`.
pub(super) const SOCKADDR_LEN: usize = 16;

const AF_INET: u16 = 2;

/// A number from 0 to 255 of digits alone: `parse` also takes a sign.
fn octet(text: &str) -> Option<u8> {
    let digits = text.bytes().all(|octet| octet.is_ascii_digit());
    text.parse().ok().filter(|_| digits)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_universal_address_reads_as_it_was_written() {
        for (at, text) in [
            ("10.77.0.2:5001", "10.77.0.2.19.137"),
            ("0.0.0.0:111", "0.0.0.0.0.111"),
            ("[::1]:2049", "::1.8.1"),
        ] {
            let at: SocketAddr = at.parse().unwrap();
            assert_eq!(to_uaddr(at), text);
            assert_eq!(parse_uaddr(text), Some(at));
        }
    }

    #[test]
    fn what_is_no_universal_address_is_none() {
        for text in [
            "",
            ".",
            "1.2",
            "10.0.0.1",
            "10.0.0.1.0",
            "10.0.0.1.0.256",
            "10.0.0.1.+1.2",
            "10.0.0.1.2.3.4",
            "a.b.c.d.1.2",
            "10.0.0.1..2",
        ] {
            assert_eq!(parse_uaddr(text), None, "{text}");
        }
    }

    #[test]
    fn a_sockaddr_reads_as_it_was_written_and_others_are_none() {
        let at = "10.77.0.2:5001".parse().unwrap();
        let octets = to_sockaddr(at).unwrap();
        assert_eq!(parse_sockaddr(&octets), Some(at));
        assert_eq!(parse_sockaddr(&octets[..15]), None);
        assert_eq!(parse_sockaddr(&[9; 16]), None, "of another family");
        assert_eq!(to_sockaddr("[::1]:1".parse().unwrap()), None);
    }
}
