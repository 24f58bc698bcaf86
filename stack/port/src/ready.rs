//! What is possible at a socket, in the numbers of poll(2) and epoll(7).

use millstream_core::PollEvents;
use std::ops::BitOr;

/// A set of events. The bits are those of `poll.h` and of `sys/epoll.h`, which are the same.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Ready(pub u32);

impl Ready {
    /// POLLIN: something can be read, or the end of what was sent, or a connection accepted.
    pub const IN: Self = Self(0x0001);
    /// POLLPRI: urgent data, or a message of high priority.
    pub const PRI: Self = Self(0x0002);
    /// POLLOUT: there is room to write.
    pub const OUT: Self = Self(0x0004);
    /// POLLERR: an error waits to be told. Reported whether or not it was asked for.
    pub const ERR: Self = Self(0x0008);
    /// POLLHUP: both directions have ended. Reported whether or not it was asked for.
    pub const HUP: Self = Self(0x0010);
    /// POLLRDNORM: goes with IN.
    pub const RDNORM: Self = Self(0x0040);
    /// POLLRDBAND: a message of a band above 0 is first.
    pub const RDBAND: Self = Self(0x0080);
    /// POLLWRNORM: goes with OUT.
    pub const WRNORM: Self = Self(0x0100);
    /// POLLWRBAND: a message of a band above 0 may be sent.
    pub const WRBAND: Self = Self(0x0200);
    /// POLLRDHUP: the peer has ended its direction.
    pub const RDHUP: Self = Self(0x2000);

    /// EPOLLET, asked for when arming: each arrival counts as a change, not only the first.
    pub const EDGES: Self = Self(1 << 31);

    /// No event.
    pub const fn empty() -> Self {
        Self(0)
    }

    /// No event is in the set.
    pub const fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// All of `other` are in the set.
    pub const fn contains(self, other: Self) -> bool {
        self.0 & other.0 == other.0
    }

    /// Any of `other` is in the set.
    pub const fn intersects(self, other: Self) -> bool {
        self.0 & other.0 != 0
    }

    /// These and those.
    #[must_use]
    pub const fn with(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// Those of these that are also in `other`.
    #[must_use]
    pub const fn only(self, other: Self) -> Self {
        Self(self.0 & other.0)
    }

    /// These, if `so`; else none.
    #[must_use]
    pub const fn when(self, so: bool) -> Self {
        if so { self } else { Self(0) }
    }
}

impl BitOr for Ready {
    type Output = Self;

    fn bitor(self, other: Self) -> Self {
        self.with(other)
    }
}

impl From<PollEvents> for Ready {
    /// The numbers are the same.
    fn from(events: PollEvents) -> Self {
        Self(u32::from(events.number()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn events_of_a_head_keep_their_numbers() {
        let events = PollEvents::IN.with(PollEvents::WRBAND).with(PollEvents::HUP);
        assert_eq!(Ready::from(events), Ready::IN | Ready::WRBAND | Ready::HUP);
    }
}
