//! Each call, as one entry into the stack.

use super::{Entry, InProcess, lock, number, placeholder, refused};
use millstream_core::ioctl::Cred;
use millstream_core::{Errno, Partial, PollEvents, Priority, Want};
use millstream_host::buffers::To;
use millstream_host::socket::{Kind, Socket};
use millstream_host::streamio::{self, Call};
use millstream_port::streamio::{Asked, I_FDINSERT, I_LINK, I_PLINK, I_RECVFD, I_SENDFD};
use millstream_port::{Changes, Cookie, Id, Lead, Ready, Received, Sockets};
use std::io::IoSlice;
use std::net::SocketAddr;
use std::os::fd::{BorrowedFd, OwnedFd};
use std::ptr::NonNull;

/// MSG_OOB.
const OOB: i32 = 1;
/// MSG_PEEK.
const PEEK: i32 = 2;
/// MSG_DONTWAIT, MSG_WAITALL, MSG_NOSIGNAL, MSG_MORE, MSG_TRUNC, MSG_CMSG_CLOEXEC: those who wait
/// do something about them, or nobody.
const HARMLESS: i32 = 0x40 | 0x100 | 0x4000 | 0x8000 | 0x20 | 0x4000_0000;
/// POLLNVAL.
const NO_SOCKET: Ready = Ready(0x20);

impl Sockets for InProcess {
    fn socket(&self, domain: i32, kind: i32, protocol: i32) -> Result<Id, Errno> {
        let kind = Kind::of(domain, kind, protocol)?;
        let socket = self.enter(|core| Socket::open(core, self.transports, kind))?;
        self.add(socket.stream(), Some(socket))
    }

    fn bind(&self, id: Id, local: SocketAddr) -> Result<(), Errno> {
        self.with_socket(id, |socket, core| socket.bind(core, local))
    }

    fn listen(&self, id: Id, backlog: i32) -> Result<(), Errno> {
        self.with_socket(id, |socket, core| socket.listen(core, backlog))
    }

    fn connect(&self, id: Id, peer: SocketAddr) -> Result<(), Errno> {
        self.with_socket(id, |socket, core| socket.connect(core, peer))
    }

    fn accept(&self, id: Id) -> Result<(Id, SocketAddr), Errno> {
        let transports = self.transports;
        let (socket, peer) =
            self.with_socket(id, |socket, core| socket.accept(core, transports))?;
        Ok((self.add(socket.stream(), Some(socket))?, peer))
    }

