//! What a program may do at a head now, and who is told when that changes (E50, E51).

use crate::head::Head;
use crate::ioctl::IocId;
use crate::net::{Event, NONE, Net, queue_no};
use crate::queue::Side;
use millstream_msg::Band;

/// What happened at a head.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HeadEvent {
    /// A message arrived where none was.
    Readable,
    /// Writing would not be refused any more.
    Writable,
    /// The line is gone or has failed.
    Hangup,
    /// An ioctl has something for its caller: see `Perimeter::ioctl_progress`.
    Ioctl(IocId),
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

impl Head {
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
        if !self.hangup && !self.broken && down != NONE {
            let target = net.queue(down).map(|q| q.target);
            ready.writable = target.is_some_and(|target| net.canput(target, Band(0)));
            self.wants_write |= !ready.writable;
        }
        ready
    }

    /// The stream is not linked any more: what changed meanwhile is told.
    pub(crate) fn returned(&mut self, net: &mut Net, pair: u32) {
        self.drop_lost_parcels(net, pair);
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
