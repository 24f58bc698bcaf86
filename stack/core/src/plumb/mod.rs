//! Plumbing: opening and closing streams, putting modules in and taking them out, linking
//! streams under multiplexors. Between dispatches only; nothing in flight is lost.

mod change;
mod error;
mod fit;
pub(crate) mod gate;
mod link;
mod pending;
mod relink;
mod replace;
mod settings;
mod stream;
mod view;

pub use error::PlumbError;
pub(crate) use pending::{Answer, Changes};
pub use pending::{Change, Ticket};
pub use view::NodeView;

use crate::head::Head;
use crate::net::Pair;
use crate::perimeter::{Node, NodeId};
use crate::slab::Slab;
use alloc::boxed::Box;

/// A stream: a chain of pairs from the top to the bottom.
#[derive(Debug)]
pub(crate) struct Stream {
    pub(crate) name: Box<str>,
    /// The head's pair, or the multiplexor's lower one when linked.
    pub(crate) top: u32,
    /// The driver's pair, or the multiplexor's upper one.
    pub(crate) bottom: u32,
    /// Head node put aside while the stream is linked.
    head: Option<NodeId>,
    /// Bytes that messages from the top need in front.
    headroom: u16,
}

/// An idle stream of two modules on a multiplexor: four pairs of queues, three nodes, its head and
/// its entry. With a name and two modules of 32 bytes it is below 1 KiB; counters, bands and timers
/// come when they are used.
const IDLE_STREAM_BYTES: usize = 4 * Slab::<Pair>::ENTRY_BYTES
    + 3 * Slab::<Node>::ENTRY_BYTES
    + Slab::<Stream>::ENTRY_BYTES
    + size_of::<Head>();

const _: () = assert!(IDLE_STREAM_BYTES <= 1024 - 2 * 32 - 24);
