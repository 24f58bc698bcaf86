//! The host's addresses, as `ip` tells transports: what users may bind, what packets leave with.

use alloc::vec::Vec;
use core::net::{IpAddr, Ipv4Addr};

/// The host's addresses, what their interfaces take, and which of them leads where.
#[derive(Debug, Default)]
pub(crate) struct Locals {
    /// With their prefix lengths.
    addresses: Vec<(IpAddr, u8)>,
    /// Bytes of a packet on the interface of an address.
    mtus: Vec<(IpAddr, u16)>,
    ways: Vec<Way>,
}

/// Packets to a network beyond the host's own leave with this address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Way {
    network: IpAddr,
    prefix_len: u8,
    source: IpAddr,
}

impl Locals {
    /// The host has this address.
    pub(crate) fn add(&mut self, address: IpAddr, prefix_len: u8) {
        if !self.addresses.contains(&(address, prefix_len)) && self.addresses.len() < ADDRESSES_MAX
        {
            self.addresses.push((address, prefix_len));
        }
    }

    /// The host no longer has this address.
    pub(crate) fn remove(&mut self, address: IpAddr) {
        self.addresses.retain(|(known, _)| *known != address);
        self.mtus.retain(|(known, _)| *known != address);
        self.ways.retain(|way| way.source != address);
    }

    /// May a user bind this address? One of the host, any, a group, or a broadcast address, to
    /// receive what is sent to it (`ip(7)`). All may while no address is known.
    pub(crate) fn may_bind(&self, address: IpAddr) -> bool {
        let many = |(known, prefix_len): &(IpAddr, u8)| match (address, known) {
            (IpAddr::V4(asked), IpAddr::V4(own)) => asked == broadcast(*own, *prefix_len),
            _ => false,
        };
        self.addresses.is_empty()
            || address.is_unspecified()
            || address.is_multicast()
            || address == IpAddr::V4(Ipv4Addr::BROADCAST)
            || self.addresses.iter().any(|known| known.0 == address || many(known))
    }

    /// Is it an address of many: a group, or the broadcast address of a network of ours?
    pub(crate) fn is_many(&self, address: IpAddr) -> bool {
        let IpAddr::V4(asked) = address else { return address.is_multicast() };
        let is_broadcast = |(known, prefix_len): &(IpAddr, u8)| match known {
            IpAddr::V4(own) => *prefix_len < 31 && asked == broadcast(*own, *prefix_len),
            IpAddr::V6(_) => false,
        };
        asked.is_multicast() || asked.is_broadcast() || self.addresses.iter().any(is_broadcast)
    }

    /// Bytes that a packet may have on the interface of one of our addresses.
    pub(crate) fn mtu(&self, address: IpAddr) -> u16 {
        self.mtus.iter().find(|(known, _)| *known == address).map_or(MTU_USUAL, |(_, mtu)| *mtu)
    }

    /// The interface of an address takes packets of so many bytes.
    pub(crate) fn set_mtu(&mut self, address: IpAddr, mtu: u16) {
        self.mtus.retain(|(known, _)| *known != address);
        if self.mtus.len() < ADDRESSES_MAX {
            self.mtus.push((address, mtu));
        }
    }

    /// Packets to this network leave with this address of ours.
    pub(crate) fn add_way(&mut self, network: IpAddr, prefix_len: u8, source: IpAddr) {
        self.ways.retain(|way| (way.network, way.prefix_len) != (network, prefix_len));
        if self.ways.len() < ADDRESSES_MAX {
            self.ways.push(Way { network, prefix_len, source });
        }
    }

    /// The address that packets to `remote` leave with: that of the longest prefix which leads
    /// there, else our first of the family (RFC 9293 MUST-44).
    pub(crate) fn source_for(&self, remote: IpAddr) -> Option<IpAddr> {
        let own = |&(source, prefix_len)| Way { network: source, prefix_len, source };
        let ways = self.addresses.iter().map(own).chain(self.ways.iter().copied());
        let leads = |way: &Way| match (way.network, remote) {
            (IpAddr::V4(network), IpAddr::V4(remote)) => {
                broadcast(network, way.prefix_len) == broadcast(remote, way.prefix_len)
            }
            _ => false,
        };
        // Of equals the first.
        let longest = ways
            .filter(leads)
            .reduce(|best, way| if way.prefix_len > best.prefix_len { way } else { best });
        let family = |(known, _): &&(IpAddr, u8)| known.is_ipv4() == remote.is_ipv4();
        let first = || self.addresses.iter().find(family).map(|(address, _)| *address);
        longest.map(|way| way.source).or_else(first)
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

    #[test]
    fn must_44_the_source_is_that_of_the_longest_prefix_which_leads_there() {
        let mut locals = locals();
        locals.add([192, 168, 1, 1].into(), 24);
        let source = |locals: &Locals, to: [u8; 4]| locals.source_for(to.into()).unwrap();
        assert_eq!(source(&locals, [192, 168, 1, 9]), IpAddr::from([192, 168, 1, 1]));
        assert_eq!(source(&locals, [8, 8, 8, 8]), IpAddr::from([10, 0, 0, 2]), "the first");
        locals.add_way([0, 0, 0, 0].into(), 0, [192, 168, 1, 1].into());
        assert_eq!(source(&locals, [8, 8, 8, 8]), IpAddr::from([192, 168, 1, 1]));
        locals.add_way([8, 8, 0, 0].into(), 16, [10, 0, 0, 2].into());
        assert_eq!(source(&locals, [8, 8, 8, 8]), IpAddr::from([10, 0, 0, 2]));
        locals.remove([192, 168, 1, 1].into());
        assert_eq!(source(&locals, [9, 9, 9, 9]), IpAddr::from([10, 0, 0, 2]));
    }
}
