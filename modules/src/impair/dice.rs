//! The random decisions of one direction. Each kind draws from a sequence of its own, so that the
//! same packets are lost with or without jitter.

use super::params::Params;
use super::units::ONE;
use millstream_core::{Rng, Side};

/// The sequences, and whether a burst of losses is on.
#[derive(Clone, Debug)]
pub(super) struct Dice {
    loss: Rng,
    duplicate: Rng,
    corrupt: Rng,
    reorder: Rng,
    jitter: Rng,
    in_burst: bool,
    /// Packets since the last one that could be overtaken.
    since_gap: u32,
}

impl Dice {
    /// The sequences of a direction. The same seed gives the same ones.
    pub(super) fn new(seed: u64, side: Side) -> Self {
        let mut root = Rng::new(seed);
        if side == Side::Write {
            root = Rng::new(root.next_u64());
        }
        let mut next = || Rng::new(root.next_u64());
        Self {
            loss: next(),
            duplicate: next(),
            corrupt: next(),
            reorder: next(),
            jitter: next(),
            in_burst: false,
            since_gap: 0,
        }
    }

    /// Is the next packet lost?
    pub(super) fn loses(&mut self, params: &Params) -> bool {
        if params.loss == 0 {
            self.in_burst = false;
            return false;
        }
        if params.burst.is_none() {
            return chance(&mut self.loss, params.loss.into());
        }
        let Some((into, out)) = params.burst_chances() else { return false };
        self.in_burst =
            if self.in_burst { !chance(&mut self.loss, out) } else { chance(&mut self.loss, into) };
        self.in_burst
    }

    pub(super) fn duplicates(&mut self, params: &Params) -> bool {
        chance(&mut self.duplicate, params.duplicate.into())
    }

    pub(super) fn corrupts(&mut self, params: &Params) -> bool {
        chance(&mut self.corrupt, params.corrupt.into())
    }

    /// A number below `n` for what is corrupted.
    pub(super) fn pick(&mut self, n: usize) -> usize {
        self.corrupt.below(n as u64) as usize
    }

    /// May others overtake the next packet?
    pub(super) fn reorders(&mut self, params: &Params) -> bool {
        if params.reorder == 0 {
            return false;
        }
        self.since_gap += 1;
        if self.since_gap < params.gap.get() {
            return false;
        }
        self.since_gap = 0;
        chance(&mut self.reorder, params.reorder.into())
    }

    /// How long the next packet is held. Nanoseconds.
    pub(super) fn hold(&mut self, params: &Params) -> u64 {
        if params.jitter_ns == 0 {
            return params.delay_ns;
        }
        let more = self.jitter.below(2 * params.jitter_ns + 1);
        (params.delay_ns + more).saturating_sub(params.jitter_ns)
    }
}

/// True with probability `billionths` in a billion. Draws nothing when that is 0.
fn chance(rng: &mut Rng, billionths: u64) -> bool {
    billionths != 0 && rng.below(ONE) < billionths
}
