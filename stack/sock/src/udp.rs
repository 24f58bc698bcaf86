//! UDP sockets with the shape of `std::net::UdpSocket`.

use crate::request::request;
use crate::stack::Stack;
use crate::stream::{Stream, errno, failure};
use millstream_core::tpi::{self, Primitive};
use millstream_core::{Errno, Got, PollEvents, Priority};
use millstream_modules::udp::option;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::os::fd::BorrowedFd;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// A UDP socket of a stack in this process.
#[derive(Debug)]
pub struct UdpSocket {
    stream: Arc<Stream>,
    local: SocketAddr,
    peer: Mutex<Option<SocketAddr>>,
}

impl UdpSocket {
    /// A socket bound to an address of the stack; port 0 takes a free one.
    ///
    /// # Errors
    /// `AddrInUse`; `InvalidInput` for an address that is none of the stack's family.
    pub fn bind(stack: &Stack, local: SocketAddr) -> io::Result<Self> {
        let stream = Arc::new(stack.open("udp").map_err(io::Error::other)?);
        let mut socket = Self { stream, local, peer: Mutex::default() };
        let ack = socket.request(&Primitive::bind_req(local))?;
        socket.local = tpi::address_at(&ack, 4).ok_or_else(|| errno(Errno::EPROTO))?;
        Ok(socket)
    }

    /// The address it is bound to.
    pub fn local_addr(&self) -> SocketAddr {
        self.local
    }

    /// Sends a datagram. Its bytes.
    ///
    /// # Errors
    /// As [`Stream::putmsg`]; `InvalidInput` (EMSGSIZE) when it is too long.
    pub fn send_to(&self, data: &[u8], to: SocketAddr) -> io::Result<usize> {
        if data.len() > DATAGRAM_MAX {
            return Err(errno(Errno::EMSGSIZE));
        }
        let control = Primitive::unitdata_req(to);
        self.stream.putmsg(Some(control.as_bytes()), Some(data), Priority::Band(0))?;
        Ok(data.len())
    }

    /// Receives a datagram: its bytes (what does not fit is lost) and its sender.
    ///
    /// # Errors
    /// As [`Stream::getmsg`]; the error of a datagram sent before that could not be delivered.
    pub fn recv_from(&self, out: &mut [u8]) -> io::Result<(usize, SocketAddr)> {
        self.recv_until(out, self.stream.read_deadline())
    }

    pub(crate) fn recv_until(
        &self,
        out: &mut [u8],
        deadline: Option<Instant>,
    ) -> io::Result<(usize, SocketAddr)> {
        loop {
            if let Some(read) = self.take(out, deadline)? {
                return read.map_err(errno);
            }
        }
    }

    /// Copies what is first out, where it lies.
    fn take(&self, out: &mut [u8], deadline: Option<Instant>) -> io::Result<Option<Datagram>> {
        let taken = self.stream.end().until(deadline, |core, at| {
            let got = core.getmsg(at)?.ok_or(Errno::ENXIO)?;
            let read = datagram(&got, out);
            let pool = core.pool();
            got.control.into_iter().chain(got.data).for_each(|part| pool.free(part));
            Ok(read)
        });
        taken.map_err(failure)
    }

    /// Fixes the peer: only its datagrams are received, and [`UdpSocket::send`] goes to it.
    ///
    /// # Errors
    /// `InvalidInput` for an address that no peer can have.
    pub fn connect(&self, peer: SocketAddr) -> io::Result<()> {
        let mut connected = lock(&self.peer);
        if connected.take().is_some() {
            self.request(&Primitive::discon_req(-1))?;
        }
        self.request(&Primitive::conn_req(peer))?;
        *connected = Some(peer);
        Ok(())
    }

    /// Sends a datagram to the peer.
    ///
    /// # Errors
    /// EDESTADDRREQ without a peer; as [`UdpSocket::send_to`].
    pub fn send(&self, data: &[u8]) -> io::Result<usize> {
        let peer = *lock(&self.peer);
        self.send_to(data, peer.ok_or_else(|| errno(Errno::EDESTADDRREQ))?)
    }

    /// Receives a datagram of the peer.
    ///
    /// # Errors
    /// As [`UdpSocket::recv_from`].
    pub fn recv(&self, out: &mut [u8]) -> io::Result<usize> {
        self.recv_from(out).map(|(n, _)| n)
    }

    /// Allows sending to broadcast addresses.
    ///
    /// # Errors
    /// Only when the stack has stopped.
    pub fn set_broadcast(&self, on: bool) -> io::Result<()> {
        self.option(option::BROADCAST, i32::from(on))
    }

    /// Hops of unicast datagrams.
    ///
    /// # Errors
    /// `InvalidInput` above 255.
    pub fn set_ttl(&self, ttl: u32) -> io::Result<()> {
        self.option(option::TTL, i32::try_from(ttl).unwrap_or(i32::MAX))
    }

    /// Joins a group on an interface, by its number.
    ///
    /// # Errors
    /// `InvalidInput` when it is no group.
    pub fn join_multicast(&self, group: IpAddr, interface: u16) -> io::Result<()> {
        self.request(&option::set_group(option::JOIN, i32::from(interface) + 1, group)).map(drop)
    }

    /// Leaves a group.
    ///
    /// # Errors
    /// EADDRNOTAVAIL when it was not joined.
    pub fn leave_multicast(&self, group: IpAddr, interface: u16) -> io::Result<()> {
        self.request(&option::set_group(option::LEAVE, i32::from(interface) + 1, group)).map(drop)
    }

    /// How long receiving waits; `None` for ever.
    pub fn set_read_timeout(&self, wait: Option<Duration>) {
        self.stream.set_read_timeout(wait);
    }

    /// Whether operations return `WouldBlock` instead of waiting.
    pub fn set_nonblocking(&self, nonblocking: bool) {
        self.stream.set_nonblocking(nonblocking);
    }

    /// A descriptor that polls readable when a datagram may be there: for poll(2) and epoll(7),
    /// with [`UdpSocket::set_nonblocking`]. See [`Stream::ready_fd`].
    ///
    /// # Errors
    /// As [`Stream::ready_fd`].
    pub fn ready_fd(&self) -> io::Result<BorrowedFd<'_>> {
        self.stream.ready_fd(PollEvents::READ)
    }

    /// The stream below: putmsg, getmsg, push and pop.
    pub fn stream(&self) -> &Stream {
        &self.stream
    }

    fn request(&self, primitive: &Primitive) -> io::Result<Vec<u8>> {
        request(&self.stream, primitive)
    }

    fn option(&self, name: i32, value: i32) -> io::Result<()> {
        self.request(&option::set(name, value)).map(drop)
    }
}

/// Bytes and sender of a datagram, or why one that was sent did not arrive.
type Datagram = Result<(usize, SocketAddr), Errno>;

/// Copies a datagram out; `None` when it is something else.
fn datagram(got: &Got, out: &mut [u8]) -> Option<Datagram> {
    let control = got.control.as_ref()?.first();
    match tpi::primitive(control)? {
        tpi::T_UNITDATA_IND => Some(match tpi::address_at(control, 4) {
            Some(from) => Ok((got.data.as_ref().map_or(0, |data| data.copy_out(0, out)), from)),
            None => Err(Errno::EPROTO),
        }),
        tpi::T_UDERROR_IND => Some(Err(Errno(tpi::word(control, 20).unwrap_or(Errno::EIO.0)))),
        _ => None,
    }
}

/// The longest datagram that IPv4 carries.
const DATAGRAM_MAX: usize = 65_507;

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
