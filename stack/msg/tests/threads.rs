//! Messages that live and die on other threads than the pool's. Run under ASan and TSan too.

use millstream_msg::{Free, Msg, Pool, PoolConfig, PoolStats};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Barrier, mpsc};
use std::thread;

const ROUNDS: usize = if cfg!(debug_assertions) { 20_000 } else { 200_000 };

fn out(pool: &mut Pool) -> usize {
    pool.run_deferred();
    let PoolStats { small, frame, large, bare, external, .. } = pool.stats();
    small.out + frame.out + large.out + bare.out + external.out
}

#[test]
fn messages_are_dropped_on_other_threads_while_the_owner_allocates() {
    let mut pool = Pool::new(PoolConfig { small: 100, bare: 200, ..PoolConfig::TINY });
    thread::scope(|scope| {
        let ends: Vec<_> = (0..2)
            .map(|_| {
                let (end, messages) = mpsc::sync_channel::<Msg>(20);
                scope.spawn(move || {
                    for (i, msg) in (0_u32..).zip(messages) {
                        assert!(msg.first().iter().all(|&b| b == msg.stamp() as u8));
                        if i.is_multiple_of(3) {
                            drop(msg.into_bytes());
                        }
                    }
                });
                end
            })
            .collect();
        let mut sent = 0;
        while sent < ROUNDS {
            let Ok(mut msg) = pool.alloc(32, 100) else {
                thread::yield_now();
                continue;
            };
            msg.append(&mut pool, &[sent as u8; 100]).unwrap();
            msg.set_stamp(sent as u32);
            match msg.dup(&mut pool) {
                Ok(dup) => ends[1].send(dup).unwrap(),
                Err(_) => thread::yield_now(),
            }
            ends[0].send(msg).unwrap();
            sent += 1;
        }
    });
    assert_eq!(out(&mut pool), 0);
}

#[test]
fn unique_block_is_written_after_another_thread_has_read_its_duplicate() {
    let mut pool = Pool::new(PoolConfig::TINY);
    let (end, messages) = mpsc::sync_channel::<Msg>(4);
    thread::scope(|scope| {
        scope.spawn(move || {
            for msg in messages {
                let first = msg.first()[0];
                assert!(msg.first().iter().all(|&b| b == first), "written while shared");
            }
        });
        let mut msg = pool.copy_from(0, &[0; 200]).unwrap();
        for round in 0..ROUNDS {
            match msg.first_mut() {
                Some(bytes) => bytes.fill(round as u8),
                None => thread::yield_now(),
            }
            if let Ok(dup) = msg.dup(&mut pool) {
                end.send(dup).unwrap();
            }
        }
        drop(end);
        pool.free(msg);
    });
    assert_eq!(out(&mut pool), 0);
}

#[test]
fn pool_is_dropped_while_messages_are_out_on_two_threads() {
    for round in 0..200 {
        let mut pool = Pool::new(PoolConfig::TINY);
        let start = Barrier::new(3);
        let mut make = || -> Vec<Msg> {
            (0..20)
                .flat_map(|i| {
                    let msg = pool.copy_from(0, &[i; 100]).unwrap();
                    [msg.dup(&mut pool).unwrap(), msg]
                })
                .collect()
        };
        let (ours, theirs) = (make(), make());
        thread::scope(|scope| {
            for messages in [ours, theirs] {
                let start = &start;
                scope.spawn(move || {
                    start.wait();
                    for msg in messages {
                        assert_eq!(msg.len(), 100);
                        drop(msg);
                    }
                });
            }
            start.wait();
            (0..round % 20).for_each(|_| std::hint::spin_loop());
            drop(pool);
        });
    }
}

#[test]
fn free_routine_runs_exactly_once_under_racing_drops() {
    static CALLS: AtomicU32 = AtomicU32::new(0);
    fn count(memory: *mut ()) {
        // SAFETY: the test passes a box of this type, given away once.
        drop(unsafe { Box::from_raw(memory.cast::<[u8; 64]>()) });
        CALLS.fetch_add(1, Ordering::Relaxed);
    }
    let mut pool = Pool::new(PoolConfig::TINY);
    for round in 1..=1000 {
        let memory = Box::into_raw(Box::new([7_u8; 64]));
        let free = Free::Fn(count, memory.cast());
        // SAFETY: the box is given away; its routine frees it.
        let msg = unsafe { pool.wrap_raw(memory.cast(), 64, free) }.unwrap();
        let dups = [msg.dup(&mut pool).unwrap(), msg.dup(&mut pool).unwrap()];
        let start = Barrier::new(3);
        thread::scope(|scope| {
            for dup in dups {
                let start = &start;
                scope.spawn(move || {
                    start.wait();
                    assert_eq!(dup.first(), [7; 64]);
                    drop(dup);
                });
            }
            start.wait();
            pool.free(msg);
        });
        pool.run_deferred();
        assert_eq!(CALLS.load(Ordering::Relaxed), round);
    }
    assert_eq!(out(&mut pool), 0);
}

#[test]
fn pool_frees_messages_of_another_pool() {
    let (mut ours, mut theirs) = (Pool::new(PoolConfig::TINY), Pool::new(PoolConfig::TINY));
    let msg = theirs.copy_from(0, b"theirs").unwrap();
    let mut dup = msg.dup(&mut ours).unwrap();
    let more = ours.copy_from(0, b"ours").unwrap();
    dup.link(more);
    theirs.free(dup);
    ours.free(msg);
    assert_eq!((out(&mut ours), out(&mut theirs)), (0, 0));
}
