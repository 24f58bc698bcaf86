//! prefix: an address with the length of its network, of either family; text such as `10.0.0.1/24`.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::str::FromStr;

/// An address and how many of its bits are the network's.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Prefix {
    address: IpAddr,
    length_bits: u8,
}

impl Prefix {
    /// Everything in IPv4: the destination of a default route.
    pub const DEFAULT_V4: Self =
        Self { address: IpAddr::V4(Ipv4Addr::UNSPECIFIED), length_bits: 0 };
    /// Everything in IPv6: the destination of a default route.
    pub const DEFAULT_V6: Self =
        Self { address: IpAddr::V6(Ipv6Addr::UNSPECIFIED), length_bits: 0 };

    /// An address in a network of the given length; host bits stay.
    ///
    /// # Errors
    /// [`BadPrefix`] if the length is above 32 for IPv4 or 128 for IPv6.
    pub fn new(address: impl Into<IpAddr>, length_bits: u8) -> Result<Self, BadPrefix> {
        let address = address.into();
        let max = if address.is_ipv4() { 32 } else { 128 };
        if length_bits > max {
            return Err(BadPrefix { text: format!("{address}/{length_bits}") });
        }
        Ok(Self { address, length_bits })
    }

    /// The address, host bits included.
    pub fn address(&self) -> IpAddr {
        self.address
    }

    /// Bits of the network: 0 to 32 or 0 to 128.
    pub fn length_bits(&self) -> u8 {
        self.length_bits
    }

    /// The address with all host bits zero.
    pub fn network(&self) -> IpAddr {
        let length = u32::from(self.length_bits);
        match self.address {
            IpAddr::V4(address) => {
                let mask = u32::MAX.checked_shl(32 - length).unwrap_or(0);
                Ipv4Addr::from_bits(address.to_bits() & mask).into()
            }
            IpAddr::V6(address) => {
                let mask = u128::MAX.checked_shl(128 - length).unwrap_or(0);
                Ipv6Addr::from_bits(address.to_bits() & mask).into()
            }
        }
    }

    /// The directed broadcast address: IPv4 networks of at most 30 bits have one (RFC 3021).
    pub fn broadcast(&self) -> Option<Ipv4Addr> {
        match self.address {
            IpAddr::V4(address) if self.length_bits <= 30 => {
                let host_bits = u32::MAX >> self.length_bits;
                Some(Ipv4Addr::from_bits(address.to_bits() | host_bits))
            }
            _ => None,
        }
    }
}

impl fmt::Display for Prefix {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.address, self.length_bits)
    }
}

impl FromStr for Prefix {
    type Err = BadPrefix;

    /// `ADDRESS/BITS`; an address alone is a host, with all bits.
    fn from_str(text: &str) -> Result<Self, BadPrefix> {
        let bad = || BadPrefix { text: text.to_owned() };
        let (address, length) = match text.split_once('/') {
            Some((address, length)) => (address, Some(length)),
            None => (text, None),
        };
        let address: IpAddr = address.parse().map_err(|_| bad())?;
        let length_bits = match length {
            Some(length) => length.parse().map_err(|_| bad())?,
            None if address.is_ipv4() => 32,
            None => 128,
        };
        Self::new(address, length_bits).map_err(|_| bad())
    }
}

/// A text that is no address with prefix length.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{text:?} is no address with prefix length: write for example 10.0.0.1/24 or fd00::1/64")]
pub struct BadPrefix {
    text: String,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn prefix(text: &str) -> Prefix {
        text.parse().unwrap()
    }

    #[test]
    fn the_network_has_no_host_bits_in_either_family() {
        assert_eq!(prefix("10.1.2.3/8").network(), IpAddr::from([10, 0, 0, 0]));
        assert_eq!(prefix("10.1.2.3/32").network(), IpAddr::from([10, 1, 2, 3]));
        assert_eq!(prefix("10.1.2.3/0").network(), IpAddr::from([0; 4]));
        assert_eq!(prefix("fd00::5:1/112").network().to_string(), "fd00::5:0");
        assert_eq!(prefix("fd00::5:1/0").network(), IpAddr::from([0_u8; 16]));
    }

    #[test]
    fn only_ipv4_networks_of_30_bits_or_less_have_a_broadcast_address_rfc3021() {
        assert_eq!(prefix("10.1.2.3/24").broadcast(), Some([10, 1, 2, 255].into()));
        assert_eq!(prefix("10.1.2.3/0").broadcast(), Some([255; 4].into()));
        assert_eq!(prefix("10.1.2.2/31").broadcast(), None);
        assert_eq!(prefix("fd00::1/64").broadcast(), None);
    }

    #[test]
    fn text_goes_in_and_comes_out() {
        for text in ["10.0.0.1/24", "fd00::1/64", "0.0.0.0/0"] {
            assert_eq!(prefix(text).to_string(), text);
        }
        assert_eq!(prefix("::1").length_bits(), 128);
        for text in ["", "10.0.0.1/", "10.0.0.1/33", "::1/129", "10.0.0/8", "x/8"] {
            let error = text.parse::<Prefix>().unwrap_err().to_string();
            assert!(error.contains(&format!("{text:?}")), "{error}");
        }
    }
}
