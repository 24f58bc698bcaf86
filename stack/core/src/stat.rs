//! Counters of nodes: what went in and out, how long it took, what was dropped and why.

use crate::module::Drop;
use alloc::vec::Vec;

/// Counters of one node. Index 0 is the read side (up), 1 the write side (down).
#[derive(Clone, Debug, Default)]
pub struct NodeStat {
    /// Dispatches of put procedures.
    pub calls: [u64; 2],
    /// Messages that came in.
    pub msgs_in: [u64; 2],
    /// Bytes that came in.
    pub bytes_in: [u64; 2],
    /// Messages passed on, by direction.
    pub msgs_out: [u64; 2],
    /// Dispatches of service procedures.
    pub services: [u64; 2],
    /// Messages freed because they had done their work.
    pub consumed: u64,
    /// Messages dropped, by reason.
    pub drops: Vec<(Drop, u64)>,
    /// Time in dispatches that were timed (one in [`SAMPLE_EVERY`]). Nanoseconds.
    pub sampled_ns: u64,
    /// Messages in those dispatches.
    pub sampled_msgs: u64,
    /// Time during which somebody who had been refused waited. Nanoseconds, by side.
    pub blocked_ns: [u64; 2],
    pub(crate) blocked_since: [Option<u64>; 2],
}

/// One dispatch in so many is timed, so that the clock costs little.
pub const SAMPLE_EVERY: u64 = 64;

impl NodeStat {
    /// Counts dropped messages.
    pub(crate) fn drop(&mut self, reason: Drop, count: u64) {
        match self.drops.iter_mut().find(|(known, _)| *known == reason) {
            Some((_, n)) => *n += count,
            None => self.drops.push((reason, count)),
        }
    }

    /// Messages dropped, whatever the reason.
    pub fn dropped(&self) -> u64 {
        self.drops.iter().map(|(_, n)| n).sum()
    }

    /// Nanoseconds per message, from the sample; `None` before the first.
    pub fn ns_per_msg(&self) -> Option<u64> {
        self.sampled_ns.checked_div(self.sampled_msgs)
    }
}
