//! tun: the name of a TAP interface becomes a descriptor whose reads and writes are its frames.
//!
//! Opens /dev/net/tun, makes or attaches to the interface, and puts what a former owner may have
//! left (offloads, header size, byte order) into a known state. See `networking/tuntap` in the
//! kernel's documentation. Addresses, MTU and so on are set through [`crate::netlink`].

mod error;
mod flags;

pub use self::error::TapError;
pub use self::flags::{TapFlags, TapOffloads};

use crate::ifname::IfName;
use crate::netlink::{Link, Netlink};
use crate::sys;
use rustix::fs::{Mode, OFlags};
use rustix::io::Errno;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

/// A TAP interface that this program has open; closing it deletes the interface unless it persists.
///
/// # What read and write return
/// Observed on Linux 6.18, and tested in `tests/live_tun.rs`:
///
/// | state of the interface | read(2), readv(2) | write(2), writev(2) |
/// |---|---|---|
/// | up | one frame | the whole frame's length |
/// | up, no frame waits | EAGAIN | - |
/// | down (IFF_UP off) | waiting frames, then EAGAIN | EIO |
/// | deleted by anybody | EBADFD | EBADFD |
/// | deleted while a blocking read waits | EFAULT | - |
/// | frame longer than the blocks | cut to the blocks' length, no error | - |
///
/// poll(2) reports POLLERR on a deleted interface. The descriptor is useless then and has to be
/// closed.
#[derive(Debug)]
pub struct TapFd {
    fd: OwnedFd,
    name: String,
    flags: TapFlags,
}

impl TapFd {
    /// Makes the TAP interface `name`, or attaches to the one there is, in the network namespace of
    /// the calling thread. `%d` in the name stands for the first free number.
    ///
    /// The descriptor is close-on-exec and non-blocking, frames carry no packet information. With
    /// [`TapFlags::VNET_HEADER`] each frame has [`VNET_HEADER_BYTES`] of little-endian
    /// virtio_net_hdr in front. The offloads of the interface are off until
    /// [`TapFd::set_offloads`].
    ///
    /// An existing interface takes over the wanted flags, except that only its maker decides on
    /// [`TapFlags::MULTI_QUEUE`]: see [`TapFd::flags`] for what is in force. It must not be open
    /// elsewhere.
    ///
    /// # Errors
    /// Any of [`TapError`]; each says what to do about it.
    pub fn open(name: &str, wanted: TapFlags) -> Result<Self, TapError> {
        let pattern = IfName::pattern(name)?;
        let wanted = wanted & TapFlags::SETTABLE;
        let fd = open_device()?;
        let features = TapFlags::from_bits_u32(sys::tun_features(fd.as_fd()).unwrap_or(u32::MAX));
        if !features.contains(wanted) {
            return Err(TapError::TooOld { missing: wanted.without(features) });
        }
        let tap = Self::attach(fd, &pattern, wanted)?;
        if tap.flags.contains(TapFlags::MULTI_QUEUE) && queues(&tap.name) > 1 {
            return Err(TapError::Busy { name: tap.name });
        }
        tap.reset()?;
        Ok(tap)
    }

    /// Opens one more queue of a [`TapFlags::MULTI_QUEUE`] interface; the kernel spreads flows over
    /// them. Offloads are the interface's and stay as they are.
    ///
    /// # Errors
    /// [`TapError::Busy`] if the interface is not multi-queue, or has all its 256 queues.
    pub fn open_queue(&self) -> Result<Self, TapError> {
        let name = IfName::new(&self.name)?;
        let fd = open_device()?;
        Self::set_interface(fd, &name, self.flags).map_err(|(errno, _)| match errno {
            Errno::TOOBIG => TapError::Busy { name: self.name.clone() },
            errno => TapError::from_attach(&self.name, errno),
        })
    }

    /// Asks the kernel to hand over and accept the given kinds of unfinished frames, and returns
    /// the part it grants: as wanted, else without USO (before Linux 6.2), else checksums only,
    /// else none. Without [`TapFlags::VNET_HEADER`] there is no place to describe them: nothing is
    /// granted.
    ///
    /// # Errors
    /// [`TapError::Refused`] if the interface is gone.
    pub fn set_offloads(&self, wanted: TapOffloads) -> Result<TapOffloads, TapError> {
        if !self.flags.contains(TapFlags::VNET_HEADER) {
            return Ok(TapOffloads::NONE);
        }
        let steps = [wanted, wanted.without(TapOffloads::USO), wanted & TapOffloads::CSUM];
        for step in steps {
            match sys::tun_set_offload(self.fd.as_fd(), step.bits()) {
                Ok(()) => return Ok(step),
                Err(Errno::INVAL) => {}
                Err(errno) => return Err(self.refused("set the offloads of", errno)),
            }
        }
        sys::tun_set_offload(self.fd.as_fd(), TapOffloads::NONE.bits())
            .map(|()| TapOffloads::NONE)
            .map_err(|errno| self.refused("switch off the offloads of", errno))
    }

    /// Whether the interface stays when the last descriptor is closed. Then anybody who may open
    /// /dev/net/tun may attach to it, until [`TapFd::set_owner`] names somebody.
    ///
    /// # Errors
    /// [`TapError::Refused`] if the interface is gone.
    pub fn set_persistent(&self, on: bool) -> Result<(), TapError> {
        sys::tun_set_persistent(self.fd.as_fd(), on)
            .map_err(|errno| self.refused("make persistent", errno))
    }

