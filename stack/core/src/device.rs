//! What a device is: frames in, frames out, and what it can do with them.

use crate::contract::Formats;
use crate::errno::Errno;
use alloc::boxed::Box;
use millstream_msg::offload::Can;
use millstream_msg::{MsgList, Pool};

/// The far end of a stream. Flow control is written once, in the driver around it.
pub trait Device: Send {
    /// What it is and can do. Asked at open.
    fn caps(&self) -> Caps;

    /// What messages from and to it are: asked at open, checked when modules are put in above it.
    fn formats(&self) -> Formats {
        Formats::ANY
    }

    /// Reads up to `budget` frames into `out`; 0 when there are none now.
    ///
    /// # Errors
    /// The device has failed for good; the stream gets M_HANGUP.
    fn recv(&mut self, pool: &mut Pool, out: &mut MsgList, budget: usize) -> Result<usize, Errno>;

    /// Sends frames from the front of `batch`. What stays is backlog: it is offered again when
    /// the device is writable.
    ///
    /// # Errors
    /// The device has failed for good; the stream gets M_HANGUP.
    fn send(&mut self, batch: &mut MsgList) -> Result<(), Errno>;

    /// Frames that the device itself has dropped since the last call, for want of memory or
    /// because the line refused them.
    fn take_dropped(&mut self) -> u64 {
        0
    }
}

/// A device behind a pointer, for devices that wrap others.
impl<D: Device + ?Sized> Device for Box<D> {
    fn caps(&self) -> Caps {
        (**self).caps()
    }

    fn formats(&self) -> Formats {
        (**self).formats()
    }

    fn recv(&mut self, pool: &mut Pool, out: &mut MsgList, budget: usize) -> Result<usize, Errno> {
        (**self).recv(pool, out, budget)
    }

    fn send(&mut self, batch: &mut MsgList) -> Result<(), Errno> {
        (**self).send(batch)
    }

    fn take_dropped(&mut self) -> u64 {
        (**self).take_dropped()
    }
}

/// What a device is and can do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Caps {
    /// Largest packet behind the link header, in bytes.
    pub mtu: u16,
    /// Address of our end of the link.
    pub mac: [u8; 6],
    /// What it does for frames on their way out.
    pub can: Can,
}

/// What a multiplexor learns of a stream linked below.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LinkInfo {
    /// The device at the bottom, when there is one.
    pub caps: Option<Caps>,
    /// Bytes that the modules of the stream want in front of messages.
    pub headroom: u16,
}
