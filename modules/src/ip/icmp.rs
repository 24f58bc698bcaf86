//! ICMP for IPv4 (RFC 792, RFC 1122 section 3.2.2): echo answered in place, errors received and
//! made. Redirects, source quench and information requests are ignored.

use super::route::{MTU_MIN, Net};
use super::view::{MAX_HEADER_LEN, MIN_HEADER_LEN, v4};
use super::{IpDrop, Request, View, protocol};
use core::net::IpAddr;
use millstream_msg::checksum::{self, Sum};
use millstream_msg::{Msg, MsgFlags, Pool, PullupError};

mod error;

pub use error::{Limiter, QUOTE_MAX, may_send, send};

/// A message that was received and is sound.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Received {
    /// An echo request: answer it with [`echo_reply`].
    EchoRequest,
    /// The answer to an echo request of ours.
    EchoReply {
        /// Whose it is.
        id: u16,
        /// Which one.
        seq: u16,
    },
    /// Somebody could not deliver a packet of ours.
    Error(SoftError),
}

/// What a router or host said about a packet of ours. A hint, never proof: anybody can send it.
/// The transport checks that `transport` fits what it has in flight (RFC 5927).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SoftError {
    /// Who says so.
    pub reporter: IpAddr,
    /// Source of our packet, an address of ours.
    pub src: IpAddr,
    /// Destination of our packet.
    pub dst: IpAddr,
    /// Protocol of our packet.
    pub protocol: u8,
    /// What happened.
    pub cause: Cause,
    /// The first bytes of our transport header: ports, and the sequence number of TCP.
    pub transport: [u8; 8],
}

impl SoftError {
    /// The identifier of the echo request that the error is about, when it is about one.
    pub fn echo_id(&self) -> Option<u16> {
        let [kind, _, _, _, high, low, ..] = self.transport;
        let echo = self.protocol == protocol::ICMP && kind == ECHO_REQUEST;
        echo.then(|| u16::from_be_bytes([high, low]))
    }
}

/// Why a packet was not delivered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cause {
    /// No way to the network.
    NetUnreachable,
    /// The host does not answer.
    HostUnreachable,
    /// The host does not have the protocol.
    ProtocolUnreachable,
    /// Nobody is bound to the port.
    PortUnreachable,
    /// Larger than the next link's MTU (its bytes; `None` when the router does not say).
    PacketTooBig(Option<u16>),
    /// A source route could not be followed.
    SourceRouteFailed,
    /// Forbidden by an administrator.
    Prohibited,
    /// Too many hops.
    TimeExceeded,
    /// Fragments were missing too long.
    ReassemblyTimeExceeded,
    /// A fault at this byte of the IP header.
    ParameterProblem(u8),
}

impl Cause {
    /// Type, code and the second word of the message (RFC 792, RFC 1191).
    pub const fn to_wire(self) -> (u8, u8, [u8; 4]) {
        let (kind, code) = match self {
            Self::NetUnreachable => (UNREACHABLE, 0),
            Self::HostUnreachable => (UNREACHABLE, 1),
            Self::ProtocolUnreachable => (UNREACHABLE, 2),
            Self::PortUnreachable => (UNREACHABLE, 3),
            Self::PacketTooBig(mtu) => {
                let [high, low] = match mtu {
                    Some(mtu) => mtu.to_be_bytes(),
                    None => [0, 0],
                };
                return (UNREACHABLE, 4, [0, 0, high, low]);
            }
            Self::SourceRouteFailed => (UNREACHABLE, 5),
            Self::Prohibited => (UNREACHABLE, 13),
            Self::TimeExceeded => (TIME_EXCEEDED, 0),
            Self::ReassemblyTimeExceeded => (TIME_EXCEEDED, 1),
            Self::ParameterProblem(pointer) => return (PARAMETER_PROBLEM, 0, [pointer, 0, 0, 0]),
        };
        (kind, code, [0; 4])
    }

    /// The cause of a received message; `None` for those that hosts do nothing about.
    pub const fn from_wire(kind: u8, code: u8, word: [u8; 4]) -> Option<Self> {
        Some(match (kind, code) {
            (UNREACHABLE, 0 | 6 | 11) => Self::NetUnreachable,
            (UNREACHABLE, 1 | 7 | 8 | 12) => Self::HostUnreachable,
            (UNREACHABLE, 2) => Self::ProtocolUnreachable,
            (UNREACHABLE, 3) => Self::PortUnreachable,
            (UNREACHABLE, 4) => match u16::from_be_bytes([word[2], word[3]]) {
                0 => Self::PacketTooBig(None),
                mtu => Self::PacketTooBig(Some(mtu)),
            },
            (UNREACHABLE, 5) => Self::SourceRouteFailed,
            (UNREACHABLE, 9 | 10 | 13..=15) => Self::Prohibited,
            (TIME_EXCEEDED, 0) => Self::TimeExceeded,
            (TIME_EXCEEDED, 1) => Self::ReassemblyTimeExceeded,
            (PARAMETER_PROBLEM, 0..=2) => Self::ParameterProblem(word[0]),
            _ => return None,
        })
    }

    /// What the sender of a packet dropped by `ip` is told. `mtu` is that of the interface that
    /// the packet did not fit.
    pub const fn of(reason: IpDrop, mtu: u16) -> Option<Self> {
        Some(match reason {
            IpDrop::NoRoute => Self::NetUnreachable,
            IpDrop::InterfaceDown => Self::HostUnreachable,
            IpDrop::NoProtocol => Self::ProtocolUnreachable,
            IpDrop::FragNeeded => Self::PacketTooBig(Some(mtu)),
            IpDrop::TtlExceeded => Self::TimeExceeded,
            IpDrop::FragTimeout => Self::ReassemblyTimeExceeded,
            _ => return None,
        })
    }

