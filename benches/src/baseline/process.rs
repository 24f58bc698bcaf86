//! process: the daemon and its programs as processes of their own, as the harness starts them.

use super::channel::Carrier;
use super::clock::Clock;
use super::engine::Engine;
use super::fused::Fused;
use super::layers::{self, Layer};
use super::listeners::Listeners;
use super::modules::Modules;
use super::program::{Does, over_daemon};
use super::serve::Daemon;
use super::smol::Smoltcp;
use crate::Trouble;
use crate::lab::{Lab, Mode, Service, Stop, pin};
use crate::tcp::{Serving, Setting};
use clap::Args;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use std::collections::VecDeque;
use std::io::{Read, Write};
use std::net::{SocketAddr, SocketAddrV4};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};

/// What stands behind a daemon.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Behind {
    /// Our modules.
    Modules,
    /// The functions of our protocols, without modules around them.
    Fused,
    /// smoltcp.
    Smoltcp,
    /// Our transport, above processes for ip and the driver.
    Layers,
}

impl Behind {
    /// The engine, on the TAP of a lab; with layers below, which are found beside `socket`, on
    /// theirs.
    ///
    /// # Errors
    /// As [`Lab::tap`]; without the layers.
    pub fn engine(self, lab: &Lab, socket: &Path) -> Result<Box<dyn Engine + Send>, Trouble> {
        Ok(match self {
            Self::Modules => {
                let tap = lab.tap()?;
                let fd = tap.readiness()?;
                Box::new(Modules::new(Box::new(tap), fd, lab.far(), Clock::default())?)
            }
            Self::Fused => {
                let tap = lab.tap()?;
                let fd = tap.readiness()?;
                Box::new(Fused::new(Box::new(tap), fd, lab.far(), Clock::default())?)
            }
            Self::Smoltcp => Box::new(Smoltcp::new(lab.tap_fd()?, lab.far())),
            Self::Layers => Box::new(layers::transport(socket, lab.far())?),
        })
    }

    /// As an argument of a command.
    pub fn name(self) -> &'static str {
        match self {
            Self::Modules => "modules",
            Self::Fused => "fused",
            Self::Smoltcp => "smoltcp",
            Self::Layers => "layers",
        }
    }
}

/// How a daemon is started. It makes its TAP in the namespace that it is started in.
#[derive(Debug, Args)]
pub struct DaemonArgs {
    /// Clients find its sockets beside this file
    #[arg(long)]
    socket: PathBuf,
    /// What serves them
    #[arg(long)]
    engine: Behind,
    /// Network of the addresses: 10.9.NETWORK.1 is the kernel's, 10.9.NETWORK.2 ours
    #[arg(long)]
    network: u8,
    /// Ask again and again instead of sleeping
    #[arg(long)]
    polling: bool,
    /// Core to stay on
    #[arg(long)]
    core: Option<usize>,
}

/// How a program over the daemon is started.
#[derive(Debug, Args)]
pub struct ProgramArgs {
    /// The daemon's
    #[arg(long)]
    socket: PathBuf,
    /// What carries its requests: stream, packets or pipes
    #[arg(long)]
    carrier: Carrier,
    /// Where it listens
    #[arg(long)]
    at: SocketAddrV4,
    /// What it does with connections
    #[arg(long)]
    does: Does,
    /// Core to stay on
    #[arg(long)]
    core: Option<usize>,
}

/// The daemon's process.
///
/// # Errors
/// Without the right to a TAP; the folder of the socket takes no files; the line is gone.
pub fn daemon(args: &DaemonArgs) -> Result<(), Trouble> {
    if let Some(core) = args.core {
        pin(core)?;
    }
    let lab = Lab::here(args.network)?;
    let mut engine = args.engine.engine(&lab, &args.socket)?;
    let listeners = Listeners::bind(&args.socket)?;
    let mode = if args.polling { Mode::Polling } else { Mode::Sleeping };
    let mut daemon = Daemon::new(&mut *engine, listeners)?;
    tell_ready();
    let stop = Stop::default();
    let theirs = stop.clone();
    when_parent_ends(move || theirs.store(true, Ordering::Relaxed))?;
    daemon.run(mode, &stop)
}

