//! What a program asks to be told (I_SETSIG). No signal is raised: an event carries the set, and
//! whoever owns the stream hands it on (E51).

use crate::bits::bits;
use crate::head::{Head, HeadEvent};
use crate::net::{Event, Net};

bits! {
    /// Reasons to be told, as in `stropts.h`.
    pub struct Signals(u16);
    /// S_INPUT: an ordinary message became the first.
    INPUT = 0x0001;
    /// S_HIPRI: a high-priority message became the first.
    HIPRI = 0x0002;
    /// S_OUTPUT, S_WRNORM: band 0 below has room again.
    OUTPUT = 0x0004;
    /// S_MSG: a module sent M_SIG or M_PCSIG.
    MSG = 0x0008;
    /// S_ERROR: M_ERROR came.
    ERROR = 0x0010;
    /// S_HANGUP: the line is gone.
    HANGUP = 0x0020;
    /// S_RDNORM: a message of band 0 became the first.
    RDNORM = 0x0040;
    /// S_RDBAND: a message of a higher band became the first.
    RDBAND = 0x0080;
    /// S_WRBAND: a band above 0 below has room again.
    WRBAND = 0x0100;
    /// S_BANDURG: comes with RDBAND, for who wants to tell it from other input.
    BANDURG = 0x0200;
}

impl Signals {
    /// The set of a number as programs write it; `None` when a bit has no name.
    pub fn from_number(number: u32) -> Option<Self> {
        let set = Self(u16::try_from(number).ok()?);
        Self::ALL.contains(set).then_some(set)
    }
}

impl Head {
    /// Says what happened, and why to those who asked.
    #[inline]
    pub(super) fn tell(&self, net: &mut Net, event: HeadEvent, why: Signals) {
        net.events.push_back(Event::Head(self.stream, event));
        self.signal(net, why);
    }

    #[inline]
    pub(super) fn signal(&self, net: &mut Net, why: Signals) {
        let asked = why.only(self.signals);
        if !asked.is_empty() {
            net.events.push_back(Event::Head(self.stream, HeadEvent::Signal(asked)));
        }
    }
}
