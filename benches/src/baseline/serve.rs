//! serve: the daemon: requests of clients become calls of an engine, and what would have to wait is
//! tried again when the engine says so. One thread does all of it.
//!
//! A port whose requests cannot be taken yet, or whose client does not read its replies, is not
//! read from: what a client floods or leaves lying stays its own. So the daemon holds for each
//! socket at most one request of each kind, and for each port one reply that was not taken.

use super::channel::Channel;
use super::engine::{Engine, Portion, SocketNo};
use super::listeners::Listeners;
use super::wait::{Ready, Wait, What};
use super::wire::{Head, Op, QUIET, address};
use crate::Trouble;
use crate::lab::{Mode, Stop, TICK_MS};
use millstream_core::Errno;
use std::collections::{BTreeSet, HashMap};
use std::io::ErrorKind;
use std::sync::atomic::Ordering;
use std::time::Duration;

/// The daemon: an engine and its clients.
pub struct Daemon<'a> {
    engine: &'a mut dyn Engine,
    listeners: Listeners,
    wait: Wait,
    ports: HashMap<PortNo, Port>,
    last: PortNo,
    sockets: HashMap<SocketNo, Socket>,
    /// Ports with replies that were not sent yet.
    replied: BTreeSet<PortNo>,
    /// Frames wait, or may.
    frames: bool,
    portion: Portion,
}

pub(super) type PortNo = u32;

/// A client.
struct Port {
    channel: Channel,
    sockets: BTreeSet<SocketNo>,
    /// Its next request waits until a socket has sent what it was given before.
    stalled: Option<SocketNo>,
    /// Something was put off while there was no room for replies.
    put_off: bool,
    /// What is waited for now: requests, and room for replies.
    watched: [bool; 2],
}

/// A socket, and the requests that wait for it.
#[derive(Default)]
struct Socket {
    port: PortNo,
    opening: Option<Head>,
    accept: Option<Head>,
    recv: Option<Head>,
    send: Option<(Head, Vec<u8>)>,
}

/// What a request comes to.
enum Step {
    /// This is its reply, if it has one.
    Reply(Option<Head>),
    /// It waits for a socket, which may be ready.
    Wait(SocketNo),
    /// It is looked at again when this socket has sent what it has.
    Stall(SocketNo),
    /// The socket is given back, and this is the reply.
    Close(SocketNo, Option<Head>),
}

/// Clients at once: each has buffers of some 200 KiB here.
pub const PORTS_MAX: usize = 256;

/// Sockets of one client.
pub const SOCKETS_MAX: usize = 1024;

/// More sockets than a client may have.
const EMFILE: Errno = Errno(24);

impl<'a> Daemon<'a> {
    /// A daemon that listens.
    ///
    /// # Errors
    /// The kernel's, when descriptors are used up.
    pub fn new(engine: &'a mut dyn Engine, listeners: Listeners) -> Result<Self, Trouble> {
        let wait = Wait::new(engine.fd(), &listeners)?;
        Ok(Self {
            engine,
            listeners,
            wait,
            ports: HashMap::new(),
            last: 0,
            sockets: HashMap::new(),
            replied: BTreeSet::new(),
            frames: true,
            portion: Portion::default(),
        })
    }

    /// Serves until it is stopped.
    ///
    /// # Errors
    /// The line is gone, or the kernel's wait set.
    pub fn run(&mut self, mode: Mode, stop: &Stop) -> Result<(), Trouble> {
        while !stop.load(Ordering::Relaxed) {
            self.turn(mode)?;
        }
        Ok(())
    }

