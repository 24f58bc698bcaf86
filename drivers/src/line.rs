//! line: whole frames between a descriptor and blocks of the pool, without copying.
//!
//! What TAPs and raw sockets have in common: frames with or without a virtio-net header in front
//! are read by one readv and written by one writev, and a [`LineDevice`] makes a device of them.

use crate::merge;
use crate::sys;
use crate::tun::VNET_HEADER_BYTES;
use crate::vnet;
use millstream_core::{Caps, Device, Errno};
use millstream_msg::offload::Can;
use millstream_msg::{Msg, MsgList, Pool};
use rustix::io::{readv, writev};
use std::io::{IoSlice, IoSliceMut};
use std::os::fd::BorrowedFd;

/// Where frames are read from and written to, one at a time.
pub(crate) trait Line: Send {
    /// Bytes of header in front of each frame read.
    fn header_bytes(&self) -> usize;

    /// Reads one frame into `frame` and, behind it, into `large`. `Ok(false)`: it cannot be used.
    ///
    /// # Errors
    /// EAGAIN when none waits; anything else but EINTR is the end of the line.
    fn read(&mut self, frame: &mut Msg, large: &mut Large) -> Result<bool, Errno>;

    /// Takes the next frame off the line without looking at it.
    ///
    /// # Errors
    /// As [`Line::read`].
    fn skip(&mut self) -> Result<(), Errno>;

    /// Writes one frame.
    ///
    /// # Errors
    /// What became of the frame is told by [`Line::fate`].
    fn write(&mut self, frame: &Msg) -> Result<(), Errno>;

    /// What a failed write means.
    fn fate(&self, errno: Errno) -> Fate;
}

/// What became of a frame that a line did not take.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fate {
    /// There is no room now: it is offered again.
    Later,
    /// The line does not want this one, or is down: it is lost, the next may pass.
    Lost,
    /// The line is gone.
    Gone,
}

/// Blocks for what is longer than an ordinary frame: together 64 KiB, the longest super-frame.
pub(crate) type Large = [Option<Msg>; 2];

/// A line as a device.
#[derive(Debug)]
pub(crate) struct LineDevice<L> {
    pub(crate) line: L,
    caps: Caps,
    /// Blocks for the next read: a small one and, for super-frames, large ones behind it.
    spare: Spare,
    dropped: u64,
}

/// Bytes in front of a frame read: for a longer header in place of the one it came with.
pub const HEADROOM: usize = 128;

#[derive(Debug, Default)]
struct Spare {
    small: Option<Msg>,
    large: Large,
}

impl<L: Line> LineDevice<L> {
    pub(crate) fn new(line: L, caps: Caps) -> Self {
        Self { line, caps, spare: Spare::default(), dropped: 0 }
    }

    /// One frame; `None` when none waits, or when what came was dropped.
    fn read(&mut self, pool: &mut Pool) -> Result<Option<Msg>, Errno> {
        if !self.spare.refill(pool, self.line.header_bytes(), self.caps) {
            return self.skip().map(|()| None);
        }
        let Some(mut frame) = self.spare.small.take() else { return Ok(None) };
        match self.line.read(&mut frame, &mut self.spare.large) {
            Ok(true) => Ok(Some(frame)),
            Ok(false) => {
                self.dropped += 1;
                pool.free(frame);
                Ok(None)
            }
            Err(Errno::EAGAIN | Errno::EINTR) => {
                self.spare.small = Some(frame);
                Ok(None)
            }
            Err(errno) => {
                pool.free(frame);
                Err(errno)
            }
        }
    }

    /// Without memory a frame is read and dropped, so that the stack goes on.
    fn skip(&mut self) -> Result<(), Errno> {
        match self.line.skip() {
            Ok(()) => {
                self.dropped += 1;
                Ok(())
            }
            Err(Errno::EAGAIN | Errno::EINTR) => Ok(()),
            Err(errno) => Err(errno),
        }
    }
}

impl<L: Line> Device for LineDevice<L> {
    fn caps(&self) -> Caps {
        self.caps
    }

    fn recv(&mut self, pool: &mut Pool, out: &mut MsgList, budget: usize) -> Result<usize, Errno> {
        let mut count = 0;
        while count < budget && out.bytes() < BYTES_PER_RECV {
            match self.read(pool) {
                Ok(Some(frame)) => out.push(frame),
                Ok(None) => break,
                Err(_) if count > 0 => break,
                Err(errno) => return Err(errno),
            }
            count += 1;
        }
        Ok(count)
    }

    fn send(&mut self, batch: &mut MsgList) -> Result<(), Errno> {
        while let Some(mut frame) = batch.pop() {
            if self.caps.can.uso {
                merge::datagrams(&mut frame, batch);
            }
            let Err(errno) = self.line.write(&frame) else { continue };
            match self.line.fate(errno) {
                Fate::Later => {
                    batch.push_front(frame);
                    return Ok(());
                }
                Fate::Lost => self.dropped += frame.offload().packets(frame.len()) as u64,
                Fate::Gone => {
                    batch.push_front(frame);
                    return Err(errno);
                }
            }
        }
        Ok(())
    }

