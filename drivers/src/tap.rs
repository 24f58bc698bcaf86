//! tap: frames of a TAP interface, super-frames where the kernel has them, without copying.
//!
//! Two ways to open one: [`Tap::open`] by our own ioctls, with IFF_VNET_HDR and offloads;
//! [`Tap::open_plain`] through the `tun-tap` crate, frame by frame as the wire has them.

use crate::merge;
use crate::tun::{TapError, TapFd, TapFlags, TapOffloads, VNET_HEADER_BYTES};
use crate::vnet;
use millstream_core::{Caps, Device, Errno};
use millstream_msg::offload::Can;
use millstream_msg::{Msg, MsgList, Pool};
use rustix::io::{readv, writev};
use std::io::{IoSlice, IoSliceMut};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};

/// A TAP interface as a device.
///
/// # Shapes
/// A frame read is one block with [`HEADROOM`] bytes in front when it is not longer than an
/// ordinary frame, and a chain of it and larger blocks otherwise. A frame is written with one
/// iovec per block.
#[derive(Debug)]
pub struct Tap {
    line: Line,
    caps: Caps,
    /// Blocks for the next read: a small one and, for super-frames, large ones behind it.
    spare: Spare,
    dropped: u64,
}

/// Bytes in front of a frame read: for a longer header in place of the one it came with.
pub const HEADROOM: usize = 128;

#[derive(Debug)]
enum Line {
    /// Ours; frames have a virtio-net header if the flag is set.
    Own(TapFd, bool),
    Plain(PlainLine),
}

struct PlainLine(tun_tap::Iface);

impl std::fmt::Debug for PlainLine {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("PlainLine").field(&self.0.name()).finish()
    }
}

#[derive(Debug, Default)]
struct Spare {
    small: Option<Msg>,
    large: [Option<Msg>; LARGE],
}

/// Large blocks behind the small one: 64 KiB, the longest super-frame.
const LARGE: usize = 2;

impl Tap {
    /// Makes the TAP `name`, or attaches to the one there is, with all offloads that the kernel
    /// grants. `mac` is our end's address; the kernel gives its own end another.
    ///
    /// # Errors
    /// Any of [`TapError`]; each says what to do about it.
    pub fn open(name: &str, mac: [u8; 6], mtu: u16) -> Result<Self, TapError> {
        let fd = TapFd::open(name, TapFlags::VNET_HEADER)?;
        let granted = fd.set_offloads(TapOffloads::ALL)?;
        let header = fd.flags().contains(TapFlags::VNET_HEADER);
        let has = |offload| header && granted.contains(offload);
        let can = Can {
            csum: has(TapOffloads::CSUM),
            tso4: has(TapOffloads::TSO4),
            tso6: has(TapOffloads::TSO6),
            ecn: has(TapOffloads::TSO_ECN),
            uso: has(TapOffloads::USO),
        };
        Ok(Self::new(Line::Own(fd, header), Caps { mtu, mac, can }))
    }

    /// Makes the TAP `name` without offloads, through the `tun-tap` crate.
    ///
    /// # Errors
    /// As [`Tap::open`]; the crate reports less, so the cause is looked for with our own calls.
    pub fn open_plain(name: &str, mac: [u8; 6], mtu: u16) -> Result<Self, TapError> {
        let opened = tun_tap::Iface::without_packet_info(name, tun_tap::Mode::Tap)
            .and_then(|iface| iface.set_non_blocking().map(|()| iface));
        match opened {
            Ok(iface) => {
                let caps = Caps { mtu, mac, can: Can::NOTHING };
                Ok(Self::new(Line::Plain(PlainLine(iface)), caps))
            }
            // The same open by our own calls either says why not, or succeeds and serves.
            Err(_) => {
                let fd = TapFd::open(name, TapFlags::NONE)?;
                Ok(Self::new(Line::Own(fd, false), Caps { mtu, mac, can: Can::NOTHING }))
            }
        }
    }

    /// The name that the interface has got.
    pub fn name(&self) -> &str {
        match &self.line {
            Line::Own(fd, _) => fd.name(),
            Line::Plain(line) => line.0.name(),
        }
    }

    /// A descriptor of the interface that polls readable when a frame waits, for the host's wait
    /// set. It refers to the same interface as the device.
    ///
    /// # Errors
    /// The kernel's, when descriptors are used up.
    pub fn readiness(&self) -> std::io::Result<OwnedFd> {
        match &self.line {
            Line::Own(fd, _) => fd.as_fd().try_clone_to_owned(),
            Line::Plain(line) => crate::sys::dup_of(line.0.as_raw_fd()),
        }
    }

    fn new(line: Line, caps: Caps) -> Self {
        Self { line, caps, spare: Spare::default(), dropped: 0 }
    }

