//! Connections that live for one call: open, push `rpc`, connect, call, close; and what a
//! connection costs that does nothing.

use crate::Trouble;
use crate::baseline::{Behind, Carrier, Client, alone};
use crate::lab::{Lab, PORT, Service, Stop, TICK_MS, on_core};
use crate::report::{Options, Report, Side};
use crate::rpc::{PROGRAM, replies};
use crate::stack::interface;
use crate::tcp::{SETTINGS, Setting};
use crate::usage::Usage;
use millstream::plan::Plan;
use millstream::rpc::{Caller, Procedure, Transport};
use millstream::{RpcClient, Stack};
use millstream_tools::load::rr::{Times, nanos};
use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::process::Command;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

const ABOUT: &str = "a connection for one NULL call of RPC: opened, `rpc` pushed, connected, \
    called and closed by a program of ours, to a server on the kernel's TCP; and the memory of \
    connections that are idle";

const FIGURES: &[(&str, &str)] = &[
    ("rate", "/s"),
    ("p50", "us"),
    ("p99", "us"),
    ("processor", "us per connection"),
    ("switches", "per connection"),
];
const IDLE: &[(&str, &str)] = &[("memory", "bytes")];

/// A sample of so many seconds.
type Way = fn(&Lab, Setting, f64) -> Result<Vec<f64>, Trouble>;

/// A step of a connection that takes longer stands still: the sample fails, and another is taken.
const WITHIN: Duration = Duration::from_secs(10);

/// The kernel gives a connection up after 1 + 2 + 4 s, in place of two minutes.
const SYN_RETRIES: &str = "2";

/// Idle connections, which have two ends here.
const CONNECTIONS: usize = 20_000;

/// Runs the experiment.
///
/// # Errors
/// Without the right to make a namespace.
pub fn run(options: &Options) -> Result<Report, Trouble> {
    drop(Lab::new(0)?);
    let mut report = Report::new("churn", ABOUT, options);
    let (setting, seconds) = (SETTINGS[0], options.seconds);
    let ways: [(&str, Way); 4] = [
        ("kernel to kernel", kernel),
        ("in process, with rpc pushed", in_process),
        ("daemon", |lab, at, seconds| daemon(lab, at, seconds, Behind::Modules)),
        ("daemon, smoltcp", |lab, at, seconds| daemon(lab, at, seconds, Behind::Smoltcp)),
    ];
    let name = |what: &str| setting.name(what);
    let sides = ways.map(|(what, way)| Side {
        name: name(what),
        figures: FIGURES,
        sample: Box::new(move || {
            let lab = Lab::new(1)?;
            // A port is taken for a minute after each connection.
            lab.netns.sysctl("net/ipv4/ip_local_port_range", "1024 65535")?;
            lab.netns.sysctl("net/ipv4/tcp_syn_retries", SYN_RETRIES)?;
            way(&lab, setting, seconds)
        }) as Box<dyn Fn() -> _>,
    });
    report.measure(options, &sides);
    let idle = Side {
        name: "idle connection, one end".into(),
        figures: IDLE,
        sample: Box::new(|| Ok(vec![idle_bytes()?])),
    };
    report.measure(options, &[idle]);
    for peer in ["kernel to kernel", "daemon", "daemon, smoltcp"] {
        report.ratio("rate", &name("in process, with rpc pushed"), &name(peer), None);
    }
    report.note(
        "the server closes first: TIME-WAIT is its; processor time is of everything: client, \
         stack or daemon, and server",
    );
    report.note(
        "memory: of a process with two stacks and so many connections between them, resident, less \
         what it had before; rpc is not pushed on them",
    );
    Ok(report)
}

fn in_process(lab: &Lab, setting: Setting, seconds: f64) -> Result<Vec<f64>, Trouble> {
    let plan = Plan { interfaces: vec![interface(lab)?], ..Plan::default() };
    let stack = on_core(setting.core(), || Ok(Stack::start(plan)?))?;
    let at = SocketAddr::new(lab.host().address(), PORT);
    let _server = server(lab, at, setting)?;
    let null = Procedure { program: PROGRAM, version: 1, number: 0 };
    again_and_again(setting, seconds, || {
        // It has a limit of its own for the connection and for each call.
        let mut client = RpcClient::at(&stack, at, Transport::Tcp)?;
        Ok(client.call(null, |_| Ok(()), |_| Ok(()))?)
    })
}

fn kernel(lab: &Lab, setting: Setting, seconds: f64) -> Result<Vec<f64>, Trouble> {
    let peer = lab.veth()?;
    peer.sysctl("net/ipv4/ip_local_port_range", "1024 65535")?;
    peer.sysctl("net/ipv4/tcp_syn_retries", SYN_RETRIES)?;
    let at = SocketAddr::new(lab.host().address(), PORT);
    let _server = server(lab, at, setting)?;
    let run = || {
        again_and_again(setting, seconds, || {
            let mut connection = TcpStream::connect(at)?;
            connection.set_nodelay(true)?;
            connection.set_read_timeout(Some(WITHIN))?;
            connection.write_all(&null_call())?;
            connection.read_exact(&mut [0; REPLY]).map_err(|why| match why.kind() {
                ErrorKind::WouldBlock => format!("no reply within {WITHIN:?}").into(),
                _ => Trouble::from(why),
            })
        })
    };
    peer.run(run)?
}

