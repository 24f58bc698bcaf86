//! What a program does at the head of a stream: the operations of streamio(7I).

use crate::errno::Errno;
use crate::head::{Got, Head, Mode, Ready};
use crate::net::Net;
use crate::perimeter::{Node, Perimeter, StreamId};
use millstream_msg::Msg;

impl Perimeter {
    /// Sends one message from the head of a stream: M_DATA, M_PROTO or M_PCPROTO.
    ///
    /// # Errors
    /// The message is given back: EAGAIN when flow control refuses it (a `Writable` event
    /// follows), ENXIO after a hangup, EINVAL when the stream is linked below a multiplexor, the
    /// recorded error of a failed stream.
    pub fn putmsg(&mut self, stream: StreamId, msg: Msg) -> Result<(), (Errno, Msg)> {
        match self.head(stream) {
            Ok((head, net, pair)) => head.putmsg(net, pair, msg),
            Err(errno) => Err((errno, msg)),
        }
    }

    /// Takes the first message at the head of a stream. `Ok(None)` when the line is gone and
    /// everything was read.
    ///
    /// # Errors
    /// EAGAIN without a message, EBADMSG when a passed descriptor is first, EINVAL when linked,
    /// the recorded error of a failed stream.
    pub fn getmsg(&mut self, stream: StreamId) -> Result<Option<Got>, Errno> {
        let (head, net, pair) = self.head(stream)?;
        head.getmsg(net, pair)
    }

    /// Copies data of the stream out (`read(2)`), in the read mode of the head.
    ///
    /// # Errors
    /// As [`Perimeter::getmsg`]; EBADMSG when a control part is first.
    pub fn read(&mut self, stream: StreamId, out: &mut [u8]) -> Result<usize, Errno> {
        let (head, net, pair) = self.head(stream)?;
        head.read(net, pair, out)
    }

    /// Copies data into messages of at most the topmost module's packet size and sends them
    /// (`write(2)`). How much was sent.
    ///
    /// # Errors
    /// As [`Perimeter::putmsg`], when nothing could be sent; ENOSR without memory.
    pub fn write(&mut self, stream: StreamId, bytes: &[u8]) -> Result<usize, Errno> {
        let (headroom, max) = self.write_shape(stream)?;
        let mut done = 0;
        loop {
            let piece = &bytes[done..bytes.len().min(done + max)];
            let Ok(msg) = self.net.pool.copy_from(headroom, piece) else {
                return if done > 0 { Ok(done) } else { Err(Errno::ENOSR) };
            };
            if let Err((errno, msg)) = self.putmsg(stream, msg) {
                self.net.pool.free(msg);
                return if done > 0 { Ok(done) } else { Err(errno) };
            }
            done += piece.len();
            if done == bytes.len() {
                return Ok(done);
            }
        }
    }

    /// Sets how reads of a head treat message boundaries.
    ///
    /// # Errors
    /// EINVAL when linked, EBADF when closed.
    pub fn set_mode(&mut self, stream: StreamId, mode: Mode) -> Result<(), Errno> {
        let (head, _, _) = self.head(stream)?;
        head.set_mode(mode);
        Ok(())
    }

    /// What a program could do at a head now. Not writable registers for a `Writable` event.
    ///
    /// # Errors
    /// EINVAL when linked, EBADF when closed.
    pub fn ready(&mut self, stream: StreamId) -> Result<Ready, Errno> {
        let (head, net, pair) = self.head(stream)?;
        Ok(head.ready(net, pair))
    }

    pub(crate) fn head(&mut self, stream: StreamId) -> Result<(&mut Head, &mut Net, u32), Errno> {
        let top = self.streams.get(stream.0).ok_or(Errno::EBADF)?.top;
        let node = self.net.pairs.at(top).ok_or(Errno::EBADF)?.node;
        match self.nodes.at_mut(node) {
            Some(Node::Head(head)) => Ok((head, &mut self.net, top)),
            // Linked under a multiplexor: every user operation is refused (H4).
            _ => Err(Errno::EINVAL),
        }
    }
}
