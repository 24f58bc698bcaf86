//! wire: types, clients and servers of the `.x` files, written by the compiler.

include!(concat!(env!("OUT_DIR"), "/nfs3.rs"));
include!(concat!(env!("OUT_DIR"), "/mount3.rs"));
include!(concat!(env!("OUT_DIR"), "/rpcbind.rs"));
include!(concat!(env!("OUT_DIR"), "/square.rs"));
