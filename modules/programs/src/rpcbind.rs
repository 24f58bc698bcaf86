//! rpcbind: tells who asks which programs the stack serves, and where (RFC 1833): version 2, which
//! is the port mapper's, 3 and 4.
//!
//! What it tells is in [`Bindings`]. Nobody changes them over the wire: SET and UNSET are answered
//! FALSE. Calls are passed on to other programs only when that is switched on, because whoever can
//! forge a source address has answers sent there that are larger than the calls.

pub mod bindings;
mod counts;
mod pass;
mod uaddr;
mod v2;
mod v3;
mod v4;

pub use bindings::{Binding, Bindings};
pub use uaddr::{netid, parse_uaddr, to_uaddr};

use crate::exports::Network;
use crate::wire::rpcbind::{Netbuf, Rpcb, RpcbList, RpcbprogServer};
use counts::Counts;
use millstream_onc::xdr::{Opaque, Text};
use millstream_onc::{Asked, Call, Registry, Transport};
use std::net::{IpAddr, SocketAddr};
use std::time::SystemTime;

/// The program `RPCBPROG` of `x/rpcbind.x`.
pub type Rpcbind = RpcbprogServer<Mapper>;

/// What answers it.
#[derive(Debug)]
pub struct Mapper {
    bindings: Bindings,
    /// The programs that calls are passed on to; nowhere while that is off.
    pass_to: Option<Registry>,
    /// Our addresses and their networks.
    own: Vec<Network>,
    /// Of versions 2, 3 and 4.
    counts: [Counts; 3],
}

impl Mapper {
    /// Tells what is in `bindings`. `own` are the stack's addresses: who asked by broadcast is told
    /// the one on its network. With `pass_to`, calls are passed on to those programs.
    pub fn new(bindings: Bindings, own: Vec<Network>, pass_to: Option<Registry>) -> Self {
        Self { bindings, pass_to, own, counts: Default::default() }
    }

    fn count(&mut self, call: &Call<'_>) {
        self.counts(call.version).call(call.procedure);
    }

    fn counts(&mut self, version: u32) -> &mut Counts {
        &mut self.counts[(version.clamp(2, 4) - 2) as usize]
    }

    /// Where a version of a program is served, as who asks reaches it.
    fn find(
        &mut self,
        call: &Call<'_>,
        (program, version): (u32, u32),
        transport: Transport,
        any_version: bool,
    ) -> Option<SocketAddr> {
        let found = self.bindings.find(program, version, transport, any_version);
        self.counts(call.version).lookup([program, version], transport, found.is_some());
        found.map(|at| self.merged(at, call))
    }

    /// Where who asks reaches what is served there: at the address that was asked.
    fn merged(&self, at: SocketAddr, call: &Call<'_>) -> SocketAddr {
        if at.ip().is_unspecified() { SocketAddr::new(self.reached(call), at.port()) } else { at }
    }

    /// The address of ours that a caller reaches: the one it asked, unless that was a broadcast.
    fn reached(&self, call: &Call<'_>) -> IpAddr {
        let asked = call.local.ip();
        if self.own.is_empty() || self.own.iter().any(|own| own.address() == asked) {
            return asked;
        }
        let near = self.own.iter().find(|own| own.has(call.peer.ip()));
        near.or(self.own.first()).map_or(asked, |own| own.address())
    }

    /// RPCBPROC_GETADDR and its like: the transport is that which the question came by.
    fn address(&mut self, call: &mut Asked<'_>, of: &Rpcb<'_>, any_version: bool) -> String {
        self.count(call);
        let transport = call.transport;
        let found = self.find(call, (of.r_prog, of.r_vers), transport, any_version);
        found.map(to_uaddr).unwrap_or_default()
    }

    fn dump(&mut self, call: &mut Asked<'_>) -> Vec<RpcbList<'static>> {
        self.count(call);
        let list = |binding: Binding| {
            let map = Rpcb {
                r_prog: binding.program,
                r_vers: binding.version,
                r_netid: Text::from(netid(binding.transport, binding.at.ip())),
                r_addr: Text::from(to_uaddr(binding.at)),
                r_owner: Text::from(binding.owner),
            };
            RpcbList { map }
        };
        self.bindings.all().into_iter().map(list).collect()
    }

    fn time(&mut self, call: &mut Asked<'_>) -> u32 {
        self.count(call);
        let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
        since.map_or(0, |since| since.as_secs() as u32)
    }

    /// What is no universal address is an empty one of the transport.
    fn taddr(&mut self, call: &mut Asked<'_>, text: &Text<'_>) -> Netbuf<'static> {
        self.count(call);
        let octets = text.str().ok().and_then(|text| parse_uaddr(&text));
        let octets = octets.and_then(uaddr::to_sockaddr).map(Vec::from).unwrap_or_default();
        Netbuf { maxlen: octets.len() as u32, buf: Opaque::from(octets) }
    }

    fn universal(&mut self, call: &mut Asked<'_>, addr: &Netbuf<'_>) -> Text<'static> {
        self.count(call);
        let at = uaddr::parse_sockaddr(&addr.buf.to_vec());
        Text::from(at.map(to_uaddr).unwrap_or_default())
    }
}

/// Number of the program.
pub const PROGRAM: u32 = crate::wire::rpcbind::RPCBPROG;

/// Its port.
pub const PORT: u16 = crate::wire::rpcbind::RPCB_PORT as u16;

#[cfg(test)]
mod tests;
