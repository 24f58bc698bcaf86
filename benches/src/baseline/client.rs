//! client: the library of programs that use the daemon. Requests are submitted and their replies
//! taken as they come, so that one thread serves many sockets; or one waits for the reply, as with
//! the kernel's sockets. What is sent and received is copied, through the port.

use super::channel::{Carrier, Channel};
use super::wire::{DATA_MAX, Head, Op, QUIET, address_bytes};
use rustix::net::{RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SocketAddrUnix};
use rustix::net::{SocketFlags, connect, recvmsg};
use std::collections::VecDeque;
use std::io::{self, ErrorKind, IoSliceMut};
use std::mem::MaybeUninit;
use std::net::SocketAddrV4;
use std::os::fd::{BorrowedFd, OwnedFd};
use std::path::Path;
use std::time::Duration;

/// A port of the daemon, and the sockets that were made over it: they end with it.
#[derive(Debug)]
pub struct Client {
    channel: Channel,
    last: u32,
    /// Replies to others than the one that was waited for.
    kept: VecDeque<(Head, Vec<u8>)>,
    /// Longest wait.
    time_out: Option<Duration>,
}

/// A socket of the daemon, as this client's requests name it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Socket(pub u32);

impl Client {
    /// Opens a port of the daemon at `path`.
    ///
    /// # Errors
    /// The kernel's: nobody listens there.
    pub fn open(path: &Path, carrier: Carrier) -> io::Result<Self> {
        let fd = carrier.socket(SocketFlags::empty())?;
        connect(&fd, &SocketAddrUnix::new(carrier.path(path))?)?;
        let (input, output) = match carrier {
            Carrier::Pipes => {
                let (input, output) = pipes(&fd)?;
                (input, Some(output))
            }
            Carrier::Stream | Carrier::Packets => (fd, None),
        };
        let channel = Channel::new(carrier, input, output);
        Ok(Self { channel, last: 0, kept: VecDeque::new(), time_out: None })
    }

    /// No wait for the daemon is longer from now on: `TimedOut`, and the port is of no use any
    /// more. The kernel watches the time, so that no call is made for it.
    ///
    /// # Errors
    /// `Unsupported` over pipes, whose waits have no limit.
    pub fn set_time_out(&mut self, time_out: Duration) -> io::Result<()> {
        self.channel.set_time_out(time_out)?;
        self.time_out = Some(time_out);
        Ok(())
    }

