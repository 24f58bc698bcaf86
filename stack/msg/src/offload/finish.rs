//! Software segmentation and checksums, for devices and modules that want packets as the wire
//! has them. Payload is shared, not copied; headers are copied once per packet.

use super::{Gso, Offload};
use crate::checksum::{self, Sum};
use crate::list::MsgList;
use crate::msg::Msg;
use crate::pool::{NoMem, Pool};

/// What the taker of the packets does itself.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Can {
    /// It fills transport checksums in.
    pub csum: bool,
    /// It cuts TCP over IPv4.
    pub tso4: bool,
    /// It cuts TCP over IPv6.
    pub tso6: bool,
    /// It cuts TCP with ECN right.
    pub ecn: bool,
    /// It cuts UDP.
    pub uso: bool,
}

impl Can {
    /// Nothing: every packet leaves complete.
    pub const NOTHING: Self =
        Self { csum: false, tso4: false, tso6: false, ecn: false, uso: false };
    /// Everything.
    pub const ALL: Self = Self { csum: true, tso4: true, tso6: true, ecn: true, uso: true };

    /// Who cuts also fills checksums in, each piece has its own.
    const fn cuts(self, gso: Gso) -> bool {
        let kind = match gso {
            Gso::None => return true,
            Gso::TcpV4 => self.tso4,
            Gso::TcpV6 => self.tso6,
            Gso::TcpV4Ecn => self.tso4 && self.ecn,
            Gso::TcpV6Ecn => self.tso6 && self.ecn,
            Gso::Udp => self.uso,
        };
        kind && self.csum
    }
}

/// Why a request could not be carried out. The message is given back.
#[derive(Debug)]
pub enum Refusal {
    /// The request and the bytes do not fit together: drop it.
    Malformed(Msg),
    /// No cells are left.
    NoMem(Msg),
}

impl Refusal {
    /// The message that was refused.
    pub fn into_msg(self) -> Msg {
        match self {
            Self::Malformed(msg) | Self::NoMem(msg) => msg,
        }
    }
}

/// Appends to `out` the packets that `msg` stands for, doing what the taker cannot (`can`).
/// `l3` is the offset of the IP header.
///
/// # Shapes
/// A message with nothing left to do, or nothing that the taker cannot do, is passed as it is,
/// unread. A packet cut from a super-frame is a
/// block of headers (with 64 bytes of headroom) and windows on the payload. Lengths, IPv4
/// identification and header checksum, TCP sequence number and flags, and the transport checksum
/// of each are right; with `can.csum` the last is left as a request.
///
/// # Errors
/// [`Refusal`] with the message; nothing was appended.
pub fn finish(
    msg: Msg,
    l3: usize,
    can: Can,
    pool: &mut Pool,
    out: &mut MsgList,
) -> Result<(), Refusal> {
    let offload = msg.offload();
    if offload.is_super() && !can.cuts(offload.gso) {
        return segment(msg, l3, can, pool, out);
    }
    if offload.needs_csum && !can.csum {
        return fill_checksum(msg, pool).map(|msg| out.push(msg));
    }
    out.push(msg);
    Ok(())
}

/// Puts the transport checksum where the request wants it.
fn fill_checksum(mut msg: Msg, pool: &mut Pool) -> Result<Msg, Refusal> {
    let Offload { csum_start, csum_offset, .. } = msg.offload();
    let start = usize::from(csum_start);
    let place = start + usize::from(csum_offset);
    if start >= msg.len() || place + 2 > msg.len() {
        return Err(Refusal::Malformed(msg));
    }
    let sum = !checksum::of_msg(&msg, start, msg.len() - start, pool.sum());
    match msg.make_writable(pool, place + 2) {
        Ok(bytes) => store(bytes, place, sum, usize::from(csum_offset) == UDP_CSUM),
        Err(crate::PullupError::Short) => return Err(Refusal::Malformed(msg)),
        Err(crate::PullupError::NoMem) => return Err(Refusal::NoMem(msg)),
    }
    msg.set_offload(Offload::NONE);
    Ok(msg)
}

/// Stores a checksum. In UDP 0 means that there is none, so a sum of 0 is sent in its other form
/// (RFC 768).
fn store(bytes: &mut [u8], place: usize, sum: u16, udp: bool) {
    let sum = if udp && sum == 0 { 0xffff } else { sum };
    bytes[place..place + 2].copy_from_slice(&sum.to_ne_bytes());
}

/// Place of the checksum in a UDP header.
const UDP_CSUM: usize = 6;

