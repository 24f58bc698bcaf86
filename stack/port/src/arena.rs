//! Memory that a stack receives into and that programs may read: a memfd that nobody but the stack
//! can write. Whoever has it sees all that is received, of all programs.
#![allow(unsafe_code)]

use crate::memory::copy;
use millstream_msg::{Free, Pool};
use rustix::fs::{FallocateFlags, MemfdFlags, SealFlags};
use rustix::mm::{MapFlags, ProtFlags};
use std::io::{Error, ErrorKind, Result};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::ptr::NonNull;
use std::sync::Arc;

/// A mapped arena: written by the stack, read by programs.
#[derive(Debug)]
pub struct Arena {
    base: NonNull<u8>,
    len: usize,
    /// A program needs no descriptor any more.
    fd: Option<OwnedFd>,
}

// SAFETY: it is reached by volatile copies only, and by the pool whose blocks lie in it.
unsafe impl Send for Arena {}
// SAFETY: as above.
unsafe impl Sync for Arena {}

/// Nobody can change its size, write to it but through the mapping that there is, or change this.
const SEALS: SealFlags =
    SealFlags::SHRINK.union(SealFlags::GROW).union(SealFlags::FUTURE_WRITE).union(SealFlags::SEAL);

const PAGE: usize = 4096;

impl Arena {
    /// Makes one of `len` bytes, whole pages, all of them there.
    ///
    /// # Errors
    /// The kernel's, without memory or descriptors.
    pub fn make(len: usize) -> Result<Self> {
        let flags = MemfdFlags::CLOEXEC | MemfdFlags::ALLOW_SEALING;
        let fd = rustix::fs::memfd_create("millstream-arena", flags)?;
        rustix::fs::ftruncate(&fd, len as u64)?;
        rustix::fs::fallocate(&fd, FallocateFlags::empty(), 0, len as u64)?;
        let base = map(&fd, len, ProtFlags::READ | ProtFlags::WRITE)?;
        let arena = Self { base, len, fd: Some(fd) };
        rustix::fs::fcntl_add_seals(arena.fd().ok_or(ErrorKind::InvalidData)?, SEALS)?;
        Ok(arena)
    }

    /// Makes one that the largest blocks of a pool lie in which it has not made yet.
    ///
    /// # Errors
    /// As [`Arena::make`].
    pub fn of_pool(pool: &mut Pool) -> Result<Arc<Self>> {
        let arena = Arc::new(Self::make(pool.large_unmade_bytes().next_multiple_of(PAGE))?);
        let free = Free::Fn(let_go, Arc::into_raw(arena.clone()).cast_mut().cast());
        // SAFETY: a mapping of zeros that the free routine keeps, and that nobody else can write.
        unsafe { pool.adopt_large(arena.base.as_ptr(), arena.len, free) };
        Ok(arena)
    }

    /// Maps one that the stack has made, to be read.
    ///
    /// # Errors
    /// `InvalidData` when its size could change; the kernel's.
    pub fn attach(fd: &OwnedFd) -> Result<Self> {
        if !rustix::fs::fcntl_get_seals(fd)?.contains(SEALS) {
            return Err(Error::new(ErrorKind::InvalidData, "the arena is not sealed"));
        }
        let len = usize::try_from(rustix::fs::fstat(fd)?.st_size).unwrap_or(0);
        Ok(Self { base: map(fd, len, ProtFlags::READ)?, len, fd: None })
    }

    /// To be sent to programs; none of a program's own.
    pub fn fd(&self) -> Option<BorrowedFd<'_>> {
        self.fd.as_ref().map(AsFd::as_fd)
    }

    /// Bytes.
    pub fn len(&self) -> usize {
        self.len
    }

    /// There are none.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Where `len` bytes from an address on are in it, if all of them are.
    pub fn offset(&self, address: *const u8, len: usize) -> Option<usize> {
        let at = address.addr().checked_sub(self.base.addr().get())?;
        (at <= self.len && len <= self.len - at).then_some(at)
    }

    /// Copies bytes out, which the stack may be writing; none of it when they do not lie there.
    pub fn read(&self, at: usize, out: &mut [u8]) {
        if at <= self.len && out.len() <= self.len - at {
            // SAFETY: both spans are whole and apart: `out` is the caller's own memory.
            unsafe { copy(self.base.as_ptr().add(at), out.as_mut_ptr(), out.len()) };
        }
    }
}

