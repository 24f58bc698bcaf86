//! What a message is: its type, its priority band, its flags. Numbers are those of SVR4.

/// The type of a message block (`db_type`). High priority iff the number is 0x80 or more.
///
/// It is kept in the message block, not in the data block: changing it through one duplicate
/// does not change it for the others (classic STREAMS does).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u8)]
#[non_exhaustive]
pub enum Kind {
    /// M_DATA: bytes of the user.
    Data = 0x00,
    /// M_PROTO: a protocol primitive, possibly followed by data blocks.
    Proto = 0x01,
    /// M_BREAK: a line break (terminals).
    Break = 0x08,
    /// M_PASSFP: an open stream handed through a pipe.
    PassFp = 0x09,
    /// M_SIG: signal to raise when it reaches the front of the head's queue.
    Sig = 0x0b,
    /// M_DELAY: pause of output (terminals).
    Delay = 0x0c,
    /// M_CTL: private between neighbouring modules; the head discards it.
    Ctl = 0x0d,
    /// M_IOCTL: a request to a module or the driver below.
    Ioctl = 0x0e,
    /// M_SETOPTS: options of the stream head.
    SetOpts = 0x10,
    /// M_IOCACK: an ioctl was done.
    IocAck = 0x81,
    /// M_IOCNAK: an ioctl was refused.
    IocNak = 0x82,
    /// M_PCPROTO: a high-priority primitive; one at a time waits at the head.
    PcProto = 0x83,
    /// M_PCSIG: signal to raise now.
    PcSig = 0x84,
    /// M_READ: a reader waits at the head.
    Read = 0x85,
    /// M_FLUSH: throw queued messages away.
    Flush = 0x86,
    /// M_STOP: stop output now.
    Stop = 0x87,
    /// M_START: start output again.
    Start = 0x88,
    /// M_HANGUP: the line is gone.
    Hangup = 0x89,
    /// M_ERROR: the stream has failed.
    Error = 0x8a,
    /// M_COPYIN: copy from the caller of a transparent ioctl.
    CopyIn = 0x8b,
    /// M_COPYOUT: copy to the caller of a transparent ioctl.
    CopyOut = 0x8c,
    /// M_IOCDATA: outcome of a copy.
    IocData = 0x8d,
    /// M_UNHANGUP: the line came back.
    Unhangup = 0x92,
    /// M_CMD: an out-of-band query.
    Cmd = 0x93,
}

impl Kind {
    /// The type with this number; `None` for one that is not known here.
    pub const fn from_number(number: u8) -> Option<Self> {
        const ALL: [Kind; 24] = [
            Kind::Data,
            Kind::Proto,
            Kind::Break,
            Kind::PassFp,
            Kind::Sig,
            Kind::Delay,
            Kind::Ctl,
            Kind::Ioctl,
            Kind::SetOpts,
            Kind::IocAck,
            Kind::IocNak,
            Kind::PcProto,
            Kind::PcSig,
            Kind::Read,
            Kind::Flush,
            Kind::Stop,
            Kind::Start,
            Kind::Hangup,
            Kind::Error,
            Kind::CopyIn,
            Kind::CopyOut,
            Kind::IocData,
            Kind::Unhangup,
            Kind::Cmd,
        ];
        let mut at = 0;
        while at < ALL.len() {
            if ALL[at] as u8 == number {
                return Some(ALL[at]);
            }
            at += 1;
        }
        None
    }

    /// True for types that ignore flow control and go ahead of all bands.
    #[inline]
    pub const fn is_high_priority(self) -> bool {
        self as u8 >= 0x80
    }

    /// `datamsg(9F)`: the types that a flush of FLUSHDATA removes.
    #[inline]
    pub const fn is_data_class(self) -> bool {
        matches!(self, Self::Data | Self::Proto | Self::PcProto | Self::Delay)
    }
}

/// The priority band of an ordinary message: 0 is normal, 255 the most urgent.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(transparent)]
pub struct Band(pub u8);

/// Flags of a message (first block only).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(transparent)]
pub struct MsgFlags(u16);

impl MsgFlags {
    /// The last byte is marked (MSGMARK).
    pub const MARK: Self = Self(1);
    /// The head already turned this M_FLUSH round (MSGNOLOOP).
    pub const NO_LOOP: Self = Self(2);
    /// The message ends a record (MSGDELIM).
    pub const DELIM: Self = Self(4);
    /// The frame was sent to the link's broadcast address.
    pub const LINK_BROADCAST: Self = Self(8);
    /// The frame was sent to a multicast address of the link.
    pub const LINK_MULTICAST: Self = Self(16);
    /// The transport checksum was verified, or was made by this machine and needs none.
    pub const CSUM_OK: Self = Self(32);

    /// What speaks of the last byte of a message, and goes with it when the message is cut.
    pub(crate) const OF_END: Self = Self::MARK.with(Self::DELIM);

    /// Number of the trace that follows the message; 0 when none does. Goes wherever the flags go.
    #[inline]
    pub const fn trace(self) -> u8 {
        (self.0 >> TRACE_SHIFT) as u8
    }

    /// These flags, with another trace.
    #[inline]
    #[must_use]
    pub const fn with_trace(self, trace: u8) -> Self {
        Self(self.0 & ((1 << TRACE_SHIFT) - 1) | (trace as u16) << TRACE_SHIFT)
    }

    /// No flag.
    pub const fn empty() -> Self {
        Self(0)
    }

    /// The flags as a number, to be written down: without the trace.
    pub const fn bits(self) -> u16 {
        self.with_trace(0).0
    }

    /// The flags of a number that [`MsgFlags::bits`] gave.
    pub const fn from_bits(bits: u16) -> Self {
        Self(bits).with_trace(0)
    }

    /// True when all flags of `other` are set.
    #[inline]
    pub const fn contains(self, other: Self) -> bool {
        self.0 & other.0 == other.0
    }

    /// True when a flag of `other` is set.
    #[inline]
    pub const fn intersects(self, other: Self) -> bool {
        self.0 & other.0 != 0
    }

    /// These flags and those of `other`.
    #[inline]
    #[must_use]
    pub const fn with(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// These flags without those of `other`.
    #[inline]
    #[must_use]
    pub const fn without(self, other: Self) -> Self {
        Self(self.0 & !other.0)
    }
}

/// The flags are below, the number of the trace is above.
const TRACE_SHIFT: u32 = 8;
