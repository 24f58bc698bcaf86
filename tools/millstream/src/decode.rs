//! decode: the first bytes of a message become its headers, outermost first, for people.

use etherparse::{
    ArpPacketSlice, Ethernet2HeaderSlice, Icmpv4Slice, Ipv4HeaderSlice, Ipv6HeaderSlice,
    TcpHeaderSlice, UdpHeaderSlice,
};
use millstream_core::tpi::{self, View};
use millstream_host::ctl::TracedHop;
use millstream_modules::ip::{Request, protocol};
use std::net::IpAddr;

/// What a followed message was at a hop.
pub(crate) fn describe(hop: &TracedHop) -> String {
    let bytes = unhex(&hop.bytes);
    let mut text = Headers { parts: Vec::new(), len: hop.len };
    match hop.begins.as_str() {
        "ethernet" => text.frame(&bytes),
        "packet" => text.packet(&bytes),
        "request" => text.request(&bytes),
        "primitive" => text.primitive(&bytes, hop.first_len),
        _ if hop.msg == "M_DATA" => {}
        _ => text.parts.push(hop.msg.clone()),
    }
    if text.len > 0 || text.parts.is_empty() {
        text.parts.push(format!("{} bytes", text.len));
    }
    if hop.band > 0 {
        text.parts.push(format!("band {}", hop.band));
    }
    text.parts.join(", ")
}

struct Headers {
    parts: Vec<String>,
    /// Bytes behind the headers so far, cut off or not.
    len: usize,
}

impl Headers {
    fn frame(&mut self, bytes: &[u8]) {
        let Ok(header) = Ethernet2HeaderSlice::from_slice(bytes) else { return };
        let (from, to) = (mac(header.source()), mac(header.destination()));
        self.part(format!("Ethernet {from} > {to}"), header.slice().len());
        let rest = &bytes[header.slice().len()..];
        match header.ether_type().0 {
            0x0800 | 0x86dd => self.packet(rest),
            0x0806 => self.arp(rest),
            other => self.parts.push(format!("type {other:#06x}")),
        }
    }

    fn arp(&mut self, bytes: &[u8]) {
        let Ok(arp) = ArpPacketSlice::from_slice(bytes) else { return };
        let of = |addr: &[u8]| match <[u8; 4]>::try_from(addr) {
            Ok(octets) => IpAddr::from(octets).to_string(),
            Err(_) => "another protocol".to_owned(),
        };
        let (sender, target) = (of(arp.sender_protocol_addr()), of(arp.target_protocol_addr()));
        let what = match arp.operation().0 {
            1 => format!("ARP who has {target}? tell {sender}"),
            2 => {
                let at = <[u8; 6]>::try_from(arp.sender_hw_addr()).map(mac).unwrap_or_default();
                format!("ARP {sender} is at {at}")
            }
            other => format!("ARP operation {other}"),
        };
        // What is behind it is padding of the frame.
        self.part(what, self.len);
    }

    fn packet(&mut self, bytes: &[u8]) {
        if let Ok(header) = Ipv4HeaderSlice::from_slice(bytes) {
            let (from, to) = (header.source_addr(), header.destination_addr());
            let mut what = format!("IPv4 {from} > {to} ttl {}", header.ttl());
            let offset = header.fragments_offset().byte_offset();
            if header.is_fragmenting_payload() {
                what += &format!(" fragment at {offset}");
            }
            let (len, total) = (header.slice().len(), usize::from(header.total_len()));
            // Behind the packet is padding of the frame.
            self.len = if total >= len { self.len.min(total) } else { self.len };
            self.part(what, len);
            if offset == 0 {
                self.transport(header.protocol().0, &bytes[len..]);
            }
        } else if let Ok(header) = Ipv6HeaderSlice::from_slice(bytes) {
            let (from, to) = (header.source_addr(), header.destination_addr());
            let len = header.slice().len();
            self.part(format!("IPv6 {from} > {to} hops {}", header.hop_limit()), len);
            self.transport(header.next_header().0, &bytes[len..]);
        }
    }

    fn request(&mut self, bytes: &[u8]) {
        let Some(request) = Request::decode(bytes) else { return };
        let len = millstream_modules::ip::REQUEST_LEN;
        self.part(format!("for ip: to {}", request.dst), len);
        self.transport(request.protocol, &bytes[len..]);
    }

