//! baseline: the older structure: a protocol daemon that owns the TAP and serves client processes
//! over a Unix socket or pipes.
//!
//! A client's library ([`Client`]) makes requests of calls; the [`Daemon`] copies what is sent out
//! of its port into an [`Engine`]'s connections, and what comes the other way. The same daemon and
//! the same driver stand in front of each engine, so that what differs is the protocol alone.

mod came;
mod channel;
mod client;
mod clock;
mod engine;
mod fused;
mod layers;
mod listeners;
mod modules;
mod port;
mod process;
mod program;
mod serve;
mod smol;
mod wait;
mod wire;

pub use channel::{Carrier, Channel, PIECES};
pub use client::{Client, Socket, error};
pub use clock::Clock;
pub use engine::{Engine, Give, Portion, SocketNo};
pub use fused::Fused;
pub use layers::{Ipc, Joint, Layer, LayerArgs, Packed, layer};
pub use listeners::Listeners;
pub use modules::Modules;
pub use port::{PortArgs, over_port, port_program, with_port};
pub(crate) use process::itself;
pub use process::{
    Alone, Behind, DaemonArgs, ProgramArgs, alone, daemon, in_process, program, served, shared,
};
pub(crate) use program::{Connection, Serves};
pub use program::{Does, over_daemon, over_engine};
pub use serve::{Daemon, PORTS_MAX, SOCKETS_MAX};
pub use smol::Smoltcp;
pub use wire::{ADDRESS, DATA_MAX, HEAD, Head, Op, QUIET, address, address_bytes};
