//! Who gets which datagram: bound, connected and multicast endpoints.
//!
//! An endpoint is an upper of the multiplexor. Looking up is three hash look-ups at most and
//! allocates nothing; binding and connecting may grow the tables, up to their limits.

use crate::hash::Keyed;
use alloc::vec::Vec;
use core::net::IpAddr;
use hashbrown::HashMap;

/// The endpoints of a stack.
#[derive(Debug)]
pub struct Table {
    endpoints: Vec<Option<Endpoint>>,
    free: Vec<u32>,
    /// Connected endpoints by both ends.
    connected: HashMap<Ends, u32, Keyed>,
    /// Unconnected ones by address (or wildcard) and port; the last bound of several.
    bound: HashMap<(IpAddr, u16), u32, Keyed>,
    /// All endpoints of a port.
    ports: HashMap<u16, Vec<u32>, Keyed>,
    memberships: Vec<Membership>,
}

/// An endpoint of a [`Table`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct EndpointId(u32);

/// Why an endpoint was not bound, connected or joined. The table is unchanged.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BindError {
    /// Another endpoint has the address and port (EADDRINUSE).
    InUse,
    /// A limit is reached, or no port is free.
    Full,
    /// Address and peer are of different families.
    Family,
    /// The peer has no port or is everybody.
    NoPeer,
    /// No such endpoint or membership.
    NotFound,
    /// Not a group.
    NotAGroup,
    /// Not an address of this host (EADDRNOTAVAIL).
    NotLocal,
}

