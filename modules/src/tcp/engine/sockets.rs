//! The sockets of `tcp` as plain data, for `ss` and others who look.

use super::{Engine, Socket};
use crate::tcp::tcb::{Marks, NOBODY, Tcb};
use core::net::SocketAddr;

/// A socket: bound, listening or connected.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SocketView {
    /// `LISTEN`, `CLOSE` (bound), or the connection's state as `ss` names it.
    pub state: &'static str,
    /// Our end.
    pub local: SocketAddr,
    /// The peer's end, of a connection.
    pub remote: Option<SocketAddr>,
    /// Octets that the user has not read; of a listener, connections that wait to be accepted.
    pub recv_q: u32,
    /// Octets that are not acknowledged, sent or not; of a listener, how many may wait.
    pub send_q: u32,
    /// The stream above.
    pub user: Option<u32>,
    /// How a connection does.
    pub flow: Option<FlowView>,
}

/// How a connection does. Windows in octets, times in nanoseconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FlowView {
    /// Name of the congestion control.
    pub algorithm: &'static str,
    /// Congestion window.
    pub cwnd: u32,
    /// Where it grows slowly; `None` before a loss.
    pub ssthresh: Option<u32>,
    /// Payload of a segment.
    pub mss: u16,
    /// Round-trip time, once it was measured.
    pub rtt: Option<u64>,
    /// Its mean deviation.
    pub rttvar: u64,
    /// Retransmission timeout, doublings included.
    pub rto: u64,
    /// Timeouts in a row.
    pub backoff: u32,
    /// Octets that were sent again, in all.
    pub resent: u32,
    /// Octets a second at which data leave, where the controller asks for it.
    pub pacing: Option<u64>,
    /// Octets that the peer has acknowledged.
    pub acked: u64,
    /// Octets that were received in order.
    pub received: u64,
}

impl Engine {
    /// Every socket, in the order of their numbers.
    pub fn sockets(&self, now: u64) -> impl Iterator<Item = SocketView> {
        self.table.iter().filter_map(move |number| {
            let local = self.table.local(number)?;
            let view = SocketView {
                state: "CLOSE",
                local: local.into(),
                remote: self.table.remote(number).map(SocketAddr::from),
                recv_q: 0,
                send_q: 0,
                user: None,
                flow: None,
            };
            Some(match self.sockets.get(number as usize)?.as_ref()? {
                Socket::Bound => {
                    let owns = |user: &Option<super::User>| {
                        user.as_ref().is_some_and(|user| user.socket() == Some(number))
                    };
                    let user = self.users.iter().position(owns).map(|at| at as u32);
                    SocketView { user, ..view }
                }
                Socket::Listening(listener) => SocketView {
                    state: "LISTEN",
                    recv_q: listener.waiting.len() as u32,
                    send_q: listener.backlog,
                    user: Some(listener.user),
                    ..view
                },
                Socket::Connection(tcb) => connection(tcb, now, view),
            })
        })
    }
}

fn connection(tcb: &Tcb, now: u64, view: SocketView) -> SocketView {
    let (loss, rtt) = (&tcb.loss, tcb.loss.rtt());
    let flow = FlowView {
        algorithm: loss.algorithm().name(),
        cwnd: loss.cwnd(),
        ssthresh: Some(loss.ssthresh()).filter(|octets| *octets != u32::MAX),
        mss: tcb.mss,
        rtt: rtt.smoothed(),
        rttvar: rtt.deviation(),
        rto: rtt.timeout(),
        backoff: loss.backed_off(),
        resent: loss.counters().resent,
        pacing: tcb.pace(now),
        acked: tcb.count.acked,
        received: tcb.count.received,
    };
    let over = tcb.marks.has(Marks::DEAD);
    SocketView {
        state: if over { "CLOSE" } else { tcb.state.name() },
        recv_q: tcb.unread.saturating_add(tcb.ready.bytes()),
        send_q: tcb.queued(),
        user: [tcb.user, tcb.parent].into_iter().find(|user| *user != NOBODY),
        flow: Some(flow),
        ..view
    }
}
