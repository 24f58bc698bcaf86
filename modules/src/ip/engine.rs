//! The state of `ip`, and what a packet from below, a packet from above or the clock does to it.

use super::forward::{self, Decision, Path, Target};
use super::frag::{self, Fit};
use super::icmp::{self, Cause, Limiter, Received, SoftError};
use super::igmp::{Groups, JoinError};
use super::reass::Reassembly;
use super::recent::{self, Recent};
use super::route::{INTERFACES_MAX, Net};
use super::{IpDrop, Request, View, build, input, options, protocol};
use crate::actions::Actions;
use crate::ether::{self, Mac};
use crate::hash::Keyed;
use alloc::vec::Vec;
use core::net::{IpAddr, Ipv4Addr};
use millstream_msg::{Msg, MsgFlags, MsgList, Pool};

/// IPv4 of a stack, host or router. Times are nanoseconds of one monotonic clock.
#[derive(Debug)]
pub struct Engine {
    /// Interfaces, addresses and routes.
    pub net: Net,
    /// Packets for other hosts go on.
    pub forwarding: bool,
    reassembly: Reassembly,
    ids: build::Identification,
    limiter: Limiter,
    groups: Groups,
    arrivals: Recent<Arrival, Decision>,
    departures: Recent<Departure, Path>,
    pub(super) out: Out,
}

/// What the last calls want done. The face empties it.
#[derive(Debug)]
pub(super) struct Out {
    /// Frames per interface.
    pub(super) frames: [MsgList; INTERFACES_MAX],
    /// Packets for transports, in order.
    pub(super) up: Vec<(Taker, Msg)>,
    /// Errors for transports.
    pub(super) errors: Vec<SoftError>,
    /// Drops, and messages that ended here.
    pub(super) act: Actions<IpDrop>,
}

/// Who takes a packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Taker {
    /// The transport of this protocol.
    Protocol(u8),
    /// Whoever sends echo requests with this identifier.
    Echo(u16),
}

/// How a packet of ours came to be output: errors about it are not sent to ourselves for ever.
const LOCAL_DEPTH: u8 = 2;

impl Engine {
    /// A host without interfaces. `hash` has the stack's random key.
    pub fn new(hash: Keyed) -> Self {
        Self {
            net: Net::new(),
            forwarding: false,
            reassembly: Reassembly::new(hash),
            ids: build::Identification::new(hash),
            limiter: Limiter::new(hash),
            groups: Groups::new(),
            arrivals: Recent::new(),
            departures: Recent::new(),
            out: Out {
                frames: [const { MsgList::new() }; INTERFACES_MAX],
                up: Vec::with_capacity(64),
                errors: Vec::new(),
                act: Actions::new(),
            },
        }
    }

    /// A frame from an interface.
    pub fn input(&mut self, mut msg: Msg, interface: u16, now: u64, random: u32, pool: &mut Pool) {
        let view = match input::receive(&mut msg, interface, pool) {
            Ok(view) => view,
            Err(reason) => return self.out.act.discard(msg, reason),
        };
        // Whom it is for comes first: what is wrong with the options is told only to those who sent
        // to us, or through us (RFC 1122 section 3.2.2).
        let flags = msg.flags();
        let decision = self.decide(&view, flags, interface);
        match decision {
            Decision::Drop(reason) => {
                let cause = Cause::of(reason, 0);
                return self.refuse(msg, &view, reason, cause, false, now, pool);
            }
            Decision::Multicast if !self.groups.is_member(interface, view.dst) => {
                return self.out.act.discard(msg, IpDrop::NotMember);
            }
            // However the frame was addressed: nobody above answers for an address of many.
            Decision::Broadcast => msg.set_flags(flags.with(MsgFlags::LINK_BROADCAST)),
            Decision::Multicast => msg.set_flags(flags.with(MsgFlags::LINK_MULTICAST)),
            Decision::Local | Decision::Forward(_) => {}
        }
        let to_many = matches!(decision, Decision::Broadcast | Decision::Multicast);
        let mut router_alert = false;
        if let Some(bytes) = msg.first().get(super::view::MIN_HEADER_LEN..view.header())
            && !bytes.is_empty()
        {
            match options::scan(bytes) {
                Ok(found) => router_alert = found.router_alert,
                Err(bad) => {
                    let cause = Cause::ParameterProblem(bad.pointer);
                    let told = (bad.reason == IpDrop::BadOption).then_some(cause);
                    return self.refuse(msg, &view, bad.reason, told, to_many, now, pool);
                }
            }
        }
        match decision {
            Decision::Forward(hop) => self.forward(msg, &view, hop, now, pool),
            _ => self.deliver(msg, &view, to_many, router_alert, now, random, pool, 0),
        }
    }

