//! What a program asks of the head of a stream without taking anything from it.

use super::{Stream, failure};
use millstream_core::{Errno, Mark, Partial, PollEvents, Signals, Waiting, Want};
use millstream_host::EndError;
use millstream_msg::Band;
use std::io;
use std::time::{Duration, Instant};

impl Stream {
    /// Waits until something of `asked` is possible, the stream is hung up or failed, and says what
    /// (`poll(2)`); nothing when the time is over. `None` waits for ever.
    ///
    /// # Errors
    /// When the stack has stopped.
    pub fn poll(&self, asked: PollEvents, wait: Option<Duration>) -> io::Result<PollEvents> {
        let deadline = wait.map(|wait| Instant::now() + wait);
        let ready = self.end.until(deadline, |core, at| {
            let ready = core.poll_head(at, asked)?;
            if ready.is_empty() { Err(Errno::EAGAIN) } else { Ok(ready) }
        });
        match ready {
            Err(EndError::WouldBlock) => Ok(PollEvents::empty()),
            other => other.map_err(failure),
        }
    }

    /// As [`Stream::getmsg_into`], leaving everything where it is (I_PEEK). Does not wait: `None`
    /// when no message is first that is wanted.
    ///
    /// # Errors
    /// EBADMSG when a stream that was handed through a pipe is first; the recorded error of a
    /// failed stream.
    pub fn peek(
        &self,
        want: Want,
        control: Option<&mut [u8]>,
        data: Option<&mut [u8]>,
    ) -> io::Result<Option<Partial>> {
        self.at_head(|core, at| core.peek(at, want, control, data))
    }

    /// How many messages wait, and data bytes of the first (I_NREAD).
    ///
    /// # Errors
    /// The recorded error of a failed stream.
    pub fn waiting(&self) -> io::Result<Waiting> {
        self.at_head(|core, at| core.waiting(at))
    }

    /// Does a message of this band wait (I_CKBAND)? Of band 0: does any?
    ///
    /// # Errors
    /// As [`Stream::waiting`].
    pub fn band_waits(&self, band: u8) -> io::Result<bool> {
        self.at_head(move |core, at| core.band_waits(at, Band(band)))
    }

    /// The band of the first message (I_GETBAND).
    ///
    /// # Errors
    /// As [`Stream::waiting`]; ENODATA without one.
    pub fn first_band(&self) -> io::Result<u8> {
        self.at_head(|core, at| core.first_band(at)).map(|Band(band)| band)
    }

    /// Is the first message marked (I_ATMARK)?
    ///
    /// # Errors
    /// As [`Stream::waiting`].
    pub fn at_mark(&self, mark: Mark) -> io::Result<bool> {
        self.at_head(move |core, at| core.at_mark(at, mark))
    }

    /// Would flow control let a message of this band down, or of any when none is named (I_CANPUT)?
    ///
    /// # Errors
    /// The recorded error of a failed stream.
    pub fn can_put(&self, band: Option<u8>) -> io::Result<bool> {
        self.at_head(move |core, at| core.can_put(at, band.map(Band)))
    }

    /// Name of the topmost module (I_LOOK).
    ///
    /// # Errors
    /// EINVAL without a module; the recorded error of a failed stream.
    pub fn look(&self) -> io::Result<String> {
        self.at_head(|core, at| core.look(at))
    }

    /// Is a module of this name in the stream (I_FIND)?
    ///
    /// # Errors
    /// EINVAL when there is no such module at all; the recorded error of a failed stream.
    pub fn has_module(&self, name: &str) -> io::Result<bool> {
        let name = name.to_owned();
        self.at_head(move |core, at| {
            let known =
                |name: &str| millstream_modules::table::names().any(|info| info.name == name);
            core.has_module(at, &name, known)
        })
    }

    /// Waits for something that was asked for with [`Stream::set_signals`], and says what has
    /// happened since the last call; nothing when the time is over. `None` waits for ever.
    ///
    /// # Errors
    /// When the stack has stopped.
    pub fn wait_signals(&self, wait: Option<Duration>) -> io::Result<Signals> {
        match self.end.take_signals(wait.map(|wait| Instant::now() + wait)) {
            Err(EndError::WouldBlock) => Ok(Signals::empty()),
            other => other.map_err(failure),
        }
    }
}
