//! program: the application of all structures: it listens and serves connections on one thread.
//! Over the daemon its bytes cross a port; over an engine in its own process they do not.

use super::channel::Carrier;
use super::client::{Client, Socket, error};
use super::engine::{Engine, Portion, SocketNo};
use super::wire::{DATA_MAX, Head, Op};
use crate::Trouble;
use crate::lab::{Mode, Stop, TICK_MS};
use crate::rpc::replies;
use millstream_core::Errno;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use std::collections::{BTreeMap, VecDeque};
use std::net::SocketAddrV4;
use std::path::Path;
use std::sync::atomic::Ordering;
use std::time::Duration;

/// What it does with a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Does {
    /// Sends back what comes.
    Echo,
    /// Takes everything.
    Discard,
    /// Sends for ever.
    Chargen,
    /// Answers NULL calls of ONC RPC, and looks at nothing but marks and xids.
    Calls,
}

/// Connections that may wait to be accepted: a pool of as many sockets in smoltcp, which has 1 MiB
/// of buffers for each then.
const BACKLOG: u32 = 16;

/// Sends of one connection under way.
const SENDS: usize = 2;

impl Does {
    /// As an argument of a command.
    pub fn name(self) -> &'static str {
        match self {
            Self::Echo => "echo",
            Self::Discard => "discard",
            Self::Chargen => "chargen",
            Self::Calls => "calls",
        }
    }
}

/// One connection: calls that have not come whole.
#[derive(Debug, Default)]
pub(crate) struct Connection(Vec<u8>);

impl Connection {
    /// What is answered to bytes that came.
    pub(crate) fn answer<'a>(
        &mut self,
        does: Does,
        data: &'a [u8],
        room: &'a mut Vec<u8>,
    ) -> &'a [u8] {
        match does {
            Does::Echo => data,
            Does::Discard | Does::Chargen => &[],
            Does::Calls => {
                room.clear();
                self.0.extend_from_slice(data);
                let taken = replies(&self.0, room);
                self.0.drain(..taken);
                room
            }
        }
    }
}

/// Serves over a port of the daemon; calls `ready` when it listens.
///
/// # Errors
/// The daemon cannot be reached, or refuses; `UnexpectedEof` when it has gone.
pub fn over_daemon(
    path: &Path,
    carrier: Carrier,
    at: SocketAddrV4,
    does: Does,
    ready: impl FnOnce(),
) -> Result<(), Trouble> {
    let mut client = Client::open(path, carrier)?;
    let listener = client.listen(at, BACKLOG)?;
    client.submit(Op::Accept, listener, 0, &[])?;
    client.flush()?;
    ready();
    let mut connections: BTreeMap<u32, Connection> = BTreeMap::new();
    let piece = vec![b'x'; DATA_MAX];
    let (mut data, mut room) = (Vec::with_capacity(DATA_MAX), Vec::new());
    loop {
        let head: Head = client.reply(|head, came| {
            data.clear();
            data.extend_from_slice(came);
            head
        })?;
        let socket = Socket(head.socket);
        match (Op::of(head.op), head.outcome()) {
            (Some(Op::Accept), outcome) => {
                outcome.map_err(error)?;
                client.submit(Op::Accept, listener, 0, &[])?;
                connections.insert(head.socket, Connection::default());
                match does {
                    Does::Chargen => {
                        for _ in 0..SENDS {
                            client.submit(Op::Send, socket, 0, &piece)?;
                        }
                    }
                    _ => ask(&mut client, socket)?,
                }
            }
            (Some(Op::Send), Ok(())) if does == Does::Chargen => {
                client.submit(Op::Send, socket, 0, &piece)?;
            }
            (Some(Op::Recv), Ok(())) if !data.is_empty() => {
                let Some(connection) = connections.get_mut(&head.socket) else { continue };
                let answer = connection.answer(does, &data, &mut room);
                if !answer.is_empty() {
                    client.send_quietly(socket, answer)?;
                }
                ask(&mut client, socket)?;
            }
            // Its end, or an error.
            (Some(Op::Send | Op::Recv), _) if connections.remove(&head.socket).is_some() => {
                client.submit(Op::Close, socket, 0, &[])?;
            }
            _ => {}
        }
    }
}

fn ask(client: &mut Client, socket: Socket) -> std::io::Result<()> {
    client.submit(Op::Recv, socket, DATA_MAX as u32, &[]).map(drop)
}

