//! Round-trip time and retransmission timeout (RFC 6298, with the floor of Linux).

/// The estimator. Times are kept in 32 bits: microseconds and parts of them.
#[derive(Clone, Debug)]
pub struct Rtt {
    /// Smoothed, in eighths of a microsecond; 0 before the first sample.
    srtt: u32,
    /// Mean deviation, in quarters of a microsecond.
    deviation: u32,
    /// The last sample, in microseconds.
    latest: u32,
    /// The least sample of this and of the previous half of the window, in microseconds.
    least: [u32; 2],
    /// The half of the window that `least[0]` belongs to: seconds of the clock / `HALF_S`.
    half: u32,
    /// Doublings of the timeout since the last sample.
    doublings: u8,
    /// What the deviation adds at least, in milliseconds.
    floor_ms: u16,
    /// RFC 6298 5.7: the timeout of a SYN ran off, so data begin with three seconds.
    slow: bool,
}

impl Default for Rtt {
    fn default() -> Self {
        Self {
            srtt: 0,
            deviation: 0,
            latest: 0,
            least: [u32::MAX; 2],
            half: 0,
            doublings: 0,
            floor_ms: RTO_MIN_MS,
            slow: false,
        }
    }
}

impl Rtt {
    /// With another floor of the timeout.
    #[must_use]
    pub(super) const fn with_floor(self, floor_ms: u16) -> Self {
        Self { floor_ms, ..self }
    }

    /// A round trip of `rtt_ns` was measured. Ends the back-off (Karn).
    pub(super) fn sample(&mut self, rtt_ns: u64) {
        let sample = (rtt_ns / 1000).clamp(1, SAMPLE_MAX_US) as u32;
        self.latest = sample;
        if self.srtt == 0 {
            self.srtt = sample << 3;
            self.deviation = sample << 1;
        } else {
            let smoothed = self.srtt >> 3;
            let error = smoothed.abs_diff(sample);
            self.deviation = self.deviation - (self.deviation >> 2) + error;
            self.srtt = self.srtt - smoothed + sample;
        }
        self.doublings = 0;
        self.slow = false;
    }

    /// A round trip of `rtt_ns`, without what the receiver may have waited for, ended at `now`.
    pub(super) fn least_of(&mut self, rtt_ns: u64, now: u64) {
        let sample = (rtt_ns / 1000).clamp(1, SAMPLE_MAX_US) as u32;
        let half = (now / (HALF_S * 1_000_000_000)) as u32;
        match half.wrapping_sub(self.half) {
            0 => self.least[0] = self.least[0].min(sample),
            1 => self.least = [sample, self.least[0]],
            _ => self.least = [sample, u32::MAX],
        }
        self.half = half;
    }

    /// What another stack goes on with.
    pub(super) const fn carried(&self) -> [u32; 2] {
        [self.srtt, self.deviation]
    }

    /// The estimator whose [`Rtt::carried`] this was.
    pub(super) fn resumed([srtt, deviation]: [u32; 2]) -> Self {
        let most = (SAMPLE_MAX_US as u32) << 3;
        Self { srtt: srtt.min(most), deviation: deviation.min(most), ..Self::default() }
    }

    /// Smoothed round-trip time in nanoseconds, once there was a sample.
    pub fn smoothed(&self) -> Option<u64> {
        (self.srtt > 0).then(|| u64::from(self.srtt) * 125)
    }

    /// Mean deviation in nanoseconds.
    pub fn deviation(&self) -> u64 {
        u64::from(self.deviation) * 250
    }

    /// The last sample in nanoseconds, 0 before the first.
    pub fn latest(&self) -> u64 {
        u64::from(self.latest) * 1000
    }

    /// The least of the last five to ten minutes in nanoseconds, once there was a sample.
    pub fn least(&self) -> Option<u64> {
        let least = self.least[0].min(self.least[1]);
        (least < u32::MAX).then(|| u64::from(least) * 1000)
    }

