//! The stream head: where messages become a program's. It never waits: it says what is ready.

use crate::errno::Errno;
use crate::module::Drop;
use crate::net::{Event, NONE, Net, queue_no};
use crate::perimeter::StreamId;
use crate::queue::{Flush, Side};
use crate::tpi::flush;
use millstream_msg::{Band, Kind, Msg, MsgFlags, MsgList};

/// The top node of a stream.
#[derive(Debug)]
pub(crate) struct Head {
    pub(crate) stream: StreamId,
    mode: Mode,
    /// A high-priority message waits: later ones are dropped.
    high_waits: bool,
    hangup: bool,
    read_error: Option<Errno>,
    write_error: Option<Errno>,
    /// Somebody was refused and waits for a `Writable` event.
    wants_write: bool,
}

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

/// What happened at a head.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HeadEvent {
    /// A message arrived where none was.
    Readable,
    /// Writing would not be refused any more.
    Writable,
    /// The line is gone or has failed.
    Hangup,
}

/// What a head would let a program do now (`poll(2)`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Ready {
    /// A message of band 0 is first (POLLIN).
    pub readable: bool,
    /// A message of a higher band is first (POLLRDBAND).
    pub band: bool,
    /// A high-priority message waits (POLLPRI).
    pub high: bool,
    /// Band 0 below has room (POLLOUT).
    pub writable: bool,
    /// POLLHUP.
    pub hangup: bool,
    /// POLLERR.
    pub error: bool,
}

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
    pub(crate) fn new(stream: StreamId) -> Self {
        Self {
            stream,
            mode: Mode::default(),
            high_waits: false,
            hangup: false,
            read_error: None,
            write_error: None,
            wants_write: false,
        }
    }

    pub(crate) fn set_mode(&mut self, mode: Mode) {
        self.mode = mode;
    }

    /// Messages from below.
    pub(crate) fn put(&mut self, net: &mut Net, node: u32, pair: u32, batch: MsgList) {
        let queue = queue_no(pair, Side::Read);
        let mut had = net.holds(queue);
        for mut msg in batch {
            match msg.kind() {
                Kind::Data | Kind::Proto | Kind::PassFp | Kind::Sig => net.putq(queue, msg),
                Kind::PcProto if self.high_waits => net.discard(node, msg, Drop::RECEIVER_FULL),
                Kind::PcProto => {
                    self.high_waits = true;
                    net.putq(queue, msg);
                    // It is first now, whatever was there.
                    had = false;
                }
                Kind::Hangup => {
                    self.hangup = true;
                    net.pool.free(msg);
                    net.events.push_back(Event::Head(self.stream, HeadEvent::Hangup));
                }
                Kind::Unhangup => {
                    self.hangup = false;
                    net.pool.free(msg);
                }
                Kind::Error => self.fail(net, pair, msg),
                Kind::Flush => self.flush(net, node, pair, msg),
                Kind::Ioctl => {
                    // A stray request from below is refused (B2).
                    msg.set_kind(Kind::IocNak);
                    let down = net.next_of(queue_no(pair, Side::Write));
                    net.post(down, msg);
                }
                _ => net.discard(node, msg, Drop::UNEXPECTED_TYPE),
            }
        }
        if !had && net.holds(queue) {
            net.events.push_back(Event::Head(self.stream, HeadEvent::Readable));
        }
    }

    /// M_ERROR, one byte or two (E1). The first error of a side flushes that side below (E2).
    fn fail(&mut self, net: &mut Net, pair: u32, msg: Msg) {
        const LEAVE: u8 = 0xff;
        let side = |now: &mut Option<Errno>, byte: u8| match byte {
            LEAVE => {}
            0 => *now = None,
            number => *now = Some(Errno(i32::from(number))),
        };
        let (read, write) = match *msg.first() {
            [both] => (both, both),
            [read, write, ..] => (read, write),
            [] => (LEAVE, LEAVE),
        };
        let before = (self.read_error.is_some(), self.write_error.is_some());
        side(&mut self.read_error, read);
        side(&mut self.write_error, write);
        net.pool.free(msg);
        let mut bits = 0;
        if !before.0 && self.read_error.is_some() {
            bits |= flush::READ;
        }
        if !before.1 && self.write_error.is_some() {
            bits |= flush::WRITE;
        }
        if bits != 0
            && let Ok(mut flush) = net.pool.alloc_reserve(0, 1)
        {
            flush.set_kind(Kind::Flush);
            flush.spare_mut()[0] = bits;
            flush.commit(1);
            let down = net.next_of(queue_no(pair, Side::Write));
            net.post(down, flush);
        }
        net.events.push_back(Event::Head(self.stream, HeadEvent::Hangup));
    }

    /// Canonical flush of a head (E63).
    fn flush(&mut self, net: &mut Net, node: u32, pair: u32, mut msg: Msg) {
        let (bits, band) = flush::parse(msg.first());
        if bits & flush::READ != 0 {
            for flushed in net.flushq(queue_no(pair, Side::Read), Flush::All, band) {
                if flushed.kind() == Kind::PcProto {
                    self.high_waits = false;
                }
                net.discard(node, flushed, Drop::FLUSHED);
            }
        }
        let turn = bits & flush::WRITE != 0 && !msg.flags().contains(MsgFlags::NO_LOOP);
        if !turn || msg.make_writable(&mut net.pool, 1).is_err() {
            return net.pool.free(msg);
        }
        if let Some(bytes) = msg.first_mut() {
            bytes[0] &= !flush::READ;
        }
        msg.set_flags(msg.flags().with(MsgFlags::NO_LOOP));
        let down = net.next_of(queue_no(pair, Side::Write));
        net.post(down, msg);
    }

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

    /// What a program could do now.
    pub(crate) fn ready(&mut self, net: &mut Net, pair: u32) -> Ready {
        let mut ready = Ready {
            hangup: self.hangup,
            error: self.read_error.or(self.write_error).is_some(),
            ..Ready::default()
        };
        if let Some(front) = net.queue(queue_no(pair, Side::Read)).and_then(|q| q.held.front()) {
            ready.high = front.kind().is_high_priority();
            ready.band = !ready.high && front.band().0 > 0;
            ready.readable = !ready.high && !ready.band;
        }
        let down = net.next_of(queue_no(pair, Side::Write));
        if !self.hangup && down != NONE {
            let target = net.queue(down).map(|q| q.target);
            ready.writable = target.is_some_and(|target| net.canput(target, Band(0)));
            self.wants_write |= !ready.writable;
        }
        ready
    }

    /// Hung up or in error.
    pub(crate) fn failed(&self) -> bool {
        self.hangup || self.read_error.or(self.write_error).is_some()
    }

    /// The stream is not linked any more: what changed meanwhile is told.
    pub(crate) fn returned(&mut self, net: &mut Net, pair: u32) {
        if net.holds(queue_no(pair, Side::Read)) {
            net.events.push_back(Event::Head(self.stream, HeadEvent::Readable));
        }
        self.relieved(net);
    }

    /// Flow control below has gone: a refused writer is told.
    pub(crate) fn relieved(&mut self, net: &mut Net) {
        if core::mem::take(&mut self.wants_write) {
            net.events.push_back(Event::Head(self.stream, HeadEvent::Writable));
        }
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
