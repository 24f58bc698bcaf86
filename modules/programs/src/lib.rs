//! Programs of ONC RPC that a stack serves. They see calls with their arguments, and write results:
//! records, credentials as such, duplicates and errors of RPC are the business of `rpc` below them.
#![forbid(unsafe_code)]

pub mod access;
pub mod exports;
pub mod handle;
pub mod hostfs;
mod jobs;
pub mod known;
pub mod memfs;
pub mod mount;
pub mod nfs;
pub mod rpcbind;
pub mod server;
pub mod square;
pub mod vfs;
pub mod wire;