    fn transport(&mut self, number: u8, bytes: &[u8]) {
        match number {
            protocol::UDP => {
                let Ok(udp) = UdpHeaderSlice::from_slice(bytes) else { return };
                let (from, to) = (udp.source_port(), udp.destination_port());
                self.part(format!("UDP {from} > {to}"), udp.slice().len());
            }
            protocol::TCP => {
                let Ok(tcp) = TcpHeaderSlice::from_slice(bytes) else { return };
                let (from, to) = (tcp.source_port(), tcp.destination_port());
                let flags = [
                    (tcp.syn(), "SYN"),
                    (tcp.fin(), "FIN"),
                    (tcp.rst(), "RST"),
                    (tcp.psh(), "PSH"),
                    (tcp.ack(), "ACK"),
                ];
                let set: Vec<&str> =
                    flags.into_iter().filter(|(set, _)| *set).map(|(_, name)| name).collect();
                let (seq, ack) = (tcp.sequence_number(), tcp.acknowledgment_number());
                let what = format!("TCP {from} > {to} {} seq {seq} ack {ack}", set.join("+"));
                self.part(what, tcp.slice().len());
            }
            protocol::ICMP => {
                let Ok(icmp) = Icmpv4Slice::from_slice(bytes) else { return };
                let [a, b, c, d] = icmp.bytes5to8();
                let (id, seq) = (u16::from_be_bytes([a, b]), u16::from_be_bytes([c, d]));
                let what = match (icmp.type_u8(), icmp.code_u8()) {
                    (0, _) => format!("ICMP echo reply id {id} seq {seq}"),
                    (8, _) => format!("ICMP echo request id {id} seq {seq}"),
                    (3, code) => format!("ICMP unreachable code {code}"),
                    (11, _) => "ICMP time exceeded".to_owned(),
                    (kind, code) => format!("ICMP type {kind} code {code}"),
                };
                self.part(what, 8);
            }
            protocol::IGMP => self.parts.push("IGMP".to_owned()),
            other => self.parts.push(format!("protocol {other}")),
        }
    }

    fn primitive(&mut self, bytes: &[u8], first_len: usize) {
        let first = &bytes[..first_len.min(bytes.len())];
        let Some(name) = tpi::primitive(first).and_then(tpi::name) else { return };
        let address = |bytes: &[u8]| tpi::decode_address(bytes).map(|addr| addr.to_string());
        let about = match View::new(first) {
            Err(_) => Some("(malformed)".to_owned()),
            Ok(View::UnitdataReq(view)) => address(view.dest()).map(|to| format!("to {to}")),
            Ok(View::UnitdataInd(view)) => address(view.src()).map(|from| format!("from {from}")),
            Ok(View::UderrorInd(view)) => address(view.dest()).map(|to| format!("to {to}")),
            Ok(View::BindReq(view)) => address(view.addr()),
            Ok(View::BindAck(view)) => address(view.addr()),
            Ok(_) => None,
        };
        let about = about.map(|about| format!(" {about}")).unwrap_or_default();
        self.part(format!("{name}{about}"), first_len);
    }

    fn part(&mut self, text: String, len: usize) {
        self.parts.push(text);
        self.len = self.len.saturating_sub(len);
    }
}

fn mac(octets: [u8; 6]) -> String {
    octets.map(|octet| format!("{octet:02x}")).join(":")
}

