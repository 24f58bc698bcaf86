//! Messages of a Millstream stack, and nothing else.
//!
//! A [`Msg`] owns a chain of message blocks. A block is a window (read pointer and length) into a
//! reference-counted data block, so that duplicating, splitting and linking move no payload byte.
//! Blocks come from a [`Pool`] of fixed cells whose memory is a written sum; a [`MsgList`] is a
//! FIFO of messages (a batch); a [`Cursor`] reads across blocks; an [`Offload`] says what is left
//! to do to a packet before it is on the wire, and [`offload::finish`] does it in software.
//!
//! The crate knows no clock, thread, descriptor or randomness (`no_std` and `alloc`).
#![no_std]

extern crate alloc;

mod block;
mod buf;
pub mod checksum;
mod cursor;
mod kind;
mod list;
mod msg;
pub mod offload;
mod ops;
mod pool;
mod shared;

pub use block::Free;
pub use buf::Tail;
pub use cursor::Cursor;
pub use kind::{Band, Kind, MsgFlags};
pub use list::MsgList;
pub use msg::{Block, Blocks, Msg};
pub use offload::{Gso, Offload};
pub use ops::PullupError;
pub use pool::{Counts, Level, NoMem, Pool, PoolConfig, PoolStats};
