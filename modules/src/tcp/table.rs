//! `Table`: who gets which segment: connections by both ends, listeners by address and port, and
//! who may have which port.
//!
//! Connections and listeners are numbers of the caller (small ones: they index a vector). Finding
//! one hashes the ends with a key, so that a peer cannot choose ends that meet in one bucket, and
//! follows a chain. Growing splits one bucket for each connection added; there is no pause.

mod index;
mod ports;

use super::ends::{Ends, halves};
use crate::room::grow_for;
use crate::siphash::Sip;
use alloc::vec::Vec;
use core::net::{IpAddr, Ipv6Addr};
use index::Index;
use ports::{Ports, Use};

/// The bound, listening and connected sockets of a stack. 48 bytes and 4 of the index for each.
#[derive(Debug)]
pub struct Table {
    slots: Vec<Slot>,
    index: Index,
    ports: Ports,
    sip: Sip<1, 3>,
    /// Where the search for a port goes on, by a hash of the peer (RFC 6056 section 3.3.4).
    turns: [u16; TURNS],
    len: usize,
}

/// Why a socket was not bound, connected or made to listen. The table is unchanged.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TableError {
    /// Another socket has the port, or a connection these very ends (EADDRINUSE).
    InUse,
    /// No port is free (EADDRNOTAVAIL; EADDRINUSE for bind).
    NoPort,
    /// A limit of the table is reached (ENOBUFS).
    Full,
    /// The addresses are of different families (EAFNOSUPPORT).
    Family,
    /// The peer has no port, or is nobody or everybody (EADDRNOTAVAIL).
    NoPeer,
}

/// What a segment is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Found {
    /// A connection has its ends.
    Connection(u32),
    /// No connection has, but a listener is at the address, or at any address, of the port.
    Listener(u32),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Free,
    Bound,
    Listening,
    Connected,
}

#[derive(Clone, Copy, Debug)]
struct Slot {
    key: Key,
    hash: u32,
    /// The next of its bucket.
    next: u32,
    state: State,
    /// SO_REUSEADDR.
    reuse: bool,
    /// `connect` chose the port.
    auto: bool,
    /// `connect` chose the address.
    routed: bool,
}

/// Both ends; the remote one is zero without a peer. Packed, as there are 100,000 of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(Rust, packed(4))]
struct Key {
    local: [u64; 2],
    remote: [u64; 2],
    local_port: u16,
    remote_port: u16,
}

impl Table {
    /// No sockets. `random` is from the stack's random source.
    pub fn new(random: u64) -> Self {
        let sip = Sip::derived(random, PURPOSE);
        Self {
            slots: Vec::new(),
            index: Index::default(),
            ports: Ports::new(sip.words([0])),
            sip,
            turns: core::array::from_fn(|n| sip.words([n as u64 + 1]) as u16),
            len: 0,
        }
    }

    /// Gives socket `number` an address (maybe the unspecified one) and a port; 0 takes a free
    /// one, from a place that `random` says (RFC 6056 section 3.3.1). Returns the port.
    ///
    /// Sockets at overlapping addresses share a port only when all allow `reuse` and none of them
    /// listens; connections in TIME-WAIT are sockets too (`bind(2)`, `socket(7)`).
    ///
    /// # Errors
    /// [`TableError::InUse`], [`TableError::NoPort`] or [`TableError::Full`].
    ///
    /// # Panics
    /// When the number is in use.
    pub fn bind(
        &mut self,
        number: u32,
        local: (IpAddr, u16),
        reuse: bool,
        random: u32,
    ) -> Result<u16, TableError> {
        let address = halves(local.0);
        let port = match local.1 {
            0 => (0..EPHEMERAL)
                .map(|n| EPHEMERAL_FIRST + (random.wrapping_add(n) % EPHEMERAL) as u16)
                .find(|port| !self.ports.conflicts(*port, address, false))
                .ok_or(TableError::NoPort)?,
            port if self.ports.conflicts(port, address, reuse) => return Err(TableError::InUse),
            port => port,
        };
        let slot = Slot { reuse, ..Slot::bound(address, port) };
        self.occupy(number, slot)?;
        Ok(port)
    }

