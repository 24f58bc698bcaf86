//! One socket, from `socket(2)` to close.

use super::{flag, number};
use crate::request::{option, request, set_option_bytes};
use crate::stack::Opener;
use crate::stream::Stream;
use crate::tcp::{TcpListener, TcpStream, answer, any};
use crate::udp::UdpSocket;
use millstream_core::tpi::{self, Primitive};
use millstream_core::{Errno, PollEvents};
use millstream_modules::tcp::names;
use std::net::{IpAddr, Ipv4Addr, Shutdown, SocketAddr};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

#[derive(Debug)]
pub(super) struct Socket {
    state: Mutex<State>,
    nonblocking: Mutex<bool>,
    /// Why a connection that was asked for did not come about, until somebody was told.
    error: Mutex<Option<Errno>>,
}

#[derive(Clone, Debug)]
enum State {
    /// Of TCP, with an address or without.
    Open(Arc<Stream>, Option<SocketAddr>),
    /// A connection was asked for.
    Connecting(Arc<Stream>, SocketAddr),
    Connected(TcpStream),
    Listening(Arc<TcpListener>),
    /// Of UDP, bound by the first that needs it.
    Unbound(Arc<Stream>),
    Datagram(Arc<UdpSocket>),
}

impl Socket {
    pub(super) fn open(opener: &Opener, device: &str) -> Result<Self, Errno> {
        let stream = Arc::new(opener.open(device).map_err(|_| Errno::ENOBUFS)?);
        Ok(Self::in_state(match device {
            "tcp" => State::Open(stream, None),
            _ => State::Unbound(stream),
        }))
    }

    pub(super) fn of(stream: TcpStream) -> Self {
        Self::in_state(State::Connected(stream))
    }

    fn in_state(state: State) -> Self {
        let (nonblocking, error) = (Mutex::default(), Mutex::default());
        Self { state: Mutex::new(state), nonblocking, error }
    }

    pub(super) fn bind(&self, local: SocketAddr) -> Result<(), Errno> {
        let mut state = self.state();
        match &*state {
            State::Open(stream, None) => {
                let ack = request(stream, &Primitive::bind_req(local)).map_err(number)?;
                let bound = tpi::address_at(&ack, 4).ok_or(Errno::EPROTO)?;
                *state = State::Open(stream.clone(), Some(bound));
                Ok(())
            }
            State::Unbound(_) => Self::bind_datagram(&mut state, local),
            _ => Err(Errno::EINVAL),
        }
    }

    pub(super) fn listen(&self, opener: &Opener, backlog: i32) -> Result<(), Errno> {
        let mut state = self.state();
        let (stream, bound) = match &*state {
            State::Open(stream, bound) => (stream.clone(), *bound),
            State::Listening(_) => return Ok(()),
            State::Unbound(_) | State::Datagram(_) => return Err(Errno::EOPNOTSUPP),
            _ => return Err(Errno::EINVAL),
        };
        if bound.is_some() {
            // TPI says at bind how many may wait: it is bound anew.
            request(&stream, &Primitive::unbind_req()).map_err(number)?;
        }
        let local = bound.unwrap_or_else(|| SocketAddr::new(Ipv4Addr::UNSPECIFIED.into(), 0));
        let backlog = backlog.max(1).unsigned_abs();
        let listener = TcpListener::listen(stream, opener.clone(), local, backlog);
        *state = State::Listening(Arc::new(listener.map_err(number)?));
        Ok(())
    }

    pub(super) fn accept(&self) -> Result<(TcpStream, SocketAddr), Errno> {
        let listener = match &*self.state() {
            State::Listening(listener) => listener.clone(),
            State::Unbound(_) | State::Datagram(_) => return Err(Errno::EOPNOTSUPP),
            _ => return Err(Errno::EINVAL),
        };
        let deadline = self.deadline(listener.stream().read_deadline(), 0);
        listener.accept_until(deadline).map_err(number)
    }

    pub(super) fn connect(&self, peer: SocketAddr) -> Result<(), Errno> {
        let mut state = self.state();
        match &*state {
            State::Open(stream, bound) => {
                if bound.is_none() {
                    request(stream, &Primitive::bind_req(any(peer))).map_err(number)?;
                }
                request(stream, &Primitive::conn_req(peer)).map_err(number)?;
                *state = State::Connecting(stream.clone(), peer);
            }
            State::Connecting(..) => {
                return match Self::settle(&mut state, Some(Instant::now()))? {
                    true => Err(Errno::EISCONN),
                    false => Err(Errno::EALREADY),
                };
            }
            State::Unbound(_) => {
                Self::bind_datagram(&mut state, any(peer))?;
                drop(state);
                return self.connect(peer);
            }
            State::Datagram(socket) => return socket.connect(peer).map_err(number),
            State::Connected(_) | State::Listening(_) => return Err(Errno::EISCONN),
        }
        let now = self.is_nonblocking().then(Instant::now);
        match Self::settle(&mut state, now)? {
            true => Ok(()),
            false => Err(Errno::EINPROGRESS),
        }
    }