    /// Polls readable when a reply has come, if none was kept.
    pub fn input(&self) -> BorrowedFd<'_> {
        self.channel.input()
    }

    /// Asks for something; the name of its reply. Small requests leave with the next one that
    /// waits for a reply.
    ///
    /// # Errors
    /// The daemon has gone.
    pub fn submit(
        &mut self,
        op: Op,
        Socket(socket): Socket,
        value: u32,
        data: &[u8],
    ) -> io::Result<u32> {
        self.put(op, 0, socket, value, data)
    }

    /// Sends bytes, at most [`DATA_MAX`]; only a failure is answered.
    ///
    /// # Errors
    /// As [`Client::submit`].
    pub fn send_quietly(&mut self, Socket(socket): Socket, data: &[u8]) -> io::Result<u32> {
        self.put(Op::Send, QUIET, socket, 0, data)
    }

    /// The next reply, of whatever request.
    ///
    /// # Errors
    /// `UnexpectedEof` when the daemon has gone.
    pub fn reply<T>(&mut self, look: impl FnOnce(Head, &[u8]) -> T) -> io::Result<T> {
        if let Some((head, data)) = self.kept.pop_front() {
            return Ok(look(head, &data));
        }
        self.next("reply", look)
    }

    /// What was submitted leaves.
    ///
    /// # Errors
    /// The daemon has gone.
    pub fn flush(&mut self) -> io::Result<()> {
        self.channel.flush()?;
        self.in_time("the daemon has not taken what was asked")
    }

    /// A socket that listens.
    ///
    /// # Errors
    /// The daemon's refusal.
    pub fn listen(&mut self, at: SocketAddrV4, backlog: u32) -> io::Result<Socket> {
        let head = self.ask(Op::Listen, Socket(0), backlog, &address_bytes(at), &mut [])?;
        Ok(Socket(head.socket))
    }

    /// Waits for the next connection of a listening socket.
    ///
    /// # Errors
    /// The daemon's refusal.
    pub fn accept(&mut self, listener: Socket) -> io::Result<Socket> {
        Ok(Socket(self.ask(Op::Accept, listener, 0, &[], &mut [])?.socket))
    }

    /// Waits for a connection.
    ///
    /// # Errors
    /// The daemon's refusal, or the peer's.
    pub fn connect(&mut self, to: SocketAddrV4) -> io::Result<Socket> {
        Ok(Socket(self.ask(Op::Connect, Socket(0), 0, &address_bytes(to), &mut [])?.socket))
    }

    /// Sends all, and waits until the daemon has taken it.
    ///
    /// # Errors
    /// The connection's.
    pub fn send(&mut self, socket: Socket, data: &[u8]) -> io::Result<()> {
        for piece in data.chunks(DATA_MAX) {
            self.ask(Op::Send, socket, 0, piece, &mut [])?;
        }
        Ok(())
    }

    /// Waits for bytes; how many, 0 at the end.
    ///
    /// # Errors
    /// The connection's.
    pub fn recv(&mut self, socket: Socket, out: &mut [u8]) -> io::Result<usize> {
        let most = out.len().min(DATA_MAX) as u32;
        Ok(self.ask(Op::Recv, socket, most, &[], out)?.len as usize)
    }

    /// Nothing more will be sent.
    ///
    /// # Errors
    /// The connection's.
    pub fn finish(&mut self, socket: Socket) -> io::Result<()> {
        self.ask(Op::Finish, socket, 0, &[], &mut []).map(drop)
    }

    /// Gives the socket back.
    ///
    /// # Errors
    /// It was none.
    pub fn close(&mut self, socket: Socket) -> io::Result<()> {
        self.ask(Op::Close, socket, 0, &[], &mut []).map(drop)
    }

    fn put(
        &mut self,
        op: Op,
        status: u16,
        socket: u32,
        value: u32,
        data: &[u8],
    ) -> io::Result<u32> {
        self.last = self.last.wrapping_add(1);
        let head = Head { op: op as u16, status, id: self.last, socket, value, len: 0 };
        self.channel.put(head, &[data])?;
        self.in_time("the daemon has not taken what was asked")?;
        Ok(self.last)
    }

    /// A request and its reply.
    fn ask(
        &mut self,
        op: Op,
        socket: Socket,
        value: u32,
        data: &[u8],
        out: &mut [u8],
    ) -> io::Result<Head> {
        let id = self.submit(op, socket, value, data)?;
        loop {
            let (head, other) = self.next(op.name(), |head, data| {
                if head.id != id {
                    return (head, Some(data.to_vec()));
                }
                if let Some(out) = out.get_mut(..data.len()) {
                    out.copy_from_slice(data);
                }
                (head, None)
            })?;
            match other {
                Some(data) => self.kept.push_back((head, data)),
                None => return head.outcome().map(|()| head).map_err(error),
            }
        }
    }

    /// The next reply; `of` what it is waited for.
    fn next<T>(&mut self, of: &str, look: impl FnOnce(Head, &[u8]) -> T) -> io::Result<T> {
        self.flush()?;
        loop {
            if let Some((head, data)) = self.channel.next()? {
                let seen = look(head, data);
                self.channel.take(head);
                return Ok(seen);
            }
            match self.channel.fill() {
                Ok(true) => {}
                Ok(false) => return Err(ErrorKind::UnexpectedEof.into()),
                Err(why) if why.kind() == ErrorKind::Interrupted => {}
                Err(why) if why.kind() == ErrorKind::WouldBlock => {
                    return Err(self.too_long(&format!("{of}: the daemon has not answered")));
                }
                Err(why) => return Err(why),
            }
        }
    }

    /// With a limit of waits, what was not taken is what took too long.
    fn in_time(&self, what: &str) -> io::Result<()> {
        match self.time_out.is_some() && self.channel.is_clogged() {
            true => Err(self.too_long(what)),
            false => Ok(()),
        }
    }

    fn too_long(&self, what: &str) -> io::Error {
        let within = self.time_out.unwrap_or_default();
        io::Error::new(ErrorKind::TimedOut, format!("{what} within {within:?}"))
    }
}

/// An error number of the daemon as an error of a program.
pub fn error(errno: millstream_core::Errno) -> io::Error {
    io::Error::from_raw_os_error(errno.0)
}

/// Both pipes of a port, which the daemon has made: what comes, and what goes.
fn pipes(from: &OwnedFd) -> io::Result<(OwnedFd, OwnedFd)> {
    let mut room = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(2))];
    let mut with = RecvAncillaryBuffer::new(&mut room);
    let mut one = [0; 1];
    recvmsg(from, &mut [IoSliceMut::new(&mut one)], &mut with, RecvFlags::CMSG_CLOEXEC)?;
    let mut passed = with.drain().flat_map(|message| match message {
        RecvAncillaryMessage::ScmRights(fds) => fds.collect::<Vec<_>>(),
        _ => Vec::new(),
    });
    match (passed.next(), passed.next()) {
        (Some(input), Some(output)) => Ok((input, output)),
        _ => Err(ErrorKind::UnexpectedEof.into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::net::UnixListener;

    #[test]
    fn what_a_daemon_does_not_answer_or_take_is_over_in_time_and_named() {
        let path = std::env::temp_dir().join(format!("ms-silent-{}", std::process::id()));
        let silent = UnixListener::bind(Carrier::Stream.path(&path)).unwrap();
        let mut client = Client::open(&path, Carrier::Stream).unwrap();
        client.set_time_out(Duration::from_millis(20)).unwrap();
        let why = client.listen("10.0.0.1:7".parse().unwrap(), 1).unwrap_err();
        assert_eq!(why.kind(), ErrorKind::TimedOut);
        assert_eq!(why.to_string(), "listen: the daemon has not answered within 20ms");
        let why = (0..1000).find_map(|_| client.send_quietly(Socket(1), &[0; DATA_MAX]).err());
        let why = why.expect("a megabyte is more than a socket holds");
        assert_eq!(why.kind(), ErrorKind::TimedOut);
        assert_eq!(why.to_string(), "the daemon has not taken what was asked within 20ms");
        drop(silent);
        std::fs::remove_file(Carrier::Stream.path(&path)).unwrap();
    }
}
