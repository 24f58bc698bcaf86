//! segment_count: instructions per segment of TCP under callgrind, through driver, `arp`, `ip`,
//! `tcp` and head, against a committed baseline. How it is compared: [`Gate`].
//!
//! In `bulk` a message of 44 full segments leaves one stack, comes to the other in one batch, is
//! taken, and is acknowledged; beside 10 connections that are still, and beside 2,000. In `one` an
//! octet goes there and another comes back, each alone, with the acknowledgement of the one
//! before. Devices leave checksums alone and cut nothing. Each figure is the difference of two runs
//! that differ in the number of rounds, so that set-up cancels, and counts what happens within one
//! function.

#[path = "segment_kit/mod.rs"]
mod segment_kit;

use millstream_rig::{Figure, Gate};
use segment_kit::{Hosts, SEGMENTS};
use std::process::ExitCode;

/// Name, kind of round, connections that are still, functions that are counted, and of how many
/// segments they are in a round.
const CASES: [(&str, &str, usize, &[&str], usize); 5] = [
    ("bulk/data_out_and_ack_in/beside_10", "bulk", 10, &["out", "ack_in"], SEGMENTS),
    ("bulk/data_in_and_ack_out/beside_10", "bulk", 10, &["data_in"], SEGMENTS),
    ("bulk/data_in_and_ack_out/beside_2000", "bulk", 2000, &["data_in"], SEGMENTS),
    ("one/out", "one", 10, &["one_out"], 2),
    ("one/in", "one", 10, &["one_in"], 2),
];
/// Rounds by which the two runs differ.
const ROUNDS: usize = 200;

const GATE: Gate = Gate {
    name: "segment_count",
    baseline: concat!(env!("CARGO_MANIFEST_DIR"), "/benches/segment_count.baseline"),
    values: &["per segment"],
    job: run,
    smoke: "one 10 20",
};

fn main() -> ExitCode {
    GATE.run(measure)
}

fn measure(gate: &Gate) -> Vec<Figure> {
    let per_segment = |&(name, kind, idle, functions, segments): &(&str, _, _, &[&str], usize)| {
        let of = |function, rounds| {
            let within = format!("*Hosts::{function}*");
            gate.instructions(&format!("{kind} {idle} {rounds}"), Some(&within))
        };
        let all: u64 = functions.iter().map(|f| of(f, 2 * ROUNDS) - of(f, ROUNDS)).sum();
        (name.to_string(), vec![all as f64 / (ROUNDS * segments) as f64])
    };
    CASES.iter().map(per_segment).collect()
}

fn run(job: &str) {
    let words: Vec<&str> = job.split(' ').collect();
    let [kind, idle, rounds] = words[..] else { panic!("a job has three words") };
    let number = |word: &str| word.parse::<usize>().expect("a number");
    let mut hosts = Hosts::new(number(idle));
    (0..number(rounds)).for_each(|_| match kind {
        "one" => hosts.one_round(),
        _ => hosts.bulk_round(),
    });
}
