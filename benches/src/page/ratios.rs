//! ratios: what was compared, each against 1 and against what was asked.

use super::axis::Axis;
use super::svg::{Anchor, COLUMN, LINE, Svg, WIDTH, colour};
use super::table::Table;
use super::{Plot, text};
use crate::report::{Ratio, Report};

/// Room for `12.34 [12.34–12.34] reached`.
const NUMBERS: f64 = 32.0 * COLUMN;
const BAR: f64 = 12.0;
const ROW: f64 = LINE + BAR + 10.0;

/// Who against whom; what both share is said once.
pub(crate) fn label(ratio: &Ratio) -> String {
    let Ratio { of, to, figure, .. } = ratio;
    let (above, below): (Vec<&str>, Vec<&str>) =
        (of.split(", ").collect(), to.split(", ").collect());
    let most = above.len().min(below.len()) - 1;
    let same =
        (0..most).take_while(|n| above[above.len() - 1 - n] == below[below.len() - 1 - n]).count();
    let (first, setting) = above.split_at(above.len() - same);
    let (first, second) = (first.join(", "), below[..below.len() - same].join(", "));
    let setting =
        if setting.is_empty() { String::new() } else { format!("; {}", setting.join(", ")) };
    format!("{figure} of {first} / {second}{setting}")
}

/// What was asked, as a number.
pub(crate) fn asked(ratio: &Ratio) -> String {
    let target = ratio.target.map(text::figure).unwrap_or_default();
    if ratio.at_most { format!("at most {target}") } else { target }
}

pub(super) fn plot(report: &Report) -> Option<Plot> {
    let ratios = &report.ratios;
    // One run that went wrong must not flatten all others: its line ends at the edge.
    let ends = |ratio: &Ratio| {
        let of_interest = ratio.spread.median.max(ratio.target.unwrap_or(1.0));
        ratio.spread.max.min(of_interest * 2.0).max(of_interest)
    };
    let largest = ratios.iter().map(ends).fold(1.0, f64::max);
    if ratios.is_empty() {
        return None;
    }
    let axis = Axis::from_zero(largest, (1.0, WIDTH - NUMBERS));
    let bottom = ratios.len() as f64 * ROW;
    let mut svg = Svg::new(bottom + LINE + 6.0);
    for tick in axis.ticks() {
        let x = axis.place(tick);
        svg.line((x, 0.0), (x, bottom), "grid");
        let anchor = if tick == 0.0 { Anchor::Start } else { Anchor::Middle };
        svg.text(x, bottom + LINE, anchor, &text::figure(tick));
    }
    let mut table = Table::new(&["what", "median", "min", "max", "asked", ""]);
    for (nth, ratio) in ratios.iter().enumerate() {
        let top = nth as f64 * ROW;
        let name = label(ratio);
        let spread = &ratio.spread;
        svg.text(
            4.0,
            top + LINE - 3.0,
            Anchor::Start,
            &text::fit(&name, (WIDTH / COLUMN) as usize - 2),
        );
        let (y, middle) = (top + LINE, top + LINE + BAR / 2.0);
        let size = (axis.place(spread.median) - axis.place(0.0), BAR);
        svg.rect(axis.place(0.0), y, size, &colour(0), &name);
        svg.line((axis.place(spread.min), middle), (axis.place(spread.max), middle), "whisker");
        let mark = axis.place(ratio.target.unwrap_or(1.0));
        svg.line((mark, y - 2.0), (mark, y + BAR + 2.0), "mark");
        let [median, min, max] = [spread.median, spread.min, spread.max].map(text::figure);
        let verdict = match ratio.reached() {
            Some(true) => "reached",
            Some(false) => "missed",
            None => "",
        };
        let numbers = format!("{median} [{min}–{max}] {verdict}");
        svg.text(WIDTH - NUMBERS + 12.0, middle + 4.0, Anchor::Start, numbers.trim_end());
        let asked = asked(ratio);
        table.row([name, median, min, max, asked, verdict.to_owned()]);
    }
    let title = "ratios, run by run (the mark is what was asked, else 1)".to_owned();
    Some(Plot { title, drawing: svg, table })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::Spread;

    #[test]
    fn what_both_sides_share_is_said_once() {
        let [of, to] =
            ["stack, sleeping, one core", "kernel, sleeping, one core"].map(str::to_owned);
        let (figure, target) = ("rate".to_owned(), None);
        let spread = Spread::of(vec![1.0]);
        let ratio = Ratio { of, to, figure, target, at_most: false, spread };
        assert_eq!(label(&ratio), "rate of stack / kernel; sleeping, one core");
    }
}
