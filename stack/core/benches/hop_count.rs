//! hop_count: instructions per message and module under callgrind, and of a round trip of a message
//! from a head to a head, against a committed baseline.
//! The only gate on speed: wall-clock time decides nothing.
//!
//! Each figure is the difference of two runs that differ in the number of cycles, so that set-up
//! cancels. How it is compared: [`Gate`].

mod common;
#[path = "common/looped.rs"]
mod looped;

use common::{Chain, Nested, Style, TRIPS};
use looped::Looped;
use millstream_rig::{Figure, Gate};
use std::process::ExitCode;

const CASES: [(&str, Option<Style>); 4] = [
    ("nothing", Some(Style::Nothing)),
    ("per_message", Some(Style::PerMessage)),
    ("service", Some(Style::Service)),
    ("nested_with_reply", None),
];
/// putmsg, a turn, getmsg: see `benches/head.rs`.
const HEAD: &str = "putmsg_getmsg";
const BATCHES: [usize; 2] = [32, 1];
/// The slope is taken between no module and this many.
const MODULES: usize = 8;
/// Messages by which the two runs differ.
const MESSAGES: usize = 32_000;

const GATE: Gate = Gate {
    name: "hop_count",
    baseline: concat!(env!("CARGO_MANIFEST_DIR"), "/benches/hop_count.baseline"),
    values: &["per module", "per message without modules"],
    job: run,
    smoke: "per_message 1 2 64",
};

fn main() -> ExitCode {
    GATE.run(measure)
}

fn measure(gate: &Gate) -> Vec<Figure> {
    let mut figures = Vec::new();
    for (name, style) in CASES {
        for batch in BATCHES {
            // The nested form knows no batches.
            if style.is_none() && batch > 1 {
                continue;
            }
            let of = |modules| per_message(gate, name, batch, modules);
            let intercept = of(0);
            let slope = (of(MODULES) - intercept) / MODULES as f64;
            figures.push((format!("{name}/batch_{batch}"), vec![slope, intercept]));
        }
    }
    figures.push((HEAD.into(), vec![0.0, per_message(gate, HEAD, 1, 0)]));
    figures
}

fn per_message(gate: &Gate, name: &str, batch: usize, modules: usize) -> f64 {
    let of =
        |messages: usize| gate.instructions(&format!("{name} {batch} {modules} {messages}"), None);
    (of(2 * MESSAGES) - of(MESSAGES)) as f64 / MESSAGES as f64
}

fn run(job: &str) {
    let words: Vec<&str> = job.split(' ').collect();
    let [name, batch, modules, messages] = words[..] else { panic!("a job has four words") };
    let number = |word: &str| word.parse::<usize>().expect("a number");
    let (batch, modules, messages) = (number(batch), number(modules), number(messages));
    if name == HEAD {
        let mut looped = Looped::new();
        return (0..messages).for_each(|_| looped.round_trip());
    }
    let style = CASES.iter().find(|case| case.0 == name).expect("a known case").1;
    match style {
        Some(style) => {
            let mut chain = Chain::new(modules, style, batch, None);
            (0..messages / TRIPS).for_each(|_| chain.cycle());
        }
        None => {
            let mut nested = Nested::new(modules);
            (0..messages / TRIPS).for_each(|_| nested.cycle());
        }
    }
}
