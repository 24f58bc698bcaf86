//! Whole messages on their way to a program, as control and data parts.

use crate::errno::Errno;
use crate::head::Head;
use crate::net::{Net, queue_no};
use crate::queue::Side;
use millstream_msg::{Band, Kind, Msg};

/// What `getmsg` took.
#[derive(Debug)]
pub struct Got {
    /// The control part: M_PROTO or M_PCPROTO blocks.
    pub control: Option<Msg>,
    /// The data part: M_DATA blocks.
    pub data: Option<Msg>,
    /// Its band.
    pub band: Band,
    /// It was of high priority.
    pub high: bool,
}

impl Head {
    /// Takes the first message, whatever it is; `None` when the line is gone and all was read.
    pub(crate) fn getmsg(&mut self, net: &mut Net, pair: u32) -> Result<Option<Got>, Errno> {
        if let Some(errno) = self.read_error {
            return Err(errno);
        }
        let queue = queue_no(pair, Side::Read);
        if net.queue(queue).and_then(|q| q.held.front()).is_some_and(|m| m.kind() == Kind::PassFp) {
            return Err(Errno::EBADMSG);
        }
        let Some(msg) = net.getq(queue) else {
            return if self.hangup { Ok(None) } else { Err(Errno::EAGAIN) };
        };
        let high = msg.kind().is_high_priority();
        if high {
            self.high_waits = false;
        }
        let band = msg.band();
        let (control, data) = parts(msg);
        Ok(Some(Got { control, data, band, high }))
    }
}

/// Splits a message into its control and data parts.
fn parts(msg: Msg) -> (Option<Msg>, Option<Msg>) {
    if msg.kind() == Kind::Data {
        return (None, Some(msg));
    }
    let (mut control, mut rest) = msg.unlink();
    // Control parts are nearly always one block; take further ones along.
    while let Some(more) = rest {
        if more.kind() == Kind::Data {
            return (Some(control), Some(more));
        }
        let (block, next) = more.unlink();
        control.link(block);
        rest = next;
    }
    (Some(control), None)
}
