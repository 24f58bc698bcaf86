//! Programs come to a socket with a path, and are let in if they are the same user's.

use super::client::{Attached, Client, memory};
use super::lent::Shared;
use super::placeholder::PLACEHOLDER;
use super::{BELLS, Ports};
use crate::ctl::SocketFile;
use crate::poller::Poller;
use millstream_core::Perimeter;
use millstream_port::hello::{Hello, send};
use millstream_port::layout::POLLS;
use rustix::event::epoll::{self, CreateFlags, EventData, EventFlags};
use rustix::event::{EventfdFlags, Timespec, eventfd};
use rustix::net::sockopt::socket_peercred;
use rustix::net::{
    AddressFamily, SocketAddrUnix, SocketFlags, SocketType, accept_with, bind, listen, socket_with,
};
use std::io;
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::sync::atomic::Ordering;

/// The socket that programs come to. Dropping it removes the file.
#[derive(Debug)]
pub struct Listener {
    socket: OwnedFd,
    file: SocketFile,
}

/// Why there is no port.
#[derive(Debug, thiserror::Error)]
#[error("cannot make the socket for programs at {path}: {cause}")]
pub struct PortError {
    path: String,
    cause: io::Error,
}

/// Marks in the set of what is rare: the listener, and connections.
const LISTENER: u64 = 0;
const CONNECTIONS: u64 = 1;

/// Programs that wait to be let in.
const BACKLOG: i32 = 64;

/// Descriptors looked at in one go.
const EVENTS: usize = 16;

impl Listener {
    /// Makes the socket, in place of one that a dead stack has left: whoever calls this has the
    /// name.
    ///
    /// # Errors
    /// The kernel's.
    pub fn bind(path: &Path) -> Result<Self, PortError> {
        Self::bind_at(path).map_err(|cause| PortError { path: path.display().to_string(), cause })
    }

    fn bind_at(path: &Path) -> io::Result<Self> {
        match std::fs::remove_file(path) {
            Err(cause) if cause.kind() != io::ErrorKind::NotFound => return Err(cause),
            _ => {}
        }
        let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
        let socket = socket_with(AddressFamily::UNIX, SocketType::SEQPACKET, flags, None)?;
        bind(&socket, &SocketAddrUnix::new(path)?)?;
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o600))?;
        let file = SocketFile::at(path)?;
        listen(&socket, BACKLOG)?;
        Ok(Self { socket, file })
    }

    /// Where the socket is.
    pub fn path(&self) -> &Path {
        self.file.path()
    }
}

/// The set of what is rare.
pub(super) fn rare_set(listener: &Listener) -> io::Result<OwnedFd> {
    let set = epoll::create(CreateFlags::CLOEXEC)?;
    epoll::add(&set, &listener.socket, EventData::new_u64(LISTENER), EventFlags::IN)?;
    Ok(set)
}

impl Ports {
    /// Lets programs in, and notices those that are gone and placeholders that nobody has.
    pub(super) fn look_at_rare(&mut self, core: &mut Perimeter, poller: &Poller) {
        let now = Timespec { tv_sec: 0, tv_nsec: 0 };
        let mut buffer = [MaybeUninit::uninit(); EVENTS];
        // Level-triggered: what is left over is told again.
        let Ok((events, _)) = epoll::wait(&self.rare, &mut buffer, Some(&now)) else { return };
        for event in events {
            let data = event.data;
            match data.u64() {
                LISTENER => self.let_in(poller),
                mark if mark & PLACEHOLDER != 0 => {
                    self.at_placeholder(core, mark & !PLACEHOLDER, event.flags);
                }
                mark => self.send_away(core, poller, (mark - CONNECTIONS) as usize),
            }
        }
    }

    fn let_in(&mut self, poller: &Poller) {
        let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
        while let Ok(connection) = accept_with(&self.listener.socket, flags) {
            // Who is refused sees its connection closed.
            let _refused = self.attach(poller, connection);
        }
    }

    fn attach(&mut self, poller: &Poller, connection: OwnedFd) -> io::Result<()> {
        let peer = socket_peercred(&connection)?;
        let (uid, gid) = (peer.uid.as_raw(), peer.gid.as_raw());
        if uid != rustix::process::geteuid().as_raw() && uid != 0 {
            self.faults.strangers += 1;
            return Ok(());
        }
        if self.clients.iter().flatten().count() >= self.quota.programs {
            self.faults.crowd += 1;
            return Ok(());
        }
        let (memory, layout) = memory(self.quota)?;
        memory.u32_at(POLLS).store(poller.polling.into(), Ordering::Relaxed);
        let silent = || eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK);
        let (ours, theirs) = (silent()?, silent()?);
        let hello = Hello { layout }.to_bytes();
        let shared = memory.fd().ok_or(io::ErrorKind::InvalidData)?;
        let mut fds = vec![shared, ours.as_fd(), theirs.as_fd()];
        fds.extend(self.shared.as_ref().and_then(Shared::fd));
        send(connection.as_fd(), &hello, &fds)?;
        let at = self.clients.iter().position(Option::is_none).unwrap_or_else(|| {
            self.clients.push(None);
            self.clients.len() - 1
        });
        let mark = EventData::new_u64(CONNECTIONS + at as u64);
        epoll::add(&self.rare, &connection, mark, EventFlags::IN | EventFlags::RDHUP)?;
        let member = poller.add_bell(ours, BELLS + at as u64)?;
        let pid = peer.pid.as_raw_nonzero().get().unsigned_abs();
        self.attached += 1;
        let attached =
            Attached { connection, member, bell: theirs, pid, uid, gid, number: self.attached };
        self.clients[at] = Some(Client::new(memory, layout, attached));
        Ok(())
    }
}
