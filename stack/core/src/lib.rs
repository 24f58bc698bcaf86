//! STREAMS: modules linked by pairs of queues, multiplexors, drivers and stream heads, run by a
//! [`Perimeter`].
//!
//! A perimeter owns nodes (heads, modules, multiplexors, drivers) and the [`net`](Cx) between
//! them (queues, run lists, timers, counters, the pool). A dispatch borrows one node and gives it
//! a [`Cx`] that borrows only the net: no module can be entered while one runs, which the compiler
//! checks. `putnext` calls nobody: it posts to the neighbour's inbox, and the perimeter runs
//! inboxes in FIFO order.
//!
//! The crate knows no clock, thread, descriptor or source of randomness; the only entrance is
//! [`Perimeter::turn`]-like calls with the time as an argument.
#![no_std]
#![forbid(unsafe_code)]

extern crate alloc;
#[cfg(test)]
extern crate std;

mod audit;
mod bits;
mod bufcall;
mod contract;
mod cx;
mod device;
pub mod dlpi;
mod driver;
mod errno;
mod flow;
#[cfg(test)]
mod flow_bench;
#[cfg(test)]
mod flow_model;
mod head;
mod held;
pub mod hist;
mod inbox;
pub mod ioctl;
mod module;
mod monitor;
mod mux;
mod net;
mod perimeter;
mod pipe;
mod plumb;
mod primitive;
mod queue;
mod rng;
mod run;
mod setopts;
mod slab;
pub mod stat;
mod streamio;
mod timer;
pub mod tpi;
pub mod trace;
pub mod watch;

pub use audit::{Audit, AuditError, NodeAudit};
pub use contract::{Broken, Contract, Format, Formats, Joint};
pub use cx::Cx;
pub use device::{Caps, Device, LinkInfo};
pub use errno::Errno;
pub use head::{
    CONTROL_MAX, ControlMode, DATA_MAX, ErrorOptions, Got, HeadEvent, Mark, Mode, Partial,
    PollEvents, Priority, ReadOptions, Signals, Waiting, Want,
};
pub use held::QueueView;
pub use module::{Drop, Fields, Invalid, Marks, ModInfo, Module, Refused, State, Step, Value};
pub use monitor::Violation;
pub use mux::{Lower, Mux, MuxInfo, Upper};
pub use net::Event;
pub use perimeter::{Config, NodeId, Perimeter, StreamId, Turn};
pub use pipe::Passed;
pub use plumb::{Change, NodeView, PlumbError, Ticket};
pub use queue::{Flush, Side};
pub use rng::Rng;
pub use setopts::SetOptions;
pub use slab::{Key, Slab};
pub use streamio::FdInsert;
