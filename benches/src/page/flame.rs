//! flame: parts of parts become a flame graph, the whole at the bottom.

use super::svg::{Anchor, COLUMN, LINE, Svg, WIDTH, colour};
use super::table::Table;
use super::{Plot, text};
use crate::report::{Line, Report};

const ROW: f64 = 24.0;

/// A flame graph for each whole that has parts of parts.
pub(super) fn plots(report: &Report) -> Vec<Plot> {
    let deep =
        |side: &str| report.lines.iter().any(|line| line.side == side && line.figure.contains(';'));
    let sides = report.wholes.iter().filter(|whole| deep(&whole.side));
    sides.filter_map(|whole| plot(report, &whole.side)).collect()
}

fn plot(report: &Report, side: &str) -> Option<Plot> {
    let lines: Vec<&Line> = report.lines.iter().filter(|line| line.side == side).collect();
    let whole: f64 = lines.iter().map(|line| line.spread.median.max(0.0)).sum();
    if whole <= 0.0 {
        return None;
    }
    let depth = lines.iter().map(|line| line.figure.split(';').count()).max().unwrap_or(1);
    let bottom = (depth + 1) as f64 * ROW;
    let mut svg = Svg::new(bottom + 2.0);
    let mut cell = |level: usize, from: f64, share: f64, name: &str, nth: usize| {
        let (x, width) = (1.0 + from * (WIDTH - 2.0), share * (WIDTH - 2.0));
        let y = bottom - (level + 1) as f64 * ROW;
        let told = format!("{name}: {} ({:.0} %)", text::figure(share * whole), share * 100.0);
        svg.rect(
            x,
            y,
            ((width - 1.0).max(0.5), ROW - 1.0),
            &format!("flame {}", colour(nth)),
            &told,
        );
        // What has no room is told by the pointer, and by the table.
        let columns = ((width - 6.0) / COLUMN) as usize;
        if columns >= name.chars().count() {
            svg.text(x + 3.0, y + LINE, Anchor::Start, name);
        }
    };
    cell(0, 0.0, 1.0, side, 0);
    let mut from = 0.0;
    let mut open: Vec<(String, f64, f64)> = Vec::new();
    for (nth, line) in lines.iter().enumerate() {
        let share = line.spread.median.max(0.0) / whole;
        let parts: Vec<&str> = line.figure.split(';').collect();
        let same = open.iter().zip(&parts).take_while(|((name, ..), part)| name == *part).count();
        let shut = open.split_off(same);
        for (level, (name, began, sum)) in shut.into_iter().enumerate() {
            cell(same + level + 1, began, sum, &name, nth + level);
        }
        open.extend(parts[same..].iter().map(|part| ((*part).to_owned(), from, 0.0)));
        open.iter_mut().for_each(|(_, _, sum)| *sum += share);
        from += share;
    }
    for (level, (name, began, sum)) in open.into_iter().enumerate() {
        cell(level + 1, began, sum, &name, lines.len() + level);
    }
    let rows: Vec<(String, &Line)> = lines.iter().map(|l| (l.figure.clone(), *l)).collect();
    let unit = lines.first().map_or("", |line| &*line.unit);
    let title = format!("where it goes: {side}, {unit}");
    Some(Plot { title, drawing: svg, table: Table::of_lines(report, rows) })
}
