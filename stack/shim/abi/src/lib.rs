//! libmillstream: the calls of STREAMS for programs in C. A program is linked with it before the C
//! library, and its `open("/dev/tcp", ..)` is a stream; see `include/stropts.h`.
//!
//! Its functions are those of [`millstream_preload`], by their plain names: calls on what is not of
//! the stack go on to the C library. Which stack is meant the environment says, as with
//! `millstream run`, or [`ms_start`] and [`ms_attach`] do.

use millstream_preload as calls;
use std::ffi::{CStr, c_char, c_int, c_void};

/// Has the stack inside this program, as these words describe it: "tap mill0 host 10.9.0.1/24 addr
/// 10.9.0.2/24". 0, or -1 with EINVAL for what is no description, and EISCONN when the program has
/// a stack already. The stack starts with the first stream or socket.
///
/// # Safety
/// `plan` is null or ends with a zero.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ms_start(plan: *const c_char) -> c_int {
    // SAFETY: as the caller promises.
    calls::choose(unsafe { text(plan) }, false)
}

/// Uses the stack whose port is at a path: the socket NAME.port that millstream up makes. As
/// ms_start.
///
/// # Safety
/// `path` is null or ends with a zero.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ms_attach(path: *const c_char) -> c_int {
    // SAFETY: as the caller promises.
    calls::choose(unsafe { text(path) }, true)
}

/// A pipe of two streams; 0, or -1 and errno. pipe(2) stays the kernel's.
///
/// # Safety
/// It is null, or there is room for two numbers.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ms_pipe(ends: *mut c_int) -> c_int {
    // SAFETY: as the caller promises.
    unsafe { calls::pipe(ends) }
}

/// A buffer of at least len bytes, at most 65536, for the program to fill and to send without a
/// copy; it is the program's until it is sent or returned. NULL with EINVAL, or ENOBUFS when no
/// more is left: what was sent is free again when it is acknowledged, or read.
#[unsafe(no_mangle)]
pub extern "C" fn ms_loan(len: usize) -> *mut c_void {
    calls::loan::lend(len)
}

/// Sends the first len bytes of a buffer from where they lie: as a message of a stream, as bytes of
/// a connection, as a datagram to the peer. The buffer is the stack's from then on, and not to be
/// written to. 0, or -1: EINVAL for what is not on loan, or shorter; ENOSTR for what is no stream
/// or socket of the stack; else as putmsg and send say, without a signal. After -1 it is on loan as
/// before.
#[unsafe(no_mangle)]
pub extern "C" fn ms_send_loaned(fd: c_int, buffer: *mut c_void, len: usize) -> c_int {
    calls::loan::send(fd, buffer, len)
}

/// Gives a buffer back that was not sent. 0, or -1 with EINVAL for what is not on loan.
#[unsafe(no_mangle)]
pub extern "C" fn ms_return(buffer: *mut c_void) -> c_int {
    calls::loan::give_back(buffer)
}

/// How many buffers were sent and are not free again; -1 and errno without a stack.
#[unsafe(no_mangle)]
pub extern "C" fn ms_lent() -> c_int {
    calls::loan::sent()
}

/// # Safety
/// It is null or ends with a zero.
unsafe fn text<'a>(text: *const c_char) -> Option<&'a str> {
    if text.is_null() {
        return None;
    }
    // SAFETY: as the caller promises.
    unsafe { CStr::from_ptr(text) }.to_str().ok()
}
