//! `Program`: what answers the calls to one program number.

use crate::auth::{AuthStat, Credential};
use crate::later::{Later, Ticket};
use crate::xdr::{Decoder, Encoder, Fault};
use core::net::SocketAddr;

/// What answers the calls to one program number, in all its versions.
///
/// `millstream rpcgen` writes one around each server trait: programs seldom implement this by hand.
pub trait Program: Send {
    /// Its number.
    fn number(&self) -> u32;

    /// Its versions and their procedures, in ascending order; at least one. They do not change.
    fn versions(&self) -> &'static [VersionInfo];

    /// Answers one call, of a procedure that is in [`Program::versions`].
    ///
    /// # Shapes
    /// `args` stands on the first octet of the arguments. The results are written to `reply`,
    /// behind what may stand there already; unless the answer is [`Answer::Done`], what was
    /// written is taken back. For [`Answer::Later`] a ticket was taken from `later`.
    fn call(
        &mut self,
        call: &Call<'_>,
        args: Decoder<'_>,
        reply: &mut Encoder<'_>,
        later: &mut Later,
    ) -> Answer;
}

/// A version of a program.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct VersionInfo {
    /// Its number.
    pub number: u32,
    /// Its procedures, in ascending order of their numbers.
    pub procedures: &'static [ProcedureInfo],
}

/// A procedure of a version.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ProcedureInfo {
    /// Its number.
    pub number: u32,
    /// Its name, as in the `.x` file: for statistics.
    pub name: &'static str,
    /// Executed twice it comes to the same, also when others were executed between: its calls are
    /// not remembered. Those of other procedures are executed at most once.
    pub idempotent: bool,
}

impl ProcedureInfo {
    /// Procedure 0, where a program has none of its own: it does nothing, and shows that the
    /// program is there.
    pub const NULL: Self = Self::new(0, "NULL");

    /// A procedure whose calls are executed at most once, unless it is procedure 0, which does
    /// nothing.
    pub const fn new(number: u32, name: &'static str) -> Self {
        Self { number, name, idempotent: number == 0 }
    }

    /// The same, which may be executed twice.
    #[must_use]
    pub const fn idempotent(self) -> Self {
        Self { idempotent: true, ..self }
    }
}

impl VersionInfo {
    /// The procedure of this number.
    #[inline]
    pub fn procedure(&self, number: u32) -> Option<&'static ProcedureInfo> {
        // Numbers mostly begin at 0 and have no gap.
        match self.procedures.get(number as usize) {
            Some(info) if info.number == number => Some(info),
            _ => {
                let at = self.procedures.binary_search_by_key(&number, |info| info.number).ok()?;
                self.procedures.get(at)
            }
        }
    }
}

/// A call: what, who and from where.
#[derive(Clone, Debug)]
pub struct Call<'a> {
    /// Number of the transaction, chosen by the caller.
    pub xid: u32,
    /// Number of the program.
    pub program: u32,
    /// Its version.
    pub version: u32,
    /// Number of the procedure.
    pub procedure: u32,
    /// Who calls, as they say.
    pub credential: &'a Credential,
    /// Where the call came from.
    pub peer: SocketAddr,
    /// Where it arrived.
    pub local: SocketAddr,
    /// What carried it.
    pub transport: Transport,
    /// When it arrived: nanoseconds of the stack's clock.
    pub now: u64,
}

/// What carries calls.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Transport {
    /// Records on a connection.
    Tcp,
    /// Datagrams.
    Udp,
}

/// What became of a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Answer {
    /// The results are written.
    Done,
    /// The arguments are not what the procedure takes.
    GarbageArgs,
    /// There is no such procedure.
    NoProcedure,
    /// It cannot be done: no memory, mostly.
    SystemErr,
    /// The caller is not believed.
    Denied(AuthStat),
    /// A ticket answers.
    Later,
    /// Nothing is answered: a call of a batch.
    Silent,
}

impl Answer {
    /// What a server trait's method came to. The results of [`Answer::Done`] are written: as an
    /// error it is a mistake of the program.
    pub fn of(result: Result<(), Self>) -> Self {
        match result {
            Ok(()) => Self::Done,
            Err(Self::Done) => Self::SystemErr,
            Err(answer) => answer,
        }
    }

    /// Results that cannot be written are no fault of the caller.
    ///
    /// # Errors
    /// [`Answer::SystemErr`].
    pub fn written(results: Result<(), Fault>) -> Result<(), Self> {
        results.map_err(|_| Self::SystemErr)
    }
}

impl From<Fault> for Answer {
    /// What a fault of the arguments comes to.
    fn from(fault: Fault) -> Self {
        if fault == Fault::NoMem { Self::SystemErr } else { Self::GarbageArgs }
    }
}

/// A call in the hands of a server trait's method: it is read like a [`Call`], and gives the
/// ticket to who wants to answer later.
#[derive(Debug)]
pub struct Asked<'a> {
    call: &'a Call<'a>,
    later: &'a mut Later,
}

impl<'a> Asked<'a> {
    /// Of a call and of what answers later.
    pub fn new(call: &'a Call<'a>, later: &'a mut Later) -> Self {
        Self { call, later }
    }

    /// The right to answer later, from any thread; the method then returns
    /// `Err(Answer::Later)`.
    #[must_use = "a dropped ticket answers SYSTEM_ERR"]
    pub fn ticket(&mut self) -> Ticket {
        self.later.ticket()
    }
}

impl<'a> core::ops::Deref for Asked<'a> {
    type Target = Call<'a>;

    fn deref(&self) -> &Call<'a> {
        self.call
    }
}