/// The program's process; it ends with the daemon.
///
/// # Errors
/// The daemon cannot be reached, or refuses.
pub fn program(args: &ProgramArgs) -> Result<(), Trouble> {
    if let Some(core) = args.core {
        pin(core)?;
    }
    over_daemon(&args.socket, args.carrier, args.at, args.does, tell_ready)
}

/// Whoever has started this process may be killed, and is not to leave it behind.
pub(super) fn when_parent_ends(stop: impl FnOnce() + Send + 'static) -> Result<(), Trouble> {
    let wait = move || {
        let _end = std::io::stdin().read(&mut [0]);
        stop();
    };
    std::thread::Builder::new().name("parent".into()).spawn(wait)?;
    Ok(())
}

/// Who has started this process waits for a word.
pub(super) fn tell_ready() {
    let mut out = std::io::stdout().lock();
    // One that does not wait is no harm.
    let _nobody = out.write_all(READY).and_then(|()| out.flush());
}

/// A process that has not come by then does not. Seconds.
const START_MAX_S: i64 = 20;

const READY: &[u8] = b"ready\n";

/// A process that serves, until it is dropped.
#[derive(Debug)]
pub(super) struct Process(Child);

impl Process {
    /// Starts it and waits until it serves.
    pub(super) fn start(mut command: Command) -> Result<Self, Trouble> {
        // Its input ends with this process.
        command.stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child = command.spawn()?;
        let out = child.stdout.take();
        let process = Self(child);
        let mut out = out.ok_or("no output")?;
        let within = Timespec { tv_sec: START_MAX_S, tv_nsec: 0 };
        if poll(&mut [PollFd::new(&out, PollFlags::IN)], Some(&within))? == 0 {
            return Err(format!("{command:?} has not started within {START_MAX_S} s").into());
        }
        let told = out.read_exact(&mut [0; READY.len()]);
        told.map_err(|_| format!("{command:?} does not start"))?;
        Ok(process)
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // One that has ended by itself needs no end.
        let _ended = self.0.kill();
        let _status = self.0.wait();
    }
}

/// Files of daemons that are gone.
#[derive(Debug)]
struct Files(PathBuf);

impl Drop for Files {
    fn drop(&mut self) {
        for carrier in Carrier::ALL {
            let _gone = std::fs::remove_file(carrier.path(&self.0));
        }
        layers::remove_files(&self.0);
    }
}

/// A daemon's process, with those of the layers below where it has such.
#[derive(Debug)]
pub struct Alone {
    /// From above, as they are dropped.
    _processes: VecDeque<Process>,
    files: Files,
}

impl Alone {
    /// Where clients find it.
    pub fn path(&self) -> &Path {
        &self.files.0
    }
}

/// A daemon on the TAP of a lab, on the core of what is measured.
///
/// # Errors
/// Its own.
pub fn alone(lab: &Lab, setting: Setting, behind: Behind) -> Result<Alone, Trouble> {
    static NUMBERS: AtomicU32 = AtomicU32::new(0);
    let number = NUMBERS.fetch_add(1, Ordering::Relaxed);
    let name = format!("ms-daemon-{}-{number}", std::process::id());
    let files = Files(std::env::temp_dir().join(name));
    let polling = setting.mode == Mode::Polling;
    let mut processes = VecDeque::new();
    let below = if behind == Behind::Layers { &Layer::ALL[..] } else { &[] };
    let below = below.iter().map(|layer| ("layer", "--layer", layer.name()));
    for (part, option, name) in below.chain([("daemon", "--engine", behind.name())]) {
        let mut command = itself(part)?;
        command.arg("--socket").arg(&files.0).args([option, name]);
        command.args(["--network", &lab.network().to_string()]);
        command.arg(on(setting.pinning.server())).args(polling.then_some("--polling"));
        processes.push_front(lab.inside(|| Process::start(command))?);
    }
    Ok(Alone { _processes: processes, files })
}

