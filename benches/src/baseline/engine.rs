//! engine: what stands behind the daemon: a TCP, and the TAP below it. It never waits.

use millstream_core::Errno;
use std::io;
use std::net::SocketAddr;
use std::os::fd::BorrowedFd;
use std::time::Duration;

/// A socket of an engine. Numbers are used again.
pub type SocketNo = u32;

/// What bytes that have come are shown to, piece by piece; how many of them it has taken.
pub type Give<'a> = &'a mut dyn FnMut(&[&[u8]]);

/// A protocol that serves sockets. What would have to wait is refused with EAGAIN, and the socket
/// is among those that are [`ready`](Engine::ready) when it is worth another try.
pub trait Engine {
    /// Polls readable when frames have come.
    fn fd(&self) -> BorrowedFd<'_>;

    /// Takes at most so many frames; how many there were.
    ///
    /// # Errors
    /// The line is gone.
    fn take_frames(&mut self, most: usize) -> Result<usize, Errno>;

    /// Does what is to be done and sends it; when to call again at the latest.
    fn work(&mut self) -> Option<Duration>;

    /// The line takes nothing more: its descriptor is asked for room, and [`Engine::room`] is
    /// called when there is some.
    fn is_blocked(&self) -> bool {
        false
    }

    /// The line takes more again.
    fn room(&mut self) {}

    /// A socket for which something has changed since it was last told.
    fn ready(&mut self) -> Option<SocketNo>;

    /// A socket that listens.
    ///
    /// # Errors
    /// The address is not ours or in use.
    fn listen(&mut self, at: SocketAddr, backlog: u32) -> Result<SocketNo, Errno>;

    /// A socket whose connection is asked for.
    ///
    /// # Errors
    /// No way leads there.
    fn connect(&mut self, to: SocketAddr) -> Result<SocketNo, Errno>;

    /// Does the connection stand?
    ///
    /// # Errors
    /// EAGAIN while it is under way; why it did not come about.
    fn connected(&mut self, socket: SocketNo) -> Result<(), Errno>;

    /// The next connection of a listening socket.
    ///
    /// # Errors
    /// EAGAIN while nobody calls; EINVAL when it does not listen.
    fn accept(&mut self, listener: SocketNo) -> Result<SocketNo, Errno>;

    /// Copies bytes in; how many.
    ///
    /// # Errors
    /// EAGAIN without room; the connection's.
    fn send(&mut self, socket: SocketNo, data: &[u8]) -> Result<usize, Errno>;

    /// Shows at most so many bytes that have come, in at most
    /// [`PIECES`](super::channel::PIECES) pieces, and takes them; 0 at the end.
    ///
    /// # Errors
    /// EAGAIN while there are none; the connection's.
    fn recv(&mut self, socket: SocketNo, most: usize, give: Give<'_>) -> Result<usize, Errno>;

    /// Nothing more will be sent.
    ///
    /// # Errors
    /// The connection's.
    fn finish(&mut self, socket: SocketNo) -> Result<(), Errno>;

    /// The socket is given back; what it has sent still arrives.
    fn close(&mut self, socket: SocketNo);

    /// Sockets that were not given back.
    fn open(&self) -> usize;
}

/// Frames that are asked for at once: one while there is one each time, as between a request and
/// its response, for the wait set tells of more; else as many as leave answers in time.
#[derive(Debug)]
pub struct Portion {
    frames: usize,
    /// How often in a row there were at least so many.
    whole: u32,
}

/// Frames at once at most.
const FRAMES_MAX: usize = 16;

/// Whole portions until the largest is tried.
const WHOLE: u32 = 8;

impl Default for Portion {
    fn default() -> Self {
        Self { frames: FRAMES_MAX, whole: 0 }
    }
}

impl Portion {
    /// Takes frames of an engine; whether there may be more.
    ///
    /// # Errors
    /// As [`Engine::take_frames`].
    pub fn take(&mut self, engine: &mut dyn Engine) -> io::Result<bool> {
        let asked = self.frames;
        let count = engine.take_frames(asked).map_err(super::client::error)?;
        if count < asked {
            (self.frames, self.whole) = (count.clamp(1, FRAMES_MAX), 0);
        } else if self.whole >= WHOLE {
            (self.frames, self.whole) = (FRAMES_MAX, 0);
        } else {
            self.whole += 1;
        }
        Ok(count >= FRAMES_MAX)
    }
}
