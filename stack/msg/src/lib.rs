//! Messages of a Millstream stack, and nothing else.
//!
//! A [`Msg`] owns a chain of message blocks. A block is a window (read pointer and length) into a
//! reference-counted data block, so that duplicating, splitting and linking move no payload byte.
//! Blocks come from a [`Pool`] of fixed cells whose memory is a written sum; a [`MsgList`] is a
//! FIFO of messages (a batch); a [`Cursor`] reads across blocks; an [`Offload`] says what is left
//! to do to a packet before it is on the wire, and [`offload::finish`] does it in software.
//!
//! | STREAMS | here | payload bytes moved |
//! |---|---|---|
//! | allocb, esballoc | [`Pool::alloc`], [`Pool::wrap_bytes`], [`Pool::wrap_raw`] | none |
//! | freemsg | [`Pool::free`], or drop on any thread | none |
//! | dupmsg | [`Msg::dup`], [`Msg::slice`] | none |
//! | copymsg | [`Msg::copy`] | all, counted |
//! | linkb, unlinkb | [`Msg::link`], [`Msg::unlink`], [`Msg::split_off`] | none |
//! | adjmsg | [`Msg::adjust`] | none |
//! | pullupmsg | [`Msg::pullup`] | what was scattered, counted apart |
//! | msgpullup | [`Msg::pulled_up`] | what was scattered, counted apart |
//! | msgdsize | [`Msg::data_len`] | none |
//!
//! # Where it differs from STREAMS
//! - The type is kept per message block, not per data block: duplicates may differ in type.
//! - The count of windows has 32 bits, not 8: there is no 256th duplicate that fails.
//! - Band, flags and the offload request belong to the message, not to each of its blocks.
//! - Writable means unique, by type: there is no way to write bytes that a duplicate sees.
//! - A pull-up gives no alignment beyond that of the headroom, and gathers one cell at most.
//!
//! The crate knows no clock, thread, descriptor or randomness (`no_std` and `alloc`).
#![no_std]

extern crate alloc;

mod block;
mod buf;
pub mod checksum;
mod copy;
mod cursor;
mod foreign;
mod kind;
mod list;
mod msg;
pub mod offload;
mod ops;
mod pool;
mod pullup;
mod refs;
mod shared;
mod sync;

pub use block::Free;
pub use buf::Tail;
pub use cursor::Cursor;
pub use kind::{Band, Kind, MsgFlags};
pub use list::MsgList;
pub use msg::{Block, Blocks, Msg};
pub use offload::{Gso, Offload};
pub use pool::{Counts, Flow, Level, NoMem, Pool, PoolConfig, PoolStats};
pub use pullup::PullupError;
