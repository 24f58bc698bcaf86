//! Ioctls of streams, and what multiplexors link for programs.

use crate::stream::{Stream, failure};
use millstream_core::Priority;
use millstream_core::ioctl::{Area, LinkCommand, Reply};
use std::io;

impl Stream {
    /// Sends a request down and waits for the answer (`ioctl(2)` with I_STR). The first module that
    /// knows `cmd` answers; one that nobody knows is refused by what is at the bottom. `timeout` is
    /// in seconds: 0 for 15, -1 for ever. One is in flight at a time; others wait for their turn,
    /// at most 15 seconds.
    ///
    /// # Errors
    /// EINVAL for more than 64 KiB of data, a time-out below -1, a command of the link family, or
    /// when nobody knows it; ETIME without an answer; ENXIO after a hangup; the recorded error of a
    /// failed stream; EAGAIN when too many wait; ENOSR without memory; the module's refusal.
    pub fn ioctl(&self, cmd: u32, data: &[u8], timeout: i32) -> io::Result<Reply> {
        self.end().ioctl(cmd, data, timeout).map_err(failure)
    }

    /// Sends a request with an argument down and waits for the answer (`ioctl(2)` with any
    /// command).
    /// A module that takes the argument for an address may copy from and to `area`, any number of
    /// times. Addresses are what the caller and the module agree on; `area.base` is the first.
    ///
    /// # Errors
    /// As [`Stream::ioctl`]; EFAULT when a module asks for what is outside the area.
    pub fn ioctl_transparent(
        &self,
        cmd: u32,
        arg: u64,
        area: Area<'_>,
        timeout: i32,
    ) -> io::Result<Reply> {
        self.end().ioctl_transparent(cmd, arg, area, timeout).map_err(failure)
    }

    /// Links another stream below the multiplexor at the bottom of this one, until this one closes
    /// (I_LINK). The number (muxid) is for [`Stream::unlink`]. While it is linked the other stream
    /// takes no operation (EINVAL); closing it does not undo the link.
    ///
    /// # Errors
    /// EINVAL when there is no multiplexor below, or the other stream is this one, is linked, hung
    /// up, has failed, has an ioctl under way, or leads to the multiplexor; ETIME without an
    /// answer; the multiplexor's refusal.
    pub fn link(&self, lower: &Self) -> io::Result<i32> {
        self.link_family(LinkCommand::Link(lower.end().stream()))
    }

    /// As [`Stream::link`], until it is undone by any stream of the multiplexor (I_PLINK).
    ///
    /// # Errors
    /// As [`Stream::link`].
    pub fn link_persistent(&self, lower: &Self) -> io::Result<i32> {
        self.link_family(LinkCommand::LinkPersistent(lower.end().stream()))
    }

    /// Undoes a link of this stream, or all (`MUXID_ALL`) (I_UNLINK).
    ///
    /// # Errors
    /// EINVAL for a number that is no link of this stream.
    pub fn unlink(&self, muxid: i32) -> io::Result<()> {
        self.link_family(LinkCommand::Unlink(muxid)).map(drop)
    }

    /// Undoes a persistent link of the multiplexor, or all (`MUXID_ALL`) (I_PUNLINK).
    ///
    /// # Errors
    /// EINVAL for a number that is no persistent link of the multiplexor.
    pub fn unlink_persistent(&self, muxid: i32) -> io::Result<()> {
        self.link_family(LinkCommand::UnlinkPersistent(muxid)).map(drop)
    }

    /// Sends a message whose control part names another stream in the 4 bytes at `offset`
    /// (I_FDINSERT), as the acceptor of a connection is named to a transport. Does not wait.
    ///
    /// # Errors
    /// EINVAL for an offset that is no multiple of 4 or whose bytes do not lie in the control part,
    /// and for a linked stream; ENXIO when the other stream is hung up; `WouldBlock` when flow
    /// control refuses it; ERANGE for parts that are too long; ENOSR without memory.
    pub fn fd_insert(
        &self,
        control: &[u8],
        data: Option<&[u8]>,
        priority: Priority,
        other: &Self,
        offset: usize,
    ) -> io::Result<()> {
        let named = (other.end().stream(), offset);
        self.end().fd_insert(control, data, priority, named).map_err(failure)
    }

    fn link_family(&self, command: LinkCommand) -> io::Result<i32> {
        self.end().link(command, 0).map_err(failure)
    }
}
