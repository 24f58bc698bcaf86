//! Options of a stream.

use super::Stream;
use millstream_core::{ErrorOptions, ReadOptions, Signals};
use std::io;
use std::time::Duration;

impl Stream {
    /// How reads treat messages (I_GRDOPT).
    ///
    /// # Errors
    /// The recorded error of a failed stream.
    pub fn read_options(&self) -> io::Result<ReadOptions> {
        self.at_head(|core, at| core.read_options(at))
    }

    /// Sets how reads treat messages (I_SRDOPT).
    ///
    /// # Errors
    /// As [`Stream::read_options`].
    pub fn set_read_options(&self, options: ReadOptions) -> io::Result<()> {
        self.at_head(move |core, at| core.set_read_options(at, options))
    }

    /// Does a write of nothing send an empty message (I_GWROPT, SNDZERO)?
    ///
    /// # Errors
    /// As [`Stream::read_options`].
    pub fn sends_empty(&self) -> io::Result<bool> {
        self.at_head(|core, at| core.sends_empty(at))
    }

    /// Sets whether a write of nothing sends an empty message (I_SWROPT, SNDZERO).
    ///
    /// # Errors
    /// As [`Stream::read_options`].
    pub fn set_sends_empty(&self, sends: bool) -> io::Result<()> {
        self.at_head(move |core, at| core.set_sends_empty(at, sends))
    }

    /// How long errors last (I_GERROPT).
    ///
    /// # Errors
    /// EINVAL when linked.
    pub fn error_options(&self) -> io::Result<ErrorOptions> {
        self.at_head(|core, at| core.error_options(at))
    }

    /// Sets how long errors last (I_SERROPT).
    ///
    /// # Errors
    /// As [`Stream::error_options`].
    pub fn set_error_options(&self, options: ErrorOptions) -> io::Result<()> {
        self.at_head(move |core, at| core.set_error_options(at, options))
    }

    /// How long a close waits for modules that are not ready to go (I_GETCLTIME).
    ///
    /// # Errors
    /// As [`Stream::read_options`].
    pub fn close_time(&self) -> io::Result<Duration> {
        self.at_head(|core, at| core.close_time(at))
    }

    /// Sets how long a close waits (I_SETCLTIME); milliseconds, rounded up.
    ///
    /// # Errors
    /// As [`Stream::read_options`]; EINVAL when it is too long to be counted.
    pub fn set_close_time(&self, time: Duration) -> io::Result<()> {
        self.at_head(move |core, at| core.set_close_time(at, time))
    }

    /// What [`Stream::wait_signals`] tells of (I_GETSIG).
    ///
    /// # Errors
    /// EINVAL when nothing was asked for; the recorded error of a failed stream.
    pub fn signals(&self) -> io::Result<Signals> {
        self.at_head(|core, at| core.signals(at))
    }

    /// Sets what [`Stream::wait_signals`] tells of (I_SETSIG).
    ///
    /// # Errors
    /// EINVAL for nothing when nothing was asked for; the recorded error of a failed stream.
    pub fn set_signals(&self, signals: Signals) -> io::Result<()> {
        self.at_head(move |core, at| core.set_signals(at, signals))
    }
}
