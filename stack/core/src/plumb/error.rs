//! Why an operation on the plumbing was refused.

use super::change::MODULES_MAX;
use crate::contract::Broken;
use crate::errno::Errno;
use crate::module::Invalid;
use alloc::boxed::Box;

/// Why an operation on the plumbing was refused; nothing has changed.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum PlumbError {
    /// No such stream.
    NoStream,
    /// The stream has fewer modules.
    NoPosition {
        /// Asked for.
        pos: usize,
        /// Modules in the stream.
        modules: usize,
    },
    /// The stream has as many modules as it may have.
    TooMany,
    /// The node is no multiplexor.
    NotAMux,
    /// The stream is linked below a multiplexor.
    Linked,
    /// The stream is not linked there.
    NotLinked,
    /// Linking would make a cycle.
    Cycle,
    /// An end of a pipe takes modules at its top only.
    Pipe,
    /// Neighbours would not agree on what messages are.
    Contract(Box<Broken>),
    /// The modules of the stream would want too many bytes in front of a message.
    Headroom {
        /// Bytes that they would want.
        need: u32,
        /// Bytes that there may be.
        most: u32,
    },
    /// The stream is being closed, or was before the change had its turn.
    Closed,
    /// Too many changes of the stream wait for a pending one.
    Busy,
    /// The successor did not take the state; the predecessor goes on with it.
    NotTaken(&'static str),
    /// Neither the successor nor the predecessor took the state: the predecessor goes on without.
    StateLost(&'static str),
    /// A multiplexor with streams gives no state that a successor could go on with.
    NoState,
    /// The module or multiplexor refused.
    Refused(Errno),
    /// The module refused a parameter.
    Invalid(Invalid),
}

impl PlumbError {
    /// The number that streamio(7I) gives for it.
    pub fn errno(&self) -> Errno {
        match self {
            Self::NoStream | Self::Closed => Errno::EBADF,
            Self::Busy => Errno::EAGAIN,
            Self::Refused(errno) => *errno,
            _ => Errno::EINVAL,
        }
    }
}

impl core::fmt::Display for PlumbError {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        match self {
            Self::NoStream => f.write_str("no such stream"),
            Self::NoPosition { pos, modules } => {
                write!(f, "no module at position {pos}: the stream has {modules}")
            }
            Self::TooMany => write!(f, "a stream has at most {MODULES_MAX} modules"),
            Self::NotAMux => f.write_str("not a multiplexor"),
            Self::Linked => f.write_str("the stream is linked below a multiplexor"),
            Self::NotLinked => f.write_str("the stream is not linked there"),
            Self::Cycle => f.write_str("linking would make a cycle"),
            Self::Pipe => f.write_str("an end of a pipe takes modules at its top only"),
            Self::Contract(broken) => write!(f, "{broken}"),
            Self::Headroom { need, most } => write!(
                f,
                "the modules would want {need} bytes in front of a message: there are {most}"
            ),
            Self::Closed => f.write_str("the stream is being closed"),
            Self::Busy => f.write_str("too many changes of the stream wait already"),
            Self::NotTaken(why) => {
                write!(f, "the successor does not take the state: {why}; nothing has changed")
            }
            Self::StateLost(why) => {
                write!(
                    f,
                    "the successor does not take the state ({why}), and neither is it taken back"
                )
            }
            Self::NoState => f.write_str(
                "a multiplexor with streams is replaced with its state only; it has none",
            ),
            Self::Refused(errno) => write!(f, "refused: {errno}"),
            Self::Invalid(why) => write!(f, "{why}"),
        }
    }
}

impl core::error::Error for PlumbError {}
