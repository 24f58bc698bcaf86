//! The calls of a program on its sockets and streams.

use crate::Ready;
use crate::streamio::{Asked, GIVE_UP};
use millstream_core::{Errno, Partial, Priority, Want};
use std::io::IoSlice;
use std::net::SocketAddr;
use std::os::fd::{BorrowedFd, OwnedFd};
use std::ptr::NonNull;

/// The number of a socket or stream: of this program, and not given to another one soon.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Id(pub u32);

/// Names a placeholder: SO_COOKIE of the end that the program has, the same in every process that
/// has inherited it and before and after exec.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Cookie(pub u64);

/// What a call on octets of a socket fails with that was exported: they are at its placeholder.
pub const MOVED: Errno = Errno(i32::MAX);

/// What was received.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Received {
    /// Octets that were copied out.
    pub len: usize,
    /// Octets of the datagram; of a connection as many as `len`. More than `len`: MSG_TRUNC.
    pub whole: usize,
    /// Of a datagram, who sent it.
    pub from: Option<SocketAddr>,
}

/// Counts, wrapping, of changes towards something being possible.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Changes {
    /// Towards something to be read, an end or an error.
    pub inward: u32,
    /// Towards room to write, an end or an error.
    pub outward: u32,
}

/// What a thread finds that is about to sleep, and would run the stack of its own program
/// meanwhile: see [`Sockets::lead`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lead {
    /// Another one leads: the bell tells what happens.
    Others,
    /// It leads, and sleeps until the devices are readable, or something else wakes it.
    Sleeps,
    /// It leads, and there is more to be done: it looks again instead of sleeping.
    Runs,
}

/// Sockets and streams by number. Names, arguments and error numbers are those of the manual pages,
/// numbers those of Linux. Nothing waits: what would wait fails with EAGAIN, whatever O_NONBLOCK
/// says, which is the caller's, as are SIGPIPE and time-outs. Every method may fail with EBADF for
/// a number that is no socket, and with ENETDOWN when the stack is gone.
///
/// To wait for sockets:
/// 1. [`Sockets::arm`] each of them, which says what is ready already;
/// 2. if nothing is, poll(2) [`Sockets::bell`] until it is readable, then [`Sockets::silence`];
/// 3. look at [`Sockets::ready`] again.
pub trait Sockets: Send + Sync {
    /// `socket(2)`: AF_INET; SOCK_STREAM or SOCK_DGRAM, SOCK_NONBLOCK and SOCK_CLOEXEC are ignored.
    ///
    /// # Errors
    /// EAFNOSUPPORT, ESOCKTNOSUPPORT, EPROTONOSUPPORT; EMFILE beyond the program's share, ENOBUFS.
    fn socket(&self, domain: i32, kind: i32, protocol: i32) -> Result<Id, Errno>;

    /// `bind(2)`.
    ///
    /// # Errors
    /// EINVAL when bound, EADDRINUSE, EADDRNOTAVAIL; ENOBUFS beyond the program's share of ports.
    fn bind(&self, id: Id, local: SocketAddr) -> Result<(), Errno>;

    /// `listen(2)`. Again: the backlog may change.
    ///
    /// # Errors
    /// EINVAL when connected, EOPNOTSUPP for datagrams.
    fn listen(&self, id: Id, backlog: i32) -> Result<(), Errno>;

    /// `connect(2)`. What it has come to is told by [`Ready::OUT`] and SO_ERROR, or by asking
    /// again.
    ///
    /// # Errors
    /// EINPROGRESS when it was begun, EALREADY while it is under way, EISCONN; EADDRNOTAVAIL,
    /// ENETUNREACH; of an attempt that has failed ECONNREFUSED, ETIMEDOUT, EHOSTUNREACH.
    fn connect(&self, id: Id, peer: SocketAddr) -> Result<(), Errno>;

    /// `accept(2)`: the connection that waits longest, and its peer.
    ///
    /// # Errors
    /// EAGAIN when none waits, EINVAL when it does not listen, EOPNOTSUPP for datagrams, EMFILE,
    /// ENOBUFS.
    fn accept(&self, id: Id) -> Result<(Id, SocketAddr), Errno>;

