//! load: puts load on a TCP service, or is one, and tells how fast it went.

use super::{Common, Failure};
use crate::render;
use clap::{Args, Subcommand, ValueEnum};
use millstream_tools::load::bulk::{self, Amount, Bulk, Direction, Moved};
use millstream_tools::load::connect::{self, Connected, Connects};
use millstream_tools::load::rr::{self, Requests, Responses, Times};
use millstream_tools::load::server::{self, Served, Service};
use millstream_tools::load::{Behaviour, Kernel, LoadError, Transport};
use serde::Serialize;
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use signal_hook::flag;
use std::net::{SocketAddr, ToSocketAddrs};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

/// Put load on a TCP service, or be one, and tell how fast it went
///
/// The clients go to any service of the kind: bulk to discard, bulk --in to chargen, rr and connect
/// to echo.
#[derive(Debug, Args)]
pub(crate) struct Load {
    #[command(subcommand)]
    what: What,
}

#[derive(Debug, Subcommand)]
enum What {
    /// Move as many bytes as there is room for, one way
    Bulk(BulkArgs),
    /// Send a request, wait for its response, and again
    Rr(RrArgs),
    /// Connect, send a byte, get it back, close, and again
    Connect(ConnectArgs),
    /// Be the other end
    Server(ServerArgs),
}

/// Options of clients and servers.
#[derive(Debug, Args)]
struct Sockets {
    /// Stay on one core
    #[arg(long, value_name = "CORE")]
    cpu: Option<usize>,
    /// Congestion control of the kernel's sockets, as cubic
    #[arg(long, value_name = "NAME")]
    cc: Option<String>,
    /// Ask again and again instead of sleeping
    #[arg(long)]
    poll: bool,
}

#[derive(Debug, Args)]
struct BulkArgs {
    /// Whom, as 10.9.0.2:9
    #[arg(value_name = "ADDR:PORT", value_parser = address)]
    to: SocketAddr,
    /// From the server to us
    #[arg(long = "in")]
    inwards: bool,
    /// Length of the measured time
    #[arg(long, value_name = "SECS", default_value = "1", value_parser = seconds,
        conflicts_with = "bytes")]
    seconds: Duration,
    /// So many bytes over each connection instead, as 100M
    #[arg(long, value_name = "N", value_parser = bytes)]
    bytes: Option<u64>,
    /// Bytes of one write or read
    #[arg(long, value_name = "N", default_value = "128K", value_parser = piece)]
    size: usize,
    /// Connections at once
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = connections)]
    connections: usize,
    #[command(flatten)]
    sockets: Sockets,
}

#[derive(Debug, Args)]
struct RrArgs {
    /// Whom, as 10.9.0.2:7
    #[arg(value_name = "ADDR:PORT", value_parser = address)]
    to: SocketAddr,
    /// Length of the measured time
    #[arg(long, value_name = "SECS", default_value = "1", value_parser = seconds)]
    seconds: Duration,
    /// Bytes of a request and of its response
    #[arg(long, value_name = "N", default_value = "1", value_parser = piece)]
    size: usize,
    /// Connections at once
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = connections)]
    connections: usize,
    #[command(flatten)]
    sockets: Sockets,
}

#[derive(Debug, Args)]
struct ConnectArgs {
    /// Whom, as 10.9.0.2:7
    #[arg(value_name = "ADDR:PORT", value_parser = address)]
    to: SocketAddr,
    /// Length of the measured time
    #[arg(long, value_name = "SECS", default_value = "1", value_parser = seconds)]
    seconds: Duration,
    /// Clients at once
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = connections)]
    clients: usize,
    #[command(flatten)]
    sockets: Sockets,
}

