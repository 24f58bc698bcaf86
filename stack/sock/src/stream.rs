//! A stream: putmsg and getmsg, and the modules in between.

mod ask;
pub(crate) mod bytes;
mod options;

use crate::stack::lock;
use millstream_core::{
    Change, Errno, Got, Module, Partial, Perimeter, PlumbError, PollEvents, Priority, StreamId,
    Want,
};
use millstream_host::{End, EndError};
use millstream_msg::{Band, Kind, Msg, Pool};
use std::io;
use std::os::fd::BorrowedFd;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

/// An open stream. Closed when dropped. Methods take `&self`: threads may share it.
#[derive(Debug)]
pub struct Stream {
    end: End,
    pool: Arc<Mutex<Pool>>,
    headroom: usize,
    waits: Mutex<Waits>,
}

#[derive(Clone, Copy, Debug, Default)]
struct Waits {
    read: Option<Duration>,
    write: Option<Duration>,
    nonblocking: bool,
}

/// What `getmsg` gave: copies of both parts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Message {
    /// The control part, if the message had one.
    pub control: Option<Vec<u8>>,
    /// The data part, if the message had one.
    pub data: Option<Vec<u8>>,
    /// How urgent it was.
    pub priority: Priority,
}

impl Stream {
    pub(crate) fn new(end: End, pool: Arc<Mutex<Pool>>, headroom: usize) -> Self {
        Self { end, pool, headroom, waits: Mutex::default() }
    }

    /// Sends one message of copies of both parts (`putpmsg(2)`). All or nothing.
    ///
    /// # Errors
    /// `WouldBlock` when flow control refuses it and the stream is non-blocking or the write
    /// time-out is over; `InvalidInput` for a high-priority message without control part; ENXIO
    /// after a hangup; ENOSR without memory; the recorded error of a failed stream.
    pub fn putmsg(
        &self,
        control: Option<&[u8]>,
        data: Option<&[u8]>,
        priority: Priority,
    ) -> io::Result<()> {
        if self.end.is_at_head() {
            let deadline = self.write_deadline();
            let sent =
                self.end.until(deadline, |core, at| core.putpmsg(at, control, data, priority));
            return sent.map_err(failure);
        }
        let msg = match (control, data) {
            (None, None) => return Ok(()),
            (None, _) if priority == Priority::High => return Err(errno(Errno::EINVAL)),
            (None, Some(data)) => self.copy(data)?,
            (Some(control), data) => {
                let mut msg = lock(&self.pool).copy_from(0, control).map_err(|_| no_memory())?;
                msg.set_kind_all(if priority == Priority::High {
                    Kind::PcProto
                } else {
                    Kind::Proto
                });
                if let Some(data) = data {
                    msg.link(self.copy(data)?);
                }
                msg
            }
        };
        self.send(msg, priority)
    }

    /// Sends a message that the caller owns; no byte is copied. Its parts follow from the kinds of
    /// its blocks. See [`Stream::alloc`].
    ///
    /// # Errors
    /// As [`Stream::putmsg`]. The message is lost with the error.
    pub fn send(&self, mut msg: Msg, priority: Priority) -> io::Result<()> {
        if let Priority::Band(band) = priority {
            msg.set_band(Band(band));
        }
        let deadline = self.write_deadline();
        if self.end.is_at_head() {
            return self.end.put_at_head(msg, deadline).map_err(failure);
        }
        self.end.put(msg, deadline).map_err(|(error, _)| failure(error))
    }

    /// Takes the first message and copies both parts out (`getmsg(2)`); `None` when the line is
    /// gone and all was read.
    ///
    /// # Errors
    /// `WouldBlock` without a message when the stream is non-blocking or the read time-out is
    /// over; the recorded error of a failed stream.
    pub fn getmsg(&self) -> io::Result<Option<Message>> {
        let Some(got) = self.receive()? else { return Ok(None) };
        let copy = |part: &Msg| {
            let mut bytes = vec![0; part.len()];
            part.copy_out(0, &mut bytes);
            bytes
        };
        Ok(Some(Message {
            control: got.control.as_ref().map(copy),
            data: got.data.as_ref().map(copy),
            priority: if got.high { Priority::High } else { Priority::Band(got.band.0) },
        }))
    }

    /// Takes the first message as it is; no byte is copied.
    ///
    /// # Errors
    /// As [`Stream::getmsg`].
    pub fn receive(&self) -> io::Result<Option<Got>> {
        self.end.get(self.read_deadline()).map_err(failure)
    }

    /// Takes the first message as it is, if it is one that is wanted (`getpmsg(2)`). Of a stream
    /// opened with `Stack::open_ahead`, one that is still at the head.
    ///
    /// # Errors
    /// As [`Stream::getmsg`]; another message that is first is waited for to be gone.
    pub fn receive_wanted(&self, want: Want) -> io::Result<Option<Got>> {
        self.end.get_wanted(want, self.read_deadline()).map_err(failure)
    }

    /// Copies the first message out as far as the buffers reach, if it is one that is wanted
    /// (`getpmsg(2)`). The rest is first again, in its band and type; a part without buffer is not
    /// wanted and stays. `None` when the line is gone and all was read, or when nothing is there
    /// and both buffers are empty.
    ///
    /// # Errors
    /// As [`Stream::receive_wanted`].
    pub fn getmsg_into(
        &self,
        want: Want,
        mut control: Option<&mut [u8]>,
        mut data: Option<&mut [u8]>,
    ) -> io::Result<Option<Partial>> {
        let copied = self.end.until(self.read_deadline(), |core, at| {
            core.getpmsg_into(at, want, control.as_deref_mut(), data.as_deref_mut())
        });
        copied.map_err(failure)
    }

