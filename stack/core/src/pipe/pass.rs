//! I_SENDFD and I_RECVFD: things that are handed through a pipe, outside its bytes.
//!
//! The M_PASSFP message keeps the place of the thing among data; the thing itself waits at the
//! receiving head. Modules of the pipe do not see it.

use crate::errno::Errno;
use crate::head::{Head, first_rank};
use crate::ioctl::Cred;
use crate::net::{Net, queue_no};
use crate::perimeter::{Perimeter, StreamId};
use crate::queue::Side;
use alloc::boxed::Box;
use alloc::collections::VecDeque;
use core::any::Any;
use millstream_msg::{Kind, Msg};

/// What came through a pipe.
pub struct Passed {
    /// The thing: a stream, a descriptor, whatever both ends agree on.
    pub handle: Box<dyn Any + Send>,
    /// Who sent it.
    pub cred: Cred,
}

/// Things that wait at a head, in order, with the numbers in their messages.
#[derive(Default)]
pub(crate) struct Parcels {
    waiting: VecDeque<(u32, Passed)>,
    last: u32,
}

/// What was to be sent comes back with the error.
pub(crate) type Unsent = (Errno, Box<dyn Any + Send>);

impl Perimeter {
    /// Hands a thing to the other end of a pipe (`I_SENDFD`). It waits there behind what has
    /// arrived; it does not pass through modules, so it overtakes what is under way.
    ///
    /// # Errors
    /// The thing comes back: EINVAL when the stream is no pipe, or either end is linked; ENXIO
    /// when the other end is closed or the line is gone; EAGAIN when the receiver is full; ENOSR
    /// without memory; the recorded error of a failed stream.
    pub fn send_fd(
        &mut self,
        stream: StreamId,
        handle: Box<dyn Any + Send>,
        cred: Cred,
    ) -> Result<(), Unsent> {
        match self.receiver(stream) {
            Ok(peer) => match self.head(peer) {
                Ok((head, net, pair)) => head.take_in(net, pair, Passed { handle, cred }),
                Err(errno) => Err((errno, handle)),
            },
            Err(errno) => Err((errno, handle)),
        }
    }

    /// Takes the thing that is first at the head of a pipe's end (`I_RECVFD`).
    ///
    /// # Errors
    /// EAGAIN when nothing is queued, EBADMSG when something else is first, ENXIO when nothing is
    /// queued and the other end is closed, EINVAL when linked, the recorded error of a failed
    /// stream.
    pub fn recv_fd(&mut self, stream: StreamId) -> Result<Passed, Errno> {
        let (head, net, pair) = self.head(stream)?;
        head.hand_out(net, pair)
    }

    /// The end that receives from this one, with room for one more.
    fn receiver(&mut self, stream: StreamId) -> Result<StreamId, Errno> {
        let pipe = self.is_pipe(stream);
        let peer = self.peer(stream);
        let (head, _, _) = self.head(stream)?;
        head.check_either()?;
        head.check_line()?;
        if !pipe {
            return Err(Errno::EINVAL);
        }
        let peer = peer.ok_or(Errno::ENXIO)?;
        let (_, net, pair) = self.head(peer)?;
        // Only looked at: this call does not wait, whoever it is.
        let room = net.has_room(queue_no(pair, Side::Read), 0, 0);
        if room { Ok(peer) } else { Err(Errno::EAGAIN) }
    }
}

impl Head {
    /// A thing from the other end.
    fn take_in(&mut self, net: &mut Net, pair: u32, passed: Passed) -> Result<(), Unsent> {
        let Ok(mut msg) = net.pool.alloc_reserve(0, 4) else {
            return Err((Errno::ENOSR, passed.handle));
        };
        let parcels = self.parcels.get_or_insert_default();
        parcels.last = parcels.last.wrapping_add(1);
        msg.set_kind(Kind::PassFp);
        msg.spare_mut()[..4].copy_from_slice(&parcels.last.to_ne_bytes());
        msg.commit(4);
        parcels.waiting.push_back((parcels.last, passed));
        let queue = queue_no(pair, Side::Read);
        let first = first_rank(net, queue);
        net.putq(queue, msg);
        self.announce(net, queue, first);
        Ok(())
    }

    /// The thing whose message is first.
    fn hand_out(&mut self, net: &mut Net, pair: u32) -> Result<Passed, Errno> {
        self.check_read()?;
        let queue = queue_no(pair, Side::Read);
        let first = first_rank(net, queue);
        match net.queue(queue).and_then(|q| q.held.front()).map(Msg::kind) {
            Some(Kind::PassFp) => {}
            Some(_) => return Err(Errno::EBADMSG),
            None => return Err(self.failure().unwrap_or(Errno::EAGAIN)),
        }
        let msg = net.getq(queue).ok_or(Errno::EAGAIN)?;
        let number = msg.first().first_chunk().map(|bytes| u32::from_ne_bytes(*bytes));
        net.pool.free(msg);
        self.announce(net, queue, first);
        let waiting = self.parcels.as_mut().map(|parcels| &mut parcels.waiting);
        let found = waiting.and_then(|waiting| {
            let at = waiting.iter().position(|(known, _)| Some(*known) == number)?;
            waiting.remove(at)
        });
        // A message that no head made carries nothing.
        found.map(|(_, passed)| passed).ok_or(Errno::EBADMSG)
    }

    /// Drops things whose messages are gone: flushed, or handed to a multiplexor.
    pub(crate) fn drop_lost_parcels(&mut self, net: &Net, pair: u32) {
        let Some(parcels) = &mut self.parcels else { return };
        let queue = net.queue(queue_no(pair, Side::Read));
        let here = |number: u32| {
            queue.is_some_and(|q| {
                let mut messages = q.held.iter().filter(|msg| msg.kind() == Kind::PassFp);
                messages.any(|msg| msg.first() == number.to_ne_bytes())
            })
        };
        parcels.waiting.retain(|(number, _)| here(*number));
    }
}

impl core::fmt::Debug for Passed {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("Passed").field("cred", &self.cred).finish_non_exhaustive()
    }
}

impl core::fmt::Debug for Parcels {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("Parcels").field("waiting", &self.waiting.len()).finish()
    }
}