    /// The packets for transports that were left. `into` is empty, and changes place with them.
    pub fn take_up(&mut self, into: &mut Vec<(Taker, Msg)>) {
        core::mem::swap(&mut self.out.up, into);
    }

    /// The frames for an interface that were left.
    pub fn take_frames(&mut self, interface: u16) -> MsgList {
        self.out.frames.get_mut(usize::from(interface)).map(core::mem::take).unwrap_or_default()
    }

    /// Frees what was dropped, for who calls these functions without a face and counts nothing.
    pub fn forget_dropped(&mut self, pool: &mut Pool) {
        for (msg, _) in self.out.act.dropped.drain(..) {
            pool.free(msg);
        }
        self.out.errors.clear();
        self.out.act.consumed = 0;
    }

    /// A packet of a transport, behind its [`Request`].
    pub fn output(&mut self, msg: Msg, now: u64, random: u32, pool: &mut Pool) {
        self.send(msg, now, random, pool, 0);
    }

    /// A packet that a transport did not take goes back as an ICMP error (RFC 1122 4.1.3.1).
    pub fn undeliverable(&mut self, msg: Msg, now: u64, pool: &mut Pool) {
        self.return_to_sender(msg, IpDrop::NoPort, Cause::PortUnreachable, now, pool);
    }

    /// A frame of ours or of somebody whose packets are forwarded, whose next hop does not answer:
    /// the sender is told (RFC 1812 section 3.3.2); a transport here learns it as from a router.
    pub fn host_unreachable(&mut self, mut msg: Msg, now: u64, pool: &mut Pool) {
        if msg.len() < ether::HEADER_LEN {
            return self.out.act.discard(msg, IpDrop::EtherShort);
        }
        msg.trim_front(ether::HEADER_LEN);
        let Ok(view) = input::accept(&mut msg, pool) else {
            return self.out.act.discard(msg, IpDrop::Short);
        };
        if view.src_v4().is_none_or(|src| self.net.owner(src).is_none()) {
            return self.refuse(
                msg,
                &view,
                IpDrop::HostUnreachable,
                Some(Cause::HostUnreachable),
                false,
                now,
                pool,
            );
        }
        let mut transport = [0; 8];
        msg.copy_out(view.header(), &mut transport);
        self.out.errors.push(SoftError {
            reporter: view.src,
            src: view.src,
            dst: view.dst,
            protocol: view.protocol,
            cause: Cause::HostUnreachable,
            transport,
        });
        self.out.act.consume(msg, pool);
    }

    /// A packet of a protocol that nobody takes (RFC 1122 3.2.2.1).
    pub fn no_protocol(&mut self, msg: Msg, now: u64, pool: &mut Pool) {
        self.return_to_sender(msg, IpDrop::NoProtocol, Cause::ProtocolUnreachable, now, pool);
    }

    /// The interface by which a packet of a transport would leave; `None` when it would not.
    pub fn interface_for(&mut self, msg: &Msg) -> Option<u16> {
        let request = Request::decode(msg.first())?;
        let path = self.resolve(&request).ok()?;
        (path.target != Target::Local).then_some(path.interface)
    }

