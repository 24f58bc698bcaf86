//! ip: IPv4 between the interfaces and the transports, as plain functions on plain state.
//!
//! Up: [`input::receive`] (frame to packet), [`forward::decide`], [`reass`], then the transport
//! takes the whole packet and reads it through [`View`]. Down: a transport puts a [`Request`] in
//! front, [`forward::resolve`] finds the way, [`build::output`] makes the header and
//! [`frag::fit`] says whether it leaves whole; `build::link` writes the Ethernet header.
//!
//! Addresses are `IpAddr` outside this folder; what is `Ipv4Addr` here stays here.

use crate::actions::reasons;

pub mod build;
mod engine;
pub mod forward;
pub mod frag;
pub mod icmp;
pub mod igmp;

pub mod input;
mod mux;
pub mod options;
pub mod reass;
mod recent;
pub mod request;
pub mod route;
pub mod view;

pub use engine::{Engine, Taker};
pub use mux::Ip;
pub use request::{REQUEST_LEN, Request};
pub use view::View;

/// Protocol numbers (IANA) that the stack treats itself.
pub mod protocol {
    /// ICMP (RFC 792).
    pub const ICMP: u8 = 1;
    /// IGMP (RFC 3376).
    pub const IGMP: u8 = 2;
    /// TCP (RFC 9293).
    pub const TCP: u8 = 6;
    /// UDP (RFC 768).
    pub const UDP: u8 = 17;
}

reasons! {
    /// Why `ip` dropped a packet.
    pub enum IpDrop {
        /// The frame is shorter than an Ethernet header.
        EtherShort => "ether_short",
        /// The frame has a VLAN tag.
        EtherTagged => "ether_tagged",
        /// The frame is 802.3.
        EtherLength => "ether_802_3",
        /// The frame's source is a group.
        EtherSource => "ether_group_source",
        /// The frame carries another protocol.
        EtherType => "ether_unknown_type",
        /// Shorter than its header.
        Short => "ip_short",
        /// Not version 4.
        Version => "ip_version",
        /// Header length below 20 bytes or beyond the packet.
        HeaderLength => "ip_header_length",
        /// Total length below the header's.
        TotalLength => "ip_total_length",
        /// Total length beyond what was received.
        Truncated => "ip_truncated",
        /// The header's checksum is wrong.
        Checksum => "ip_checksum",
        /// A request for segmentation or checksum that does not fit the packet.
        Offload => "ip_offload",
        /// An option's length is 0, 1 or beyond the header.
        BadOption => "ip_bad_option",
        /// A source route (RFC 7126 section 4.3).
        SourceRoute => "ip_source_route",
        /// The source is a multicast, broadcast, loopback or reserved address.
        MartianSource => "ip_martian_source",
        /// The source is one of our own addresses (land).
        OwnSource => "ip_own_source",
        /// The destination is a loopback or reserved address.
        MartianDestination => "ip_martian_destination",
        /// A unicast packet in a frame to all stations (RFC 1122 section 3.3.6).
        LinkBroadcast => "ip_link_broadcast",
        /// A broadcast of another link (RFC 2644).
        DirectedBroadcast => "ip_directed_broadcast",
        /// A group that nobody here joined.
        NotMember => "ip_not_member",
        /// For another host, and this one does not forward.
        NotForUs => "ip_not_for_us",
        /// Link-local addresses are not forwarded (RFC 3927 section 7).
        LinkLocal => "ip_link_local",
        /// No route.
        NoRoute => "ip_no_route",
        /// The interface is down or not there.
        InterfaceDown => "ip_interface_down",
        /// No source address to send with.
        NoSource => "ip_no_source",
        /// Broadcast without permission.
        NotAllowed => "ip_not_allowed",
        /// Time to live is over.
        TtlExceeded => "ip_ttl_exceeded",
        /// Too big, and must not be fragmented.
        FragNeeded => "ip_frag_needed",
        /// The MTU has no room for eight bytes behind the header.
        MtuTooSmall => "ip_mtu_too_small",
        /// More than 65,535 bytes.
        TooBig => "ip_too_big",
        /// A transport's request that does not parse.
        BadRequest => "ip_bad_request",
        /// Nobody takes the protocol.
        NoProtocol => "ip_no_protocol",
        /// The next hop does not answer.
        HostUnreachable => "ip_host_unreachable",
        /// Nobody is bound to the port.
        NoPort => "ip_no_port",
        /// No message cell was left.
        NoMem => "ip_no_mem",
        /// A fragment without data.
        FragEmpty => "frag_empty",
        /// Not the last fragment, and its length is no multiple of 8.
        FragLength => "frag_length",
        /// A fragment that ends beyond 65,535.
        FragPastEnd => "frag_past_end",
        /// A first fragment without the whole transport header, or one that could overwrite it
        /// (RFC 1858, RFC 3128).
        FragTiny => "frag_tiny",
        /// A fragment that overlaps another: the whole datagram goes (RFC 5722).
        FragOverlap => "frag_overlap",
        /// Two different ends: the whole datagram goes.
        FragEnd => "frag_end",
        /// The same fragment again.
        FragDuplicate => "frag_duplicate",
        /// Belongs to a datagram that was given up.
        FragPoisoned => "frag_poisoned",
        /// More fragments than any sane datagram has.
        FragTooMany => "frag_too_many",
        /// The oldest datagram went for lack of memory or of entries.
        FragMemory => "frag_memory",
        /// The source has its share already.
        FragSourceLimit => "frag_source_limit",
        /// The rest did not come in time.
        FragTimeout => "frag_timeout",
        /// Some fragments say "congestion experienced", others "not capable" (RFC 3168).
        FragEcn => "frag_ecn",
        /// Shorter than an ICMP header.
        IcmpShort => "icmp_short",
        /// The ICMP checksum is wrong.
        IcmpChecksum => "icmp_checksum",
        /// An echo request to many (RFC 1122 section 3.2.2.6).
        IcmpEchoBroadcast => "icmp_echo_broadcast",
        /// Redirects are ignored.
        IcmpRedirect => "icmp_redirect",
        /// A type or code that nothing is done for.
        IcmpIgnored => "icmp_ignored",
        /// The quoted packet is truncated or makes no sense.
        IcmpQuote => "icmp_quote",
        /// "Fragmentation needed" with an MTU that cannot be.
        IcmpMtu => "icmp_mtu",
        /// Shorter than an IGMP message, or than its sources.
        IgmpShort => "igmp_short",
        /// The IGMP checksum is wrong.
        IgmpChecksum => "igmp_checksum",
        /// An IGMP query that did not stay on the link, or lacks the router alert.
        IgmpForeign => "igmp_foreign",
        /// An IGMP message for a group that is none.
        IgmpGroup => "igmp_group",
        /// An IGMP message that hosts do not take.
        IgmpIgnored => "igmp_ignored",
    }
}
