//! `Msg`: an owned chain of blocks. What it is; the operations that move bytes are in `ops`.

use crate::block::{Class, Mblk};
use crate::kind::{Band, Kind, MsgFlags};
use crate::offload::Offload;
use crate::shared::free_block;
use core::marker::PhantomData;
use core::ptr::NonNull;

/// A message: one or more blocks, owned. Pointer-sized, `Send`, not `Clone` ([`Msg::dup`] is
/// explicit).
///
/// Dropping it on any thread frees it; inside a shard [`crate::Pool::free`] is cheaper, and a
/// module that drops a message must say why (`cx.discard`).
#[must_use = "a message that falls out of scope is lost without a reason"]
#[repr(transparent)]
pub struct Msg(NonNull<Mblk>);

// SAFETY: the chain is owned; data blocks shared with dups are counted atomically, and written
// only while the count is 1.
unsafe impl Send for Msg {}

impl Msg {
    /// Bytes of all blocks, whatever their type. See [`Msg::data_len`] for M_DATA only.
    #[inline]
    pub fn len(&self) -> usize {
        self.mblk().total_len as usize
    }

    /// True when no block has a byte.
    #[inline]
    pub fn is_empty(&self) -> bool {
        self.mblk().total_len == 0
    }

    /// The type of the first block.
    #[inline]
    pub fn kind(&self) -> Kind {
        self.mblk().kind
    }

    /// Sets the type of the first block. Duplicates keep theirs.
    #[inline]
    pub fn set_kind(&mut self, kind: Kind) {
        self.mblk_mut().kind = kind;
    }

    /// Sets the type of every block (`putmsg` makes the data part this way).
    pub fn set_kind_all(&mut self, kind: Kind) {
        let mut block = self.0.as_ptr();
        while !block.is_null() {
            // SAFETY: blocks of the chain are owned by `self`.
            unsafe {
                (*block).kind = kind;
                block = (*block).cont;
            }
        }
    }

    /// The priority band; 0 for high-priority types.
    #[inline]
    pub fn band(&self) -> Band {
        Band(self.mblk().band)
    }

    /// Sets the priority band.
    #[inline]
    pub fn set_band(&mut self, band: Band) {
        self.mblk_mut().band = band.0;
    }

    /// Flags of the message.
    #[inline]
    pub fn flags(&self) -> MsgFlags {
        self.mblk().flags
    }

    /// Sets the flags of the message.
    #[inline]
    pub fn set_flags(&mut self, flags: MsgFlags) {
        self.mblk_mut().flags = flags;
    }

    /// What is left to do to the packet before it is on the wire. Offsets count from the first
    /// byte of the message.
    #[inline]
    pub fn offload(&self) -> Offload {
        self.mblk().offload
    }

    /// Sets what is left to do to the packet.
    #[inline]
    pub fn set_offload(&mut self, offload: Offload) {
        self.mblk_mut().offload = offload;
    }

    /// Hash of the flow, 0 when unknown.
    #[inline]
    pub fn flow_hash(&self) -> u32 {
        self.mblk().flow_hash
    }

    /// Sets the hash of the flow.
    #[inline]
    pub fn set_flow_hash(&mut self, hash: u32) {
        self.mblk_mut().flow_hash = hash;
    }

    /// Time of arrival in microseconds, wrapping; 0 when not stamped.
    #[inline]
    pub fn stamp(&self) -> u32 {
        self.mblk().stamp
    }

    /// Sets the time of arrival in microseconds.
    #[inline]
    pub fn set_stamp(&mut self, micros: u32) {
        self.mblk_mut().stamp = micros;
    }

    /// Receiving interface.
    #[inline]
    pub fn ctx(&self) -> u16 {
        self.mblk().ctx
    }

    /// Sets the receiving interface.
    #[inline]
    pub fn set_ctx(&mut self, ctx: u16) {
        self.mblk_mut().ctx = ctx;
    }

    /// `msgdsize(9F)`: bytes of the M_DATA blocks only.
    pub fn data_len(&self) -> usize {
        self.blocks().filter(|b| b.kind() == Kind::Data).map(|b| b.len()).sum()
    }

    /// Bytes of memory that the message holds alive: the sum over its cells.
    pub fn truesize(&self) -> usize {
        self.blocks().map(|b| b.truesize()).sum()
    }

