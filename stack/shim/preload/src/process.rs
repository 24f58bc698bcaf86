//! process: the beginning and the end of the program, its children, and what it becomes.

use crate::{backend, epoll, real, socket, table, wait};
use libc::{c_char, c_int, pid_t, socklen_t, uid_t};
use std::any::Any;
use std::cell::Cell;
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
    // Nothing of this library is unwound but by cancellation.
    std::panic::set_hook(Box::new(|why| {
        let text = format!("millstream: {why}\n");
        // SAFETY: there are as many bytes.
        unsafe { real::write(libc::STDERR_FILENO, text.as_ptr().cast(), text.len()) };
        std::process::abort();
    }));
    // SAFETY: the functions stay where they are: the library is never unloaded.
    unsafe { libc::pthread_atfork(Some(before_fork), Some(in_parent), Some(in_child)) };
    if std::env::var_os(backend::PORT).is_some() {
        adopt_inherited();
    }
}

/// What was the program's before exec is again.
fn adopt_inherited() {
    let numbers = std::fs::read_dir("/proc/self/fd").into_iter().flatten().flatten();
    adopt(numbers.filter_map(|entry| entry.file_name().to_str()?.parse::<c_int>().ok()).collect());
}

/// Descriptors that came from elsewhere may stand for sockets of the stack: this program's from now
/// on.
pub(crate) fn adopt(numbers: Vec<c_int>) {
    // Most are none: the stack is not asked then.
    for fd in numbers.into_iter().filter(|fd| is_unnamed_stream(*fd)) {
        let Ok(stack) = backend::stack() else { return };
        let Ok(_inside) = backend::enter() else { return };
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

thread_local! {
    /// Locked by the thread that forks, from before until after: the child has no other thread, and
    /// would wait for what another had locked for ever.
    static HELD: Cell<Option<Box<dyn Any>>> = const { Cell::new(None) };
}

extern "C" fn before_fork() {
    // A handler that has interrupted this thread inside finds locked what it would wait for.
    if !backend::is_inside() {
        // In the order in which they are locked elsewhere.
        let (stack, epoll) = (backend::hold(), epoll::hold());
        HELD.set(Some(Box::new((stack, epoll, socket::hold(), wait::hold()))));
    }
}

extern "C" fn in_parent() {
    drop(HELD.take());
}

extern "C" fn in_child() {
    drop(HELD.take());
    backend::forked();
    for (_, file) in table::ours(0, u32::MAX) {
        if let table::File::Set(set) = file {
            set.inherit();
        }
    }
}

/// `vfork(2)`, as a fork: what a child does to its descriptors before it becomes another program is
/// not the parent's.
///
/// # Safety
/// As `fork(2)`.
#[unsafe(no_mangle)]
pub unsafe extern "C-unwind" fn vfork() -> pid_t {
    // SAFETY: as the caller promises.
    unsafe { libc::fork() }
}

/// A program that becomes another user's, or loses sight of files, is let in by the stack before:
/// it would not be afterwards, nor might it open interfaces.
fn before_rights_go() {
    if backend::is_wanted() {
        // What is wrong is told by the first socket.
        let _unknown = backend::stack();
    }
}

/// `setuid(2)`.
///
/// # Safety
/// As the manual page.
#[unsafe(no_mangle)]
pub unsafe extern "C-unwind" fn setuid(user: uid_t) -> c_int {
    before_rights_go();
    // SAFETY: no memory is named.
    unsafe { real::setuid(user) }
}

/// `seteuid(2)`.
///
/// # Safety
/// As the manual page.
#[unsafe(no_mangle)]
pub unsafe extern "C-unwind" fn seteuid(user: uid_t) -> c_int {
    before_rights_go();
    // SAFETY: no memory is named.
    unsafe { real::seteuid(user) }
}

/// `setreuid(2)`.
///
/// # Safety
/// As the manual page.
#[unsafe(no_mangle)]
pub unsafe extern "C-unwind" fn setreuid(of: uid_t, effective: uid_t) -> c_int {
    before_rights_go();
    // SAFETY: no memory is named.
    unsafe { real::setreuid(of, effective) }
}

/// `setresuid(2)`.
///
/// # Safety
/// As the manual page.
#[unsafe(no_mangle)]
pub unsafe extern "C-unwind" fn setresuid(of: uid_t, effective: uid_t, saved: uid_t) -> c_int {
    before_rights_go();
    // SAFETY: no memory is named.
    unsafe { real::setresuid(of, effective, saved) }
}

/// `chroot(2)`.
///
/// # Safety
/// As the manual page.
#[unsafe(no_mangle)]
pub unsafe extern "C-unwind" fn chroot(path: *const c_char) -> c_int {
    before_rights_go();
    // SAFETY: as the caller promises.
    unsafe { real::chroot(path) }
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
