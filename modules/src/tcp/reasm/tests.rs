//! Tests of reassembly, among them one against an array of octets.

use super::*;
use alloc::vec::Vec;
use millstream_msg::{PoolConfig, PoolStats};
use proptest::prelude::*;

const ALL: u32 = u32::MAX;

fn cells(stats: PoolStats) -> [usize; 5] {
    [stats.small, stats.frame, stats.large, stats.bare, stats.external].map(|counts| counts.out)
}

fn bytes(list: MsgList, pool: &mut Pool) -> Vec<u8> {
    let mut out = Vec::new();
    let mut list = list;
    while let Some(msg) = list.pop() {
        let at = out.len();
        out.resize(at + msg.len(), 0);
        msg.copy_out(0, &mut out[at..]);
        pool.free(msg);
    }
    out
}

/// A receiver whose next octet is number 0, with one connection.
struct Host {
    pool: Pool,
    held: Reassembly,
    base: Seq,
}

impl Host {
    fn new(base: u32) -> Self {
        Self { pool: Pool::new(PoolConfig::TINY), held: Reassembly::default(), base: Seq(base) }
    }

    /// Octets from number `at` on.
    fn insert(&mut self, at: u32, bytes: &[u8]) -> Inserted {
        let msg = self.pool.copy_from(0, bytes).unwrap();
        self.held.insert(self.base.add(at), msg, self.base, &mut self.pool, ALL)
    }

    fn range(&self, from: u32, to: u32) -> Range {
        Range::new(self.base.add(from), self.base.add(to))
    }

    /// Held ranges, relative.
    fn ranges(&self) -> Vec<(u32, u32)> {
        self.held.ranges().map(|r| (r.start.since(self.base), r.end.since(self.base))).collect()
    }

    fn take(&mut self, rcv_nxt: u32) -> Option<(Vec<u8>, u32)> {
        let (list, end) = self.held.take(self.base.add(rcv_nxt), &mut self.pool)?;
        Some((bytes(list, &mut self.pool), end.since(self.base)))
    }
}

#[test]
fn segments_in_any_order_come_out_in_order_without_a_copy() {
    let mut host = Host::new(u32::MAX - 1500);
    let blocks: [Msg; 3] =
        core::array::from_fn(|n| host.pool.copy_from(0, &[n as u8 + 1; 1000]).unwrap());
    let places = blocks.each_ref().map(|msg| msg.first().as_ptr());
    let before = host.pool.stats();
    for (n, msg) in blocks.into_iter().enumerate().rev() {
        let at = host.base.add(1000 + 1000 * n as u32);
        let done = host.held.insert(at, msg, host.base, &mut host.pool, ALL);
        assert_eq!((done.taken, done.duplicate, done.refused), (1000, None, None));
    }
    assert_eq!((host.ranges(), host.held.len()), (Vec::from([(1000, 4000)]), 3000));
    assert!(host.take(999).is_none());
    let (list, end) = host.held.take(host.base.add(1000), &mut host.pool).unwrap();
    let found = Vec::from_iter(list.iter().map(|msg| msg.first().as_ptr()));
    assert_eq!((&found[..], end), (&places[..], host.base.add(4000)));
    assert_eq!(bytes(list, &mut host.pool), [[1; 1000], [2; 1000], [3; 1000]].concat());
    let after = host.pool.stats();
    assert_eq!(after.copied_bytes, before.copied_bytes);
    assert_eq!(after.compacted_bytes, before.compacted_bytes);
    assert!(host.held.is_empty() && host.held.truesize() == 0);
    assert_eq!(cells(after), [0; 5]);
}

#[test]
fn what_came_first_stays_where_segments_overlap() {
    let mut host = Host::new(7);
    host.insert(10, b"first");
    let done = host.insert(8, b"SECONDSECOND");
    assert_eq!((done.taken, done.duplicate), (7, Some(host.range(10, 15))));
    assert_eq!(host.take(8), Some((b"SEfirstECOND".to_vec(), 20)));
}

#[test]
fn a_segment_that_fills_two_gaps_joins_three_runs() {
    let mut host = Host::new(0);
    for at in [10, 20, 30] {
        host.insert(at, b"abcde");
    }
    let done = host.insert(12, &[b'x'; 20]);
    assert_eq!((done.taken, done.duplicate), (10, Some(host.range(12, 15))));
    assert_eq!(host.ranges(), [(10, 35)]);
    assert_eq!(host.take(10), Some((b"abcdexxxxxabcdexxxxxabcde".to_vec(), 35)));
    assert_eq!(cells(host.pool.stats()), [0; 5]);
}