    /// The blocks, first to last. Never empty.
    #[inline]
    pub fn blocks(&self) -> Blocks<'_> {
        Blocks { next: self.0.as_ptr(), _msg: PhantomData }
    }

    #[inline]
    pub(crate) fn first_block(&self) -> Block<'_> {
        // SAFETY: blocks of the chain are owned by `self`, which is borrowed by the result.
        unsafe { Block::at(self.0.as_ptr()) }
    }

    /// The first block's bytes; empty when another process can write them.
    #[inline]
    pub fn first(&self) -> &[u8] {
        self.first_block().as_slice().unwrap_or_default()
    }

    /// The first block's bytes, to write in place.
    ///
    /// `None` when another message looks into the same memory or the memory was lent read-only:
    /// writable means unique. A window that another thread freed counts until the pool's owner
    /// has collected it. See [`Msg::make_writable`].
    #[inline]
    pub fn first_mut(&mut self) -> Option<&mut [u8]> {
        let mblk = self.mblk_mut();
        // SAFETY: the data block lives as long as its window. When the count is 1 and it is
        // writable and not foreign, `self` (borrowed mutably by the result) is the only way to it.
        unsafe {
            let dblk = &*mblk.dblk;
            if !dblk.is_unique() || !dblk.writable {
                return None;
            }
            Some(core::slice::from_raw_parts_mut(mblk.rptr, mblk.len as usize))
        }
    }

    /// Free bytes in front of the first block, 0 unless they can be written.
    #[inline]
    pub fn headroom(&self) -> usize {
        let mblk = self.mblk();
        // SAFETY: the data block lives as long as its window.
        unsafe {
            let dblk = &*mblk.dblk;
            if dblk.is_unique() && dblk.writable {
                mblk.rptr.offset_from(dblk.base) as usize
            } else {
                0
            }
        }
    }

    /// Free bytes behind the last block, 0 unless they can be written.
    #[inline]
    pub fn tailroom(&self) -> usize {
        let last = self.last();
        // SAFETY: the last block is owned by `self`; its data block lives as long.
        unsafe {
            let dblk = &*(*last).dblk;
            if dblk.is_unique() && dblk.writable {
                let used = (*last).rptr.offset_from(dblk.base) as usize + (*last).len as usize;
                dblk.size as usize - used
            } else {
                0
            }
        }
    }

    /// The free bytes behind the last block, to write; [`Msg::commit`] then takes them in. They
    /// hold bytes of former messages. Empty unless the block is unique.
    #[inline]
    pub fn spare_mut(&mut self) -> &mut [u8] {
        let room = self.tailroom();
        let last = self.last();
        // SAFETY: `tailroom` bytes behind the window belong to the unique data block; pool
        // memory is always initialised.
        unsafe {
            let end = (*last).rptr.add((*last).len as usize);
            core::slice::from_raw_parts_mut(end, room)
        }
    }

    /// Takes `n` bytes of [`Msg::spare_mut`] into the message.
    ///
    /// # Panics
    /// When there are fewer.
    #[inline]
    pub fn commit(&mut self, n: usize) {
        assert!(n <= self.tailroom(), "commit of more bytes than the tailroom has");
        let last = self.last();
        // SAFETY: the last block is owned by `self`.
        unsafe { (*last).len += n as u32 };
        self.mblk_mut().total_len += n as u32;
    }

    /// True when nobody else looks into any block of the message.
    pub fn is_unique(&self) -> bool {
        self.blocks().all(|b| b.is_unique())
    }

    /// # Safety
    /// `mblk` heads an owned chain that is on no list and in no other message.
    #[inline]
    pub(crate) unsafe fn from_raw(mblk: *mut Mblk) -> Self {
        // SAFETY: by the contract `mblk` is live, so not null.
        Self(unsafe { NonNull::new_unchecked(mblk) })
    }

    /// Gives the chain away.
    #[inline]
    pub(crate) fn into_raw(self) -> *mut Mblk {
        let mblk = self.0.as_ptr();
        core::mem::forget(self);
        mblk
    }

    #[inline]
    pub(crate) fn mblk(&self) -> &Mblk {
        // SAFETY: the first block is owned by `self`.
        unsafe { self.0.as_ref() }
    }

    #[inline]
    pub(crate) fn mblk_mut(&mut self) -> &mut Mblk {
        // SAFETY: the first block is owned by `self`.
        unsafe { self.0.as_mut() }
    }

    #[inline]
    pub(crate) fn head(&self) -> *mut Mblk {
        self.0.as_ptr()
    }

    #[inline]
    pub(crate) fn last(&self) -> *mut Mblk {
        let mut block = self.0.as_ptr();
        // SAFETY: blocks of the chain are owned by `self`.
        unsafe {
            while !(*block).cont.is_null() {
                block = (*block).cont;
            }
        }
        block
    }
}

