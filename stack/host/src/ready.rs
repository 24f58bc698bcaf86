//! ready: a descriptor that says what can be done at a head, for poll(2) and epoll(7).

use crate::bell::Bell;
use crate::end::{End, EndError};
use millstream_core::{Errno, Perimeter, PollEvents, StreamId};
use std::os::fd::{AsFd, BorrowedFd};
use std::sync::{Mutex, MutexGuard, PoisonError};

/// Readable while something of what was asked for is possible at a head, or while nobody has looked
/// since it told of something.
#[derive(Debug)]
pub(crate) struct ReadyBell {
    bell: Bell,
    asked: Mutex<PollEvents>,
}

impl ReadyBell {
    pub(crate) fn ring(&self) {
        self.bell.ring();
    }

    pub(crate) fn show(&self, core: &mut Perimeter, stream: StreamId) {
        let asked = *self.asked();
        // An error is something to look at, too.
        if core.poll_head(stream, asked).is_ok_and(PollEvents::is_empty) {
            self.bell.hush();
        } else {
            self.bell.ring();
        }
    }

    fn asked(&self) -> MutexGuard<'_, PollEvents> {
        self.asked.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl End {
    /// A descriptor that polls readable when something of `asked` is possible at the head, and when
    /// the line is gone or has failed; made by the first call, and then the same one. It may poll
    /// readable too early: who finds nothing to do has looked, and it is so no longer.
    ///
    /// # Errors
    /// The kernel's when descriptors are used up; as [`End::at_head`].
    pub fn ready_fd(&self, asked: PollEvents) -> Result<BorrowedFd<'_>, EndError> {
        let ready = &self.shared().ready;
        if ready.get().is_none() {
            let bell = Bell::new().map_err(|error| {
                EndError::Failed(error.raw_os_error().map_or(Errno::EIO, Errno))
            })?;
            // Another thread may have been faster.
            let _made = ready.set(ReadyBell { bell, asked: Mutex::default() });
        }
        let Some(ready) = ready.get() else { return Err(EndError::Failed(Errno::EBADF)) };
        self.at_head(|_, _| *ready.asked() = asked)?;
        Ok(ready.bell.as_fd())
    }
}
