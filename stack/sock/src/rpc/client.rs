//! Calls to servers, one by one or many at once.

use super::{Caller, Credential, Procedure, RpcError, Transport, module};
use crate::stack::{Stack, lock};
use crate::stream::{Stream, errno};
use crate::tcp::{TcpStream, any};
use crate::udp::UdpSocket;
use millstream_core::{Errno, Got, Priority};
use millstream_modules::rpc::Role;
use millstream_modules::rpc::primitive::{self, ONE_WAY, R_CANCEL_REQ, R_REPLY_IND, call_req};
use millstream_msg::{Kind, Msg};
use millstream_onc::auth::{BODY_MAX, FLAVORS};
use millstream_onc::xdr::{Decoder, Encoder, Fault};
use millstream_programs::rpcbind::PORT;
use millstream_programs::wire::rpcbind::{
    PMAP_IPPROTO_TCP, PMAP_IPPROTO_UDP, PmapMapping, RpcbprogV2Client,
};
use std::collections::HashMap;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

/// Calls programs of a server, on a connection or by datagrams.
///
/// Many calls may be under way: [`Caller::start`] sends one, [`Caller::finish`] waits for its
/// answer. Over UDP they are sent again until they are answered or their time is over, and other
/// servers can be called too ([`RpcClient::start_at`]).
#[derive(Debug)]
pub struct RpcClient {
    carrier: Carrier,
    peer: SocketAddr,
    /// Flavour and body of what says who calls.
    credential: (u32, Vec<u8>),
    time_out: Duration,
    /// Of the next call.
    handle: u32,
    /// Answers to calls of which another one was waited for.
    answered: HashMap<u32, Answered>,
}

/// A call that was sent and not yet answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[must_use = "its answer is kept until it is asked for"]
pub struct Pending(u32);

/// How a call has ended, and with what results.
pub(super) type Answered = Result<Option<Msg>, RpcError>;

#[derive(Debug)]
enum Carrier {
    Tcp(TcpStream),
    Udp(UdpSocket),
}

impl RpcClient {
    /// A client of a program of a host: its `rpcbind` says at which port the version, or another
    /// one, is served.
    ///
    /// # Errors
    /// [`RpcError::NotRegistered`]; those of [`RpcClient::at`] and of a call.
    pub fn connect(
        stack: &Stack,
        host: IpAddr,
        (program, version): (u32, u32),
        transport: Transport,
    ) -> Result<Self, RpcError> {
        let at = Self::lookup(stack, host, (program, version), transport)?;
        Self::at(stack, at, transport)
    }

    /// Where a host serves a version of a program, or another version of it, as its `rpcbind` says.
    ///
    /// # Errors
    /// As [`RpcClient::connect`].
    pub fn lookup(
        stack: &Stack,
        host: IpAddr,
        (program, version): (u32, u32),
        transport: Transport,
    ) -> Result<SocketAddr, RpcError> {
        let rpcbind = Self::at(stack, SocketAddr::new(host, PORT), transport)?;
        let port = port_of(rpcbind, (program, version), transport)?;
        Ok(SocketAddr::new(host, port))
    }

    /// A client of whatever is served there.
    ///
    /// # Errors
    /// As `TcpStream::connect_timeout` and `UdpSocket::bind`.
    pub fn at(stack: &Stack, peer: SocketAddr, transport: Transport) -> Result<Self, RpcError> {
        let carrier = match transport {
            Transport::Tcp => Carrier::Tcp(TcpStream::connect_timeout(stack, peer, CONNECT)?),
            Transport::Udp => Carrier::Udp(UdpSocket::bind(stack, any(peer))?),
        };
        carrier.stream().push(module(Role::Client))?;
        Ok(Self {
            carrier,
            peer,
            credential: (0, Vec::new()),
            time_out: TIME_OUT,
            handle: 0,
            answered: HashMap::new(),
        })
    }