fn daemon(lab: &Lab, setting: Setting, seconds: f64, behind: Behind) -> Result<Vec<f64>, Trouble> {
    let daemon = alone(lab, setting, behind)?;
    let SocketAddr::V4(at) = SocketAddr::new(lab.host().address(), PORT) else {
        return Err("labs have IPv4".into());
    };
    let _server = server(lab, at.into(), setting)?;
    let mut client = Client::open(daemon.path(), Carrier::Stream)?;
    client.set_time_out(WITHIN)?;
    again_and_again(setting, seconds, move || {
        let socket = client.connect(at)?;
        client.send_quietly(socket, &null_call())?;
        let mut came = 0;
        while came < REPLY {
            match client.recv(socket, &mut [0; REPLY])? {
                0 => return Err("the server has closed".into()),
                n => came += n,
            }
        }
        Ok(client.close(socket)?)
    })
}

/// Does it on the core of what is measured for so long; the figures.
fn again_and_again(
    setting: Setting,
    seconds: f64,
    mut once: impl FnMut() -> Result<(), Trouble> + Send,
) -> Result<Vec<f64>, Trouble> {
    on_core(setting.core(), move || {
        once()?;
        let (mut times, before, began) = (nanos(), Usage::of_all(), Instant::now());
        loop {
            let start = Instant::now();
            once()?;
            times.saturating_record(start.elapsed().as_nanos() as u64);
            if began.elapsed().as_secs_f64() >= seconds {
                break;
            }
        }
        let rate = times.len() as f64 / began.elapsed().as_secs_f64();
        let used = before.since();
        let Times { p50_us, p99_us, .. } = Times::of(&times);
        Ok(vec![rate, p50_us, p99_us, used.cores * 1e6 / rate, used.switches / rate])
    })
}

/// A server on the kernel's TCP, on the client's core: a call of each connection, and its end.
fn server(lab: &Lab, at: SocketAddr, setting: Setting) -> Result<Service, Trouble> {
    let listener = lab.inside(|| Ok(TcpListener::bind(at)?))?;
    listener.set_nonblocking(true)?;
    Service::start("calls", Some(setting.pinning.client()), move |stop| serve(&listener, stop))
}

fn serve(listener: &TcpListener, stop: &Stop) -> Result<(), Trouble> {
    let tick = rustix::event::Timespec { tv_sec: 0, tv_nsec: TICK_MS as i64 * 1_000_000 };
    let (mut call, mut reply) = ([0; 4096], Vec::new());
    while !stop.load(Ordering::Relaxed) {
        let mut connection = match listener.accept() {
            Ok((connection, _)) => connection,
            Err(why) if why.kind() == ErrorKind::WouldBlock => {
                let mut wanted =
                    [rustix::event::PollFd::new(listener, rustix::event::PollFlags::IN)];
                rustix::event::poll(&mut wanted, Some(&tick))?;
                continue;
            }
            Err(why) => return Err(why.into()),
        };
        connection.set_nonblocking(false)?;
        connection.set_read_timeout(Some(Duration::from_secs(1)))?;
        // One that goes away is no matter: its client says so.
        if let Ok(n) = connection.read(&mut call) {
            reply.clear();
            let _taken = replies(&call[..n], &mut reply);
            let _gone = connection.write_all(&reply);
        }
    }
    Ok(())
}

/// A NULL call as a record.
fn null_call() -> Vec<u8> {
    let words = [0x8000_0000 | 40, 1, 0, 2, PROGRAM, 1, 0, 0, 0, 0, 0];
    words.iter().flat_map(|word: &u32| word.to_be_bytes()).collect()
}

/// Bytes of its reply.
const REPLY: usize = 28;

/// In a process of its own: what it has had before would be used again.
fn idle_bytes() -> Result<f64, Trouble> {
    let output = Command::new(crate::instructions::program()?)
        .args(["job", "idle", &CONNECTIONS.to_string()])
        .output()?;
    let told = String::from_utf8(output.stdout)?;
    let bytes: f64 = told.trim().parse().map_err(|_| format!("no number: {told}"))?;
    Ok(bytes / (2 * CONNECTIONS) as f64)
}

/// Connects so many and tells by how many bytes the process has grown.
///
/// # Errors
/// When one does not come about.
pub fn idle(count: usize) -> Result<(), Trouble> {
    let mut two = crate::stream::Two::new()?;
    // Tables and pools are there before it is counted.
    let first = two.connected()?;
    two.round(first)?;
    let before = resident()?;
    let _all = two.idle(count)?;
    println!("{}", resident()?.saturating_sub(before));
    Ok(())
}

/// Bytes of this process in memory.
fn resident() -> Result<u64, Trouble> {
    let pages = std::fs::read_to_string("/proc/self/statm")?;
    let pages = pages.split(' ').nth(1).and_then(|pages| pages.parse::<u64>().ok());
    Ok(pages.ok_or("no statm")? * rustix::param::page_size() as u64)
}
