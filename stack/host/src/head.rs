//! head: what is done at the head of a stream by the thread that wants it. It comes into the shard;
//! who has to wait leads, or sleeps until the head tells of something.

use crate::end::{End, EndError};
use crate::inlet::Handle;
use crate::lead::Waits;
use crate::seat::Gone;
use crate::shard::Shard;
use crate::told::Told;
use millstream_core::{Errno, Got, Perimeter, Signals, StreamId, Want};
use millstream_msg::Msg;
use std::time::Instant;

impl End {
    /// Takes over an open stream of the shard, as [`End::attach`], and leaves its messages where
    /// they are.
    ///
    /// # Errors
    /// [`Gone`].
    pub fn attach_head(handle: &Handle, stream: StreamId) -> Result<Self, Gone> {
        Self::take_over(handle, stream, true)
    }

    /// Does something at the stream that does not wait, and runs a turn, as [`Handle::enter`].
    /// `work` may use what the caller has: buffers are copied to and from once.
    ///
    /// # Errors
    /// [`EndError::WouldBlock`] when this thread is inside a stack already, [`EndError::Gone`] when
    /// the shard has stopped, EIO when it has failed.
    pub fn at_head<T>(
        &self,
        work: impl FnOnce(&mut Perimeter, StreamId) -> T,
    ) -> Result<T, EndError> {
        Ok(self.handle().enter(|shard| {
            let done = work(shard.core(), self.stream());
            self.shared().show_ready(shard.core());
            done
        })?)
    }

    /// Tries something at the stream until it is not refused with EAGAIN any more, after each event
    /// of the head, until `deadline` (`None`: for ever; one that has passed: tried once). What an
    /// attempt has sent goes down to the devices before this returns.
    ///
    /// While it waits, the thread runs the shard for all, unless another application's thread does
    /// so: it reads from the devices itself, and what comes for this head wakes nobody else.
    ///
    /// # Errors
    /// [`EndError::WouldBlock`] at the deadline, and at once when this thread is inside a stack
    /// already; what was tried failed with; [`EndError::Gone`] when the shard has stopped.
    pub fn until<T>(
        &self,
        deadline: Option<Instant>,
        mut attempt: impl FnMut(&mut Perimeter, StreamId) -> Result<T, Errno>,
    ) -> Result<T, EndError> {
        self.until_in(deadline, |shard| attempt(shard.core(), self.stream()))
    }

    /// As [`End::until`], with all of the shard.
    pub(crate) fn until_in<T>(
        &self,
        deadline: Option<Instant>,
        attempt: impl FnMut(&mut Shard) -> Result<T, Errno>,
    ) -> Result<T, EndError> {
        self.handle().0.until(self, deadline, attempt)
    }

    /// Sends a message, waiting until flow control lets it, until `deadline` (`None`: for ever).
    ///
    /// # Errors
    /// As [`End::put`]. The message is lost with the error.
    pub fn put_at_head(&self, msg: Msg, deadline: Option<Instant>) -> Result<(), EndError> {
        let mut unsent = Some(msg);
        self.until(deadline, |core, stream| {
            let Some(msg) = unsent.take() else { return Ok(()) };
            core.putmsg(stream, msg).map_err(|(errno, msg)| {
                unsent = Some(msg);
                errno
            })
        })
    }

    /// The first message, owned, if it is one that is wanted, waiting for one until `deadline`
    /// (`None`: for ever); `Ok(None)` when the line is gone and all was read.
    ///
    /// # Errors
    /// [`EndError::WouldBlock`] when none came, or the stream's error.
    pub fn get_wanted(
        &self,
        want: Want,
        deadline: Option<Instant>,
    ) -> Result<Option<Got>, EndError> {
        self.until(deadline, |core, stream| core.getpmsg(stream, want))
    }

    /// What the stream told of that was asked for with `Perimeter::set_signals`, waiting for
    /// something until `deadline` (`None`: for ever). It is told once.
    ///
    /// # Errors
    /// [`EndError::WouldBlock`] when nothing happened, [`EndError::Gone`] when the shard stopped.
    pub fn take_signals(&self, deadline: Option<Instant>) -> Result<Signals, EndError> {
        self.until(deadline, |_, _| {
            let signals = self.signals();
            if signals.is_empty() { Err(Errno::EAGAIN) } else { Ok(signals) }
        })
    }
}

impl Waits for End {
    fn told(&self) -> &Told {
        &self.shared().told
    }

    fn failure(&self) -> Option<EndError> {
        Self::failure(self)
    }

    fn tried(&self, core: &mut Perimeter) {
        self.shared().show_ready(core);
    }
}
