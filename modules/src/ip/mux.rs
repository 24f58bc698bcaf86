//! ip as a multiplexor: interfaces below, transports above. IPv4 packets pass; see [`Engine`].
//!
//! Parameters: `forward=on|off`, `address=INTERFACE ADDR/LEN`, `route=NET/LEN via GATEWAY` or
//! `route=NET/LEN dev INTERFACE`; interfaces are numbered in the order in which they were linked.

use super::engine::{Engine, Taker};
use super::route::{Interface, NetError, Route};
use super::{IpDrop, icmp::SoftError};
use crate::ctl::Ctl;
use crate::hash::Keyed;
use crate::state;
use alloc::boxed::Box;
use alloc::format;
use alloc::vec::Vec;
use core::net::{IpAddr, Ipv4Addr};
use millstream_core::{
    Contract, Cx, Drop, Errno, Fields, Format, Invalid, LinkInfo, Lower, Marks, Mux, MuxInfo,
    Refused, State, Step, Upper,
};
use millstream_msg::{Band, Kind, Msg, MsgList};

/// The multiplexor.
#[derive(Debug)]
pub struct Ip {
    engine: Engine,
    /// By interface index.
    lowers: Vec<Option<Lower>>,
    uppers: Vec<(Upper, Option<Taker>)>,
}

const INFO: MuxInfo = MuxInfo {
    name: "ip",
    about: "IPv4 between interfaces and transports (RFC 791, RFC 1122, RFC 1812)",
    marks: Marks::RESTING,
    uwsrv: true,
    lrsrv: false,
    // An Ethernet and an IP header without options take the place of a transport's request.
    headroom: 0,
    contract: Contract::between(Format::Packets, Format::Frames),
};

/// The layout of the state that it hands over: all of it, streams and tables, with their key.
const VERSION: u32 = 1;

impl From<IpDrop> for Drop {
    fn from(reason: IpDrop) -> Self {
        Self(reason.name())
    }
}

impl Ip {
    /// Without interfaces and transports. `key` is random: peers must not know it.
    pub fn new(key: u64) -> Self {
        let engine = Engine::new(Keyed::new(key));
        Self { engine, lowers: Vec::new(), uppers: Vec::new() }
    }

    /// Sends what the engine has left: packets up, frames down, errors up, drops counted. Up comes
    /// first: what no transport takes becomes a frame.
    fn settle(&mut self, cx: &mut Cx<'_>) {
        let now = cx.now();
        while !self.engine.out.up.is_empty() {
            self.deliver(cx, now);
        }
        for index in 0..self.lowers.len() {
            if self.engine.out.frames[index].is_empty() {
                continue;
            }
            let frames = core::mem::take(&mut self.engine.out.frames[index]);
            match self.lowers[index] {
                // A link that is full loses packets, as a router's does; a transport was asked to
                // wait before it sent (`uwput`).
                Some(lower) if !cx.canput_lower(lower, Band(0)) => {
                    for frame in frames {
                        cx.discard(frame, Drop("ip_link_full"));
                    }
                }
                Some(lower) => cx.put_lower_batch(lower, frames),
                None => {
                    for frame in frames {
                        cx.discard(frame, IpDrop::InterfaceDown);
                    }
                }
            }
        }
        for error in core::mem::take(&mut self.engine.out.errors) {
            self.tell(cx, error);
        }
        for (msg, reason) in self.engine.out.act.dropped.drain(..) {
            cx.discard(msg, reason);
        }
        cx.count_consumed(u64::from(core::mem::take(&mut self.engine.out.act.consumed)));
        if let Some(at) = self.engine.next_deadline() {
            cx.timer(0, at);
        }
    }

