//! raw: frames of an interface that is there already (one end of a veth pair, a network card),
//! super-frames where the kernel has them, without copying.
//!
//! Two ways to open one: [`Raw::open`] by a packet socket of our own, with PACKET_VNET_HDR;
//! [`Raw::open_plain`] over the datalink channel of `pnet`, frame by frame. Neither needs
//! /dev/net/tun; CAP_NET_RAW in the network namespace is enough, which every user has in one of
//! their own (user_namespaces(7)). See packet(7).

mod error;
mod filter;

pub use self::error::RawError;

use crate::ifname::IfName;
use crate::interface;
use crate::line::{
    Fate, Large, Line, LineDevice, errno_of, errno_of_io, read_blocks, write_blocks, write_flat,
};
use crate::netlink::{LinkMonitor, Netlink};
use crate::sys;
use crate::tun::VNET_HEADER_BYTES;
use millstream_core::{Caps, Device, Errno, Format, Formats};
use millstream_msg::offload::Can;
use millstream_msg::{Msg, MsgList, Pool};
use pnet_datalink::{Channel, Config, DataLinkReceiver, DataLinkSender, NetworkInterface};
use rustix::net::{AddressFamily, SocketFlags, SocketType, socket_with, sockopt};
use std::io;
use std::os::fd::{AsFd, BorrowedFd, IntoRawFd, OwnedFd};
use std::time::Duration;

/// An existing Ethernet interface as a device.
///
/// With an address of its own the stack is a further station on the link, and the kernel takes no
/// notice of frames for it; with the interface's address both get them, and the kernel should
/// have no IP address there. Frames for other stations stay outside, as those for groups do not.
///
/// # Shapes
/// As of [`Tap`](crate::Tap). Frames that this machine sends out of the interface are not seen.
///
/// # While running
/// An interface that is switched off loses what is sent, and goes on when it is switched on again;
/// one that is deleted, or moved to another namespace, has failed with ENODEV. The latter is told
/// by [`Raw::watch`], which has to be in the wait set beside [`Raw::readiness`].
#[derive(Debug)]
pub struct Raw {
    device: LineDevice<RawLine>,
    name: String,
    monitor: LinkMonitor,
    /// Reads until the kernel is asked what did not fit into the socket's buffer.
    until_asked: u32,
    /// What it said, and was not taken yet.
    overflowed: u64,
}

#[derive(Debug)]
enum RawLine {
    /// Ours; frames have a virtio-net header.
    Own(OwnedFd),
    Plain(PlainLine),
}

/// The channel of `pnet`, and its socket for what the channel does not tell.
struct PlainLine {
    sender: Box<dyn DataLinkSender>,
    receiver: Box<dyn DataLinkReceiver>,
    socket: OwnedFd,
}

impl std::fmt::Debug for PlainLine {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("PlainLine").field(&self.socket).finish()
    }
}

impl Raw {
    /// Takes the interface `name` in the network namespace of the calling thread, with all
    /// offloads: what a card cannot do the kernel does for it. `mac` is our address; `None` stands
    /// for the interface's own.
    ///
    /// # Errors
    /// Any of [`RawError`]; each says what to do about it.
    pub fn open(name: &str, mac: Option<[u8; 6]>) -> Result<Self, RawError> {
        let (interface, mac, socket) = prepare(name, mac)?;
        with_headers(&socket, name)?;
        sys::packet_bind(socket.as_fd(), interface.index as i32)
            .map_err(|errno| RawError::new("bind a raw socket to", name, errno))?;
        let can = Can { uso: kernel_has_uso(), ..Can::ALL };
        Self::new(RawLine::Own(socket), &interface, mac, can)
    }

