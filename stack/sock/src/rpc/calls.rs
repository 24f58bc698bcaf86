//! Calls that an application answers itself, on a thread of its own: they are read one by one.

use super::{Credential, RpcError, Transport, module};
use crate::stack::{Stack, lock};
use crate::stream::{Stream, errno};
use crate::tcp::{TcpListener, TcpStream};
use crate::udp::UdpSocket;
use millstream_core::{Errno, Got, Priority, tpi};
use millstream_modules::rpc::primitive::{self, R_CALL_IND, reply_req};
use millstream_modules::rpc::{RPC_REGISTER, Role};
use millstream_msg::{Kind, Msg};
use millstream_onc::auth::{FLAVORS, Verifier};
use millstream_onc::message::Outcome;
use millstream_onc::xdr::{Decoder, Encoder, Fault};
use millstream_onc::{Answer, AuthStat};
use std::io;
use std::net::SocketAddr;

/// A version of a program that an application answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Offer {
    /// Number of the program.
    pub program: u32,
    /// Its version.
    pub version: u32,
    /// How many procedures it has, from 0 on.
    pub procedures: u32,
}

/// Takes connections whose calls an application answers.
#[derive(Debug)]
pub struct RpcListener {
    listener: TcpListener,
    offers: Vec<Offer>,
}

/// Calls that come on one connection, or by datagrams.
///
/// Errors of RPC are answered by the stream: what is read here is a call of a version and
/// procedure that was offered. Those whose answers do not go down are held back, and what is not
/// read keeps the peer's window closed.
#[derive(Debug)]
pub struct RpcCalls {
    carrier: Carrier,
}

/// A call. It is not answered by being dropped: see [`RpcCalls::answer`].
#[derive(Debug)]
#[must_use = "whoever calls waits for an answer"]
pub struct RpcCall {
    block: Msg,
    args: Option<Msg>,
}

#[derive(Debug)]
enum Carrier {
    Tcp(TcpStream),
    Udp(UdpSocket),
}

impl RpcListener {
    /// Takes connections at an address of the stack; port 0 takes a free one.
    ///
    /// # Errors
    /// As [`TcpListener::bind`].
    pub fn bind(stack: &Stack, local: SocketAddr, offers: &[Offer]) -> io::Result<Self> {
        Ok(Self { listener: TcpListener::bind(stack, local)?, offers: offers.into() })
    }

    /// The address that it listens at.
    ///
    /// # Errors
    /// None; the shape is that of `std`.
    pub fn local_addr(&self) -> io::Result<SocketAddr> {
        self.listener.local_addr()
    }

    /// Takes the connection that waits longest; waits for one.
    ///
    /// # Errors
    /// As [`TcpListener::accept`].
    pub fn accept(&self) -> io::Result<RpcCalls> {
        // Before the connection stands: its first call finds what is offered.
        let (stream, _) = self.listener.accept_on(|stream| serve(stream, &self.offers))?;
        Ok(RpcCalls { carrier: Carrier::Tcp(stream) })
    }
}

impl RpcCalls {
    /// Calls that come by datagrams to an address of the stack.
    ///
    /// # Errors
    /// As [`UdpSocket::bind`].
    pub fn bind(stack: &Stack, local: SocketAddr, offers: &[Offer]) -> io::Result<Self> {
        let socket = UdpSocket::bind(stack, local)?;
        serve(socket.stream(), offers)?;
        Ok(Self { carrier: Carrier::Udp(socket) })
    }

    /// The next call; `None` when the connection has ended.
    ///
    /// # Errors
    /// As [`Stream::getmsg`].
    pub fn next(&self) -> io::Result<Option<RpcCall>> {
        loop {
            let Some(Got { control: Some(block), data, .. }) = self.stream().receive()? else {
                return Ok(None);
            };
            if primitive::number(block.first()) == Some(R_CALL_IND) {
                return Ok(Some(RpcCall { block, args: data }));
            }
            let ended = tpi::primitive(block.first());
            if matches!(ended, Some(tpi::T_ORDREL_IND | tpi::T_DISCON_IND)) {
                return Ok(None);
            }
        }
    }

