//! commons: what the `rpc` streams of a stack share: their programs, the cache of replies, and
//! what is counted.

use super::drc::Drc;
use super::tally::Tally;
use alloc::sync::Arc;
use millstream_onc::Registry;
use spin::{Mutex, MutexGuard};

/// A handle on what is shared: a clone is another one on the same.
#[derive(Clone, Debug)]
pub struct Commons(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    registry: Registry,
    shared: Mutex<Shared>,
}

/// What changes. One shard runs all of its streams: nobody waits for it.
#[derive(Debug)]
pub struct Shared {
    /// Replies that may be asked for again.
    pub drc: Drc,
    /// What happened.
    pub tally: Tally,
}

impl Commons {
    /// With a cache of so many bytes; `key` is random, and peers must not know it.
    pub fn new(registry: Registry, cache_bytes: usize, key: u64) -> Self {
        let shared = Shared { drc: Drc::new(cache_bytes, key), tally: Tally::default() };
        Self(Arc::new(Inner { registry, shared: Mutex::new(shared) }))
    }

    /// The programs.
    pub fn registry(&self) -> &Registry {
        &self.0.registry
    }

    /// What changes.
    pub fn lock(&self) -> MutexGuard<'_, Shared> {
        self.0.shared.lock()
    }
}
