//! capture: passes all messages, records them in a pcapng file that the host writes.
//!
//! | parameter | takes | default | what it does |
//! |---|---|---|---|
//! | `file` | path | | where to; given when the module is made, fixed then |
//! | `link` | `ethernet`, `raw`, `user` | ethernet | what messages begin with; fixed as well |
//! | `snaplen` | bytes from 14 to 262144 | 65536 | so much of each message is copied |
//! | `direction` | `both`, `up`, `down` | both | which way |
//!
//! The file has two interfaces, NAME-up and NAME-down. M_DATA messages are recorded; with
//! `link=user` all are, with their type as comment. A super-frame is recorded whole, and its
//! comment says what it will be cut into; so does that of a packet whose checksum is not filled in
//! yet. What the host cannot take is counted as lost; traffic never waits for it.

use crate::pcapng::{self, Direction, LinkType, Packet, Section};
use alloc::boxed::Box;
use alloc::string::{String, ToString};
use alloc::vec::Vec;
use core::fmt::Write;
use millstream_core::{Cx, Errno, Fields, Invalid, ModInfo, Module, Side, Step};
use millstream_msg::{Kind, Msg};

/// What `capture` says of itself.
pub const INFO: ModInfo = ModInfo::new("capture", "records messages in a pcapng file");

/// Where a capture goes: a file, a ring to a thread that writes one, a buffer.
pub trait Sink: Send {
    /// Takes whole blocks of the file. False: it could not, and they are lost.
    fn write(&mut self, block: &[u8]) -> bool;
}

/// The module.
pub struct Capture {
    sink: Box<dyn Sink>,
    name: String,
    file: String,
    link: LinkType,
    snaplen: usize,
    direction: &'static str,
    /// Recorded, by direction.
    captured: [u64; 2],
    /// Not taken by the sink, by direction.
    lost: [u64; 2],
    /// The block that is being made. Holds the largest one without growing.
    block: Vec<u8>,
}

impl Capture {
    /// A capture of Ethernet frames at a place called `name`.
    pub fn new(sink: Box<dyn Sink>, name: &str) -> Self {
        Self {
            sink,
            name: name.into(),
            file: String::new(),
            link: LinkType::Ethernet,
            snaplen: 65_536,
            direction: "both",
            captured: [0; 2],
            lost: [0; 2],
            block: Vec::new(),
        }
    }

    /// Says what messages begin with.
    #[must_use]
    pub fn with_link(mut self, link: LinkType) -> Self {
        self.link = link;
        self
    }

    /// Says where the sink goes, for `show`.
    #[must_use]
    pub fn with_file(mut self, file: &str) -> Self {
        self.file = file.into();
        self
    }

    fn record(&mut self, cx: &mut Cx<'_>, side: Side, msg: &Msg) {
        let other = if side == Side::Read { "down" } else { "up" };
        let wanted = msg.kind() == Kind::Data || self.link == LinkType::User;
        if !wanted || self.direction == other {
            return;
        }
        self.block.clear();
        let wall = cx.wall();
        let captured = packet(&mut self.block, msg, side as u32, side, wall, self.snaplen);
        cx.pool().note_copied(captured);
        let taken = self.sink.write(&self.block);
        let counter = if taken { &mut self.captured } else { &mut self.lost };
        counter[side as usize] += 1;
    }

    fn reserve(&mut self) {
        let most = self.snaplen + pcapng::PACKET_OVERHEAD + COMMENT_MAX;
        self.block.clear();
        self.block.reserve(most);
    }
}

