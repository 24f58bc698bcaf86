//! Why an operation on the plumbing was refused.

use super::change::MODULES_MAX;
use crate::errno::Errno;
use crate::module::Invalid;

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
    /// The module or multiplexor refused.
    Refused(Errno),
    /// The module refused a parameter.
    Invalid(Invalid),
}

impl PlumbError {
    /// The number that streamio(7I) gives for it.
    pub fn errno(&self) -> Errno {
        match self {
            Self::NoStream => Errno::EBADF,
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
            Self::Refused(errno) => write!(f, "refused: {errno}"),
            Self::Invalid(why) => write!(f, "{why}"),
        }
    }
}

impl core::error::Error for PlumbError {}
