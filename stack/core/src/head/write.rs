//! Messages on their way down: putmsg and write (E20 to E34).

use crate::errno::Errno;
use crate::head::Head;
use crate::net::{Net, QueueNo, queue_no};
use crate::queue::Side;
use millstream_msg::{Band, Kind, Msg, NoMem};

/// How urgent a message is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Priority {
    /// An ordinary message of a band; 0 is normal.
    Band(u8),
    /// Goes ahead of all bands and ignores flow control (RS_HIPRI). Needs a control part.
    High,
}

/// Bytes of the data part of a message that a head makes, at most (`strmsgsz`).
pub const DATA_MAX: usize = 1 << 16;

/// Bytes of a control part at most (`strctlsz`).
pub const CONTROL_MAX: usize = 1 << 10;

/// Sizes of messages that what is below a head takes: those of the topmost module's write queue
/// (E20). Bytes.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Limits {
    min: usize,
    max: usize,
}

impl Limits {
    pub(crate) fn below(net: &Net, down: QueueNo) -> Self {
        let Some(q) = net.queue(down) else { return Self { min: 0, max: DATA_MAX } };
        let marks = &net.marks[usize::from(q.marks)];
        Self { min: marks.minpsz as usize, max: DATA_MAX.min(marks.maxpsz as usize) }
    }

    fn check(self, len: usize) -> Result<(), Errno> {
        if (self.min..=self.max).contains(&len) { Ok(()) } else { Err(Errno::ERANGE) }
    }
}

impl Head {
    /// Sends one message down. Ordinary ones ask for room first.
    #[inline]
    pub(crate) fn putmsg(
        &mut self,
        net: &mut Net,
        pair: u32,
        msg: Msg,
    ) -> Result<(), (Errno, Msg)> {
        let msg = match self.put_plain_down(net, pair, msg) {
            Ok(()) => return Ok(()),
            Err(msg) => msg,
        };
        // A program that could send other types could forge what only heads may (G5).
        let priority = match (msg.kind(), msg.band()) {
            (Kind::Data | Kind::Proto, Band(band)) => Priority::Band(band),
            (Kind::PcProto, Band(0)) => Priority::High,
            _ => return Err((Errno::EINVAL, msg)),
        };
        match self.admit(net, pair, super::getmsg::lengths(&msg), priority) {
            Ok(down) => {
                net.post(down, msg);
                Ok(())
            }
            Err(errno) => Err((errno, msg)),
        }
    }

    /// Sends one message down, whatever flow control says: nobody is left to wait for it.
    pub(crate) fn putmsg_last(
        &mut self,
        net: &mut Net,
        pair: u32,
        msg: Msg,
    ) -> Result<(), (Errno, Msg)> {
        match self.putmsg(net, pair, msg) {
            Err((Errno::EAGAIN, msg)) => {
                net.post(net.next_of(queue_no(pair, Side::Write)), msg);
                Ok(())
            }
            done => done,
        }
    }

    /// Sends a data message of band 0 down, as nearly all are, when nothing is in its way; else it
    /// comes back, to be looked at more closely.
    #[inline]
    fn put_plain_down(&self, net: &mut Net, pair: u32, msg: Msg) -> Result<(), Msg> {
        if msg.kind() != Kind::Data || msg.band().0 != 0 || !self.may_write() {
            return Err(msg);
        }
        let down = net.next_of(queue_no(pair, Side::Write));
        let Some(to) = net.queue(down) else { return Err(msg) };
        let (target, marks) = (to.target, &net.marks[usize::from(to.marks)]);
        let len = msg.len();
        let fits = (marks.minpsz as usize..=DATA_MAX.min(marks.maxpsz as usize)).contains(&len);
        if !fits || !net.charge_if_room(target, len as u32) {
            return Err(msg);
        }
        net.deliver(down, msg);
        Ok(())
    }

    /// Sends a word between modules down.
    pub(crate) fn put_ctl(
        &mut self,
        net: &mut Net,
        pair: u32,
        msg: Msg,
    ) -> Result<(), (Errno, Msg)> {
        let admitted = match msg.kind() {
            Kind::Ctl => self.admit(net, pair, (Some(msg.len()), None), Priority::Band(0)),
            _ => Err(Errno::EINVAL),
        };
        match admitted {
            Ok(down) => {
                net.post(down, msg);
                Ok(())
            }
            Err(errno) => Err((errno, msg)),
        }
    }

