//! program: a program of RPC becomes a stream of udp and a listener of tcp at its port, with `rpc`
//! and `programs` in their streams. All of a stack share their programs and their cache of
//! replies: each is answered at every port.

use super::service::{BACKLOG, any, request};
use super::{PlanError, Service, plumb, random_key};
use crate::acceptor::{MakeModules, push};
use crate::inlet::{Answered, Handle};
use crate::shard::Shard;
use millstream_core::tpi::option::Record;
use millstream_core::tpi::{self, Primitive};
use millstream_core::{Module, NodeId, Perimeter, PlumbError, StreamId};
use millstream_drivers::netlink::Prefix;
use millstream_modules::programs;
use millstream_modules::rpc::{Commons, Role, Rpc, drc};
use millstream_modules::tcp::names;
use millstream_onc::{Completions, Program, Registry, Transport};
use millstream_programs::exports::Network;
use millstream_programs::known::{Known, Place};
use millstream_programs::rpcbind::{Binding, Bindings};

/// The programs of a stack: a clone is another handle on the same.
#[derive(Clone, Debug)]
pub struct Programs {
    commons: Commons,
    bindings: Bindings,
    own: Vec<Network>,
    /// The multiplexors of UDP and TCP.
    transports: [NodeId; 2],
}

impl Programs {
    /// None yet, of a stack with these addresses.
    pub(super) fn new(own: &[Prefix], transports: [NodeId; 2]) -> Self {
        let commons = Commons::new(Registry::default(), drc::BYTES, random_key());
        let own = own.iter().map(|own| Network::new(own.address(), own.length_bits()));
        Self { commons, bindings: Bindings::default(), own: own.collect(), transports }
    }

    /// What the stack's `rpcbind` tells. Who serves a program by other means adds it here.
    pub fn bindings(&self) -> &Bindings {
        &self.bindings
    }

    /// Makes the programs of a name and serves them.
    pub(super) fn serve_known(
        &self,
        shard: &mut Shard,
        known: &Known,
        port: u16,
        argument: Option<&str>,
    ) -> Result<[Service; 2], PlanError> {
        let (registry, bindings) = (self.commons.registry(), &self.bindings);
        let random = random_key();
        let place = Place { registry, bindings, own: &self.own, argument, random };
        let refused = |why| PlanError::Service { name: known.name.to_owned(), why };
        let programs = (known.make)(&place).map_err(refused)?;
        self.serve(shard, known.name, port, programs)
    }

    /// Serves programs at a port of UDP and TCP from now on, and lets `rpcbind` tell of them.
    /// `name` is for people.
    ///
    /// # Errors
    /// When one of them is served already, or the port is in use; then none is served.
    pub fn serve(
        &self,
        shard: &mut Shard,
        name: &str,
        port: u16,
        programs: Vec<Box<dyn Program>>,
    ) -> Result<[Service; 2], PlanError> {
        let numbers: Vec<_> = programs.iter().map(|p| (p.number(), p.versions())).collect();
        for (at, program) in programs.into_iter().enumerate() {
            if self.commons.registry().register(program).is_err() {
                self.forget(numbers[..at].iter().map(|(number, _)| *number));
                let why = "it is served already".to_owned();
                return Err(PlanError::Service { name: name.to_owned(), why });
            }
        }
        let open = self.open(shard, name, port).inspect_err(|_| {
            self.forget(numbers.iter().map(|(number, _)| *number));
        })?;
        for (program, versions) in numbers {
            for version in versions.iter().map(|version| version.number) {
                for transport in [Transport::Udp, Transport::Tcp] {
                    let (at, owner) = (any(port), name.to_owned());
                    self.bindings.set(Binding { program, version, transport, at, owner });
                }
            }
        }
        let [udp, tcp] = open;
        Ok([(Transport::Udp, udp), (Transport::Tcp, tcp)].map(|(transport, stream)| Service {
            name: name.to_owned(),
            transport,
            port,
            stream,
        }))
    }