#[test]
fn repetitions_are_told_for_a_d_sack_rfc2883_4() {
    let mut host = Host::new(100);
    host.insert(10, b"0123456789");
    let all = host.insert(12, b"234");
    assert_eq!((all.taken, all.duplicate), (0, Some(host.range(12, 15))));
    let msg = host.pool.copy_from(0, b"old").unwrap();
    let old = host.held.insert(host.base.sub(3), msg, host.base, &mut host.pool, ALL);
    assert_eq!((old.taken, old.duplicate), (0, Some(Range::new(host.base.sub(3), host.base))));
    assert_eq!(host.held.len(), 10);
    host.held.clear(&mut host.pool);
    assert_eq!(cells(host.pool.stats()), [0; 5]);
}

#[test]
fn the_latest_arrival_is_the_first_sack_block_rfc2018_4() {
    let mut host = Host::new(0);
    let mut out = [Range::default(); 4];
    assert_eq!(host.held.blocks(&mut out), 0);
    for at in [50, 10, 30, 20, 40] {
        host.insert(at, b"ab");
    }
    assert_eq!(host.held.blocks(&mut out), 4);
    assert_eq!(out, [(40, 42), (20, 22), (30, 32), (10, 12)].map(|(a, b)| host.range(a, b)));
    // Data that is here already comes again.
    host.insert(30, b"a");
    // A gap is filled: two blocks become one.
    host.insert(12, b"cccccccc");
    assert_eq!(host.held.blocks(&mut out), 3);
    assert_eq!(out[..3], [(10, 22), (30, 32), (40, 42)].map(|(a, b)| host.range(a, b)));
    assert_eq!(host.take(10).map(|(_, end)| end), Some(22));
    assert_eq!(host.held.blocks(&mut out), 2);
    host.held.clear(&mut host.pool);
    assert_eq!(host.held.blocks(&mut out), 0);
}

#[test]
fn data_that_came_in_order_meanwhile_is_not_given_twice() {
    let mut host = Host::new(0);
    host.insert(10, b"abc");
    host.insert(20, b"defghi");
    assert_eq!(host.take(22), Some((b"fghi".to_vec(), 26)));
    assert!(host.held.is_empty() && host.held.truesize() == 0);
}

#[test]
fn memory_has_a_limit_and_a_repetition_is_told_beyond_it() {
    let mut host = Host::new(0);
    host.insert(10, &[1; 1000]);
    let limit = host.held.truesize();
    let again = |host: &mut Host, at| {
        let msg = host.pool.copy_from(0, &[2; 100]).unwrap();
        host.held.insert(Seq(at), msg, Seq(0), &mut host.pool, limit)
    };
    assert_eq!(again(&mut host, 2000).refused, Some(Refused::Memory));
    let done = again(&mut host, 100);
    assert_eq!((done.refused, done.duplicate), (None, Some(host.range(100, 200))));
    assert_eq!(host.held.truesize(), limit);
}

#[test]
fn a_small_piece_does_not_hold_a_large_cell() {
    let mut host = Host::new(0);
    let mut msg = host.pool.copy_from(0, &[7; 30_000]).unwrap();
    msg.trim_front(29_999);
    host.held.insert(Seq(5), msg, Seq(0), &mut host.pool, ALL);
    assert!(host.held.truesize() < 500, "{}", host.held.truesize());
    assert_eq!(host.pool.stats().compacted_bytes, 1);
    host.held.clear(&mut host.pool);
}