    /// A transport wants a group. Without an interface, that of the route to the group, or the
    /// first one.
    pub fn join(
        &mut self,
        group: IpAddr,
        interface: Option<u16>,
        now: u64,
    ) -> Result<(), JoinError> {
        let interface = self.group_interface(group, interface).ok_or(JoinError::Interface)?;
        self.groups.join(interface, group, now)
    }

    /// A transport no longer wants a group.
    pub fn leave(&mut self, group: IpAddr, interface: Option<u16>, now: u64) {
        if let Some(interface) = self.group_interface(group, interface) {
            self.groups.leave(interface, group, now);
        }
    }

    /// An interface is gone.
    pub fn remove_interface(&mut self, interface: u16) {
        self.groups.remove_interface(interface);
        self.net.remove_interface(interface);
    }

    /// When [`Engine::timer`] wants to be called.
    pub fn next_deadline(&self) -> Option<u64> {
        let deadlines = [self.reassembly.next_deadline(), self.groups.next_deadline()];
        deadlines.into_iter().flatten().min()
    }

    /// Gives up old fragments, reports groups.
    pub fn timer(&mut self, now: u64, random: u32, pool: &mut Pool) {
        let mut expired = MsgList::new();
        self.reassembly.timer(now, &mut expired, &mut self.out.act);
        for msg in expired {
            match View::parse(msg.first()) {
                Some(view) => {
                    let cause = Some(Cause::ReassemblyTimeExceeded);
                    self.refuse(msg, &view, IpDrop::FragTimeout, cause, false, now, pool);
                }
                None => self.out.act.discard(msg, IpDrop::FragTimeout),
            }
        }
        let mut reports = MsgList::new();
        self.groups.timer(now, random, &self.net, pool, &mut reports);
        for report in reports {
            self.send(report, now, random, pool, 0);
        }
    }

    /// Datagrams being reassembled, and the memory they hold in bytes.
    pub fn reassembling(&self) -> (usize, usize) {
        (self.reassembly.datagrams(), self.reassembly.truesize())
    }

    /// A packet for us, possibly a fragment.
    #[inline]
    #[expect(clippy::too_many_arguments, reason = "what came, how, when")]
    fn deliver(
        &mut self,
        msg: Msg,
        view: &View,
        to_many: bool,
        router_alert: bool,
        now: u64,
        random: u32,
        pool: &mut Pool,
        depth: u8,
    ) {
        // Nearly all.
        if !view.is_fragment() && !matches!(view.protocol, protocol::ICMP | protocol::IGMP) {
            return self.out.up.push((Taker::Protocol(view.protocol), msg));
        }
        if !view.is_fragment() {
            return self.take(msg, view, to_many, router_alert, now, random, pool, depth);
        }
        let whole = self.reassembly.input(msg, view, now, pool, &mut self.out.act);
        let Some(whole) = whole else { return };
        match View::parse(whole.first()) {
            Some(view) => {
                self.take(whole, &view, to_many, router_alert, now, random, pool, depth);
            }
            None => self.out.act.discard(whole, IpDrop::Short),
        }
    }

    /// A whole packet for us.
    #[expect(clippy::too_many_arguments, reason = "what came, how, when")]
    fn take(
        &mut self,
        msg: Msg,
        view: &View,
        to_many: bool,
        router_alert: bool,
        now: u64,
        random: u32,
        pool: &mut Pool,
        depth: u8,
    ) {
        match view.protocol {
            protocol::ICMP => self.icmp(msg, view, to_many, now, random, pool, depth),
            protocol::IGMP => {
                let (sum, interface) = (pool.sum(), msg.ctx());
                let heard =
                    self.groups.input(&msg, view, interface, router_alert, now, random, sum);
                match heard {
                    Ok(()) => self.out.act.consume(msg, pool),
                    Err(reason) => self.out.act.discard(msg, reason),
                }
            }
            other => self.out.up.push((Taker::Protocol(other), msg)),
        }
    }

