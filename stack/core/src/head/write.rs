//! Messages on their way down: putmsg and write.

use crate::errno::Errno;
use crate::head::Head;
use crate::net::{Net, queue_no};
use crate::queue::Side;
use millstream_msg::Msg;

impl Head {
    /// Sends one message down. Ordinary ones ask for room first.
    pub(crate) fn putmsg(
        &mut self,
        net: &mut Net,
        pair: u32,
        msg: Msg,
    ) -> Result<(), (Errno, Msg)> {
        if let Some(errno) = self.write_error {
            return Err((errno, msg));
        }
        if self.broken {
            return Err((Errno::EPIPE, msg));
        }
        if self.hangup {
            return Err((Errno::ENXIO, msg));
        }
        let down = net.next_of(queue_no(pair, Side::Write));
        let Some(target) = net.queue(down).map(|q| q.target) else {
            return Err((Errno::ENXIO, msg));
        };
        if !msg.kind().is_high_priority() && !net.canput(target, msg.band()) {
            self.wants_write = true;
            return Err((Errno::EAGAIN, msg));
        }
        net.post(down, msg);
        Ok(())
    }
}
