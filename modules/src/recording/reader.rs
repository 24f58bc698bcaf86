//! Reads recordings that somebody else wrote: every length is checked, nothing is believed.

use super::{ENTRY_LEN, ENTRY_MAX, HEAD_LEN, LOST, MAGIC, NAME_MAX, PARTS_MAX, VERSION};
use millstream_core::Side;
use millstream_msg::{Band, Gso, Kind, Msg, MsgFlags, NoMem, Offload, Pool};

/// The entries of a recording, in order. Ends behind the first fault.
#[derive(Clone, Debug)]
pub struct Reader<'a> {
    bytes: &'a [u8],
    at: usize,
    name: &'a str,
    begin_ns: u64,
}

/// One entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Entry<'a> {
    /// Nanoseconds since 1970.
    pub time_ns: u64,
    /// What happened.
    pub event: Event<'a>,
}

/// What an entry tells.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Event<'a> {
    /// A message passed.
    Message(Side, Parts<'a>),
    /// So many messages passed that the recording could not take.
    Lost(u64),
}

/// A message as it was recorded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Parts<'a> {
    /// Its band.
    pub band: Band,
    /// Its flags.
    pub flags: MsgFlags,
    /// What is left to do to it.
    pub offload: Offload,
    /// The interface or slot it is marked with.
    pub ctx: u16,
    /// Hash of its flow.
    pub flow_hash: u32,
    table: &'a [u8],
    bytes: &'a [u8],
}

/// Why bytes are no recording, or how far they are one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fault {
    /// Byte where the head or entry begins that is wrong.
    pub at: usize,
    /// A few words.
    pub why: &'static str,
}

impl core::fmt::Display for Fault {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        write!(f, "at byte {}: {}", self.at, self.why)
    }
}

impl core::error::Error for Fault {}

impl<'a> Reader<'a> {
    /// Reads the head.
    ///
    /// # Errors
    /// It is none, or one of another version.
    pub fn new(bytes: &'a [u8]) -> Result<Self, Fault> {
        let fault = |why| Fault { at: 0, why };
        let head = bytes.get(..HEAD_LEN).ok_or(fault("too short for a recording"))?;
        if head[..8] != MAGIC[..] {
            return Err(fault("not a recording"));
        }
        if u16_at(head, 8) != VERSION {
            return Err(fault("a recording of another version"));
        }
        let len = usize::from(u16_at(head, 10));
        let name = bytes.get(HEAD_LEN..HEAD_LEN + len).filter(|_| len <= NAME_MAX);
        let name = name.and_then(|name| core::str::from_utf8(name).ok());
        let name = name.ok_or(fault("the name of its place is cut or no text"))?;
        Ok(Self { bytes, at: HEAD_LEN + len, name, begin_ns: u64_at(head, 12) })
    }

    /// Goes on from a byte that [`Reader::position`] gave.
    #[must_use]
    pub fn from_position(self, at: usize) -> Self {
        Self { at: at.min(self.bytes.len()), ..self }
    }

    /// Byte where the next entry begins.
    pub const fn position(&self) -> usize {
        self.at
    }

    /// Name of the place it was made at.
    pub const fn name(&self) -> &'a str {
        self.name
    }

    /// When it was begun, in nanoseconds since 1970.
    pub const fn begin_ns(&self) -> u64 {
        self.begin_ns
    }

    fn entry(&self, rest: &'a [u8]) -> Result<(Entry<'a>, usize), &'static str> {
        let len = rest.get(..4).map(|bytes| u32_at(bytes, 0) as usize).ok_or(CUT)?;
        if !(ENTRY_LEN + 8..=ENTRY_MAX).contains(&len) {
            return Err("an entry of an impossible length");
        }
        let entry = rest.get(..len).ok_or(CUT)?;
        let (head, rest) = entry.split_at(ENTRY_LEN);
        let side = match head[12] {
            0 => Side::Read,
            1 => Side::Write,
            LOST if rest.len() == 8 => {
                let event = Event::Lost(u64_at(rest, 0));
                return Ok((Entry { time_ns: u64_at(head, 4), event }, len));
            }
            _ => return Err("an entry of an unknown event"),
        };
        let parts = parts(head, rest)?;
        Ok((Entry { time_ns: u64_at(head, 4), event: Event::Message(side, parts) }, len))
    }
}

