//! `Ends`: the two ends of a connection.

use core::net::IpAddr;

/// Address and port here and there: what tells connections apart (RFC 9293 section 3.3.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Ends {
    /// Ours.
    pub local: (IpAddr, u16),
    /// The peer's, of the same family.
    pub remote: (IpAddr, u16),
}

impl Ends {
    /// From `local` to `remote`.
    pub const fn new(local: (IpAddr, u16), remote: (IpAddr, u16)) -> Self {
        Self { local, remote }
    }

    /// As words to hash: the local address, the remote one, the ports.
    #[inline]
    pub(super) fn words(&self) -> [u64; 5] {
        let [local, local_low] = halves(self.local.0);
        let [remote, remote_low] = halves(self.remote.0);
        let ports = u64::from(self.local.1) << 16 | u64::from(self.remote.1);
        [local, local_low, remote, remote_low, ports]
    }
}

/// An address in two words; IPv4 in the form mapped to IPv6.
#[inline]
pub(super) const fn halves(address: IpAddr) -> [u64; 2] {
    let bits = match address {
        IpAddr::V4(v4) => v4.to_ipv6_mapped().to_bits(),
        IpAddr::V6(v6) => v6.to_bits(),
    };
    [(bits >> 64) as u64, bits as u64]
}
