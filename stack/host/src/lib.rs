//! Threads, clocks and descriptors around the core.
//!
//! A [`Shard`] is a perimeter with its devices and timers. A [`Handle`] reaches it from any thread:
//! [`Handle::enter`] comes in between two turns and works there, as a system call would. An
//! [`End`] is one stream as such a thread sees it: [`End::at_head`] does what does not wait,
//! [`End::until`] what does. Who waits reads from the devices itself, if nobody else does; the
//! shard's own thread does so while no other one waits.
#![deny(unsafe_code)]
#![allow(unexpected_cfgs, reason = "loom is set by hand")]

mod accept;
mod acceptor;
mod bell;
pub mod buffers;
mod change;
mod checksum;
mod clock;
pub mod ctl;
mod device;
mod end;
mod files;
mod forked;
mod head;
mod inlet;
mod ioctl;
mod lead;
#[cfg(all(loom, test))]
mod model;
pub mod offline;
mod pass;
pub mod plan;
mod poller;
pub mod port;
mod ready;
mod seat;
mod set;
mod shard;
pub mod socket;
pub mod streamio;
mod sync;
mod token;
mod told;
mod watch;

pub use accept::{Accept, Accepted};
pub use clock::GivenClock;
pub use device::DeviceFd;
pub use end::{End, EndError};
pub use inlet::Handle;
pub use pass::Unsent;
pub use seat::{EnterError, Gone};
pub use set::{HeadSet, ReadyHead};
pub use shard::{Notice, Shard, ShardConfig};
pub use watch::Watch;
