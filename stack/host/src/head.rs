//! head: ends whose messages stay at the head of the stream. Each operation is done there, between
//! two turns, and sees all that waits; who has to wait sleeps until the head tells of something.

use crate::end::{End, EndError};
use crate::inlet::{Gone, Handle};
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

    /// Does something at the stream, between two turns, and waits for its result.
    ///
    /// # Errors
    /// [`Gone`] when the shard has stopped.
    pub fn at_head<T: Send + 'static>(
        &self,
        work: impl FnOnce(&mut Perimeter, StreamId) -> T + Send + 'static,
    ) -> Result<T, Gone> {
        let stream = self.stream();
        self.handle().call(move |shard| work(shard.core(), stream))
    }

    /// Tries until it is not refused with EAGAIN any more, after each event of the head, until
    /// `deadline` (`None`: for ever).
    ///
    /// # Errors
    /// [`EndError::WouldBlock`] at the deadline, or what was tried failed with.
    pub fn until_done<T>(
        &self,
        deadline: Option<Instant>,
        mut attempt: impl FnMut() -> Result<Result<T, Errno>, Gone>,
    ) -> Result<T, EndError> {
        loop {
            // Read before it is tried: what comes in between ends the wait at once.
            let seen = self.events_seen();
            match attempt()? {
                Err(Errno::EAGAIN) => {}
                other => return other.map_err(EndError::Failed),
            }
            if !self.wait_for_event(seen, deadline) {
                return Err(EndError::WouldBlock);
            }
            if let Some(error) = self.failure() {
                return Err(error);
            }
        }
    }

    /// Sends a message, waiting until flow control lets it, until `deadline` (`None`: for ever).
    ///
    /// # Errors
    /// As [`End::put`]. The message is lost with the error.
    pub fn put_at_head(&self, msg: Msg, deadline: Option<Instant>) -> Result<(), EndError> {
        let mut unsent = Some(msg);
        self.until_done(deadline, || {
            let Some(msg) = unsent.take() else { return Ok(Ok(())) };
            let sent = self.at_head(move |core, stream| core.putmsg(stream, msg))?;
            Ok(sent.map_err(|(errno, msg)| {
                unsent = Some(msg);
                errno
            }))
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
        let take = || self.at_head(move |core, stream| core.getpmsg(stream, want));
        self.until_done(deadline, take)
    }

    /// What the stream told of that was asked for with `Perimeter::set_signals`, waiting for
    /// something until `deadline` (`None`: for ever). It is told once.
    ///
    /// # Errors
    /// [`EndError::WouldBlock`] when nothing happened, [`EndError::Gone`] when the shard stopped.
    pub fn take_signals(&self, deadline: Option<Instant>) -> Result<Signals, EndError> {
        self.until_done(deadline, || {
            let signals = self.signals();
            Ok(if signals.is_empty() { Err(Errno::EAGAIN) } else { Ok(signals) })
        })
    }
}
