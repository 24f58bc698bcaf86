//! The state of `udp`, and what a packet or a datagram of a user does to it; what a request does
//! is in `request`.

mod options;
mod request;

pub use options::option;

use super::table::{BindError, EndpointId, Table};
use super::{UdpDrop, View, build};
use crate::actions::Actions;
use crate::ctl::Ctl;
use crate::hash::Keyed;
use crate::ip::icmp::{Cause, SoftError};
use crate::ip::{self, Request};
use crate::locals::Locals;
use alloc::vec::Vec;
use core::net::{IpAddr, SocketAddr};
use millstream_core::Errno;
use millstream_core::tpi::Primitive;
use millstream_msg::{Kind, Level, Msg, MsgFlags, MsgList, Pool};

/// UDP of a stack.
#[derive(Debug)]
pub struct Engine {
    table: Table,
    users: Vec<Option<User>>,
    /// Numbers of users that are gone, for the next ones.
    free: Vec<u32>,
    locals: Locals,
    pub(super) out: Out,
}

/// What the last calls want done. The face empties it.
#[derive(Debug)]
pub(super) struct Out {
    /// Packets and controls for `ip`.
    pub(super) down: MsgList,
    /// Messages for users, in order.
    pub(super) up: Vec<(u32, Msg)>,
    pub(super) act: Actions<UdpDrop>,
}

/// A stream above.
#[derive(Clone, Copy, Debug, Default)]
struct User {
    endpoint: Option<EndpointId>,
    /// Takes super-datagrams whole (UDP_GRO).
    super_datagrams: bool,
    broadcast: bool,
    /// Shares its address with others that do.
    reuse: bool,
    multicast_loop: bool,
    ttl: u8,
    multicast_ttl: u8,
    tos: u8,
}

impl Engine {
    /// Without users. `hash` has the stack's random key.
    pub fn new(hash: Keyed) -> Self {
        let out = Out { down: MsgList::new(), up: Vec::with_capacity(64), act: Actions::new() };
        let (users, free) = (Vec::new(), Vec::new());
        Self { table: Table::new(hash), users, free, locals: Locals::default(), out }
    }

    /// A stream above; its number.
    pub fn open(&mut self) -> u32 {
        let user = User { multicast_loop: true, ..User::default() };
        if let Some(at) = self.free.pop() {
            self.users[at as usize] = Some(user);
            return at;
        }
        self.users.push(Some(user));
        (self.users.len() - 1) as u32
    }

    /// A stream above is gone.
    pub fn close(&mut self, user: u32, pool: &mut Pool) {
        self.unbind(user, pool);
        if let Some(slot) = self.users.get_mut(user as usize)
            && slot.take().is_some()
        {
            self.free.push(user);
        }
    }

    /// The messages for users that were left, each with its user. `into` is empty, and changes
    /// place with them.
    pub fn take_up(&mut self, into: &mut Vec<(u32, Msg)>) {
        core::mem::swap(&mut self.out.up, into);
    }

    /// The packets and words for `ip` that were left.
    pub fn take_down(&mut self) -> MsgList {
        core::mem::take(&mut self.out.down)
    }

    /// A packet from `ip`.
    pub fn input(&mut self, mut msg: Msg, pool: &mut Pool) {
        let Some(packet) = ip::View::parse(msg.first()) else {
            return self.out.act.discard(msg, UdpDrop::Short);
        };
        let view = match View::parse(&msg, &packet, pool.sum()) {
            Ok(view) => view,
            Err(reason) => return self.out.act.discard(msg, reason),
        };
        let to_stations = MsgFlags::LINK_BROADCAST.with(MsgFlags::LINK_MULTICAST);
        if packet.dst.is_multicast() || msg.flags().intersects(to_stations) {
            return self.spread(msg, &packet, view, pool);
        }
        let found = self.table.lookup(packet.dst, view.dst_port, packet.src, view.src_port);
        let Some(user) = found else { return self.no_port(msg, pool) };
        view.into_payload(&mut msg);
        self.indicate(user, msg, &packet, view, true, pool);
    }

