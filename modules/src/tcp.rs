//! tcp: TCP (RFC 9293) between users above and `ip` below, as plain functions on plain state.

pub mod sendq;
pub mod seq;

pub use sendq::SendQueue;
pub use seq::{Range, Seq};