    fn send_pieces(
        &self,
        id: Id,
        pieces: &[IoSlice<'_>],
        flags: i32,
        to: Option<SocketAddr>,
    ) -> Result<usize, Errno> {
        if flags & !(OOB | HARMLESS) != 0 {
            return Err(Errno::EOPNOTSUPP);
        }
        let joined = || pieces.iter().flat_map(|piece| piece.iter().copied()).collect::<Vec<u8>>();
        self.with_socket(id, |socket, core| match (socket.kind(), flags & OOB != 0) {
            (Kind::Datagram, false) => match pieces {
                [one] => socket.send_to(core, one, to),
                _ => socket.send_to(core, &joined(), to),
            },
            (Kind::Datagram, true) => Err(Errno::EOPNOTSUPP),
            (Kind::Stream, true) => {
                let data = joined();
                socket.send_urgent(core, &data).map(|()| data.len())
            }
            (Kind::Stream, false) => match pieces {
                [one] => socket.send(core, &[one]),
                _ => socket.send(core, &pieces.iter().map(|piece| &**piece).collect::<Vec<_>>()),
            },
        })
    }

    fn recv(&self, id: Id, out: &mut [u8], flags: i32) -> Result<Received, Errno> {
        if flags & !(OOB | PEEK | HARMLESS) != 0 {
            return Err(Errno::EOPNOTSUPP);
        }
        let keep = flags & PEEK != 0;
        self.with_socket(id, |socket, core| {
            if socket.kind() == Kind::Datagram {
                let (whole, from) = socket.recv_from(core, out, keep)?;
                return Ok(Received { len: whole.min(out.len()), whole, from: Some(from) });
            }
            let len = if flags & OOB != 0 {
                *out.first_mut().ok_or(Errno::EINVAL)? = socket.take_urgent(core)?;
                1
            } else if keep {
                socket.peek(core, out)?
            } else {
                socket.recv(core, out)?
            };
            Ok(Received { len, whole: len, from: None })
        })
    }

    fn shutdown(&self, id: Id, how: i32) -> Result<(), Errno> {
        self.with_socket(id, |socket, core| socket.shutdown(core, how))?;
        self.get(id)?.end.touch();
        Ok(())
    }

    fn close(&self, id: Id) -> Result<(), Errno> {
        let mut table = self.table();
        let entry = table.entries.remove(&id).ok_or(Errno::EBADF)?;
        table.placeholders.retain(|_, of| *of != Some(id));
        drop(table);
        // Outside of the table: it enters the stack.
        drop(entry);
        Ok(())
    }

    fn local_addr(&self, id: Id) -> Result<SocketAddr, Errno> {
        self.with_socket(id, |socket, core| Ok(socket.local_addr(core)))
    }

    fn peer_addr(&self, id: Id) -> Result<SocketAddr, Errno> {
        self.with_socket(id, |socket, core| socket.peer_addr(core))
    }

    fn set_option(&self, id: Id, level: i32, name: i32, value: &[u8]) -> Result<(), Errno> {
        self.with_socket(id, |socket, core| socket.set_option(core, level, name, value))
    }

    fn option(&self, id: Id, level: i32, name: i32, value: &mut [u8]) -> Result<usize, Errno> {
        let told = self.with_socket(id, |socket, core| socket.option(core, level, name))?;
        let len = told.len().min(value.len());
        value[..len].copy_from_slice(&told[..len]);
        Ok(len)
    }

    fn readable(&self, id: Id) -> Result<usize, Errno> {
        self.with_socket(id, |socket, core| Ok(socket.readable(core)))
    }

    fn ready(&self, id: Id) -> Ready {
        let Ok(entry) = self.get(id) else { return NO_SOCKET };
        let asked = PollEvents::READ.with(PollEvents::WRITE);
        let seen = self.enter(|core| match &entry.socket {
            Some(socket) => Ok(lock(socket).ready(core)),
            None => Ok(core.poll_head(entry.end.stream(), asked)?.into()),
        });
        seen.unwrap_or(Ready::ERR | Ready::HUP)
    }

    fn changes(&self, id: Id) -> Changes {
        // Which way it was is not counted: an edge may be told that was the other direction's.
        let count = self.get(id).map_or(0, |entry| entry.end.changes());
        Changes { inward: count, outward: count }
    }

    fn bell(&self) -> BorrowedFd<'_> {
        self.watch.fd()
    }

    fn arm(&self, id: Id, events: Ready) -> Ready {
        if let Ok(entry) = self.get(id) {
            entry.end.arm(true);
            if events.contains(Ready::EDGES) {
                let stream = entry.end.stream();
                // Where the stack is gone, ready() says so below.
                let _gone = self.enter(|core| {
                    core.tell_of_each(stream);
                    Ok(())
                });
            }
        }
        self.ready(id).only(events | Ready::ERR | Ready::HUP | NO_SOCKET)
    }

    fn disarm(&self, id: Id) {
        if let Ok(entry) = self.get(id) {
            entry.end.arm(false);
        }
    }

    fn sleeps(&self) {
        self.watch.sleeps();
    }

    fn wakes(&self) {
        self.watch.wakes();
    }

    fn changed(&self, out: &mut Vec<Id>) -> bool {
        self.watch.take_changed(|name| out.push(Id(name)));
        true
    }