/// Bytes of hexadecimal digits, up to the first that is none.
fn unhex(text: &str) -> Vec<u8> {
    let pairs = text.as_bytes().chunks_exact(2);
    let byte = |pair: &[u8]| u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok();
    pairs.map_while(byte).collect()
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    /// A hop of a message that begins with these bytes.
    pub(crate) fn hop(begins: &str, msg: &str, bytes: &[u8]) -> TracedHop {
        TracedHop {
            stream: "tap0".to_owned(),
            node: "arp".to_owned(),
            kind: "module".to_owned(),
            pos: Some(0),
            side: "up".to_owned(),
            msg: msg.to_owned(),
            begins: begins.to_owned(),
            band: 0,
            len: bytes.len(),
            first_len: bytes.len(),
            bytes: bytes.iter().map(|byte| format!("{byte:02x}")).collect(),
            waited_ns: None,
            ran_ns: 0,
            batch: 1,
            stay: None,
            stayed_ns: 0,
        }
    }

    pub(crate) fn frame(ethertype: u16, rest: &[u8]) -> Vec<u8> {
        let mut frame = vec![2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 2];
        frame.extend(ethertype.to_be_bytes());
        frame.extend(rest);
        frame
    }

    pub(crate) fn packet(protocol: u8, rest: &[u8]) -> Vec<u8> {
        let total = (20 + rest.len()) as u8;
        let mut packet = vec![0x45, 0, 0, total, 0, 0, 0, 0, 64, protocol, 0, 0];
        packet.extend([10, 0, 0, 1, 10, 0, 0, 2]);
        packet.extend(rest);
        packet
    }

    #[test]
    fn frames_are_told_down_to_the_transport() {
        let udp = [0x9c, 0x40, 0, 7, 0, 11, 0, 0, b'a', b'b', b'c'];
        let bytes = frame(0x0800, &packet(17, &udp));
        let expected = "Ethernet 02:00:00:00:00:02 > 02:00:00:00:00:01, \
                        IPv4 10.0.0.1 > 10.0.0.2 ttl 64, UDP 40000 > 7, 3 bytes";
        assert_eq!(describe(&hop("ethernet", "M_DATA", &bytes)), expected);
        let tcp = [0, 80, 0, 9, 0, 0, 0, 5, 0, 0, 0, 6, 0x50, 0x12, 1, 0, 0, 0, 0, 0];
        let text = describe(&hop("packet", "M_DATA", &packet(6, &tcp)));
        assert_eq!(text, "IPv4 10.0.0.1 > 10.0.0.2 ttl 64, TCP 80 > 9 SYN+ACK seq 5 ack 6");
        let echo = [8, 0, 0, 0, 0, 1, 0, 2, 9];
        let text = describe(&hop("packet", "M_DATA", &packet(1, &echo)));
        assert!(text.ends_with("ICMP echo request id 1 seq 2, 1 bytes"), "{text}");
    }

    #[test]
    fn arp_says_who_asks_for_whom_and_padding_is_not_counted() {
        let mut arp = vec![0, 1, 8, 0, 6, 4, 0, 1];
        arp.extend([2, 0, 0, 0, 0, 2, 10, 0, 0, 1, 0, 0, 0, 0, 0, 0, 10, 0, 0, 2]);
        arp.extend([0; 18]);
        let text = describe(&hop("ethernet", "M_DATA", &frame(0x0806, &arp)));
        assert!(text.ends_with("ARP who has 10.0.0.2? tell 10.0.0.1"), "{text}");
    }

    #[test]
    fn primitives_and_control_are_named() {
        let to = "10.0.0.2:7".parse().unwrap();
        let primitive = tpi::Primitive::unitdata_req(to);
        let mut bytes = primitive.as_bytes().to_vec();
        let mut datagram = hop("primitive", "M_PROTO", &bytes);
        bytes.extend(*b"data");
        datagram.len = bytes.len();
        assert_eq!(describe(&datagram), "T_UNITDATA_REQ to 10.0.0.2:7, 4 bytes");
        assert_eq!(describe(&hop("other", "M_FLUSH", &[3])), "M_FLUSH, 1 bytes");
        assert_eq!(describe(&hop("other", "M_DATA", b"text")), "4 bytes");
        let request = Request::new([10, 0, 0, 2].into(), protocol::UDP).encode();
        assert_eq!(describe(&hop("request", "M_DATA", &request)), "for ip: to 10.0.0.2");
    }

    #[test]
    fn whatever_the_stack_says_of_a_message_is_told_without_a_panic() {
        let udp = [0, 1, 0, 7, 0, 8, 0, 0];
        let whole = frame(0x0800, &packet(17, &udp));
        for begins in ["ethernet", "packet", "request", "primitive", "other", "nonsense"] {
            for cut in 0..whole.len() {
                let mut hop = hop(begins, "M_DATA", &whole[..cut]);
                let _any = describe(&hop);
                hop.first_len = 1000;
                hop.bytes += "zz";
                let _any = describe(&hop);
            }
        }
    }
}
