//! hist: times become counts in buckets, and what a queue's length was becomes how long its
//! messages waited. Attached to a queue when somebody asks, gone when nobody does.

use alloc::boxed::Box;
use alloc::collections::VecDeque;

/// Counts of times, in buckets that grow with them: 16 for each power of two, so a figure read
/// from them is at most 6.25 % too large.
#[derive(Clone, PartialEq, Eq)]
pub struct Histogram {
    counts: Box<[u64; BUCKETS]>,
    count: u64,
    sum_ns: u64,
    max_ns: u64,
}

/// One bucket that is not empty.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bucket {
    /// Shortest time in it. Nanoseconds.
    pub from_ns: u64,
    /// The first time beyond it. Nanoseconds.
    pub below_ns: u64,
    /// Times in it.
    pub count: u64,
}

impl Histogram {
    /// Counts a time `count` times.
    pub fn record(&mut self, ns: u64, count: u64) {
        self.counts[index(ns)] += count;
        self.count += count;
        self.sum_ns = self.sum_ns.saturating_add(ns.saturating_mul(count));
        if count > 0 {
            self.max_ns = self.max_ns.max(ns);
        }
    }

    /// Times counted.
    pub fn count(&self) -> u64 {
        self.count
    }

    /// The longest. Nanoseconds.
    pub fn max_ns(&self) -> u64 {
        self.max_ns
    }

    /// The mean. Nanoseconds; `None` of nothing.
    pub fn mean_ns(&self) -> Option<u64> {
        self.sum_ns.checked_div(self.count)
    }

    /// A time that so many in 100,000 do not exceed: 50,000 for the median. Nanoseconds; `None` of
    /// nothing.
    pub fn quantile_ns(&self, per_100_000: u64) -> Option<u64> {
        // The smallest rank is the first.
        let product = u128::from(self.count) * u128::from(per_100_000);
        let rank = (product.div_ceil(100_000) as u64).max(1);
        let mut below = 0;
        self.buckets().find_map(|bucket| {
            below += bucket.count;
            (below >= rank).then(|| (bucket.below_ns - 1).min(self.max_ns))
        })
    }

    /// The buckets that are not empty, shortest times first.
    pub fn buckets(&self) -> impl Iterator<Item = Bucket> {
        let filled = self.counts.iter().enumerate().filter(|(_, count)| **count > 0);
        filled.map(|(at, &count)| Bucket { from_ns: start(at), below_ns: start(at + 1), count })
    }
}

impl Default for Histogram {
    fn default() -> Self {
        Self { counts: Box::new([0; BUCKETS]), count: 0, sum_ns: 0, max_ns: 0 }
    }
}

impl core::fmt::Debug for Histogram {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_list().entries(self.buckets()).finish()
    }
}

/// When the messages of a list came, first to last, known from its length before and after each
/// dispatch: nothing is written into messages, and the list itself is not read.
///
/// What comes and goes within one dispatch is not seen; with bands or `putbq` the times are those
/// of messages that came and left in order.
#[derive(Clone, Debug, Default)]
pub(crate) struct Arrivals {
    /// Time, and how many came then.
    runs: VecDeque<(u64, u32)>,
    len: usize,
}

impl Arrivals {
    /// The list has this length now. What has left is counted with the time that it waited.
    pub(crate) fn settle(&mut self, len: usize, now: u64, waited: &mut Histogram) {
        while self.len > len {
            let Some((came, count)) = self.runs.front_mut() else { break };
            let left = (*count).min((self.len - len) as u32);
            waited.record(now.saturating_sub(*came), u64::from(left));
            *count -= left;
            self.len -= left as usize;
            if *count == 0 {
                self.runs.pop_front();
            }
        }
        let more = len.saturating_sub(self.len) as u32;
        self.len = len;
        let full = self.runs.len() >= RUNS_MAX;
        match self.runs.back_mut() {
            _ if more == 0 => {}
            Some((_, count)) if full => *count += more,
            _ => self.runs.push_back((now, more)),
        }
    }
}

const SUB_BITS: u32 = 4;
/// Up to 2^40 ns, 18 minutes; longer times are counted as that.
const TOP_BITS: u32 = 40;
const BUCKETS: usize = ((TOP_BITS - SUB_BITS + 1) as usize) << SUB_BITS;

/// A queue seldom holds more bursts; later ones count as of the last one remembered.
const RUNS_MAX: usize = 4096;

/// The bucket of a time.
fn index(ns: u64) -> usize {
    let ns = ns.min((1 << TOP_BITS) - 1);
    let bits = u64::BITS - ns.leading_zeros();
    let shift = bits.saturating_sub(SUB_BITS + 1);
    ((shift as usize) << SUB_BITS) + (ns >> shift) as usize
}

/// The shortest time of a bucket, and of the one behind the last.
fn start(index: usize) -> u64 {
    let shift = (index >> SUB_BITS).saturating_sub(1);
    ((index - (shift << SUB_BITS)) as u64) << shift
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_time_lies_in_its_bucket_and_buckets_join() {
        for at in 0..BUCKETS {
            assert!(start(at) < start(at + 1), "{at}");
            assert_eq!((index(start(at)), index(start(at + 1) - 1)), (at, at));
            assert!(start(at + 1) - start(at) <= (start(at) >> SUB_BITS).max(1), "{at}: 6.25 %");
        }
        assert_eq!(index(u64::MAX), BUCKETS - 1);
        assert_eq!(start(BUCKETS), 1 << TOP_BITS);
    }

    #[test]
    fn quantiles_are_those_of_the_times_recorded_within_a_bucket() {
        let mut hist = Histogram::default();
        assert_eq!((hist.quantile_ns(50_000), hist.mean_ns(), hist.max_ns()), (None, None, 0));
        for ns in 1..=1000 {
            hist.record(ns, 1);
        }
        let near = |got: Option<u64>, exact: u64| {
            let got = got.unwrap();
            assert!(got >= exact && got <= exact + exact / 16, "{got}, not {exact}");
        };
        near(hist.quantile_ns(50_000), 500);
        near(hist.quantile_ns(99_900), 999);
        assert_eq!((hist.quantile_ns(0), hist.quantile_ns(100_000)), (Some(1), Some(1000)));
        assert_eq!((hist.count(), hist.mean_ns(), hist.max_ns()), (1000, Some(500), 1000));
    }

    #[test]
    fn a_list_that_grows_and_shrinks_tells_how_long_each_message_waited() {
        let (mut arrivals, mut waited) = (Arrivals::default(), Histogram::default());
        for (now, len) in [(0, 3), (10, 5), (20, 4), (25, 4), (30, 1), (40, 0)] {
            arrivals.settle(len, now, &mut waited);
        }
        let times: alloc::vec::Vec<_> = waited.buckets().map(|b| (b.from_ns, b.count)).collect();
        // Three came at 0 and left at 20, 30 and 30; two at 10, gone at 30 and 40.
        assert_eq!(times, [(20, 2), (30, 3)]);
    }

    #[test]
    fn a_queue_of_countless_bursts_is_remembered_in_bounded_memory() {
        let (mut arrivals, mut waited) = (Arrivals::default(), Histogram::default());
        for now in 0..2 * RUNS_MAX {
            arrivals.settle(now + 1, now as u64, &mut waited);
        }
        assert_eq!(arrivals.runs.len(), RUNS_MAX);
        arrivals.settle(0, 10_000, &mut waited);
        assert_eq!(waited.count(), 2 * RUNS_MAX as u64);
    }
}
