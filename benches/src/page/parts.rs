//! parts: sides whose figures make up a whole become stacked bars.

use super::axis::Axis;
use super::svg::{Anchor, COLUMN, LINE, Svg, WIDTH, colour};
use super::table::Table;
use super::{Plot, text};
use crate::report::{Line, Report};

const BAR: f64 = 22.0;
const ROW: f64 = LINE + BAR + 10.0;

pub(super) fn plots(report: &Report) -> Vec<Plot> {
    let mut names: Vec<&str> = Vec::new();
    for whole in &report.wholes {
        if !names.contains(&&*whole.plot) {
            names.push(&whole.plot);
        }
    }
    names.into_iter().filter_map(|name| plot(report, name)).collect()
}

/// The outermost parts of a side, in order, each with its sum.
pub(super) fn outermost<'a>(report: &'a Report, side: &str) -> Vec<(&'a str, f64)> {
    let mut parts: Vec<(&str, f64)> = Vec::new();
    for line in report.lines.iter().filter(|line| line.side == side) {
        let name = line.figure.split(';').next().unwrap_or_default();
        match parts.iter_mut().find(|(known, _)| *known == name) {
            Some((_, sum)) => *sum += line.spread.median,
            None => parts.push((name, line.spread.median)),
        }
    }
    parts
}

fn plot(report: &Report, title: &str) -> Option<Plot> {
    let sides: Vec<&str> =
        report.wholes.iter().filter(|w| w.plot == title).map(|w| &*w.side).collect();
    let bars: Vec<Vec<(&str, f64)>> = sides.iter().map(|side| outermost(report, side)).collect();
    let sum = |bar: &Vec<(&str, f64)>| bar.iter().map(|(_, value)| value).sum::<f64>();
    let largest = bars.iter().map(sum).fold(0.0, f64::max);
    if largest <= 0.0 {
        return None;
    }
    let mut names: Vec<&str> = Vec::new();
    for (name, _) in bars.iter().flatten() {
        if !names.contains(name) {
            names.push(name);
        }
    }
    let axis = Axis::from_zero(largest, (1.0, WIDTH - 90.0));
    let bottom = bars.len() as f64 * ROW;
    let mut svg = Svg::new(bottom + LINE + 6.0);
    for tick in axis.ticks() {
        let x = axis.place(tick);
        svg.line((x, 0.0), (x, bottom), "grid");
        let anchor = if tick == 0.0 { Anchor::Start } else { Anchor::Middle };
        svg.text(x, bottom + LINE, anchor, &text::figure(tick));
    }
    for (nth, (side, bar)) in sides.iter().zip(&bars).enumerate() {
        let y = nth as f64 * ROW + LINE;
        svg.text(4.0, y - 3.0, Anchor::Start, &text::fit(side, (WIDTH / COLUMN) as usize - 2));
        let mut so_far = 0.0;
        for (name, value) in bar {
            let (from, to) = (axis.place(so_far), axis.place(so_far + value.max(0.0)));
            let nth = names.iter().position(|known| known == name).unwrap_or_default();
            let told = format!("{name}: {}", text::figure(*value));
            svg.rect(from, y, (to - from, BAR), &colour(nth), &told);
            so_far += value.max(0.0);
        }
        let at = axis.place(so_far) + 8.0;
        svg.text(at, y + BAR / 2.0 + 4.0, Anchor::Start, &text::figure(so_far));
    }
    legend(&mut svg, &names, bottom + 2.5 * LINE);
    let lines: Vec<(String, &Line)> = report
        .lines
        .iter()
        .filter(|line| sides.contains(&&*line.side))
        .map(|line| (format!("{}: {}", line.side, line.figure), line))
        .collect();
    let unit = lines.first().map_or("", |(_, line)| &*line.unit);
    let title = format!("{title}, {unit}");
    Some(Plot { title, drawing: svg, table: Table::of_lines(report, lines) })
}

/// Colours and names side by side, in as many rows as they need.
fn legend(svg: &mut Svg, names: &[&str], top: f64) {
    let (mut x, mut y) = (4.0, top);
    for (nth, name) in names.iter().enumerate() {
        let width = (name.chars().count() + 4) as f64 * COLUMN;
        if x + width > WIDTH {
            (x, y) = (4.0, y + LINE);
        }
        svg.rect(x, y - 10.0, (10.0, 10.0), &colour(nth), name);
        svg.text(x + 16.0, y, Anchor::Start, name);
        x += width;
    }
    svg.grow_to(y + 8.0);
}
