//! Interfaces, their addresses, and routes by longest prefix.

use super::view::v4;
use alloc::vec::Vec;
use core::net::{IpAddr, Ipv4Addr};

/// What `ip` knows of the network around it.
#[derive(Debug, Default)]
pub struct Net {
    interfaces: Vec<Option<Interface>>,
    /// Longest prefix first; among equals the first added.
    routes: Vec<Entry>,
    /// Counts changes, wrapping.
    generation: u32,
}

/// An interface.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Interface {
    /// Bytes of the largest packet, the IP header included: 68..=65535.
    pub mtu: u16,
    /// Packets are sent and routes through it count.
    pub up: bool,
    addresses: [Option<Address>; ADDRESSES_MAX],
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Address {
    address: Ipv4Addr,
    prefix_len: u8,
}

/// A route as it is written down.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Route {
    /// Where it leads. Bits behind the prefix are ignored.
    pub network: IpAddr,
    /// Bits of `network` that count.
    pub prefix_len: u8,
    /// The router on the way; `None` when the network is on the link.
    pub gateway: Option<IpAddr>,
    /// Index of the interface.
    pub interface: u16,
}

/// The way of one packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Hop {
    /// Index of the interface.
    pub interface: u16,
    /// The router, or the destination itself.
    pub next_hop: Ipv4Addr,
}

/// Why a change of [`Net`] was refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NetError {
    /// A limit is reached.
    Full,
    /// No IPv4 address.
    Family,
    /// A prefix beyond 32 bits.
    PrefixLength,
    /// No such interface.
    Interface,
    /// An address that no host can have.
    NotAHost,
    /// An MTU below 68.
    Mtu,
}

#[derive(Clone, Copy, Debug)]
struct Entry {
    network: u32,
    mask: u32,
    prefix_len: u8,
    gateway: Option<Ipv4Addr>,
    interface: u16,
}

impl Interface {
    /// An interface that is up and has no address.
    pub const fn new(mtu: u16) -> Self {
        Self { mtu, up: true, addresses: [None; ADDRESSES_MAX] }
    }

    /// The addresses with the lengths of their prefixes.
    pub fn addresses(&self) -> impl Iterator<Item = (Ipv4Addr, u8)> + '_ {
        self.addresses.iter().flatten().map(|a| (a.address, a.prefix_len))
    }

    /// The source for packets to `dst`: an address of its subnet, else the first.
    pub fn source_for(&self, dst: Ipv4Addr) -> Option<Ipv4Addr> {
        let addresses = self.addresses.iter().flatten();
        let first = addresses.clone().next()?;
        let near = addresses.clone().find(|a| {
            let mask = mask(a.prefix_len);
            u32::from(a.address) & mask == u32::from(dst) & mask
        });
        Some(near.unwrap_or(first).address)
    }

    /// True for the directed broadcasts of its subnets, all-ones and all-zeros.
    pub fn is_broadcast(&self, address: Ipv4Addr) -> bool {
        self.addresses.iter().flatten().any(|a| a.is_broadcast(address))
    }
}

impl Address {
    /// A /31 and a /32 have no broadcast (RFC 3021).
    fn is_broadcast(self, other: Ipv4Addr) -> bool {
        let mask = mask(self.prefix_len);
        let host = u32::from(other) & !mask;
        self.prefix_len <= 30
            && u32::from(self.address) & mask == u32::from(other) & mask
            && (host == !mask || host == 0)
    }
}

impl Net {
    /// No interface, no route.
    pub const fn new() -> Self {
        Self { interfaces: Vec::new(), routes: Vec::new(), generation: 0 }
    }

    /// Another number after every change: what was decided before may not hold.
    #[inline]
    pub const fn generation(&self) -> u32 {
        self.generation
    }

    const fn changes(&mut self) {
        self.generation = self.generation.wrapping_add(1);
    }

    /// Adds an interface and returns its index.
    pub fn add_interface(&mut self, interface: Interface) -> Result<u16, NetError> {
        self.changes();
        if interface.mtu < MTU_MIN {
            return Err(NetError::Mtu);
        }
        let free = self.interfaces.iter().position(Option::is_none);
        let index = free.unwrap_or(self.interfaces.len());
        if index >= INTERFACES_MAX {
            return Err(NetError::Full);
        }
        if index == self.interfaces.len() {
            self.interfaces.push(None);
        }
        if let Some(slot) = self.interfaces.get_mut(index) {
            *slot = Some(interface);
        }
        Ok(index as u16)
    }

    /// Removes an interface and its routes.
    pub fn remove_interface(&mut self, index: u16) {
        self.changes();
        if let Some(slot) = self.interfaces.get_mut(usize::from(index)) {
            *slot = None;
        }
        self.routes.retain(|route| route.interface != index);
    }

