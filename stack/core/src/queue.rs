//! One queue: where its inbox is, what it holds, what flow control knows of it. Plain state.

use crate::inbox::Ticket;
use millstream_msg::{Band, Kind, Msg, MsgList};

/// Which queue of a pair.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum Side {
    /// Messages on their way up.
    Read = 0,
    /// Messages on their way down.
    Write = 1,
}

impl Side {
    /// The other queue of the pair.
    #[inline]
    pub const fn other(self) -> Self {
        match self {
            Self::Read => Self::Write,
            Self::Write => Self::Read,
        }
    }
}

/// What a flush removes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Flush {
    /// Everything (FLUSHALL).
    All,
    /// Data, proto and delay messages only (FLUSHDATA).
    Data,
}

/// A queue, 48 bytes; bands have a record of their own, made when one is used.
#[derive(Debug)]
pub(crate) struct Queue {
    /// Queued by `putq`, in the order of C2: high priority, bands 255 to 1, band 0.
    pub(crate) held: MsgList,
    /// Bytes charged: held, in own inbox, and in inboxes of modules before that have no service
    /// procedure. Wraps consistently; at most the pool's memory.
    pub(crate) bytes: u32,
    /// Messages charged likewise.
    pub(crate) msgs: u32,
    /// The nearest queue at or after this one that has a service procedure. Queue number.
    pub(crate) target: u32,
    /// The next queue in its direction; one that does not exist at the end. Queue number.
    pub(crate) next: u32,
    /// Posted and not yet put. FIFO: priority does not overtake there.
    pub(crate) inbox: Ticket,
    pub(crate) flags: u16,
    /// Number of the water marks in the table of the net.
    pub(crate) marks: u16,
}

const _: () = assert!(size_of::<Queue>() == 48);

/// Somebody was refused and wants to be called back (QWANTW), band 0.
pub(crate) const WANT_WRITE: u16 = 1;
/// `getq` found nothing: the next `putq` enables (QWANTR).
pub(crate) const WANT_READ: u16 = 2;
/// On the list of queues to serve (QENAB).
pub(crate) const ENABLED: u16 = 4;
/// Ordinary messages do not enable (QNOENB).
pub(crate) const NO_ENABLE: u16 = 8;
/// Has a service procedure.
pub(crate) const SERVICE: u16 = 16;
/// A message with a band above 0 was charged: the record of bands exists.
pub(crate) const BANDED: u16 = 32;
/// Somebody was refused in a band above 0.
pub(crate) const WANT_BAND: u16 = 64;
/// On the list of ends to be told that flow control ahead has gone.
pub(crate) const RELIEVED: u16 = 128;
/// A close waits until it holds nothing.
pub(crate) const DRAINING: u16 = 256;

impl Queue {
    pub(crate) fn new(marks: u16, flags: u16) -> Self {
        Self {
            held: MsgList::new(),
            bytes: 0,
            msgs: 0,
            target: u32::MAX,
            next: u32::MAX,
            inbox: Ticket::NONE,
            // New queues want to be read, so that the first putq enables (C6).
            flags: flags | WANT_READ,
            marks,
        }
    }

    #[inline]
    pub(crate) fn has(&self, flag: u16) -> bool {
        self.flags & flag != 0
    }

    #[inline]
    pub(crate) fn set(&mut self, flag: u16) {
        self.flags |= flag;
    }

    #[inline]
    pub(crate) fn clear(&mut self, flag: u16) {
        self.flags &= !flag;
    }

    /// `putq(9F)`: behind all messages of the same or higher priority (C3). True when the queue is
    /// to be enabled (C25).
    #[inline]
    pub(crate) fn putq(&mut self, msg: Msg) -> bool {
        let rank = rank(&msg);
        let enable = rank == HIGH || (!self.has(NO_ENABLE) && (self.has(WANT_READ) || rank > 0));
        if rank == 0 {
            self.held.push(msg);
        } else {
            self.held.insert_before(msg, |other| self::rank(other) < rank);
        }
        enable
    }

    /// `putbq(9F)`: before all messages of the same or lower priority (C4). True when the queue is
    /// to be enabled (C25).
    pub(crate) fn putbq(&mut self, msg: Msg) -> bool {
        let rank = rank(&msg);
        let enable = rank == HIGH || (!self.has(NO_ENABLE) && self.has(WANT_READ));
        if self.held.front().is_none_or(|front| self::rank(front) <= rank) {
            self.held.push_front(msg);
        } else {
            self.held.insert_before(msg, |other| self::rank(other) <= rank);
        }
        enable
    }

    /// `getq(9F)`: the first message, or none and the next putq enables (C6).
    #[inline]
    pub(crate) fn getq(&mut self) -> Option<Msg> {
        let msg = self.held.pop();
        if msg.is_some() {
            self.clear(WANT_READ);
        } else {
            self.set(WANT_READ);
        }
        msg
    }

    /// Would a message of this rank keep the order before the message at a place, or at the end
    /// (C2, C5)?
    pub(crate) fn fits(&self, before: Option<usize>, rank: u16) -> bool {
        let at = before.unwrap_or(self.held.len());
        let ahead = at.checked_sub(1).and_then(|ahead| self.held.iter().nth(ahead));
        let behind = self.held.iter().nth(at);
        (before.is_none() || behind.is_some())
            && ahead.is_none_or(|msg| self::rank(msg) >= rank)
            && behind.is_none_or(|msg| self::rank(msg) <= rank)
    }

    /// `insq(9F)`: before the message at a place that it fits, or at the end. True when the queue
    /// is to be enabled (C25).
    pub(crate) fn insq(&mut self, before: Option<usize>, msg: Msg) -> bool {
        let mut left = before.unwrap_or(self.held.len());
        self.held.insert_before(msg, |_| match left.checked_sub(1) {
            Some(fewer) => {
                left = fewer;
                false
            }
            None => true,
        });
        !self.has(NO_ENABLE) && self.has(WANT_READ)
    }

    /// `rmvq(9F)`: takes the message at a place out.
    pub(crate) fn rmvq(&mut self, at: usize) -> Option<Msg> {
        let mut place = 0;
        let msg = self.held.extract(|_| {
            place += 1;
            place - 1 == at
        });
        msg.into_iter().next()
    }

    /// `flushq(9F)`, `flushband(9F)`: takes what a flush removes, in order; the rest keeps its
    /// order. For a band, high-priority messages count as band 0 (C8).
    pub(crate) fn flush(&mut self, what: Flush, band: Option<Band>) -> MsgList {
        self.held.extract(|msg| {
            let class = what == Flush::All || msg.kind().is_data_class();
            class && band.is_none_or(|band| band_of(msg) == band)
        })
    }
}

/// Rank of high-priority messages: above all bands.
pub(crate) const HIGH: u16 = 256;

/// Place in the order of a queue.
#[inline]
pub(crate) fn rank(msg: &Msg) -> u16 {
    if msg.kind().is_high_priority() { HIGH } else { u16::from(msg.band().0) }
}

/// The band that a message is charged to: 0 for high priority (B3).
#[inline]
pub(crate) fn band_of(msg: &Msg) -> Band {
    if msg.kind().is_high_priority() { Band(0) } else { msg.band() }
}

/// True for kinds that obey flow control.
#[inline]
pub(crate) fn is_ordinary(kind: Kind) -> bool {
    !kind.is_high_priority()
}
