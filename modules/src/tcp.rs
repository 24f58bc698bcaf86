//! tcp: TCP (RFC 9293) between users above and `ip` below, as plain functions on plain state.

pub mod autotune;
pub mod congestion;
pub mod cookie;
pub mod ends;
pub mod isn;
pub mod limits;
pub mod loss;
pub mod reasm;
pub mod sendq;
pub mod seq;
pub mod table;

pub use cookie::Cookies;
pub use ends::Ends;
pub use isn::Secret;
pub use limits::Limits;
pub use reasm::Reassembly;
pub use sendq::SendQueue;
pub use seq::{Range, Seq};
pub use table::Table;
