//! Threads, clocks and descriptors around the core.
//!
//! A [`Shard`] is a perimeter with a thread's event loop: devices, timers, calls and messages of
//! other threads. A [`Handle`] reaches it from any thread; an [`End`] is one stream as another
//! thread sees it.
#![deny(unsafe_code)]

mod change;
mod checksum;
pub mod ctl;
mod end;
mod head;
mod inlet;
mod ioctl;
pub mod offline;
mod pass;
pub mod plan;
mod poller;
mod shard;

pub use end::{End, EndError};
pub use inlet::{Gone, Handle};
pub use pass::Unsent;
pub use shard::{DeviceFd, Notice, Shard, ShardConfig};
