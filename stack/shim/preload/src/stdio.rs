//! stdio: files of the C library over sockets of the stack. They read and write inside the library,
//! by the descriptor: from here on the socket's octets are there.

use crate::{real, table};
use libc::{FILE, c_char, c_int};

/// `fdopen(3)`.
///
/// # Safety
/// As the manual page.
#[unsafe(no_mangle)]
pub unsafe extern "C-unwind" fn fdopen(fd: c_int, mode: *const c_char) -> *mut FILE {
    if let Some(socket) = table::served(fd) {
        socket.export(fd);
    }
    // SAFETY: as the caller promises.
    unsafe { real::fdopen(fd, mode) }
}
