//! Initial sequence numbers (RFC 6528) and timestamp offsets (RFC 7323 section 5.4): a clock plus
//! a keyed hash of the connection's ends.

use super::ends::Ends;
use super::seq::Seq;
use crate::siphash::Sip;

/// The stack's secret, and what it makes of a connection's ends.
#[derive(Clone, Copy, Debug)]
pub struct Secret {
    sip: Sip<2, 4>,
}

impl Secret {
    /// `random` is from the stack's random source, new at each start.
    pub fn new(random: u64) -> Self {
        Self { sip: Sip::derived(random, PURPOSE) }
    }

    /// The first sequence number of a connection that begins at `now` (ns).
    ///
    /// For the same ends the numbers grow by one in 4 microseconds, so that a connection goes on
    /// behind its predecessor's (RFC 9293 section 3.4.1); others cannot be guessed from it.
    pub fn isn(&self, ends: &Ends, now: u64) -> Seq {
        let clock = (now / TICK_NS) as u32;
        Seq((self.sip.words(ends.words()) as u32).wrapping_add(clock))
    }

    /// What to add to the clock for timestamps to these ends. It does not change, so that PAWS
    /// holds from one connection to the next, and does not tell how long the host has been up.
    pub fn timestamp_offset(&self, ends: &Ends) -> u32 {
        (self.sip.words(ends.words()) >> 32) as u32
    }
}

/// RFC 6528 section 3: one tick in 4 microseconds.
const TICK_NS: u64 = 4_000;

/// Tells this use of the stack's random number from others.
const PURPOSE: u64 = u64::from_be_bytes(*b"tcp isn ");

#[cfg(test)]
mod tests {
    use super::*;

    fn ends(port: u16) -> Ends {
        Ends::new(([10, 0, 0, 1].into(), 80), ([10, 0, 0, 2].into(), port))
    }

    #[test]
    fn the_clock_of_one_connection_ticks_every_four_microseconds_rfc6528_3() {
        let secret = Secret::new(1);
        let first = secret.isn(&ends(1), 0);
        assert_eq!(secret.isn(&ends(1), 3_999), first);
        assert_eq!(secret.isn(&ends(1), 4_000), first.add(1));
        let wrap = 4_000 * (u64::from(u32::MAX) + 1);
        assert_eq!(secret.isn(&ends(1), wrap), first, "after 4.77 hours");
    }

    #[test]
    fn neighbours_and_other_secrets_have_numbers_far_apart() {
        let numbers = [
            Secret::new(1).isn(&ends(1), 0),
            Secret::new(1).isn(&ends(2), 0),
            Secret::new(2).isn(&ends(1), 0),
            Secret::new(1).isn(&Ends::new(ends(1).remote, ends(1).local), 0),
        ];
        for (n, a) in numbers.iter().enumerate() {
            for b in &numbers[..n] {
                assert!(a.since(*b).min(b.since(*a)) > 1 << 12, "{numbers:?}");
            }
        }
    }

    #[test]
    fn ten_thousand_ports_spread_over_the_sequence_space() {
        let secret = Secret::new(3);
        let mut eighths = [0; 8];
        for port in 0..10_000 {
            eighths[(secret.isn(&ends(port), 0).0 >> 29) as usize] += 1;
        }
        assert!(eighths.iter().all(|count| (1_100..1_400).contains(count)), "{eighths:?}");
    }

    #[test]
    fn the_offset_of_timestamps_is_kept_and_is_each_connections_own() {
        let secret = Secret::new(1);
        assert_eq!(secret.timestamp_offset(&ends(1)), secret.timestamp_offset(&ends(1)));
        assert_ne!(secret.timestamp_offset(&ends(1)), secret.timestamp_offset(&ends(2)));
        assert_ne!(secret.timestamp_offset(&ends(1)), secret.isn(&ends(1), 0).0);
    }
}
