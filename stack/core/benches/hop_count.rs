//! hop_count: instructions per message and module under callgrind, and of a round trip of a message
//! from a head to a head, against a committed baseline.
//! The only gate on speed: wall-clock time decides nothing.
//!
//! Each figure is the difference of two runs that differ in the number of cycles, so that set-up
//! cancels. `cargo bench -p millstream-core --bench hop_count` exits with 1 when a figure is more
//! than 2 % above `hop_count.baseline`; `HOP_COUNT_BLESS=1` writes the file. Without valgrind it
//! says that it was skipped, and exits with 0.

mod common;
#[path = "common/looped.rs"]
mod looped;

use common::{Chain, Nested, Style, TRIPS};
use looped::Looped;
use std::fmt::Write as _;
use std::process::{Command, ExitCode};

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
const TOLERANCE: f64 = 1.02;

fn main() -> ExitCode {
    if let Ok(job) = std::env::var("HOP_COUNT_JOB") {
        run(&job);
        return ExitCode::SUCCESS;
    }
    if std::env::args().any(|arg| arg == "--test") {
        return ExitCode::SUCCESS;
    }
    if Command::new("valgrind").arg("--version").output().is_err() {
        println!("skipped: hop_count (valgrind is not installed)");
        return ExitCode::SUCCESS;
    }
    let measured = measure();
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/benches/hop_count.baseline");
    if std::env::var_os("HOP_COUNT_BLESS").is_some() {
        let mut text =
            String::from("# instructions per message: per module, and without modules\n");
        for (name, slope, intercept) in &measured {
            let _ = writeln!(text, "{name} {slope:.2} {intercept:.2}");
        }
        std::fs::write(path, text).expect("the baseline can be written");
        return ExitCode::SUCCESS;
    }
    let baseline = std::fs::read_to_string(path).unwrap_or_default();
    let mut worse = false;
    for (name, slope, intercept) in measured {
        let mut words = baseline
            .lines()
            .find_map(|line| line.strip_prefix(&format!("{name} ")))
            .unwrap_or_default()
            .split(' ')
            .map(|word| word.parse().unwrap_or(f64::INFINITY));
        for (what, now) in [("per module", slope), ("without modules", intercept)] {
            let before = words.next().unwrap_or(f64::INFINITY);
            if now > before * TOLERANCE {
                println!("WORSE: {name} {what}: {before:.2} -> {now:.2} instructions");
                worse = true;
            }
        }
    }
    ExitCode::from(u8::from(worse))
}

/// Name, instructions per module and message, instructions per message without modules.
fn measure() -> Vec<(String, f64, f64)> {
    let mut figures = Vec::new();
    for (name, style) in CASES {
        for batch in BATCHES {
            // The nested form knows no batches.
            if style.is_none() && batch > 1 {
                continue;
            }
            let of = |modules| per_message(name, batch, modules);
            let intercept = of(0);
            let slope = (of(MODULES) - intercept) / MODULES as f64;
            println!(
                "{name}/batch_{batch}: {slope:.2} instructions per module, {intercept:.2} without",
            );
            figures.push((format!("{name}/batch_{batch}"), slope, intercept));
        }
    }
    let trip = per_message(HEAD, 1, 0);
    println!("{HEAD}: {trip:.2} instructions per round trip");
    figures.push((HEAD.into(), 0.0, trip));
    figures
}

fn per_message(name: &str, batch: usize, modules: usize) -> f64 {
    let of = |messages: usize| instructions(&format!("{name} {batch} {modules} {messages}"));
    (of(2 * MESSAGES) - of(MESSAGES)) as f64 / MESSAGES as f64
}

/// Runs one job in a process of its own and gives callgrind's count.
fn instructions(job: &str) -> u64 {
    let program = std::env::current_exe().expect("the own path");
    let output = Command::new("valgrind")
        .args(["--tool=callgrind", "--callgrind-out-file=/dev/null"])
        .arg(program)
        .env("HOP_COUNT_JOB", job)
        .output()
        .expect("valgrind runs");
    let text = String::from_utf8_lossy(&output.stderr);
    let collected = text.lines().find_map(|line| line.split_once("Collected :"));
    let count = collected.and_then(|(_, count)| count.trim().parse().ok());
    count.unwrap_or_else(|| panic!("no count of {job}: {text}"))
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
