//! How many windows look into a data block, counted so that the pool's owner, who makes and frees
//! nearly all of them, needs no atomic read-modify-write (10 ns each, of a dup's 31).
//!
//! - `home` is written by the owner only, with plain loads and stores. All windows are taken off
//!   it: other threads send theirs to the owner (see `shared`).
//! - `away` counts the windows that others made, and never falls.
//!
//! The sum is the count. Who holds a window and reads `home` before `away` never sees less than
//! the count: what is missing in an old `away` was made from a window that is still in `home`.
//! Once the pool is closed there is no owner, and windows are taken off by read-modify-writes.

use crate::sync::{AtomicI32, Ordering};

/// The count of one data block.
pub(crate) struct Refs {
    home: AtomicI32,
    away: AtomicI32,
}

impl Refs {
    pub(crate) fn one() -> Self {
        Self { home: AtomicI32::new(1), away: AtomicI32::new(0) }
    }

    /// The asker's window is the only one: it may write. Acquire pairs with the Release of
    /// `drop_home`, so that what others read happened before what is written now.
    #[inline]
    pub(crate) fn is_sole(&self) -> bool {
        self.home.load(Ordering::Acquire) + self.away.load(Ordering::Relaxed) == 1
    }

    /// One window more. Owner only.
    #[inline]
    pub(crate) fn add_home(&self) {
        self.home.store(self.home.load(Ordering::Relaxed) + 1, Ordering::Relaxed);
    }

    /// One window more, made by a pool that does not own the block.
    pub(crate) fn add_away(&self) {
        self.away.fetch_add(1, Ordering::Relaxed);
    }

    /// One window less; true when it was the last. The count then stays that of one window, as
    /// the next message on the cell wants it. Owner only.
    #[inline]
    pub(crate) fn drop_home(&self) -> bool {
        let home = self.home.load(Ordering::Relaxed);
        let away = self.away.load(Ordering::Relaxed);
        if home + away != 1 {
            self.home.store(home - 1, Ordering::Release);
            return false;
        }
        if away != 0 {
            self.home.store(1, Ordering::Relaxed);
            self.away.store(0, Ordering::Relaxed);
        }
        true
    }

    /// One window less, of a pool that is closed; true when it was the last.
    pub(crate) fn drop_closed(&self) -> bool {
        let left = self.home.fetch_sub(1, Ordering::AcqRel) - 1;
        left + self.away.load(Ordering::Relaxed) == 0
    }
}
