//! past: what a connection has learnt from losses. It comes with the first one: most connections
//! have had none, and an idle one is smaller without.

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
}

impl Past {
    /// Nothing was ever lost.
    const NONE: Self =
        Self { undo: Undo::NONE, reordering: Reordering::NONE, counters: Counters::NONE };
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

    /// The last reduction stays.
    pub(super) fn keep_reduction(&mut self) {
        if let Some(past) = &mut self.past {
            past.undo = Undo::NONE;
        }
    }
}
