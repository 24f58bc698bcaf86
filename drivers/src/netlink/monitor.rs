//! monitor: changes of the interfaces of a namespace, as they happen. Only that something has
//! changed is told; what has, is asked where it matters.

use super::NetlinkError;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;
use rustix::net::netlink::SocketAddrNetlink;
use rustix::net::{AddressFamily, RecvFlags, SocketFlags, SocketType, bind, recv, socket_with};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::time::Duration;

/// A descriptor that polls readable when an interface was made, changed or deleted.
#[derive(Debug)]
pub(crate) struct LinkMonitor(OwnedFd);

impl LinkMonitor {
    /// Follows the interfaces of the namespace of the calling thread.
    pub(crate) fn open() -> Result<Self, NetlinkError> {
        let open = || {
            let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
            let fd = socket_with(AddressFamily::NETLINK, SocketType::RAW, flags, None)?;
            bind(&fd, &SocketAddrNetlink::new(0, libc::RTMGRP_LINK as u32))?;
            Ok(fd)
        };
        open().map(Self).map_err(NetlinkError::open)
    }

    /// Waits for a change, at most so long.
    pub(crate) fn wait(&self, longest: Duration) {
        let longest = Timespec::try_from(longest).ok();
        // Whatever ends the wait, the caller looks again.
        let _woken = poll(&mut [PollFd::new(&self.0, PollFlags::IN)], longest.as_ref());
        self.changed();
    }

    /// Whether anything has changed since the last call.
    pub(crate) fn changed(&self) -> bool {
        let mut any = false;
        loop {
            match recv(&self.0, &mut [0_u8; 16][..], RecvFlags::empty()) {
                // ENOBUFS: more has changed than could be told.
                Ok(_) | Err(Errno::NOBUFS) => any = true,
                Err(Errno::INTR) => {}
                Err(_) => return any,
            }
        }
    }
}

impl AsFd for LinkMonitor {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}
