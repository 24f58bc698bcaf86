//! epoll: all connections of a server on one thread, as event-driven programs serve them.

use super::server::{PIECE, Served, Service, TICK};
use super::{Behaviour, LoadError};
use rustix::event::Timespec;
use rustix::event::epoll::{self, CreateFlags, EventData, EventFlags};
use rustix::io::Errno;
use std::io::{self, ErrorKind, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::os::fd::OwnedFd;
use std::sync::atomic::{AtomicBool, Ordering};

/// Serves until `stop` is set.
pub(super) fn serve(
    listener: &TcpListener,
    service: Service,
    behaviour: Behaviour,
    stop: &AtomicBool,
) -> Result<Served, LoadError> {
    listener.set_nonblocking(true).map_err(LoadError::io("listen"))?;
    let set = epoll::create(CreateFlags::CLOEXEC).map_err(failed)?;
    epoll::add(&set, listener, EventData::new_u64(LISTENER), EventFlags::IN).map_err(failed)?;
    let mut server = Server {
        set,
        service,
        connections: Vec::new(),
        free: Vec::new(),
        data: vec![b'x'; PIECE],
        served: Served::default(),
    };
    // Nobody waits for a poller longer than for a look at what is ready.
    let nanos = if behaviour.polling { 0 } else { TICK.as_nanos() as i64 };
    let tick = Timespec { tv_sec: 0, tv_nsec: nanos };
    let mut events = Vec::with_capacity(EVENTS);
    while !stop.load(Ordering::Relaxed) {
        events.clear();
        match epoll::wait(&server.set, rustix::buffer::spare_capacity(&mut events), Some(&tick)) {
            Ok(_) => {}
            Err(Errno::INTR) => continue,
            Err(errno) => return Err(failed(errno)),
        }
        for event in &events {
            let data = event.data;
            match data.u64() {
                LISTENER => server.accept(listener)?,
                slot => server.turn(slot as usize),
            }
        }
    }
    Ok(server.served)
}

struct Server {
    set: OwnedFd,
    service: Service,
    /// By the number of their events.
    connections: Vec<Option<Conversation>>,
    free: Vec<usize>,
    data: Vec<u8>,
    served: Served,
}

/// A connection.
struct Conversation {
    stream: TcpStream,
    /// What was read and is still to be written.
    left: Vec<u8>,
}

/// The number of the listener's events.
const LISTENER: u64 = u64::MAX;

/// Events taken at once.
const EVENTS: usize = 64;

impl Server {
    fn accept(&mut self, listener: &TcpListener) -> Result<(), LoadError> {
        loop {
            match listener.accept() {
                Ok((stream, _)) => self.add(stream)?,
                Err(e) if e.kind() == ErrorKind::WouldBlock => return Ok(()),
                // The client has gone again, or there are no more descriptors.
                Err(e) if e.kind() == ErrorKind::ConnectionAborted => {}
                Err(cause) => return Err(LoadError::io("accept")(cause)),
            }
        }
    }

    fn add(&mut self, stream: TcpStream) -> Result<(), LoadError> {
        stream.set_nonblocking(true).map_err(LoadError::io("accept"))?;
        let slot = self.free.pop().unwrap_or_else(|| {
            self.connections.push(None);
            self.connections.len() - 1
        });
        let first = match self.service {
            Service::Chargen => EventFlags::OUT,
            Service::Echo | Service::Discard => EventFlags::IN,
        };
        epoll::add(&self.set, &stream, EventData::new_u64(slot as u64), first).map_err(failed)?;
        self.connections[slot] = Some(Conversation { stream, left: Vec::new() });
        self.served.connections += 1;
        Ok(())
    }

    /// What can be done for a connection now; it is closed when it is over or has failed.
    fn turn(&mut self, slot: usize) {
        let Some(Some(one)) = self.connections.get_mut(slot) else { return };
        let had_left = !one.left.is_empty();
        let goes_on = one.turn(self.service, &mut self.data, &mut self.served);
        let wanted = match (self.service, one.left.is_empty()) {
            (Service::Echo, true) => EventFlags::IN,
            (Service::Echo, false) => EventFlags::OUT,
            (Service::Discard | Service::Chargen, _) => EventFlags::empty(),
        };
        let changed = self.service == Service::Echo && one.left.is_empty() == had_left;
        let data = EventData::new_u64(slot as u64);
        let armed = !changed || epoll::modify(&self.set, &one.stream, data, wanted).is_ok();
        if !(goes_on && armed) {
            self.connections[slot] = None;
            self.free.push(slot);
        }
    }
}

impl Conversation {
    /// False when the connection is over.
    fn turn(&mut self, service: Service, data: &mut [u8], served: &mut Served) -> bool {
        let done = match service {
            Service::Chargen => self.stream.write(data).map(|n| served.bytes_out += n as u64),
            Service::Discard => match self.stream.read(data) {
                Ok(0) => return false,
                read => read.map(|n| served.bytes_in += n as u64),
            },
            Service::Echo if !self.left.is_empty() => {
                let left = std::mem::take(&mut self.left);
                self.write(&left, served)
            }
            Service::Echo => match self.stream.read(data) {
                Ok(0) => return false,
                Ok(n) => {
                    served.bytes_in += n as u64;
                    self.write(&data[..n], served)
                }
                Err(e) => Err(e),
            },
        };
        match done {
            Ok(()) => true,
            Err(e) => matches!(e.kind(), ErrorKind::WouldBlock | ErrorKind::Interrupted),
        }
    }

    /// Writes what the other end takes; the rest is kept.
    fn write(&mut self, data: &[u8], served: &mut Served) -> io::Result<()> {
        let n = match self.stream.write(data) {
            Err(e) if e.kind() == ErrorKind::WouldBlock => 0,
            written => written?,
        };
        served.bytes_out += n as u64;
        self.left.extend_from_slice(&data[n..]);
        Ok(())
    }
}

fn failed(errno: Errno) -> LoadError {
    LoadError::io("wait for connections")(errno.into())
}