    /// Answers a call with the results that `write` writes, or with SYSTEM_ERR when it cannot.
    ///
    /// # Errors
    /// A fault of `write`, behind the answer; those of the stream.
    pub fn answer(
        &self,
        call: RpcCall,
        write: impl FnOnce(&mut Encoder<'_>) -> Result<(), Fault>,
    ) -> Result<(), RpcError> {
        let stream = self.stream();
        let written = {
            let mut pool = lock(stream.pool());
            let mut to = Encoder::new(&mut pool, stream.headroom() + HEADER, ROOM)?;
            let written = write(&mut to);
            let results = to.finish();
            match written {
                Ok(()) => Ok(results),
                Err(fault) => {
                    pool.spend(results);
                    Err(fault)
                }
            }
        };
        match written {
            Ok(results) => self.reply(&call, Some(Outcome::Success), Some(results)),
            Err(fault) => {
                self.reply(&call, Some(Outcome::SystemErr), None)?;
                Err(fault.into())
            }
        }
    }

    /// Answers a call without results, or with [`Answer::Silent`] says that it is not answered.
    ///
    /// # Errors
    /// Those of the stream.
    pub fn refuse(&self, call: RpcCall, answer: Answer) -> Result<(), RpcError> {
        let outcome = match answer {
            Answer::Done => Some(Outcome::Success),
            Answer::GarbageArgs => Some(Outcome::GarbageArgs),
            Answer::NoProcedure => Some(Outcome::ProcUnavail),
            Answer::Denied(why) => Some(Outcome::AuthError(why)),
            Answer::Silent => None,
            _ => Some(Outcome::SystemErr),
        };
        self.reply(&call, outcome, None)
    }

    /// The stream below, with `rpc` in it.
    pub fn stream(&self) -> &Stream {
        match &self.carrier {
            Carrier::Tcp(stream) => stream.stream(),
            Carrier::Udp(socket) => socket.stream(),
        }
    }

    fn reply(
        &self,
        call: &RpcCall,
        outcome: Option<Outcome>,
        results: Option<Msg>,
    ) -> Result<(), RpcError> {
        let words = reply_req(call.word(4), outcome);
        let stream = self.stream();
        let mut msg = lock(stream.pool()).copy_from(0, &words).map_err(|_| errno(Errno::ENOSR))?;
        msg.set_kind(Kind::Proto);
        match results {
            Some(results) if results.is_empty() => lock(stream.pool()).spend(results),
            Some(results) => msg.link(results),
            None => {}
        }
        Ok(stream.send(msg, Priority::Band(0))?)
    }
}

impl RpcCall {
    /// Number of the transaction.
    pub fn xid(&self) -> u32 {
        self.word(8)
    }

    /// Number of the program.
    pub fn program(&self) -> u32 {
        self.word(12)
    }

    /// Its version.
    pub fn version(&self) -> u32 {
        self.word(16)
    }

    /// Number of the procedure.
    pub fn procedure(&self) -> u32 {
        self.word(20)
    }

    /// What carried it.
    pub fn transport(&self) -> Transport {
        if self.word(24) == 0 { Transport::Tcp } else { Transport::Udp }
    }

    /// Who calls, as they say.
    ///
    /// # Errors
    /// Why the caller is not believed: for [`Answer::Denied`].
    pub fn credential(&self) -> Result<Credential, AuthStat> {
        let known = FLAVORS.iter().find(|flavor| flavor.number() == self.word(28));
        let flavor = known.ok_or(AuthStat::RejectedCred)?;
        let body = primitive::span(self.block.first(), 32).unwrap_or_default();
        flavor.accept(Decoder::new(body), Verifier { flavor: 0, body: Decoder::new(&[]) })
    }

    /// Where it came from.
    pub fn peer_addr(&self) -> Option<SocketAddr> {
        tpi::address_at(self.block.first(), 40)
    }

    /// Where it arrived.
    pub fn local_addr(&self) -> Option<SocketAddr> {
        tpi::address_at(self.block.first(), 48)
    }

    /// Its arguments.
    pub fn args(&self) -> Decoder<'_> {
        self.args.as_ref().map_or(Decoder::new(&[]), Decoder::of)
    }

    fn word(&self, at: usize) -> u32 {
        primitive::word(self.block.first(), at).unwrap_or_default()
    }
}

/// Pushes `rpc` and says what is answered here.
fn serve(stream: &Stream, offers: &[Offer]) -> io::Result<()> {
    stream.push(module(Role::Server))?;
    for offer in offers {
        let words = [offer.program, offer.version, offer.procedures];
        let octets: Vec<u8> = words.iter().flat_map(|word| word.to_ne_bytes()).collect();
        stream.ioctl(RPC_REGISTER, &octets, 0)?;
    }
    Ok(())
}

/// Mark and header of a reply.
const HEADER: usize = 32;
/// Octets of results in the first block.
const ROOM: usize = 256;
