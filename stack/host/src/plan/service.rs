//! service: the name of a service becomes a stream of udp, bound to its port, with the service's
//! module in it, and a stream of tcp that takes connections for it.

use super::PlanError;
use crate::acceptor::MakeModules;
use crate::ctl::{self, Param, Writers};
use crate::files::Folder;
use crate::shard::Shard;
use millstream_core::tpi::{self, Primitive};
use millstream_core::{Errno, NodeId, Perimeter, PlumbError, StreamId};
use millstream_modules::services::http::Files;
use millstream_modules::table::{self, ServiceAt};
use millstream_modules::udp::option;
use millstream_msg::Msg;
use millstream_onc::Transport;
use millstream_programs::known::{KNOWN, Known};
use std::net::{IpAddr, Ipv4Addr, SocketAddr};

/// A service that runs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Service {
    /// Its name in the table of modules.
    pub name: String,
    /// What carries it.
    pub transport: Transport,
    /// Its port.
    pub port: u16,
    /// Its stream, named `udp.NAME` or `tcp.NAME`.
    pub stream: StreamId,
}

/// A service that is wanted.
#[derive(Clone, Copy, Debug)]
pub(super) struct Wanted<'a> {
    service: ServiceAt,
    pub(super) port: u16,
    /// What is behind `=`: a folder, or what a program takes.
    pub(super) argument: Option<&'a str>,
    /// It is a program of RPC.
    pub(super) program: Option<&'static Known>,
}

impl<'a> Wanted<'a> {
    /// Reads `NAME[:PORT][=ARGUMENT]`.
    pub(super) fn parse(text: &'a str) -> Result<Self, PlanError> {
        let (place, argument) = match text.split_once('=') {
            Some((place, argument)) => (place, Some(argument)),
            None => (text, None),
        };
        let (name, port) = match place.split_once(':') {
            Some((name, port)) => (name, Some(port)),
            None => (place, None),
        };
        let refused = |why: String| PlanError::Service { name: name.to_owned(), why };
        let program = KNOWN.iter().find(|known| known.name == name);
        let service = match program {
            Some(Known { name, port, .. }) => {
                Some(ServiceAt { name, port: *port, udp: None, tcp: None })
            }
            None => table::services().find(|known| known.name == name),
        };
        let service = service.ok_or_else(|| PlanError::UnknownService {
            name: name.to_owned(),
            known: names().collect::<Vec<_>>().join(", "),
        })?;
        let port = match port {
            Some(text) => text.parse().ok().filter(|port| *port > 0).ok_or_else(|| {
                refused(format!("{text} is no port: write {name}:PORT, from 1 to 65535"))
            })?,
            None => service.port,
        };
        match (name, argument) {
            // What it takes it says itself.
            _ if program.is_some() => Ok(Self { service, port, argument, program }),
            ("http", None | Some("")) => {
                Err(refused("it needs a folder: write http=FOLDER".to_owned()))
            }
            ("http", _) | (_, None) => Ok(Self { service, port, argument, program }),
            (_, Some(_)) => Err(refused(format!("it serves no folder: write {name}"))),
        }
    }
}

/// Names of all services: those of modules, then programs of RPC.
fn names() -> impl Iterator<Item = &'static str> {
    table::services().map(|known| known.name).chain(KNOWN.iter().map(|known| known.name))
}

/// Is it a service, as `NAME`, `NAME:PORT` or `http=FOLDER` say?
///
/// # Errors
/// What is wrong with it.
pub fn check(text: &str) -> Result<(), PlanError> {
    Wanted::parse(text).map(drop)
}

/// Opens the stream of a service over UDP, if it is given over UDP, binds it and pushes the module.
pub(super) fn open(
    core: &mut Perimeter,
    udp: NodeId,
    wanted: &Wanted<'_>,
) -> Result<Option<Service>, PlanError> {
    let Some(name) = wanted.service.udp else { return Ok(None) };
    let refused = |what: &str, cause| refused(what, name, cause);
    let place = format!("udp.{name}");
    let stream = core.open_mux(udp, &place).map_err(|e| refused("open a stream for", e))?;
    // Bound first, while its acknowledgement comes up to the head. Nothing is read from the
    // interfaces before the stack runs, so no datagram comes by without the module.
    let ack = request(core, stream, &Primitive::bind_req(any(wanted.port)))
        .map_err(|errno| refused("bind", PlumbError::Refused(errno)))?;
    core.pool().free(ack);
    // These send back or swallow what comes, however large: super-datagrams stay whole.
    if matches!(name, "echo" | "discard") {
        let ack = request(core, stream, &option::set(option::SUPER_DATAGRAMS, 1))
            .map_err(|errno| refused("set up", PlumbError::Refused(errno)))?;
        core.pool().free(ack);
    }
    let module = ctl::make(name, &[], &place, &no_writers())
        .map_err(|why| PlanError::Service { name: name.to_owned(), why })?;
    core.push(stream, module).map_err(|e| refused("push", e))?;
    let (name, transport) = (name.to_owned(), Transport::Udp);
    Ok(Some(Service { name, transport, port: wanted.port, stream }))
}

/// Opens the listening stream of a service over TCP, if it is given over TCP.
pub(super) fn listen(
    shard: &mut Shard,
    tcp: NodeId,
    wanted: &Wanted<'_>,
) -> Result<Option<Service>, PlanError> {
    let Some(module) = wanted.service.tcp else { return Ok(None) };
    let name = wanted.service.name;
    let refused = |what: &str, cause| refused(what, name, cause);
    let place = format!("tcp.{name}");
    let make = maker(module, &place, wanted.argument)
        .map_err(|why| PlanError::Service { name: name.to_owned(), why })?;
    let core = shard.core();
    let stream = core.open_mux(tcp, &place).map_err(|e| refused("open a stream for", e))?;
    let bind = Primitive::bind_req(any(wanted.port)).with_word(12, BACKLOG);
    let ack = request(core, stream, &bind)
        .map_err(|errno| refused("bind", PlumbError::Refused(errno)))?;
    core.pool().free(ack);
    shard.accept_at(stream, tcp, module, make);
    let (name, transport) = (module.to_owned(), Transport::Tcp);
    Ok(Some(Service { name, transport, port: wanted.port, stream }))
}

