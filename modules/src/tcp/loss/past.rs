//! past: what a connection has learnt from losses, and what else few have. It comes with the first:
//! most connections have had none, and an idle one is smaller without.

use super::rack::Reordering;
use super::recovery::Undo;
use super::{Counters, Loss};

/// What was learnt and counted.
#[derive(Clone, Debug)]
pub(super) struct Past {
    /// The last reduction, while it can be taken back.
    pub(super) undo: Undo,
    pub(super) reordering: Reordering,
    pub(super) counters: Counters,
    /// When the next octets may leave by the pace that was asked for, in nanoseconds.
    pub(super) pace_at: u64,
    /// Segments with data that came out of order.
    out_of_order: u32,
}

impl Past {
    /// Nothing was ever lost.
    const NONE: Self = Self {
        undo: Undo::NONE,
        reordering: Reordering::NONE,
        counters: Counters::NONE,
        pace_at: 0,
        out_of_order: 0,
    };
}

impl Loss {
    /// What was learnt.
    #[inline]
    pub(super) fn past(&self) -> &Past {
        self.past.as_deref().unwrap_or(&Past::NONE)
    }

    /// The same, to add to.
    #[inline]
    pub(super) fn past_mut(&mut self) -> &mut Past {
        self.past.get_or_insert_with(|| Past::NONE.into())
    }

    /// A segment with data came out of order.
    pub fn count_out_of_order(&mut self) {
        let count = &mut self.past_mut().out_of_order;
        *count = count.wrapping_add(1);
    }

    /// Segments with data that came out of order.
    pub fn out_of_order(&self) -> u32 {
        self.past().out_of_order
    }

    /// The last reduction stays.
    pub(super) fn keep_reduction(&mut self) {
        if let Some(past) = &mut self.past {
            past.undo = Undo::NONE;
        }
    }
}
