//! tcp: TCP (RFC 9293) between users above and `ip` below, as plain functions on plain state.

pub mod ends;
pub mod isn;
pub mod reasm;
pub mod sendq;
pub mod seq;
pub mod table;

pub use ends::Ends;
pub use reasm::Reassembly;
pub use sendq::SendQueue;
pub use seq::{Range, Seq};
pub use table::Table;
