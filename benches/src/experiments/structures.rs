//! The same TCP program in each structure: in the kernel, inside the stack, beside it in one
//! process, and behind a protocol daemon. The client is the kernel's in all of them.

use crate::Trouble;
use crate::baseline::{Behind, Carrier, Does, in_process, served};
use crate::lab::{Lab, Mode};
use crate::report::{Options, Report, Side};
use crate::stream::{Does as App, Service as Module, application};
use crate::tcp::{SETTINGS, Sample, Serving, Setting, kernel, kernel_peer};
use crate::usage::{SystemCalls, Usage};
use crate::{rpc, sockets, stack};
use millstream_tools::load::bulk::{self, Amount, Bulk, Direction};
use millstream_tools::load::calls::{self, Calls};
use millstream_tools::load::rr::{self, Requests};
use millstream_tools::load::server::Service;
use std::time::Duration;

const ABOUT: &str = "one TCP program in each structure, the same client on the kernel's side, the \
    same TAP, MTU 1500, all offloads: a byte there and back, a NULL call of RPC, bulk of 128 KiB \
    writes both ways; processor time and switches of all threads and processes that serve";

/// What is asked of the in-process form, of the daemon with our modules.
const OF_DAEMON: f64 = 1.5;

/// Below so many bytes per second a transfer has stood still.
const STANDSTILL: f64 = 1e7;