    /// What a connection that was asked for has come to: it stands, or is still under way.
    fn settle(state: &mut State, deadline: Option<Instant>) -> Result<bool, Errno> {
        let State::Connecting(stream, peer) = &*state else { return Ok(true) };
        let Some(answer) = answer(stream, deadline).map_err(number)? else { return Ok(false) };
        let (stream, peer) = (stream.clone(), *peer);
        if let Err(errno) = answer {
            // It has its address no longer, and may try again.
            let _unbound = request(&stream, &Primitive::unbind_req());
            *state = State::Open(stream, None);
            return Err(errno);
        }
        *state = State::Connected(TcpStream::connected(stream, peer).map_err(number)?);
        Ok(true)
    }

    pub(super) fn send(
        &self,
        data: &[u8],
        flags: i32,
        to: Option<SocketAddr>,
    ) -> Result<usize, Errno> {
        if flags & !(flag::OOB | flag::DONTWAIT | flag::NOSIGNAL | flag::MORE) != 0 {
            return Err(Errno::EOPNOTSUPP);
        }
        if let Some(socket) = self.datagram()? {
            let peer = to.or(socket.peer()).ok_or(Errno::EDESTADDRREQ)?;
            return socket.send_to(data, peer).map_err(number);
        }
        let stream = self.connected().map_err(|errno| match errno {
            Errno::ENOTCONN => Errno::EPIPE,
            other => other,
        })?;
        if flags & flag::OOB != 0 {
            return stream.send_urgent(data).map(|()| data.len()).map_err(number);
        }
        let deadline = self.deadline(stream.stream().write_deadline(), flags);
        stream.write_until(data, deadline).map_err(number)
    }

    pub(super) fn recv(
        &self,
        out: &mut [u8],
        flags: i32,
    ) -> Result<(usize, Option<SocketAddr>), Errno> {
        if let Some(socket) = self.datagram()? {
            if flags & (flag::PEEK | flag::OOB) != 0 {
                return Err(Errno::EOPNOTSUPP);
            }
            let deadline = self.deadline(socket.stream().read_deadline(), flags);
            let got = socket.recv_until(out, deadline).map_err(number)?;
            return Ok((got.0, Some(got.1)));
        }
        let stream = self.connected()?;
        let deadline = self.deadline(stream.stream().read_deadline(), flags);
        if flags & flag::OOB != 0 {
            let octet = stream.take_urgent().ok_or(Errno::EINVAL)?;
            let place = out.first_mut().ok_or(Errno::EINVAL)?;
            *place = octet;
            return Ok((1, None));
        }
        if flags & flag::PEEK != 0 {
            return stream.peek_until(out, deadline).map(|n| (n, None)).map_err(number);
        }
        let mut done = stream.read_until(out, deadline).map_err(number)?;
        while flags & flag::WAITALL != 0 && done < out.len() && !stream.is_at_end() {
            match stream.read_until(&mut out[done..], deadline) {
                Ok(0) | Err(_) => break,
                Ok(n) => done += n,
            }
        }
        Ok((done, None))
    }

    pub(super) fn shutdown(&self, how: i32) -> Result<(), Errno> {
        let how = match how {
            0 => Shutdown::Read,
            1 => Shutdown::Write,
            2 => Shutdown::Both,
            _ => return Err(Errno::EINVAL),
        };
        self.connected()?.shutdown(how).map_err(number)
    }

    pub(super) fn local_addr(&self) -> SocketAddr {
        let none = SocketAddr::new(IpAddr::V4(Ipv4Addr::UNSPECIFIED), 0);
        let told = |stream: &Stream| {
            let ack = request(stream, &Primitive::addr_req()).ok()?;
            tpi::address_at(&ack, 4)
        };
        match &*self.state() {
            State::Open(_, bound) => bound.unwrap_or(none),
            State::Connecting(stream, _) => told(stream).unwrap_or(none),
            State::Connected(stream) => stream.local_addr().unwrap_or(none),
            State::Listening(listener) => listener.local_addr().unwrap_or(none),
            State::Datagram(socket) => socket.local_addr(),
            State::Unbound(_) => none,
        }
    }

    pub(super) fn peer_addr(&self) -> Result<SocketAddr, Errno> {
        if let State::Datagram(socket) = &*self.state() {
            return socket.peer().ok_or(Errno::ENOTCONN);
        }
        self.connected()?.peer_addr().map_err(number)
    }

