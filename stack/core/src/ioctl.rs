//! ioctl: requests to what is below a stream's head, and the bytes of their messages.
//!
//! | message | first block | behind it | from | to |
//! |---|---|---|---|---|
//! | M_IOCTL | [`Iocblk`] | the caller's data or its argument | head | module, driver |
//! | M_IOCACK | [`Iocblk`] | data for the caller | module, driver | head |
//! | M_IOCNAK | [`Iocblk`] | nothing | module, driver | head |
//! | M_COPYIN | [`Copyreq`] | nothing | module | head |
//! | M_COPYOUT | [`Copyreq`] | the bytes | module | head |
//! | M_IOCDATA | [`Copyresp`] | bytes that were copied in | head | the module that asked |
//!
//! All first blocks are [`BLOCK`] bytes that begin alike, so that a reply is the request
//! rewritten in place. M_IOCTL keeps its place among data; replies go ahead of it.

mod blocks;
mod calls;
mod link;
mod reply;
pub(crate) mod wait;

pub use blocks::{BLOCK, Copyreq, Copyresp, Iocblk};
pub use link::{LinkCommand, MUXID_ALL};
pub(crate) use link::{Links, Unknown};
pub(crate) use reply::{first_block, refuse_unknown, rewrite};

use crate::errno::Errno;
use crate::module::Drop;
use alloc::vec::Vec;

/// Names an ioctl under way: unique in its perimeter until 2^32 later ones.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct IocId(pub u32);

/// Whom a request comes from.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Cred {
    /// User.
    pub uid: u32,
    /// Group.
    pub gid: u32,
}

/// What a program asks for.
#[derive(Clone, Copy, Debug)]
pub struct Request<'a> {
    /// What to do. Modules that do not know it pass it on.
    pub cmd: u32,
    /// Seconds to wait for the answer; 0 for [`DEFAULT_TIMEOUT_S`], -1 for ever.
    pub timeout: i32,
    /// Whom it comes from.
    pub cred: Cred,
    /// What comes with it.
    pub arg: Arg<'a>,
}

/// What comes with a request.
#[derive(Clone, Copy, Debug)]
pub enum Arg<'a> {
    /// I_STR: these bytes, at most [`LEN_MAX`].
    Data(&'a [u8]),
    /// The third argument as it is. A module that takes it for an address asks the head to copy.
    Transparent(u64),
}

/// What an ioctl was answered with.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Reply {
    /// What ioctl(2) returns.
    pub rval: i32,
    /// Bytes for the caller.
    pub data: Vec<u8>,
}

/// What an ioctl wants from its caller.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Progress {
    /// It is over.
    Done(Result<Reply, Errno>),
    /// The bytes at this address, for `Perimeter::ioctl_copied`.
    CopyIn {
        /// Where, as the module says. Not to be believed.
        addr: u64,
        /// How many, at most [`LEN_MAX`].
        len: usize,
    },
    /// These bytes are to be stored at this address; then `Perimeter::ioctl_copied`.
    CopyOut {
        /// Where, as the module says. Not to be believed.
        addr: u64,
        /// What.
        bytes: Vec<u8>,
    },
}

/// Memory of a caller that the "addresses" of a transparent ioctl lie in: offsets from `base`.
/// Nothing outside is ever read or written.
#[derive(Debug)]
pub struct Area<'a> {
    /// Address of the first byte.
    pub base: u64,
    /// The memory.
    pub bytes: &'a mut [u8],
}

impl Area<'_> {
    /// The bytes of a copy in.
    ///
    /// # Errors
    /// EFAULT when they do not lie in the area.
    pub fn copy_in(&self, addr: u64, len: usize) -> Result<&[u8], Errno> {
        self.range(addr, len).map(|range| &self.bytes[range])
    }

    /// Stores the bytes of a copy out: all or none.
    ///
    /// # Errors
    /// EFAULT when they do not fit into the area there.
    pub fn copy_out(&mut self, addr: u64, bytes: &[u8]) -> Result<(), Errno> {
        let range = self.range(addr, bytes.len())?;
        self.bytes[range].copy_from_slice(bytes);
        Ok(())
    }

    fn range(&self, addr: u64, len: usize) -> Result<core::ops::Range<usize>, Errno> {
        let from = addr.checked_sub(self.base).and_then(|from| usize::try_from(from).ok());
        let range = from.and_then(|from| Some(from..from.checked_add(len)?));
        range.filter(|range| range.end <= self.bytes.len()).ok_or(Errno::EFAULT)
    }
}

/// `count` of a transparent M_IOCTL: what follows is the caller's argument, 8 bytes.
pub const TRANSPARENT: u32 = u32::MAX;

/// Most bytes of a request, of its answer, and of one copy (`strmsgsz`).
pub const LEN_MAX: usize = 1 << 16;

/// How long the answer is waited for by default, and at most for the stream's turn. Seconds.
pub const DEFAULT_TIMEOUT_S: u32 = 15;

/// I_LINK: a stream below a multiplexor, until the stream that asked closes. A head makes it.
pub const I_LINK: u32 = 0x530c;
/// I_UNLINK: undoes an I_LINK.
pub const I_UNLINK: u32 = 0x530d;
/// I_PLINK: as I_LINK, until it is undone.
pub const I_PLINK: u32 = 0x5316;
/// I_PUNLINK: undoes an I_PLINK.
pub const I_PUNLINK: u32 = 0x5317;

/// An answer came too late, or to nothing that was asked.
pub const LATE_REPLY: Drop = Drop("ioctl reply that nobody waits for");
/// A second answer to one request.
pub const DUPLICATE_REPLY: Drop = Drop("duplicate ioctl reply");
/// The first block is shorter than [`BLOCK`].
pub const MALFORMED: Drop = Drop("malformed ioctl message");

/// Commands that only a head may make (G5).
pub(crate) const fn is_link_command(cmd: u32) -> bool {
    matches!(cmd, I_LINK | I_UNLINK | I_PLINK | I_PUNLINK)
}