    /// Lets a bound socket receive segments to its port that belong to no connection.
    ///
    /// # Errors
    /// [`TableError::InUse`]: another one listens at an overlapping address.
    pub fn listen(&mut self, number: u32) -> Result<(), TableError> {
        let slot = self.slot(number, State::Bound);
        self.ports.remove(slot.key.local_port, slot.usage());
        if self.ports.conflicts(slot.key.local_port, slot.key.local, slot.reuse) {
            self.ports.add(slot.key.local_port, slot.usage());
            return Err(TableError::InUse);
        }
        let listening = Slot { state: State::Listening, ..slot };
        self.ports.add(listening.key.local_port, listening.usage());
        self.enter(number, listening);
        Ok(())
    }

    /// A listener is only bound again.
    pub fn unlisten(&mut self, number: u32) {
        let slot = self.slot(number, State::Listening);
        self.leave(number);
        self.change(number, Slot { state: State::Bound, ..slot });
    }

    /// Gives socket `number` a peer. `local` is the address that the route to it has; it counts
    /// when the socket is not bound to one. When the socket is not bound at all, a port is chosen
    /// that no bound socket has and no connection to this peer (RFC 6056 section 3.3.4).
    ///
    /// # Errors
    /// Each of [`TableError`]; the socket is as before.
    pub fn connect(
        &mut self,
        number: u32,
        local: IpAddr,
        remote: (IpAddr, u16),
    ) -> Result<Ends, TableError> {
        let before = self.slots.get(number as usize).copied().filter(|s| s.state == State::Bound);
        let any = |slot: &Slot| address(slot.key.local).is_unspecified();
        let routed = before.as_ref().is_none_or(any);
        let local = match before {
            Some(slot) if !routed => address(slot.key.local),
            _ => local,
        };
        let bound_family = before.is_none_or(|s| address(s.key.local).is_ipv4() == local.is_ipv4());
        if local.is_ipv4() != remote.0.is_ipv4() || !bound_family {
            return Err(TableError::Family);
        }
        if remote.1 == 0 || remote.0.is_unspecified() || remote.0.is_multicast() {
            return Err(TableError::NoPeer);
        }
        let port = match before {
            Some(slot) => slot.key.local_port,
            None => self.choose(local, remote)?,
        };
        let ends = Ends::new((local, port), remote);
        let key = Key::of(&ends);
        if self.find(&key).is_some() {
            return Err(TableError::InUse);
        }
        if let Some(slot) = before {
            let slot = Slot { key, state: State::Connected, routed, ..slot };
            self.change(number, slot);
            self.enter(number, slot);
        } else {
            let slot = Slot { key, state: State::Connected, auto: true, ..Slot::FREE };
            self.occupy(number, slot)?;
            self.enter(number, slot);
        }
        Ok(ends)
    }

    /// Adds a connection that came to a listener with this `reuse`.
    ///
    /// # Errors
    /// [`TableError::InUse`]: there is one with these ends. [`TableError::Full`].
    ///
    /// # Panics
    /// When the number is in use.
    pub fn accept(&mut self, number: u32, ends: &Ends, reuse: bool) -> Result<(), TableError> {
        let key = Key::of(ends);
        if self.find(&key).is_some() {
            return Err(TableError::InUse);
        }
        let slot = Slot { key, state: State::Connected, reuse, ..Slot::FREE };
        self.occupy(number, slot)?;
        self.enter(number, slot);
        Ok(())
    }

    /// Takes the peer from a connection: the socket is as it was before `connect`.
    pub fn disconnect(&mut self, number: u32) {
        let slot = self.slot(number, State::Connected);
        if slot.auto {
            self.remove(number);
            return;
        }
        self.leave(number);
        let local = if slot.routed { any_like(slot.key.local) } else { slot.key.local };
        self.change(number, Slot { reuse: slot.reuse, ..Slot::bound(local, slot.key.local_port) });
    }

