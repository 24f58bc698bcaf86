//! transport: where the connections of a load come from, and what they can do. The kernel's
//! sockets, or any stack's that have the shapes of std::net.

use rustix::event::{PollFd, PollFlags, poll};
use rustix::net::sockopt::{set_socket_reuseaddr, set_tcp_congestion, set_tcp_nodelay};
use rustix::net::{AddressFamily, SocketFlags, SocketType, bind, connect, listen, socket_with};
use std::io::{self, ErrorKind, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::os::fd::OwnedFd;
use std::time::Duration;

/// Makes connections.
pub trait Transport: Sync {
    /// Connects.
    ///
    /// # Errors
    /// As `TcpStream::connect`.
    fn connect(&self, to: SocketAddr) -> io::Result<Box<dyn Connection>>;

    /// Listens.
    ///
    /// # Errors
    /// As `TcpListener::bind`.
    fn listen(&self, at: SocketAddr) -> io::Result<Box<dyn Listener>>;
}

/// Takes connections.
pub trait Listener: Send {
    /// Where.
    ///
    /// # Errors
    /// As `TcpListener::local_addr`.
    fn local_addr(&self) -> io::Result<SocketAddr>;

    /// The next connection; `None` when there was none for so long.
    ///
    /// # Errors
    /// As `TcpListener::accept`.
    fn accept(&self, patience: Duration) -> io::Result<Option<Box<dyn Connection>>>;
}

/// A connection.
pub trait Connection: Read + Write + Send {
    /// Reads and writes wait in the kernel, at most so long, or not at all.
    ///
    /// # Errors
    /// As `TcpStream::set_nonblocking`.
    fn set_waiting(&self, waits: bool, patience: Duration) -> io::Result<()>;

    /// Nothing more will be written.
    ///
    /// # Errors
    /// As `TcpStream::shutdown`.
    fn finish(&self) -> io::Result<()>;
}

/// The host kernel's sockets.
#[derive(Clone, Debug, Default)]
pub struct Kernel {
    /// Name of the congestion control; the system's default if `None`.
    pub congestion: Option<String>,
    /// Small writes go at once.
    pub nodelay: bool,
}

impl Kernel {
    fn socket(&self, of: SocketAddr) -> io::Result<OwnedFd> {
        let family = if of.is_ipv4() { AddressFamily::INET } else { AddressFamily::INET6 };
        let socket = socket_with(family, SocketType::STREAM, SocketFlags::CLOEXEC, None)?;
        if let Some(name) = &self.congestion {
            set_tcp_congestion(&socket, name)?;
        }
        set_tcp_nodelay(&socket, self.nodelay)?;
        Ok(socket)
    }

    /// A listening socket; what it accepts inherits the options.
    pub(super) fn listener(&self, at: SocketAddr) -> io::Result<TcpListener> {
        let socket = self.socket(at)?;
        set_socket_reuseaddr(&socket, true)?;
        bind(&socket, &at)?;
        listen(&socket, BACKLOG)?;
        Ok(socket.into())
    }
}

impl Transport for Kernel {
    fn connect(&self, to: SocketAddr) -> io::Result<Box<dyn Connection>> {
        let socket = self.socket(to)?;
        connect(&socket, &to)?;
        Ok(Box::new(TcpStream::from(socket)))
    }

    fn listen(&self, at: SocketAddr) -> io::Result<Box<dyn Listener>> {
        Ok(Box::new(self.listener(at)?))
    }
}

impl Listener for TcpListener {
    fn local_addr(&self) -> io::Result<SocketAddr> {
        Self::local_addr(self)
    }

    fn accept(&self, patience: Duration) -> io::Result<Option<Box<dyn Connection>>> {
        let mut wanted = [PollFd::new(self, PollFlags::IN)];
        let patience = patience.try_into().map_err(|_| ErrorKind::InvalidInput)?;
        match poll(&mut wanted, Some(&patience)) {
            Ok(0) => Ok(None),
            Ok(_) => Ok(Some(Box::new(Self::accept(self)?.0))),
            Err(rustix::io::Errno::INTR) => Ok(None),
            Err(errno) => Err(errno.into()),
        }
    }
}

impl Connection for TcpStream {
    fn set_waiting(&self, waits: bool, patience: Duration) -> io::Result<()> {
        self.set_nonblocking(!waits)?;
        self.set_read_timeout(Some(patience))?;
        self.set_write_timeout(Some(patience))
    }

    fn finish(&self) -> io::Result<()> {
        self.shutdown(Shutdown::Write)
    }
}

/// Connections that wait to be accepted; the kernel takes less if its own limit is lower.
const BACKLOG: i32 = 4096;
