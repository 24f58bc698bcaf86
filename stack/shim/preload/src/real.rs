//! real: the functions of the C library that ours stand before, looked up at their first use. A
//! thread that is cancelled in one of them is unwound from there, through ours.

use libc::{
    c_char, c_int, c_uint, c_ulong, c_void, epoll_event, fd_set, mmsghdr, msghdr, nfds_t, off_t,
    pollfd, sigset_t, size_t, sockaddr, socklen_t, ssize_t, timespec, timeval, uid_t,
};
use std::sync::atomic::{AtomicPtr, Ordering};

macro_rules! real {
    ($(fn $name:ident($($arg:ident: $kind:ty),*) -> $gives:ty;)*) => {
        $(
            /// The function of the C library with this name.
            ///
            /// # Safety
            /// As the manual page says.
            pub(crate) unsafe fn $name($($arg: $kind),*) -> $gives {
                static AT: AtomicPtr<c_void> = AtomicPtr::new(std::ptr::null_mut());
                let mut at = AT.load(Ordering::Relaxed);
                if at.is_null() {
                    at = look_up(concat!(stringify!($name), "\0"));
                    AT.store(at, Ordering::Relaxed);
                }
                type Real = unsafe extern "C-unwind" fn($($kind),*) -> $gives;
                // SAFETY: the C library's function of this name has this type.
                let real = unsafe { std::mem::transmute::<*mut c_void, Real>(at) };
                // SAFETY: what the caller promises is what the function asks for.
                unsafe { real($($arg),*) }
            }
        )*
    };
}

/// Where the next library has a function. One that is missing is a C library that this program
/// cannot run on; nothing can be called then, not even to say so.
#[cold]
fn look_up(name: &str) -> *mut c_void {
    // SAFETY: the name ends with a zero.
    let at = unsafe { libc::dlsym(libc::RTLD_NEXT, name.as_ptr().cast::<c_char>()) };
    if at.is_null() {
        std::process::abort();
    }
    at
}

real! {
    fn socket(domain: c_int, kind: c_int, protocol: c_int) -> c_int;
    fn bind(fd: c_int, addr: *const sockaddr, len: socklen_t) -> c_int;
    fn listen(fd: c_int, backlog: c_int) -> c_int;
    fn accept4(fd: c_int, addr: *mut sockaddr, len: *mut socklen_t, flags: c_int) -> c_int;
    fn connect(fd: c_int, addr: *const sockaddr, len: socklen_t) -> c_int;
    fn shutdown(fd: c_int, how: c_int) -> c_int;
    fn getsockname(fd: c_int, addr: *mut sockaddr, len: *mut socklen_t) -> c_int;
    fn getpeername(fd: c_int, addr: *mut sockaddr, len: *mut socklen_t) -> c_int;
    fn getsockopt(fd: c_int, level: c_int, name: c_int, value: *mut c_void, len: *mut socklen_t)
        -> c_int;
    fn setsockopt(fd: c_int, level: c_int, name: c_int, value: *const c_void, len: socklen_t)
        -> c_int;
    fn fcntl(fd: c_int, cmd: c_int, arg: usize) -> c_int;
    fn ioctl(fd: c_int, request: c_ulong, arg: usize) -> c_int;
    fn open(path: *const c_char, flags: c_int, mode: c_uint) -> c_int;
    fn open64(path: *const c_char, flags: c_int, mode: c_uint) -> c_int;
    fn fdopen(fd: c_int, mode: *const c_char) -> *mut libc::FILE;
    fn read(fd: c_int, buf: *mut c_void, len: size_t) -> ssize_t;
    fn write(fd: c_int, buf: *const c_void, len: size_t) -> ssize_t;
    fn readv(fd: c_int, pieces: *const libc::iovec, count: c_int) -> ssize_t;
    fn writev(fd: c_int, pieces: *const libc::iovec, count: c_int) -> ssize_t;
    fn recvfrom(
        fd: c_int, buf: *mut c_void, len: size_t, flags: c_int, from: *mut sockaddr,
        from_len: *mut socklen_t
    ) -> ssize_t;
    fn sendto(
        fd: c_int, buf: *const c_void, len: size_t, flags: c_int, to: *const sockaddr,
        to_len: socklen_t
    ) -> ssize_t;
    fn recvmsg(fd: c_int, msg: *mut msghdr, flags: c_int) -> ssize_t;
    fn sendmsg(fd: c_int, msg: *const msghdr, flags: c_int) -> ssize_t;
    fn recvmmsg(fd: c_int, msgs: *mut mmsghdr, count: c_uint, flags: c_int, wait: *mut timespec)
        -> c_int;
    fn sendmmsg(fd: c_int, msgs: *mut mmsghdr, count: c_uint, flags: c_int) -> c_int;
    fn poll(fds: *mut pollfd, count: nfds_t, wait_ms: c_int) -> c_int;
    fn ppoll(fds: *mut pollfd, count: nfds_t, wait: *const timespec, mask: *const sigset_t)
        -> c_int;
    fn select(
        count: c_int, read: *mut fd_set, write: *mut fd_set, except: *mut fd_set, wait: *mut timeval
    ) -> c_int;
    fn pselect(
        count: c_int, read: *mut fd_set, write: *mut fd_set, except: *mut fd_set,
        wait: *const timespec, mask: *const sigset_t
    ) -> c_int;
    fn epoll_create(size: c_int) -> c_int;
    fn epoll_create1(flags: c_int) -> c_int;
    fn epoll_ctl(set: c_int, op: c_int, fd: c_int, event: *mut epoll_event) -> c_int;
    fn epoll_pwait(
        set: c_int, events: *mut epoll_event, room: c_int, wait_ms: c_int, mask: *const sigset_t
    ) -> c_int;
    fn close(fd: c_int) -> c_int;
    fn close_range(first: c_uint, last: c_uint, flags: c_int) -> c_int;
    fn dup(fd: c_int) -> c_int;
    fn dup2(fd: c_int, to: c_int) -> c_int;
    fn dup3(fd: c_int, to: c_int, flags: c_int) -> c_int;
    fn setuid(user: uid_t) -> c_int;
    fn seteuid(user: uid_t) -> c_int;
    fn setreuid(real: uid_t, effective: uid_t) -> c_int;
    fn setresuid(real: uid_t, effective: uid_t, saved: uid_t) -> c_int;
    fn chroot(path: *const c_char) -> c_int;
    fn sendfile(out: c_int, from: c_int, offset: *mut off_t, count: size_t) -> ssize_t;
    fn splice(
        from: c_int, from_at: *mut libc::loff_t, to: c_int, to_at: *mut libc::loff_t,
        len: size_t, flags: c_uint
    ) -> ssize_t;
}
