//! loss: which data are lost, which are sent again and when, and how much may be in flight.
//! RFC 6298, 6675, 8985 (RACK-TLP), 9937 (PRR), 5682 (F-RTO), 6582, 3042, 3168.
//!
//! The connection tells what it sent ([`Loss::sent`], [`Loss::retransmitted`]), what the peer
//! acknowledged ([`Loss::acked`]) and that a timer ran off ([`Loss::expired`]), and asks what to
//! send again ([`Loss::next_lost`]), how much new data may leave ([`Loss::quota`]) and when to wake
//! it ([`Loss::timer`]). Each call costs as much as it tells of new data.

mod acked;
mod past;
mod prr;
mod rack;
mod ranges;
mod records;
mod recovery;
mod rtt;
mod sending;
#[cfg(test)]
mod tests;
mod timeout;

pub use records::Records;
pub(super) use rtt::RTO_MIN_MS;
pub use rtt::Rtt;

use super::congestion::{Algorithm, Congestion, Controller, Moment, Window};
use super::seq::{Range, Seq};
use alloc::boxed::Box;
use past::Past;
use sending::Usage;

/// Loss recovery and congestion control of one connection, without what is in flight.
#[derive(Clone, Debug)]
pub struct Loss {
    rtt: Rtt,
    control: Controller,
    window: Window,
    state: State,
    /// Is the SYN not acknowledged yet? Then a timeout says nothing about congestion.
    handshake: bool,
    /// Does the peer acknowledge selectively?
    sack: bool,
    /// May duplicate ACKs not begin a recovery, since nothing above `recover` was acknowledged
    /// (RFC 6582 3.2)?
    held: bool,
    /// F-RTO: what the next ACK can tell after a timeout.
    frto: Frto,
    /// The tail loss probe that is not answered.
    probe: Option<Probe>,
    /// Timeouts in a row since something was acknowledged.
    timeouts: u8,
    /// Was the congestion window full in this window of data?
    limited: bool,
    /// Duplicate ACKs of a peer that does not acknowledge selectively.
    duplicates: u16,
    /// The end of the data in flight when the reduction or recovery that is going on began.
    recover: Seq,
    /// When data last left, in nanoseconds.
    last_sent: u64,
    usage: Usage,
    /// Octets a second that were delivered in the last round trip.
    delivery_rate: u32,
    /// Segments of the initial window.
    initial: u8,
    /// None before the first loss, and without a pace.
    past: Option<Box<Past>>,
}

const _: () = assert!(size_of::<Loss>() <= 144);

/// What goes on, as `TCP_INFO` tells it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum State {
    /// All is well.
    #[default]
    Open,
    /// Something arrived out of order or twice.
    Disorder,
    /// The window falls since the network marked a packet (ECN) or a probe repaired a loss.
    Cwr,
    /// Fast recovery.
    Recovery,
    /// The retransmission timer ran off.
    Loss,
}

/// What an F-RTO (RFC 5682 section 3) waits for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Frto {
    #[default]
    Off,
    /// The first segment was sent again; the next ACK decides whether new data leave.
    Head,
    /// New data may leave, and what is taken for lost waits.
    New,
    /// New data left: the next ACK tells whether the timeout was spurious.
    Judge,
}

/// A tail loss probe (RFC 8985 7).
#[derive(Clone, Copy, Debug)]
struct Probe {
    /// What was the end of the data in flight.
    end: Seq,
    /// Was it sent again? Then a loss may have been repaired without being seen.
    old: bool,
}

/// Where the connection stands.
#[derive(Clone, Copy, Debug)]
pub struct Sending {
    /// Nanoseconds of the stack's clock.
    pub now: u64,
    /// The first octet that is not acknowledged.
    pub una: Seq,
    /// The first octet that was never sent.
    pub nxt: Seq,
    /// Octets of a full segment.
    pub mss: u32,
}

