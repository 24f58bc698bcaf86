//! interface: the table of functions that packetdrill calls, and the C side of each of them.
//!
//! Every function gets the [`Calls`] of the table first; results are those of the C library: -1 and
//! `errno`.
#![allow(unsafe_code, reason = "called from C")]

use crate::address;
use crate::calls::Calls;
use crate::poll::Told;
use crate::table::Thing;
use libc::{c_int, c_longlong, c_uint, c_ulong, c_void, iovec, msghdr, sockaddr, socklen_t};
use millstream::Errno;
use std::slice;
use std::sync::Arc;

/// As packetdrill declares it: the order is the interface.
#[repr(C)]
#[derive(Debug)]
pub struct Interface {
    userdata: *const Calls,
    free: unsafe extern "C" fn(*const Calls),
    socket: unsafe extern "C" fn(*const Calls, c_int, c_int, c_int) -> c_int,
    bind: unsafe extern "C" fn(*const Calls, c_int, *const sockaddr, socklen_t) -> c_int,
    listen: unsafe extern "C" fn(*const Calls, c_int, c_int) -> c_int,
    accept: unsafe extern "C" fn(*const Calls, c_int, *mut sockaddr, *mut socklen_t) -> c_int,
    connect: unsafe extern "C" fn(*const Calls, c_int, *const sockaddr, socklen_t) -> c_int,
    read: unsafe extern "C" fn(*const Calls, c_int, *mut c_void, usize) -> isize,
    readv: unsafe extern "C" fn(*const Calls, c_int, *const iovec, c_int) -> isize,
    recv: unsafe extern "C" fn(*const Calls, c_int, *mut c_void, usize, c_int) -> isize,
    recvfrom: unsafe extern "C" fn(
        *const Calls,
        c_int,
        *mut c_void,
        usize,
        c_int,
        *mut sockaddr,
        *mut socklen_t,
    ) -> isize,
    recvmsg: unsafe extern "C" fn(*const Calls, c_int, *mut msghdr, c_int) -> isize,
    write: unsafe extern "C" fn(*const Calls, c_int, *const c_void, usize) -> isize,
    writev: unsafe extern "C" fn(*const Calls, c_int, *const iovec, c_int) -> isize,
    send: unsafe extern "C" fn(*const Calls, c_int, *const c_void, usize, c_int) -> isize,
    sendto: unsafe extern "C" fn(
        *const Calls,
        c_int,
        *const c_void,
        usize,
        c_int,
        *const sockaddr,
        socklen_t,
    ) -> isize,
    sendmsg: unsafe extern "C" fn(*const Calls, c_int, *const msghdr, c_int) -> isize,
    // Variadic in C: where Linux runs, an integer or a pointer comes the same way.
    fcntl: unsafe extern "C" fn(*const Calls, c_int, c_int, usize) -> c_int,
    ioctl: unsafe extern "C" fn(*const Calls, c_int, c_ulong, *mut c_int) -> c_int,
    close: unsafe extern "C" fn(*const Calls, c_int) -> c_int,
    shutdown: unsafe extern "C" fn(*const Calls, c_int, c_int) -> c_int,
    getsockopt: unsafe extern "C" fn(
        *const Calls,
        c_int,
        c_int,
        c_int,
        *mut c_void,
        *mut socklen_t,
    ) -> c_int,
    setsockopt:
        unsafe extern "C" fn(*const Calls, c_int, c_int, c_int, *const c_void, socklen_t) -> c_int,
    poll: unsafe extern "C" fn(*const Calls, *mut libc::pollfd, libc::nfds_t, c_int) -> c_int,
    netdev_send: unsafe extern "C" fn(*const Calls, *const c_void, usize) -> c_int,
    netdev_receive:
        unsafe extern "C" fn(*const Calls, *mut c_void, *mut usize, *mut c_longlong) -> c_int,
    usleep: unsafe extern "C" fn(*const Calls, c_uint) -> c_int,
    gettimeofday: unsafe extern "C" fn(*const Calls, *mut libc::timeval, *mut c_void) -> c_int,
    epoll_create: unsafe extern "C" fn(*const Calls, c_int) -> c_int,
    epoll_ctl:
        unsafe extern "C" fn(*const Calls, c_int, c_int, c_int, *const libc::epoll_event) -> c_int,
    epoll_wait:
        unsafe extern "C" fn(*const Calls, c_int, *mut libc::epoll_event, c_int, c_int) -> c_int,
    pipe: unsafe extern "C" fn(*const Calls, *mut c_int) -> c_int,
    splice: unsafe extern "C" fn(
        *const Calls,
        c_int,
        *mut libc::loff_t,
        c_int,
        *mut libc::loff_t,
        usize,
        c_uint,
    ) -> isize,
}

