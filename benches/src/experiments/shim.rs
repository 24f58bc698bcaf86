//! Unchanged programs on the stack, by way of the library that is loaded before their own, against
//! the same programs on the kernel's sockets.

mod call;
mod plain;
mod servers;
mod stage;

pub use plain::{Calls, calls, echo};

use crate::Trouble;
use crate::baseline::itself;
use crate::lab::{Lab, Mode, PORT, Pinning};
use crate::report::{Options, Report, Side};
use crate::tcp::{Setting, kernel};
use crate::usage::Usage;
use millstream_tools::load::rr::{self, Requests};
use stage::{Place, Running, library};
use std::time::Duration;

const ABOUT: &str = "programs that know nothing of the stack, with the library and without; the \
    client is the kernel's, on the other side of a TAP, or of a veth where the server is the \
    kernel's, and sleeps always. Beside the stack they are at its port, on its core, or while it \
    polls on the client's; inside, it is a thread of theirs";

const ECHO: &[(&str, &str)] = &[
    ("rate", "/s"),
    ("p50", "us"),
    ("p99", "us"),
    ("processor", "us per request"),
    ("switches", "per request"),
];

/// Where the echo is measured, and where it is.
const ECHOES: [(Pinning, Mode, Place); 8] = [
    (Pinning::Same, Mode::Sleeping, Place::Kernel),
    (Pinning::Same, Mode::Sleeping, Place::Beside),
    (Pinning::Same, Mode::Sleeping, Place::Inside),
    (Pinning::Two, Mode::Sleeping, Place::Kernel),
    (Pinning::Two, Mode::Sleeping, Place::Beside),
    (Pinning::Two, Mode::Sleeping, Place::Inside),
    (Pinning::Two, Mode::Polling, Place::Beside),
    (Pinning::Two, Mode::Polling, Place::Inside),
];

/// Runs the experiment.
///
/// # Errors
/// Without the right to make a namespace, or without the library.
pub fn run(options: &Options) -> Result<Report, Trouble> {
    library()?;
    drop(Lab::new(0)?);
    let mut report = Report::new("shim", ABOUT, options);
    call::measure(&mut report, options);
    measure_echo(&mut report, options);
    servers::measure(&mut report, options);
    Ok(report)
}

fn name(setting: Setting, what: &str, place: Place) -> String {
    setting.name(&format!("{what}, {place}"))
}

fn measure_echo(report: &mut Report, options: &Options) {
    let mut sides = Vec::new();
    for (network, (pinning, mode, place)) in (1..).zip(ECHOES) {
        let setting = Setting { pinning, mode };
        let sample = move || sample_echo(&Lab::new(network)?, setting, place, options.seconds);
        let name = name(setting, "one byte and back", place);
        sides.push(Side { name, figures: ECHO, sample: Box::new(sample) });
    }
    report.measure(options, &sides);
    let echo = |pinning, mode, place| name(Setting { pinning, mode }, "one byte and back", place);
    for (pinning, mode, place, asked) in [
        (Pinning::Same, Mode::Sleeping, Place::Beside, Some(0.8)),
        (Pinning::Same, Mode::Sleeping, Place::Inside, Some(1.1)),
        (Pinning::Two, Mode::Sleeping, Place::Beside, None),
        (Pinning::Two, Mode::Sleeping, Place::Inside, Some(1.1)),
        (Pinning::Two, Mode::Polling, Place::Beside, Some(1.2)),
    ] {
        let kernel = echo(pinning, Mode::Sleeping, Place::Kernel);
        report.ratio("rate", &echo(pinning, mode, place), &kernel, asked);
    }
}

fn sample_echo(
    lab: &Lab,
    setting: Setting,
    place: Place,
    seconds: f64,
) -> Result<Vec<f64>, Trouble> {
    let mut command = itself("unchanged-echo")?;
    command.args(["--port", &PORT.to_string()]);
    let mut running = Running::start(lab, setting, place, command)?;
    running.answers(lab, PORT)?;
    let before = Usage::now();
    let requests = Requests { size: 1, connections: 1, time: Duration::from_secs_f64(seconds) };
    let client = setting.client(Mode::Sleeping);
    let seen = lab.inside(|| Ok(rr::run(&kernel(true), lab.echo(), requests, client)?))?;
    let (used, rate, times) = (before.since(), seen.rate(), seen.times);
    let (processor, switches) = (used.cores * 1e6 / rate, used.switches / rate);
    Ok(vec![rate, times.p50_us, times.p99_us, processor, switches])
}
