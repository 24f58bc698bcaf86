//! Records cut and joined: what comes out, and what it costs.

use super::*;
use millstream_msg::PoolConfig;
use proptest::prelude::*;
use std::vec::Vec;

const SMALL: Limits = Limits { record: 1000, fragments: 50, empty: 5 };

fn pool() -> Pool {
    Pool::new(PoolConfig { small: 4096, frame: 4096, bare: 4096, ..PoolConfig::TINY })
}

fn bytes(msg: &Msg) -> Vec<u8> {
    let mut out = std::vec![0; msg.len()];
    msg.copy_out(0, &mut out);
    out
}

/// The records in some messages, and what stopped it.
fn records(
    marking: &mut Marking,
    pool: &mut Pool,
    messages: impl IntoIterator<Item = Msg>,
) -> Result<Vec<Vec<u8>>, Stop> {
    let mut out = Vec::new();
    for msg in messages {
        let mut input = Some(msg);
        loop {
            match marking.step(&mut input, pool) {
                Ok(Found::Here(len)) => {
                    let msg = input.as_mut().unwrap();
                    out.push(bytes(msg)[..len].to_vec());
                    msg.trim_front(len);
                }
                Ok(Found::Joined(record)) => {
                    out.push(bytes(&record));
                    pool.spend(record);
                }
                Ok(Found::More) => break,
                Err(stop) => {
                    spend(input, pool);
                    spend(marking.clear(), pool);
                    return Err(stop);
                }
            }
        }
        assert!(input.is_none());
    }
    Ok(out)
}

/// Fragments of a record: those of `sizes`, then the rest as the last one.
fn fragments(record: &[u8], sizes: &[usize]) -> Vec<u8> {
    let (mut out, mut rest) = (Vec::new(), record);
    for size in sizes {
        let (fragment, behind) = rest.split_at((*size).min(rest.len()));
        out.extend(mark(fragment.len() as u32, false));
        out.extend(fragment);
        rest = behind;
    }
    out.extend(mark(rest.len() as u32, true));
    out.extend(rest);
    out
}

fn sent(wire: &[u8], step: usize, pool: &mut Pool) -> Vec<Msg> {
    wire.chunks(step).map(|piece| pool.copy_from(0, piece).unwrap()).collect()
}

#[test]
fn many_records_of_one_message_stay_where_they_are() {
    let (mut pool, mut marking) = (pool(), Marking::new(SMALL));
    let wire: Vec<u8> = (0..20u8).flat_map(|n| fragments(&[n; 40], &[])).collect();
    let msg = pool.copy_from(0, &wire).unwrap();
    let at = msg.first().as_ptr();
    let mut input = Some(msg);
    for n in 0..20 {
        assert!(matches!(marking.step(&mut input, &mut pool), Ok(Found::Here(40))));
        let msg = input.as_mut().unwrap();
        assert_eq!(msg.first()[..40], [n as u8; 40]);
        assert_eq!(msg.first().as_ptr(), at.wrapping_add(44 * n + 4), "not copied");
        msg.trim_front(40);
    }
    assert!(matches!(marking.step(&mut input, &mut pool), Ok(Found::More)));
    assert!(!marking.is_within() && pool.stats().bare.out == 0);
}

#[test]
fn fragments_of_one_octet_and_empty_ones_are_joined_without_a_copy() {
    let (mut pool, mut marking) = (pool(), Marking::new(SMALL));
    let record: Vec<u8> = (0..40).collect();
    let mut sizes = [1; 39].to_vec();
    sizes.extend([0, 0]);
    let wire = fragments(&record, &sizes);
    let msg = pool.copy_from(0, &wire).unwrap();
    let before = pool.stats();
    let got = records(&mut marking, &mut pool, [msg]).unwrap();
    assert_eq!(got, [record]);
    let after = pool.stats();
    assert_eq!(after.copied_bytes, before.copied_bytes);
    assert_eq!(after.compacted_bytes, before.compacted_bytes);
}

#[test]
fn a_record_that_comes_octet_by_octet_takes_memory_in_proportion_to_its_length() {
    let mut pool = Pool::new(PoolConfig { frame: 512, small: 512, ..PoolConfig::TINY });
    let mut marking = Marking::new(Limits::DEFAULT);
    let wire = fragments(&[7; 20_000], &[]);
    for octet in &wire[..20_000] {
        // In the cell of a frame, as a driver gives it.
        let mut msg = pool.alloc(0, 1500).unwrap();
        msg.spare_mut()[0] = *octet;
        msg.commit(1);
        let mut input = Some(msg);
        assert!(matches!(marking.step(&mut input, &mut pool), Ok(Found::More)));
        assert!(pool.stats().frame.out <= FRESH_MAX);
    }
    assert!(pool.stats().small.out <= 20_000 / FRESH_MAX + 1);
    let last = sent(&wire[20_000..], 1, &mut pool);
    assert_eq!(records(&mut marking, &mut pool, last).unwrap(), [[7; 20_000]]);
    assert_eq!(pool.stats().copied_bytes, 4, "the last four, by the test");
}

