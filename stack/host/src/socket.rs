//! socket: the calls of socket(2) and its family on a stream of a transport, to the errno, from
//! inside the shard. Nothing waits: what would wait fails with EAGAIN. Below the sockets of
//! programs in this process and in others.

mod data;
mod option;
mod ready;

pub use data::Datagram;
pub use ready::reset_behind;

use crate::acceptor::{accept, free, refuse};
use crate::plan::service::request;
use millstream_core::tpi::{self, Primitive};
use millstream_core::{Errno, Got, NodeId, Perimeter, StreamId};
use millstream_modules::tcp::names;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

/// The transports of a stack.
#[derive(Clone, Copy, Debug)]
pub struct Transports {
    /// The TCP multiplexor.
    pub tcp: NodeId,
    /// The UDP multiplexor.
    pub udp: NodeId,
}

/// A socket: what is known of it beside its stream, which whoever has the socket closes.
#[derive(Debug)]
pub struct Socket {
    stream: StreamId,
    state: State,
    ends: Ends,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// Of TCP, with an address or without.
    Open(Option<SocketAddr>),
    /// A connection was asked for.
    Connecting(SocketAddr),
    Connected {
        local: Option<SocketAddr>,
        peer: SocketAddr,
        /// The one who asked for the connection has not asked again since it stands.
        untold: bool,
    },
    Listening(SocketAddr),
    /// Of UDP, bound by the first call that needs it.
    Datagram {
        local: Option<SocketAddr>,
        peer: Option<SocketAddr>,
    },
}

/// What is known of both directions.
#[derive(Debug, Default)]
struct Ends {
    /// The peer has ended its direction, and all it sent was read.
    read: bool,
    /// Nothing more is to be read (SHUT_RD).
    unread: bool,
    /// Nothing more may be written.
    written: bool,
    /// The connection is over.
    over: bool,
    /// What has failed, until somebody was told.
    error: Option<Errno>,
    /// A writer was told of a reset, before its word was read.
    told: bool,
    /// The last octet of urgent data.
    urgent: Option<u8>,
}

/// Kind and protocol of a socket: its numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// SOCK_STREAM of TCP.
    Stream,
    /// SOCK_DGRAM of UDP.
    Datagram,
}

impl Kind {
    /// Of the arguments of `socket(2)`.
    ///
    /// # Errors
    /// EAFNOSUPPORT, ESOCKTNOSUPPORT, EPROTONOSUPPORT.
    pub fn of(domain: i32, kind: i32, protocol: i32) -> Result<Self, Errno> {
        if domain != AF_INET {
            return Err(Errno::EAFNOSUPPORT);
        }
        match (kind & SOCK_MASK, protocol) {
            (SOCK_STREAM, 0 | IPPROTO_TCP) => Ok(Self::Stream),
            (SOCK_DGRAM, 0 | IPPROTO_UDP) => Ok(Self::Datagram),
            (SOCK_STREAM | SOCK_DGRAM, _) => Err(Errno::EPROTONOSUPPORT),
            _ => Err(Errno::ESOCKTNOSUPPORT),
        }
    }
}

impl Socket {
    /// Opens a stream and makes it a socket.
    ///
    /// # Errors
    /// ENOBUFS without streams.
    pub fn open(core: &mut Perimeter, at: Transports, kind: Kind) -> Result<Self, Errno> {
        let (mux, name, state) = match kind {
            Kind::Stream => (at.tcp, "tcp", State::Open(None)),
            Kind::Datagram => (at.udp, "udp", State::Datagram { local: None, peer: None }),
        };
        let stream = core.open_mux(mux, name).map_err(|_| Errno::ENOBUFS)?;
        Ok(Self { stream, state, ends: Ends::default() })
    }

    /// Its stream.
    pub fn stream(&self) -> StreamId {
        self.stream
    }

    /// What kind of socket it is.
    pub fn kind(&self) -> Kind {
        match self.state {
            State::Datagram { .. } => Kind::Datagram,
            _ => Kind::Stream,
        }
    }

    /// `bind(2)`.
    ///
    /// # Errors
    /// EINVAL when bound, EADDRINUSE, EADDRNOTAVAIL.
    pub fn bind(&mut self, core: &mut Perimeter, to: SocketAddr) -> Result<(), Errno> {
        match &mut self.state {
            State::Open(bound @ None) | State::Datagram { local: bound @ None, .. } => {
                *bound = Some(bind(core, self.stream, &Primitive::bind_req(to))?);
                Ok(())
            }
            _ => Err(Errno::EINVAL),
        }
    }

