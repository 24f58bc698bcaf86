//! nfs: NFS version 3 (RFC 1813).

pub mod ops;
