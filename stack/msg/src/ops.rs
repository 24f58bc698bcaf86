//! Operations that join, cut and duplicate messages. No payload byte moves.
//!
//! One block of a message carries its marks (band, flags, stamp, flow hash, context, offload
//! request): the first. Whatever changes which block that is hands them on through `take_marks`.

use crate::block::Mblk;
use crate::kind::MsgFlags;
use crate::msg::Msg;
use crate::offload::Offload;
use crate::pool::{NoMem, Pool};
use crate::shared::trim_block;
use core::ptr;

impl Msg {
    /// Makes room for `n` bytes in front and returns them, to write. Offsets of the offload
    /// request move along.
    ///
    /// # Shapes
    /// In place if the first block is unique and has headroom for n; else a new block of the same
    /// kind is linked in front and takes the marks over.
    ///
    /// # Errors
    /// [`NoMem`], also when n is more than a cell holds; the message is unchanged.
    #[inline]
    pub fn prepend(&mut self, pool: &mut Pool, n: usize) -> Result<&mut [u8], NoMem> {
        if self.headroom() < n {
            self.make_headroom(pool, n)?;
        }
        let mblk = self.mblk_mut();
        mblk.rptr = mblk.rptr.wrapping_sub(n);
        mblk.len += n as u32;
        mblk.total_len += n as u32;
        mblk.offload.shift(n as i64);
        // SAFETY: the headroom of a unique writable block was at least n bytes.
        Ok(unsafe { core::slice::from_raw_parts_mut(mblk.rptr, n) })
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
    ///
    /// # Shapes
    /// The rest has the marks of the message, without its offload request. (In classic STREAMS
    /// it has what its first block had before it was linked.)
    pub fn unlink(mut self) -> (Self, Option<Self>) {
        let mblk = self.mblk_mut();
        let at = mblk.len as usize;
        let rest = core::mem::replace(&mut mblk.cont, ptr::null_mut());
        if rest.is_null() {
            return (self, None);
        }
        // SAFETY: `rest` was our chain's second block and is no longer linked from it.
        let rest = self.share_marks(unsafe { Self::from_raw(rest) }, at);
        (self, Some(rest))
    }

    /// `dupmsg(9F)`: another message on the same memory. Both are read-only until one is gone.
    ///
    /// The count of windows is 32 bits wide and bounded by the bare blocks of all pools: there is
    /// no 255th duplicate that fails, as there is in illumos.
    ///
    /// # Errors
    /// [`NoMem`]: nothing is left over, `self` is unchanged.
    pub fn dup(&self, pool: &mut Pool) -> Result<Self, NoMem> {
        // SAFETY: walks our own chain. The new windows are owned by `dup`, whose last is `end`;
        // the first has all marks and the length of the message, being a copy of ours.
        unsafe {
            let head = self.head();
            let dup = Self::from_raw(pool.window(head, 0, (*head).len as usize)?);
            let (mut end, mut block) = (dup.head(), (*head).cont);
            while !block.is_null() {
                let Ok(window) = pool.window(block, 0, (*block).len as usize) else {
                    pool.spend(dup);
                    return Err(NoMem);
                };
                (*end).cont = window;
                (end, block) = (window, (*block).cont);
            }
            Ok(dup)
        }
    }

    /// Cuts the message: `self` keeps `[0, at)`, the rest is returned.
    ///
    /// # Shapes
    /// The rest has the same marks without the offload request. MARK and DELIM speak of the last
    /// byte and go with it.
    ///
    /// # Errors
    /// [`NoMem`]; the message is unchanged.
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
            // SAFETY: `block` is ours and has `left` bytes or more.
            unsafe {
                let window = pool.window(block, left, (*block).len as usize - left)?;
                (*window).cont = core::mem::replace(&mut (*block).cont, ptr::null_mut());
                (*block).len = left as u32;
                Self::from_raw(window)
            }
        };
        Ok(self.share_marks(rest, at))
    }

    /// A message on bytes `[from, from + len)` of this one, sharing the memory.
    ///
    /// # Shapes
    /// Marks as [`Msg::split_off`] gives them. Empty blocks are left out.
    ///
    /// # Errors
    /// [`NoMem`]; nothing is left over.
    ///
    /// # Panics
    /// When the range is beyond the end.
    pub fn slice(&self, pool: &mut Pool, from: usize, len: usize) -> Result<Self, NoMem> {
        let behind = self.len().checked_sub(from).and_then(|rest| rest.checked_sub(len));
        assert!(behind.is_some(), "slice beyond the end of the message");
        let mut slice = self.dup_range(pool, from, len)?;
        slice.set_offload(Offload::NONE);
        if behind != Some(0) {
            slice.set_flags(slice.flags().without(MsgFlags::OF_END));
        }
        Ok(slice)
    }

    /// Removes `n` bytes from the front, across blocks of any kind. Offsets of the offload request
    /// move along; a checksum request goes when the first byte that it covers does.
    ///
    /// # Shapes
    /// Emptied blocks go. A first block that is emptied exactly stays: its headroom may be wanted.
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
            mblk.offload.shift(-(n as i64));
        } else {
            assert!(n <= self.len(), "trim beyond the end of the message");
            self.cut_front(n);
            self.drop_empty_head();
        }
    }

    /// Removes bytes from the end so that `len` are left; blocks behind the cut go.
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
                trim_block(rest);
                rest = next;
            }
        }
        self.mblk_mut().total_len = len as u32;
    }

    /// Removes the first `n` bytes, which must be there. Blocks emptied go, except the first.
    pub(crate) fn cut_front(&mut self, n: usize) {
        let head = self.head();
        let advance = |block: *mut Mblk, n: usize| {
            // SAFETY: `block` is one of ours and has `n` bytes or more.
            unsafe {
                (*block).rptr = (*block).rptr.add(n);
                (*block).len -= n as u32;
            }
        };
        // SAFETY: walks our own chain, which has `left` bytes behind the head; the blocks cut out
        // of it were owned by it.
        unsafe {
            let mut left = n.saturating_sub((*head).len as usize);
            advance(head, n - left);
            while left > 0 {
                let next = (*head).cont;
                let taken = left.min((*next).len as usize);
                if taken == (*next).len as usize {
                    (*head).cont = (*next).cont;
                    trim_block(next);
                } else {
                    advance(next, taken);
                }
                left -= taken;
            }
        }
        let mblk = self.mblk_mut();
        mblk.total_len -= n as u32;
        mblk.offload.shift(-(n as i64));
    }

    /// An empty first block goes if there is a second one, which takes its marks over.
    pub(crate) fn drop_empty_head(&mut self) {
        let mblk = self.mblk_mut();
        if mblk.len > 0 || mblk.cont.is_null() {
            return;
        }
        let next = core::mem::replace(&mut mblk.cont, ptr::null_mut());
        // SAFETY: `next` is the second block of our chain, no longer linked from the first.
        let mut rest = unsafe { Self::from_raw(next) };
        rest.take_marks(self.mblk());
        rest.mblk_mut().total_len = self.mblk().total_len;
        *self = rest;
    }

    /// Takes the marks of the message that `from` heads. The kind stays: it is the block's.
    pub(crate) fn take_marks(&mut self, from: &Mblk) {
        let to = self.mblk_mut();
        to.band = from.band;
        to.flags = from.flags;
        to.stamp = from.stamp;
        to.flow_hash = from.flow_hash;
        to.offload = from.offload;
        to.ctx = from.ctx;
    }

    /// After `rest` was cut off at byte `at`: gives it its length and its share of the marks.
    fn share_marks(&mut self, mut rest: Self, at: usize) -> Self {
        let behind = self.mblk().total_len - at as u32;
        self.mblk_mut().total_len = at as u32;
        rest.take_marks(self.mblk());
        rest.mblk_mut().total_len = behind;
        rest.set_offload(Offload::NONE);
        let ends_early = if behind == 0 { &mut rest } else { self };
        ends_early.set_flags(ends_early.flags().without(MsgFlags::OF_END));
        rest
    }

    /// Links an empty block with `n` bytes of headroom in front, which becomes the head; unless
    /// the block is unique after all, once windows that others freed are off its count.
    #[cold]
    fn make_headroom(&mut self, pool: &mut Pool, n: usize) -> Result<(), NoMem> {
        // Room for what modules further down will want too.
        const MORE: usize = 64;
        pool.collect();
        if self.headroom() >= n {
            return Ok(());
        }
        let mut front = pool.alloc(n.saturating_add(MORE), 0)?;
        if front.headroom() < n {
            pool.spend(front);
            return Err(NoMem);
        }
        front.set_kind(self.kind());
        front.take_marks(self.mblk());
        core::mem::swap(self, &mut front);
        self.link(front);
        Ok(())
    }

    /// Windows on `[from, from + len)`, with the marks of the whole.
    fn dup_range(&self, pool: &mut Pool, from: usize, len: usize) -> Result<Self, NoMem> {
        let (mut skip, mut left) = (from, len);
        let mut head: *mut Mblk = ptr::null_mut();
        let mut end: *mut *mut Mblk = &raw mut head;
        let mut block = self.head();
        // SAFETY: walks our own chain, which has `from + len` bytes; `end` is `head` or the link
        // of the last new window. What was built before a failure is owned by `head`.
        unsafe {
            while left > 0 || head.is_null() {
                let start = skip.min((*block).len as usize);
                let n = ((*block).len as usize - start).min(left);
                skip -= start;
                left -= n;
                if n > 0 || left == 0 {
                    match pool.window(block, start, n) {
                        Ok(window) => *end = window,
                        Err(NoMem) => {
                            if !head.is_null() {
                                pool.spend(Self::from_raw(head));
                            }
                            return Err(NoMem);
                        }
                    }
                    end = &raw mut (**end).cont;
                }
                block = (*block).cont;
            }
            let mut dup = Self::from_raw(head);
            dup.take_marks(self.mblk());
            dup.mblk_mut().total_len = len as u32;
            Ok(dup)
        }
    }
}
