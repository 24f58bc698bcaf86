//! rpc: asks programs of ONC RPC, over the kernel's sockets or through a stack of its own.

mod bench;
mod call;
mod info;
mod values;

use super::up::interfaces::{Interfaces, Wanted};
use super::{Common, Failure};
use clap::{Args, Subcommand};
use millstream::plan::{Plan, random_key};
use millstream::rpc::onc::message::Outcome;
use millstream::rpc::{Caller, Transport, port_of};
use millstream::{RpcClient, RpcError, Stack};
use millstream_programs::rpcbind;
use millstream_tools::rpc::KernelClient;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

/// Ask programs of ONC RPC
///
/// HOST is an address: its rpcbind tells at which port a program is served; or ADDR:PORT, where it
/// is. The kernel's sockets are used, or with --tap or --raw a stack of its own, as by nc.
#[derive(Debug, Args)]
pub(crate) struct Rpc {
    #[command(subcommand)]
    what: What,
}

#[derive(Debug, Subcommand)]
enum What {
    /// Tell what a host serves, or whether a program answers
    Info(info::Info),
    /// Call a procedure and print its results
    Call(call::Call),
    /// Call procedure 0 again and again and tell how fast it goes
    Bench(bench::Bench),
}

/// Whom to ask, and by what way.
#[derive(Debug, Args)]
#[command(mut_arg("tap", |tap| tap.required_unless_present("place")))]
struct Reach {
    #[command(flatten)]
    interfaces: Interfaces,
    /// Router for all that is not on an interface's network
    #[arg(long, value_name = "ADDR")]
    gateway: Option<IpAddr>,
    /// Datagrams instead of a connection
    #[arg(short, long)]
    udp: bool,
    /// Seconds that a call waits for its reply
    #[arg(short = 'W', long, value_name = "SECS", default_value = "5", value_parser = seconds)]
    timeout: Duration,
    /// Whom, as 10.9.0.2, or 10.9.0.2:2049 without asking rpcbind
    #[arg(id = "place", value_name = "HOST[:PORT]", value_parser = place)]
    place: Place,
}

#[derive(Clone, Copy, Debug)]
struct Place {
    host: IpAddr,
    port: Option<u16>,
}

/// Makes clients.
trait Way {
    type Client: Caller<Error = RpcError>;

    fn connect(&self, to: SocketAddr, transport: Transport) -> Result<Self::Client, RpcError>;
}

/// The kernel's sockets.
struct ByKernel {
    patience: Duration,
}

/// A stack of our own.
struct ByStack {
    stack: Stack,
    patience: Duration,
}

impl Way for ByKernel {
    type Client = KernelClient;

    fn connect(&self, to: SocketAddr, transport: Transport) -> Result<KernelClient, RpcError> {
        KernelClient::connect(to, transport, self.patience)
    }
}

impl Way for ByStack {
    type Client = RpcClient;

    fn connect(&self, to: SocketAddr, transport: Transport) -> Result<RpcClient, RpcError> {
        let mut client = RpcClient::at(&self.stack, to, transport)?;
        client.set_time_out(self.patience);
        Ok(client)
    }
}

/// What is asked, whatever the way.
trait Question {
    fn ask(self, way: &impl Way, target: Target, common: &Common) -> Result<(), Failure>;
}

/// Whom a question goes to.
#[derive(Clone, Copy, Debug)]
struct Target {
    place: Place,
    transport: Transport,
}

impl Target {
    /// A client of a program: its rpcbind says where, unless the port was given.
    fn client<W: Way>(self, way: &W, program: (u32, u32)) -> Result<W::Client, Failure> {
        let at = self.at(way, program)?;
        way.connect(at, self.transport).map_err(|e| failed(at, &e))
    }

