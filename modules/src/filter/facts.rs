//! What rules ask of a message: its headers, read once, wherever its blocks are cut.

use crate::ether::{HEADER_LEN, ethertype};
use crate::ip::{REQUEST_LEN, Request, protocol};
use core::net::IpAddr;
use etherparse::{
    Ethernet2HeaderSlice, Ipv4HeaderSlice, Ipv6HeaderSlice, SingleVlanHeaderSlice, TcpHeaderSlice,
    UdpHeaderSlice,
};
use millstream_core::Side;
use millstream_core::tpi::{self, View};
use millstream_msg::Msg;

/// What messages begin with at a place.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Link {
    /// Whole Ethernet frames.
    #[default]
    Ethernet,
    /// IP packets, and requests of transports on their way down.
    Ip,
    /// Primitives of datagrams.
    Tpi,
}

impl Link {
    /// The link of this name.
    pub fn named(name: &str) -> Option<Self> {
        [Self::Ethernet, Self::Ip, Self::Tpi].into_iter().find(|link| link.name() == name)
    }

    /// Its name.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Ethernet => "ethernet",
            Self::Ip => "ip",
            Self::Tpi => "tpi",
        }
    }
}

/// What is known of a message. What is not there, or cut, is `None`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Facts {
    /// The way it goes.
    pub side: Side,
    /// The type of the frame, behind its VLAN tags; of a packet without a frame that of its
    /// version.
    pub ethertype: Option<u16>,
    /// The packet.
    pub ip: Option<Packet>,
    /// Port of the source.
    pub sport: Option<u16>,
    /// Port of the destination.
    pub dport: Option<u16>,
    /// Flags of TCP: FIN is 1, SYN 2 and so on.
    pub flags: Option<u8>,
    /// Where the packet begins.
    pub l3: usize,
    /// Where what it carries begins.
    pub l4: usize,
}

/// What is known of a packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Packet {
    /// Source; a transport may leave it to `ip`.
    pub src: Option<IpAddr>,
    /// Destination; a datagram to a user may not tell it.
    pub dst: Option<IpAddr>,
    /// What it carries, behind the extension headers of IPv6.
    pub protocol: u8,
    /// Whether it is all there.
    pub fragment: Fragment,
}

/// Whether a packet is part of one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fragment {
    /// It is whole.
    Whole,
    /// The first part: it has the transport's header.
    First,
    /// Another part.
    Later,
}

impl Facts {
    /// Reads the headers of a message.
    pub fn of(msg: &Msg, link: Link, side: Side) -> Self {
        let mut scratch = [0; HEADERS_MAX];
        let bytes = match msg.first() {
            whole if whole.len() >= msg.len().min(HEADERS_MAX) => whole,
            _ => {
                let len = msg.copy_out(0, &mut scratch);
                &scratch[..len]
            }
        };
        Self::of_bytes(bytes, link, side)
    }

    /// Reads headers from the first bytes of a message.
    pub fn of_bytes(bytes: &[u8], link: Link, side: Side) -> Self {
        let nothing = Self {
            side,
            ethertype: None,
            ip: None,
            sport: None,
            dport: None,
            flags: None,
            l3: 0,
            l4: 0,
        };
        match link {
            Link::Ethernet => nothing.frame(bytes),
            Link::Ip if side == Side::Write => nothing.request(bytes),
            Link::Ip => nothing.packet(bytes),
            Link::Tpi => nothing.datagram(bytes),
        }
        .unwrap_or(nothing)
    }

    fn frame(mut self, bytes: &[u8]) -> Option<Self> {
        let mut kind = Ethernet2HeaderSlice::from_slice(bytes).ok()?.ether_type().0;
        self.l3 = HEADER_LEN;
        for _ in 0..TAGS_MAX {
            if !matches!(kind, ethertype::VLAN | ethertype::QINQ) {
                break;
            }
            let Ok(tag) = SingleVlanHeaderSlice::from_slice(&bytes[self.l3..]) else { break };
            kind = tag.ether_type().0;
            self.l3 += TAG_LEN;
        }
        self.ethertype = Some(kind);
        match kind {
            ethertype::IPV4 | ethertype::IPV6 => Some(self.packet(bytes).unwrap_or(self)),
            _ => Some(self),
        }
    }

    fn packet(self, bytes: &[u8]) -> Option<Self> {
        match bytes.get(self.l3)? >> 4 {
            4 => self.v4(bytes),
            6 => self.v6(bytes),
            _ => None,
        }
    }

    fn v4(mut self, bytes: &[u8]) -> Option<Self> {
        let header = Ipv4HeaderSlice::from_slice(bytes.get(self.l3..)?).ok()?;
        let (offset, more) = (header.fragments_offset().value(), header.more_fragments());
        self.ethertype = Some(ethertype::IPV4);
        self.l4 = self.l3 + header.slice().len();
        self.ip = Some(Packet {
            src: Some(header.source_addr().into()),
            dst: Some(header.destination_addr().into()),
            protocol: header.protocol().0,
            fragment: fragment(offset, more),
        });
        Some(self.transport(bytes))
    }

