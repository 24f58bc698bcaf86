//! Where a packet goes: to a transport here, to another link, or nowhere.

use super::frag::{self, Fit};
use super::route::{Hop, Net, can_be_a_source};
use super::view::v4;
use super::{IpDrop, Request, View};
use core::net::{IpAddr, Ipv4Addr};
use millstream_msg::{Msg, MsgFlags, Pool, PullupError, checksum};

/// What to do with a received packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Decision {
    /// For one of our addresses.
    Local,
    /// For all hosts of the link it came from.
    Broadcast,
    /// For a group: local when somebody joined it on the interface, else drop it.
    Multicast,
    /// For another host.
    Forward(Hop),
    /// For nobody.
    Drop(IpDrop),
}

/// Where a packet of ours goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Target {
    /// One of our own addresses: back up.
    Local,
    /// A host or a router on the link.
    Unicast(Ipv4Addr),
    /// All hosts of the link.
    Broadcast,
    /// A group.
    Multicast(Ipv4Addr),
}

/// The way of a packet of ours.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Path {
    /// Index of the interface.
    pub interface: u16,
    /// Whom on the link.
    pub target: Target,
    /// The source address.
    pub src: Ipv4Addr,
    /// Bytes of the largest packet.
    pub mtu: u16,
}

/// Decides on a received packet by its addresses.
///
/// # RFC
/// RFC 1122 section 3.2.1.3, RFC 1812 sections 4.2.2.11 and 5.3, RFC 2644, RFC 3927 section 7.
pub fn decide(view: &View, flags: MsgFlags, arrived: u16, net: &Net, forwarding: bool) -> Decision {
    let (Some(src), Some(dst)) = (view.src_v4(), view.dst_v4()) else {
        return Decision::Drop(IpDrop::Version);
    };
    let to_many = dst.is_broadcast() || dst.is_multicast();
    // A host without an address yet (DHCP, IGMP) may talk to its link.
    let unconfigured = src.is_unspecified() && to_many;
    if (!can_be_a_source(src) && !unconfigured) || src.is_loopback() {
        return Decision::Drop(IpDrop::MartianSource);
    }
    if net.owner(src).is_some() {
        return Decision::Drop(IpDrop::OwnSource);
    }
    if net.broadcast_of(src).is_some() {
        return Decision::Drop(IpDrop::MartianSource);
    }
    if dst.is_broadcast() {
        return Decision::Broadcast;
    }
    if dst.is_multicast() {
        return Decision::Multicast;
    }
    if dst.is_loopback() || !can_be_a_source(dst) {
        return Decision::Drop(IpDrop::MartianDestination);
    }
    if net.interface(arrived).is_some_and(|i| i.is_broadcast(dst)) {
        return Decision::Broadcast;
    }
    if flags.intersects(MsgFlags::LINK_BROADCAST.with(MsgFlags::LINK_MULTICAST)) {
        return Decision::Drop(IpDrop::LinkBroadcast);
    }
    if net.owner(dst).is_some() {
        return Decision::Local;
    }
    elsewhere(view, src, dst, net, forwarding)
}

/// A packet to a host that is not this one.
fn elsewhere(view: &View, src: Ipv4Addr, dst: Ipv4Addr, net: &Net, forwarding: bool) -> Decision {
    if !forwarding {
        return Decision::Drop(IpDrop::NotForUs);
    }
    if net.broadcast_of(dst).is_some() {
        return Decision::Drop(IpDrop::DirectedBroadcast);
    }
    if src.is_link_local() || dst.is_link_local() {
        return Decision::Drop(IpDrop::LinkLocal);
    }
    if view.ttl <= 1 {
        return Decision::Drop(IpDrop::TtlExceeded);
    }
    net.lookup(dst).map_or(Decision::Drop(IpDrop::NoRoute), Decision::Forward)
}