    /// An ICMP error about a datagram that was sent: the user who sent it to that peer is told.
    pub fn failed(&mut self, error: &SoftError, pool: &mut Pool) {
        let [s0, s1, d0, d1, ..] = error.transport;
        let (src_port, dst_port) = (u16::from_be_bytes([s0, s1]), u16::from_be_bytes([d0, d1]));
        let errno = match error.cause {
            Cause::PortUnreachable => Errno::ECONNREFUSED,
            Cause::PacketTooBig(_) => Errno::EMSGSIZE,
            Cause::NetUnreachable => Errno::ENETUNREACH,
            // Our own ip refuses a broadcast that the user has not asked leave for.
            Cause::Prohibited if error.reporter == error.src => Errno::EACCES,
            Cause::Prohibited | Cause::ProtocolUnreachable => Errno::ECONNREFUSED,
            _ => Errno::EHOSTUNREACH,
        };
        if let Some(user) = self.table.lookup(error.src, src_port, error.dst, dst_port) {
            self.uderror(user, SocketAddr::new(error.dst, dst_port), errno, pool);
        }
    }

    /// The host has this address.
    pub fn add_address(&mut self, address: IpAddr, prefix_len: u8) {
        self.locals.add(address, prefix_len);
    }

    /// The host no longer has this address. Who is bound to it stays so, and is not reached.
    pub fn remove_address(&mut self, address: IpAddr) {
        self.locals.remove(address);
    }

    /// Endpoints that are bound.
    pub fn endpoints(&self) -> usize {
        self.table.len()
    }

    fn user(&self, user: u32) -> Option<&User> {
        self.users.get(user as usize)?.as_ref()
    }

    /// Broadcast and multicast: every user who wants it gets a window of its own.
    fn spread(&mut self, mut msg: Msg, packet: &ip::View, view: View, pool: &mut Pool) {
        let mut takers = [0_u32; TAKERS_MAX];
        let mut count = 0;
        let (dst, src) = ((packet.dst, view.dst_port), (packet.src, view.src_port));
        self.table.deliver(dst, src, msg.ctx(), |user| {
            if let Some(place) = takers.get_mut(count) {
                *place = user;
                count += 1;
            }
        });
        let Some((last, others)) = takers[..count].split_last() else {
            return self.out.act.discard(msg, UdpDrop::NoListener);
        };
        view.into_payload(&mut msg);
        for &user in others {
            if let Ok(copy) = msg.dup(pool) {
                self.indicate(user, copy, packet, view, false, pool);
            }
        }
        self.indicate(*last, msg, packet, view, false, pool);
    }

    /// Hands the user's data up behind a T_UNITDATA_IND: the source, and for unicast as option the
    /// address it came to, which an answer gives back as its own source.
    fn indicate(
        &mut self,
        user: u32,
        data: Msg,
        packet: &ip::View,
        view: View,
        unicast: bool,
        pool: &mut Pool,
    ) {
        // Short of memory, a small datagram does not keep the cell of a frame.
        let data = if pool.level() == Level::Low { data } else { data.compacted(pool) };
        let from = SocketAddr::new(packet.src, view.src_port);
        let to = unicast.then_some(SocketAddr::new(packet.dst, view.dst_port));
        let whole = self.user(user).is_some_and(|u| u.super_datagrams);
        match view.gso_size {
            Some(size) if !whole => self.split(user, data, from, to, usize::from(size), pool),
            _ => self.push_up(user, data, from, to, pool),
        }
    }

    /// A super-datagram for a user who wants datagrams: windows on it, no copies.
    fn split(
        &mut self,
        user: u32,
        mut data: Msg,
        from: SocketAddr,
        to: Option<SocketAddr>,
        size: usize,
        pool: &mut Pool,
    ) {
        data.set_offload(millstream_msg::Offload::NONE);
        while data.len() > size {
            match data.split_off(pool, size) {
                Ok(rest) => {
                    let first = core::mem::replace(&mut data, rest);
                    self.push_up(user, first, from, to, pool);
                }
                Err(_) => return self.out.act.discard(data, UdpDrop::NoMem),
            }
        }
        self.push_up(user, data, from, to, pool);
    }

