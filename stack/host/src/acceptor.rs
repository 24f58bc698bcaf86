//! acceptor: takes connections within the shard. A listening stream's T_CONN_IND becomes a stream
//! of its own with the service's modules in it; when the connection has ended, it is closed.

use crate::plan::service::request;
use millstream_core::tpi::{self, Primitive};
use millstream_core::{Errno, Got, Module, NodeId, Perimeter, StreamId};
use millstream_msg::Msg;
use std::collections::{HashMap, HashSet};
use std::fmt;
use std::time::Duration;

/// Makes the modules for the stream of one more connection, lowest first; why not, in a sentence.
pub(crate) type MakeModules =
    Box<dyn FnMut(StreamId) -> Result<Vec<Box<dyn Module>>, String> + Send>;

/// The listening streams of a shard, and the connections taken at them.
#[derive(Debug, Default)]
pub(crate) struct Acceptors {
    listeners: HashMap<StreamId, Listener>,
    serving: HashSet<StreamId>,
}

struct Listener {
    tcp: NodeId,
    /// Of its streams.
    name: &'static str,
    make: MakeModules,
}

impl fmt::Debug for Listener {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Listener").field("tcp", &self.tcp).finish_non_exhaustive()
    }
}

impl Acceptors {
    /// Takes the connections of this stream from now on.
    pub(crate) fn add(
        &mut self,
        listener: StreamId,
        tcp: NodeId,
        name: &'static str,
        make: MakeModules,
    ) {
        self.listeners.insert(listener, Listener { tcp, name, make });
    }

    /// Takes its connections no more.
    pub(crate) fn remove(&mut self, listener: StreamId) {
        self.listeners.remove(&listener);
    }

    /// Something has come to the head of a stream.
    pub(crate) fn look(&mut self, core: &mut Perimeter, stream: StreamId) {
        if let Some(listener) = self.listeners.get_mut(&stream) {
            while let Ok(Some(got)) = core.getmsg(stream) {
                let taken = indication(&got).map(|sequence| listener.take(core, stream, sequence));
                free(core, got);
                if let Some(Ok(connection)) = taken {
                    self.serving.insert(connection);
                    // What came with the handshake told of itself before it was served.
                    close_if_over(&mut self.serving, core, connection);
                }
            }
        } else {
            close_if_over(&mut self.serving, core, stream);
        }
    }
}

fn close_if_over(serving: &mut HashSet<StreamId>, core: &mut Perimeter, stream: StreamId) {
    if serving.contains(&stream) && has_ended(core, stream) {
        serving.remove(&stream);
        // A pending close goes on by itself: nobody waits for it.
        let _closed = core.close(stream);
    }
}

impl Listener {
    /// Takes the connection with this number. What cannot be taken is refused.
    fn take(
        &mut self,
        core: &mut Perimeter,
        listener: StreamId,
        sequence: i32,
    ) -> Result<StreamId, Errno> {
        let taken = self.stream(core).and_then(|stream| {
            let done = accept(core, listener, stream, sequence);
            done.map(|()| stream).inspect_err(|_| drop(core.close(stream)))
        });
        taken.inspect_err(|_| refuse(core, listener, sequence))
    }

    /// A stream with the modules in it.
    fn stream(&mut self, core: &mut Perimeter) -> Result<StreamId, Errno> {
        let stream = core.open_mux(self.tcp, self.name).map_err(|_| Errno::ENOSR)?;
        let made = core.set_close_time(stream, CLOSE_TIME);
        let made = made.and_then(|()| (self.make)(stream).map_err(|_| Errno::ENOSR));
        let pushed = made.and_then(|modules| push(core, stream, modules));
        pushed.map(|()| stream).inspect_err(|_| drop(core.close(stream)))
    }
}

/// Pushes modules, lowest first. One that asks the transport something first gets its answer.
pub(crate) fn push(
    core: &mut Perimeter,
    stream: StreamId,
    modules: Vec<Box<dyn Module>>,
) -> Result<(), Errno> {
    let wanted = modules.len();
    let mut pending = false;
    for module in modules {
        let change = core.push(stream, module).map_err(|_| Errno::ENOSR)?;
        pending |= change.ticket().is_some();
    }
    if !pending {
        return Ok(());
    }
    let now = core.now();
    while core.pending(stream).is_some() && core.turn(now, DISPATCHES).more {}
    let chain = core.chain(stream).map_err(|_| Errno::ENOSR)?;
    let there = chain.iter().filter(|node| node.kind == "module").count();
    if there == wanted { Ok(()) } else { Err(Errno::ENOSR) }
}

/// Gives the connection with this number to a stream of the same transport.
pub(crate) fn accept(
    core: &mut Perimeter,
    listener: StreamId,
    stream: StreamId,
    sequence: i32,
) -> Result<(), Errno> {
    // What T_CAPABILITY_REQ would tell, without a request for each connection.
    let acceptor = core.upper_number(stream).ok_or(Errno::EPROTO)? as i32;
    let ack = request(core, listener, &Primitive::conn_res(acceptor, sequence))?;
    core.pool().free(ack);
    Ok(())
}

/// Refuses the connection with this number.
pub(crate) fn refuse(core: &mut Perimeter, listener: StreamId, sequence: i32) {
    if let Ok(ack) = request(core, listener, &Primitive::discon_req(sequence)) {
        core.pool().free(ack);
    }
}

/// The number of the connection that a message tells of.
fn indication(got: &Got) -> Option<i32> {
    let control = got.control.as_ref()?;
    tpi::ConnInd::new(control.first()).ok().map(|ind| ind.sequence())
}

/// Reads what the module has let through, which nobody waits for; has the connection ended?
fn has_ended(core: &mut Perimeter, stream: StreamId) -> bool {
    loop {
        match core.getmsg(stream) {
            Ok(Some(got)) => {
                let word = got.control.as_ref().and_then(|control| tpi::primitive(control.first()));
                free(core, got);
                if matches!(word, Some(tpi::T_ORDREL_IND | tpi::T_DISCON_IND)) {
                    return true;
                }
            }
            Err(Errno::EAGAIN) => return false,
            Ok(None) | Err(_) => return true,
        }
    }
}

/// What was got has served.
pub(crate) fn free(core: &mut Perimeter, got: Got) {
    let parts: [Option<Msg>; 2] = [got.control, got.data];
    for part in parts.into_iter().flatten() {
        core.pool().free(part);
    }
}

/// What was sent before the end has so long to leave: a peer may read slowly.
const CLOSE_TIME: Duration = Duration::from_secs(120);
/// A question and its answer are a handful of dispatches.
const DISPATCHES: usize = 64;
