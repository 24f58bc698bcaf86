//! sockets: the sockets of `tcp` become what JSON carries.

use super::request::WhichSockets;
use crate::shard::Shard;
use millstream_modules::tcp::{FlowView, SocketView, Tcp};
use serde::{Deserialize, Serialize};
use std::collections::HashMap;
use std::net::SocketAddr;

/// Answer to `sockets`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Sockets {
    /// In the order of their numbers.
    pub sockets: Vec<Socket>,
    /// Sockets left out: an answer lists 16,384.
    pub omitted: usize,
}

/// A socket.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Socket {
    /// As `ss` names it: `ESTAB`, `LISTEN`, `CLOSE` for one that is only bound.
    pub state: String,
    /// Our end.
    pub local: SocketAddr,
    /// The peer's end, of a connection.
    pub peer: Option<SocketAddr>,
    /// Octets that were not read; of a listener, connections that wait.
    pub recv_q: u32,
    /// Octets that are not acknowledged; of a listener, connections that may wait.
    pub send_q: u32,
    /// Name of the stream above; of a connection that waits, that of its listener.
    pub owner: Option<String>,
    /// Number of that stream.
    pub owner_id: Option<u64>,
    /// Programs of other processes that have it; none: it is in the stack's own process, or those
    /// who had it have gone.
    pub programs: Vec<Owner>,
    /// How a connection does.
    pub flow: Option<Flow>,
}

/// A program that has a socket.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Owner {
    /// Its process.
    pub pid: u32,
    /// What the kernel calls it; `null` where it does not tell.
    pub name: Option<String>,
}

/// How a connection does. Windows in octets.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Flow {
    /// Congestion control.
    pub congestion: String,
    /// Congestion window.
    pub cwnd: u32,
    /// Where it grows slowly; `null` before a loss.
    pub ssthresh: Option<u32>,
    /// Payload of a segment.
    pub mss: u16,
    /// Round-trip time, once it was measured.
    pub rtt_ns: Option<u64>,
    /// Its mean deviation.
    pub rttvar_ns: u64,
    /// Retransmission timeout.
    pub rto_ns: u64,
    /// Timeouts in a row.
    pub backoff: u32,
    /// Octets that were sent again.
    pub retransmitted: u32,
    /// Octets a second at which data leave; `null`: as they come.
    pub pacing: Option<u64>,
    /// Octets that the peer has acknowledged.
    pub acked: u64,
    /// Octets that were received in order.
    pub received: u64,
}

/// The sockets that are wanted; `state` in capitals.
pub(super) fn sockets(
    shard: &mut Shard,
    which: WhichSockets,
    state: Option<String>,
    port: Option<u16>,
) -> Sockets {
    let (mut all, mut streams) = (Sockets::default(), Vec::new());
    let core = shard.core();
    let now = core.now();
    for tcp in core.muxes().into_iter().filter_map(|mux| core.mux_as::<Tcp>(mux)) {
        for (view, upper) in tcp.sockets(now) {
            let has_port = |end: SocketAddr| port.is_none_or(|port| end.port() == port);
            let of_kind = match which {
                WhichSockets::Connected => view.flow.is_some(),
                WhichSockets::Listening => view.state == "LISTEN",
                WhichSockets::All => true,
            };
            let wanted = of_kind
                && state.as_ref().is_none_or(|state| state == view.state)
                && (has_port(view.local) || view.remote.is_some_and(has_port));
            if !wanted {
            } else if all.sockets.len() == SOCKETS_MAX {
                all.omitted += 1;
            } else {
                let owner = upper.and_then(|upper| core.stream_of(upper));
                streams.push(owner.map(|(id, _)| id));
                let owner = owner.map(|(id, name)| (id.number(), name.to_owned()));
                all.sockets.push(socket(view, owner));
            }
        }
    }
    for (socket, stream) in all.sockets.iter_mut().zip(streams) {
        let pids = stream.map(|stream| shard.programs_of(stream)).unwrap_or_default();
        socket.programs.extend(pids.into_iter().map(|pid| Owner { pid, name: None }));
    }
    all
}

/// Asks the kernel for the names of programs: files are read, which the shard has no time for.
pub(super) fn name_programs(all: &mut Sockets) {
    let mut known: HashMap<u32, Option<String>> = HashMap::new();
    for owner in all.sockets.iter_mut().flat_map(|socket| &mut socket.programs) {
        let name = known.entry(owner.pid).or_insert_with(|| {
            let name = std::fs::read_to_string(format!("/proc/{}/comm", owner.pid)).ok()?;
            Some(name.trim_end().to_owned())
        });
        owner.name.clone_from(name);
    }
}

fn socket(view: SocketView, owner: Option<(u64, String)>) -> Socket {
    let (owner_id, owner) = owner.unzip();
    Socket {
        state: view.state.to_owned(),
        local: view.local,
        peer: view.remote,
        recv_q: view.recv_q,
        send_q: view.send_q,
        owner,
        owner_id,
        programs: Vec::new(),
        flow: view.flow.map(flow),
    }
}

fn flow(view: FlowView) -> Flow {
    Flow {
        congestion: view.algorithm.to_owned(),
        cwnd: view.cwnd,
        ssthresh: view.ssthresh,
        mss: view.mss,
        rtt_ns: view.rtt,
        rttvar_ns: view.rttvar,
        rto_ns: view.rto,
        backoff: view.backoff,
        retransmitted: view.resent,
        pacing: view.pacing,
        acked: view.acked,
        received: view.received,
    }
}

/// Sockets in an answer: some hundred bytes each.
const SOCKETS_MAX: usize = 16_384;
