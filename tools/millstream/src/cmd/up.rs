//! up: a stack is made of interfaces, runs in the foreground, and leaves nothing behind.

pub(super) mod interfaces;
mod plan;
mod programs;

use super::{Common, Failure};
use crate::render;
use clap::CommandFactory;
use interfaces::Interfaces;
use millstream_core::Errno;
use millstream_host::ctl::{self, Listener, Param, Writers};
use millstream_host::plan::{Plan, Service, Stack, check_service, random_key};
use millstream_host::{Handle, Notice};
use millstream_onc::Transport;
use plan::Described;
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use std::net::IpAddr;
use std::path::{Path, PathBuf};

/// Bring a stack up on TAP or raw interfaces and run it in the foreground
///
/// Each --tap, --raw or --loopback begins an interface; the --host, --addr, --mac and --wrap after
/// it are its own. A TAP that is not there is made and gone again at the end; one that is there is
/// attached to, and stays. --raw takes an Ethernet interface that is there, such as one end of a
/// veth pair, and needs no /dev/net/tun: every user can do it in a network made by unshare -Urn.
///
/// --wrap puts a device around it: fault (drop=SHARE duplicate=SHARE corrupt=SHARE
/// fail-after=FRAMES seed=N), trace (file=FILE, or stderr) or pcap (file=FILE); several stand in
/// order, the first next to the line.
///
/// A line that begins with "ready" is printed when the services answer. SIGTERM, SIGINT and SIGHUP
/// stop the stack.
#[derive(Debug, clap::Args)]
#[command(mut_arg("tap", |tap| tap.required_unless_present("plan")))]
#[command(override_usage = "millstream up --name NAME --tap IF [--host ADDR/LEN] --addr ADDR/LEN \
    [--wrap NAME [KEY=VALUE ...]] [--raw IF [--mac MAC] --addr ADDR/LEN] [--loopback NAME --addr \
    ADDR/LEN] [--tap IF ...] [--gateway ADDR] [--forward] [--ecn] [--poll] [--plain] [--pcap \
    FILE] [--seed N] [--programs N] [--program-memory MIB] --service LIST|none\n       \
    millstream up --plan FILE [--name NAME] [--poll] \
    [--pcap FILE] [--seed N]")]
pub(crate) struct Up {
    /// Read the description of the stack from a TOML file; see tools/millstream/examples
    #[arg(long, value_name = "FILE",
        conflicts_with_all = ["tap", "raw", "loopback", "host", "addr", "mac", "wrap", "gateway",
            "forward", "ecn", "plain", "service"])]
    plan: Option<PathBuf>,
    #[command(flatten)]
    interfaces: Interfaces,
    /// Router for all that is not on an interface's network
    #[arg(long, value_name = "ADDR")]
    gateway: Option<IpAddr>,
    /// Forward packets between the interfaces
    #[arg(long)]
    forward: bool,
    /// Ask for marks of congestion (ECN) on TCP connections that are opened from here
    #[arg(long)]
    ecn: bool,
    /// Ask the interfaces again and again instead of sleeping: faster answers for a whole processor
    #[arg(long)]
    poll: bool,
    /// Open the interfaces without offloads, frame by frame
    #[arg(long)]
    plain: bool,
    /// Record all frames (pcapng); with several interfaces the name of each is added
    #[arg(long, value_name = "FILE")]
    pcap: Option<PathBuf>,
    /// Seed of all random choices but the keys of tables; another one each time if not given
    #[arg(long, value_name = "N")]
    seed: Option<u64>,
    /// Services, separated by commas: echo, discard, daytime, chargen, time over UDP and TCP,
    /// http=FOLDER, which serves files, and the programs of RPC rpcbind (rpcbind=callit passes
    /// calls on), square, and nfs, which serves memory, or nfs=DIRECTORY with options behind
    /// colons (ro, as=/NAME, squash=none|root|all, anonuid=N, anongid=N, allow=NETWORK, async;
    /// mem:size=N); each may have another port, as http:8080=FOLDER; or none
    #[arg(long, value_name = "LIST|none", default_value = "none", value_delimiter = ',')]
    service: Vec<String>,
    #[command(flatten)]
    programs: programs::Programs,
}

impl Up {
    pub(crate) fn run(self, common: &Common) -> Result<(), Failure> {
        let (described, pcap) = self.describe()?;
        let Described { name, plan, quota, modules } = described;
        let Some(name) = common.name.clone().or(name) else {
            let kind = clap::error::ErrorKind::MissingRequiredArgument;
            let text = "up needs a name for the stack: --name NAME";
            super::Cli::command().error(kind, text).exit();
        };
        // Before anything is made: a name in use changes nothing.
        let listener = Listener::claim(&name)?;
        let mut signals = signal_hook::iterator::Signals::new([SIGTERM, SIGINT, SIGHUP])
            .map_err(|e| Failure::Failed(format!("cannot wait for signals: {e}")))?;
        let mut stack = plan.build().map_err(|e| Failure::Failed(e.to_string()))?;
        let names: Vec<String> = stack.shard.live_devices().map(str::to_owned).collect();
        let writers = Writers::new(render::complain);
        plan::push(&mut stack, modules, &writers).map_err(Failure::Failed)?;
        if let Some(file) = pcap {
            record(&mut stack, &names, &file, &writers)?;
        }
        programs::let_in(&mut stack, quota, listener.path())?;
        let ready = ready(&name, &mut stack, listener.path());
        let handle = stack.shard.handle();
        let stop = handle.clone();
        let run = std::thread::Builder::new().name("stack".to_owned());
        let run = run.spawn(move || run_stack(stack, names)).map_err(|e| thread(&e))?;
        let watch = std::thread::Builder::new().name("signals".to_owned());
        // The thread ends with the process.
        let _watch = watch
            .spawn(move || signals.forever().for_each(|_| stop.stop()))
            .map_err(|e| thread(&e))?;
        let server = listener
            .serve(handle.clone(), writers.clone())
            .map_err(|e| Failure::Failed(format!("cannot answer on the control socket: {e}")))?;
        // When the first call has returned the stack runs; if it cannot, joining says why.
        if handle.call(|_| ()).is_ok() {
            announce(&ready);
        }
        let outcome = run.join();
        // TAPs are gone by now; the name is given back last.
        writers.finish();
        drop(server);
        match outcome {
            Ok(Ok(())) => Ok(()),
            Ok(Err(sentence)) => Err(Failure::Failed(sentence)),
            Err(_) => Err(Failure::Failed("the stack has panicked; please report it".to_owned())),
        }
    }

