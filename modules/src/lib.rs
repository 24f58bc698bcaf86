//! Modules: null, count, count2, impair, capture, filter, record, replay, dlpi, arp, ip, udp, tcp,
//! rpc, programs and services.
//!
//! Protocols are plain functions on plain state (time, randomness and memory are arguments); the
//! faces that hang them into a stream are thin and hold no protocol decision.
#![no_std]
#![forbid(unsafe_code)]

extern crate alloc;
#[cfg(test)]
extern crate std;

pub mod actions;
pub mod arp;
pub mod ask;
pub mod begins;
pub mod boundaries;
pub mod capture;
pub mod count;
pub mod count2;
pub mod ctl;
pub mod decode;
pub mod devices;
pub mod dlpi;
pub mod ether;
pub mod filter;
pub mod hash;
pub mod impair;
pub mod ip;
pub mod limit;
mod locals;
pub mod nth;
pub mod null;
pub mod pcapng;
pub mod programs;
pub mod record;
pub mod recording;
pub mod replay;
mod room;
pub mod rpc;
pub mod services;
pub mod siphash;
mod state;
pub mod table;
pub mod tcp;
pub mod tcp2;
pub mod testmod;
pub mod udp;
pub mod users;
