//! errno: results of ours become what a function of the C library returns.

use libc::{c_int, ssize_t};
use millstream_port::{Errno, MOVED};

/// Sets `errno`.
pub(crate) fn set(errno: Errno) {
    // SAFETY: it is this thread's own.
    unsafe { *libc::__errno_location() = errno.0 }
}

/// What `errno` is.
pub(crate) fn last() -> Errno {
    // SAFETY: it is this thread's own.
    Errno(unsafe { *libc::__errno_location() })
}

/// 0 or -1.
pub(crate) fn done(result: Result<(), Errno>) -> c_int {
    number(result.map(|()| 0))
}

/// The number or -1.
pub(crate) fn number(result: Result<c_int, Errno>) -> c_int {
    result.unwrap_or_else(|errno| {
        set(errno);
        -1
    })
}

/// The length or -1.
pub(crate) fn length(result: Result<usize, Errno>) -> ssize_t {
    match result {
        Ok(len) => ssize_t::try_from(len).unwrap_or(ssize_t::MAX),
        Err(errno) => {
            set(errno);
            -1
        }
    }
}

/// The length or -1; of a socket whose octets are at its descriptor what is done there.
pub(crate) fn length_or(
    result: Result<usize, Errno>,
    at_descriptor: impl FnOnce() -> ssize_t,
) -> ssize_t {
    if result == Err(MOVED) { at_descriptor() } else { length(result) }
}

/// What the kernel has returned: a number or the error that it set.
pub(crate) fn of_kernel(number: c_int) -> Result<c_int, Errno> {
    if number < 0 { Err(last()) } else { Ok(number) }
}
