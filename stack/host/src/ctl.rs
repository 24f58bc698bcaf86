//! ctl: the control socket of a stack. Requests come in as lines of JSON, answers go out as lines
//! of JSON; between them the stack is read and changed while it runs.
//!
//! | request | does |
//! |---|---|
//! | `{"op":"version"}` | version, name, process |
//! | `{"op":"conf"}` | modules of every stream, top down, with their parameters |
//! | `{"op":"stat"}` | counters of modules, multiplexors and the pool |
//! | `{"op":"push","stream":S,"module":M,"params":[[K,V]]}` | puts a module in below the head |
//! | `{"op":"pop","stream":S}` | takes the topmost module out |
//! | `{"op":"insert","stream":S,"pos":N,"module":M,"params":[]}` | puts a module in anywhere |
//! | `{"op":"remove","stream":S,"pos":N}` | takes it out |
//! | `{"op":"replace","target":S,"pos":N,"module":M,"params":[]}` | exchanges one, state and all |
//! | `{"op":"set","target":S,"pos":N,"params":[]}` | sets parameters; of a mux without `pos` |
//! | `{"op":"link","mux":M,"stream":S}` | links a stream below a multiplexor |
//! | `{"op":"unlink","stream":S}` | takes it from there |
//! | `{"op":"find","module":M}` | where a module is |
//! | `{"op":"sockets","which":W,"state":S,"port":N}` | sockets of `tcp` |
//! | `{"op":"ping","addr":A,"seq":N}` | one echo request of the stack, and its answer |
//! | `{"op":"trace","stream":S,"way":W,"match":T,"count":N}` | follows messages |
//! | `{"op":"traced","wait_ms":N,"last":B}` | the ways that they took |
//! | `{"op":"hist","stream":S,"pos":N,"do":"on"}` | takes times of queues; `off`, `show` |
//! | `{"op":"capture","streams":[S],"snaplen":N}` | then the connection carries pcapng |
//! | `{"op":"down"}` | stops the stack |
//!
//! The answer is `{"ok":...}` or `{"error":"sentence"}`. The socket is a file, so it is reached
//! from every network namespace; only its user and root get an answer.

mod answer;
mod catalog;
mod client;
mod error;
mod line;
mod path;
mod ping;
mod recorder;
mod report;
mod request;
mod server;
mod sink;
mod sockets;
mod times;
mod tracer;

pub(crate) use catalog::make_with;
pub use catalog::{About, make, modules, place, read_recording};
pub use client::{Client, pick, running};
pub use error::CtlError;
pub use ping::Echo;
pub use report::{
    Conf, Found, ModuleAt, NodeConf, NodeStat, PoolKind, PoolStat, SideStat, Stat, StreamConf,
    StreamStat, Version,
};
pub use request::{HistAction, Param, Request, Way, WhichSockets};
pub(crate) use server::SocketFile;
pub use server::{Listener, Server};
pub use sink::Writers;
pub use sockets::{Flow, Owner, Socket, Sockets};
pub use times::{Blocked, HistReport, QueueAt, QueueReport, Times};
pub use tracer::{Traced, TracedHop, TracedPath};

#[cfg(test)]
mod tests;
