//! The stream head: where messages become a program's. It never waits: it says what is ready.

mod fail;
mod flush;
mod getmsg;
mod ioctl;
mod poll;
mod put;
mod read;
mod write;

pub use getmsg::Got;
pub use poll::{HeadEvent, Ready};
pub use read::Mode;

use crate::errno::Errno;
use crate::ioctl::wait::Ioctls;
use crate::perimeter::StreamId;
use alloc::boxed::Box;

/// The top node of a stream.
#[derive(Debug)]
pub(crate) struct Head {
    pub(crate) stream: StreamId,
    mode: Mode,
    /// A high-priority message waits: later ones are dropped.
    high_waits: bool,
    hangup: bool,
    read_error: Option<Errno>,
    write_error: Option<Errno>,
    /// Somebody was refused and waits for a `Writable` event.
    wants_write: bool,
    /// Made with the first ioctl.
    ioctls: Option<Box<Ioctls>>,
}

impl Head {
    pub(crate) fn new(stream: StreamId) -> Self {
        Self {
            stream,
            mode: Mode::default(),
            high_waits: false,
            hangup: false,
            read_error: None,
            write_error: None,
            wants_write: false,
            ioctls: None,
        }
    }
}
