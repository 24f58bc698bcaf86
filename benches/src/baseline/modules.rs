//! modules: our own modules as the daemon's protocol: the stack that a plan makes, on the daemon's
//! thread, with what streams tell of asked for socket by socket.

use super::came::Came;
use super::clock::Clock;
use super::engine::{Engine, Give, SocketNo};
use crate::Trouble;
use crate::stream::{accept, call, control, listen};
use millstream_core::{
    Config, Device, Errno, Event, Got, Module, NodeId, Perimeter, PlumbError, StreamId, tpi,
};
use millstream_drivers::netlink::Prefix;
use millstream_host::plan::random_key;
use millstream_modules::arp::Arp;
use millstream_modules::ip::Ip;
use millstream_modules::tcp::Tcp;
use millstream_msg::{Msg, Pool, PoolConfig};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use std::collections::{HashMap, VecDeque};
use std::net::SocketAddr;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::time::Duration;

/// A TAP with arp, ip and tcp above it.
#[derive(Debug)]
pub struct Modules {
    core: Perimeter,
    driver: NodeId,
    tcp: NodeId,
    own: Prefix,
    fd: OwnedFd,
    sockets: HashMap<SocketNo, Socket>,
    numbers: HashMap<StreamId, SocketNo>,
    last: SocketNo,
    ready: VecDeque<SocketNo>,
    gone: Option<Errno>,
    /// The device has backlog.
    blocked: bool,
    clock: Clock,
}

#[derive(Debug)]
struct Socket {
    stream: StreamId,
    /// Taken from the head, not yet shown.
    came: Came,
    listens: bool,
}

/// Dispatches of a turn.
const TURN: usize = 4096;

/// Messages that are taken of those in which ip tells its addresses.
const FIRST: usize = 64;

/// They come at once; a busy machine takes its time.
const ADDRESSES_WITHIN: Timespec = Timespec { tv_sec: 5, tv_nsec: 0 };

impl Modules {
    /// On a device, with an address; `fd` polls readable when the device has frames.
    ///
    /// # Errors
    /// When the modules do not fit together.
    pub fn new(
        device: Box<dyn Device + Send>,
        fd: OwnedFd,
        own: Prefix,
        clock: Clock,
    ) -> Result<Self, Trouble> {
        let mut core = perimeter();
        let (stream, driver) = core.open_device("line", device);
        core.push(stream, Box::new(Arp::new())).map_err(said)?;
        let ip = core.add_mux(Box::new(Ip::new(random_key())));
        core.link(ip, stream).map_err(said)?;
        core.set_mux(ip, "address", &format!("0 {own}")).map_err(said)?;
        let below = core.open_mux(ip, "tcp").map_err(said)?;
        Self::above(core, below, driver, own, fd, clock)
    }

    /// Above a device that carries packets of ip, which is another process, with a module on it.
    ///
    /// # Errors
    /// When ip does not tell its addresses in time; the kernel's.
    pub fn on_packets(
        device: Box<dyn Device>,
        fd: OwnedFd,
        own: Prefix,
        module: Box<dyn Module>,
    ) -> Result<Self, Trouble> {
        let mut core = perimeter();
        let (below, driver) = core.open_device("ipc", device);
        core.push(below, module).map_err(said)?;
        let mut modules = Self::above(core, below, driver, own, fd, Clock::default())?;
        let mut wanted = [PollFd::from_borrowed_fd(modules.fd.as_fd(), PollFlags::IN)];
        modules.core.turn(0, TURN);
        poll(&mut wanted, Some(&ADDRESSES_WITHIN))?;
        if modules.take_frames(FIRST)? == 0 {
            return Err("ip does not tell its addresses".into());
        }
        modules.work();
        Ok(modules)
    }

    /// tcp on a stream that carries packets.
    fn above(
        mut core: Perimeter,
        below: StreamId,
        driver: NodeId,
        own: Prefix,
        fd: OwnedFd,
        clock: Clock,
    ) -> Result<Self, Trouble> {
        let tcp = core.add_mux(Box::new(Tcp::new(random_key())));
        core.link(tcp, below).map_err(said)?;
        Ok(Self {
            core,
            driver,
            tcp,
            own,
            fd,
            sockets: HashMap::new(),
            numbers: HashMap::new(),
            last: 0,
            ready: VecDeque::new(),
            gone: None,
            blocked: false,
            clock,
        })
    }

    fn add(&mut self, stream: StreamId, listens: bool) -> SocketNo {
        self.last += 1;
        let socket = Socket { stream, came: Came::default(), listens };
        self.sockets.insert(self.last, socket);
        self.numbers.insert(stream, self.last);
        // What came before it had a number was told to nobody.
        self.ready.push_back(self.last);
        self.last
    }

    fn socket(&mut self, socket: SocketNo) -> Result<&mut Socket, Errno> {
        self.sockets.get_mut(&socket).ok_or(Errno::EBADF)
    }