    /// Who calls from now on. Nobody is named at first.
    ///
    /// # Errors
    /// [`Fault::Enum`] for a credential that no flavour writes; [`Fault::Length`].
    pub fn set_credential(&mut self, credential: &Credential) -> Result<(), RpcError> {
        for flavor in FLAVORS {
            let mut is_ours = false;
            let octets = Encoder::vec(|to| {
                is_ours = flavor.write(credential, to)?;
                Ok(())
            })?;
            if is_ours {
                // The length and the padding are the module's business.
                let body = Decoder::new(&octets).opaque(BODY_MAX)?.to_vec();
                self.credential = (flavor.number(), body);
                return Ok(());
            }
        }
        Err(Fault::Enum(0).into())
    }

    /// How long the next calls wait for their replies: 25 seconds at first.
    pub fn set_time_out(&mut self, time_out: Duration) {
        self.time_out = time_out;
    }

    /// Whom it calls.
    pub fn peer_addr(&self) -> SocketAddr {
        self.peer
    }

    /// As [`Caller::start`], to another server; over UDP alone.
    ///
    /// # Errors
    /// EISCONN over TCP, and those of [`Caller::start`].
    pub fn start_at(
        &mut self,
        server: SocketAddr,
        to: Procedure,
        args: impl FnOnce(&mut Encoder<'_>) -> Result<(), Fault>,
    ) -> Result<Pending, RpcError> {
        match self.carrier {
            Carrier::Udp(_) => self.request(Some(server), to, 0, args),
            Carrier::Tcp(_) => Err(errno(Errno::EISCONN).into()),
        }
    }

    /// Nobody waits for the answer any more: the reply, should it come, is thrown away.
    ///
    /// # Errors
    /// When the stack has stopped.
    pub fn cancel(&mut self, Pending(handle): Pending) -> Result<(), RpcError> {
        if self.answered.remove(&handle).is_some() {
            return Ok(());
        }
        let mut words = [0; 8];
        primitive::put_words(&mut words, [R_CANCEL_REQ, handle]);
        self.stream().putmsg(Some(&words), None, Priority::Band(0))?;
        // The module tells how the call has ended: answered before, or cancelled.
        self.answer(handle).map(drop)
    }

    /// Waits for an answer to any of these calls; which one was it?
    ///
    /// # Errors
    /// [`RpcError::Ended`] when no answer can come any more, of a connection that was closed.
    pub fn wait_any(&mut self, of: &[Pending]) -> Result<Pending, RpcError> {
        loop {
            let ready = of.iter().find(|pending| self.answered.contains_key(&pending.0));
            if let Some(&ready) = ready {
                return Ok(ready);
            }
            let (handle, answer) = self.next()?;
            self.answered.insert(handle, answer);
        }
    }

    /// The stream below, with `rpc` in it.
    pub fn stream(&self) -> &Stream {
        self.carrier.stream()
    }

    /// How a call has ended.
    pub(super) fn answer(&mut self, handle: u32) -> Result<Answered, RpcError> {
        loop {
            if let Some(answer) = self.answered.remove(&handle) {
                return Ok(answer);
            }
            let (of, answer) = self.next()?;
            if of == handle {
                return Ok(answer);
            }
            self.answered.insert(of, answer);
        }
    }

    /// The octets of a call's results.
    pub(super) fn octets(&mut self, Pending(handle): Pending) -> Result<Vec<u8>, RpcError> {
        let results = self.answer(handle)??;
        Ok(results.map_or_else(Vec::new, |msg| msg.cursor().chunks().collect::<Vec<_>>().concat()))
    }

    /// The next answer that comes, and its call. The module ends every call some time.
    fn next(&mut self) -> Result<(u32, Answered), RpcError> {
        loop {
            let Some(got) = self.stream().receive()? else { return Err(RpcError::Ended) };
            if let Some(answer) = answered(got) {
                return Ok(answer);
            }
        }
    }

    fn request(
        &mut self,
        peer: Option<SocketAddr>,
        to: Procedure,
        flags: u32,
        args: impl FnOnce(&mut Encoder<'_>) -> Result<(), Fault>,
    ) -> Result<Pending, RpcError> {
        let handle = self.handle;
        let stream = self.carrier.stream();
        let mut words = [0; WORDS_MAX];
        let (flavour, body) = (self.credential.0, &self.credential.1[..]);
        let time_out_ms = u32::try_from(self.time_out.as_millis()).unwrap_or(u32::MAX).max(1);
        let numbers = [to.program, to.version, to.number];
        let len =
            call_req(&mut words, handle, numbers, [flags, time_out_ms], (flavour, body), peer);
        let words = &words[..len.ok_or(RpcError::CannotSend)?];
        let mut msg = {
            let mut pool = lock(stream.pool());
            let mut to = Encoder::new(&mut pool, stream.headroom() + HEADER, ROOM)?;
            args(&mut to)?;
            let args = to.finish();
            let mut msg = pool.copy_from(0, words).map_err(|_| errno(Errno::ENOSR))?;
            msg.set_kind(Kind::Proto);
            if args.is_empty() {
                pool.spend(args);
            } else {
                msg.link(args);
            }
            msg
        };
        msg.set_band(millstream_msg::Band(0));
        stream.send(msg, Priority::Band(0))?;
        self.handle = handle.wrapping_add(1);
        Ok(Pending(handle))
    }

    /// Whom a call goes to that names nobody.
    fn default_peer(&self) -> Option<SocketAddr> {
        matches!(self.carrier, Carrier::Udp(_)).then_some(self.peer)
    }
}

impl Caller for RpcClient {
    type Error = RpcError;
    type Token = Pending;

    fn start(
        &mut self,
        to: Procedure,
        args: impl FnOnce(&mut Encoder<'_>) -> Result<(), Fault>,
    ) -> Result<Pending, RpcError> {
        self.request(self.default_peer(), to, 0, args)
    }

    fn finish<R>(
        &mut self,
        Pending(handle): Pending,
        results: impl FnOnce(&mut Decoder<'_>) -> Result<R, Fault>,
    ) -> Result<R, RpcError> {
        let msg = self.answer(handle)??;
        let from = msg.as_ref().map_or(Decoder::new(&[]), Decoder::of);
        Ok(from.whole(results)?)
    }

    fn send(
        &mut self,
        to: Procedure,
        args: impl FnOnce(&mut Encoder<'_>) -> Result<(), Fault>,
    ) -> Result<(), RpcError> {
        self.request(self.default_peer(), to, ONE_WAY, args).map(|Pending(_)| ())
    }
}

impl Carrier {
    fn stream(&self) -> &Stream {
        match self {
            Self::Tcp(stream) => stream.stream(),
            Self::Udp(socket) => socket.stream(),
        }
    }
}

/// At which port a host serves a version of a program, or another version of it, as the `rpcbind`
/// says that is called through `rpcbind`.
///
/// # Errors
/// [`RpcError::NotRegistered`], and those of the call.
pub fn port_of<C: Caller<Error = RpcError>>(
    rpcbind: C,
    (program, version): (u32, u32),
    transport: Transport,
) -> Result<u16, RpcError> {
    let prot = match transport {
        Transport::Tcp => PMAP_IPPROTO_TCP,
        Transport::Udp => PMAP_IPPROTO_UDP,
    };
    // Version 2, which the oldest port mapper has too: the address is known.
    let mapping = PmapMapping { prog: program, vers: version, prot, port: 0 };
    let port = RpcbprogV2Client::new(rpcbind).pmapproc_getport(&mapping)?;
    let port = u16::try_from(port).ok().filter(|port| *port > 0);
    port.ok_or(RpcError::NotRegistered { program })
}

/// The call that a message from the module is the answer to; `None` for other words.
fn answered(got: Got) -> Option<(u32, Answered)> {
    let control = got.control?;
    let word = |at| primitive::word(control.first(), at);
    if word(0) != Some(R_REPLY_IND) {
        return None;
    }
    let answer = match RpcError::of(word(8)?, [word(12)?, word(16)?]) {
        None => Ok(got.data),
        Some(error) => Err(error),
    };
    Some((word(4)?, answer))
}

/// As long as programs of C wait.
const TIME_OUT: Duration = Duration::from_secs(25);
/// A connection may take so long to stand.
const CONNECT: Duration = Duration::from_secs(10);
/// Octets of an R_CALL_REQ with a credential and an address.
const WORDS_MAX: usize = primitive::CALL_REQ_WORDS + BODY_MAX + 32;
/// Mark and header of a call, with a credential.
const HEADER: usize = 64;
/// Octets of arguments in the first block.
const ROOM: usize = 256;
