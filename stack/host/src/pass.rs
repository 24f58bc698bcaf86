//! pass: ends hand things to the other end of a pipe (I_SENDFD, I_RECVFD), and name other streams
//! to what is below (I_FDINSERT).

use crate::end::{End, EndError};
use crate::ioctl::own_cred;
use millstream_core::{Errno, FdInsert, Passed, Priority, StreamId};
use std::any::Any;
use std::time::Instant;

/// A thing that was not sent, with the reason.
pub type Unsent = (EndError, Option<Box<dyn Any + Send>>);

impl End {
    /// Hands a thing to the other end of the pipe. Does not wait.
    ///
    /// # Errors
    /// As `Perimeter::send_fd`; the thing comes back.
    pub fn send_fd(&self, handle: Box<dyn Any + Send>) -> Result<(), Unsent> {
        let (stream, cred) = (self.stream(), own_cred());
        let mut unsent = Some(handle);
        let sent = self.handle().enter(|shard| {
            let Some(handle) = unsent.take() else { return Ok(()) };
            shard.flush_end(stream);
            shard.core().send_fd(stream, handle, cred)
        });
        match sent {
            Ok(sent) => sent.map_err(|(errno, handle)| (EndError::Failed(errno), Some(handle))),
            Err(refused) => Err((refused.into(), unsent)),
        }
    }

    /// Sends a message whose control part names another stream at an offset. Does not wait.
    ///
    /// # Errors
    /// As `Perimeter::fd_insert`; [`EndError::WouldBlock`] when flow control refuses it.
    pub fn fd_insert(
        &self,
        control: &[u8],
        data: Option<&[u8]>,
        priority: Priority,
        (other, offset): (StreamId, usize),
    ) -> Result<(), EndError> {
        let stream = self.stream();
        let sent = self.handle().enter(|shard| {
            shard.flush_end(stream);
            shard.core().fd_insert(stream, FdInsert { control, data, priority, other, offset })
        })?;
        sent.map_err(|errno| match errno {
            Errno::EAGAIN => EndError::WouldBlock,
            errno => EndError::Failed(errno),
        })
    }

    /// Takes the thing that is first, waiting for one until `deadline` (`None`: for ever).
    ///
    /// # Errors
    /// EBADMSG when data is first, ENXIO when the other end is closed and nothing is left,
    /// [`EndError::WouldBlock`] at the deadline.
    pub fn recv_fd(&self, deadline: Option<Instant>) -> Result<Passed, EndError> {
        if self.is_at_head() {
            return self.until(deadline, |core, at| core.recv_fd(at));
        }
        let stream = self.stream();
        loop {
            if self.has_received() {
                return Err(EndError::Failed(Errno::EBADMSG));
            }
            let taken = self.handle().enter(|shard| shard.take_passed(stream))?;
            match taken {
                Err(Errno::EAGAIN) => {}
                // It came since.
                Err(Errno::EBADMSG) if self.has_received() => {}
                other => return other.map_err(EndError::Failed),
            }
            if !self.wait_for_passed(deadline) {
                return Err(EndError::WouldBlock);
            }
        }
    }
}
