//! nightly: what takes too long for every change. Sanitizers and loom on the unsafe parts, random
//! changes of the corpora, the fuzzers. The outcome goes to results/nightly.md.
//!
//! `cargo xtask nightly [--seconds N] [--only PART]`: N for each fuzz target (60), PART one of
//! asan, tsan, loom, corpus, pieces, python, fuzz.

use crate::step::{Outcome, Step, root};
use std::path::PathBuf;
use std::time::{SystemTime, UNIX_EPOCH};

pub(crate) fn run(args: &[String]) -> Result<(), String> {
    let Options { seconds, only } = Options::parse(args)?;
    let mut rows = Vec::new();
    for (part, step) in steps(seconds)? {
        if only.as_deref().is_none_or(|only| only == part) {
            let outcome = step.keep()?;
            let word = if outcome.passed { "passed" } else { "FAILED" };
            println!("   {word} in {:.0} s", outcome.took.as_secs_f64());
            rows.push((step, outcome));
        }
    }
    if rows.is_empty() {
        return Err("no such part: asan, tsan, loom, corpus, pieces, python, fuzz".to_owned());
    }
    let path = root().join("results/nightly.md");
    let write = || {
        std::fs::create_dir_all(root().join("results"))?;
        std::fs::write(&path, report(&rows, seconds, only.as_deref()))
    };
    write().map_err(|e| format!("cannot write {}: {e}", path.display()))?;
    match rows.iter().filter(|(_, outcome)| !outcome.passed).count() {
        0 => Ok(()),
        n => Err(format!("{n} of {} failed: see results/nightly.md", rows.len())),
    }
}

struct Options {
    seconds: u64,
    only: Option<String>,
}

impl Options {
    fn parse(args: &[String]) -> Result<Self, String> {
        let mut options = Self { seconds: 60, only: None };
        let mut args = args.iter();
        while let Some(arg) = args.next() {
            let value = args.next().ok_or(format!("{arg} needs a value"))?;
            match arg.as_str() {
                "--seconds" => {
                    options.seconds =
                        value.parse().map_err(|_| format!("--seconds {value}: no number"))?;
                }
                "--only" => options.only = Some(value.clone()),
                _ => return Err(format!("unknown option {arg}: --seconds N, --only PART")),
            }
        }
        Ok(options)
    }
}

/// The parts. Sanitized builds need a target named, so that build scripts are not sanitized too,
/// and a folder of their own each.
fn steps(seconds: u64) -> Result<Vec<(&'static str, Step)>, String> {
    let sanitized = |part: &str, rest: &str, sanitizer: &str| {
        let flags = format!("-Zsanitizer={sanitizer} {ABI}");
        Step::new(part, &format!("cargo test -p millstream-msg {rest} --target {TARGET}"))
            .env("RUSTC_BOOTSTRAP", "1")
            .env("RUSTFLAGS", flags)
            .env("CARGO_TARGET_DIR", target(sanitizer))
    };
    let suppressions = root().join("stack/msg/tests/tsan.supp");
    let mut steps = vec![
        ("asan", sanitized("stack/msg, address sanitizer", "--lib --tests", "address")),
        (
            "tsan",
            sanitized("stack/msg, threads, thread sanitizer", "--test threads", "thread")
                .env("TSAN_OPTIONS", format!("suppressions={}", suppressions.display())),
        ),
        (
            "loom",
            Step::new("stack/msg, loom", "cargo test -p millstream-msg --lib --release")
                .env("RUSTFLAGS", "--cfg loom")
                .env("CARGO_TARGET_DIR", target("loom")),
        ),
        (
            "loom",
            Step::new("stack/host, loom", "cargo test -p millstream-host --lib --release model_")
                .env("RUSTFLAGS", "--cfg loom")
                .env("CARGO_TARGET_DIR", target("loom")),
        ),
        (
            "loom",
            Step::new("stack/port, loom", "cargo test -p millstream-port --lib --release model_")
                .env("RUSTFLAGS", "--cfg loom")
                .env("CARGO_TARGET_DIR", target("loom")),
        ),
        (
            "corpus",
            Step::new(
                "modules, random changes of the corpora",
                "cargo test -p millstream-modules --test corpus --release",
            )
            .env("MILLSTREAM_FUZZ_RUNS", "1000000"),
        ),
        (
            "corpus",
            Step::new(
                "stack/core, random changes of streams",
                "cargo test -p millstream-core --test corpus --release",
            )
            .env("MILLSTREAM_FUZZ_RUNS", "200000"),
        ),
        (
            "pieces",
            Step::new(
                "modules, two hundred million segments out of order",
                "cargo test -p millstream-modules --test tcp_pieces --release -- --ignored",
            ),
        ),
        (
            "python",
            Step::new(
                "unchanged programs, all of CPython's tests of sockets",
                "cargo test -p millstream-tools --test programs -- --ignored --nocapture",
            ),
        ),
    ];
    steps.extend(fuzz_steps(seconds)?);
    Ok(steps)
}

fn fuzz_steps(seconds: u64) -> Result<Vec<(&'static str, Step)>, String> {
    let mut steps = Vec::new();
    for name in fuzz_targets()? {
        let step = Step::new(
            format!("fuzz {name}, {seconds} s"),
            &format!("cargo run --release --target {TARGET} --bin {name} --"),
        );
        // The corpus in the repository is read; what is found goes to a folder beside the build.
        let found = target("fuzz").join("corpus").join(&name);
        std::fs::create_dir_all(&found)
            .map_err(|e| format!("cannot make {}: {e}", found.display()))?;
        let step = step
            .arg(found.display().to_string())
            .arg(format!("corpus/{name}"))
            .arg(format!("-max_total_time={seconds}"))
            .arg("-print_final_stats=1")
            .folder(&root().join("stack/fuzz"))
            .env("RUSTC_BOOTSTRAP", "1")
            .env("RUSTFLAGS", format!("{COVERAGE} -Zsanitizer=address {ABI}"))
            .env("CARGO_TARGET_DIR", target("fuzz"));
        steps.push(("fuzz", step));
    }
    Ok(steps)
}

