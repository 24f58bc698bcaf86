//! streams: the calls of STREAMS. A stream of the stack has a descriptor like a socket; `open(2)`
//! of a device that the kernel does not have gives one.

mod ioctl;
mod memory;
mod messages;

pub(crate) use ioctl::ioctl;

use crate::socket::{self, STREAM};
use crate::{backend, errno, real, table};
use libc::{c_char, c_int, c_uint};
use millstream_port::{Errno, Sockets};
use std::ffi::CStr;

/// `open(2)`. The mode, if there is one, comes in the third register.
///
/// # Safety
/// As the manual page.
#[unsafe(no_mangle)]
pub unsafe extern "C-unwind" fn open(path: *const c_char, flags: c_int, mode: c_uint) -> c_int {
    // SAFETY: as the caller promises.
    let fd = unsafe { real::open(path, flags, mode) };
    // SAFETY: as the caller promises.
    unsafe { or_stream(fd, path, flags) }
}

/// `open` of programs with long offsets.
///
/// # Safety
/// As the manual page.
#[unsafe(no_mangle)]
pub unsafe extern "C-unwind" fn open64(path: *const c_char, flags: c_int, mode: c_uint) -> c_int {
    // SAFETY: as the caller promises.
    let fd = unsafe { real::open64(path, flags, mode) };
    // SAFETY: as the caller promises.
    unsafe { or_stream(fd, path, flags) }
}

/// What the kernel has opened, or a stream if it has nothing of this name.
///
/// # Safety
/// `path` ends with a zero.
unsafe fn or_stream(fd: c_int, path: *const c_char, flags: c_int) -> c_int {
    if fd >= 0 || errno::last() != Errno::ENOENT || !backend::is_wanted() {
        return fd;
    }
    // SAFETY: as the caller promises; the kernel has read it, too.
    let path = unsafe { CStr::from_ptr(path) }.to_bytes();
    let device = path.strip_prefix(b"/dev/").and_then(|name| std::str::from_utf8(name).ok());
    let Some(device) = device.filter(|name| !name.is_empty() && !name.contains('/')) else {
        return fd;
    };
    let opened = backend::stack().and_then(|stack| {
        let _inside = backend::enter()?;
        described(stack, stack.open(device)?, flags)
    });
    errno::number(opened.map_err(|errno| match errno {
        // As before: there is no such file.
        Errno::ENODEV => Errno::ENOENT,
        errno => errno,
    }))
}

/// A descriptor for a stream that was opened.
fn described(stack: &dyn Sockets, id: millstream_port::Id, flags: c_int) -> Result<c_int, Errno> {
    let mut kind = 0;
    if flags & libc::O_NONBLOCK != 0 {
        kind |= libc::SOCK_NONBLOCK;
    }
    if flags & libc::O_CLOEXEC != 0 {
        kind |= libc::SOCK_CLOEXEC;
    }
    socket::on_stack(stack, id, (libc::AF_UNSPEC, STREAM), kind).inspect_err(|_| {
        let _closed = stack.close(id);
    })
}

/// `isastream(2)`.
///
/// # Safety
/// None is needed.
#[unsafe(no_mangle)]
pub unsafe extern "C-unwind" fn isastream(fd: c_int) -> c_int {
    if table::on_stack(fd).is_some_and(|socket| socket.kind() == STREAM) {
        return 1;
    }
    // SAFETY: no memory is named.
    errno::number(errno::of_kernel(unsafe { real::fcntl(fd, libc::F_GETFD, 0) }).map(|_| 0))
}

/// `pipe(2)` of streams, for programs that are linked with the library of STREAMS.
///
/// # Safety
/// It is null, or there is room for two numbers.
pub unsafe fn pipe(ends: *mut c_int) -> c_int {
    if ends.is_null() {
        return errno::done(Err(Errno::EFAULT));
    }
    let made = backend::stack().and_then(|stack| {
        let _inside = backend::enter()?;
        let (one, other) = stack.pipe()?;
        let first = described(stack, one, 0).inspect_err(|_| {
            let _closed = stack.close(other);
        })?;
        let second = described(stack, other, 0);
        Ok([
            first,
            second.inspect_err(|_| {
                // SAFETY: nobody knows of it yet.
                unsafe { crate::copies::close(first) };
            })?,
        ])
    });
    errno::done(made.map(|made| {
        // SAFETY: as the caller promises.
        unsafe { ends.cast::<[c_int; 2]>().write_unaligned(made) };
    }))
}
