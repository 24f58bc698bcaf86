//! ONC RPC without a transport: what a program and a client of it are made of.
//!
//! | part | what it is |
//! |---|---|
//! | [`xdr`] | the codec of RFC 4506, on chains of blocks and on plain slices |
//! | [`message`] | call and reply headers of RFC 5531 |
//! | [`auth`] | credentials and their flavours |
//! | [`program`] | a program: what answers calls, now or later |
//! | [`registry`] | the programs of a stack, by number |
//! | [`caller`] | what generated clients call through |
//!
//! The module `rpc` carries the records, and `millstream rpcgen` writes types, clients and servers
//! in these terms. The crate knows no clock, thread or descriptor (`no_std` and `alloc`).
#![no_std]
#![forbid(unsafe_code)]

extern crate alloc;

pub mod auth;
pub mod caller;
pub mod later;
pub mod message;
pub mod program;
pub mod registry;
pub mod xdr;

pub use auth::{AuthStat, Credential};
pub use caller::Caller;
pub use later::{Completed, Completions, Later, Ticket};
pub use program::{Answer, Asked, Call, ProcedureInfo, Program, Transport, VersionInfo};
pub use registry::Registry;
