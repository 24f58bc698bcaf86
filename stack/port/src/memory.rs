//! Memory that a stack and a program share: a memfd of the stack's, of a size that nobody can
//! change, and words and bytes in it that the other side may write at any time.
#![allow(unsafe_code)]

use rustix::fs::{FallocateFlags, MemfdFlags, SealFlags};
use rustix::mm::{MapFlags, ProtFlags};
use std::io::{Error, ErrorKind, Result};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::ptr::NonNull;
use std::sync::atomic::{AtomicI64, AtomicU32, AtomicU64};

/// A mapped memfd. Whoever has it reads and writes; nobody ever sees its bytes as `&[u8]`.
#[derive(Debug)]
pub struct Memory {
    base: NonNull<u8>,
    len: usize,
    /// Of who has made it, to be sent. Who attaches keeps none: a program may put descriptors of
    /// its own at any number that it does not know to be taken.
    fd: Option<OwnedFd>,
}

// SAFETY: the mapping is shared memory, reached through atomics and volatile copies only.
unsafe impl Send for Memory {}
// SAFETY: as above.
unsafe impl Sync for Memory {}

/// Nobody, the stack neither, can change the size any more, or what may be changed.
const SEALS: SealFlags = SealFlags::SHRINK.union(SealFlags::GROW).union(SealFlags::SEAL);

impl Memory {
    /// Makes one of `len` bytes, whole pages, all of them there: no access to it fails later.
    ///
    /// # Errors
    /// The kernel's, without memory or descriptors.
    pub fn make(name: &str, len: usize) -> Result<Self> {
        let flags = MemfdFlags::CLOEXEC | MemfdFlags::ALLOW_SEALING;
        let fd = rustix::fs::memfd_create(name, flags)?;
        rustix::fs::ftruncate(&fd, len as u64)?;
        rustix::fs::fallocate(&fd, FallocateFlags::empty(), 0, len as u64)?;
        rustix::fs::fcntl_add_seals(&fd, SEALS)?;
        let mut memory = Self::map(&fd, len)?;
        memory.fd = Some(fd);
        Ok(memory)
    }

    /// Maps one that the stack has made.
    ///
    /// # Errors
    /// `InvalidData` when its size could change; the kernel's.
    pub fn attach(fd: OwnedFd) -> Result<Self> {
        if !rustix::fs::fcntl_get_seals(&fd)?.contains(SEALS) {
            return Err(Error::new(ErrorKind::InvalidData, "the memory is not sealed"));
        }
        let len = usize::try_from(rustix::fs::fstat(&fd)?.st_size).unwrap_or(0);
        Self::map(&fd, len)
    }

    fn map(fd: &OwnedFd, len: usize) -> Result<Self> {
        let (prot, flags) = (ProtFlags::READ | ProtFlags::WRITE, MapFlags::SHARED);
        // SAFETY: a new mapping at an address of the kernel's choice; the file is sealed against
        // shrinking, so every page of it stays there.
        let base = unsafe { rustix::mm::mmap(std::ptr::null_mut(), len, prot, flags, fd, 0)? };
        let base = NonNull::new(base.cast()).ok_or(ErrorKind::OutOfMemory)?;
        Ok(Self { base, len, fd: None })
    }

    /// Bytes.
    pub fn len(&self) -> usize {
        self.len
    }

