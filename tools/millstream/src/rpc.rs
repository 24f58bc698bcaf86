//! rpc: a client of ONC RPC on the kernel's sockets.

use millstream::RpcError;
use millstream::rpc::onc::auth::FLAVORS;
use millstream::rpc::onc::message::{self, Direction, Outcome};
use millstream::rpc::onc::xdr::{Decoder, Encoder, Fault};
use millstream::rpc::{Caller, Credential, Procedure, Transport};
use std::collections::HashMap;
use std::io::{ErrorKind, Read, Write};
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, TcpStream, UdpSocket};
use std::time::{Duration, Instant};

/// Calls a server over the kernel's sockets, from one thread.
#[derive(Debug)]
pub struct KernelClient {
    socket: Socket,
    patience: Duration,
    credential: Credential,
    xid: u32,
    /// Replies to calls of which another one was waited for.
    replies: HashMap<u32, Vec<u8>>,
}

/// A call that was sent.
#[derive(Clone, Debug)]
pub struct Sent {
    xid: u32,
    /// To send it again.
    datagram: Vec<u8>,
}

#[derive(Debug)]
enum Socket {
    Tcp(TcpStream),
    Udp(UdpSocket),
}

impl KernelClient {
    /// A client of what is served there; each call waits so long for its reply.
    ///
    /// # Errors
    /// As those of `std`.
    pub fn connect(
        to: SocketAddr,
        transport: Transport,
        patience: Duration,
    ) -> Result<Self, RpcError> {
        let socket = match transport {
            Transport::Tcp => {
                let stream = TcpStream::connect_timeout(&to, patience)?;
                stream.set_nodelay(true)?;
                stream.set_write_timeout(Some(patience))?;
                Socket::Tcp(stream)
            }
            Transport::Udp => {
                let any: SocketAddr = match to {
                    SocketAddr::V4(_) => (Ipv4Addr::UNSPECIFIED, 0).into(),
                    SocketAddr::V6(_) => (Ipv6Addr::UNSPECIFIED, 0).into(),
                };
                let socket = UdpSocket::bind(any)?;
                socket.connect(to)?;
                Socket::Udp(socket)
            }
        };
        let xid = millstream::plan::random_key() as u32;
        let (credential, replies) = (Credential::None, HashMap::new());
        Ok(Self { socket, patience, credential, xid, replies })
    }

    /// Who calls from now on.
    pub fn set_credential(&mut self, credential: Credential) {
        self.credential = credential;
    }

    /// The octets of the next reply, without mark.
    fn reply(&mut self, until: Instant) -> Result<Vec<u8>, RpcError> {
        match &mut self.socket {
            Socket::Tcp(stream) => {
                stream.set_read_timeout(Some(left(until)?))?;
                let mut record = Vec::new();
                loop {
                    let mut mark = [0; 4];
                    stream.read_exact(&mut mark).map_err(ended)?;
                    let mark = u32::from_be_bytes(mark);
                    let (last, len) = (mark & LAST != 0, (mark & !LAST) as usize);
                    if record.len() + len > RECORD_MAX {
                        return Err(RpcError::Garbled);
                    }
                    let at = record.len();
                    record.resize(at + len, 0);
                    stream.read_exact(&mut record[at..]).map_err(ended)?;
                    if last {
                        return Ok(record);
                    }
                }
            }
            Socket::Udp(socket) => {
                socket.set_read_timeout(Some(left(until)?))?;
                let mut datagram = vec![0; 1 << 16];
                let n = socket.recv(&mut datagram).map_err(ended)?;
                datagram.truncate(n);
                Ok(datagram)
            }
        }
    }

    /// The reply to a call; over UDP the call is sent again, ever more seldom.
    fn wait(&mut self, call: &Sent) -> Result<Vec<u8>, RpcError> {
        let end = Instant::now() + self.patience;
        let mut wait = FIRST_WAIT;
        let mut again = Instant::now() + wait;
        loop {
            if let Some(reply) = self.replies.remove(&call.xid) {
                return Ok(reply);
            }
            let until = match self.socket {
                Socket::Tcp(_) => end,
                Socket::Udp(_) => end.min(again),
            };
            match self.reply(until) {
                Ok(reply) => {
                    if let Some(xid) = reply.first_chunk() {
                        self.replies.insert(u32::from_be_bytes(*xid), reply);
                    }
                }
                Err(RpcError::TimedOut) if Instant::now() < end => {
                    if let Socket::Udp(socket) = &self.socket {
                        socket.send(&call.datagram)?;
                    }
                    wait *= 2;
                    again = Instant::now() + wait;
                }
                Err(error) => return Err(error),
            }
        }
    }
}

impl Caller for KernelClient {
    type Error = RpcError;
    type Token = Sent;

    fn start(
        &mut self,
        to: Procedure,
        args: impl FnOnce(&mut Encoder<'_>) -> Result<(), Fault>,
    ) -> Result<Sent, RpcError> {
        self.xid = self.xid.wrapping_add(1);
        let xid = self.xid;
        let octets = Encoder::vec(|out| {
            message::encode_call(out, xid, to, &self.credential, FLAVORS)?;
            args(out)
        })?;
        match &mut self.socket {
            Socket::Tcp(stream) => {
                let mark = (LAST | octets.len() as u32).to_be_bytes();
                stream.write_all(&[&mark[..], &octets].concat())?;
            }
            Socket::Udp(socket) => {
                socket.send(&octets)?;
            }
        }
        Ok(Sent { xid, datagram: octets })
    }

    fn finish<R>(
        &mut self,
        call: Sent,
        results: impl FnOnce(&mut Decoder<'_>) -> Result<R, Fault>,
    ) -> Result<R, RpcError> {
        let reply = self.wait(&call)?;
        let mut from = Decoder::new(&reply);
        match message::decode_start(&mut from)? {
            (_, Direction::Reply) => {}
            _ => return Err(RpcError::Garbled),
        }
        match message::decode_reply(&mut from)? {
            Outcome::Success => {}
            refused => return Err(RpcError::Refused(refused)),
        }
        Ok(from.whole(results)?)
    }

    fn send(
        &mut self,
        to: Procedure,
        args: impl FnOnce(&mut Encoder<'_>) -> Result<(), Fault>,
    ) -> Result<(), RpcError> {
        self.start(to, args).map(drop)
    }
}

fn left(until: Instant) -> Result<Duration, RpcError> {
    let left = until.saturating_duration_since(Instant::now());
    if left.is_zero() { Err(RpcError::TimedOut) } else { Ok(left) }
}

fn ended(error: std::io::Error) -> RpcError {
    match error.kind() {
        ErrorKind::WouldBlock | ErrorKind::TimedOut => RpcError::TimedOut,
        ErrorKind::UnexpectedEof => RpcError::Ended,
        _ => RpcError::Io(error),
    }
}

const LAST: u32 = 1 << 31;
/// The longest reply that is read. Octets.
const RECORD_MAX: usize = 16 << 20;
/// A datagram is sent again after so long, then after twice as long.
const FIRST_WAIT: Duration = Duration::from_secs(1);
