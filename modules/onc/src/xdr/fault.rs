//! `Fault`: why octets are not a value, or a value cannot be written.

use core::fmt;

/// Why octets are not a value of the type asked for, or a value cannot be written.
///
/// A server answers all but [`Fault::NoMem`] in arguments with GARBAGE_ARGS.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Fault {
    /// The message ends before the value does.
    Short,
    /// Octets that fill up to a multiple of four are not zero.
    Padding,
    /// A bool that is neither 0 nor 1.
    Bool(u32),
    /// A number that the enum does not name.
    Enum(i32),
    /// A union without an arm for this discriminant.
    Arm(i64),
    /// More octets or elements than the type allows, or another number than it has.
    Length {
        /// How many there are.
        len: usize,
        /// How many there may be, or must be.
        max: usize,
    },
    /// Types within types, deeper than [`Limits::depth`](super::Limits::depth).
    Depth,
    /// The value takes more memory than [`Limits::bytes`](super::Limits::bytes).
    Memory,
    /// Octets are left behind the last value: how many.
    Left(usize),
    /// A string that was asked for as text is not UTF-8.
    Text,
    /// No block to write to.
    NoMem,
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Short => write!(f, "the message ends too early"),
            Self::Padding => write!(f, "the padding is not zero"),
            Self::Bool(value) => write!(f, "{value} is no bool"),
            Self::Enum(value) => write!(f, "{value} is not in the enum"),
            Self::Arm(value) => write!(f, "the union has no arm for {value}"),
            Self::Length { len, max } => write!(f, "{len} are there where {max} may be"),
            Self::Depth => write!(f, "types are nested too deep"),
            Self::Memory => write!(f, "the value takes too much memory"),
            Self::Left(octets) => write!(f, "{octets} octets are left"),
            Self::Text => write!(f, "the string is not UTF-8"),
            Self::NoMem => write!(f, "no block is free"),
        }
    }
}

impl core::error::Error for Fault {}

impl From<millstream_msg::NoMem> for Fault {
    fn from(_: millstream_msg::NoMem) -> Self {
        Self::NoMem
    }
}
