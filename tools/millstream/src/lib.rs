//! What the command shares with the harness of the benches: load over TCP, calls of RPC, and their
//! measuring.
#![forbid(unsafe_code)]

pub mod load;
pub mod rpc;