/// Makes the module of one connection after another; they share the folder.
fn maker(module: &'static str, place: &str, folder: Option<&str>) -> Result<MakeModules, String> {
    let (place, writers) = (place.to_owned(), no_writers());
    let Some(path) = folder else {
        return Ok(Box::new(move |_| Ok(vec![ctl::make(module, &[], &place, &writers)?])));
    };
    let folder = Folder::open(path)?;
    let root = [Param("root".to_owned(), path.to_owned())];
    Ok(Box::new(move |_| {
        let files = |_: &str| Ok(Box::new(folder.clone()) as Box<dyn Files>);
        Ok(vec![ctl::make_with(module, &root, &place, &writers, files)?])
    }))
}

/// A service writes no files.
fn no_writers() -> Writers {
    Writers::new(|_| ())
}

pub(super) fn any(port: u16) -> SocketAddr {
    SocketAddr::new(IpAddr::V4(Ipv4Addr::UNSPECIFIED), port)
}

pub(super) fn refused(what: &str, name: &str, cause: PlumbError) -> PlanError {
    PlanError::Plumb { what: format!("{what} the service {name}"), cause }
}

/// Sends a request down and reads its acknowledgement.
pub(crate) fn request(
    core: &mut Perimeter,
    stream: StreamId,
    primitive: &Primitive,
) -> Result<Msg, Errno> {
    let bytes = primitive.as_bytes();
    let mut msg = core.pool().copy_from(0, bytes).map_err(|_| Errno::ENOSR)?;
    msg.set_kind(primitive.kind());
    core.putmsg(stream, msg).map_err(|(errno, msg)| {
        core.pool().free(msg);
        errno
    })?;
    let now = core.now();
    while core.turn_on(now, DISPATCHES).more {}
    let got = core.getmsg(stream)?.ok_or(Errno::ENXIO)?;
    let ack = got.control.ok_or(Errno::EPROTO)?;
    match tpi::primitive(ack.first()) {
        Some(tpi::T_BIND_ACK | tpi::T_OPTMGMT_ACK | tpi::T_ADDR_ACK | tpi::T_OK_ACK) => Ok(ack),
        _ => {
            let refused = tpi::ErrorAck::new(ack.first()).map_or(Errno::EPROTO.0, |e| e.errno());
            core.pool().free(ack);
            Err(Errno(refused))
        }
    }
}

/// Connections that may wait to be accepted.
pub(super) const BACKLOG: i32 = 4096;
/// A request and its acknowledgement are a handful of dispatches.
const DISPATCHES: usize = 64;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::Plan;

    fn build(services: &[&str]) -> Result<crate::plan::Stack, PlanError> {
        let services = services.iter().map(|name| (*name).to_owned()).collect();
        Plan { services, ..Plan::default() }.build()
    }

    #[test]
    fn each_service_is_a_stream_of_udp_with_its_module_and_a_listener_of_tcp_at_its_port() {
        let mut stack = build(&["echo", "discard", "daytime:1313", "chargen", "time"]).unwrap();
        let ports: Vec<u16> = stack.services.iter().map(|service| service.port).collect();
        assert_eq!(ports, [7, 7, 9, 9, 1313, 1313, 19, 19, 37, 37]);
        for pair in stack.services.clone().chunks(2) {
            let [udp, tcp] = [0, 1].map(|at| {
                let chain = stack.shard.core().chain(pair[at].stream).unwrap();
                chain.into_iter().map(|view| view.name).collect::<Vec<_>>()
            });
            assert_eq!(udp, ["head", &pair[0].name, "udp"]);
            assert_eq!(tcp, ["head", "tcp"], "a connection has the module");
            assert_eq!(pair[1].name, format!("tcp-{}", pair[0].name));
        }
    }

    #[test]
    fn http_is_given_over_tcp_alone_with_the_folder_it_is_given() {
        let stack = build(&["http:8080=/tmp"]).unwrap();
        let services: Vec<_> = stack.services.iter().map(|s| (&*s.name, s.port)).collect();
        assert_eq!(services, [("http", 8080)]);
        assert_eq!(Wanted::parse("http=a=b:c").unwrap().argument, Some("a=b:c"));
    }

    #[test]
    fn a_service_that_is_unknown_wrong_or_asked_for_twice_is_refused_with_a_reason() {
        for (services, reason) in [
            (
                &["echo", "gopher"][..],
                "no service gopher: there are echo, discard, daytime, chargen, time, http, \
                 rpcbind, nfs, square",
            ),
            (&["http"], "the service http: it needs a folder: write http=FOLDER"),
            (&["http="], "the service http: it needs a folder: write http=FOLDER"),
            (&["echo=/tmp"], "the service echo: it serves no folder: write echo"),
            (&["echo:0"], "the service echo: 0 is no port: write echo:PORT, from 1 to 65535"),
            (&["echo:"], "the service echo:  is no port: write echo:PORT, from 1 to 65535"),
            (&["http=/nowhere"], "the service http: cannot serve the folder /nowhere: No such"),
            (&["echo", "echo"], "bind the service echo: refused:"),
        ] {
            let text = build(services).unwrap_err().to_string();
            assert!(text.starts_with(reason), "{services:?}: {text}");
        }
    }
}
