//! transfer: octets and datagrams, out and in.

mod passed;

use crate::socket::{STREAM, Socket, Way};
use crate::{address, errno, names, real, table, wait};
use libc::{
    c_int, c_uint, c_void, iovec, mmsghdr, msghdr, size_t, sockaddr, socklen_t, ssize_t, timespec,
};
use millstream_port::{Errno, Received, Sockets};
use std::io::{IoSlice, IoSliceMut};
use std::net::SocketAddr;
use std::ptr::{null, null_mut};
use std::time::{Duration, Instant};

/// `read(2)`.
///
/// # Safety
/// As the manual page.
#[unsafe(no_mangle)]
pub unsafe extern "C-unwind" fn read(fd: c_int, buf: *mut c_void, len: size_t) -> ssize_t {
    // SAFETY: as the caller promises, here and below.
    let kernel = || unsafe { real::read(fd, buf, len) };
    let Some(socket) = table::served(fd) else { return kernel() };
    if len == 0 && socket.kind() != STREAM {
        // Who reads nothing waits for nothing; of `recv(2)` this is not so.
        return 0;
    }
    // SAFETY: as the caller promises.
    let out = unsafe { std::slice::from_raw_parts_mut(buf.cast::<u8>(), len) };
    let got = receive(socket, fd, &mut [IoSliceMut::new(out)], 0);
    errno::length_or(got.map(|got| got.len), kernel)
}

/// `readv(2)`.
///
/// # Safety
/// As the manual page.
#[unsafe(no_mangle)]
pub unsafe extern "C-unwind" fn readv(fd: c_int, pieces: *const iovec, count: c_int) -> ssize_t {
    // SAFETY: as the caller promises, here and below.
    let kernel = || unsafe { real::readv(fd, pieces, count) };
    let Some(socket) = table::served(fd) else { return kernel() };
    // SAFETY: as the caller promises.
    let out = unsafe { pieces_mut(pieces.cast_mut(), count as usize) };
    let got = out.and_then(|out| receive(socket, fd, out, 0));
    errno::length_or(got.map(|got| got.len), kernel)
}

/// `recv(2)`.
///
/// # Safety
/// As the manual page.
#[unsafe(no_mangle)]
pub unsafe extern "C-unwind" fn recv(
    fd: c_int,
    buf: *mut c_void,
    len: size_t,
    flags: c_int,
) -> ssize_t {
    // SAFETY: as the caller promises.
    unsafe { recvfrom(fd, buf, len, flags, null_mut(), null_mut()) }
}

/// `recvfrom(2)`.
///
/// # Safety
/// As the manual page.
#[unsafe(no_mangle)]
pub unsafe extern "C-unwind" fn recvfrom(
    fd: c_int,
    buf: *mut c_void,
    len: size_t,
    flags: c_int,
    from: *mut sockaddr,
    from_len: *mut socklen_t,
) -> ssize_t {
    // SAFETY: as the caller promises, here and below.
    let kernel = || unsafe { real::recvfrom(fd, buf, len, flags, from, from_len) };
    let Some(socket) = table::served(fd) else { return kernel() };
    // SAFETY: as the caller promises.
    let out = unsafe { std::slice::from_raw_parts_mut(buf.cast::<u8>(), len) };
    let got = receive(socket, fd, &mut [IoSliceMut::new(out)], flags);
    let got = got.map(|got| {
        // SAFETY: as the caller promises.
        unsafe { tell_sender(&got, socket, from, from_len) };
        told_len(&got, flags)
    });
    errno::length_or(got, kernel)
}

