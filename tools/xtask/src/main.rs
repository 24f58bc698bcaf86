//! Development commands: `cargo xtask NAME`. A new one is a file and a line in [`COMMANDS`].

mod ci;
mod headers;
mod install;
mod nightly;
mod step;
mod tidy;
mod tree;

use std::process::ExitCode;

/// Name, what it does, and the function.
type Command = (&'static str, &'static str, fn(&[String]) -> Result<(), String>);

const COMMANDS: &[Command] = &[
    ("ci", "what a change has to pass: format, lints, documentation, tests, tidy", ci::run),
    ("headers", "makes millstream.h from the source of the library", headers::run),
    ("install", "the library of STREAMS for programs in C, below --prefix DIR", install::run),
    ("nightly", "sanitizers, loom, fuzzing; results in results/nightly.md", nightly::run),
    ("tidy", "lengths of files and lines, leftovers, tests of modules", tidy::run),
];

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let named = args.first().and_then(|name| COMMANDS.iter().find(|(known, ..)| known == name));
    let Some((name, _, run)) = named else {
        eprintln!("usage: cargo xtask COMMAND");
        for (name, about, _) in COMMANDS {
            eprintln!("  {name:<8} {about}");
        }
        return ExitCode::from(2);
    };
    match run(&args[1..]) {
        Ok(()) => ExitCode::SUCCESS,
        Err(sentence) => {
            eprintln!("xtask {name}: {sentence}");
            ExitCode::FAILURE
        }
    }
}