/// A structure: its name, and how the program is started in it.
type Structure = (&'static str, fn(&Lab, Setting, Does) -> Result<Serving, Trouble>);

const KERNEL: &str = "kernel to kernel";
const SHARD: &str = "module in the stack";
const ENTER: &str = "in process, enter";
const THREAD: &str = "in process, one thread";
const SMOLTCP: &str = "in process, smoltcp";
const DAEMON: &str = "daemon";
const DAEMON_SMOLTCP: &str = "daemon, smoltcp";
const LAYERS: &str = "a process for each layer";

const STRUCTURES: &[Structure] = &[
    (KERNEL, |lab, at, does| match does {
        Does::Echo => kernel_peer(lab, at, Service::Echo, true),
        Does::Discard => kernel_peer(lab, at, Service::Discard, false),
        Does::Chargen => kernel_peer(lab, at, Service::Chargen, false),
        Does::Calls => Ok(Box::new(rpc::bare(lab, at.core(), at.mode)?)),
    }),
    (SHARD, |lab, at, does| {
        let square = format!("square:{}", lab.echo().port());
        let name = match does {
            Does::Echo => "echo",
            Does::Calls => &square,
            Does::Discard => return application(lab, at, App::Nothing(Module::Discard)),
            Does::Chargen => return application(lab, at, App::Nothing(Module::Chargen)),
        };
        Ok(Box::new(stack::services(lab, at.core(), at.mode, &[name])?))
    }),
    (ENTER, |lab, at, does| match does {
        Does::Echo | Does::Calls => sockets::on_a_set(lab, at, does),
        Does::Discard => application(lab, at, App::Discard { copy: true }),
        Does::Chargen => application(lab, at, App::Chargen { copy: true }),
    }),
    (THREAD, |lab, at, does| in_process(lab, at, Behind::Modules, does)),
    (SMOLTCP, |lab, at, does| in_process(lab, at, Behind::Smoltcp, does)),
    (DAEMON, |lab, at, does| served(lab, at, Behind::Modules, Carrier::Stream, does)),
    ("daemon, packets", |lab, at, does| served(lab, at, Behind::Modules, Carrier::Packets, does)),
    ("daemon, pipes", |lab, at, does| served(lab, at, Behind::Modules, Carrier::Pipes, does)),
    (DAEMON_SMOLTCP, |lab, at, does| served(lab, at, Behind::Smoltcp, Carrier::Stream, does)),
    (LAYERS, |lab, at, does| served(lab, at, Behind::Layers, Carrier::Stream, does)),
];

/// What is done in each structure.
#[derive(Clone, Copy)]
struct Work {
    /// Of the lines.
    name: &'static str,
    does: Does,
    figures: &'static [(&'static str, &'static str)],
    /// Figures of a run in a lab, and how many of what is counted there were in a second.
    run: fn(&Lab, Setting, f64) -> Result<Sample, Trouble>,
}

const PER_REQUEST: &[(&str, &str)] = &[
    ("rate", "/s"),
    ("p50", "us"),
    ("p99", "us"),
    ("p99.9", "us"),
    ("processor", "us per request"),
    ("switches", "per request"),
];
const PER_GB: &[(&str, &str)] =
    &[("rate", "Gbit/s"), ("processor", "s per GB"), ("switches", "per GB")];
const CALLS: &[(&str, &str)] = &[("system calls", "per request")];

const ECHO: Work = Work {
    name: "one byte and back",
    does: Does::Echo,
    figures: PER_REQUEST,
    run: |lab, setting, seconds| {
        let time = Duration::from_secs_f64(seconds);
        let requests = Requests { size: 1, connections: 1, time };
        let seen = rr::run(&kernel(true), lab.echo(), requests, setting.client(setting.mode))?;
        let times = seen.times;
        Ok((vec![seen.rate(), times.p50_us, times.p99_us, times.p999_us], seen.rate()))
    },
};

const RPC: Work = Work {
    name: "RPC call",
    does: Does::Calls,
    figures: &[
        ("rate", "/s"),
        ("p50", "us"),
        ("p99", "us"),
        ("processor", "us per request"),
        ("switches", "per request"),
    ],
    run: |lab, setting, seconds| {
        let time = Duration::from_secs_f64(seconds);
        let asked = Calls { program: rpc::PROGRAM, version: 1, window: 1, time };
        let seen = calls::run(&kernel(true), lab.echo(), asked, setting.client(setting.mode))?;
        let times = seen.times.ok_or("no times")?;
        Ok((vec![seen.rate(), times.p50_us, times.p99_us], seen.rate()))
    },
};

const INWARDS: Work = Work {
    name: "bulk inwards",
    does: Does::Discard,
    figures: PER_GB,
    run: |lab, setting, seconds| transfer(lab, setting, seconds, Direction::Out),
};

const OUTWARDS: Work = Work {
    name: "bulk outwards",
    does: Does::Chargen,
    figures: PER_GB,
    run: |lab, setting, seconds| transfer(lab, setting, seconds, Direction::In),
};

/// Runs the experiment.
///
/// # Errors
/// Without the right to make a namespace.
pub fn run(options: &Options) -> Result<Report, Trouble> {
    drop(Lab::new(0)?);
    let mut report = Report::new("structures", ABOUT, options);
    for (setting, work) in SETTINGS.into_iter().zip([ECHO; 3]) {
        compare(&mut report, options, setting, work);
    }
    for work in [RPC, INWARDS, OUTWARDS] {
        compare(&mut report, options, SETTINGS[0], work);
    }
    count(&mut report, options);
    report.note("the shared-memory port: not in this build");
    report.note(
        "a daemon and its program are two processes, on the same core; where the daemon polls, \
         its program sleeps, on the client's core",
    );
    report.note(
        "in process, enter: a program's thread with the stack's sockets, and the stack's thread; \
         one thread: the program calls the stack and waits for it; bytes are copied in both, but \
         in the module",
    );
    Ok(report)
}

/// All structures in turn, each sample in a fresh lab.
fn compare(report: &mut Report, options: &Options, setting: Setting, work: Work) {
    let name = |what: &str| setting.name(&format!("{}, {what}", work.name));
    let seconds = options.seconds;
    let mut sides = Vec::new();
    for (network, &(what, start)) in (1..).zip(STRUCTURES) {
        let sample = move || {
            let lab = Lab::new(network)?;
            let _serving = start(&lab, setting, work.does)?;
            let before = Usage::now();
            let (mut figures, per_second) = lab.inside(|| (work.run)(&lab, setting, seconds))?;
            let used = before.since();
            // Microseconds of a request, or seconds of a gigabyte.
            let unit = if work.figures == PER_GB { 1.0 } else { 1e6 };
            figures.push(used.cores * unit / per_second);
            figures.push(used.switches / per_second);
            Ok(figures)
        };
        sides.push(Side { name: name(what), figures: work.figures, sample: Box::new(sample) });
    }
    report.measure(options, &sides);
    let asked = match (work.does, setting.mode) {
        (Does::Echo | Does::Calls, Mode::Sleeping) => Some(OF_DAEMON),
        _ => None,
    };
    for (of, to, target) in [
        (ENTER, DAEMON, asked),
        (THREAD, DAEMON, None),
        (SMOLTCP, DAEMON_SMOLTCP, None),
        (DAEMON, DAEMON_SMOLTCP, None),
        (THREAD, SMOLTCP, None),
        (ENTER, KERNEL, None),
        (DAEMON, KERNEL, None),
        (DAEMON, LAYERS, None),
    ] {
        report.ratio("rate", &name(of), &name(to), target);
    }
}

/// System calls of a request, from outside; what counts them costs time, so nothing else is
/// measured in these runs.
fn count(report: &mut Report, options: &Options) {
    let (setting, seconds) = (SETTINGS[0], options.seconds);
    let mut sides = Vec::new();
    for (network, &(what, start)) in (1..).zip(STRUCTURES) {
        let sample = move || {
            let lab = Lab::new(network)?;
            let _serving = start(&lab, setting, ECHO.does)?;
            // What it does while nobody asks has been done.
            lab.inside(|| (ECHO.run)(&lab, setting, 0.0))?;
            let counting = SystemCalls::count()?;
            let (_, per_second) = lab.inside(|| (ECHO.run)(&lab, setting, seconds))?;
            let per_second_of_calls = counting.end()?;
            Ok(vec![per_second_of_calls / per_second])
        };
        let name = setting.name(&format!("counted, {what}"));
        sides.push(Side { name, figures: CALLS, sample: Box::new(sample) });
    }
    report.measure(options, &sides);
}

/// Bytes in the client's direction, in gigabytes per second.
fn transfer(
    lab: &Lab,
    setting: Setting,
    seconds: f64,
    direction: Direction,
) -> Result<Sample, Trouble> {
    let amount = Amount::For(Duration::from_secs_f64(seconds));
    let bulk = Bulk { direction, amount, piece: 128 << 10, connections: 1 };
    let client = setting.client(Mode::Sleeping);
    match bulk::run(&kernel(false), lab.echo(), bulk, client)?.rate() {
        rate if rate < STANDSTILL => Err("the transfer stood still".into()),
        rate => Ok((vec![rate * 8.0 / 1e9], rate / 1e9)),
    }
}