/// Place of the checksum in a TCP header.
const TCP_CSUM: usize = 16;

/// The headers that every packet of a super-frame repeats.
struct Headers {
    bytes: [u8; HEADERS_MAX],
    len: usize,
    l3: usize,
    l4: usize,
    v4: bool,
    tcp: bool,
    /// Partial sum of an IPv4 header without what differs from packet to packet: length and
    /// identification.
    ip_sum: u16,
    /// Partial sum of the pseudo-header without the length.
    pseudo_sum: u16,
}

/// Ethernet with a tag, IPv4 with options or IPv6 with small extensions, TCP with options.
const HEADERS_MAX: usize = 192;

/// IP protocol numbers.
const TCP: u8 = 6;
const UDP: u8 = 17;

impl Headers {
    /// Reads and checks the headers; `None` when they do not fit the request.
    fn read(msg: &Msg, l3: usize) -> Option<Self> {
        let offload = msg.offload();
        let (l4, tcp) = (usize::from(offload.csum_start), offload.gso.is_tcp());
        let mut bytes = [0; HEADERS_MAX];
        let seen = msg.copy_out(0, &mut bytes);
        let v4 = Self::check_l3(bytes[..seen].get(l3..)?, l4.checked_sub(l3)?, offload.gso)?;
        let l4_len = if tcp { usize::from(*bytes[..seen].get(l4 + 12)? >> 4) * 4 } else { 8 };
        let mut headers =
            Self { bytes, len: l4 + l4_len, l3, l4, v4, tcp, ip_sum: 0, pseudo_sum: 0 };
        let payload = msg.len().saturating_sub(headers.len);
        let longest = headers.len - l3 + payload.min(usize::from(offload.gso_size));
        let fits = l4_len >= if tcp { 20 } else { 8 }
            && headers.len <= seen
            && payload > 0
            && longest <= usize::from(u16::MAX)
            && offload.gso_size > 0
            && offload.needs_csum
            && usize::from(offload.csum_offset) == headers.csum_place() - l4;
        if !fits {
            return None;
        }
        headers.sum_up();
        Some(headers)
    }

    /// What the sums of all packets have in common (RFC 9293 3.1, RFC 8200 8.1).
    fn sum_up(&mut self) {
        let (l3, l4) = (self.l3, self.l4);
        let addresses = if self.v4 {
            self.bytes[l3 + 10..l3 + 12].fill(0);
            let rest = checksum::sum_portable(&self.bytes[l3 + 6..l4]);
            self.ip_sum = checksum::add(checksum::sum_portable(&self.bytes[l3..l3 + 2]), rest);
            &self.bytes[l3 + 12..l3 + 20]
        } else {
            &self.bytes[l3 + 8..l3 + 40]
        };
        let protocol = checksum::word(u16::from(if self.tcp { TCP } else { UDP }));
        self.pseudo_sum = checksum::add(checksum::sum_portable(addresses), protocol);
    }

    /// Checks an IP header of `len` bytes with its extensions; whether it is one of IPv4. A
    /// fragment cannot stand for several packets.
    fn check_l3(ip: &[u8], len: usize, gso: Gso) -> Option<bool> {
        let protocol = if gso.is_tcp() { TCP } else { UDP };
        let ip = ip.get(..len)?;
        match (ip.first()? >> 4, gso) {
            (4, Gso::TcpV4 | Gso::TcpV4Ecn | Gso::Udp) => {
                let whole = len >= 20 && len == usize::from(ip[0] & 15) * 4;
                let fits = whole && ip[9] == protocol && ip[6] & 0x3f == 0 && ip[7] == 0;
                fits.then_some(true)
            }
            (6, Gso::TcpV6 | Gso::TcpV6Ecn | Gso::Udp) => {
                // Behind extension headers the protocol is taken from the request.
                let fits = len > 40 || (len == 40 && ip[6] == protocol);
                fits.then_some(false)
            }
            _ => None,
        }
    }

