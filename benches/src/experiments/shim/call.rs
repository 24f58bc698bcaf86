//! call: what a call costs that the library takes and hands to the kernel.

use super::plain::Calls;
use super::stage::library;
use crate::Trouble;
use crate::baseline::itself;
use crate::lab::on_core;
use crate::report::{Options, Report, Side};
use std::io::{BufRead, BufReader, Write};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::time::{Duration, Instant};

const FIGURES: &[(&str, &str)] = &[("plain", "ns"), ("intercepted", "ns"), ("added", "ns")];

/// Core of both.
const CORE: usize = 1;

pub(super) fn measure(report: &mut Report, options: &Options) {
    let sides = [Calls::Read, Calls::Write].map(|what| Side {
        name: format!("{} of a byte, a device of the kernel, core {CORE}", what.name()),
        figures: FIGURES,
        sample: Box::new(move || sample(what, options.seconds)),
    });
    report.measure(options, &sides);
    report.note("an intercepted call on a descriptor of the kernel: 10 ns are asked as the most");
}

/// Two processes in turn, one with the library and one without: medians, and that of the
/// differences.
fn sample(what: Calls, seconds: f64) -> Result<Vec<f64>, Trouble> {
    let mut command = itself("unchanged-calls")?;
    command.args(["--what", what.name()]);
    let mut plain = Caller::start(&mut command)?;
    let mut intercepted = Caller::start(command.env("LD_PRELOAD", library()?))?;
    let end = Instant::now() + Duration::from_secs_f64(seconds);
    let mut seen = [const { Vec::new() }; 3];
    while seen[0].len() < TURNS_MIN || Instant::now() < end {
        let (a, b) = (plain.ask()?, intercepted.ask()?);
        for (all, one) in seen.iter_mut().zip([a, b, b - a]) {
            all.push(one);
        }
    }
    Ok(seen.map(median).into())
}

/// Looks that a median is of, at least.
const TURNS_MIN: usize = 9;

fn median(mut all: Vec<f64>) -> f64 {
    all.sort_unstable_by(f64::total_cmp);
    all[all.len() / 2]
}

struct Caller {
    child: Child,
    ask: ChildStdin,
    said: BufReader<ChildStdout>,
}

impl Caller {
    fn start(command: &mut Command) -> Result<Self, Trouble> {
        command.stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child = on_core(Some(CORE), || Ok(command.spawn()?))?;
        match (child.stdin.take(), child.stdout.take()) {
            (Some(ask), Some(said)) => Ok(Self { child, ask, said: BufReader::new(said) }),
            _ => Err("no pipes".into()),
        }
    }

    /// Nanoseconds of a call.
    fn ask(&mut self) -> Result<f64, Trouble> {
        self.ask.write_all(b"\n")?;
        let mut line = String::new();
        self.said.read_line(&mut line)?;
        Ok(line.trim().parse()?)
    }
}

impl Drop for Caller {
    fn drop(&mut self) {
        // One that has ended by itself needs no end.
        let _ended = self.child.kill();
        let _status = self.child.wait();
    }
}
