//! Tests of the send queue, among them one against a vector.

use super::*;
use alloc::vec::Vec;
use millstream_msg::{PoolConfig, PoolStats};
use proptest::prelude::*;

fn cells(stats: PoolStats) -> [usize; 5] {
    [stats.small, stats.frame, stats.large, stats.bare, stats.external].map(|counts| counts.out)
}

fn bytes(msg: &Msg) -> Vec<u8> {
    let mut out = alloc::vec![0; msg.len()];
    msg.copy_out(0, &mut out);
    out
}

/// A message of `blocks` blocks of `len` bytes, which count up from `first`; each block has its
/// own cell and no room behind.
fn message(pool: &mut Pool, first: u8, len: usize, blocks: usize) -> Msg {
    let mut whole: Option<Msg> = None;
    for n in 0..blocks {
        let from = first.wrapping_add((n * len) as u8);
        let content = Vec::from_iter((0..len).map(|i| from.wrapping_add(i as u8)));
        let block = pool.copy_from(0, &content).unwrap();
        match &mut whole {
            Some(whole) => whole.link(block),
            None => whole = Some(block),
        }
    }
    whole.unwrap()
}

#[test]
fn a_slice_is_a_window_on_the_blocks_of_the_application() {
    let mut pool = Pool::new(PoolConfig::TINY);
    let mut queue = SendQueue::new(Seq(u32::MAX - 10));
    let msg = message(&mut pool, 0, 1000, 3);
    let places = Vec::from_iter(msg.blocks().map(|block| block.as_ptr()));
    queue.append(msg, &mut pool);
    let before = pool.stats().copied_bytes;
    let slice = queue.slice(&mut pool, queue.una().add(500), 2000).unwrap();
    let found = Vec::from_iter(slice.blocks().map(|block| (block.as_ptr(), block.len())));
    let expected = [(places[0].wrapping_add(500), 500), (places[1], 1000), (places[2], 500)];
    assert_eq!(found, expected);
    assert_eq!(pool.stats().copied_bytes, before);
    pool.free(slice);
    assert_eq!(queue.ack(queue.end(), &mut pool), 3000);
    assert_eq!(cells(pool.stats()), [0; 5]);
}

#[test]
fn an_acknowledgement_inside_a_block_frees_the_blocks_before() {
    let mut pool = Pool::new(PoolConfig::TINY);
    let mut queue = SendQueue::new(Seq(1));
    let msg = message(&mut pool, 0, 1000, 3);
    queue.append(msg, &mut pool);
    let each = queue.truesize() / 3;
    assert_eq!(queue.ack(Seq(1001), &mut pool), 1000);
    assert_eq!((queue.truesize(), queue.len()), (2 * each, 2000));
    assert_eq!(queue.ack(Seq(1501), &mut pool), 500);
    assert_eq!((queue.truesize(), queue.una()), (2 * each, Seq(1501)));
    queue.reset(Seq(7), &mut pool);
    assert_eq!((queue.truesize(), queue.len(), queue.una()), (0, 0, Seq(7)));
}

#[test]
fn acknowledgement_of_syn_fin_and_old_octets_frees_nothing_more() {
    let mut pool = Pool::new(PoolConfig::TINY);
    let mut queue = SendQueue::new(Seq(1));
    let msg = message(&mut pool, 0, 10, 1);
    queue.append(msg, &mut pool);
    assert_eq!(queue.ack(Seq(1), &mut pool), 0);
    assert_eq!(queue.ack(Seq(0), &mut pool), 0);
    assert_eq!(queue.ack(Seq(12), &mut pool), 10, "11 is the FIN");
    assert!(queue.is_empty() && queue.end() == Seq(11));
}

#[test]
fn a_thousand_single_bytes_share_cells_and_are_counted_as_compaction() {
    let mut pool = Pool::new(PoolConfig::TINY);
    let mut queue = SendQueue::new(Seq(0));
    for n in 0..1000_u32 {
        let msg = message(&mut pool, n as u8, 1, 1);
        queue.append(msg, &mut pool);
    }
    assert_eq!(queue.len(), 1000);
    assert!(queue.truesize() < 5 * 384, "{}", queue.truesize());
    let made = pool.stats().copied_bytes;
    assert!(pool.stats().compacted_bytes > 990);
    let slice = queue.slice(&mut pool, Seq(0), 1000).unwrap();
    assert_eq!(bytes(&slice), Vec::from_iter((0..1000).map(|n| n as u8)));
    assert_eq!(pool.stats().copied_bytes, made);
    pool.free(slice);
    queue.reset(Seq(0), &mut pool);
    assert_eq!(cells(pool.stats()), [0; 5]);
}

