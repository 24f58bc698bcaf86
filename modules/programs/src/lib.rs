//! Programs of ONC RPC that a stack serves. They see calls with their arguments, and write results:
//! records, credentials as such, duplicates and errors of RPC are the business of `rpc` below them.
#![forbid(unsafe_code)]

pub mod access;
pub mod exports;
pub mod handle;
pub mod hostfs;
pub mod memfs;
pub mod nfs;
pub mod square;
pub mod vfs;
