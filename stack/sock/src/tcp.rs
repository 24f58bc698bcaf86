//! TCP sockets with the shapes of `std::net::TcpStream` and `TcpListener`, on streams of `tcp`.

mod listener;
mod settings;

pub use listener::{Incoming, TcpListener};

use crate::request::request;
use crate::stack::Stack;
use crate::stream::{Stream, bytes, errno, failure};
use millstream_core::tpi::{self, Primitive};
use millstream_core::{Errno, Got, Perimeter, PollEvents, Priority, StreamId, Want};
use millstream_host::EndError;
use millstream_host::socket::reset_behind;
use millstream_msg::Msg;
use std::io::{self, Read, Write};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, Shutdown, SocketAddr};
use std::os::fd::BorrowedFd;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// A connection. Closed when the last clone is dropped: data that were written are still delivered;
/// data that were not read make it a reset (RFC 1122 section 4.2.2.13).
#[derive(Clone, Debug)]
pub struct TcpStream {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    stream: Arc<Stream>,
    local: SocketAddr,
    peer: SocketAddr,
    ends: Mutex<Ends>,
}

/// What is known of both directions.
#[derive(Debug, Default)]
struct Ends {
    /// Nothing more will be read.
    read: bool,
    /// Nothing more may be written.
    written: bool,
    /// Why the connection is over, until somebody was told.
    error: Option<Errno>,
    /// A writer was told, before its word was read.
    told: bool,
    /// The last octet of urgent data.
    urgent: Option<u8>,
}

impl TcpStream {
    /// A connection to `peer`.
    ///
    /// # Errors
    /// `ConnectionRefused`, `TimedOut`, `AddrNotAvailable`, `NetworkUnreachable`, as `connect(2)`.
    pub fn connect(stack: &Stack, peer: SocketAddr) -> io::Result<Self> {
        Self::connect_until(stack, any(peer), peer, None)
    }

    /// As [`TcpStream::connect`], giving up after `wait`.
    ///
    /// # Errors
    /// Also `TimedOut` when it takes longer.
    pub fn connect_timeout(stack: &Stack, peer: SocketAddr, wait: Duration) -> io::Result<Self> {
        Self::connect_until(stack, any(peer), peer, Some(Instant::now() + wait))
    }

    /// As [`TcpStream::connect`], from an address and port of this host.
    ///
    /// # Errors
    /// Also `AddrInUse`.
    pub fn connect_from(stack: &Stack, local: SocketAddr, peer: SocketAddr) -> io::Result<Self> {
        Self::connect_until(stack, local, peer, None)
    }

    fn connect_until(
        stack: &Stack,
        local: SocketAddr,
        peer: SocketAddr,
        deadline: Option<Instant>,
    ) -> io::Result<Self> {
        let stream = Arc::new(stack.open("tcp").map_err(io::Error::other)?);
        request(&stream, &Primitive::bind_req(local))?;
        request(&stream, &Primitive::conn_req(peer))?;
        match answer(&stream, deadline)? {
            Some(answer) => answer.map_err(errno).and_then(|()| Self::connected(stream, peer)),
            None => Err(errno(Errno::ETIMEDOUT)),
        }
    }

    /// Of a stream whose connection stands.
    pub(crate) fn connected(stream: Arc<Stream>, peer: SocketAddr) -> io::Result<Self> {
        let ack = request(&stream, &Primitive::addr_req())?;
        let local = tpi::address_at(&ack, 4).ok_or_else(|| errno(Errno::ENOTCONN))?;
        Ok(Self::of(stream, local, peer))
    }

    /// Of a stream with a connection between these addresses.
    pub(crate) fn of(stream: Arc<Stream>, local: SocketAddr, peer: SocketAddr) -> Self {
        Self { shared: Arc::new(Shared { stream, local, peer, ends: Mutex::default() }) }
    }

    /// Our end.
    ///
    /// # Errors
    /// None; the shape is that of `std`.
    pub fn local_addr(&self) -> io::Result<SocketAddr> {
        Ok(self.shared.local)
    }

    /// The other end.
    ///
    /// # Errors
    /// None; the shape is that of `std`.
    pub fn peer_addr(&self) -> io::Result<SocketAddr> {
        Ok(self.shared.peer)
    }

    /// Another handle of the same connection.
    ///
    /// # Errors
    /// None; the shape is that of `std`.
    pub fn try_clone(&self) -> io::Result<Self> {
        Ok(self.clone())
    }

    /// Ends one direction or both.
    ///
    /// # Errors
    /// `NotConnected` when that direction has ended before.
    pub fn shutdown(&self, how: Shutdown) -> io::Result<()> {
        if how != Shutdown::Write {
            self.ends().read = true;
        }
        if how != Shutdown::Read {
            if std::mem::replace(&mut self.ends().written, true) {
                return Err(errno(Errno::ENOTCONN));
            }
            let request = Primitive::ordrel_req();
            self.stream().putmsg(Some(request.as_bytes()), None, Priority::Band(0))?;
        }
        Ok(())
    }

