//! Errors and hangup: what M_ERROR and M_HANGUP leave behind (E1 to E6).

use crate::errno::Errno;
use crate::head::{Head, HeadEvent, Signals};
use crate::net::{Net, queue_no};
use crate::queue::Side;
use crate::tpi::flush;
use core::num::NonZeroU8;
use millstream_msg::{Kind, Msg};

/// How long errors of M_ERROR last (I_SERROPT). Hangups last until the line comes back.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ErrorOptions {
    /// A read error is reported once and forgotten (RERRNONPERSIST).
    pub read_once: bool,
    /// A write error is reported once and forgotten (WERRNONPERSIST).
    pub write_once: bool,
}

impl ErrorOptions {
    /// RERRNORM, RERRNONPERSIST, WERRNORM, WERRNONPERSIST.
    const BITS: [u32; 4] = [1, 2, 4, 8];

    /// As a number of `stropts.h`.
    pub fn number(self) -> u32 {
        let [read_norm, read_once, write_norm, write_once] = Self::BITS;
        let read = if self.read_once { read_once } else { read_norm };
        read | if self.write_once { write_once } else { write_norm }
    }

    /// These options changed as a number of `stropts.h` says: a side that it does not speak of
    /// stays.
    ///
    /// # Errors
    /// EINVAL when it asks for both of a side, or for something else.
    pub fn changed(self, number: u32) -> Result<Self, Errno> {
        let [read_norm, read_once, write_norm, write_once] = Self::BITS;
        let side = |norm: u32, once: u32, now: bool| match number & (norm | once) {
            0 => Ok(now),
            bit if bit == norm => Ok(false),
            bit if bit == once => Ok(true),
            _ => Err(Errno::EINVAL),
        };
        if number & !Self::BITS.iter().sum::<u32>() != 0 {
            return Err(Errno::EINVAL);
        }
        Ok(Self {
            read_once: side(read_norm, read_once, self.read_once)?,
            write_once: side(write_norm, write_once, self.write_once)?,
        })
    }
}

impl Head {
    /// M_ERROR, one byte or two (E1). The first error of a side flushes that side below (E2).
    pub(super) fn fail(&mut self, net: &mut Net, pair: u32, msg: Msg) {
        const LEAVE: u8 = 0xff;
        let side = |now: &mut Option<NonZeroU8>, byte: u8| {
            if byte != LEAVE {
                *now = NonZeroU8::new(byte);
            }
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
        self.tell(net, HeadEvent::Error, Signals::ERROR);
    }

    /// M_HANGUP: what is queued can still be read (E5).
    pub(super) fn hang_up(&mut self, net: &mut Net, pair: u32, msg: Msg) {
        self.hangup = true;
        net.pool.free(msg);
        self.fail_ioctls(net, pair);
        self.tell(net, HeadEvent::Hangup, Signals::HANGUP);
    }

    /// The other end of a pipe is closed: nobody reads what is written here (L2). The hangup that
    /// ends reading comes behind what is under way, or is here already.
    pub(crate) fn part(&mut self, net: &mut Net, pair: u32, hangup: bool) {
        self.broken = true;
        self.hangup |= hangup;
        self.fail_ioctls(net, pair);
        self.tell(net, HeadEvent::Hangup, Signals::HANGUP);
    }

    /// M_UNHANGUP: writing is possible again.
    pub(super) fn come_back(&mut self, net: &mut Net, msg: Msg) {
        self.hangup = false;
        self.write_error = None;
        net.pool.free(msg);
        self.tell(net, HeadEvent::Writable, Signals::OUTPUT);
    }

    /// The error that reading meets. One that does not last is forgotten.
    #[inline]
    pub(crate) fn check_read(&mut self) -> Result<(), Errno> {
        report(&mut self.read_error, self.error_options.read_once)
    }

    /// The error that writing meets. One that does not last is forgotten.
    #[inline]
    pub(super) fn check_write(&mut self) -> Result<(), Errno> {
        report(&mut self.write_error, self.error_options.write_once)?;
        if self.broken {
            return Err(Errno::EPIPE);
        }
        self.check_line()
    }

    /// Writing meets no error.
    #[inline]
    pub(super) fn may_write(&self) -> bool {
        self.write_error.is_none() && !self.broken && !self.hangup
    }

    /// The error that everything else meets: that of reading if there is one.
    pub(crate) fn check_either(&mut self) -> Result<(), Errno> {
        self.check_read()?;
        report(&mut self.write_error, self.error_options.write_once)
    }

    /// The error that looking meets: it stays, whatever the options are (E4).
    pub(super) fn check_look(&self) -> Result<(), Errno> {
        report(&mut { self.read_error }, false)
    }

    /// ENXIO when the line is gone, or the other end of the pipe.
    #[inline]
    pub(crate) fn check_line(&self) -> Result<(), Errno> {
        if self.hangup || self.broken { Err(Errno::ENXIO) } else { Ok(()) }
    }

    /// The error that everything but reading and writing meets (E3, E5).
    pub(crate) fn failure(&self) -> Option<Errno> {
        let hangup = (self.hangup || self.broken).then_some(Errno::ENXIO);
        self.read_error.or(self.write_error).map(number).or(hangup)
    }

    /// Hung up or in error.
    pub(crate) fn failed(&self) -> bool {
        self.hangup || self.read_error.or(self.write_error).is_some()
    }
}

/// The error of a side, which is forgotten then when it is one that is reported once.
#[inline]
fn report(error: &mut Option<NonZeroU8>, once: bool) -> Result<(), Errno> {
    let Some(byte) = *error else { return Ok(()) };
    if once {
        *error = None;
    }
    Err(number(byte))
}

fn number(byte: NonZeroU8) -> Errno {
    Errno(i32::from(byte.get()))
}