impl Drop for Msg {
    fn drop(&mut self) {
        let mut block = self.0.as_ptr();
        while !block.is_null() {
            // SAFETY: the chain is owned by `self`, which is gone after this.
            unsafe {
                let rest = (*block).cont;
                free_block(block);
                block = rest;
            }
        }
    }
}

impl core::fmt::Debug for Msg {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("Msg")
            .field("kind", &self.kind())
            .field("band", &self.mblk().band)
            .field("len", &self.len())
            .field("blocks", &self.blocks().count())
            .finish()
    }
}

/// The blocks of a message. See [`Msg::blocks`].
#[derive(Clone, Debug)]
pub struct Blocks<'a> {
    next: *const Mblk,
    _msg: PhantomData<&'a Msg>,
}

impl Blocks<'_> {
    /// Those of no message.
    pub(crate) fn none() -> Self {
        Self { next: core::ptr::null(), _msg: PhantomData }
    }
}

impl<'a> Iterator for Blocks<'a> {
    type Item = Block<'a>;

    #[inline]
    fn next(&mut self) -> Option<Block<'a>> {
        if self.next.is_null() {
            return None;
        }
        // SAFETY: the message is borrowed for 'a, so its blocks are live and unchanged.
        let block = unsafe { Block::at(self.next) };
        self.next = block.0.cont;
        Some(block)
    }
}

/// One block of a message, to read.
#[derive(Clone, Copy)]
pub struct Block<'a>(&'a Mblk);

impl<'a> Block<'a> {
    /// # Safety
    /// `mblk` is live and unchanged for 'a.
    #[inline]
    pub(crate) unsafe fn at(mblk: *const Mblk) -> Self {
        // SAFETY: passed on from the caller.
        Self(unsafe { &*mblk })
    }

    /// The type of this block.
    #[inline]
    pub fn kind(self) -> Kind {
        self.0.kind
    }

    /// Bytes of this block.
    #[inline]
    pub fn len(self) -> usize {
        self.0.len as usize
    }

    /// True when the block has no byte.
    #[inline]
    pub fn is_empty(self) -> bool {
        self.0.len == 0
    }

    /// The bytes; `None` when another process can write them.
    #[inline]
    pub fn as_slice(self) -> Option<&'a [u8]> {
        if self.is_foreign() {
            return None;
        }
        // SAFETY: the window lies in initialised memory that nobody writes while the message is
        // borrowed: writers need the only window, and this is one.
        Some(unsafe { core::slice::from_raw_parts(self.0.rptr, self.0.len as usize) })
    }

    /// Address of the first byte, for an iovec and for tests of identity.
    #[inline]
    pub fn as_ptr(self) -> *const u8 {
        self.0.rptr
    }

    /// Another process can write the memory.
    #[inline]
    pub fn is_foreign(self) -> bool {
        // SAFETY: the data block lives as long as its window.
        unsafe { (*self.0.dblk).foreign }
    }

    /// This block is the only window on its memory.
    #[inline]
    pub fn is_unique(self) -> bool {
        // SAFETY: the data block lives as long as its window.
        unsafe { (*self.0.dblk).is_unique() }
    }

    /// Headroom and tailroom that a copy keeps: those that could be written, else up to 128 bytes
    /// of what is in front.
    pub(crate) fn rooms_to_keep(self) -> (usize, usize) {
        const SHARED_MAX: usize = 128;
        // SAFETY: the data block lives as long as its window, which lies inside it.
        unsafe {
            let dblk = &*self.0.dblk;
            let before = self.0.rptr.offset_from(dblk.base) as usize;
            if dblk.is_unique() && dblk.class != Class::External {
                (before, dblk.size as usize - before - self.len())
            } else {
                (before.min(SHARED_MAX), 0)
            }
        }
    }

    /// Bytes of the cell, and of the wrapped memory of an external block.
    #[inline]
    pub fn truesize(self) -> usize {
        // SAFETY: the data block lives as long as its window.
        unsafe { (*self.0.dblk).truesize as usize }
    }
}

impl core::fmt::Debug for Block<'_> {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("Block").field("kind", &self.kind()).field("len", &self.len()).finish()
    }
}
