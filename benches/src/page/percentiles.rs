//! percentiles: figures named p50, p99, p99.9 become a line over them, with room for the tail.

use super::axis::Axis;
use super::group::groups;
use super::svg::{Anchor, COLUMN, LINE, Svg, WIDTH, colour};
use super::table::Table;
use super::{Plot, text};
use crate::report::{Line, Report};

const LEFT: f64 = 9.0 * COLUMN;
const TOP: f64 = 8.0;
const HEIGHT: f64 = 260.0;

/// The percentile that a figure is: 99.9 for `p99.9`.
pub(super) fn percentile(figure: &str) -> Option<f64> {
    figure.strip_prefix('p')?.parse().ok().filter(|p| (0.0..100.0).contains(p))
}

pub(super) fn plots(report: &Report) -> Vec<Plot> {
    let mut names: Vec<&str> = Vec::new();
    for line in report.lines.iter().filter(|line| percentile(&line.figure).is_some()) {
        if !names.contains(&&*line.side) {
            names.push(&line.side);
        }
    }
    let groups = groups(&names).into_iter().filter(|group| !group.members.is_empty());
    groups
        .filter_map(|group| {
            let setting = if group.setting.is_empty() { "" } else { ": " };
            plot(report, format!("latency{setting}{}", group.setting), &group.members)
        })
        .collect()
}

/// Rare ones are far to the right: each nine has the same room.
fn nines(percentile: f64) -> f64 {
    -(1.0 - percentile / 100.0).log10()
}

fn plot(report: &Report, title: String, members: &[(&str, String)]) -> Option<Plot> {
    let of = |side: &str| -> Vec<(f64, &Line)> {
        let lines = report.lines.iter().filter(|line| line.side == side);
        lines.filter_map(|line| Some((percentile(&line.figure)?, line))).collect()
    };
    let all: Vec<(f64, &Line)> = members.iter().flat_map(|(side, _)| of(side)).collect();
    let values = || all.iter().map(|(_, line)| line.spread.median).filter(|value| *value > 0.0);
    let (least, largest) = (values().fold(f64::INFINITY, f64::min), values().fold(0.0, f64::max));
    if largest <= 0.0 {
        return None;
    }
    let y = Axis::log(least * 0.8, largest * 1.2, (TOP + HEIGHT, TOP));
    let x = Axis::from_zero(
        all.iter().map(|(p, _)| nines(*p)).fold(0.0, f64::max),
        (LEFT, WIDTH - 40.0),
    );
    let mut svg = Svg::new(TOP + HEIGHT + 2.0 * LINE);
    for tick in y.ticks() {
        svg.line((LEFT, y.place(tick)), (WIDTH - 40.0, y.place(tick)), "grid");
        svg.text(LEFT - 6.0, y.place(tick) + 4.0, Anchor::End, &text::figure(tick));
    }
    let mut marks: Vec<f64> = all.iter().map(|(p, _)| *p).collect();
    marks.sort_by(f64::total_cmp);
    marks.dedup();
    for mark in marks {
        let at = x.place(nines(mark));
        svg.line((at, TOP), (at, TOP + HEIGHT), "grid");
        svg.text(at, TOP + HEIGHT + LINE, Anchor::Middle, &format!("{mark} %"));
    }
    let mut under = TOP + HEIGHT + 2.5 * LINE;
    for (nth, (side, name)) in members.iter().enumerate() {
        let points: Vec<(f64, f64)> = of(side)
            .iter()
            .map(|(p, line)| (x.place(nines(*p)), y.place(line.spread.median)))
            .collect();
        svg.path(&points, &colour(nth));
        points.iter().for_each(|(x, y)| svg.dot(*x, *y, &colour(nth)));
        svg.rect(LEFT, under - 10.0, (10.0, 10.0), &colour(nth), name);
        svg.text(LEFT + 18.0, under, Anchor::Start, &text::fit(name, 100));
        under += LINE;
    }
    svg.grow_to(under);
    let unit = all.first().map_or("", |(_, line)| &*line.unit);
    let title = format!("{title}, {unit}, by percentile");
    let rows: Vec<(String, &Line)> = members
        .iter()
        .flat_map(|(side, name)| {
            let lines = of(side).into_iter();
            lines.map(move |(_, line)| (format!("{name}, {}", line.figure), line))
        })
        .collect();
    Some(Plot { title, drawing: svg, table: Table::of_lines(report, rows) })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_that_are_percentiles_are_known_by_their_name() {
        assert_eq!(percentile("p99.9"), Some(99.9));
        assert_eq!(percentile("p50"), Some(50.0));
        assert_eq!(percentile("packet"), None);
        assert_eq!(percentile("p100"), None);
        assert!((nines(99.9) - 3.0).abs() < 1e-9);
    }
}