#[derive(Clone, Copy, Debug)]
struct Endpoint {
    upper: u32,
    /// As bound: maybe the wildcard.
    bound: IpAddr,
    /// As connected: never the wildcard. Else as bound.
    local: IpAddr,
    port: u16,
    remote: Option<(IpAddr, u16)>,
    /// Others may bind the same.
    reuse: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct Ends {
    local: (IpAddr, u16),
    remote: (IpAddr, u16),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Membership {
    endpoint: u32,
    interface: u16,
    group: IpAddr,
}

impl Table {
    /// No endpoints. `hash` has the stack's random key.
    pub const fn new(hash: Keyed) -> Self {
        Self {
            endpoints: Vec::new(),
            free: Vec::new(),
            connected: HashMap::with_hasher(hash),
            bound: HashMap::with_hasher(hash),
            ports: HashMap::with_hasher(hash),
            memberships: Vec::new(),
        }
    }

    /// Gives `upper` an address (the wildcard is the family's unspecified one) and a port. Port 0
    /// takes a free one of 49152..=65535 (RFC 6335), from a place that `random` says (RFC 6056).
    ///
    /// Two endpoints may have the same port when neither has the wildcard and their addresses
    /// differ, or when both allow `reuse`.
    pub fn bind(
        &mut self,
        upper: u32,
        local: IpAddr,
        port: u16,
        reuse: bool,
        random: u32,
    ) -> Result<EndpointId, BindError> {
        if self.endpoints.len() - self.free.len() >= ENDPOINTS_MAX {
            return Err(BindError::Full);
        }
        let port = match port {
            0 => self.ephemeral(local, random).ok_or(BindError::Full)?,
            port if self.conflicts(local, port, reuse) => return Err(BindError::InUse),
            port => port,
        };
        if self.ports.get(&port).is_some_and(|all| all.len() >= PORT_ENDPOINTS_MAX) {
            return Err(BindError::Full);
        }
        let endpoint = Endpoint { upper, bound: local, local, port, remote: None, reuse };
        let id = self.free.pop().unwrap_or_else(|| {
            self.endpoints.push(None);
            self.endpoints.len() as u32 - 1
        });
        if let Some(slot) = self.endpoints.get_mut(id as usize) {
            *slot = Some(endpoint);
        }
        self.ports.entry(port).or_default().push(id);
        self.bound.insert((local, port), id);
        Ok(EndpointId(id))
    }

    /// Others may bind the same from now on, or may not. Those that have stay.
    pub fn set_reuse(&mut self, id: EndpointId, reuse: bool) {
        if let Some(Some(endpoint)) = self.endpoints.get_mut(id.0 as usize) {
            endpoint.reuse = reuse;
        }
    }

    /// Lets an endpoint talk to one peer only. `local` is the source that routes choose; it is
    /// used when the endpoint is bound to the wildcard.
    pub fn connect(
        &mut self,
        id: EndpointId,
        local: IpAddr,
        remote: IpAddr,
        remote_port: u16,
    ) -> Result<(), BindError> {
        let endpoint = *self.endpoint(id).ok_or(BindError::NotFound)?;
        if remote_port == 0 || remote.is_unspecified() {
            return Err(BindError::NoPeer);
        }
        let local = if endpoint.bound.is_unspecified() { local } else { endpoint.bound };
        if local.is_ipv4() != remote.is_ipv4() || endpoint.bound.is_ipv4() != remote.is_ipv4() {
            return Err(BindError::Family);
        }
        let ends = Ends { local: (local, endpoint.port), remote: (remote, remote_port) };
        if self.connected.get(&ends).is_some_and(|other| *other != id.0) {
            return Err(BindError::InUse);
        }
        self.unlist(id.0, &endpoint);
        self.connected.insert(ends, id.0);
        if let Some(Some(slot)) = self.endpoints.get_mut(id.0 as usize) {
            *slot = Endpoint { local, remote: Some(ends.remote), ..endpoint };
        }
        Ok(())
    }

    /// Lets an endpoint talk to everybody again.
    pub fn disconnect(&mut self, id: EndpointId) -> Result<(), BindError> {
        let endpoint = *self.endpoint(id).ok_or(BindError::NotFound)?;
        self.unlist(id.0, &endpoint);
        self.bound.insert((endpoint.bound, endpoint.port), id.0);
        if let Some(Some(slot)) = self.endpoints.get_mut(id.0 as usize) {
            *slot = Endpoint { local: endpoint.bound, remote: None, ..endpoint };
        }
        Ok(())
    }

    /// Removes an endpoint. `left` is called for each group it was member of, so that the
    /// interface can leave it.
    pub fn unbind(&mut self, id: EndpointId, mut left: impl FnMut(u16, IpAddr)) {
        let Some(endpoint) = self.endpoint(id).copied() else { return };
        self.unlist(id.0, &endpoint);
        if let Some(slot) = self.endpoints.get_mut(id.0 as usize) {
            *slot = None;
        }
        self.free.push(id.0);
        if let Some(all) = self.ports.get_mut(&endpoint.port) {
            all.retain(|other| *other != id.0);
            if all.is_empty() {
                self.ports.remove(&endpoint.port);
            }
        }
        self.memberships.retain(|member| {
            let stays = member.endpoint != id.0;
            if !stays {
                left(member.interface, member.group);
            }
            stays
        });
    }

    /// Address and port of an endpoint.
    pub fn local(&self, id: EndpointId) -> Option<(IpAddr, u16)> {
        self.endpoint(id).map(|endpoint| (endpoint.local, endpoint.port))
    }

    /// The peer of a connected endpoint.
    pub fn remote(&self, id: EndpointId) -> Option<(IpAddr, u16)> {
        self.endpoint(id)?.remote
    }

    /// Endpoints there are.
    pub fn len(&self) -> usize {
        self.endpoints.len() - self.free.len()
    }

    /// True without endpoints.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The upper for a datagram to one address of ours: connected to the sender, else bound to
    /// the address, else to the wildcard. ICMP errors are looked up the same way.
    #[inline]
    pub fn lookup(&self, dst: IpAddr, dst_port: u16, src: IpAddr, src_port: u16) -> Option<u32> {
        let ends = Ends { local: (dst, dst_port), remote: (src, src_port) };
        // Who is bound to the wildcard and has a peer has no address of its own.
        let anywhere = Ends { local: (wildcard(dst), dst_port), ..ends };
        let id = self.connected.get(&ends);
        let id = id
            .or_else(|| self.connected.get(&anywhere))
            .or_else(|| self.bound.get(&(dst, dst_port)))
            .or_else(|| self.bound.get(&(wildcard(dst), dst_port)))?;
        self.endpoint(EndpointId(*id)).map(|endpoint| endpoint.upper)
    }

    /// Calls `to` for each upper that wants a datagram to many: bound to the port, to the wildcard
    /// or the very address, not connected to somebody else, and for a group member of it on the
    /// interface. Returns how many.
    pub fn deliver(
        &self,
        dst: (IpAddr, u16),
        src: (IpAddr, u16),
        interface: u16,
        mut to: impl FnMut(u32),
    ) -> usize {
        let mut count = 0;
        let listed = self.ports.get(&dst.1).map(Vec::as_slice).unwrap_or_default();
        for &id in listed {
            let Some(endpoint) = self.endpoint(EndpointId(id)) else { continue };
            let address = endpoint.bound == wildcard(dst.0) || endpoint.bound == dst.0;
            let peer = endpoint.remote.is_none_or(|remote| remote == src);
            let member = Membership { endpoint: id, interface, group: dst.0 };
            let wanted = !dst.0.is_multicast() || self.memberships.contains(&member);
            if address && peer && wanted {
                to(endpoint.upper);
                count += 1;
            }
        }
        count
    }

    /// Makes an endpoint member of a group on an interface.
    pub fn join(&mut self, id: EndpointId, interface: u16, group: IpAddr) -> Result<(), BindError> {
        let endpoint = self.endpoint(id).ok_or(BindError::NotFound)?;
        if !group.is_multicast() || endpoint.bound.is_ipv4() != group.is_ipv4() {
            return Err(BindError::NotAGroup);
        }
        let member = Membership { endpoint: id.0, interface, group };
        if self.memberships.contains(&member) {
            return Err(BindError::InUse);
        }
        let own = self.memberships.iter().filter(|m| m.endpoint == id.0).count();
        if own >= ENDPOINT_GROUPS_MAX || self.memberships.len() >= MEMBERSHIPS_MAX {
            return Err(BindError::Full);
        }
        self.memberships.push(member);
        Ok(())
    }

    /// Ends a membership.
    pub fn leave(
        &mut self,
        id: EndpointId,
        interface: u16,
        group: IpAddr,
    ) -> Result<(), BindError> {
        let member = Membership { endpoint: id.0, interface, group };
        let at = self.memberships.iter().position(|m| *m == member).ok_or(BindError::NotFound)?;
        self.memberships.swap_remove(at);
        Ok(())
    }

    fn endpoint(&self, id: EndpointId) -> Option<&Endpoint> {
        self.endpoints.get(id.0 as usize)?.as_ref()
    }

    fn conflicts(&self, local: IpAddr, port: u16, reuse: bool) -> bool {
        let all = self.ports.get(&port).map(Vec::as_slice).unwrap_or_default();
        all.iter().filter_map(|id| self.endpoint(EndpointId(*id))).any(|other| {
            let wide = local.is_unspecified() || other.bound.is_unspecified();
            other.bound.is_ipv4() == local.is_ipv4()
                && (wide || other.bound == local)
                && !(reuse && other.reuse)
        })
    }

    fn ephemeral(&self, local: IpAddr, random: u32) -> Option<u16> {
        let count = u32::from(u16::MAX - EPHEMERAL_FIRST) + 1;
        let port = |i: u32| EPHEMERAL_FIRST + (random.wrapping_add(i) % count) as u16;
        (0..count).map(port).find(|port| !self.conflicts(local, *port, false))
    }

    /// Takes an endpoint off the map it is looked up in. Another one with the same address and
    /// port (reuse) takes its place.
    fn unlist(&mut self, id: u32, endpoint: &Endpoint) {
        if let Some(remote) = endpoint.remote {
            let ends = Ends { local: (endpoint.local, endpoint.port), remote };
            self.connected.remove(&ends);
            return;
        }
        let key = (endpoint.bound, endpoint.port);
        if self.bound.get(&key) != Some(&id) {
            return;
        }
        let all = self.ports.get(&endpoint.port).map(Vec::as_slice).unwrap_or_default();
        let heir = all.iter().rev().copied().find(|other| {
            let same = |e: &Endpoint| e.bound == endpoint.bound && e.remote.is_none();
            *other != id && self.endpoint(EndpointId(*other)).is_some_and(same)
        });
        match heir {
            Some(heir) => self.bound.insert(key, heir),
            None => self.bound.remove(&key),
        };
    }
}

fn wildcard(address: IpAddr) -> IpAddr {
    match address {
        IpAddr::V4(_) => IpAddr::V4(core::net::Ipv4Addr::UNSPECIFIED),
        IpAddr::V6(_) => IpAddr::V6(core::net::Ipv6Addr::UNSPECIFIED),
    }
}

/// Endpoints of a stack: every port, once over.
pub const ENDPOINTS_MAX: usize = 65_536;
/// Endpoints of one port: connected servers, and listeners of one group. All are looked at for
/// each datagram to many.
pub const PORT_ENDPOINTS_MAX: usize = 1024;
/// Groups of one endpoint (`igmp_max_memberships` of Linux).
pub const ENDPOINT_GROUPS_MAX: usize = 20;
/// Memberships of all endpoints.
pub const MEMBERSHIPS_MAX: usize = 1024;
/// First of the dynamic ports (RFC 6335 section 6).
pub const EPHEMERAL_FIRST: u16 = 49_152;

#[cfg(test)]
mod tests;