    /// Copies data out without taking them. 0 when the peer has ended its direction.
    ///
    /// # Errors
    /// As [`Read::read`].
    pub fn peek(&self, out: &mut [u8]) -> io::Result<usize> {
        let deadline = self.stream().read_deadline();
        loop {
            if let Some(over) = self.over() {
                return over;
            }
            let seen = self.stream().end().until(deadline, |core, at| {
                let seen = core.peek(at, Want::Any, Some(&mut [0; 4]), Some(&mut *out))?;
                match seen {
                    None => Err(Errno::EAGAIN),
                    Some(part) if part.control.is_some() => Ok(Part::Word(core.getmsg(at)?)),
                    Some(part) => Ok(Part::Octets(part.data.unwrap_or(0))),
                }
            });
            if let Some(n) = self.note(seen.map_err(failure)?) {
                return Ok(n);
            }
        }
    }

    /// Takes the next data as they lie in the stack; no byte is copied. `None` when the peer has
    /// ended its direction.
    ///
    /// # Errors
    /// As [`Read::read`].
    pub fn recv_msg(&self) -> io::Result<Option<Msg>> {
        loop {
            if let Some(over) = self.over() {
                return over.map(|_| None);
            }
            let deadline = self.stream().read_deadline();
            let got = self.stream().end().until(deadline, |core, at| core.getmsg(at));
            match got.map_err(failure)? {
                Some(Got { control: None, data: Some(data), .. }) => return Ok(Some(data)),
                word => {
                    self.note(Part::Word(word));
                }
            }
        }
    }

    /// Sends a message that the caller owns; no byte is copied. See [`Stream::alloc`].
    ///
    /// # Errors
    /// As [`Write::write`]. The message is lost with the error.
    pub fn send_msg(&self, msg: Msg) -> io::Result<()> {
        let mut unsent = Some(msg);
        self.write_with(self.stream().write_deadline(), |core, at| {
            let Some(msg) = unsent.take() else { return Ok(()) };
            core.putmsg(at, msg).map_err(|(errno, msg)| {
                unsent = Some(msg);
                errno
            })
        })
    }

    /// The last octet of the urgent data that came, once (MSG_OOB).
    pub fn take_urgent(&self) -> Option<u8> {
        self.ends().urgent.take()
    }

    /// Sends data of which the last octet is urgent (MSG_OOB).
    ///
    /// # Errors
    /// As [`Write::write`].
    pub fn send_urgent(&self, data: &[u8]) -> io::Result<()> {
        let request = Primitive::exdata_req(false);
        self.write_with(self.stream().write_deadline(), |core, at| {
            core.putpmsg(at, Some(request.as_bytes()), Some(data), Priority::Band(0))
        })
    }

