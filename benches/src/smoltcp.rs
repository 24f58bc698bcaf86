//! smoltcp: the strongest peer, behind our own drivers. Sockets of one interface do what a service
//! does; their buffers are a megabyte each way.

mod device;
mod pair;
mod tap;

pub use device::OverDevice;
pub use pair::Two;
pub use tap::OverTap;

use crate::Trouble;
use crate::lab::{Lab, Mode, PORT, Service, Stop, TICK_MS};
use ::smoltcp::iface::{Config, Interface, PollIngressSingleResult, SocketHandle, SocketSet};
use ::smoltcp::phy::Device;
use ::smoltcp::socket::tcp::{Socket, SocketBuffer, State};
use ::smoltcp::time::Instant as Moment;
use ::smoltcp::wire::{EthernetAddress, HardwareAddress, IpCidr};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;
use std::sync::atomic::Ordering;
use std::time::Instant;

/// What the service does with the bytes of a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Does {
    /// Takes everything: where it lies, or copied to the application.
    Discard {
        /// Copied.
        copy: bool,
    },
    /// Sends for ever: what lies in the buffer, or copied from the application.
    Chargen {
        /// Copied.
        copy: bool,
    },
    /// Sends back what comes.
    Echo,
}

/// A host: an interface, its sockets, and the device below.
pub struct Host<D: Device> {
    /// What is below.
    pub device: D,
    interface: Interface,
    /// All sockets.
    pub sockets: SocketSet<'static>,
    handles: Vec<SocketHandle>,
    began: Instant,
}

impl<D: Device> std::fmt::Debug for Host<D> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Host").field("sockets", &self.handles.len()).finish()
    }
}

/// Bytes of a socket's buffer each way, where one connection has everything.
pub const BUFFER: usize = 1 << 20;

/// Frames that are taken before the sockets are looked at and ACKs go.
const FRAMES: usize = 16;

/// Bytes of the application, for services that copy.
const PIECE: usize = 128 << 10;

impl<D: Device> Host<D> {
    /// A host with an address.
    pub fn new(mut device: D, mac: [u8; 6], address: IpCidr) -> Self {
        let mac = HardwareAddress::Ethernet(EthernetAddress(mac));
        let mut interface = Interface::new(Config::new(mac), &mut device, Moment::ZERO);
        interface.update_ip_addrs(|all| {
            // One fits into any list.
            let _full = all.push(address);
        });
        let sockets = SocketSet::new(Vec::new());
        Self { device, interface, sockets, handles: Vec::new(), began: Instant::now() }
    }

    /// Adds a socket with buffers of so many bytes.
    pub fn socket(&mut self, buffer: usize) -> SocketHandle {
        let buffers = [(); 2].map(|()| SocketBuffer::new(vec![0; buffer]));
        let [receive, send] = buffers;
        let mut socket = Socket::new(receive, send);
        socket.set_nagle_enabled(false);
        let handle = self.sockets.add(socket);
        self.handles.push(handle);
        handle
    }

    /// Its interface and one of its sockets, to connect.
    pub fn interface_and(
        &mut self,
        handle: SocketHandle,
    ) -> (&mut Interface, &mut Socket<'static>) {
        (&mut self.interface, self.sockets.get_mut(handle))
    }

    /// Now, on its clock.
    pub fn now(&self) -> Moment {
        Moment::from_micros(self.began.elapsed().as_micros() as i64)
    }

    /// Takes frames, at most `FRAMES`; false when none was there.
    pub fn ingress(&mut self, now: Moment) -> bool {
        for nth in 0..FRAMES {
            if !self.take_frame(now) {
                return nth > 0;
            }
        }
        true
    }

    /// Takes a frame; false when none was there.
    pub fn take_frame(&mut self, now: Moment) -> bool {
        let Self { device, interface, sockets, .. } = self;
        let result = interface.poll_ingress_single(now, device, sockets);
        result != PollIngressSingleResult::None
    }

    /// Sends what the sockets have to send; false when they had nothing.
    pub fn egress(&mut self, now: Moment) -> bool {
        let Self { device, interface, sockets, .. } = self;
        let result = interface.poll_egress(now, device, sockets);
        result == ::smoltcp::iface::PollResult::SocketStateChanged
    }

