//! Packets as bytes: built by hand for the peer, read by an independent parser from the host.

use super::seg::{ACK, CWR, ECE, FIN, PSH, RST, SYN, URG};
use etherparse::{Ipv4HeaderSlice, TcpOptionElement, TcpSlice};
use std::net::{IpAddr, Ipv4Addr, SocketAddr};

/// What the peer puts on the wire.
#[derive(Clone, Debug)]
pub(crate) struct Packet {
    pub src: SocketAddr,
    pub dst: SocketAddr,
    pub tos: u8,
    pub ip_options: Vec<u8>,
    pub seq: u32,
    pub ack: u32,
    pub flags: u8,
    pub window: u16,
    pub urgent: u16,
    pub options: Vec<u8>,
    pub data_offset: Option<u8>,
    pub data: Vec<u8>,
    pub bad_sum: bool,
}

impl Packet {
    pub(crate) fn to_bytes(&self) -> Vec<u8> {
        let mut options = self.options.clone();
        // Zeros, that is the end of the list, as RFC 9293 has it.
        options.resize(options.len().next_multiple_of(4), 0);
        let words = self.data_offset.unwrap_or((5 + options.len() / 4) as u8);
        let mut tcp = Vec::new();
        tcp.extend(self.src.port().to_be_bytes());
        tcp.extend(self.dst.port().to_be_bytes());
        tcp.extend(self.seq.to_be_bytes());
        tcp.extend(self.ack.to_be_bytes());
        tcp.extend([words << 4, self.flags]);
        tcp.extend(self.window.to_be_bytes());
        tcp.extend([0, 0]);
        tcp.extend(self.urgent.to_be_bytes());
        tcp.extend(&options);
        tcp.extend(&self.data);
        let (src, dst) = (octets(self.src), octets(self.dst));
        let len = (tcp.len() as u16).to_be_bytes();
        let pseudo = [&src[..], &dst, &[0, 6], &len].concat();
        let sum = !checksum(&[pseudo, tcp.clone()].concat()) ^ u16::from(self.bad_sum);
        tcp[16..18].copy_from_slice(&sum.to_be_bytes());
        let mut ip_options = self.ip_options.clone();
        ip_options.resize(ip_options.len().next_multiple_of(4), 0);
        let header = 20 + ip_options.len();
        let total = ((header + tcp.len()) as u16).to_be_bytes();
        let mut ip = vec![0x40 | (header / 4) as u8, self.tos, total[0], total[1]];
        ip.extend([0, 1, 0x40, 0, 64, 6, 0, 0]);
        ip.extend(src);
        ip.extend(dst);
        ip.extend(ip_options);
        let sum = !checksum(&ip);
        ip[10..12].copy_from_slice(&sum.to_be_bytes());
        ip.extend(tcp);
        ip
    }
}

fn octets(addr: SocketAddr) -> [u8; 4] {
    match addr.ip() {
        IpAddr::V4(v4) => v4.octets(),
        IpAddr::V6(_) => panic!("this peer speaks IPv4"),
    }
}

/// The sum of RFC 1071, not inverted.
fn checksum(bytes: &[u8]) -> u16 {
    let mut sum = 0_u32;
    for pair in bytes.chunks(2) {
        sum += u32::from(u16::from_be_bytes([pair[0], *pair.get(1).unwrap_or(&0)]));
        sum = (sum & 0xffff) + (sum >> 16);
    }
    sum as u16
}

/// A segment of the host, as it was read.
#[derive(Clone, Debug)]
pub(crate) struct Sent {
    /// When, in nanoseconds.
    pub at: u64,
    pub src: SocketAddr,
    pub dst: SocketAddr,
    pub tos: u8,
    pub ttl: u8,
    pub dont_fragment: bool,
    pub flags: u8,
    /// As it stands in the header; see [`Sent::seq`].
    pub raw_seq: u32,
    pub raw_ack: u32,
    /// Counted from the host's SYN.
    pub seq: u32,
    /// Counted from the peer's SYN.
    pub ack: u32,
    pub window: u16,
    pub urgent: u16,
    pub mss: Option<u16>,
    pub wscale: Option<u8>,
    pub sack_ok: bool,
    /// As they stand; relative when the peer is known.
    pub sacks: Vec<(u32, u32)>,
    pub ts: Option<(u32, u32)>,
    pub options: Vec<u8>,
    pub data: Vec<u8>,
    /// Pieces it is to be cut into, when it was seen whole.
    pub gso_size: Option<u16>,
}

