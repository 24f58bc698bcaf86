//! The state of a connection (the transmission control block of RFC 9293 section 3.3.1): plain
//! data, without pointers to its stack, clocks or descriptors.

use super::autotune::{RECEIVE_FIRST, Reader, SEND_FIRST};
use super::congestion::Algorithm;
use super::loss::{Loss, Records, Sending};
use super::reasm::Reassembly;
use super::segment::Flags;
use super::sendq::SendQueue;
use super::{Range, Seq};
use crate::limit::Bucket;
use alloc::boxed::Box;
use core::net::{IpAddr, SocketAddr};
use millstream_msg::MsgList;

/// A connection.
#[derive(Debug)]
pub struct Tcb {
    /// Where it is in RFC 9293 figure 5.
    pub state: State,
    /// What is true of it.
    pub(super) marks: Marks,
    pub(super) local: Endpoint,
    pub(super) remote: Endpoint,
    /// The stream above, or [`NOBODY`].
    pub(super) user: u32,
    /// The listener's stream while nobody has accepted it, else [`NOBODY`].
    pub(super) parent: u32,

    /// Our first sequence number.
    pub(super) iss: Seq,
    /// The oldest octet that is not acknowledged.
    pub(super) una: Seq,
    /// The next octet that has never been sent.
    pub(super) nxt: Seq,
    /// The peer's window, octets.
    pub(super) wnd: u32,
    /// The largest that it was.
    pub(super) max_wnd: u32,
    /// Sequence and acknowledgement number of the last window update.
    pub(super) wl1: Seq,
    pub(super) wl2: Seq,
    /// Behind the last segment that was smaller than it might have been (Minshall).
    pub(super) small: Seq,
    /// Behind the last octet of urgent data, with [`Marks::URGENT_OUT`].
    pub(super) snd_up: Seq,
    /// Congestion control and loss detection.
    pub(super) loss: Loss,
    /// What waits to be sent or acknowledged; none while nothing does.
    pub(super) flight: Option<Box<Flight>>,

    /// The next octet that is expected.
    pub(super) rcv_nxt: Seq,
    /// Behind the window that was announced.
    pub(super) rcv_adv: Seq,
    /// What was acknowledged last.
    pub(super) acked: Seq,
    /// Behind the last octet of the peer's urgent data, with [`Marks::URGENT_IN`].
    pub(super) rcv_up: Seq,
    /// Octets that may wait for the user.
    pub(super) rcv_buf: u32,
    /// How much the user reads in a round trip.
    pub(super) reader: Reader,
    /// Octets that the user has been given and has not read.
    pub(super) unread: u32,
    /// Octets in order that the stream above has no room for.
    pub(super) ready: MsgList,
    /// Octets out of order.
    pub(super) reassembly: Option<Box<Reassembly>>,
    /// The range that came twice, to be told by the next acknowledgement (RFC 2883).
    pub(super) duplicate: Option<Range>,
    /// Octets that came since the last acknowledgement.
    pub(super) unacked: u32,
    /// The peer's segments, octets: what two of are acknowledged at once.
    pub(super) rcv_mss: u16,
    /// Acknowledgements that go at once, whatever comes.
    pub(super) quick: u8,

    /// The peer's limit of a segment's payload, and what the path takes of it with options.
    pub(super) peer_mss: u16,
    pub(super) mss: u16,
    /// What a packet on the path may have.
    pub(super) path_mtu: u16,
    pub(super) snd_scale: u8,
    pub(super) rcv_scale: u8,
    /// The peer's last timestamp, and when it came (ms).
    pub(super) ts_recent: u32,
    pub(super) ts_recent_ms: u32,
    /// What is added to the clock in our timestamps.
    pub(super) ts_offset: u32,

