//! channel: one end of a port. Requests or replies go into it and come out of it whole, whatever
//! carries them; small ones leave together.

use super::wire::{DATA_MAX, HEAD, Head};
use rustix::io::Errno;
use rustix::net::sockopt::{Timeout, set_socket_timeout};
use rustix::net::{AddressFamily, SocketFlags, SocketType};
use std::io::{self, ErrorKind, IoSlice};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::time::Duration;

/// What carries requests and replies between a client and the daemon.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Carrier {
    /// A Unix socket, bytes.
    Stream,
    /// A Unix socket, packets: each has whole requests.
    Packets,
    /// A pipe each way.
    Pipes,
}

/// One end of a port.
#[derive(Debug)]
pub struct Channel {
    input: OwnedFd,
    /// Absent where the input is both.
    output: Option<OwnedFd>,
    packets: bool,
    /// Bytes that came, from `at` on not yet taken, up to `have`.
    came: Vec<u8>,
    at: usize,
    have: usize,
    /// Bytes that wait to leave.
    out: Vec<u8>,
    /// There was no room for them.
    full: bool,
}

/// Most bytes of one packet, and what is read at once.
const PACKET_MAX: usize = 1 << 17;

/// What is not longer waits until [`Channel::flush`], to leave with others.
const SMALL: usize = 4096;

impl Carrier {
    /// All there are.
    pub const ALL: [Self; 3] = [Self::Stream, Self::Packets, Self::Pipes];

    /// Where the daemon listens for clients that use it.
    pub fn path(self, of_daemon: &Path) -> PathBuf {
        of_daemon.with_extension(self.name())
    }

    /// As an argument of a command.
    pub fn name(self) -> &'static str {
        match self {
            Self::Stream => "stream",
            Self::Packets => "packets",
            Self::Pipes => "pipes",
        }
    }

    /// A Unix socket for it, or to exchange pipes over.
    ///
    /// # Errors
    /// The kernel's, when descriptors are used up.
    pub fn socket(self, flags: SocketFlags) -> io::Result<OwnedFd> {
        let kind = match self {
            Self::Packets => SocketType::SEQPACKET,
            Self::Stream | Self::Pipes => SocketType::STREAM,
        };
        let flags = flags | SocketFlags::CLOEXEC;
        Ok(rustix::net::socket_with(AddressFamily::UNIX, kind, flags, None)?)
    }
}

impl std::fmt::Display for Carrier {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Stream => "Unix stream socket",
            Self::Packets => "Unix packet socket",
            Self::Pipes => "pipes",
        })
    }
}

impl Channel {
    /// Over one descriptor, or over one for what comes and one for what goes.
    pub fn new(carrier: Carrier, input: OwnedFd, output: Option<OwnedFd>) -> Self {
        let packets = carrier == Carrier::Packets;
        // One more: a packet that is too long is seen to be so.
        let came = vec![0; PACKET_MAX + 1];
        Self { input, output, packets, came, at: 0, have: 0, out: Vec::new(), full: false }
    }

