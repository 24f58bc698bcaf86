//! tap: frames of a TAP interface, super-frames where the kernel has them, without copying.
//!
//! Two ways to open one: [`Tap::open`] by our own ioctls, with IFF_VNET_HDR and offloads;
//! [`Tap::open_plain`] through the `tun-tap` crate, frame by frame as the wire has them.

use crate::line::{
    Fate, Large, Line, LineDevice, errno_of, errno_of_io, read_blocks, write_blocks, write_flat,
};
use crate::tun::{TapError, TapFd, TapFlags, TapOffloads, VNET_HEADER_BYTES};
use millstream_core::{Caps, Device, Errno, Format, Formats};
use millstream_msg::offload::Can;
use millstream_msg::{Msg, MsgList, Pool};
use std::os::fd::{AsFd, AsRawFd, OwnedFd};

/// A TAP interface as a device.
///
/// # Shapes
/// A frame read is one block with [`HEADROOM`](crate::HEADROOM) bytes in front when it is not
/// longer than an ordinary frame, and a chain of it and larger blocks otherwise. A frame is
/// written with one iovec per block.
#[derive(Debug)]
pub struct Tap(LineDevice<TapLine>);

#[derive(Debug)]
enum TapLine {
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
        Ok(Self(LineDevice::new(TapLine::Own(fd, header), Caps { mtu, mac, can })))
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
                Ok(Self(LineDevice::new(TapLine::Plain(PlainLine(iface)), caps)))
            }
            // The same open by our own calls either says why not, or succeeds and serves.
            Err(_) => {
                let fd = TapFd::open(name, TapFlags::NONE)?;
                let caps = Caps { mtu, mac, can: Can::NOTHING };
                Ok(Self(LineDevice::new(TapLine::Own(fd, false), caps)))
            }
        }
    }

    /// The name that the interface has got.
    pub fn name(&self) -> &str {
        match &self.0.line {
            TapLine::Own(fd, _) => fd.name(),
            TapLine::Plain(line) => line.0.name(),
        }
    }

    /// A descriptor of the interface that polls readable when a frame waits, for the host's wait
    /// set. It refers to the same interface as the device.
    ///
    /// # Errors
    /// The kernel's, when descriptors are used up.
    pub fn readiness(&self) -> std::io::Result<OwnedFd> {
        match &self.0.line {
            TapLine::Own(fd, _) => fd.as_fd().try_clone_to_owned(),
            TapLine::Plain(line) => crate::sys::dup_of(line.0.as_raw_fd()),
        }
    }
}

impl Line for TapLine {
    fn header_bytes(&self) -> usize {
        match self {
            Self::Own(_, true) => VNET_HEADER_BYTES,
            Self::Own(_, false) | Self::Plain(_) => 0,
        }
    }

    fn read(&mut self, frame: &mut Msg, large: &mut Large) -> Result<bool, Errno> {
        match self {
            Self::Own(fd, vnet) => read_blocks(fd.as_fd(), *vnet, frame, large),
            Self::Plain(line) => match line.0.recv(frame.spare_mut()) {
                Ok(n) => {
                    frame.commit(n);
                    Ok(true)
                }
                Err(e) => Err(errno_of_io(&e)),
            },
        }
    }

    fn skip(&mut self) -> Result<(), Errno> {
        // A read of one byte takes the whole frame off the queue.
        let mut nowhere = [0; 1];
        match self {
            Self::Own(fd, _) => rustix::io::read(fd, &mut nowhere).map(drop).map_err(errno_of),
            Self::Plain(line) => line.0.recv(&mut nowhere).map(drop).map_err(|e| errno_of_io(&e)),
        }
    }

    fn write(&mut self, frame: &Msg) -> Result<(), Errno> {
        match self {
            Self::Own(fd, vnet) => write_blocks(fd.as_fd(), *vnet, frame),
            Self::Plain(line) => {
                write_flat(frame, |bytes| line.0.send(bytes)).map(drop).map_err(|e| errno_of_io(&e))
            }
        }
    }

    fn fate(&self, errno: Errno) -> Fate {
        match errno {
            Errno::EAGAIN | Errno::ENOBUFS => Fate::Later,
            // The interface is down (EIO), or this frame is not to its liking (EINVAL).
            Errno::EIO | Errno::EINVAL | Errno::EINTR | Errno::ENOMEM => Fate::Lost,
            _ => Fate::Gone,
        }
    }
}

impl Device for Tap {
    fn caps(&self) -> Caps {
        self.0.caps()
    }

    fn formats(&self) -> Formats {
        Formats::of(Format::Frames)
    }

    fn recv(&mut self, pool: &mut Pool, out: &mut MsgList, budget: usize) -> Result<usize, Errno> {
        self.0.recv(pool, out, budget)
    }

    fn send(&mut self, batch: &mut MsgList) -> Result<(), Errno> {
        self.0.send(batch)
    }

    fn take_dropped(&mut self) -> u64 {
        self.0.take_dropped()
    }
}
