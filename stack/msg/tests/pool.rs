//! The pool's limits: what may exist, what is kept in reserve, how full it says it is.

use millstream_msg::{Counts, Level, Msg, NoMem, Pool, PoolConfig};

#[test]
fn every_kind_ends_at_its_limit_and_memory_stays_within_the_written_sum() {
    let config = PoolConfig { reserve_256th: 0, ..PoolConfig::TINY };
    let mut pool = Pool::new(config);
    let mut held: Vec<Msg> = Vec::new();
    let mut exhaust = |pool: &mut Pool, make: &mut dyn FnMut(&mut Pool) -> Result<Msg, NoMem>| {
        while let Ok(msg) = make(pool) {
            held.push(msg);
        }
    };
    exhaust(&mut pool, &mut |pool| pool.alloc(0, 1));
    exhaust(&mut pool, &mut |pool| pool.alloc(0, 257));
    exhaust(&mut pool, &mut |pool| pool.alloc(0, 2000));
    exhaust(&mut pool, &mut |pool| pool.wrap_bytes(bytes::Bytes::from_static(b"lent")));
    let any = pool.stats();
    assert_eq!(any.refused, 4);
    let one = held[0].dup(&mut pool).unwrap();
    let mut dups = vec![];
    while let Ok(dup) = one.dup(&mut pool) {
        dups.push(dup);
    }
    let stats = pool.stats();
    let full = |limit| Counts { out: limit, made: limit, limit };
    assert_eq!(stats.small, full(config.small));
    assert_eq!(stats.frame, full(config.frame));
    assert_eq!(stats.large, full(config.large));
    assert_eq!(stats.bare, full(config.bare));
    assert_eq!(stats.external, full(config.external));
    assert!(stats.memory_bytes <= config.bytes());
    assert!(stats.memory_bytes * 10 > config.bytes() * 9, "the sum is not far off");
    assert_eq!(stats.refused, 5);
}

#[test]
fn memory_is_taken_as_it_is_needed() {
    let mut pool = Pool::new(PoolConfig::STACK);
    assert_eq!(pool.stats().memory_bytes, 0);
    let msg = pool.alloc(0, 100).unwrap();
    assert!(pool.stats().memory_bytes <= 64 * 1024);
    pool.free(msg);
}

#[test]
fn reserve_is_for_those_who_ask_for_it() {
    let mut pool = Pool::new(PoolConfig { small: 256, reserve_256th: 16, ..PoolConfig::TINY });
    let mut held: Vec<Msg> = std::iter::from_fn(|| pool.alloc(0, 1).ok()).collect();
    assert_eq!(held.len(), 240);
    held.extend(std::iter::from_fn(|| pool.alloc_reserve(0, 1).ok()));
    assert_eq!(held.len(), 256);
    held.truncate(245);
    assert!(pool.alloc(0, 1).is_err(), "what came back refills the reserve first");
    held.truncate(239);
    assert!(pool.alloc(0, 1).is_ok());
}

#[test]
fn level_is_that_of_the_fullest_kind_of_data_cell() {
    let mut pool = Pool::new(PoolConfig { large: 8, reserve_256th: 32, ..PoolConfig::TINY });
    let mut held = Vec::new();
    let mut levels = Vec::new();
    for _ in 0..7 {
        levels.push(pool.level());
        held.push(pool.alloc(0, 30_000).unwrap());
    }
    levels.push(pool.level());
    let (low, pressure) = (Level::Low, Level::Pressure);
    let expected = [low, low, low, low, pressure, pressure, pressure, Level::Max];
    assert_eq!(levels, expected);
    drop(held);
    assert_eq!(pool.level(), Level::Max, "not seen yet");
    pool.collect();
    assert_eq!(pool.level(), Level::Low);
}

#[test]
fn kind_that_may_not_exist_does_not_count_as_full() {
    let mut pool = Pool::new(PoolConfig { large: 0, ..PoolConfig::TINY });
    assert_eq!(pool.level(), Level::Low);
    assert!(pool.alloc(0, 30_000).is_err());
    assert_eq!(pool.stats().refused, 1);
}

#[test]
fn written_sums_are_those_of_the_comments() {
    const MIB: f64 = 1048576.0;
    assert_eq!(format!("{:.1}", PoolConfig::TINY.bytes() as f64 / MIB), "1.3");
    assert_eq!(format!("{:.1}", PoolConfig::STACK.bytes() as f64 / MIB), "127.3");
}

#[test]
fn cells_freed_elsewhere_are_found_when_a_list_is_empty() {
    let mut pool = Pool::new(PoolConfig { small: 3, reserve_256th: 0, ..PoolConfig::TINY });
    for _ in 0..100 {
        let msg = pool.alloc(0, 1).unwrap();
        std::thread::scope(|s| drop(s.spawn(move || drop(msg)).join()));
    }
    let stats = pool.stats();
    assert_eq!((stats.small.out, stats.refused), (0, 0));
}

#[test]
fn the_nth_allocation_fails_and_only_that_one() {
    let mut pool = Pool::new(PoolConfig::TINY);
    let warm: Vec<_> = (0..8).map(|_| pool.alloc(0, 10).unwrap()).collect();
    warm.into_iter().for_each(|msg| pool.free(msg));
    pool.fail_nth(3);
    let got: Vec<_> = (0..3).map(|_| pool.alloc(0, 10).is_ok()).collect();
    assert_eq!(got, [true, true, false]);
    assert!(pool.alloc_reserve(0, 10).is_ok());
    assert!(pool.copy_from(0, &[1; 5000]).is_ok());
    let seen = pool.fail_none();
    assert!(seen >= 5, "{seen}");
    assert_eq!(pool.stats().refused, 1);
    assert_eq!(pool.fail_none(), 0, "it was over");
}

#[test]
fn those_with_a_right_to_the_reserve_fail_too_when_told() {
    let mut pool = Pool::new(PoolConfig::TINY);
    pool.fail_nth(1);
    assert!(pool.alloc_reserve(0, 10).is_err());
    assert!(pool.alloc_reserve(0, 10).is_ok());
    let msg = pool.alloc(0, 10).unwrap();
    pool.fail_nth(1);
    assert!(msg.dup(&mut pool).is_err() && msg.dup(&mut pool).is_ok());
}

#[test]
fn what_can_be_allocated_is_known_before() {
    let config = PoolConfig { small: 4, frame: 1, reserve_256th: 128, ..PoolConfig::TINY };
    let mut pool = Pool::new(config);
    let mut held = Vec::new();
    while pool.can_alloc(10) {
        held.push(pool.alloc(0, 10).unwrap());
    }
    assert_eq!(held.len(), 2, "half is the reserve");
    assert!(pool.alloc(0, 10).is_err() && pool.can_alloc(1000));
    held.pop();
    assert!(!pool.can_alloc(10) || pool.alloc(0, 10).is_ok());
}