    /// Hands packets to their transports, runs of the same one together.
    fn deliver(&mut self, cx: &mut Cx<'_>, now: u64) {
        let mut packets = core::mem::take(&mut self.engine.out.up);
        let mut run = MsgList::new();
        let mut to: Option<Upper> = None;
        for (taker, msg) in packets.drain(..) {
            match self.taker(taker) {
                Some(upper) => {
                    if to != Some(upper) {
                        if let Some(to) = to {
                            cx.put_upper_batch(to, core::mem::take(&mut run));
                        }
                        to = Some(upper);
                    }
                    run.push(msg);
                }
                None if matches!(taker, Taker::Echo(_)) => cx.discard(msg, IpDrop::IcmpIgnored),
                None => self.engine.no_protocol(msg, now, cx.pool()),
            }
        }
        if let Some(to) = to {
            cx.put_upper_batch(to, run);
        }
        // An error about a packet of ours for ourselves may have come up meanwhile.
        if self.engine.out.up.is_empty() {
            self.engine.out.up = packets;
        }
    }

    fn tell(&mut self, cx: &mut Cx<'_>, error: SoftError) {
        // Who sends echo requests is a stream head, which takes M_PROTO but no M_CTL.
        let (taker, kind) = match error.echo_id() {
            Some(id) => (Taker::Echo(id), Kind::Proto),
            None => (Taker::Protocol(error.protocol), Kind::Ctl),
        };
        let Some(upper) = self.taker(taker) else { return };
        if let Ok(mut msg) = Ctl::Failed(error).to_msg(cx.pool()) {
            msg.set_kind(kind);
            cx.put_upper(upper, msg);
        }
    }

    fn taker(&self, taker: Taker) -> Option<Upper> {
        self.uppers.iter().find(|(_, takes)| *takes == Some(taker)).map(|(upper, _)| *upper)
    }

    fn take_as(&mut self, upper: Upper, taker: Taker) {
        if let Some((_, takes)) = self.uppers.iter_mut().find(|(u, _)| u.key() == upper.key()) {
            *takes = Some(taker);
        }
    }

    fn control(&mut self, cx: &mut Cx<'_>, from: Upper, msg: Msg) {
        let now = cx.now();
        match Ctl::from_msg(&msg) {
            Some(Ctl::TakeProtocol(protocol)) => {
                self.take_as(from, Taker::Protocol(protocol));
                self.introduce(cx, from);
            }
            Some(Ctl::TakeEcho(id)) => self.take_as(from, Taker::Echo(id)),
            // A group that cannot be joined was checked by the transport; a full table is told by
            // the counter below.
            Some(Ctl::Join(group, interface)) => {
                if self.engine.join(group, interface, now).is_err() {
                    return cx.discard(msg, IpDrop::IgmpGroup);
                }
            }
            Some(Ctl::Leave(group, interface)) => self.engine.leave(group, interface, now),
            Some(Ctl::Doubt(IpAddr::V4(peer))) => self.doubt(cx, peer),
            Some(Ctl::Undeliverable) => {
                let (control, packet) = msg.unlink();
                cx.free(control);
                if let Some(packet) = packet {
                    self.engine.undeliverable(packet, now, cx.pool());
                }
                return;
            }
            _ => return cx.discard(msg, Drop::UNEXPECTED_TYPE),
        }
        cx.free(msg);
    }

    /// The next hop to a peer that does not answer is asked whether it is still there.
    fn doubt(&self, cx: &mut Cx<'_>, peer: Ipv4Addr) {
        let Some(hop) = self.engine.net.lookup(peer) else { return };
        if let Some(Some(lower)) = self.lowers.get(usize::from(hop.interface))
            && let Ok(msg) = Ctl::Doubt(hop.next_hop.into()).to_msg(cx.pool())
        {
            cx.put_lower(*lower, msg);
        }
    }

    /// True when the packet can leave now; else the interface calls back.
    fn has_room(&mut self, cx: &mut Cx<'_>, msg: &Msg) -> bool {
        let lower = match self.lowers[..] {
            // Whatever leaves, leaves by it.
            [only] => only,
            _ => self.engine.interface_for(msg).and_then(|i| *self.lowers.get(usize::from(i))?),
        };
        lower.is_none_or(|lower| cx.canput_lower(lower, Band(0)))
    }

    fn send(&mut self, cx: &mut Cx<'_>, msg: Msg) {
        let (now, random) = (cx.now(), cx.rng().next_u32());
        self.engine.output(msg, now, random, cx.pool());
    }