    /// When: retransmission or probe of the window; acknowledgement; all that ends a connection or
    /// keeps it alive. [`NEVER`] when not.
    pub(super) resend_at: u64,
    pub(super) ack_at: u64,
    pub(super) life_at: u64,
    /// When the wheel calls.
    pub(super) armed: u64,
    /// When data or an acknowledgement came last, ms.
    pub(super) heard_ms: u32,
    /// When what is not acknowledged began to be so, ms.
    pub(super) silent_since_ms: u32,
    /// Probes that nobody has answered, of the window or to keep alive; and how often the wait
    /// was doubled.
    pub(super) probes: u8,
    pub(super) probe_backoff: u8,
    /// Limit of answers to what is out of place.
    pub(super) answers: Bucket,
    /// The number of the peer's FIN, with [`Marks::FIN_SEEN`].
    pub(super) rcv_fin: Seq,
    /// Why it is over; 0: in order.
    pub(super) error: i32,
    /// An error that ICMP told of (RFC 9293 MUST-47); 0: none.
    pub(super) soft_error: i32,
    /// What the user has set.
    pub(super) settings: Settings,
    /// What went through.
    pub(super) count: Count,
}

/// One end of a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Endpoint {
    /// Address.
    pub ip: IpAddr,
    /// Port.
    pub port: u16,
}

impl From<SocketAddr> for Endpoint {
    fn from(addr: SocketAddr) -> Self {
        Self { ip: addr.ip(), port: addr.port() }
    }
}

impl From<Endpoint> for SocketAddr {
    fn from(end: Endpoint) -> Self {
        Self::new(end.ip, end.port)
    }
}

/// RFC 9293 figure 5. LISTEN is a listener's, CLOSED is nobody's.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum State {
    /// We have asked.
    SynSent,
    /// We have answered, or both have asked.
    SynReceived,
    /// Data may go both ways.
    Established,
    /// We have ended our direction.
    FinWait1,
    /// And the peer has acknowledged it.
    FinWait2,
    /// The peer has ended its direction.
    CloseWait,
    /// Both have ended, ours is not acknowledged.
    Closing,
    /// The peer has ended, then we; ours is not acknowledged.
    LastAck,
    /// Both have ended; old segments may still come.
    TimeWait,
}

impl State {
    /// Both know the other's sequence numbers.
    pub const fn is_synchronized(self) -> bool {
        !matches!(self, Self::SynSent | Self::SynReceived)
    }

    /// The peer may send data.
    pub const fn takes_data(self) -> bool {
        matches!(self, Self::Established | Self::FinWait1 | Self::FinWait2)
    }

    /// The user may send data.
    pub const fn sends_data(self) -> bool {
        matches!(self, Self::SynSent | Self::SynReceived | Self::Established | Self::CloseWait)
    }

    /// The peer has ended its direction.
    pub const fn peer_has_ended(self) -> bool {
        matches!(self, Self::CloseWait | Self::Closing | Self::LastAck | Self::TimeWait)
    }

    /// The name in `ss`.
    pub const fn name(self) -> &'static str {
        match self {
            Self::SynSent => "SYN-SENT",
            Self::SynReceived => "SYN-RECV",
            Self::Established => "ESTAB",
            Self::FinWait1 => "FIN-WAIT-1",
            Self::FinWait2 => "FIN-WAIT-2",
            Self::CloseWait => "CLOSE-WAIT",
            Self::Closing => "CLOSING",
            Self::LastAck => "LAST-ACK",
            Self::TimeWait => "TIME-WAIT",
        }
    }

    /// The number in Linux's TCP_INFO.
    pub const fn linux_number(self) -> u8 {
        match self {
            Self::Established => 1,
            Self::SynSent => 2,
            Self::SynReceived => 3,
            Self::FinWait1 => 4,
            Self::FinWait2 => 5,
            Self::TimeWait => 6,
            Self::CloseWait => 8,
            Self::LastAck => 9,
            Self::Closing => 11,
        }
    }
}

/// What is sent, waits to be sent, or waits to be acknowledged. Reused when all is acknowledged.
#[derive(Debug)]
pub struct Flight {
    /// The user's data from the oldest octet that is not acknowledged.
    pub(super) queue: SendQueue,
    /// What was sent when.
    pub(super) records: Records,
}

/// Facts about a connection.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Marks(u32);

