//! names: sockets are made, named, connected and accepted.

use crate::socket::{self, Socket, Way};
use crate::{address, backend, errno, policy, real, table, wait};
use libc::{c_int, socklen_t};
use millstream_port::policy::{Call, Protocol};
use millstream_port::{Errno, Id, MOVED, Sockets};
use std::net::SocketAddr;

/// `socket(2)`.
///
/// # Safety
/// As the manual page.
#[unsafe(no_mangle)]
pub unsafe extern "C-unwind" fn socket(domain: c_int, kind: c_int, protocol: c_int) -> c_int {
    // SAFETY: no memory is named.
    let fd = unsafe { real::socket(domain, kind, protocol) };
    if fd >= 0 && may_be_stacks(domain, kind, protocol) && backend::is_wanted() {
        socket::open(fd, domain, kind);
    }
    fd
}

fn may_be_stacks(domain: c_int, kind: c_int, protocol: c_int) -> bool {
    let kind = kind & !(libc::SOCK_NONBLOCK | libc::SOCK_CLOEXEC);
    matches!(domain, libc::AF_INET | libc::AF_INET6)
        && matches!(
            (kind, protocol),
            (libc::SOCK_STREAM, 0 | libc::IPPROTO_TCP) | (libc::SOCK_DGRAM, 0 | libc::IPPROTO_UDP)
        )
}

/// `bind(2)`.
///
/// # Safety
/// As the manual page.
#[unsafe(no_mangle)]
pub unsafe extern "C-unwind" fn bind(
    fd: c_int,
    addr: *const libc::sockaddr,
    len: socklen_t,
) -> c_int {
    // SAFETY: as the caller promises, here and below.
    let kernel = || unsafe { real::bind(fd, addr, len) };
    let Some(socket) = table::socket(fd) else { return kernel() };
    // SAFETY: as the caller promises.
    let to = match unsafe { address::read(addr, len) } {
        Ok(to) => address::unmapped(to),
        Err(_) if !socket.is_on_stack() => return kernel(),
        Err(errno) => return errno::done(Err(errno)),
    };
    match owner(socket, fd, Call::Bind, to) {
        Ok(Some((stack, id))) => errno::done(stack.bind(id, to)),
        Ok(None) => kernel(),
        Err(errno) => errno::done(Err(errno)),
    }
}

/// `listen(2)`.
///
/// # Safety
/// As the manual page.
#[unsafe(no_mangle)]
pub unsafe extern "C-unwind" fn listen(fd: c_int, backlog: c_int) -> c_int {
    // Who listens without a name has bound to the kernel or to nothing.
    let Some(socket) = table::on_stack(fd) else {
        // SAFETY: no memory is named.
        return unsafe { real::listen(fd, backlog) };
    };
    errno::done(backend::with(socket, fd, |stack, id| stack.listen(id, backlog)))
}

/// `accept(2)`.
///
/// # Safety
/// As the manual page.
#[unsafe(no_mangle)]
pub unsafe extern "C-unwind" fn accept(
    fd: c_int,
    addr: *mut libc::sockaddr,
    len: *mut socklen_t,
) -> c_int {
    // SAFETY: as the caller promises.
    unsafe { accept4(fd, addr, len, 0) }
}

/// `accept4(2)`.
///
/// # Safety
/// As the manual page.
#[unsafe(no_mangle)]
pub unsafe extern "C-unwind" fn accept4(
    fd: c_int,
    addr: *mut libc::sockaddr,
    len: *mut socklen_t,
    flags: c_int,
) -> c_int {
    let Some(listener) = table::on_stack(fd) else {
        // SAFETY: as the caller promises.
        return unsafe { real::accept4(fd, addr, len, flags) };
    };
    if flags & !(libc::SOCK_NONBLOCK | libc::SOCK_CLOEXEC) != 0 {
        return errno::done(Err(Errno::EINVAL));
    }
    let deadline = listener.deadline(Way::Receive, 0);
    let taken = wait::until(listener, fd, deadline, |stack, id| {
        let (id, peer) = stack.accept(id)?;
        let like = (listener.family(), listener.kind());
        match socket::on_stack(stack, id, like, flags) {
            Ok(fd) => Ok((fd, peer)),
            Err(errno) => {
                let _closed = stack.close(id);
                Err(errno)
            }
        }
    });
    errno::number(taken.map(|(fd, peer)| {
        // SAFETY: as the caller promises.
        unsafe { address::write(peer, listener.family(), addr, len) };
        fd
    }))
}

/// `connect(2)`.
///
/// # Safety
/// As the manual page.
#[unsafe(no_mangle)]
pub unsafe extern "C-unwind" fn connect(
    fd: c_int,
    addr: *const libc::sockaddr,
    len: socklen_t,
) -> c_int {
    // SAFETY: as the caller promises, here and below.
    let kernel = || unsafe { real::connect(fd, addr, len) };
    let Some(socket) = table::socket(fd) else { return kernel() };
    // SAFETY: as the caller promises.
    let to = match unsafe { address::read(addr, len) } {
        Ok(to) => address::unmapped(to),
        Err(_) if !socket.is_on_stack() => return kernel(),
        Err(errno) => return errno::done(Err(errno)),
    };
    match owner(socket, fd, Call::Connect, to) {
        Ok(Some((stack, id))) => errno::done(start(socket, fd, stack, id, to)),
        Ok(None) => kernel(),
        Err(errno) => errno::done(Err(errno)),
    }
}

