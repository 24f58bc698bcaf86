//! `Recent`: the four runs that changed last, the latest first: what SACK options tell.

use super::super::seq::{Range, Seq};

#[derive(Debug, Default)]
pub(super) struct Recent {
    ranges: [Range; 4],
    len: u8,
}

impl Recent {
    pub(super) fn copy_to(&self, out: &mut [Range; 4]) -> usize {
        *out = self.ranges;
        self.len.into()
    }

    /// This run grew, by joining those in it, or had data again.
    pub(super) fn arrived(&mut self, run: Range) {
        self.retain(|range| range.end.before(run.start) || range.start.after(run.end));
        let kept = usize::from(self.len).min(self.ranges.len() - 1);
        self.ranges.copy_within(..kept, 1);
        self.ranges[0] = run;
        self.len = kept as u8 + 1;
    }

    /// Runs that end at `seq` or before are no longer there.
    pub(super) fn before(&mut self, seq: Seq) {
        self.retain(|range| range.end.after(seq));
    }

    /// Nothing from `seq` on is there any more.
    pub(super) fn until(&mut self, seq: Seq) {
        self.retain(|range| range.start.before(seq));
        for range in &mut self.ranges {
            range.end = range.end.earliest(seq);
        }
    }

    fn retain(&mut self, keep: impl Fn(&Range) -> bool) {
        let mut kept = 0;
        for n in 0..usize::from(self.len) {
            if keep(&self.ranges[n]) {
                self.ranges[kept] = self.ranges[n];
                kept += 1;
            }
        }
        self.len = kept as u8;
    }
}