/// Serves over an engine of its own until it is stopped; calls `ready` when it listens.
///
/// # Errors
/// The engine refuses to listen; the line is gone.
pub fn over_engine(
    engine: &mut dyn Engine,
    at: SocketAddrV4,
    does: Does,
    mode: Mode,
    stop: &Stop,
    ready: impl FnOnce(),
) -> Result<(), Trouble> {
    let mut serves = Serves::new(engine, at, does)?;
    ready();
    while !stop.load(Ordering::Relaxed) {
        let (more, next) = serves.turn(engine)?;
        if more || mode == Mode::Polling {
            continue;
        }
        let wait_ns = next.map_or(u64::MAX, |next| next.as_nanos() as u64).min(TICK_MS * 1_000_000);
        let wait = Timespec { tv_sec: 0, tv_nsec: wait_ns as i64 };
        let blocked = engine.is_blocked();
        let flags = if blocked { PollFlags::IN | PollFlags::OUT } else { PollFlags::IN };
        let fd = engine.fd();
        let mut wanted = [PollFd::new(&fd, flags)];
        match poll(&mut wanted, Some(&wait)) {
            Ok(_) | Err(rustix::io::Errno::INTR) => {}
            Err(errno) => return Err(errno.into()),
        }
        if wanted[0].revents().contains(PollFlags::OUT) {
            engine.room();
        }
    }
    Ok(())
}

/// The program above an engine of its own.
#[derive(Debug)]
pub(crate) struct Serves {
    listener: SocketNo,
    does: Does,
    connections: BTreeMap<SocketNo, (Connection, Vec<u8>)>,
    piece: Vec<u8>,
    portion: Portion,
    ready: VecDeque<SocketNo>,
}

impl Serves {
    /// Listens.
    ///
    /// # Errors
    /// The engine's refusal.
    pub(crate) fn new(
        engine: &mut dyn Engine,
        at: SocketAddrV4,
        does: Does,
    ) -> Result<Self, Trouble> {
        Ok(Self {
            listener: engine.listen(at.into(), BACKLOG)?,
            does,
            connections: BTreeMap::new(),
            piece: vec![b'x'; DATA_MAX],
            portion: Portion::default(),
            ready: VecDeque::new(),
        })
    }

    /// Takes frames and does all that they cause; whether there may be more, and when to call
    /// again at the latest.
    ///
    /// # Errors
    /// The line is gone.
    #[inline(never)]
    pub(crate) fn turn(
        &mut self,
        engine: &mut dyn Engine,
    ) -> Result<(bool, Option<Duration>), Trouble> {
        let more = self.portion.take(engine)?;
        let mut next = engine.work();
        loop {
            while let Some(socket) = engine.ready() {
                self.ready.push_back(socket);
            }
            let Some(socket) = self.ready.pop_front() else { return Ok((more, next)) };
            self.serve(engine, socket);
            next = engine.work();
        }
    }

    fn serve(&mut self, engine: &mut dyn Engine, socket: SocketNo) {
        if socket == self.listener {
            while let Ok(new) = engine.accept(socket) {
                self.connections.insert(new, Default::default());
            }
            return;
        }
        let over = match self.does {
            Does::Chargen => self.send(engine, socket),
            _ => self.answer(engine, socket),
        };
        if !matches!(over, Ok(()) | Err(Errno::EAGAIN))
            && self.connections.remove(&socket).is_some()
        {
            engine.close(socket);
        }
    }

    fn send(&mut self, engine: &mut dyn Engine, socket: SocketNo) -> Result<(), Errno> {
        loop {
            engine.send(socket, &self.piece)?;
        }
    }

    /// Takes what came and sends the answers, as far as there is room. The end is told as EPIPE.
    fn answer(&mut self, engine: &mut dyn Engine, socket: SocketNo) -> Result<(), Errno> {
        let Self { does, connections, .. } = self;
        let Some((connection, unsent)) = connections.get_mut(&socket) else { return Ok(()) };
        let mut room = Vec::new();
        loop {
            if !unsent.is_empty() {
                let sent = engine.send(socket, unsent)?;
                unsent.drain(..sent);
                continue;
            }
            let taken = engine.recv(socket, DATA_MAX, &mut |pieces| {
                for piece in pieces {
                    unsent.extend_from_slice(connection.answer(*does, piece, &mut room));
                }
            })?;
            if taken == 0 {
                return Err(Errno::EPIPE);
            }
        }
    }
}
