//! CUBIC (RFC 9438) in integers: the window follows a cubic of the time since the last reduction.

use super::{CWND_MAX, Congestion, Moment, Window};

/// The state of CUBIC. Windows are octets, times milliseconds.
#[derive(Clone, Debug, Default)]
pub(in crate::tcp) struct Cubic {
    curve: Curve,
    /// The window that Reno would have.
    estimate: u32,
    /// The window just before the last reduction.
    prior: u32,
    /// The curve before the last reduction (RFC 9438 4.9.1).
    before: Curve,
    /// Octets that `(target - cwnd) / cwnd` still owes: a numerator over cwnd.
    owed: u32,
    /// Octets delivered since `estimate` last grew.
    acked: u32,
}

/// Where on which curve the window is.
#[derive(Clone, Copy, Debug)]
struct Curve {
    /// The plateau: the window at the last reduction, or less (fast convergence).
    plateau: u32,
    /// Milliseconds from `begun` to the plateau.
    to_plateau: u32,
    /// When the curve began, in milliseconds of the clock modulo 2^31; `NOT_BEGUN`: it did not.
    begun: u32,
}

impl Congestion for Cubic {
    fn grow(&mut self, window: &mut Window, acked: u32, at: &Moment) {
        let acked = window.start_slowly(acked);
        if window.slow_start() || acked == 0 {
            return;
        }
        let now = (at.now / 1_000_000) as u32 & !NOT_BEGUN;
        if self.curve.begun == NOT_BEGUN {
            self.begin(window.cwnd, now, at.mss);
        }
        let elapsed = now.wrapping_sub(self.curve.begun) & !NOT_BEGUN;
        self.estimate(window.cwnd, acked, at.mss);
        let estimate = self.estimate;
        if self.curve.window(elapsed, at.mss) < estimate {
            // The region where Reno is faster (4.3).
            window.cwnd = window.cwnd.max(estimate.min(CWND_MAX));
            return;
        }
        // The window one round trip on (4.2), not more than half as much again.
        let ahead = elapsed.saturating_add((at.srtt / 1_000_000) as u32);
        let target = self.curve.window(ahead, at.mss);
        let target = target.clamp(window.cwnd, window.cwnd.saturating_add(window.cwnd / 2));
        let owed = u64::from(target - window.cwnd) * u64::from(acked) + u64::from(self.owed);
        let cwnd = u64::from(window.cwnd);
        self.owed = (owed % cwnd) as u32;
        window.cwnd = (cwnd + owed / cwnd).min(u64::from(target.min(CWND_MAX))) as u32;
    }

    fn reduce(&mut self, window: &Window, timeout: bool, at: &Moment) -> u32 {
        let cwnd = window.cwnd;
        self.before = self.curve;
        // After a timeout the curve begins at its plateau (4.8). A window that fell short of the
        // last plateau leaves room for those who came (4.7, fast convergence).
        let plateau = match self.curve.plateau {
            _ if timeout => 0,
            plateau if cwnd < plateau => part(cwnd, 17, 20),
            _ => cwnd,
        };
        self.curve = Curve { plateau, ..Curve::default() };
        self.prior = cwnd;
        part(cwnd, 7, 10).max(2 * at.mss)
    }

    fn unused(&mut self) {
        // A new curve begins at the window that is really used, towards the same plateau: time in
        // which the application had nothing to send does not count (5.8).
        self.curve.begun = NOT_BEGUN;
    }

    fn undo(&mut self) {
        self.curve = self.before;
    }
}

impl Cubic {
    /// Begins a curve at window `cwnd` (4.2): the plateau is `to_plateau` away.
    fn begin(&mut self, cwnd: u32, now: u32, mss: u32) {
        let curve = &mut self.curve;
        curve.plateau = curve.plateau.max(cwnd);
        // K = cbrt((plateau - cwnd) / C), in segments and seconds; C = 0.4.
        let below = u64::from(curve.plateau - cwnd);
        curve.to_plateau = cube_root(below * 2_500_000_000 / u64::from(mss.max(1)));
        curve.begun = now;
        self.estimate = cwnd;
        self.owed = 0;
        self.acked = 0;
    }

    /// What Reno with the same reduction would have by now (4.3): alpha segments per window, until
    /// it is where the reduction was, then one.
    fn estimate(&mut self, cwnd: u32, acked: u32, mss: u32) {
        self.acked = self.acked.saturating_add(acked);
        let step = if self.estimate < self.prior { part(cwnd, 17, 9) } else { cwnd };
        let steps = self.acked / step.max(1);
        self.acked -= steps * step;
        self.estimate = self.estimate.saturating_add(steps.saturating_mul(mss));
    }
}

impl Default for Curve {
    fn default() -> Self {
        Self { plateau: 0, to_plateau: 0, begun: NOT_BEGUN }
    }
}

impl Curve {
    /// The window `elapsed` milliseconds after the beginning: 0.4 (t - K)^3 + plateau.
    fn window(&self, elapsed: u32, mss: u32) -> u32 {
        let offset = u64::from(elapsed.abs_diff(self.to_plateau)).min(OFFSET_MAX_MS);
        let cube = offset * offset * offset / 1_000_000;
        let octets = (cube * 4 * u64::from(mss) / 10_000).min(u64::from(CWND_MAX)) as u32;
        if elapsed < self.to_plateau {
            self.plateau.saturating_sub(octets)
        } else {
            self.plateau.saturating_add(octets)
        }
    }
}