#[derive(Debug, Args)]
struct ServerArgs {
    /// Where to listen, as 0.0.0.0:7; port 0 for any
    #[arg(value_name = "ADDR:PORT", value_parser = address)]
    at: SocketAddr,
    /// What to do with connections
    #[arg(long, value_enum, default_value_t = Serve::Echo)]
    service: Serve,
    /// End after so long; otherwise Ctrl-C or SIGTERM do
    #[arg(long, value_name = "SECS", value_parser = seconds)]
    seconds: Option<Duration>,
    /// All connections on one thread, instead of a thread for each
    #[arg(long)]
    epoll: bool,
    #[command(flatten)]
    sockets: Sockets,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Serve {
    Echo,
    Discard,
    Chargen,
}

/// What a client has seen, with what it was asked for.
#[derive(Debug, Serialize)]
struct Outcome<T: Serialize> {
    load: &'static str,
    to: SocketAddr,
    per_second: f64,
    #[serde(flatten)]
    what: T,
}

impl Load {
    pub(crate) fn run(self, common: &Common) -> Result<(), Failure> {
        match self.what {
            What::Bulk(bulk) => bulk.run(common),
            What::Rr(rr) => rr.run(common),
            What::Connect(connect) => connect.run(common),
            What::Server(server) => server.run(common),
        }
    }
}

impl Sockets {
    fn behaviour(&self) -> Behaviour {
        Behaviour { cpu: self.cpu, polling: self.poll }
    }

