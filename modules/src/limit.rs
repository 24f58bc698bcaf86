//! `Bucket`: a token bucket of eight bytes, for everything that a peer can make us send.

/// How often something may happen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rate {
    /// Nanoseconds between two events in the long run.
    pub interval_ns: u64,
    /// Events that may happen at once after silence, at least 1.
    pub burst: u32,
}

impl Rate {
    /// `per_second` events a second (at least 1), `burst` at once.
    pub const fn per_second(per_second: u64, burst: u32) -> Self {
        Self { interval_ns: 1_000_000_000 / per_second, burst }
    }
}

/// A token bucket, kept as the time at which it will be full again (the GCRA of ATM).
#[derive(Clone, Copy, Debug, Default)]
pub struct Bucket {
    full_at: u64,
}

impl Bucket {
    /// Full.
    pub const NEW: Self = Self { full_at: 0 };

    /// Takes a token; false when there is none. `now` in nanoseconds.
    #[must_use]
    pub fn take(&mut self, now: u64, rate: Rate) -> bool {
        let full_at = self.full_at.max(now);
        let depth = rate.interval_ns.saturating_mul(u64::from(rate.burst.saturating_sub(1)));
        if full_at - now > depth {
            return false;
        }
        self.full_at = full_at.saturating_add(rate.interval_ns);
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn burst_passes_then_one_per_interval() {
        let rate = Rate::per_second(10, 5);
        let mut bucket = Bucket::default();
        let passed = |bucket: &mut Bucket, now| (0..100).filter(|_| bucket.take(now, rate)).count();
        assert_eq!(passed(&mut bucket, 0), 5);
        assert_eq!(passed(&mut bucket, 100_000_000), 1);
        assert_eq!(passed(&mut bucket, 10_000_000_000), 5);
    }
}
