//! What a program may do at a head now, and who is told when that changes (E50).

use crate::bits::bits;
use crate::errno::Errno;
use crate::head::put::first_rank;
use crate::head::{Head, Signals};
use crate::ioctl::IocId;
use crate::net::{Net, queue_no};
use crate::queue::{HIGH, Side};
use millstream_msg::Band;

bits! {
    /// Events of `poll(2)`. Linux's numbers.
    pub struct PollEvents(u16);
    /// POLLIN: an ordinary message is first.
    IN = 0x0001;
    /// POLLPRI: a high-priority message is first; no other message is reported then.
    PRI = 0x0002;
    /// POLLOUT: band 0 below has room.
    OUT = 0x0004;
    /// POLLERR: what was asked for would fail with an error.
    ERR = 0x0008;
    /// POLLHUP: the line is gone. Never with OUT.
    HUP = 0x0010;
    /// POLLNVAL: the stream is linked under a multiplexor.
    NVAL = 0x0020;
    /// POLLRDNORM: a message of band 0 is first.
    RDNORM = 0x0040;
    /// POLLRDBAND: a message of a band above 0 is first.
    RDBAND = 0x0080;
    /// POLLWRNORM: band 0 below has room.
    WRNORM = 0x0100;
    /// POLLWRBAND: a band above 0 below has room, or none was ever used.
    WRBAND = 0x0200;
}

impl PollEvents {
    /// What readers ask for.
    pub const READ: Self = Self::IN.with(Self::PRI).with(Self::RDNORM).with(Self::RDBAND);
    /// What writers ask for.
    pub const WRITE: Self = Self::OUT.with(Self::WRNORM).with(Self::WRBAND);
}

/// What happened at a head.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum HeadEvent {
    /// A message arrived where none was, or the first one is of another band or class now.
    Readable,
    /// Writing would not be refused any more.
    Writable,
    /// The line is gone.
    Hangup,
    /// M_ERROR came: reading, writing or both fail, or do so no longer.
    Error,
    /// Something that the program asked to be told (I_SETSIG).
    Signal(Signals),
    /// An ioctl has something for its caller: see `Perimeter::ioctl_progress`.
    Ioctl(IocId),
}

/// Who was refused below and is to be told of room.
#[derive(Debug, Default)]
pub(super) struct Refused {
    normal: bool,
    band: Option<Band>,
    /// Another band than `band` too: relief of any band is told.
    several: bool,
}

impl Refused {
    pub(super) fn note(&mut self, band: Band) {
        if band.0 == 0 {
            self.normal = true;
        } else {
            self.several |= self.band.is_some_and(|other| other != band);
            self.band = Some(band);
        }
    }
}

impl Head {
    /// What of `asked` a program could do now; HUP, and ERR of the side asked about, besides. Not
    /// writable registers for a `Writable` event.
    pub(crate) fn poll(&mut self, net: &mut Net, pair: u32, asked: PollEvents) -> PollEvents {
        let mut ready = PollEvents::empty();
        if self.read_error.is_some() && asked.intersects(PollEvents::READ)
            || self.write_error.is_some() && asked.intersects(PollEvents::WRITE)
        {
            ready = ready.with(PollEvents::ERR);
        }
        ready = ready.with(match first_rank(net, queue_no(pair, Side::Read)) {
            None => PollEvents::empty(),
            Some(HIGH) => PollEvents::PRI,
            Some(0) => PollEvents::IN.with(PollEvents::RDNORM),
            Some(_) => PollEvents::IN.with(PollEvents::RDBAND),
        });
        if self.hangup {
            ready = ready.with(PollEvents::HUP);
        } else if !self.broken {
            let normal = PollEvents::OUT.with(PollEvents::WRNORM);
            if asked.intersects(normal) && self.canput(net, pair, Band(0)) {
                ready = ready.with(normal);
            }
            if asked.contains(PollEvents::WRBAND) && self.canput_any_band(net, pair) {
                ready = ready.with(PollEvents::WRBAND);
            }
        }
        ready.only(asked.with(PollEvents::ERR).with(PollEvents::HUP))
    }

    /// I_CANPUT of a band, or of any when none is named.
    pub(crate) fn can_put(
        &mut self,
        net: &mut Net,
        pair: u32,
        band: Option<Band>,
    ) -> Result<bool, Errno> {
        self.check_either()?;
        Ok(match band {
            Some(band) => self.canput(net, pair, band),
            None => self.canput(net, pair, Band(0)) || self.canput_any_band(net, pair),
        })
    }

    /// Is there room for a message of this band below? Who is refused is told of relief.
    #[inline]
    pub(super) fn canput(&mut self, net: &mut Net, pair: u32, band: Band) -> bool {
        let down = net.next_of(queue_no(pair, Side::Write));
        let Some(target) = net.queue(down).map(|q| q.target) else { return false };
        let room = net.canput(target, band);
        if !room {
            self.refused.note(band);
        }
        room
    }

    /// A band above 0 that was ever used has room, or none was.
    fn canput_any_band(&mut self, net: &mut Net, pair: u32) -> bool {
        let down = net.next_of(queue_no(pair, Side::Write));
        let Some(target) = net.queue(down).map(|q| q.target) else { return false };
        let mut used = net.band_used_above(target, Band(0));
        let any = used.is_none();
        while let Some(band) = used {
            if self.canput(net, pair, band) {
                return true;
            }
            used = net.band_used_above(target, band);
        }
        any
    }

    /// The stream is not linked any more: what changed meanwhile is told.
    pub(crate) fn returned(&mut self, net: &mut Net, pair: u32) {
        self.drop_lost_parcels(net, pair);
        self.announce(net, queue_no(pair, Side::Read), None);
        self.relieved(net, pair);
    }

    /// Flow control below has gone, of band 0 or of another: refused writers of it are told.
    pub(crate) fn relieved(&mut self, net: &mut Net, pair: u32) {
        let down = net.next_of(queue_no(pair, Side::Write));
        let target = net.queue(down).map(|q| q.target);
        let waits = |net: &Net, band| target.is_some_and(|target| net.band_counts(target, band).2);
        if self.refused.normal && !waits(net, Band(0)) {
            self.refused.normal = false;
            self.tell(net, HeadEvent::Writable, Signals::OUTPUT);
        }
        if let Some(band) = self.refused.band
            && (self.refused.several || !waits(net, band))
        {
            (self.refused.band, self.refused.several) = (None, false);
            self.tell(net, HeadEvent::Writable, Signals::WRBAND);
        }
    }
}
