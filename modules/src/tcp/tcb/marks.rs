//! What is true of a connection, a bit each.

/// Facts about a connection.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(in crate::tcp) struct Marks(u32);

impl Marks {
    /// Timestamps are in use (RFC 7323).
    pub(in crate::tcp) const TIMESTAMPS: Self = Self(1);
    /// The peer takes SACK blocks (RFC 2018).
    pub(in crate::tcp) const SACK: Self = Self(1 << 1);
    /// Congestion is marked (RFC 3168).
    pub(in crate::tcp) const ECN: Self = Self(1 << 2);
    /// A congested segment came: say so until the peer has slowed down.
    pub(in crate::tcp) const ECHO_CONGESTION: Self = Self(1 << 3);
    /// The window was reduced: tell with the next new data.
    pub(in crate::tcp) const TELL_REDUCED: Self = Self(1 << 4);
    /// An acknowledgement goes with the next output.
    pub(in crate::tcp) const ACK_NOW: Self = Self(1 << 5);
    /// The user has ended its direction.
    pub(in crate::tcp) const CLOSING: Self = Self(1 << 6);
    /// The FIN has been sent.
    pub(in crate::tcp) const FIN_SENT: Self = Self(1 << 7);
    /// The peer's FIN is to be told when all data have been taken.
    pub(in crate::tcp) const TELL_END: Self = Self(1 << 8);
    /// The user knows of the peer's FIN.
    pub(in crate::tcp) const TOLD_END: Self = Self(1 << 9);
    /// It is on the list of connections that have something to do.
    pub(in crate::tcp) const DIRTY: Self = Self(1 << 10);
    /// It was opened from here.
    pub(in crate::tcp) const ACTIVE: Self = Self(1 << 11);
    /// The user sends urgent data.
    pub(in crate::tcp) const URGENT_OUT: Self = Self(1 << 12);
    /// The peer does.
    pub(in crate::tcp) const URGENT_IN: Self = Self(1 << 13);
    /// `resend_at` is for a probe of the peer's window.
    pub(in crate::tcp) const PERSIST: Self = Self(1 << 14);
    /// The peer waits in the queue of those to be accepted.
    pub(in crate::tcp) const WAITING: Self = Self(1 << 15);
    /// Data did not find room in the send buffer: the user is told when there is.
    pub(in crate::tcp) const WRITER_WAITS: Self = Self(1 << 16);
    /// It is over: to be forgotten.
    pub(in crate::tcp) const DEAD: Self = Self(1 << 17);
    /// A partial segment has waited for more as long as it may (`Settings::cork`).
    pub(in crate::tcp) const CORK_OVER: Self = Self(1 << 18);
    /// No limit of time applies to the next output: the last round trip is over (TLP).
    pub(in crate::tcp) const PROBE_NEW: Self = Self(1 << 19);
    /// The peer's FIN came before what is in front of it.
    pub(in crate::tcp) const FIN_SEEN: Self = Self(1 << 20);
    /// Both scale their windows (RFC 7323).
    pub(in crate::tcp) const SCALED: Self = Self(1 << 21);
    /// The user is to learn that the connection stands.
    pub(in crate::tcp) const TELL_CONNECTED: Self = Self(1 << 22);
    /// The stream head is to have room for the receive buffer.
    pub(in crate::tcp) const TELL_BUFFER: Self = Self(1 << 23);
    /// An acknowledgement is due, but may wait until the stack rests: most likely the user has
    /// something to send then that carries it.
    pub(in crate::tcp) const ACK_SOON: Self = Self(1 << 25);
    /// It is on the list of those that wait so.
    pub(in crate::tcp) const ACK_LISTED: Self = Self(1 << 26);

    /// What may be sent waits for its time by the pace.
    pub(in crate::tcp) const PACED: Self = Self(1 << 24);

    pub(in crate::tcp) const fn has(self, other: Self) -> bool {
        self.0 & other.0 != 0
    }

    pub(in crate::tcp) const fn set(&mut self, other: Self) {
        self.0 |= other.0;
    }

    pub(in crate::tcp) const fn clear(&mut self, other: Self) {
        self.0 &= !other.0;
    }

    /// Clears all but these.
    pub(in crate::tcp) fn keep(&mut self, others: &[Self]) {
        self.0 &= others.iter().fold(0, |all, other| all | other.0);
    }

    pub(in crate::tcp) const fn bits_mut(&mut self) -> &mut u32 {
        &mut self.0
    }

    /// Clears it; was it set?
    pub(in crate::tcp) const fn take(&mut self, other: Self) -> bool {
        let had = self.has(other);
        self.clear(other);
        had
    }
}
