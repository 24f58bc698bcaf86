//! Answers that go back the way a frame came: the frame itself turned round (`reflect`), a reset
//! of TCP or an ICMP unreachable in the receiver's name (`reject`).

use super::facts::{Facts, Fragment, Packet};
use crate::ether::{HEADER_LEN, is_group};
use crate::ip::protocol;
use core::net::IpAddr;
use etherparse::TcpHeaderSlice;
use millstream_core::{Cx, Drop, Side};
use millstream_msg::checksum::{self, sum_portable};
use millstream_msg::{Band, Msg, MsgFlags, Pool};

/// Sends a frame back with stations, addresses and ports exchanged. Its sums stay right: they do
/// not depend on the order of what they add.
pub(super) fn reflect(cx: &mut Cx<'_>, side: Side, facts: &Facts, mut msg: Msg) {
    if !cx.canput(side.other(), Band(0)) {
        return cx.discard(msg, NO_ROOM);
    }
    let ports = facts.sport.is_some();
    let len = match facts.ip {
        Some(_) => facts.l4 + if ports { 4 } else { 0 },
        None => HEADER_LEN.min(msg.len()),
    };
    let Ok(bytes) = msg.make_writable(cx.pool(), len) else {
        return cx.discard(msg, Drop::NO_MEMORY);
    };
    exchange(bytes, 0, 6);
    match facts.ip.and_then(|ip| ip.dst) {
        Some(IpAddr::V4(_)) => exchange(bytes, facts.l3 + 12, 4),
        Some(IpAddr::V6(_)) => exchange(bytes, facts.l3 + 8, 16),
        None => {}
    }
    if ports {
        exchange(bytes, facts.l4, 2);
    }
    msg.set_flags(MsgFlags::empty().with_trace(msg.flags().trace()));
    cx.put(side.other(), msg);
}

/// Drops a frame, and tells its sender that it was not taken.
pub(super) fn reject(cx: &mut Cx<'_>, side: Side, facts: &Facts, msg: Msg) {
    let room = cx.canput(side.other(), Band(0));
    let sum = cx.pool().sum();
    let answer = if room { refusal(facts, &msg, sum, cx.pool()) } else { None };
    cx.discard(msg, if room { Drop("filter: rule") } else { NO_ROOM });
    if let Some(answer) = answer {
        cx.put(side.other(), answer);
    }
}

/// The frame that says so; `None` for what must not be answered: frames to many, resets, errors,
/// parts of packets (RFC 1122 section 3.2.2, RFC 4443 section 2.4).
fn refusal(facts: &Facts, msg: &Msg, sum: checksum::Sum, pool: &mut Pool) -> Option<Msg> {
    let Packet { src: Some(src), dst: Some(dst), protocol, fragment } = facts.ip? else {
        return None;
    };
    let mut head = [0; QUOTE_MAX];
    let len = msg.copy_out(0, &mut head);
    let head = &head[..len];
    let to_one = !is_group(*head.first_chunk()?) && !is_group(*head.get(6..)?.first_chunk()?);
    let hosts = !src.is_unspecified() && !src.is_multicast() && !dst.is_multicast();
    if !to_one || !hosts || fragment == Fragment::Later || dst == IpAddr::from([255; 4]) {
        return None;
    }
    let mut frame = Frame { bytes: [0; FRAME_MAX], len: 0 };
    // The link header with its tags, turned round.
    frame.push(head.get(..facts.l3)?);
    exchange(&mut frame.bytes, 0, 6);
    let carried = if protocol == protocol::TCP {
        let tcp = TcpHeaderSlice::from_slice(head.get(facts.l4..)?).ok()?;
        let data = msg.len().saturating_sub(facts.l4 + tcp.slice().len());
        Carried::Tcp(reset(&tcp, data as u32)?)
    } else {
        if is_error(protocol, *head.get(facts.l4)?) {
            return None;
        }
        let quote = head.get(facts.l3..)?;
        Carried::Icmp(&quote[..quote.len().min(facts.l4 - facts.l3 + 8)])
    };
    frame.packet(dst, src, protocol, &carried, sum);
    pool.copy_from(HEADROOM, &frame.bytes[..frame.len]).ok()
}

/// What the answer carries.
enum Carried<'a> {
    /// A TCP header, its sum not filled in.
    Tcp([u8; 20]),
    /// An ICMP error that quotes this.
    Icmp(&'a [u8]),
}

