//! smol: smoltcp as the daemon's protocol, on our TAP with its segmentation offload. It has no
//! backlog: a listening socket is a pool of them.

use super::engine::{Engine, Give, SocketNo};
use crate::smoltcp::{BUFFER, Host, OverTap};
use ::smoltcp::iface::SocketHandle;
use ::smoltcp::socket::tcp::{RecvError, Socket as Tcp, State};
use ::smoltcp::wire::IpCidr;
use millstream_core::Errno;
use millstream_drivers::netlink::Prefix;
use millstream_drivers::tun::TapFd;
use std::collections::{BTreeMap, VecDeque};
use std::net::{IpAddr, SocketAddr};
use std::os::fd::BorrowedFd;
use std::time::Duration;

/// A TAP with smoltcp above it.
#[derive(Debug)]
pub struct Smoltcp {
    host: Host<OverTap>,
    own: IpAddr,
    sockets: BTreeMap<SocketNo, Socket>,
    last: SocketNo,
    port: u16,
    /// Something has come: any socket may be ready.
    changed: bool,
    ready: VecDeque<SocketNo>,
    /// Given back; their connections are not over yet.
    leaving: Vec<Closing>,
    /// Their connections are over.
    spare: Vec<Closing>,
}

#[derive(Debug)]
enum Socket {
    /// A pool that listens at a port, with so many bytes of buffers each.
    Listener { port: u16, buffer: usize, pool: Vec<SocketHandle> },
    /// A connection, and the bytes of its buffers.
    Connection(SocketHandle, usize),
}

/// A socket of smoltcp and the bytes of its buffers.
type Closing = (SocketHandle, usize);

/// Bytes of the buffers of a pool each way: 1 MiB for each where they are few.
const POOL_BYTES: usize = 16 << 20;

/// Sockets of a pool at most: each costs time for each frame.
const POOL_MAX: u32 = 256;

/// Frames of each socket sent before others are taken: ACKs come among them.
const SENDS: usize = 16;

/// First port of our own connections (RFC 6335).
const EPHEMERAL: u16 = 49_152;

impl Smoltcp {
    /// On a TAP, with an address.
    pub fn new(tap: TapFd, own: Prefix) -> Self {
        let own_ip = own.address();
        let cidr = IpCidr::new(own_ip.into(), own.length_bits());
        let host = Host::new(OverTap::new(tap), [2, 0, 0, 0, 0, 2], cidr);
        Self {
            host,
            own: own_ip,
            sockets: BTreeMap::new(),
            last: 0,
            port: EPHEMERAL,
            changed: false,
            ready: VecDeque::new(),
            leaving: Vec::new(),
            spare: Vec::new(),
        }
    }

    fn add(&mut self, socket: Socket) -> SocketNo {
        self.last += 1;
        self.sockets.insert(self.last, socket);
        self.ready.push_back(self.last);
        self.last
    }

    /// A socket of smoltcp that is closed.
    fn closed(&mut self, buffer: usize) -> SocketHandle {
        match self.spare.iter().position(|(_, bytes)| *bytes == buffer) {
            Some(nth) => self.spare.swap_remove(nth).0,
            None => self.host.socket(buffer),
        }
    }

    fn tcp(&mut self, handle: SocketHandle) -> &mut Tcp<'static> {
        self.host.interface_and(handle).1
    }

    fn connection(&mut self, socket: SocketNo) -> Result<&mut Tcp<'static>, Errno> {
        match self.sockets.get(&socket) {
            Some(&Socket::Connection(handle, _)) => Ok(self.tcp(handle)),
            Some(Socket::Listener { .. }) => Err(Errno::EINVAL),
            None => Err(Errno::EBADF),
        }
    }

    /// Sockets whose connections have come to their end can be used again.
    fn reap(&mut self) {
        let leaving = std::mem::take(&mut self.leaving);
        for (handle, buffer) in leaving {
            let tcp = self.tcp(handle);
            // TIME-WAIT would take it out of use for ten seconds.
            if matches!(tcp.state(), State::Closed | State::TimeWait) {
                tcp.abort();
                self.spare.push((handle, buffer));
            } else {
                self.leaving.push((handle, buffer));
            }
        }
    }
}