    /// The kernel's sockets. Bulk leaves it to the kernel when a small rest goes.
    fn kernel(&self, nodelay: bool) -> Kernel {
        Kernel { congestion: self.cc.clone(), nodelay }
    }
}

impl BulkArgs {
    fn run(self, common: &Common) -> Result<(), Failure> {
        let direction = if self.inwards { Direction::In } else { Direction::Out };
        let amount = self.bytes.map_or(Amount::For(self.seconds), Amount::Bytes);
        let (piece, connections) = (self.size, self.connections);
        let bulk = Bulk { direction, amount, piece, connections };
        let moved =
            bulk::run(&self.sockets.kernel(false), self.to, bulk, self.sockets.behaviour())?;
        let Moved { bytes, seconds } = moved;
        let load = if self.inwards { "bulk in" } else { "bulk out" };
        tell(common, load, self.to, moved.rate(), moved, || {
            let gbit = moved.rate() * 8.0 / 1e9;
            format!("{} bytes in {seconds:.3} s: {gbit:.3} Gbit/s", render::count(bytes))
        });
        Ok(())
    }
}

impl RrArgs {
    fn run(self, common: &Common) -> Result<(), Failure> {
        let (size, connections, time) = (self.size, self.connections, self.seconds);
        let requests = Requests { size, connections, time };
        let seen =
            rr::run(&self.sockets.kernel(true), self.to, requests, self.sockets.behaviour())?;
        let Responses { responses, seconds, times } = seen;
        tell(common, "rr", self.to, seen.rate(), seen, || {
            let count = render::count(responses);
            let rate = render::count(seen.rate() as u64);
            format!("{count} responses in {seconds:.3} s: {rate} /s\n{}", text(times))
        });
        Ok(())
    }
}

impl ConnectArgs {
    fn run(self, common: &Common) -> Result<(), Failure> {
        let connects = Connects { clients: self.clients, time: self.seconds };
        let kernel = self.sockets.kernel(true);
        let seen = connect::run(&kernel, self.to, connects, self.sockets.behaviour())?;
        tell(common, "connect", self.to, seen.rate(), seen.clone(), || {
            let Connected { connections, failed, failure, seconds, times } = &seen;
            let count = render::count(*connections);
            let rate = render::count(seen.rate() as u64);
            let why = failure.as_ref().map(|why| format!(", as {why}")).unwrap_or_default();
            let text = text(*times);
            format!(
                "{count} connections in {seconds:.3} s: {rate} /s; {failed} failed{why}\n{text}"
            )
        });
        Ok(())
    }
}

impl ServerArgs {
    fn run(self, common: &Common) -> Result<(), Failure> {
        let stop = Arc::new(AtomicBool::new(false));
        for signal in [SIGHUP, SIGINT, SIGTERM] {
            flag::register(signal, stop.clone())
                .map_err(|e| Failure::Failed(format!("cannot wait for signals: {e}")))?;
        }
        if let Some(time) = self.seconds {
            let stop = stop.clone();
            std::thread::spawn(move || {
                std::thread::sleep(time);
                stop.store(true, Ordering::Relaxed);
            });
        }
        let service = match self.service {
            Serve::Echo => Service::Echo,
            Serve::Discard => Service::Discard,
            Serve::Chargen => Service::Chargen,
        };
        let kernel = self.sockets.kernel(service == Service::Echo);
        let behaviour = self.sockets.behaviour();
        let ready = |at: SocketAddr| {
            if common.json {
                render::json(&serde_json::json!({ "ready": at }));
            } else {
                render::line(&format!("ready at {at}"));
            }
        };
        let failed = |cause| LoadError::Listen { at: self.at, cause };
        let served = if self.epoll {
            let listener = server::listen_on_epoll(&kernel, self.at)?;
            ready(listener.local_addr().map_err(failed)?);
            server::on_epoll(&listener, service, behaviour, &stop)?
        } else {
            let listener = kernel.listen(self.at).map_err(failed)?;
            ready(listener.local_addr().map_err(failed)?);
            server::on_threads(listener.as_ref(), service, behaviour, &stop)?
        };
        let Served { connections, bytes_in, bytes_out } = served;
        if common.json {
            render::json(&served);
        } else {
            let [connections, bytes_in, bytes_out] =
                [connections, bytes_in, bytes_out].map(render::count);
            render::line(&format!(
                "{connections} connections, {bytes_in} bytes in, {bytes_out} out"
            ));
        }
        Ok(())
    }
}

impl From<LoadError> for Failure {
    fn from(error: LoadError) -> Self {
        Self::Failed(error.to_string())
    }
}

fn tell<T: Serialize>(
    common: &Common,
    load: &'static str,
    to: SocketAddr,
    per_second: f64,
    what: T,
    text: impl FnOnce() -> String,
) {
    if common.json {
        render::json(&Outcome { load, to, per_second, what });
    } else {
        render::line(&text());
    }
}

pub(super) fn text(times: Times) -> String {
    let Times { p50_us, p99_us, p999_us, max_us } = times;
    let [p50, p99, p999, max] =
        [p50_us, p99_us, p999_us, max_us].map(|us| render::time((us * 1e3) as u64));
    format!("p50 {p50}, p99 {p99}, p99.9 {p999}, max {max}")
}

fn address(text: &str) -> Result<SocketAddr, String> {
    let mut found = text.to_socket_addrs().map_err(|e| format!("write ADDR:PORT: {e}"))?;
    found.next().ok_or_else(|| "no address has that name".to_owned())
}

fn seconds(text: &str) -> Result<Duration, String> {
    match text.parse() {
        Ok(seconds) if (0.01..=86_400.0).contains(&seconds) => Ok(Duration::from_secs_f64(seconds)),
        _ => Err("a number of seconds from 0.01 to 86400".to_owned()),
    }
}

fn bytes(text: &str) -> Result<u64, String> {
    let (digits, unit) = match text.strip_suffix(['K', 'M', 'G']) {
        None => (text, 1),
        Some(digits) if text.ends_with('K') => (digits, 1 << 10),
        Some(digits) if text.ends_with('M') => (digits, 1 << 20),
        Some(digits) => (digits, 1 << 30),
    };
    let bytes = digits.parse().ok().and_then(|n: u64| n.checked_mul(unit));
    bytes.filter(|&n| n > 0).ok_or_else(|| "a number of bytes above 0, as 4096 or 128K".to_owned())
}

fn piece(text: &str) -> Result<usize, String> {
    /// More than any socket takes at once.
    const MOST: u64 = 64 << 20;
    match bytes(text)? {
        n @ ..=MOST => Ok(n as usize),
        _ => Err("at most 64M".to_owned()),
    }
}

fn connections(text: &str) -> Result<usize, String> {
    /// A thread for each.
    const MOST: usize = 4096;
    match text.parse() {
        Ok(n @ 1..=MOST) => Ok(n),
        _ => Err(format!("a number from 1 to {MOST}")),
    }
}
