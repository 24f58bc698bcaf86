//! clock: what a shard takes for the time.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

/// A clock that somebody moves: nanoseconds from a start of their choice. It never goes back.
///
/// A stack with such a clock does nothing by itself when time passes: who moves the clock calls
/// [`crate::Shard::step`] then.
#[derive(Clone, Debug, Default)]
pub struct GivenClock(Arc<AtomicU64>);

impl GivenClock {
    /// Nanoseconds.
    pub fn now(&self) -> u64 {
        self.0.load(Ordering::Acquire)
    }

    /// It is `at` now; nothing happens when it is later already.
    pub fn move_to(&self, at: u64) {
        self.0.fetch_max(at, Ordering::AcqRel);
    }
}

/// The clock of a shard.
#[derive(Debug)]
pub(crate) enum Clock {
    /// The machine's, from this moment on.
    Machine(Instant),
    Given(GivenClock),
}

impl Clock {
    pub(crate) fn new(given: Option<GivenClock>) -> Self {
        given.map_or_else(|| Self::Machine(Instant::now()), Self::Given)
    }

    pub(crate) fn is_given(&self) -> bool {
        matches!(self, Self::Given(_))
    }

    pub(crate) fn now(&self) -> u64 {
        match self {
            Self::Machine(start) => start.elapsed().as_nanos() as u64,
            Self::Given(clock) => clock.now(),
        }
    }
}

/// Nanoseconds of the monotonic clock.
pub(crate) fn clock_ns() -> u64 {
    let now = rustix::time::clock_gettime(rustix::time::ClockId::Monotonic);
    now.tv_sec as u64 * 1_000_000_000 + now.tv_nsec as u64
}