/// What an acceptable segment with ACK says. The caller refuses one that acknowledges what was
/// never sent.
#[derive(Clone, Copy, Debug)]
pub struct Ack<'a> {
    /// The next octet that the peer expects.
    pub ack: Seq,
    /// SACK blocks in the order of the segment; the first may be a D-SACK (RFC 2883).
    pub sacks: &'a [Range],
    /// Was SACK agreed on?
    pub sack_ok: bool,
    /// Round-trip time by the timestamp that the segment echoes, in nanoseconds.
    pub echo: Option<u64>,
    /// ECN-Echo, on a connection that agreed on ECN.
    pub ece: bool,
    /// No data, no SYN or FIN, and the window is as before: it may count as a duplicate.
    pub pure: bool,
    /// Would new data leave if the network let them: at least a segment that neither the peer's
    /// window nor Nagle's rule holds back?
    pub more: bool,
}

/// What an ACK did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Acked {
    /// Octets that are acknowledged now and were not before.
    pub bytes: u32,
    /// Octets that are selectively acknowledged now and were not before.
    pub sacked: u32,
    /// Is nothing in flight any more?
    pub all: bool,
    /// Did it acknowledge nothing new while data are in flight?
    pub dup: bool,
    /// The window was reduced because of ECN-Echo: the next new data carry CWR.
    pub cwr: bool,
    /// A reduction turned out to be in error and was taken back.
    pub undone: bool,
}

/// The timers of a flight: one of them runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Timer {
    /// Retransmission (RFC 6298).
    Rto,
    /// Tail loss probe (RFC 8985 7.2).
    Probe,
    /// What may be only reordered is lost by then (RFC 8985 6.2).
    Reorder,
}

/// What to do since a timer ran off.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Expired {
    /// Send what [`Loss::next_lost`] says.
    Retransmit,
    /// Send one segment of new data, whatever [`Loss::quota`] says.
    ProbeNew,
    /// Send this again.
    ProbeLast(Range),
    /// Nothing; ask for the timer again.
    Nothing,
}

/// What was counted since the connection began; for `TCP_INFO`. All wrap.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counters {
    /// Octets sent again.
    pub resent: u32,
    /// Octets taken for lost by RACK or by duplicate ACKs.
    pub lost: u32,
    /// D-SACK blocks: the peer had something twice.
    pub dsacks: u16,
    /// SACK blocks that made no sense: reversed, empty, or of what is not in flight.
    pub bad_sacks: u16,
    /// Reductions that were taken back.
    pub undone: u16,
    /// Tail loss probes.
    pub probes: u16,
}

impl Counters {
    const NONE: Self = Self { resent: 0, lost: 0, dsacks: 0, bad_sacks: 0, undone: 0, probes: 0 };
}

impl Loss {
    /// State of a connection that sends its SYN next.
    pub fn new(choice: Algorithm, mss: u32) -> Self {
        Self {
            rtt: Rtt::default(),
            control: Controller::new(choice),
            window: Window { cwnd: initial_window(INITIAL_WINDOW, mss), ssthresh: u32::MAX },
            state: State::Open,
            handshake: true,
            sack: false,
            held: false,
            frto: Frto::Off,
            probe: None,
            timeouts: 0,
            limited: false,
            duplicates: 0,
            recover: Seq(0),
            last_sent: 0,
            usage: Usage::default(),
            delivery_rate: 0,
            initial: INITIAL_WINDOW,
            past: None,
        }
    }

    /// With so many segments before the first acknowledgement, and this floor of the timeout.
    #[must_use]
    pub(super) fn tuned(mut self, initial: u8, rto_min_ms: u16) -> Self {
        self.initial = initial.max(1);
        self.rtt = self.rtt.with_floor(rto_min_ms);
        self
    }

    /// The handshake is over; `mss` is what both sides agreed on. After a lost SYN data begin with
    /// one segment (RFC 5681 3.1) and a timeout of three seconds (RFC 6298 5.7).
    pub fn established(&mut self, mss: u32) {
        let resent = core::mem::take(&mut self.timeouts) > 0;
        self.handshake = false;
        self.state = State::Open;
        self.window.cwnd = if resent { mss } else { initial_window(self.initial, mss) };
        if self.rtt.smoothed().is_none() {
            self.rtt.begin(resent);
        }
    }

    /// Words of [`Loss::carried`].
    pub const CARRIED: usize = 4;

    /// What another stack goes on with: path and window, not what is in flight.
    pub fn carried(&self) -> [u32; Self::CARRIED] {
        let [srtt, deviation] = self.rtt.carried();
        [srtt, deviation, self.window.cwnd, self.window.ssthresh]
    }

