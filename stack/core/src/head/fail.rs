//! Errors and hangup: what M_ERROR and M_HANGUP leave behind (E1 to E6).

use crate::errno::Errno;
use crate::head::{Head, HeadEvent};
use crate::net::{Event, Net, queue_no};
use crate::queue::Side;
use crate::tpi::flush;
use millstream_msg::{Kind, Msg};

impl Head {
    /// M_ERROR, one byte or two (E1). The first error of a side flushes that side below (E2).
    pub(super) fn fail(&mut self, net: &mut Net, pair: u32, msg: Msg) {
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
        self.fail_ioctls(net, pair);
        net.events.push_back(Event::Head(self.stream, HeadEvent::Hangup));
    }

    /// The error that everything but reading and writing meets (E3, E5).
    pub(crate) fn failure(&self) -> Option<Errno> {
        let hangup = (self.hangup || self.broken).then_some(Errno::ENXIO);
        self.read_error.or(self.write_error).or(hangup)
    }

    /// The other end of a pipe is closed: nobody reads what is written here (L2). The hangup that
    /// ends reading comes behind what is under way, or is here already.
    pub(crate) fn part(&mut self, net: &mut Net, pair: u32, hangup: bool) {
        self.broken = true;
        self.hangup |= hangup;
        self.fail_ioctls(net, pair);
        net.events.push_back(Event::Head(self.stream, HeadEvent::Hangup));
    }

    /// Hung up or in error.
    pub(crate) fn failed(&self) -> bool {
        self.hangup || self.read_error.or(self.write_error).is_some()
    }
}