    /// `sendto(2)`; the octets that were taken, of a connection maybe not all. MSG_OOB; MSG_MORE,
    /// MSG_NOSIGNAL and MSG_DONTWAIT change nothing.
    ///
    /// # Errors
    /// EAGAIN without room; ENOTCONN, EPIPE, ECONNRESET, EDESTADDRREQ, EMSGSIZE, EOPNOTSUPP.
    fn send(
        &self,
        id: Id,
        data: &[u8],
        flags: i32,
        to: Option<SocketAddr>,
    ) -> Result<usize, Errno> {
        self.send_pieces(id, &[IoSlice::new(data)], flags, to)
    }

    /// `sendmsg(2)`: as [`Sockets::send`], of pieces.
    ///
    /// # Errors
    /// As [`Sockets::send`].
    fn send_pieces(
        &self,
        id: Id,
        pieces: &[IoSlice<'_>],
        flags: i32,
        to: Option<SocketAddr>,
    ) -> Result<usize, Errno>;

    /// `recvfrom(2)`. MSG_PEEK, MSG_OOB. 0 octets of a connection: the peer has ended its
    /// direction.
    ///
    /// # Errors
    /// EAGAIN when nothing is there; ENOTCONN, ECONNRESET and what else has ended the connection
    /// (once), EINVAL without urgent data for MSG_OOB, EOPNOTSUPP.
    fn recv(&self, id: Id, out: &mut [u8], flags: i32) -> Result<Received, Errno>;

    /// `shutdown(2)`: 0, 1 or 2.
    ///
    /// # Errors
    /// EINVAL, ENOTCONN.
    fn shutdown(&self, id: Id, how: i32) -> Result<(), Errno>;

    /// `close(2)`: this program has the socket no longer. What was sent still goes out. A socket
    /// that is tied to a placeholder goes when nobody has that any more.
    ///
    /// # Errors
    /// EBADF.
    fn close(&self, id: Id) -> Result<(), Errno>;

    /// `getsockname(2)`.
    ///
    /// # Errors
    /// EBADF.
    fn local_addr(&self, id: Id) -> Result<SocketAddr, Errno>;

    /// `getpeername(2)`.
    ///
    /// # Errors
    /// ENOTCONN.
    fn peer_addr(&self, id: Id) -> Result<SocketAddr, Errno>;

    /// `setsockopt(2)`.
    ///
    /// # Errors
    /// EINVAL, ENOPROTOOPT.
    fn set_option(&self, id: Id, level: i32, name: i32, value: &[u8]) -> Result<(), Errno>;

    /// `getsockopt(2)`: writes as much of the value as there is room for; bytes written. SO_ERROR
    /// tells of an error once.
    ///
    /// # Errors
    /// ENOPROTOOPT.
    fn option(&self, id: Id, level: i32, name: i32, value: &mut [u8]) -> Result<usize, Errno>;

    /// Octets that can be read without waiting (FIONREAD); of a datagram those of the first.
    ///
    /// # Errors
    /// EBADF.
    fn readable(&self, id: Id) -> Result<usize, Errno>;

    /// What is possible now. Cheap: asks nobody. A number that is no socket: POLLNVAL (0x20).
    fn ready(&self, id: Id) -> Ready;

    /// Counts every change towards something being possible: each one is an edge for EPOLLET.
    fn changes(&self, id: Id) -> Changes;

    /// Becomes readable when something that was asked for has changed at a socket that is armed.
    /// Always the same descriptor. It may become readable too early. It is an eventfd that is
    /// written to at each such change, silenced or not: threads that share it wait with EPOLLET, of
    /// which each write is an edge for each of them, and leave it readable.
    fn bell(&self) -> BorrowedFd<'_>;

    /// A thread is about to begin a wait. Where the stack never sleeps, the thread stays awake for
    /// as long as waking it would take, unless something changes at any socket: who polls wants
    /// that.
    fn linger(&self) {}

    /// A thread is about to wait for the bell, which need not ring while no thread does: until
    /// [`Sockets::wakes`], counted. What changed before is looked for between this and the wait.
    fn sleeps(&self) {}

    /// A thread waits for the bell no longer.
    fn wakes(&self) {}

    /// What a thread sleeps on, beside the bell, that leads. `None`: the stack is in another
    /// process, and runs without.
    fn devices(&self) -> Option<BorrowedFd<'_>> {
        None
    }