/// The reset for a segment, of which none is answered (RFC 9293 section 3.10.7.1).
fn reset(tcp: &TcpHeaderSlice<'_>, data: u32) -> Option<[u8; 20]> {
    if tcp.rst() {
        return None;
    }
    let mut out = [0; 20];
    out[..2].copy_from_slice(&tcp.destination_port().to_be_bytes());
    out[2..4].copy_from_slice(&tcp.source_port().to_be_bytes());
    out[12] = 5 << 4;
    if tcp.ack() {
        out[4..8].copy_from_slice(&tcp.acknowledgment_number().to_be_bytes());
        out[13] = RST;
    } else {
        let len = data.wrapping_add(u32::from(tcp.syn())).wrapping_add(u32::from(tcp.fin()));
        let ack = tcp.sequence_number().wrapping_add(len);
        out[8..12].copy_from_slice(&ack.to_be_bytes());
        out[13] = RST | ACK;
    }
    Some(out)
}

/// Errors are not answered by errors.
fn is_error(protocol: u8, kind: u8) -> bool {
    match protocol {
        protocol::ICMP => !matches!(kind, 0 | 8 | 13 | 14),
        ICMP6 => kind < 128,
        _ => false,
    }
}

/// A frame that is being made.
struct Frame {
    bytes: [u8; FRAME_MAX],
    len: usize,
}

impl Frame {
    fn push(&mut self, bytes: &[u8]) {
        self.bytes[self.len..self.len + bytes.len()].copy_from_slice(bytes);
        self.len += bytes.len();
    }

    fn packet(
        &mut self,
        src: IpAddr,
        dst: IpAddr,
        asked: u8,
        carried: &Carried<'_>,
        sum: checksum::Sum,
    ) {
        let v4 = src.is_ipv4();
        let (protocol, len) = match carried {
            Carried::Tcp(header) => (protocol::TCP, header.len()),
            Carried::Icmp(quote) if v4 => (protocol::ICMP, 8 + quote.len()),
            Carried::Icmp(quote) => (ICMP6, 8 + quote.len()),
        };
        self.ip(src, dst, protocol, len as u16);
        let start = self.len;
        let at = match carried {
            Carried::Tcp(header) => {
                self.push(header);
                16
            }
            Carried::Icmp(quote) => {
                let udp = asked == protocol::UDP;
                self.push(&match (v4, udp) {
                    (true, true) => [3, 3, 0, 0, 0, 0, 0, 0],
                    (true, false) => [3, 13, 0, 0, 0, 0, 0, 0],
                    (false, true) => [1, 4, 0, 0, 0, 0, 0, 0],
                    (false, false) => [1, 1, 0, 0, 0, 0, 0, 0],
                });
                self.push(quote);
                2
            }
        };
        let pseudo = if protocol == protocol::ICMP {
            0
        } else {
            crate::ip::view::pseudo_sum(Some(src), dst, protocol, len as u16)
        };
        let total = !checksum::add(pseudo, sum(&self.bytes[start..self.len]));
        self.bytes[start + at..start + at + 2].copy_from_slice(&total.to_ne_bytes());
    }

    fn ip(&mut self, src: IpAddr, dst: IpAddr, protocol: u8, len: u16) {
        match (src, dst) {
            (IpAddr::V4(src), IpAddr::V4(dst)) => {
                let mut header = [0; 20];
                header[0] = 0x45;
                header[2..4].copy_from_slice(&(20 + len).to_be_bytes());
                header[8..10].copy_from_slice(&[HOPS, protocol]);
                header[12..16].copy_from_slice(&src.octets());
                header[16..].copy_from_slice(&dst.octets());
                let total = !sum_portable(&header);
                header[10..12].copy_from_slice(&total.to_ne_bytes());
                self.push(&header);
            }
            (IpAddr::V6(src), IpAddr::V6(dst)) => {
                let mut header = [0; 40];
                header[0] = 0x60;
                header[4..6].copy_from_slice(&len.to_be_bytes());
                header[6..8].copy_from_slice(&[protocol, HOPS]);
                header[8..24].copy_from_slice(&src.octets());
                header[24..].copy_from_slice(&dst.octets());
                self.push(&header);
            }
            // Both ends were read from one header.
            _ => {}
        }
    }
}

/// Two neighbouring fields of `len` bytes change places.
fn exchange(bytes: &mut [u8], at: usize, len: usize) {
    if let Some(both) = bytes.get_mut(at..at + 2 * len) {
        both.rotate_left(len);
    }
}

/// Dropped, and the answer found no room.
const NO_ROOM: Drop = Drop("filter: no room");
const RST: u8 = 4;
const ACK: u8 = 16;
const ICMP6: u8 = 58;
const HOPS: u8 = 64;
/// Bytes of a frame that are looked at for an answer: link header with tags, IP header with
/// extensions, TCP header.
const QUOTE_MAX: usize = 256;
/// The same, an IP header of ours, and one of ICMP.
const FRAME_MAX: usize = QUOTE_MAX + 64;
/// As devices leave it in front of frames.
const HEADROOM: usize = 128;