    /// A descriptor that polls readable when reading, or with `write` writing, may not wait: see
    /// [`Stream::ready_fd`].
    ///
    /// # Errors
    /// As [`Stream::ready_fd`].
    pub fn ready_fd(&self, write: bool) -> io::Result<BorrowedFd<'_>> {
        let asked = if write { PollEvents::WRITE } else { PollEvents::READ };
        self.stream().ready_fd(asked)
    }

    /// The stream below: putmsg, getmsg, push and pop.
    pub fn stream(&self) -> &Stream {
        &self.shared.stream
    }

    fn read_until(&self, out: &mut [u8], deadline: Option<Instant>) -> io::Result<usize> {
        if out.is_empty() {
            return Ok(0);
        }
        loop {
            if let Some(over) = self.over() {
                return over;
            }
            if let Some(n) = self.note(self.next(out, deadline)?) {
                return Ok(n);
            }
        }
    }

    fn write_until(&self, data: &[u8], deadline: Option<Instant>) -> io::Result<usize> {
        self.write_pieces(&mut [data], deadline)
    }

    fn write_pieces(&self, pieces: &mut [&[u8]], deadline: Option<Instant>) -> io::Result<usize> {
        bytes::write_all(pieces, |left| self.write_with(deadline, |core, at| core.writev(at, left)))
    }

    /// Reads data, or what stands between them.
    fn next(&self, out: &mut [u8], deadline: Option<Instant>) -> io::Result<Part> {
        let taken = self.stream().end().until(deadline, |core, at| match core.read(at, out) {
            Ok(n) => Ok(Part::Octets(n)),
            // A control part is first.
            Err(Errno::EBADMSG) => Ok(Part::Word(core.getmsg(at)?)),
            Err(errno) => Err(errno),
        });
        taken.map_err(failure)
    }

    /// Is there nothing more to read? An error is told once.
    fn over(&self) -> Option<io::Result<usize>> {
        let mut ends = self.ends();
        match ends.error.take() {
            Some(error) => Some(Err(errno(error))),
            None => ends.read.then_some(Ok(0)),
        }
    }

    /// Takes note of a word; the octets of data.
    fn note(&self, part: Part) -> Option<usize> {
        let got = match part {
            Part::Octets(n) => return Some(n),
            Part::Word(got) => got,
        };
        let mut ends = self.ends();
        let Some(got) = got else {
            // The line is gone.
            ends.read = true;
            return None;
        };
        match primitive(&got) {
            Some(tpi::T_ORDREL_IND) => ends.read = true,
            Some(tpi::T_DISCON_IND) => {
                (ends.read, ends.written) = (true, true);
                if !ends.told {
                    ends.error = got.control.as_ref().map(reason);
                }
            }
            Some(tpi::T_EXDATA_IND) => {
                let mut octet = [0];
                let data = got.data.as_ref();
                if data.is_some_and(|data| data.copy_out(0, &mut octet) == 1) {
                    ends.urgent = Some(octet[0]);
                }
            }
            _ => {}
        }
        None
    }

    /// Writes in some way, unless nothing may be written any more.
    fn write_with<T>(
        &self,
        deadline: Option<Instant>,
        mut write: impl FnMut(&mut Perimeter, StreamId) -> Result<T, Errno>,
    ) -> io::Result<T> {
        if self.ends().written {
            return Err(self.broken());
        }
        let mut over = None;
        let written = self.stream().end().until(deadline, |core, at| {
            over = reset_behind(core, at);
            if over.is_some() { Err(Errno::EPIPE) } else { write(core, at) }
        });
        let Some(error) = over else { return written.map_err(failure) };
        // What came before its word can still be read, as far as its end.
        let mut ends = self.ends();
        (ends.written, ends.told) = (true, true);
        Err(errno(error))
    }

    /// Why nothing may be written.
    fn broken(&self) -> io::Error {
        errno(self.ends().error.take().unwrap_or(Errno::EPIPE))
    }

    fn ends(&self) -> MutexGuard<'_, Ends> {
        self.shared.ends.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What comes first at the head.
enum Part {
    Octets(usize),
    /// Word of the connection; none: the line is gone.
    Word(Option<Got>),
}

impl Read for &TcpStream {
    /// Copies data out. 0 when the peer has ended its direction.
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        self.read_until(out, self.stream().read_deadline())
    }
}

impl Write for &TcpStream {
    fn write(&mut self, data: &[u8]) -> io::Result<usize> {
        self.write_until(data, self.stream().write_deadline())
    }

    fn write_vectored(&mut self, pieces: &[io::IoSlice<'_>]) -> io::Result<usize> {
        let mut pieces: Vec<&[u8]> = pieces.iter().map(|piece| &**piece).collect();
        self.write_pieces(&mut pieces, self.stream().write_deadline())
    }

    /// Nothing is kept back: there is nothing to do.
    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Read for TcpStream {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        (&*self).read(out)
    }
}

impl Write for TcpStream {
    fn write(&mut self, data: &[u8]) -> io::Result<usize> {
        (&*self).write(data)
    }

    fn write_vectored(&mut self, pieces: &[io::IoSlice<'_>]) -> io::Result<usize> {
        (&*self).write_vectored(pieces)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn primitive(got: &Got) -> Option<i32> {
    tpi::primitive(got.control.as_ref()?.first())
}

/// Why the connection is over.
fn reason(word: &Msg) -> Errno {
    Errno(tpi::DisconInd::new(word.first()).map_or(Errno::EPROTO.0, |ind| ind.reason()))
}

/// What a connection that was asked for has come to; `None` at the deadline.
fn answer(stream: &Stream, deadline: Option<Instant>) -> io::Result<Option<Result<(), Errno>>> {
    loop {
        let word = match stream.end().until(deadline, |core, at| core.getmsg(at)) {
            Err(EndError::WouldBlock) => return Ok(None),
            word => word.map_err(failure)?,
        };
        let got = word.ok_or_else(|| errno(Errno::ENXIO))?;
        match primitive(&got) {
            Some(tpi::T_CONN_CON) => return Ok(Some(Ok(()))),
            Some(tpi::T_DISCON_IND) => {
                return Ok(Some(Err(got.control.as_ref().map_or(Errno::EPROTO, reason))));
            }
            _ => {}
        }
    }
}

/// Any address of the peer's family, and any port.
pub(crate) fn any(peer: SocketAddr) -> SocketAddr {
    let ip = match peer.ip() {
        IpAddr::V4(_) => IpAddr::V4(Ipv4Addr::UNSPECIFIED),
        IpAddr::V6(_) => IpAddr::V6(Ipv6Addr::UNSPECIFIED),
    };
    SocketAddr::new(ip, 0)
}
