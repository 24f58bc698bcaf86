//! The stream head: where messages become a program's. It never waits: it says what is ready.

mod fail;
mod flush;
mod getmsg;
mod ioctl;
mod look;
mod poll;
mod put;
mod read;
mod setopts;
mod signal;
mod write;

pub use fail::ErrorOptions;
pub use getmsg::{Got, Partial, Want};
pub use look::{Mark, Waiting};
pub use poll::{HeadEvent, PollEvents};
pub(crate) use put::first_rank;
pub use read::{ControlMode, Mode, ReadOptions};
pub use signal::Signals;
pub use write::{CONTROL_MAX, DATA_MAX, Priority};

use crate::ioctl::wait::Ioctls;
use crate::perimeter::StreamId;
use crate::pipe::Parcels;
use crate::stat::Taken;
use alloc::boxed::Box;
use core::num::NonZeroU8;
use poll::Refused;

/// The top node of a stream.
#[derive(Debug)]
pub(crate) struct Head {
    pub(crate) stream: StreamId,
    /// How long a close waits for what is on its way down (I_SETCLTIME). Milliseconds.
    pub(crate) close_ms: u32,
    /// Bytes in front of data that modules asked for (SO_WROFF), besides what they declare.
    pub(crate) write_offset: u16,
    /// What a program wants to be told (I_SETSIG).
    pub(crate) signals: Signals,
    pub(crate) read_options: ReadOptions,
    pub(crate) error_options: ErrorOptions,
    /// A write of nothing sends an empty message (SNDZERO).
    pub(crate) sends_empty: bool,
    /// Each message that arrives is told of, not only the first.
    pub(crate) tells_each: bool,
    /// A high-priority message waits: later ones are dropped.
    high_waits: bool,
    hangup: bool,
    /// The bytes of M_ERROR: their range is that of error numbers.
    read_error: Option<NonZeroU8>,
    write_error: Option<NonZeroU8>,
    /// The other end of the pipe is closed.
    broken: bool,
    /// What came up to it.
    pub(crate) taken: Taken,
    /// Who waits for room below.
    refused: Refused,
    /// Made with the first ioctl.
    ioctls: Option<Box<Ioctls>>,
    /// Made with the first thing that comes through a pipe.
    pub(crate) parcels: Option<Box<Parcels>>,
}

const _: () = assert!(size_of::<Head>() == 72);

/// Close waits as long as in SVR4.
const CLOSE_MS: u32 = 15_000;

impl Head {
    pub(crate) fn new(stream: StreamId) -> Self {
        Self {
            stream,
            close_ms: CLOSE_MS,
            write_offset: 0,
            signals: Signals::empty(),
            read_options: ReadOptions::default(),
            error_options: ErrorOptions::default(),
            sends_empty: true,
            tells_each: false,
            high_waits: false,
            hangup: false,
            read_error: None,
            write_error: None,
            broken: false,
            taken: Taken::default(),
            refused: Refused::default(),
            ioctls: None,
            parcels: None,
        }
    }
}
