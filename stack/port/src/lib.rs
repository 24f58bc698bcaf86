//! Sockets and streams of a stack as a program in another process sees them.
//!
//! [`Sockets`] is what there is to be done with them, whether the stack is in the same process or
//! in another one. Nothing in it waits: who has to wait polls [`Sockets::bell`].
#![deny(unsafe_code)]

mod ready;
mod sockets;
pub mod streamio;

pub use ready::Ready;
pub use sockets::{Cookie, Id, Received, Sockets};

pub use millstream_core::{Errno, Partial, Priority, Want};
