//! service: the name of a service becomes a stream of udp, bound to its port, with the service's
//! module in it, and a stream of tcp that takes connections for it.

use super::PlanError;
use crate::ctl::{self, Writers};
use crate::shard::Shard;
use millstream_core::tpi::{self, Primitive};
use millstream_core::{Errno, NodeId, Perimeter, PlumbError, StreamId};
use millstream_modules::table;
use millstream_modules::udp::option;
use millstream_msg::Msg;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};

/// A service that runs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Service {
    /// Its name in the table of modules.
    pub name: String,
    /// Its UDP port.
    pub port: u16,
    /// Its stream, named `udp.NAME`.
    pub stream: StreamId,
}

/// Names of the services there are, with their ports.
pub fn known() -> Vec<(String, u16)> {
    ctl::modules().into_iter().filter_map(|about| Some((about.name, about.port?))).collect()
}

/// Opens the stream of a service, binds it and pushes the module.
pub(super) fn open(core: &mut Perimeter, udp: NodeId, name: &str) -> Result<Service, PlanError> {
    let port = table::service_port(name).ok_or_else(|| PlanError::UnknownService {
        name: name.to_owned(),
        known: known().into_iter().map(|(name, _)| name).collect::<Vec<_>>().join(", "),
    })?;
    let refused = |what: &str, cause: PlumbError| PlanError::Plumb {
        what: format!("{what} the service {name}"),
        cause,
    };
    let place = format!("udp.{name}");
    let stream = core.open_mux(udp, &place).map_err(|e| refused("open a stream for", e))?;
    // Bound first, while its acknowledgement comes up to the head. Nothing is read from the
    // interfaces before the stack runs, so no datagram comes by without the module.
    let all = SocketAddr::new(IpAddr::V4(Ipv4Addr::UNSPECIFIED), port);
    let ack = request(core, stream, &Primitive::bind_req(all))
        .map_err(|errno| refused("bind", PlumbError::Refused(errno)))?;
    core.pool().free(ack);
    // These send back or swallow what comes, however large: super-datagrams stay whole.
    if matches!(name, "echo" | "discard") {
        let ack = request(core, stream, &option::set(option::SUPER_DATAGRAMS, 1))
            .map_err(|errno| refused("set up", PlumbError::Refused(errno)))?;
        core.pool().free(ack);
    }
    // A service has no files.
    let module = ctl::make(name, &[], &place, &Writers::new(|_| ()))
        .map_err(|why| PlanError::Service { name: name.to_owned(), why })?;
    core.push(stream, module).map_err(|e| refused("push", e))?;
    Ok(Service { name: name.to_owned(), port, stream })
}

/// Opens the listening stream of a service over TCP, if it is given over TCP.
pub(super) fn listen(
    shard: &mut Shard,
    tcp: NodeId,
    name: &str,
) -> Result<Option<Service>, PlanError> {
    let Some((module, port)) = table::stream_service(name) else { return Ok(None) };
    let refused = |what: &str, cause: PlumbError| PlanError::Plumb {
        what: format!("{what} the service {name}"),
        cause,
    };
    let place = format!("tcp.{name}");
    let core = shard.core();
    let stream = core.open_mux(tcp, &place).map_err(|e| refused("open a stream for", e))?;
    let all = SocketAddr::new(IpAddr::V4(Ipv4Addr::UNSPECIFIED), port);
    let bind = Primitive::bind_req(all).with_word(12, BACKLOG);
    let ack = request(core, stream, &bind)
        .map_err(|errno| refused("bind", PlumbError::Refused(errno)))?;
    core.pool().free(ack);
    let at = place.clone();
    let make = move || ctl::make(module, &[], &at, &Writers::new(|_| ()));
    shard.accept_at(stream, tcp, Box::new(make));
    Ok(Some(Service { name: module.to_owned(), port, stream }))
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
    while core.turn(now, DISPATCHES).more {}
    let got = core.getmsg(stream)?.ok_or(Errno::ENXIO)?;
    let ack = got.control.ok_or(Errno::EPROTO)?;
    match tpi::primitive(ack.first()) {
        Some(tpi::T_BIND_ACK | tpi::T_OPTMGMT_ACK | tpi::T_CAPABILITY_ACK | tpi::T_OK_ACK) => {
            Ok(ack)
        }
        _ => {
            let refused = tpi::ErrorAck::new(ack.first()).map_or(Errno::EPROTO.0, |e| e.errno());
            core.pool().free(ack);
            Err(Errno(refused))
        }
    }
}

/// Connections that may wait to be accepted.
const BACKLOG: i32 = 4096;
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
    fn each_service_is_a_stream_of_udp_with_its_module_at_its_port() {
        let names: Vec<String> = known().into_iter().map(|(name, _)| name).collect();
        let names: Vec<&str> = names.iter().map(String::as_str).collect();
        let mut stack = build(&names).unwrap();
        let ports: Vec<u16> = stack.services.iter().map(|service| service.port).collect();
        assert_eq!(ports, [7, 9, 13, 19, 37]);
        for service in stack.services.clone() {
            let chain = stack.shard.core().chain(service.stream).unwrap();
            let names: Vec<&str> = chain.iter().map(|view| view.name.as_str()).collect();
            assert_eq!(names, ["head", &service.name, "udp"]);
        }
    }

    #[test]
    fn a_service_that_is_unknown_or_asked_for_twice_is_refused_with_a_reason() {
        let text = build(&["echo", "gopher"]).unwrap_err().to_string();
        assert_eq!(text, "no service gopher: there are echo, discard, daytime, chargen, time");
        let text = build(&["echo", "echo"]).unwrap_err().to_string();
        assert!(text.starts_with("bind the service echo: refused:"), "{text}");
    }
}