/// Makes a packet ready for the next link: one hop less, header checksum updated (RFC 1624).
/// `mtu` is that of the interface it leaves by.
///
/// # Shapes
/// Only the header's block is written (copied first when shared); payload is not touched.
///
/// # Errors
/// `FragNeeded` is found before anything changes, so that an ICMP error quotes what came.
pub fn prepare(msg: &mut Msg, view: &View, mtu: u16, pool: &mut Pool) -> Result<Fit, IpDrop> {
    let fit = frag::fit(msg, view, mtu)?;
    let header = match msg.make_writable(pool, view.header()) {
        Ok(header) => header,
        Err(PullupError::NoMem) => return Err(IpDrop::NoMem),
        Err(_) => return Err(IpDrop::Short),
    };
    let [_, _, _, _, _, _, _, _, ttl, protocol, c0, c1, ..] = header else {
        return Err(IpDrop::Short);
    };
    let old = u16::from_ne_bytes([*ttl, *protocol]);
    *ttl = ttl.checked_sub(1).ok_or(IpDrop::TtlExceeded)?;
    let new = u16::from_ne_bytes([*ttl, *protocol]);
    [*c0, *c1] = checksum::update(u16::from_ne_bytes([*c0, *c1]), old, new).to_ne_bytes();
    Ok(fit)
}

/// Finds the way of a packet that a transport wants to send.
pub fn resolve(request: &Request, net: &Net) -> Result<Path, IpDrop> {
    let dst = v4(request.dst).ok_or(IpDrop::BadRequest)?;
    let named_src = request.src.map(|src| v4(src).ok_or(IpDrop::BadRequest)).transpose()?;
    // RFC 1122 section 3.2.1.3: loopback stays inside; "this network" and class E are nowhere.
    let to_many = dst.is_broadcast() || dst.is_multicast();
    if dst.is_loopback() || (!to_many && !can_be_a_source(dst)) {
        return Err(IpDrop::MartianDestination);
    }
    let hop = way(request, dst, named_src, net)?;
    let interface = net.interface(hop.interface).ok_or(IpDrop::InterfaceDown)?;
    let local = net.owner(dst).is_some();
    if !interface.up && !local {
        return Err(IpDrop::InterfaceDown);
    }
    let target = if local {
        Target::Local
    } else if dst.is_multicast() {
        Target::Multicast(dst)
    } else if dst.is_broadcast() || interface.is_broadcast(dst) {
        if !request.broadcast {
            return Err(IpDrop::NotAllowed);
        }
        Target::Broadcast
    } else {
        Target::Unicast(hop.next_hop)
    };
    let src = match named_src {
        // Without an address yet (IGMP, DHCP), or one of ours: others' are not lent to anybody.
        Some(src) if src.is_unspecified() || net.owner(src).is_some() => src,
        Some(_) => return Err(IpDrop::NoSource),
        None if local => dst,
        None => interface.source_for(hop.next_hop).ok_or(IpDrop::NoSource)?,
    };
    Ok(Path { interface: hop.interface, target, src, mtu: interface.mtu })
}

/// The interface and the next hop, by the first of: the request, the route, and for packets to
/// many the source's interface or the only one there is.
fn way(request: &Request, dst: Ipv4Addr, src: Option<Ipv4Addr>, net: &Net) -> Result<Hop, IpDrop> {
    if let Some(interface) = net.owner(dst) {
        return Ok(Hop { interface, next_hop: dst });
    }
    let to_many = dst.is_broadcast() || dst.is_multicast();
    if let Some(interface) = request.interface {
        let routed = net.lookup(dst).filter(|hop| hop.interface == interface && !to_many);
        return Ok(routed.unwrap_or(Hop { interface, next_hop: dst }));
    }
    if !to_many {
        return net.lookup(dst).ok_or(IpDrop::NoRoute);
    }
    let by_source = src.and_then(|src| net.owner(src));
    let by_route = || net.lookup(dst).map(|hop| hop.interface);
    let first_up = || net.interfaces().find(|(_, i)| i.up).map(|(index, _)| index);
    let interface = by_source.or_else(by_route).or_else(first_up).ok_or(IpDrop::NoRoute)?;
    Ok(Hop { interface, next_hop: dst })
}

/// The destination on the link for a target.
pub const fn link_address(target: Target) -> crate::ether::Mac {
    match target {
        Target::Unicast(next_hop) => crate::ether::unresolved(next_hop),
        Target::Multicast(group) => crate::ether::multicast(group),
        Target::Broadcast | Target::Local => crate::ether::BROADCAST,
    }
}

