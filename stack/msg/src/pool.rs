//! The pool: free lists of cells, grown on demand up to a written sum.

mod config;
mod lent;

pub use config::{Counts, Flow, Level, NoMem, PoolConfig, PoolStats};

use crate::block::{CLASSES, Class, Dblk, Free, HEADER, Mblk};
use crate::checksum::{self, Sum};
use crate::msg::Msg;
use crate::shared::{BARE_CHUNK, Shared};
use alloc::alloc::alloc_zeroed;
use bytes::Bytes;
use core::alloc::Layout;
use core::ops::Range;
use core::ptr;
use core::sync::atomic::Ordering;

/// Where messages come from. One owner (a shard, an application thread, a test).
///
/// The owner allocates and frees without atomic read-modify-writes. A message may be dropped on
/// any thread and may outlive the pool: its memory is released when the last one is gone.
/// Memory is always initialised: fresh zero, later the bytes of former messages.
pub struct Pool {
    shared: *mut Shared,
    lists: [FreeList; CLASSES],
    /// External cells freed by the owner whose free routine has not run yet, linked by `next`.
    deferred: *mut Mblk,
    sum: Sum,
    refused: u64,
    /// Blocks that came and went.
    flow: Flow,
    fault: Option<Fault>,
    /// Addresses of large cells in memory of the caller's; none: there are no such.
    lent: Range<usize>,
}

struct FreeList {
    head: *mut Mblk,
    /// Cells out, the remote list included.
    out: usize,
    made: usize,
    limit: usize,
    /// Cells that ordinary allocations leave alone.
    reserve: usize,
    /// With so many out an allocation takes the slow way: ordinary ones, those with the right to
    /// the reserve.
    slow_at: [usize; 2],
}

/// Allocations that are counted, and one of them that is to fail.
#[derive(Clone, Copy, Debug)]
struct Fault {
    seen: u64,
    nth: u64,
}

// SAFETY: the free lists are owned cells; everything shared with other threads is in `Shared`.
unsafe impl Send for Pool {}

impl Pool {
    /// A pool with the limits of `config`. Takes no memory for cells yet.
    pub fn new(config: PoolConfig) -> Self {
        let limits = [config.small, config.frame, config.large, config.bare, config.external];
        Self {
            shared: Shared::new(),
            lists: limits.map(|limit| {
                let reserve = limit * config.reserve_256th.min(255) / 256;
                FreeList {
                    head: ptr::null_mut(),
                    out: 0,
                    made: 0,
                    limit,
                    reserve,
                    slow_at: [limit - reserve, usize::MAX],
                }
            }),
            fault: None,
            deferred: ptr::null_mut(),
            sum: checksum::sum_portable,
            refused: 0,
            lent: 0..0,
            flow: Flow::default(),
        }
    }

    /// Sets the routine that sums bytes (the host picks the vectorised one).
    pub fn set_sum(&mut self, sum: Sum) {
        self.sum = sum;
    }

    /// The routine that sums bytes.
    #[inline]
    pub fn sum(&self) -> Sum {
        self.sum
    }

    /// An empty M_DATA message with `headroom` bytes in front and room for `len` behind
    /// (`allocb(9F)`).
    ///
    /// # Shapes
    /// One block, unique. When both do not fit into the largest cell, the block is the largest
    /// cell; use [`Msg::append`] for the rest. The first byte of the cell is aligned to 64.
    #[inline]
    pub fn alloc(&mut self, headroom: usize, len: usize) -> Result<Msg, NoMem> {
        self.alloc_class(class_for(headroom + len), headroom, false)
    }

    /// As [`Pool::alloc`], with the right to the reserve: for ACK, RST, ARP and control.
    pub fn alloc_reserve(&mut self, headroom: usize, len: usize) -> Result<Msg, NoMem> {
        self.alloc_class(class_for(headroom + len), headroom, true)
    }

    /// A message holding a copy of `bytes` behind `headroom` bytes, in as many blocks as needed.
    /// The copy is counted.
    pub fn copy_from(&mut self, headroom: usize, bytes: &[u8]) -> Result<Msg, NoMem> {
        let mut msg = self.alloc(headroom, bytes.len())?;
        match msg.append(self, bytes) {
            Ok(()) => Ok(msg),
            Err(NoMem) => {
                self.spend(msg);
                Err(NoMem)
            }
        }
    }