    /// There are none.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// To be sent to the other side, by who has made it.
    pub fn fd(&self) -> Option<BorrowedFd<'_>> {
        self.fd.as_ref().map(AsFd::as_fd)
    }

    /// The word at an offset.
    ///
    /// # Panics
    /// When it does not lie in the memory, or is not aligned: offsets are ours, never the peer's.
    pub fn u32_at(&self, at: usize) -> &AtomicU32 {
        // SAFETY: aligned and within the mapping (checked), which lives as long as `self`; both
        // sides use atomics.
        unsafe { &*self.place::<AtomicU32>(at) }
    }

    /// As [`Memory::u32_at`], of 8 bytes.
    pub fn u64_at(&self, at: usize) -> &AtomicU64 {
        // SAFETY: as in `u32_at`.
        unsafe { &*self.place::<AtomicU64>(at) }
    }

    /// So many words of 8 bytes at an offset.
    ///
    /// # Panics
    /// As [`Memory::u32_at`].
    pub fn words_at(&self, at: usize, count: usize) -> &[AtomicU64] {
        let first = self.place::<AtomicU64>(at);
        self.span(at, count * size_of::<AtomicU64>());
        // SAFETY: aligned, and the last of them is within the mapping, too (checked).
        unsafe { std::slice::from_raw_parts(first, count) }
    }

    /// As [`Memory::u64_at`], signed.
    pub fn i64_at(&self, at: usize) -> &AtomicI64 {
        // SAFETY: as in `u32_at`.
        unsafe { &*self.place::<AtomicI64>(at) }
    }

    fn place<T>(&self, at: usize) -> *const T {
        let inside = at <= self.len - size_of::<T>();
        assert!(at.is_multiple_of(align_of::<T>()) && inside, "word at {at}");
        // SAFETY: within the mapping.
        unsafe { self.base.as_ptr().add(at).cast() }
    }

    /// Copies bytes out. The other side may be writing them: any value is as good as another.
    ///
    /// # Panics
    /// When they do not lie in the memory.
    pub fn read(&self, at: usize, out: &mut [u8]) {
        let from = self.span(at, out.len());
        // SAFETY: both spans are whole and apart: `out` is the caller's own memory.
        unsafe { copy(from, out.as_mut_ptr(), out.len()) };
    }

    /// Copies bytes in.
    ///
    /// # Panics
    /// When they do not lie in the memory.
    pub fn write(&self, at: usize, bytes: &[u8]) {
        let to = self.span(at, bytes.len());
        // SAFETY: as in `read`.
        unsafe { copy(bytes.as_ptr(), to, bytes.len()) };
    }

    /// The address of a byte, for a program that has what begins there on loan; `None` outside.
    pub fn address(&self, at: usize) -> Option<NonNull<u8>> {
        (at < self.len).then(|| self.base.map_addr(|base| base.saturating_add(at)))
    }

    /// Where an address is in the memory, if it is there.
    pub fn offset(&self, address: NonNull<u8>) -> Option<usize> {
        let at = address.addr().get().checked_sub(self.base.addr().get())?;
        (at < self.len).then_some(at)
    }

    /// The address of a span of bytes.
    pub(crate) fn span(&self, at: usize, len: usize) -> *mut u8 {
        assert!(at <= self.len && len <= self.len - at, "{len} bytes at {at}");
        // SAFETY: within the mapping, or one past its end.
        unsafe { self.base.as_ptr().add(at) }
    }
}

impl Drop for Memory {
    fn drop(&mut self) {
        // SAFETY: mapped by us with this length, and nothing borrowed from it is left.
        let _unmapped = unsafe { rustix::mm::munmap(self.base.as_ptr().cast(), self.len) };
    }
}

/// Copies between our memory and memory that another process may be writing or reading. The
/// compiler knows nothing of what it does, so a race with the other process is none of the
/// language's.
///
/// # Safety
/// Both spans of `len` bytes are mapped, and do not overlap.
pub(crate) unsafe fn copy(from: *const u8, to: *mut u8, len: usize) {
    #[cfg(target_arch = "x86_64")]
    // SAFETY: as the caller says; the direction flag is clear by the ABI.
    unsafe {
        std::arch::asm!("rep movsb", inout("rcx") len => _, inout("rdi") to => _,
            inout("rsi") from => _, options(nostack, preserves_flags));
    }
    #[cfg(not(target_arch = "x86_64"))]
    for at in 0..len {
        // SAFETY: as the caller says.
        unsafe { to.add(at).write_volatile(from.add(at).read_volatile()) };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PAGE: usize = 4096;

    #[test]
    fn both_sides_see_what_the_other_writes() {
        let ours = Memory::make("test", 2 * PAGE).unwrap();
        let theirs = Memory::attach(ours.fd().unwrap().try_clone_to_owned().unwrap()).unwrap();
        assert_eq!(theirs.len(), 2 * PAGE);
        ours.write(PAGE - 2, b"across");
        let mut seen = [0; 6];
        theirs.read(PAGE - 2, &mut seen);
        assert_eq!(&seen, b"across");
        theirs.u32_at(8).store(7, std::sync::atomic::Ordering::Relaxed);
        assert_eq!(ours.u64_at(8).load(std::sync::atomic::Ordering::Relaxed), 7);
    }

    #[test]
    fn an_address_leads_to_its_place_and_none_outside_does() {
        let memory = Memory::make("test", PAGE).unwrap();
        let last = memory.address(PAGE - 1).unwrap();
        assert_eq!(memory.offset(last), Some(PAGE - 1));
        assert_eq!(memory.address(PAGE), None);
        assert_eq!(memory.offset(NonNull::from(&0_u8)), None);
    }

    #[test]
    fn nobody_changes_its_size() {
        let memory = Memory::make("test", PAGE).unwrap();
        assert!(rustix::fs::ftruncate(memory.fd().unwrap(), 0).is_err());
        assert!(rustix::fs::ftruncate(memory.fd().unwrap(), 2 * PAGE as u64).is_err());
        let loose = rustix::fs::memfd_create("loose", MemfdFlags::ALLOW_SEALING).unwrap();
        assert_eq!(Memory::attach(loose).unwrap_err().kind(), ErrorKind::InvalidData);
    }

    #[test]
    #[should_panic(expected = "6 bytes at 4094")]
    fn a_span_that_reaches_out_is_our_mistake() {
        Memory::make("test", PAGE).unwrap().write(PAGE - 2, b"across");
    }
}
