//! print: a report as text, for the terminal.

use super::{Line, Machine, Ratio, Report, Spread};
use std::fmt::{Display, Formatter, Result};

impl Display for Report {
    fn fmt(&self, f: &mut Formatter<'_>) -> Result {
        if let Some(why) = &self.skipped {
            return writeln!(f, "skipped: {}: {why}", self.experiment);
        }
        let Machine { cpu, cores, kernel, commit, runs, seconds, scheduling, load, .. } =
            &self.machine;
        writeln!(f, "{}: {}", self.experiment, self.about)?;
        writeln!(f, "{cpu}, {cores} cores, Linux {kernel}, {scheduling}, load before {load}")?;
        writeln!(f, "{commit}, {runs} runs of {seconds} s")?;
        let width = self.lines.iter().map(|l| l.side.len()).max().unwrap_or(0);
        for Line { side, figure, unit, spread } in &self.lines {
            writeln!(f, "  {side:width$}  {figure:>10} {spread} {unit}")?;
        }
        for ratio in &self.ratios {
            let Ratio { of, to, figure, target, spread, .. } = ratio;
            let asked = match (target, ratio.reached()) {
                (Some(target), Some(true)) => format!(", {target} asked: reached"),
                (Some(target), _) => format!(", {target} asked: MISSED"),
                _ => String::new(),
            };
            let Spread { median, min, max, .. } = spread;
            writeln!(f, "  {figure} of {of} / {to} = {median:.2} [{min:.2}-{max:.2}]{asked}")?;
        }
        for curve in &self.curves {
            let Some(fit) = curve.fit else { continue };
            writeln!(f, "  {} over {}, {}: {fit}", curve.figure, curve.axis, curve.series)?;
        }
        for disturbed in &self.disturbed {
            writeln!(f, "  disturbed: {disturbed}")?;
        }
        for note in &self.notes {
            writeln!(f, "  {note}")?;
        }
        Ok(())
    }
}