    /// Wraps `bytes` without copying (`esballoc(9F)`); shared memory, so never written in place.
    pub fn wrap_bytes(&mut self, bytes: Bytes) -> Result<Msg, NoMem> {
        let (base, len) = (bytes.as_ptr().cast_mut(), bytes.len());
        self.wrap(base, len, Free::Bytes(bytes), false, false)
    }

    /// Wraps memory of the caller without copying (`esballoc(9F)`).
    ///
    /// # Errors
    /// [`NoMem`]; `free` has been run then.
    ///
    /// # Safety
    /// `base` is not null; `base..base + len` is readable and writable until `free` runs, is
    /// touched by nobody else until then, and `free` may be called on any thread.
    pub unsafe fn wrap_raw(&mut self, base: *mut u8, len: usize, free: Free) -> Result<Msg, NoMem> {
        self.wrap(base, len, free, false, true)
    }

    /// Wraps memory that another process can write at any time. It is never seen as `&[u8]`:
    /// only [`Msg::copy_out`], checksums and the driver's iovec read it.
    ///
    /// # Errors
    /// [`NoMem`]; `free` has been run then.
    ///
    /// # Safety
    /// `base` is not null; `base..base + len` stays mapped until `free` runs, and `free` may be
    /// called on any thread.
    pub unsafe fn wrap_foreign(
        &mut self,
        base: *mut u8,
        len: usize,
        free: Free,
    ) -> Result<Msg, NoMem> {
        self.wrap(base, len, free, true, false)
    }

    /// Frees a message. Cheaper than dropping it; free routines run in [`Pool::run_deferred`].
    ///
    /// A module gives its messages to `Cx::free` or `Cx::discard`, so that it is known what became
    /// of them, and parts of a message that goes on to [`Pool::spend`].
    #[inline]
    pub fn free(&mut self, msg: Msg) {
        let before = self.flow.freed;
        self.spend(msg);
        self.flow.unsaid += self.flow.freed - before;
    }

    /// As [`Pool::free`], of what has served: a part of a message that goes on, or a message whose
    /// end is counted.
    #[inline]
    pub fn spend(&mut self, msg: Msg) {
        let mut block = msg.into_raw();
        while !block.is_null() {
            // SAFETY: the chain was owned by the message that was just taken apart.
            unsafe {
                let rest = (*block).cont;
                self.free_block(block);
                block = rest;
            }
        }
    }

    /// Runs the free routines of external blocks that were put off until the owner is between two
    /// dispatches. Collects first.
    pub fn run_deferred(&mut self) {
        self.collect();
        while !self.deferred.is_null() {
            let cell = self.deferred;
            // SAFETY: deferred cells are ours, whole, and linked by `next`.
            unsafe {
                self.deferred = (*cell).next;
                let routine = Dblk::take_free((*cell).dblk);
                self.put_home(cell, Class::External);
                routine.run();
            }
        }
    }

    /// Makes cells up to the limits now, so that no growth happens later.
    pub fn grow_fully(&mut self) {
        for class in Class::ALL {
            while self.lists[class as usize].made < self.lists[class as usize].limit {
                if !self.grow(class) {
                    break;
                }
            }
        }
    }

    /// True when [`Pool::alloc`] of `len` bytes in all would succeed now (`testb(9F)`).
    pub fn can_alloc(&self, len: usize) -> bool {
        let list = &self.lists[class_for(len) as usize];
        list.out < list.limit - list.reserve && (!list.head.is_null() || list.made < list.limit)
    }

    /// The `nth` allocation from now on fails, whatever there is (0: none does); those after it are
    /// as usual. For tests of what happens then. Costs nothing while it is not used.
    pub fn fail_nth(&mut self, nth: u64) {
        self.fault = Some(Fault { seen: 0, nth });
        for list in &mut self.lists {
            list.slow_at = [0; 2];
        }
    }