    /// Polls readable when something has come.
    pub fn input(&self) -> BorrowedFd<'_> {
        self.input.as_fd()
    }

    /// Polls writable when something may leave.
    pub fn output(&self) -> BorrowedFd<'_> {
        self.output.as_ref().unwrap_or(&self.input).as_fd()
    }

    /// Are input and output one descriptor?
    pub fn is_one(&self) -> bool {
        self.output.is_none()
    }

    /// No read and no write waits for longer: what they could not do in time is not done.
    ///
    /// # Errors
    /// `Unsupported` for pipes.
    pub fn set_time_out(&self, time_out: Duration) -> io::Result<()> {
        if !self.is_one() {
            return Err(ErrorKind::Unsupported.into());
        }
        for direction in [Timeout::Recv, Timeout::Send] {
            set_socket_timeout(&self.input, direction, Some(time_out))?;
        }
        Ok(())
    }

    /// Something waits that the other side had no room for.
    pub fn is_clogged(&self) -> bool {
        self.full
    }

    /// Reads what has come; false at the end.
    ///
    /// # Errors
    /// `WouldBlock` when there is nothing; `InvalidData` for a packet that is too long; the
    /// kernel's.
    pub fn fill(&mut self) -> io::Result<bool> {
        self.came.copy_within(self.at..self.have, 0);
        (self.at, self.have) = (0, self.have - self.at);
        let n = rustix::io::read(&self.input, &mut self.came[self.have..])?;
        self.have += n;
        if self.packets && (n > PACKET_MAX || !self.is_whole()) {
            return Err(ErrorKind::InvalidData.into());
        }
        Ok(n > 0)
    }

    /// Do heads and what follows them end where the packet does?
    fn is_whole(&self) -> bool {
        let mut at = self.at;
        while let Some(head) = Head::parse(&self.came[at..self.have]) {
            at = at.saturating_add(HEAD).saturating_add(head.len as usize);
            if at > self.have {
                return false;
            }
        }
        at == self.have
    }

    /// The next head with what follows it, if they have come. Taken with [`Channel::take`].
    ///
    /// # Errors
    /// `InvalidData` when more follows than may.
    pub fn next(&self) -> io::Result<Option<(Head, &[u8])>> {
        let Some(head) = Head::parse(&self.came[self.at..self.have]) else { return Ok(None) };
        let len = head.len as usize;
        if len > DATA_MAX {
            return Err(ErrorKind::InvalidData.into());
        }
        let data = self.at + HEAD;
        Ok(self.came[..self.have].get(data..data + len).map(|data| (head, data)))
    }

    /// The next one was looked at.
    pub fn take(&mut self, head: Head) {
        self.at += HEAD + head.len as usize;
    }

    /// Sends a head and what follows it, or keeps it until the next flush if it is small. What
    /// there is no room for is kept in any case.
    ///
    /// # Errors
    /// The kernel's: the other side has gone.
    pub fn put(&mut self, head: Head, data: &[&[u8]]) -> io::Result<()> {
        let len: usize = data.iter().map(|piece| piece.len()).sum();
        let head = Head { len: len as u32, ..head }.bytes();
        let given = &data[..data.len().min(PIECES)];
        debug_assert_eq!(given.len(), data.len(), "more pieces than a write takes");
        let mut out = std::mem::take(&mut self.out);
        let before = out.len();
        let mut sent = 0;
        if before + HEAD + len > SMALL {
            let mut pieces = [&[][..]; PIECES + 2];
            (pieces[0], pieces[1]) = (&out, &head);
            pieces[2..2 + given.len()].copy_from_slice(given);
            sent = self.write(&pieces[..2 + given.len()])?;
            self.full = sent < before + HEAD + len;
        }
        out.drain(..sent.min(before));
        sent = sent.saturating_sub(before);
        for piece in [&head[..]].iter().chain(given) {
            let skipped = sent.min(piece.len());
            out.extend_from_slice(&piece[skipped..]);
            sent -= skipped;
        }
        self.out = out;
        Ok(())
    }

    /// Sends what was kept, as far as there is room.
    ///
    /// # Errors
    /// As [`Channel::put`].
    pub fn flush(&mut self) -> io::Result<()> {
        self.full = false;
        while !self.out.is_empty() && !self.full {
            let sent = self.write(&[&self.out])?;
            self.out.drain(..sent);
            self.full = sent == 0;
        }
        Ok(())
    }

    /// How much there was room for.
    fn write(&self, pieces: &[&[u8]]) -> io::Result<usize> {
        let mut slices = [IoSlice::new(&[]); PIECES + 2];
        for (slice, piece) in slices.iter_mut().zip(pieces) {
            *slice = IoSlice::new(piece);
        }
        match rustix::io::writev(self.output(), &slices[..pieces.len()]) {
            Ok(sent) => Ok(sent),
            Err(Errno::AGAIN | Errno::INTR | Errno::NOBUFS) => Ok(0),
            Err(errno) => Err(errno.into()),
        }
    }
}

/// Pieces of data of one reply.
pub const PIECES: usize = 64;