/// A daemon as [`alone`], and a program over it, on the same core. While the daemon polls, the
/// program is on the client's core: its own would leave it no time.
///
/// # Errors
/// Those of either.
pub fn served(
    lab: &Lab,
    setting: Setting,
    behind: Behind,
    carrier: Carrier,
    does: Does,
) -> Result<Serving, Trouble> {
    let daemon = alone(lab, setting, behind)?;
    let SocketAddr::V4(at) = lab.echo() else { return Err("labs have IPv4".into()) };
    let program = beside(&daemon, setting, carrier, at, does)?;
    Ok(Box::new((program, daemon)))
}

/// A daemon as [`served`], and so many programs over it, each a process: at as many ports from
/// that of a lab's echo on.
///
/// # Errors
/// Those of either.
pub fn shared(
    lab: &Lab,
    setting: Setting,
    behind: Behind,
    does: Does,
    programs: u16,
) -> Result<Serving, Trouble> {
    let daemon = alone(lab, setting, behind)?;
    let SocketAddr::V4(first) = lab.echo() else { return Err("labs have IPv4".into()) };
    let start = |nth| {
        let at = SocketAddrV4::new(*first.ip(), first.port() + nth);
        beside(&daemon, setting, Carrier::Stream, at, does)
    };
    let programs: Vec<Process> = (0..programs).map(start).collect::<Result<_, _>>()?;
    Ok(Box::new((programs, daemon)))
}

/// A program over a daemon.
fn beside(
    daemon: &Alone,
    setting: Setting,
    carrier: Carrier,
    at: SocketAddrV4,
    does: Does,
) -> Result<Process, Trouble> {
    let mut command = itself("program")?;
    command.arg("--socket").arg(daemon.path()).args(["--carrier", carrier.name()]);
    command.args(["--at", &at.to_string(), "--does", does.name()]);
    command.arg(on(setting.place()));
    Process::start(command)
}

pub(super) fn on(core: usize) -> String {
    format!("--core={core}")
}

/// The same program with an engine of its own, in this process: no port between them.
///
/// # Errors
/// As [`Lab::tap`].
pub fn in_process(
    lab: &Lab,
    setting: Setting,
    behind: Behind,
    does: Does,
) -> Result<Serving, Trouble> {
    // What is in this process has no layers in others.
    let mut engine = behind.engine(lab, Path::new(""))?;
    let SocketAddr::V4(at) = lab.echo() else { return Err("labs have IPv4".into()) };
    let (listens, told) = std::sync::mpsc::channel();
    let service = Service::start("program", setting.core(), move |stop| {
        super::program::over_engine(&mut *engine, at, does, setting.mode, stop, || {
            // Who waits for it is there until it comes.
            let _nobody = listens.send(());
        })
    })?;
    // When it does not come, the service has ended, and says why.
    let _ended = told.recv();
    Ok(Box::new(service))
}

/// This program again, for another part.
pub(crate) fn itself(part: &str) -> Result<Command, Trouble> {
    let own = std::env::current_exe()?;
    let mut command = Command::new(find(&own).ok_or("millstream-benches is not built")?);
    command.arg(part);
    Ok(command)
}

/// The program of the benches: it runs, or a test beside it does.
fn find(own: &Path) -> Option<PathBuf> {
    let folders = own.ancestors().skip(1).take(2);
    let found = folders.map(|folder| folder.join(PROGRAM)).find(|program| program.exists());
    if own.file_name().is_some_and(|name| name == PROGRAM) { Some(own.to_owned()) } else { found }
}

const PROGRAM: &str = env!("CARGO_PKG_NAME");
