//! Options of a stream head. The same can be asked for from below, with M_SETOPTS.

use crate::errno::Errno;
use crate::head::{ErrorOptions, Head, ReadOptions, Signals};
use crate::perimeter::{Perimeter, StreamId};
use core::time::Duration;

impl Perimeter {
    /// How reads treat messages (I_GRDOPT).
    ///
    /// # Errors
    /// EINVAL when linked, the recorded error of a failed stream.
    pub fn read_options(&mut self, stream: StreamId) -> Result<ReadOptions, Errno> {
        Ok(self.sound_head(stream)?.read_options)
    }

    /// Sets how reads treat messages (I_SRDOPT).
    ///
    /// # Errors
    /// As [`Perimeter::read_options`].
    pub fn set_read_options(
        &mut self,
        stream: StreamId,
        options: ReadOptions,
    ) -> Result<(), Errno> {
        self.sound_head(stream)?.read_options = options;
        Ok(())
    }

    /// Does a write of nothing send an empty message (I_GWROPT, SNDZERO)?
    ///
    /// # Errors
    /// As [`Perimeter::read_options`].
    pub fn sends_empty(&mut self, stream: StreamId) -> Result<bool, Errno> {
        Ok(self.sound_head(stream)?.sends_empty)
    }

    /// Sets whether a write of nothing sends an empty message (I_SWROPT, SNDZERO).
    ///
    /// # Errors
    /// As [`Perimeter::read_options`].
    pub fn set_sends_empty(&mut self, stream: StreamId, sends: bool) -> Result<(), Errno> {
        self.sound_head(stream)?.sends_empty = sends;
        Ok(())
    }

    /// How long errors last (I_GERROPT).
    ///
    /// # Errors
    /// EINVAL when linked. A failed stream answers.
    pub fn error_options(&mut self, stream: StreamId) -> Result<ErrorOptions, Errno> {
        Ok(self.head(stream)?.0.error_options)
    }

    /// Sets how long errors last (I_SERROPT).
    ///
    /// # Errors
    /// As [`Perimeter::error_options`].
    pub fn set_error_options(
        &mut self,
        stream: StreamId,
        options: ErrorOptions,
    ) -> Result<(), Errno> {
        self.head(stream)?.0.error_options = options;
        Ok(())
    }

    /// How long a close waits for what is on its way down (I_GETCLTIME).
    ///
    /// # Errors
    /// As [`Perimeter::read_options`].
    pub fn close_time(&mut self, stream: StreamId) -> Result<Duration, Errno> {
        Ok(Duration::from_millis(u64::from(self.sound_head(stream)?.close_ms)))
    }

    /// Sets how long a close waits for what is on its way down (I_SETCLTIME), in milliseconds,
    /// rounded up.
    ///
    /// # Errors
    /// As [`Perimeter::read_options`]; EINVAL when it is more than a number of 32 bits holds.
    pub fn set_close_time(&mut self, stream: StreamId, time: Duration) -> Result<(), Errno> {
        let ms = time.as_nanos().div_ceil(1_000_000);
        self.sound_head(stream)?.close_ms = u32::try_from(ms).map_err(|_| Errno::EINVAL)?;
        Ok(())
    }

    /// What the program asked to be told (I_GETSIG).
    ///
    /// # Errors
    /// As [`Perimeter::read_options`]; EINVAL when it asked for nothing.
    pub fn signals(&mut self, stream: StreamId) -> Result<Signals, Errno> {
        let signals = self.sound_head(stream)?.signals;
        if signals.is_empty() { Err(Errno::EINVAL) } else { Ok(signals) }
    }

    /// Sets what the program is told (I_SETSIG): a `Signal` event carries it.
    ///
    /// # Errors
    /// As [`Perimeter::read_options`]; EINVAL for nothing when nothing was asked for before.
    pub fn set_signals(&mut self, stream: StreamId, signals: Signals) -> Result<(), Errno> {
        let head = self.sound_head(stream)?;
        if signals.is_empty() && head.signals.is_empty() {
            return Err(Errno::EINVAL);
        }
        head.signals = signals;
        Ok(())
    }

    /// The head of a stream that has not failed.
    fn sound_head(&mut self, stream: StreamId) -> Result<&mut Head, Errno> {
        let (head, _, _) = self.head(stream)?;
        head.check_either()?;
        Ok(head)
    }
}
