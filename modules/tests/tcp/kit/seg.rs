//! `Seg`: a segment that the peer sends, or what one of the host must look like.
//!
//! Numbers count from the sender's SYN, which is 0; the first octet of data is 1. What a test
//! does not say is filled in by the peer (its next number, an acknowledgement of all that came,
//! its window, its timestamp), and is not looked at in what is expected.

use std::net::SocketAddr;

pub(crate) const FIN: u8 = 0x01;
pub(crate) const SYN: u8 = 0x02;
pub(crate) const RST: u8 = 0x04;
pub(crate) const PSH: u8 = 0x08;
pub(crate) const ACK: u8 = 0x10;
pub(crate) const URG: u8 = 0x20;
pub(crate) const ECE: u8 = 0x40;
pub(crate) const CWR: u8 = 0x80;

/// Flags that are always compared; the others when a test names them.
const COMPARED: u8 = FIN | SYN | RST | ACK | URG;

/// See the module.
#[derive(Clone, Debug)]
pub(crate) struct Seg {
    pub flags: u8,
    pub mask: u8,
    pub seq: Option<u32>,
    pub ack: Option<u32>,
    pub window: Option<u16>,
    pub urgent: Option<u16>,
    /// Octets of data: of the pattern, unless `data` has others.
    pub len: Option<usize>,
    pub data: Option<Vec<u8>>,
    pub mss: Option<u16>,
    pub wscale: Option<u8>,
    pub sack_ok: bool,
    pub sacks: Option<Vec<(u32, u32)>>,
    pub ts: Ts,
    /// Instead of all options.
    pub raw_options: Option<Vec<u8>>,
    pub ip_options: Vec<u8>,
    pub bad_sum: bool,
    /// In words, instead of the right one.
    pub data_offset: Option<u8>,
    pub from: Option<SocketAddr>,
    pub to: Option<SocketAddr>,
    pub tos: Option<u8>,
    /// A super-segment of pieces of this size.
    pub gso_size: Option<u16>,
    /// Came to a broadcast address of the link.
    pub link_broadcast: bool,
}

/// What to do about timestamps.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Ts {
    /// As the connection has it.
    Auto,
    /// The peer's clock, whatever was agreed.
    On,
    Off,
    /// Value and echo.
    Are(u32, u32),
    /// Of an expected segment: only the echo is looked at.
    Echo(u32),
}

/// Any segment.
pub(crate) fn seg() -> Seg {
    Seg {
        flags: 0,
        mask: COMPARED,
        seq: None,
        ack: None,
        window: None,
        urgent: None,
        len: None,
        data: None,
        mss: None,
        wscale: None,
        sack_ok: false,
        sacks: None,
        ts: Ts::Auto,
        raw_options: None,
        ip_options: Vec::new(),
        bad_sum: false,
        data_offset: None,
        from: None,
        to: None,
        tos: None,
        gso_size: None,
        link_broadcast: false,
    }
}

pub(crate) fn syn() -> Seg {
    seg().flag(SYN)
}

pub(crate) fn syn_ack() -> Seg {
    seg().flag(SYN | ACK)
}

/// An acknowledgement without data.
pub(crate) fn ack(n: u32) -> Seg {
    seg().ack(n).len(0)
}

/// So many octets of data.
pub(crate) fn data(n: usize) -> Seg {
    seg().flag(ACK).len(n)
}

pub(crate) fn fin() -> Seg {
    seg().flag(FIN | ACK)
}

pub(crate) fn rst() -> Seg {
    seg().flag(RST)
}

pub(crate) fn rst_ack() -> Seg {
    seg().flag(RST | ACK)
}

/// A peer without options but a maximum of 1000 octets: sizes are easy to read.
pub(crate) fn plain() -> Seg {
    syn().mss(1000)
}

/// As [`plain`], with selective acknowledgements.
pub(crate) fn with_sack() -> Seg {
    syn().mss(1000).sack_ok()
}

/// A peer as Linux on Ethernet.
pub(crate) fn full() -> Seg {
    syn().mss(1460).sack_ok().ts_on().wscale(7)
}

impl Seg {
    pub(crate) fn flag(mut self, flags: u8) -> Self {
        self.flags |= flags;
        self.mask |= flags;
        self
    }

    /// Of an expected segment: these flags are not set.
    pub(crate) fn no_flag(mut self, flags: u8) -> Self {
        self.flags &= !flags;
        self.mask |= flags;
        self
    }

