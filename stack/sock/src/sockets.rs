//! Sockets by number, without descriptors: what `socket(2)` and its family do, to the errno. Below
//! interfaces in C, which put descriptors on top.

mod socket;

use crate::stack::{Opener, Stack};
use millstream_core::{Errno, PollEvents};
use socket::Socket;
use std::collections::HashMap;
use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// The sockets of a program on a stack. Methods take `&self`: threads may share it.
///
/// Numbers are those of Linux. A socket that is closed while a thread waits in it lives until that
/// thread is back.
#[derive(Debug)]
pub struct Sockets {
    opener: Opener,
    table: Mutex<Table>,
}

#[derive(Debug, Default)]
struct Table {
    sockets: HashMap<SocketId, Arc<Socket>>,
    last: u32,
}

/// The number of a socket.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct SocketId(pub u32);

/// Errors are the error numbers of the manual page that is named.
impl Sockets {
    /// No sockets.
    pub fn new(stack: &Stack) -> Self {
        Self { opener: stack.opener(), table: Mutex::default() }
    }

    /// `socket(2)`: AF_INET; SOCK_STREAM or SOCK_DGRAM, with SOCK_NONBLOCK or without.
    ///
    /// # Errors
    /// EAFNOSUPPORT, ESOCKTNOSUPPORT, EPROTONOSUPPORT.
    pub fn socket(&self, domain: i32, kind: i32, protocol: i32) -> Result<SocketId, Errno> {
        if domain != AF_INET {
            return Err(Errno::EAFNOSUPPORT);
        }
        let device = match (kind & SOCK_MASK, protocol) {
            (SOCK_STREAM, 0 | IPPROTO_TCP) => "tcp",
            (SOCK_DGRAM, 0 | IPPROTO_UDP) => "udp",
            (SOCK_STREAM | SOCK_DGRAM, _) => return Err(Errno::EPROTONOSUPPORT),
            _ => return Err(Errno::ESOCKTNOSUPPORT),
        };
        let socket = Socket::open(&self.opener, device)?;
        socket.set_nonblocking(kind & SOCK_NONBLOCK != 0);
        Ok(self.add(socket))
    }

    /// `bind(2)`.
    ///
    /// # Errors
    /// EBADF, EINVAL when bound, EADDRINUSE, EADDRNOTAVAIL.
    pub fn bind(&self, id: SocketId, local: SocketAddr) -> Result<(), Errno> {
        self.get(id)?.bind(local)
    }

    /// `listen(2)`.
    ///
    /// # Errors
    /// EBADF, EINVAL when connected, EOPNOTSUPP for datagrams.
    pub fn listen(&self, id: SocketId, backlog: i32) -> Result<(), Errno> {
        self.get(id)?.listen(&self.opener, backlog)
    }

    /// `accept4(2)`: the connection that waits longest, and its peer.
    ///
    /// # Errors
    /// EBADF, EINVAL when it does not listen, EOPNOTSUPP for datagrams, EAGAIN.
    pub fn accept(&self, id: SocketId, nonblocking: bool) -> Result<(SocketId, SocketAddr), Errno> {
        let (stream, peer) = self.get(id)?.accept()?;
        let socket = Socket::of(stream);
        socket.set_nonblocking(nonblocking);
        Ok((self.add(socket), peer))
    }

    /// `connect(2)`.
    ///
    /// # Errors
    /// EBADF, EISCONN, EINPROGRESS, EALREADY, ECONNREFUSED, ETIMEDOUT, ENETUNREACH, EADDRNOTAVAIL.
    pub fn connect(&self, id: SocketId, peer: SocketAddr) -> Result<(), Errno> {
        self.get(id)?.connect(peer)
    }

    /// `sendto(2)`; the octets that were sent.
    ///
    /// # Errors
    /// EBADF, ENOTCONN, EPIPE, ECONNRESET, EDESTADDRREQ, EISCONN, EMSGSIZE, EAGAIN, EOPNOTSUPP for
    /// a flag that means nothing here.
    pub fn send(
        &self,
        id: SocketId,
        data: &[u8],
        flags: i32,
        to: Option<SocketAddr>,
    ) -> Result<usize, Errno> {
        self.get(id)?.send(data, flags, to)
    }