/// `recvmsg(2)`.
///
/// # Safety
/// As the manual page.
#[unsafe(no_mangle)]
pub unsafe extern "C-unwind" fn recvmsg(fd: c_int, msg: *mut msghdr, flags: c_int) -> ssize_t {
    let kernel = || {
        // SAFETY: as the caller promises.
        let got = unsafe { real::recvmsg(fd, msg, flags) };
        // SAFETY: as the caller promises; the kernel has written it.
        if let (0.., Some(head)) = (got, unsafe { msg.as_ref() }) {
            // SAFETY: what was received is whole.
            unsafe { passed::adopt(head) };
        }
        got
    };
    let Some(socket) = table::served(fd) else { return kernel() };
    // SAFETY: as the caller promises.
    let Some(msg) = (unsafe { msg.as_mut() }) else { return errno::length(Err(Errno::EFAULT)) };
    // SAFETY: as the caller promises.
    let out = unsafe { pieces_mut(msg.msg_iov, msg.msg_iovlen) };
    let got = out.and_then(|out| receive(socket, fd, out, flags));
    let got = got.map(|got| {
        let mut len = msg.msg_namelen;
        // SAFETY: as the caller promises.
        unsafe { tell_sender(&got, socket, msg.msg_name.cast(), &mut len) };
        msg.msg_namelen = if msg.msg_name.is_null() { 0 } else { len };
        msg.msg_controllen = 0;
        msg.msg_flags = if got.whole > got.len { libc::MSG_TRUNC } else { 0 };
        told_len(&got, flags)
    });
    errno::length_or(got, kernel)
}

/// `recvmmsg(2)`.
///
/// # Safety
/// As the manual page.
#[unsafe(no_mangle)]
pub unsafe extern "C-unwind" fn recvmmsg(
    fd: c_int,
    msgs: *mut mmsghdr,
    count: c_uint,
    flags: c_int,
    wait: *mut timespec,
) -> c_int {
    if table::served(fd).is_none() {
        // SAFETY: as the caller promises.
        return unsafe { real::recvmmsg(fd, msgs, count, flags, wait) };
    }
    // SAFETY: as the caller promises.
    let end = unsafe { wait.as_ref() }.map(|wait| Instant::now() + duration(wait));
    let mut flags = flags;
    for at in 0..count as usize {
        // SAFETY: there are as many.
        let msg = unsafe { &mut *msgs.add(at) };
        // SAFETY: as the caller promises.
        let got = unsafe { recvmsg(fd, &mut msg.msg_hdr, flags & !libc::MSG_WAITFORONE) };
        let Ok(got) = c_uint::try_from(got) else {
            return if at > 0 { at as c_int } else { -1 };
        };
        msg.msg_len = got;
        if flags & libc::MSG_WAITFORONE != 0 {
            flags |= libc::MSG_DONTWAIT;
        }
        // Looked at after each datagram only, as the kernel does.
        if end.is_some_and(|end| end <= Instant::now()) {
            return at as c_int + 1;
        }
    }
    count as c_int
}

/// `write(2)`.
///
/// # Safety
/// As the manual page.
#[unsafe(no_mangle)]
pub unsafe extern "C-unwind" fn write(fd: c_int, buf: *const c_void, len: size_t) -> ssize_t {
    // SAFETY: as the caller promises, here and below.
    let kernel = || unsafe { real::write(fd, buf, len) };
    let Some(socket) = table::served(fd) else { return kernel() };
    // SAFETY: as the caller promises.
    let data = unsafe { std::slice::from_raw_parts(buf.cast::<u8>(), len) };
    errno::length_or(send_pieces(socket, fd, &[IoSlice::new(data)], 0, None), kernel)
}

/// `writev(2)`.
///
/// # Safety
/// As the manual page.
#[unsafe(no_mangle)]
pub unsafe extern "C-unwind" fn writev(fd: c_int, list: *const iovec, count: c_int) -> ssize_t {
    // SAFETY: as the caller promises, here and below.
    let kernel = || unsafe { real::writev(fd, list, count) };
    let Some(socket) = table::served(fd) else { return kernel() };
    // SAFETY: as the caller promises.
    let data = unsafe { pieces(list, count as usize) };
    errno::length_or(data.and_then(|data| send_pieces(socket, fd, data, 0, None)), kernel)
}

/// `send(2)`.
///
/// # Safety
/// As the manual page.
#[unsafe(no_mangle)]
pub unsafe extern "C-unwind" fn send(
    fd: c_int,
    buf: *const c_void,
    len: size_t,
    flags: c_int,
) -> ssize_t {
    // SAFETY: as the caller promises.
    unsafe { sendto(fd, buf, len, flags, null(), 0) }
}

