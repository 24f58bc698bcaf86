//! Operations on the leading run: the first block and those behind it of the same kind.
//! Bytes that they copy are headers, counted apart from payload.

use crate::block::{Class, Mblk};
use crate::msg::{Block, Msg};
use crate::pool::Pool;
use crate::shared::trim_block;
use core::ptr;

impl Msg {
    /// Bytes of the leading run.
    pub fn run_len(&self) -> usize {
        let kind = self.kind();
        self.blocks().take_while(|b| b.kind() == kind).map(Block::len).sum()
    }

    /// `adjmsg(9F)`: removes `n` bytes from the front (n > 0) or the end (n < 0) of the leading
    /// run. Blocks emptied go, except the first.
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
            self.cut_front(count);
        } else {
            self.cut_run(run, count);
        }
        true
    }

    /// `pullupmsg(9F)`: makes the first `n` bytes contiguous in the first block, counting only
    /// the leading run. `pullupmsg(-1)` is `n` = [`Msg::run_len`].
    ///
    /// # Errors
    /// [`PullupError::Short`] when the run is shorter, [`PullupError::NoMem`]; the bytes and
    /// kinds are unchanged, empty blocks in front may be gone.
    #[inline]
    pub fn pullup(&mut self, pool: &mut Pool, n: usize) -> Result<(), PullupError> {
        if self.first().len() >= n { Ok(()) } else { self.pullup_slow(pool, n) }
    }

    /// As [`Msg::pullup`], and the first block is unique, so that [`Msg::first_mut`] succeeds and
    /// `n` of its bytes can be written. A shared first block is copied up to `n` bytes.
    #[inline]
    pub fn make_writable(&mut self, pool: &mut Pool, n: usize) -> Result<&mut [u8], PullupError> {
        if self.first_mut().is_none_or(|bytes| bytes.len() < n) {
            pool.collect();
        }
        if self.first_mut().is_none_or(|bytes| bytes.len() < n) {
            self.gather(pool, n)?;
        }
        match self.first_mut() {
            Some(bytes) => Ok(&mut bytes[..n]),
            None => Err(PullupError::NoMem),
        }
    }

    /// `msgpullup(9F)`: a new message whose first `n` bytes are contiguous; `self` is unchanged
    /// and shares the rest.
    ///
    /// # Errors
    /// As [`Msg::pullup`]; nothing is left over.
    pub fn pulled_up(&self, pool: &mut Pool, n: usize) -> Result<Self, PullupError> {
        let mut copy = self.dup(pool).map_err(|_| PullupError::NoMem)?;
        match copy.pullup(pool, n) {
            Ok(()) => Ok(copy),
            Err(error) => {
                pool.spend(copy);
                Err(error)
            }
        }
    }

    #[cold]
    fn pullup_slow(&mut self, pool: &mut Pool, n: usize) -> Result<(), PullupError> {
        if self.run_len() < n {
            return Err(PullupError::Short);
        }
        // A header that was trimmed away leaves an empty block in front of the next header.
        while self.mblk().len == 0 && n > 0 {
            self.drop_empty_head();
        }
        if self.first().len() >= n { Ok(()) } else { self.gather(pool, n) }
    }

    /// Copies the first `n` bytes of the run into a block of their own.
    #[cold]
    fn gather(&mut self, pool: &mut Pool, n: usize) -> Result<(), PullupError> {
        if self.run_len() < n {
            return Err(PullupError::Short);
        }
        let (in_front, _) = self.first_block().rooms_to_keep();
        let headroom = in_front.max(64).min(Class::Large.data().saturating_sub(n));
        let mut front = pool.alloc(headroom, n).map_err(|_| PullupError::NoMem)?;
        if front.tailroom() < n {
            pool.spend(front);
            return Err(PullupError::NoMem);
        }
        self.copy_out(0, &mut front.spare_mut()[..n]);
        front.commit(n);
        pool.count_pulled(n);
        front.set_kind(self.kind());
        front.take_marks(self.mblk());
        self.cut_front(n);
        // Now `self` becomes the contiguous block, and `rest` what is behind it.
        let mut rest = Some(core::mem::replace(self, front));
        if let Some(msg) = rest.take_if(|rest| rest.mblk().len == 0) {
            let (empty, behind) = msg.unlink();
            pool.spend(empty);
            rest = behind;
        }
        if let Some(rest) = rest {
            self.link(rest);
        }
        Ok(())
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
                    trim_block(block);
                } else {
                    prev = block;
                }
                block = next;
            }
        }
        self.mblk_mut().total_len -= count as u32;
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