    /// Serves these programs no more. Connections stay: their calls are answered that the programs
    /// are not there. The port can be served at again meanwhile.
    pub fn withdraw(&self, shard: &mut Shard, services: &[Service; 2], programs: &[u32]) {
        self.forget(programs.iter().copied());
        for service in services {
            shard.accept_no_more(service.stream);
            // A pending close goes on by itself: nobody waits for it.
            let _closed = shard.core().close(service.stream);
        }
    }

    fn forget(&self, programs: impl Iterator<Item = u32>) {
        for program in programs {
            self.commons.registry().remove(program);
            let all = self.bindings.all().into_iter();
            for binding in all.filter(|binding| binding.program == program) {
                self.bindings.unset(program, binding.version, None);
            }
        }
    }

    /// The streams of UDP and of connections to be taken.
    fn open(&self, shard: &mut Shard, name: &str, port: u16) -> Result<[StreamId; 2], PlanError> {
        let [udp, tcp] = self.transports;
        let datagrams = bound(shard, udp, ("udp", name), port, 0)?;
        let listener = self
            .push(shard, name, datagrams)
            .and_then(|()| bound(shard, tcp, ("tcp", name), port, BACKLOG));
        let listener = listener.inspect_err(|_| drop(shard.core().close(datagrams)))?;
        let commons = self.commons.clone();
        let handle = shard.handle();
        let make: MakeModules = Box::new(move |stream| Ok(modules(&commons, &handle, stream)));
        shard.accept_at(listener, tcp, "rpc", make);
        Ok([datagrams, listener])
    }

    fn push(&self, shard: &mut Shard, name: &str, to: StreamId) -> Result<(), PlanError> {
        let modules = modules(&self.commons, &shard.handle(), to);
        push(shard.core(), to, modules).map_err(|errno| {
            plumb(&format!("push rpc for the service {name}"), PlumbError::Refused(errno))
        })
    }
}

/// A stream bound to the port; one that takes connections when some may wait.
fn bound(
    shard: &mut Shard,
    transport: NodeId,
    (carrier, name): (&str, &str),
    port: u16,
    waiting: i32,
) -> Result<StreamId, PlanError> {
    let refused = |what: &str, cause| plumb(&format!("{what} the service {name}"), cause);
    let core = shard.core();
    let opened = core.open_mux(transport, &format!("{carrier}.{name}"));
    let stream = opened.map_err(|e| refused("open a stream for", e))?;
    let bind = Primitive::bind_req(any(port)).with_word(12, waiting);
    // Connections of who served here before stand in nobody's way (SO_REUSEADDR).
    let on = 1_u32.to_ne_bytes();
    let record = Record { level: names::SOCKET, name: names::REUSEADDR, status: 0, value: &on };
    let reuse = Primitive::optmgmt_req(tpi::T_NEGOTIATE).with_option(&record);
    let requests: &[&Primitive] = if waiting > 0 { &[&reuse, &bind] } else { &[&bind] };
    for asked in requests {
        match request(core, stream, asked) {
            Ok(ack) => core.pool().free(ack),
            Err(errno) => {
                let _closed = core.close(stream);
                return Err(refused("bind", PlumbError::Refused(errno)));
            }
        }
    }
    Ok(stream)
}

/// The modules of one stream.
fn modules(commons: &Commons, handle: &Handle, stream: StreamId) -> Vec<Box<dyn Module>> {
    let (registry, answered) = (commons.registry().clone(), Answered::new(stream, handle));
    let completions = Completions::new(move || answered.tell());
    vec![
        Box::new(Rpc::new(Some(Role::Server), commons.clone())),
        Box::new(programs::Programs::new(registry, completions)),
    ]
}

/// Calls of a stream were answered: whichever of its modules is `programs` sends the replies.
pub(crate) fn answered(core: &mut Perimeter, stream: StreamId) {
    for pos in POSITIONS {
        match core.set(stream, pos, programs::ANSWERED, "") {
            Err(PlumbError::Invalid(_)) => {}
            // Done; or the stream, and whoever waits for the answer, is gone.
            _ => return,
        }
    }
}

/// Where `programs` is: above `rpc`, unless somebody has changed the stream.
const POSITIONS: [usize; 5] = [1, 2, 0, 3, 4];
