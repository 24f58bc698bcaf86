//! What a program does with ioctls at the head of a stream.

use super::{IocId, Progress, Request, is_link_command};
use crate::errno::Errno;
use crate::perimeter::{Perimeter, StreamId};

impl Perimeter {
    /// Begins an ioctl: it is sent down when those before it are over. A
    /// [`crate::HeadEvent::Ioctl`] says when [`Perimeter::ioctl_progress`] has something.
    ///
    /// # Errors
    /// EINVAL for too much data, a time-out below -1, a command of the link family, or a stream
    /// that is linked; ENXIO after a hangup; the recorded error of a failed stream; EAGAIN when too
    /// many wait; ENOSR without memory; EBADF when closed.
    pub fn ioctl(&mut self, stream: StreamId, request: Request<'_>) -> Result<IocId, Errno> {
        let (head, net, pair) = self.head(stream)?;
        if is_link_command(request.cmd) {
            return Err(Errno::EINVAL);
        }
        head.ioctl(net, pair, request)
    }

    /// What an ioctl wants from its caller: to take its result, which is given once, or to copy.
    /// `None` while it is under way. It ends with ETIME when no answer came in time, ENXIO at a
    /// hangup, the error of a stream that fails, the error of a refusal (EINVAL when it gives
    /// none), EPROTO for an answer that makes no sense.
    pub fn ioctl_progress(&mut self, stream: StreamId, id: IocId) -> Option<Progress> {
        self.head(stream).ok()?.0.ioctl_progress(id)
    }

    /// The caller has copied as [`Progress`] asked: the bytes of a copy in, nothing of a copy out;
    /// or could not (EFAULT), which ends the ioctl with that error.
    ///
    /// # Errors
    /// EINVAL when no copy was asked for; EBADF when closed.
    pub fn ioctl_copied(
        &mut self,
        stream: StreamId,
        id: IocId,
        outcome: Result<&[u8], Errno>,
    ) -> Result<(), Errno> {
        let (head, net, pair) = self.head(stream)?;
        head.ioctl_copied(net, pair, id, outcome)
    }

    /// Nobody waits for an ioctl any more; an answer is dropped as late.
    pub fn ioctl_cancel(&mut self, stream: StreamId, id: IocId) {
        if let Ok((head, net, pair)) = self.head(stream) {
            head.ioctl_cancel(net, pair, id);
        }
    }
}
