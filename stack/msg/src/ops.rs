//! Operations that join, cut, duplicate and move messages (allocb(9F) and its family).
//!
//! | STREAMS | here | payload bytes moved |
//! |---|---|---|
//! | dupmsg | [`Msg::dup`] | none |
//! | copymsg | [`Msg::copy`] | all, counted |
//! | linkb, unlinkb | [`Msg::link`], [`Msg::unlink`] | none |
//! | adjmsg | [`Msg::adjust`] | none |
//! | pullupmsg | [`Msg::pullup`] | what was scattered, counted apart |
//! | msgpullup | [`Msg::pulled_up`] | the leading run, counted apart |
//! | (dupb and adjust) | [`Msg::split_off`] | none |

use crate::block::Mblk;
use crate::msg::Msg;
use crate::pool::{NoMem, Pool};
use crate::shared::free_block;
use core::ptr;

/// The copy of a foreign block goes through memory that somebody may be writing.
fn read_volatile(src: *const u8, dst: &mut [u8]) {
    for (i, byte) in dst.iter_mut().enumerate() {
        // SAFETY: callers pass `dst.len()` mapped bytes at `src`; volatile, since another process
        // may write them meanwhile: the value is whatever was seen once.
        *byte = unsafe { src.add(i).read_volatile() };
    }
}

impl Msg {
    /// Makes room for `n` bytes in front and returns them, to write. Offsets of the offload
    /// request move along.
    ///
    /// # Shapes
    /// In place if the first block is unique, of M_DATA kind or the message's own, and has
    /// headroom for n; else a new block is linked in front, with the same kind, band, flags and
    /// marks.
    #[inline]
    pub fn prepend(&mut self, pool: &mut Pool, n: usize) -> Result<&mut [u8], NoMem> {
        if self.headroom() < n {
            self.link_front(pool, n)?;
        }
        let mblk = self.mblk_mut();
        mblk.rptr = mblk.rptr.wrapping_sub(n);
        mblk.len += n as u32;
        mblk.total_len += n as u32;
        mblk.offload.shift(n as i32);
        // SAFETY: the headroom of a unique writable block was at least n bytes.
        Ok(unsafe { core::slice::from_raw_parts_mut(mblk.rptr, n) })
    }

    /// Appends a copy of `bytes`, in the tailroom and in new blocks behind. Counted as copied.
    pub fn append(&mut self, pool: &mut Pool, mut bytes: &[u8]) -> Result<(), NoMem> {
        while !bytes.is_empty() {
            if self.tailroom() == 0 {
                let mut block = pool.alloc(0, bytes.len())?;
                block.set_kind(self.kind_of_last());
                self.link(block);
            }
            let room = self.spare_mut();
            let n = room.len().min(bytes.len());
            room[..n].copy_from_slice(&bytes[..n]);
            self.commit(n);
            pool.count_copied(n);
            bytes = &bytes[n..];
        }
        Ok(())
    }

    /// `linkb(9F)`: appends the blocks of `other`, whose marks (band, flags, offload) are lost.
    #[inline]
    pub fn link(&mut self, other: Self) {
        let last = self.last();
        let added = other.mblk().total_len;
        // SAFETY: `last` is the end of our chain; `other` is given away whole.
        unsafe { (*last).cont = other.into_raw() };
        self.mblk_mut().total_len += added;
    }

    /// `unlinkb(9F)`: the first block, and the rest if there is one.
    pub fn unlink(mut self) -> (Self, Option<Self>) {
        let mblk = self.mblk_mut();
        let rest = core::mem::replace(&mut mblk.cont, ptr::null_mut());
        let rest_len = mblk.total_len - mblk.len;
        mblk.total_len = mblk.len;
        if rest.is_null() {
            return (self, None);
        }
        // SAFETY: `rest` was our chain's second block and is no longer linked from it.
        unsafe {
            (*rest).total_len = rest_len;
            (*rest).next = ptr::null_mut();
            (self, Some(Self::from_raw(rest)))
        }
    }

