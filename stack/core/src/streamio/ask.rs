//! Questions about a stream that take nothing from it. An error that does not last is not used up
//! by them (E4).

use crate::errno::Errno;
use crate::head::{Mark, Partial, PollEvents, Waiting, Want};
use crate::net::queue_no;
use crate::perimeter::{Perimeter, StreamId};
use crate::queue::Side;
use millstream_msg::{Band, Msg};

impl Perimeter {
    /// From now on [`HeadEvent::Readable`](crate::HeadEvent::Readable) tells of each message that
    /// arrives at a head, not only of the first, as edges of `epoll(7)` need it. What is no stream
    /// any more tells of nothing.
    pub fn tell_of_each(&mut self, stream: StreamId) {
        if let Ok((head, ..)) = self.head(stream) {
            head.tells_each = true;
        }
    }

    /// What of `asked` a program could do now (`poll(2)`); HUP, and ERR of the side asked about,
    /// besides. NVAL when the stream is linked. Not writable registers for a `Writable` event.
    ///
    /// # Errors
    /// EBADF when closed.
    pub fn poll_head(&mut self, stream: StreamId, asked: PollEvents) -> Result<PollEvents, Errno> {
        match self.head(stream) {
            Ok((head, net, pair)) => Ok(head.poll(net, pair, asked)),
            Err(Errno::EINVAL) => Ok(PollEvents::NVAL),
            Err(errno) => Err(errno),
        }
    }

    /// As [`Perimeter::getpmsg_into`], leaving everything where it is (I_PEEK). `Ok(None)` when
    /// no message is first that is wanted.
    ///
    /// # Errors
    /// EBADMSG when a passed descriptor is first, EINVAL when linked, the recorded read error of a
    /// failed stream.
    pub fn peek(
        &mut self,
        stream: StreamId,
        want: Want,
        control: Option<&mut [u8]>,
        data: Option<&mut [u8]>,
    ) -> Result<Option<Partial>, Errno> {
        let (head, net, pair) = self.head(stream)?;
        head.peek(net, pair, want, control, data)
    }

    /// The last of the messages that wait, left where it is: word that nothing follows can be known
    /// before what came ahead of it was read. `None` also when the stream is linked or closed.
    pub fn peek_last(&mut self, stream: StreamId) -> Option<&Msg> {
        let (_, net, pair) = self.head(stream).ok()?;
        net.queue(queue_no(pair, Side::Read))?.held.back()
    }

    /// How many messages wait, and data bytes of the first (I_NREAD).
    ///
    /// # Errors
    /// EINVAL when linked, the recorded read error of a failed stream.
    pub fn waiting(&mut self, stream: StreamId) -> Result<Waiting, Errno> {
        let (head, net, pair) = self.head(stream)?;
        head.waiting(net, pair)
    }

    /// Does a message of this band wait (I_CKBAND)? Of band 0: does any?
    ///
    /// # Errors
    /// As [`Perimeter::waiting`].
    pub fn band_waits(&mut self, stream: StreamId, band: Band) -> Result<bool, Errno> {
        let (head, net, pair) = self.head(stream)?;
        head.band_waits(net, pair, band)
    }

    /// The band of the first message (I_GETBAND).
    ///
    /// # Errors
    /// As [`Perimeter::waiting`]; ENODATA without one.
    pub fn first_band(&mut self, stream: StreamId) -> Result<Band, Errno> {
        let (head, net, pair) = self.head(stream)?;
        head.first_band(net, pair)
    }

    /// Is the first message marked (I_ATMARK)?
    ///
    /// # Errors
    /// As [`Perimeter::waiting`].
    pub fn at_mark(&mut self, stream: StreamId, mark: Mark) -> Result<bool, Errno> {
        let (head, net, pair) = self.head(stream)?;
        head.at_mark(net, pair, mark)
    }

    /// Would flow control let a message of this band down, or of any band when none is named
    /// (I_CANPUT)? No registers for a `Writable` event.
    ///
    /// # Errors
    /// EINVAL when linked, the recorded error of a failed stream.
    pub fn can_put(&mut self, stream: StreamId, band: Option<Band>) -> Result<bool, Errno> {
        let (head, net, pair) = self.head(stream)?;
        head.can_put(net, pair, band)
    }
}
