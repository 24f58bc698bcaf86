//! Lines of figures, ratios between them, and how they are printed and kept.

use crate::Trouble;
use serde::Serialize;
use std::path::PathBuf;
use std::process::Command;

/// How experiments are run.
#[derive(Clone, Debug)]
pub struct Options {
    /// Runs of each line.
    pub runs: usize,
    /// Length of one run, in seconds.
    pub seconds: f64,
    /// Only whether it works.
    pub quick: bool,
    /// Only lines whose name contains this.
    pub only: Option<String>,
    /// Folder of the JSON files.
    pub out: PathBuf,
}

/// One thing that is measured in turn with others. A sample is one or more figures.
pub struct Side<'a> {
    /// What is measured; for people and for ratios.
    pub name: String,
    /// Names and units of the figures of a sample.
    pub figures: &'static [(&'static str, &'static str)],
    /// Takes one sample.
    pub sample: Box<dyn Fn() -> Result<Vec<f64>, Trouble> + 'a>,
}

/// What an experiment has found.
#[derive(Debug, Serialize)]
pub struct Report {
    /// Name of the experiment.
    pub experiment: &'static str,
    /// What one figure is and what it is compared with.
    pub about: &'static str,
    machine: Machine,
    lines: Vec<Line>,
    ratios: Vec<Ratio>,
    notes: Vec<String>,
}

#[derive(Debug, Serialize)]
struct Line {
    side: String,
    figure: &'static str,
    unit: &'static str,
    #[serde(flatten)]
    spread: Spread,
}

#[derive(Debug, Serialize)]
struct Ratio {
    of: String,
    to: String,
    figure: &'static str,
    /// What is to be reached; absent where it is only of interest.
    target: Option<f64>,
    #[serde(flatten)]
    spread: Spread,
}

/// Values of all runs, in order, with their median and extremes.
#[derive(Debug, Serialize)]
struct Spread {
    median: f64,
    min: f64,
    max: f64,
    values: Vec<f64>,
}

#[derive(Debug, Serialize)]
struct Machine {
    cpu: String,
    cores: usize,
    kernel: String,
    commit: String,
    command: String,
    /// Class of the threads that are measured: others on the machine get less or nothing.
    scheduling: String,
    /// Programs that wanted a core in the minute before.
    load: f64,
    runs: usize,
    seconds: f64,
}

impl Report {
    /// An empty report.
    pub fn new(experiment: &'static str, about: &'static str, options: &Options) -> Self {
        let (lines, ratios, notes) = Default::default();
        Self { experiment, about, machine: Machine::this(options), lines, ratios, notes }
    }

    /// Takes samples of all sides in turn. A side that fails is left out, with the reason.
    pub fn measure(&mut self, options: &Options, sides: &[Side<'_>]) {
        let wanted = |side: &Side<'_>| options.only.iter().all(|text| side.name.contains(text));
        // `None` from the first failure on.
        let mut samples: Vec<Option<Vec<Vec<f64>>>> =
            sides.iter().map(|side| wanted(side).then(Vec::new)).collect();
        for _ in 0..options.runs {
            for (side, so_far) in sides.iter().zip(&mut samples) {
                let Some(taken) = so_far else { continue };
                match self.sample(side) {
                    Ok(sample) => taken.push(sample),
                    Err(why) => {
                        *so_far = None;
                        self.note(format!("skipped: {}: {why}", side.name));
                    }
                }
            }
        }
        for (side, taken) in sides.iter().zip(samples) {
            let Some(taken) = taken else { continue };
            for (nth, (figure, unit)) in side.figures.iter().enumerate() {
                let values = taken.iter().map(|sample| sample[nth]).collect();
                let (side, spread) = (side.name.clone(), Spread::of(values));
                self.lines.push(Line { side, figure, unit, spread });
            }
        }
    }

    /// One sample; what failed is tried again, and the report says so.
    fn sample(&mut self, side: &Side<'_>) -> Result<Vec<f64>, Trouble> {
        for _ in 1..TRIES {
            match (side.sample)() {
                Err(why) => self.note(format!("taken again: {}: {why}", side.name)),
                taken => return taken,
            }
        }
        (side.sample)()
    }

    /// Compares a figure of two sides, run by run. Says nothing when one of them was skipped.
    pub fn ratio(&mut self, figure: &'static str, of: &str, to: &str, target: Option<f64>) {
        let values = |name: &str| {
            let line = self.lines.iter().find(|l| l.side == name && l.figure == figure)?;
            Some(line.spread.values.clone())
        };
        let (Some(above), Some(below)) = (values(of), values(to)) else { return };
        let values = above.iter().zip(&below).map(|(a, b)| a / b).collect();
        let (of, to, spread) = (of.to_owned(), to.to_owned(), Spread::of(values));
        self.ratios.push(Ratio { of, to, figure, target, spread });
    }

    /// The name of the side with the largest median of a figure.
    pub fn best(&self, figure: &str, among: &[String]) -> Option<String> {
        let lines = self.lines.iter().filter(|l| l.figure == figure && among.contains(&l.side));
        let best = lines.max_by(|a, b| a.spread.median.total_cmp(&b.spread.median));
        best.map(|line| line.side.clone())
    }

    /// The lines that there are.
    pub fn sides(&self) -> impl Iterator<Item = &str> {
        self.lines.iter().map(|line| &*line.side)
    }

    /// The sentences that there are.
    pub fn notes(&self) -> impl Iterator<Item = &str> {
        self.notes.iter().map(|note| &**note)
    }

    /// Adds a sentence.
    pub fn note(&mut self, text: impl Into<String>) {
        self.notes.push(text.into());
    }

    /// To the terminal, and to a file when the run was a full one.
    pub fn print_and_save(&self, options: &Options) {
        self.print();
        if options.quick || options.only.is_some() {
            return println!("not a full run: nothing is kept\n");
        }
        let path = options.out.join(self.experiment).with_extension("json");
        let text = serde_json::to_string_pretty(self).unwrap_or_default() + "\n";
        let saved =
            std::fs::create_dir_all(&options.out).and_then(|()| std::fs::write(&path, text));
        match saved {
            Ok(()) => println!("kept in {}\n", path.display()),
            Err(why) => println!("not kept: {}: {why}\n", path.display()),
        }
    }

    fn print(&self) {
        let Machine { cpu, cores, kernel, commit, runs, seconds, scheduling, load, .. } =
            &self.machine;
        println!("{}: {}", self.experiment, self.about);
        println!("{cpu}, {cores} cores, Linux {kernel}, {scheduling}, load before {load}");
        println!("{commit}, {runs} runs of {seconds} s");
        let width = self.lines.iter().map(|l| l.side.len()).max().unwrap_or(0);
        for Line { side, figure, unit, spread } in &self.lines {
            println!("  {side:width$}  {figure:>10} {spread} {unit}");
        }
        for Ratio { of, to, figure, target, spread } in &self.ratios {
            let asked = match target {
                Some(target) if spread.median >= *target => format!(", {target} asked: reached"),
                Some(target) => format!(", {target} asked: MISSED"),
                None => String::new(),
            };
            let Spread { median, min, max, .. } = spread;
            println!("  {figure} of {of} / {to} = {median:.2} [{min:.2}-{max:.2}]{asked}");
        }
        for note in &self.notes {
            println!("  {note}");
        }
    }
}

/// Tries of one sample: what stands still once on a busy machine has another chance or two.
const TRIES: usize = 3;

impl Spread {
    fn of(values: Vec<f64>) -> Self {
        let mut sorted = values.clone();
        sorted.sort_by(f64::total_cmp);
        let at = |index: usize| sorted.get(index).copied().unwrap_or(f64::NAN);
        let last = sorted.len().saturating_sub(1);
        let median = (at(last / 2) + at(last.div_ceil(2))) / 2.0;
        Self { median, min: at(0), max: at(last), values }
    }
}

impl std::fmt::Display for Spread {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let digits = if self.median < 100.0 { 2 } else { 0 };
        let Self { median, min, max, .. } = self;
        write!(f, "{median:>10.digits$} [{min:.digits$}-{max:.digits$}]")
    }
}

