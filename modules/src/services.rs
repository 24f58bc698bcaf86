//! echo, discard, daytime, chargen, time: take datagrams on their way up a stream of `udp` and
//! answer them; pass everything else.
//!
//! A request is a T_UNITDATA_IND (M_PROTO, then M_DATA). Its answer is the same control block,
//! made a T_UNITDATA_REQ in place: it goes to the source, from the address that was asked. `echo`
//! sends the data blocks back as they are, super-datagrams whole.
//!
//! None answers a datagram to many, none answers port 0 or a port where such a service answers back
//! (two of them would talk for ever), and an answer for which there is no room below is dropped:
//! UDP may. Word of an answer that could not be delivered ends here.

mod answers;
pub mod http;
pub mod stream;

pub use answers::{ANSWER_MAX, chargen, daytime, time};

use crate::actions::reasons;
use core::net::SocketAddr;
use millstream_core::tpi::{self, T_UDERROR_IND, T_UNITDATA_IND, T_UNITDATA_REQ};
use millstream_core::{Contract, Cx, Drop, Fields, Format, ModInfo, Module, Side};
use millstream_msg::{Kind, Msg, MsgFlags, NoMem, Offload, Pool};

reasons! {
    /// Why a service dropped a datagram.
    pub enum ServiceDrop {
        /// It was sent to many.
        Group => "service: sent to many",
        /// An answer could be answered.
        LoopPort => "service: from a port that answers",
        /// Its source is missing, a group or no host.
        Source => "service: no host as source",
        /// Word that an answer could not be delivered.
        Undelivered => "service: answer not delivered",
        /// The connection is over.
        Gone => "service: connection over",
        /// There is no room for the answer.
        Blocked => "service: reply blocked",
        /// No message cell was left.
        NoMem => "no memory",
    }
}

impl From<ServiceDrop> for Drop {
    fn from(reason: ServiceDrop) -> Self {
        Self(reason.name())
    }
}

/// Which service.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kinds {
    /// RFC 862, port 7: the same data back.
    Echo,
    /// RFC 863, port 9: nothing.
    Discard,
    /// RFC 867, port 13: the date as a line.
    Daytime,
    /// RFC 864, port 19: lines of characters.
    Chargen,
    /// RFC 868, port 37: seconds since 1900.
    Time,
}

impl Kinds {
    /// All of them.
    pub const ALL: [Self; 5] =
        [Self::Echo, Self::Discard, Self::Daytime, Self::Chargen, Self::Time];

    /// What the module says of itself.
    pub const fn info(self) -> &'static ModInfo {
        const fn info(name: &'static str, about: &'static str) -> ModInfo {
            let contract = Contract::between(Format::Datagrams, Format::Datagrams);
            ModInfo { contract, ..ModInfo::new(name, about) }
        }
        const ECHO: ModInfo = info("echo", "sends datagrams back (RFC 862)");
        const DISCARD: ModInfo = info("discard", "throws datagrams away (RFC 863)");
        const DAYTIME: ModInfo = info("daytime", "answers with the date as text (RFC 867)");
        const CHARGEN: ModInfo = info("chargen", "answers with lines of characters (RFC 864)");
        const TIME: ModInfo = info("time", "answers with seconds since 1900 (RFC 868)");
        match self {
            Self::Echo => &ECHO,
            Self::Discard => &DISCARD,
            Self::Daytime => &DAYTIME,
            Self::Chargen => &CHARGEN,
            Self::Time => &TIME,
        }
    }

    /// The well-known port.
    pub const fn port(self) -> u16 {
        match self {
            Self::Echo => 7,
            Self::Discard => 9,
            Self::Daytime => 13,
            Self::Chargen => 19,
            Self::Time => 37,
        }
    }
}

/// The module of a service.
#[derive(Debug)]
pub struct Service {
    kind: Kinds,
    /// Character with which the next datagram of `chargen` begins.
    first: usize,
    requests: u64,
    answers: u64,
}

impl Service {
    /// The service `kind`.
    pub fn new(kind: Kinds) -> Self {
        Self { kind, first: 0, requests: 0, answers: 0 }
    }

    /// The data of an answer that is made here; its bytes in `out`.
    fn make(&mut self, cx: &mut Cx<'_>, out: &mut [u8; ANSWER_MAX]) -> usize {
        let unix_s = cx.wall() / 1_000_000_000;
        match self.kind {
            Kinds::Daytime => daytime(unix_s, out),
            Kinds::Time => {
                out[..4].copy_from_slice(&time(unix_s));
                4
            }
            _ => {
                let len = cx.rng().below(ANSWER_MAX as u64 + 1) as usize;
                chargen(self.first, &mut out[..len]);
                self.first = (self.first + 1) % 95;
                len
            }
        }
    }