/// `sendto(2)`.
///
/// # Safety
/// As the manual page.
#[unsafe(no_mangle)]
pub unsafe extern "C-unwind" fn sendto(
    fd: c_int,
    buf: *const c_void,
    len: size_t,
    flags: c_int,
    to: *const sockaddr,
    to_len: socklen_t,
) -> ssize_t {
    // SAFETY: as the caller promises, here and below.
    let kernel = || unsafe { real::sendto(fd, buf, len, flags, to, to_len) };
    // SAFETY: as the caller promises.
    let (socket, to) = match unsafe { goes_to(fd, to, to_len) } {
        Ok(Some(there)) => there,
        Ok(None) => return kernel(),
        Err(errno) => return errno::length(Err(errno)),
    };
    // SAFETY: as the caller promises.
    let data = unsafe { std::slice::from_raw_parts(buf.cast::<u8>(), len) };
    errno::length_or(send_pieces(socket, fd, &[IoSlice::new(data)], flags, to), kernel)
}

/// `sendmsg(2)`.
///
/// # Safety
/// As the manual page.
#[unsafe(no_mangle)]
pub unsafe extern "C-unwind" fn sendmsg(fd: c_int, msg: *const msghdr, flags: c_int) -> ssize_t {
    // SAFETY: as the caller promises.
    let Some(head) = (unsafe { msg.as_ref() }) else { return errno::length(Err(Errno::EFAULT)) };
    // SAFETY: as the caller promises, here and below.
    let kernel = || unsafe { real::sendmsg(fd, msg, flags) };
    // SAFETY: as the caller promises.
    let (socket, to) = match unsafe { goes_to(fd, head.msg_name.cast(), head.msg_namelen) } {
        Ok(Some(there)) => there,
        Ok(None) => return kernel(),
        Err(errno) => return errno::length(Err(errno)),
    };
    // SAFETY: as the caller promises.
    let data = unsafe { pieces(head.msg_iov, head.msg_iovlen) };
    errno::length_or(data.and_then(|data| send_pieces(socket, fd, data, flags, to)), kernel)
}

/// `sendmmsg(2)`.
///
/// # Safety
/// As the manual page.
#[unsafe(no_mangle)]
pub unsafe extern "C-unwind" fn sendmmsg(
    fd: c_int,
    msgs: *mut mmsghdr,
    count: c_uint,
    flags: c_int,
) -> c_int {
    if table::socket(fd).is_none() {
        // SAFETY: as the caller promises.
        return unsafe { real::sendmmsg(fd, msgs, count, flags) };
    }
    for at in 0..count as usize {
        // SAFETY: there are as many.
        let msg = unsafe { &mut *msgs.add(at) };
        // SAFETY: as the caller promises.
        let sent = unsafe { sendmsg(fd, &msg.msg_hdr, flags) };
        let Ok(sent) = c_uint::try_from(sent) else {
            return if at > 0 { at as c_int } else { -1 };
        };
        msg.msg_len = sent;
    }
    count as c_int
}

/// `read` of a program that was compiled with checks of its buffers.
///
/// # Safety
/// As `read(2)`.
#[unsafe(no_mangle)]
pub unsafe extern "C-unwind" fn __read_chk(
    fd: c_int,
    buf: *mut c_void,
    len: size_t,
    room: size_t,
) -> ssize_t {
    checked(len, room);
    // SAFETY: as the caller promises.
    unsafe { read(fd, buf, len) }
}

/// `recv` of a program that was compiled with checks of its buffers.
///
/// # Safety
/// As `recv(2)`.
#[unsafe(no_mangle)]
pub unsafe extern "C-unwind" fn __recv_chk(
    fd: c_int,
    buf: *mut c_void,
    len: size_t,
    room: size_t,
    flags: c_int,
) -> ssize_t {
    checked(len, room);
    // SAFETY: as the caller promises.
    unsafe { recv(fd, buf, len, flags) }
}

/// `recvfrom` of a program that was compiled with checks of its buffers.
///
/// # Safety
/// As `recvfrom(2)`.
#[unsafe(no_mangle)]
pub unsafe extern "C-unwind" fn __recvfrom_chk(
    fd: c_int,
    buf: *mut c_void,
    len: size_t,
    room: size_t,
    flags: c_int,
    from: *mut sockaddr,
    from_len: *mut socklen_t,
) -> ssize_t {
    checked(len, room);
    // SAFETY: as the caller promises.
    unsafe { recvfrom(fd, buf, len, flags, from, from_len) }
}