impl Interface {
    pub(crate) fn new(calls: Calls) -> Self {
        Self {
            userdata: Box::into_raw(Box::new(calls)),
            free,
            socket,
            bind,
            listen,
            accept,
            connect,
            read,
            readv,
            recv,
            recvfrom,
            recvmsg,
            write,
            writev,
            send,
            sendto,
            sendmsg,
            fcntl,
            ioctl,
            close,
            shutdown,
            getsockopt,
            setsockopt,
            poll,
            netdev_send,
            netdev_receive,
            usleep,
            gettimeofday,
            epoll_create,
            epoll_ctl,
            epoll_wait,
            pipe,
            splice,
        }
    }
}

/// What a call has come to, as C wants it.
fn done<T: Into<i64>>(result: Result<T, Errno>) -> i64 {
    result.map_or_else(
        |Errno(number)| {
            // SAFETY: the place is this thread's.
            unsafe { *libc::__errno_location() = number };
            -1
        },
        Into::into,
    )
}

fn status(result: Result<(), Errno>) -> c_int {
    done(result.map(|()| 0)) as c_int
}

fn number(result: Result<i32, Errno>) -> c_int {
    done(result) as c_int
}

fn count(result: Result<usize, Errno>) -> isize {
    done(result.map(|count| count as i64)) as isize
}

/// # Safety
/// `calls` is the table's, which has not been freed.
unsafe fn at<'a>(calls: *const Calls) -> &'a Calls {
    // SAFETY: the caller's word.
    unsafe { &*calls }
}

/// Octets of the program to be filled; a null pointer is none.
///
/// # Safety
/// `buf` is null or points to `len` octets that nobody else touches.
unsafe fn room<'a>(buf: *mut c_void, len: usize) -> &'a mut [u8] {
    if buf.is_null() {
        return &mut [];
    }
    // SAFETY: the caller's word.
    unsafe { slice::from_raw_parts_mut(buf.cast(), len) }
}

/// Octets of the program; a null pointer is none.
///
/// # Safety
/// `buf` is null or points to `len` octets.
unsafe fn octets<'a>(buf: *const c_void, len: usize) -> &'a [u8] {
    if buf.is_null() {
        return &[];
    }
    // SAFETY: the caller's word.
    unsafe { slice::from_raw_parts(buf.cast(), len) }
}

/// The pieces of a vector.
///
/// # Safety
/// `iov` is null or points to `count` pieces.
unsafe fn pieces<'a>(iov: *const iovec, count: usize) -> &'a [iovec] {
    if iov.is_null() {
        return &[];
    }
    // SAFETY: the caller's word.
    unsafe { slice::from_raw_parts(iov, count) }
}

/// All octets of a vector in one piece.
///
/// # Safety
/// As [`pieces`], and each points to its octets.
unsafe fn gathered(iov: *const iovec, count: usize) -> Vec<u8> {
    // SAFETY: the caller's word.
    let pieces = unsafe { pieces(iov, count) };
    // SAFETY: the caller's word.
    pieces.iter().flat_map(|p| unsafe { octets(p.iov_base, p.iov_len) }).copied().collect()
}

/// Receives into a vector; the octets and who sent them.
///
/// # Safety
/// As [`gathered`].
unsafe fn scattered(
    calls: &Calls,
    fd: c_int,
    iov: *const iovec,
    count: usize,
    flags: c_int,
) -> Result<(usize, Option<std::net::SocketAddr>), Errno> {
    // SAFETY: the caller's word.
    let pieces = unsafe { pieces(iov, count) };
    let mut whole = vec![0; pieces.iter().map(|piece| piece.iov_len).sum()];
    let (got, from) = calls.recv(fd, &mut whole, flags)?;
    let mut left = &whole[..got];
    for piece in pieces {
        let (now, rest) = left.split_at(left.len().min(piece.iov_len));
        // SAFETY: the caller's word.
        let place = unsafe { room(piece.iov_base, piece.iov_len) };
        place[..now.len()].copy_from_slice(now);
        left = rest;
    }
    Ok((got, from))
}