impl Machine {
    fn this(options: &Options) -> Self {
        let cpuinfo = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
        let model = cpuinfo.lines().find_map(|line| line.strip_prefix("model name"));
        let cpu = model.map_or("unknown", |m| m.trim_start_matches([' ', '\t', ':']));
        let uname = rustix::system::uname();
        Self {
            cpu: cpu.to_owned(),
            cores: std::thread::available_parallelism().map_or(1, Into::into),
            kernel: uname.release().to_string_lossy().into_owned(),
            commit: commit(),
            command: command(),
            scheduling: scheduling(),
            load: load(),
            runs: options.runs,
            seconds: options.seconds,
        }
    }
}

/// How to get these figures again.
fn command() -> String {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    format!("cargo run --release -p millstream-benches -- {}", arguments.join(" "))
}

/// The scheduling class and niceness of this thread, as those that are measured inherit them.
fn scheduling() -> String {
    /// Fields behind the name, which may contain anything.
    const NICE: usize = 16;
    const POLICY: usize = 38;
    let stat = std::fs::read_to_string("/proc/thread-self/stat").unwrap_or_default();
    let fields: Vec<&str> = stat.rsplit(')').next().unwrap_or_default().split(' ').collect();
    let at = |field: usize| fields.get(field + 1).copied();
    let class = match at(POLICY) {
        Some("0") => "SCHED_OTHER",
        Some("1") => "SCHED_FIFO",
        Some("2") => "SCHED_RR",
        _ => "class unknown",
    };
    format!("{class}, nice {}", at(NICE).unwrap_or("unknown"))
}

fn load() -> f64 {
    let load = std::fs::read_to_string("/proc/loadavg").unwrap_or_default();
    load.split(' ').next().and_then(|minute| minute.parse().ok()).unwrap_or(f64::NAN)
}

/// What was measured: the commit, and whether the sources had changed since.
fn commit() -> String {
    let git = |arguments: &[&str]| {
        let here = env!("CARGO_MANIFEST_DIR");
        let output = Command::new("git").arg("-C").arg(here).args(arguments).output().ok()?;
        output.status.success().then(|| String::from_utf8_lossy(&output.stdout).trim().to_owned())
    };
    let Some(commit) = git(&["rev-parse", "--short=12", "HEAD"]) else {
        return "commit unknown".into();
    };
    let sources = ["status", "--porcelain", "--", "../stack", "../modules", "../drivers", "."];
    match git(&sources) {
        Some(changes) if changes.is_empty() => commit,
        _ => commit + " with changes",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_median_of_an_even_number_of_runs_is_between_the_middle_ones() {
        let spread = Spread::of(vec![4.0, 1.0, 3.0, 2.0]);
        assert_eq!((spread.min, spread.median, spread.max), (1.0, 2.5, 4.0));
        assert_eq!(Spread::of(vec![3.0, 1.0, 2.0]).median, 2.0);
    }
}
