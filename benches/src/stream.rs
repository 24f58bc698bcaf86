//! stream: connections of the stack's TCP as experiments use them, by TPI at the heads of streams:
//! a host in process, and an application whose thread comes into the shard.

mod application;
mod pair;
mod service;

pub use application::{Does, application};
pub use pair::{Connection, Two};
pub use service::Service;

use crate::Trouble;
use millstream_core::tpi::{self, Primitive};
use millstream_core::{Errno, NodeId, Perimeter, StreamId};
use millstream_msg::Msg;
use std::net::{IpAddr, SocketAddr};

/// Connections that may wait to be accepted.
const BACKLOG: i32 = 4096;

/// Dispatches in which a request is answered.
const DISPATCHES: usize = 64;

/// A stream that listens.
///
/// # Errors
/// The refusal.
pub fn listen(core: &mut Perimeter, tcp: NodeId, at: SocketAddr) -> Result<StreamId, Trouble> {
    let stream = open(core, tcp)?;
    ask(core, stream, &Primitive::bind_req(at).with_word(12, BACKLOG))?;
    Ok(stream)
}

/// A stream that calls from an address; it is connected when [`tpi::T_CONN_CON`] is at its head.
///
/// # Errors
/// The refusal.
pub fn call(
    core: &mut Perimeter,
    tcp: NodeId,
    from: IpAddr,
    to: SocketAddr,
) -> Result<StreamId, Trouble> {
    let stream = open(core, tcp)?;
    ask(core, stream, &Primitive::bind_req(SocketAddr::new(from, 0)))?;
    ask(core, stream, &Primitive::conn_req(to))?;
    Ok(stream)
}

/// The next connection of a listening stream, on a stream of its own; `None` while nobody calls.
///
/// # Errors
/// The refusal.
pub fn accept(
    core: &mut Perimeter,
    tcp: NodeId,
    listener: StreamId,
) -> Result<Option<StreamId>, Trouble> {
    let Some(call) = control(core, listener)? else { return Ok(None) };
    let sequence = tpi::ConnInd::new(&call).map_err(|_| "no call")?.sequence();
    let stream = open(core, tcp)?;
    let answer = ask(core, stream, &Primitive::capability_req(tpi::TC1_ACCEPTOR_ID))?;
    let acceptor = tpi::CapabilityAck::new(&answer).map_err(|_| "no acceptor")?.acceptor();
    ask(core, listener, &Primitive::conn_res(acceptor, sequence))?;
    Ok(Some(stream))
}

/// The control part of the first message, if there is one.
///
/// # Errors
/// The stream's.
pub fn control(core: &mut Perimeter, stream: StreamId) -> Result<Option<Vec<u8>>, Trouble> {
    match core.getmsg(stream) {
        Ok(Some(got)) => {
            let bytes = got.control.map(|msg| {
                let bytes = msg.first().to_vec();
                core.pool().free(msg);
                bytes
            });
            if let Some(data) = got.data {
                core.pool().free(data);
            }
            Ok(bytes)
        }
        Err(Errno::EAGAIN) => Ok(None),
        Ok(None) => Err("the stream has ended".into()),
        Err(errno) => Err(errno.to_string().into()),
    }
}

fn open(core: &mut Perimeter, tcp: NodeId) -> Result<StreamId, Trouble> {
    core.open_mux(tcp, "bench").map_err(|why| why.to_string().into())
}

/// Sends a request and takes its answer.
fn ask(core: &mut Perimeter, stream: StreamId, asked: &Primitive) -> Result<Vec<u8>, Trouble> {
    let mut msg = core.pool().copy_from(0, asked.as_bytes()).map_err(|why| why.to_string())?;
    msg.set_kind(asked.kind());
    core.putmsg(stream, msg).map_err(|(errno, _)| errno.to_string())?;
    let now = core.now();
    while core.turn(now, DISPATCHES).more {}
    let answer = control(core, stream)?.ok_or("the stack did not answer a request")?;
    match tpi::ErrorAck::new(&answer) {
        Ok(refused) => Err(Errno(refused.errno()).to_string().into()),
        Err(_) => Ok(answer),
    }
}

/// Frees what was got; bytes of its data.
fn free(core: &mut Perimeter, got: millstream_core::Got) -> usize {
    let parts: [Option<Msg>; 2] = [got.control, got.data];
    let len = parts[1].as_ref().map_or(0, Msg::len);
    for part in parts.into_iter().flatten() {
        core.pool().free(part);
    }
    len
}
