//! clock: time as engines have it.

use millstream_host::GivenClock;
use std::time::Instant;

/// Nanoseconds since something.
#[derive(Clone, Debug)]
pub enum Clock {
    /// The machine's.
    Machine(Instant),
    /// One that somebody moves: what happens is the same in each run then.
    Given(GivenClock),
}

impl Clock {
    /// Nanoseconds.
    pub fn now(&self) -> u64 {
        match self {
            Self::Machine(began) => began.elapsed().as_nanos() as u64,
            Self::Given(clock) => clock.now(),
        }
    }
}

impl Default for Clock {
    /// The machine's, from now on.
    fn default() -> Self {
        Self::Machine(Instant::now())
    }
}
