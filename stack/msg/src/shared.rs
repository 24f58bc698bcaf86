//! The part of a pool that other threads reach: the stack of windows they freed, the copy
//! counters, and the memory itself, which lives until the last cell is back. The protocol is
//! checked by loom, see `sync`.
#![allow(unexpected_cfgs, reason = "loom is set by hand")]

use crate::block::{CLASSES, Class, Dblk, Free, Mblk};
use crate::sync::{AtomicPtr, Count};
use alloc::alloc::dealloc;
use alloc::boxed::Box;
use alloc::vec::Vec;
use core::alloc::Layout;
use core::cell::UnsafeCell;
use core::ptr;
use core::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

/// One per pool. Freed by whoever brings the last cell home.
pub(crate) struct Shared {
    /// Windows and bare cells freed by others, linked by `Mblk::next`. `CLOSED` once the pool is
    /// gone.
    remote: AtomicPtr<Mblk>,
    /// Cells still out. Written once, when the pool closes; counted down from then on.
    outstanding: Count,
    /// Chunks of memory. Touched by the owner while it lives, by the last freer afterwards.
    chunks: UnsafeCell<Vec<(*mut u8, Layout)>>,
    /// What releases memory of others that cells lie in. Touched as `chunks`.
    lent: UnsafeCell<Vec<Free>>,
    /// Blocks cut off from messages that were shortened.
    pub(crate) trimmed: AtomicU64,
    /// Bytes of payload copied.
    pub(crate) copied: AtomicU64,
    /// Bytes copied into smaller cells.
    pub(crate) compacted: AtomicU64,
    /// Bytes copied to make headers contiguous.
    pub(crate) pulled: AtomicU64,
    /// Bytes of data in cells of each class that were made: part of the memory sum.
    pub(crate) grown: [AtomicUsize; CLASSES],
    /// What the model checker counts: gone with the pool.
    #[cfg(all(loom, test))]
    pub(crate) token: Option<loom::sync::Arc<()>>,
}

// SAFETY: `chunks` and `lent` are touched by the owner through `&mut Pool`, and after it is gone
// only by the one thread that counted `outstanding` down to 0; the rest is atomic.
unsafe impl Sync for Shared {}
// SAFETY: as above; the raw pointers in `chunks` are owned memory.
unsafe impl Send for Shared {}

/// Mark of a closed pool: an address that no cell has.
const CLOSED: *mut Mblk = ptr::without_provenance_mut(1);

/// Cells of bare blocks know their pool by the head of their chunk, found by masking.
pub(crate) const BARE_CHUNK: usize = 64 * 1024;

impl Shared {
    pub(crate) fn new() -> *mut Self {
        Box::into_raw(Box::new(Self {
            remote: AtomicPtr::new(ptr::null_mut()),
            outstanding: Count::new(0),
            chunks: UnsafeCell::new(Vec::new()),
            lent: UnsafeCell::new(Vec::new()),
            trimmed: AtomicU64::new(0),
            copied: AtomicU64::new(0),
            compacted: AtomicU64::new(0),
            pulled: AtomicU64::new(0),
            grown: [const { AtomicUsize::new(0) }; CLASSES],
            #[cfg(all(loom, test))]
            token: None,
        }))
    }

    /// Adds a chunk to what is released at the end.
    ///
    /// # Safety
    /// The caller is the owner of the pool (holds it by `&mut`).
    pub(crate) unsafe fn adopt(&self, memory: *mut u8, layout: Layout) {
        // SAFETY: only the owner gets here while the pool lives, by the contract above.
        unsafe { (*self.chunks.get()).push((memory, layout)) };
    }

    /// Adds memory of others to what is released at the end.
    ///
    /// # Safety
    /// As [`Shared::adopt`].
    pub(crate) unsafe fn keep(&self, free: Free) {
        // SAFETY: as in `adopt`.
        unsafe { (*self.lent.get()).push(free) };
    }

    /// Sends a window (with its reference) or a bare cell (`dblk` is null) to the owner.
    ///
    /// # Safety
    /// `this` is live and the pool of the data block, or of the bare cell; nobody else refers to
    /// `cell`.
    pub(crate) unsafe fn push_remote(this: *const Self, cell: *mut Mblk) {
        // SAFETY: a cell is out, so the pool's shared part is alive until `outstanding` is
        // counted down for that cell, which is the last thing done here.
        let shared = unsafe { &*this };
        // Acquire, here and below, so that who sees CLOSED sees `outstanding` with it.
        let mut head = shared.remote.load(Ordering::Acquire);
        loop {
            if head == CLOSED {
                // SAFETY: the pool is closed and the window is ours.
                return unsafe { Self::free_closed(this.cast_mut(), cell) };
            }
            // SAFETY: the cell is ours until the exchange below succeeds.
            unsafe { (*cell).next = head };
            // Release publishes `next` and all that was done to the cell.
            match shared.remote.compare_exchange_weak(
                head,
                cell,
                Ordering::Release,
                Ordering::Acquire,
            ) {
                Ok(_) => return,
                Err(seen) => head = seen,
            }
        }
    }

