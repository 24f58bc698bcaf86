//! port: the program over the stack's port instead of the daemon's: what it sends and receives is
//! in memory that it shares with the stack.

use super::process::{Process, itself, on, tell_ready, when_parent_ends};
use super::program::{Connection, Does};
use super::wire::DATA_MAX;
use crate::Trouble;
use crate::lab::{Lab, Mode, on_core, pin};
use crate::stack::interface;
use crate::tcp::{Serving, Setting};
use clap::Args;
use millstream::plan::Plan;
use millstream::port::{Client, Errno, Id, Ready, Sockets};
use millstream::{Quota, Stack};
use rustix::event::epoll::{self, CreateFlags, EventData, EventFlags};
use std::collections::BTreeMap;
use std::mem::MaybeUninit;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU32, Ordering};

/// How a program over a port is started.
#[derive(Debug, Args)]
pub struct PortArgs {
    /// The stack's
    #[arg(long)]
    port: PathBuf,
    /// Where it listens
    #[arg(long)]
    at: SocketAddr,
    /// What it does with connections
    #[arg(long)]
    does: Does,
    /// Core to stay on
    #[arg(long)]
    core: Option<usize>,
}

/// A stack on the TAP of a lab, on a core, that programs come to at a path.
///
/// # Errors
/// As [`Lab::tap`].
pub fn with_port(
    lab: &Lab,
    core: usize,
    mode: Mode,
    quota: Quota,
) -> Result<(Stack, PathBuf), Trouble> {
    static NUMBERS: AtomicU32 = AtomicU32::new(0);
    let number = NUMBERS.fetch_add(1, Ordering::Relaxed);
    let name = format!("ms-port-{}-{number}", std::process::id());
    let path = std::env::temp_dir().join(name);
    let polling = mode == Mode::Polling;
    let plan = Plan { interfaces: vec![interface(lab)?], polling, ..Plan::default() };
    // Its thread stays on the core of the thread that starts it.
    let stack = on_core(Some(core), || Ok(Stack::start(plan)?))?;
    stack.open_port(&path, quota)?;
    Ok((stack, path))
}

/// A stack on a thread of this process, and a program over its port, on the same core. While the
/// stack polls, the program sleeps, on the client's core, as over a daemon that polls.
///
/// # Errors
/// Those of either.
pub fn over_port(lab: &Lab, setting: Setting, does: Does) -> Result<Serving, Trouble> {
    let (stack, path) = with_port(lab, setting.pinning.server(), setting.mode, Quota::default())?;
    let mut command = itself("over-port")?;
    command.arg("--port").arg(path).args(["--at", &lab.echo().to_string()]);
    command.args(["--does", does.name()]).arg(on(setting.place()));
    let program = Process::start(command)?;
    Ok(Box::new((program, stack)))
}

/// The program's process; it ends with the stack.
///
/// # Errors
/// The stack cannot be reached, or refuses.
pub fn port_program(args: &PortArgs) -> Result<(), Trouble> {
    if let Some(core) = args.core {
        pin(core)?;
    }
    let client = Client::attach(&args.port)?;
    let listener = client.socket(INET, STREAM, 0)?;
    client.bind(listener, args.at)?;
    client.listen(listener, BACKLOG)?;
    client.arm(listener, Ready::IN);
    tell_ready();
    when_parent_ends(|| std::process::exit(0))?;
    let mut program = Program {
        client: &client,
        listener,
        does: args.does,
        connections: BTreeMap::new(),
        data: vec![b'x'; DATA_MAX],
        room: Vec::new(),
    };
    let bell = epoll::create(CreateFlags::CLOEXEC)?;
    // Each ring is an edge: the bell needs no silence.
    epoll::add(&bell, client.bell(), EventData::new_u64(0), EventFlags::IN | EventFlags::ET)?;
    let mut changed = Vec::new();
    loop {
        client.changed(&mut changed);
        if changed.is_empty() {
            client.sleeps();
            client.changed(&mut changed);
            if changed.is_empty() {
                match epoll::wait(&bell, &mut [MaybeUninit::uninit(); 1], None) {
                    Ok(_) | Err(rustix::io::Errno::INTR) => {}
                    Err(errno) => return Err(errno.into()),
                }
            }
            client.wakes();
        }
        for socket in changed.drain(..) {
            program.serve(socket)?;
        }
    }
}

struct Program<'a> {
    client: &'a Client,
    listener: Id,
    does: Does,
    /// With what is answered and has found no room.
    connections: BTreeMap<Id, (Connection, Vec<u8>)>,
    data: Vec<u8>,
    room: Vec<u8>,
}

impl Program<'_> {
    /// Does what is possible at a socket that has changed.
    fn serve(&mut self, socket: Id) -> Result<(), Trouble> {
        if socket == self.listener {
            return self.accept();
        }
        let Some((_, unsent)) = self.connections.get_mut(&socket) else { return Ok(()) };
        let sent = send(self.client, socket, unsent);
        let done = sent.and_then(|()| match self.does {
            Does::Chargen => self.fill(socket),
            _ => self.answer(socket),
        });
        if let Err(errno) = done
            && errno != Errno::EAGAIN
        {
            // It has ended, in order or not.
            self.connections.remove(&socket);
            self.client.close(socket)?;
        }
        Ok(())
    }

    fn accept(&mut self) -> Result<(), Trouble> {
        loop {
            match self.client.accept(self.listener) {
                Ok((socket, _)) => {
                    self.client.set_option(socket, TCP, NODELAY, &1_i32.to_ne_bytes())?;
                    self.connections.insert(socket, Default::default());
                    self.client.arm(socket, Ready::IN | Ready::OUT);
                    self.serve(socket)?;
                }
                Err(Errno::EAGAIN) => return Ok(()),
                Err(errno) => return Err(errno.into()),
            }
        }
    }

    /// Sends as long as there is room.
    fn fill(&self, socket: Id) -> Result<(), Errno> {
        loop {
            self.client.send(socket, &self.data, 0, None)?;
        }
    }

    /// Answers what there is, unless an answer has found no room.
    fn answer(&mut self, socket: Id) -> Result<(), Errno> {
        let Some((connection, unsent)) = self.connections.get_mut(&socket) else { return Ok(()) };
        while unsent.is_empty() {
            let came = self.client.recv(socket, &mut self.data, 0)?.len;
            if came == 0 {
                return Err(Errno::ECONNRESET);
            }
            let answer = connection.answer(self.does, &self.data[..came], &mut self.room);
            let sent = match answer {
                [] => 0,
                answer => match self.client.send(socket, answer, 0, None) {
                    Err(Errno::EAGAIN) => 0,
                    sent => sent?,
                },
            };
            unsent.extend_from_slice(&answer[sent..]);
        }
        Ok(())
    }
}

/// Sends what is left, as far as there is room.
fn send(client: &Client, socket: Id, unsent: &mut Vec<u8>) -> Result<(), Errno> {
    while !unsent.is_empty() {
        let sent = client.send(socket, unsent, 0, None)?;
        unsent.drain(..sent);
    }
    Ok(())
}

/// AF_INET, SOCK_STREAM, IPPROTO_TCP and TCP_NODELAY.
const INET: i32 = 2;
const STREAM: i32 = 1;
const TCP: i32 = 6;
const NODELAY: i32 = 1;
/// Connections that may wait to be accepted.
const BACKLOG: i32 = 16;
