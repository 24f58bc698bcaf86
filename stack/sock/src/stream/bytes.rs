//! Bytes of a stream: read and write.

use super::{Stream, failure};
use std::io;

impl Stream {
    /// Copies data out (`read(2)`), in the read mode of the stream. 0 for an empty buffer, an empty
    /// message, or when the line is gone and all was read.
    ///
    /// # Errors
    /// `WouldBlock` without data when the stream is non-blocking or the read time-out is over;
    /// EBADMSG when a control part is first and the mode refuses it; the recorded error of a
    /// failed stream.
    pub fn read(&self, out: &mut [u8]) -> io::Result<usize> {
        self.end.until(self.read_deadline(), |core, at| core.read(at, out)).map_err(failure)
    }

    /// Sends bytes in messages of at most the topmost module's packet size (`write(2)`), waiting
    /// for room. How many were sent: less than all when the time-out was over before, or the
    /// stream is non-blocking.
    ///
    /// # Errors
    /// As [`Stream::putmsg`], when nothing was sent; ERANGE when the topmost module has a smallest
    /// packet size and does not take that many.
    pub fn write(&self, bytes: &[u8]) -> io::Result<usize> {
        self.write_pieces(&mut [bytes])
    }

    /// As [`Stream::write`] of all pieces joined (`writev(2)`): they bound no messages.
    ///
    /// # Errors
    /// As [`Stream::write`].
    pub fn write_vectored(&self, pieces: &[io::IoSlice<'_>]) -> io::Result<usize> {
        self.write_pieces(&mut pieces.iter().map(|piece| &**piece).collect::<Vec<_>>())
    }

    fn write_pieces(&self, pieces: &mut [&[u8]]) -> io::Result<usize> {
        let deadline = self.write_deadline();
        write_all(pieces, |left| {
            self.end.until(deadline, |core, at| core.writev(at, left)).map_err(failure)
        })
    }

    /// Throws away what is queued (I_FLUSH): bits of [`millstream_core::tpi::flush`]. When it
    /// returns, the flush has been at the bottom of the stream and back.
    ///
    /// # Errors
    /// EINVAL for no or other bits; ENXIO after a hangup; the recorded error of a failed stream.
    pub fn flush_queues(&self, bits: u8) -> io::Result<()> {
        self.at_head(|core, at| core.flush(at, bits))
    }

    /// As [`Stream::flush_queues`], of one band (I_FLUSHBAND).
    ///
    /// # Errors
    /// As [`Stream::flush_queues`].
    pub fn flush_band(&self, bits: u8, band: u8) -> io::Result<()> {
        self.at_head(|core, at| core.flush_band(at, bits, millstream_msg::Band(band)))
    }
}

/// Writes all pieces with a call that writes some; how many bytes before the first error.
pub(crate) fn write_all(
    pieces: &mut [&[u8]],
    mut write: impl FnMut(&[&[u8]]) -> io::Result<usize>,
) -> io::Result<usize> {
    let mut done = 0;
    let mut left = pieces;
    loop {
        match write(left) {
            // The topmost module takes nothing, or there was nothing.
            Ok(0) => return Ok(done),
            Ok(n) => {
                done += n;
                left = advance(left, n);
            }
            Err(_) if done > 0 => return Ok(done),
            Err(error) => return Err(error),
        }
        if left.is_empty() {
            return Ok(done);
        }
    }
}

/// The pieces without the first `n` bytes.
fn advance<'p, 'b>(pieces: &'p mut [&'b [u8]], n: usize) -> &'p mut [&'b [u8]] {
    let (mut gone, mut whole) = (n, 0);
    for piece in pieces.iter_mut() {
        let here = gone.min(piece.len());
        gone -= here;
        *piece = &piece[here..];
        if !piece.is_empty() {
            break;
        }
        whole += 1;
    }
    &mut pieces[whole..]
}

impl io::Read for &Stream {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        Stream::read(self, out)
    }
}

impl io::Write for &Stream {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        Stream::write(self, bytes)
    }

    fn write_vectored(&mut self, pieces: &[io::IoSlice<'_>]) -> io::Result<usize> {
        Stream::write_vectored(self, pieces)
    }

    /// Nothing is kept back: there is nothing to do.
    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
