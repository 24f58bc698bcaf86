//! decode: an Ethernet frame becomes one line for people: stations, addresses, ports, and what is
//! asked or answered.
//!
//! Only headers are read; what is cut off, or not known here, is said and ends the line.

use core::fmt::{Display, Formatter, Result};
use core::net::{IpAddr, Ipv4Addr, SocketAddr};
use etherparse::{
    ArpOperation, ArpPacketSlice, Ethernet2HeaderSlice, Icmpv4Slice, Icmpv4Type, IpNumber,
    Ipv4HeaderSlice, Ipv6HeaderSlice, TcpHeaderSlice, UdpHeaderSlice, icmpv4,
};

/// The frame whose first bytes these are, as text. [`HEADERS_MAX`] of them are enough.
///
/// ```
/// use millstream_modules::decode::Line;
/// let mut frame = vec![0xff; 14];
/// frame[12..].copy_from_slice(&[0x88, 0xb5]);
/// let text = Line(&frame).to_string();
/// assert_eq!(text, "ff:ff:ff:ff:ff:ff > ff:ff:ff:ff:ff:ff type 0x88b5");
/// ```
#[derive(Clone, Copy, Debug)]
pub struct Line<'a>(pub &'a [u8]);

/// Bytes of the headers of Ethernet, IPv4 with options, and TCP with options.
pub const HEADERS_MAX: usize = 14 + 60 + 60;

impl Display for Line<'_> {
    fn fmt(&self, f: &mut Formatter<'_>) -> Result {
        let Ok(ether) = Ethernet2HeaderSlice::from_slice(self.0) else {
            return write!(f, "{} bytes, no frame", self.0.len());
        };
        station(f, ether.source())?;
        f.write_str(" > ")?;
        station(f, ether.destination())?;
        let packet = &self.0[ether.slice().len()..];
        match ether.ether_type().0 {
            0x0800 => ipv4(f, packet),
            0x0806 => arp(f, packet),
            0x86dd => ipv6(f, packet),
            length @ ..0x0600 => write!(f, " 802.3, {length} bytes"),
            kind => write!(f, " type {kind:#06x}"),
        }
    }
}

fn station(f: &mut Formatter<'_>, mac: [u8; 6]) -> Result {
    let [a, b, c, d, e, g] = mac;
    write!(f, "{a:02x}:{b:02x}:{c:02x}:{d:02x}:{e:02x}:{g:02x}")
}

fn arp(f: &mut Formatter<'_>, bytes: &[u8]) -> Result {
    let Ok(arp) = ArpPacketSlice::from_slice(bytes) else { return f.write_str(" ARP, cut off") };
    let address = |bytes: &[u8]| bytes.first_chunk().map(|octets| Ipv4Addr::from(*octets));
    let (sender, target) =
        (address(arp.sender_protocol_addr()), address(arp.target_protocol_addr()));
    let (Some(sender), Some(target)) = (sender, target) else { return f.write_str(" ARP") };
    match arp.operation() {
        ArpOperation::REQUEST => write!(f, " ARP who has {target}? tell {sender}"),
        ArpOperation::REPLY => write!(f, " ARP {sender} is here"),
        other => write!(f, " ARP operation {}", other.0),
    }
}

fn ipv4(f: &mut Formatter<'_>, bytes: &[u8]) -> Result {
    let Ok(ip) = Ipv4HeaderSlice::from_slice(bytes) else { return f.write_str(" IPv4, cut off") };
    let ends = Ends(ip.source_addr().into(), ip.destination_addr().into());
    let offset = ip.fragments_offset().byte_offset();
    if ip.is_fragmenting_payload() {
        let end = if ip.more_fragments() { "" } else { ", the last" };
        let (id, protocol) = (ip.identification(), ip.protocol().0);
        ends.write(f, None)?;
        return write!(f, " IPv4 fragment of {id} at {offset}{end}, protocol {protocol}");
    }
    let header = ip.slice().len();
    let payload_len = usize::from(ip.total_len()).saturating_sub(header);
    transport(f, ends, ip.protocol(), &bytes[header..], payload_len)
}

fn ipv6(f: &mut Formatter<'_>, bytes: &[u8]) -> Result {
    let Ok(ip) = Ipv6HeaderSlice::from_slice(bytes) else { return f.write_str(" IPv6, cut off") };
    let addresses = (ip.source_addr(), ip.destination_addr());
    let ends = Ends(addresses.0.into(), addresses.1.into());
    let payload_len = usize::from(ip.payload_length());
    transport(f, ends, ip.next_header(), &bytes[ip.slice().len()..], payload_len)
}