#[test]
fn a_mark_of_2_gib_is_refused_before_an_octet_of_it_has_come() {
    let (mut pool, mut marking) = (pool(), Marking::new(Limits::DEFAULT));
    let msg = pool.copy_from(0, &[0x7f, 0xff, 0xff, 0xff]).unwrap();
    let stop = records(&mut marking, &mut pool, [msg]).unwrap_err();
    assert_eq!(stop, Stop::Fault(Fault::TooLong(0x7fff_ffff)));
    let msg = pool.copy_from(0, &[0xff; 4]).unwrap();
    let stop = records(&mut marking, &mut pool, [msg]).unwrap_err();
    assert_eq!(stop, Stop::Fault(Fault::TooLong(0x7fff_ffff)), "the last one too");
}

#[test]
fn fragments_that_are_too_many_together_too_long_or_empty_for_ever_are_refused() {
    let (mut pool, mut marking) = (pool(), Marking::new(SMALL));
    let mut stop = |one: &[u8], times: usize| {
        let wire = one.repeat(times);
        let pieces = sent(&wire, 500, &mut pool);
        let stopped = records(&mut marking, &mut pool, pieces).map(|got| got.len());
        marking.clear().into_iter().for_each(|held| pool.spend(held));
        stopped
    };
    let fragment = |len: u32| [&mark(len, false)[..], &std::vec![9; len as usize]].concat();
    assert_eq!(stop(&fragment(100), 10), Ok(0));
    assert_eq!(stop(&fragment(100), 11), Err(Stop::Fault(Fault::TooLong(1100))));
    assert_eq!(stop(&fragment(1), 50), Ok(0));
    assert_eq!(stop(&fragment(1), 51), Err(Stop::Fault(Fault::Fragments)));
    assert_eq!(stop(&fragment(0), 5), Ok(0));
    assert_eq!(stop(&fragment(0), 6), Err(Stop::Fault(Fault::Empty)));
}

#[test]
fn without_memory_to_cut_the_step_can_be_tried_again() {
    let (mut pool, mut marking) = (pool(), Marking::new(SMALL));
    let wire = [fragments(&[1; 100], &[30, 30]), fragments(&[2; 100], &[])].concat();
    let mut input = Some(pool.copy_from(0, &wire).unwrap());
    pool.fail_nth(1);
    assert!(matches!(marking.step(&mut input, &mut pool), Err(Stop::NoMem)));
    pool.fail_nth(2);
    assert!(matches!(marking.step(&mut input, &mut pool), Err(Stop::NoMem)));
    pool.fail_none();
    let rest = input.take();
    let got = records(&mut marking, &mut pool, rest).unwrap();
    assert_eq!(got, [[1; 100], [2; 100]]);
}

proptest! {
    #[test]
    fn records_come_out_as_they_went_in_however_they_are_cut(
        lens in proptest::collection::vec(0usize..300, 1..6),
        sizes in proptest::collection::vec(0usize..40, 0..8),
        step in 1usize..700,
        turn_back in any::<bool>(),
    ) {
        let mut pool = pool();
        let limits = Limits { empty: 100, ..SMALL };
        let mut marking = Marking::new(limits);
        let want: Vec<Vec<u8>> =
            lens.iter().enumerate().map(|(n, len)| std::vec![n as u8 + 1; *len]).collect();
        let wire: Vec<u8> = want.iter().flat_map(|record| fragments(record, &sizes)).collect();
        let mut got = Vec::new();
        for msg in sent(&wire, step, &mut pool) {
            if turn_back {
                // The module leaves and another one comes: what was held goes through it.
                let held = marking.give_back(&mut pool).unwrap();
                prop_assert!(!marking.is_within());
                marking = Marking::new(limits);
                got.extend(records(&mut marking, &mut pool, held).unwrap());
            }
            got.extend(records(&mut marking, &mut pool, [msg]).unwrap());
        }
        prop_assert_eq!(got, want);
        prop_assert!(!marking.is_within());
        let stats = pool.stats();
        prop_assert_eq!((stats.small.out, stats.frame.out, stats.bare.out), (0, 0, 0));
    }
}