    fn at(self, way: &impl Way, program: (u32, u32)) -> Result<SocketAddr, Failure> {
        let Place { host, port } = self.place;
        if let Some(port) = port {
            return Ok(SocketAddr::new(host, port));
        }
        let at = SocketAddr::new(host, rpcbind::PORT);
        let rpcbind = way.connect(at, self.transport).map_err(|e| failed(at, &e))?;
        let port = port_of(rpcbind, program, self.transport).map_err(|e| failed(at, &e))?;
        Ok(SocketAddr::new(host, port))
    }
}

impl Rpc {
    pub(crate) fn run(self, common: &Common) -> Result<(), Failure> {
        match self.what {
            What::Info(info) => {
                let (reach, question) = info.split();
                reach.ask(question, common)
            }
            What::Call(call) => {
                let (reach, question) = call.split()?;
                reach.ask(question, common)
            }
            What::Bench(bench) => bench.run(common),
        }
    }
}

impl Reach {
    fn target(&self) -> Target {
        let transport = if self.udp { Transport::Udp } else { Transport::Tcp };
        Target { place: self.place, transport }
    }

    /// Through a stack of its own, if one is asked for.
    fn stack(self) -> Result<Option<ByStack>, Failure> {
        if self.interfaces.0.is_empty() {
            return Ok(None);
        }
        let interface = |wanted: Wanted| wanted.interface(false);
        let plan = Plan {
            interfaces: self.interfaces.0.into_iter().map(interface).collect(),
            gateway: self.gateway,
            seed: random_key(),
            ..Plan::default()
        };
        let stack = Stack::start(plan).map_err(|e| Failure::Failed(e.to_string()))?;
        Ok(Some(ByStack { stack, patience: self.timeout }))
    }

    fn ask(self, question: impl Question, common: &Common) -> Result<(), Failure> {
        let (target, patience) = (self.target(), self.timeout);
        match self.stack()? {
            Some(way) => question.ask(&way, target, common),
            None => question.ask(&ByKernel { patience }, target, common),
        }
    }
}

fn failed(at: SocketAddr, error: &RpcError) -> Failure {
    let hint = match error {
        RpcError::Refused(Outcome::ProgUnavail) => ": millstream rpc info HOST tells what is",
        RpcError::TimedOut => ": is the address right?",
        _ => "",
    };
    Failure::Failed(format!("{at}: {error}{hint}"))
}

fn place(text: &str) -> Result<Place, String> {
    if let Ok(host) = text.parse() {
        return Ok(Place { host, port: None });
    }
    let at: SocketAddr = text.parse().map_err(|_| "write ADDR or ADDR:PORT".to_owned())?;
    if at.port() == 0 {
        return Err("0 is no port: from 1 to 65535".to_owned());
    }
    Ok(Place { host: at.ip(), port: Some(at.port()) })
}

fn seconds(text: &str) -> Result<Duration, String> {
    match text.parse() {
        Ok(seconds) if (0.01..=3600.0).contains(&seconds) => Ok(Duration::from_secs_f64(seconds)),
        _ => Err("a number of seconds from 0.01 to 3600".to_owned()),
    }
}

/// A number, decimal or hexadecimal behind 0x.
fn number(text: &str) -> Result<u32, String> {
    let number = match text.strip_prefix("0x") {
        Some(digits) => u32::from_str_radix(digits, 16),
        None => text.parse(),
    };
    number.map_err(|_| format!("a number from 0 to {}, or behind 0x in hexadecimal", u32::MAX))
}

/// The number of a program, or the name of one that is known.
fn program(text: &str) -> Result<u32, String> {
    let known = NAMES.iter().find(|(_, name)| *name == text);
    known.map_or_else(|| number(text).map_err(|why| format!("a name or {why}")), |(n, _)| Ok(*n))
}

/// The name of a program, for people.
fn name(program: u32) -> &'static str {
    NAMES.iter().find(|(number, _)| *number == program).map_or("", |(_, name)| name)
}

/// As in rpc(5), and ours.
const NAMES: [(u32, &str); 6] = [
    (100_000, "rpcbind"),
    (100_003, "nfs"),
    (100_005, "mountd"),
    (100_021, "nlockmgr"),
    (100_024, "status"),
    (536_872_241, "square"),
];
