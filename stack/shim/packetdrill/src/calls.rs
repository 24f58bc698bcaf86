//! calls: what the calls of a script do to sockets, in Rust's types. They block in virtual time.

use crate::table::{Pipe, Table, Thing, Waits};
use crate::world::World;
use millstream::Errno;
use millstream::port::{Id, Ready, Sockets};
use std::net::SocketAddr;
use std::sync::Arc;

/// A stack with its descriptors.
#[derive(Debug)]
pub(crate) struct Calls {
    pub(crate) world: World,
    pub(crate) table: Table,
}

/// Errors are those of the manual pages.
impl Calls {
    pub(crate) fn new(world: World) -> Self {
        Self { world, table: Table::default() }
    }

    pub(crate) fn socket(&self, domain: i32, kind: i32, protocol: i32) -> Result<i32, Errno> {
        let id = self.world.sockets.socket(domain, kind, protocol)?;
        let waits = Waits { not: kind & libc::SOCK_NONBLOCK != 0, ..Waits::default() };
        Ok(self.table.add(Thing::Socket(id, waits)))
    }

    pub(crate) fn bind(&self, fd: i32, local: SocketAddr) -> Result<(), Errno> {
        self.world.sockets.bind(self.table.socket(fd)?.0, local)
    }

    pub(crate) fn listen(&self, fd: i32, backlog: i32) -> Result<(), Errno> {
        self.world.sockets.listen(self.table.socket(fd)?.0, backlog)
    }

    pub(crate) fn accept(&self, fd: i32) -> Result<(i32, SocketAddr), Errno> {
        let (id, waits) = self.table.socket(fd)?;
        let deadline = self.deadline(waits.not, waits.receive_us);
        let (new, peer) = self.world.wait(deadline, || self.world.sockets.accept(id))?;
        Ok((self.table.add(Thing::Socket(new, Waits::default())), peer))
    }

    pub(crate) fn connect(&self, fd: i32, peer: SocketAddr) -> Result<(), Errno> {
        let (id, waits) = self.table.socket(fd)?;
        let begun = self.world.sockets.connect(id, peer);
        self.world.settle();
        if begun != Err(Errno::EINPROGRESS) || waits.not {
            return begun;
        }
        let deadline = self.deadline(waits.not, waits.send_us);
        let stands = self.world.wait(deadline, || self.stands(id));
        stands.map_err(|errno| if errno == Errno::EAGAIN { Errno::EINPROGRESS } else { errno })
    }

    /// What a connection that was asked for has come to.
    fn stands(&self, id: Id) -> Result<(), Errno> {
        if !self.world.sockets.ready(id).intersects(Ready::OUT | Ready::ERR) {
            return Err(Errno::EAGAIN);
        }
        let error = self.value(id, libc::SOL_SOCKET, libc::SO_ERROR)?;
        match error.first_chunk().map(|bytes| i32::from_ne_bytes(*bytes)) {
            Some(0) => Ok(()),
            Some(number) => Err(Errno(number)),
            None => Err(Errno::EPROTO),
        }
    }

    /// Sends all of it, as far as it may wait for that.
    pub(crate) fn send(
        &self,
        fd: i32,
        data: &[u8],
        flags: i32,
        to: Option<SocketAddr>,
    ) -> Result<usize, Errno> {
        let (id, waits) = match self.table.get(fd)? {
            Thing::Socket(id, waits) => (id, waits),
            Thing::Writer(pipe) => return self.world.wait(None, || pipe.write(data)),
            Thing::Reader(_) => return Err(Errno::EBADF),
            Thing::Epoll(_) => return Err(Errno::EINVAL),
        };
        let deadline = self.deadline(waits.not_with(flags), waits.send_us);
        let mut sent = 0;
        let done = self.world.wait(deadline, || {
            loop {
                sent += self.world.sockets.send(id, &data[sent..], flags, to)?;
                if sent == data.len() {
                    return Ok(());
                }
            }
        });
        match done {
            Err(errno) if sent == 0 => Err(errno),
            _ => Ok(sent),
        }
    }