impl<'a> Iterator for Reader<'a> {
    type Item = Result<Entry<'a>, Fault>;

    fn next(&mut self) -> Option<Self::Item> {
        let at = self.at;
        let rest = self.bytes.get(at..).filter(|rest| !rest.is_empty())?;
        Some(match self.entry(rest) {
            Ok((entry, len)) => {
                self.at += len;
                Ok(entry)
            }
            Err(why) => {
                self.at = self.bytes.len();
                Err(Fault { at, why })
            }
        })
    }
}

fn parts<'a>(head: &[u8], rest: &'a [u8]) -> Result<Parts<'a>, &'static str> {
    let count = usize::from(u16_at(head, 32));
    if !(1..=PARTS_MAX).contains(&count) {
        return Err("a message of no or too many parts");
    }
    let (table, bytes) = rest.split_at_checked(8 * count).ok_or("parts beyond their entry")?;
    let mut sum = 0_usize;
    for part in table.chunks_exact(8) {
        Kind::from_number(part[0]).ok_or("a part of an unknown type")?;
        sum = sum.saturating_add(u32_at(part, 4) as usize);
    }
    if sum != bytes.len() {
        return Err("parts that are not as long as their bytes");
    }
    let gso = Gso::from_virtio(head[17]).ok_or("an unknown kind of super-frame")?;
    Ok(Parts {
        band: Band(head[13]),
        flags: MsgFlags::from_bits(u16_at(head, 14)),
        offload: Offload {
            needs_csum: head[16] != 0,
            gso,
            gso_size: u16_at(head, 18),
            hdr_len: u16_at(head, 20),
            csum_start: u16_at(head, 22),
            csum_offset: u16_at(head, 24),
        },
        ctx: u16_at(head, 26),
        flow_hash: u32_at(head, 28),
        table,
        bytes,
    })
}

impl<'a> Parts<'a> {
    /// Type and bytes of each part.
    pub fn iter(&self) -> impl Iterator<Item = (Kind, &'a [u8])> + use<'a> {
        let mut rest = self.bytes;
        self.table.chunks_exact(8).filter_map(move |part| {
            let (bytes, behind) = rest.split_at_checked(u32_at(part, 4) as usize)?;
            rest = behind;
            Some((Kind::from_number(part[0])?, bytes))
        })
    }

    /// The type of the message: that of its first part.
    pub fn kind(&self) -> Kind {
        self.iter().next().map_or(Kind::Data, |(kind, _)| kind)
    }

    /// All bytes.
    pub const fn bytes(&self) -> &'a [u8] {
        self.bytes
    }

    /// A message like it.
    ///
    /// # Errors
    /// No cell is left.
    pub fn to_msg(&self, headroom: usize, pool: &mut Pool) -> Result<Msg, NoMem> {
        let mut whole: Option<Msg> = None;
        for (kind, bytes) in self.iter() {
            let mut part = match pool.copy_from(headroom, bytes) {
                Ok(part) => part,
                Err(none) => {
                    if let Some(whole) = whole {
                        pool.spend(whole);
                    }
                    return Err(none);
                }
            };
            part.set_kind_all(kind);
            match &mut whole {
                Some(whole) => whole.link(part),
                None => whole = Some(part),
            }
        }
        let mut msg = whole.ok_or(NoMem)?;
        msg.set_band(self.band);
        msg.set_flags(self.flags);
        msg.set_offload(self.offload);
        msg.set_ctx(self.ctx);
        msg.set_flow_hash(self.flow_hash);
        Ok(msg)
    }
}

/// The number at `at`; callers have checked the length.
fn u16_at(bytes: &[u8], at: usize) -> u16 {
    u16::from_le_bytes([bytes[at], bytes[at + 1]])
}

fn u32_at(bytes: &[u8], at: usize) -> u32 {
    u32::from(u16_at(bytes, at)) | u32::from(u16_at(bytes, at + 2)) << 16
}

fn u64_at(bytes: &[u8], at: usize) -> u64 {
    u64::from(u32_at(bytes, at)) | u64::from(u32_at(bytes, at + 4)) << 32
}

const CUT: &str = "cut in the middle of an entry";
