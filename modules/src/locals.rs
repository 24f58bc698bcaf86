//! The host's addresses, as `ip` tells transports: what users may bind, what packets leave with.

use alloc::vec::Vec;
use core::net::{IpAddr, Ipv4Addr};

/// The host's addresses with their prefix lengths, and the packets that their interfaces take.
#[derive(Debug, Default)]
pub(crate) struct Locals(Vec<(IpAddr, u8)>, Vec<(IpAddr, u16)>);

impl Locals {
    /// The host has this address.
    pub(crate) fn add(&mut self, address: IpAddr, prefix_len: u8) {
        if !self.0.contains(&(address, prefix_len)) && self.0.len() < ADDRESSES_MAX {
            self.0.push((address, prefix_len));
        }
    }

    /// The host no longer has this address.
    pub(crate) fn remove(&mut self, address: IpAddr) {
        self.0.retain(|(known, _)| *known != address);
        self.1.retain(|(known, _)| *known != address);
    }

    /// May a user bind this address? One of the host, any, a group, or a broadcast address, to
    /// receive what is sent to it (`ip(7)`). All may while no address is known.
    pub(crate) fn may_bind(&self, address: IpAddr) -> bool {
        let many = |(known, prefix_len): &(IpAddr, u8)| match (address, known) {
            (IpAddr::V4(asked), IpAddr::V4(own)) => asked == broadcast(*own, *prefix_len),
            _ => false,
        };
        self.0.is_empty()
            || address.is_unspecified()
            || address.is_multicast()
            || address == IpAddr::V4(Ipv4Addr::BROADCAST)
            || self.0.iter().any(|known| known.0 == address || many(known))
    }

    /// Is it an address of many: a group, or the broadcast address of a network of ours?
    pub(crate) fn is_many(&self, address: IpAddr) -> bool {
        let IpAddr::V4(asked) = address else { return address.is_multicast() };
        let is_broadcast = |(known, prefix_len): &(IpAddr, u8)| match known {
            IpAddr::V4(own) => *prefix_len < 31 && asked == broadcast(*own, *prefix_len),
            IpAddr::V6(_) => false,
        };
        asked.is_multicast() || asked.is_broadcast() || self.0.iter().any(is_broadcast)
    }

    /// Bytes that a packet may have on the interface of one of our addresses.
    pub(crate) fn mtu(&self, address: IpAddr) -> u16 {
        self.1.iter().find(|(known, _)| *known == address).map_or(MTU_USUAL, |(_, mtu)| *mtu)
    }

    /// The interface of an address takes packets of so many bytes.
    pub(crate) fn set_mtu(&mut self, address: IpAddr, mtu: u16) {
        self.1.retain(|(known, _)| *known != address);
        if self.1.len() < ADDRESSES_MAX {
            self.1.push((address, mtu));
        }
    }

    /// The address that packets to `remote` leave with: ours in its network, else our first.
    pub(crate) fn source_for(&self, remote: IpAddr) -> Option<IpAddr> {
        let near = |(known, prefix_len): &&(IpAddr, u8)| match (known, remote) {
            (IpAddr::V4(own), IpAddr::V4(remote)) => {
                broadcast(*own, *prefix_len) == broadcast(remote, *prefix_len)
            }
            _ => false,
        };
        let family = |(known, _): &&(IpAddr, u8)| known.is_ipv4() == remote.is_ipv4();
        let found = self.0.iter().find(near).or_else(|| self.0.iter().find(family));
        found.map(|(address, _)| *address)
    }
}

fn broadcast(own: Ipv4Addr, prefix_len: u8) -> Ipv4Addr {
    let host = u32::MAX.checked_shr(u32::from(prefix_len)).unwrap_or(0);
    Ipv4Addr::from_bits(own.to_bits() | host)
}

/// More addresses than a host is given by hand; those beyond cannot be bound by name.
const ADDRESSES_MAX: usize = 256;
/// Ethernet's.
const MTU_USUAL: u16 = 1500;

#[cfg(test)]
mod tests {
    use super::*;

    fn locals() -> Locals {
        let mut locals = Locals::default();
        locals.add([10, 0, 0, 2].into(), 24);
        locals
    }

    #[test]
    fn own_any_group_and_broadcast_addresses_may_be_bound() {
        let own = [[10, 0, 0, 2], [0; 4], [224, 0, 0, 5], [255; 4], [10, 0, 0, 255]];
        assert!(own.into_iter().all(|address| locals().may_bind(address.into())));
    }

    #[test]
    fn addresses_of_others_may_not_be_bound() {
        let others = [[10, 0, 0, 3], [10, 0, 1, 255], [8, 8, 8, 8]];
        assert!(!others.into_iter().any(|address| locals().may_bind(address.into())));
    }

    #[test]
    fn an_address_that_has_gone_may_not_be_bound() {
        let mut locals = locals();
        locals.add([10, 0, 0, 9].into(), 24);
        locals.remove([10, 0, 0, 9].into());
        assert!(!locals.may_bind([10, 0, 0, 9].into()));
    }
}
