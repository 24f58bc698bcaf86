//! libmillstream: the calls of STREAMS for programs in C. A program is linked with it before the C
//! library, and its `open("/dev/tcp", ..)` is a stream; see `include/stropts.h`.
//!
//! Its functions are those of [`millstream_preload`], by their plain names: calls on what is not of
//! the stack go on to the C library. Which stack is meant the environment says, as with
//! `millstream run`, or [`ms_start`] and [`ms_attach`] do.

use millstream_preload as calls;
use std::ffi::{CStr, c_char, c_int};

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

/// # Safety
/// It is null or ends with a zero.
unsafe fn text<'a>(text: *const c_char) -> Option<&'a str> {
    if text.is_null() {
        return None;
    }
    // SAFETY: as the caller promises.
    unsafe { CStr::from_ptr(text) }.to_str().ok()
}
