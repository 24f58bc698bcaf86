//! Compiles .x files, the language of rpcgen, to Rust.