    /// Lets the user `uid`, and no other, attach to the interface without CAP_NET_ADMIN.
    ///
    /// # Errors
    /// [`TapError::Refused`] if the interface is gone or the user does not exist in this namespace.
    pub fn set_owner(&self, uid: u32) -> Result<(), TapError> {
        sys::tun_set_owner(self.fd.as_fd(), uid)
            .map_err(|errno| self.refused("set the owner of", errno))
    }

    /// Whether reads wait for a frame; they don't after [`TapFd::open`].
    ///
    /// # Errors
    /// [`TapError::Refused`]; not to be expected.
    pub fn set_nonblocking(&self, on: bool) -> Result<(), TapError> {
        rustix::io::ioctl_fionbio(&self.fd, on)
            .map_err(|errno| self.refused("change the blocking of", errno))
    }

    /// The name that the interface has got.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The flags in force, [`TapFlags::PERSISTENT`] included, as they were at opening.
    pub fn flags(&self) -> TapFlags {
        self.flags
    }

    /// Attaches, and again with the other value of MULTI_QUEUE if that is what the kernel minds.
    fn attach(fd: OwnedFd, name: &IfName, wanted: TapFlags) -> Result<Self, TapError> {
        let (errno, fd) = match Self::set_interface(fd, name, wanted) {
            Ok(tap) => return Ok(tap),
            Err(failed) => failed,
        };
        let text = name.to_string();
        if errno != Errno::INVAL {
            return Err(TapError::from_attach(&text, errno));
        }
        // EINVAL: not a TAP, or another MULTI_QUEUE. Before Linux 4.18 only a second try can tell.
        let other = wanted ^ TapFlags::MULTI_QUEUE;
        match existing(&text) {
            Some(Link { tun: Some(tun), .. }) if !tun.is_tap => Err(Errno::INVAL),
            Some(Link { kind, .. }) if kind.as_deref() != Some("tun") => Err(Errno::INVAL),
            Some(Link { tun: Some(tun), .. }) if tun.queues > 0 => Err(Errno::BUSY),
            _ => Self::set_interface(fd, name, other).map_err(|(errno, _)| errno),
        }
        .map_err(|errno| TapError::from_attach(&text, errno))
    }

    /// TUNSETIFF, then what came of it; gives the unattached descriptor back on failure.
    fn set_interface(
        fd: OwnedFd,
        name: &IfName,
        flags: TapFlags,
    ) -> Result<Self, (Errno, OwnedFd)> {
        let fixed = (libc::IFF_TAP | libc::IFF_NO_PI) as u16; // 0x1002
        let request = fixed | (flags & TapFlags::SETTABLE).bits();
        let attached = sys::tun_set_interface(fd.as_fd(), name, request)
            .and_then(|name| Ok((name, sys::tun_interface_flags(fd.as_fd())?)));
        match attached {
            Ok((name, bits)) => {
                Ok(Self { fd, name: name.to_string(), flags: TapFlags::from_bits(bits) })
            }
            Err(errno) => Err((errno, fd)),
        }
    }

    /// Offloads, header size and byte order belong to the interface and survive their setter:
    /// without this a plain reader would get the super-frames of the program before it.
    fn reset(&self) -> Result<(), TapError> {
        let fd = self.fd.as_fd();
        sys::tun_set_offload(fd, TapOffloads::NONE.bits())
            .map_err(|errno| self.refused("switch off the offloads of", errno))?;
        if self.flags.contains(TapFlags::VNET_HEADER) {
            sys::tun_set_vnet_header_bytes(fd, VNET_HEADER_BYTES as i32)
                .map_err(|errno| self.refused("set the header size of", errno))?;
            // Little-endian machines need this only after a former owner chose otherwise, and a
            // kernel without the call (before 4.0) is little endian there anyhow.
            match sys::tun_set_vnet_little_endian(fd, true) {
                Err(errno) if cfg!(target_endian = "big") => {
                    return Err(self.refused("set the byte order of", errno));
                }
                _ => {}
            }
        }
        Ok(())
    }

    fn refused(&self, what: &'static str, errno: Errno) -> TapError {
        TapError::Refused { what, name: self.name.clone(), cause: errno.into() }
    }
}

impl AsFd for TapFd {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}

impl From<TapFd> for OwnedFd {
    fn from(tap: TapFd) -> Self {
        tap.fd
    }
}

/// Bytes of the virtio_net_hdr in front of each frame: the oldest form, without buffer count.
pub const VNET_HEADER_BYTES: usize = 10;

fn open_device() -> Result<OwnedFd, TapError> {
    let flags = OFlags::RDWR | OFlags::CLOEXEC | OFlags::NONBLOCK;
    rustix::fs::open("/dev/net/tun", flags, Mode::empty()).map_err(TapError::from_open)
}

/// The interface that has the name now, as far as the kernel tells.
fn existing(name: &str) -> Option<Link> {
    Netlink::open().and_then(|mut netlink| netlink.link(name)).ok()
}

fn queues(name: &str) -> u32 {
    existing(name).and_then(|link| link.tun).map_or(0, |tun| tun.queues)
}