impl Drop for Arena {
    fn drop(&mut self) {
        // SAFETY: mapped by us with this length, and nothing borrowed from it is left.
        let _unmapped = unsafe { rustix::mm::munmap(self.base.as_ptr().cast(), self.len) };
    }
}

/// The free routine of a pool.
fn let_go(arena: *mut ()) {
    // SAFETY: made by `into_raw` in `of_pool`, and called once (`Free::Fn`).
    drop(unsafe { Arc::from_raw(arena.cast_const().cast::<Arena>()) });
}

fn map(fd: &OwnedFd, len: usize, prot: ProtFlags) -> Result<NonNull<u8>> {
    // SAFETY: a new mapping at an address of the kernel's choice; the file is sealed against
    // shrinking, or will be before anybody else has it, so every page of it stays there.
    let base =
        unsafe { rustix::mm::mmap(std::ptr::null_mut(), len, prot, MapFlags::SHARED, fd, 0)? };
    NonNull::new(base.cast()).ok_or_else(|| ErrorKind::OutOfMemory.into())
}

#[cfg(test)]
mod tests {
    use super::*;
    use millstream_msg::PoolConfig;
    use rustix::io::Errno;

    #[test]
    fn a_program_reads_what_the_stack_writes_and_nothing_outside() {
        let arena = Arena::make(2 * PAGE).unwrap();
        let theirs = Arena::attach(&arena.fd().unwrap().try_clone_to_owned().unwrap()).unwrap();
        let (base, len) = (arena.base, arena.len());
        // SAFETY: within the mapping, and nobody else writes.
        unsafe { base.add(PAGE).copy_from(NonNull::from(b"seen").cast(), 4) };
        let mut seen = [0; 4];
        theirs.read(PAGE, &mut seen);
        assert_eq!(&seen, b"seen");
        theirs.read(2 * PAGE - 3, &mut seen);
        theirs.read(usize::MAX, &mut seen);
        assert_eq!(&seen, b"seen");
        assert_eq!(arena.offset(base.as_ptr().wrapping_add(9), len - 9), Some(9));
        assert_eq!(arena.offset(base.as_ptr().wrapping_add(9), len - 8), None);
        assert_eq!(arena.offset(base.as_ptr().wrapping_sub(1), 1), None);
    }

    #[test]
    fn a_program_cannot_write_it_however_it_opens_it() {
        let arena = Arena::make(PAGE).unwrap();
        let fd = arena.fd().unwrap().try_clone_to_owned().unwrap();
        let again = format!("/proc/self/fd/{}", std::os::fd::AsRawFd::as_raw_fd(&fd));
        let again = std::fs::OpenOptions::new().read(true).write(true).open(again);
        for fd in [Some(fd), again.ok().map(OwnedFd::from)].into_iter().flatten() {
            let (read, write) = (ProtFlags::READ, ProtFlags::READ | ProtFlags::WRITE);
            let refused = map(&fd, PAGE, write).unwrap_err().raw_os_error();
            assert_eq!(refused, Some(Errno::PERM.raw_os_error()));
            let base = map(&fd, PAGE, read).unwrap();
            let flags = rustix::mm::MprotectFlags::READ | rustix::mm::MprotectFlags::WRITE;
            // SAFETY: a mapping of this test alone.
            let made = unsafe { rustix::mm::mprotect(base.as_ptr().cast(), PAGE, flags) };
            assert_eq!(made, Err(Errno::ACCESS));
            // SAFETY: as above.
            unsafe { rustix::mm::munmap(base.as_ptr().cast(), PAGE).unwrap() };
            assert_eq!(rustix::io::pwrite(&fd, b"x", 0), Err(Errno::PERM));
            assert_eq!(rustix::fs::ftruncate(&fd, 0), Err(Errno::PERM));
            let hole = FallocateFlags::PUNCH_HOLE | FallocateFlags::KEEP_SIZE;
            assert_eq!(rustix::fs::fallocate(&fd, hole, 0, PAGE as u64), Err(Errno::PERM));
        }
    }

    #[test]
    fn blocks_of_a_pool_lie_in_it_and_keep_it() {
        let mut pool = Pool::new(PoolConfig { large: 2, ..PoolConfig::TINY });
        let arena = Arena::of_pool(&mut pool).unwrap();
        let msg = pool.alloc(0, 30_000).unwrap();
        assert!(arena.offset(msg.first().as_ptr(), 30_000).is_some());
        let kept = Arc::downgrade(&arena);
        drop((arena, pool));
        assert!(kept.upgrade().is_some());
        drop(msg);
        assert!(kept.upgrade().is_none());
    }
}
