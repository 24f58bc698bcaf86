//! NewReno (RFC 5681, 6582): one segment more every round trip, half of the window after a loss.

use super::{CWND_MAX, Congestion, Moment, Window};

/// The state of NewReno.
#[derive(Clone, Debug, Default)]
pub(in crate::tcp) struct NewReno {
    /// Octets delivered since the window last grew (RFC 3465 2.1).
    acked: u32,
}

impl Congestion for NewReno {
    fn grow(&mut self, window: &mut Window, acked: u32, at: &Moment) {
        let acked = window.start_slowly(acked);
        if window.slow_start() || acked == 0 {
            return;
        }
        self.acked = self.acked.saturating_add(acked);
        // One ACK of much more than a window still gives one segment a window of octets.
        while self.acked >= window.cwnd && window.cwnd < CWND_MAX {
            self.acked -= window.cwnd;
            window.cwnd += at.mss;
        }
    }

    fn reduce(&mut self, window: &Window, _timeout: bool, at: &Moment) -> u32 {
        self.acked = 0;
        (window.cwnd / 2).max(2 * at.mss)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const AT: Moment = Moment { now: 0, mss: 1000, srtt: 0 };

    #[test]
    fn avoidance_adds_one_segment_per_window_however_it_is_acknowledged_rfc5681_3_1() {
        for ack in [100, 1000, 2000, 10_000] {
            let mut reno = NewReno::default();
            let mut window = Window { cwnd: 10_000, ssthresh: 5000 };
            for _ in 0..10_000 / ack {
                reno.grow(&mut window, ack, &AT);
            }
            assert_eq!(window.cwnd, 11_000, "ACKs of {ack}");
        }
    }

    #[test]
    fn loss_halves_but_leaves_two_segments_rfc5681_3_1() {
        let mut reno = NewReno::default();
        let mut window = Window { cwnd: 10_000, ssthresh: u32::MAX };
        assert_eq!(reno.reduce(&window, false, &AT), 5000);
        window.cwnd = 1000;
        assert_eq!(reno.reduce(&window, true, &AT), 2000);
    }
}