    /// An interface.
    #[inline]
    pub fn interface(&self, index: u16) -> Option<&Interface> {
        self.interfaces.get(usize::from(index))?.as_ref()
    }

    /// An interface, to set its MTU or to take it down.
    pub fn interface_mut(&mut self, index: u16) -> Option<&mut Interface> {
        self.changes();
        self.interfaces.get_mut(usize::from(index))?.as_mut()
    }

    /// The interfaces with their indexes.
    pub fn interfaces(&self) -> impl Iterator<Item = (u16, &Interface)> {
        let numbered = self.interfaces.iter().enumerate();
        numbered.filter_map(|(index, slot)| Some((index as u16, slot.as_ref()?)))
    }

    /// Gives an interface an address, and a route to its subnet.
    pub fn add_address(
        &mut self,
        index: u16,
        address: IpAddr,
        prefix_len: u8,
    ) -> Result<(), NetError> {
        let address = v4(address).ok_or(NetError::Family)?;
        if prefix_len > 32 {
            return Err(NetError::PrefixLength);
        }
        if !can_be_a_source(address) || address.is_loopback() {
            return Err(NetError::NotAHost);
        }
        let interface = self.interface_mut(index).ok_or(NetError::Interface)?;
        let slot = interface.addresses.iter_mut().find(|slot| slot.is_none());
        *slot.ok_or(NetError::Full)? = Some(Address { address, prefix_len });
        let network = IpAddr::V4(address);
        self.add_route(Route { network, prefix_len, gateway: None, interface: index })
    }

    /// Adds a route. One to the same network by the same interface is replaced.
    pub fn add_route(&mut self, route: Route) -> Result<(), NetError> {
        self.changes();
        let mut entry = entry(&route)?;
        if self.interface(route.interface).is_none() {
            return Err(NetError::Interface);
        }
        if let Some(gateway) = route.gateway {
            entry.gateway = Some(v4(gateway).ok_or(NetError::Family)?);
        }
        self.remove_route(&route);
        if self.routes.len() >= ROUTES_MAX {
            return Err(NetError::Full);
        }
        let at = self.routes.partition_point(|r| r.prefix_len >= entry.prefix_len);
        self.routes.insert(at, entry);
        Ok(())
    }

    /// Removes the route to a network by an interface, whatever its gateway; false when there is
    /// none.
    pub fn remove_route(&mut self, route: &Route) -> bool {
        self.changes();
        let Ok(gone) = entry(route) else { return false };
        let before = self.routes.len();
        self.routes.retain(|r| {
            (r.network, r.prefix_len, r.interface)
                != (gone.network, gone.prefix_len, gone.interface)
        });
        self.routes.len() != before
    }

    /// The routes, longest prefix first.
    pub fn routes(&self) -> impl Iterator<Item = Route> + '_ {
        self.routes.iter().map(|r| Route {
            network: IpAddr::V4(r.network.into()),
            prefix_len: r.prefix_len,
            gateway: r.gateway.map(IpAddr::V4),
            interface: r.interface,
        })
    }

    /// The longest prefix that leads to `dst` by an interface that is up.
    #[inline]
    pub fn lookup(&self, dst: Ipv4Addr) -> Option<Hop> {
        let bits = u32::from(dst);
        let usable = |r: &&Entry| {
            bits & r.mask == r.network && self.interface(r.interface).is_some_and(|i| i.up)
        };
        let route = self.routes.iter().find(usable)?;
        Some(Hop { interface: route.interface, next_hop: route.gateway.unwrap_or(dst) })
    }

    /// The interface that has the address.
    #[inline]
    pub fn owner(&self, address: Ipv4Addr) -> Option<u16> {
        let has = |i: &Interface| i.addresses.iter().flatten().any(|a| a.address == address);
        self.interfaces().find(|(_, interface)| has(interface)).map(|(index, _)| index)
    }

    /// The interface whose subnet has the address as its broadcast.
    pub fn broadcast_of(&self, address: Ipv4Addr) -> Option<u16> {
        self.interfaces().find(|(_, i)| i.is_broadcast(address)).map(|(index, _)| index)
    }
}

fn entry(route: &Route) -> Result<Entry, NetError> {
    if route.prefix_len > 32 {
        return Err(NetError::PrefixLength);
    }
    let mask = mask(route.prefix_len);
    Ok(Entry {
        network: u32::from(v4(route.network).ok_or(NetError::Family)?) & mask,
        mask,
        prefix_len: route.prefix_len,
        gateway: None,
        interface: route.interface,
    })
}

fn mask(prefix_len: u8) -> u32 {
    u32::MAX.checked_shl(32 - u32::from(prefix_len.min(32))).unwrap_or(0)
}

/// An address that a packet from one host may carry as its source (loopback apart).
pub(super) fn can_be_a_source(address: Ipv4Addr) -> bool {
    let first = address.octets()[0];
    first != 0 && first < 224
}