#[test]
fn a_block_in_flight_is_not_written_behind() {
    let mut pool = Pool::new(PoolConfig::TINY);
    let mut queue = SendQueue::new(Seq(0));
    let first = message(&mut pool, 0, 1, 1);
    queue.append(first, &mut pool);
    let flying = queue.slice(&mut pool, Seq(0), 1).unwrap();
    let second = message(&mut pool, 1, 1, 1);
    queue.append(second, &mut pool);
    assert_eq!(pool.stats().compacted_bytes, 0);
    pool.free(flying);
    queue.reset(Seq(0), &mut pool);
}

#[test]
fn each_message_ends_with_a_push() {
    let mut pool = Pool::new(PoolConfig::TINY);
    let mut queue = SendQueue::new(Seq(0));
    for _ in 0..2 {
        let msg = message(&mut pool, 0, 500, 2);
        queue.append(msg, &mut pool);
    }
    let pushes = |from, to| queue.pushes(Range::new(Seq(from), Seq(to)));
    assert!(!pushes(0, 999) && pushes(0, 1000) && pushes(999, 1001));
    assert!(!pushes(1000, 1999) && pushes(1999, 2000) && pushes(0, 1500) && !pushes(3, 3));
    queue.reset(Seq(0), &mut pool);
}

#[test]
fn a_slice_without_memory_leaves_nothing_over() {
    let mut pool = Pool::new(PoolConfig::TINY);
    let mut queue = SendQueue::new(Seq(0));
    let msg = message(&mut pool, 0, 100, 4);
    queue.append(msg, &mut pool);
    let before = cells(pool.stats());
    for nth in 1..=4 {
        pool.fail_nth(nth);
        assert!(queue.slice(&mut pool, Seq(0), 400).is_err());
        pool.fail_none();
        assert_eq!(cells(pool.stats()), before);
    }
    queue.reset(Seq(0), &mut pool);
}

#[test]
fn what_is_not_acknowledged_can_be_taken_elsewhere() {
    let mut pool = Pool::new(PoolConfig::TINY);
    let mut queue = SendQueue::new(Seq(0));
    let msg = message(&mut pool, 0, 100, 2);
    queue.append(msg, &mut pool);
    queue.ack(Seq(30), &mut pool);
    let mut list = queue.take();
    assert!(queue.is_empty() && queue.una() == Seq(200) && queue.truesize() == 0);
    let mut all = Vec::new();
    while let Some(msg) = list.pop() {
        all.extend(bytes(&msg));
        pool.free(msg);
    }
    assert_eq!(all, Vec::from_iter(30..200));
}

#[derive(Clone, Debug)]
enum Step {
    Append { len: usize, blocks: usize },
    Slice { from: u32, len: u32 },
    Ack { n: u32 },
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        (0_usize..600, 1_usize..5).prop_map(|(len, blocks)| Step::Append { len, blocks }),
        (0_u32..4000, 1_u32..4000).prop_map(|(from, len)| Step::Slice { from, len }),
        (0_u32..2000).prop_map(|n| Step::Ack { n }),
    ]
}

proptest! {
    #[test]
    fn the_queue_agrees_with_a_vector(first: u32, steps in prop::collection::vec(step(), 1..60)) {
        let mut pool = Pool::new(PoolConfig::TINY);
        let mut queue = SendQueue::new(Seq(first));
        let mut model: Vec<u8> = Vec::new();
        let mut written = 0_u8;
        for step in steps {
            let len = model.len() as u32;
            match step {
                Step::Append { len, blocks } if pool.stats().frame.out < 200 => {
                    let msg = message(&mut pool, written, len, blocks);
                    written = written.wrapping_add((len * blocks) as u8);
                    model.extend(bytes(&msg));
                    queue.append(msg, &mut pool);
                }
                Step::Slice { from, len: wanted } if len > 0 => {
                    let from = from % len;
                    let wanted = wanted.min(len - from);
                    let slice = queue.slice(&mut pool, queue.una().add(from), wanted).unwrap();
                    let expected = &model[from as usize..(from + wanted) as usize];
                    prop_assert_eq!(&bytes(&slice)[..], expected);
                    pool.free(slice);
                }
                Step::Ack { n } => {
                    let n = n.min(len);
                    prop_assert_eq!(queue.ack(queue.una().add(n), &mut pool), n);
                    model.drain(..n as usize);
                }
                _ => {}
            }
            prop_assert_eq!(queue.len() as usize, model.len());
            let held: usize = queue.chunks.iter().map(|chunk| chunk.msg.truesize()).sum();
            prop_assert_eq!(queue.truesize() as usize, held);
        }
        let mut list = queue.take();
        let mut all = Vec::new();
        while let Some(msg) = list.pop() {
            all.extend(bytes(&msg));
            pool.free(msg);
        }
        prop_assert_eq!(all, model);
        prop_assert_eq!(cells(pool.stats()), [0; 5]);
    }
}
