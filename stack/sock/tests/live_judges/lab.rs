//! Namespaces, stacks and tools.

use millstream::plan::{self, Interface, Line, Plan};
use millstream::{Prefix, Stack, UdpSocket};
use millstream_drivers::Tap;
use millstream_drivers::netlink::{Netlink, Via};
use millstream_drivers::netns::Netns;
use std::net::SocketAddr;
use std::process::{Command, Output, Stdio};
use std::time::{Duration, Instant};

/// The stack, and the kernel at the other end of its TAP.
pub(crate) const STACK: &str = "10.9.0.2";
pub(crate) const KERNEL: &str = "10.9.0.1";

/// Far above what any of the awaited states takes, also on a loaded machine.
pub(crate) const DEADLINE: Duration = Duration::from_secs(20);

/// A stack on the TAP `tap0` of a namespace, with echo and discard.
pub(crate) struct Host {
    pub(crate) stack: Stack,
    pub(crate) netns: Netns,
}

impl Host {
    /// Up; `None` and a reason on stderr without the rights, or without one of the tools.
    pub(crate) fn new(test: &str, tools: &[&str]) -> Option<Self> {
        Self::with(test, tools, false)
    }

    /// As [`Host::new`]; `plain`: on a TAP without offloads.
    pub(crate) fn with(test: &str, tools: &[&str], plain: bool) -> Option<Self> {
        let netns = namespace(test, tools)?;
        let host = vec![prefix("10.9.0.1/24")];
        let line = Line::Tap { name: "tap0".into(), host, plain };
        let tap = Interface { line, addresses: vec![prefix("10.9.0.2/24")] };
        let services = vec!["echo".to_owned(), "discard".to_owned()];
        let plan = Plan { interfaces: vec![tap], services, ..Plan::default() };
        let stack = netns.run(|| Stack::start(plan)).unwrap();
        match stack {
            Ok(stack) => Some(Self { stack, netns }),
            Err(why) => skipped(test, &why.to_string()),
        }
    }

    /// Runs a tool in the namespace.
    pub(crate) fn tool(&self, line: &str) -> Output {
        run(&self.netns, line)
    }

    /// The echo service answers the kernel, and the stack answers ping.
    pub(crate) fn alive(&self) {
        let socket = self.kernel_socket("10.9.0.1:0");
        let mut buf = [0; 64];
        let end = Instant::now() + DEADLINE;
        socket.set_read_timeout(Some(Duration::from_millis(500))).unwrap();
        loop {
            socket.send_to(b"alive?", (STACK, 7)).unwrap();
            if socket.recv(&mut buf).is_ok_and(|n| buf[..n] == *b"alive?") {
                return;
            }
            assert!(Instant::now() < end, "the echo service does not answer");
        }
    }

    /// A socket of the kernel in the namespace.
    pub(crate) fn kernel_socket(&self, local: &str) -> std::net::UdpSocket {
        let socket = self.netns.run(|| std::net::UdpSocket::bind(local)).unwrap().unwrap();
        socket.set_read_timeout(Some(DEADLINE)).unwrap();
        socket
    }

    /// A socket of the stack.
    pub(crate) fn socket(&self, local: &str) -> UdpSocket {
        let socket = UdpSocket::bind(&self.stack, local.parse().unwrap()).unwrap();
        socket.set_read_timeout(Some(DEADLINE));
        socket
    }
}

/// Two namespaces with a TAP each, and a stack that forwards between them.
pub(crate) struct Router {
    pub(crate) stack: Stack,
    pub(crate) left: Netns,
    pub(crate) right: Netns,
}

/// The kernels at the router's sides; the router is `.2` on each.
pub(crate) const LEFT: &str = "10.9.1.1";
pub(crate) const RIGHT: &str = "10.9.2.1";

impl Router {
    /// Up; the right link has an MTU of its own.
    pub(crate) fn new(test: &str, tools: &[&str], right_mtu: u16) -> Option<Self> {
        let left = namespace(test, tools)?;
        let right = namespace(test, &[])?;
        let mut interfaces = Vec::new();
        for (n, netns, mtu) in [(1, &left, 1500), (2, &right, right_mtu)] {
            let tap = netns.run(|| side(n, mtu)).unwrap();
            let tap = match tap {
                Ok(tap) => tap,
                Err(why) => return skipped(test, &why),
            };
            let addresses = vec![prefix(&format!("10.9.{n}.2/24"))];
            interfaces.push(Interface { line: Line::Opened(tap), addresses });
        }
        let plan = Plan { interfaces, forward: true, ..Plan::default() };
        Some(Self { stack: Stack::start(plan).unwrap(), left, right })
    }
}

fn side(n: u8, mtu: u16) -> Result<Tap, String> {
    let text = |why: &dyn std::error::Error| why.to_string();
    let name = format!("tap{n}");
    let tap = Tap::open(&name, plan::random_mac(usize::from(n)), mtu).map_err(|e| text(&e))?;
    let mut netlink = Netlink::open().map_err(|e| text(&e))?;
    netlink.set_mtu(&name, u32::from(mtu)).map_err(|e| text(&e))?;
    let theirs = prefix(&format!("10.9.{n}.1/24"));
    plan::set_up_host(&name, &[theirs]).map_err(|e| text(&e))?;
    let router = prefix(&format!("10.9.{n}.2/24")).address();
    netlink.replace_route(Prefix::DEFAULT_V4, Via::Gateway(router)).map_err(|e| text(&e))?;
    Ok(tap)
}

pub(crate) fn prefix(text: &str) -> Prefix {
    text.parse().unwrap()
}

pub(crate) fn addr(text: &str) -> SocketAddr {
    text.parse().unwrap()
}

fn namespace(test: &str, tools: &[&str]) -> Option<Netns> {
    for tool in tools {
        if !is_installed(tool) {
            return skipped(test, &format!("no {tool}: install what .ci/packages.txt names"));
        }
    }
    match Netns::new() {
        Ok(netns) => Some(netns),
        Err(why) => skipped(test, &why.to_string()),
    }
}

fn is_installed(tool: &str) -> bool {
    let folders = std::env::var("PATH").unwrap_or_default();
    let more = ["/usr/sbin", "/sbin", "/usr/local/sbin"].map(str::to_owned);
    folders
        .split(':')
        .map(str::to_owned)
        .chain(more)
        .any(|folder| std::path::Path::new(&folder).join(tool).exists())
}

fn skipped<T>(test: &str, why: &str) -> Option<T> {
    eprintln!("skipped: {test}: {why}");
    None
}

/// Runs a command line in a namespace, for two minutes at most, and shows what it said.
pub(crate) fn run(netns: &Netns, line: &str) -> Output {
    let mut command = command(line);
    let output = netns.run(|| command.output()).unwrap().unwrap();
    println!("$ {line}\n{}{}", text(&output.stdout), text(&output.stderr));
    assert_ne!(output.status.code(), Some(124), "{line}: not done in time");
    output
}

/// A command line, split at blanks, that ends by itself.
pub(crate) fn command(line: &str) -> Command {
    let path = std::env::var("PATH").unwrap_or_default();
    let mut command = Command::new("timeout");
    command.args(["-k", "5", "120"]).args(line.split_whitespace());
    command.env("PATH", format!("{path}:/usr/sbin:/sbin")).env("LC_ALL", "C");
    command.stdin(Stdio::null());
    command
}

pub(crate) fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// What a tool said and how it ended, for the message of an assertion.
pub(crate) fn said(output: &Output) -> String {
    format!("{}{}{}", output.status, text(&output.stdout), text(&output.stderr))
}
