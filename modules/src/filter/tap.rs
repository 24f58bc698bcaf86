//! Where `copy` and `divert` go: a pcapng file with an interface for each way.

use super::facts::Link;
use crate::capture::Sink;
use crate::pcapng::{self, Direction, LinkType, Packet, Section};
use alloc::boxed::Box;
use alloc::string::String;
use alloc::vec::Vec;
use millstream_core::Side;
use millstream_msg::Msg;

/// The file.
pub(super) struct Tap {
    sink: Box<dyn Sink>,
    place: String,
    link: LinkType,
    /// The block that is being made. Holds the largest one without growing.
    block: Vec<u8>,
    /// Messages written.
    pub(super) written: u64,
    /// Messages that the file did not take.
    pub(super) lost: u64,
}

impl Tap {
    pub(super) fn new(sink: Box<dyn Sink>, place: &str, link: Link) -> Self {
        let link = match link {
            Link::Ethernet => LinkType::Ethernet,
            // What goes down is a request, not a packet.
            Link::Ip | Link::Tpi => LinkType::User,
        };
        let block = Vec::with_capacity(MESSAGE_MAX + pcapng::PACKET_OVERHEAD);
        Self { sink, place: place.into(), link, block, written: 0, lost: 0 }
    }

    /// Writes the head of the file; false when it takes nothing.
    pub(super) fn begin(&mut self) -> bool {
        self.block.clear();
        let application = concat!("millstream ", env!("CARGO_PKG_VERSION"));
        let section = Section { application, comment: &self.place, ..Section::default() };
        pcapng::section_header(&mut self.block, &section);
        for way in ["-up", "-down"] {
            let name = self.place.clone() + way;
            pcapng::interface(&mut self.block, &name, self.link, MESSAGE_MAX as u32);
        }
        self.sink.write(&self.block)
    }

    /// Writes a message.
    pub(super) fn write(&mut self, time_ns: u64, side: Side, msg: &Msg) {
        self.block.clear();
        let packet = Packet {
            interface: side as u32,
            time_ns,
            original_len: msg.len() as u32,
            direction: [Direction::Inbound, Direction::Outbound][side as usize],
            comment: "",
        };
        pcapng::packet(&mut self.block, &packet, msg.len().min(MESSAGE_MAX), |bytes| {
            msg.copy_out(0, bytes);
        });
        let taken = self.sink.write(&self.block);
        *if taken { &mut self.written } else { &mut self.lost } += 1;
    }
}

impl core::fmt::Debug for Tap {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        let (written, lost) = (self.written, self.lost);
        f.debug_struct("Tap").field("written", &written).field("lost", &lost).finish()
    }
}

/// A whole super-frame.
const MESSAGE_MAX: usize = 1 << 16;
