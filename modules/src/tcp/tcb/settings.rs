//! What users set (`tcp(7)`, `socket(7)`, `ip(7)`).

use crate::tcp::autotune::{RECEIVE_FIRST, SEND_FIRST};
use crate::tcp::congestion::Algorithm;
use crate::tcp::loss::{INITIAL_WINDOW, RTO_MIN_MS};

/// What a user can set, and a listener hands on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Settings {
    /// Small segments leave at once (TCP_NODELAY).
    pub nodelay: bool,
    /// Only full segments leave, for at most 200 ms (TCP_CORK).
    pub cork: bool,
    /// An idle connection is probed (SO_KEEPALIVE).
    pub keepalive: bool,
    /// Urgent data stay in the stream (SO_OOBINLINE).
    pub oob_inline: bool,
    /// Another may be bound where old connections were (SO_REUSEADDR).
    pub reuse: bool,
    /// We ask for congestion marks (RFC 3168); who asks us gets them in any case.
    pub ecn: bool,
    /// We offer timestamps, and take them (RFC 7323).
    pub timestamps: bool,
    /// We offer selective acknowledgements, and take them (RFC 2018).
    pub sack: bool,
    /// The shift of the windows that we announce, at most 14 (RFC 7323).
    pub rcv_scale: u8,
    /// Segments that may leave before the first acknowledgement, 1 or more; but not much more than
    /// so many of Ethernet's (RFC 6928).
    pub initial_window: u8,
    /// What the retransmission timeout is longer than the round trip at least, ms (RFC 6298).
    pub rto_min_ms: u16,
    /// Probes of an idle connection that may go unanswered (TCP_KEEPCNT).
    pub keep_count: u8,
    /// Retransmissions of a SYN (TCP_SYNCNT).
    pub syn_count: u8,
    /// Congestion control.
    pub algorithm: Algorithm,
    /// DSCP (IP_TOS).
    pub tos: u8,
    /// Hops; 0: as the stack has it (IP_TTL).
    pub ttl: u8,
    /// What close waits for data, s (SO_LINGER).
    pub linger_s: Option<u16>,
    /// Idle time before probes, s (TCP_KEEPIDLE).
    pub keep_idle_s: u16,
    /// Between probes, s (TCP_KEEPINTVL).
    pub keep_interval_s: u16,
    /// A connection that the user has left stays in FIN-WAIT-2 so long, s (TCP_LINGER2).
    pub fin_wait_s: u16,
    /// Largest payload of a segment; 0: what the path takes (TCP_MAXSEG).
    pub max_segment: u16,
    /// Data may stay unacknowledged so long, ms; 0: as many retransmissions as usual
    /// (TCP_USER_TIMEOUT).
    pub user_timeout_ms: u32,
    /// Octets that may wait to be acknowledged (SO_SNDBUF).
    pub snd_buf: u32,
    /// Octets that may wait to be read (SO_RCVBUF).
    pub rcv_buf: u32,
    /// The most that is announced to the peer, octets; 0: as the buffer has it (TCP_WINDOW_CLAMP).
    pub window_clamp: u32,
    /// Octets that may wait to be sent for the first time; 0: as the buffer has it
    /// (TCP_NOTSENT_LOWAT).
    pub notsent_lowat: u32,
    /// Octets a second at which data leave at most; 0: as the network lets them
    /// (SO_MAX_PACING_RATE).
    pub max_pacing: u32,
    /// The send buffer grows with the congestion window, until the user sets it.
    pub tune_snd: bool,
    /// The receive buffer grows with what the user reads, until the user sets it.
    pub tune_rcv: bool,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            nodelay: false,
            cork: false,
            keepalive: false,
            oob_inline: false,
            reuse: false,
            ecn: false,
            timestamps: true,
            sack: true,
            // Up to 8 MiB.
            rcv_scale: 7,
            initial_window: INITIAL_WINDOW,
            rto_min_ms: RTO_MIN_MS,
            keep_count: 9,
            // 1 + 2 + 4 .. + 128 s: not below the 3 minutes of RFC 9293 MUST-23.
            syn_count: 7,
            algorithm: Algorithm::Cubic,
            tos: 0,
            ttl: 0,
            linger_s: None,
            keep_idle_s: 7200,
            keep_interval_s: 75,
            fin_wait_s: 60,
            max_segment: 0,
            user_timeout_ms: 0,
            snd_buf: SEND_FIRST,
            rcv_buf: RECEIVE_FIRST,
            window_clamp: 0,
            notsent_lowat: 0,
            max_pacing: 0,
            tune_snd: true,
            tune_rcv: true,
        }
    }
}