    /// SO_REUSEADDR of a socket that is bound already.
    pub fn set_reuse(&mut self, number: u32, reuse: bool) {
        if let Some(slot) = self.used(number) {
            let slot = Slot { reuse, ..*slot };
            self.change(number, slot);
        }
    }

    /// The socket is gone. Nothing happens when there is none.
    pub fn remove(&mut self, number: u32) {
        let Some(slot) = self.used(number).copied() else { return };
        if slot.state != State::Bound {
            self.leave(number);
        }
        self.ports.remove(slot.key.local_port, slot.usage());
        self.slots[number as usize] = Slot::FREE;
        self.len -= 1;
    }

    /// What a segment from `ends.remote` to `ends.local` is for.
    #[inline]
    pub fn lookup(&self, ends: &Ends) -> Option<Found> {
        match self.connection(ends) {
            Some(number) => Some(Found::Connection(number)),
            None => self.listener(ends.local).map(Found::Listener),
        }
    }

    /// The connection with these ends.
    #[inline]
    pub fn connection(&self, ends: &Ends) -> Option<u32> {
        self.find(&Key::of(ends))
    }

    /// The listener for an address and port: the one at the address, else the one at any address.
    pub fn listener(&self, local: (IpAddr, u16)) -> Option<u32> {
        let at = |address| self.find(&Key::listener(address, local.1));
        at(halves(local.0)).or_else(|| at(any_like(halves(local.0))))
    }

    /// Address and port of a socket.
    pub fn local(&self, number: u32) -> Option<(IpAddr, u16)> {
        self.used(number).map(|slot| (address(slot.key.local), slot.key.local_port))
    }

    /// The peer of a connection.
    pub fn remote(&self, number: u32) -> Option<(IpAddr, u16)> {
        let slot = self.used(number).filter(|slot| slot.state == State::Connected)?;
        Some((address(slot.key.remote), slot.key.remote_port))
    }

    /// The numbers of all sockets, ascending.
    pub fn iter(&self) -> impl Iterator<Item = u32> {
        let used = |(_, slot): &(usize, &Slot)| slot.state != State::Free;
        self.slots.iter().enumerate().filter(used).map(|(number, _)| number as u32)
    }

    /// Sockets there are.
    pub const fn len(&self) -> usize {
        self.len
    }

    /// True without sockets.
    pub const fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// A port for a connection to `remote`. Double-hash of RFC 6056: a peer learns of the ports
    /// used towards others next to nothing, and comes to a port again as late as can be.
    fn choose(&mut self, local: IpAddr, remote: (IpAddr, u16)) -> Result<u16, TableError> {
        let hash = self.hash(&Key::of(&Ends::new((local, 0), remote)));
        let turn = (hash >> 32) as usize % TURNS;
        let from = (hash as u32).wrapping_add(self.turns[turn].into());
        let free = |n: &u32| {
            let port = EPHEMERAL_FIRST + (from.wrapping_add(*n) % EPHEMERAL) as u16;
            !self.ports.has_bound(port, halves(local))
                && self.connection(&Ends::new((local, port), remote)).is_none()
        };
        let n = (0..EPHEMERAL).find(free).ok_or(TableError::NoPort)?;
        self.turns[turn] = self.turns[turn].wrapping_add(n as u16 + 1);
        Ok(EPHEMERAL_FIRST + (from.wrapping_add(n) % EPHEMERAL) as u16)
    }

    #[inline]
    fn find(&self, key: &Key) -> Option<u32> {
        let hash = self.hash(key) as u32;
        self.index.find(&self.slots, hash, |slot| slot.key == *key)
    }

    #[inline]
    fn hash(&self, key: &Key) -> u64 {
        let ports = u64::from(key.local_port) << 16 | u64::from(key.remote_port);
        let ([local, local_low], [remote, remote_low]) = (key.local, key.remote);
        if local == 0 && local_low >> 32 == MAPPED {
            // The upper half of the remote word tells an IPv4 peer from none.
            let v4 = local_low << 32 ^ remote_low;
            return self.sip.words([v4, ports]);
        }
        self.sip.words([local, local_low, remote, remote_low, ports])
    }

