//! instructions: what work costs in instructions, by callgrind, and in which folder of the sources
//! they are. A count does not depend on what else the machine does.
//!
//! The work runs in a process of its own, twice, with different numbers of rounds; the difference
//! is what the rounds cost.

use crate::Trouble;
use crate::chain::{Chain, Nested, Style};
use crate::in_memory::tcp::{Connected, Form, Talk};
use crate::in_memory::{Echo, Fused, Layered, Shape, batch};
use crate::stream;
use millstream_host::GivenClock;
use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Where in the sources instructions are, by the paths of files. What matches none is
/// [`ELSEWHERE`].
pub const FOLDERS: [(&str, &str); 10] = [
    ("core", "stack/core/src/"),
    ("messages", "stack/msg/src/"),
    ("arp", "modules/src/arp"),
    ("ip", "modules/src/ip"),
    ("udp", "modules/src/udp"),
    ("tcp", "modules/src/tcp"),
    ("shared", "modules/src/"),
    ("host", "stack/host/src/"),
    ("drivers", "drivers/src/"),
    ("echo", "benches/src/"),
];

/// Libraries, and what the compiler made of them.
pub const ELSEWHERE: &str = "libraries";

/// Rounds of the shorter run, and of the longer one.
const ROUNDS: [usize; 2] = [200, 400];

/// What a round of TCP takes, by its clock.
const ROUND_NS: u64 = 100_000;

/// Instructions of one round of a job, by folder as [`FOLDERS`] has them, [`ELSEWHERE`] last.
///
/// # Errors
/// Without valgrind, or when the job fails.
pub fn of(job: &str) -> Result<[f64; FOLDERS.len() + 1], Trouble> {
    let [short, long] = ROUNDS.map(|rounds| count(job, rounds));
    let (short, long) = (short?, long?);
    let rounds = (ROUNDS[1] - ROUNDS[0]) as f64;
    Ok(std::array::from_fn(|nth| (long[nth] as f64 - short[nth] as f64) / rounds))
}

type Counts = [u64; FOLDERS.len() + 1];

/// Runs a job under callgrind.
fn count(job: &str, rounds: usize) -> Result<Counts, Trouble> {
    let nth = std::process::id();
    let out: PathBuf = std::env::temp_dir().join(format!("millstream-callgrind-{nth}"));
    let output = Command::new("valgrind")
        .args(["--tool=callgrind", "--quiet"])
        .arg(format!("--callgrind-out-file={}", out.display()))
        .args(within(job).map(|function| format!("--toggle-collect={function}")))
        .arg(program()?)
        .args(["job", job, &rounds.to_string()])
        .output()
        .map_err(|why| format!("valgrind: {why}"))?;
    let counted = std::fs::read_to_string(&out);
    let _nothing_there = std::fs::remove_file(&out);
    if !output.status.success() {
        return Err(format!("{job}: {}", String::from_utf8_lossy(&output.stderr)).into());
    }
    Ok(by_folder(&counted?))
}

/// The function of a job beside which nothing is counted, if it has one.
fn within(job: &str) -> Option<&'static str> {
    job.starts_with("tcp ").then_some("*Station::measured*")
}

/// The program that knows the jobs: this one, or in a test the one beside it.
pub(crate) fn program() -> Result<PathBuf, Trouble> {
    let own = std::env::current_exe()?;
    let above = own.ancestors().nth(2).unwrap_or(Path::new("")).join("millstream-benches");
    Ok(if own.file_stem().is_some_and(|name| name == "millstream-benches") { own } else { above })
}

/// Sums a file of callgrind: costs belong to the file of the line they were compiled from, and
/// where that is a library's, to the file of the function that it was inlined into.
fn by_folder(text: &str) -> Counts {
    let mut names: HashMap<&str, usize> = HashMap::new();
    let (mut function, mut here) = (FOLDERS.len(), FOLDERS.len());
    let mut counts = [0; FOLDERS.len() + 1];
    let mut skip = false;
    for line in text.lines() {
        if let Some((key, name)) = line.split_once('=') {
            let file = |names: &HashMap<&str, usize>| {
                let number = name.split(' ').next().unwrap_or_default();
                names.get(number).copied().unwrap_or(FOLDERS.len())
            };
            match key {
                "fl" | "fi" | "fe" => {
                    if let Some((number, path)) = name.split_once(' ') {
                        names.insert(number, folder(path));
                    }
                    let folder = file(&names);
                    if key == "fl" {
                        function = folder;
                    }
                    here = if folder == FOLDERS.len() { function } else { folder };
                }
                // The names of called files count among those of all files.
                "cfi" | "cfl" => {
                    if let Some((number, path)) = name.split_once(' ') {
                        names.insert(number, folder(path));
                    }
                }
                // The next line has the cost of the called function.
                "calls" => skip = true,
                _ => {}
            }
        } else if line.starts_with(|c: char| c.is_ascii_digit() || "+-*".contains(c)) {
            let cost = line.split(' ').nth(1).and_then(|cost| cost.parse::<u64>().ok());
            if !std::mem::take(&mut skip) {
                counts[here] += cost.unwrap_or_default();
            }
        }
    }
    counts
}

