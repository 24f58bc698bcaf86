//! options: of sockets and of their descriptors.

use crate::socket::{STREAM, Socket, Way};
use crate::{backend, copies, errno, real, streams, table};
use libc::{c_int, c_ulong, c_void, socklen_t, timeval};
use millstream_port::Errno;
use millstream_port::streamio::I_NREAD;
use std::sync::atomic::Ordering;

/// `setsockopt(2)`.
///
/// # Safety
/// As the manual page.
#[unsafe(no_mangle)]
pub unsafe extern "C-unwind" fn setsockopt(
    fd: c_int,
    level: c_int,
    name: c_int,
    value: *const c_void,
    len: socklen_t,
) -> c_int {
    let Some(socket) = table::socket(fd) else {
        // SAFETY: as the caller promises.
        return unsafe { real::setsockopt(fd, level, name, value, len) };
    };
    if value.is_null() || len as usize > VALUE_MAX {
        return errno::done(Err(Errno::EFAULT));
    }
    // SAFETY: as the caller promises.
    let bytes = unsafe { std::slice::from_raw_parts(value.cast::<u8>(), len as usize) };
    let own = set_own(socket, level, name, bytes);
    if !socket.is_on_stack() {
        // SAFETY: as the caller promises.
        let set = unsafe { real::setsockopt(fd, level, name, value, len) };
        if set == 0 && own.is_none() {
            socket.note_option(level, name, bytes);
        }
        return set;
    }
    if own.is_some() {
        // Should its octets be at the descriptor one day, the kernel waits as long.
        // SAFETY: as the caller promises.
        unsafe { real::setsockopt(fd, level, name, value, len) };
    }
    errno::done(match own {
        Some(set) => set,
        None if changes_nothing(level, name) => Ok(()),
        None => backend::with(socket, fd, |stack, id| stack.set_option(id, level, name, bytes)),
    })
}

/// Options of the socket that are kept here.
fn set_own(socket: &Socket, level: c_int, name: c_int, value: &[u8]) -> Option<Result<(), Errno>> {
    let way = way(level, name)?;
    let Some((seconds, rest)) = value.split_first_chunk::<8>() else {
        return Some(Err(Errno::EINVAL));
    };
    let Some((micros, _)) = rest.split_first_chunk::<8>() else {
        return Some(Err(Errno::EINVAL));
    };
    let (seconds, micros) = (i64::from_ne_bytes(*seconds), i64::from_ne_bytes(*micros));
    if !(0..1_000_000).contains(&micros) {
        return Some(Err(Errno(libc::EDOM)));
    }
    let wait_us = u64::try_from(seconds).unwrap_or(0).saturating_mul(1_000_000);
    let wait_us = wait_us.saturating_add(micros.unsigned_abs());
    socket.wait(way).store(wait_us, Ordering::Relaxed);
    Some(Ok(()))
}

fn way(level: c_int, name: c_int) -> Option<Way> {
    match (level, name) {
        (libc::SOL_SOCKET, libc::SO_RCVTIMEO) => Some(Way::Receive),
        (libc::SOL_SOCKET, libc::SO_SNDTIMEO) => Some(Way::Send),
        _ => None,
    }
}

/// Hints to the kernel's way of working, and what the stack does for every socket: taken, as on a
/// kernel where they make no difference.
fn changes_nothing(level: c_int, name: c_int) -> bool {
    match level {
        libc::SOL_SOCKET => matches!(
            name,
            libc::SO_REUSEPORT
                | libc::SO_PRIORITY
                | libc::SO_BUSY_POLL
                | libc::SO_INCOMING_CPU
                | libc::SO_ZEROCOPY
                | libc::SO_DONTROUTE
                | libc::SO_OOBINLINE
                | libc::SO_MAX_PACING_RATE
        ),
        libc::IPPROTO_TCP => matches!(
            name,
            libc::TCP_QUICKACK
                | libc::TCP_DEFER_ACCEPT
                | libc::TCP_FASTOPEN
                | libc::TCP_FASTOPEN_CONNECT
                | libc::TCP_NOTSENT_LOWAT
                | libc::TCP_CORK
                | libc::TCP_WINDOW_CLAMP
                | libc::TCP_SYNCNT
                | libc::TCP_LINGER2
        ),
        libc::IPPROTO_IP => {
            matches!(name, libc::IP_BIND_ADDRESS_NO_PORT | libc::IP_MTU_DISCOVER | libc::IP_RECVERR)
        }
        libc::IPPROTO_IPV6 => true,
        _ => false,
    }
}