    pub(crate) fn recv(
        &self,
        fd: i32,
        out: &mut [u8],
        flags: i32,
    ) -> Result<(usize, Option<SocketAddr>), Errno> {
        let (id, waits) = match self.table.get(fd)? {
            Thing::Socket(id, waits) => (id, waits),
            Thing::Reader(pipe) => return Ok((self.read_pipe(&pipe, out)?, None)),
            Thing::Writer(_) => return Err(Errno::EBADF),
            Thing::Epoll(_) => return Err(Errno::EINVAL),
        };
        if flags & libc::MSG_ERRQUEUE != 0 {
            // Nothing is ever queued there.
            return Err(Errno::EAGAIN);
        }
        let deadline = self.deadline(waits.not_with(flags), waits.receive_us);
        let (all, once) = (flags & libc::MSG_WAITALL != 0, flags & !libc::MSG_WAITALL);
        let (mut done, mut from) = (0, None);
        let result = self.world.wait(deadline, || {
            loop {
                let got = self.world.sockets.recv(id, &mut out[done..], once)?;
                (done, from) = (done + got.len, got.from);
                if got.len == 0 || done == out.len() || !all {
                    return Ok(());
                }
            }
        });
        match result {
            Err(errno) if done == 0 => Err(errno),
            _ => Ok((done, from)),
        }
    }

    fn read_pipe(&self, pipe: &Pipe, out: &mut [u8]) -> Result<usize, Errno> {
        let data = self.world.wait(None, || pipe.peek(out.len()))?;
        out[..data.len()].copy_from_slice(&data);
        pipe.consume(data.len());
        Ok(data.len())
    }

    pub(crate) fn shutdown(&self, fd: i32, how: i32) -> Result<(), Errno> {
        let done = self.world.sockets.shutdown(self.table.socket(fd)?.0, how);
        self.world.settle();
        done
    }

    pub(crate) fn close(&self, fd: i32) -> Result<(), Errno> {
        if let Thing::Socket(id, _) = self.table.remove(fd)? {
            self.world.sockets.close(id)?;
        }
        self.world.settle();
        Ok(())
    }

    pub(crate) fn option(&self, fd: i32, level: i32, name: i32) -> Result<Vec<u8>, Errno> {
        self.world.settle();
        let (id, waits) = self.table.socket(fd)?;
        match (level, name) {
            (libc::SOL_SOCKET, libc::SO_RCVTIMEO) => Ok(timeval(waits.receive_us)),
            (libc::SOL_SOCKET, libc::SO_SNDTIMEO) => Ok(timeval(waits.send_us)),
            _ => self.value(id, level, name),
        }
    }

    fn value(&self, id: Id, level: i32, name: i32) -> Result<Vec<u8>, Errno> {
        let mut value = vec![0; VALUE_MAX];
        let len = self.world.sockets.option(id, level, name, &mut value)?;
        value.truncate(len);
        Ok(value)
    }

    pub(crate) fn set_option(
        &self,
        fd: i32,
        level: i32,
        name: i32,
        value: &[u8],
    ) -> Result<(), Errno> {
        let (id, _) = self.table.socket(fd)?;
        match (level, name) {
            (libc::SOL_SOCKET, libc::SO_RCVTIMEO) => {
                let us = microseconds(value)?;
                self.table.set_waits(fd, |waits| waits.receive_us = us)
            }
            (libc::SOL_SOCKET, libc::SO_SNDTIMEO) => {
                let us = microseconds(value)?;
                self.table.set_waits(fd, |waits| waits.send_us = us)
            }
            _ => {
                let set = self.world.sockets.set_option(id, level, name, value);
                self.world.settle();
                set
            }
        }
    }