impl Sent {
    /// Reads a packet and checks all that a packet alone can tell.
    ///
    /// # Panics
    /// When it is not sound.
    pub(crate) fn read(bytes: &[u8], at: u64, whole: Option<u16>) -> Self {
        let ip = Ipv4HeaderSlice::from_slice(bytes).expect("an IPv4 header");
        assert_eq!(usize::from(ip.total_len()), bytes.len(), "total length");
        assert_eq!(ip.protocol().0, 6, "protocol");
        assert_eq!(ip.header_checksum(), ip.to_header().calc_header_checksum());
        let tcp = TcpSlice::from_slice(&bytes[ip.slice().len()..]).expect("a TCP header");
        if whole.is_none() {
            let right = tcp.calc_checksum_ipv4(ip.source(), ip.destination()).unwrap();
            assert_eq!(tcp.checksum(), right, "checksum");
        }
        assert!(tcp.source_port() != 0 && tcp.destination_port() != 0, "port 0");
        assert_eq!(tcp.slice()[12] & 0x0f, 0, "reserved bits");
        let mut sent = Self {
            at,
            src: SocketAddr::new(ip.source_addr().into(), tcp.source_port()),
            dst: SocketAddr::new(ip.destination_addr().into(), tcp.destination_port()),
            tos: (ip.dcp().value() << 2) | ip.ecn().value(),
            ttl: ip.ttl(),
            dont_fragment: ip.dont_fragment(),
            flags: flags(&tcp),
            raw_seq: tcp.sequence_number(),
            raw_ack: tcp.acknowledgment_number(),
            seq: 0,
            ack: 0,
            window: tcp.window_size(),
            urgent: tcp.urgent_pointer(),
            mss: None,
            wscale: None,
            sack_ok: false,
            sacks: Vec::new(),
            ts: None,
            options: tcp.options().to_vec(),
            data: tcp.payload().to_vec(),
            gso_size: whole,
        };
        sent.read_options(&tcp);
        sent
    }

    fn read_options(&mut self, tcp: &TcpSlice<'_>) {
        for option in tcp.options_iterator() {
            match option.expect("options that parse") {
                TcpOptionElement::Noop => {}
                TcpOptionElement::MaximumSegmentSize(mss) => self.mss = Some(mss),
                TcpOptionElement::WindowScale(shift) => self.wscale = Some(shift),
                TcpOptionElement::SelectiveAcknowledgementPermitted => self.sack_ok = true,
                TcpOptionElement::SelectiveAcknowledgement(first, rest) => {
                    self.sacks.push(first);
                    self.sacks.extend(rest.into_iter().flatten());
                }
                TcpOptionElement::Timestamp(value, echo) => self.ts = Some((value, echo)),
            }
        }
    }

    pub(crate) fn has(&self, flag: u8) -> bool {
        self.flags & flag != 0
    }

    pub(crate) fn len(&self) -> usize {
        self.data.len()
    }

    /// Numbers that it takes of the sequence space.
    pub(crate) fn space(&self) -> u32 {
        self.len() as u32 + u32::from(self.has(SYN)) + u32::from(self.has(FIN))
    }

    /// The number behind it.
    pub(crate) fn end(&self) -> u32 {
        self.seq.wrapping_add(self.space())
    }

    /// When, in milliseconds.
    pub(crate) fn ms(&self) -> u64 {
        self.at / 1_000_000
    }
}

fn flags(tcp: &TcpSlice<'_>) -> u8 {
    let all = [
        (tcp.fin(), FIN),
        (tcp.syn(), SYN),
        (tcp.rst(), RST),
        (tcp.psh(), PSH),
        (tcp.ack(), ACK),
        (tcp.urg(), URG),
        (tcp.ece(), ECE),
        (tcp.cwr(), CWR),
    ];
    all.iter().filter(|(set, _)| *set).map(|(_, flag)| flag).sum()
}

/// The ICMP errors' view of a segment that the host sent: ports and sequence number.
pub(crate) fn quote(sent: &Sent) -> [u8; 8] {
    let mut bytes = [0; 8];
    bytes[..2].copy_from_slice(&sent.src.port().to_be_bytes());
    bytes[2..4].copy_from_slice(&sent.dst.port().to_be_bytes());
    bytes[4..].copy_from_slice(&sent.raw_seq.to_be_bytes());
    bytes
}

pub(crate) const HOST: Ipv4Addr = Ipv4Addr::new(10, 0, 0, 1);
pub(crate) const PEER: Ipv4Addr = Ipv4Addr::new(10, 0, 0, 9);