    /// Ends [`Pool::fail_nth`]; how many allocations were asked for since.
    pub fn fail_none(&mut self) -> u64 {
        for list in &mut self.lists {
            list.slow_at = [list.limit - list.reserve, usize::MAX];
        }
        self.fault.take().map_or(0, |fault| fault.seen)
    }

    /// How full the pool is, by the fullest kind of data cell. What others freed counts as out
    /// until it was collected.
    #[inline]
    pub fn level(&self) -> Level {
        let data = &self.lists[..=Class::Large as usize];
        // As it is nearly always; a list without a limit has nothing out.
        if data.iter().all(|list| list.out * 2 <= list.limit.saturating_sub(1)) {
            return Level::Low;
        }
        let of = |list: &FreeList| {
            if list.limit == 0 {
                Level::Low
            } else if list.out >= list.limit - list.reserve {
                Level::Max
            } else if list.out * 2 >= list.limit {
                Level::Pressure
            } else {
                Level::Low
            }
        };
        data.iter().map(of).max().unwrap_or(Level::Low)
    }

    /// Blocks that came and went since the pool was made. What was dropped elsewhere counts when
    /// it was collected.
    pub fn flow(&self) -> Flow {
        let trimmed = self.shared().trimmed.load(Ordering::Relaxed);
        Flow { trimmed, ..self.flow }
    }

    /// Counters. Takes cells freed by others home first.
    pub fn stats(&mut self) -> PoolStats {
        self.collect();
        let of = |class: Class| {
            let list = &self.lists[class as usize];
            Counts { out: list.out, made: list.made, limit: list.limit }
        };
        let shared = self.shared();
        PoolStats {
            small: of(Class::Small),
            frame: of(Class::Frame),
            large: of(Class::Large),
            bare: of(Class::Bare),
            external: of(Class::External),
            copied_bytes: shared.copied.load(Ordering::Relaxed),
            compacted_bytes: shared.compacted.load(Ordering::Relaxed),
            pulled_bytes: shared.pulled.load(Ordering::Relaxed),
            memory_bytes: shared.grown.iter().map(|g| g.load(Ordering::Relaxed)).sum(),
            refused: self.refused,
        }
    }

    /// A second window on bytes `[start, start + len)` of `block`, with its kind and marks.
    ///
    /// # Safety
    /// `block` is live, unchanged meanwhile, and has `start + len` bytes.
    #[inline]
    pub(crate) unsafe fn window(
        &mut self,
        block: *const Mblk,
        start: usize,
        len: usize,
    ) -> Result<*mut Mblk, NoMem> {
        let cell = self.take(Class::Bare, false)?;
        // SAFETY: the cell came from the free list; `block` holds a reference to its data block
        // while the second one is taken.
        unsafe {
            let dblk = (*block).dblk;
            if ptr::eq((*dblk).shared, self.shared) {
                (*dblk).refs.add_home();
            } else {
                (*dblk).refs.add_away();
            }
            cell.write(Mblk {
                next: ptr::null_mut(),
                cont: ptr::null_mut(),
                rptr: (*block).rptr.add(start),
                len: len as u32,
                ..*block
            });
        }
        Ok(cell)
    }

    pub(crate) fn count_copied(&self, bytes: usize) {
        self.shared().copied.fetch_add(bytes as u64, Ordering::Relaxed);
    }

    pub(crate) fn count_compacted(&self, bytes: usize) {
        self.shared().compacted.fetch_add(bytes as u64, Ordering::Relaxed);
    }

    pub(crate) fn count_pulled(&self, bytes: usize) {
        self.shared().pulled.fetch_add(bytes as u64, Ordering::Relaxed);
    }

    fn shared(&self) -> &Shared {
        // SAFETY: the shared part lives at least as long as its owner.
        unsafe { &*self.shared }
    }

    #[inline]
    fn alloc_class(&mut self, class: Class, headroom: usize, reserve: bool) -> Result<Msg, NoMem> {
        let cell = self.take(class, reserve)?;
        // SAFETY: a free full cell: its data block is initialised, has the count of one window,
        // and nobody looks into it. It is not read, which saves a cache line.
        unsafe {
            let base = cell.cast::<u8>().add(HEADER);
            let rptr = base.add(headroom.min(class.data()));
            Mblk::init(cell, cell.add(1).cast::<Dblk>(), rptr);
            Ok(Msg::from_raw(cell))
        }
    }