    /// What is asked for, in a file or on the command line, and where frames are recorded.
    fn describe(self) -> Result<(Described, Option<PathBuf>), Failure> {
        if let Some(file) = &self.plan {
            let mut described = plan::read(file).map_err(Failure::Usage)?;
            described.plan.polling |= self.poll;
            described.plan.seed = self.seed.unwrap_or(described.plan.seed);
            return Ok((described, self.pcap));
        }
        let services = match &self.service[..] {
            [none] if none == "none" => Vec::new(),
            list => list.to_vec(),
        };
        if let Some(why) = services.iter().find_map(|text| check_service(text).err()) {
            return Err(Failure::Usage(format!("{why}; or none alone")));
        }
        let interface = |wanted: interfaces::Wanted| wanted.interface(self.plain);
        let plan = Plan {
            interfaces: self.interfaces.0.into_iter().map(interface).collect(),
            gateway: self.gateway,
            forward: self.forward,
            ecn: self.ecn,
            services,
            polling: self.poll,
            seed: self.seed.unwrap_or_else(random_key),
            ..Plan::default()
        };
        let quota = self.programs.quota().map_err(Failure::Usage)?;
        Ok((Described { name: None, plan, quota, modules: Vec::new() }, self.pcap))
    }
}

fn thread(cause: &std::io::Error) -> Failure {
    Failure::Failed(format!("cannot start a thread: {cause}"))
}

/// Runs until it is stopped or its last interface is gone; then that is the error.
fn run_stack(stack: Stack, mut live: Vec<String>) -> Result<(), String> {
    let handle = stack.shard.handle();
    let mut alone = false;
    let notify = |notice| {
        let Notice::DeviceGone { name, errno } = notice;
        live.retain(|other| *other != name);
        alone = live.is_empty();
        device_gone(&name, errno, &live, &handle);
    };
    let outcome = stack.shard.run(notify);
    match outcome {
        Err(e) => Err(format!("the stack cannot wait for its interfaces: {e}")),
        Ok(()) if alone => Err("no interface is left, so the stack has stopped: start it again \
            with the same command"
            .to_owned()),
        Ok(()) => Ok(()),
    }
}

fn device_gone(name: &str, errno: Errno, live: &[String], handle: &Handle) {
    let why = match errno {
        Errno::EIO => "its device has failed",
        _ => "somebody deleted it",
    };
    if live.is_empty() {
        render::complain(&format!("the interface {name} is gone ({errno}): {why}"));
        handle.stop();
    } else {
        render::complain(&format!(
            "the interface {name} is gone ({errno}): {why}; {} goes on; to have \
             {name} again, stop the stack and start it with the same command",
            live.join(", ")
        ));
    }
}

/// Puts a capture in above each interface's driver.
fn record(
    stack: &mut Stack,
    names: &[String],
    file: &Path,
    writers: &Writers,
) -> Result<(), Failure> {
    for (&stream, name) in stack.interfaces.iter().zip(names) {
        let path = if names.len() == 1 {
            file.to_owned()
        } else {
            let extension = file.extension().and_then(|e| e.to_str()).unwrap_or("pcapng");
            file.with_extension(format!("{name}.{extension}"))
        };
        let params = [Param("file".to_owned(), path.display().to_string())];
        let capture = ctl::make("capture", &params, name, writers).map_err(Failure::Failed)?;
        stack
            .shard
            .core()
            .insert(stream, 0, capture)
            .map_err(|e| Failure::Failed(format!("capture on {name}: {e}")))?;
    }
    Ok(())
}

fn ready(name: &str, stack: &mut Stack, socket: &Path) -> String {
    let interfaces: Vec<&str> = stack.shard.live_devices().collect();
    let service = |service: &Service| {
        let carrier = match service.transport {
            Transport::Udp => "udp",
            Transport::Tcp => "tcp",
        };
        format!("{} {}/{carrier}", service.name, service.port)
    };
    let services = stack.services.iter().map(service).collect::<Vec<_>>().join(", ");
    let services = if services.is_empty() { "none".to_owned() } else { services };
    let socket = socket.display();
    format!("ready {name}: on {}; services {services}; control {socket}", interfaces.join(", "))
}

/// Prints the line; a reader that has gone does not end the stack.
fn announce(ready: &str) {
    use std::io::Write;
    let mut out = std::io::stdout().lock();
    let _nobody_reads = writeln!(out, "{ready}").and_then(|()| out.flush());
}