    /// Takes the interface without offloads, over `pnet`'s datalink channel.
    ///
    /// For cards. A kernel at the other end of a veth pair leaves checksums to whoever is behind
    /// it, which this mode cannot see: there use [`Raw::open`], or switch that off at the other end
    /// (ethtool -K IF tx off).
    ///
    /// # Errors
    /// As [`Raw::open`].
    pub fn open_plain(name: &str, mac: Option<[u8; 6]>) -> Result<Self, RawError> {
        let (interface, mac, socket) = prepare(name, mac)?;
        let refused =
            |cause| RawError::Refused { what: "open a channel on", name: name.into(), cause };
        let kept = socket.try_clone().map_err(refused)?;
        let config = Config {
            read_buffer_size: FRAME_MAX,
            write_buffer_size: 0, // Frames are sent from where they are.
            read_timeout: Some(Duration::ZERO),
            write_timeout: Some(Duration::ZERO),
            promiscuous: false,
            socket_fd: Some(socket.into_raw_fd()), // It is closed by the channel, also on errors.
            ..Config::default()
        };
        let (sender, receiver) = match pnet_datalink::channel(&interface, config) {
            Ok(Channel::Ethernet(sender, receiver)) => (sender, receiver),
            Ok(_) => return Err(RawError::NotEthernet { name: name.to_owned() }),
            Err(cause) => return Err(refused(cause)),
        };
        let line = PlainLine { sender, receiver, socket: kept };
        Self::new(RawLine::Plain(line), &interface, mac, Can::NOTHING)
    }

    /// Whether [`Raw::open`] may have a socket with all that it needs here; it takes no interface.
    ///
    /// # Errors
    /// Any of [`RawError`] that is not about the interface, which is called `name`.
    pub fn probe(name: &str) -> Result<(), RawError> {
        with_headers(&socket(name)?, name)
    }

    /// The interface's name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// A descriptor that polls readable when a frame waits, and writable when there is room.
    ///
    /// # Errors
    /// The kernel's, when descriptors are used up.
    pub fn readiness(&self) -> io::Result<OwnedFd> {
        self.device.line.socket().try_clone_to_owned()
    }

    /// A descriptor that polls readable when the interface may be gone: then the device is to be
    /// read.
    ///
    /// # Errors
    /// The kernel's, when descriptors are used up.
    pub fn watch(&self) -> io::Result<OwnedFd> {
        self.monitor.as_fd().try_clone_to_owned()
    }

    fn new(
        line: RawLine,
        interface: &NetworkInterface,
        mac: [u8; 6],
        can: Can,
    ) -> Result<Self, RawError> {
        let name = interface.name.clone();
        // A card passes on what is sent to its own address and what it was asked for.
        let own = interface.mac.is_some_and(|own| own.octets() == mac);
        let kind = if own { libc::PACKET_MR_ALLMULTI } else { libc::PACKET_MR_PROMISC };
        sys::packet_join(line.socket(), interface.index as i32, kind)
            .map_err(|errno| RawError::new("receive for another address on", &name, errno))?;
        // Before the interface is looked at for the last time: nothing is missed.
        let monitor = LinkMonitor::open()?;
        let mut netlink = Netlink::open()?;
        let mut link = netlink.link(&name)?;
        if link.has_carrier && !link.is_operational {
            link = netlink.wait_operational(&name, SETTLING_MAX)?;
        }
        let mtu = u16::try_from(link.mtu_bytes).unwrap_or(u16::MAX);
        let device = LineDevice::new(line, Caps { mtu, mac, can });
        Ok(Self { device, name, monitor, until_asked: READS_PER_ASKING, overflowed: 0 })
    }

    /// Asks now and then: a system call for each read would cost as much as a frame.
    fn ask_for_drops(&mut self) {
        self.until_asked -= 1;
        if self.until_asked == 0 {
            self.until_asked = READS_PER_ASKING;
            let drops = sys::packet_drops(self.device.line.socket());
            self.overflowed += u64::from(drops.unwrap_or(0));
        }
    }