/// Who sends to whom.
#[derive(Clone, Copy)]
struct Ends(IpAddr, IpAddr);

impl Ends {
    fn write(self, f: &mut Formatter<'_>, ports: Option<(u16, u16)>) -> Result {
        let Self(from, to) = self;
        match ports {
            None => write!(f, " {from} > {to}"),
            Some((from_port, to_port)) => {
                let (from, to) = (SocketAddr::new(from, from_port), SocketAddr::new(to, to_port));
                write!(f, " {from} > {to}")
            }
        }
    }
}

fn transport(
    f: &mut Formatter<'_>,
    ends: Ends,
    protocol: IpNumber,
    bytes: &[u8],
    len: usize,
) -> Result {
    match protocol {
        IpNumber::UDP => match UdpHeaderSlice::from_slice(bytes) {
            Ok(udp) => {
                ends.write(f, Some((udp.source_port(), udp.destination_port())))?;
                write!(f, " UDP {} bytes", len.saturating_sub(8))
            }
            Err(_) => cut_off(f, ends, "UDP"),
        },
        IpNumber::TCP => match TcpHeaderSlice::from_slice(bytes) {
            Ok(tcp) => {
                ends.write(f, Some((tcp.source_port(), tcp.destination_port())))?;
                tcp_rest(f, &tcp, len)
            }
            Err(_) => cut_off(f, ends, "TCP"),
        },
        IpNumber::ICMP => match Icmpv4Slice::from_slice(bytes) {
            Ok(icmp) => {
                ends.write(f, None)?;
                icmp_rest(f, &icmp, len)
            }
            Err(_) => cut_off(f, ends, "ICMP"),
        },
        other => {
            ends.write(f, None)?;
            match other.keyword_str() {
                Some(name) => write!(f, " {name} {len} bytes"),
                None => write!(f, " protocol {} {len} bytes", other.0),
            }
        }
    }
}

fn cut_off(f: &mut Formatter<'_>, ends: Ends, name: &str) -> Result {
    ends.write(f, None)?;
    write!(f, " {name}, cut off")
}

fn tcp_rest(f: &mut Formatter<'_>, tcp: &TcpHeaderSlice<'_>, len: usize) -> Result {
    f.write_str(" TCP")?;
    let flags = [
        (tcp.syn(), " SYN"),
        (tcp.fin(), " FIN"),
        (tcp.rst(), " RST"),
        (tcp.psh(), " PSH"),
        (tcp.ack(), " ACK"),
        (tcp.ece(), " ECE"),
        (tcp.cwr(), " CWR"),
    ];
    for (_, name) in flags.into_iter().filter(|(on, _)| *on) {
        f.write_str(name)?;
    }
    write!(f, " seq {}", tcp.sequence_number())?;
    if tcp.ack() {
        write!(f, " ack {}", tcp.acknowledgment_number())?;
    }
    let payload = len.saturating_sub(tcp.slice().len());
    write!(f, " window {} {payload} bytes", tcp.window_size())
}

