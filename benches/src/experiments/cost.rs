//! Where the time of a message goes, by the stack's own clock: it times one dispatch in 61, and
//! what it does not see is the kernel's, the client's, and waiting.

use crate::Trouble;
use crate::client::{DATAGRAM, Load, OUTSTANDING_MAX, echo};
use crate::lab::{Lab, Mode, Pinning, on_core};
use crate::looped::Looped;
use crate::report::{Options, Report, Side};
use crate::rpc::PROGRAM;
use crate::stack;
use crate::stream::{Does, on_stack};
use crate::tcp::{Setting, kernel};
use millstream_core::NodeView;
use millstream_host::Handle;
use millstream_tools::load::WARM_UP;
use millstream_tools::load::calls::{self, Calls};
use millstream_tools::load::rr::{self, Requests};
use std::time::{Duration, Instant};

const ABOUT: &str = "UDP echo of 64 bytes, a NULL call of RPC over TCP, and a byte over TCP to a \
    program and back, through the TAP: nanoseconds of a message in each part, by the stack's own \
    counters, and bytes copied for each byte of payload, counted";

const PARTS: &[(&str, &str)] = &[
    ("stack;driver, the kernel's write in it", "ns"),
    ("stack;arp", "ns"),
    ("stack;ip", "ns"),
    ("stack;udp", "ns"),
    ("stack;echo", "ns"),
    ("outside;reading, the client, waiting", "ns"),
];
const COPIES: &[(&str, &str)] =
    &[("copied", "bytes/byte"), ("compacted", "bytes/byte"), ("pulled up", "bytes/byte")];

/// Nodes of the first parts, in their order.
const NODES: [&str; PARTS.len() - 1] = ["driver", "arp", "ip", "udp", "echo"];

const RPC_PARTS: &[(&str, &str)] = &[
    ("stack;driver, the kernel's write in it", "ns"),
    ("stack;arp", "ns"),
    ("stack;ip", "ns"),
    ("stack;tcp", "ns"),
    ("stack;rpc", "ns"),
    ("stack;program", "ns"),
    ("outside;reading, the client, waiting", "ns"),
];
const RPC_NODES: [&str; RPC_PARTS.len() - 1] = ["driver", "arp", "ip", "tcp", "rpc", "programs"];

/// Of a program that comes into the stack for each call.
const PROGRAM_PARTS: &[(&str, &str)] = &[
    ("stack;driver, the kernel's write in it", "ns"),
    ("stack;arp", "ns"),
    ("stack;ip", "ns"),
    ("stack;tcp", "ns"),
    ("program;head", "ns"),
    ("program;copies", "ns"),
    ("program;doorbell", "ns"),
    ("outside;reading, the client, waiting", "ns"),
];
const PROGRAM_NODES: [&str; 4] = ["driver", "arp", "ip", "tcp"];

/// Name, datagrams under way, and how both sides wait.
const LINES: [(&str, usize, Mode); 3] = [
    ("64 outstanding, sleeping", OUTSTANDING_MAX, Mode::Sleeping),
    ("64 outstanding, polling", OUTSTANDING_MAX, Mode::Polling),
    ("one by one, polling", 1, Mode::Polling),
];

