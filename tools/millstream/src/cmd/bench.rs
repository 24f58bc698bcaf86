//! bench: measurements and their report are made by a program of their own, `millstream-benches`,
//! which has the peers that this one does without.

use super::Failure;
use std::ffi::OsString;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Measure the stack against bare programs, the kernel and other structures
///
/// `millstream bench --help` tells the options. Experiments run by name, or all; the figures go to
/// the terminal and, with plots, to a folder.
#[derive(Debug, clap::Args)]
#[command(disable_help_flag = true)]
pub(crate) struct Bench {
    /// Names of experiments, and options
    #[arg(trailing_var_arg = true, allow_hyphen_values = true, value_name = "NAME")]
    arguments: Vec<OsString>,
}

/// Make one page of results of `bench`, with plots
///
/// millstream report FILES -o report.html
#[derive(Debug, clap::Args)]
#[command(disable_help_flag = true)]
pub(crate) struct Report {
    /// Files that `bench` has written, and options
    #[arg(trailing_var_arg = true, allow_hyphen_values = true, value_name = "FILE")]
    arguments: Vec<OsString>,
}

impl Bench {
    pub(crate) fn run(self) -> Result<(), Failure> {
        become_benches(&self.arguments)
    }
}

impl Report {
    pub(crate) fn run(self) -> Result<(), Failure> {
        let mut arguments = vec![OsString::from("report")];
        arguments.extend(self.arguments);
        become_benches(&arguments)
    }
}

const BENCHES: &str = "millstream-benches";

/// Gives this process to the other program; returns only when it cannot.
fn become_benches(arguments: &[OsString]) -> Result<(), Failure> {
    let beside = beside(&std::env::current_exe().unwrap_or_default());
    let mut command = match std::env::var_os("CARGO") {
        // Started by cargo: it also knows whether the other one is up to date.
        Some(cargo) => {
            let mut command = Command::new(cargo);
            let manifest = concat!(env!("CARGO_MANIFEST_DIR"), "/../../benches/Cargo.toml");
            command.args(["run", "--quiet", "--release", "--manifest-path", manifest, "--"]);
            command
        }
        None if beside.exists() => Command::new(&beside),
        None => {
            return Err(Failure::Failed(format!(
                "{} is not there: cargo build --release -p {BENCHES} makes it",
                beside.display()
            )));
        }
    };
    let why = command.args(arguments).exec();
    Err(Failure::Failed(format!("{}: {why}", command.get_program().display())))
}

fn beside(own: &Path) -> PathBuf {
    own.with_file_name(BENCHES)
}
