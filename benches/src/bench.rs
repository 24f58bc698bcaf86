//! bench: names of experiments become figures, files and a page.

use clap::Args;
use millstream_benches::report::{self, Options, Progress, Report};
use millstream_benches::{EXPERIMENTS, Experiment, Trouble, page};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// What is measured, how long, and where it is kept.
#[derive(Debug, Args)]
pub(crate) struct Bench {
    /// Experiments; all when none is named
    #[arg(value_name = "NAME")]
    names: Vec<String>,
    /// Runs of each line, in turn with those of the others
    #[arg(long, default_value_t = 5)]
    runs: usize,
    /// Length of one run
    #[arg(long, default_value_t = 1.0)]
    seconds: f64,
    /// Short runs, within three minutes: whether it works, not how fast it is
    #[arg(long)]
    quick: bool,
    /// Done within so many minutes: experiments that take longer have fewer runs, at least one
    #[arg(long, value_name = "MINUTES")]
    within: Option<f64>,
    /// Only lines whose name contains this text
    #[arg(long, value_name = "TEXT")]
    only: Option<String>,
    /// Where the files go: results, if it is a full run of all lines; else nothing is kept
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
    /// Name the experiments, and do no more
    #[arg(long)]
    list: bool,
}

/// Where full runs are kept.
const RESULTS: &str = "results";

/// A quick look takes so long altogether: CI waits for it.
const QUICK_MAX: Duration = Duration::from_secs(150);
const QUICK_RUNS: usize = 2;
/// Longer than any warm-up.
const QUICK_SECONDS: f64 = 0.12;

type Named = (&'static str, Experiment);

impl Bench {
    pub(crate) fn run(self) -> Result<(), Trouble> {
        if self.list {
            EXPERIMENTS.iter().for_each(|(name, _)| println!("{name}"));
            return Ok(());
        }
        let chosen = choose(&self.names)?;
        let options = self.options();
        if let Some(folder) = &options.out {
            report::check_folder(folder)?;
        }
        let began = Instant::now();
        let within = self.within.map(|minutes| Duration::from_secs_f64(minutes.max(0.0) * 60.0));
        let within = if self.quick { Some(QUICK_MAX) } else { within };
        let end = within.map(|within| began + within);
        let mut reports = Vec::new();
        let mut not_kept = 0;
        for (nth, &(name, experiment)) in chosen.iter().enumerate() {
            let now = Instant::now();
            let share = share(chosen[nth..].iter().map(|(name, _)| *name));
            let until = end.map(|end| now + end.saturating_duration_since(now).mul_f64(share));
            let progress = Progress::begin(nth + 1, chosen.len(), name);
            let options = Options { until, progress, ..options.clone() };
            let report = measure(name, experiment, &options);
            println!("{report}");
            eprintln!("{name}: {}", so_far(now.elapsed(), began.elapsed(), within));
            not_kept += usize::from(!keep(&report, options.out.as_deref()));
            reports.push(report);
        }
        if let Some(folder) = &options.out {
            let path = folder.join("report.html");
            match report::write(&path, &page::html(&reports)) {
                Ok(()) => println!("{}", path.display()),
                Err(why) => {
                    eprintln!("{} was not written: {why}", path.display());
                    not_kept += 1;
                }
            }
        }
        if not_kept > 0 { Err(format!("{not_kept} files were not written").into()) } else { Ok(()) }
    }

    fn options(&self) -> Options {
        let (runs, seconds) = match self.quick {
            true => (QUICK_RUNS, QUICK_SECONDS),
            false => (self.runs.max(1), self.seconds.max(0.001)),
        };
        let whole = !self.quick && self.only.is_none();
        let out = self.out.clone().or_else(|| whole.then(|| RESULTS.into()));
        Options {
            runs,
            seconds,
            quick: self.quick,
            only: self.only.clone(),
            out,
            ..Options::default()
        }
    }
}

/// How much of the time that is left the first of these experiments may take: they have more or
/// fewer lines, which take longer or shorter.
fn share<'a>(names: impl Iterator<Item = &'a str>) -> f64 {
    let weights: Vec<u32> = names.map(weight).collect();
    let all: u32 = weights.iter().sum();
    f64::from(weights.first().copied().unwrap_or(1)) / f64::from(all.max(1))
}

fn weight(name: &str) -> u32 {
    match name {
        "structures" => 16,
        "tcp_bulk" => 12,
        "instructions" => 10,
        "scale" => 8,
        "layers" | "offloads" | "tcp_rr" | "fused" | "rpc" => 4,
        "udp_echo" | "cost" | "change" | "tcp_conn" | "forward" | "structure" => 3,
        _ => 2,
    }
}

fn so_far(this: Duration, all: Duration, within: Option<Duration>) -> String {
    let minutes = |time: Duration| time.as_secs_f64() / 60.0;
    let of = within.map(|within| format!(" of {:.1}", minutes(within))).unwrap_or_default();
    format!("{:.0} s; {:.1}{of} minutes so far", this.as_secs_f64(), minutes(all))
}

fn choose(names: &[String]) -> Result<Vec<Named>, Trouble> {
    if names.is_empty() || names.iter().any(|name| name == "all") {
        return Ok(EXPERIMENTS.to_vec());
    }
    let find = |name: &String| {
        let found = EXPERIMENTS.iter().find(|(known, _)| known == name);
        let known: Vec<&str> = EXPERIMENTS.iter().map(|(name, _)| *name).collect();
        found.copied().ok_or_else(|| {
            Trouble::from(format!("no experiment {name:?}: there are {}", known.join(", ")))
        })
    };
    names.iter().map(find).collect()
}

fn measure(name: &str, experiment: Experiment, options: &Options) -> Report {
    let report = experiment(options);
    options.progress.end();
    report.unwrap_or_else(|why| Report::skip(name, &why.to_string(), options))
}

/// False when it was to be kept and is not.
fn keep(report: &Report, folder: Option<&Path>) -> bool {
    match folder.map(|folder| report.keep(folder)) {
        Some(Ok(path)) => println!("kept in {}\n", path.display()),
        Some(Err(why)) => {
            eprintln!("{why}");
            return false;
        }
        None => println!("a look: nothing is kept without --out\n"),
    }
    true
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_time_is_shared_out_to_the_last_experiment_whatever_their_weights() {
        let names: Vec<&str> = EXPERIMENTS.iter().map(|(name, _)| *name).collect();
        let mut left = 1.0;
        for nth in 0..names.len() {
            let part = left * share(names[nth..].iter().copied());
            assert!(part > 0.0, "{}", names[nth]);
            left -= part;
        }
        assert!(left.abs() < 1e-9);
    }

    #[test]
    fn the_time_so_far_is_told_with_what_there_is() {
        let [this, all] = [90, 120].map(Duration::from_secs);
        assert_eq!(so_far(this, all, None), "90 s; 2.0 minutes so far");
        let within = Some(Duration::from_secs(1440));
        assert_eq!(so_far(this, all, within), "90 s; 2.0 of 24.0 minutes so far");
    }
}
