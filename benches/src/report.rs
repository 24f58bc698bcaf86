//! report: samples of an experiment become lines of figures, ratios between them, and a file that
//! keeps them all.
//!
//! [`Report::measure`] takes the samples, marks those that the machine disturbed, and drops none.
//! What a plot needs beyond the lines (which are points of a curve, which are parts of a whole)
//! refers to lines by name, so that a figure stands once in a file.

mod disturbed;
mod keep;
mod machine;
mod print;
mod progress;
mod shape;
mod spread;

pub use disturbed::Disturbed;
pub use keep::{NotKept, check_folder, read, write};
pub use machine::Machine;
pub use progress::Progress;
pub use shape::{Curve, Point, Whole};
pub use spread::Spread;

use crate::Trouble;
use disturbed::Watch;
use serde::{Deserialize, Serialize};
use std::path::PathBuf;
use std::time::Instant;

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
    /// Folder of the JSON files; without one nothing is kept.
    pub out: Option<PathBuf>,
    /// From then on each line is measured once, which none goes without, and no more.
    pub until: Option<Instant>,
    /// Where it is told how far the experiment is.
    pub progress: Progress,
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

/// What an experiment has found. Its file is this, as JSON.
#[derive(Debug, Serialize, Deserialize)]
pub struct Report {
    /// Name of the experiment.
    pub experiment: String,
    /// What one figure is and what it is compared with.
    pub about: String,
    /// Where, when and how it was measured.
    pub machine: Machine,
    /// Why nothing was measured.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub skipped: Option<String>,
    /// A line for each figure of each side.
    pub lines: Vec<Line>,
    /// Figures of one side divided by those of another.
    pub ratios: Vec<Ratio>,
    /// Lines that are points over something.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub curves: Vec<Curve>,
    /// Sides whose figures are parts of a whole.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub wholes: Vec<Whole>,
    /// Runs that the machine disturbed.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub disturbed: Vec<Disturbed>,
    /// Sentences for people: what was left out, what to know of a line.
    pub notes: Vec<String>,
}

/// One figure of one side.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Line {
    /// What was measured.
    pub side: String,
    /// Which of its figures.
    pub figure: String,
    /// Unit of the values.
    pub unit: String,
    /// Values of all runs.
    #[serde(flatten)]
    pub spread: Spread,
}

/// A figure of one side divided by that of another, run by run.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Ratio {
    /// The side above.
    pub of: String,
    /// The side below.
    pub to: String,
    /// Which figure.
    pub figure: String,
    /// What is to be reached; absent where it is only of interest.
    pub target: Option<f64>,
    /// The target is the most that it may be, not the least.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub at_most: bool,
    /// Values of all runs.
    #[serde(flatten)]
    pub spread: Spread,
}

impl Default for Options {
    /// Five runs of a second; nothing is kept.
    fn default() -> Self {
        Self {
            runs: 5,
            seconds: 1.0,
            quick: false,
            only: None,
            out: None,
            until: None,
            progress: Progress::default(),
        }
    }
}

impl Options {
    /// One run of an instant: whether it works.
    pub fn instant(only: Option<&str>) -> Self {
        let only = only.map(str::to_owned);
        Self { runs: 1, seconds: 0.02, quick: true, only, ..Self::default() }
    }
}

impl Report {
    /// An empty report of an experiment on a TAP and a veth.
    pub fn new(experiment: &str, about: &str, options: &Options) -> Self {
        Self {
            experiment: experiment.to_owned(),
            about: about.to_owned(),
            machine: Machine::this(options),
            skipped: None,
            lines: Vec::new(),
            ratios: Vec::new(),
            curves: Vec::new(),
            wholes: Vec::new(),
            disturbed: Vec::new(),
            notes: Vec::new(),
        }
    }

    /// An empty report of an experiment inside one process, without an interface of the kernel.
    pub fn in_memory(experiment: &str, about: &str, options: &Options) -> Self {
        let mut report = Self::new(experiment, about, options);
        report.machine.link = "none: in memory".into();
        report
    }

    /// A report that says why an experiment was not done.
    pub fn skip(experiment: &str, why: &str, options: &Options) -> Self {
        let mut report = Self::new(experiment, "", options);
        report.skipped = Some(why.to_owned());
        report
    }