    fn devices(&self) -> Option<BorrowedFd<'_>> {
        Some(self.handle().devices())
    }

    fn lead(&self) -> Lead {
        self.handle().lead()
    }

    fn led(&self) -> bool {
        let before = self.watch.rings();
        self.handle().led();
        self.watch.rings() != before
    }

    fn silence(&self) {
        self.watch.silence();
    }

    fn placeholder(&self) -> Result<(OwnedFd, Cookie), Errno> {
        let (end, cookie) = placeholder()?;
        self.table().placeholders.insert(cookie, None);
        Ok((end, cookie))
    }

    fn tie(&self, id: Id, cookie: Cookie) -> Result<(), Errno> {
        self.get(id)?;
        match self.table().placeholders.get_mut(&cookie) {
            Some(of @ None) => *of = Some(id),
            _ => return Err(Errno::EINVAL),
        }
        Ok(())
    }

    fn adopt(&self, cookie: Cookie) -> Result<Id, Errno> {
        let id = self.table().placeholders.get(&cookie).copied().flatten();
        id.ok_or(Errno::EBADF)
    }

    fn open(&self, device: &str) -> Result<Id, Errno> {
        let mux = self.opener.device(device).map_err(refused)?;
        let stream = self.enter(|core| core.open_mux(mux, device).map_err(|_| Errno::ENOBUFS))?;
        self.add(stream, None)
    }

    fn putmsg(
        &self,
        id: Id,
        control: Option<&[u8]>,
        data: Option<&[u8]>,
        priority: Priority,
    ) -> Result<(), Errno> {
        self.with_stream(id, |core, at| core.putpmsg(at, control, data, priority))
    }

    fn getmsg(
        &self,
        id: Id,
        want: Want,
        control: Option<&mut [u8]>,
        data: Option<&mut [u8]>,
    ) -> Result<Option<Partial>, Errno> {
        self.with_stream(id, |core, at| core.getpmsg_into(at, want, control, data))
    }

    fn read(&self, id: Id, out: &mut [u8]) -> Result<usize, Errno> {
        self.with_stream(id, |core, at| core.read(at, out))
    }

    fn write(&self, id: Id, data: &[u8]) -> Result<usize, Errno> {
        self.with_stream(id, |core, at| core.write(at, data))
    }

    fn ask(
        &self,
        id: Id,
        cmd: u32,
        arg: i64,
        input: &[u8],
        out: &mut [u8],
    ) -> Result<Asked, Errno> {
        let other = match cmd {
            I_LINK | I_PLINK | I_FDINSERT | I_SENDFD => Some(self.get(Id(arg as u32))?),
            _ => None,
        };
        match (cmd, &other) {
            (I_SENDFD, Some(other)) => {
                return self.hand_over(id, other).map(|()| Asked::Done(0, 0));
            }
            (I_RECVFD, _) => return self.take_over(id, out),
            _ => {}
        }
        let other = other.map(|entry| entry.end.stream());
        let call = Call { cmd, arg, input, other, cred: own_cred() };
        let (asked, told) = self.with_stream(id, |core, at| streamio::ioctl(core, at, &call))?;
        let len = told.len().min(out.len());
        out[..len].copy_from_slice(&told[..len]);
        Ok(match asked {
            Asked::Done(value, _) => Asked::Done(value, len),
            asked => asked,
        })
    }

    fn pipe(&self) -> Result<(Id, Id), Errno> {
        let [one, other] = self.enter(|core| Ok(core.pipe(["pipe", "pipe"])))?;
        Ok((self.add(one, None)?, self.add(other, None)?))
    }

    fn lend(&self, len: usize) -> Result<NonNull<u8>, Errno> {
        self.with_buffers(|buffers, memory, core| {
            let at = buffers.lend(core, len)?.at;
            memory.address(at).ok_or(Errno::ENOBUFS)
        })
    }

    fn send_lent(&self, id: Id, at: NonNull<u8>, len: usize) -> Result<(), Errno> {
        let entry = self.get(id)?;
        self.with_buffers(|buffers, memory, core| {
            let at = memory.offset(at).ok_or(Errno::EINVAL)?;
            match &entry.socket {
                Some(socket) => buffers.send(core, To::Socket(&mut lock(socket)), at, len),
                None => buffers.send(core, To::Stream(entry.end.stream()), at, len),
            }
        })
    }

    fn take_back(&self, at: NonNull<u8>) -> Result<(), Errno> {
        self.with_buffers(|buffers, memory, _| {
            buffers.take_back(memory.offset(at).ok_or(Errno::EINVAL)?)
        })
    }

    fn lent(&self) -> Result<usize, Errno> {
        self.with_buffers(|buffers, _, core| Ok(buffers.sent(core)))
    }
}

impl InProcess {
    /// I_SENDFD: the other end of the pipe gets the stream, too.
    fn hand_over(&self, id: Id, other: &std::sync::Arc<Entry>) -> Result<(), Errno> {
        let sent = self.get(id)?.end.send_fd(Box::new(other.clone()));
        sent.map_err(|(error, _)| number(error))
    }

    /// I_RECVFD.
    fn take_over(&self, id: Id, out: &mut [u8]) -> Result<Asked, Errno> {
        let passed = self.get(id)?.end.recv_fd(Some(std::time::Instant::now())).map_err(number)?;
        let entry = passed.handle.downcast::<std::sync::Arc<Entry>>();
        let entry = *entry.map_err(|_| Errno::EPROTO)?;
        let mut table = self.table();
        table.last = table.last.wrapping_add(1);
        let taken = Id(table.last);
        table.entries.insert(taken, entry);
        let who = [passed.cred.uid.to_ne_bytes(), passed.cred.gid.to_ne_bytes()].concat();
        let len = who.len().min(out.len());
        out[..len].copy_from_slice(&who[..len]);
        Ok(Asked::Done(taken.0 as i32, len))
    }
}

fn own_cred() -> Cred {
    let (uid, gid) = (rustix::process::geteuid(), rustix::process::getegid());
    Cred { uid: uid.as_raw(), gid: gid.as_raw() }
}
