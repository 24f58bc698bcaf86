//! rtt: how long replies take over UDP, and after how long a call is sent again (as RFC 6298 does
//! for TCP; RFC 5531 leaves it open).

/// The estimate of a stream.
#[derive(Clone, Copy, Debug, Default)]
pub struct Rtt {
    /// Smoothed, and its mean deviation. Nanoseconds.
    smooth: Option<(u64, u64)>,
}

impl Rtt {
    /// Nothing measured.
    pub const fn new() -> Self {
        Self { smooth: None }
    }

    /// A reply came so long after its call, which was sent once.
    pub fn sample(&mut self, ns: u64) {
        self.smooth = Some(match self.smooth {
            None => (ns, ns / 2),
            Some((smooth, deviation)) => {
                let deviation = (3 * deviation + smooth.abs_diff(ns)) / 4;
                ((7 * smooth + ns) / 8, deviation)
            }
        });
    }

    /// How long the reply of a call is waited for that was sent so many times. Nanoseconds.
    pub fn wait(&self, sent: u32) -> u64 {
        let first = self.smooth.map_or(FIRST_NS, |(smooth, deviation)| smooth + 4 * deviation);
        let first = first.clamp(MIN_NS, MAX_NS);
        first.saturating_mul(1 << sent.saturating_sub(1).min(16)).min(MAX_NS)
    }
}

/// Before anything was measured.
const FIRST_NS: u64 = 1_000_000_000;
/// A server may be slow once.
const MIN_NS: u64 = 100_000_000;
/// As classic clients do.
const MAX_NS: u64 = 20_000_000_000;

#[cfg(test)]
mod tests {
    use super::*;

    const MS: u64 = 1_000_000;

    #[test]
    fn the_wait_follows_what_was_measured_within_bounds() {
        let mut rtt = Rtt::new();
        assert_eq!(rtt.wait(1), FIRST_NS);
        rtt.sample(200 * MS);
        assert_eq!(rtt.wait(1), 600 * MS);
        (0..50).for_each(|_| rtt.sample(200 * MS));
        assert!((200 * MS..210 * MS).contains(&rtt.wait(1)), "{}", rtt.wait(1));
        (0..100).for_each(|_| rtt.sample(MS));
        assert_eq!(rtt.wait(1), MIN_NS);
        (0..100).for_each(|_| rtt.sample(60_000 * MS));
        assert_eq!(rtt.wait(1), MAX_NS);
    }

    #[test]
    fn it_doubles_with_each_time_that_the_call_is_sent_to_20_s() {
        let rtt = Rtt::new();
        let waits: std::vec::Vec<u64> = (1..8).map(|sent| rtt.wait(sent) / 1_000_000_000).collect();
        assert_eq!(waits, [1, 2, 4, 8, 16, 20, 20]);
        assert_eq!(rtt.wait(u32::MAX), MAX_NS);
    }
}
