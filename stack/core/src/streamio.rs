//! What a program does at the head of a stream: the operations of streamio(7I), whose messages
//! go down and come up here.

mod ask;
mod fdinsert;
mod modules;
mod options;

pub use fdinsert::FdInsert;

use crate::errno::Errno;
use crate::head::{Got, Head, Partial, Priority, Want};
use crate::net::Net;
use crate::perimeter::{Node, Perimeter, StreamId};
use millstream_msg::{Band, Msg};

impl Perimeter {
    /// Sends one message from the head of a stream: M_DATA, M_PROTO or M_PCPROTO. No byte is
    /// copied.
    ///
    /// # Errors
    /// The message is given back: EAGAIN when flow control refuses its band (a `Writable` event
    /// follows), ERANGE when a part is longer than the topmost module or the head takes, ENXIO
    /// after a hangup, EINVAL for another type or when the stream is linked below a multiplexor,
    /// the recorded error of a failed stream.
    #[inline]
    pub fn putmsg(&mut self, stream: StreamId, msg: Msg) -> Result<(), (Errno, Msg)> {
        match self.head(stream) {
            Ok((head, net, pair)) => head.putmsg(net, pair, msg),
            Err(errno) => Err((errno, msg)),
        }
    }

    /// Sends a message although flow control refuses it: what was taken from a program that is
    /// gone, right before [`Perimeter::close`], which looks after it as after all that was sent.
    ///
    /// # Errors
    /// As [`Perimeter::putmsg`], but EAGAIN.
    pub fn putmsg_last(&mut self, stream: StreamId, msg: Msg) -> Result<(), (Errno, Msg)> {
        match self.head(stream) {
            Ok((head, net, pair)) => head.putmsg_last(net, pair, msg),
            Err(errno) => Err((errno, msg)),
        }
    }

    /// Sends a word between modules (M_CTL) as if a module at the top of the stream had. It is for
    /// the owner of the stack: programs have [`Perimeter::putmsg`].
    ///
    /// # Errors
    /// As [`Perimeter::putmsg`]; EINVAL for another type.
    pub fn put_ctl(&mut self, stream: StreamId, msg: Msg) -> Result<(), (Errno, Msg)> {
        match self.head(stream) {
            Ok((head, net, pair)) => head.put_ctl(net, pair, msg),
            Err(errno) => Err((errno, msg)),
        }
    }

    /// Sends one message of copies of both parts (`putpmsg(2)`), never a part of it. Without both,
    /// nothing is sent.
    ///
    /// # Errors
    /// As [`Perimeter::putmsg`]; EINVAL for high priority without a control part; ENOSR without
    /// memory.
    pub fn putpmsg(
        &mut self,
        stream: StreamId,
        control: Option<&[u8]>,
        data: Option<&[u8]>,
        priority: Priority,
    ) -> Result<(), Errno> {
        let headroom = self.headroom(stream).map_err(|error| error.errno())?;
        let (head, net, pair) = self.head(stream)?;
        head.putpmsg(net, pair, headroom, (control, data), priority)
    }

    /// Takes the first message at the head of a stream. `Ok(None)` when the line is gone and
    /// everything was read. No byte is copied.
    ///
    /// # Errors
    /// EAGAIN without a message, EBADMSG when a passed descriptor is first, EINVAL when linked,
    /// the recorded error of a failed stream.
    #[inline]
    pub fn getmsg(&mut self, stream: StreamId) -> Result<Option<Got>, Errno> {
        self.getpmsg(stream, Want::Any)
    }

    /// Takes the first message if it is one that is wanted (`getpmsg(2)`), as
    /// [`Perimeter::getmsg`].
    ///
    /// # Errors
    /// As [`Perimeter::getmsg`]; EAGAIN when another one is first.
    #[inline]
    pub fn getpmsg(&mut self, stream: StreamId, want: Want) -> Result<Option<Got>, Errno> {
        let (head, net, pair) = self.head(stream)?;
        head.getmsg(net, pair, want)
    }