    /// Takes all that others freed, linked by `next`. Owner only.
    pub(crate) fn take_remote(&self) -> *mut Mblk {
        if self.remote.load(Ordering::Relaxed).is_null() {
            return ptr::null_mut();
        }
        self.remote.swap(ptr::null_mut(), Ordering::Acquire)
    }

    /// The owner goes. `out` cells are not in its free lists; memory is released when they are
    /// all back, here or in the thread that frees the last of them.
    ///
    /// # Safety
    /// The caller is the owner and does not use the pool afterwards.
    pub(crate) unsafe fn close(this: *mut Self, out: usize) {
        // SAFETY: the owner has not given its part away yet, so `this` is alive.
        let shared = unsafe { &*this };
        // One more than is out, held by this call until the remote list has been counted.
        shared.outstanding.store(out + 1, Ordering::Relaxed);
        let mut cell = shared.remote.swap(CLOSED, Ordering::AcqRel);
        while !cell.is_null() {
            // SAFETY: windows on the list are ours since it was taken.
            unsafe {
                let next = (*cell).next;
                Self::free_closed(this, cell);
                cell = next;
            }
        }
        // SAFETY: the one extra is ours.
        unsafe { Self::count_down(this, 1) };
    }

    /// Frees a window, or a bare cell, of a pool that has no owner any more.
    ///
    /// # Safety
    /// The pool is closed; `cell` is as for `push_remote`.
    unsafe fn free_closed(this: *mut Self, cell: *mut Mblk) {
        // SAFETY: the window is the caller's; what it refers to is alive until it is counted.
        unsafe {
            let dblk = (*cell).dblk;
            if dblk.is_null() {
                return Self::count_down(this, 1);
            }
            // A primary block goes with the data block's cell, so look at it before.
            let bare = !Mblk::is_primary(cell, dblk);
            if (*dblk).refs.drop_closed() {
                let routine = Dblk::take_free(dblk);
                Self::count_down(this, 1);
                routine.run();
            }
            if bare {
                Self::push_bare(cell);
            }
        }
    }

    /// Sends a bare cell home whose reference is gone.
    ///
    /// # Safety
    /// `cell` lies in a chunk of bare cells and nobody else refers to it.
    pub(crate) unsafe fn push_bare(cell: *mut Mblk) {
        // SAFETY: passed on from the caller.
        unsafe {
            (*cell).dblk = ptr::null_mut();
            Self::push_remote(Self::of_bare(cell), cell);
        }
    }

    /// # Safety
    /// The pool is closed; the caller accounts for `n` of the outstanding cells.
    unsafe fn count_down(this: *mut Self, n: usize) {
        // SAFETY: the caller's cells are still counted, so nobody has released `this`.
        let before = unsafe { (*this).outstanding.fetch_sub(n, Ordering::AcqRel) };
        if before == n {
            // SAFETY: all cells are home: nobody else refers to `this` or to the chunks.
            let shared = unsafe { Box::from_raw(this) };
            for (memory, layout) in shared.chunks.into_inner() {
                // SAFETY: allocated by the pool with this layout; no cell of it is in use.
                unsafe { dealloc(memory, layout) };
            }
            shared.lent.into_inner().into_iter().for_each(Free::run);
        }
    }

    /// The pool of a bare cell, from the head of its chunk.
    ///
    /// # Safety
    /// `cell` lies in a chunk of bare cells.
    #[inline]
    pub(crate) unsafe fn of_bare(cell: *mut Mblk) -> *const Self {
        let chunk = cell.cast::<u8>().map_addr(|a| a & !(BARE_CHUNK - 1));
        // SAFETY: the pool wrote its address at the head of every chunk of bare cells, and
        // chunks are aligned to their size.
        unsafe { chunk.cast::<*const Self>().read() }
    }
}

/// Frees one block on any thread: its window goes to the owner of the memory, who takes it off
/// the count. If it is the only one, a free routine is run here and now.
///
/// # Safety
/// `mblk` is a block that the caller owns and does not use afterwards.
pub(crate) unsafe fn free_block(mblk: *mut Mblk) {
    // SAFETY: the block is owned by the caller; its data block is alive as long as it is. Who
    // holds the only window has the data block alone, with its free routine.
    unsafe {
        let dblk = (*mblk).dblk;
        if (*dblk).class == Class::External && (*dblk).is_unique() {
            Dblk::take_free(dblk).run();
        }
        Shared::push_remote((*dblk).shared, mblk);
    }
}

/// As [`free_block`], of a block that a message was shortened by: its pool counts it apart.
///
/// # Safety
/// As for [`free_block`].
pub(crate) unsafe fn trim_block(mblk: *mut Mblk) {
    // SAFETY: passed on from the caller; the block's pool lives as long as the block.
    unsafe {
        (*(*(*mblk).dblk).shared).trimmed.fetch_add(1, Ordering::Relaxed);
        free_block(mblk);
    }
}
