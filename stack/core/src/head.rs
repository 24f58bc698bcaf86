//! The stream head: where messages become a program's. It never waits: it says what is ready.

mod fail;
mod flush;
mod getmsg;
mod ioctl;
mod poll;
mod put;
mod read;
mod write;

pub(crate) use flush::turn_round;
pub use getmsg::Got;
pub use poll::{HeadEvent, Ready};
pub use read::Mode;

use crate::errno::Errno;
use crate::ioctl::wait::Ioctls;
use crate::perimeter::StreamId;
use crate::pipe::Parcels;
use alloc::boxed::Box;

/// The top node of a stream.
#[derive(Debug)]
pub(crate) struct Head {
    pub(crate) stream: StreamId,
    mode: Mode,
    /// A high-priority message waits: later ones are dropped.
    high_waits: bool,
    hangup: bool,
    /// The other end of the pipe is closed.
    broken: bool,
    pub(crate) read_error: Option<Errno>,
    write_error: Option<Errno>,
    /// Somebody was refused and waits for a `Writable` event.
    wants_write: bool,
    /// Made with the first ioctl.
    ioctls: Option<Box<Ioctls>>,
    /// Made with the first thing that comes through a pipe.
    pub(crate) parcels: Option<Box<Parcels>>,
}

impl Head {
    pub(crate) fn new(stream: StreamId) -> Self {
        Self {
            stream,
            mode: Mode::default(),
            high_waits: false,
            hangup: false,
            broken: false,
            read_error: None,
            write_error: None,
            wants_write: false,
            ioctls: None,
            parcels: None,
        }
    }
}