/// A program that would write beyond its buffer ends, as with the C library's function.
fn checked(len: size_t, room: size_t) {
    if len > room {
        std::process::abort();
    }
}

/// Receives into pieces; waits as the socket does.
pub(crate) fn receive(
    socket: &'static Socket,
    fd: c_int,
    out: &mut [IoSliceMut<'_>],
    flags: c_int,
) -> Result<Received, Errno> {
    if flags & libc::MSG_ERRQUEUE != 0 {
        return Err(Errno::EAGAIN);
    }
    let deadline = socket.deadline(Way::Receive, flags);
    let asked = flags & (libc::MSG_PEEK | libc::MSG_OOB);
    let is_stream = socket.kind() == STREAM;
    let take = |stack: &dyn Sockets, id, out: &mut [u8], flags| {
        if !is_stream {
            return stack.recv(id, out, flags);
        }
        let len = stack.read(id, out)?;
        Ok(Received { len, whole: len, from: None })
    };
    if socket.kind() == libc::SOCK_DGRAM && out.len() > 1 {
        return receive_scattered(socket, fd, out, asked, deadline);
    }
    let Some(first) = out.iter().position(|piece| !piece.is_empty()) else {
        // Nothing fits; of a datagram nothing is all that is wanted.
        return wait::until(socket, fd, deadline, |stack, id| take(stack, id, &mut [], asked));
    };
    let mut got =
        wait::until(socket, fd, deadline, |stack, id| take(stack, id, &mut out[first], asked))?;
    let whole = flags & libc::MSG_WAITALL != 0 && flags & libc::MSG_PEEK == 0;
    if socket.kind() != libc::SOCK_STREAM || asked != 0 {
        return Ok(got);
    }
    // Into the other pieces comes what is there; with MSG_WAITALL all of them are filled.
    let deadline = if whole { deadline } else { Some(Instant::now()) };
    let mut taken = got.len;
    for piece in &mut out[first..] {
        while taken < piece.len() {
            if got.len == 0 || !whole && taken > 0 {
                return Ok(got);
            }
            let rest = &mut piece[taken..];
            match wait::until(socket, fd, deadline, |stack, id| take(stack, id, rest, 0)) {
                Ok(more) if more.len > 0 => {
                    (got.len, taken) = (got.len + more.len, taken + more.len)
                }
                Ok(_) | Err(_) => return Ok(got),
            }
        }
        taken -= piece.len();
    }
    Ok(got)
}

/// A datagram into several pieces.
fn receive_scattered(
    socket: &'static Socket,
    fd: c_int,
    out: &mut [IoSliceMut<'_>],
    flags: c_int,
    deadline: Option<Instant>,
) -> Result<Received, Errno> {
    let room = out.iter().map(|piece| piece.len()).sum::<usize>().min(DATAGRAM_MAX);
    let mut datagram = vec![0; room];
    let got = wait::until(socket, fd, deadline, |stack, id| stack.recv(id, &mut datagram, flags))?;
    let mut rest = &datagram[..got.len];
    for piece in out {
        let (now, later) = rest.split_at(rest.len().min(piece.len()));
        piece[..now.len()].copy_from_slice(now);
        rest = later;
    }
    Ok(got)
}

/// Sends pieces: a socket that waits sends all octets of a stream.
pub(crate) fn send_pieces(
    socket: &'static Socket,
    fd: c_int,
    data: &[IoSlice<'_>],
    flags: c_int,
    to: Option<SocketAddr>,
) -> Result<usize, Errno> {
    let deadline = socket.deadline(Way::Send, flags);
    let asked = flags & libc::MSG_OOB;
    let whole: usize = data.iter().map(|piece| piece.len()).sum();
    let send = |data: &[IoSlice<'_>]| {
        wait::until(socket, fd, deadline, |stack, id| match socket.kind() {
            STREAM => stack.write(
                id,
                &data.iter().flat_map(|piece| piece.iter().copied()).collect::<Vec<u8>>(),
            ),
            _ => stack.send_pieces(id, data, asked, to),
        })
    };
    let mut sent = send(data).inspect_err(|errno| {
        if *errno == Errno::EPIPE && flags & libc::MSG_NOSIGNAL == 0 {
            broken_pipe();
        }
    })?;
    while sent < whole && socket.kind() != libc::SOCK_DGRAM && asked == 0 {
        match send(&rest(data, sent)) {
            Ok(more) => sent += more,
            // What was sent is told first.
            Err(_) => return Ok(sent),
        }
    }
    Ok(sent)
}

/// The pieces without their first octets.
fn rest<'a>(data: &'a [IoSlice<'_>], mut skip: usize) -> Vec<IoSlice<'a>> {
    let mut left = Vec::with_capacity(data.len());
    for piece in data {
        let from = skip.min(piece.len());
        skip -= from;
        if from < piece.len() {
            left.push(IoSlice::new(&piece[from..]));
        }
    }
    left
}

/// SIGPIPE to this thread, as the kernel does.
fn broken_pipe() {
    // SAFETY: a signal to oneself is what the program gets from the kernel, too.
    unsafe { libc::pthread_kill(libc::pthread_self(), libc::SIGPIPE) };
}

/// The socket and the address, if what is sent goes to the stack.
///
/// # Safety
/// `to` is null or has `len` bytes.
unsafe fn goes_to(
    fd: c_int,
    to: *const sockaddr,
    len: socklen_t,
) -> Result<Option<(&'static Socket, Option<SocketAddr>)>, Errno> {
    let Some(socket) = table::socket(fd).filter(|socket| !socket.is_exported()) else {
        return Ok(None);
    };
    if to.is_null() {
        return Ok(socket.is_on_stack().then_some((socket, None)));
    }
    // SAFETY: as the caller promises.
    let to = match unsafe { address::read(to, len) } {
        Ok(to) => address::unmapped(to),
        Err(_) if !socket.is_on_stack() => return Ok(None),
        Err(errno) => return Err(errno),
    };
    let goes = names::sends_to_stack(socket, fd, to)?;
    // The address of a message in a connection means nothing.
    let to = (socket.kind() == libc::SOCK_DGRAM).then_some(to);
    Ok(goes.then_some((socket, to)))
}

/// # Safety
/// Both are null, or `len` says how many bytes there are at `from`.
unsafe fn tell_sender(got: &Received, socket: &Socket, from: *mut sockaddr, len: *mut socklen_t) {
    match got.from {
        // SAFETY: as the caller promises.
        Some(sender) => unsafe { address::write(sender, socket.family(), from, len) },
        // SAFETY: as the caller promises.
        None if !len.is_null() => unsafe { len.write_unaligned(0) },
        None => {}
    }
}

/// The value of the call: with MSG_TRUNC all of a datagram counts.
fn told_len(got: &Received, flags: c_int) -> usize {
    if flags & libc::MSG_TRUNC != 0 { got.whole } else { got.len }
}

/// # Safety
/// There are as many, each with its memory.
unsafe fn pieces<'a>(list: *const iovec, count: usize) -> Result<&'a [IoSlice<'a>], Errno> {
    match count {
        0 => Ok(&[]),
        // SAFETY: as the caller promises; an IoSlice is laid out as an iovec.
        1..=PIECES_MAX => Ok(unsafe { std::slice::from_raw_parts(list.cast(), count) }),
        _ => Err(Errno::EINVAL),
    }
}

/// # Safety
/// There are as many, each with its memory.
unsafe fn pieces_mut<'a>(
    list: *mut iovec,
    count: usize,
) -> Result<&'a mut [IoSliceMut<'a>], Errno> {
    match count {
        0 => Ok(&mut []),
        // SAFETY: as the caller promises; an IoSliceMut is laid out as an iovec.
        1..=PIECES_MAX => Ok(unsafe { std::slice::from_raw_parts_mut(list.cast(), count) }),
        _ => Err(Errno::EINVAL),
    }
}

/// The time of an argument.
pub(crate) fn duration(time: &timespec) -> Duration {
    let seconds = u64::try_from(time.tv_sec).unwrap_or(0);
    Duration::new(seconds, u32::try_from(time.tv_nsec).unwrap_or(0))
}

/// IOV_MAX.
const PIECES_MAX: usize = 1024;
/// No datagram is longer.
const DATAGRAM_MAX: usize = 65_535;