    #[expect(clippy::too_many_arguments, reason = "what came, how, when")]
    fn icmp(
        &mut self,
        mut msg: Msg,
        view: &View,
        to_many: bool,
        now: u64,
        random: u32,
        pool: &mut Pool,
        depth: u8,
    ) {
        match icmp::input(&msg, view, to_many, &self.net, pool.sum()) {
            Ok(Received::EchoRequest) => match icmp::echo_reply(&mut msg, view, pool) {
                Ok(()) => self.send(msg, now, random, pool, depth + 1),
                Err(reason) => self.out.act.discard(msg, reason),
            },
            Ok(Received::EchoReply { id, .. }) => self.out.up.push((Taker::Echo(id), msg)),
            Ok(Received::Error(error)) => {
                self.out.errors.push(error);
                self.out.act.consume(msg, pool);
            }
            Err(reason) => self.out.act.discard(msg, reason),
        }
    }

    fn forward(
        &mut self,
        mut msg: Msg,
        view: &View,
        hop: super::route::Hop,
        now: u64,
        pool: &mut Pool,
    ) {
        let mtu = self.net.interface(hop.interface).map_or(0, |i| i.mtu);
        match forward::prepare(&mut msg, view, mtu, pool) {
            Ok(fit) => {
                msg.set_flags(msg.flags().without(LINK_FLAGS));
                self.leave_by(msg, fit, hop.interface, ether::unresolved(hop.next_hop), mtu, pool);
            }
            Err(reason) => {
                let cause = Cause::of(reason, mtu);
                self.refuse(msg, view, reason, cause, false, now, pool);
            }
        }
    }

    fn send(&mut self, mut msg: Msg, now: u64, random: u32, pool: &mut Pool, depth: u8) {
        let request = match Request::take(&mut msg, pool) {
            Ok(request) => request,
            Err(reason) => return self.out.act.discard(msg, reason),
        };
        let path = match self.resolve(&request) {
            Ok(path) => path,
            Err(reason) => return self.unroutable(msg, &request, reason),
        };
        let packets = msg.offload().packets(msg.len());
        let id = match request.dst {
            IpAddr::V4(dst) => self.ids.next(path.src, dst, request.protocol, packets),
            IpAddr::V6(_) => 0,
        };
        if let Err(reason) = build::output(&mut msg, &request, path.src, id, pool) {
            return self.out.act.discard(msg, reason);
        }
        let Some(view) = View::parse(msg.first()) else {
            return self.out.act.discard(msg, IpDrop::Short);
        };
        let mac = match path.target {
            Target::Local => {
                return self.loop_back(msg, view, path.interface, now, random, pool, depth);
            }
            Target::Unicast(next_hop) => ether::unresolved(next_hop),
            Target::Broadcast => ether::BROADCAST,
            Target::Multicast(group) => {
                if request.multicast_loop
                    && self.groups.is_member(path.interface, request.dst)
                    && let Ok(copy) = msg.dup(pool)
                {
                    self.loop_back(copy, view, path.interface, now, random, pool, depth);
                }
                ether::multicast(group)
            }
        };
        match frag::fit(&msg, &view, path.mtu) {
            Ok(fit) => self.leave_by(msg, fit, path.interface, mac, path.mtu, pool),
            Err(reason) => self.out.act.discard(msg, reason),
        }
    }

    /// What to do with a received packet; as the last time when one like it came lately.
    #[inline]
    fn decide(&mut self, view: &View, flags: MsgFlags, interface: u16) -> Decision {
        let arrival = Arrival {
            src: view.src,
            dst: view.dst,
            interface,
            to_many: flags.intersects(LINK_FLAGS),
            last_hop: view.ttl <= 1,
            forwarding: self.forwarding,
        };
        let (generation, place) = (self.net.generation(), recent::place(view.src, view.dst));
        self.arrivals.find(generation, place, &arrival).unwrap_or_else(|| {
            let decision = forward::decide(view, flags, interface, &self.net, self.forwarding);
            self.arrivals.keep(generation, place, arrival, decision);
            decision
        })
    }

