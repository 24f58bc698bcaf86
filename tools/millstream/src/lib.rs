//! What the command shares with the harness of the benches: load over TCP, and its measuring.
#![forbid(unsafe_code)]

pub mod load;