    /// One round: frames and what they cause, then requests, which are waited for if there is
    /// nothing else to do.
    ///
    /// # Errors
    /// As [`Daemon::run`].
    pub fn turn(&mut self, mode: Mode) -> Result<(), Trouble> {
        let more = self.frames && self.portion.take(self.engine)?;
        let next = self.work();
        self.wait.ask_room(self.engine.fd(), self.engine.is_blocked())?;
        self.frames = more || mode == Mode::Polling;
        let most = if self.frames { Duration::ZERO } else { TICK };
        for ready in self.wait.wait(next.unwrap_or(TICK).min(most))?.into_iter().flatten() {
            match ready {
                Ready::Engine(what) => {
                    self.frames |= what.readable || what.gone;
                    if what.writable {
                        self.engine.room();
                    }
                }
                Ready::Listener(nth) => self.accept_port(nth),
                Ready::Port(port, what) => self.port_ready(port, what),
            }
        }
        Ok(())
    }

    /// Clients, and sockets that are held for them.
    pub fn held(&self) -> (usize, usize) {
        (self.ports.len(), self.engine.open())
    }

    /// The engine works and sockets are served, until neither causes the other to do more.
    fn work(&mut self) -> Option<Duration> {
        loop {
            let next = self.engine.work();
            let mut any = false;
            while let Some(socket) = self.engine.ready() {
                self.retry(socket);
                any = true;
            }
            if any {
                continue;
            }
            for port in std::mem::take(&mut self.replied) {
                any |= self.flush(port);
            }
            if !any {
                return next;
            }
        }
    }

    fn accept_port(&mut self, nth: usize) {
        // One that has gone again, or one too many: it sees the end of its port.
        let Ok(Some(channel)) = self.listeners.accept(nth) else { return };
        if self.ports.len() >= PORTS_MAX {
            return;
        }
        self.last += 1;
        if self.wait.add(self.last, &channel).is_ok() {
            self.ports.insert(self.last, Port::new(channel));
        }
    }

    fn port_ready(&mut self, no: PortNo, what: What) {
        if what.writable {
            self.flush(no);
        }
        let Some(port) = self.ports.get_mut(&no) else { return };
        if what.readable && port.watched[0] {
            if !filled(&mut port.channel) {
                return self.close_port(no);
            }
            self.take_requests(no);
        } else if what.gone {
            self.close_port(no);
        }
    }

    /// Requests that have come, as far as they can be taken.
    fn take_requests(&mut self, no: PortNo) {
        loop {
            let Self { engine, ports, sockets, .. } = self;
            let Some(port) = ports.get_mut(&no) else { return };
            port.put_off |= port.channel.is_clogged();
            if port.stalled.is_some() || port.put_off {
                break;
            }
            let step = match port.channel.next() {
                Ok(None) => break,
                // What follows cannot be told apart any more.
                Err(_) => return self.close_port(no),
                Ok(Some((head, data))) => {
                    let mut to = Taken { engine: &mut **engine, sockets, port: no };
                    let many = port.sockets.len() >= SOCKETS_MAX;
                    let step = to
                        .request(head, data, many)
                        .unwrap_or_else(|errno| Step::Reply(Some(head.reply(Err(errno)))));
                    if !matches!(step, Step::Stall(_)) {
                        port.channel.take(head);
                    }
                    step
                }
            };
            match step {
                Step::Reply(None) => {}
                Step::Reply(Some(head)) => self.reply(no, head),
                Step::Wait(socket) => {
                    if let Some(port) = self.ports.get_mut(&no) {
                        port.sockets.insert(socket);
                    }
                    self.retry(socket);
                }
                Step::Stall(socket) => port.stalled = Some(socket),
                Step::Close(socket, head) => {
                    self.close_socket(socket);
                    head.into_iter().for_each(|head| self.reply(no, head));
                }
            }
        }
        self.watch(no);
    }

    /// What waits for a socket is tried again.
    fn retry(&mut self, no: SocketNo) {
        let Some(socket) = self.sockets.get_mut(&no) else { return };
        let port = socket.port;
        if let Some(head) = socket.opening {
            match self.engine.connected(no) {
                Err(Errno::EAGAIN) => return,
                outcome => {
                    socket.opening = None;
                    self.reply(port, Head { socket: no, ..head.reply(outcome) });
                    if outcome.is_err() {
                        return self.close_socket(no);
                    }
                }
            }
        }
        self.retry_accept(no, port);
        self.retry_send(no, port);
        self.retry_recv(no, port);
    }