unsafe extern "C" fn free(calls: *const Calls) {
    // SAFETY: the last call with this table, which was made from a box.
    drop(unsafe { Box::from_raw(calls.cast_mut()) });
}

unsafe extern "C" fn socket(
    calls: *const Calls,
    domain: c_int,
    kind: c_int,
    protocol: c_int,
) -> c_int {
    // SAFETY: packetdrill passes what the call's manual page asks for.
    unsafe { number(at(calls).socket(domain, kind, protocol)) }
}

unsafe extern "C" fn bind(
    calls: *const Calls,
    fd: c_int,
    addr: *const sockaddr,
    len: socklen_t,
) -> c_int {
    // SAFETY: packetdrill passes what the call's manual page asks for.
    unsafe {
        let local = address::read(addr, len).and_then(|addr| addr.ok_or(Errno::EFAULT));
        status(local.and_then(|local| at(calls).bind(fd, local)))
    }
}

unsafe extern "C" fn listen(calls: *const Calls, fd: c_int, backlog: c_int) -> c_int {
    // SAFETY: packetdrill passes what the call's manual page asks for.
    unsafe { status(at(calls).listen(fd, backlog)) }
}

unsafe extern "C" fn accept(
    calls: *const Calls,
    fd: c_int,
    addr: *mut sockaddr,
    len: *mut socklen_t,
) -> c_int {
    // SAFETY: packetdrill passes what the call's manual page asks for.
    unsafe {
        number(at(calls).accept(fd).map(|(new, peer)| {
            address::write(peer, addr, len);
            new
        }))
    }
}

unsafe extern "C" fn connect(
    calls: *const Calls,
    fd: c_int,
    addr: *const sockaddr,
    len: socklen_t,
) -> c_int {
    // SAFETY: packetdrill passes what the call's manual page asks for.
    unsafe {
        let peer = address::read(addr, len).and_then(|addr| addr.ok_or(Errno::EFAULT));
        status(peer.and_then(|peer| at(calls).connect(fd, peer)))
    }
}

unsafe extern "C" fn read(calls: *const Calls, fd: c_int, buf: *mut c_void, len: usize) -> isize {
    // SAFETY: packetdrill passes what the call's manual page asks for.
    unsafe { recv(calls, fd, buf, len, 0) }
}

unsafe extern "C" fn readv(
    calls: *const Calls,
    fd: c_int,
    iov: *const iovec,
    pieces: c_int,
) -> isize {
    // SAFETY: packetdrill passes what the call's manual page asks for.
    unsafe { count(scattered(at(calls), fd, iov, pieces.max(0) as usize, 0).map(|(got, _)| got)) }
}

unsafe extern "C" fn recv(
    calls: *const Calls,
    fd: c_int,
    buf: *mut c_void,
    len: usize,
    flags: c_int,
) -> isize {
    // SAFETY: packetdrill passes what the call's manual page asks for.
    unsafe { count(at(calls).recv(fd, room(buf, len), flags).map(|(got, _)| got)) }
}

unsafe extern "C" fn recvfrom(
    calls: *const Calls,
    fd: c_int,
    buf: *mut c_void,
    len: usize,
    flags: c_int,
    addr: *mut sockaddr,
    addr_len: *mut socklen_t,
) -> isize {
    // SAFETY: packetdrill passes what the call's manual page asks for.
    unsafe {
        count(at(calls).recv(fd, room(buf, len), flags).map(|(got, from)| {
            if let Some(from) = from {
                address::write(from, addr, addr_len);
            }
            got
        }))
    }
}

unsafe extern "C" fn recvmsg(
    calls: *const Calls,
    fd: c_int,
    msg: *mut msghdr,
    flags: c_int,
) -> isize {
    // SAFETY: packetdrill passes what the call's manual page asks for.
    unsafe {
        let msg = &mut *msg;
        let got = scattered(at(calls), fd, msg.msg_iov, msg.msg_iovlen, flags);
        count(got.map(|(got, from)| {
            (msg.msg_controllen, msg.msg_flags) = (0, 0);
            match from {
                Some(from) => address::write(from, msg.msg_name.cast(), &raw mut msg.msg_namelen),
                None => msg.msg_namelen = 0,
            }
            got
        }))
    }
}