/// `cwnd * numerator / denominator`.
fn part(cwnd: u32, numerator: u64, denominator: u64) -> u32 {
    (u64::from(cwnd) * numerator / denominator) as u32
}

/// The greatest number below 2^21 whose cube is not above `n`.
fn cube_root(n: u64) -> u32 {
    let mut root = 0_u64;
    for bit in (0..21).rev() {
        let next = root | 1 << bit;
        if next * next * next <= n {
            root = next;
        }
    }
    root as u32
}

/// The top bit of a time, which no time has: 24 days are the longest a curve may be.
const NOT_BEGUN: u32 = 1 << 31;
/// A quarter of an hour from the plateau: its cube fits, and no window is that far away.
const OFFSET_MAX_MS: u64 = 1_000_000;

#[cfg(test)]
mod tests {
    use super::*;

    const MSS: u32 = 1000;

    /// Grows for `ms` with a full window every round trip of `rtt` ms.
    fn run(cubic: &mut Cubic, window: &mut Window, from: u64, ms: u64, rtt: u64) {
        let mut now = from;
        while now < from + ms {
            let full = window.cwnd;
            let at = Moment { now: now * 1_000_000, mss: MSS, srtt: rtt * 1_000_000 };
            for _ in 0..full / MSS {
                cubic.grow(window, MSS, &at);
            }
            now += rtt;
        }
    }

    fn reduced(cubic: &mut Cubic, cwnd: u32) -> Window {
        let at = Moment { now: 0, mss: MSS, srtt: 0 };
        let window = Window { cwnd, ssthresh: u32::MAX };
        let ssthresh = cubic.reduce(&window, false, &at);
        Window { cwnd: ssthresh, ssthresh }
    }

    #[test]
    fn cube_roots_are_exact() {
        for n in [0_u64, 1, 7, 8, 26, 27, 1_000_000, 1 << 62] {
            let root = u64::from(cube_root(n));
            assert!(root.pow(3) <= n && (root + 1).pow(3) > n, "{n}");
        }
    }

    #[test]
    fn window_is_multiplied_by_seven_tenths_rfc9438_4_6() {
        let mut cubic = Cubic::default();
        assert_eq!(reduced(&mut cubic, 1_000_000).cwnd, 700_000);
        assert_eq!(reduced(&mut cubic, 1000).cwnd, 2 * MSS);
    }

    #[test]
    fn window_is_back_at_the_plateau_after_k_seconds_rfc9438_4_2() {
        // 1000 segments: K = cbrt(300 / 0.4) = 9.09 s.
        let mut cubic = Cubic::default();
        let mut window = reduced(&mut cubic, 1000 * MSS);
        run(&mut cubic, &mut window, 1000, 4500, 100);
        assert!((900..985).contains(&(window.cwnd / MSS)), "{}", window.cwnd);
        run(&mut cubic, &mut window, 5500, 4600, 100);
        assert!((990..1010).contains(&(window.cwnd / MSS)), "{}", window.cwnd);
        run(&mut cubic, &mut window, 10_100, 9000, 100);
        assert!(window.cwnd / MSS > 1200, "convex beyond it: {}", window.cwnd);
    }

    #[test]
    fn small_window_grows_at_least_as_reno_rfc9438_4_3() {
        let mut cubic = Cubic::default();
        let mut window = reduced(&mut cubic, 20 * MSS);
        // 10 ms: the cubic is nearly flat. Reno's estimate adds 0.53 segments a round trip until it
        // is where the reduction was, then one.
        run(&mut cubic, &mut window, 1000, 100, 10);
        assert!((18..=20).contains(&(window.cwnd / MSS)), "{}", window.cwnd);
        run(&mut cubic, &mut window, 1100, 100, 10);
        assert!((25..=30).contains(&(window.cwnd / MSS)), "{}", window.cwnd);
    }

    #[test]
    fn second_loss_below_the_plateau_lowers_it_rfc9438_4_7() {
        let mut cubic = Cubic::default();
        let _ = reduced(&mut cubic, 1000 * MSS);
        let _ = reduced(&mut cubic, 800 * MSS);
        assert_eq!(cubic.curve.plateau, 680 * MSS);
    }

    #[test]
    fn undo_brings_the_curve_back_rfc9438_4_9() {
        let mut cubic = Cubic::default();
        let mut window = reduced(&mut cubic, 1000 * MSS);
        run(&mut cubic, &mut window, 0, 1000, 100);
        let (plateau, begun) = (cubic.curve.plateau, cubic.curve.begun);
        let _ = reduced(&mut cubic, window.cwnd);
        cubic.undo();
        assert_eq!((cubic.curve.plateau, cubic.curve.begun), (plateau, begun));
    }

    #[test]
    fn time_without_data_does_not_make_the_window_grow_rfc9438_5_8() {
        let mut cubic = Cubic::default();
        let mut window = reduced(&mut cubic, 1000 * MSS);
        run(&mut cubic, &mut window, 0, 200, 100);
        let before = window.cwnd;
        cubic.unused();
        run(&mut cubic, &mut window, 60_000, 100, 100);
        assert!(window.cwnd - before < 60 * MSS, "{before} -> {}", window.cwnd);
    }
}
