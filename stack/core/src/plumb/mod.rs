//! Plumbing: opening and closing streams, putting modules in and taking them out, linking
//! streams under multiplexors. Between dispatches only; nothing in flight is lost.

mod change;
mod error;
mod link;
mod relink;
mod settings;
mod stream;
mod view;

pub use error::PlumbError;
pub use view::NodeView;

use crate::perimeter::NodeId;
use alloc::string::String;

/// A stream: a chain of pairs from the top to the bottom.
#[derive(Debug)]
pub(crate) struct Stream {
    pub(crate) name: String,
    /// The head's pair, or the multiplexor's lower one when linked.
    pub(crate) top: u32,
    /// The driver's pair, or the multiplexor's upper one.
    pub(crate) bottom: u32,
    /// Head node put aside while the stream is linked.
    head: Option<NodeId>,
    /// Bytes that messages from the top need in front.
    headroom: u16,
}
