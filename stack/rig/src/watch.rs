//! Finds messages that fell out of scope instead of being freed or discarded with a reason.

use millstream_core::Perimeter;

/// Runs `f`; panics when a message was dropped while it ran.
///
/// Inside a perimeter every message is freed through the pool. A dropped one comes home through
/// the list that other threads use, which the pool takes in on `collect`.
pub(crate) fn nothing_dropped<T>(p: &mut Perimeter, f: impl FnOnce(&mut Perimeter) -> T) -> T {
    p.pool().collect();
    let result = f(p);
    let before = cells_out(p);
    p.pool().collect();
    let after = cells_out(p);
    assert!(before == after, "a message fell out of scope: free it with cx.free or cx.discard");
    p.pool().run_deferred();
    result
}

/// What the pool says of the cells that are out, without taking any in.
fn cells_out(p: &mut Perimeter) -> String {
    format!("{:?}", p.pool())
}

/// Cells out of the pool after everything that came home was counted.
pub(crate) fn live_cells(p: &mut Perimeter) -> usize {
    let stats = p.pool().stats();
    [stats.small, stats.frame, stats.large, stats.bare, stats.external].iter().map(|c| c.out).sum()
}

/// Turns until nothing is left to do now.
pub(crate) fn settle(p: &mut Perimeter, now: u64) {
    for _ in 0..TURNS_MAX {
        if !p.run(now, BUDGET).more {
            return;
        }
    }
    panic!("no end after {TURNS_MAX} turns of {BUDGET} dispatches: something runs in circles");
}

/// Runs to `now` + `ns`, stopping at every timer on the way.
pub(crate) fn advance(p: &mut Perimeter, ns: u64) {
    let until = p.now() + ns;
    for _ in 0..STOPS_MAX {
        settle(p, p.now());
        match p.run(p.now(), BUDGET).next {
            Some(next) if next < until => settle(p, next.max(p.now() + 1)),
            _ => return settle(p, until),
        }
    }
    panic!("no end after {STOPS_MAX} timers within {ns} ns");
}

const BUDGET: usize = 10_000;
const TURNS_MAX: usize = 1_000;
/// Timers within one `advance`.
const STOPS_MAX: usize = 1_000_000;