    fn retry_accept(&mut self, no: SocketNo, port: PortNo) {
        let Some(socket) = self.sockets.get_mut(&no) else { return };
        let Some(head) = socket.accept else { return };
        let new = match self.engine.accept(no) {
            Err(Errno::EAGAIN) => return,
            new => new,
        };
        socket.accept = None;
        let Some(owner) = self.ports.get_mut(&port) else { return };
        let outcome = match new {
            Ok(new) if owner.sockets.len() >= SOCKETS_MAX => {
                self.engine.close(new);
                Err(EMFILE)
            }
            Ok(new) => {
                owner.sockets.insert(new);
                self.sockets.insert(new, Socket { port, ..Socket::default() });
                Ok(new)
            }
            Err(errno) => Err(errno),
        };
        let socket = outcome.unwrap_or_default();
        self.reply(port, Head { socket, ..head.reply(outcome.map(drop)) });
    }

    fn retry_send(&mut self, no: SocketNo, port: PortNo) {
        let Some(socket) = self.sockets.get_mut(&no) else { return };
        let Some((head, rest)) = &mut socket.send else { return };
        let head = *head;
        let done = match self.engine.send(no, rest) {
            Ok(sent) if sent < rest.len() => return drop(rest.drain(..sent)),
            Err(Errno::EAGAIN) => return,
            done => done.map(drop),
        };
        socket.send = None;
        if let Some(head) = sent(head, done) {
            self.reply(port, head);
        }
        if let Some(owner) = self.ports.get_mut(&port).filter(|port| port.stalled == Some(no)) {
            owner.stalled = None;
            self.take_requests(port);
        }
    }

    fn retry_recv(&mut self, no: SocketNo, port: PortNo) {
        let Some(socket) = self.sockets.get_mut(&no) else { return };
        let Some(head) = socket.recv else { return };
        let Some(owner) = self.ports.get_mut(&port) else { return };
        if owner.channel.is_clogged() {
            owner.put_off = true;
            return;
        }
        let (reply, channel) = (head.reply(Ok(())), &mut owner.channel);
        let mut put = Ok(());
        let mut give = |pieces: &[&[u8]]| put = channel.put(reply, pieces);
        let outcome = self.engine.recv(no, head.value as usize, &mut give);
        if outcome == Err(Errno::EAGAIN) {
            return;
        }
        socket.recv = None;
        self.replied.insert(port);
        match outcome {
            Ok(0) => self.reply(port, reply),
            Ok(_) if put.is_err() => self.close_port(port),
            Ok(_) => {}
            Err(errno) => self.reply(port, head.reply(Err(errno))),
        }
    }

    /// A reply without data.
    fn reply(&mut self, no: PortNo, head: Head) {
        let Some(port) = self.ports.get_mut(&no) else { return };
        self.replied.insert(no);
        if port.channel.put(head, &[]).is_err() {
            self.close_port(no);
        }
    }

    /// Replies leave; what waited for room goes on, if it did. There may be room before anybody
    /// has waited for it: the client reads while the daemon works.
    fn flush(&mut self, no: PortNo) -> bool {
        let Some(port) = self.ports.get_mut(&no) else { return false };
        if port.channel.flush().is_err() {
            self.close_port(no);
            return true;
        }
        let goes_on = !port.channel.is_clogged() && std::mem::take(&mut port.put_off);
        if goes_on {
            let sockets: Vec<SocketNo> = port.sockets.iter().copied().collect();
            for socket in sockets {
                self.retry(socket);
            }
            self.take_requests(no);
        }
        self.watch(no);
        goes_on
    }

    /// The wait set tells of what can be done for a port now.
    fn watch(&mut self, no: PortNo) {
        let Some(port) = self.ports.get_mut(&no) else { return };
        let clogged = port.channel.is_clogged();
        let wanted = [port.stalled.is_none() && !clogged, clogged];
        if port.watched != wanted {
            port.watched = wanted;
            if self.wait.change(no, &port.channel, wanted).is_err() {
                self.close_port(no);
            }
        }
    }

