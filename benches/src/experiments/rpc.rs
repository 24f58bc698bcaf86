//! Calls of RPC that do nothing, pipelined over one TCP connection and one by one.

use crate::Trouble;
use crate::lab::{Lab, Mode};
use crate::report::{Options, Report, Side};
use crate::rpc::{self, PROGRAM};
use crate::stack;
use crate::tcp::{Peer, SETTINGS, Setting, kernel};
use millstream_tools::load::calls::{self, Calls};
use std::time::Duration;

const ABOUT: &str = "NULL calls of ONC RPC over one TCP connection, so many under way; new ones \
    leave when half of them are answered. CPU is that of the server's thread or process, with \
    what the kernel does for the client in it. Sleeping or polling is what both ends do; libtirpc \
    always sleeps";

const PEERS: &[Peer] = &[
    ("in the shard", |lab, at| {
        let service = format!("square:{}", lab.echo().port());
        Ok(Box::new(stack::services(lab, at.core(), at.mode, &[&service])?))
    }),
    ("bare loop", |lab, at| Ok(Box::new(rpc::bare(lab, at.core(), at.mode)?))),
    ("libtirpc", |lab, at| Ok(Box::new(rpc::tirpc(lab, at.pinning.server())?))),
];

const WINDOWS: [usize; 4] = [1, 16, 64, 1024];

const PIPELINED: &[(&str, &str)] = &[("rate", "/s"), ("cpu", "ns/call")];
const ONE_BY_ONE: &[(&str, &str)] =
    &[("rate", "/s"), ("cpu", "ns/call"), ("p50", "us"), ("p99", "us")];

/// Runs the experiment.
///
/// # Errors
/// Without the right to make a namespace.
pub fn run(options: &Options) -> Result<Report, Trouble> {
    drop(Lab::new(0)?);
    let mut report = Report::new("rpc", ABOUT, options);
    for setting in SETTINGS {
        for window in WINDOWS {
            measure(&mut report, options, setting, window);
            compare(&mut report, setting, window);
        }
    }
    Ok(report)
}

fn name(setting: Setting, window: usize, what: &str) -> String {
    setting.name(&format!("window {window}, {what}"))
}

fn measure(report: &mut Report, options: &Options, setting: Setting, window: usize) {
    let figures = if window == 1 { ONE_BY_ONE } else { PIPELINED };
    let time = Duration::from_secs_f64(options.seconds);
    let asked = Calls { program: PROGRAM, version: 1, window, time };
    let client = setting.client(setting.mode);
    let mut sides = Vec::new();
    for (network, &(what, start)) in (1..).zip(PEERS) {
        let sample = move || {
            let lab = Lab::new(network)?;
            let _serving = start(&lab, setting)?;
            lab.inside(|| {
                let before = rpc::server_cpu_ns()?;
                let seen = calls::run(&kernel(true), lab.echo(), asked, client)?;
                let spent = rpc::server_cpu_ns()?.saturating_sub(before) as f64;
                // The warm-up is in it, by its time.
                let share = options.seconds / (options.seconds + WARM_UP_S);
                let mut sample = vec![seen.rate(), spent * share / seen.calls as f64];
                sample.extend(seen.times.into_iter().flat_map(|t| [t.p50_us, t.p99_us]));
                Ok(sample)
            })
        };
        sides.push(Side { name: name(setting, window, what), figures, sample: Box::new(sample) });
    }
    report.measure(options, &sides);
}

fn compare(report: &mut Report, setting: Setting, window: usize) {
    let [stack, bare, tirpc] =
        ["in the shard", "bare loop", "libtirpc"].map(|what| name(setting, window, what));
    if window == 1 {
        // A shorter time is the better one.
        for figure in ["p50", "p99"] {
            report.ratio(figure, &tirpc, &stack, asked(setting, 1.0));
            report.ratio(figure, &bare, &stack, None);
        }
    } else {
        report.ratio("rate", &stack, &bare, Some(0.9));
        report.ratio("rate", &stack, &tirpc, (window == 1024).then_some(20.0));
    }
    report.ratio("cpu", &tirpc, &stack, asked(setting, 2.0));
}

/// libtirpc sleeps: what polls is not compared with it.
fn asked(setting: Setting, ratio: f64) -> Option<f64> {
    (setting.mode == Mode::Sleeping).then_some(ratio)
}

/// Of the client.
const WARM_UP_S: f64 = millstream_tools::load::WARM_UP.as_millis() as f64 / 1e3;
