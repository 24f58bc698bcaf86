//! curves: points over something, with the line fitted through them.

use super::axis::Axis;
use super::svg::{Anchor, COLUMN, LINE, Svg, WIDTH, colour};
use super::table::Table;
use super::{Plot, text};
use crate::report::{Curve, Line, Report};

const LEFT: f64 = 8.0 * COLUMN;
const TOP: f64 = 8.0;
const HEIGHT: f64 = 300.0;
/// Points further apart than this are drawn by powers.
const WIDE: f64 = 100.0;

pub(super) fn plots(report: &Report) -> Vec<Plot> {
    let mut names: Vec<&str> = Vec::new();
    for curve in &report.curves {
        if !names.contains(&&*curve.plot) {
            names.push(&curve.plot);
        }
    }
    let of = |name: &str| report.curves.iter().filter(|curve| curve.plot == name).collect();
    names.into_iter().map(|name| plot(report, name, of(name))).collect()
}

fn plot(report: &Report, title: &str, curves: Vec<&Curve>) -> Plot {
    let lines: Vec<(&Curve, f64, &Line)> = curves
        .iter()
        .flat_map(|curve| curve.points.iter().map(move |point| (*curve, point)))
        .filter_map(|(curve, p)| Some((curve, p.x, report.line(&p.side, &curve.figure)?)))
        .collect();
    let largest = lines.iter().map(|(_, _, line)| line.spread.max).fold(0.0, f64::max);
    let y = Axis::from_zero(largest, (TOP + HEIGHT, TOP));
    let x = along(&lines.iter().map(|(_, x, _)| *x).collect::<Vec<_>>());
    let mut svg = Svg::new(TOP + HEIGHT + 2.0 * LINE + 8.0);
    frame(&mut svg, &x, &y, &curves, &lines);
    let mut under = TOP + HEIGHT + 3.0 * LINE;
    for (nth, curve) in curves.iter().enumerate() {
        let own = || lines.iter().filter(|(c, ..)| std::ptr::eq(*c, *curve));
        let at = |(_, value, line): &(&Curve, f64, &Line)| {
            (x.place(*value), y.place(line.spread.median))
        };
        svg.path(&own().map(at).collect::<Vec<_>>(), &colour(nth));
        for point in own() {
            let (at_x, at_y) = at(point);
            let Line { spread, .. } = point.2;
            svg.line((at_x, y.place(spread.min)), (at_x, y.place(spread.max)), &colour(nth));
            svg.dot(at_x, at_y, &colour(nth));
        }
        let mut told = curve.series.clone();
        if let Some(fit) = curve.fit {
            // A straight line over an axis by powers is none.
            if !wide(&lines.iter().map(|(_, x, _)| *x).collect::<Vec<_>>()) {
                let ends = [0.0, own().map(|(_, x, _)| *x).fold(0.0, f64::max)];
                let ends = ends.map(|v| (x.place(v), y.place(fit.intercept + fit.slope * v)));
                svg.path(&ends, &format!("fitted {}", colour(nth)));
            }
            told += &format!(": {fit}");
        }
        svg.rect(LEFT, under - 10.0, (10.0, 10.0), &colour(nth), &curve.series);
        svg.text(LEFT + 18.0, under, Anchor::Start, &text::fit(&told, COLUMNS));
        under += LINE;
        svg.grow_to(under);
    }
    let rows = lines.iter().map(|(curve, x, line)| {
        (format!("{}, {} {}", curve.series, text::figure(*x), curve.axis), *line)
    });
    let unit = lines.first().map_or("", |(_, _, line)| &*line.unit);
    Plot {
        title: format!("{title}, {unit}"),
        drawing: svg,
        table: Table::of_lines(report, rows.collect::<Vec<_>>()),
    }
}

const COLUMNS: usize = ((WIDTH - LEFT - 18.0) / COLUMN) as usize;

fn wide(values: &[f64]) -> bool {
    let least = values.iter().copied().fold(f64::INFINITY, f64::min);
    let largest = values.iter().copied().fold(0.0, f64::max);
    least > 0.0 && largest / least > WIDE
}

fn along(values: &[f64]) -> Axis {
    let largest = values.iter().copied().fold(0.0, f64::max);
    let least = values.iter().copied().fold(f64::INFINITY, f64::min);
    let places = (LEFT, WIDTH - 30.0);
    if wide(values) { Axis::log(least, largest, places) } else { Axis::from_zero(largest, places) }
}

/// The grid, its numbers, and what the points are over.
fn frame(svg: &mut Svg, x: &Axis, y: &Axis, curves: &[&Curve], lines: &[(&Curve, f64, &Line)]) {
    for tick in y.ticks() {
        let at = y.place(tick);
        svg.line((LEFT, at), (WIDTH - 30.0, at), "grid");
        svg.text(LEFT - 6.0, at + 4.0, Anchor::End, &text::figure(tick));
    }
    // The points' own places, as far as there is room for their numbers.
    let mut places: Vec<f64> = lines.iter().map(|(_, x, _)| *x).collect();
    places.sort_by(f64::total_cmp);
    places.dedup();
    let mut free_from = 0.0;
    for place in places {
        let (at, name) = (x.place(place), text::figure(place));
        let half = name.chars().count() as f64 * COLUMN / 2.0;
        if at - half >= free_from {
            svg.text(at, TOP + HEIGHT + LINE, Anchor::Middle, &name);
            free_from = at + half + COLUMN;
        }
    }
    if let Some(curve) = curves.first() {
        svg.text(WIDTH / 2.0, TOP + HEIGHT + 2.0 * LINE, Anchor::Middle, &curve.axis);
    }
}
