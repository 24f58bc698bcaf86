//! Runs experiments by name and makes the report of their files: what `millstream bench` and
//! `millstream report` start.

mod bench;

use clap::{Parser, Subcommand};
use millstream_benches::experiments::shim;
use millstream_benches::{Trouble, baseline, instructions, page, report, summary};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

/// Measure the stack against bare programs, the kernel and other structures
///
/// Experiments run by name, or all. The figures go to the terminal, to one JSON file for each
/// experiment, and to report.html beside them. Speed decides nothing: the exit code is 1 only when
/// results could not be kept.
#[derive(Parser)]
#[command(bin_name = "millstream bench", args_conflicts_with_subcommands = true)]
struct Args {
    #[command(subcommand)]
    other: Option<Other>,
    #[command(flatten)]
    bench: bench::Bench,
}

#[derive(Subcommand)]
enum Other {
    /// Make one page of the files of experiments, with plots
    #[command(bin_name = "millstream report")]
    Report {
        /// Files that `millstream bench` has written
        #[arg(required = true)]
        files: Vec<PathBuf>,
        /// The page
        #[arg(short, long, default_value = "report.html")]
        output: PathBuf,
        /// Print the table of the README instead
        #[arg(long)]
        markdown: bool,
    },
    /// Work whose instructions are counted
    #[command(hide = true)]
    Job {
        /// What is done
        name: String,
        /// How often
        count: usize,
    },
    /// The protocol daemon of `structures`
    #[command(hide = true)]
    Daemon(baseline::DaemonArgs),
    /// A layer below the daemon, where each has a process
    #[command(hide = true)]
    Layer(baseline::LayerArgs),
    /// A program over the daemon
    #[command(hide = true)]
    Program(baseline::ProgramArgs),
    /// A program over the stack's port
    #[command(hide = true)]
    OverPort(baseline::PortArgs),
    /// An echo that knows of no stack
    #[command(hide = true)]
    UnchangedEcho {
        /// Where it listens
        #[arg(long)]
        port: u16,
    },
    /// Calls that are nobody's but the kernel's
    #[command(hide = true)]
    UnchangedCalls {
        /// Which
        #[arg(long)]
        what: shim::Calls,
    },
}

fn main() -> ExitCode {
    let Args { other, bench } = Args::parse();
    let done = match other {
        None => bench.run(),
        Some(Other::Report { files, output, markdown }) => {
            make_page(&files, (!markdown).then_some(&*output))
        }
        Some(Other::Job { name, count }) => instructions::job(&name, count),
        Some(Other::Daemon(args)) => baseline::daemon(&args),
        Some(Other::Layer(args)) => baseline::layer(&args),
        Some(Other::Program(args)) => baseline::program(&args),
        Some(Other::OverPort(args)) => baseline::port_program(&args),
        Some(Other::UnchangedEcho { port }) => shim::echo(port),
        Some(Other::UnchangedCalls { what }) => shim::calls(what),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(why) => {
            eprintln!("millstream: {why}");
            ExitCode::FAILURE
        }
    }
}

/// A page, or without a place for it the table of the README.
fn make_page(files: &[PathBuf], output: Option<&Path>) -> Result<(), Trouble> {
    let reports = files.iter().map(|file| report::read(file)).collect::<Result<Vec<_>, _>>()?;
    let Some(output) = output else {
        print!("{}", summary::markdown(&reports));
        return Ok(());
    };
    let written = report::write(output, &page::html(&reports));
    written.map_err(|why| format!("{} was not written: {why}", output.display()))?;
    println!("{}", output.display());
    Ok(())
}
