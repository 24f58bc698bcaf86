//! Call and reply headers (RFC 5531, 9): what stands in front of arguments and results.

use crate::auth::{AUTH_NONE, AuthStat, BODY_MAX, Credential, Flavor, Verifier};
use crate::caller::Procedure;
use crate::xdr::{Decoder, Encoder, Fault};
use core::fmt;

/// Reads what every message begins with: the transaction's number, and which way it goes.
///
/// # Errors
/// [`Fault::Short`], and [`Fault::Enum`] for what is neither call nor reply: nothing can be
/// answered.
#[inline]
pub fn decode_start(from: &mut Decoder<'_>) -> Result<(u32, Direction), Fault> {
    let xid = from.u32()?;
    match from.i32()? {
        CALL => Ok((xid, Direction::Call)),
        REPLY => Ok((xid, Direction::Reply)),
        other => Err(Fault::Enum(other)),
    }
}

/// Which way a message goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Direction {
    /// To a server.
    Call,
    /// Back to the caller.
    Reply,
}

/// The header of a call, without its transaction.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CallHeader {
    /// What is called.
    pub to: Procedure,
    /// Who calls.
    pub credential: Credential,
}

/// Why a call goes to no program.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refused {
    /// It is told why.
    Answer(Outcome),
    /// The header does not come to an end: there is nothing to answer.
    Broken(Fault),
}

/// Reads the header of a call, behind [`decode_start`]; then the arguments are next.
///
/// # Errors
/// [`Refused::Answer`] with RPC_MISMATCH for a version other than 2 and with AUTH_ERROR for a
/// credential that no flavour of `flavors` accepts; [`Refused::Broken`] when the header is short
/// or padded with other than zero.
pub fn decode_call(from: &mut Decoder<'_>, flavors: &[&dyn Flavor]) -> Result<CallHeader, Refused> {
    if from.u32()? != RPC_VERSION {
        return Err(Refused::Answer(Outcome::RPC_MISMATCH));
    }
    let (program, version, number) = (from.u32()?, from.u32()?, from.u32()?);
    let (flavor, body) = decode_auth(from, AuthStat::BadCred)?;
    let (verifier, verifier_body) = decode_auth(from, AuthStat::BadVerf)?;
    let flavor = flavors.iter().find(|known| known.number() == flavor);
    let flavor = flavor.ok_or(AuthStat::RejectedCred)?;
    let credential = flavor.accept(body, Verifier { flavor: verifier, body: verifier_body })?;
    Ok(CallHeader { to: Procedure { program, version, number }, credential })
}

/// Writes the header of a call; the arguments are next.
///
/// # Errors
/// [`Fault::Enum`] when no flavour of `flavors` writes the credential, [`Fault::NoMem`].
pub fn encode_call(
    to: &mut Encoder<'_>,
    xid: u32,
    procedure: Procedure,
    credential: &Credential,
    flavors: &[&dyn Flavor],
) -> Result<(), Fault> {
    to.u32(xid)?;
    to.i32(CALL)?;
    to.u32(RPC_VERSION)?;
    to.u32(procedure.program)?;
    to.u32(procedure.version)?;
    to.u32(procedure.number)?;
    let start = to.len();
    for flavor in flavors {
        to.u32(flavor.number())?;
        if flavor.write(credential, to)? {
            return encode_no_verifier(to);
        }
        to.truncate(start);
    }
    Err(Fault::Enum(0))
}

/// How a call ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Outcome {
    /// The results follow.
    Success,
    /// The program is not there.
    ProgUnavail,
    /// The program is there in other versions.
    ProgMismatch {
        /// The lowest version that is there.
        low: u32,
        /// The highest version that is there.
        high: u32,
    },
    /// The version of the program has no such procedure.
    ProcUnavail,
    /// The arguments are not what the procedure takes.
    GarbageArgs,
    /// The server cannot do it: no memory, mostly.
    SystemErr,
    /// The server speaks other versions of RPC itself.
    RpcMismatch {
        /// The lowest version it speaks.
        low: u32,
        /// The highest version it speaks.
        high: u32,
    },
    /// The caller is not believed.
    AuthError(AuthStat),
}

impl Outcome {
    /// What a server of version 2 alone answers to other versions.
    pub const RPC_MISMATCH: Self = Self::RpcMismatch { low: RPC_VERSION, high: RPC_VERSION };
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Success => write!(f, "it is done"),
            Self::ProgUnavail => write!(f, "the program is not there"),
            Self::ProgMismatch { low, high } => {
                write!(f, "the program is there in versions {low} to {high}")
            }
            Self::ProcUnavail => write!(f, "the program has no such procedure"),
            Self::GarbageArgs => write!(f, "the procedure takes other arguments"),
            Self::SystemErr => write!(f, "the server cannot do it"),
            Self::RpcMismatch { low, high } => {
                write!(f, "the server speaks versions {low} to {high} of RPC")
            }
            Self::AuthError(why) => write!(f, "{why}"),
        }
    }
}