    pub(super) fn set_option(&self, level: i32, name: i32, value: &[u8]) -> Result<(), Errno> {
        if let Some(socket) = self.datagram()? {
            let word = tpi::word(value, 0).ok_or(Errno::EINVAL)?;
            return match (level, name) {
                (names::SOCKET, SO_BROADCAST) => socket.set_broadcast(word != 0),
                (names::IP, names::TTL) => socket.set_ttl(u32::try_from(word).unwrap_or(u32::MAX)),
                _ => return Err(Errno::ENOPROTOOPT),
            }
            .map_err(number);
        }
        self.with_stream(|stream| set_option_bytes(stream, (level, name), value).map_err(number))
    }

    pub(super) fn option(&self, level: i32, name: i32) -> Result<Vec<u8>, Errno> {
        if (level, name) == (names::SOCKET, names::ERROR) {
            // What a connection that was asked for has come to is told here.
            let settled = Self::settle(&mut self.state(), Some(Instant::now()));
            let told = self.error().take();
            if let Some(Errno(number)) = settled.err().or(told) {
                return Ok(number.to_ne_bytes().to_vec());
            }
        }
        self.with_stream(|stream| option(stream, (level, name)).map_err(number))
    }

    pub(super) fn set_nonblocking(&self, nonblocking: bool) {
        *self.nonblocking.lock().unwrap_or_else(PoisonError::into_inner) = nonblocking;
    }

    pub(super) fn poll(&self, asked: PollEvents) -> Result<PollEvents, Errno> {
        match Self::settle(&mut self.state(), Some(Instant::now())) {
            Ok(true) => {}
            // Not writable before it is connected (`connect(2)`).
            Ok(false) => return Ok(PollEvents::default()),
            Err(errno) => *self.error() = Some(errno),
        }
        if self.error().is_some() {
            return Ok(asked);
        }
        self.with_stream(|stream| {
            let seen = stream.end().at_head(|core, at| core.poll_head(at, asked));
            seen.map_err(|_| Errno::ENETDOWN)?
        })
    }

    fn is_nonblocking(&self) -> bool {
        *self.nonblocking.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// When an operation stops to wait.
    fn deadline(&self, usual: Option<Instant>, flags: i32) -> Option<Instant> {
        if flags & flag::DONTWAIT != 0 || self.is_nonblocking() {
            Some(Instant::now())
        } else {
            usual
        }
    }

    /// The connection, if it stands.
    fn connected(&self) -> Result<TcpStream, Errno> {
        let mut state = self.state();
        if matches!(*state, State::Connecting(..)) && !self.settled(&mut state)? {
            return Err(Errno::EAGAIN);
        }
        match &*state {
            State::Connected(stream) => Ok(stream.clone()),
            _ => Err(Errno::ENOTCONN),
        }
    }

    fn settled(&self, state: &mut State) -> Result<bool, Errno> {
        let now = self.is_nonblocking().then(Instant::now);
        Self::settle(state, now)
    }

    /// The socket of a datagram, bound if it was not; `None` for TCP.
    fn datagram(&self) -> Result<Option<Arc<UdpSocket>>, Errno> {
        let mut state = self.state();
        if matches!(*state, State::Unbound(_)) {
            Self::bind_datagram(&mut state, SocketAddr::new(Ipv4Addr::UNSPECIFIED.into(), 0))?;
        }
        Ok(match &*state {
            State::Datagram(socket) => Some(socket.clone()),
            _ => None,
        })
    }

    fn bind_datagram(state: &mut State, local: SocketAddr) -> Result<(), Errno> {
        let State::Unbound(stream) = &*state else { return Err(Errno::EINVAL) };
        let ack = request(stream, &Primitive::bind_req(local)).map_err(number)?;
        let bound = tpi::address_at(&ack, 4).ok_or(Errno::EPROTO)?;
        *state = State::Datagram(Arc::new(UdpSocket::bound(stream.clone(), bound)));
        Ok(())
    }

    fn with_stream<T>(&self, run: impl FnOnce(&Stream) -> Result<T, Errno>) -> Result<T, Errno> {
        let state = self.state().clone();
        match &state {
            State::Open(stream, _) | State::Connecting(stream, _) | State::Unbound(stream) => {
                run(stream)
            }
            State::Connected(stream) => run(stream.stream()),
            State::Listening(listener) => run(listener.stream()),
            State::Datagram(socket) => run(socket.stream()),
        }
    }

    fn error(&self) -> MutexGuard<'_, Option<Errno>> {
        self.error.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Of datagrams; of connections it means nothing.
const SO_BROADCAST: i32 = 6;
