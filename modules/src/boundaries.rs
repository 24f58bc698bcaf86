//! boundaries: a recording of all places of a stack at once. Every boundary between two nodes is an
//! interface of the file; messages are recorded where they pass, by what they begin with there.
//!
//! Frames and packets are what readers know; control messages and what programs send have the link
//! type USER0, with the type of the message as comment. Where a boundary carries several of them,
//! it has an interface for each, as a file allows one link type per interface.

use crate::begins::Begins;
use crate::capture::{self, Sink};
use crate::pcapng::{self, LinkType, Section};
use alloc::boxed::Box;
use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;
use millstream_core::trace::Place;
use millstream_core::watch::{Sight, Spy};
use millstream_msg::Msg;

/// Writes what it sees into a sink, and the figures of each interface when it is dropped.
pub struct Boundaries {
    sink: Box<dyn Sink>,
    /// In the order of their numbers in the file.
    interfaces: Vec<Interface>,
    snaplen: usize,
    /// Of the last message. Nanoseconds since 1970.
    last_ns: u64,
    block: Vec<u8>,
}

struct Interface {
    boundary: [u64; 2],
    link: LinkType,
    seen: u64,
    /// Not taken by the sink.
    lost: u64,
}

/// Far more than a stack has places; changes of the chain make new ones.
const INTERFACES_MAX: usize = 1024;

impl Boundaries {
    /// Begins the file: at most so many bytes of each message are recorded.
    pub fn new(mut sink: Box<dyn Sink>, name: &str, snaplen: usize) -> Self {
        let mut block = Vec::new();
        let application = concat!("millstream ", env!("CARGO_PKG_VERSION"));
        let section = Section { application, comment: name, ..Section::default() };
        pcapng::section_header(&mut block, &section);
        // It is the first block: a sink that does not take it takes nothing.
        let _begun = sink.write(&block);
        Self { sink, interfaces: Vec::new(), snaplen, last_ns: 0, block }
    }

    /// The number of an interface, described in the file when it is new.
    fn interface(&mut self, sight: &Sight<'_>, link: LinkType) -> Option<usize> {
        let known = |i: &Interface| i.boundary == sight.boundary && i.link == link;
        if let Some(at) = self.interfaces.iter().position(known) {
            return Some(at);
        }
        if self.interfaces.len() >= INTERFACES_MAX {
            return None;
        }
        self.block.clear();
        let name = name(&sight.places(), link);
        pcapng::interface(&mut self.block, &name, link, self.snaplen as u32);
        // Without its description packets of the interface would make no sense: next time again.
        if !self.sink.write(&self.block) {
            return None;
        }
        self.interfaces.push(Interface { boundary: sight.boundary, link, seen: 0, lost: 0 });
        Some(self.interfaces.len() - 1)
    }
}

impl Spy for Boundaries {
    fn see(&mut self, sight: &Sight<'_>, msg: &Msg) {
        self.last_ns = sight.wall_ns;
        let Some(number) = self.interface(sight, Begins::of(msg).link_type()) else { return };
        self.block.clear();
        let (at, wall_ns) = (number as u32, sight.wall_ns);
        capture::packet(&mut self.block, msg, at, sight.side, wall_ns, self.snaplen);
        let taken = self.sink.write(&self.block);
        let interface = &mut self.interfaces[number];
        interface.seen += 1;
        interface.lost += u64::from(!taken);
    }
}

impl Drop for Boundaries {
    fn drop(&mut self) {
        for (number, Interface { seen, lost, .. }) in self.interfaces.iter().enumerate() {
            self.block.clear();
            pcapng::statistics(&mut self.block, number as u32, self.last_ns, *seen, *lost);
            // Nobody is left to be told.
            let _ = self.sink.write(&self.block);
        }
    }
}

impl core::fmt::Debug for Boundaries {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("Boundaries").field("interfaces", &self.interfaces.len()).finish()
    }
}

/// `tap0 ip-arp`: the stream, the node above and that below.
fn name([above, below]: &[Place; 2], link: LinkType) -> String {
    let node = |place: &Place| match place.pos {
        Some(pos) => format!("{}({pos})", place.node),
        None => place.node.clone(),
    };
    let kind = if link == LinkType::User { " control" } else { "" };
    format!("{} {}-{}{kind}", below.stream, node(above), node(below))
}
