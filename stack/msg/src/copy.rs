//! Operations that copy payload. Every byte copied is counted in the pool; those that are copied
//! to need less memory are counted apart.

use crate::block::Class;
use crate::foreign;
use crate::kind::Kind;
use crate::msg::{Block, Msg};
use crate::pool::{NoMem, Pool, class_for};

impl Msg {
    /// Appends a copy of `bytes`, in the tailroom and in new blocks behind.
    ///
    /// # Errors
    /// [`NoMem`]; the message is unchanged.
    pub fn append(&mut self, pool: &mut Pool, bytes: &[u8]) -> Result<(), NoMem> {
        let (here, mut rest) = bytes.split_at(bytes.len().min(self.tailroom()));
        // SAFETY: the last block is owned by `self`.
        let kind = unsafe { (*self.last()).kind };
        let mut more = None;
        while !rest.is_empty() {
            let mut block = next_block(pool, &mut more, 0, rest.len())?;
            block.set_kind(kind);
            rest = &rest[block.fill(rest)..];
            chain(&mut more, block);
        }
        self.fill(here);
        if let Some(more) = more {
            self.link(more);
        }
        pool.note_copied(bytes.len());
        Ok(())
    }

    /// `copymsg(9F)`: another message with bytes of its own.
    ///
    /// # Shapes
    /// Kinds, marks and the blocks are the same; a block that is larger than a cell is cut.
    /// Headroom and tailroom that could be written survive; a block that shares its memory keeps
    /// up to 128 bytes of what is in front of it. (`copyb(9F)` copies the whole buffer, which for
    /// one segment of a super-frame would be 32 KiB.)
    ///
    /// # Errors
    /// [`NoMem`]; nothing is left over.
    pub fn copy(&self, pool: &mut Pool) -> Result<Self, NoMem> {
        let mut copy = None;
        for block in self.blocks() {
            let (mut before, behind) = block.rooms_to_keep();
            let mut done = 0;
            loop {
                let room = block.len() - done + behind;
                let mut piece = next_block(pool, &mut copy, before, room)?;
                done += piece.fill_from(block, done, pool);
                chain(&mut copy, piece);
                before = 0;
                if done == block.len() {
                    break;
                }
            }
        }
        self.mark_copy(copy)
    }

    /// A copy of the message in right-sized cells when less than a quarter of its memory is used
    /// (`truesize`) and the copy takes less, else the message itself.
    pub fn compacted(self, pool: &mut Pool) -> Self {
        if self.len() * 4 >= self.truesize() || self.tight_truesize() >= self.truesize() {
            return self;
        }
        let Ok(copy) = self.copy_tight(pool) else { return self };
        pool.note_compacted(copy.len());
        pool.spend(self);
        copy
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
            block.read(skip, &mut out[done..done + n]);
            done += n;
            skip = 0;
            if done == out.len() {
                break;
            }
        }
        done
    }

    /// Each run of blocks of one kind, in as few cells as hold it.
    fn copy_tight(&self, pool: &mut Pool) -> Result<Self, NoMem> {
        let mut copy = None;
        for (kind, run, first) in self.runs() {
            let (mut left, mut at) = (run, first);
            loop {
                let mut piece = next_block(pool, &mut copy, 0, left)?;
                piece.set_kind(kind);
                let n = left.min(piece.tailroom());
                self.copy_out(at, &mut piece.spare_mut()[..n]);
                piece.commit(n);
                chain(&mut copy, piece);
                (left, at) = (left - n, at + n);
                if left == 0 {
                    break;
                }
            }
        }
        self.mark_copy(copy)
    }

    /// What [`Msg::copy_tight`] would take.
    fn tight_truesize(&self) -> usize {
        const LARGE: usize = Class::Large.data();
        let of = |run: usize| {
            let whole = run / LARGE * Class::Large.stride();
            let rest = run % LARGE;
            whole + if rest > 0 || run == 0 { class_for(rest).stride() } else { 0 }
        };
        self.runs().map(|(_, run, _)| of(run)).sum()
    }

    /// Runs of blocks of one kind: kind, bytes, offset of the first byte.
    fn runs(&self) -> impl Iterator<Item = (Kind, usize, usize)> {
        let mut blocks = self.blocks().peekable();
        let mut at = 0;
        core::iter::from_fn(move || {
            let first = blocks.next()?;
            let mut run = first.len();
            while let Some(next) = blocks.next_if(|next| next.kind() == first.kind()) {
                run += next.len();
            }
            at += run;
            Some((first.kind(), run, at - run))
        })
    }

    fn mark_copy(&self, copy: Option<Self>) -> Result<Self, NoMem> {
        let mut copy = copy.ok_or(NoMem)?;
        copy.take_marks(self.mblk());
        Ok(copy)
    }

    /// Copies as much of `bytes` as the tailroom takes; returns how much.
    fn fill(&mut self, bytes: &[u8]) -> usize {
        let spare = self.spare_mut();
        let n = spare.len().min(bytes.len());
        spare[..n].copy_from_slice(&bytes[..n]);
        self.commit(n);
        n
    }

    /// Takes the kind of `block`, and of its bytes from `from` on what the tailroom takes.
    fn fill_from(&mut self, block: Block<'_>, from: usize, pool: &Pool) -> usize {
        self.set_kind(block.kind());
        let spare = self.spare_mut();
        let n = spare.len().min(block.len() - from);
        block.read(from, &mut spare[..n]);
        self.commit(n);
        pool.note_copied(n);
        n
    }
}

impl Pool {
    /// Counts payload that a caller copied out of or into a message (see [`Msg::copy_out`]).
    pub fn note_copied(&self, bytes: usize) {
        self.count_copied(bytes);
    }

    /// Counts payload that was copied so that less memory is held (see [`Msg::compacted`]).
    pub fn note_compacted(&self, bytes: usize) {
        self.count_compacted(bytes);
    }
}

impl Block<'_> {
    fn read(self, from: usize, out: &mut [u8]) {
        match self.as_slice() {
            Some(bytes) => out.copy_from_slice(&bytes[from..from + out.len()]),
            // SAFETY: callers ask for bytes of the block, which stay mapped while it lives.
            None => unsafe { foreign::read(self.as_ptr().wrapping_add(from), out) },
        }
    }
}

/// A block to copy into; on failure frees what was built before.
fn next_block(
    pool: &mut Pool,
    built: &mut Option<Msg>,
    headroom: usize,
    len: usize,
) -> Result<Msg, NoMem> {
    pool.alloc(headroom, len).inspect_err(|_| {
        if let Some(built) = built.take() {
            pool.spend(built);
        }
    })
}

fn chain(whole: &mut Option<Msg>, piece: Msg) {
    match whole {
        Some(whole) => whole.link(piece),
        None => *whole = Some(piece),
    }
}