    /// The thread is about to sleep where [`Sockets::devices`], too, wakes it: it runs the stack,
    /// if no other one does, so that no thread has to be woken for it. After [`Lead::Sleeps`] and
    /// [`Lead::Runs`] it calls [`Sockets::led`], whatever has woken it. Before, between this and
    /// [`Sockets::sleeps`], it looks for what has changed.
    fn lead(&self) -> Lead {
        Lead::Others
    }

    /// A thread that leads does not sleep any more: it runs the stack, and returns to the program.
    /// True when other threads that sleep were told of something.
    fn led(&self) -> bool {
        false
    }

    /// Appends the sockets at which something has changed since this was last asked, each once;
    /// who asks tells the other threads. False: no such list is kept, [`Sockets::changes`] of
    /// each tells.
    fn changed(&self, _out: &mut Vec<Id>) -> bool {
        false
    }

    /// From now on changes towards any of `events` ring the bell, and those towards ERR and HUP;
    /// what of them is possible already. Armed again: these events from now on.
    fn arm(&self, id: Id, events: Ready) -> Ready;

    /// It rings the bell no longer.
    fn disarm(&self, id: Id);

    /// The bell is not readable any more, until something changes.
    fn silence(&self);

    /// Becomes readable when the stack is gone, and stays so. `None`: it is in this process.
    fn lifeline(&self) -> Option<BorrowedFd<'_>> {
        None
    }

    /// Is the stack gone? It is looked at now; once it is so, every call fails with ENETDOWN, every
    /// socket has changed and is ready with ERR and HUP. Octets that were received can be read
    /// before.
    fn is_gone(&self) -> bool {
        false
    }

    /// From now on octets of a connection go through its placeholder: what is written there is
    /// sent, what is received can be read there, by whoever has it and knows of nothing else. So it
    /// stays.
    ///
    /// # Errors
    /// EOPNOTSUPP for what is no connection, or has no placeholder, and where the stack is in this
    /// process.
    fn export(&self, _id: Id) -> Result<(), Errno> {
        Err(Errno::EOPNOTSUPP)
    }

    /// Does a socket's data go through its placeholder? See [`Sockets::export`].
    fn is_exported(&self, _id: Id) -> bool {
        false
    }

    /// A descriptor that stands for a socket in the program's table: one end of a socket pair of
    /// the kernel, with close-on-exec set. Made ahead: mostly costs no call of the kernel.
    ///
    /// # Errors
    /// EMFILE, ENOBUFS.
    fn placeholder(&self) -> Result<(OwnedFd, Cookie), Errno>;

    /// The placeholder stands for this socket from now on: the socket is open until the last copy
    /// of the placeholder is closed, in whatever process, and who has one can [`Sockets::adopt`]
    /// it.
    ///
    /// # Errors
    /// EINVAL for a placeholder of another program, or one that is tied already.
    fn tie(&self, id: Id, cookie: Cookie) -> Result<(), Errno>;

    /// The socket that an inherited placeholder stands for, which this program shares from now on.
    ///
    /// # Errors
    /// EBADF when there is no such placeholder, or it is tied to nothing.
    fn adopt(&self, cookie: Cookie) -> Result<Id, Errno>;

    /// Opens a stream on a device: `tcp`, `udp`, `ip` and what else the stack has.
    ///
    /// # Errors
    /// ENODEV; EMFILE, ENOBUFS.
    fn open(&self, device: &str) -> Result<Id, Errno>;

    /// `putpmsg(2)`.
    ///
    /// # Errors
    /// EAGAIN when flow control refuses it; EINVAL, ERANGE, ENOSR, ENXIO after a hangup, the
    /// recorded error of a stream that has failed.
    fn putmsg(
        &self,
        id: Id,
        control: Option<&[u8]>,
        data: Option<&[u8]>,
        priority: Priority,
    ) -> Result<(), Errno>;

    /// `getpmsg(2)`: copies the first message out as far as the buffers reach. `None` when the line
    /// is gone and all was read.
    ///
    /// # Errors
    /// EAGAIN when no message is first that is wanted; EBADMSG, the recorded error.
    fn getmsg(
        &self,
        id: Id,
        want: Want,
        control: Option<&mut [u8]>,
        data: Option<&mut [u8]>,
    ) -> Result<Option<Partial>, Errno>;

    /// `read(2)` of a stream, in its read mode. A socket has [`Sockets::recv`].
    ///
    /// # Errors
    /// EAGAIN, EBADMSG, the recorded error.
    fn read(&self, id: Id, out: &mut [u8]) -> Result<usize, Errno>;

    /// `write(2)` of a stream. A socket has [`Sockets::send`].
    ///
    /// # Errors
    /// EAGAIN, ERANGE, ENXIO, the recorded error.
    fn write(&self, id: Id, data: &[u8]) -> Result<usize, Errno>;

    /// `ioctl(2)` of a stream: see [`crate::streamio`] for what each command takes and gives, and
    /// how one goes on that is not over at once. Bytes that come are written to `out`.
    ///
    /// # Errors
    /// As streamio(7) says for the command; EINVAL for one that there is not.
    fn ask(&self, id: Id, cmd: u32, arg: i64, input: &[u8], out: &mut [u8])
    -> Result<Asked, Errno>;

    /// `ioctl(2)` of a stream that modules answer at once: its value, and the bytes that were
    /// written to `out`.
    ///
    /// # Errors
    /// As [`Sockets::ask`]; ETIME when they do not, EFAULT when they want memory copied.
    fn ioctl(
        &self,
        id: Id,
        cmd: u32,
        arg: i64,
        input: &[u8],
        out: &mut [u8],
    ) -> Result<(i32, usize), Errno> {
        let (number, why) = match self.ask(id, cmd, arg, input, out)? {
            Asked::Done(value, len) => return Ok((value, len)),
            Asked::Waits(number) => (number, Errno::ETIME),
            Asked::CopyIn { number, .. } | Asked::CopyOut { number, .. } => (number, Errno::EFAULT),
        };
        self.ask(id, GIVE_UP, number.into(), &[], &mut [])?;
        Err(why)
    }

    /// `pipe(2)` of streams: what is sent at one end is received at the other.
    ///
    /// # Errors
    /// EMFILE, ENOBUFS.
    fn pipe(&self) -> Result<(Id, Id), Errno>;

    /// Lends a buffer of at least `len` bytes, to be filled and sent from where it lies. It is the
    /// caller's until it is sent or given back.
    ///
    /// # Errors
    /// EINVAL for none or more than 65536; ENOBUFS when no more is left.
    fn lend(&self, len: usize) -> Result<NonNull<u8>, Errno>;

    /// Sends the first `len` octets of a buffer, which is the stack's from then on: a message of a
    /// stream, octets of a connection, a datagram to the peer. It is free again when what it holds
    /// is acknowledged, or read.
    ///
    /// # Errors
    /// EINVAL for what is not on loan, or shorter; EAGAIN without room; ENOBUFS; as
    /// [`Sockets::send`] and [`Sockets::putmsg`]. The buffer is on loan as before.
    fn send_lent(&self, id: Id, at: NonNull<u8>, len: usize) -> Result<(), Errno>;

    /// A buffer that was not sent is the stack's again.
    ///
    /// # Errors
    /// EINVAL for what is not on loan.
    fn take_back(&self, at: NonNull<u8>) -> Result<(), Errno>;

    /// Buffers that were sent and are not free again.
    ///
    /// # Errors
    /// ENETDOWN.
    fn lent(&self) -> Result<usize, Errno>;
}
