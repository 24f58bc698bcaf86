//! Options of a connection, as `std::net::TcpStream` has them, and those that Linux programs use
//! beside them (`tcp(7)`, `socket(7)`).

use super::TcpStream;
use crate::request::{option, option_word, set_option, set_option_bytes};
use millstream_modules::tcp::names;
use std::io;
use std::time::Duration;

/// All fail only when the stack has stopped, the connection is over, or the value is out of range
/// (`InvalidInput`).
#[allow(clippy::missing_errors_doc, reason = "said once, above")]
impl TcpStream {
    /// Small segments leave at once (TCP_NODELAY).
    pub fn set_nodelay(&self, on: bool) -> io::Result<()> {
        self.set((names::TCP, names::NODELAY), on.into())
    }

    /// See [`TcpStream::set_nodelay`].
    pub fn nodelay(&self) -> io::Result<bool> {
        Ok(self.get((names::TCP, names::NODELAY))? != 0)
    }

    /// Only full segments leave, for at most 200 ms (TCP_CORK).
    pub fn set_cork(&self, on: bool) -> io::Result<()> {
        self.set((names::TCP, names::CORK), on.into())
    }

    /// Hops (IP_TTL).
    pub fn set_ttl(&self, ttl: u32) -> io::Result<()> {
        self.set((names::IP, names::TTL), i32::try_from(ttl).unwrap_or(i32::MAX))
    }

    /// See [`TcpStream::set_ttl`]; 0: as the stack has it.
    pub fn ttl(&self) -> io::Result<u32> {
        Ok(self.get((names::IP, names::TTL))? as u32)
    }

    /// How long the close of the stream waits for data to be acknowledged (SO_LINGER), at most its
    /// [`close_time`](crate::Stream::close_time); zero: close resets. The data are delivered in
    /// any other case.
    pub fn set_linger(&self, wait: Option<Duration>) -> io::Result<()> {
        let seconds = wait.map_or(0, |wait| i32::try_from(wait.as_secs()).unwrap_or(i32::MAX));
        let words = [wait.is_some().into(), seconds];
        set_option(self.stream(), (names::SOCKET, names::LINGER), &words)
    }

    /// An idle connection is probed after `idle` (SO_KEEPALIVE, TCP_KEEPIDLE); `None`: it is not.
    pub fn set_keepalive(&self, idle: Option<Duration>) -> io::Result<()> {
        if let Some(idle) = idle {
            let seconds = i32::try_from(idle.as_secs()).unwrap_or(i32::MAX);
            self.set((names::TCP, names::KEEPIDLE), seconds)?;
        }
        self.set((names::SOCKET, names::KEEPALIVE), idle.is_some().into())
    }

    /// How long data may stay unacknowledged before the connection is given up
    /// (TCP_USER_TIMEOUT); `None`: as usual.
    pub fn set_user_timeout(&self, wait: Option<Duration>) -> io::Result<()> {
        let ms = wait.map_or(0, |wait| i32::try_from(wait.as_millis()).unwrap_or(i32::MAX));
        self.set((names::TCP, names::USER_TIMEOUT), ms)
    }

    /// The controller of congestion by its name (TCP_CONGESTION): `cubic` or `reno`.
    pub fn set_congestion(&self, name: &str) -> io::Result<()> {
        set_option_bytes(self.stream(), (names::TCP, names::CONGESTION), name.as_bytes())
    }

    /// See [`TcpStream::set_congestion`].
    pub fn congestion(&self) -> io::Result<String> {
        let name = option(self.stream(), (names::TCP, names::CONGESTION))?;
        let name = name.split(|byte| *byte == 0).next().unwrap_or_default();
        Ok(String::from_utf8_lossy(name).into_owned())
    }

    /// Any other option by level and name, as `setsockopt(2)`.
    pub fn set_option(&self, level: i32, name: i32, value: &[u8]) -> io::Result<()> {
        set_option_bytes(self.stream(), (level, name), value)
    }

    /// Any other option by level and name, as `getsockopt(2)`: TCP_INFO is `struct tcp_info`.
    pub fn option(&self, level: i32, name: i32) -> io::Result<Vec<u8>> {
        option(self.stream(), (level, name))
    }

    /// The error that waits, if any; it is forgotten then (SO_ERROR).
    pub fn take_error(&self) -> io::Result<Option<io::Error>> {
        let number = self.get((names::SOCKET, names::ERROR))?;
        Ok((number != 0).then(|| io::Error::from_raw_os_error(number)))
    }

    /// How long reading waits; `None` for ever.
    pub fn set_read_timeout(&self, wait: Option<Duration>) -> io::Result<()> {
        self.stream().set_read_timeout(some_time(wait)?);
        Ok(())
    }

    /// How long writing waits; `None` for ever.
    pub fn set_write_timeout(&self, wait: Option<Duration>) -> io::Result<()> {
        self.stream().set_write_timeout(some_time(wait)?);
        Ok(())
    }

    /// Whether operations return `WouldBlock` instead of waiting.
    pub fn set_nonblocking(&self, nonblocking: bool) -> io::Result<()> {
        self.stream().set_nonblocking(nonblocking);
        Ok(())
    }

    fn set(&self, which: (i32, i32), value: i32) -> io::Result<()> {
        set_option(self.stream(), which, &[value])
    }

    fn get(&self, which: (i32, i32)) -> io::Result<i32> {
        option_word(self.stream(), which)
    }
}

/// As `std`: no time at all is no time-out.
fn some_time(wait: Option<Duration>) -> io::Result<Option<Duration>> {
    match wait {
        Some(Duration::ZERO) => Err(io::ErrorKind::InvalidInput.into()),
        wait => Ok(wait),
    }
}
