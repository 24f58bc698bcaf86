//! Runs experiments by name: `millstream-benches udp_echo --runs 5`. Reports and exits with 0.

use clap::Parser;
use millstream_benches::report::Options;
use millstream_benches::{EXPERIMENTS, daemon};
use std::path::PathBuf;

/// Measures the stack against bare programs and the kernel; results go to the terminal and to
/// one JSON file per experiment.
#[derive(Parser)]
struct Args {
    /// udp_echo, udp_echo_super, forward, structure, flood, rr, change, tcp_bulk, tcp_pair,
    /// tcp_rr, tcp_conn, rpc, or all
    experiment: String,
    /// Runs of each line, in turn with those of the others
    #[arg(long, default_value_t = 5)]
    runs: usize,
    /// Length of one run
    #[arg(long, default_value_t = 1.0)]
    seconds: f64,
    /// Two short runs: whether it works, not how fast it is
    #[arg(long)]
    quick: bool,
    /// Only lines whose name contains this text; nothing is kept then
    #[arg(long)]
    only: Option<String>,
    /// Where the JSON files go
    #[arg(long, default_value = "results")]
    out: PathBuf,
    /// Socket of the daemon; only for the application's process that `structure` starts
    #[arg(long, hide = true)]
    socket: Option<PathBuf>,
    /// Core of that process
    #[arg(long, hide = true)]
    core: Option<usize>,
}

fn main() {
    let args = Args::parse();
    if let Some(socket) = args.socket {
        if let Err(why) = daemon::application(&socket, args.core) {
            eprintln!("the application has failed: {why}");
        }
        return;
    }
    let (runs, seconds) = if args.quick { (2, 0.2) } else { (args.runs.max(1), args.seconds) };
    let options = Options { runs, seconds, quick: args.quick, only: args.only, out: args.out };
    let mut known = false;
    for (name, experiment) in EXPERIMENTS {
        if args.experiment != "all" && args.experiment != *name {
            continue;
        }
        known = true;
        match experiment(&options) {
            Ok(report) => report.print_and_save(&options),
            Err(why) => println!("skipped: {name}: {why}\n"),
        }
    }
    if !known {
        let names: Vec<&str> = EXPERIMENTS.iter().map(|(name, _)| *name).collect();
        eprintln!("no experiment {:?}: there are {} and all", args.experiment, names.join(", "));
    }
}