    /// State of a connection whose [`Loss::carried`] this was.
    pub fn resumed(words: [u32; Self::CARRIED], choice: Algorithm, mss: u32) -> Self {
        let [srtt, deviation, cwnd, ssthresh] = words;
        let mut loss = Self::new(choice, mss);
        loss.handshake = false;
        loss.rtt = Rtt::resumed([srtt, deviation]);
        loss.window = Window { cwnd: cwnd.clamp(mss, CWND_MAX), ssthresh: ssthresh.max(2 * mss) };
        loss
    }

    /// The segments have become `to` octets instead of `from`: the window keeps as many of smaller
    /// ones, and no more octets of larger ones.
    pub fn set_mss(&mut self, from: u32, to: u32) {
        if to < from {
            let cwnd = u64::from(self.window.cwnd) * u64::from(to) / u64::from(from);
            self.window.cwnd = (cwnd as u32).max(to);
        }
    }

    /// Round-trip time.
    pub fn rtt(&self) -> &Rtt {
        &self.rtt
    }

    /// Octets that may be in flight.
    pub fn cwnd(&self) -> u32 {
        self.window.cwnd
    }

    /// Octets below which the window doubles every round trip; `u32::MAX` before a loss.
    pub fn ssthresh(&self) -> u32 {
        self.window.ssthresh
    }

    /// What goes on.
    pub fn state(&self) -> State {
        self.state
    }

    /// Timeouts in a row since something was acknowledged (R1 and R2 of RFC 9293 3.8.3).
    pub fn backed_off(&self) -> u32 {
        u32::from(self.timeouts)
    }

    /// Is the path known to reorder?
    pub fn reordering_seen(&self) -> bool {
        self.past().reordering.seen
    }

    /// What was counted.
    pub fn counters(&self) -> Counters {
        self.past().counters
    }

    /// The controller that is used.
    pub fn algorithm(&self) -> Algorithm {
        self.control.algorithm()
    }

    /// Goes on with another controller, from the window as it is.
    pub fn set_algorithm(&mut self, algorithm: Algorithm) {
        if algorithm != self.control.algorithm() {
            self.control = Controller::new(algorithm);
        }
    }

    /// Octets a second at which data should leave, where the controller asks for it.
    pub fn pacing(&self, at: &Sending) -> Option<u64> {
        self.control.pacing(&self.window, &self.moment(at))
    }

    /// When the next octets may leave by the pace that was asked for, in nanoseconds.
    pub fn pace_at(&self) -> u64 {
        self.past().pace_at
    }

    /// So many octets leave now, at `rate` octets a second: the next ones later. What a late timer
    /// cost is made up for, up to half of what leaves (as Linux).
    pub fn leaves_by_pace(&mut self, octets: u32, rate: u64, now: u64) {
        let takes = u64::from(octets) * 1_000_000_000 / rate.max(1);
        let pace_at = &mut self.past_mut().pace_at;
        let late = now.saturating_sub(*pace_at);
        *pace_at = now.max(*pace_at) + takes - late.min(takes / 2);
    }

    /// Octets a second that were delivered in the last round trip; 0 before the first.
    pub fn delivery_rate(&self) -> u32 {
        self.delivery_rate
    }

    /// When data last left, in nanoseconds; 0: never.
    pub fn last_sent(&self) -> u64 {
        self.last_sent
    }

    /// Did the application or the peer, not the network, limit what left of late?
    pub fn is_unused(&self) -> bool {
        !self.limited
    }

    fn moment(&self, at: &Sending) -> Moment {
        Moment { now: at.now, mss: at.mss, srtt: self.rtt.smoothed().unwrap_or(0) }
    }

    /// Does the window fall by PRR?
    fn falls(&self) -> bool {
        matches!(self.state, State::Cwr | State::Recovery)
    }

    fn in_recovery(&self) -> bool {
        self.state >= State::Recovery
    }
}

/// More than any send buffer lets be in flight.
const CWND_MAX: u32 = 1 << 30;

/// So many segments, but not much more than as many of Ethernet (RFC 6928).
fn initial_window(segments: u8, mss: u32) -> u32 {
    let segments = u32::from(segments);
    (segments * mss).min((2 * mss).max(segments * 1460))
}

/// Segments that leave before the first acknowledgement (RFC 6928).
pub(super) const INITIAL_WINDOW: u8 = 10;
