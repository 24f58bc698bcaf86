//! line: bytes of a connection become lines, of bounded length and within a bounded time.

use std::io::{ErrorKind, Read, Result};
use std::time::{Duration, Instant};

/// Longest line, without its end. Bytes.
pub(super) const LINE_MAX: usize = 64 * 1024;

/// A line that began is complete within this time.
const LINE_TIME_MAX: Duration = Duration::from_secs(10);

/// Reads lines.
#[derive(Debug)]
pub(super) struct Lines<R> {
    source: R,
    buffer: Vec<u8>,
    max: usize,
}

/// What came.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Line {
    /// A whole line, without its end.
    Text(Vec<u8>),
    /// More than allowed, up to its end.
    TooLong,
    /// The other side has closed.
    End,
}

impl<R: Read> Lines<R> {
    /// What comes after the lines read so far, as bytes.
    pub(super) fn into_rest(self) -> impl Read {
        std::io::Cursor::new(self.buffer).chain(self.source)
    }

    pub(super) fn new(source: R, max: usize) -> Self {
        Self { source, buffer: Vec::new(), max }
    }

    /// The next line.
    ///
    /// # Errors
    /// Those of the source; `TimedOut` when a line takes too long.
    pub(super) fn next(&mut self) -> Result<Line> {
        let mut began = None;
        let mut too_long = false;
        loop {
            if let Some(end) = self.buffer.iter().position(|&b| b == b'\n') {
                let rest = self.buffer.split_off(end + 1);
                let mut text = std::mem::replace(&mut self.buffer, rest);
                text.pop();
                let line = if too_long || text.len() > self.max {
                    Line::TooLong
                } else {
                    Line::Text(text)
                };
                return Ok(line);
            }
            if self.buffer.len() > self.max {
                too_long = true;
                self.buffer.clear();
            }
            let began = *began.get_or_insert_with(Instant::now);
            let mut piece = [0; 4096];
            match self.source.read(&mut piece) {
                Ok(0) => return Ok(Line::End),
                Ok(n) => self.buffer.extend_from_slice(&piece[..n]),
                Err(e) if e.kind() == ErrorKind::Interrupted => {}
                Err(e) => return Err(e),
            }
            let waits = too_long || !self.buffer.is_empty();
            if waits && !self.buffer.contains(&b'\n') && began.elapsed() > LINE_TIME_MAX {
                return Err(ErrorKind::TimedOut.into());
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(bytes: &[u8]) -> Vec<Line> {
        let mut lines = Lines::new(bytes, 8);
        let mut all = Vec::new();
        loop {
            match lines.next().unwrap() {
                Line::End => return all,
                line => all.push(line),
            }
        }
    }

    #[test]
    fn lines_of_up_to_the_limit_come_whole() {
        let got = lines(b"a\n\n12345678\nrest without end");
        let text = |s: &str| Line::Text(s.as_bytes().to_vec());
        assert_eq!(got, [text("a"), text(""), text("12345678")]);
    }

    #[test]
    fn a_line_beyond_the_limit_is_skipped_to_its_end() {
        let mut bytes = vec![b'x'; 100_000];
        bytes.extend_from_slice(b"\nok\n");
        assert_eq!(lines(&bytes), [Line::TooLong, Line::Text(b"ok".to_vec())]);
        assert_eq!(lines(b"123456789\nok\n")[0], Line::TooLong);
    }
}