    fn take_dropped(&mut self) -> u64 {
        std::mem::take(&mut self.dropped)
    }
}

impl Spare {
    /// True when there is a block for an ordinary frame with `header` bytes in front and, where
    /// super-frames may come, blocks for one.
    fn refill(&mut self, pool: &mut Pool, header: usize, caps: Caps) -> bool {
        let supers = caps.can != Can::NOTHING;
        if self.small.is_none() {
            let whole =
                if supers { ORDINARY } else { ORDINARY.max(LINK_HEADER + usize::from(caps.mtu)) };
            self.small = pool.alloc(HEADROOM - header, header + whole).ok();
        }
        if supers {
            for block in &mut self.large {
                if block.is_none() {
                    *block = pool.alloc(0, 32 * 1024).ok();
                }
            }
        }
        self.small.is_some() && (!supers || self.large.iter().all(Option::is_some))
    }
}

/// Bytes after which a read ends: two super-frames. With 16 of them, a megabyte, what was read
/// has left the second-level cache when it is written.
const BYTES_PER_RECV: u32 = 128 * 1024;

/// Frames up to here are one small block. Bytes.
const ORDINARY: usize = 1500 + LINK_HEADER;

/// Bytes of a link header, with room for a tag.
const LINK_HEADER: usize = 14 + 4;

/// Reads one frame into `frame` and, behind it, into large blocks; see [`Line::read`].
///
/// The virtio-net header lands in front of the frame, in what becomes headroom: one block less
/// for the kernel to look at.
pub(crate) fn read_blocks(
    fd: BorrowedFd<'_>,
    vnet: bool,
    frame: &mut Msg,
    large: &mut Large,
) -> Result<bool, Errno> {
    let small_room = frame.tailroom();
    let n = {
        let [large0, large1] = &mut *large;
        let blocks = &mut [
            IoSliceMut::new(frame.spare_mut()),
            IoSliceMut::new(large0.as_mut().map_or(&mut [], Msg::spare_mut)),
            IoSliceMut::new(large1.as_mut().map_or(&mut [], Msg::spare_mut)),
        ];
        readv(fd, blocks).map_err(errno_of)?
    };
    let small = n.min(small_room);
    frame.commit(small);
    let mut left = n - small;
    for block in large {
        if left == 0 {
            break;
        }
        let Some(mut more) = block.take() else { break };
        let part = left.min(more.tailroom());
        more.commit(part);
        left -= part;
        frame.link(more);
    }
    if !vnet {
        return Ok(true);
    }
    let Some(&header) = frame.first().first_chunk::<VNET_HEADER_BYTES>() else { return Ok(false) };
    frame.trim_front(header.len());
    Ok(vnet::decode(&header, frame))
}

/// Writes a frame with one iovec per block, with its virtio-net header in front if `vnet`.
pub(crate) fn write_blocks(fd: BorrowedFd<'_>, vnet: bool, frame: &Msg) -> Result<(), Errno> {
    /// A header and a super-frame of pieces of an MTU each; longer chains go to the heap.
    const ON_STACK: usize = 64;
    let header = vnet::encode(frame.offload());
    let header = vnet.then_some(&header[..]);
    let written = match (header, single_block(frame)) {
        // Most frames: no table to fill.
        (Some(header), Some(bytes)) => writev(fd, &[IoSlice::new(header), IoSlice::new(bytes)]),
        (None, Some(bytes)) => rustix::io::write(fd, bytes),
        (header, None) => {
            let mut stack = [IoSlice::new(&[]); ON_STACK];
            let mut heap = Vec::new();
            let header = header.map(IoSlice::new);
            let mut used = 0;
            for span in header.into_iter().chain(frame.blocks().map(sys::span)) {
                if used < ON_STACK {
                    stack[used] = span;
                    used += 1;
                } else {
                    heap.push(span);
                }
            }
            if heap.is_empty() {
                writev(fd, &stack[..used])
            } else {
                heap.splice(..0, stack);
                writev(fd, &heap)
            }
        }
    };
    written.map(drop).map_err(errno_of)
}

/// Hands a frame in one piece to `send`; copied only if it is in several.
pub(crate) fn write_flat<T>(frame: &Msg, send: impl FnOnce(&[u8]) -> T) -> T {
    if let Some(bytes) = single_block(frame) {
        return send(bytes);
    }
    let mut flat = vec![0; frame.len()];
    frame.copy_out(0, &mut flat);
    send(&flat)
}

fn single_block(frame: &Msg) -> Option<&[u8]> {
    (frame.first().len() == frame.len()).then(|| frame.first())
}

pub(crate) fn errno_of(errno: rustix::io::Errno) -> Errno {
    Errno(errno.raw_os_error())
}

/// As [`errno_of`], of the standard library's error.
pub(crate) fn errno_of_io(error: &std::io::Error) -> Errno {
    Errno(error.raw_os_error().unwrap_or(Errno::EIO.0))
}