    /// Tells a transport the addresses of the host.
    fn introduce(&self, cx: &mut Cx<'_>, to: Upper) {
        for (_, interface) in self.engine.net.interfaces() {
            for (address, len) in interface.addresses() {
                let address = address.into();
                for word in [Ctl::AddAddress(address, len), Ctl::Mtu(address, interface.mtu)] {
                    if let Ok(msg) = word.to_msg(cx.pool()) {
                        cx.put_upper(to, msg);
                    }
                }
            }
        }
        for way in self.engine.net.routes().filter_map(|route| self.way(&route)) {
            if let Ok(msg) = way.to_msg(cx.pool()) {
                cx.put_upper(to, msg);
            }
        }
    }

    /// What a transport is told of a route: the address that packets leave with.
    fn way(&self, route: &Route) -> Option<Ctl> {
        let interface = self.engine.net.interface(route.interface)?;
        let (source, _) = interface.addresses().next()?;
        Some(Ctl::Way(route.network, route.prefix_len, source.into()))
    }

    /// Tells all transports of an address that has come or gone.
    fn announce(&self, cx: &mut Cx<'_>, change: Ctl) {
        for (upper, takes) in &self.uppers {
            if matches!(takes, Some(Taker::Protocol(_)))
                && let Ok(msg) = change.to_msg(cx.pool())
            {
                cx.put_upper(*upper, msg);
            }
        }
    }

    fn tell_addresses(&self, cx: &mut Cx<'_>, index: u16) {
        let Some(Some(lower)) = self.lowers.get(usize::from(index)) else { return };
        let Some(interface) = self.engine.net.interface(index) else { return };
        for (address, len) in interface.addresses() {
            if let Ok(msg) = Ctl::AddAddress(address.into(), len).to_msg(cx.pool()) {
                cx.put_lower(*lower, msg);
            }
        }
    }

    fn add_address(&mut self, cx: &mut Cx<'_>, value: &str) -> Result<(), Invalid> {
        const WANT: &str =
            "an interface number, and an address with its prefix length: 0 10.0.0.2/24";
        let bad = || Invalid::value("address", value, WANT);
        let (index, prefix) = value.split_once(' ').ok_or_else(bad)?;
        let index: u16 = index.parse().map_err(|_| bad())?;
        let (address, len) = parse_prefix(prefix).ok_or_else(bad)?;
        self.engine
            .net
            .add_address(index, address, len)
            .map_err(|e| refused("address", value, e))?;
        if let Some(Some(lower)) = self.lowers.get(usize::from(index))
            && let Ok(msg) = Ctl::AddAddress(address, len).to_msg(cx.pool())
        {
            cx.put_lower(*lower, msg);
        }
        self.announce(cx, Ctl::AddAddress(address, len));
        if let Some(interface) = self.engine.net.interface(index) {
            self.announce(cx, Ctl::Mtu(address, interface.mtu));
        }
        Ok(())
    }

    fn add_route(&mut self, cx: &mut Cx<'_>, value: &str) -> Result<(), Invalid> {
        const WANT: &str = "NET/LEN via GATEWAY, or NET/LEN dev INTERFACE";
        let bad = || Invalid::value("route", value, WANT);
        let mut words = value.split_whitespace();
        let (network, prefix_len) = words.next().and_then(parse_prefix).ok_or_else(bad)?;
        let (how, what) = (words.next().ok_or_else(bad)?, words.next().ok_or_else(bad)?);
        let (gateway, interface) = match how {
            "via" => {
                let gateway: IpAddr = what.parse().map_err(|_| bad())?;
                let IpAddr::V4(hop) = gateway else { return Err(bad()) };
                let hop = self.engine.net.lookup(hop).ok_or_else(|| {
                    Invalid::value("route", value, "the gateway is on no interface's subnet")
                })?;
                (Some(gateway), hop.interface)
            }
            "dev" => (None, what.parse().map_err(|_| bad())?),
            _ => return Err(bad()),
        };
        let route = Route { network, prefix_len, gateway, interface };
        self.engine.net.add_route(route).map_err(|e| refused("route", value, e))?;
        if let Some(way) = self.way(&route) {
            self.announce(cx, way);
        }
        Ok(())
    }
}

