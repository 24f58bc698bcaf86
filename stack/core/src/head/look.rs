//! What a program may ask about the messages that wait, without taking any.

use crate::errno::Errno;
use crate::head::Head;
use crate::net::{Net, queue_no};
use crate::queue::{Queue, Side, rank};
use millstream_msg::{Band, Msg, MsgFlags};

/// What waits to be read (I_NREAD).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Waiting {
    /// Data bytes of the first message. 0 with messages waiting: an empty one is first.
    pub bytes: usize,
    /// Messages.
    pub messages: usize,
}

/// Which mark I_ATMARK asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mark {
    /// The first message is marked (ANYMARK).
    Any,
    /// The first message is marked, and none behind it (LASTMARK).
    Last,
}

impl Head {
    /// I_NREAD.
    pub(crate) fn waiting(&self, net: &Net, pair: u32) -> Result<Waiting, Errno> {
        self.check_look()?;
        let held = |q: &Queue| Waiting {
            bytes: q.held.front().map_or(0, Msg::data_len),
            messages: q.held.len(),
        };
        Ok(net.queue(queue_no(pair, Side::Read)).map(held).unwrap_or_default())
    }

    /// I_CKBAND: does a message of this band wait? Of band 0: does any?
    pub(crate) fn band_waits(&self, net: &Net, pair: u32, band: Band) -> Result<bool, Errno> {
        self.check_look()?;
        let Some(q) = net.queue(queue_no(pair, Side::Read)) else { return Ok(false) };
        Ok(match band {
            Band(0) => !q.held.is_empty(),
            Band(band) => q.held.iter().any(|msg| rank(msg) == u16::from(band)),
        })
    }

    /// I_GETBAND: the band of the first message.
    pub(crate) fn first_band(&self, net: &Net, pair: u32) -> Result<Band, Errno> {
        self.check_look()?;
        let front = net.queue(queue_no(pair, Side::Read)).and_then(|q| q.held.front());
        front.map(Msg::band).ok_or(Errno::ENODATA)
    }

    /// I_ATMARK.
    pub(crate) fn at_mark(&self, net: &Net, pair: u32, mark: Mark) -> Result<bool, Errno> {
        self.check_look()?;
        let Some(q) = net.queue(queue_no(pair, Side::Read)) else { return Ok(false) };
        let mut marked = q.held.iter().map(|msg| msg.flags().contains(MsgFlags::MARK));
        let first = marked.next().unwrap_or(false);
        Ok(first && (mark == Mark::Any || !marked.any(|later| later)))
    }
}