    /// Copies the first message out as far as the buffers reach (`getpmsg(2)`). The rest is first
    /// again, in its band and type; a part without buffer is not wanted and stays. `Ok(None)` when
    /// the line is gone and everything was read, or when nothing is there and both buffers are
    /// empty.
    ///
    /// # Errors
    /// As [`Perimeter::getpmsg`].
    pub fn getpmsg_into(
        &mut self,
        stream: StreamId,
        want: Want,
        control: Option<&mut [u8]>,
        data: Option<&mut [u8]>,
    ) -> Result<Option<Partial>, Errno> {
        let (head, net, pair) = self.head(stream)?;
        head.getmsg_into(net, pair, want, control, data)
    }

    /// Copies data of the stream out (`read(2)`), in the read mode of the head. 0 for an empty
    /// buffer, an empty message, or when the line is gone and everything was read.
    ///
    /// # Errors
    /// As [`Perimeter::getmsg`]; EBADMSG when a control part is first and the mode refuses it.
    pub fn read(&mut self, stream: StreamId, out: &mut [u8]) -> Result<usize, Errno> {
        let node = self.node_of_top(stream)?;
        let (head, net, pair) = self.head(stream)?;
        head.read(net, node, pair, out)
    }

    /// Copies data into messages of at most the topmost module's packet size and sends them
    /// (`write(2)`). How much was sent: less than all when flow control refused the rest.
    ///
    /// # Errors
    /// As [`Perimeter::putpmsg`], when nothing could be sent; ERANGE only when the topmost module
    /// has a smallest packet size.
    pub fn write(&mut self, stream: StreamId, bytes: &[u8]) -> Result<usize, Errno> {
        self.writev(stream, &[bytes])
    }

    /// As [`Perimeter::write`] of all pieces joined (`writev(2)`): they bound no messages.
    ///
    /// # Errors
    /// As [`Perimeter::write`].
    pub fn writev(&mut self, stream: StreamId, pieces: &[&[u8]]) -> Result<usize, Errno> {
        let headroom = self.headroom(stream).map_err(|error| error.errno())?;
        let (head, net, pair) = self.head(stream)?;
        head.write(net, pair, headroom, pieces)
    }

    /// Sends M_FLUSH down (I_FLUSH): `bits` of [`crate::tpi::flush`]. The turns that follow carry
    /// it to the driver and back.
    ///
    /// # Errors
    /// EINVAL for no or other bits, ENXIO after a hangup, ENOSR without memory, the recorded error
    /// of a failed stream.
    pub fn flush(&mut self, stream: StreamId, bits: u8) -> Result<(), Errno> {
        let (head, net, pair) = self.head(stream)?;
        head.send_flush(net, pair, bits, None)
    }

    /// As [`Perimeter::flush`], of one band (I_FLUSHBAND).
    ///
    /// # Errors
    /// As [`Perimeter::flush`].
    pub fn flush_band(&mut self, stream: StreamId, bits: u8, band: Band) -> Result<(), Errno> {
        let (head, net, pair) = self.head(stream)?;
        head.send_flush(net, pair, bits, Some(band))
    }

    /// The head of a stream, the net, and the head's pair.
    #[inline]
    pub(crate) fn head(&mut self, stream: StreamId) -> Result<(&mut Head, &mut Net, u32), Errno> {
        let top = self.streams.get(stream.0).ok_or(Errno::EBADF)?.top;
        let node = self.net.pairs.at(top).ok_or(Errno::EBADF)?.node;
        match self.nodes.at_mut(node) {
            Some(Node::Head(head)) => Ok((head, &mut self.net, top)),
            // Linked under a multiplexor: every user operation is refused (H4).
            _ => Err(Errno::EINVAL),
        }
    }

    fn node_of_top(&self, stream: StreamId) -> Result<u32, Errno> {
        let top = self.streams.get(stream.0).ok_or(Errno::EBADF)?.top;
        Ok(self.net.pairs.at(top).ok_or(Errno::EBADF)?.node)
    }
}
