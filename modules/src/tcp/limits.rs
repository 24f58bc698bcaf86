//! How much a peer, or somebody who forges its segments, can make us send or hold.

use crate::limit::{Bucket, Rate};
use crate::siphash::Sip;
use millstream_msg::Level;

/// What a stack sends at most without being asked by its users. Connections bring a [`Bucket`]
/// each.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    sip: Sip<2, 4>,
    /// The second that `challenges` are for.
    second: u64,
    /// Challenge ACKs that may still be sent in this second.
    challenges: u32,
    resets: Bucket,
}

impl Limits {
    /// Nothing was sent. `random` is from the stack's random source.
    pub fn new(random: u64) -> Self {
        let sip = Sip::derived(random, PURPOSE);
        Self { sip, second: u64::MAX, challenges: 0, resets: Bucket::NEW }
    }

    /// May a challenge ACK be sent (RFC 5961)? Two a second and connection, and for the stack 50
    /// to 149 a second: the number changes and cannot be guessed, so that an attacker who spends
    /// it on a connection of its own learns nothing of others (RFC 5961 section 10, CVE-2016-5696).
    #[must_use]
    pub fn challenge(&mut self, connection: &mut Bucket, now: u64) -> bool {
        let second = now / SECOND_NS;
        if second != self.second {
            self.second = second;
            self.challenges = CHALLENGES / 2 + self.sip.words([second]) as u32 % CHALLENGES;
        }
        if self.challenges == 0 || !connection.take(now, ANSWERS) {
            return false;
        }
        self.challenges -= 1;
        true
    }

    /// May an ACK be sent for a segment outside of the window, or one that repeats old data
    /// (RFC 9293 section 3.10.7.4)? Two a second and connection, so that two ends whose numbers
    /// were put out of step by forged segments do not answer each other for ever.
    #[must_use]
    pub fn out_of_window(&self, connection: &mut Bucket, now: u64) -> bool {
        connection.take(now, ANSWERS)
    }

    /// May a RST be sent for a segment that belongs to no connection? 1,000 a second.
    #[must_use]
    pub fn reset(&mut self, now: u64) -> bool {
        self.resets.take(now, RESETS)
    }
}

/// Memory that connections share, charged by truesize.
#[derive(Clone, Copy, Debug, Default)]
pub struct Memory {
    used: u64,
    max: u64,
}

impl Memory {
    /// At most `max` bytes.
    pub const fn new(max: u64) -> Self {
        Self { used: 0, max }
    }

    /// Bytes in use.
    pub const fn used(&self) -> u64 {
        self.used
    }

    /// What a connection that uses `own` bytes, of which it may use `limit`, may use now. A pool
    /// that runs short lends less: cells of one kind, which all that comes may need, must not end
    /// in what waits for a gap.
    pub const fn limit_for(&self, own: u32, limit: u32, level: Level) -> u32 {
        let max = match level {
            Level::Low => self.max,
            Level::Pressure => self.max / PRESSURE,
            Level::Max => 0,
        };
        let free = max.saturating_sub(self.used);
        let most = if free < u32::MAX as u64 { own.saturating_add(free as u32) } else { u32::MAX };
        if most < limit { most } else { limit }
    }

    /// A connection uses `after` bytes instead of `before`.
    pub const fn changed(&mut self, before: u32, after: u32) {
        self.used = self.used + after as u64 - before as u64;
    }
}

/// The part of its share that a pool which is half empty lends.
const PRESSURE: u64 = 4;

const SECOND_NS: u64 = 1_000_000_000;

/// RFC 5961 section 7 leaves the number open; it is what one attacker can make us send.
const CHALLENGES: u32 = 100;

/// Linux's tcp_invalid_ratelimit: one in 500 ms.
const ANSWERS: Rate = Rate::per_second(2, 1);

/// Enough for honest mistakes; a flood is not answered one by one.
const RESETS: Rate = Rate::per_second(1_000, 1_000);

/// Tells this use of the stack's random number from others.
const PURPOSE: u64 = u64::from_be_bytes(*b"tcplimit");

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::vec::Vec;

    #[test]
    fn a_connection_answers_one_forged_segment_in_500_ms_rfc5961_7() {
        let (mut limits, mut bucket) = (Limits::new(1), Bucket::NEW);
        let sent = (0..10_000).filter(|ms| limits.challenge(&mut bucket, ms * 1_000_000));
        assert_eq!(sent.count(), 20);
        let mut bucket = Bucket::NEW;
        let sent = (0..10_000).filter(|ms| limits.out_of_window(&mut bucket, ms * 1_000_000));
        assert_eq!(sent.count(), 20);
    }

    #[test]
    fn challenges_of_all_connections_change_from_second_to_second_cve_2016_5696() {
        let mut limits = Limits::new(0x5eed);
        let counts = Vec::from_iter((0..20).map(|second| {
            let send = |_: &u32| limits.challenge(&mut Bucket::default(), second * SECOND_NS);
            (0..1_000).filter(send).count()
        }));
        assert!(counts.iter().all(|count| (50..150).contains(count)), "{counts:?}");
        assert!(counts.iter().any(|count| *count != counts[0]), "{counts:?}");
        let mut others = Limits::new(0x5eee);
        let send = |_: &u32| others.challenge(&mut Bucket::default(), 0);
        assert_ne!((0..1_000).filter(send).count(), counts[0], "another stack, another number");
    }

    #[test]
    fn resets_have_a_rate() {
        let mut limits = Limits::new(1);
        assert_eq!((0..5_000).filter(|_| limits.reset(0)).count(), 1_000);
        assert_eq!((0..5_000).filter(|_| limits.reset(SECOND_NS / 2)).count(), 500);
    }

    #[test]
    fn connections_share_memory_up_to_its_limit() {
        let mut memory = Memory::new(10_000);
        assert_eq!(memory.limit_for(0, 6_000, Level::Low), 6_000);
        memory.changed(0, 6_000);
        assert_eq!(
            (memory.limit_for(0, 6_000, Level::Low), memory.limit_for(6_000, 6_000, Level::Low)),
            (4_000, 6_000)
        );
        memory.changed(0, 4_500);
        assert_eq!((memory.limit_for(0, 6_000, Level::Low), memory.used()), (0, 10_500));
        memory.changed(6_000, 0);
        assert_eq!(memory.limit_for(4_500, u32::MAX, Level::Low), 10_000);
    }

    #[test]
    fn a_pool_that_runs_short_lends_less_and_takes_nothing_back() {
        let mut memory = Memory::new(40_000);
        memory.changed(0, 8_000);
        assert_eq!(memory.limit_for(0, 6_000, Level::Pressure), 2_000);
        assert_eq!(memory.limit_for(3_000, 6_000, Level::Max), 3_000);
        memory.changed(0, 4_000);
        assert_eq!(memory.limit_for(0, 6_000, Level::Pressure), 0);
        assert_eq!(memory.limit_for(0, 6_000, Level::Low), 6_000);
    }
}
