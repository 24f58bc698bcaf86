//! memory: what arguments of ioctl point to, as the kernel copies it: an address where nothing is
//! gives EFAULT.

use libc::{c_void, iovec};
use millstream_port::Errno;
use std::mem::MaybeUninit;

/// The structure at an address.
pub(super) fn take<T: Copy>(at: usize) -> Result<T, Errno> {
    let mut value = MaybeUninit::<T>::uninit();
    let place = iovec { iov_base: value.as_mut_ptr().cast(), iov_len: size_of::<T>() };
    if copied(place, at, false)? != size_of::<T>() {
        return Err(Errno::EFAULT);
    }
    // SAFETY: all its bytes were copied, from what the program says is one: structures of ioctl
    // are numbers and addresses, and whatever bytes are there make some.
    Ok(unsafe { value.assume_init() })
}

/// Stores a structure.
pub(super) fn put<T: Copy>(at: usize, value: T) -> Result<(), Errno> {
    let base = std::ptr::from_ref(&value).cast_mut().cast();
    whole(copied(iovec { iov_base: base, iov_len: size_of::<T>() }, at, true)?, size_of::<T>())
}

/// So many bytes.
pub(super) fn bytes(at: usize, len: usize) -> Result<Vec<u8>, Errno> {
    let mut bytes = vec![0; len];
    let place = iovec { iov_base: bytes.as_mut_ptr().cast(), iov_len: len };
    whole(copied(place, at, false)?, len).map(|()| bytes)
}

/// Stores bytes.
pub(super) fn put_bytes(at: usize, bytes: &[u8]) -> Result<(), Errno> {
    let place = iovec { iov_base: bytes.as_ptr().cast_mut().cast(), iov_len: bytes.len() };
    whole(copied(place, at, true)?, bytes.len())
}

/// A name, without its zero.
///
/// # Errors
/// EINVAL for one of `most` bytes or more.
pub(super) fn name(at: usize, most: usize) -> Result<Vec<u8>, Errno> {
    let mut name = vec![0; most];
    // Behind it there may be no memory.
    let mut len = 0;
    while len < most {
        let step = page_left(at.wrapping_add(len)).min(most - len);
        let place = iovec { iov_base: name[len..].as_mut_ptr().cast(), iov_len: step };
        whole(copied(place, at.wrapping_add(len), false)?, step)?;
        len += step;
        if let Some(end) = name[..len].iter().position(|byte| *byte == 0) {
            name.truncate(end);
            return Ok(name);
        }
    }
    Err(Errno::EINVAL)
}

fn page_left(at: usize) -> usize {
    PAGE - at % PAGE
}

fn whole(copied: usize, len: usize) -> Result<(), Errno> {
    if copied == len { Ok(()) } else { Err(Errno::EFAULT) }
}

/// Copies between this library's memory and the program's, by the kernel; how many bytes.
fn copied(ours: iovec, at: usize, out: bool) -> Result<usize, Errno> {
    if ours.iov_len == 0 {
        return Ok(0);
    }
    let theirs = iovec { iov_base: at as *mut c_void, iov_len: ours.iov_len };
    // SAFETY: ours describes memory of ours; the kernel looks whether there is anything at theirs.
    let copied = unsafe {
        let me = libc::getpid();
        if out {
            libc::process_vm_writev(me, &ours, 1, &theirs, 1, 0)
        } else {
            libc::process_vm_readv(me, &ours, 1, &theirs, 1, 0)
        }
    };
    usize::try_from(copied).map_err(|_| Errno::EFAULT)
}

/// The smallest piece of memory that the kernel knows.
const PAGE: usize = 4096;