fn folder(path: &str) -> usize {
    let known = |(_, part): &(&str, &str)| path.contains(part);
    FOLDERS.iter().position(known).unwrap_or(FOLDERS.len())
}

/// Does work so often; what a child of [`of`] runs.
///
/// # Errors
/// No such job, or it fails.
pub fn job(name: &str, rounds: usize) -> Result<(), Trouble> {
    let words: Vec<&str> = name.split(' ').collect();
    let number = |word: &str| word.parse::<usize>().map_err(|_| format!("no number: {word}"));
    match words[..] {
        ["chain", style, batch, modules] => {
            let style = if style == "service" { Style::Service } else { Style::PerMessage };
            let mut chain = Chain::new(number(modules)?, style, number(batch)?, None);
            (0..rounds).for_each(|_| chain.cycle());
        }
        ["nested", modules] => {
            let mut nested = Nested::new(number(modules)?);
            (0..rounds).for_each(|_| nested.cycle());
        }
        ["layered", shape, count] => echoes(&mut Layered::new()?, shape, number(count)?, rounds)?,
        ["fused", shape, count] => echoes(&mut Fused::new()?, shape, number(count)?, rounds)?,
        ["tcp"] => {
            // The machine's is on a page of the kernel's that callgrind does not have.
            let clock = GivenClock::default();
            let mut two = stream::Two::on(Some(clock.clone()))?;
            let connection = two.connected()?;
            for round in 1..=rounds as u64 {
                clock.move_to(round * ROUND_NS);
                two.round(connection)?;
            }
        }
        ["tcp", form, talk] => {
            let form = if form == "layered" { Form::Layered } else { Form::Fused };
            let talk = Talk::ALL.into_iter().find(|known| known.word() == talk);
            let clock = Some(GivenClock::default());
            let mut connected = Connected::new(form, talk.ok_or("no such talk")?, clock)?;
            // As many messages: where the window is the limit a round has several.
            let mut messages = 0.0;
            while messages < rounds as f64 {
                messages += connected.round()?.1;
            }
        }
        ["idle"] => crate::experiments::churn::idle(rounds)?,
        _ => return Err(format!("no job {name:?}").into()),
    }
    Ok(())
}

fn echoes(stack: &mut dyn Echo, shape: &str, count: usize, rounds: usize) -> Result<(), Trouble> {
    let shape = match shape {
        "small" => Shape::Small,
        "full" => Shape::Full,
        _ => Shape::Super,
    };
    for _ in 0..rounds {
        batch(stack, shape, count)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn costs_go_to_the_folder_of_their_line_and_those_of_libraries_to_who_called_them() {
        let text = "events: Ir\n\
            fl=(1) /x/stack/core/src/cx.rs\nfn=(1) a\n10 5\n+2 3\n\
            fi=(2) /rustc/library/core/src/slice.rs\n7 11\n\
            fe=(1)\n* 2\n\
            cfi=(3) /x/modules/src/ip/view.rs\ncfn=(2) b\ncalls=1 4\n12 1000\n\
            fl=(3)\nfn=(2)\n4 40\n\
            fl=(4) /x/malloc.c\nfn=(3) c\n1 7\n";
        let counts = by_folder(text);
        let at = |name: &str| counts[FOLDERS.iter().position(|(n, _)| *n == name).unwrap()];
        assert_eq!((at("core"), at("ip"), counts[FOLDERS.len()]), (21, 40, 7));
    }

    #[test]
    fn an_unknown_job_is_refused() {
        assert!(job("no such", 1).is_err());
        assert!(job("nested many", 1).is_err());
        assert!(job("tcp layered sideways", 1).is_err());
        job("tcp fused echo", 1).unwrap();
        job("nested 2", 1).unwrap();
    }
}
