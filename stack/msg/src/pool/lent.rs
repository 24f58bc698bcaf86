//! Cells of the largest kind in memory of the caller's: for blocks that others may read, too.

use super::Pool;
use crate::block::{Class, Free};
use core::sync::atomic::Ordering;

impl Pool {
    /// Bytes of memory that the cells of the largest kind take that were not made yet.
    pub fn large_unmade_bytes(&self) -> usize {
        let list = &self.lists[Class::Large as usize];
        (list.limit - list.made) * Class::Large.stride()
    }

    /// Makes cells of the largest kind in memory of the caller's, as many as there is room for and
    /// may still be; how many. Those that were made already come first when they are home:
    /// see [`Pool::leave_strays_out`].
    ///
    /// # Shapes
    /// With the octets of a message lie what the pool writes about them: addresses, counts. `free`
    /// is run when the pool and all its messages are gone.
    ///
    /// # Safety
    /// `base` is aligned to 64; `base..base + len` is readable, writable and zero, is written by
    /// nobody else until `free` runs, and `free` may be called on any thread.
    pub unsafe fn adopt_large(&mut self, base: *mut u8, len: usize, free: Free) -> usize {
        let stride = Class::Large.stride();
        let list = &self.lists[Class::Large as usize];
        let count = (len / stride).min(list.limit - list.made);
        // SAFETY: we own the pool.
        unsafe { self.shared().keep(free) };
        self.shared().grown[Class::Large as usize].fetch_add(count * stride, Ordering::Relaxed);
        if count > 0 {
            self.lent = base.addr()..base.addr() + count * stride;
        }
        for at in 0..count {
            // SAFETY: `count` cells of `stride` bytes fit, aligned as the first is.
            unsafe { self.make_cell(base.add(at * stride).cast(), Class::Large) };
        }
        count
    }

    /// Cells of the largest kind that the pool has made elsewhere and that would be taken next are
    /// used no more; their memory is released with the pool.
    pub fn leave_strays_out(&mut self) {
        let list = &mut self.lists[Class::Large as usize];
        while !self.lent.is_empty()
            && !list.head.is_null()
            && !self.lent.contains(&list.head.addr())
            && list.limit > list.reserve
        {
            // SAFETY: cells on the list are free and linked by `next`.
            list.head = unsafe { (*list.head).next };
            list.made -= 1;
            list.limit -= 1;
            list.slow_at[0] = list.slow_at[0].min(list.limit - list.reserve);
        }
    }
}

const _: () = assert!(Class::Large.stride().is_multiple_of(64));

#[cfg(test)]
mod tests {
    use crate::{Counts, Free, Pool, PoolConfig};
    use alloc::boxed::Box;
    use alloc::sync::Arc;
    use core::sync::atomic::{AtomicUsize, Ordering};

    #[repr(align(64))]
    struct Memory([u8; 3 * 33_000]);

    fn count(ended: *mut ()) {
        // SAFETY: made by `into_raw` below, and given back once.
        let ended = unsafe { Arc::from_raw(ended.cast::<AtomicUsize>()) };
        ended.fetch_add(1, Ordering::SeqCst);
    }

    #[test]
    fn cells_of_lent_memory_come_first_and_keep_it_until_the_last_is_gone() {
        let memory = Box::leak(Box::new(Memory([0; 3 * 33_000])));
        let (base, len) = (memory.0.as_mut_ptr(), memory.0.len());
        let ended = Arc::new(AtomicUsize::new(0));
        let mut pool = Pool::new(PoolConfig { large: 10, ..PoolConfig::TINY });
        // Cells of its own, which it makes eight at a time.
        let stray = pool.alloc(0, 30_000).unwrap();
        assert_eq!(pool.large_unmade_bytes(), 2 * (128 + 32 * 1024));
        let free = Free::Fn(count, Arc::into_raw(ended.clone()).cast_mut().cast());
        // SAFETY: leaked memory, that nobody else looks at.
        assert_eq!(unsafe { pool.adopt_large(base, len, free) }, 2);
        assert_eq!(pool.large_unmade_bytes(), 0);
        pool.free(stray);
        pool.leave_strays_out();
        let (one, two) = (pool.alloc(0, 30_000).unwrap(), pool.alloc(0, 30_000).unwrap());
        for msg in [&one, &two] {
            let at = msg.first().as_ptr().addr() - base.addr();
            assert!(at < len, "{at}");
        }
        let own = pool.alloc(0, 30_000).unwrap();
        assert!(!(base.addr()..base.addr() + len).contains(&own.first().as_ptr().addr()));
        pool.free(own);
        pool.leave_strays_out();
        assert_eq!(pool.stats().large, Counts { out: 2, made: 2, limit: 2 });
        pool.free(one);
        drop(pool);
        assert_eq!(ended.load(Ordering::SeqCst), 0);
        drop(two);
        assert_eq!(ended.load(Ordering::SeqCst), 1);
    }
}