/// True when `src` is one that an answer can go to: what ICMP errors and resets ask.
pub fn can_be_answered(src: IpAddr, net: &Net) -> bool {
    let Some(src) = v4(src) else { return false };
    can_be_a_source(src) && !src.is_loopback() && net.broadcast_of(src).is_none()
}

#[cfg(test)]
mod tests {
    use super::super::build;
    use super::super::route::{Interface, Route};
    use super::*;
    use etherparse::Ipv4HeaderSlice;
    use millstream_msg::PoolConfig;
    use proptest::prelude::*;

    /// 10.0.0.1/24 and 10.1.0.1/24, and a default route by 10.1.0.254.
    fn net() -> Net {
        let mut net = Net::new();
        for n in 0..2 {
            let index = net.add_interface(Interface::new(1500)).unwrap();
            net.add_address(index, [10, n, 0, 1].into(), 24).unwrap();
        }
        let gateway = Some([10, 1, 0, 254].into());
        let default = Route { network: [0; 4].into(), prefix_len: 0, gateway, interface: 1 };
        net.add_route(default).unwrap();
        net
    }

    fn view(src: [u8; 4], dst: [u8; 4], ttl: u8) -> View {
        let mut pool = Pool::new(PoolConfig::TINY);
        View::parse(packet(src, dst, ttl, &mut pool).first()).unwrap()
    }

    fn packet(src: [u8; 4], dst: [u8; 4], ttl: u8, pool: &mut Pool) -> Msg {
        let mut msg = pool.copy_from(64, &[1; 100]).unwrap();
        let request = Request { ttl, ..Request::new(dst.into(), 17) };
        build::output(&mut msg, &request, src.into(), 0, pool).unwrap();
        msg
    }

    fn decision(src: [u8; 4], dst: [u8; 4]) -> Decision {
        decide(&view(src, dst, 64), MsgFlags::empty(), 0, &net(), true)
    }

    #[test]
    fn bad_input_16_impossible_sources_are_martians() {
        let martians = [
            [224, 0, 0, 1],
            [239, 1, 2, 3],
            [255, 255, 255, 255],
            [240, 0, 0, 1],
            [127, 0, 0, 1],
            [0, 0, 0, 0],
            [0, 1, 2, 3],
            [10, 0, 0, 255],
            [10, 1, 0, 255],
            [10, 0, 0, 0],
        ];
        for src in martians {
            for dst in [[10, 0, 0, 1], [8, 8, 8, 8]] {
                assert_eq!(decision(src, dst), Decision::Drop(IpDrop::MartianSource), "{src:?}");
            }
        }
    }

    #[test]
    fn bad_input_16_land_is_dropped_for_all_our_addresses() {
        for src in [[10, 0, 0, 1], [10, 1, 0, 1]] {
            assert_eq!(decision(src, [10, 0, 0, 1]), Decision::Drop(IpDrop::OwnSource));
            assert_eq!(decision(src, [8, 8, 8, 8]), Decision::Drop(IpDrop::OwnSource));
        }
    }

    #[test]
    fn impossible_destinations_are_dropped() {
        for dst in [[127, 0, 0, 1], [0, 0, 0, 0], [240, 1, 1, 1]] {
            let reason = IpDrop::MartianDestination;
            assert_eq!(decision([10, 0, 0, 9], dst), Decision::Drop(reason));
        }
    }

    #[test]
    fn packets_to_us_to_many_and_to_others_are_told_apart() {
        let host = [10, 0, 0, 9];
        assert_eq!(decision(host, [10, 0, 0, 1]), Decision::Local);
        assert_eq!(decision(host, [10, 1, 0, 1]), Decision::Local, "weak host model");
        assert_eq!(decision(host, [255; 4]), Decision::Broadcast);
        assert_eq!(decision(host, [10, 0, 0, 255]), Decision::Broadcast);
        assert_eq!(decision([0; 4], [255; 4]), Decision::Broadcast);
        assert_eq!(decision(host, [224, 0, 0, 1]), Decision::Multicast);
        let next_hop = Ipv4Addr::new(10, 1, 0, 254);
        let hop = Hop { interface: 1, next_hop };
        assert_eq!(decision(host, [8, 8, 8, 8]), Decision::Forward(hop));
    }