    /// What a sender on this host is told when there is no way for its packet.
    pub const fn of_own(reason: IpDrop) -> Option<Self> {
        match reason {
            IpDrop::NotAllowed => Some(Self::Prohibited),
            IpDrop::NoSource | IpDrop::MartianDestination => Some(Self::HostUnreachable),
            other => Self::of(other, 0),
        }
    }
}

/// Reads an ICMP packet (whole, reassembled). `to_many`: it came to a broadcast or multicast
/// address.
pub fn input(
    msg: &Msg,
    view: &View,
    to_many: bool,
    net: &Net,
    sum: Sum,
) -> Result<Received, IpDrop> {
    let mut head = [0; HEADER_LEN];
    if view.payload_len() < HEADER_LEN || msg.copy_out(view.header(), &mut head) < HEADER_LEN {
        return Err(IpDrop::IcmpShort);
    }
    let offload = msg.offload();
    if offload.is_super() {
        return Err(IpDrop::Offload);
    }
    let trusted = offload.needs_csum || msg.flags().contains(MsgFlags::CSUM_OK);
    if !trusted && checksum::of_msg(msg, view.header(), view.payload_len(), sum) != 0xffff {
        return Err(IpDrop::IcmpChecksum);
    }
    let [kind, code, _, _, a, b, c, d] = head;
    match (kind, code) {
        (ECHO_REQUEST, 0) if to_many => Err(IpDrop::IcmpEchoBroadcast),
        (ECHO_REQUEST, 0) => Ok(Received::EchoRequest),
        (ECHO_REPLY, 0) => Ok(Received::EchoReply {
            id: u16::from_be_bytes([a, b]),
            seq: u16::from_be_bytes([c, d]),
        }),
        (REDIRECT, _) => Err(IpDrop::IcmpRedirect),
        _ => {
            let cause = Cause::from_wire(kind, code, [a, b, c, d]).ok_or(IpDrop::IcmpIgnored)?;
            quoted(msg, view, cause, net).map(Received::Error)
        }
    }
}

/// Turns an echo request into the packet that answers it, with its [`Request`] in front. The
/// message is reused; the checksum changes by increment (RFC 1624), so that a payload corrupted
/// between check and answer is not hidden.
///
/// # Errors
/// The message is what is left of the packet; drop it.
pub fn echo_reply(msg: &mut Msg, view: &View, pool: &mut Pool) -> Result<(), IpDrop> {
    let partial = msg.offload().needs_csum;
    msg.trim_front(view.header().min(msg.len()));
    let head = match msg.make_writable(pool, HEADER_LEN) {
        Ok(head) => head,
        Err(PullupError::NoMem) => return Err(IpDrop::NoMem),
        Err(_) => return Err(IpDrop::IcmpShort),
    };
    let [kind, code, c0, c1, ..] = head else { return Err(IpDrop::IcmpShort) };
    let old = u16::from_ne_bytes([*kind, *code]);
    *kind = ECHO_REPLY;
    let new = u16::from_ne_bytes([*kind, *code]);
    if !partial {
        let sum = checksum::update(u16::from_ne_bytes([*c0, *c1]), old, new);
        // Zero sums up only when something else does not: an answer may be all zeros (RFC 1624).
        [*c0, *c1] = if sum == 0 { [0xff; 2] } else { sum.to_ne_bytes() };
    }
    msg.set_flags(MsgFlags::empty());
    let request =
        Request { src: Some(view.dst), tos: view.tos, ..Request::new(view.src, protocol::ICMP) };
    request.prepend(msg, pool).map_err(|_| IpDrop::NoMem)
}

/// Reads the packet that an error quotes, and refuses what cannot be about a packet of ours.
fn quoted(msg: &Msg, view: &View, cause: Cause, net: &Net) -> Result<SoftError, IpDrop> {
    let mut bytes = [0; MAX_HEADER_LEN + 8];
    let seen = msg.copy_out(view.header() + HEADER_LEN, &mut bytes);
    let bytes = bytes.get(..seen).unwrap_or_default();
    let quote = View::parse(bytes).ok_or(IpDrop::IcmpQuote)?;
    let transport = bytes.get(quote.header()..).and_then(<[u8]>::first_chunk::<8>);
    let transport = *transport.ok_or(IpDrop::IcmpQuote)?;
    let ours = v4(quote.src).is_some_and(|src| net.owner(src).is_some());
    if !ours || quote.fragment_offset != 0 {
        return Err(IpDrop::IcmpQuote);
    }
    if let Cause::PacketTooBig(Some(mtu)) = cause {
        // Below what every link carries, or no smaller than the packet: made up.
        if mtu < MTU_MIN || mtu >= quote.total_len {
            return Err(IpDrop::IcmpMtu);
        }
    }
    Ok(SoftError {
        reporter: view.src,
        src: quote.src,
        dst: quote.dst,
        protocol: quote.protocol,
        cause,
        transport,
    })
}

/// Bytes of an ICMP header.
pub const HEADER_LEN: usize = 8;

const ECHO_REPLY: u8 = 0;
const UNREACHABLE: u8 = 3;
const REDIRECT: u8 = 5;
const ECHO_REQUEST: u8 = 8;
const TIME_EXCEEDED: u8 = 11;
const PARAMETER_PROBLEM: u8 = 12;
const _: () = assert!(MIN_HEADER_LEN + HEADER_LEN == 28);

#[cfg(test)]
mod tests;
