//! Many streams that one thread waits for, as with epoll(7), without descriptors.

use crate::stack::Stack;
use crate::stream::{Stream, failure};
use millstream_core::PollEvents;
use millstream_host::{EndError, HeadSet, ReadyHead};
use std::io;
use std::time::{Duration, Instant};

/// Streams and sockets of one stack that a thread waits for together. Level-triggered: what is
/// ready is told again until it is not. A stream is in one set at a time, and leaves it when it is
/// closed. While it waits, a thread does the stack's work, as in a call of one stream.
///
/// ```no_run
/// use millstream::{PollEvents, StreamSet};
/// # fn serve(stack: &millstream::Stack, socket: &millstream::TcpStream) -> std::io::Result<()> {
/// let set = StreamSet::new(stack)?;
/// set.add(socket.stream(), 7, PollEvents::READ)?;
/// let mut ready = Vec::new();
/// set.wait(&mut ready, None)?;
/// for (name, events) in ready {
///     println!("socket {name}: {events:?}");
/// }
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
pub struct StreamSet(HeadSet);

impl StreamSet {
    /// An empty set.
    ///
    /// # Errors
    /// When the stack has stopped.
    pub fn new(stack: &Stack) -> io::Result<Self> {
        HeadSet::new(stack.handle()).map(Self).map_err(|gone| failure(gone.into()))
    }

    /// Waits also for this stream, for any of `asked`, under a name. One that is a member already
    /// gets another name, and is asked for something else.
    ///
    /// # Errors
    /// EINVAL for a stream of another stack, and for one of [`Stack::open_ahead`]; when the stack
    /// has stopped.
    pub fn add(&self, stream: &Stream, name: u64, asked: PollEvents) -> io::Result<()> {
        self.0.add(stream.end(), name, asked).map_err(failure)
    }

    /// Waits for this stream no longer.
    ///
    /// # Errors
    /// When the stack has stopped.
    pub fn remove(&self, stream: &Stream) -> io::Result<()> {
        self.0.remove(stream.end()).map_err(failure)
    }

    /// Puts the names of those that are ready into `ready`, which is emptied first, with what is
    /// possible. Waits for one, at most so long; nobody is ready then. `None` waits for ever.
    ///
    /// # Errors
    /// When the stack has stopped.
    pub fn wait(&self, ready: &mut Vec<ReadyHead>, wait: Option<Duration>) -> io::Result<()> {
        match self.0.wait(ready, wait.map(|wait| Instant::now() + wait)) {
            Err(EndError::WouldBlock) => Ok(()),
            other => other.map_err(failure),
        }
    }
}