    #[test]
    fn broadcast_of_another_link_is_not_forwarded_rfc2644() {
        let reason = Decision::Drop(IpDrop::DirectedBroadcast);
        assert_eq!(decision([10, 0, 0, 9], [10, 1, 0, 255]), reason);
    }

    #[test]
    fn link_local_addresses_are_not_forwarded_rfc3927_7() {
        let reason = Decision::Drop(IpDrop::LinkLocal);
        assert_eq!(decision([169, 254, 1, 1], [8, 8, 8, 8]), reason);
        assert_eq!(decision([10, 0, 0, 9], [169, 254, 1, 1]), reason);
    }

    #[test]
    fn unicast_packet_in_a_broadcast_frame_is_dropped_rfc1122_3_3_6() {
        let view = view([10, 0, 0, 9], [10, 0, 0, 1], 64);
        let decided = decide(&view, MsgFlags::LINK_BROADCAST, 0, &net(), true);
        assert_eq!(decided, Decision::Drop(IpDrop::LinkBroadcast));
    }

    #[test]
    fn host_does_not_forward_and_router_stops_at_the_last_hop() {
        let last = view([10, 0, 0, 9], [8, 8, 8, 8], 1);
        let ask = |forwarding| decide(&last, MsgFlags::empty(), 0, &net(), forwarding);
        assert_eq!(ask(false), Decision::Drop(IpDrop::NotForUs));
        assert_eq!(ask(true), Decision::Drop(IpDrop::TtlExceeded));
    }

    #[test]
    fn hop_is_counted_in_place_and_a_shared_payload_is_not_copied() {
        let mut pool = Pool::new(PoolConfig::TINY);
        let mut msg = packet([10, 0, 0, 9], [8, 8, 8, 8], 64, &mut pool);
        let before = pool.stats().copied_bytes;
        let dup = msg.dup(&mut pool).unwrap();
        let view = View::parse(msg.first()).unwrap();
        assert_eq!(prepare(&mut msg, &view, 1500, &mut pool), Ok(Fit::Whole));
        let header = Ipv4HeaderSlice::from_slice(msg.first()).unwrap();
        assert_eq!(header.ttl(), 63);
        assert_eq!(header.header_checksum(), header.to_header().calc_header_checksum());
        assert_eq!(dup.first()[8], 64);
        assert_eq!(pool.stats().copied_bytes, before);
    }

    #[test]
    fn own_packets_find_their_way_and_their_source() {
        let net = net();
        let path = |dst: [u8; 4]| resolve(&Request::new(dst.into(), 17), &net);
        let hop = path([8, 8, 8, 8]).unwrap();
        assert_eq!(hop.target, Target::Unicast(Ipv4Addr::new(10, 1, 0, 254)));
        assert_eq!((hop.interface, hop.src.octets()), (1, [10, 1, 0, 1]));
        assert_eq!(path([10, 1, 0, 1]).unwrap().target, Target::Local);
        assert_eq!(path([10, 0, 0, 255]).unwrap_err(), IpDrop::NotAllowed);
        assert_eq!(path([0, 0, 0, 0]).unwrap_err(), IpDrop::MartianDestination);
        let group = Request { interface: Some(0), ..Request::new([239, 0, 0, 1].into(), 17) };
        let path = resolve(&group, &net).unwrap();
        assert_eq!((path.interface, path.src.octets()), (0, [10, 0, 0, 1]));
        let all = Request { broadcast: true, ..Request::new([10, 0, 0, 255].into(), 17) };
        assert_eq!(resolve(&all, &net).unwrap().target, Target::Broadcast);
        let gone = Request { interface: Some(7), ..group };
        assert_eq!(resolve(&gone, &net).unwrap_err(), IpDrop::InterfaceDown);
    }

    proptest! {
        #[test]
        fn no_pair_of_addresses_panics(src: [u8; 4], dst: [u8; 4], ttl in 1_u8..) {
            let _ = decide(&view(src, dst, ttl), MsgFlags::empty(), 0, &net(), true);
            let _ = resolve(&Request::new(dst.into(), 17), &net());
        }
    }
}