    /// One frame; `None` when none waits.
    fn read(&mut self, pool: &mut Pool) -> Result<Option<Msg>, Errno> {
        if !self.spare.refill(pool, self.vnet_bytes(), self.caps.can != Can::NOTHING) {
            return self.skip().map(|()| None);
        }
        let Some(mut frame) = self.spare.small.take() else { return Ok(None) };
        let outcome = match &self.line {
            Line::Own(fd, vnet) => read_own(fd.as_fd(), *vnet, &mut frame, &mut self.spare),
            Line::Plain(line) => match line.0.recv(frame.spare_mut()) {
                Ok(n) => {
                    frame.commit(n);
                    Ok(true)
                }
                Err(e) => Err(Errno(e.raw_os_error().unwrap_or(Errno::EIO.0))),
            },
        };
        match outcome {
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

    /// Bytes in front of each frame that is read.
    fn vnet_bytes(&self) -> usize {
        match self.line {
            Line::Own(_, true) => VNET_HEADER_BYTES,
            Line::Own(_, false) | Line::Plain(_) => 0,
        }
    }

    /// Without memory a frame is read and dropped, so that the stack goes on.
    fn skip(&mut self) -> Result<(), Errno> {
        let mut nowhere = [0; 1];
        let outcome = match &self.line {
            // A read of one byte takes the whole frame off the queue.
            Line::Own(fd, _) => rustix::io::read(fd, &mut nowhere).map_err(errno_of),
            Line::Plain(line) => line
                .0
                .recv(&mut nowhere)
                .map_err(|e| Errno(e.raw_os_error().unwrap_or(Errno::EIO.0))),
        };
        match outcome {
            Ok(_) => {
                self.dropped += 1;
                Ok(())
            }
            Err(Errno::EAGAIN | Errno::EINTR) => Ok(()),
            Err(errno) => Err(errno),
        }
    }

    fn write(&self, frame: &Msg) -> Result<(), Errno> {
        match &self.line {
            Line::Own(fd, header) => {
                let vnet = vnet::encode(frame.offload());
                write_blocks(fd.as_fd(), header.then_some(&vnet[..]), frame)
            }
            Line::Plain(line) => {
                let mut flat = Vec::new();
                let bytes = match single_block(frame) {
                    Some(bytes) => bytes,
                    None => {
                        flat.resize(frame.len(), 0);
                        frame.copy_out(0, &mut flat);
                        &flat
                    }
                };
                let sent = line.0.send(bytes);
                sent.map(drop).map_err(|e| Errno(e.raw_os_error().unwrap_or(Errno::EIO.0)))
            }
        }
    }
}

impl Device for Tap {
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
            match self.write(&frame) {
                Ok(()) => {}
                Err(Errno::EAGAIN | Errno::ENOBUFS) => {
                    batch.push_front(frame);
                    return Ok(());
                }
                // The interface is down (EIO), or this frame is not to its liking (EINVAL).
                Err(Errno::EIO | Errno::EINVAL | Errno::EINTR | Errno::ENOMEM) => {
                    self.dropped += frame.offload().packets(frame.len()) as u64;
                }
                Err(errno) => {
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
    /// True when there is a block for an ordinary frame with `vnet` bytes in front and, if
    /// `large`, for a super-frame.
    fn refill(&mut self, pool: &mut Pool, vnet: usize, large: bool) -> bool {
        if self.small.is_none() {
            self.small = pool.alloc(HEADROOM - vnet, vnet + ORDINARY).ok();
        }
        if large {
            for block in &mut self.large {
                if block.is_none() {
                    *block = pool.alloc(0, 32 * 1024).ok();
                }
            }
        }
        self.small.is_some() && (!large || self.large.iter().all(Option::is_some))
    }
}

/// Bytes after which a read ends: two super-frames. With 16 of them, a megabyte, what was read
/// has left the second-level cache when it is written.
const BYTES_PER_RECV: u32 = 128 * 1024;

/// Frames up to here are one small block. Bytes.
const ORDINARY: usize = 1514 + 4;

/// Reads one frame into `frame` and, behind it, into large blocks. `Ok(false)`: the frame cannot
/// be used.
///
/// The virtio-net header lands in front of the frame, in what becomes headroom: one block less
/// for the kernel to look at.
fn read_own(
    fd: BorrowedFd<'_>,
    vnet: bool,
    frame: &mut Msg,
    spare: &mut Spare,
) -> Result<bool, Errno> {
    let small_room = frame.tailroom();
    let n = {
        let [large0, large1] = &mut spare.large;
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
    for block in &mut spare.large {
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

fn write_blocks(fd: BorrowedFd<'_>, header: Option<&[u8]>, frame: &Msg) -> Result<(), Errno> {
    /// A header and a super-frame of pieces of an MTU each; longer chains go to the heap.
    const ON_STACK: usize = 64;
    let written = match (header, single_block(frame)) {
        // Most frames: no table to fill.
        (Some(header), Some(bytes)) => writev(fd, &[IoSlice::new(header), IoSlice::new(bytes)]),
        (None, Some(bytes)) => rustix::io::write(fd, bytes),
        (header, None) => {
            let mut stack = [IoSlice::new(&[]); ON_STACK];
            let mut heap = Vec::new();
            let slices = header.into_iter().chain(frame.blocks().filter_map(|b| b.as_slice()));
            let mut used = 0;
            for slice in slices {
                if used < ON_STACK {
                    stack[used] = IoSlice::new(slice);
                    used += 1;
                } else {
                    heap.push(IoSlice::new(slice));
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

fn single_block(frame: &Msg) -> Option<&[u8]> {
    (frame.first().len() == frame.len()).then(|| frame.first())
}

fn errno_of(errno: rustix::io::Errno) -> Errno {
    Errno(errno.raw_os_error())
}