    /// `dupmsg(9F)`: another message on the same memory. Both are read-only until one is gone.
    ///
    /// # Errors
    /// [`NoMem`]: nothing is left over, `self` is unchanged.
    pub fn dup(&self, pool: &mut Pool) -> Result<Self, NoMem> {
        self.dup_range(pool, 0, self.len(), true)
    }

    /// `copymsg(9F)`: another message with bytes, headroom and tailroom of its own. Counted.
    ///
    /// # Shapes
    /// Blocks that fit a cell keep their layout (headroom and tailroom survive), others are cut.
    pub fn copy(&self, pool: &mut Pool) -> Result<Self, NoMem> {
        let mut copy: Option<Self> = None;
        for block in self.blocks() {
            let mut done = 0;
            loop {
                let room = if copy.is_none() { self.layout_headroom() } else { 0 };
                let mut piece = pool.alloc(room, block.len() - done)?;
                piece.set_kind(block.kind());
                let spare = piece.spare_mut();
                let n = spare.len().min(block.len() - done);
                read_block(block, done, &mut spare[..n]);
                piece.commit(n);
                pool.count_copied(n);
                done += n;
                match &mut copy {
                    Some(whole) => whole.link(piece),
                    None => copy = Some(piece),
                }
                if done == block.len() {
                    break;
                }
            }
        }
        let mut copy = copy.ok_or(NoMem)?;
        copy.take_marks(self.mblk());
        Ok(copy)
    }

    /// Cuts the message: `self` keeps `[0, at)`, the rest is returned with the same kind, band,
    /// flags and stamp, without offload request. No payload is copied.
    ///
    /// # Panics
    /// When `at` is beyond the end.
    pub fn split_off(&mut self, pool: &mut Pool, at: usize) -> Result<Self, NoMem> {
        assert!(at <= self.len(), "split beyond the end of the message");
        let (mut prev, mut block, mut left) = (ptr::null_mut::<Mblk>(), self.head(), at);
        // SAFETY: walks our own chain; a block with `left` bytes or more ends the walk.
        unsafe {
            while left > (*block).len as usize
                || (left == (*block).len as usize && !(*block).cont.is_null())
            {
                left -= (*block).len as usize;
                prev = block;
                block = (*block).cont;
            }
        }
        let rest = if left == 0 && !prev.is_null() {
            // SAFETY: the cut is between two blocks: the rest of the chain moves as it is.
            unsafe {
                (*prev).cont = ptr::null_mut();
                Self::from_raw(block)
            }
        } else {
            // SAFETY: `block` is ours; the second window keeps a reference of its own.
            unsafe {
                let dblk = (*block).dblk;
                let window = pool.bare(dblk, (*block).rptr.add(left))?;
                (*dblk).add_ref();
                (*window).len = (*block).len - left as u32;
                (*window).kind = (*block).kind;
                (*window).cont = core::mem::replace(&mut (*block).cont, ptr::null_mut());
                (*block).len = left as u32;
                Self::from_raw(window)
            }
        };
        Ok(self.finish_split(rest, at))
    }

    /// A message on bytes `[from, from + len)` of this one, sharing the memory.
    ///
    /// # Panics
    /// When the range is beyond the end.
    pub fn slice(&self, pool: &mut Pool, from: usize, len: usize) -> Result<Self, NoMem> {
        assert!(from + len <= self.len(), "slice beyond the end of the message");
        self.dup_range(pool, from, len, false)
    }

    /// Removes `n` bytes from the front, across blocks of any kind; emptied blocks go, except the
    /// last one left. Offsets of the offload request move along.
    ///
    /// # Panics
    /// When there are fewer than `n` bytes.
    #[inline]
    pub fn trim_front(&mut self, n: usize) {
        let mblk = self.mblk_mut();
        if n <= mblk.len as usize {
            mblk.rptr = mblk.rptr.wrapping_add(n);
            mblk.len -= n as u32;
            mblk.total_len -= n as u32;
            mblk.offload.shift(-(n as i32));
        } else {
            self.trim_front_blocks(n);
        }
    }

