//! stream: connections of the stack's TCP as experiments use them, by TPI at the heads of streams:
//! a host in process, and an application whose thread comes into the shard.

mod application;
mod pair;
mod service;

pub use application::{Does, application, on_stack};
pub use pair::{Connection, Two};
pub use service::Service;

use millstream_core::tpi::option::Record;
use millstream_core::tpi::{self, Primitive};
use millstream_core::{Errno, NodeId, Perimeter, StreamId};
use millstream_modules::tcp::names;
use millstream_msg::Msg;
use std::net::{IpAddr, SocketAddr};

/// Connections that may wait to be accepted.
pub const BACKLOG: i32 = 4096;

/// Dispatches in which a request is answered.
const DISPATCHES: usize = 64;

/// A stream that listens.
///
/// # Errors
/// The refusal.
pub fn listen(
    core: &mut Perimeter,
    tcp: NodeId,
    at: SocketAddr,
    backlog: i32,
) -> Result<StreamId, Errno> {
    open_with(core, tcp, &[reuse(), Primitive::bind_req(at).with_word(12, backlog)])
}

/// As servers ask: connections of the one before may be in TIME-WAIT.
pub(crate) fn reuse() -> Primitive {
    let reuse = Record {
        level: names::SOCKET,
        name: names::REUSEADDR,
        status: 0,
        value: &1_i32.to_ne_bytes(),
    };
    Primitive::optmgmt_req(tpi::T_NEGOTIATE).with_option(&reuse)
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
) -> Result<StreamId, Errno> {
    let from = SocketAddr::new(from, 0);
    open_with(core, tcp, &[Primitive::bind_req(from), Primitive::conn_req(to)])
}

/// The next connection of a listening stream, on a stream of its own; `None` while nobody calls.
///
/// # Errors
/// The refusal.
pub fn accept(
    core: &mut Perimeter,
    tcp: NodeId,
    listener: StreamId,
) -> Result<Option<StreamId>, Errno> {
    while let Some(word) = control(core, listener)? {
        // Word of a caller who has gone, which was passed over.
        let Ok(call) = tpi::ConnInd::new(&word) else { continue };
        let stream = open(core, tcp)?;
        let taken = ask(core, stream, &Primitive::capability_req(tpi::TC1_ACCEPTOR_ID));
        let taken = taken.and_then(|answer| {
            let acceptor = tpi::CapabilityAck::new(&answer).map_err(|_| Errno::EPROTO)?.acceptor();
            ask(core, listener, &Primitive::conn_res(acceptor, call.sequence()))
        });
        match unless_closed(core, stream, taken.map(drop)) {
            Err(HAS_GONE) => {}
            taken => return taken.map(Some),
        }
    }
    Ok(None)
}

/// What the answer to a call is refused with whose caller has gone meanwhile.
pub(crate) const HAS_GONE: Errno = Errno::EINVAL;

/// The control part of the first message, if there is one.
///
/// # Errors
/// The stream's; ENXIO when it has ended.
pub fn control(core: &mut Perimeter, stream: StreamId) -> Result<Option<Vec<u8>>, Errno> {
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
        Ok(None) => Err(Errno::ENXIO),
        Err(errno) => Err(errno),
    }
}

fn open(core: &mut Perimeter, tcp: NodeId) -> Result<StreamId, Errno> {
    core.open_mux(tcp, "bench").map_err(|why| why.errno())
}

/// A stream that has asked for all of this; closed again when something was refused.
fn open_with(core: &mut Perimeter, tcp: NodeId, requests: &[Primitive]) -> Result<StreamId, Errno> {
    let stream = open(core, tcp)?;
    let asked = requests.iter().try_for_each(|request| ask(core, stream, request).map(drop));
    unless_closed(core, stream, asked)
}

fn unless_closed(
    core: &mut Perimeter,
    stream: StreamId,
    done: Result<(), Errno>,
) -> Result<StreamId, Errno> {
    if done.is_err() {
        // A pending close goes on by itself.
        let _closed = core.close(stream);
    }
    done.map(|()| stream)
}

/// Sends a request and takes its answer.
fn ask(core: &mut Perimeter, stream: StreamId, asked: &Primitive) -> Result<Vec<u8>, Errno> {
    let mut msg = core.pool().copy_from(0, asked.as_bytes()).map_err(|_| Errno::ENOSR)?;
    msg.set_kind(asked.kind());
    core.putmsg(stream, msg).map_err(|(errno, msg)| {
        core.pool().free(msg);
        errno
    })?;
    let now = core.now();
    while core.turn(now, DISPATCHES).more {}
    let answer = control(core, stream)?.ok_or(Errno::EPROTO)?;
    match tpi::ErrorAck::new(&answer) {
        Ok(refused) => Err(Errno(refused.errno())),
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