/// Runs the experiment.
///
/// # Errors
/// Without the right to make a namespace.
pub fn run(options: &Options) -> Result<Report, Trouble> {
    drop(Lab::new(0)?);
    let mut report = Report::new("cost", ABOUT, options);
    let seconds = options.seconds;
    let mut sides = Vec::new();
    for (name, outstanding, mode) in LINES {
        let load = Load { outstanding, seconds, mode };
        sides.push(Side {
            name: name.into(),
            figures: PARTS,
            sample: Box::new(move || measured(load).map(|(parts, _)| parts)),
        });
        sides.push(Side {
            name: format!("copies, {name}"),
            figures: COPIES,
            sample: Box::new(move || measured(load).map(|(_, copies)| copies)),
        });
    }
    let rpc_name = |mode: Mode| format!("RPC, one by one, {mode}");
    for mode in MODES {
        sides.push(Side {
            name: rpc_name(mode),
            figures: RPC_PARTS,
            sample: Box::new(move || rpc_call(mode, seconds)),
        });
    }
    let program_name = |mode: Mode| format!("program, one byte and back, {mode}");
    for mode in MODES {
        sides.push(Side {
            name: program_name(mode),
            figures: PROGRAM_PARTS,
            sample: Box::new(move || program(mode, seconds)),
        });
    }
    report.measure(options, &sides);
    for (name, ..) in LINES {
        report.whole("cost of a message", name);
    }
    for mode in MODES {
        report.whole("cost of an RPC call", &rpc_name(mode));
        report.whole("cost of a byte to a program and back", &program_name(mode));
    }
    report
        .note("of a part: its time per message in the dispatches that were timed, by all messages");
    report
        .note("copies within the stack; what the kernel copies from and to the TAP is not counted");
    report.note(
        "a program: head is a write and a read at the head of a stream with the turn around them, \
         and copies the bytes of both, measured apart in memory; doorbell is what it takes to come \
         into the stack and to leave it, twice, measured on the same stack before the client comes",
    );
    Ok(report)
}

/// The figures of [`PARTS`] and of [`COPIES`].
fn measured(load: Load) -> Result<(Vec<f64>, Vec<f64>), Trouble> {
    let lab = Lab::new(1)?;
    let running = stack::echo(&lab, Some(Pinning::Two.server()), load.mode)?;
    let socket = lab.client()?;
    let before = running.pool()?;
    let seen = on_core(Some(Pinning::Two.client()), || echo(&socket, load))?;
    let after = running.pool()?;
    let nodes = nodes(&running.handle)?;
    let find = |name: &str| nodes.iter().find(|node| node.name == name || node.kind == name);
    let echoed = find("echo").ok_or("no echo")?.stat.msgs_in[0] as f64;
    let mut parts: Vec<f64> =
        NODES.iter().map(|name| find(name).map_or(0.0, all_ns) / echoed).collect();
    let inside: f64 = parts.iter().sum();
    parts.push((1e9 / seen.per_second - inside).max(0.0));
    let payload = echoed * DATAGRAM as f64;
    let copies = [
        after.copied_bytes - before.copied_bytes,
        after.compacted_bytes - before.compacted_bytes,
        after.pulled_bytes - before.pulled_bytes,
    ];
    Ok((parts, copies.map(|bytes| bytes as f64 / payload).into()))
}

/// How both sides of an RPC call wait.
const MODES: [Mode; 2] = [Mode::Sleeping, Mode::Polling];

/// The figures of [`RPC_PARTS`]: the counters are read while the connection stands.
fn rpc_call(mode: Mode, seconds: f64) -> Result<Vec<f64>, Trouble> {
    let lab = Lab::new(2)?;
    let setting = Setting { pinning: Pinning::Two, mode };
    let service = format!("square:{}", lab.echo().port());
    let running = stack::services(&lab, setting.core(), mode, &[&service])?;
    let time = Duration::from_secs_f64(seconds);
    let asked = Calls { program: PROGRAM, version: 1, window: 1, time };
    std::thread::scope(|scope| {
        let calling = scope.spawn(|| {
            lab.inside(|| Ok(calls::run(&kernel(true), lab.echo(), asked, setting.client(mode))?))
        });
        // The warm-up and most of the time are over then.
        std::thread::sleep(WARM_UP + time.mul_f64(0.8));
        let nodes = nodes(&running.handle)?;
        let seen = calling.join().map_err(|_| "the client has panicked")??;
        // The connection's: its listener and the datagrams' have had no calls.
        let of = |name: &str| {
            let named = nodes.iter().filter(|node| node.name == name || node.kind == name);
            named.max_by_key(|node| node.stat.msgs_in[0] + node.stat.msgs_in[1])
        };
        let calls = of("rpc").map_or(0, |rpc| rpc.stat.msgs_in[0]) as f64;
        if calls == 0.0 {
            return Err("no call came".into());
        }
        let mut parts: Vec<f64> =
            RPC_NODES.iter().map(|name| of(name).map_or(0.0, all_ns) / calls).collect();
        let inside: f64 = parts.iter().sum();
        parts.push((1e9 / seen.rate() - inside).max(0.0));
        Ok(parts)
    })
}

