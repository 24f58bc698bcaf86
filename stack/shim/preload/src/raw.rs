//! raw: `syscall(2)`. Calls on sockets of the stack are served, all others are the kernel's, by the
//! instruction itself: the standard library's own locks come by here.

use crate::{copies, epoll, errno, files, names, options, poll, table, transfer};
use libc::{c_int, c_long};
use millstream_port::Errno;

/// `syscall(2)`. Arguments that a call does not have are whatever was in the registers.
///
/// # Safety
/// As the call that is named.
#[unsafe(no_mangle)]
pub unsafe extern "C-unwind" fn syscall(
    number: c_long,
    a: usize,
    b: usize,
    c: usize,
    d: usize,
    e: usize,
    f: usize,
) -> c_long {
    if is_ours(number, a) {
        // SAFETY: as the caller promises.
        if let Some(done) = unsafe { serve(number, [a, b, c, d, e, f]) } {
            return done;
        }
    }
    // SAFETY: as the caller promises.
    let done = unsafe { instruction(number, [a, b, c, d, e, f]) };
    if (-4095..0).contains(&done) {
        errno::set(Errno(-done as c_int));
        return -1;
    }
    done
}

/// Is it a call that makes a socket, waits for several descriptors, or is about one of ours?
fn is_ours(number: c_long, first: usize) -> bool {
    match number {
        libc::SYS_socket | libc::SYS_epoll_create1 | libc::SYS_ppoll => true,
        #[cfg(target_arch = "x86_64")]
        libc::SYS_poll => true,
        libc::SYS_close_range | libc::SYS_splice => true,
        // The first argument of all others that are served is a descriptor.
        _ => table::file(first as c_int).is_some(),
    }
}

/// A call that this library has, too.
///
/// # Safety
/// As the call that is named.
#[rustfmt::skip]
unsafe fn serve(number: c_long, [a, b, c, d, e, f]: [usize; 6]) -> Option<c_long> {
    let fd = a as c_int;
    // SAFETY: as the caller promises.
    let done: c_long = unsafe {
        match number {
            libc::SYS_read => transfer::read(fd, b as _, c) as c_long,
            libc::SYS_write => transfer::write(fd, b as _, c) as c_long,
            libc::SYS_readv => transfer::readv(fd, b as _, c as _) as c_long,
            libc::SYS_writev => transfer::writev(fd, b as _, c as _) as c_long,
            libc::SYS_recvfrom =>
                transfer::recvfrom(fd, b as _, c, d as _, e as _, f as _) as c_long,
            libc::SYS_sendto => transfer::sendto(fd, b as _, c, d as _, e as _, f as _) as c_long,
            libc::SYS_recvmsg => transfer::recvmsg(fd, b as _, c as _) as c_long,
            libc::SYS_sendmsg => transfer::sendmsg(fd, b as _, c as _) as c_long,
            libc::SYS_recvmmsg => transfer::recvmmsg(fd, b as _, c as _, d as _, e as _).into(),
            libc::SYS_sendmmsg => transfer::sendmmsg(fd, b as _, c as _, d as _).into(),
            libc::SYS_socket => names::socket(fd, b as _, c as _).into(),
            libc::SYS_bind => names::bind(fd, b as _, c as _).into(),
            libc::SYS_listen => names::listen(fd, b as _).into(),
            libc::SYS_accept => names::accept(fd, b as _, c as _).into(),
            libc::SYS_accept4 => names::accept4(fd, b as _, c as _, d as _).into(),
            libc::SYS_connect => names::connect(fd, b as _, c as _).into(),
            libc::SYS_shutdown => names::shutdown(fd, b as _).into(),
            libc::SYS_getsockname => names::getsockname(fd, b as _, c as _).into(),
            libc::SYS_getpeername => names::getpeername(fd, b as _, c as _).into(),
            libc::SYS_getsockopt => options::getsockopt(fd, b as _, c as _, d as _, e as _).into(),
            libc::SYS_setsockopt => options::setsockopt(fd, b as _, c as _, d as _, e as _).into(),
            libc::SYS_fcntl => options::fcntl(fd, b as _, c).into(),
            libc::SYS_ioctl => options::ioctl(fd, b as _, c).into(),
            libc::SYS_close => copies::close(fd).into(),
            libc::SYS_close_range => copies::close_range(a as _, b as _, c as _).into(),
            libc::SYS_dup => copies::dup(fd).into(),
            libc::SYS_dup3 => copies::dup3(fd, b as _, c as _).into(),
            #[cfg(target_arch = "x86_64")]
            libc::SYS_dup2 => copies::dup2(fd, b as _).into(),
            #[cfg(target_arch = "x86_64")]
            libc::SYS_poll => poll::poll(a as _, b as _, c as _).into(),
            #[cfg(target_arch = "x86_64")]
            libc::SYS_epoll_wait => epoll::epoll_wait(fd, b as _, c as _, d as _).into(),
            libc::SYS_ppoll => poll::ppoll(a as _, b as _, c as _, d as _).into(),
            libc::SYS_epoll_create1 => epoll::epoll_create1(fd).into(),
            libc::SYS_epoll_ctl => epoll::epoll_ctl(fd, b as _, c as _, d as _).into(),
            libc::SYS_epoll_pwait => epoll::epoll_pwait(fd, b as _, c as _, d as _, e as _).into(),
            libc::SYS_sendfile => files::sendfile(fd, b as _, c as _, d) as c_long,
            libc::SYS_splice => files::splice(fd, b as _, c as _, d as _, e, f as _) as c_long,
            _ => return None,
        }
    };
    Some(done)
}

/// The kernel's answer: a value, or an error below zero.
///
/// # Safety
/// As the call that is named.
#[cfg(target_arch = "x86_64")]
unsafe fn instruction(number: c_long, [a, b, c, d, e, f]: [usize; 6]) -> c_long {
    let done;
    // SAFETY: the kernel's convention; what it does to memory the caller promises for.
    unsafe {
        std::arch::asm!(
            "syscall",
            inlateout("rax") number => done,
            in("rdi") a, in("rsi") b, in("rdx") c, in("r10") d, in("r8") e, in("r9") f,
            lateout("rcx") _, lateout("r11") _,
            options(nostack),
        );
    }
    done
}

/// The kernel's answer: a value, or an error below zero.
///
/// # Safety
/// As the call that is named.
#[cfg(target_arch = "aarch64")]
unsafe fn instruction(number: c_long, [a, b, c, d, e, f]: [usize; 6]) -> c_long {
    let done;
    // SAFETY: the kernel's convention; what it does to memory the caller promises for.
    unsafe {
        std::arch::asm!(
            "svc 0",
            in("x8") number, inlateout("x0") a => done,
            in("x1") b, in("x2") c, in("x3") d, in("x4") e, in("x5") f,
            options(nostack),
        );
    }
    done
}