    /// `recvfrom(2)`; the octets that were received, and of a datagram its sender.
    ///
    /// # Errors
    /// EBADF, ENOTCONN, ECONNRESET, EINVAL without urgent data for MSG_OOB, EAGAIN.
    pub fn recv(
        &self,
        id: SocketId,
        out: &mut [u8],
        flags: i32,
    ) -> Result<(usize, Option<SocketAddr>), Errno> {
        self.get(id)?.recv(out, flags)
    }

    /// `shutdown(2)`: 0, 1 or 2.
    ///
    /// # Errors
    /// EBADF, EINVAL, ENOTCONN.
    pub fn shutdown(&self, id: SocketId, how: i32) -> Result<(), Errno> {
        self.get(id)?.shutdown(how)
    }

    /// `getsockname(2)`.
    ///
    /// # Errors
    /// EBADF.
    pub fn local_addr(&self, id: SocketId) -> Result<SocketAddr, Errno> {
        Ok(self.get(id)?.local_addr())
    }

    /// `getpeername(2)`.
    ///
    /// # Errors
    /// EBADF, ENOTCONN.
    pub fn peer_addr(&self, id: SocketId) -> Result<SocketAddr, Errno> {
        self.get(id)?.peer_addr()
    }

    /// `setsockopt(2)`.
    ///
    /// # Errors
    /// EBADF, EINVAL, ENOPROTOOPT.
    pub fn set_option(
        &self,
        id: SocketId,
        level: i32,
        name: i32,
        value: &[u8],
    ) -> Result<(), Errno> {
        self.get(id)?.set_option(level, name, value)
    }

    /// `getsockopt(2)`: the value's bytes.
    ///
    /// # Errors
    /// EBADF, ENOPROTOOPT.
    pub fn option(&self, id: SocketId, level: i32, name: i32) -> Result<Vec<u8>, Errno> {
        self.get(id)?.option(level, name)
    }

    /// O_NONBLOCK.
    ///
    /// # Errors
    /// EBADF.
    pub fn set_nonblocking(&self, id: SocketId, nonblocking: bool) -> Result<(), Errno> {
        self.get(id)?.set_nonblocking(nonblocking);
        Ok(())
    }

    /// `poll(2)` of one socket that does not wait: which of the events there are.
    ///
    /// # Errors
    /// EBADF.
    pub fn poll(&self, id: SocketId, asked: PollEvents) -> Result<PollEvents, Errno> {
        self.get(id)?.poll(asked)
    }

    /// `close(2)`.
    ///
    /// # Errors
    /// EBADF.
    pub fn close(&self, id: SocketId) -> Result<(), Errno> {
        self.table().sockets.remove(&id).map(drop).ok_or(Errno::EBADF)
    }

    fn get(&self, id: SocketId) -> Result<Arc<Socket>, Errno> {
        self.table().sockets.get(&id).cloned().ok_or(Errno::EBADF)
    }

    fn add(&self, socket: Socket) -> SocketId {
        let mut table = self.table();
        // Numbers come again only after all others: a stale one is not another socket's.
        table.last = table.last.wrapping_add(1);
        let id = SocketId(table.last);
        table.sockets.insert(id, Arc::new(socket));
        id
    }

    fn table(&self) -> MutexGuard<'_, Table> {
        self.table.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The number of an error of this library.
fn number(error: io::Error) -> Errno {
    match (error.raw_os_error(), error.kind()) {
        (Some(number), _) => Errno(number),
        (None, io::ErrorKind::WouldBlock) => Errno::EAGAIN,
        (None, io::ErrorKind::InvalidInput) => Errno::EINVAL,
        (None, io::ErrorKind::NotConnected) => Errno::ENETDOWN,
        (None, _) => Errno::ENOBUFS,
    }
}

const AF_INET: i32 = 2;
const SOCK_STREAM: i32 = 1;
const SOCK_DGRAM: i32 = 2;
const SOCK_MASK: i32 = 0xf;
const SOCK_NONBLOCK: i32 = 0o4000;
const IPPROTO_TCP: i32 = 6;
const IPPROTO_UDP: i32 = 17;

/// Flags of send and recv.
mod flag {
    pub(super) const OOB: i32 = 1;
    pub(super) const PEEK: i32 = 2;
    pub(super) const DONTWAIT: i32 = 0x40;
    pub(super) const WAITALL: i32 = 0x100;
    pub(super) const NOSIGNAL: i32 = 0x4000;
    pub(super) const MORE: i32 = 0x8000;
}
