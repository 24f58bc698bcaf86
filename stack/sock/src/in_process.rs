//! The calls of `millstream_port` on a stack in this process.

mod calls;

use crate::stack::{OpenError, Opener, Stack};
use millstream_core::{Errno, Perimeter, StreamId};
use millstream_host::buffers::Buffers;
use millstream_host::socket::{Socket, Transports};
use millstream_host::{End, EndError, Handle, Watch};
use millstream_port::{Cookie, Id, Memory};
use rustix::net::{AddressFamily, SocketFlags, SocketType, socketpair};
use std::collections::HashMap;
use std::io;
use std::os::fd::OwnedFd;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// Sockets and streams of this program on a stack of the same process. Threads may share it.
///
/// A child of this process has no stack: its calls fail with ENETDOWN.
#[derive(Debug)]
pub struct InProcess {
    opener: Opener,
    transports: Transports,
    watch: Arc<Watch>,
    table: Mutex<Table>,
    /// Made with the first that is lent.
    buffers: Mutex<Option<(Buffers, Arc<Memory>)>>,
}

#[derive(Debug, Default)]
struct Table {
    entries: HashMap<Id, Arc<Entry>>,
    last: u32,
    /// What placeholders stand for, by their cookies.
    placeholders: HashMap<Cookie, Option<Id>>,
}

/// A socket, or a stream.
#[derive(Debug)]
struct Entry {
    end: End,
    socket: Option<Mutex<Socket>>,
}

impl InProcess {
    /// No sockets.
    ///
    /// # Errors
    /// When descriptors are used up.
    pub fn new(stack: &Stack) -> io::Result<Self> {
        let opener = stack.opener();
        let mux = |name| opener.device(name).map_err(io::Error::other);
        let transports = Transports { tcp: mux("tcp")?, udp: mux("udp")? };
        let (table, buffers) = (Mutex::default(), Mutex::default());
        Ok(Self { transports, opener, watch: Watch::new()?, table, buffers })
    }

    fn handle(&self) -> &Handle {
        self.opener.handle()
    }

    /// Does something inside the stack.
    fn enter<T>(&self, work: impl FnOnce(&mut Perimeter) -> Result<T, Errno>) -> Result<T, Errno> {
        let done = self.handle().enter(|shard| work(shard.core()));
        done.map_err(|refused| number(refused.into()))?
    }

    /// Takes over a stream that was opened.
    fn add(&self, stream: StreamId, socket: Option<Socket>) -> Result<Id, Errno> {
        let end = End::attach_head(self.handle(), stream).map_err(|gone| number(gone.into()))?;
        let mut table = self.table();
        // Numbers come again only after all others: a stale one is not another socket's.
        table.last = table.last.wrapping_add(1);
        let id = Id(table.last);
        end.watch(&self.watch, id.0);
        let entry = Arc::new(Entry { end, socket: socket.map(Mutex::new) });
        table.entries.insert(id, entry);
        Ok(id)
    }

    fn get(&self, id: Id) -> Result<Arc<Entry>, Errno> {
        self.table().entries.get(&id).cloned().ok_or(Errno::EBADF)
    }

    /// Does something with a socket inside the stack.
    fn with_socket<T>(
        &self,
        id: Id,
        work: impl FnOnce(&mut Socket, &mut Perimeter) -> Result<T, Errno>,
    ) -> Result<T, Errno> {
        let entry = self.get(id)?;
        let socket = entry.socket.as_ref().ok_or(Errno::EOPNOTSUPP)?;
        // Inside first: nobody waits for the stack who has a socket.
        self.enter(|core| work(&mut lock(socket), core))
    }

    /// Does something with a stream inside the stack.
    fn with_stream<T>(
        &self,
        id: Id,
        work: impl FnOnce(&mut Perimeter, StreamId) -> Result<T, Errno>,
    ) -> Result<T, Errno> {
        let entry = self.get(id)?;
        self.enter(|core| work(core, entry.end.stream()))
    }

    /// Does something with the buffers inside the stack.
    fn with_buffers<T>(
        &self,
        work: impl FnOnce(&mut Buffers, &Memory, &mut Perimeter) -> Result<T, Errno>,
    ) -> Result<T, Errno> {
        // Inside first, as with sockets.
        self.enter(|core| {
            let mut place = lock(&self.buffers);
            if place.is_none() {
                *place = Some(Buffers::make(LENT_MAX).map_err(|_| Errno::ENOBUFS)?);
            }
            let (buffers, memory) = place.as_mut().ok_or(Errno::ENOBUFS)?;
            work(buffers, memory, core)
        })
    }

    fn table(&self) -> MutexGuard<'_, Table> {
        lock(&self.table)
    }
}

/// Bytes of all buffers on loan: as many as a program has by a port.
const LENT_MAX: usize = 8 << 20;

/// One end of a socket pair, and its cookie. Nobody has the other one: a program that closes all
/// numbers would close it, and who reads past the library finds the end instead of waiting for
/// ever.
fn placeholder() -> Result<(OwnedFd, Cookie), Errno> {
    let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
    let pair = socketpair(AddressFamily::UNIX, SocketType::STREAM, flags, None);
    let (theirs, _) = pair.map_err(|error| Errno(error.raw_os_error()))?;
    let cookie = rustix::net::sockopt::socket_cookie(&theirs);
    let cookie = cookie.map_err(|error| Errno(error.raw_os_error()))?;
    Ok((theirs, Cookie(cookie)))
}

fn number(error: EndError) -> Errno {
    match error {
        EndError::WouldBlock => Errno::EAGAIN,
        EndError::Failed(errno) => errno,
        EndError::Gone(_) => Errno::ENETDOWN,
    }
}

fn refused(error: OpenError) -> Errno {
    match error {
        OpenError::NoDevice { .. } => Errno::ENODEV,
        OpenError::Refused(_) => Errno::ENOBUFS,
        OpenError::Gone(_) => Errno::ENETDOWN,
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
