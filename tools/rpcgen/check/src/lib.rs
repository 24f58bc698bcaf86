//! Code that `millstream rpcgen` writes, compiled: what the tests of this crate and the fuzz
//! targets take in hand.
#![forbid(unsafe_code)]

include!(concat!(env!("OUT_DIR"), "/square.rs"));
include!(concat!(env!("OUT_DIR"), "/types.rs"));
include!(concat!(env!("OUT_DIR"), "/inline.rs"));