unsafe extern "C" fn write(
    calls: *const Calls,
    fd: c_int,
    buf: *const c_void,
    len: usize,
) -> isize {
    // SAFETY: packetdrill passes what the call's manual page asks for.
    unsafe { send(calls, fd, buf, len, 0) }
}

unsafe extern "C" fn writev(
    calls: *const Calls,
    fd: c_int,
    iov: *const iovec,
    pieces: c_int,
) -> isize {
    // SAFETY: packetdrill passes what the call's manual page asks for.
    unsafe { count(at(calls).send(fd, &gathered(iov, pieces.max(0) as usize), 0, None)) }
}

unsafe extern "C" fn send(
    calls: *const Calls,
    fd: c_int,
    buf: *const c_void,
    len: usize,
    flags: c_int,
) -> isize {
    // SAFETY: packetdrill passes what the call's manual page asks for.
    unsafe { count(at(calls).send(fd, octets(buf, len), flags, None)) }
}

unsafe extern "C" fn sendto(
    calls: *const Calls,
    fd: c_int,
    buf: *const c_void,
    len: usize,
    flags: c_int,
    addr: *const sockaddr,
    addr_len: socklen_t,
) -> isize {
    // SAFETY: packetdrill passes what the call's manual page asks for.
    unsafe {
        let to = address::read(addr, addr_len);
        count(to.and_then(|to| at(calls).send(fd, octets(buf, len), flags, to)))
    }
}

unsafe extern "C" fn sendmsg(
    calls: *const Calls,
    fd: c_int,
    msg: *const msghdr,
    flags: c_int,
) -> isize {
    // SAFETY: packetdrill passes what the call's manual page asks for.
    unsafe {
        let msg = &*msg;
        let data = gathered(msg.msg_iov, msg.msg_iovlen);
        let to = address::read(msg.msg_name.cast(), msg.msg_namelen);
        count(to.and_then(|to| at(calls).send(fd, &data, flags, to)))
    }
}

unsafe extern "C" fn fcntl(
    calls: *const Calls,
    fd: c_int,
    command: c_int,
    argument: usize,
) -> c_int {
    // SAFETY: packetdrill passes what the call's manual page asks for.
    unsafe { number(at(calls).fcntl(fd, command, argument)) }
}

unsafe extern "C" fn ioctl(
    calls: *const Calls,
    fd: c_int,
    request: c_ulong,
    argument: *mut c_int,
) -> c_int {
    // SAFETY: packetdrill passes what the call's manual page asks for.
    unsafe {
        let calls = at(calls);
        if argument.is_null() {
            return status(Err(Errno::EFAULT));
        }
        status(match request {
            libc::FIONBIO => calls.table.set_waits(fd, |waits| waits.not = *argument != 0),
            libc::FIONREAD => calls.readable_octets(fd).map(|octets| *argument = octets),
            _ => Err(Errno(libc::ENOTTY)),
        })
    }
}

unsafe extern "C" fn close(calls: *const Calls, fd: c_int) -> c_int {
    // SAFETY: packetdrill passes what the call's manual page asks for.
    unsafe { status(at(calls).close(fd)) }
}

unsafe extern "C" fn shutdown(calls: *const Calls, fd: c_int, how: c_int) -> c_int {
    // SAFETY: packetdrill passes what the call's manual page asks for.
    unsafe { status(at(calls).shutdown(fd, how)) }
}

unsafe extern "C" fn getsockopt(
    calls: *const Calls,
    fd: c_int,
    level: c_int,
    name: c_int,
    value: *mut c_void,
    len: *mut socklen_t,
) -> c_int {
    // SAFETY: packetdrill passes what the call's manual page asks for.
    unsafe {
        status(at(calls).option(fd, level, name).map(|found| {
            // As the kernel: what there is room for, and how much that is.
            let fits = found.len().min(*len as usize);
            room(value, fits).copy_from_slice(&found[..fits]);
            *len = fits as socklen_t;
        }))
    }
}

unsafe extern "C" fn setsockopt(
    calls: *const Calls,
    fd: c_int,
    level: c_int,
    name: c_int,
    value: *const c_void,
    len: socklen_t,
) -> c_int {
    // SAFETY: packetdrill passes what the call's manual page asks for.
    unsafe { status(at(calls).set_option(fd, level, name, octets(value, len as usize))) }
}

