//! sockets: the sockets of `tcp` become what JSON carries.

use super::request::WhichSockets;
use millstream_core::Perimeter;
use millstream_modules::tcp::{FlowView, SocketView, Tcp};
use serde::{Deserialize, Serialize};
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
    /// How a connection does.
    pub flow: Option<Flow>,
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
    core: &Perimeter,
    which: WhichSockets,
    state: Option<String>,
    port: Option<u16>,
) -> Sockets {
    let mut all = Sockets::default();
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
                let owner = owner.map(|(id, name)| (id.number(), name.to_owned()));
                all.sockets.push(socket(view, owner));
            }
        }
    }
    all
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
