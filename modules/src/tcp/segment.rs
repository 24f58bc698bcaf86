//! Segments coming up: header, options, checksum.

use super::{Options, Seq, TcpDrop};
use crate::ip;
use core::net::{IpAddr, SocketAddr};
use millstream_msg::checksum::{self, Sum};
use millstream_msg::{Msg, MsgFlags, Offload};

/// A sound segment: what its header says. The payload stays in the message.
#[derive(Clone, Debug)]
pub struct Segment {
    /// Where it came to: us.
    pub local: SocketAddr,
    /// Who sent it.
    pub remote: SocketAddr,
    /// Sequence number of the first octet, or of the SYN.
    pub seq: Seq,
    /// The next octet that the sender expects; means nothing without [`Flags::ACK`].
    pub ack: Seq,
    /// Control bits.
    pub flags: Flags,
    /// The window as it stands in the header, not scaled.
    pub window: u16,
    /// The urgent pointer; means nothing without [`Flags::URG`].
    pub urgent: u16,
    /// Options.
    pub options: Options,
    /// Octets of payload.
    pub len: u32,
    /// Bytes in front of the payload: IP and TCP headers.
    pub payload_at: u16,
    /// Segments that the message stands for (GRO); at least 1.
    pub pieces: u16,
    /// A router on the way met congestion (RFC 3168).
    pub congested: bool,
}

/// Control bits of a segment (RFC 9293 section 3.1).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Flags(pub u8);

impl Flags {
    /// No bit.
    pub const NONE: Self = Self(0);
    /// The sender has no more data.
    pub const FIN: Self = Self(1);
    /// Sequence numbers begin here.
    pub const SYN: Self = Self(2);
    /// The connection is refused or aborted.
    pub const RST: Self = Self(4);
    /// Hand the data to the user.
    pub const PSH: Self = Self(8);
    /// The acknowledgement number counts.
    pub const ACK: Self = Self(16);
    /// The urgent pointer counts.
    pub const URG: Self = Self(32);
    /// Congestion was met (RFC 3168).
    pub const ECE: Self = Self(64);
    /// The congestion window was reduced (RFC 3168).
    pub const CWR: Self = Self(128);

    /// All bits of `other` are set.
    #[inline]
    pub const fn has(self, other: Self) -> bool {
        self.0 & other.0 == other.0
    }

    /// With the bits of `other`.
    #[inline]
    #[must_use]
    pub const fn with(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// With the bits of `other`, if `really`.
    #[inline]
    #[must_use]
    pub const fn with_if(self, really: bool, other: Self) -> Self {
        if really { self.with(other) } else { self }
    }
}

impl Segment {
    /// Reads the segment of a whole packet (`msg` begins with the IP header that `packet` is the
    /// view of) and checks it.
    ///
    /// # Shapes
    /// Nothing needs to be contiguous and nothing moves. Without checksum work when the flag
    /// `CSUM_OK` is set or the sender is on this machine (`needs_csum`).
    ///
    /// # Errors
    /// Why it cannot be a segment for anybody.
    #[inline]
    pub fn parse(msg: &Msg, packet: &ip::View, sum: Sum) -> Result<Self, TcpDrop> {
        let mut copy;
        let at = packet.header();
        let room = packet.payload_len();
        if room < HEADER_LEN {
            return Err(TcpDrop::Short);
        }
        // Nearly always in the first block; who cut it elsewhere pays for the copy.
        let header = match whole_header(msg.first(), at) {
            Some(header) => header,
            None => {
                copy = [0; MAX_HEADER_LEN];
                let seen = msg.copy_out(at, &mut copy);
                copy.get(..seen.min(room)).unwrap_or_default()
            }
        };
        let fixed: &[u8; HEADER_LEN] = header.first_chunk().ok_or(TcpDrop::Short)?;
        let header_len = usize::from(fixed[12] >> 4) * 4;
        if header_len < HEADER_LEN || header_len > room {
            return Err(TcpDrop::Offset);
        }
        let options = header.get(HEADER_LEN..header_len).ok_or(TcpDrop::Short)?;
        let offload = msg.offload();
        if !offload.needs_csum && !msg.flags().contains(MsgFlags::CSUM_OK) {
            let data = checksum::of_msg(msg, at, room, sum);
            if checksum::add(data, packet.pseudo_sum(room as u16)) != 0xffff {
                return Err(TcpDrop::Checksum);
            }
        }
        let word = |at: usize| u16::from_be_bytes([fixed[at], fixed[at + 1]]);
        let number = |at: usize| {
            u32::from_be_bytes([fixed[at], fixed[at + 1], fixed[at + 2], fixed[at + 3]])
        };
        if word(0) == 0 || word(2) == 0 {
            return Err(TcpDrop::PortZero);
        }
        let len = (room - header_len) as u32;
        Ok(Self {
            local: SocketAddr::new(packet.dst, word(2)),
            remote: SocketAddr::new(packet.src, word(0)),
            seq: Seq(number(4)),
            ack: Seq(number(8)),
            flags: Flags(fixed[13]),
            window: word(14),
            urgent: word(18),
            options: Options::parse(options),
            len,
            payload_at: (at + header_len) as u16,
            pieces: pieces(&offload, len),
            congested: packet.tos & ECN_MASK == CONGESTED,
        })
    }

    /// Octets of the sequence space that it takes: payload, SYN, FIN.
    #[inline]
    pub const fn span(&self) -> u32 {
        self.len + self.flags.has(Flags::SYN) as u32 + self.flags.has(Flags::FIN) as u32
    }

    /// The number behind its last octet.
    #[inline]
    pub const fn end(&self) -> Seq {
        self.seq.add(self.span())
    }