    /// Removes bytes from the end so that `len` are left; blocks emptied go, except the first.
    ///
    /// # Panics
    /// When the message is shorter.
    pub fn truncate(&mut self, len: usize) {
        assert!(len <= self.len(), "truncate beyond the end of the message");
        let mut block = self.head();
        let mut left = len;
        // SAFETY: walks and shortens our own chain; what is cut off was owned by it.
        unsafe {
            while left > (*block).len as usize {
                left -= (*block).len as usize;
                block = (*block).cont;
            }
            (*block).len = left as u32;
            let mut rest = core::mem::replace(&mut (*block).cont, ptr::null_mut());
            while !rest.is_null() {
                let next = (*rest).cont;
                free_block(rest);
                rest = next;
            }
        }
        self.mblk_mut().total_len = len as u32;
    }

    /// `adjmsg(9F)`: removes `n` bytes from the front (n > 0) or the end (n < 0), counting only
    /// the leading run of blocks of the same kind.
    ///
    /// # Errors
    /// False, and nothing has changed, when the run is shorter.
    #[must_use]
    pub fn adjust(&mut self, n: isize) -> bool {
        let run = self.run_len();
        let count = n.unsigned_abs();
        if count > run {
            return false;
        }
        if n >= 0 {
            let first_kind = self.kind();
            self.trim_front(count);
            self.set_kind(first_kind);
        } else {
            self.cut_run(run, count);
        }
        true
    }

    /// `pullupmsg(9F)`: makes the first `n` bytes contiguous in the first block, counting only
    /// the leading run of blocks of the same kind.
    ///
    /// # Errors
    /// [`PullupError::Short`] when the run is shorter, [`PullupError::NoMem`]; the message is
    /// unchanged.
    #[inline]
    pub fn pullup(&mut self, pool: &mut Pool, n: usize) -> Result<(), PullupError> {
        if self.first().len() >= n { Ok(()) } else { self.pullup_slow(pool, n) }
    }

    /// As [`Msg::pullup`], and the first block is unique, so that [`Msg::first_mut`] succeeds and
    /// `n` of its bytes can be written. A shared first block is copied up to `n` bytes.
    #[inline]
    pub fn make_writable(&mut self, pool: &mut Pool, n: usize) -> Result<&mut [u8], PullupError> {
        if self.first_mut().is_none_or(|bytes| bytes.len() < n) {
            self.pullup_slow(pool, n)?;
        }
        match self.first_mut() {
            Some(bytes) => Ok(&mut bytes[..n]),
            None => Err(PullupError::NoMem),
        }
    }

    /// `msgpullup(9F)`: a new message whose first `n` bytes are contiguous; `self` is unchanged
    /// and shares the rest.
    pub fn pulled_up(&self, pool: &mut Pool, n: usize) -> Result<Self, PullupError> {
        let mut copy = self.dup(pool).map_err(|_| PullupError::NoMem)?;
        copy.pullup(pool, n)?;
        Ok(copy)
    }

    /// Copies bytes from `from` on into `out`, as many as there are. Works for foreign blocks.
    /// Not counted: callers that hand payload to a user count it with [`Pool::note_copied`].
    pub fn copy_out(&self, from: usize, out: &mut [u8]) -> usize {
        let (mut skip, mut done) = (from, 0);
        for block in self.blocks() {
            if skip >= block.len() {
                skip -= block.len();
                continue;
            }
            let n = (block.len() - skip).min(out.len() - done);
            read_block(block, skip, &mut out[done..done + n]);
            done += n;
            skip = 0;
            if done == out.len() {
                break;
            }
        }
        done
    }

    /// A copy of the message in right-sized cells when less than a quarter of its memory is used
    /// (`truesize`), else the message itself. The copy is counted.
    pub fn compacted(self, pool: &mut Pool) -> Self {
        if self.len() * 4 >= self.truesize() {
            return self;
        }
        match self.copy(pool) {
            Ok(copy) if copy.truesize() < self.truesize() => {
                pool.free(self);
                copy
            }
            _ => self,
        }
    }

