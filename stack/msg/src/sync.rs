//! The atomics of the count and the remote list: those of `core`, or loom's when it checks the
//! protocol: `RUSTFLAGS="--cfg loom" cargo test -p millstream-msg --lib --release`.
#![allow(unexpected_cfgs, reason = "loom is set by hand")]

#[cfg(not(all(loom, test)))]
pub(crate) use core::sync::atomic::{AtomicI32, AtomicPtr, AtomicUsize as Count, Ordering};
#[cfg(all(loom, test))]
pub(crate) use loom::sync::atomic::{AtomicI32, AtomicPtr, AtomicUsize as Count, Ordering};

/// The atomics are loom's, which are larger.
pub(crate) const MODELLED: bool = cfg!(all(loom, test));

/// All orders in which cells come home from two threads while the owner collects and goes.
#[cfg(all(loom, test))]
mod tests {
    use super::{Count, Ordering};
    use crate::block::Mblk;
    use crate::refs::Refs;
    use crate::shared::Shared;
    use alloc::boxed::Box;
    use alloc::vec::Vec;
    use core::alloc::Layout;
    use core::ptr;
    use loom::cell::UnsafeCell;
    use loom::sync::Arc;
    use loom::thread;

    extern crate std;

    /// A cell that two threads may hand on; what loom checks is who gets it.
    struct Cell(*mut Mblk);

    // SAFETY: a cell has one holder at a time.
    unsafe impl Send for Cell {}

    fn cell() -> *mut Mblk {
        let layout = Layout::new::<Mblk>();
        // SAFETY: the layout is not empty; all-zero bytes are a free cell.
        unsafe { alloc::alloc::alloc_zeroed(layout).cast() }
    }

    /// Adds the memory of `cells` to the pool, so that a use after release is found by ASan and a
    /// second release by the allocator, and hands out the pool with a token for its end.
    fn pool(cells: &[*mut Mblk]) -> (*mut Shared, Arc<()>) {
        let shared = Shared::new();
        let alive = Arc::new(());
        for &cell in cells {
            // SAFETY: the pool was just made; nobody else has it.
            unsafe { (*shared).adopt(cell.cast(), Layout::new::<Mblk>()) };
        }
        // SAFETY: as above.
        unsafe { (*shared).token = Some(alive.clone()) };
        (shared, alive)
    }

    fn free_in_thread(shared: *mut Shared, cells: Vec<*mut Mblk>) -> thread::JoinHandle<()> {
        let cells: Vec<Cell> = cells.into_iter().map(Cell).collect();
        let shared = Box::new(Handle(shared));
        thread::spawn(move || {
            let shared = shared;
            for cell in cells {
                // SAFETY: the cell is out, so the pool's shared part lives; nobody else has it.
                unsafe { Shared::push_remote(shared.0, cell.0) };
            }
        })
    }

    struct Handle(*mut Shared);

    // SAFETY: what threads do with it is `push_remote`, which is made for that.
    unsafe impl Send for Handle {}

    /// Cells that the owner takes home.
    fn collect(shared: *mut Shared) -> Vec<*mut Mblk> {
        let mut home = Vec::new();
        // SAFETY: the owner's part has not been given away.
        let mut cell = unsafe { (*shared).take_remote() };
        while !cell.is_null() {
            home.push(cell);
            // SAFETY: the list is ours since it was taken.
            cell = unsafe { ptr::replace(&raw mut (*cell).next, ptr::null_mut()) };
        }
        home
    }

    /// `a` and `b` are freed by two threads while the owner collects `turns` times and closes.
    fn check(a: usize, b: usize, turns: usize) {
        loom::model(move || {
            let cells: Vec<_> = (0..a + b).map(|_| cell()).collect();
            let (shared, alive) = pool(&cells);
            let first = free_in_thread(shared, cells[..a].to_vec());
            let second = free_in_thread(shared, cells[a..].to_vec());
            let mut home: Vec<*mut Mblk> = Vec::new();
            for _ in 0..turns {
                home.extend(collect(shared));
            }
            let got = home.len();
            home.sort();
            home.dedup();
            assert_eq!(home.len(), got, "a cell came home twice");
            assert!(home.iter().all(|cell| cells.contains(cell)));
            // SAFETY: the owner does not use the pool afterwards.
            unsafe { Shared::close(shared, cells.len() - got) };
            first.join().unwrap();
            second.join().unwrap();
            assert_eq!(Arc::strong_count(&alive), 1, "released exactly once, by whoever was last");
        });
    }

    #[test]
    fn cells_come_home_once_and_the_last_one_releases_the_pool() {
        check(1, 1, 1);
        check(1, 1, 2);
        check(2, 1, 1);
    }

    #[test]
    fn pool_that_closes_at_once_is_released_by_the_last_freer() {
        check(1, 1, 0);
        check(2, 1, 0);
        check(1, 0, 0);
    }

    /// The owner reads and frees its window; another thread writes if it has the only one.
    #[test]
    fn who_writes_has_the_only_window() {
        loom::model(|| {
            let block = Arc::new((Refs::one(), UnsafeCell::new(0)));
            block.0.add_home();
            let theirs = block.clone();
            let other = thread::spawn(move || {
                if theirs.0.is_sole() {
                    theirs.1.with_mut(|data| {
                        // SAFETY: loom finds the race if the window is not the only one.
                        unsafe { *data = 1 }
                    });
                }
            });
            block.1.with(|data| {
                // SAFETY: as above.
                assert_eq!(unsafe { *data }, 0);
            });
            assert!(!block.0.drop_home());
            other.join().unwrap();
        });
    }

    /// Three windows, of which another thread makes a fourth and sends two to the owner. Who
    /// holds one is never told that it is the only one before it is.
    #[test]
    fn count_is_never_seen_too_low() {
        loom::model(|| {
            let block = Arc::new((Refs::one(), Count::new(0)));
            let alive = std::sync::Arc::new(std::sync::atomic::AtomicI32::new(3));
            block.0.add_home();
            block.0.add_home();
            let (makers, ghost) = (block.clone(), alive.clone());
            let maker = thread::spawn(move || {
                ghost.fetch_add(1, Ordering::SeqCst);
                makers.0.add_away();
                makers.1.fetch_add(1, Ordering::Release);
                makers.1.fetch_add(1, Ordering::Release);
            });
            let (holders, ghost) = (block.clone(), alive.clone());
            let holder = thread::spawn(move || {
                let sole = holders.0.is_sole();
                assert!(!sole || ghost.load(Ordering::SeqCst) == 1);
            });
            let drop_one = || {
                alive.fetch_sub(1, Ordering::SeqCst);
                assert!(!block.0.drop_home(), "the holder still has one");
            };
            drop_one();
            (0..block.1.swap(0, Ordering::Acquire)).for_each(|_| drop_one());
            maker.join().unwrap();
            holder.join().unwrap();
            (0..block.1.swap(0, Ordering::Acquire)).for_each(|_| drop_one());
            assert!(block.0.is_sole() && block.0.drop_home());
        });
    }

    /// Without an owner, exactly one of those who free is the last.
    #[test]
    fn last_window_of_a_closed_pool_is_freed_once() {
        loom::model(|| {
            let refs = Arc::new(Refs::one());
            refs.add_home();
            let theirs = refs.clone();
            let other = thread::spawn(move || {
                theirs.add_away();
                u32::from(theirs.drop_closed()) + u32::from(theirs.drop_closed())
            });
            let ours = u32::from(refs.drop_closed());
            assert_eq!(ours + other.join().unwrap(), 1);
        });
    }
}