#[test]
fn pruning_takes_the_far_end_first() {
    let mut host = Host::new(0);
    for at in [10, 30] {
        for n in 0..5 {
            host.insert(1000 * (at + n), &[n as u8; 1000]);
        }
    }
    let before = host.held.truesize();
    let each = (before - 2 * RUN) / 10;
    assert_eq!(host.held.prune(before, &mut host.pool), 0);
    assert_eq!(host.held.prune(before - 1, &mut host.pool), 1000);
    assert_eq!(host.ranges(), [(10_000, 15_000), (30_000, 34_000)]);
    assert_eq!(host.held.prune(each * 6 + RUN, &mut host.pool), 4000);
    assert_eq!(host.ranges(), [(10_000, 15_000)]);
    let mut out = [Range::default(); 4];
    assert_eq!((host.held.blocks(&mut out), out[0]), (1, host.range(10_000, 15_000)));
    assert_eq!(host.held.prune(each * 2 + RUN, &mut host.pool), 3000);
    assert_eq!((host.held.blocks(&mut out), out[0]), (1, host.range(10_000, 12_000)));
    assert_eq!(host.held.prune(0, &mut host.pool), 2000);
    assert_eq!((host.held.blocks(&mut out), host.held.truesize()), (0, 0));
    assert_eq!(cells(host.pool.stats()), [0; 5]);
}

#[test]
fn without_windows_to_cut_with_what_is_joined_stays_whole() {
    let mut host = Host::new(0);
    for at in [10, 20, 30] {
        host.insert(at, b"abcde");
    }
    for nth in 1..=2 {
        let msg = host.pool.copy_from(0, &[b'x'; 25]).unwrap();
        host.pool.fail_nth(nth);
        let done = host.held.insert(Seq(8), msg, Seq(0), &mut host.pool, ALL);
        host.pool.fail_none();
        assert_eq!(done.refused, Some(Refused::NoMem), "{nth}");
    }
    assert_eq!(host.ranges(), [(8, 15), (20, 25), (30, 35)]);
    assert_eq!(host.held.len(), 17);
    assert_eq!(host.take(8).map(|(bytes, _)| bytes), Some(b"xxabcde".to_vec()));
    host.held.clear(&mut host.pool);
    assert_eq!(cells(host.pool.stats()), [0; 5]);
}

/// One connection gets 20,000 segments of one byte at `place(n)`; returns the truesize it reached
/// and the steps.
fn smack(pool: &mut Pool, limit: u32, place: impl Fn(u32) -> u32) -> (u32, usize) {
    let mut held = Reassembly::default();
    let mut most = 0;
    for n in 0..20_000 {
        let msg = pool.copy_from(0, &[n as u8]).unwrap();
        held.insert(Seq(place(n)), msg, Seq(0), pool, limit);
        most = most.max(held.truesize());
    }
    assert!(held.runs.len() <= RUNS_MAX);
    held.clear(pool);
    (most, held.steps)
}

#[test]
fn twenty_thousand_single_bytes_cost_linear_time_and_bounded_memory() {
    let config = PoolConfig { small: 4096, ..PoolConfig::TINY };
    let mut pool = Pool::new(config);
    let scattered = |n: u32| 2 + n.wrapping_mul(7919) % 20_011 * 2;
    let limit = 256 * 1024;
    for place in [&(|n: u32| 2 + 2 * n) as &dyn Fn(u32) -> u32, &|n| 40_002 - 2 * n, &scattered] {
        let (most, steps) = smack(&mut pool, limit, place);
        assert!(most <= limit, "{most}");
        assert!(steps < 20_000 * (RUNS_MAX / 2 + 22), "{steps}");
    }
    // Without gaps there is nothing to search.
    for place in [&(|n: u32| 1 + n) as &dyn Fn(u32) -> u32, &|n| 20_000 - n] {
        let (most, steps) = smack(&mut pool, 4 * limit, place);
        assert!(most <= 4 * limit && steps < 20_000 * 4, "{most} {steps}");
    }
    assert_eq!(cells(pool.stats()), [0; 5]);
}

#[test]
fn ten_thousand_connections_hold_no_more_than_the_sum_of_their_limits() {
    const LIMIT: u32 = 4096;
    let config = PoolConfig { small: 10_000 * LIMIT as usize / 384 + 1, ..PoolConfig::TINY };
    let mut pool = Pool::new(config);
    let mut all: Vec<Reassembly> = (0..10_000).map(|_| Reassembly::default()).collect();
    for n in 0..20 {
        for held in &mut all {
            let msg = pool.copy_from(0, &[n as u8]).unwrap();
            held.insert(Seq(1 + 2 * n), msg, Seq(0), &mut pool, LIMIT);
        }
    }
    let sum: u32 = all.iter().map(Reassembly::truesize).sum();
    assert!(sum <= 10_000 * LIMIT, "{sum}");
    assert!(pool.stats().small.out * 384 <= sum as usize);
    for held in &mut all {
        held.clear(&mut pool);
    }
    assert_eq!(cells(pool.stats()), [0; 5]);
}

