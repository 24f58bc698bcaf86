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
        let end = self.quick.then(|| Instant::now() + QUICK_MAX);
        let mut reports = Vec::new();
        let mut not_kept = 0;
        for (nth, &(name, experiment)) in chosen.iter().enumerate() {
            let left = (chosen.len() - nth) as u32;
            let now = Instant::now();
            let until = end.map(|end| now + end.saturating_duration_since(now) / left);
            let progress = Progress::begin(nth + 1, chosen.len(), name);
            let options = Options { until, progress, ..options.clone() };
            let report = measure(name, experiment, &options);
            println!("{report}");
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
