//! page: reports become one page that stands by itself, without scripts: plots, the table of each
//! under it, and the environment. It is XML too, so that any parser can check it.
//!
//! What is drawn follows from what a report has; what was missed stands in the same place and
//! size as what was reached.

mod axis;
mod bars;
mod curves;
mod flame;
mod group;
mod parts;
mod percentiles;
mod ratios;
mod svg;
mod table;
mod text;

use crate::report::{Machine, Report};
pub(crate) use ratios::{asked, label};
use std::fmt::Write;
pub(crate) use text::figure;

use svg::Svg;
use table::Table;
use text::escape;

/// A drawing and the figures that it shows.
struct Plot {
    title: String,
    drawing: Svg,
    table: Table,
}

const STYLE: &str = include_str!("page/style.css");

/// The page of some reports, in their order.
pub fn html(reports: &[Report]) -> String {
    let mut page = String::new();
    let _ = write!(
        page,
        "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\" />\n\
         <meta name=\"viewport\" content=\"width=device-width\" />\n\
         <title>Millstream: results</title>\n<style>\n{STYLE}</style>\n</head>\n<body>\n\
         <h1>Millstream: what was measured</h1>\n"
    );
    contents(&mut page, reports);
    goals(&mut page, reports);
    for report in reports {
        experiment(&mut page, report);
    }
    page.push_str("</body>\n</html>\n");
    page
}

fn contents(page: &mut String, reports: &[Report]) {
    page.push_str(
        "<p>Medians with the least and the largest run; a dot is a run, a hollow one a run that \
         the machine disturbed. Lines of one plot were measured in turn.</p>\n<ul>\n",
    );
    for report in reports {
        let name = escape(&report.experiment);
        let (about, skipped) = match &report.skipped {
            Some(why) => (why, "<strong>skipped</strong>: "),
            None => (&report.about, ""),
        };
        let about = escape(about);
        let _ = writeln!(page, "<li><a href=\"#{name}\">{name}</a>: {skipped}{about}</li>");
    }
    page.push_str("</ul>\n");
}

/// All that was asked for, reached or not.
fn goals(page: &mut String, reports: &[Report]) {
    let mut table = Table::new(&["experiment", "what", "asked", "median", "min", "max", ""]);
    for report in reports {
        for ratio in &report.ratios {
            let Some(reached) = ratio.reached() else { continue };
            table.row([
                report.experiment.clone(),
                label(ratio),
                asked(ratio),
                figure(ratio.spread.median),
                figure(ratio.spread.min),
                figure(ratio.spread.max),
                if reached { "reached" } else { "missed" }.to_owned(),
            ]);
        }
    }
    if !table.is_empty() {
        let _ = write!(page, "<h2>What was asked</h2>\n{table}");
    }
}

fn experiment(page: &mut String, report: &Report) {
    let name = escape(&report.experiment);
    let _ = writeln!(page, "<section id=\"{name}\">\n<h2>{name}</h2>");
    match &report.skipped {
        Some(why) => {
            let why = escape(why);
            let _ = writeln!(page, "<p><strong>Skipped</strong>: {why}</p>");
        }
        None => {
            let _ = writeln!(page, "<p>{}</p>", escape(&report.about));
        }
    }
    for plot in plots(report) {
        let Plot { title, drawing, table } = plot;
        let title = escape(&title);
        let _ = write!(
            page,
            "<figure>\n<figcaption>{title}</figcaption>\n{}{table}</figure>\n",
            drawing.finish(&title)
        );
    }
    sentences(page, report);
    environment(page, &report.machine);
    page.push_str("</section>\n");
}

/// What can be drawn of a report.
fn plots(report: &Report) -> Vec<Plot> {
    let mut plots = curves::plots(report);
    plots.extend(parts::plots(report));
    plots.extend(flame::plots(report));
    plots.extend(bars::plots(report));
    plots.extend(percentiles::plots(report));
    plots.extend(ratios::plot(report));
    plots
}

fn sentences(page: &mut String, report: &Report) {
    let disturbed = report.disturbed.iter().map(|disturbed| format!("disturbed: {disturbed}"));
    let sentences: Vec<String> = report.notes.iter().cloned().chain(disturbed).collect();
    if sentences.is_empty() {
        return;
    }
    page.push_str("<ul class=\"notes\">\n");
    for sentence in sentences {
        let _ = writeln!(page, "<li>{}</li>", escape(&sentence));
    }
    page.push_str("</ul>\n");
}

fn environment(page: &mut String, machine: &Machine) {
    let Machine { cpu, cores, kernel, commit, command, date, link, .. } = machine;
    let Machine { pinning, scheduling, load, runs, seconds, quick, .. } = machine;
    let mut table = Table::new(&["environment", ""]);
    let worth = if *quick { " (a quick look: worth little)" } else { "" };
    for (what, value) in [
        ("machine", format!("{cpu}, {cores} cores, Linux {kernel}")),
        ("interfaces", link.clone()),
        ("pinning", pinning.clone()),
        ("scheduling", format!("{scheduling}; load before {load}")),
        ("runs", format!("{runs} of {seconds} s{worth}")),
        ("commit", commit.clone()),
        ("command", command.clone()),
        ("date", format!("{date} UTC")),
    ] {
        if !value.is_empty() && value != " UTC" {
            table.row([what.to_owned(), value]);
        }
    }
    let _ = write!(page, "{table}");
}