    /// Of an expected segment: these flags are not looked at.
    pub(crate) fn any_flag(mut self, flags: u8) -> Self {
        self.flags &= !flags;
        self.mask &= !flags;
        self
    }

    pub(crate) fn seq(self, n: u32) -> Self {
        Self { seq: Some(n), ..self }
    }

    pub(crate) fn ack(self, n: u32) -> Self {
        Self { ack: Some(n), ..self.flag(ACK) }
    }

    /// Acknowledges 1 where the flags say so.
    pub(crate) fn ack_if(self, flags: u8) -> Self {
        Self { ack: (flags & ACK != 0).then_some(1), ..self }
    }

    pub(crate) fn no_ack(self) -> Self {
        Self { ack: None, ..self.no_flag(ACK) }
    }

    /// The window's field as it stands in the header.
    pub(crate) fn win(self, n: u16) -> Self {
        Self { window: Some(n), ..self }
    }

    pub(crate) fn urgent(self, pointer: u16) -> Self {
        Self { urgent: Some(pointer), ..self.flag(URG) }
    }

    pub(crate) fn len(self, n: usize) -> Self {
        Self { len: Some(n), ..self }
    }

    pub(crate) fn bytes(self, bytes: &[u8]) -> Self {
        Self { len: Some(bytes.len()), data: Some(bytes.to_vec()), ..self }
    }

    pub(crate) fn mss(self, n: u16) -> Self {
        Self { mss: Some(n), ..self }
    }

    pub(crate) fn wscale(self, n: u8) -> Self {
        Self { wscale: Some(n), ..self }
    }

    pub(crate) fn sack_ok(self) -> Self {
        Self { sack_ok: true, ..self }
    }

    pub(crate) fn sack(self, blocks: &[(u32, u32)]) -> Self {
        Self { sacks: Some(blocks.to_vec()), ..self }
    }

    pub(crate) fn ts_on(self) -> Self {
        Self { ts: Ts::On, ..self }
    }

    pub(crate) fn no_ts(self) -> Self {
        Self { ts: Ts::Off, ..self }
    }

    pub(crate) fn ts(self, value: u32, echo: u32) -> Self {
        Self { ts: Ts::Are(value, echo), ..self }
    }

    pub(crate) fn echo(self, echo: u32) -> Self {
        Self { ts: Ts::Echo(echo), ..self }
    }

    pub(crate) fn raw_options(self, bytes: &[u8]) -> Self {
        Self { raw_options: Some(bytes.to_vec()), ..self }
    }

    pub(crate) fn ip_options(self, bytes: &[u8]) -> Self {
        Self { ip_options: bytes.to_vec(), ..self }
    }

    pub(crate) fn bad_sum(self) -> Self {
        Self { bad_sum: true, ..self }
    }

    pub(crate) fn data_offset(self, words: u8) -> Self {
        Self { data_offset: Some(words), ..self }
    }

    pub(crate) fn from(self, addr: SocketAddr) -> Self {
        Self { from: Some(addr), ..self }
    }

    pub(crate) fn to(self, addr: SocketAddr) -> Self {
        Self { to: Some(addr), ..self }
    }

    pub(crate) fn tos(self, tos: u8) -> Self {
        Self { tos: Some(tos), ..self }
    }

    pub(crate) fn gso(self, size: u16) -> Self {
        Self { gso_size: Some(size), ..self }
    }

    pub(crate) fn link_broadcast(self) -> Self {
        Self { link_broadcast: true, ..self }
    }

    pub(crate) fn has(&self, flag: u8) -> bool {
        self.flags & flag != 0
    }

    /// Octets of data.
    pub(crate) fn payload_len(&self) -> usize {
        self.data.as_ref().map_or(self.len.unwrap_or(0), Vec::len)
    }

    /// Numbers that it takes of the sequence space.
    pub(crate) fn space(&self) -> u32 {
        self.payload_len() as u32 + u32::from(self.has(SYN)) + u32::from(self.has(FIN))
    }
}

/// The octet at a position of a stream.
pub(crate) fn pattern(at: usize) -> u8 {
    (at.wrapping_mul(31) ^ (at >> 8)) as u8
}

/// Octets `from..from + len` of a stream.
pub(crate) fn pattern_of(from: usize, len: usize) -> Vec<u8> {
    (from..from + len).map(pattern).collect()
}