    fn answer(&mut self, cx: &mut Cx<'_>, msg: Msg) {
        if let Err(reason) = may_answer(&msg) {
            return cx.discard(msg, reason);
        }
        if !cx.canput(Side::Write, msg.band()) {
            return cx.discard(msg, ServiceDrop::Blocked);
        }
        let reply = if self.kind == Kinds::Echo {
            reply_in_place(msg, cx.pool())
        } else {
            let mut data = [0; ANSWER_MAX];
            let len = self.make(cx, &mut data);
            reply_with(msg, &data[..len], cx.pool())
        };
        match reply {
            Ok(reply) => {
                self.answers += 1;
                cx.qreply(reply);
            }
            Err(msg) => cx.discard(msg, ServiceDrop::NoMem),
        }
    }
}

impl Module for Service {
    fn info(&self) -> &'static ModInfo {
        self.kind.info()
    }

    fn rput(&mut self, cx: &mut Cx<'_>, msg: Msg) {
        match tpi::primitive(msg.first()) {
            Some(T_UNITDATA_IND) if msg.kind() == Kind::Proto => {}
            // An answer was not taken. Nobody reads this stream: errors that anybody can send must
            // not fill its head until the service gets nothing any more.
            Some(T_UDERROR_IND) if msg.kind() == Kind::Proto => {
                return cx.discard(msg, ServiceDrop::Undelivered);
            }
            _ => return cx.putnext(msg),
        }
        self.requests += 1;
        match self.kind {
            Kinds::Discard => cx.free(msg),
            _ => self.answer(cx, msg),
        }
    }

    fn show(&self, fields: &mut Fields) {
        fields.count("requests", self.requests);
        fields.count("answers", self.answers);
    }
}

/// May a datagram be answered?
pub fn may_answer(indication: &Msg) -> Result<(), ServiceDrop> {
    let many = MsgFlags::LINK_BROADCAST.with(MsgFlags::LINK_MULTICAST);
    if indication.flags().intersects(many) {
        return Err(ServiceDrop::Group);
    }
    let from: SocketAddr = tpi::address_at(indication.first(), 4).ok_or(ServiceDrop::Source)?;
    if from.ip().is_multicast() || from.ip().is_unspecified() {
        return Err(ServiceDrop::Source);
    }
    if ANSWERING_PORTS.contains(&from.port()) {
        return Err(ServiceDrop::LoopPort);
    }
    Ok(())
}

/// A datagram on its way back to where it came from. No payload byte moves.
///
/// # Errors
/// The control block is shared and no cell is left to copy it; the message is given back.
pub fn reply_in_place(mut msg: Msg, pool: &mut Pool) -> Result<Msg, Msg> {
    // The whole block, should it be shared: whoever parses it wants it in one piece.
    let control = msg.run_len();
    match msg.make_writable(pool, control) {
        Ok(bytes) if bytes.len() >= 4 => {
            bytes[..4].copy_from_slice(&T_UNITDATA_REQ.to_ne_bytes());
        }
        _ => return Err(msg),
    }
    // Offsets of the request were those of the packet; a datagram has no headers.
    let Offload { gso, gso_size, .. } = msg.offload();
    msg.set_offload(Offload { gso, gso_size, ..Offload::NONE });
    // The answer is the same message: who follows it wants to see it leave.
    msg.set_flags(MsgFlags::empty().with_trace(msg.flags().trace()));
    Ok(msg)
}

/// An answer with other data.
///
/// # Errors
/// No cell is left; the control part of the message is given back.
fn reply_with(msg: Msg, data: &[u8], pool: &mut Pool) -> Result<Msg, Msg> {
    let (control, asked) = msg.unlink();
    if let Some(asked) = asked {
        pool.spend(asked);
    }
    let mut reply = reply_in_place(control, pool)?;
    reply.set_offload(Offload::NONE);
    match pool.copy_from(REPLY_HEADROOM, data) {
        Ok(data) => {
            reply.link(data);
            Ok(reply)
        }
        Err(NoMem) => Err(reply),
    }
}

/// Ports that answer datagrams: echo, daytime, quote of the day, chargen, time; and 0, to which
/// nobody can send.
const ANSWERING_PORTS: [u16; 6] = [0, 7, 13, 17, 19, 37];
/// UDP, IPv6 with options, Ethernet.
const REPLY_HEADROOM: usize = 128;
