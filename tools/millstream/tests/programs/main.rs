//! Unchanged programs of Debian on a stack, with the kernel at the other end.

#[path = "../kit/mod.rs"]
mod kit;

mod clients;
mod compared;
mod cpython;
mod daemons;
mod postgres;
mod remote;

mod run;
mod servers;
mod stage;