    fn wrap(
        &mut self,
        base: *mut u8,
        len: usize,
        free: Free,
        foreign: bool,
        writable: bool,
    ) -> Result<Msg, NoMem> {
        let taken = u32::try_from(len)
            .map_err(|_| NoMem)
            .and_then(|len32| Ok((len32, self.take(Class::External, false)?)));
        let (len32, cell) = match taken {
            Ok(taken) => taken,
            Err(NoMem) => {
                free.run();
                return Err(NoMem);
            }
        };
        // SAFETY: a free external cell; its three parts are ours to write.
        unsafe {
            let dblk = (*cell).dblk;
            let mut fresh = Dblk::new(base, len32, self.shared, Class::External);
            fresh.truesize = fresh.truesize.saturating_add(len32);
            fresh.foreign = foreign;
            fresh.writable = writable;
            dblk.write(fresh);
            Dblk::free_slot(dblk).write(free);
            Mblk::init(cell, dblk, base);
            (*cell).len = len32;
            (*cell).total_len = len32;
            Ok(Msg::from_raw(cell))
        }
    }

    #[inline]
    fn take(&mut self, class: Class, reserve: bool) -> Result<*mut Mblk, NoMem> {
        let list = &mut self.lists[class as usize];
        let cell = list.head;
        if cell.is_null() || list.out >= list.slow_at[usize::from(reserve)] {
            return self.take_slow(class, reserve);
        }
        // SAFETY: cells on the list are free and linked by `next`.
        list.head = unsafe { (*cell).next };
        list.out += 1;
        self.flow.made += 1;
        Ok(cell)
    }

    #[cold]
    fn take_slow(&mut self, class: Class, reserve: bool) -> Result<*mut Mblk, NoMem> {
        self.collect();
        if let Some(fault) = &mut self.fault {
            fault.seen += 1;
            if fault.seen == fault.nth {
                self.refused += 1;
                return Err(NoMem);
            }
        }
        let list = &self.lists[class as usize];
        let within = reserve || list.out + list.reserve < list.limit;
        if list.head.is_null() && within && list.made < list.limit {
            self.grow(class);
        }
        let list = &mut self.lists[class as usize];
        let cell = list.head;
        if cell.is_null() || !within {
            self.refused += 1;
            return Err(NoMem);
        }
        // SAFETY: cells on the list are free and linked by `next`.
        list.head = unsafe { (*cell).next };
        list.out += 1;
        self.flow.made += 1;
        Ok(cell)
    }

    /// Frees one block of a message.
    ///
    /// # Safety
    /// The block is owned by the caller, who does not use it afterwards.
    #[inline]
    pub(crate) unsafe fn free_block(&mut self, mblk: *mut Mblk) {
        self.flow.freed += 1;
        // SAFETY: the block is live; its data block lives at least as long. A primary block goes
        // with the data block's cell, so it is not touched afterwards.
        unsafe {
            let dblk = (*mblk).dblk;
            if !ptr::eq((*dblk).shared, self.shared) {
                return crate::shared::free_block(mblk);
            }
            let bare = !Mblk::is_primary(mblk, dblk);
            if (*dblk).refs.drop_home() {
                self.retire(Mblk::primary_of(dblk), dblk);
            }
            if !bare {
            } else if ptr::eq(Shared::of_bare(mblk), self.shared) {
                self.put_home(mblk, Class::Bare);
            } else {
                Shared::push_bare(mblk);
            }
        }
    }

    /// A whole cell has no window left: home, or first its free routine.
    ///
    /// # Safety
    /// `cell` is the cell of `dblk`, of this pool, and nobody refers to it.
    #[inline]
    unsafe fn retire(&mut self, cell: *mut Mblk, dblk: *mut Dblk) {
        // SAFETY: the cell is ours alone.
        unsafe {
            let class = (*dblk).class;
            if class == Class::External && !matches!(*Dblk::free_slot(dblk), Free::None) {
                (*cell).next = self.deferred;
                self.deferred = cell;
            } else {
                self.put_home(cell, class);
            }
        }
    }

