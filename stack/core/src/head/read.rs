//! Bytes on their way to a program: the read modes (E10 to E18).

use crate::errno::Errno;
use crate::head::Head;
use crate::head::put::first_rank;
use crate::module::Drop;
use crate::net::{Net, queue_no};
use crate::queue::{HIGH, Side};
use millstream_msg::{Kind, Msg, MsgFlags};

/// How `read` treats messages (I_SRDOPT).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ReadOptions {
    /// Their boundaries.
    pub mode: Mode,
    /// Their control parts.
    pub control: ControlMode,
    /// A flush leaves a waiting high-priority message alone (RFLUSHPCPROT): it may be the answer
    /// that somebody waits for.
    pub keeps_high: bool,
}

/// What a read does at the end of a message.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Mode {
    /// RNORM: it goes on, messages are a stream of bytes.
    #[default]
    Bytes,
    /// RMSGN: it stops; what did not fit is read next.
    MessageKeep,
    /// RMSGD: it stops; what did not fit is discarded.
    MessageDiscard,
}

/// What a read does with a control part.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ControlMode {
    /// RPROTNORM: it fails with EBADMSG.
    #[default]
    Refuse,
    /// RPROTDAT: control bytes are read like data, ahead of it.
    AsData,
    /// RPROTDIS: control parts are dropped, the data behind them is read.
    Discard,
}

impl ReadOptions {
    const MODES: [(u32, Mode); 3] =
        [(0, Mode::Bytes), (1, Mode::MessageDiscard), (2, Mode::MessageKeep)];
    const MODE_BITS: u32 = 3;
    const CONTROLS: [(u32, ControlMode); 3] =
        [(4, ControlMode::AsData), (8, ControlMode::Discard), (16, ControlMode::Refuse)];
    const CONTROL_BITS: u32 = 4 | 8 | 16;
    const KEEP_HIGH: u32 = 32;

    /// As a number of `stropts.h`.
    pub fn number(self) -> u32 {
        let mode = Self::MODES.iter().find(|(_, mode)| *mode == self.mode);
        let control = Self::CONTROLS.iter().find(|(_, control)| *control == self.control);
        let keep = if self.keeps_high { Self::KEEP_HIGH } else { 0 };
        mode.map_or(0, |(bit, _)| *bit) | control.map_or(0, |(bit, _)| *bit) | keep
    }

    /// These options changed as a number of `stropts.h` says: without a bit about control parts
    /// they are treated as before.
    ///
    /// # Errors
    /// EINVAL for two modes of one thing, or an unknown bit.
    pub fn changed(self, number: u32) -> Result<Self, Errno> {
        if number & !(Self::MODE_BITS | Self::CONTROL_BITS | Self::KEEP_HIGH) != 0 {
            return Err(Errno::EINVAL);
        }
        let mode = Self::MODES.iter().find(|(bit, _)| *bit == number & Self::MODE_BITS);
        let &(_, mode) = mode.ok_or(Errno::EINVAL)?;
        let control = match number & Self::CONTROL_BITS {
            0 => self.control,
            bits => {
                let found = Self::CONTROLS.iter().find(|(bit, _)| *bit == bits);
                found.ok_or(Errno::EINVAL)?.1
            }
        };
        Ok(Self { mode, control, keeps_high: number & Self::KEEP_HIGH != 0 })
    }
}

impl Head {
    /// Copies data out. `Ok(0)` at a hangup, a zero-length message, or for an empty buffer.
    pub(crate) fn read(
        &mut self,
        net: &mut Net,
        node: u32,
        pair: u32,
        out: &mut [u8],
    ) -> Result<usize, Errno> {
        if out.is_empty() {
            return Ok(0);
        }
        self.check_read()?;
        let queue = queue_no(pair, Side::Read);
        let before = first_rank(net, queue);
        let mut done = 0;
        let outcome = loop {
            let first = match self.front(net, pair, done > 0) {
                Ok(Some(rank)) => rank,
                Ok(None) => break Ok(()),
                Err(errno) => break Err(errno),
            };
            let Some(msg) = net.getq_quiet(queue) else { break Ok(()) };
            self.high_waits &= first != HIGH;
            let Some(msg) = self.readable_part(net, node, msg) else { continue };
            let n = msg.copy_out(0, &mut out[done..]);
            net.pool.note_copied(n);
            done += n;
            if self.put_rest_back(net, pair, msg, n) || n == 0 || done == out.len() {
                break Ok(());
            }
        };
        net.relief(queue);
        self.announce(net, queue, before);
        outcome.map(|()| done)
    }

    /// The first message's place in the order, if a read may take it; `None` ends the read.
    fn front(&self, net: &Net, pair: u32, some: bool) -> Result<Option<u16>, Errno> {
        let queue = queue_no(pair, Side::Read);
        let Some(front) = net.queue(queue).and_then(|q| q.held.front()) else {
            return if some || self.hangup { Ok(None) } else { Err(Errno::EAGAIN) };
        };
        match front.kind() {
            // Left for the next read, which returns 0 (E11).
            Kind::Data if some && front.is_empty() => Ok(None),
            Kind::Data => Ok(first_rank(net, queue)),
            Kind::Proto | Kind::PcProto if self.read_options.control != ControlMode::Refuse => {
                Ok(first_rank(net, queue))
            }
            _ if some => Ok(None),
            _ => Err(Errno::EBADMSG),
        }
    }

    /// What of a message is read; without any it has been dropped.
    fn readable_part(&self, net: &mut Net, node: u32, mut msg: Msg) -> Option<Msg> {
        if msg.kind() == Kind::Data {
            return Some(msg);
        }
        if self.read_options.control == ControlMode::AsData {
            msg.set_kind_all(Kind::Data);
            return Some(msg);
        }
        let (control, data) = super::getmsg::parts(msg);
        if let Some(control) = control {
            match &data {
                // Dropped as a part of a message that goes on.
                Some(_) => net.pool.free(control),
                None => net.discard(node, control, CONTROL_UNWANTED),
            }
        }
        data
    }

    /// What a read leaves of a message, in its mode; true when the read ends with it.
    fn put_rest_back(&self, net: &mut Net, pair: u32, mut msg: Msg, n: usize) -> bool {
        let mode = self.read_options.mode;
        if n < msg.len() && mode != Mode::MessageDiscard {
            msg.trim_front(n);
            net.putbq(queue_no(pair, Side::Read), msg);
            return true;
        }
        // A read does not cross a mark (E17), nor the end of a record.
        let ends = msg.flags().intersects(MsgFlags::MARK.with(MsgFlags::DELIM));
        net.pool.free(msg);
        ends || mode != Mode::Bytes
    }
}

/// RPROTDIS and a message without data.
const CONTROL_UNWANTED: Drop = Drop("control part, and only data is read");
