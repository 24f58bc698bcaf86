//! The module `rpc` on connections and over datagrams, and `programs` above it.

mod bad_input;
mod batches;
mod client;
mod duplicates;
mod ends;
mod errors;
mod kit;
mod programs;
mod server;