impl Engine for Smoltcp {
    fn fd(&self) -> BorrowedFd<'_> {
        self.host.device.fd()
    }

    fn take_frames(&mut self, most: usize) -> Result<usize, Errno> {
        let now = self.host.now();
        let taken = (0..most).take_while(|_| self.host.take_frame(now)).count();
        self.changed |= taken > 0;
        Ok(taken)
    }

    fn work(&mut self) -> Option<Duration> {
        let now = self.host.now();
        let busy = (0..SENDS).all(|_| self.host.egress(now));
        self.reap();
        if std::mem::take(&mut self.changed) {
            self.ready.extend(self.sockets.keys());
        }
        match busy {
            true => Some(Duration::ZERO),
            false => self.host.delay_us(now).map(Duration::from_micros),
        }
    }

    fn ready(&mut self) -> Option<SocketNo> {
        self.ready.pop_front()
    }

    fn listen(&mut self, at: SocketAddr, backlog: u32) -> Result<SocketNo, Errno> {
        let (address, port) = (at.ip(), at.port());
        let used =
            |socket: &Socket| matches!(socket, Socket::Listener { port: p, .. } if *p == port);
        if address != self.own {
            return Err(Errno::EADDRNOTAVAIL);
        } else if port == 0 {
            return Err(Errno::EINVAL);
        } else if self.sockets.values().any(used) {
            return Err(Errno::EADDRINUSE);
        }
        let count = backlog.clamp(1, POOL_MAX) as usize;
        let buffer = (POOL_BYTES / count).min(BUFFER);
        let pool: Vec<SocketHandle> = (0..count).map(|_| self.closed(buffer)).collect();
        for &handle in &pool {
            // It is closed: it can listen.
            let _listens = self.tcp(handle).listen(port);
        }
        Ok(self.add(Socket::Listener { port, buffer, pool }))
    }

    fn connect(&mut self, to: SocketAddr) -> Result<SocketNo, Errno> {
        self.port = if self.port == u16::MAX { EPHEMERAL } else { self.port + 1 };
        let (port, handle) = (self.port, self.closed(BUFFER));
        let (interface, tcp) = self.host.interface_and(handle);
        match tcp.connect(interface.context(), (to.ip(), to.port()), port) {
            Ok(()) => Ok(self.add(Socket::Connection(handle, BUFFER))),
            Err(_) => {
                self.spare.push((handle, BUFFER));
                Err(Errno::EINVAL)
            }
        }
    }

    fn connected(&mut self, socket: SocketNo) -> Result<(), Errno> {
        if matches!(self.sockets.get(&socket), Some(Socket::Listener { .. })) {
            return Ok(());
        }
        match self.connection(socket)?.state() {
            State::SynSent | State::SynReceived => Err(Errno::EAGAIN),
            State::Closed => Err(Errno::ECONNREFUSED),
            _ => Ok(()),
        }
    }

    fn accept(&mut self, listener: SocketNo) -> Result<SocketNo, Errno> {
        let (port, buffer, all) = match self.sockets.get(&listener) {
            Some(Socket::Listener { port, buffer, pool }) => (*port, *buffer, pool.clone()),
            Some(Socket::Connection(..)) => return Err(Errno::EINVAL),
            None => return Err(Errno::EBADF),
        };
        for (nth, handle) in all.into_iter().enumerate() {
            let tcp = self.tcp(handle);
            match tcp.state() {
                State::Listen | State::SynReceived => continue,
                // It was reset before anybody took it.
                State::Closed | State::TimeWait => {
                    tcp.abort();
                    let _listens = tcp.listen(port);
                    continue;
                }
                _ => {}
            }
            let next = self.closed(buffer);
            let _listens = self.tcp(next).listen(port);
            if let Some(Socket::Listener { pool, .. }) = self.sockets.get_mut(&listener) {
                pool[nth] = next;
            }
            // The next one may be there already.
            self.ready.push_back(listener);
            return Ok(self.add(Socket::Connection(handle, buffer)));
        }
        Err(Errno::EAGAIN)
    }

    fn send(&mut self, socket: SocketNo, data: &[u8]) -> Result<usize, Errno> {
        let sent = self.connection(socket)?.send_slice(data).map_err(|_| Errno::EPIPE)?;
        if sent == 0 && !data.is_empty() { Err(Errno::EAGAIN) } else { Ok(sent) }
    }

    fn recv(&mut self, socket: SocketNo, most: usize, give: Give<'_>) -> Result<usize, Errno> {
        let tcp = self.connection(socket)?;
        let taken = tcp.recv(|bytes| {
            let n = bytes.len().min(most);
            if n > 0 {
                give(&[&bytes[..n]]);
            }
            (n, n)
        });
        match taken {
            Ok(0) => Err(Errno::EAGAIN),
            Ok(n) => Ok(n),
            Err(RecvError::Finished) => Ok(0),
            // Reset, or never connected.
            Err(RecvError::InvalidState) => Err(Errno::ECONNRESET),
        }
    }

    fn finish(&mut self, socket: SocketNo) -> Result<(), Errno> {
        self.connection(socket)?.close();
        Ok(())
    }

    fn close(&mut self, socket: SocketNo) {
        match self.sockets.remove(&socket) {
            Some(Socket::Connection(handle, buffer)) => {
                self.tcp(handle).close();
                self.leaving.push((handle, buffer));
            }
            Some(Socket::Listener { pool, buffer, .. }) => {
                for handle in pool {
                    self.tcp(handle).abort();
                    self.leaving.push((handle, buffer));
                }
            }
            None => {}
        }
    }

    fn open(&self) -> usize {
        self.sockets.len()
    }
}