/// The figures of [`PROGRAM_PARTS`].
fn program(mode: Mode, seconds: f64) -> Result<Vec<f64>, Trouble> {
    let lab = Lab::new(3)?;
    let setting = Setting { pinning: Pinning::Two, mode };
    let (handle, _service) = on_stack(&lab, setting, Does::Echo)?;
    // In and out again by the request, and by the answer.
    let doorbell = 2.0 * on_core(setting.core(), || enter_ns(&handle))?;
    let time = Duration::from_secs_f64(seconds);
    let requests = Requests { size: 1, connections: 1, time };
    std::thread::scope(|scope| {
        let asking = scope.spawn(|| {
            let client = setting.client(mode);
            lab.inside(|| Ok(rr::run(&kernel(true), lab.echo(), requests, client)?))
        });
        // The warm-up and most of the time are over then.
        std::thread::sleep(WARM_UP + time.mul_f64(0.8));
        let nodes = nodes(&handle)?;
        let seen = asking.join().map_err(|_| "the client has panicked")??;
        let of = |name: &str| nodes.iter().find(|node| node.name == name || node.kind == name);
        // What went up in the driver, acknowledgements by themselves included, but for the
        // first ones: about the requests.
        let asked = of("driver").map_or(0, |driver| driver.stat.msgs_in[0]) as f64;
        if asked == 0.0 {
            return Err("no request came".into());
        }
        let mut parts: Vec<f64> =
            PROGRAM_NODES.iter().map(|name| of(name).map_or(0.0, all_ns) / asked).collect();
        let [head, copies] = on_core(setting.core(), || Ok(head_ns()))?;
        parts.extend([head, copies, doorbell]);
        let inside: f64 = parts.iter().sum();
        parts.push((1e9 / seen.rate() - inside).max(0.0));
        Ok(parts)
    })
}

/// Times that something small is done to see how long it takes.
const TIMES: u32 = 20_000;

/// Coming into a stack, doing nothing and leaving. Nanoseconds.
fn enter_ns(handle: &Handle) -> Result<f64, Trouble> {
    let began = Instant::now();
    for _ in 0..TIMES {
        handle.call(|shard| {
            std::hint::black_box(shard);
        })?;
    }
    Ok(began.elapsed().as_nanos() as f64 / f64::from(TIMES))
}

/// A write and a read at a head with the turn, without the bytes; the copies of those. Nanoseconds.
fn head_ns() -> [f64; 2] {
    let mut looped = Looped::new();
    let mut of = |len: usize| {
        let (sent, mut came) = (vec![7; len], vec![0; len]);
        let began = Instant::now();
        for _ in 0..TIMES {
            // The loop has room for one message, and it came back before the next.
            let _sent = looped.p.write(looped.stream, std::hint::black_box(&sent));
            looped.turn();
            let _came = looped.p.read(looped.stream, std::hint::black_box(&mut came));
        }
        began.elapsed().as_nanos() as f64 / f64::from(TIMES)
    };
    let (one, many) = (of(1), of(LEN_OF_COPIES));
    let per_byte = ((many - one) / (LEN_OF_COPIES - 1) as f64).max(0.0);
    [(one - per_byte).max(0.0), per_byte]
}

/// Bytes by which what a copy costs is told from the rest.
const LEN_OF_COPIES: usize = 1024;

/// Time of a node for all its messages, from the sample.
fn all_ns(node: &NodeView) -> f64 {
    let stat = &node.stat;
    let per_message = stat.sampled_ns as f64 / (stat.sampled_msgs as f64).max(1.0);
    per_message * (stat.msgs_in[0] + stat.msgs_in[1]) as f64
}

/// All nodes of a stack but its heads; a multiplexor once for each stream that it is part of.
fn nodes(handle: &Handle) -> Result<Vec<NodeView>, Trouble> {
    let nodes = handle.call(|shard| {
        let core = shard.core();
        let chains = core.streams().into_iter().filter_map(|(stream, _)| core.chain(stream).ok());
        chains.flatten().filter(|node| node.kind != "head").collect()
    })?;
    Ok(nodes)
}
