//! files: octets between sockets of the stack and files. They come by way of a buffer.

use crate::socket::Socket;
use crate::{errno, real, table, transfer, wait};
use libc::{c_int, c_uint, loff_t, off_t, size_t, ssize_t};
use millstream_port::Errno;
use std::io::{IoSlice, IoSliceMut};

/// `sendfile(2)`.
///
/// # Safety
/// As the manual page.
#[unsafe(no_mangle)]
pub unsafe extern "C-unwind" fn sendfile(
    out: c_int,
    from: c_int,
    offset: *mut off_t,
    count: size_t,
) -> ssize_t {
    let Some(socket) = table::served(out) else {
        // SAFETY: as the caller promises.
        return unsafe { real::sendfile(out, from, offset, count) };
    };
    // SAFETY: as the caller promises.
    let source = unsafe { Source::new(from, offset) };
    errno::length(source.and_then(|mut source| {
        let mut buffer = vec![0; count.min(PIECE)];
        let mut sent = 0;
        while sent < count {
            let room = buffer.len().min(count - sent);
            let piece = match source.read(&mut buffer[..room]) {
                Ok(0) => break,
                Ok(len) => &buffer[..len],
                Err(_) if sent > 0 => break,
                Err(errno) => return Err(errno),
            };
            match transfer::send_pieces(socket, out, &[IoSlice::new(piece)], 0, None) {
                Ok(taken) => {
                    source.advance(taken)?;
                    sent += taken;
                    if taken < piece.len() {
                        break;
                    }
                }
                Err(_) if sent > 0 => break,
                Err(errno) => return Err(errno),
            }
        }
        Ok(sent)
    }))
}

/// `sendfile` of programs with long offsets.
///
/// # Safety
/// As the manual page.
#[unsafe(no_mangle)]
pub unsafe extern "C-unwind" fn sendfile64(
    out: c_int,
    from: c_int,
    offset: *mut off_t,
    count: size_t,
) -> ssize_t {
    // SAFETY: as the caller promises.
    unsafe { sendfile(out, from, offset, count) }
}

/// A file that is read from a place: its own, or one that the caller keeps.
#[derive(Debug)]
struct Source<'a> {
    fd: c_int,
    at: off_t,
    kept: Option<&'a mut off_t>,
}

impl Source<'_> {
    /// # Safety
    /// `offset` is null, or nobody else's for so long.
    unsafe fn new(fd: c_int, offset: *mut off_t) -> Result<Self, Errno> {
        // SAFETY: as the caller promises.
        let kept = unsafe { offset.as_mut() };
        let at = match &kept {
            Some(kept) => **kept,
            // SAFETY: no memory is named.
            None => unsafe { libc::lseek(fd, 0, libc::SEEK_CUR) },
        };
        // What cannot be read from a place cannot be sent (`sendfile(2)`).
        match at {
            0.. => Ok(Self { fd, at, kept }),
            _ if errno::last() == Errno::EBADF => Err(Errno::EBADF),
            _ => Err(Errno::EINVAL),
        }
    }

    fn read(&self, buffer: &mut [u8]) -> Result<usize, Errno> {
        // SAFETY: there is as much room.
        let len =
            unsafe { libc::pread(self.fd, buffer.as_mut_ptr().cast(), buffer.len(), self.at) };
        usize::try_from(len).map_err(|_| errno::last())
    }

    /// So many octets were sent.
    fn advance(&mut self, sent: usize) -> Result<(), Errno> {
        self.at += sent as off_t;
        match &mut self.kept {
            Some(kept) => **kept = self.at,
            None => {
                // SAFETY: no memory is named.
                if unsafe { libc::lseek(self.fd, self.at, libc::SEEK_SET) } < 0 {
                    return Err(errno::last());
                }
            }
        }
        Ok(())
    }
}

/// `splice(2)`.
///
/// # Safety
/// As the manual page.
#[unsafe(no_mangle)]
pub unsafe extern "C-unwind" fn splice(
    from: c_int,
    from_at: *mut loff_t,
    to: c_int,
    to_at: *mut loff_t,
    len: size_t,
    flags: c_uint,
) -> ssize_t {
    let (source, sink) = (table::served(from), table::served(to));
    if source.is_none() && sink.is_none() {
        // SAFETY: as the caller promises.
        return unsafe { real::splice(from, from_at, to, to_at, len, flags) };
    }
    let (socket_at, pipe_at) = if source.is_some() { (from_at, to_at) } else { (to_at, from_at) };
    if !pipe_at.is_null() {
        return errno::length(Err(Errno(libc::ESPIPE)));
    }
    if !socket_at.is_null() {
        return errno::length(Err(Errno::EINVAL));
    }
    let mut buffer = vec![0; len.min(PIECE)];
    errno::length(match (source, sink) {
        (Some(source), None) => from_socket(source, (from, to), &mut buffer),
        (None, Some(sink)) => to_socket(sink, (from, to), &mut buffer),
        // One of the two has to be a pipe.
        _ => Err(Errno::EINVAL),
    })
}

/// From a socket to a pipe: no more than the pipe takes without waiting.
fn from_socket(
    socket: &'static Socket,
    (from, to): (c_int, c_int),
    buffer: &mut [u8],
) -> Result<usize, Errno> {
    let room = room_of(to)?.min(buffer.len());
    if room == 0 {
        return Err(Errno::EAGAIN);
    }
    let out = &mut [IoSliceMut::new(&mut buffer[..room])];
    let got = transfer::receive(socket, from, out, 0)?;
    // SAFETY: there are as many bytes.
    let written = unsafe { real::write(to, buffer.as_ptr().cast(), got.len) };
    usize::try_from(written).map_err(|_| errno::last())
}

/// From a pipe to a socket. What was read has left the pipe: all of it is sent, and waited for even
/// by who does not wait.
fn to_socket(
    socket: &'static Socket,
    (from, to): (c_int, c_int),
    buffer: &mut [u8],
) -> Result<usize, Errno> {
    // SAFETY: there is as much room.
    let read = unsafe { real::read(from, buffer.as_mut_ptr().cast(), buffer.len()) };
    let read = usize::try_from(read).map_err(|_| errno::last())?;
    let mut sent = 0;
    while sent < read {
        let data = [IoSlice::new(&buffer[sent..read])];
        let taken =
            wait::until(socket, to, None, |stack, id| stack.send_pieces(id, &data, 0, None));
        match taken {
            Ok(taken) => sent += taken,
            Err(_) if sent > 0 => break,
            Err(errno) => return Err(errno),
        }
    }
    Ok(sent)
}

/// Octets that a pipe has room for.
fn room_of(pipe: c_int) -> Result<usize, Errno> {
    // SAFETY: no memory is named.
    let size = errno::of_kernel(unsafe { real::fcntl(pipe, libc::F_GETPIPE_SZ, 0) })?;
    let mut there: c_int = 0;
    let at = std::ptr::from_mut(&mut there) as usize;
    // SAFETY: there is room for the number.
    errno::of_kernel(unsafe { real::ioctl(pipe, libc::FIONREAD, at) })?;
    // Each write may begin a page of its own: a pipe that is half full is full.
    Ok(usize::try_from(size / 2 - there).unwrap_or(0))
}

/// Octets that are moved at once.
const PIECE: usize = 64 << 10;