/// `getsockopt(2)`.
///
/// # Safety
/// As the manual page.
#[unsafe(no_mangle)]
pub unsafe extern "C-unwind" fn getsockopt(
    fd: c_int,
    level: c_int,
    name: c_int,
    value: *mut c_void,
    len: *mut socklen_t,
) -> c_int {
    let Some(socket) = table::on_stack(fd) else {
        // SAFETY: as the caller promises.
        return unsafe { real::getsockopt(fd, level, name, value, len) };
    };
    if value.is_null() || len.is_null() {
        return errno::done(Err(Errno::EFAULT));
    }
    // SAFETY: as the caller promises.
    let room = unsafe { len.read_unaligned() } as usize;
    // SAFETY: as the caller promises.
    let out = unsafe { std::slice::from_raw_parts_mut(value.cast::<u8>(), room.min(VALUE_MAX)) };
    errno::done(option(socket, fd, level, name, out).map(|written| {
        // SAFETY: as the caller promises.
        unsafe { len.write_unaligned(written as socklen_t) };
    }))
}

fn option(
    socket: &Socket,
    fd: c_int,
    level: c_int,
    name: c_int,
    out: &mut [u8],
) -> Result<usize, Errno> {
    if let Some(way) = way(level, name) {
        let wait_us = socket.wait(way).load(Ordering::Relaxed) as i64;
        let mut bytes = [0; size_of::<timeval>()];
        bytes[..8].copy_from_slice(&(wait_us / 1_000_000).to_ne_bytes());
        bytes[8..].copy_from_slice(&(wait_us % 1_000_000).to_ne_bytes());
        return Ok(give(&bytes, out));
    }
    match (level, name) {
        (libc::SOL_SOCKET, libc::SO_DOMAIN) => Ok(give(&socket.family().to_ne_bytes(), out)),
        (libc::SOL_SOCKET, libc::SO_TYPE) => Ok(give(&socket.kind().to_ne_bytes(), out)),
        _ => {
            let told = backend::with(socket, fd, |stack, id| stack.option(id, level, name, out));
            match told {
                Err(Errno::ENOPROTOOPT) if changes_nothing(level, name) => {
                    Ok(give(&0_i32.to_ne_bytes(), out))
                }
                told => told,
            }
        }
    }
}

fn give(bytes: &[u8], out: &mut [u8]) -> usize {
    let len = bytes.len().min(out.len());
    out[..len].copy_from_slice(&bytes[..len]);
    len
}

/// `fcntl(2)`. The argument, if the command has one, is a number or a pointer: it comes in the same
/// register either way.
///
/// # Safety
/// As the manual page.
#[unsafe(no_mangle)]
pub unsafe extern "C-unwind" fn fcntl(fd: c_int, cmd: c_int, arg: usize) -> c_int {
    // SAFETY: as the caller promises.
    let done = unsafe { real::fcntl(fd, cmd, arg) };
    if done >= 0 {
        match cmd {
            libc::F_DUPFD | libc::F_DUPFD_CLOEXEC => copies::copied(fd, done),
            libc::F_SETFL => {
                if let Some(socket) = table::socket(fd) {
                    socket.set_nonblocking(arg as c_int & libc::O_NONBLOCK != 0);
                }
            }
            _ => {}
        }
    }
    done
}

/// `fcntl` of programs with long offsets.
///
/// # Safety
/// As the manual page.
#[unsafe(no_mangle)]
pub unsafe extern "C-unwind" fn fcntl64(fd: c_int, cmd: c_int, arg: usize) -> c_int {
    // SAFETY: as the caller promises.
    unsafe { fcntl(fd, cmd, arg) }
}

/// `ioctl(2)`. As [`fcntl`] of its argument.
///
/// # Safety
/// As the manual page.
#[unsafe(no_mangle)]
pub unsafe extern "C-unwind" fn ioctl(fd: c_int, request: c_ulong, arg: usize) -> c_int {
    if let Some(socket) = table::socket(fd) {
        match request {
            libc::FIONBIO if arg != 0 => {
                // SAFETY: as the caller promises.
                socket.set_nonblocking(unsafe { (arg as *const c_int).read_unaligned() } != 0);
            }
            libc::FIONREAD if socket.kind() == STREAM => {
                let waits = streams::ioctl(socket, fd, I_NREAD, arg);
                return errno::done(waits.map(drop));
            }
            libc::FIONREAD if socket.is_on_stack() && !socket.is_exported() => {
                let waits = backend::with(socket, fd, |stack, id| stack.readable(id));
                return errno::done(waits.map(|waits| {
                    let waits = c_int::try_from(waits).unwrap_or(c_int::MAX);
                    // SAFETY: as the caller promises.
                    unsafe { (arg as *mut c_int).write_unaligned(waits) };
                }));
            }
            // What is about the descriptor is the kernel's.
            libc::FIOCLEX | libc::FIONCLEX | libc::FIOASYNC => {}
            _ if socket.kind() == STREAM => {
                return errno::number(streams::ioctl(socket, fd, request as u32, arg));
            }
            _ => {}
        }
    }
    // SAFETY: as the caller promises.
    unsafe { real::ioctl(fd, request, arg) }
}

/// Bytes of a value that are looked at.
const VALUE_MAX: usize = 1024;
