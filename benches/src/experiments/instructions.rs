//! Instructions of a message: in the folders of the sources, layered and fused, and per module.

use crate::Trouble;
use crate::chain::{Style, TRIPS};
use crate::experiments::layers::{MODULES, WAYS, name};
use crate::instructions::{self, FOLDERS};
use crate::report::{Options, Point, Report, Side};
use std::process::Command;

const ABOUT: &str = "instructions of a message by callgrind, by the folder of the sources that \
    they are in (inlined code where it was written, that of libraries where it was called), and \
    over the number of modules";

const BY_FOLDER: &[(&str, &str)] = &[
    ("core", "instructions"),
    ("messages", "instructions"),
    ("arp", "instructions"),
    ("ip", "instructions"),
    ("udp", "instructions"),
    ("tcp", "instructions"),
    ("shared", "instructions"),
    ("host", "instructions"),
    ("drivers", "instructions"),
    ("echo", "instructions"),
    ("libraries", "instructions"),
];
const _: () = assert!(BY_FOLDER.len() == FOLDERS.len() + 1);
const MESSAGE: &[(&str, &str)] = &[("message", "instructions")];
const BULK: &str = "TCP bulk, both ends, four messages of 64,240 bytes and their ACKs";

/// Jobs of a program over TCP: name and job. A message is a byte there and back, or 64 KiB.
const PROGRAMS: [(&str, &str); 8] = [
    ("layered, a byte there and back", "tcp layered echo"),
    ("fused, a byte there and back", "tcp fused echo"),
    ("layered, inwards, super-frames of 64 KiB", "tcp layered inwards"),
    ("fused, inwards, super-frames of 64 KiB", "tcp fused inwards"),
    ("layered, inwards, 64 KiB in frames of the MTU", "tcp layered inwards_plain"),
    ("fused, inwards, 64 KiB in frames of the MTU", "tcp fused inwards_plain"),
    ("layered, outwards, super-frames of 64 KiB", "tcp layered outwards"),
    ("fused, outwards, super-frames of 64 KiB", "tcp fused outwards"),
];

/// Jobs of the echo: name, job, messages of a round.
const ECHOES: [(&str, &str, f64); 8] = [
    ("layered, 64 bytes, batches of 32", "layered small 32", 32.0),
    ("fused, 64 bytes, batches of 32", "fused small 32", 32.0),
    ("layered, 64 bytes, one by one", "layered small 1", 1.0),
    ("fused, 64 bytes, one by one", "fused small 1", 1.0),
    ("layered, super-frames of 64 KiB, batches of 8", "layered super 8", 8.0),
    ("fused, super-frames of 64 KiB, batches of 8", "fused super 8", 8.0),
    ("layered, super-frames of 64 KiB, one by one", "layered super 1", 1.0),
    ("fused, super-frames of 64 KiB, one by one", "fused super 1", 1.0),
];

/// Runs the experiment. Counts do not spread: one run, however many are asked for.
///
/// # Errors
/// Without valgrind.
pub fn run(options: &Options) -> Result<Report, Trouble> {
    let there = Command::new("valgrind").arg("--version").output();
    there.map_err(|why| format!("valgrind: {why}"))?;
    let mut report = Report::in_memory("instructions", ABOUT, options);
    let options = &Options { runs: 1, ..options.clone() };
    // Each line starts valgrind twice.
    let (echoes, ways) = if options.quick { (2, 1) } else { (ECHOES.len(), WAYS.len()) };
    let programs = if options.quick { 0 } else { PROGRAMS.len() };
    let mut sides = Vec::new();
    for &(what, job, messages) in &ECHOES[..echoes] {
        let sample = move || Ok(instructions::of(job)?.map(|count| count / messages).into());
        let name = format!("UDP echo, {what}");
        sides.push(Side { name, figures: BY_FOLDER, sample: Box::new(sample) });
    }
    for &(what, job) in &PROGRAMS[..programs] {
        let sample = move || Ok(instructions::of(job)?.into());
        let name = format!("TCP, {what}");
        sides.push(Side { name, figures: BY_FOLDER, sample: Box::new(sample) });
    }
    let bulk = || Ok(instructions::of("tcp")?.into());
    sides.push(Side { name: BULK.into(), figures: BY_FOLDER, sample: Box::new(bulk) });
    let modules = if options.quick { vec![0, 16] } else { MODULES.to_vec() };
    for &(way, form) in &WAYS[..ways] {
        for &modules in &modules {
            let job = match form {
                Some((Style::Service, batch)) => format!("chain service {batch} {modules}"),
                Some((_, batch)) => format!("chain put {batch} {modules}"),
                None => format!("nested {modules}"),
            };
            let sample = move || {
                let all: f64 = instructions::of(&job)?.iter().sum();
                Ok(vec![all / TRIPS as f64])
            };
            let name = name(way, modules);
            sides.push(Side { name, figures: MESSAGE, sample: Box::new(sample) });
        }
    }
    report.measure(options, &sides);
    for (what, ..) in ECHOES {
        report.whole("instructions of an echo", &format!("UDP echo, {what}"));
    }
    for (what, _) in PROGRAMS {
        report.whole("instructions of a program over TCP", &format!("TCP, {what}"));
    }
    report.whole("instructions of TCP", BULK);
    for (way, _) in WAYS {
        let points = modules.iter().map(|&n| Point { x: n as f64, side: name(way, n) });
        report.curve("a message through modules", way, "message", "modules", points.collect());
    }
    report.note(
        "core is STREAMS itself; shared is what modules have in common; the rounds include \
        making the frames and freeing the answers, in messages and libraries, alike in both forms",
    );
    Ok(report)
}