    /// Takes samples of all sides in turn. A side that fails is left out, with the reason.
    pub fn measure(&mut self, options: &Options, sides: &[Side<'_>]) {
        let wanted = |side: &Side<'_>| options.only.iter().all(|text| side.name.contains(text));
        // `None` from the first failure on.
        let mut samples: Vec<Option<Vec<Vec<f64>>>> =
            sides.iter().map(|side| wanted(side).then(Vec::new)).collect();
        for run in 0..options.runs {
            for (side, so_far) in sides.iter().zip(&mut samples) {
                let Some(taken) = so_far else { continue };
                if options.time_is_over(run) {
                    continue;
                }
                options.progress.side(&side.name, run + 1, options.runs);
                match self.sample(side, run) {
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
                let (figure, unit) = ((*figure).to_owned(), (*unit).to_owned());
                self.lines.push(Line { side, figure, unit, spread });
            }
        }
    }

    /// One sample; what failed is tried again, and the report says so.
    fn sample(&mut self, side: &Side<'_>, run: usize) -> Result<Vec<f64>, Trouble> {
        for _ in 1..TRIES {
            let watch = Watch::start();
            match (side.sample)() {
                Err(why) => {
                    self.note(format!("sample failed: {}: {why}; another was taken", side.name));
                }
                taken => {
                    self.disturbed.extend(watch.end(&side.name, run));
                    return taken;
                }
            }
        }
        let watch = Watch::start();
        let taken = (side.sample)();
        self.disturbed.extend(watch.end(&side.name, run));
        taken
    }

    /// Compares a figure of two sides, run by run. Says nothing when one of them was skipped.
    pub fn ratio(&mut self, figure: &str, of: &str, to: &str, target: Option<f64>) {
        let values = |name: &str| Some(self.line(name, figure)?.spread.values.clone());
        let (Some(above), Some(below)) = (values(of), values(to)) else { return };
        let values: Vec<f64> = above.iter().zip(&below).map(|(a, b)| a / b).collect();
        if values.iter().any(|value| !value.is_finite()) {
            return self.note(format!("no ratio of {of} to {to}: {figure} was 0"));
        }
        let (of, to, spread) = (of.to_owned(), to.to_owned(), Spread::of(values));
        let (figure, at_most) = (figure.to_owned(), false);
        self.ratios.push(Ratio { of, to, figure, target, at_most, spread });
    }

    /// As [`Report::ratio`], where less is better.
    pub fn ratio_at_most(&mut self, figure: &str, of: &str, to: &str, target: f64) {
        let before = self.ratios.len();
        self.ratio(figure, of, to, Some(target));
        self.ratios[before..].iter_mut().for_each(|ratio| ratio.at_most = true);
    }

    /// Draws lines as points over something, and fits a straight line through them. Points whose
    /// side was skipped are left out.
    pub fn curve(
        &mut self,
        plot: &str,
        series: &str,
        figure: &str,
        axis: &str,
        points: Vec<Point>,
    ) {
        let there = |point: &Point| self.line(&point.side, figure).is_some();
        let points: Vec<Point> = points.into_iter().filter(there).collect();
        let medians: Vec<(f64, f64)> = points
            .iter()
            .filter_map(|point| Some((point.x, self.line(&point.side, figure)?.spread.median)))
            .collect();
        if let Some(curve) = Curve::through(plot, series, figure, axis, points, &medians) {
            self.curves.push(curve);
        }
    }

    /// Says that the figures of a side are parts of a whole, if it was measured.
    pub fn whole(&mut self, plot: &str, side: &str) {
        if self.lines.iter().any(|line| line.side == side) {
            self.wholes.push(Whole { plot: plot.to_owned(), side: side.to_owned() });
        }
    }

    /// One figure of one side.
    pub fn line(&self, side: &str, figure: &str) -> Option<&Line> {
        self.lines.iter().find(|line| line.side == side && line.figure == figure)
    }

    /// The name of the side with the largest median of a figure.
    pub fn best(&self, figure: &str, among: &[String]) -> Option<String> {
        let lines = self.lines.iter().filter(|l| l.figure == figure && among.contains(&l.side));
        let best = lines.max_by(|a, b| a.spread.median.total_cmp(&b.spread.median));
        best.map(|line| line.side.clone())
    }

    /// The sides that there are, a time for each figure.
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
}

impl Options {
    /// Whether there is no time left for a sample of this run.
    fn time_is_over(&self, run: usize) -> bool {
        run > 0 && self.until.is_some_and(|until| Instant::now() > until)
    }
}

impl Ratio {
    /// Whether what was asked is there; `None` where nothing was.
    pub fn reached(&self) -> Option<bool> {
        let Self { target, at_most, spread, .. } = self;
        target.map(|target| (spread.median >= target) != *at_most || spread.median == target)
    }
}

/// Tries of one sample: what stands still once on a busy machine has another chance or two.
const TRIES: usize = 3;

#[cfg(test)]
mod tests {
    use super::*;
    use std::cell::Cell;

    const FIGURES: &[(&str, &str)] = &[("rate", "/s")];

    #[test]
    fn a_sample_that_fails_is_named_and_another_is_taken() {
        let options = Options { runs: 2, ..Options::instant(None) };
        let mut report = Report::in_memory("test", "", &options);
        let failures = Cell::new(1);
        let now_and_then = Side {
            name: "now and then".into(),
            figures: FIGURES,
            sample: Box::new(|| match failures.get() {
                0 => Ok(vec![7.0]),
                left => {
                    failures.set(left - 1);
                    Err("connect: not answered within 10s".into())
                }
            }),
        };
        let never = Side {
            name: "never".into(),
            figures: FIGURES,
            sample: Box::new(|| Err("no way".into())),
        };
        report.measure(&options, &[now_and_then, never]);
        assert_eq!(report.lines.len(), 1);
        assert_eq!(report.lines[0].spread.values, [7.0, 7.0]);
        let failed = "sample failed: now and then: connect: not answered within 10s; \
            another was taken";
        assert_eq!(report.notes[0], failed);
        assert_eq!(report.notes.last().unwrap(), "skipped: never: no way");
    }
}
