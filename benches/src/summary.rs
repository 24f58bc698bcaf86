//! summary: what was asked for, and the slopes, as the table of the README.

use crate::page::{asked, figure, label};
use crate::report::Report;
use std::fmt::Write;

/// The lines between which the README has the table.
pub const MARKS: [&str; 2] = ["<!-- results -->", "<!-- end of results -->"];

/// A table in Markdown: ratios that something was asked of, and lines through points.
pub fn markdown(reports: &[Report]) -> String {
    let head = "| experiment | what | asked | median [min–max] | |\n|---|---|---|---|---|\n";
    let mut table = String::from(head);
    for report in reports {
        let name = &report.experiment;
        for ratio in &report.ratios {
            let Some(reached) = ratio.reached() else { continue };
            let [median, min, max] =
                [ratio.spread.median, ratio.spread.min, ratio.spread.max].map(figure);
            let verdict = if reached { "reached" } else { "**missed**" };
            let (what, asked) = (label(ratio), asked(ratio));
            let _ = writeln!(
                table,
                "| {name} | {what} | {asked} | {median} [{min}–{max}] | {verdict} |"
            );
        }
        for curve in &report.curves {
            // Over sizes a straight line says little.
            let Some(fit) = curve.fit.filter(|_| curve.axis == "modules") else { continue };
            let unit = curve.points.first().and_then(|p| report.line(&p.side, &curve.figure));
            let unit = unit.map_or("", |line| &*line.unit);
            let [slope, off, at_zero] = [fit.slope, fit.slope_off, fit.intercept].map(figure);
            let _ = writeln!(
                table,
                "| {name} | {} | | {slope} ± {off} {unit} a module | {at_zero} without |",
                curve.series
            );
        }
    }
    table
}
