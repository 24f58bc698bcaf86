//! wait: the wait set of the daemon: the engine's line, the sockets that clients come to, and
//! their ports.

use super::channel::Channel;
use super::listeners::Listeners;
use super::serve::PortNo;
use rustix::event::Timespec;
use rustix::event::epoll::{self, CreateFlags, EventData, EventFlags};
use std::io::Result;
use std::mem::MaybeUninit;
use std::os::fd::{BorrowedFd, OwnedFd};
use std::time::Duration;

/// One epoll set, level-triggered.
#[derive(Debug)]
pub(super) struct Wait {
    set: OwnedFd,
    /// The engine's line is asked for room.
    room: bool,
}

/// What is ready.
#[derive(Clone, Copy, Debug)]
pub(super) enum Ready {
    /// Frames have come, or there is room for some.
    Engine(What),
    /// A client has come.
    Listener(usize),
    /// Something is to be done for a client.
    Port(PortNo, What),
}

/// How a port or the line is ready.
#[derive(Clone, Copy, Debug)]
pub(super) struct What {
    pub(super) readable: bool,
    pub(super) writable: bool,
    /// The other side has gone, though requests may be left.
    pub(super) gone: bool,
}

/// Descriptors reported at once; the others are reported by the next wait.
const EVENTS: usize = 16;

/// Marks: the engine, then listeners; ports have their number above.
const ENGINE: u64 = 0;
const PORTS: u32 = 32;

impl Wait {
    pub(super) fn new(engine: BorrowedFd<'_>, listeners: &Listeners) -> Result<Self> {
        let set = epoll::create(CreateFlags::CLOEXEC)?;
        epoll::add(&set, engine, EventData::new_u64(ENGINE), EventFlags::IN)?;
        for (nth, socket) in (1..).zip(listeners.sockets()) {
            epoll::add(&set, socket, EventData::new_u64(nth), EventFlags::IN)?;
        }
        Ok(Self { set, room: false })
    }

    /// Waits for room on the engine's line, or no longer.
    pub(super) fn ask_room(&mut self, engine: BorrowedFd<'_>, room: bool) -> Result<()> {
        if std::mem::replace(&mut self.room, room) == room {
            return Ok(());
        }
        let mut flags = EventFlags::IN;
        flags.set(EventFlags::OUT, room);
        Ok(epoll::modify(&self.set, engine, EventData::new_u64(ENGINE), flags)?)
    }

    /// Waits for requests of a port.
    pub(super) fn add(&self, port: PortNo, channel: &Channel) -> Result<()> {
        epoll::add(&self.set, channel.input(), mark(port), EventFlags::IN)?;
        if !channel.is_one() {
            epoll::add(&self.set, channel.output(), mark(port), EventFlags::empty())?;
        }
        Ok(())
    }

    /// Waits for requests of a port, or for room for replies, or both, or neither.
    pub(super) fn change(
        &self,
        port: PortNo,
        channel: &Channel,
        [read, write]: [bool; 2],
    ) -> Result<()> {
        let (mut input, mut output) = (EventFlags::empty(), EventFlags::empty());
        input.set(EventFlags::IN, read);
        output.set(EventFlags::OUT, write);
        if channel.is_one() {
            input |= output;
        } else {
            epoll::modify(&self.set, channel.output(), mark(port), output)?;
        }
        Ok(epoll::modify(&self.set, channel.input(), mark(port), input)?)
    }

    pub(super) fn remove(&self, channel: &Channel) {
        // Closed, it would leave the set by itself, but for a copy in a child.
        let _unknown = epoll::delete(&self.set, channel.input());
        if !channel.is_one() {
            let _unknown = epoll::delete(&self.set, channel.output());
        }
    }

    /// What is ready now or before `most` is over.
    pub(super) fn wait(&self, most: Duration) -> Result<[Option<Ready>; EVENTS]> {
        let most =
            Timespec { tv_sec: most.as_secs() as i64, tv_nsec: i64::from(most.subsec_nanos()) };
        let mut buffer = [MaybeUninit::uninit(); EVENTS];
        let mut all = [None; EVENTS];
        let events = match epoll::wait(&self.set, &mut buffer, Some(&most)) {
            Ok((events, _)) => &events[..],
            Err(rustix::io::Errno::INTR) => &[],
            Err(errno) => return Err(errno.into()),
        };
        for (place, event) in all.iter_mut().zip(events) {
            // The kernel's record is packed: its fields are copied out.
            let (flags, data) = (event.flags, event.data);
            *place = Some(match data.u64() {
                ENGINE => Ready::Engine(what(flags)),
                mark => match (mark >> PORTS) as PortNo {
                    0 => Ready::Listener(mark as usize - 1),
                    port => Ready::Port(port, what(flags)),
                },
            });
        }
        Ok(all)
    }
}

fn mark(port: PortNo) -> EventData {
    EventData::new_u64(u64::from(port) << PORTS)
}

fn what(flags: EventFlags) -> What {
    What {
        readable: flags.contains(EventFlags::IN),
        writable: flags.contains(EventFlags::OUT),
        gone: flags.intersects(EventFlags::HUP | EventFlags::ERR),
    }
}