    /// Microseconds until it has something to do by itself.
    pub fn delay_us(&mut self, now: Moment) -> Option<u64> {
        let delay = self.interface.poll_delay(now, &self.sockets);
        delay.map(|delay| delay.total_micros())
    }

    /// Does what the service does with all sockets; false when there was nothing to do.
    fn serve(&mut self, port: u16, does: Does, data: &mut [u8]) -> bool {
        let mut any = false;
        for &handle in &self.handles {
            let socket: &mut Socket<'_> = self.sockets.get_mut(handle);
            if !socket.is_open() || socket.state() == State::TimeWait {
                // TIME-WAIT would take the socket out of the pool for ten seconds.
                socket.abort();
                // It is closed: it can listen.
                let _listens = socket.listen(port);
            }
            any |= served(socket, does, data);
            if socket.state() == State::CloseWait && !socket.can_recv() {
                socket.close();
                any = true;
            }
        }
        any
    }
}

/// One socket. The buffers are rings: two pieces may be there.
fn served(socket: &mut Socket<'_>, does: Does, data: &mut [u8]) -> bool {
    let mut any = false;
    for _ in 0..2 {
        let n = match does {
            Does::Discard { copy: false } => socket.recv(|bytes| (bytes.len(), bytes.len())).ok(),
            Does::Discard { copy: true } => socket.recv_slice(data).ok(),
            Does::Chargen { copy: false } if socket.can_send() => {
                socket.send(|bytes| (bytes.len(), bytes.len())).ok()
            }
            Does::Chargen { copy: true } if socket.can_send() => socket.send_slice(data).ok(),
            Does::Chargen { .. } => None,
            Does::Echo if socket.can_recv() => {
                let room = (socket.send_capacity() - socket.send_queue()).min(data.len());
                let n = socket.recv_slice(&mut data[..room]).unwrap_or(0);
                socket.send_slice(&data[..n]).ok()
            }
            Does::Echo => None,
        };
        match n {
            None | Some(0) => break,
            Some(_) => any = true,
        }
    }
    any
}

/// Serves the TAP of a lab with a pool of so many listening sockets. `plain` is without offloads,
/// as the crate's own TAP device is.
///
/// # Errors
/// As [`Lab::tap_fd`].
pub fn serve(
    lab: &Lab,
    core: Option<usize>,
    mode: Mode,
    does: Does,
    pool: usize,
    plain: bool,
) -> Result<Service, Trouble> {
    let tap = if plain { OverTap::plain(lab.plain_tap_fd()?) } else { OverTap::new(lab.tap_fd()?) };
    let address = IpCidr::new(lab.far().address().into(), 24);
    let mut host = Host::new(tap, [2, 0, 0, 0, 0, 2], address);
    // As much memory for a pool as for one connection.
    let buffer = (BUFFER / pool.max(1)).clamp(4096, BUFFER);
    for _ in 0..pool {
        host.socket(buffer);
    }
    // They listen before a client asks.
    host.serve(PORT, does, &mut []);
    Service::start("smoltcp", core, move |stop| run(&mut host, mode, does, stop))
}

fn run(host: &mut Host<OverTap>, mode: Mode, does: Does, stop: &Stop) -> Result<(), Trouble> {
    let mut data = vec![b'x'; PIECE];
    while !stop.load(Ordering::Relaxed) {
        let now = host.now();
        let mut any = host.ingress(now);
        any |= host.serve(PORT, does, &mut data);
        // One call sends one frame of each socket.
        for _ in 0..FRAMES {
            if !host.egress(now) {
                break;
            }
            any = true;
        }
        if any || mode == Mode::Polling {
            continue;
        }
        let wait_us = host.delay_us(now).unwrap_or(u64::MAX).min(TICK_MS * 1000);
        if wait_us > 0 {
            let wait = Timespec { tv_sec: 0, tv_nsec: wait_us as i64 * 1000 };
            let fd = host.device.fd();
            match poll(&mut [PollFd::new(&fd, PollFlags::IN)], Some(&wait)) {
                Ok(_) | Err(Errno::INTR) => {}
                Err(errno) => return Err(errno.into()),
            }
        }
    }
    Ok(())
}