    /// Rewrites the headers in `to` for piece `index` of `payload` bytes at `at`.
    fn write(&self, to: &mut [u8], index: usize, at: usize, payload: usize, last: bool, cwr: bool) {
        to.copy_from_slice(&self.bytes[..self.len]);
        let (l3, l4) = (self.l3, self.l4);
        let l4_len = (self.len - l4 + payload) as u16;
        if self.v4 {
            let len = (self.len - l3 + payload) as u16;
            put(to, l3 + 2, len);
            let id = u16::from_be_bytes([to[l3 + 4], to[l3 + 5]]).wrapping_add(index as u16);
            put(to, l3 + 4, id);
            let both = checksum::add(checksum::word(len), checksum::word(id));
            let sum = !checksum::add(self.ip_sum, both);
            to[l3 + 10..l3 + 12].copy_from_slice(&sum.to_ne_bytes());
        } else {
            put(to, l3 + 4, (self.len - l3 - 40 + payload) as u16);
        }
        if self.tcp {
            let seq = u32::from_be_bytes([to[l4 + 4], to[l4 + 5], to[l4 + 6], to[l4 + 7]]);
            to[l4 + 4..l4 + 8].copy_from_slice(&seq.wrapping_add(at as u32).to_be_bytes());
            const FIN_PSH: u8 = 0x09;
            const CWR: u8 = 0x80;
            if !last {
                to[l4 + 13] &= !FIN_PSH;
            }
            if cwr && index > 0 {
                to[l4 + 13] &= !CWR;
            }
        } else {
            put(to, l4 + 4, l4_len);
        }
        let pseudo = checksum::add(self.pseudo_sum, checksum::word(l4_len));
        to[self.csum_place()..self.csum_place() + 2].copy_from_slice(&pseudo.to_ne_bytes());
    }

    fn csum_place(&self) -> usize {
        self.l4 + if self.tcp { TCP_CSUM } else { UDP_CSUM }
    }
}

fn put(to: &mut [u8], at: usize, value: u16) {
    to[at..at + 2].copy_from_slice(&value.to_be_bytes());
}

fn segment(
    msg: Msg,
    l3: usize,
    can: Can,
    pool: &mut Pool,
    out: &mut MsgList,
) -> Result<(), Refusal> {
    let Some(headers) = Headers::read(&msg, l3) else { return Err(Refusal::Malformed(msg)) };
    match cut(&msg, &headers, can, pool) {
        Ok(mut packets) => {
            out.append(&mut packets);
            pool.spend(msg);
            Ok(())
        }
        Err(NoMem) => Err(Refusal::NoMem(msg)),
    }
}

fn cut(msg: &Msg, headers: &Headers, can: Can, pool: &mut Pool) -> Result<MsgList, NoMem> {
    const HEADROOM: usize = 64;
    let offload = msg.offload();
    let size = usize::from(offload.gso_size);
    let total = msg.len() - headers.len;
    let cwr = matches!(offload.gso, Gso::TcpV4Ecn | Gso::TcpV6Ecn);
    let sum = pool.sum();
    let mut packets = MsgList::new();
    let mut at = 0;
    for index in 0.. {
        let payload = size.min(total - at);
        let last = at + payload == total;
        let mut packet = match pool.alloc(HEADROOM, headers.len) {
            Ok(packet) => packet,
            Err(NoMem) => return Err(free_all(packets, pool)),
        };
        packet.set_kind(msg.kind());
        let header = &mut packet.spare_mut()[..headers.len];
        headers.write(header, index, at, payload, last, cwr);
        packet.commit(headers.len);
        match msg.slice(pool, headers.len + at, payload) {
            Ok(slice) => packet.link(slice),
            Err(NoMem) => {
                pool.spend(packet);
                return Err(free_all(packets, pool));
            }
        }
        inherit(&mut packet, msg);
        finish_piece(&mut packet, headers, can, sum);
        packets.push(packet);
        at += payload;
        if last {
            break;
        }
    }
    Ok(packets)
}

/// Checksum of one piece: done, or left as a request for a taker that can.
fn finish_piece(packet: &mut Msg, headers: &Headers, can: Can, sum: Sum) {
    if can.csum {
        packet.set_offload(Offload {
            needs_csum: true,
            csum_start: headers.l4 as u16,
            csum_offset: (headers.csum_place() - headers.l4) as u16,
            hdr_len: headers.len as u16,
            ..Offload::NONE
        });
        return;
    }
    let value = !checksum::of_msg(packet, headers.l4, packet.len() - headers.l4, sum);
    if let Some(bytes) = packet.first_mut() {
        store(bytes, headers.csum_place(), value, !headers.tcp);
    }
}

fn inherit(packet: &mut Msg, from: &Msg) {
    packet.set_band(from.band());
    packet.set_flags(from.flags());
    packet.set_stamp(from.stamp());
    packet.set_flow_hash(from.flow_hash());
    packet.set_ctx(from.ctx());
}

fn free_all(list: MsgList, pool: &mut Pool) -> NoMem {
    for msg in list {
        pool.spend(msg);
    }
    NoMem
}
