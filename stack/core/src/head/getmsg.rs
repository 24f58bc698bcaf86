//! Whole messages on their way to a program, as control and data parts (E40 to E45).

use crate::errno::Errno;
use crate::head::Head;
use crate::head::put::{first_rank, front_kind};
use crate::net::{Net, queue_no};
use crate::queue::{HIGH, Side};
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

/// Which message `getpmsg` is to take. Only the first one is looked at (E42).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Want {
    /// Whatever is first (MSG_ANY).
    #[default]
    Any,
    /// One of at least this band, or of high priority (MSG_BAND).
    Band(Band),
    /// One of high priority (MSG_HIPRI, RS_HIPRI).
    High,
}

/// What was copied into the caller's buffers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Partial {
    /// Bytes of the control part; `None` when there is none or it was not asked for.
    pub control: Option<usize>,
    /// Bytes of the data part; `None` when there is none or it was not asked for.
    pub data: Option<usize>,
    /// Some of the control part stays in front (MORECTL).
    pub more_control: bool,
    /// Some of the data part stays in front (MOREDATA).
    pub more_data: bool,
    /// Band of the message.
    pub band: Band,
    /// The message is of high priority.
    pub high: bool,
}

impl Head {
    /// Takes the first message if it is one that is wanted; `None` when the line is gone and none
    /// will come.
    #[inline]
    pub(crate) fn getmsg(
        &mut self,
        net: &mut Net,
        pair: u32,
        want: Want,
    ) -> Result<Option<Got>, Errno> {
        self.check_read()?;
        let queue = queue_no(pair, Side::Read);
        if want == Want::Any
            && let Some(msg) = net.getq_plain(queue)
        {
            self.announce(net, queue, Some(0));
            return Ok(Some(Got { control: None, data: Some(msg), band: Band(0), high: false }));
        }
        let Some(rank) = self.first_wanted(net, pair, want)? else { return self.nothing() };
        let Some(msg) = net.getq(queue) else { return self.nothing() };
        let high = rank == HIGH;
        self.high_waits &= !high;
        let band = msg.band();
        self.announce(net, queue, Some(rank));
        let (control, data) = parts(msg);
        Ok(Some(Got { control, data, band, high }))
    }

    /// Copies the first message out, as far as the buffers reach; what is left goes back to the
    /// front, in its band and type. A part without buffer is not wanted and stays.
    pub(crate) fn getmsg_into(
        &mut self,
        net: &mut Net,
        pair: u32,
        want: Want,
        control: Option<&mut [u8]>,
        data: Option<&mut [u8]>,
    ) -> Result<Option<Partial>, Errno> {
        self.check_read()?;
        let queue = queue_no(pair, Side::Read);
        let Some(rank) = self.first_wanted(net, pair, want)? else {
            // Who asks for no byte of a message that is not there does not wait (E43).
            let nothing_asked =
                [&control, &data].iter().all(|part| part.as_ref().is_some_and(|p| p.is_empty()));
            return if nothing_asked { Ok(None) } else { self.nothing() };
        };
        let Some(msg) = net.getq_quiet(queue) else { return self.nothing() };
        let high = rank == HIGH;
        let mut partial = Partial { band: msg.band(), high, ..Partial::default() };
        let (control_part, data_part) = parts(msg);
        let (copied, control_rest) = take(net, control_part, control);
        partial.control = copied;
        let (copied, data_rest) = take(net, data_part, data);
        partial.data = copied;
        (partial.more_control, partial.more_data) = (control_rest.is_some(), data_rest.is_some());
        // While control bytes of high priority are left, no other such message may come (E44).
        self.high_waits &= !high || control_rest.is_some();
        if let Some(rest) = joined(control_rest, data_rest) {
            net.putbq(queue, rest);
        }
        net.relief(queue);
        self.announce(net, queue, Some(rank));
        Ok(Some(partial))
    }

    /// As [`Head::getmsg_into`], leaving everything where it is (I_PEEK). `None` when the first
    /// message is none that is wanted.
    pub(crate) fn peek(
        &self,
        net: &Net,
        pair: u32,
        want: Want,
        control: Option<&mut [u8]>,
        data: Option<&mut [u8]>,
    ) -> Result<Option<Partial>, Errno> {
        self.check_look()?;
        let Some(rank) = self.first_wanted(net, pair, want)? else { return Ok(None) };
        let front = net.queue(queue_no(pair, Side::Read)).and_then(|q| q.held.front());
        let Some(msg) = front else { return Ok(None) };
        let (in_control, in_data) = lengths(msg);
        let mut partial = Partial { band: msg.band(), high: rank == HIGH, ..Partial::default() };
        let copy = |from: usize, len: Option<usize>, out: Option<&mut [u8]>| {
            let (len, out) = (len?, out?);
            let n = len.min(out.len());
            let n = msg.copy_out(from, &mut out[..n]);
            net.pool.note_copied(n);
            Some(n)
        };
        partial.control = copy(0, in_control, control);
        partial.data = copy(in_control.unwrap_or(0), in_data, data);
        partial.more_control = in_control.is_some_and(|len| partial.control.unwrap_or(0) < len);
        partial.more_data = in_data.is_some_and(|len| partial.data.unwrap_or(0) < len);
        Ok(Some(partial))
    }

    /// Place of the first message in the queue's order, if it is one that is wanted.
    #[inline]
    fn first_wanted(&self, net: &Net, pair: u32, want: Want) -> Result<Option<u16>, Errno> {
        let queue = queue_no(pair, Side::Read);
        let Some(rank) = first_rank(net, queue) else { return Ok(None) };
        if front_kind(net, queue) == Some(Kind::PassFp) {
            return Err(Errno::EBADMSG);
        }
        let least = match want {
            Want::Any => 0,
            Want::Band(Band(band)) => u16::from(band),
            Want::High => HIGH,
        };
        Ok((rank >= least).then_some(rank))
    }

    fn nothing<T>(&self) -> Result<Option<T>, Errno> {
        if self.hangup { Ok(None) } else { Err(Errno::EAGAIN) }
    }
}

/// Copies a part into its buffer: bytes copied, and what is left.
fn take(net: &mut Net, part: Option<Msg>, out: Option<&mut [u8]>) -> (Option<usize>, Option<Msg>) {
    let Some(out) = out else { return (None, part) };
    let Some(mut part) = part else { return (None, None) };
    let n = part.copy_out(0, out);
    net.pool.note_copied(n);
    if n == part.len() {
        net.pool.free(part);
        return (Some(n), None);
    }
    part.trim_front(n);
    (Some(n), Some(part))
}

fn joined(control: Option<Msg>, data: Option<Msg>) -> Option<Msg> {
    match (control, data) {
        (Some(mut control), Some(data)) => {
            control.link(data);
            Some(control)
        }
        (control, data) => control.or(data),
    }
}

/// Splits a message into its control and data parts.
pub(super) fn parts(msg: Msg) -> (Option<Msg>, Option<Msg>) {
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

/// Bytes of the control and the data part.
pub(super) fn lengths(msg: &Msg) -> (Option<usize>, Option<usize>) {
    if msg.kind() == Kind::Data {
        return (None, Some(msg.len()));
    }
    let is_control = |block: &millstream_msg::Block<'_>| block.kind() != Kind::Data;
    let control = msg.blocks().take_while(is_control).map(|block| block.len()).sum();
    let data = msg.blocks().any(|block| block.kind() == Kind::Data).then(|| msg.len() - control);
    (Some(control), data)
}
