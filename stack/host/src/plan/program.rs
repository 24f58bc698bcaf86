//! program: a program of RPC becomes a stream of udp and a listener of tcp at its port, with `rpc`
//! and `programs` in their streams. All of a stack share their programs and their cache of
//! replies: each is answered at every port.

use super::service::{BACKLOG, any, refused, request};
use super::{PlanError, Service, random_key};
use crate::acceptor::{MakeModules, push};
use crate::shard::Shard;
use millstream_core::tpi::Primitive;
use millstream_core::{Module, NodeId, PlumbError, StreamId};
use millstream_modules::programs;
use millstream_modules::rpc::{Commons, Role, Rpc, drc};
use millstream_onc::{Completions, Registry};
use millstream_programs::Known;

/// The programs of a stack.
pub(super) struct Programs(Commons);

impl Programs {
    /// None yet.
    pub(super) fn new() -> Self {
        Self(Commons::new(Registry::default(), drc::BYTES, random_key()))
    }

    /// Adds a program and serves it at a port.
    pub(super) fn serve(
        &self,
        shard: &mut Shard,
        [udp, tcp]: [NodeId; 2],
        known: &Known,
        port: u16,
    ) -> Result<[Service; 2], PlanError> {
        let twice = |_| PlanError::Service {
            name: known.name.to_owned(),
            why: "it is served already".to_owned(),
        };
        self.0.registry().register((known.make)()).map_err(twice)?;
        let datagrams = bound(shard, udp, "udp", known, port, 0)?;
        let modules = modules(&self.0);
        push(shard.core(), datagrams, modules)
            .map_err(|errno| refused("push rpc for", known.name, PlumbError::Refused(errno)))?;
        let listener = bound(shard, tcp, "tcp", known, port, BACKLOG)?;
        let commons = self.0.clone();
        let make: MakeModules = Box::new(move || Ok(self::modules(&commons)));
        shard.accept_at(listener, tcp, make);
        Ok([datagrams, listener].map(|stream| Service {
            name: known.name.to_owned(),
            port,
            stream,
        }))
    }
}

/// A stream bound to the port; one that takes connections when some may wait.
fn bound(
    shard: &mut Shard,
    transport: NodeId,
    name: &str,
    known: &Known,
    port: u16,
    waiting: i32,
) -> Result<StreamId, PlanError> {
    let place = format!("{name}.{}", known.name);
    let core = shard.core();
    let opened = core.open_mux(transport, &place);
    let stream = opened.map_err(|e| refused("open a stream for", known.name, e))?;
    let bind = Primitive::bind_req(any(port)).with_word(12, waiting);
    let ack = request(core, stream, &bind)
        .map_err(|errno| refused("bind", known.name, PlumbError::Refused(errno)))?;
    core.pool().free(ack);
    Ok(stream)
}

/// The modules of one stream.
fn modules(commons: &Commons) -> Vec<Box<dyn Module>> {
    let registry = commons.registry().clone();
    vec![
        Box::new(Rpc::new(Some(Role::Server), commons.clone())),
        Box::new(programs::Programs::new(registry, Completions::default())),
    ]
}