    /// The way of a packet of ours; the last one when one like it was sent lately.
    #[inline]
    fn resolve(&mut self, request: &Request) -> Result<Path, IpDrop> {
        let Request { src, dst, broadcast, interface, .. } = *request;
        let departure = Departure { src, dst, broadcast, interface };
        let (generation, place) = (self.net.generation(), recent::place(dst, dst));
        if let Some(path) = self.departures.find(generation, place, &departure) {
            return Ok(path);
        }
        let path = forward::resolve(request, &self.net)?;
        self.departures.keep(generation, place, departure, path);
        Ok(path)
    }

    /// There is no way for a packet of ours: its sender is told.
    fn unroutable(&mut self, msg: Msg, request: &Request, reason: IpDrop) {
        let mut transport = [0; 8];
        msg.copy_out(0, &mut transport);
        let us = request.src.unwrap_or(IpAddr::V4(Ipv4Addr::UNSPECIFIED));
        let (dst, protocol) = (request.dst, request.protocol);
        if let Some(cause) = Cause::of_own(reason) {
            self.out.errors.push(SoftError {
                reporter: us,
                src: us,
                dst,
                protocol,
                cause,
                transport,
            });
        }
        self.out.act.discard(msg, reason);
    }

    /// A packet of ours for ourselves: it comes in as if the interface had received it.
    #[expect(clippy::too_many_arguments, reason = "what came, how, when")]
    fn loop_back(
        &mut self,
        mut msg: Msg,
        view: View,
        interface: u16,
        now: u64,
        random: u32,
        pool: &mut Pool,
        depth: u8,
    ) {
        if depth >= LOCAL_DEPTH {
            return self.out.act.discard(msg, IpDrop::OwnSource);
        }
        msg.set_ctx(interface);
        let to_many = view.dst.is_multicast();
        let many = if to_many { MsgFlags::LINK_MULTICAST } else { MsgFlags::empty() };
        msg.set_flags(msg.flags().with(MsgFlags::CSUM_OK).with(many));
        self.deliver(msg, &view, to_many, false, now, random, pool, depth + 1);
    }

    /// Sends a packet, whole or in fragments, to a station.
    fn leave_by(
        &mut self,
        msg: Msg,
        fit: Fit,
        interface: u16,
        mac: Mac,
        mtu: u16,
        pool: &mut Pool,
    ) {
        if fit == Fit::Whole {
            return self.link(msg, interface, mac, pool);
        }
        let mut pieces = MsgList::new();
        match frag::fragment(msg, mtu, pool, &mut pieces) {
            Ok(()) => {
                for piece in pieces {
                    self.link(piece, interface, mac, pool);
                }
            }
            Err((msg, reason)) => self.out.act.discard(msg, reason),
        }
    }

    fn link(&mut self, mut msg: Msg, interface: u16, mac: Mac, pool: &mut Pool) {
        let Some(frames) = self.out.frames.get_mut(usize::from(interface)) else {
            return self.out.act.discard(msg, IpDrop::InterfaceDown);
        };
        match build::link(&mut msg, mac, pool) {
            Ok(()) => frames.push(msg),
            Err(_) => self.out.act.discard(msg, IpDrop::NoMem),
        }
    }

