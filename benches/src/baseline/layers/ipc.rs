//! ipc: messages over a Unix socket, as a device: a message is one packet.

use super::packed::HEAD;
use crate::baseline::Carrier;
use millstream_core::{Caps, Device, Errno};
use millstream_msg::offload::Can;
use millstream_msg::{Msg, MsgList, Pool};
use rustix::net::sockopt::{set_socket_recv_buffer_size, set_socket_send_buffer_size};
use rustix::net::{SocketAddrUnix, SocketFlags, accept_with, bind, connect, listen};
use std::io::{self, IoSlice, IoSliceMut};
use std::os::fd::OwnedFd;
use std::path::Path;

/// The device.
#[derive(Debug)]
pub struct Ipc {
    socket: Socket,
    /// Blocks that the next message is read into, by their places.
    spare: [Option<Msg>; BLOCKS.len()],
}

/// One end of a connection between layers.
#[derive(Debug)]
pub struct Socket(OwnedFd);

/// Somebody listens for the layer above.
#[derive(Debug)]
pub struct Listening(OwnedFd);

/// Room for an ordinary frame and the head in front; and for the rest of a super-frame.
const BLOCKS: [usize; 4] = [HEAD + 1_600, 32 << 10, 32 << 10, 4 << 10];

/// Bytes under way: what the system grants of some super-frames.
const BUFFER: usize = 1 << 20;

impl Socket {
    /// Listens for the layer above.
    ///
    /// # Errors
    /// The kernel's: the folder takes no files.
    pub fn listen(path: &Path) -> io::Result<Listening> {
        let socket = Carrier::Packets.socket(SocketFlags::empty())?;
        let _old = std::fs::remove_file(path);
        bind(&socket, &SocketAddrUnix::new(path)?)?;
        listen(&socket, 1)?;
        Ok(Listening(socket))
    }

    /// To the layer below.
    ///
    /// # Errors
    /// Nobody listens there.
    pub fn connect(path: &Path) -> io::Result<Self> {
        let socket = Carrier::Packets.socket(SocketFlags::empty())?;
        connect(&socket, &SocketAddrUnix::new(path)?)?;
        Self::with(socket)
    }

    fn with(socket: OwnedFd) -> io::Result<Self> {
        rustix::io::ioctl_fionbio(&socket, true)?;
        set_socket_send_buffer_size(&socket, BUFFER)?;
        set_socket_recv_buffer_size(&socket, BUFFER)?;
        Ok(Self(socket))
    }

    /// A descriptor that polls readable when a message waits.
    ///
    /// # Errors
    /// The kernel's, when descriptors are used up.
    pub fn readiness(&self) -> io::Result<OwnedFd> {
        self.0.try_clone()
    }
}

impl Listening {
    /// Waits for the layer above.
    ///
    /// # Errors
    /// The kernel's.
    pub fn accept(&self) -> io::Result<Socket> {
        Socket::with(accept_with(&self.0, SocketFlags::CLOEXEC)?)
    }
}

impl Ipc {
    /// Over one end of a connection.
    pub fn new(socket: Socket) -> Self {
        Self { socket, spare: [const { None }; BLOCKS.len()] }
    }

    /// Reads one message; `None` when there is none, or no memory for it.
    fn read(&mut self, pool: &mut Pool) -> Result<Option<Msg>, Errno> {
        for (place, len) in self.spare.iter_mut().zip(BLOCKS) {
            if place.is_none() {
                *place = pool.alloc(0, len).ok();
            }
        }
        if self.spare.iter().any(Option::is_none) {
            return Ok(None);
        }
        let slices = &mut self
            .spare
            .each_mut()
            .map(|place| IoSliceMut::new(place.as_mut().map_or(&mut [][..], Msg::spare_mut)));
        let mut left = match rustix::io::readv(&self.socket.0, slices) {
            // The other layer has gone.
            Ok(0) => return Err(Errno::ENXIO),
            Ok(n) => n,
            Err(rustix::io::Errno::AGAIN | rustix::io::Errno::INTR) => return Ok(None),
            Err(errno) => return Err(Errno(errno.raw_os_error())),
        };
        let mut msg: Option<Msg> = None;
        for place in &mut self.spare {
            if left == 0 {
                break;
            }
            let Some(mut block) = place.take() else { break };
            let part = left.min(block.tailroom());
            block.commit(part);
            left -= part;
            match &mut msg {
                Some(msg) => msg.link(block),
                None => msg = Some(block),
            }
        }
        Ok(msg)
    }
}

impl Device for Ipc {
    fn caps(&self) -> Caps {
        Caps { mtu: 1500, mac: MAC, can: Can::ALL }
    }

    fn recv(&mut self, pool: &mut Pool, out: &mut MsgList, budget: usize) -> Result<usize, Errno> {
        for count in 0..budget {
            match self.read(pool) {
                Ok(Some(msg)) => out.push(msg),
                Err(errno) if count == 0 => return Err(errno),
                Ok(None) | Err(_) => return Ok(count),
            }
        }
        Ok(budget)
    }

    fn send(&mut self, batch: &mut MsgList) -> Result<(), Errno> {
        while let Some(msg) = batch.pop() {
            let bytes: Vec<&[u8]> = msg.blocks().filter_map(|block| block.as_slice()).collect();
            let slices: Vec<IoSlice<'_>> = bytes.iter().map(|bytes| IoSlice::new(bytes)).collect();
            match rustix::io::writev(&self.socket.0, &slices) {
                Ok(_) => {}
                Err(rustix::io::Errno::AGAIN | rustix::io::Errno::NOBUFS) => {
                    drop(slices);
                    batch.push_front(msg);
                    return Ok(());
                }
                Err(errno) => {
                    batch.push_front(msg);
                    return Err(Errno(errno.raw_os_error()));
                }
            }
        }
        Ok(())
    }
}

/// Our end of the link: that of the TAP of a lab does not matter, ARP tells it.
const MAC: [u8; 6] = [2, 0, 0, 0, 0, 2];