/// Interfaces of one stack: the ports of a small router.
pub const INTERFACES_MAX: usize = 16;
/// Addresses of one interface, as in `arp`.
pub const ADDRESSES_MAX: usize = 8;
/// Routes: they are looked through in order of length, so a full table costs some 100 ns.
pub const ROUTES_MAX: usize = 256;
/// What every link has to carry (RFC 791 section 3.2).
pub const MTU_MIN: u16 = 68;

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn net() -> Net {
        let mut net = Net::new();
        for n in 0..3 {
            let index = net.add_interface(Interface::new(1500)).unwrap();
            net.add_address(index, [10, n, 0, 1].into(), 24).unwrap();
        }
        net
    }

    fn route(network: [u8; 4], prefix_len: u8, gateway: [u8; 4], interface: u16) -> Route {
        Route { network: network.into(), prefix_len, gateway: Some(gateway.into()), interface }
    }

    #[test]
    fn longest_prefix_wins_in_whatever_order_routes_were_added() {
        let mut net = net();
        net.add_route(route([0; 4], 0, [10, 0, 0, 254], 0)).unwrap();
        net.add_route(route([10, 1, 0, 64], 26, [10, 2, 0, 9], 2)).unwrap();
        let hop = |d: [u8; 4]| net.lookup(d.into()).map(|h| (h.interface, h.next_hop.octets()));
        assert_eq!(hop([8, 8, 8, 8]), Some((0, [10, 0, 0, 254])));
        assert_eq!(hop([10, 1, 0, 9]), Some((1, [10, 1, 0, 9])));
        assert_eq!(hop([10, 1, 0, 70]), Some((2, [10, 2, 0, 9])));
    }

    #[test]
    fn routes_of_an_interface_that_is_down_do_not_count() {
        let mut net = net();
        net.add_route(route([0; 4], 0, [10, 0, 0, 254], 0)).unwrap();
        net.interface_mut(1).unwrap().up = false;
        assert_eq!(net.lookup([10, 1, 0, 9].into()).unwrap().interface, 0);
        net.remove_interface(0);
        assert_eq!(net.lookup([10, 1, 0, 9].into()), None);
    }

    #[test]
    fn limits_and_nonsense_are_refused() {
        let mut net = net();
        assert_eq!(net.add_address(9, [1, 1, 1, 1].into(), 8), Err(NetError::Interface));
        assert_eq!(net.add_address(0, [224, 0, 0, 1].into(), 8), Err(NetError::NotAHost));
        assert_eq!(net.add_address(0, "::1".parse().unwrap(), 8), Err(NetError::Family));
        assert_eq!(net.add_route(route([0; 4], 33, [1; 4], 0)), Err(NetError::PrefixLength));
        let more = |n: u16| route([11, (n >> 8) as u8, n as u8, 0], 24, [10, 0, 0, 9], 0);
        let added = (0..1000).filter(|&n| net.add_route(more(n)).is_ok()).count();
        assert_eq!(added + 3, ROUTES_MAX);
        let added = (0..100).filter(|_| net.add_interface(Interface::new(68)).is_ok()).count();
        assert_eq!(added + 3, INTERFACES_MAX);
    }

    #[test]
    fn broadcasts_are_those_of_the_subnets_rfc3021() {
        let mut net = net();
        net.add_address(2, [10, 9, 0, 0].into(), 31).unwrap();
        assert_eq!(net.broadcast_of([10, 1, 0, 255].into()), Some(1));
        assert_eq!(net.broadcast_of([10, 1, 0, 0].into()), Some(1));
        assert_eq!(net.broadcast_of([10, 9, 0, 1].into()), None);
        assert_eq!(
            net.interface(2).unwrap().source_for([10, 9, 0, 1].into()).unwrap().octets()[1],
            9
        );
    }

    proptest! {
        #[test]
        fn lookup_is_what_a_naive_search_finds(
            routes in proptest::collection::vec((any::<u32>(), 0_u8..=32), 0..40), dst: u32,
        ) {
            let mut net = Net::new();
            net.add_interface(Interface::new(1500)).unwrap();
            for (network, len) in &routes {
                let network = (network ^ (dst & mask(len / 2))).to_be_bytes();
                net.add_route(route(network, *len, network, 0)).unwrap();
            }
            let matching = |r: &Route| {
                let IpAddr::V4(network) = r.network else { return false };
                u32::from(network) == dst & mask(r.prefix_len)
            };
            let best = net.routes().filter(matching).max_by_key(|r| r.prefix_len);
            let hop = net.lookup(dst.into()).map(|hop| IpAddr::V4(hop.next_hop));
            prop_assert_eq!(hop, best.and_then(|r| r.gateway));
        }
    }
}