#[derive(Clone, Debug)]
enum Step {
    Insert { at: u32, len: usize, fill: u8 },
    Advance { n: u32 },
    Prune { keep: u32 },
}

fn step() -> impl Strategy<Value = Step> {
    let insert = (0_u32..600, 0_usize..120, any::<u8>());
    prop_oneof![
        8 => insert.prop_map(|(at, len, fill)| Step::Insert { at, len, fill }),
        2 => (0_u32..120).prop_map(|n| Step::Advance { n }),
        1 => (0_u32..5000).prop_map(|keep| Step::Prune { keep }),
    ]
}

/// What came first for each octet.
type Model = Vec<Option<u8>>;

fn model_ranges(model: &Model) -> Vec<(u32, u32)> {
    let mut ranges: Vec<(u32, u32)> = Vec::new();
    for (at, _) in model.iter().enumerate().filter(|(_, octet)| octet.is_some()) {
        let at = at as u32;
        match ranges.last_mut() {
            Some((_, end)) if *end == at => *end = at + 1,
            _ => ranges.push((at, at + 1)),
        }
    }
    ranges
}

proptest! {
    #[test]
    fn reassembly_agrees_with_an_array(base: u32, steps in prop::collection::vec(step(), 1..60)) {
        let mut host = Host::new(base);
        let mut model: Model = alloc::vec![None; 10_000];
        let mut nxt = 0_u32;
        for step in steps {
            match step {
                Step::Insert { at, len, fill } => {
                    // From a bit before the next octet on.
                    let at = (nxt + at).saturating_sub(50);
                    let content = Vec::from_iter((0..len).map(|n| fill.wrapping_add(n as u8)));
                    let msg = host.pool.copy_from(0, &content).unwrap();
                    let rcv_nxt = host.base.add(nxt);
                    let seq = host.base.add(at);
                    let done = host.held.insert(seq, msg, rcv_nxt, &mut host.pool, ALL);
                    let mut taken = 0;
                    let mut known = Vec::new();
                    for (n, octet) in content.into_iter().enumerate() {
                        let place = at + n as u32;
                        if place >= nxt && model[place as usize].is_none() {
                            model[place as usize] = Some(octet);
                            taken += 1;
                        } else {
                            known.push(place);
                        }
                    }
                    prop_assert_eq!((done.taken, done.refused), (taken, None));
                    let run = known.iter().zip(known.first().copied().unwrap_or(0)..);
                    let run = run.take_while(|(place, n)| **place == *n).count() as u32;
                    let expected = known.first().map(|first| host.range(*first, first + run));
                    prop_assert_eq!(done.duplicate, expected);
                }
                Step::Advance { n } => {
                    // Octets came in order, over those that are held.
                    nxt += n;
                    let got = host.take(nxt);
                    model[..nxt as usize].fill(None);
                    let expected: Vec<u8> =
                        model[nxt as usize..].iter().map_while(|octet| *octet).collect();
                    let end = nxt + expected.len() as u32;
                    if expected.is_empty() {
                        prop_assert_eq!(got, None);
                    } else {
                        prop_assert_eq!(got, Some((expected, end)));
                    }
                    model[..end as usize].fill(None);
                    nxt = end;
                }
                Step::Prune { keep } => {
                    host.held.prune(keep, &mut host.pool);
                    prop_assert!(host.held.truesize() <= keep);
                    let end = host.ranges().last().map_or(0, |last| last.1);
                    model[end as usize..].fill(None);
                }
            }
            prop_assert_eq!(host.ranges(), model_ranges(&model));
            let held = model.iter().flatten().count();
            prop_assert_eq!(host.held.len() as usize, held);
            let mut out = [Range::default(); 4];
            let blocks = host.held.blocks(&mut out);
            prop_assert!((blocks == 0) <= host.held.is_empty() || held > 0);
            for block in &out[..blocks] {
                let found = host.held.ranges().any(|range| range == *block);
                prop_assert!(found, "{:?} of {:?}", block, host.ranges());
            }
        }
        host.held.clear(&mut host.pool);
        prop_assert_eq!(cells(host.pool.stats()), [0; 5]);
    }
}
