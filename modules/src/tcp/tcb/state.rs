//! Where a connection is.

/// RFC 9293 figure 5. LISTEN is a listener's, CLOSED is nobody's.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum State {
    /// We have asked.
    SynSent,
    /// We have answered, or both have asked.
    SynReceived,
    /// Data may go both ways.
    Established,
    /// We have ended our direction.
    FinWait1,
    /// And the peer has acknowledged it.
    FinWait2,
    /// The peer has ended its direction.
    CloseWait,
    /// Both have ended, ours is not acknowledged.
    Closing,
    /// The peer has ended, then we; ours is not acknowledged.
    LastAck,
    /// Both have ended; old segments may still come.
    TimeWait,
}

impl State {
    /// Both know the other's sequence numbers.
    pub const fn is_synchronized(self) -> bool {
        !matches!(self, Self::SynSent | Self::SynReceived)
    }

    /// The peer may send data.
    pub const fn takes_data(self) -> bool {
        matches!(self, Self::Established | Self::FinWait1 | Self::FinWait2)
    }

    /// The user may send data.
    pub const fn sends_data(self) -> bool {
        matches!(self, Self::SynSent | Self::SynReceived | Self::Established | Self::CloseWait)
    }

    /// The peer has ended its direction.
    pub const fn peer_has_ended(self) -> bool {
        matches!(self, Self::CloseWait | Self::Closing | Self::LastAck | Self::TimeWait)
    }

    /// The name in `ss`.
    pub const fn name(self) -> &'static str {
        match self {
            Self::SynSent => "SYN-SENT",
            Self::SynReceived => "SYN-RECV",
            Self::Established => "ESTAB",
            Self::FinWait1 => "FIN-WAIT-1",
            Self::FinWait2 => "FIN-WAIT-2",
            Self::CloseWait => "CLOSE-WAIT",
            Self::Closing => "CLOSING",
            Self::LastAck => "LAST-ACK",
            Self::TimeWait => "TIME-WAIT",
        }
    }

    /// The number in Linux's TCP_INFO.
    pub const fn linux_number(self) -> u8 {
        match self {
            Self::Established => 1,
            Self::SynSent => 2,
            Self::SynReceived => 3,
            Self::FinWait1 => 4,
            Self::FinWait2 => 5,
            Self::TimeWait => 6,
            Self::CloseWait => 8,
            Self::LastAck => 9,
            Self::Closing => 11,
        }
    }
}
