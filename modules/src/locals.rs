//! Addresses that a user of udp or tcp may bind: those of the host, as `ip` tells them.

use alloc::vec::Vec;
use core::net::{IpAddr, Ipv4Addr};

/// The host's addresses with their prefix lengths.
#[derive(Debug, Default)]
pub(crate) struct Locals(Vec<(IpAddr, u8)>);

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
}

fn broadcast(own: Ipv4Addr, prefix_len: u8) -> Ipv4Addr {
    let host = u32::MAX.checked_shr(u32::from(prefix_len)).unwrap_or(0);
    Ipv4Addr::from_bits(own.to_bits() | host)
}

/// More addresses than a host is given by hand; those beyond cannot be bound by name.
const ADDRESSES_MAX: usize = 256;

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
