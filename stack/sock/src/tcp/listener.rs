//! Listening sockets.

use super::{TcpStream, primitive};
use crate::request::{option_word, request, set_option};
use crate::stack::{Opener, Stack};
use crate::stream::{Stream, errno, failure};
use millstream_core::tpi::{self, Primitive};
use millstream_core::{Errno, NodeId, PollEvents};
use millstream_host::Accept;
use millstream_modules::tcp::names;
use std::io;
use std::net::SocketAddr;
use std::os::fd::BorrowedFd;
use std::sync::{Arc, Mutex, PoisonError};

/// A socket that takes connections. Those that nobody has accepted are reset when it is dropped.
#[derive(Debug)]
pub struct TcpListener {
    stream: Arc<Stream>,
    opener: Opener,
    transport: NodeId,
    local: SocketAddr,
    /// Responses are acknowledged one by one.
    asking: Mutex<()>,
}

/// Connections, one by one. See [`TcpListener::incoming`].
#[derive(Debug)]
pub struct Incoming<'a>(&'a TcpListener);

impl TcpListener {
    /// Listens at an address of the stack; port 0 takes a free one. 128 connections may wait.
    ///
    /// # Errors
    /// `AddrInUse`, `AddrNotAvailable`.
    pub fn bind(stack: &Stack, local: SocketAddr) -> io::Result<Self> {
        Self::bind_backlog(stack, local, BACKLOG)
    }

    /// As [`TcpListener::bind`]; `backlog` connections may wait.
    ///
    /// # Errors
    /// As [`TcpListener::bind`].
    pub fn bind_backlog(stack: &Stack, local: SocketAddr, backlog: u32) -> io::Result<Self> {
        let stream = Arc::new(stack.open("tcp").map_err(io::Error::other)?);
        let opener = stack.opener();
        let transport = opener.device("tcp").map_err(io::Error::other)?;
        // As `std` does, and whoever restarts a server expects.
        set_option(&stream, (names::SOCKET, names::REUSEADDR), &[1])?;
        let backlog = i32::try_from(backlog.max(1)).unwrap_or(i32::MAX);
        let ack = request(&stream, &Primitive::bind_req(local).with_word(12, backlog))?;
        let local = tpi::address_at(&ack, 4).ok_or_else(|| errno(Errno::EPROTO))?;
        Ok(Self { stream, opener, transport, local, asking: Mutex::default() })
    }

    /// The address that it listens at.
    ///
    /// # Errors
    /// None; the shape is that of `std`.
    pub fn local_addr(&self) -> io::Result<SocketAddr> {
        Ok(self.local)
    }

    /// Takes the connection that waits longest, and its peer's address; waits for one.
    ///
    /// # Errors
    /// `WouldBlock` when none waits and the listener is non-blocking.
    pub fn accept(&self) -> io::Result<(TcpStream, SocketAddr)> {
        let deadline = self.stream.read_deadline();
        let how = Accept { transport: self.transport, name: "tcp", local: self.local };
        let taken = self.stream.end().accept(how, deadline).map_err(failure)?;
        let stream = Arc::new(self.opener.stream(taken.end, taken.headroom));
        Ok((TcpStream::of(stream, taken.local, taken.peer), taken.peer))
    }

    /// As [`TcpListener::accept`]; the stream of the connection is prepared before it stands, so
    /// that nothing the peer sends comes by without the modules that are pushed.
    pub(crate) fn accept_on(
        &self,
        prepare: impl Fn(&Stream) -> io::Result<()>,
    ) -> io::Result<(TcpStream, SocketAddr)> {
        let deadline = self.stream.read_deadline();
        loop {
            let got = self.stream.end().until(deadline, |core, at| core.getmsg(at));
            let got = got.map_err(failure)?.ok_or_else(|| errno(Errno::ENXIO))?;
            // Word of one that is over: it waits no longer.
            if primitive(&got) != Some(tpi::T_CONN_IND) {
                continue;
            }
            let Some(control) = got.control else { continue };
            let indication = tpi::ConnInd::new(control.first());
            let indication = indication.map_err(|_| errno(Errno::EPROTO))?;
            let peer = tpi::decode_address(indication.src()).ok_or_else(|| errno(Errno::EPROTO))?;
            match self.take(indication.sequence(), peer, &prepare) {
                Ok(stream) => return Ok((stream, peer)),
                // It was over before it was taken.
                Err(error) if error.raw_os_error() == Some(Errno::EINVAL.0) => {}
                Err(error) => return Err(error),
            }
        }
    }

    /// Connections, one by one, for ever.
    pub fn incoming(&self) -> Incoming<'_> {
        Incoming(self)
    }

    /// Whether [`TcpListener::accept`] returns `WouldBlock` instead of waiting.
    ///
    /// # Errors
    /// None; the shape is that of `std`.
    pub fn set_nonblocking(&self, nonblocking: bool) -> io::Result<()> {
        self.stream.set_nonblocking(nonblocking);
        Ok(())
    }

    /// The error that waits, if any; it is forgotten then.
    ///
    /// # Errors
    /// When the stack has stopped.
    pub fn take_error(&self) -> io::Result<Option<io::Error>> {
        let number = option_word(&self.stream, (names::SOCKET, names::ERROR))?;
        Ok((number != 0).then(|| io::Error::from_raw_os_error(number)))
    }

    /// A descriptor that polls readable when a connection may wait: see [`Stream::ready_fd`].
    ///
    /// # Errors
    /// As [`Stream::ready_fd`].
    pub fn ready_fd(&self) -> io::Result<BorrowedFd<'_>> {
        self.stream.ready_fd(PollEvents::READ)
    }

    /// The stream below. Options that are set here, connections begin with.
    pub fn stream(&self) -> &Stream {
        &self.stream
    }

    fn take(
        &self,
        sequence: i32,
        peer: SocketAddr,
        prepare: impl Fn(&Stream) -> io::Result<()>,
    ) -> io::Result<TcpStream> {
        let stream = Arc::new(self.opener.open("tcp").map_err(io::Error::other)?);
        prepare(&stream)?;
        let ack = request(&stream, &Primitive::capability_req(tpi::TC1_ACCEPTOR_ID))?;
        let ack = tpi::CapabilityAck::new(&ack).map_err(|_| errno(Errno::EPROTO))?;
        let response = Primitive::conn_res(ack.acceptor(), sequence);
        {
            let _alone = self.asking.lock().unwrap_or_else(PoisonError::into_inner);
            request(&self.stream, &response)?;
        }
        TcpStream::connected(stream, peer)
    }
}

impl Iterator for Incoming<'_> {
    type Item = io::Result<TcpStream>;

    fn next(&mut self) -> Option<Self::Item> {
        Some(self.0.accept().map(|(stream, _)| stream))
    }
}

/// As `std`.
const BACKLOG: u32 = 128;