    /// Whether the interface was deleted or moved, if anything has changed at all.
    fn is_gone(&self) -> bool {
        self.monitor.changed()
            && sys::packet_interface(self.device.line.socket()).is_ok_and(|index| index < 0)
    }
}

impl Device for Raw {
    fn caps(&self) -> Caps {
        self.device.caps()
    }

    fn formats(&self) -> Formats {
        Formats::of(Format::Frames)
    }

    fn recv(&mut self, pool: &mut Pool, out: &mut MsgList, budget: usize) -> Result<usize, Errno> {
        self.ask_for_drops();
        match self.device.recv(pool, out, budget)? {
            // Woken for nothing: perhaps by the monitor.
            0 if self.is_gone() => Err(Errno::ENODEV),
            count => Ok(count),
        }
    }

    fn send(&mut self, batch: &mut MsgList) -> Result<(), Errno> {
        self.device.send(batch)
    }

    fn take_dropped(&mut self) -> u64 {
        std::mem::take(&mut self.overflowed) + self.device.take_dropped()
    }
}

impl RawLine {
    fn socket(&self) -> BorrowedFd<'_> {
        match self {
            Self::Own(fd) => fd.as_fd(),
            Self::Plain(line) => line.socket.as_fd(),
        }
    }
}

impl Line for RawLine {
    fn header_bytes(&self) -> usize {
        match self {
            Self::Own(_) => VNET_HEADER_BYTES,
            Self::Plain(_) => 0,
        }
    }

    fn read(&mut self, frame: &mut Msg, large: &mut Large) -> Result<bool, Errno> {
        let outcome = match self {
            Self::Own(fd) => read_blocks(fd.as_fd(), true, frame, large),
            Self::Plain(line) => line.receive(|bytes| {
                let room = frame.spare_mut();
                // Longer than the MTU: several that the card has joined. They cannot be parted.
                let Some(room) = room.get_mut(..bytes.len()) else { return false };
                room.copy_from_slice(bytes);
                frame.commit(bytes.len());
                true
            }),
        };
        match outcome {
            // A kind of super-frame that this kernel cannot describe; it is off the queue.
            Err(Errno::EINVAL) => Ok(false),
            Err(errno) => Err(while_down(errno)),
            fine => fine,
        }
    }

    fn skip(&mut self) -> Result<(), Errno> {
        let outcome = match self {
            Self::Own(fd) => {
                // What does not fit is cut off, but for the header.
                let mut nowhere = [0; VNET_HEADER_BYTES];
                rustix::io::read(fd, &mut nowhere).map(drop).map_err(errno_of)
            }
            Self::Plain(line) => line.receive(|_| ()),
        };
        outcome.map_err(while_down)
    }

    fn write(&mut self, frame: &Msg) -> Result<(), Errno> {
        match self {
            Self::Own(fd) => write_blocks(fd.as_fd(), true, frame),
            Self::Plain(line) => line.send(frame),
        }
    }

    fn fate(&self, errno: Errno) -> Fate {
        match errno {
            Errno::EAGAIN => Fate::Later,
            Errno::ENXIO | Errno::ENODEV => Fate::Gone,
            // It is down, the queue of the interface is full (ENOBUFS; no event tells when there
            // is room), or this frame is too long (EMSGSIZE) or not to its liking (EINVAL).
            _ => Fate::Lost,
        }
    }
}

impl PlainLine {
    /// The next frame.
    fn receive<T>(&mut self, take: impl FnOnce(&[u8]) -> T) -> Result<T, Errno> {
        match self.receiver.next() {
            Ok(bytes) => Ok(take(bytes)),
            Err(e) => Err(self.errno(&e)),
        }
    }

    fn send(&mut self, frame: &Msg) -> Result<(), Errno> {
        let sent = write_flat(frame, |bytes| self.sender.send_to(bytes, None));
        match sent {
            Some(Err(e)) => Err(self.errno(&e)),
            Some(Ok(())) | None => Ok(()),
        }
    }

