//! cmd: the command line becomes a command. A new command is a file in `cmd/`, a variant of
//! [`Command`], and a line in [`Command::run`].

mod bench;
mod capture;
mod completions;
mod conf;
mod demo;
mod doctor;
mod down;
mod find;
mod graph;
mod hist;
mod insert;
mod link;
mod load;
mod man;
mod modules;
mod monitor;
mod nc;
mod params;
mod ping;
mod pop;
mod push;
mod rates;
mod remove;
mod replace;
mod replay;
mod rpc;
mod rpcgen;
mod run;
mod set;
mod ss;
mod stat;
mod top;
mod trace;
mod unlink;
mod up;

use crate::render;
use clap::{Parser, Subcommand};
use millstream_host::ctl::{self, Client, CtlError};
use std::process::ExitCode;

/// A stack of STREAMS modules in userspace, on TAP interfaces.
#[derive(Debug, Parser)]
#[command(name = "millstream", version, max_term_width = 100, after_help = EXIT_CODES)]
pub(crate) struct Cli {
    #[command(flatten)]
    common: Common,
    #[command(subcommand)]
    command: Command,
}

/// Options of every command.
#[derive(Clone, Debug, clap::Args)]
pub(crate) struct Common {
    /// Name of the stack; may be left out where only one runs
    #[arg(long, global = true, value_name = "NAME")]
    pub(crate) name: Option<String>,
    /// Print JSON instead of text
    #[arg(long, global = true)]
    pub(crate) json: bool,
}

const EXIT_CODES: &str = "Exit codes: 0 done, 1 failed (the reason is on stderr), 2 wrong usage, \
    3 no such stack runs.";

#[derive(Debug, Subcommand)]
enum Command {
    Demo(demo::Demo),
    Doctor(doctor::Doctor),
    Up(up::Up),
    Down(down::Down),
    Conf(conf::Conf),
    Ss(ss::Ss),
    Stat(stat::Stat),
    Push(push::Push),
    Pop(pop::Pop),
    Insert(insert::Insert),
    Remove(remove::Remove),
    Replace(replace::Replace),
    Replay(replay::Replay),
    Rpcgen(rpcgen::Rpcgen),
    Run(run::Run),
    Set(set::Set),
    Link(link::Link),
    Unlink(unlink::Unlink),
    Find(find::Find),
    Graph(graph::Draw),
    Top(top::Top),
    Trace(trace::Trace),
    Hist(hist::Hist),
    Monitor(monitor::Monitor),
    Capture(capture::Capture),
    Ping(ping::Ping),
    Load(load::Load),
    Nc(nc::Nc),
    Rpc(rpc::Rpc),
    Bench(bench::Bench),
    Report(bench::Report),
    Modules(modules::Modules),
    Completions(completions::Completions),
    Man(man::Man),
}

impl Command {
    fn run(self, common: &Common) -> Result<(), Failure> {
        match self {
            Self::Demo(command) => command.run(),
            Self::Doctor(command) => command.run(common),
            Self::Up(command) => command.run(common),
            Self::Down(command) => command.run(common),
            Self::Conf(command) => command.run(common),
            Self::Ss(command) => command.run(common),
            Self::Stat(command) => command.run(common),
            Self::Push(command) => command.run(common),
            Self::Pop(command) => command.run(common),
            Self::Insert(command) => command.run(common),
            Self::Remove(command) => command.run(common),
            Self::Replace(command) => command.run(common),
            Self::Replay(command) => command.run(common),
            Self::Rpcgen(command) => command.run(),
            Self::Run(command) => command.run(common),
            Self::Set(command) => command.run(common),
            Self::Link(command) => command.run(common),
            Self::Unlink(command) => command.run(common),
            Self::Find(command) => command.run(common),
            Self::Graph(command) => command.run(common),
            Self::Top(command) => command.run(common),
            Self::Trace(command) => command.run(common),
            Self::Hist(command) => command.run(common),
            Self::Monitor(command) => command.run(common),
            Self::Capture(command) => command.run(common),
            Self::Ping(command) => command.run(common),
            Self::Load(command) => command.run(common),
            Self::Nc(command) => command.run(),
            Self::Rpc(command) => command.run(common),
            Self::Bench(command) => command.run(),
            Self::Report(command) => command.run(),
            Self::Modules(command) => command.run(common),
            Self::Completions(command) => command.run(),
            Self::Man(command) => command.run(),
        }
    }
}

impl Common {
    /// Connects to the stack that is meant.
    pub(crate) fn connect(&self) -> Result<Client, Failure> {
        Ok(Client::connect(&ctl::pick(self.name.as_deref())?)?)
    }
}

/// Why a command failed: a sentence for stderr and an exit code.
#[derive(Debug)]
pub(crate) enum Failure {
    /// It could not be done.
    Failed(String),
    /// It was asked for in a wrong way.
    Usage(String),
    /// The stack does not run.
    NoStack(String),
    /// It was said already.
    Said,
}

impl From<CtlError> for Failure {
    fn from(error: CtlError) -> Self {
        match error {
            error if error.is_no_stack() => Self::NoStack(error.to_string()),
            CtlError::Ambiguous { .. } | CtlError::BadName { .. } => Self::Usage(error.to_string()),
            error => Self::Failed(error.to_string()),
        }
    }
}

/// Runs the command of the process.
pub(crate) fn run() -> ExitCode {
    let Cli { common, command } = Cli::parse();
    let (sentence, code) = match command.run(&common) {
        Ok(()) => return ExitCode::SUCCESS,
        Err(Failure::Failed(sentence)) => (sentence, 1),
        Err(Failure::Usage(sentence)) => (sentence, 2),
        Err(Failure::NoStack(sentence)) => (sentence, 3),
        Err(Failure::Said) => return ExitCode::FAILURE,
    };
    render::complain(&sentence);
    ExitCode::from(code)
}