    /// Takes kind, band, flags, stamp, hash, offload and context of `from`.
    fn take_marks(&mut self, from: &Mblk) {
        let to = self.mblk_mut();
        to.kind = from.kind;
        to.band = from.band;
        to.flags = from.flags;
        to.stamp = from.stamp;
        to.flow_hash = from.flow_hash;
        to.offload = from.offload;
        to.ctx = from.ctx;
    }

    fn kind_of_last(&self) -> crate::Kind {
        // SAFETY: the last block is owned by `self`.
        unsafe { (*self.last()).kind }
    }

    /// Bytes in front of the first window, whether they may be written or not.
    fn layout_headroom(&self) -> usize {
        let mblk = self.mblk();
        // SAFETY: `rptr` lies inside the data block, which lives as long as its window.
        unsafe { mblk.rptr.offset_from((*mblk.dblk).base) as usize }
    }

    /// Links an empty block with `n` bytes of headroom in front; it becomes the head.
    #[cold]
    fn link_front(&mut self, pool: &mut Pool, n: usize) -> Result<(), NoMem> {
        // Room for what modules further down will want too.
        const MORE: usize = 64;
        let mut front = pool.alloc(n + MORE, 0)?;
        front.take_marks(self.mblk());
        let total = self.mblk().total_len;
        core::mem::swap(self, &mut front);
        // Now `self` is the new block and `front` the old chain.
        let new = self.head();
        // SAFETY: the new block is ours and has no chain yet.
        unsafe {
            (*new).cont = front.into_raw();
            (*new).total_len = total;
        }
        Ok(())
    }

    fn finish_split(&mut self, mut rest: Self, at: usize) -> Self {
        let total = self.mblk().total_len;
        let kind = rest.mblk().kind;
        rest.take_marks(self.mblk());
        let tail = rest.mblk_mut();
        tail.kind = kind;
        tail.next = ptr::null_mut();
        tail.offload = crate::Offload::NONE;
        tail.total_len = total - at as u32;
        self.mblk_mut().total_len = at as u32;
        rest
    }

    fn dup_range(
        &self,
        pool: &mut Pool,
        from: usize,
        len: usize,
        keep_empty: bool,
    ) -> Result<Self, NoMem> {
        let mut skip = from;
        let mut left = len;
        let mut head: *mut Mblk = ptr::null_mut();
        let mut last: *mut Mblk = ptr::null_mut();
        let mut block = self.head();
        // SAFETY: walks our own chain; every new window takes a reference of its own. What was
        // built before a failure is owned by `head` and freed with it.
        unsafe {
            while !block.is_null() {
                let size = (*block).len as usize;
                let start = skip.min(size);
                let n = (size - start).min(left);
                skip -= start;
                if n > 0 || keep_empty || (left == 0 && head.is_null()) {
                    let window = match pool.bare((*block).dblk, (*block).rptr.add(start)) {
                        Ok(window) => window,
                        Err(NoMem) => {
                            if !head.is_null() {
                                pool.free(Self::from_raw(head));
                            }
                            return Err(NoMem);
                        }
                    };
                    (*(*block).dblk).add_ref();
                    (*window).len = n as u32;
                    (*window).kind = (*block).kind;
                    if head.is_null() {
                        head = window;
                    } else {
                        (*last).cont = window;
                    }
                    last = window;
                    left -= n;
                }
                if left == 0 && !keep_empty {
                    break;
                }
                block = (*block).cont;
            }
            let kind = (*head).kind;
            let mut dup = Self::from_raw(head);
            dup.take_marks(self.mblk());
            dup.set_kind(kind);
            dup.mblk_mut().total_len = len as u32;
            if !keep_empty {
                dup.mblk_mut().offload = crate::Offload::NONE;
            }
            Ok(dup)
        }
    }

    /// Bytes of the leading run of blocks of the first block's kind.
    fn run_len(&self) -> usize {
        let kind = self.kind();
        self.blocks().take_while(|b| b.kind() == kind).map(|b| b.len()).sum()
    }

