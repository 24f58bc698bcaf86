//! rpc_count: instructions per call under callgrind, in `rpc` and with `programs`, against a
//! committed baseline. What is counted is what `benches/rpc.rs` times.
//!
//! `cargo bench -p millstream-modules --bench rpc_count` exits with 1 when a figure is more than
//! 2 % above `rpc_count.baseline`; `RPC_COUNT_BLESS=1` writes the file. Without valgrind it says
//! that it was skipped, and exits with 0.

#[path = "rpc_kit/mod.rs"]
mod rpc_kit;

use rpc_kit::{Above, Server, What};
use std::fmt::Write as _;
use std::process::{Command, ExitCode};

const CASES: [(&str, Above, What, usize); 9] = [
    ("rpc/null/batch_64", Above::Batches, What::Null, 64),
    ("rpc/square/batch_64", Above::Batches, What::Square, 64),
    ("rpc/null/batch_1", Above::Batches, What::Null, 1),
    ("rpc_one_by_one/null/batch_64", Above::Stub, What::Null, 64),
    ("rpc_one_by_one/once/batch_64", Above::Stub, What::Once, 64),
    ("rpc_and_programs/null/batch_64", Above::Programs, What::Null, 64),
    ("rpc_and_programs/square/batch_64", Above::Programs, What::Square, 64),
    ("rpc_and_programs/once/batch_64", Above::Programs, What::Once, 64),
    ("rpc_and_programs/null/batch_1", Above::Programs, What::Null, 1),
];
/// Calls by which the two runs differ: set-up cancels.
const CALLS: usize = 32_000;
const TOLERANCE: f64 = 1.02;

fn main() -> ExitCode {
    if let Ok(job) = std::env::var("RPC_COUNT_JOB") {
        run(&job);
        return ExitCode::SUCCESS;
    }
    if std::env::args().any(|arg| arg == "--test") {
        return ExitCode::SUCCESS;
    }
    if Command::new("valgrind").arg("--version").output().is_err() {
        println!("skipped: rpc_count (valgrind is not installed)");
        return ExitCode::SUCCESS;
    }
    let measured = CASES.map(|(name, ..)| {
        let of = |calls: usize| instructions(&format!("{name} {calls}"));
        let per_call = (of(2 * CALLS) - of(CALLS)) as f64 / CALLS as f64;
        println!("{name}: {per_call:.2} instructions per call");
        (name, per_call)
    });
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/benches/rpc_count.baseline");
    if std::env::var_os("RPC_COUNT_BLESS").is_some() {
        let mut text = String::from("# instructions per call\n");
        for (name, per_call) in measured {
            let _ = writeln!(text, "{name} {per_call:.2}");
        }
        std::fs::write(path, text).expect("the baseline can be written");
        return ExitCode::SUCCESS;
    }
    let baseline = std::fs::read_to_string(path).unwrap_or_default();
    let mut worse = false;
    for (name, now) in measured {
        let line = baseline.lines().find_map(|line| line.strip_prefix(&format!("{name} ")));
        let before = line.and_then(|word| word.parse().ok()).unwrap_or(f64::INFINITY);
        if now > before * TOLERANCE {
            println!("WORSE: {name}: {before:.2} -> {now:.2} instructions");
            worse = true;
        }
    }
    ExitCode::from(u8::from(worse))
}

/// Runs one job in a process of its own and gives callgrind's count.
fn instructions(job: &str) -> u64 {
    let program = std::env::current_exe().expect("the own path");
    let output = Command::new("valgrind")
        .args(["--tool=callgrind", "--callgrind-out-file=/dev/null"])
        .arg(program)
        .env("RPC_COUNT_JOB", job)
        .output()
        .expect("valgrind runs");
    let text = String::from_utf8_lossy(&output.stderr);
    let collected = text.lines().find_map(|line| line.split_once("Collected :"));
    let count = collected.and_then(|(_, count)| count.trim().parse().ok());
    count.unwrap_or_else(|| panic!("no count of {job}: {text}"))
}

fn run(job: &str) {
    let (name, calls) = job.split_once(' ').expect("a job has two words");
    let case = CASES.iter().find(|case| case.0 == name).expect("a known case");
    let (_, above, what, batch) = *case;
    let mut server = Server::new(above, what, batch);
    let calls: usize = calls.parse().expect("a number");
    (0..calls / batch).for_each(|_| server.round());
}
