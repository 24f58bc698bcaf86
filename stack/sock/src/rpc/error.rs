//! Why a call failed.

use millstream_modules::rpc::primitive::Status;
use millstream_onc::message::Outcome;
use millstream_onc::xdr::Fault;
use std::io;
use std::net::SocketAddr;

/// Why a call has no results.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RpcError {
    /// It did not come as far as a call.
    #[error(transparent)]
    Io(#[from] io::Error),
    /// Arguments could not be written, or results not read.
    #[error("arguments or results: {0}")]
    Fault(Fault),
    /// The server refused.
    #[error("{0}")]
    Refused(Outcome),
    /// The reply is none that RFC 5531 knows.
    #[error("the reply cannot be read")]
    Garbled,
    /// The call could not be sent: the connection is over, or has no peer.
    #[error("the call cannot be sent")]
    CannotSend,
    /// The connection has ended before the reply.
    #[error("the connection has ended before the reply")]
    Ended,
    /// There was no reply in time.
    #[error("no reply in time")]
    TimedOut,
    /// The call was cancelled.
    #[error("the call was cancelled")]
    Cancelled,
    /// `rpcbind` of the host knows no such program over this transport.
    #[error("the host does not serve program {program}: its rpcbind knows none")]
    NotRegistered {
        /// Number of the program.
        program: u32,
    },
    /// Two servers have answered differently.
    #[error("{first} and {other} have answered differently")]
    Differ {
        /// Who answered first.
        first: SocketAddr,
        /// Who answered something else.
        other: SocketAddr,
    },
    /// No server was named.
    #[error("there is no server to call")]
    NoServer,
}

impl RpcError {
    /// Of a call that has ended with this status and its two words; `None` when it went well.
    pub(super) fn of(status: u32, [low, high]: [u32; 2]) -> Option<Self> {
        const fn is(status: u32, of: Status) -> bool {
            status == of as u32
        }
        Some(match status {
            s if is(s, Status::Success) => return None,
            s if is(s, Status::CantSend) => Self::CannotSend,
            s if is(s, Status::CantRecv) => Self::Ended,
            s if is(s, Status::TimedOut) => Self::TimedOut,
            s if is(s, Status::Cancelled) => Self::Cancelled,
            s if is(s, Status::Undelivered) => {
                Self::Io(io::Error::from_raw_os_error(low.cast_signed()))
            }
            s if is(s, Status::RpcVersion) => Self::Refused(Outcome::RpcMismatch { low, high }),
            s if is(s, Status::Version) => Self::Refused(Outcome::ProgMismatch { low, high }),
            s if is(s, Status::AuthError) => Self::Refused(Outcome::AuthError(low.into())),
            s if is(s, Status::NoProgram) => Self::Refused(Outcome::ProgUnavail),
            s if is(s, Status::NoProcedure) => Self::Refused(Outcome::ProcUnavail),
            s if is(s, Status::GarbageArgs) => Self::Refused(Outcome::GarbageArgs),
            s if is(s, Status::SystemErr) => Self::Refused(Outcome::SystemErr),
            _ => Self::Garbled,
        })
    }
}

impl From<Fault> for RpcError {
    fn from(fault: Fault) -> Self {
        Self::Fault(fault)
    }
}