unsafe extern "C" fn poll(
    calls: *const Calls,
    fds: *mut libc::pollfd,
    many: libc::nfds_t,
    timeout_ms: c_int,
) -> c_int {
    // SAFETY: packetdrill passes what the call's manual page asks for.
    unsafe {
        let fds =
            if fds.is_null() { &mut [] } else { slice::from_raw_parts_mut(fds, many as usize) };
        at(calls).poll(fds, timeout_ms) as c_int
    }
}

unsafe extern "C" fn netdev_send(calls: *const Calls, packet: *const c_void, len: usize) -> c_int {
    // SAFETY: packetdrill passes what the call's manual page asks for.
    unsafe { status(at(calls).world.inject(octets(packet, len))) }
}

unsafe extern "C" fn netdev_receive(
    calls: *const Calls,
    out: *mut c_void,
    len: *mut usize,
    time_us: *mut c_longlong,
) -> c_int {
    // SAFETY: packetdrill passes what the call's manual page asks for.
    unsafe {
        let Some(packet) = at(calls).world.receive() else {
            // Nothing will ever leave: no packet.
            *len = 0;
            return 0;
        };
        let fits = packet.bytes.len().min(*len);
        room(out, fits).copy_from_slice(&packet.bytes[..fits]);
        *len = fits;
        *time_us = (packet.at / 1000) as c_longlong;
        0
    }
}

unsafe extern "C" fn usleep(calls: *const Calls, us: c_uint) -> c_int {
    // SAFETY: packetdrill passes what the call's manual page asks for.
    unsafe {
        let world = &at(calls).world;
        world.advance(world.now() + u64::from(us) * 1000);
        0
    }
}

unsafe extern "C" fn gettimeofday(
    calls: *const Calls,
    out: *mut libc::timeval,
    _zone: *mut c_void,
) -> c_int {
    // SAFETY: packetdrill passes what the call's manual page asks for.
    unsafe {
        let us = (at(calls).world.now() / 1000) as i64;
        *out = libc::timeval { tv_sec: us / 1_000_000, tv_usec: us % 1_000_000 };
        0
    }
}

unsafe extern "C" fn epoll_create(calls: *const Calls, _size: c_int) -> c_int {
    // SAFETY: packetdrill passes what the call's manual page asks for.
    unsafe { at(calls).table.add(Thing::Epoll(Arc::default())) }
}

unsafe extern "C" fn epoll_ctl(
    calls: *const Calls,
    set: c_int,
    op: c_int,
    fd: c_int,
    event: *const libc::epoll_event,
) -> c_int {
    // SAFETY: packetdrill passes what the call's manual page asks for.
    unsafe {
        let calls = at(calls);
        let (events, data) = if event.is_null() { (0, 0) } else { ((*event).events, (*event).u64) };
        status(
            calls
                .table
                .get(fd)
                .and_then(|_| calls.table.epoll(set))
                .and_then(|set| set.change(op, fd, events, data)),
        )
    }
}

unsafe extern "C" fn epoll_wait(
    calls: *const Calls,
    set: c_int,
    out: *mut libc::epoll_event,
    most: c_int,
    timeout_ms: c_int,
) -> c_int {
    // SAFETY: packetdrill passes what the call's manual page asks for.
    unsafe {
        if most <= 0 {
            return status(Err(Errno::EINVAL));
        }
        number(at(calls).epoll_wait(set, most as usize, timeout_ms).map(|told| {
            for (i, Told { events, data }) in told.iter().enumerate() {
                out.add(i).write_unaligned(libc::epoll_event { events: *events, u64: *data });
            }
            told.len() as i32
        }))
    }
}

unsafe extern "C" fn pipe(calls: *const Calls, out: *mut c_int) -> c_int {
    // SAFETY: packetdrill passes what the call's manual page asks for.
    unsafe {
        out.cast::<[c_int; 2]>().write(at(calls).pipe());
        0
    }
}

unsafe extern "C" fn splice(
    calls: *const Calls,
    from: c_int,
    from_at: *mut libc::loff_t,
    to: c_int,
    to_at: *mut libc::loff_t,
    len: usize,
    flags: c_uint,
) -> isize {
    // SAFETY: packetdrill passes what the call's manual page asks for.
    unsafe {
        if !from_at.is_null() || !to_at.is_null() {
            // Neither sockets nor pipes have places.
            return count(Err(Errno(libc::ESPIPE)));
        }
        let wait = flags & libc::SPLICE_F_NONBLOCK == 0;
        count(at(calls).splice(from, to, len, wait))
    }
}