    fn trim_front_blocks(&mut self, n: usize) {
        assert!(n <= self.len(), "trim beyond the end of the message");
        let mut left = n;
        let total = self.len() - n;
        let head = self.head();
        // SAFETY: walks our own chain. The first block stays, as a window of its own on what it
        // had; the second takes its place in `self` by exchange of contents below.
        unsafe {
            left -= (*head).len as usize;
            (*head).rptr = (*head).rptr.add((*head).len as usize);
            (*head).len = 0;
            loop {
                let next = (*head).cont;
                let size = (*next).len as usize;
                if left < size || (*next).cont.is_null() {
                    (*next).rptr = (*next).rptr.add(left);
                    (*next).len -= left as u32;
                    break;
                }
                left -= size;
                (*head).cont = (*next).cont;
                free_block(next);
            }
        }
        // The empty first block goes as well: the second becomes the head.
        let mut offload = self.offload();
        offload.shift(-(n as i32));
        let next = core::mem::replace(&mut self.mblk_mut().cont, ptr::null_mut());
        // SAFETY: `next` is the second block of our chain, no longer linked from the first.
        let mut rest = unsafe { Self::from_raw(next) };
        let kind = rest.kind();
        rest.take_marks(self.mblk());
        rest.set_kind(kind);
        rest.mblk_mut().next = ptr::null_mut();
        rest.mblk_mut().total_len = total as u32;
        rest.mblk_mut().offload = offload;
        *self = rest;
    }

    /// Removes `count` bytes from the end of the leading run of `run` bytes.
    fn cut_run(&mut self, run: usize, count: usize) {
        let kind = self.kind();
        let mut keep = run - count;
        let mut prev: *mut Mblk = ptr::null_mut();
        let mut block = self.head();
        // SAFETY: walks our own chain; blocks cut out of it were owned by it.
        unsafe {
            while !block.is_null() && (*block).kind == kind {
                let next = (*block).cont;
                let n = keep.min((*block).len as usize);
                keep -= n;
                let emptied = n == 0 && (*block).len > 0;
                (*block).len = n as u32;
                if emptied && !prev.is_null() {
                    (*prev).cont = next;
                    free_block(block);
                } else {
                    prev = block;
                }
                block = next;
            }
        }
        self.mblk_mut().total_len -= count as u32;
    }

    #[cold]
    fn pullup_slow(&mut self, pool: &mut Pool, n: usize) -> Result<(), PullupError> {
        if self.run_len() < n {
            return Err(PullupError::Short);
        }
        let headroom = self.layout_headroom().max(64);
        let mut front = pool.alloc(headroom, n).map_err(|_| PullupError::NoMem)?;
        if front.tailroom() < n {
            return Err(PullupError::NoMem);
        }
        let copied = self.copy_out(0, &mut front.spare_mut()[..n]);
        debug_assert_eq!(copied, n);
        front.commit(n);
        pool.count_pulled(n);
        front.take_marks(self.mblk());
        let offload = self.offload();
        let kind = self.kind();
        if n < self.len() {
            self.trim_front(n);
            core::mem::swap(self, &mut front);
            // Now `self` is the contiguous block and `front` the rest.
            if !front.is_empty() {
                self.link(front);
            }
        } else {
            *self = front;
        }
        self.set_kind(kind);
        self.set_offload(offload);
        Ok(())
    }
}

impl Pool {
    /// Counts payload that a caller copied out of or into a message (see [`Msg::copy_out`]).
    pub fn note_copied(&self, bytes: usize) {
        self.count_copied(bytes);
    }
}

/// Why bytes could not be made contiguous.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PullupError {
    /// The leading run of blocks of one kind is shorter than asked.
    Short,
    /// No cell is left, or more was asked than a cell holds.
    NoMem,
}

fn read_block(block: crate::Block<'_>, from: usize, out: &mut [u8]) {
    match block.as_slice() {
        Some(bytes) => out.copy_from_slice(&bytes[from..from + out.len()]),
        None => read_volatile(block.as_ptr().wrapping_add(from), out),
    }
}