fn icmp_rest(f: &mut Formatter<'_>, icmp: &Icmpv4Slice<'_>, len: usize) -> Result {
    let bytes = len.saturating_sub(8);
    match icmp.icmp_type() {
        Icmpv4Type::EchoRequest(echo) => {
            write!(f, " ICMP echo request {} seq {} {bytes} bytes", echo.id, echo.seq)
        }
        Icmpv4Type::EchoReply(echo) => {
            write!(f, " ICMP echo reply {} seq {} {bytes} bytes", echo.id, echo.seq)
        }
        Icmpv4Type::DestinationUnreachable(why) => match why {
            icmpv4::DestUnreachableHeader::FragmentationNeeded { next_hop_mtu } => {
                write!(f, " ICMP too long, the next hop takes {next_hop_mtu} bytes")
            }
            _ => write!(f, " ICMP unreachable, code {}", icmp.code_u8()),
        },
        Icmpv4Type::TimeExceeded(_) => f.write_str(" ICMP time exceeded"),
        _ => write!(f, " ICMP type {} code {}", icmp.type_u8(), icmp.code_u8()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::string::{String, ToString};
    use alloc::vec::Vec;
    use etherparse::{Icmpv4Header, Ipv4Header, Ipv6FlowLabel, Ipv6Header, TcpHeader, UdpHeader};

    const A: [u8; 4] = [10, 9, 0, 1];
    const B: [u8; 4] = [10, 9, 0, 2];

    fn frame(ethertype: [u8; 2], parts: &[&[u8]]) -> Vec<u8> {
        let mut bytes = alloc::vec![2, 0, 0, 0, 0, 2, 2, 0, 0, 0, 0, 1];
        bytes.extend(ethertype);
        parts.iter().for_each(|part| bytes.extend(*part));
        bytes
    }

    /// An IPv4 packet with this header behind its own, and so many bytes.
    fn packet(protocol: IpNumber, header: &[u8], payload: u16) -> Vec<u8> {
        let len = header.len() as u16 + payload;
        let ip = Ipv4Header::new(len, 64, protocol, A, B).unwrap().to_bytes();
        frame([8, 0], &[&ip, header, &alloc::vec![0; payload.into()]])
    }

    fn udp(payload: u16) -> Vec<u8> {
        let (source_port, destination_port, length) = (5000, 7, 8 + payload);
        let udp = UdpHeader { source_port, destination_port, length, checksum: 0 };
        packet(IpNumber::UDP, &udp.to_bytes(), payload)
    }

    fn tcp() -> Vec<u8> {
        let mut tcp = TcpHeader::new(80, 4000, 7, 512);
        (tcp.syn, tcp.ack, tcp.acknowledgment_number) = (true, true, 9);
        packet(IpNumber::TCP, &tcp.to_bytes(), 3)
    }

    fn text(bytes: &[u8]) -> String {
        let text = Line(bytes).to_string();
        let stations = "02:00:00:00:00:01 > 02:00:00:00:00:02 ";
        text.strip_prefix(stations).map(String::from).unwrap_or(text)
    }

    #[test]
    fn datagrams_segments_and_echoes_say_who_and_what() {
        assert_eq!(text(&udp(64)), "10.9.0.1:5000 > 10.9.0.2:7 UDP 64 bytes");
        let expected = "10.9.0.1:80 > 10.9.0.2:4000 TCP SYN ACK seq 7 ack 9 window 512 3 bytes";
        assert_eq!(text(&tcp()), expected);
        let echo = Icmpv4Type::EchoRequest(etherparse::IcmpEchoHeader { id: 3, seq: 4 });
        let ping = packet(IpNumber::ICMP, &Icmpv4Header::new(echo).to_bytes(), 56);
        assert_eq!(text(&ping), "10.9.0.1 > 10.9.0.2 ICMP echo request 3 seq 4 56 bytes");
        let ip = Ipv6Header {
            traffic_class: 0,
            flow_label: Ipv6FlowLabel::ZERO,
            payload_length: 13,
            next_header: IpNumber::UDP,
            hop_limit: 64,
            source: [0; 16],
            destination: [0; 16],
        };
        let six = frame([0x86, 0xdd], &[&ip.to_bytes(), &[0, 1, 0, 2, 0, 13, 0, 0], &[0; 5]]);
        assert_eq!(text(&six), "[::]:1 > [::]:2 UDP 5 bytes");
    }

    #[test]
    fn arp_asks_and_answers() {
        let mut frame = [0; 42];
        frame[12..22].copy_from_slice(&[8, 6, 0, 1, 8, 0, 6, 4, 0, 1]);
        frame[28..32].copy_from_slice(&A);
        frame[38..42].copy_from_slice(&B);
        assert!(text(&frame).ends_with(" ARP who has 10.9.0.2? tell 10.9.0.1"));
        frame[21] = 2;
        assert!(text(&frame).ends_with(" ARP 10.9.0.1 is here"));
    }

    #[test]
    fn frames_cut_off_anywhere_or_of_noise_are_lines_too() {
        let frame = tcp();
        for length in 0..frame.len() {
            let line = Line(&frame[..length]).to_string();
            assert!(!line.is_empty() && !line.contains('\n'));
            assert!(length >= 54 || line.contains("cut off") || line.contains("no frame"));
        }
        let mut noise = millstream_core::Rng::new(7);
        for _ in 0..2000 {
            let mut bytes = [0; HEADERS_MAX];
            bytes.fill_with(|| noise.next_u64() as u8);
            for kind in [[8, 0], [8, 6], [0x86, 0xdd]] {
                bytes[12..14].copy_from_slice(&kind);
                assert!(!Line(&bytes).to_string().contains('\n'));
            }
        }
    }

    #[test]
    fn fragments_name_their_packet_and_place() {
        let mut frame = udp(64);
        frame[18..22].copy_from_slice(&[0, 9, 0, 185]);
        let expected = "10.9.0.1 > 10.9.0.2 IPv4 fragment of 9 at 1480, the last, protocol 17";
        assert_eq!(text(&frame), expected);
    }
}
