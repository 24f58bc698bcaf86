//! listeners: where clients come to the daemon: one Unix socket for each way to carry requests.

use super::channel::{Carrier, Channel};
use rustix::io::Errno;
use rustix::net::{SendAncillaryBuffer, SendAncillaryMessage, SendFlags, SocketAddrUnix};
use rustix::net::{SocketFlags, accept_with, bind, listen, sendmsg};
use rustix::pipe::{PipeFlags, fcntl_setpipe_size, pipe_with};
use std::io::{self, IoSlice};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::{Path, PathBuf};

/// Sockets that listen for clients. Their files go with them.
#[derive(Debug)]
pub struct Listeners {
    sockets: Vec<(Carrier, OwnedFd)>,
    path: PathBuf,
}

/// Clients that may wait to be accepted.
const BACKLOG: i32 = 64;

/// Bytes that a pipe holds, if the system grants it: as many as a Unix socket.
const PIPE: usize = 1 << 18;

impl Listeners {
    /// Beside `path`, for all carriers.
    ///
    /// # Errors
    /// The kernel's: the folder takes no files.
    pub fn bind(path: &Path) -> io::Result<Self> {
        let mut listeners = Self { sockets: Vec::new(), path: path.to_owned() };
        for carrier in Carrier::ALL {
            let socket = carrier.socket(SocketFlags::NONBLOCK)?;
            let path = carrier.path(path);
            // One of a daemon that was killed.
            let _old = std::fs::remove_file(&path);
            bind(&socket, &SocketAddrUnix::new(&path)?)?;
            listen(&socket, BACKLOG)?;
            listeners.sockets.push((carrier, socket));
        }
        Ok(listeners)
    }

    /// The sockets; each polls readable when a client has come.
    pub fn sockets(&self) -> impl Iterator<Item = BorrowedFd<'_>> {
        self.sockets.iter().map(|(_, socket)| socket.as_fd())
    }

    /// The port of a client that has come to one of them; `None` when it has gone again.
    ///
    /// # Errors
    /// The kernel's, when descriptors are used up.
    pub fn accept(&self, nth: usize) -> io::Result<Option<Channel>> {
        let Some((carrier, socket)) = self.sockets.get(nth) else { return Ok(None) };
        let flags = SocketFlags::NONBLOCK | SocketFlags::CLOEXEC;
        let socket = match accept_with(socket, flags) {
            Ok(socket) => socket,
            Err(Errno::AGAIN | Errno::CONNABORTED | Errno::INTR) => return Ok(None),
            Err(errno) => return Err(errno.into()),
        };
        let (input, output) = match carrier {
            Carrier::Pipes => {
                let (input, output) = pipes(&socket)?;
                (input, Some(output))
            }
            Carrier::Stream | Carrier::Packets => (socket, None),
        };
        Ok(Some(Channel::new(*carrier, input, output)))
    }
}

impl Drop for Listeners {
    fn drop(&mut self) {
        for (carrier, _) in &self.sockets {
            let _gone = std::fs::remove_file(carrier.path(&self.path));
        }
    }
}

/// A pipe each way; the client's ends are handed to it. They are made here, so that a client
/// cannot make ours wait.
fn pipes(client: &OwnedFd) -> io::Result<(OwnedFd, OwnedFd)> {
    let (ours_in, theirs_out) = pipe_with(PipeFlags::CLOEXEC)?;
    let (theirs_in, ours_out) = pipe_with(PipeFlags::CLOEXEC)?;
    for ours in [&ours_in, &ours_out] {
        rustix::io::ioctl_fionbio(ours, true)?;
        // Without the right to more it is as long as it is.
        let _refused = fcntl_setpipe_size(ours, PIPE);
    }
    let theirs = [theirs_in.as_fd(), theirs_out.as_fd()];
    let mut room = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(2))];
    let mut with = SendAncillaryBuffer::new(&mut room);
    with.push(SendAncillaryMessage::ScmRights(&theirs));
    sendmsg(client, &[IoSlice::new(&[0])], &mut with, SendFlags::NOSIGNAL)?;
    Ok((ours_in, ours_out))
}