    /// `listen(2)`.
    ///
    /// # Errors
    /// EINVAL when connected, EOPNOTSUPP for datagrams.
    pub fn listen(&mut self, core: &mut Perimeter, backlog: i32) -> Result<(), Errno> {
        let bound = match self.state {
            State::Open(bound) => bound,
            State::Listening(_) => return Ok(()),
            State::Datagram { .. } => return Err(Errno::EOPNOTSUPP),
            State::Connecting(_) | State::Connected { .. } => return Err(Errno::EINVAL),
        };
        if bound.is_some() {
            // TPI says at bind how many may wait: it is bound anew.
            ask(core, self.stream, &Primitive::unbind_req())?;
        }
        // So that it gets its address back whoever else has connections at it.
        self.set_option(core, names::SOCKET, names::REUSEADDR, &1_i32.to_ne_bytes())?;
        let to = bound.unwrap_or_else(|| SocketAddr::new(Ipv4Addr::UNSPECIFIED.into(), 0));
        let wanted = Primitive::bind_req(to).with_word(12, backlog.max(1));
        self.state = State::Listening(bind(core, self.stream, &wanted)?);
        Ok(())
    }

    /// Nobody is heard any more; it keeps its address, and may listen again.
    fn stop_listening(&mut self, core: &mut Perimeter, here: SocketAddr) -> Result<(), Errno> {
        while let Ok(Some(got)) = core.getmsg(self.stream) {
            let called = caller(&got);
            free(core, got);
            if let Some((sequence, _)) = called {
                refuse(core, self.stream, sequence);
            }
        }
        ask(core, self.stream, &Primitive::unbind_req())?;
        self.state = State::Open(None);
        self.state = State::Open(Some(bind(core, self.stream, &Primitive::bind_req(here))?));
        Ok(())
    }

    /// `accept(2)`: the connection that waits longest, and its peer. Those that were over before
    /// are passed over.
    ///
    /// # Errors
    /// EAGAIN, EINVAL when it does not listen, EOPNOTSUPP for datagrams, ENOBUFS without streams.
    pub fn accept(
        &mut self,
        core: &mut Perimeter,
        at: Transports,
    ) -> Result<(Self, SocketAddr), Errno> {
        let here = match self.state {
            State::Listening(here) => here,
            State::Datagram { .. } => return Err(Errno::EOPNOTSUPP),
            _ => return Err(Errno::EINVAL),
        };
        loop {
            let got = core.getmsg(self.stream)?.ok_or(Errno::EINVAL)?;
            let called = caller(&got);
            free(core, got);
            let Some((sequence, peer)) = called else { continue };
            match self.take(core, at, sequence) {
                Ok(stream) => {
                    let local = (!here.ip().is_unspecified()).then_some(here);
                    let state = State::Connected { local, peer, untold: false };
                    return Ok((Self { stream, state, ends: Ends::default() }, peer));
                }
                // It was over before it was taken.
                Err(Errno::EINVAL | Errno::ENOTCONN) => {}
                Err(errno) => {
                    refuse(core, self.stream, sequence);
                    return Err(errno);
                }
            }
        }
    }

    fn take(&self, core: &mut Perimeter, at: Transports, sequence: i32) -> Result<StreamId, Errno> {
        let stream = core.open_mux(at.tcp, "tcp").map_err(|_| Errno::ENOBUFS)?;
        let given = accept(core, self.stream, stream, sequence);
        given.map(|()| stream).inspect_err(|_| {
            // Nothing is in it.
            let _closed = core.close(stream);
        })
    }

    /// `connect(2)`.
    ///
    /// # Errors
    /// EINPROGRESS when it was begun, EALREADY while it is under way, EISCONN; EADDRNOTAVAIL,
    /// ENETUNREACH; of an attempt that has failed ECONNREFUSED, ETIMEDOUT and others.
    pub fn connect(&mut self, core: &mut Perimeter, peer: SocketAddr) -> Result<(), Errno> {
        self.settle(core);
        match self.state {
            State::Open(bound) => {
                self.failed()?;
                if bound.is_none() {
                    self.bind(core, any(peer))?;
                }
                ask(core, self.stream, &Primitive::conn_req(peer))?;
                self.ends = Ends::default();
                self.state = State::Connecting(peer);
                self.settle(core);
                self.failed()?;
                match &mut self.state {
                    State::Connected { untold, .. } => *untold = false,
                    _ => return Err(Errno::EINPROGRESS),
                }
                Ok(())
            }
            State::Connecting(_) => Err(Errno::EALREADY),
            State::Connected { ref mut untold, .. } => {
                if std::mem::take(untold) {
                    Ok(())
                } else {
                    Err(Errno::EISCONN)
                }
            }
            State::Listening(_) => Err(Errno::EISCONN),
            State::Datagram { .. } => self.connect_datagrams(core, peer),
        }
    }

    fn connect_datagrams(&mut self, core: &mut Perimeter, to: SocketAddr) -> Result<(), Errno> {
        self.bound(core, any(to))?;
        let State::Datagram { peer, .. } = &mut self.state else { return Err(Errno::EINVAL) };
        if peer.take().is_some() {
            ask(core, self.stream, &Primitive::discon_req(-1))?;
        }
        ask(core, self.stream, &Primitive::conn_req(to))?;
        *peer = Some(to);
        Ok(())
    }