    /// F_GETFL and F_SETFL know O_NONBLOCK; flags of the descriptor mean nothing here.
    pub(crate) fn fcntl(&self, fd: i32, command: i32, argument: usize) -> Result<i32, Errno> {
        let thing = self.table.get(fd)?;
        match command {
            libc::F_GETFL => Ok(match thing {
                Thing::Socket(_, Waits { not: true, .. }) => libc::O_RDWR | libc::O_NONBLOCK,
                Thing::Socket(..) | Thing::Epoll(_) => libc::O_RDWR,
                Thing::Reader(_) => libc::O_RDONLY,
                Thing::Writer(_) => libc::O_WRONLY,
            }),
            libc::F_SETFL => {
                let not = argument as i32 & libc::O_NONBLOCK != 0;
                self.table.set_waits(fd, |waits| waits.not = not).map(|()| 0)
            }
            libc::F_GETFD | libc::F_SETFD => Ok(0),
            _ => Err(Errno::EINVAL),
        }
    }

    /// FIONREAD: octets that can be read.
    pub(crate) fn readable_octets(&self, fd: i32) -> Result<i32, Errno> {
        let (id, _) = self.table.socket(fd)?;
        self.world.sockets.readable(id).map(|octets| octets as i32)
    }

    pub(crate) fn pipe(&self) -> [i32; 2] {
        let pipe = Arc::new(Pipe::default());
        [Thing::Reader(pipe.clone()), Thing::Writer(pipe)].map(|end| self.table.add(end))
    }

    /// `splice(2)` between a socket and a pipe, in either direction.
    pub(crate) fn splice(
        &self,
        from: i32,
        to: i32,
        len: usize,
        wait: bool,
    ) -> Result<usize, Errno> {
        let flags = if wait { 0 } else { libc::MSG_DONTWAIT };
        match (self.table.get(from)?, self.table.get(to)?) {
            (Thing::Socket(..), Thing::Writer(pipe)) => {
                let mut octets = vec![0; len.min(pipe.room())];
                if octets.is_empty() && len > 0 {
                    return Err(Errno::EAGAIN);
                }
                let (count, _) = self.recv(from, &mut octets, flags)?;
                pipe.write(&octets[..count])
            }
            (Thing::Reader(pipe), Thing::Socket(..)) => {
                let octets = pipe.peek(len)?;
                let count = self.send(to, &octets, flags, None)?;
                pipe.consume(count);
                Ok(count)
            }
            _ => Err(Errno::EINVAL),
        }
    }

    /// When a call stops to wait that does not wait, or so long.
    fn deadline(&self, not: bool, us: u64) -> Option<u64> {
        match (not, us) {
            (true, _) => Some(0),
            (false, 0) => None,
            (false, us) => Some(self.world.now() + us * 1000),
        }
    }
}

impl Waits {
    /// Does a call with these flags not wait (MSG_DONTWAIT)?
    fn not_with(self, flags: i32) -> bool {
        self.not || flags & libc::MSG_DONTWAIT != 0
    }
}

/// The microseconds of a `struct timeval`.
fn microseconds(value: &[u8]) -> Result<u64, Errno> {
    let number = |at: usize| {
        let bytes = value.get(at..at + 8).and_then(|bytes| bytes.try_into().ok());
        bytes.map(i64::from_ne_bytes).ok_or(Errno::EINVAL)
    };
    match (u64::try_from(number(0)?), number(8)?) {
        (Ok(s), us @ 0..1_000_000) => Ok(s.saturating_mul(1_000_000).saturating_add(us as u64)),
        (Err(_), _) => Ok(0),
        (Ok(_), _) => Err(Errno(libc::EDOM)),
    }
}

fn timeval(us: u64) -> Vec<u8> {
    [us / 1_000_000, us % 1_000_000].map(u64::to_ne_bytes).concat()
}

/// Bytes of a value: TCP_INFO has most.
const VALUE_MAX: usize = 1024;