    fn v6(mut self, bytes: &[u8]) -> Option<Self> {
        let header = Ipv6HeaderSlice::from_slice(bytes.get(self.l3..)?).ok()?;
        self.ethertype = Some(ethertype::IPV6);
        self.l4 = self.l3 + V6_LEN;
        let (mut protocol, mut part) = (header.next_header().0, Fragment::Whole);
        for _ in 0..EXTENSIONS_MAX {
            let Some(rest) = bytes.get(self.l4..) else { break };
            let len = match (protocol, rest) {
                (HOP_BY_HOP | ROUTING | DESTINATION, [_, len, ..]) => (usize::from(*len) + 1) * 8,
                (FRAGMENT, [_, _, high, low, ..]) if part == Fragment::Whole => {
                    part = fragment(u16::from_be_bytes([*high, *low]) >> 3, low & 1 != 0);
                    8
                }
                _ => break,
            };
            protocol = rest[0];
            self.l4 += len;
            if part == Fragment::Later {
                break;
            }
        }
        self.ip = Some(Packet {
            src: Some(header.source_addr().into()),
            dst: Some(header.destination_addr().into()),
            protocol,
            fragment: part,
        });
        Some(self.transport(bytes))
    }

    /// The record that a transport puts in front of a packet.
    fn request(mut self, bytes: &[u8]) -> Option<Self> {
        let request = Request::decode(bytes)?;
        let v4 = request.dst.is_ipv4();
        self.ethertype = Some(if v4 { ethertype::IPV4 } else { ethertype::IPV6 });
        self.l4 = REQUEST_LEN;
        self.ip = Some(Packet {
            src: request.src,
            dst: Some(request.dst),
            protocol: request.protocol,
            fragment: Fragment::Whole,
        });
        Some(self.transport(bytes))
    }

    /// T_UNITDATA_IND or T_UNITDATA_REQ: the option part is our own address.
    fn datagram(mut self, bytes: &[u8]) -> Option<Self> {
        let (peer, own) = match View::new(bytes).ok()? {
            View::UnitdataInd(view) => (view.src(), view.options()),
            View::UnitdataReq(view) => (view.dest(), view.options()),
            _ => return None,
        };
        let peer = tpi::decode_address(peer)?;
        let own = tpi::decode_address(own);
        let mut ends = [Some(peer), own];
        if self.side == Side::Write {
            ends.reverse();
        }
        let v4 = peer.is_ipv4();
        self.ethertype = Some(if v4 { ethertype::IPV4 } else { ethertype::IPV6 });
        self.ip = Some(Packet {
            src: ends[0].map(|end| end.ip()),
            dst: ends[1].map(|end| end.ip()),
            protocol: protocol::UDP,
            fragment: Fragment::Whole,
        });
        [self.sport, self.dport] = ends.map(|end| end.map(|end| end.port()));
        Some(self)
    }

    fn transport(mut self, bytes: &[u8]) -> Self {
        let Some(ip) = self.ip.filter(|ip| ip.fragment != Fragment::Later) else { return self };
        let rest = bytes.get(self.l4..).unwrap_or_default();
        match ip.protocol {
            protocol::TCP => {
                if let Ok(tcp) = TcpHeaderSlice::from_slice(rest) {
                    self.sport = Some(tcp.source_port());
                    self.dport = Some(tcp.destination_port());
                    self.flags = Some(tcp.slice()[FLAGS_AT]);
                }
            }
            protocol::UDP => {
                if let Ok(udp) = UdpHeaderSlice::from_slice(rest) {
                    self.sport = Some(udp.source_port());
                    self.dport = Some(udp.destination_port());
                }
            }
            _ => {}
        }
        self
    }
}

fn fragment(offset: u16, more: bool) -> Fragment {
    match (offset, more) {
        (0, false) => Fragment::Whole,
        (0, true) => Fragment::First,
        _ => Fragment::Later,
    }
}

/// Ethernet with two tags, IPv4 and TCP with all their options, and room for extension headers.
const HEADERS_MAX: usize = 256;
const TAGS_MAX: usize = 2;
const TAG_LEN: usize = 4;
const V6_LEN: usize = 40;
/// A chain of more is nobody's honest packet (RFC 7045 lets routers give up).
const EXTENSIONS_MAX: usize = 8;
const HOP_BY_HOP: u8 = 0;
const ROUTING: u8 = 43;
const FRAGMENT: u8 = 44;
const DESTINATION: u8 = 60;
/// Byte of a TCP header that has its flags.
const FLAGS_AT: usize = 13;
