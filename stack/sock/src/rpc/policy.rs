//! Calls to several servers at once: whose answers count.

use super::client::{Pending, RpcClient};
use super::{Procedure, RpcError};
use millstream_onc::xdr::{Encoder, Fault};
use std::net::SocketAddr;

/// Whose answers count, of several servers that get the same call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Policy {
    /// The first server that answers well, asked one after the other: the others are spares.
    One,
    /// All: each has to answer well.
    All,
    /// The first good answer; the other calls are cancelled.
    First,
    /// All, and their results have to be the same octets.
    Same,
}

impl RpcClient {
    /// Calls several servers by datagrams. What the servers answered that count: their results, as
    /// octets of XDR, in the order in which they were named.
    ///
    /// # Errors
    /// [`RpcError::NoServer`] without servers; for [`Policy::One`] and [`Policy::First`] the last
    /// error when none answers well, for the others the first error of any; [`RpcError::Differ`];
    /// EISCONN over TCP.
    pub fn call_many(
        &mut self,
        servers: &[SocketAddr],
        policy: Policy,
        to: Procedure,
        args: impl Fn(&mut Encoder<'_>) -> Result<(), Fault>,
    ) -> Result<Vec<(SocketAddr, Vec<u8>)>, RpcError> {
        if policy == Policy::One {
            return self.one_after_the_other(servers, to, args).map(|answer| vec![answer]);
        }
        let mut calls = Vec::with_capacity(servers.len());
        for &server in servers {
            match self.start_at(server, to, &args) {
                Ok(call) => calls.push((server, call)),
                Err(error) => {
                    self.cancel_all(&calls);
                    return Err(error);
                }
            }
        }
        if policy == Policy::First {
            return self.first_of(calls).map(|answer| vec![answer]);
        }
        let answers = self.all_of(calls)?;
        match &answers[..] {
            [] => Err(RpcError::NoServer),
            [(first, results), others @ ..] if policy == Policy::Same => {
                match others.iter().find(|(_, other)| other != results) {
                    Some(&(other, _)) => Err(RpcError::Differ { first: *first, other }),
                    None => Ok(answers),
                }
            }
            _ => Ok(answers),
        }
    }

    fn one_after_the_other(
        &mut self,
        servers: &[SocketAddr],
        to: Procedure,
        args: impl Fn(&mut Encoder<'_>) -> Result<(), Fault>,
    ) -> Result<(SocketAddr, Vec<u8>), RpcError> {
        let mut last = RpcError::NoServer;
        for &server in servers {
            let call = self.start_at(server, to, &args)?;
            match self.octets(call) {
                Ok(results) => return Ok((server, results)),
                Err(error) => last = error,
            }
        }
        Err(last)
    }

    fn first_of(
        &mut self,
        mut calls: Vec<(SocketAddr, Pending)>,
    ) -> Result<(SocketAddr, Vec<u8>), RpcError> {
        let mut last = RpcError::NoServer;
        while !calls.is_empty() {
            let pending: Vec<Pending> = calls.iter().map(|(_, call)| *call).collect();
            let ready = self.wait_any(&pending)?;
            let at = pending.iter().position(|call| *call == ready).unwrap_or(0);
            let (server, call) = calls.swap_remove(at);
            match self.octets(call) {
                Ok(results) => {
                    self.cancel_all(&calls);
                    return Ok((server, results));
                }
                Err(error) => last = error,
            }
        }
        Err(last)
    }

    fn all_of(
        &mut self,
        calls: Vec<(SocketAddr, Pending)>,
    ) -> Result<Vec<(SocketAddr, Vec<u8>)>, RpcError> {
        let mut answers = Vec::with_capacity(calls.len());
        for (at, &(server, call)) in calls.iter().enumerate() {
            match self.octets(call) {
                Ok(results) => answers.push((server, results)),
                Err(error) => {
                    self.cancel_all(&calls[at + 1..]);
                    return Err(error);
                }
            }
        }
        Ok(answers)
    }

    /// Those that cannot be cancelled end by themselves.
    fn cancel_all(&mut self, calls: &[(SocketAddr, Pending)]) {
        for &(_, call) in calls {
            let _stack_has_stopped = self.cancel(call);
        }
    }
}
