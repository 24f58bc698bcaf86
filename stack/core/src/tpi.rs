//! The transport provider interface: primitives between transports and those above them, as
//! bytes of M_PROTO and M_PCPROTO blocks, and the bytes of M_FLUSH. Numbers and layouts are those
//! of illumos.
//!
//! A primitive begins with its number as a native `i32`. Addresses and options follow behind its
//! words, which say where by (length, offset) from the primitive's start. Who reads one that
//! somebody else wrote goes through a view: [`View::new`], or [`BindReq::new`] and so on, check
//! every length and offset once, and their getters cannot fail. [`Primitive`] writes them.
//!
//! [`state`] is the machine that both sides keep in step with, as a table.

mod address;
mod build;
pub mod flush;
mod number;
pub mod option;
pub mod state;
mod view;

pub use address::{ADDR_MAX, address_at, decode_address, encode_address};
pub use build::{Info, OPTIONS_MAX, Primitive};
pub use number::*;
pub use state::State;
pub use view::*;

pub use crate::primitive::{Malformed, primitive, word};

/// Bytes of T_UNITDATA_IND and T_UNITDATA_REQ with an IPv6 address.
pub const UNITDATA_MAX: usize = 20 + ADDR_MAX;
