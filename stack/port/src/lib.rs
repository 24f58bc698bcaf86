//! Sockets and streams of a stack as a program in another process sees them.
//!
//! [`Sockets`] is what there is to be done with them, whether the stack is in the same process or
//! in another one. Nothing in it waits: who has to wait polls [`Sockets::bell`].
#![deny(unsafe_code)]
#![allow(unexpected_cfgs, reason = "loom is set by hand")]

pub mod address;
mod arena;
pub mod bits;
// The model checker has words of its own, which no memory can be shared of.
#[cfg(not(all(loom, test)))]
mod client;
pub mod hello;
pub mod lane;
pub mod layout;
pub mod lend;
pub mod loan;
mod memory;
pub mod piece;
pub mod policy;
mod ready;
pub mod ring;
pub mod slot;
mod sockets;
pub mod streamio;
mod sync;

pub use arena::Arena;
#[cfg(not(all(loom, test)))]
pub use client::{AttachError, Client};
pub use memory::Memory;

pub use ready::Ready;
pub use sockets::{Changes, Cookie, Id, Lead, MOVED, Received, Sockets};

pub use millstream_core::{Errno, Partial, Priority, Want};