impl Marks {
    /// Timestamps are in use (RFC 7323).
    pub(super) const TIMESTAMPS: Self = Self(1);
    /// The peer takes SACK blocks (RFC 2018).
    pub(super) const SACK: Self = Self(1 << 1);
    /// Congestion is marked (RFC 3168).
    pub(super) const ECN: Self = Self(1 << 2);
    /// A congested segment came: say so until the peer has slowed down.
    pub(super) const ECHO_CONGESTION: Self = Self(1 << 3);
    /// The window was reduced: tell with the next new data.
    pub(super) const TELL_REDUCED: Self = Self(1 << 4);
    /// An acknowledgement goes with the next output.
    pub(super) const ACK_NOW: Self = Self(1 << 5);
    /// The user has ended its direction.
    pub(super) const CLOSING: Self = Self(1 << 6);
    /// The FIN has been sent.
    pub(super) const FIN_SENT: Self = Self(1 << 7);
    /// The peer's FIN is to be told when all data have been taken.
    pub(super) const TELL_END: Self = Self(1 << 8);
    /// The user knows of the peer's FIN.
    pub(super) const TOLD_END: Self = Self(1 << 9);
    /// It is on the list of connections that have something to do.
    pub(super) const DIRTY: Self = Self(1 << 10);
    /// It was opened from here.
    pub(super) const ACTIVE: Self = Self(1 << 11);
    /// The user sends urgent data.
    pub(super) const URGENT_OUT: Self = Self(1 << 12);
    /// The peer does.
    pub(super) const URGENT_IN: Self = Self(1 << 13);
    /// `resend_at` is for a probe of the peer's window.
    pub(super) const PERSIST: Self = Self(1 << 14);
    /// The peer waits in the queue of those to be accepted.
    pub(super) const WAITING: Self = Self(1 << 15);
    /// Data did not find room in the send buffer: the user is told when there is.
    pub(super) const WRITER_WAITS: Self = Self(1 << 16);
    /// It is over: to be forgotten.
    pub(super) const DEAD: Self = Self(1 << 17);
    /// A partial segment has waited for more as long as it may ([`Settings::cork`]).
    pub(super) const CORK_OVER: Self = Self(1 << 18);
    /// No limit of time applies to the next output: the last round trip is over (TLP).
    pub(super) const PROBE_NEW: Self = Self(1 << 19);
    /// The peer's FIN came before what is in front of it.
    pub(super) const FIN_SEEN: Self = Self(1 << 20);
    /// Both scale their windows (RFC 7323).
    pub(super) const SCALED: Self = Self(1 << 21);
    /// The user is to learn that the connection stands.
    pub(super) const TELL_CONNECTED: Self = Self(1 << 22);
    /// The stream head is to have room for the receive buffer.
    pub(super) const TELL_BUFFER: Self = Self(1 << 23);

    pub(super) const fn has(self, other: Self) -> bool {
        self.0 & other.0 != 0
    }

    pub(super) const fn set(&mut self, other: Self) {
        self.0 |= other.0;
    }

    pub(super) const fn clear(&mut self, other: Self) {
        self.0 &= !other.0;
    }

    /// Clears all but these.
    pub(super) fn keep(&mut self, others: &[Self]) {
        self.0 &= others.iter().fold(0, |all, other| all | other.0);
    }

    pub(super) const fn bits_mut(&mut self) -> &mut u32 {
        &mut self.0
    }

    /// Clears it; was it set?
    pub(super) const fn take(&mut self, other: Self) -> bool {
        let had = self.has(other);
        self.clear(other);
        had
    }
}

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
            tune_snd: true,
            tune_rcv: true,
        }
    }
}

/// What went through a connection, for TCP_INFO.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Count {
    /// Octets that the peer has acknowledged.
    pub acked: u64,
    /// Octets that were received in order.
    pub received: u64,
    /// Octets that were sent again.
    pub resent: u32,
    /// Segments that were sent, super-segments as one.
    pub segments_out: u32,
    /// Segments that came.
    pub segments_in: u32,
}