    /// Binds a socket of datagrams, if it is not bound.
    fn bound(&mut self, core: &mut Perimeter, to: SocketAddr) -> Result<(), Errno> {
        match self.state {
            State::Datagram { local: None, .. } => self.bind(core, to),
            _ => Ok(()),
        }
    }

    /// `shutdown(2)`: 0, 1 or 2.
    ///
    /// # Errors
    /// EINVAL, ENOTCONN.
    pub fn shutdown(&mut self, core: &mut Perimeter, how: i32) -> Result<(), Errno> {
        if !(0..=2).contains(&how) {
            return Err(Errno::EINVAL);
        }
        self.settle(core);
        match self.state {
            State::Connected { .. } => {}
            State::Datagram { peer: Some(_), .. } => {
                self.ends.unread |= how != 1;
                self.ends.written |= how != 0;
                return Ok(());
            }
            State::Listening(_) if how == 1 => return Ok(()),
            State::Listening(here) => return self.stop_listening(core, here),
            _ => return Err(Errno::ENOTCONN),
        }
        if self.ends.over {
            return Err(Errno::ENOTCONN);
        }
        self.ends.unread |= how != 1;
        if how != 0 && !std::mem::replace(&mut self.ends.written, true) {
            // Nothing is in its way: flow control is for data, which are in front of it.
            let word = Primitive::ordrel_req();
            let msg = word.to_msg(word.kind(), core.pool()).map_err(|_| Errno::ENOBUFS)?;
            core.putmsg_last(self.stream, msg).map_err(|(errno, msg)| {
                core.pool().free(msg);
                errno
            })?;
        }
        Ok(())
    }

    /// `getsockname(2)`.
    pub fn local_addr(&mut self, core: &mut Perimeter) -> SocketAddr {
        let none = SocketAddr::new(Ipv4Addr::UNSPECIFIED.into(), 0);
        match &mut self.state {
            State::Open(bound) => bound.unwrap_or(none),
            State::Listening(local) => *local,
            State::Datagram { local, .. } => local.unwrap_or(none),
            State::Connecting(_) => own(core, self.stream).unwrap_or(none),
            State::Connected { local, .. } => {
                if local.is_none() {
                    *local = own(core, self.stream).ok();
                }
                local.unwrap_or(none)
            }
        }
    }

    /// `getpeername(2)`.
    ///
    /// # Errors
    /// ENOTCONN.
    pub fn peer_addr(&mut self, core: &mut Perimeter) -> Result<SocketAddr, Errno> {
        self.settle(core);
        match self.state {
            State::Connected { peer, .. } if !self.ends.over => Ok(peer),
            State::Datagram { peer: Some(peer), .. } => Ok(peer),
            _ => Err(Errno::ENOTCONN),
        }
    }

    /// The error that waits, if any; it is told once.
    fn failed(&mut self) -> Result<(), Errno> {
        self.ends.error.take().map_or(Ok(()), Err)
    }
}

/// Sends a request; its acknowledgement has come.
fn ask(core: &mut Perimeter, stream: StreamId, wanted: &Primitive) -> Result<(), Errno> {
    let ack = request(core, stream, wanted)?;
    core.pool().free(ack);
    Ok(())
}

/// Binds; to what.
fn bind(core: &mut Perimeter, stream: StreamId, wanted: &Primitive) -> Result<SocketAddr, Errno> {
    let ack = request(core, stream, wanted)?;
    let bound = tpi::address_at(ack.first(), 4);
    core.pool().free(ack);
    bound.ok_or(Errno::EPROTO)
}

/// Our end of a connection.
fn own(core: &mut Perimeter, stream: StreamId) -> Result<SocketAddr, Errno> {
    bind(core, stream, &Primitive::addr_req())
}

/// The number and the address of who calls, if the message tells of somebody.
fn caller(got: &Got) -> Option<(i32, SocketAddr)> {
    let call = tpi::ConnInd::new(got.control.as_ref()?.first()).ok()?;
    Some((call.sequence(), tpi::decode_address(call.src())?))
}

/// Any address of the peer's family, and any port.
fn any(peer: SocketAddr) -> SocketAddr {
    let ip = match peer.ip() {
        IpAddr::V4(_) => IpAddr::V4(Ipv4Addr::UNSPECIFIED),
        IpAddr::V6(_) => IpAddr::V6(Ipv6Addr::UNSPECIFIED),
    };
    SocketAddr::new(ip, 0)
}

const AF_INET: i32 = 2;
const SOCK_STREAM: i32 = 1;
const SOCK_DGRAM: i32 = 2;
const SOCK_MASK: i32 = 0xf;
const IPPROTO_TCP: i32 = 6;
const IPPROTO_UDP: i32 = 17;
