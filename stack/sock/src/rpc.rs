//! ONC RPC for applications: clients on streams of `tcp` and `udp` with `rpc` pushed, and servers.
//!
//! What is called and answered is what `millstream rpcgen` generates: a generated client takes an
//! [`RpcClient`], as anything that is a [`Caller`].

mod broadcast;
mod calls;
mod client;
mod error;
mod policy;
mod server;

pub use broadcast::broadcast;
pub use calls::{Offer, RpcCall, RpcCalls, RpcListener};
pub use client::{Pending, RpcClient, port_of};
pub use error::RpcError;
pub use millstream_onc as onc;
pub use millstream_onc::caller::{Caller, Procedure};
pub use millstream_onc::{Credential, Transport};
pub use millstream_programs::rpcbind::{Binding, Bindings};
pub use policy::Policy;
pub use server::{RpcServer, ServeError};

use millstream_host::plan::random_key;
use millstream_modules::rpc::{Commons, Role, Rpc};
use millstream_onc::Registry;

/// The module for a stream of an application: what it shares is shared with nobody.
fn module(role: Role) -> Box<Rpc> {
    let cache = match role {
        Role::Server => millstream_modules::rpc::drc::BYTES,
        Role::Client => 0,
    };
    Box::new(Rpc::new(Some(role), Commons::new(Registry::default(), cache, random_key())))
}
