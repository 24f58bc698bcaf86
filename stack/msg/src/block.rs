//! The two records behind a message: `Mblk` (a window) and `Dblk` (the memory it looks into).
//!
//! Three kinds of cell hold them:
//!
//! ```text
//! full      [ Mblk 64 | Dblk 64 | headroom, data, tailroom ... ]   Pool::alloc
//! bare      [ Mblk 64 ]                                            a dup
//! external  [ Mblk 64 | Dblk 64 | Free 64 ] -> memory of others    Pool::wrap_*
//! ```
//!
//! A full or external cell returns when the count of its `Dblk` is 0, whichever Mblk went first.

use crate::offload::Offload;
use crate::refs::Refs;
use crate::shared::Shared;
use bytes::Bytes;
use core::mem::size_of;
use core::ptr;

/// A message block: a window of `len` bytes from `rptr` into the data block.
///
/// `kind` is per block; `total_len`, `flow_hash`, `stamp`, `offload`, `band`, `flags` and `ctx`
/// are valid in the first block of a message only.
#[derive(Clone, Copy)]
#[repr(C)]
pub(crate) struct Mblk {
    /// Next message of a list (first block only), or next free cell.
    pub(crate) next: *mut Self,
    /// Next block of the same message.
    pub(crate) cont: *mut Self,
    pub(crate) dblk: *mut Dblk,
    /// First byte of the window.
    pub(crate) rptr: *mut u8,
    /// Bytes of the window.
    pub(crate) len: u32,
    /// Bytes of the whole message.
    pub(crate) total_len: u32,
    pub(crate) flow_hash: u32,
    /// Time of arrival in microseconds, wrapping.
    pub(crate) stamp: u32,
    pub(crate) offload: Offload,
    pub(crate) kind: crate::Kind,
    pub(crate) band: u8,
    pub(crate) flags: crate::MsgFlags,
    /// Receiving interface.
    pub(crate) ctx: u16,
}

const _: () = assert!(size_of::<Mblk>() == 64);

/// A data block: memory, its limits, and how many windows look into it.
#[repr(C)]
pub(crate) struct Dblk {
    pub(crate) base: *mut u8,
    /// The pool that the cell returns to. Kept alive by the cell being out.
    pub(crate) shared: *const Shared,
    /// Bytes from `base` to the limit.
    pub(crate) size: u32,
    pub(crate) refs: Refs,
    /// Bytes that the memory costs: the cell, or for an external block the cell and the memory.
    pub(crate) truesize: u32,
    pub(crate) class: Class,
    /// Another process can write the memory: it is never seen as `&[u8]`.
    pub(crate) foreign: bool,
    /// May be written in place when the count is 1. False for memory lent read-only.
    pub(crate) writable: bool,
    _pad: [u8; 29],
}

const _: () = assert!(size_of::<Dblk>() == 64 || crate::sync::MODELLED);

/// What releases the memory of an external block.
#[derive(Debug)]
pub enum Free {
    /// Nobody: the memory outlives the stack.
    None,
    /// The memory is that of this `Bytes`.
    Bytes(Bytes),
    /// `f(arg)` is called exactly once, after the last window is gone: at once on the thread that
    /// drops the only one; by the pool's owner in [`crate::Pool::run_deferred`] when it freed one
    /// of them, or several threads did.
    Fn(fn(*mut ()), *mut ()),
}

impl Free {
    pub(crate) fn run(self) {
        if let Self::Fn(f, arg) = self {
            f(arg);
        }
    }
}

/// Sizes of cells. The first three hold data.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum Class {
    Small = 0,
    Frame = 1,
    Large = 2,
    Bare = 3,
    External = 4,
}

pub(crate) const CLASSES: usize = 5;
pub(crate) const HEADER: usize = size_of::<Mblk>() + size_of::<Dblk>();

impl Class {
    pub(crate) const ALL: [Self; CLASSES] =
        [Self::Small, Self::Frame, Self::Large, Self::Bare, Self::External];

    /// Bytes of data that a cell holds, headroom and tailroom included.
    pub(crate) const fn data(self) -> usize {
        match self {
            // Headers, primitives, ACKs: one cache line of headroom and three of data.
            Self::Small => 256,
            // An Ethernet frame of 1514 bytes behind 128 bytes of headroom.
            Self::Frame => 2048 - HEADER,
            // Two of them behind a Frame take a super-frame of 64 KiB; one is still half used by
            // the 34 KiB frames that a kernel sender makes on average.
            Self::Large => 32 * 1024,
            Self::Bare | Self::External => 0,
        }
    }

    /// Bytes from one cell to the next.
    pub(crate) const fn stride(self) -> usize {
        match self {
            Self::Bare => size_of::<Mblk>(),
            Self::External => HEADER + 64,
            _ => HEADER + self.data(),
        }
    }
}

const _: () = assert!(size_of::<Free>() <= 64);

impl Mblk {
    /// True when the block is the one inside its data block's cell.
    #[inline]
    pub(crate) fn is_primary(this: *mut Self, dblk: *mut Dblk) -> bool {
        this.wrapping_add(1).cast::<Dblk>() == dblk
    }

    /// The block inside the cell of `dblk`.
    #[inline]
    pub(crate) fn primary_of(dblk: *mut Dblk) -> *mut Self {
        dblk.cast::<Self>().wrapping_sub(1)
    }

    /// Sets every field as `allocb(9F)` leaves it: M_DATA, empty, band 0, no links.
    ///
    /// # Safety
    /// `this` is an unused cell of a pool and `dblk` points to a live data block.
    #[inline]
    pub(crate) unsafe fn init(this: *mut Self, dblk: *mut Dblk, rptr: *mut u8) {
        // SAFETY: `this` is an unused cell, so nobody reads it while it is written.
        unsafe {
            this.write(Self {
                next: ptr::null_mut(),
                cont: ptr::null_mut(),
                dblk,
                rptr,
                len: 0,
                total_len: 0,
                flow_hash: 0,
                stamp: 0,
                offload: Offload::NONE,
                kind: crate::Kind::Data,
                band: 0,
                flags: crate::MsgFlags::empty(),
                ctx: 0,
            });
        }
    }
}

impl Dblk {
    pub(crate) fn new(base: *mut u8, size: u32, shared: *const Shared, class: Class) -> Self {
        Self {
            base,
            shared,
            size,
            refs: Refs::one(),
            truesize: class.stride() as u32,
            class,
            foreign: false,
            writable: true,
            _pad: [0; 29],
        }
    }

    /// One window only: it may be written.
    #[inline]
    pub(crate) fn is_unique(&self) -> bool {
        self.refs.is_sole()
    }

    /// The free routine, taken out; [`Free::None`] when there is none.
    ///
    /// # Safety
    /// Nobody else uses the data block.
    pub(crate) unsafe fn take_free(this: *mut Self) -> Free {
        // SAFETY: passed on from the caller; the slot of an external cell always holds a value.
        unsafe {
            match (*this).class {
                Class::External => ptr::replace(Self::free_slot(this), Free::None),
                _ => Free::None,
            }
        }
    }

    /// The free routine of an external cell, in the same cell behind the data block.
    #[inline]
    pub(crate) fn free_slot(this: *mut Self) -> *mut Free {
        this.wrapping_add(1).cast::<Free>()
    }
}