/// Reads the header of a reply, behind [`decode_start`]; the results of a success are next.
///
/// # Errors
/// [`Fault::Short`], [`Fault::Padding`], [`Fault::Length`] for a verifier that is too long, and
/// [`Fault::Arm`] for an outcome that RFC 5531 does not have.
pub fn decode_reply(from: &mut Decoder<'_>) -> Result<Outcome, Fault> {
    let arm = |value: i32| Fault::Arm(value.into());
    match from.i32()? {
        MSG_ACCEPTED => {}
        MSG_DENIED => {
            return match from.i32()? {
                RPC_MISMATCH => Ok(Outcome::RpcMismatch { low: from.u32()?, high: from.u32()? }),
                AUTH_ERROR => Ok(Outcome::AuthError(from.u32()?.into())),
                other => Err(arm(other)),
            };
        }
        other => return Err(arm(other)),
    }
    from.u32()?;
    from.opaque(BODY_MAX)?;
    Ok(match from.i32()? {
        SUCCESS => Outcome::Success,
        PROG_UNAVAIL => Outcome::ProgUnavail,
        PROG_MISMATCH => Outcome::ProgMismatch { low: from.u32()?, high: from.u32()? },
        PROC_UNAVAIL => Outcome::ProcUnavail,
        GARBAGE_ARGS => Outcome::GarbageArgs,
        SYSTEM_ERR => Outcome::SystemErr,
        other => return Err(arm(other)),
    })
}

/// Writes the header of a reply; the results of a success are next.
///
/// # Errors
/// [`Fault::NoMem`].
pub fn encode_reply(to: &mut Encoder<'_>, xid: u32, outcome: Outcome) -> Result<(), Fault> {
    to.u32(xid)?;
    to.i32(REPLY)?;
    let (status, range) = match outcome {
        Outcome::RpcMismatch { low, high } => {
            to.i32(MSG_DENIED)?;
            to.i32(RPC_MISMATCH)?;
            to.u32(low)?;
            return to.u32(high);
        }
        Outcome::AuthError(why) => {
            to.i32(MSG_DENIED)?;
            to.i32(AUTH_ERROR)?;
            return to.u32(why.number());
        }
        Outcome::Success => (SUCCESS, None),
        Outcome::ProgUnavail => (PROG_UNAVAIL, None),
        Outcome::ProgMismatch { low, high } => (PROG_MISMATCH, Some((low, high))),
        Outcome::ProcUnavail => (PROC_UNAVAIL, None),
        Outcome::GarbageArgs => (GARBAGE_ARGS, None),
        Outcome::SystemErr => (SYSTEM_ERR, None),
    };
    to.i32(MSG_ACCEPTED)?;
    encode_no_verifier(to)?;
    to.i32(status)?;
    if let Some((low, high)) = range {
        to.u32(low)?;
        to.u32(high)?;
    }
    Ok(())
}

/// A flavour and the octets of its body.
fn decode_auth<'a>(
    from: &mut Decoder<'a>,
    too_long: AuthStat,
) -> Result<(u32, Decoder<'a>), Refused> {
    let flavor = from.u32()?;
    let len = from.length(BODY_MAX).map_err(|fault| match fault {
        Fault::Length { .. } => Refused::from(too_long),
        fault => Refused::Broken(fault),
    })?;
    let body = from.split(len)?;
    from.skip_padding(len)?;
    Ok((flavor, body))
}

fn encode_no_verifier(to: &mut Encoder<'_>) -> Result<(), Fault> {
    to.u32(AUTH_NONE)?;
    to.u32(0)
}

impl From<Fault> for Refused {
    fn from(fault: Fault) -> Self {
        Self::Broken(fault)
    }
}

impl From<AuthStat> for Refused {
    fn from(why: AuthStat) -> Self {
        Self::Answer(Outcome::AuthError(why))
    }
}

/// The version of RPC (RFC 5531).
pub const RPC_VERSION: u32 = 2;

// RFC 5531, 9: msg_type, reply_stat, accept_stat, reject_stat.
const CALL: i32 = 0;
const REPLY: i32 = 1;
const MSG_ACCEPTED: i32 = 0;
const MSG_DENIED: i32 = 1;
const SUCCESS: i32 = 0;
const PROG_UNAVAIL: i32 = 1;
const PROG_MISMATCH: i32 = 2;
const PROC_UNAVAIL: i32 = 3;
const GARBAGE_ARGS: i32 = 4;
const SYSTEM_ERR: i32 = 5;
const RPC_MISMATCH: i32 = 0;
const AUTH_ERROR: i32 = 1;