fn fuzz_targets() -> Result<Vec<String>, String> {
    let folder = root().join("stack/fuzz/targets");
    let entries = std::fs::read_dir(&folder).map_err(|e| format!("{}: {e}", folder.display()))?;
    let files = entries.flatten().map(|entry| entry.path());
    let name = |path: PathBuf| path.file_stem().and_then(|s| s.to_str()).map(str::to_owned);
    let mut names: Vec<String> = files.filter_map(name).collect();
    names.sort();
    Ok(names)
}

fn target(part: &str) -> PathBuf {
    let base = std::env::var_os("CARGO_TARGET_DIR").map(PathBuf::from);
    base.unwrap_or_else(|| root().join("target")).join("nightly").join(part)
}

fn report(rows: &[(Step, Outcome)], seconds: u64, only: Option<&str>) -> String {
    let days = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs() / 86_400;
    let commit = word("git rev-parse --short HEAD");
    let dirty = if word("git status --porcelain").is_empty() { "" } else { ", with changes" };
    let only = only.map(|only| format!(" --only {only}")).unwrap_or_default();
    let mut text = format!(
        "# Nightly\n\n{}, commit {commit}{dirty}, {}, `cargo xtask nightly --seconds {seconds}\
         {only}`.\n\n| what | outcome | seconds | |\n|---|---|---|---|\n",
        date(days),
        word("rustc --version"),
    );
    for (step, outcome) in rows {
        let word = if outcome.passed { "passed" } else { "**failed**" };
        let took = outcome.took.as_secs();
        text += &format!("| {} | {word} | {took} | {} |\n", step.name, figure(&outcome.output));
    }
    for (step, outcome) in rows.iter().filter(|(_, outcome)| !outcome.passed) {
        let lines: Vec<&str> = outcome.output.lines().collect();
        let last = lines[lines.len().saturating_sub(LINES_KEPT)..].join("\n");
        text += &format!("\n## {}\n\n```\n{last}\n```\n", step.name);
    }
    text
}

/// Lines of a failure's output that are kept.
const LINES_KEPT: usize = 60;

/// What a run says of its extent: tests passed, or inputs tried.
fn figure(output: &str) -> String {
    let passed = output.lines().filter_map(|line| {
        let rest = line.strip_prefix("test result: ")?.split_once(". ")?.1;
        rest.split_once(" passed")?.0.parse::<u64>().ok()
    });
    let tests: u64 = passed.sum();
    let tried =
        output.lines().find_map(|line| line.strip_prefix("stat::number_of_executed_units:"));
    match (tests, tried) {
        (_, Some(tried)) => format!("{} inputs", tried.trim()),
        (0, None) => String::new(),
        (tests, None) => format!("{tests} tests"),
    }
}

/// The output of a program, or nothing.
fn word(line: &str) -> String {
    let mut words = line.split(' ');
    let program = words.next().unwrap_or_default();
    let output = std::process::Command::new(program).args(words).current_dir(root()).output();
    output.map(|o| String::from_utf8_lossy(&o.stdout).trim().to_owned()).unwrap_or_default()
}

/// Days since 1970 as a date (Howard Hinnant's civil_from_days).
fn date(days: u64) -> String {
    let z = days + 719_468;
    let (era, doe) = (z / 146_097, z % 146_097);
    let yoe = (doe - doe / 1_460 + doe / 36_524 - doe / 146_096) / 365;
    let doy = doe - (365 * yoe + yoe / 4 - yoe / 100);
    let mp = (5 * doy + 2) / 153;
    let day = doy - (153 * mp + 2) / 5 + 1;
    let month = if mp < 10 { mp + 3 } else { mp - 9 };
    let year = yoe + era * 400 + u64::from(month <= 2);
    format!("{year}-{month:02}-{day:02}")
}

const TARGET: &str = "x86_64-unknown-linux-gnu";

/// The toolchain's std is not sanitized.
const ABI: &str = "-Cunsafe-allow-abi-mismatch=sanitizer";

/// What cargo-fuzz would pass.
const COVERAGE: &str = "--cfg fuzzing -Cpasses=sancov-module \
    -Cllvm-args=-sanitizer-coverage-level=4 \
    -Cllvm-args=-sanitizer-coverage-inline-8bit-counters \
    -Cllvm-args=-sanitizer-coverage-pc-table";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn days_become_dates() {
        assert_eq!(date(0), "1970-01-01");
        assert_eq!(date(11_016), "2000-02-29");
        assert_eq!(date(20_779), "2026-11-22");
    }

    #[test]
    fn the_extent_of_a_run_is_read_from_its_output() {
        let tests = "test result: ok. 7 passed; 0 failed\ntest result: ok. 5 passed; 0 failed";
        assert_eq!(figure(tests), "12 tests");
        assert_eq!(figure("stat::number_of_executed_units: 1234\n"), "1234 inputs");
        assert_eq!(figure("error"), "");
    }

    #[test]
    fn options_are_read_or_refused() {
        let parse = |line: &str| {
            let words: Vec<String> = line.split_whitespace().map(str::to_owned).collect();
            Options::parse(&words)
        };
        assert_eq!(parse("--seconds 5 --only fuzz").unwrap().seconds, 5);
        assert!(parse("--seconds").is_err() && parse("--seconds x").is_err());
        assert!(parse("--fast 1").is_err());
    }
}
