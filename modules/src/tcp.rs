//! tcp: TCP (RFC 9293) between users above and `ip` below, as plain functions on plain state.

pub mod seq;

pub use seq::{Range, Seq};
