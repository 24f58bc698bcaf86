//! What ICMP says of segments that we sent (RFC 9293 section 3.9.2.2, RFC 5927).

use super::{Engine, ends_of};
use crate::ip::icmp::{Cause, SoftError};
use crate::tcp::tcb::{MSS_MIN, State, Tcb};
use crate::tcp::{Seq, TcpDrop, user};
use core::net::SocketAddr;
use millstream_core::Errno;
use millstream_msg::Pool;

impl Engine {
    /// An error about a segment; it counts only when the segment is one that is under way
    /// (RFC 5927 section 4).
    pub(super) fn failed(&mut self, error: &SoftError, now: u64, pool: &mut Pool) {
        let [s0, s1, d0, d1, q0, q1, q2, q3] = error.transport;
        let port = |a, b| u16::from_be_bytes([a, b]);
        let local = SocketAddr::new(error.src, port(s0, s1));
        let remote = SocketAddr::new(error.dst, port(d0, d1));
        let seq = Seq(u32::from_be_bytes([q0, q1, q2, q3]));
        let Some(number) = self.table.connection(&ends_of(local, remote)) else {
            return self.shared.happened.push(TcpDrop::IcmpForNobody);
        };
        let Some(tcb) = self.tcb(number) else { return };
        if !seq.within(tcb.una, tcb.nxt) {
            return self.shared.happened.push(TcpDrop::IcmpOutOfWindow);
        }
        let cause = error.cause;
        self.with(number, now, pool, |tcb, env| match cause {
            Cause::PacketTooBig(mtu) => shrink(tcb, mtu, env.now),
            cause => {
                let errno = errno_of(cause);
                tcb.soft_error = errno.0 as i16;
                // Before a connection stands there is nothing to protect, and somebody waits.
                if tcb.state == State::SynSent && is_final(cause) {
                    user::over(tcb, Some(errno), env);
                }
            }
        });
    }
}

/// Path MTU discovery (RFC 1191): smaller segments from now on, beginning with what is lost now.
fn shrink(tcb: &mut Tcb, mtu: Option<u16>, now: u64) {
    let fixed = if tcb.remote.ip.is_ipv4() { 40 } else { 60 };
    // A router that does not say: half of what it was.
    let mtu = mtu.unwrap_or(tcb.path_mtu / 2).max(PATH_MTU_MIN.max(MSS_MIN + fixed));
    if mtu >= tcb.path_mtu {
        return;
    }
    tcb.path_mtu = mtu;
    tcb.set_mss();
    let at = tcb.sending(now);
    if let Some(flight) = &mut tcb.flight {
        tcb.loss.too_large(&mut flight.records, &at);
    }
}

/// Nobody will answer, whatever we do.
fn is_final(cause: Cause) -> bool {
    matches!(cause, Cause::PortUnreachable | Cause::ProtocolUnreachable | Cause::Prohibited)
}

fn errno_of(cause: Cause) -> Errno {
    match cause {
        Cause::PortUnreachable | Cause::ProtocolUnreachable => Errno::ECONNREFUSED,
        Cause::NetUnreachable => Errno::ENETUNREACH,
        _ => Errno::EHOSTUNREACH,
    }
}

/// As Linux' ip_no_pmtu_disc leaves it: what a path takes at least.
const PATH_MTU_MIN: u16 = 552;