impl Mux for Ip {
    fn info(&self) -> &'static MuxInfo {
        &INFO
    }

    fn uopen(&mut self, _cx: &mut Cx<'_>, upper: Upper) -> Result<Step, Errno> {
        self.uppers.push((upper, None));
        Ok(Step::Done)
    }

    fn uclose(&mut self, _cx: &mut Cx<'_>, upper: Upper) -> Step {
        self.uppers.retain(|(u, _)| u.key() != upper.key());
        Step::Done
    }

    fn link(&mut self, cx: &mut Cx<'_>, lower: Lower, info: LinkInfo) -> Result<(), Errno> {
        // IP needs a device of a known size below.
        let caps = info.caps.ok_or(Errno::EINVAL)?;
        let interface = Interface::new(caps.mtu);
        let index = self.engine.net.add_interface(interface).map_err(|_| Errno::ENOSPC)?;
        let place = usize::from(index);
        if self.lowers.len() <= place {
            self.lowers.resize(place + 1, None);
        }
        let mut lower = lower;
        lower.cookie = u64::from(index);
        self.lowers[place] = Some(lower);
        cx.set_lower_cookie(lower, u64::from(index));
        Ok(())
    }

    fn unlink(&mut self, cx: &mut Cx<'_>, lower: Lower) {
        let index = lower.cookie as u16;
        let gone: Vec<_> = self
            .engine
            .net
            .interface(index)
            .map(|interface| interface.addresses().collect())
            .unwrap_or_default();
        self.engine.remove_interface(index);
        for (address, _) in gone {
            if self.engine.net.owner(address).is_none() {
                self.announce(cx, Ctl::RemoveAddress(address.into()));
            }
        }
        if let Some(slot) = self.lowers.get_mut(lower.cookie as usize) {
            *slot = None;
        }
        self.settle(cx);
    }

    fn uwput(&mut self, cx: &mut Cx<'_>, from: Upper, msg: Msg) {
        match msg.kind() {
            Kind::Data if cx.upper_len(from) > 0 || !self.has_room(cx, &msg) => {
                return cx.putq_upper(from, msg);
            }
            Kind::Data => self.send(cx, msg),
            Kind::Ctl => self.control(cx, from, msg),
            Kind::Ioctl | Kind::IocData => cx.unknown_ioctl(from, msg),
            Kind::Flush => cx.turn_flush_upper(from, msg),
            _ => cx.discard(msg, Drop::UNEXPECTED_TYPE),
        }
        self.settle(cx);
    }

    fn uwput_batch(&mut self, cx: &mut Cx<'_>, from: Upper, batch: MsgList) {
        // The interfaces are asked once for the batch: it was admitted as a whole.
        let ready = cx.upper_len(from) == 0
            && batch.front().is_some_and(|m| m.kind() == Kind::Data && self.has_room(cx, m));
        for msg in batch {
            match msg.kind() {
                Kind::Data if !ready => cx.putq_upper(from, msg),
                Kind::Data => self.send(cx, msg),
                Kind::Ctl => self.control(cx, from, msg),
                Kind::Ioctl | Kind::IocData => cx.unknown_ioctl(from, msg),
                Kind::Flush => cx.turn_flush_upper(from, msg),
                _ => cx.discard(msg, Drop::UNEXPECTED_TYPE),
            }
        }
        self.settle(cx);
        if !ready {
            cx.qenable_upper(from);
        }
    }

    fn uwsrv(&mut self, cx: &mut Cx<'_>, upper: Upper) {
        while let Some(msg) = cx.getq_upper(upper) {
            if !self.has_room(cx, &msg) {
                cx.putbq_upper(upper, msg);
                break;
            }
            self.send(cx, msg);
            self.settle(cx);
        }
    }

    fn lower_relieved(&mut self, cx: &mut Cx<'_>, _lower: Lower) {
        for (upper, _) in &self.uppers {
            cx.qenable_upper(*upper);
        }
    }

    fn lrput(&mut self, cx: &mut Cx<'_>, from: Lower, msg: Msg) {
        let mut one = MsgList::new();
        one.push(msg);
        self.lrput_batch(cx, from, one);
    }

    fn lrput_batch(&mut self, cx: &mut Cx<'_>, from: Lower, batch: MsgList) {
        let (now, index) = (cx.now(), from.cookie as u16);
        for msg in batch {
            match msg.kind() {
                Kind::Data => {
                    let random = cx.rng().next_u32();
                    self.engine.input(msg, index, now, random, cx.pool());
                }
                Kind::Ctl if Ctl::from_msg(&msg) == Some(Ctl::WhichAddresses) => {
                    self.tell_addresses(cx, index);
                    cx.free(msg);
                }
                Kind::Ctl if Ctl::from_msg(&msg) == Some(Ctl::HostUnreachable) => {
                    let (word, frame) = msg.unlink();
                    cx.free(word);
                    if let Some(frame) = frame {
                        self.engine.host_unreachable(frame, now, cx.pool());
                    }
                }
                Kind::Flush => cx.turn_flush_lower(from, msg),
                Kind::Hangup => {
                    // Routes by the interface lose their effect; the others go on (H8).
                    if let Some(interface) = self.engine.net.interface_mut(index) {
                        interface.up = false;
                    }
                    cx.free(msg);
                }
                _ => cx.discard(msg, Drop::UNEXPECTED_TYPE),
            }
        }
        self.settle(cx);
    }

    fn timer(&mut self, cx: &mut Cx<'_>, _token: u64) {
        let (now, random) = (cx.now(), cx.rng().next_u32());
        self.engine.timer(now, random, cx.pool());
        self.settle(cx);
    }

    fn set(&mut self, cx: &mut Cx<'_>, key: &str, value: &str) -> Result<(), Invalid> {
        match (key, value) {
            ("forward", "on") => self.engine.forwarding = true,
            ("forward", "off") => self.engine.forwarding = false,
            ("forward", _) => return Err(Invalid::value(key, value, "on or off")),
            ("address", _) => return self.add_address(cx, value),
            ("route", _) => return self.add_route(cx, value),
            _ => return Err(Invalid::unknown(key)),
        }
        Ok(())
    }

    fn export(&mut self) -> Option<State> {
        let value = Box::new(core::mem::replace(self, Self::new(0)));
        Some(State { name: INFO.name, version: VERSION, value })
    }

    fn import(&mut self, state: State) -> Result<(), Refused> {
        *self = state::take(state, INFO.name, VERSION)?;
        Ok(())
    }

    fn show(&self, fields: &mut Fields) {
        let on = if self.engine.forwarding { "on" } else { "off" };
        fields.text("forward", on);
        for (index, interface) in self.engine.net.interfaces() {
            for (address, len) in interface.addresses() {
                fields.item("address", format!("{index} {address}/{len}"));
            }
        }
        for route in self.engine.net.routes() {
            let to = format!("{}/{}", route.network, route.prefix_len);
            fields.item(
                "route",
                match route.gateway {
                    Some(gateway) => format!("{to} via {gateway}"),
                    None => format!("{to} dev {}", route.interface),
                },
            );
        }
        let (datagrams, bytes) = self.engine.reassembling();
        fields.count("reassembling", datagrams as u64);
        fields.count("reassembly_bytes", bytes as u64);
    }
}

fn parse_prefix(text: &str) -> Option<(IpAddr, u8)> {
    let (address, len) = text.split_once('/')?;
    let (address, len): (IpAddr, u8) = (address.parse().ok()?, len.parse().ok()?);
    (len <= if address.is_ipv4() { 32 } else { 128 }).then_some((address, len))
}

fn refused(key: &str, value: &str, why: NetError) -> Invalid {
    Invalid::value(
        key,
        value,
        match why {
            NetError::Full => "the table is full",
            NetError::Family => "IPv4 only",
            NetError::PrefixLength => "a prefix has at most 32 bits",
            NetError::Interface => "no such interface",
            NetError::NotAHost => "no host can have this address",
            NetError::Mtu => "the MTU is below 68",
        },
    )
}
