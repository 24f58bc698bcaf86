//! The state of a connection (the transmission control block of RFC 9293 section 3.3.1): plain
//! data, without pointers to its stack, clocks or descriptors.

mod marks;
mod settings;
mod state;

pub(super) use marks::Marks;
pub use settings::Settings;
pub use state::State;

use super::autotune::Reader;
use super::loss::{Loss, Records, Sending};
use super::reasm::Reassembly;
use super::segment::Flags;
use super::sendq::SendQueue;
use super::{Range, Seq};
use crate::limit::Bucket;
use alloc::boxed::Box;
use alloc::sync::Arc;
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
    /// Octets that may wait to be acknowledged.
    pub(super) snd_buf: u32,
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
    /// The range that came twice, to be told by the next acknowledgement (RFC 2883); empty: none.
    pub(super) duplicate: Range,
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
    pub(super) error: i16,
    /// An error that ICMP told of (RFC 9293 MUST-47); 0: none.
    pub(super) soft_error: i16,
    /// What the user has set; of the buffers, what they had at first.
    pub(super) settings: Arc<Settings>,
    /// What went through.
    pub(super) count: Count,
}

// What an idle connection keeps here; its flight, what came out of order and what it learnt from
// losses are apart, and are there when they are needed.
const _: () = assert!(size_of::<Tcb>() <= 464);

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

/// What is sent, waits to be sent, or waits to be acknowledged. Reused when all is acknowledged.
#[derive(Debug)]
pub struct Flight {
    /// The user's data from the oldest octet that is not acknowledged.
    pub(super) queue: SendQueue,
    /// What was sent when.
    pub(super) records: Records,
}

/// What went through a connection, for TCP_INFO.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Count {
    /// Octets that the peer has acknowledged.
    pub acked: u64,
    /// Octets that were received in order.
    pub received: u64,
    /// Segments that were sent, super-segments as one; those with data among them.
    pub segments_out: u32,
    pub data_out: u32,
    /// Segments that came; those with data among them.
    pub segments_in: u32,
    pub data_in: u32,
}

impl Tcb {
    /// A connection that has sent nothing; `iss` is its first sequence number.
    pub(super) fn new(
        state: State,
        local: Endpoint,
        remote: Endpoint,
        iss: Seq,
        path_mtu: u16,
        settings: Arc<Settings>,
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
            loss: Loss::new(settings.algorithm, u32::from(mss))
                .tuned(settings.initial_window, settings.rto_min_ms),
            flight: None,
            rcv_nxt: Seq(0),
            rcv_adv: Seq(0),
            acked: Seq(0),
            rcv_up: Seq(0),
            snd_buf: settings.snd_buf,
            rcv_buf: settings.rcv_buf,
            reader: Reader::default(),
            unread: 0,
            ready: MsgList::new(),
            reassembly: None,
            duplicate: Range::default(),
            unacked: 0,
            rcv_mss: mss,
            quick: QUICK_ACKS,
            peer_mss: mss,
            mss,
            path_mtu,
            snd_scale: 0,
            rcv_scale: settings.rcv_scale,
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

    /// Octets a second at which data leave, where the controller or the user asks for a pace.
    #[inline]
    pub(super) fn pace(&self, now: u64) -> Option<u64> {
        let asked = self.loss.pacing(&self.sending(now));
        match self.settings.max_pacing {
            0 => asked,
            most => Some(asked.unwrap_or(u64::MAX).min(most.into())),
        }
    }

    /// Does our SYN ask for marks of congestion? A path that drops such a SYN gets another one
    /// after the first time-out (RFC 3168 section 6.1.1.1).
    pub(super) fn asks_for_marks(&self) -> bool {
        self.state == State::SynSent && self.settings.ecn && self.loss.backed_off() == 0
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

/// No stream.
pub(super) const NOBODY: u32 = u32::MAX;
/// No deadline.
pub(super) const NEVER: u64 = u64::MAX;
/// The least payload that we send, whatever a peer says (SACK panic, Linux' TCP_MIN_SND_MSS).
pub(super) const MSS_MIN: u16 = 48;
/// Acknowledgements that go at once when a connection begins: the peer is in slow start.
pub(super) const QUICK_ACKS: u8 = 16;