impl Module for Capture {
    fn info(&self) -> &'static ModInfo {
        &INFO
    }

    /// Writes the head of the file.
    fn open(&mut self, _: &mut Cx<'_>) -> Result<Step, Errno> {
        self.reserve();
        let application = concat!("millstream ", env!("CARGO_PKG_VERSION"));
        let section = Section { application, comment: &self.name, ..Section::default() };
        pcapng::section_header(&mut self.block, &section);
        for way in ["-up", "-down"] {
            let name = self.name.clone() + way;
            pcapng::interface(&mut self.block, &name, self.link, self.snaplen as u32);
        }
        if self.sink.write(&self.block) { Ok(Step::Done) } else { Err(Errno::EIO) }
    }

    fn rput(&mut self, cx: &mut Cx<'_>, msg: Msg) {
        self.record(cx, Side::Read, &msg);
        cx.putnext(msg);
    }

    fn wput(&mut self, cx: &mut Cx<'_>, msg: Msg) {
        self.record(cx, Side::Write, &msg);
        cx.putnext(msg);
    }

    /// Writes the end of the file.
    fn close(&mut self, cx: &mut Cx<'_>) -> Step {
        self.block.clear();
        for side in [0, 1] {
            let (captured, lost) = (self.captured[side], self.lost[side]);
            let block = &mut self.block;
            pcapng::statistics(block, side as u32, cx.wall(), captured + lost, lost);
        }
        // Nobody is left to be told.
        let _ = self.sink.write(&self.block);
        Step::Done
    }

    fn set(&mut self, _: &mut Cx<'_>, key: &str, value: &str) -> Result<(), Invalid> {
        let fixed = "fixed when the module was made; put another capture in";
        match key {
            "file" if value == self.file => {}
            "link" if value == link_name(self.link) => {}
            "file" | "link" => return Err(Invalid::value(key, value, fixed)),
            "snaplen" => {
                let bytes = value.parse().ok().filter(|n| (SNAPLEN_MIN..=SNAPLEN_MAX).contains(n));
                let want = "bytes from 14 to 262144";
                self.snaplen = bytes.ok_or_else(|| Invalid::value(key, value, want))?;
                self.reserve();
            }
            "direction" => {
                let known = ["both", "up", "down"].into_iter().find(|known| *known == value);
                let want = "one of both, up, down";
                self.direction = known.ok_or_else(|| Invalid::value(key, value, want))?;
            }
            _ => return Err(Invalid::unknown(key)),
        }
        Ok(())
    }

    fn show(&self, fields: &mut Fields) {
        fields.text("file", self.file.clone());
        fields.text("link", link_name(self.link));
        fields.text("snaplen", self.snaplen.to_string());
        fields.text("direction", self.direction);
        fields.count("up.captured", self.captured[0]);
        fields.count("down.captured", self.captured[1]);
        fields.count("up.lost", self.lost[0]);
        fields.count("down.lost", self.lost[1]);
    }
}

impl core::fmt::Debug for Capture {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("Capture").field("name", &self.name).field("file", &self.file).finish()
    }
}

/// Appends a message as a packet of an interface, with what is to be said of it as comment; how
/// many of its bytes were copied.
pub(crate) fn packet(
    block: &mut Vec<u8>,
    msg: &Msg,
    interface: u32,
    side: Side,
    time_ns: u64,
    snaplen: usize,
) -> usize {
    let captured = msg.len().min(snaplen);
    let comment = Comment::of(msg);
    let packet = Packet {
        interface,
        time_ns,
        original_len: msg.len() as u32,
        direction: [Direction::Inbound, Direction::Outbound][side as usize],
        comment: comment.as_str(),
    };
    let fill = |bytes: &mut [u8]| {
        msg.copy_out(0, bytes);
    };
    pcapng::packet(block, &packet, captured, fill);
    captured
}

/// The link type that `link` names.
pub fn link_type(name: &str) -> Option<LinkType> {
    [LinkType::Ethernet, LinkType::Raw, LinkType::User]
        .into_iter()
        .find(|link| link_name(*link) == name)
}

fn link_name(link: LinkType) -> &'static str {
    match link {
        LinkType::Ethernet => "ethernet",
        LinkType::Raw => "raw",
        LinkType::User => "user",
    }
}

/// A comment on a packet, made without the heap; longer ones are cut.
#[derive(Debug)]
pub struct Comment {
    text: [u8; COMMENT_MAX],
    len: usize,
}

impl Comment {
    /// What is still to be done to a message: cut it, fill its checksum in.
    pub fn of(msg: &Msg) -> Self {
        let mut comment = Self { text: [0; COMMENT_MAX], len: 0 };
        let offload = msg.offload();
        // Writing does not fail: what is too long is cut.
        if msg.kind() != Kind::Data {
            let _ = write!(comment, "type {:?}; ", msg.kind());
        }
        if offload.is_super() {
            let (packets, size) = (offload.packets(msg.len()), offload.gso_size);
            let _ = write!(comment, "super-frame {:?}: {packets} packets of up to ", offload.gso);
            let _ = write!(comment, "{size} bytes of payload; ");
        }
        if offload.needs_csum {
            let place = u32::from(offload.csum_start) + u32::from(offload.csum_offset);
            let _ = write!(comment, "checksum at byte {place} not filled in yet; ");
        }
        comment.len = comment.len.saturating_sub(2);
        comment
    }

    /// The text; empty for a packet that is whole.
    pub fn as_str(&self) -> &str {
        core::str::from_utf8(&self.text[..self.len]).unwrap_or_default()
    }
}

impl Write for Comment {
    fn write_str(&mut self, text: &str) -> core::fmt::Result {
        let n = text.len().min(COMMENT_MAX - self.len);
        self.text[self.len..self.len + n].copy_from_slice(&text.as_bytes()[..n]);
        self.len += n;
        Ok(())
    }
}

/// Bytes of a comment.
const COMMENT_MAX: usize = 160;
/// Ethernet's header.
const SNAPLEN_MIN: usize = 14;
/// What readers of captures accept (`MAXIMUM_SNAPLEN` of libpcap).
const SNAPLEN_MAX: usize = 262_144;
