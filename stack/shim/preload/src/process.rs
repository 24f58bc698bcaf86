//! process: the beginning and the end of the program, its children, and what it becomes.

use crate::{backend, real, socket, table};
use libc::{c_int, socklen_t};
use std::time::{Duration, Instant};

/// Run by the loader before the program.
#[used]
#[unsafe(link_section = ".init_array")]
static BEGIN: extern "C" fn() = begin;

/// Run at the end of the program.
#[used]
#[unsafe(link_section = ".fini_array")]
static END: extern "C" fn() = end;

extern "C" fn begin() {
    // SAFETY: the function stays where it is: the library is never unloaded.
    unsafe { libc::pthread_atfork(None, None, Some(in_child)) };
    if std::env::var_os(backend::PORT).is_some() {
        adopt_inherited();
    }
}

/// What was the program's before exec is again.
fn adopt_inherited() {
    let numbers = std::fs::read_dir("/proc/self/fd").into_iter().flatten().flatten();
    let numbers = numbers.filter_map(|entry| entry.file_name().to_str()?.parse::<c_int>().ok());
    // Most programs inherit none: the stack is not asked then.
    let candidates: Vec<c_int> = numbers.filter(|fd| is_unnamed_stream(*fd)).collect();
    for fd in candidates {
        let Ok(stack) = backend::stack() else { return };
        if let Ok(id) = socket::cookie(fd).and_then(|cookie| stack.adopt(cookie)) {
            socket::adopt(stack, fd, id);
        }
    }
}

/// May this be one end of a socket pair of the stack's?
fn is_unnamed_stream(fd: c_int) -> bool {
    let (mut kind, mut len): (c_int, socklen_t) = (0, size_of::<c_int>() as socklen_t);
    let value = std::ptr::from_mut(&mut kind).cast();
    // SAFETY: there are as many bytes as are said to be.
    let is_stream = unsafe {
        real::getsockopt(fd, libc::SOL_SOCKET, libc::SO_TYPE, value, &mut len) == 0
            && kind == libc::SOCK_STREAM
    };
    let mut name = [0_u8; size_of::<libc::sockaddr_un>()];
    let mut len = name.len() as socklen_t;
    // SAFETY: there are as many bytes as are said to be.
    let is_named = unsafe { real::getpeername(fd, name.as_mut_ptr().cast(), &mut len) } != 0
        || len as usize > size_of::<libc::sa_family_t>();
    let family = c_int::from(u16::from_ne_bytes([name[0], name[1]]));
    is_stream && !is_named && family == libc::AF_UNIX
}

extern "C" fn in_child() {
    backend::forked();
    for (_, file) in table::ours(0, u32::MAX) {
        if let table::File::Set(set) = file {
            set.inherit();
        }
    }
}

/// A stack inside this process goes with it: what was sent last leaves before.
extern "C" fn end() {
    let Some(stack) = backend::take_inside() else { return };
    let deadline = Instant::now() + LINGER;
    while Instant::now() < deadline && stack.is_sending() {
        std::thread::sleep(LOOK);
    }
}

/// The last segments have so long.
const LINGER: Duration = Duration::from_secs(2);
/// How often is looked whether they have left.
const LOOK: Duration = Duration::from_millis(2);
