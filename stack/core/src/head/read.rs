//! Bytes on their way to a program: the read modes (E10 to E18).

use crate::errno::Errno;
use crate::head::Head;
use crate::net::{Net, queue_no};
use crate::queue::Side;
use millstream_msg::Kind;

/// How `read` treats message boundaries (I_SRDOPT).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Mode {
    /// RNORM: a stream of bytes.
    #[default]
    Bytes,
    /// RMSGN: a read stops at the end of a message; the rest stays.
    MessageKeep,
    /// RMSGD: a read stops at the end of a message; the rest is discarded.
    MessageDiscard,
}

impl Head {
    pub(crate) fn set_mode(&mut self, mode: Mode) {
        self.mode = mode;
    }

    /// Copies data out. `Ok(0)` at a hangup, a zero-length message, or for an empty buffer.
    pub(crate) fn read(
        &mut self,
        net: &mut Net,
        pair: u32,
        out: &mut [u8],
    ) -> Result<usize, Errno> {
        if let Some(errno) = self.read_error {
            return Err(errno);
        }
        let queue = queue_no(pair, Side::Read);
        let mut done = 0;
        while done < out.len() {
            match net.queue(queue).and_then(|q| q.held.front()).map(|m| (m.kind(), m.len())) {
                None if done == 0 && !self.hangup => return Err(Errno::EAGAIN),
                None => break,
                Some((Kind::Data, 0)) if done > 0 => break,
                Some((Kind::Data, _)) => {}
                Some(_) if done > 0 => break,
                Some(_) => return Err(Errno::EBADMSG),
            }
            let Some(mut msg) = net.getq_quiet(queue) else { break };
            let n = msg.copy_out(0, &mut out[done..]);
            net.pool.note_copied(n);
            done += n;
            let rest = n < msg.len();
            if rest && self.mode != Mode::MessageDiscard {
                msg.trim_front(n);
                net.putbq(queue, msg);
            } else {
                net.pool.free(msg);
            }
            if rest || n == 0 || self.mode != Mode::Bytes {
                break;
            }
        }
        net.relief(queue);
        Ok(done)
    }
}
