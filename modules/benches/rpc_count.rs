//! rpc_count: instructions per call under callgrind, in `rpc` and with `programs`, against a
//! committed baseline. What is counted is what `benches/rpc.rs` times. How it is compared:
//! [`Gate`].

#[path = "rpc_kit/mod.rs"]
mod rpc_kit;

use millstream_rig::{Figure, Gate};
use rpc_kit::{Above, Server, What};
use std::process::ExitCode;

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

const GATE: Gate = Gate {
    name: "rpc_count",
    baseline: concat!(env!("CARGO_MANIFEST_DIR"), "/benches/rpc_count.baseline"),
    values: &["per call"],
    job: run,
    smoke: "rpc/null/batch_1 1",
};

fn main() -> ExitCode {
    GATE.run(measure)
}

fn measure(gate: &Gate) -> Vec<Figure> {
    let per_call = |name: &str| {
        let of = |calls: usize| gate.instructions(&format!("{name} {calls}"), None);
        (of(2 * CALLS) - of(CALLS)) as f64 / CALLS as f64
    };
    CASES.iter().map(|(name, ..)| (name.to_string(), vec![per_call(name)])).collect()
}

fn run(job: &str) {
    let (name, calls) = job.split_once(' ').expect("a job has two words");
    let case = CASES.iter().find(|case| case.0 == name).expect("a known case");
    let (_, above, what, batch) = *case;
    let mut server = Server::new(above, what, batch);
    let calls: usize = calls.parse().expect("a number");
    (0..calls / batch).for_each(|_| server.round());
}
