//! bars: lines that no other plot draws become bars, one plot for each figure and setting.

use super::axis::Axis;
use super::group::groups;
use super::percentiles::percentile;
use super::svg::{Anchor, COLUMN, LINE, Svg, WIDTH, colour};
use super::table::Table;
use super::{Plot, text};
use crate::report::{Line, Report};

/// Room for what stands behind the longest bar: `1234 k [1234 k–1234 k]`.
const NUMBERS: f64 = 26.0 * COLUMN;
const BAR: f64 = 14.0;
const ROW: f64 = LINE + BAR + 10.0;
const COLUMNS: usize = (WIDTH / COLUMN) as usize;

pub(super) fn plots(report: &Report) -> Vec<Plot> {
    let drawn_elsewhere = |line: &Line| {
        percentile(&line.figure).is_some()
            || report.wholes.iter().any(|whole| whole.side == line.side)
            || report.curves.iter().any(|curve| {
                curve.figure == line.figure && curve.points.iter().any(|p| p.side == line.side)
            })
    };
    let lines: Vec<&Line> = report.lines.iter().filter(|line| !drawn_elsewhere(line)).collect();
    let mut figures: Vec<(&str, &str)> = Vec::new();
    for line in &lines {
        let figure = (&*line.figure, &*line.unit);
        if !figures.contains(&figure) {
            figures.push(figure);
        }
    }
    let mut plots = Vec::new();
    for (figure, unit) in figures {
        let of_figure = |line: &&&Line| line.figure == figure && line.unit == unit;
        let names: Vec<&str> = lines.iter().filter(of_figure).map(|line| &*line.side).collect();
        for group in groups(&names) {
            let members: Vec<(String, &Line)> = group
                .members
                .iter()
                .filter_map(|(side, name)| Some((name.clone(), report.line(side, figure)?)))
                .collect();
            let setting = if group.setting.is_empty() { "" } else { ": " };
            let title = format!("{figure}, {unit}{setting}{}", group.setting);
            plots.extend(plot(report, title, members));
        }
    }
    plots
}

/// A plot, unless all that was counted is 0: the notes say so then.
fn plot(report: &Report, title: String, members: Vec<(String, &Line)>) -> Option<Plot> {
    let largest = members.iter().map(|(_, line)| line.spread.max).fold(0.0, f64::max);
    if largest <= 0.0 {
        return None;
    }
    let axis = Axis::from_zero(largest, (1.0, WIDTH - NUMBERS));
    let bottom = members.len() as f64 * ROW;
    let mut svg = Svg::new(bottom + LINE + 6.0);
    for tick in axis.ticks() {
        let x = axis.place(tick);
        svg.line((x, 0.0), (x, bottom), "grid");
        let anchor = if tick == 0.0 { Anchor::Start } else { Anchor::Middle };
        svg.text(x, bottom + LINE, anchor, &text::figure(tick));
    }
    for (nth, (name, line)) in members.iter().enumerate() {
        let top = nth as f64 * ROW;
        let spread = &line.spread;
        svg.text(4.0, top + LINE - 3.0, Anchor::Start, &text::fit(name, COLUMNS));
        let (y, width) = (top + LINE, axis.place(spread.median) - axis.place(0.0));
        let told = format!("{name}: {} {}", text::figure(spread.median), line.unit);
        svg.rect(axis.place(0.0), y, (width, BAR), &colour(nth), &told);
        let middle = y + BAR / 2.0;
        svg.line((axis.place(spread.min), middle), (axis.place(spread.max), middle), "whisker");
        for (run, value) in spread.values.iter().enumerate() {
            let hit = report.disturbed.iter().any(|d| d.side == line.side && d.run == run);
            svg.dot(axis.place(*value), middle, if hit { "disturbed" } else { "run" });
        }
        let [median, min, max] = [spread.median, spread.min, spread.max].map(text::figure);
        let numbers = format!("{median} [{min}–{max}]");
        svg.text(WIDTH - NUMBERS + 12.0, middle + 4.0, Anchor::Start, &numbers);
    }
    let table = Table::of_lines(report, members);
    Some(Plot { title, drawing: svg, table })
}
