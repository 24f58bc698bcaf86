//! Congestion control: how the congestion window grows with what is delivered and falls with loss.
//! A controller sees octets and times only; what was lost is decided in `loss`.

mod cubic;
mod newreno;

use cubic::Cubic;
use newreno::NewReno;

/// Which controller a connection has.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Algorithm {
    /// CUBIC (RFC 9438).
    #[default]
    Cubic,
    /// NewReno (RFC 5681).
    NewReno,
}

impl Algorithm {
    /// All of them, the one that is taken when nobody chooses first.
    pub const ALL: [Self; 2] = [Self::Cubic, Self::NewReno];

    /// The name that `TCP_CONGESTION` has for it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Cubic => "cubic",
            Self::NewReno => "reno",
        }
    }

    /// The one of that name.
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|known| known.name() == name)
    }
}

/// The congestion window and the threshold of slow start, in octets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Window {
    /// What may be in flight.
    pub cwnd: u32,
    /// Below it the window doubles every round trip.
    pub ssthresh: u32,
}

impl Window {
    /// May the window still double?
    pub fn slow_start(&self) -> bool {
        self.cwnd < self.ssthresh
    }

    /// Slow start (RFC 5681 3.1) by octets (RFC 3465), however many ACKs bring them: `acked` is
    /// added up to the threshold, and what is left is for congestion avoidance.
    fn start_slowly(&mut self, acked: u32) -> u32 {
        if !self.slow_start() {
            return acked;
        }
        let grown = self.cwnd.saturating_add(acked).min(self.ssthresh).min(CWND_MAX);
        let left = acked - (grown - self.cwnd).min(acked);
        self.cwnd = grown;
        left
    }
}

/// What a controller is told beside the window.
#[derive(Clone, Copy, Debug)]
pub struct Moment {
    /// Nanoseconds of the stack's clock.
    pub now: u64,
    /// Octets of a full segment.
    pub mss: u32,
    /// Smoothed round-trip time in nanoseconds, 0 when not known.
    pub srtt: u64,
}

/// A congestion controller. Its state is a few words in the connection; it has no clock.
pub trait Congestion {
    /// `acked` octets were delivered while the window was full.
    fn grow(&mut self, window: &mut Window, acked: u32, at: &Moment);

    /// Something was lost or marked: the threshold, and so the window after the reduction. Not
    /// below two segments. `timeout`: by the retransmission timer.
    fn reduce(&mut self, window: &Window, timeout: bool, at: &Moment) -> u32;

    /// The window was not full for a while, so time alone must not make it grow.
    fn unused(&mut self) {}

    /// The last reduction was in error: the window is as before, and so is the controller.
    fn undo(&mut self) {}

    /// Octets a second at which data should leave, where the controller asks for pacing.
    fn pacing(&self, _window: &Window, _at: &Moment) -> Option<u64> {
        None
    }
}

/// The state of whichever controller was chosen: no heap, no pointer.
#[derive(Clone, Debug)]
pub(super) enum Controller {
    Cubic(Cubic),
    NewReno(NewReno),
}

impl Controller {
    pub(super) fn new(algorithm: Algorithm) -> Self {
        match algorithm {
            Algorithm::Cubic => Self::Cubic(Cubic::default()),
            Algorithm::NewReno => Self::NewReno(NewReno::default()),
        }
    }

    pub(super) fn algorithm(&self) -> Algorithm {
        match self {
            Self::Cubic(_) => Algorithm::Cubic,
            Self::NewReno(_) => Algorithm::NewReno,
        }
    }
}

impl Congestion for Controller {
    fn grow(&mut self, window: &mut Window, acked: u32, at: &Moment) {
        match self {
            Self::Cubic(cubic) => cubic.grow(window, acked, at),
            Self::NewReno(reno) => reno.grow(window, acked, at),
        }
    }

    fn reduce(&mut self, window: &Window, timeout: bool, at: &Moment) -> u32 {
        match self {
            Self::Cubic(cubic) => cubic.reduce(window, timeout, at),
            Self::NewReno(reno) => reno.reduce(window, timeout, at),
        }
    }

    fn unused(&mut self) {
        match self {
            Self::Cubic(cubic) => cubic.unused(),
            Self::NewReno(reno) => reno.unused(),
        }
    }

    fn undo(&mut self) {
        match self {
            Self::Cubic(cubic) => cubic.undo(),
            Self::NewReno(reno) => reno.undo(),
        }
    }

    fn pacing(&self, window: &Window, at: &Moment) -> Option<u64> {
        match self {
            Self::Cubic(cubic) => cubic.pacing(window, at),
            Self::NewReno(reno) => reno.pacing(window, at),
        }
    }
}

/// More than a window of RFC 7323 can ever let out, and far from where sums overflow.
const CWND_MAX: u32 = 1 << 30;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_those_of_tcp_congestion() {
        for algorithm in Algorithm::ALL {
            assert_eq!(Algorithm::named(algorithm.name()), Some(algorithm));
            assert_eq!(Controller::new(algorithm).algorithm(), algorithm);
        }
        assert_eq!(Algorithm::named("bbr"), None);
    }

    #[test]
    fn slow_start_stops_at_the_threshold_and_leaves_the_rest_rfc3465() {
        let mut window = Window { cwnd: 10_000, ssthresh: 12_000 };
        assert_eq!(window.start_slowly(1500), 0);
        assert_eq!(window.start_slowly(1500), 1000);
        assert_eq!(window.cwnd, 12_000);
    }
}