    /// An empty message for [`Stream::send`], with the room in front that the modules below want.
    ///
    /// # Errors
    /// ENOSR when this process has too many messages under way.
    pub fn alloc(&self, len: usize) -> io::Result<Msg> {
        lock(&self.pool).alloc(self.headroom, len).map_err(|_| no_memory())
    }

    /// A message that holds a copy of `data`, as [`Stream::alloc`].
    ///
    /// # Errors
    /// As [`Stream::alloc`].
    pub fn copy(&self, data: &[u8]) -> io::Result<Msg> {
        lock(&self.pool).copy_from(self.headroom, data).map_err(|_| no_memory())
    }

    /// Puts a module in just below the head (`I_PUSH`).
    ///
    /// # Errors
    /// [`PlumbError`], or that the stack has stopped, as an I/O error.
    pub fn push(&self, module: Box<dyn Module>) -> io::Result<()> {
        let stream = self.end.stream();
        self.replumb(move |core| core.push(stream, module))
    }

    /// Takes the topmost module out (`I_POP`); what it held goes on its way.
    ///
    /// # Errors
    /// As [`Stream::push`].
    pub fn pop(&self) -> io::Result<()> {
        let stream = self.end.stream();
        self.replumb(move |core| core.pop(stream))
    }

    /// Names of the modules and of what is at the bottom, top down (`I_LIST`); of a pipe, the
    /// modules of this end.
    ///
    /// # Errors
    /// As [`Stream::push`].
    pub fn list(&self) -> io::Result<Vec<String>> {
        let stream = self.end.stream();
        self.plumb(move |core| {
            let chain = core.chain(stream)?;
            let below = chain.into_iter().skip(1).filter(|node| node.kind != "pipe");
            Ok(below.map(|node| node.name).collect())
        })
    }

    /// Whether operations return `WouldBlock` instead of waiting (O_NONBLOCK).
    pub fn set_nonblocking(&self, nonblocking: bool) {
        self.change(|waits| waits.nonblocking = nonblocking);
    }

    /// How long reading waits; `None` for ever.
    pub fn set_read_timeout(&self, wait: Option<Duration>) {
        self.change(|waits| waits.read = wait);
    }

    /// How long writing waits; `None` for ever.
    pub fn set_write_timeout(&self, wait: Option<Duration>) {
        self.change(|waits| waits.write = wait);
    }

    /// A descriptor that polls readable when something of `asked` is possible, and when the stream
    /// is hung up or has failed: for poll(2), epoll(7) and what is built on them. Made by the first
    /// call; later ones may ask for something else. It may poll readable too early, until an
    /// operation finds nothing to do: use it with [`Stream::set_nonblocking`]. Of a stream opened
    /// with `Stack::open_ahead` it says what is at the head.
    ///
    /// # Errors
    /// When descriptors are used up or the stack has stopped.
    pub fn ready_fd(&self, asked: PollEvents) -> io::Result<BorrowedFd<'_>> {
        self.end.ready_fd(asked).map_err(failure)
    }

    /// Memory of messages that this process makes.
    pub(crate) fn pool(&self) -> &Mutex<Pool> {
        &self.pool
    }

    /// Room in front that the modules below the stream's first want. Bytes.
    pub(crate) fn headroom(&self) -> usize {
        self.headroom
    }

    pub(crate) fn end(&self) -> &End {
        &self.end
    }

    /// When reading stops to wait: now, when it does not wait at all.
    pub(crate) fn read_deadline(&self) -> Option<Instant> {
        let waits = self.waits();
        let wait = if waits.nonblocking { Some(Duration::ZERO) } else { waits.read };
        wait.map(|wait| Instant::now() + wait)
    }

    /// When writing stops to wait.
    pub(crate) fn write_deadline(&self) -> Option<Instant> {
        let waits = self.waits();
        let wait = if waits.nonblocking { Some(Duration::ZERO) } else { waits.write };
        wait.map(|wait| Instant::now() + wait)
    }

    /// Does something at the head that does not wait.
    fn at_head<T>(
        &self,
        work: impl FnOnce(&mut Perimeter, StreamId) -> Result<T, Errno>,
    ) -> io::Result<T> {
        self.end.at_head(work).map_err(failure)?.map_err(errno)
    }

    fn waits(&self) -> Waits {
        *self.waits.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }

    fn change(&self, change: impl FnOnce(&mut Waits)) {
        change(&mut self.waits.lock().unwrap_or_else(std::sync::PoisonError::into_inner));
    }

    /// A change of the stream, waited for to its end.
    fn replumb<T: Send + 'static>(
        &self,
        work: impl FnOnce(&mut Perimeter) -> Result<Change<T>, PlumbError>,
    ) -> io::Result<()> {
        let ended = self.end.handle().change(work, |why| why);
        ended.map_err(io::Error::other)?.map(drop).map_err(io::Error::other)
    }

    fn plumb<T>(
        &self,
        work: impl FnOnce(&mut Perimeter) -> Result<T, PlumbError>,
    ) -> io::Result<T> {
        let done = self.end.handle().enter(|shard| work(shard.core()));
        done.map_err(|refused| failure(refused.into()))?.map_err(io::Error::other)
    }
}

pub(crate) fn errno(errno: Errno) -> io::Error {
    io::Error::from_raw_os_error(errno.0)
}

fn no_memory() -> io::Error {
    errno(Errno::ENOSR)
}

pub(crate) fn failure(error: EndError) -> io::Error {
    match error {
        EndError::WouldBlock => io::ErrorKind::WouldBlock.into(),
        EndError::Failed(number) => errno(number),
        EndError::Gone(gone) => io::Error::new(io::ErrorKind::NotConnected, gone),
    }
}