    /// The channel polls first: an error that waits in the socket is not told, but has to be
    /// fetched, or the socket stays ready for ever.
    fn errno(&self, error: &io::Error) -> Errno {
        match error.kind() {
            io::ErrorKind::TimedOut => Errno::EAGAIN,
            _ if error.raw_os_error().is_some() => errno_of_io(error),
            _ => match sockopt::socket_error(&self.socket) {
                Ok(Err(waiting)) => errno_of(waiting),
                Ok(Ok(())) => Errno::EAGAIN,
                Err(errno) => errno_of(errno),
            },
        }
    }
}

/// An interface that is down has no frames, and may come up again.
fn while_down(errno: Errno) -> Errno {
    if errno == Errno::ENETDOWN { Errno::EAGAIN } else { errno }
}

/// An interface, our address there, and an unbound socket for it.
fn prepare(
    name: &str,
    mac: Option<[u8; 6]>,
) -> Result<(NetworkInterface, [u8; 6], OwnedFd), RawError> {
    IfName::new(name)?;
    let (interface, socket) = (interface::usable(name)?, socket(name)?);
    let own = interface.mac.map(|own| own.octets());
    let mac = mac.or(own).unwrap_or_default();
    sys::attach_filter(socket.as_fd(), &filter::for_station(mac))
        .map_err(|errno| RawError::new("choose what comes in from", name, errno))?;
    Ok((interface, mac, socket))
}

/// A socket that takes in nothing yet; `name` is for errors.
fn socket(name: &str) -> Result<OwnedFd, RawError> {
    let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
    let socket = socket_with(AddressFamily::PACKET, SocketType::RAW, flags, None)
        .map_err(|errno| RawError::new("open a raw socket on", name, errno))?;
    sys::enable_packet_option(socket.as_fd(), libc::PACKET_IGNORE_OUTGOING)
        .map_err(|errno| RawError::new("leave out what is sent on", name, errno))?;
    // The limit of ordinary users is three super-frames; who may go beyond it does.
    if sockopt::set_socket_recv_buffer_size_force(&socket, BUFFER_BYTES).is_err() {
        let _as_far_as_allowed = sockopt::set_socket_recv_buffer_size(&socket, BUFFER_BYTES);
    }
    if sockopt::set_socket_send_buffer_size_force(&socket, BUFFER_BYTES).is_err() {
        let _as_far_as_allowed = sockopt::set_socket_send_buffer_size(&socket, BUFFER_BYTES);
    }
    Ok(socket)
}

/// Puts a virtio-net header in front of each frame.
fn with_headers(socket: &OwnedFd, name: &str) -> Result<(), RawError> {
    sys::enable_packet_option(socket.as_fd(), libc::PACKET_VNET_HDR)
        .map_err(|errno| RawError::new("have offloads on", name, errno))
}

/// UDP above the MTU (USO) came to packet sockets with Linux 6.2, and nothing tells but a failed
/// write.
fn kernel_has_uso() -> bool {
    let uname = rustix::system::uname();
    let release = uname.release().to_str().unwrap_or_default();
    let mut numbers = release.split(|c: char| !c.is_ascii_digit()).map(str::parse::<u32>);
    match (numbers.next(), numbers.next()) {
        (Some(Ok(major)), Some(Ok(minor))) => (major, minor) >= (6, 2),
        _ => false,
    }
}

/// Reads of up to a shard's budget of frames each.
const READS_PER_ASKING: u32 = 64;

/// The kernel takes an interface into use in its own time after the carrier has come, at most a
/// second, and drops what is sent before.
const SETTLING_MAX: Duration = Duration::from_secs(2);

/// A receive window of a megabyte in frames of an MTU, with what the kernel adds to each.
const BUFFER_BYTES: usize = 4 * 1024 * 1024;

/// Longest frame of the plain mode: an ordinary one of the largest MTU.
const FRAME_MAX: usize = 65_535 + 14;
