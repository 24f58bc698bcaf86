//! Pipes of streams, and streams that are handed through them.

use crate::stack::{OpenError, Stack};
use crate::stream::{Stream, failure};
use millstream_core::ioctl::Cred;
use std::any::Any;
use std::io;

/// Makes a pipe on a stack: what is sent at one end is received at the other, both ways. Each end
/// takes modules of its own.
///
/// # Errors
/// [`OpenError::Gone`] when the stack has stopped.
pub fn pipe(stack: &Stack) -> Result<(Stream, Stream), OpenError> {
    let streams = stack.handle().call(|shard| shard.core().pipe(["pipe", "pipe"]))?;
    let [one, other] = streams.map(|stream| stack.attach(stream, 0));
    Ok((one?, other?))
}

/// What came through a pipe.
#[derive(Debug)]
pub struct Received {
    /// The stream.
    pub stream: Stream,
    /// Who sent it.
    pub cred: Cred,
}

impl Stream {
    /// Hands a stream to the other end of this pipe (I_SENDFD). Its place is behind what was
    /// received there before; it does not pass through modules. Does not wait.
    ///
    /// # Errors
    /// The stream comes back, unless the stack has stopped: EINVAL when this is no pipe; ENXIO
    /// when the other end is closed; EAGAIN when it is full; ENOSR without memory.
    pub fn send_fd(&self, stream: Self) -> Result<(), (io::Error, Option<Self>)> {
        self.end().send_fd(Box::new(stream)).map_err(|(error, parcel)| {
            let stream = parcel.and_then(opened);
            (failure(error), stream)
        })
    }

    /// Takes the stream that was handed through this pipe (I_RECVFD), waiting for one like a read.
    ///
    /// # Errors
    /// EBADMSG when data is first; ENXIO when the other end is closed and nothing is left;
    /// `WouldBlock` when the stream is non-blocking or the read time-out is over.
    pub fn recv_fd(&self) -> io::Result<Received> {
        let passed = self.end().recv_fd(self.read_deadline()).map_err(failure)?;
        let cred = passed.cred;
        let stream = opened(passed.handle);
        let no_stream = || io::Error::other("what came through the pipe is no stream");
        Ok(Received { stream: stream.ok_or_else(no_stream)?, cred })
    }
}

fn opened(parcel: Box<dyn Any + Send>) -> Option<Stream> {
    Some(*parcel.downcast::<Stream>().ok()?)
}