    /// # Safety
    /// `cell` is a cell of this pool of kind `class` that nobody refers to.
    #[inline]
    unsafe fn put_home(&mut self, cell: *mut Mblk, class: Class) {
        let list = &mut self.lists[class as usize];
        // SAFETY: the cell is ours alone.
        unsafe { (*cell).next = list.head };
        list.head = cell;
        list.out -= 1;
    }

    /// Takes home what other threads freed. [`Pool::alloc`] does it when a list is empty; an owner
    /// that watches [`Pool::level`] does it once a turn. One load when there is nothing.
    pub fn collect(&mut self) {
        let mut cell = self.shared().take_remote();
        let before = self.flow.freed;
        while !cell.is_null() {
            // SAFETY: what is on the remote list is ours since it was taken, linked by `next`.
            unsafe {
                let next = (*cell).next;
                if (*cell).dblk.is_null() {
                    self.put_home(cell, Class::Bare);
                } else {
                    self.free_block(cell);
                }
                cell = next;
            }
        }
        self.flow.dropped += self.flow.freed - before;
        self.flow.freed = before;
    }

    /// Makes a chunk of cells of one kind; false when the system has no memory.
    #[cold]
    fn grow(&mut self, class: Class) -> bool {
        let list = &self.lists[class as usize];
        let stride = class.stride();
        let (size, align, first) = match class {
            Class::Bare => (BARE_CHUNK, BARE_CHUNK, stride),
            Class::Large => (stride * 8, 64, 0),
            _ => (stride * (64 * 1024 / stride), 64, 0),
        };
        let count = ((size - first) / stride).min(list.limit - list.made);
        let size = first + count * stride;
        let Ok(layout) = Layout::from_size_align(size, align) else { return false };
        // SAFETY: the layout is not empty: `grow` is called below the limit only.
        let memory = unsafe { alloc_zeroed(layout) };
        if memory.is_null() {
            return false;
        }
        // SAFETY: we own the pool; the memory is released with its layout at the end.
        unsafe { self.shared().adopt(memory, layout) };
        self.shared().grown[class as usize].fetch_add(size, Ordering::Relaxed);
        if class == Class::Bare {
            // SAFETY: the first cell's place is left for the pool's address (see `of_bare`).
            unsafe { memory.cast::<*const Shared>().write(self.shared) };
        }
        for i in 0..count {
            // SAFETY: `count` cells of `stride` bytes fit behind `first`.
            unsafe { self.make_cell(memory.add(first + i * stride).cast(), class) };
        }
        true
    }

    /// # Safety
    /// `cell` is fresh memory of one stride of `class`.
    unsafe fn make_cell(&mut self, cell: *mut Mblk, class: Class) {
        let list = &mut self.lists[class as usize];
        // SAFETY: by the contract there is room for the parts that the class has.
        unsafe {
            let dblk = cell.add(1).cast::<Dblk>();
            if class == Class::Bare {
                (*cell).dblk = ptr::null_mut();
            } else {
                let base = cell.cast::<u8>().add(HEADER);
                dblk.write(Dblk::new(base, class.data() as u32, self.shared, class));
                (*cell).dblk = dblk;
            }
            if class == Class::External {
                Dblk::free_slot(dblk).write(Free::None);
            }
            (*cell).next = list.head;
        }
        list.head = cell;
        list.made += 1;
    }
}

impl Drop for Pool {
    fn drop(&mut self) {
        self.run_deferred();
        self.collect();
        let out = self.lists.iter().map(|list| list.out).sum();
        // SAFETY: the pool is not used after its drop.
        unsafe { Shared::close(self.shared, out) };
    }
}

impl core::fmt::Debug for Pool {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        let out = self.lists.each_ref().map(|list| list.out);
        f.debug_struct("Pool").field("out", &out).field("refused", &self.refused).finish()
    }
}

/// The smallest class that holds `len` bytes, or the largest.
#[inline]
pub(crate) fn class_for(len: usize) -> Class {
    if len <= Class::Small.data() {
        Class::Small
    } else if len <= Class::Frame.data() {
        Class::Frame
    } else {
        Class::Large
    }
}