    fn close_socket(&mut self, no: SocketNo) {
        if let Some(port) = self.sockets.remove(&no).and_then(|s| self.ports.get_mut(&s.port)) {
            port.sockets.remove(&no);
        }
        self.engine.close(no);
    }

    /// The client has gone, or has asked for what cannot be understood: everything of it goes.
    fn close_port(&mut self, no: PortNo) {
        let Some(port) = self.ports.remove(&no) else { return };
        self.wait.remove(&port.channel);
        self.replied.remove(&no);
        for socket in port.sockets {
            self.sockets.remove(&socket);
            self.engine.close(socket);
        }
    }
}

impl Port {
    fn new(channel: Channel) -> Self {
        let (sockets, watched) = (BTreeSet::new(), [true, false]);
        Self { channel, sockets, stalled: None, put_off: false, watched }
    }
}

/// Where a request of a port is taken to.
struct Taken<'a> {
    engine: &'a mut dyn Engine,
    sockets: &'a mut HashMap<SocketNo, Socket>,
    port: PortNo,
}

impl Taken<'_> {
    /// What is asked for is done or noted. `many`: the client has as many sockets as it may.
    fn request(&mut self, head: Head, data: &[u8], many: bool) -> Result<Step, Errno> {
        let op = Op::of(head.op).ok_or(Errno::EOPNOTSUPP)?;
        if matches!(op, Op::Listen | Op::Connect) {
            return if many { Err(EMFILE) } else { self.open(op, head, data) };
        }
        let (port, no) = (self.port, head.socket);
        let socket = self.sockets.get_mut(&no).filter(|socket| socket.port == port);
        let socket = socket.ok_or(Errno::EBADF)?;
        if socket.opening.is_some() {
            return Err(Errno::ENOTCONN);
        }
        let done = match op {
            Op::Accept => return noted(&mut socket.accept, head),
            Op::Recv if head.value == 0 => return Err(Errno::EINVAL),
            Op::Recv => return noted(&mut socket.recv, head),
            // What was sent before comes first.
            _ if socket.send.is_some() => return Ok(Step::Stall(no)),
            Op::Send => match self.engine.send(no, data) {
                Ok(n) if n == data.len() => return Ok(Step::Reply(sent(head, Ok(())))),
                Err(errno) if errno != Errno::EAGAIN => Err(errno),
                some => {
                    socket.send = Some((head, data[some.unwrap_or(0)..].to_vec()));
                    return Ok(Step::Wait(no));
                }
            },
            Op::Finish => self.engine.finish(no),
            _ => return Ok(Step::Close(no, sent(head, Ok(())))),
        };
        Ok(Step::Reply(sent(head, done)))
    }

    fn open(&mut self, op: Op, head: Head, data: &[u8]) -> Result<Step, Errno> {
        let address = address(data)?;
        let no = match op {
            Op::Listen => self.engine.listen(address, head.value)?,
            _ => self.engine.connect(address)?,
        };
        let socket = Socket { port: self.port, opening: Some(head), ..Socket::default() };
        self.sockets.insert(no, socket);
        Ok(Step::Wait(no))
    }
}

/// A request that waits; one of a kind for each socket.
fn noted(place: &mut Option<Head>, head: Head) -> Result<Step, Errno> {
    if place.is_some() {
        return Err(Errno::EALREADY);
    }
    *place = Some(head);
    Ok(Step::Wait(head.socket))
}

/// The reply to what may be quiet.
fn sent(head: Head, done: Result<(), Errno>) -> Option<Head> {
    (head.status & QUIET == 0 || done.is_err()).then(|| head.reply(done))
}

/// Reads what has come; false when the client has gone.
fn filled(channel: &mut Channel) -> bool {
    match channel.fill() {
        Ok(there) => there,
        Err(why) => matches!(why.kind(), ErrorKind::WouldBlock | ErrorKind::Interrupted),
    }
}

const TICK: Duration = Duration::from_millis(TICK_MS);

#[cfg(test)]
mod tests;