    fn take_events(&mut self) {
        while let Some(event) = self.core.event() {
            match event {
                Event::Head(stream, _) => self.ready.extend(self.numbers.get(&stream)),
                Event::WantWrite(_) => self.blocked = true,
                Event::DeviceGone(_, errno) => self.gone = Some(errno),
                _ => {}
            }
        }
    }
}

impl Engine for Modules {
    fn fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }

    fn take_frames(&mut self, most: usize) -> Result<usize, Errno> {
        match self.gone {
            Some(errno) => Err(errno),
            None => Ok(self.core.poll(self.driver, most)),
        }
    }

    fn work(&mut self) -> Option<Duration> {
        let now = self.clock.now();
        let turn = self.core.turn(now, TURN);
        self.take_events();
        match turn.more {
            true => Some(Duration::ZERO),
            false => turn.next.map(|at| Duration::from_nanos(at.saturating_sub(now))),
        }
    }

    fn is_blocked(&self) -> bool {
        self.blocked
    }

    fn room(&mut self) {
        self.blocked = false;
        self.core.writable(self.driver);
    }

    fn ready(&mut self) -> Option<SocketNo> {
        self.ready.pop_front()
    }

    fn listen(&mut self, at: SocketAddr, backlog: u32) -> Result<SocketNo, Errno> {
        let backlog = backlog.clamp(1, crate::stream::BACKLOG as u32) as i32;
        let stream = listen(&mut self.core, self.tcp, at, backlog)?;
        Ok(self.add(stream, true))
    }

    fn connect(&mut self, to: SocketAddr) -> Result<SocketNo, Errno> {
        let stream = call(&mut self.core, self.tcp, self.own.address(), to)?;
        Ok(self.add(stream, false))
    }

    fn connected(&mut self, socket: SocketNo) -> Result<(), Errno> {
        let Socket { stream, listens: false, .. } = *self.socket(socket)? else { return Ok(()) };
        let answer = control(&mut self.core, stream)?.ok_or(Errno::EAGAIN)?;
        match tpi::DisconInd::new(&answer) {
            Ok(refused) => Err(Errno(refused.reason())),
            Err(_) => Ok(()),
        }
    }

    fn accept(&mut self, listener: SocketNo) -> Result<SocketNo, Errno> {
        let Socket { stream, listens: true, .. } = *self.socket(listener)? else {
            return Err(Errno::EINVAL);
        };
        let taken = accept(&mut self.core, self.tcp, stream)?;
        Ok(self.add(taken.ok_or(Errno::EAGAIN)?, false))
    }

    fn send(&mut self, socket: SocketNo, data: &[u8]) -> Result<usize, Errno> {
        let stream = self.socket(socket)?.stream;
        self.core.write(stream, data)
    }

    fn recv(&mut self, socket: SocketNo, most: usize, give: Give<'_>) -> Result<usize, Errno> {
        let Self { core, sockets, .. } = self;
        let socket = sockets.get_mut(&socket).ok_or(Errno::EBADF)?;
        socket.gather(core, most);
        socket.came.show(core.pool(), most, give)
    }

    fn finish(&mut self, socket: SocketNo) -> Result<(), Errno> {
        let stream = self.socket(socket)?.stream;
        let request = tpi::Primitive::ordrel_req();
        let mut msg =
            self.core.pool().copy_from(0, request.as_bytes()).map_err(|_| Errno::ENOSR)?;
        msg.set_kind(request.kind());
        self.core.putmsg(stream, msg).map_err(|(errno, msg)| {
            self.core.pool().free(msg);
            errno
        })
    }

    fn close(&mut self, socket: SocketNo) {
        let Some(Socket { stream, came, .. }) = self.sockets.remove(&socket) else { return };
        self.numbers.remove(&stream);
        came.free(self.core.pool());
        // A pending close goes on by itself.
        let _closed = self.core.close(stream);
    }

    fn open(&self) -> usize {
        self.sockets.len()
    }
}

fn perimeter() -> Perimeter {
    let pool = Pool::new(PoolConfig::STACK);
    Perimeter::new(Config { pool, seed: 1, clock: None })
}

fn said(why: PlumbError) -> Trouble {
    why.to_string().into()
}

impl Socket {
    /// Takes messages from the head until there are `most` bytes, or no more.
    fn gather(&mut self, core: &mut Perimeter, most: usize) {
        while self.came.wants(most) {
            match core.getmsg(self.stream) {
                Ok(Some(Got { control: None, data: Some(data), .. })) => self.came.push(data),
                Ok(Some(got)) => {
                    self.came.note(got.control.as_ref().map(Msg::first).unwrap_or_default());
                    for part in [got.control, got.data].into_iter().flatten() {
                        core.pool().free(part);
                    }
                }
                Ok(None) => self.came.end(Ok(())),
                Err(Errno::EAGAIN) => return,
                Err(errno) => self.came.end(Err(errno)),
            }
        }
    }
}