    /// Drops a packet, and tells its sender when that is wanted, allowed and not too often.
    #[expect(clippy::too_many_arguments, reason = "what came, why not, when")]
    fn refuse(
        &mut self,
        msg: Msg,
        view: &View,
        reason: IpDrop,
        cause: Option<Cause>,
        to_many: bool,
        now: u64,
        pool: &mut Pool,
    ) {
        let Some(cause) = cause else { return self.out.act.discard(msg, reason) };
        if !icmp::may_send(&msg, view, to_many, &self.net) || !self.limiter.allow(view.src, now) {
            return self.out.act.discard(msg, reason);
        }
        // The drop is counted on a window of the packet; the packet itself becomes the error.
        let Ok(dropped) = msg.slice(pool, 0, 0) else { return self.out.act.discard(msg, reason) };
        self.out.act.discard(dropped, reason);
        match icmp::send(msg, view, cause, None, pool) {
            Ok(error) => self.send(error, now, 0, pool, LOCAL_DEPTH),
            Err((msg, reason)) => self.out.act.discard(msg, reason),
        }
    }

    fn return_to_sender(
        &mut self,
        msg: Msg,
        reason: IpDrop,
        cause: Cause,
        now: u64,
        pool: &mut Pool,
    ) {
        let Some(view) = View::parse(msg.first()) else {
            return self.out.act.discard(msg, IpDrop::Short);
        };
        let to_many = view.dst_v4().is_some_and(|dst| {
            dst.is_broadcast() || dst.is_multicast() || self.net.broadcast_of(dst).is_some()
        });
        self.refuse(msg, &view, reason, Some(cause), to_many, now, pool);
    }

    fn group_interface(&self, group: IpAddr, named: Option<u16>) -> Option<u16> {
        if let Some(interface) = named {
            return self.net.interface(interface).map(|_| interface);
        }
        let routed = super::view::v4(group).and_then(|g| self.net.lookup(g)).map(|h| h.interface);
        routed.or_else(|| self.net.interfaces().next().map(|(index, _)| index))
    }
}

/// What [`forward::decide`] looks at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Arrival {
    src: IpAddr,
    dst: IpAddr,
    interface: u16,
    to_many: bool,
    last_hop: bool,
    forwarding: bool,
}

/// What [`forward::resolve`] looks at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Departure {
    src: Option<IpAddr>,
    dst: IpAddr,
    broadcast: bool,
    interface: Option<u16>,
}

const LINK_FLAGS: MsgFlags = MsgFlags::LINK_BROADCAST.with(MsgFlags::LINK_MULTICAST);

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ip::route::{Interface, Route};
    use millstream_msg::PoolConfig;

    /// Sends a packet to a host beyond the subnets; the interface that it leaves by.
    fn leaves_by(engine: &mut Engine, pool: &mut Pool) -> Option<usize> {
        let mut msg = pool.copy_from(128, b"payload").unwrap();
        Request::new([192, 0, 2, 1].into(), 17).prepend(&mut msg, pool).unwrap();
        engine.output(msg, 0, 0, pool);
        let used = engine.out.frames.iter().position(|frames| !frames.is_empty())?;
        for frame in core::mem::take(&mut engine.out.frames[used]) {
            pool.free(frame);
        }
        Some(used)
    }

    #[test]
    fn a_flow_takes_a_new_way_at_once() {
        let mut pool = Pool::new(PoolConfig::TINY);
        let mut engine = Engine::new(Keyed::new(1));
        for n in 0..2 {
            let index = engine.net.add_interface(Interface::new(1500)).unwrap();
            engine.net.add_address(index, [10, n, 0, 1].into(), 16).unwrap();
        }
        let route = |prefix_len, n| Route {
            network: [192, 0, 2, 0].into(),
            prefix_len,
            gateway: Some([10, n, 0, 9].into()),
            interface: u16::from(n),
        };
        engine.net.add_route(route(24, 0)).unwrap();
        assert_eq!(leaves_by(&mut engine, &mut pool), Some(0));
        engine.net.add_route(route(28, 1)).unwrap();
        assert_eq!(leaves_by(&mut engine, &mut pool), Some(1), "a longer prefix");
        engine.net.remove_interface(1);
        assert_eq!(leaves_by(&mut engine, &mut pool), Some(0), "its interface is gone");
        engine.net.remove_interface(0);
        assert_eq!(leaves_by(&mut engine, &mut pool), None);
    }
}