    /// Makes one message of copies of both parts and sends it; nothing without a part.
    pub(crate) fn putpmsg(
        &mut self,
        net: &mut Net,
        pair: u32,
        headroom: usize,
        parts: (Option<&[u8]>, Option<&[u8]>),
        priority: Priority,
    ) -> Result<(), Errno> {
        let len = |part: Option<&[u8]>| part.map(<[u8]>::len);
        let down = self.admit(net, pair, (len(parts.0), len(parts.1)), priority)?;
        let Some(mut msg) = both_parts(net, headroom, parts).map_err(|NoMem| Errno::ENOSR)? else {
            return Ok(());
        };
        match priority {
            Priority::Band(band) => msg.set_band(Band(band)),
            Priority::High => msg.set_kind(Kind::PcProto),
        }
        net.post(down, msg);
        Ok(())
    }

    /// The queue that a message with parts of these lengths may go to.
    #[inline]
    fn admit(
        &mut self,
        net: &mut Net,
        pair: u32,
        (control, data): (Option<usize>, Option<usize>),
        priority: Priority,
    ) -> Result<QueueNo, Errno> {
        self.check_write()?;
        if priority == Priority::High && control.is_none() {
            return Err(Errno::EINVAL);
        }
        let down = net.next_of(queue_no(pair, Side::Write));
        if let Some(len) = data {
            Limits::below(net, down).check(len)?;
        }
        if control.is_some_and(|len| len > CONTROL_MAX) {
            return Err(Errno::ERANGE);
        }
        match priority {
            Priority::Band(band) if !self.canput(net, pair, Band(band)) => Err(Errno::EAGAIN),
            _ => Ok(down),
        }
    }

    /// Sends the bytes of all pieces, as if they were one, in messages as large as what is below
    /// takes. How many were sent.
    pub(crate) fn write(
        &mut self,
        net: &mut Net,
        pair: u32,
        headroom: usize,
        pieces: &[&[u8]],
    ) -> Result<usize, Errno> {
        self.check_write()?;
        let total = pieces.iter().map(|piece| piece.len()).sum();
        let down = net.next_of(queue_no(pair, Side::Write));
        let limits = Limits::below(net, down);
        if limits.max == 0 || total == 0 && !self.sends_empty {
            return Ok(0);
        }
        if limits.min > 0 {
            // Cut, the last piece could be shorter than what is below takes (E22).
            limits.check(total)?;
        }
        let mut gather = Gather { pieces, at: 0, from: 0 };
        let mut done = 0;
        loop {
            let len = limits.max.min(total - done);
            let msg = if self.canput(net, pair, Band(0)) {
                gather.take(net, headroom, len).map_err(|NoMem| Errno::ENOSR)
            } else {
                Err(Errno::EAGAIN)
            };
            match msg {
                Ok(msg) => net.post(down, msg),
                Err(_) if done > 0 => return Ok(done),
                Err(errno) => return Err(errno),
            }
            done += len;
            if done == total {
                return Ok(done);
            }
        }
    }
}

fn both_parts(
    net: &mut Net,
    headroom: usize,
    (control, data): (Option<&[u8]>, Option<&[u8]>),
) -> Result<Option<Msg>, NoMem> {
    let data = match data {
        Some(data) => Some(net.pool.copy_from(room_for(headroom, data.len()), data)?),
        None => None,
    };
    let Some(control) = control else { return Ok(data) };
    let mut msg = match net.pool.copy_from(0, control) {
        Ok(msg) => msg,
        Err(NoMem) => {
            if let Some(data) = data {
                net.pool.free(data);
            }
            return Err(NoMem);
        }
    };
    msg.set_kind_all(Kind::Proto);
    if let Some(data) = data {
        msg.link(data);
    }
    Ok(Some(msg))
}

/// An empty message has no use for room in front (E25).
fn room_for(headroom: usize, len: usize) -> usize {
    if len == 0 { 0 } else { headroom }
}

/// Where a write has come to in its pieces.
struct Gather<'a> {
    pieces: &'a [&'a [u8]],
    /// The piece, and bytes of it that were taken.
    at: usize,
    from: usize,
}

impl Gather<'_> {
    /// A message of the next `len` bytes.
    fn take(&mut self, net: &mut Net, headroom: usize, len: usize) -> Result<Msg, NoMem> {
        let mut msg = net.pool.copy_from(room_for(headroom, len), self.next(len))?;
        while msg.len() < len {
            let more = self.next(len - msg.len());
            if let Err(NoMem) = msg.append(&mut net.pool, more) {
                net.pool.free(msg);
                return Err(NoMem);
            }
        }
        Ok(msg)
    }

    /// Bytes that lie together, at most `len`; none only when `len` is 0.
    fn next(&mut self, len: usize) -> &[u8] {
        while len > 0 && self.pieces[self.at].len() == self.from {
            (self.at, self.from) = (self.at + 1, 0);
        }
        let Some(piece) = self.pieces.get(self.at) else { return &[] };
        let piece = &piece[self.from..];
        let piece = &piece[..piece.len().min(len)];
        self.from += piece.len();
        piece
    }
}