    fn push_up(
        &mut self,
        user: u32,
        data: Msg,
        from: SocketAddr,
        to: Option<SocketAddr>,
        pool: &mut Pool,
    ) {
        let mut primitive = Primitive::unitdata_ind(from);
        if let Some(to) = to {
            primitive = primitive.with_address(12, to);
        }
        let Ok(mut msg) = primitive.to_msg(Kind::Proto, pool) else {
            return self.out.act.discard(data, UdpDrop::NoMem);
        };
        msg.set_flags(data.flags());
        msg.set_offload(data.offload());
        msg.set_stamp(data.stamp());
        msg.set_ctx(data.ctx());
        msg.link(data);
        self.out.act.created += 1;
        self.out.up.push((user, msg));
    }

    /// Nobody is bound to the port: the packet goes back to `ip`, behind a word about it.
    fn no_port(&mut self, msg: Msg, pool: &mut Pool) {
        match Ctl::Undeliverable.to_msg(pool) {
            Ok(mut word) => {
                word.link(msg);
                self.out.down.push(word);
            }
            Err(_) => self.out.act.discard(msg, UdpDrop::NoPort),
        }
    }

    /// Sends a datagram of a user who is bound.
    fn send(
        &mut self,
        user: u32,
        mut data: Msg,
        to: SocketAddr,
        from: Option<IpAddr>,
        pool: &mut Pool,
    ) {
        let found = self.user(user).copied().and_then(|u| Some((u, u.endpoint?)));
        let found = found.and_then(|(u, endpoint)| Some((u, self.table.local(endpoint)?)));
        let Some((u, (local, port))) = found else {
            return self.out.act.discard(data, UdpDrop::NotBound);
        };
        let to_group = to.ip().is_multicast();
        // The address of a group is one to receive at, not to send from.
        let own = !local.is_unspecified() && !local.is_multicast();
        let request = Request {
            src: from.or(own.then_some(local)),
            ttl: if to_group { u.multicast_ttl } else { u.ttl },
            tos: u.tos,
            broadcast: u.broadcast,
            multicast_loop: u.multicast_loop,
            ..Request::new(to.ip(), ip::protocol::UDP)
        };
        let gso_size = data.offload().is_super().then_some(data.offload().gso_size);
        // Flags are those of a datagram that came in, when it is sent back.
        data.set_flags(MsgFlags::empty().with_trace(data.flags().trace()));
        match build::send(&mut data, port, to.port(), &request, gso_size, pool) {
            Ok(()) => self.out.down.push(data),
            Err(reason) => {
                self.out.act.discard(data, reason);
                let errno = if reason == UdpDrop::TooBig { Errno::EMSGSIZE } else { Errno::ENOSR };
                self.uderror(user, to, errno, pool);
            }
        }
    }

    fn bind(&mut self, user: u32, local: SocketAddr, random: u32) -> Result<EndpointId, BindError> {
        if !self.locals.may_bind(local.ip()) {
            return Err(BindError::NotLocal);
        }
        let reuse = self.user(user).is_some_and(|u| u.reuse);
        let endpoint = self.table.bind(user, local.ip(), local.port(), reuse, random)?;
        if let Some(Some(u)) = self.users.get_mut(user as usize) {
            u.endpoint = Some(endpoint);
        }
        Ok(endpoint)
    }

    fn unbind(&mut self, user: u32, pool: &mut Pool) -> bool {
        let Some(Some(u)) = self.users.get_mut(user as usize) else { return false };
        let Some(endpoint) = u.endpoint.take() else { return false };
        let down = &mut self.out.down;
        self.table.unbind(endpoint, |interface, group| {
            // Without a cell the group stays joined at the interface until it goes down.
            if let Ok(word) = Ctl::Leave(group, named(interface)).to_msg(pool) {
                down.push(word);
            }
        });
        true
    }

    /// The stream has failed: M_ERROR.
    fn fail(&mut self, user: u32, errno: Errno, pool: &mut Pool) {
        if let Ok(msg) = errno.to_msg(pool) {
            self.out.up.push((user, msg));
        }
    }
}

fn named(interface: u16) -> Option<u16> {
    Some(interface)
}

/// Users who get one datagram to many; more than that many listeners of one group on one stack
/// are not served.
const TAKERS_MAX: usize = 64;

#[cfg(test)]
mod tests;
