//! buffers: memory of which programs have spans on loan, in this process or through a port.

use crate::port::area::Area;
use crate::socket::{Kind, Socket};
use millstream_core::{Errno, Perimeter, StreamId};
use millstream_msg::Msg;
use millstream_port::Memory;
use millstream_port::loan::Loans;
use millstream_port::ring::Ring;
use std::io;
use std::sync::Arc;

/// A memory, what of it is free, and what is on loan.
#[derive(Debug)]
pub struct Buffers {
    pub(crate) area: Area,
    loans: Loans,
}

/// Where a buffer is sent.
#[derive(Debug)]
pub enum To<'a> {
    /// As a message of data.
    Stream(StreamId),
    /// As octets, or as a datagram to the peer.
    Socket(&'a mut Socket),
}

/// The longest buffer: what one message carries.
const LEN_MAX: usize = 1 << 16;

impl Buffers {
    /// Of `len` bytes of a memory, a power of two, at an offset.
    pub(crate) fn of(memory: Arc<Memory>, at: usize, len: usize) -> Self {
        Self { area: Area::new(at, len), loans: Loans::new(memory) }
    }

    /// Of a memory of its own of `len` bytes, a power of two.
    ///
    /// # Errors
    /// The kernel's.
    pub fn make(len: usize) -> io::Result<(Self, Arc<Memory>)> {
        let memory = Arc::new(Memory::make("millstream-loan", len)?);
        Ok((Self::of(memory.clone(), 0, len), memory))
    }

    /// Lends a buffer of at least `len` bytes.
    ///
    /// # Errors
    /// EINVAL for none or more than a message carries; ENOBUFS when nothing is left.
    pub fn lend(&mut self, core: &mut Perimeter, len: usize) -> Result<Ring, Errno> {
        if len == 0 || len > LEN_MAX {
            return Err(Errno::EINVAL);
        }
        self.collect(core);
        let span = self.area.take_whole(len).ok_or(Errno::ENOBUFS)?;
        self.loans.lend(span);
        Ok(span)
    }

    /// Takes a buffer back that was not sent.
    ///
    /// # Errors
    /// EINVAL when none on loan begins there.
    pub fn take_back(&mut self, at: usize) -> Result<(), Errno> {
        self.area.give_back(self.loans.take_back(at)?);
        Ok(())
    }

    /// Buffers that were sent and are not back.
    pub fn sent(&mut self, core: &mut Perimeter) -> usize {
        self.collect(core);
        self.loans.sent()
    }

    /// Sends the first `len` octets of a buffer, from where they lie.
    ///
    /// # Errors
    /// EINVAL when none on loan begins there, or it is shorter; EAGAIN without room; as the stream
    /// or the socket says. The buffer is on loan as before.
    pub fn send(
        &mut self,
        core: &mut Perimeter,
        to: To<'_>,
        at: usize,
        len: usize,
    ) -> Result<(), Errno> {
        let to: Put<'_> = match to {
            To::Stream(stream) => Box::new(move |core, msg| core.putmsg(stream, msg)),
            To::Socket(socket) if socket.kind() == Kind::Datagram => {
                let peer = socket.destination(core, len, None)?;
                Box::new(move |core, msg| socket.put_datagram(core, peer, msg))
            }
            To::Socket(socket) => {
                socket.may_send(core)?;
                let stream = socket.stream();
                Box::new(move |core, msg| core.putmsg(stream, msg))
            }
        };
        self.loans.send(core, (at, len), to)
    }

    fn collect(&mut self, core: &mut Perimeter) {
        core.pool().run_deferred();
        let area = &mut self.area;
        self.loans.collect(|span| area.give_back(span));
    }
}

type Put<'a> = Box<dyn FnOnce(&mut Perimeter, Msg) -> Result<(), (Errno, Msg)> + 'a>;
