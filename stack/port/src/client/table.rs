//! Placeholders that were made ahead.

use super::Client;
use crate::hello::{FDS_MAX, receive};
use crate::lane::{Request, op};
use crate::{Cookie, Errno};
use std::os::fd::{AsFd, AsRawFd, OwnedFd, RawFd};

/// Those that stand for nothing yet.
#[derive(Debug, Default)]
pub(super) struct Placeholders(Vec<(OwnedFd, Cookie)>);

impl Placeholders {
    pub(super) fn descriptors(&self) -> impl Iterator<Item = RawFd> {
        self.0.iter().map(|(end, _)| end.as_raw_fd())
    }
}

impl Client {
    /// One of those that were made ahead; a call of the stack makes several.
    pub(super) fn take_placeholder(&self) -> Result<(OwnedFd, Cookie), Errno> {
        let mut calls = self.placeholders();
        if let Some(one) = calls.0.pop() {
            return Ok(one);
        }
        let args = [FDS_MAX as i64, 0, 0, 0];
        let mut bytes = [0; 8 * FDS_MAX];
        let request = Request { op: op::PLACEHOLDER, id: 0, args };
        let made = self.call_locked(&calls, request, &[], &mut bytes)?.len / 8;
        // They were sent before the call was answered.
        let (_, fds) = receive(self.connection.as_fd(), &mut [0; 8 * FDS_MAX])
            .map_err(|error| Errno(error.raw_os_error().unwrap_or(Errno::EIO.0)))?;
        let (cookies, _) = bytes.as_chunks::<8>();
        let cookies = cookies[..made].iter().map(|cookie| Cookie(u64::from_ne_bytes(*cookie)));
        if fds.len() != made {
            // The program has no room for descriptors: those that came are closed.
            return Err(Errno(24));
        }
        let fds = fds.into_iter().map(|fd| self.moved(fd));
        calls.0.extend(fds.zip(cookies));
        calls.0.pop().ok_or(Errno::ENOBUFS)
    }

    /// Where descriptors of the client are kept; where there is no room it stays.
    fn moved(&self, fd: OwnedFd) -> OwnedFd {
        match self.least {
            0 => fd,
            least => rustix::io::fcntl_dupfd_cloexec(&fd, least).unwrap_or(fd),
        }
    }
}