    /// Leaves the payload of the packet in the message, without copying.
    pub fn into_payload(&self, msg: &mut Msg) {
        msg.trim_front(usize::from(self.payload_at).min(msg.len()));
        if msg.len() > self.len as usize {
            msg.truncate(self.len as usize);
        }
        msg.set_offload(Offload::NONE);
    }

    /// May a connection have such ends? Not with groups, nor with nobody (RFC 9293 MUST-57,
    /// MUST-63).
    pub fn is_between_hosts(&self) -> bool {
        let host = |ip: IpAddr| match ip {
            IpAddr::V4(v4) => {
                let [first, ..] = v4.octets();
                first != 0 && first < 224
            }
            IpAddr::V6(v6) => !v6.is_multicast() && !v6.is_unspecified(),
        };
        // Nor does anybody speak with himself, or from a loopback that is not ours.
        let (local, remote) = (self.local.ip(), self.remote.ip());
        let loopback = local.is_loopback() == remote.is_loopback();
        host(local) && host(remote) && loopback && self.local != self.remote
    }
}

/// The header at a place, with as many options as it says that it has.
#[inline]
fn whole_header(bytes: &[u8], at: usize) -> Option<&[u8]> {
    let bytes = bytes.get(at..)?;
    let len = usize::from(bytes.get(12)? >> 4) * 4;
    bytes.get(..len.max(HEADER_LEN))
}

fn pieces(offload: &Offload, len: u32) -> u16 {
    if offload.gso.is_tcp() && offload.gso_size > 0 {
        len.div_ceil(u32::from(offload.gso_size)).clamp(1, 0xffff) as u16
    } else {
        1
    }
}

/// Bytes of a header without options.
pub(super) const HEADER_LEN: usize = 20;
/// Bytes of a header with all the options that it can have.
pub(super) const MAX_HEADER_LEN: usize = 60;
/// The two bits of the traffic class (RFC 3168).
const ECN_MASK: u8 = 3;
const CONGESTED: u8 = 3;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ip::{Request, build};
    use etherparse::{Ipv4Header, TcpHeader};
    use millstream_msg::{Pool, PoolConfig};
    use proptest::prelude::*;
    use std::vec::Vec;

    const SRC: [u8; 4] = [10, 0, 0, 9];
    const DST: [u8; 4] = [10, 0, 0, 1];

    /// A segment as an independent builder makes it.
    fn segment(payload: &[u8], options: &[u8]) -> Vec<u8> {
        let mut tcp = TcpHeader::new(5000, 80, 7, 512);
        tcp.ack = true;
        tcp.acknowledgment_number = 9;
        tcp.set_options_raw(options).unwrap();
        let ip = Ipv4Header::new((tcp.header_len() + payload.len()) as u16, 64, 6.into(), SRC, DST);
        tcp.checksum = tcp.calc_checksum_ipv4(&ip.unwrap(), payload).unwrap();
        [&tcp.to_bytes()[..], payload].concat()
    }

    fn parse(tcp: &[u8], cut: Option<usize>) -> Result<Segment, TcpDrop> {
        let mut pool = Pool::new(PoolConfig::TINY);
        let mut msg = pool.copy_from(64, tcp).unwrap();
        let request = Request::new(DST.into(), 6);
        build::output(&mut msg, &request, SRC.into(), 0, &mut pool).unwrap();
        let view = ip::View::parse(msg.first()).unwrap();
        if let Some(cut) = cut.filter(|cut| *cut < msg.len()) {
            let rest = msg.split_off(&mut pool, cut).unwrap();
            msg.link(rest);
        }
        Segment::parse(&msg, &view, checksum::sum_portable)
    }

    #[test]
    fn bad_input_32_data_offset_below_5_or_beyond_the_segment_is_refused() {
        for offset in (0..5).chain(6..16) {
            let mut bytes = segment(b"", &[]);
            bytes[12] = offset << 4;
            assert_eq!(parse(&bytes, None).unwrap_err(), TcpDrop::Offset, "{offset}");
        }
        for len in 0..HEADER_LEN {
            assert_eq!(parse(&segment(b"", &[])[..len], None).unwrap_err(), TcpDrop::Short);
        }
    }

    #[test]
    fn bad_input_34_wrong_checksum_is_refused() {
        let mut bytes = segment(b"1234", &[]);
        bytes[21] ^= 1;
        assert_eq!(parse(&bytes, None).unwrap_err(), TcpDrop::Checksum);
    }

    #[test]
    fn port_0_is_nobody() {
        let mut bytes = segment(b"", &[]);
        bytes[0..2].fill(0);
        let sum = checksum::add(u16::from_ne_bytes([bytes[16], bytes[17]]), checksum::word(5000));
        bytes[16..18].copy_from_slice(&sum.to_ne_bytes());
        assert_eq!(parse(&bytes, None).unwrap_err(), TcpDrop::PortZero);
    }

    proptest! {
        #[test]
        fn segment_of_an_independent_builder_is_sound_however_it_is_cut(
            payload in proptest::collection::vec(any::<u8>(), 0..200), words in 0_usize..=10,
            cut in 20_usize..80,
        ) {
            let bytes = segment(&payload, &[1; 40][..words * 4]);
            let seen = parse(&bytes, Some(cut)).unwrap();
            prop_assert_eq!((seen.remote.port(), seen.local.port()), (5000, 80));
            prop_assert_eq!((seen.seq, seen.ack, seen.window), (Seq(7), Seq(9), 512));
            prop_assert_eq!(seen.len as usize, payload.len());
            prop_assert_eq!(usize::from(seen.payload_at), 40 + words * 4);
        }

        #[test]
        fn random_bytes_never_panic(bytes in proptest::collection::vec(any::<u8>(), 0..80)) {
            let _ = parse(&bytes, None);
        }
    }
}