    fn used(&self, number: u32) -> Option<&Slot> {
        self.slots.get(number as usize).filter(|slot| slot.state != State::Free)
    }

    /// The slot of a socket that the caller knows to be in this state.
    fn slot(&self, number: u32, state: State) -> Slot {
        let slot = self.slots[number as usize];
        assert_eq!(slot.state, state, "socket {number}");
        slot
    }

    /// Puts a new socket into its slot and among the users of its port.
    fn occupy(&mut self, number: u32, slot: Slot) -> Result<(), TableError> {
        assert!(self.used(number).is_none(), "socket {number} is in use");
        if number >= SOCKETS_MAX {
            return Err(TableError::Full);
        }
        if number as usize >= self.slots.len() {
            grow_for(&mut self.slots, number as usize + 1);
            self.slots.resize(number as usize + 1, Slot::FREE);
        }
        self.ports.add(slot.key.local_port, slot.usage());
        self.slots[number as usize] = slot;
        self.len += 1;
        Ok(())
    }

    /// Changes a socket that stays where it is in the index.
    fn change(&mut self, number: u32, slot: Slot) {
        let before = core::mem::replace(&mut self.slots[number as usize], slot);
        self.ports.remove(before.key.local_port, before.usage());
        self.ports.add(slot.key.local_port, slot.usage());
    }

    /// Makes a socket to be found.
    fn enter(&mut self, number: u32, slot: Slot) {
        let hash = self.hash(&slot.key) as u32;
        self.slots[number as usize] = Slot { hash, ..slot };
        self.index.insert(&mut self.slots, number);
    }

    fn leave(&mut self, number: u32) {
        self.index.remove(&mut self.slots, number);
    }
}

impl Slot {
    const FREE: Self = Self {
        key: Key { local: [0; 2], remote: [0; 2], local_port: 0, remote_port: 0 },
        hash: 0,
        next: index::NONE,
        state: State::Free,
        reuse: false,
        auto: false,
        routed: false,
    };

    fn bound(local: [u64; 2], port: u16) -> Self {
        Self { key: Key::listener(local, port), state: State::Bound, ..Self::FREE }
    }

    fn usage(&self) -> Use {
        let listening = self.state == State::Listening;
        Use { local: self.key.local, reuse: self.reuse, auto: self.auto, listening }
    }
}

impl Key {
    #[inline]
    fn of(ends: &Ends) -> Self {
        Self {
            local: halves(ends.local.0),
            remote: halves(ends.remote.0),
            local_port: ends.local.1,
            remote_port: ends.remote.1,
        }
    }

    const fn listener(local: [u64; 2], local_port: u16) -> Self {
        Self { local, remote: [0; 2], local_port, remote_port: 0 }
    }
}

const _: () = assert!(size_of::<Slot>() == 48);

fn address([high, low]: [u64; 2]) -> IpAddr {
    Ipv6Addr::from_bits(u128::from(high) << 64 | u128::from(low)).to_canonical()
}

/// The unspecified address of the same family.
const fn any_like([high, low]: [u64; 2]) -> [u64; 2] {
    [0, if high == 0 && low >> 32 == MAPPED { MAPPED << 32 } else { 0 }]
}

/// Bits 32 to 63 of an IPv4 address in the form mapped to IPv6.
const MAPPED: u64 = 0xffff;

/// 32768..=65535: those of Linux and of RFC 6335 together.
const EPHEMERAL_FIRST: u16 = 32_768;
const EPHEMERAL: u32 = 32_768;

/// Counters of chosen ports; RFC 6056 section 3.3.4 asks for 10 or more.
const TURNS: usize = 64;

/// More sockets than the connections, listeners and bound sockets of any stack: 64 MiB of slots.
const SOCKETS_MAX: u32 = 1 << 20;

/// Tells this use of the stack's random number from others.
const PURPOSE: u64 = u64::from_be_bytes(*b"tcptable");

#[cfg(test)]
mod tests;