    /// The timeout in nanoseconds, doublings included.
    pub fn timeout(&self) -> u64 {
        let base = if self.srtt == 0 {
            if self.slow { SLOW_NS } else { INITIAL_NS }
        } else {
            let deviation = self.deviation.max(u32::from(self.floor_ms) * 1000);
            (u64::from(self.srtt >> 3) + u64::from(deviation)) * 1000
        };
        (base << self.doublings.min(DOUBLINGS_MAX)).min(CEILING_NS)
    }

    /// The timeout ran off: the next one is twice as long (RFC 6298 5.5).
    pub(super) fn back_off(&mut self) {
        self.doublings = self.doublings.saturating_add(1).min(DOUBLINGS_MAX);
    }

    /// It was not due to a loss: the next one is as long as the first.
    pub(super) fn forgive(&mut self) {
        self.doublings = 0;
    }

    /// The handshake is over and `resent` says that its timer ran off (RFC 6298 5.7).
    pub(super) fn begin(&mut self, resent: bool) {
        self.doublings = 0;
        self.slow = resent;
    }
}

/// What the deviation adds at least: 200 ms as Linux, so that a delayed ACK is no timeout.
pub(in crate::tcp) const RTO_MIN_MS: u16 = 200;
/// The timeout before a sample (RFC 6298 2.1).
const INITIAL_NS: u64 = 1_000_000_000;
/// The same when a SYN was lost (RFC 6298 5.7).
const SLOW_NS: u64 = 3_000_000_000;
/// The longest timeout (RFC 6298 2.5 asks for 60 s or more).
const CEILING_NS: u64 = 120_000_000_000;
/// 1 ms << 17 is above the ceiling; more would only overflow.
const DOUBLINGS_MAX: u8 = 20;
/// A sample above the ceiling tells nothing; its eighths fit in 32 bits.
const SAMPLE_MAX_US: u64 = 120_000_000;
/// Half of the window of the least: Linux keeps the least of five minutes.
const HALF_S: u64 = 300;

#[cfg(test)]
mod tests {
    use super::*;

    const MS: u64 = 1_000_000;

    #[test]
    fn first_sample_gives_srtt_and_half_of_it_as_deviation_rfc6298_2_2() {
        let mut rtt = Rtt::default();
        assert_eq!(rtt.timeout(), 1000 * MS);
        rtt.sample(400 * MS);
        assert_eq!(rtt.smoothed(), Some(400 * MS));
        assert_eq!(rtt.timeout(), 400 * MS + 4 * 200 * MS);
    }

    #[test]
    fn next_samples_weigh_an_eighth_and_a_quarter_rfc6298_2_3() {
        let mut rtt = Rtt::default();
        rtt.sample(400 * MS);
        rtt.sample(480 * MS);
        assert_eq!(rtt.smoothed(), Some(410 * MS));
        assert_eq!(rtt.deviation(), (3 * 200 + 80) / 4 * MS);
    }

    #[test]
    fn timeout_doubles_to_the_ceiling_and_a_sample_ends_it_rfc6298_5_5() {
        let mut rtt = Rtt::default();
        rtt.sample(10 * MS);
        let first = rtt.timeout();
        assert_eq!(first, 210 * MS);
        rtt.back_off();
        assert_eq!(rtt.timeout(), 2 * first);
        for _ in 0..100 {
            rtt.back_off();
        }
        assert_eq!(rtt.timeout(), 120_000 * MS);
        rtt.sample(10 * MS);
        assert_eq!(rtt.timeout(), 210 * MS);
    }

    #[test]
    fn lost_syn_makes_data_begin_with_three_seconds_rfc6298_5_7() {
        let mut rtt = Rtt::default();
        rtt.back_off();
        assert_eq!(rtt.timeout(), 2000 * MS);
        rtt.begin(true);
        assert_eq!(rtt.timeout(), 3000 * MS);
    }

    #[test]
    fn least_forgets_what_is_older_than_its_window() {
        let mut rtt = Rtt::default();
        rtt.least_of(10 * MS, 0);
        rtt.least_of(50 * MS, 400_000 * MS);
        assert_eq!(rtt.least(), Some(10 * MS));
        rtt.least_of(50 * MS, 700_000 * MS);
        assert_eq!(rtt.least(), Some(50 * MS));
    }
}