impl Tcb {
    /// A connection that has sent nothing; `iss` is its first sequence number.
    pub(super) fn new(
        state: State,
        local: Endpoint,
        remote: Endpoint,
        iss: Seq,
        path_mtu: u16,
        settings: Settings,
        now: u64,
    ) -> Self {
        let mss = default_mss(remote.ip);
        Self {
            state,
            marks: Marks::default(),
            local,
            remote,
            user: NOBODY,
            parent: NOBODY,
            iss,
            una: iss,
            nxt: iss,
            wnd: 0,
            max_wnd: 0,
            wl1: Seq(0),
            wl2: Seq(0),
            small: iss,
            snd_up: iss,
            loss: Loss::new(settings.algorithm, u32::from(mss)),
            flight: None,
            rcv_nxt: Seq(0),
            rcv_adv: Seq(0),
            acked: Seq(0),
            rcv_up: Seq(0),
            rcv_buf: settings.rcv_buf,
            reader: Reader::default(),
            unread: 0,
            ready: MsgList::new(),
            reassembly: None,
            duplicate: None,
            unacked: 0,
            rcv_mss: mss,
            quick: QUICK_ACKS,
            peer_mss: mss,
            mss,
            path_mtu,
            snd_scale: 0,
            rcv_scale: RCV_SCALE,
            ts_recent: 0,
            ts_recent_ms: 0,
            ts_offset: 0,
            resend_at: NEVER,
            ack_at: NEVER,
            life_at: NEVER,
            armed: NEVER,
            heard_ms: ms(now),
            silent_since_ms: ms(now),
            probes: 0,
            probe_backoff: 0,
            answers: Bucket::NEW,
            rcv_fin: Seq(0),
            error: 0,
            soft_error: 0,
            settings,
            count: Count::default(),
        }
    }

    /// Where sending stands, for [`Loss`].
    #[inline]
    pub(super) fn sending(&self, now: u64) -> Sending {
        Sending { now, una: self.una, nxt: self.nxt, mss: u32::from(self.mss) }
    }

    /// Octets that may come.
    #[inline]
    pub(super) fn rcv_wnd(&self) -> u32 {
        self.rcv_adv.since(self.rcv_nxt)
    }

    /// Behind the user's last octet.
    #[inline]
    pub(super) fn queued_to(&self) -> Seq {
        self.flight.as_ref().map_or(self.una, |flight| flight.queue.end())
    }

    /// Octets of the user that have never been sent.
    #[inline]
    pub(super) fn unsent(&self) -> u32 {
        match &self.flight {
            Some(_) if self.marks.has(Marks::FIN_SENT) => 0,
            Some(flight) => flight.queue.end().since(self.nxt),
            None => 0,
        }
    }

    /// Octets of the user that are not acknowledged, sent or not.
    pub(super) fn queued(&self) -> u32 {
        self.flight.as_ref().map_or(0, |flight| flight.queue.len())
    }

    /// Something was sent and is not acknowledged.
    #[inline]
    pub(super) fn in_flight(&self) -> bool {
        self.una != self.nxt
    }

    /// The time that our timestamps tell.
    #[inline]
    pub(super) fn timestamp(&self, now: u64) -> u32 {
        ms(now).wrapping_add(self.ts_offset)
    }

    /// What the path and the peer take in one segment, with the options that every segment has.
    pub(super) fn set_mss(&mut self) {
        let fixed = if self.remote.ip.is_ipv4() { 40 } else { 60 };
        let path = self.path_mtu.saturating_sub(fixed).max(MSS_MIN);
        let mut mss = self.peer_mss.min(path);
        if self.settings.max_segment > 0 {
            mss = mss.min(self.settings.max_segment);
        }
        if self.marks.has(Marks::TIMESTAMPS) {
            mss -= super::options::TIMESTAMPS_LEN;
        }
        self.loss.set_mss(u32::from(self.mss), u32::from(mss));
        self.mss = mss;
    }

    /// The control bits of every segment now.
    pub(super) fn flags(&self) -> Flags {
        Flags::ACK.with_if(self.marks.has(Marks::ECHO_CONGESTION), Flags::ECE)
    }
}

/// Without an MSS option (RFC 9293 MUST-15).
pub(super) const fn default_mss(remote: IpAddr) -> u16 {
    if remote.is_ipv4() { 536 } else { 1220 }
}

/// Milliseconds of a clock of nanoseconds, wrapping.
#[inline]
pub(super) const fn ms(now: u64) -> u32 {
    (now / 1_000_000) as u32
}

/// The shift of the windows that we announce: up to 8 MiB.
pub(super) const RCV_SCALE: u8 = 7;
/// No stream.
pub(super) const NOBODY: u32 = u32::MAX;
/// No deadline.
pub(super) const NEVER: u64 = u64::MAX;
/// The least payload that we send, whatever a peer says (SACK panic, Linux' TCP_MIN_SND_MSS).
pub(super) const MSS_MIN: u16 = 48;
/// Acknowledgements that go at once when a connection begins: the peer is in slow start.
pub(super) const QUICK_ACKS: u8 = 16;