/// Begins a connection, and waits until it stands unless the socket does not wait.
fn start(
    socket: &'static Socket,
    fd: c_int,
    stack: &dyn Sockets,
    id: Id,
    to: SocketAddr,
) -> Result<(), Errno> {
    match stack.connect(id, to) {
        Err(Errno::EINPROGRESS | Errno::EALREADY) if !socket.is_nonblocking() => {}
        other => return other,
    }
    let deadline = socket.deadline(Way::Send, 0);
    let stands = wait::until(socket, fd, deadline, |stack, id| match stack.connect(id, to) {
        Err(Errno::EALREADY | Errno::EINPROGRESS) => Err(Errno::EAGAIN),
        Err(Errno::EISCONN) => Ok(()),
        other => other,
    });
    match stands {
        Err(Errno::EAGAIN) => Err(Errno::EINPROGRESS),
        other => other,
    }
}

/// The stack, if the socket is there, or belongs there because of this address: it is moved then.
fn owner(
    socket: &Socket,
    fd: c_int,
    call: Call,
    to: SocketAddr,
) -> Result<Option<(&'static dyn Sockets, Id)>, Errno> {
    if !socket.is_on_stack() {
        let protocol =
            if socket.kind() == libc::SOCK_STREAM { Protocol::Tcp } else { Protocol::Udp };
        if is_only_ipv6(socket, fd) || !policy::gives_to_stack(protocol, call, to) {
            return Ok(None);
        }
        let stack = backend::stack()?;
        return Ok(Some((stack, socket.move_to_stack(stack)?)));
    }
    let stack = backend::stack()?;
    Ok(Some((stack, socket.id(stack, fd)?)))
}

/// IPV6_V6ONLY: no address of IPv4 is meant.
fn is_only_ipv6(socket: &Socket, fd: c_int) -> bool {
    let mut only: c_int = 0;
    let mut len = size_of::<c_int>() as socklen_t;
    let value = std::ptr::from_mut(&mut only).cast();
    socket.family() == libc::AF_INET6
        // SAFETY: there are as many bytes as are said to be.
        && unsafe {
            real::getsockopt(fd, libc::IPPROTO_IPV6, libc::IPV6_V6ONLY, value, &mut len)
        } == 0
        && only != 0
}

/// Where a datagram goes: true when to the stack, whose the socket is from then on.
pub(crate) fn sends_to_stack(socket: &Socket, fd: c_int, to: SocketAddr) -> Result<bool, Errno> {
    Ok(owner(socket, fd, Call::Connect, to)?.is_some())
}

/// `shutdown(2)`.
///
/// # Safety
/// As the manual page.
#[unsafe(no_mangle)]
pub unsafe extern "C-unwind" fn shutdown(fd: c_int, how: c_int) -> c_int {
    // SAFETY: no memory is named.
    let kernel = || unsafe { real::shutdown(fd, how) };
    let Some(socket) = table::served(fd) else { return kernel() };
    match backend::with(socket, fd, |stack, id| stack.shutdown(id, how)) {
        Err(MOVED) => kernel(),
        done => errno::done(done),
    }
}

/// `getsockname(2)`.
///
/// # Safety
/// As the manual page.
#[unsafe(no_mangle)]
pub unsafe extern "C-unwind" fn getsockname(
    fd: c_int,
    addr: *mut libc::sockaddr,
    len: *mut socklen_t,
) -> c_int {
    let Some(socket) = table::on_stack(fd) else {
        // SAFETY: as the caller promises.
        return unsafe { real::getsockname(fd, addr, len) };
    };
    let named = backend::with(socket, fd, |stack, id| stack.local_addr(id));
    // SAFETY: as the caller promises.
    unsafe { give(named, socket, addr, len) }
}

/// `getpeername(2)`.
///
/// # Safety
/// As the manual page.
#[unsafe(no_mangle)]
pub unsafe extern "C-unwind" fn getpeername(
    fd: c_int,
    addr: *mut libc::sockaddr,
    len: *mut socklen_t,
) -> c_int {
    let Some(socket) = table::on_stack(fd) else {
        // SAFETY: as the caller promises.
        return unsafe { real::getpeername(fd, addr, len) };
    };
    let named = backend::with(socket, fd, |stack, id| stack.peer_addr(id));
    // SAFETY: as the caller promises.
    unsafe { give(named, socket, addr, len) }
}

/// # Safety
/// Both are null, or `len` says how many bytes there are at `addr`.
unsafe fn give(
    named: Result<SocketAddr, Errno>,
    socket: &Socket,
    addr: *mut libc::sockaddr,
    len: *mut socklen_t,
) -> c_int {
    if addr.is_null() || len.is_null() {
        return errno::done(Err(Errno::EFAULT));
    }
    errno::done(named.map(|named| {
        // SAFETY: as the caller promises.
        unsafe { address::write(named, socket.family(), addr, len) }
    }))
}
