//! summary: the table of the README: one line for each question, with how often what was asked is
//! there, and the worst case before the best one.

use crate::page::{asked, figure, label};
use crate::report::{Ratio, Report};
use std::fmt::Write;

/// The lines between which the README has the table.
pub const MARKS: [&str; 2] = ["<!-- results -->", "<!-- end of results -->"];

/// Whom we are measured against, by a word of their lines.
const PEERS: [(&str, &str); 8] = [
    ("bare", "the bare program"),
    ("ceiling", "the bare program"),
    ("whole", "the whole path"),
    ("libtirpc", "libtirpc"),
    ("smoltcp", "smoltcp"),
    ("daemon", "the daemon"),
    ("kernel", "the kernel"),
    ("veth", "a veth"),
];

/// A table in Markdown. A question is a figure of an experiment against a peer: all ratios of it
/// that something was asked of are counted, none is left out. Behind them are the lines through
/// points over modules.
pub fn markdown(reports: &[Report]) -> String {
    let mut table = String::from(
        "| experiment | question | reached | worst: median [min–max], asked | best |\n\
         |---|---|---|---|---|\n",
    );
    for report in reports {
        let mut questions: Vec<(String, Vec<&Ratio>)> = Vec::new();
        for ratio in report.ratios.iter().filter(|ratio| ratio.target.is_some()) {
            let question = question(ratio);
            match questions.iter_mut().find(|(known, _)| *known == question) {
                Some((_, ratios)) => ratios.push(ratio),
                None => questions.push((question, vec![ratio])),
            }
        }
        for (question, ratios) in questions {
            let _ = writeln!(table, "| {} | {question} {} |", report.experiment, answer(ratios));
        }
        slopes(&mut table, report);
    }
    table
}

/// The figure, and whom it is compared with.
fn question(ratio: &Ratio) -> String {
    let both = format!("{} {}", ratio.of, ratio.to);
    let peer = PEERS.iter().find(|(word, _)| both.contains(word)).map_or("itself", |(_, who)| who);
    format!("{}, against {peer}", ratio.figure)
}

/// How often it was reached, and the extremes.
fn answer(mut ratios: Vec<&Ratio>) -> String {
    let part = |ratio: &Ratio| {
        let share = ratio.spread.median / ratio.target.unwrap_or(1.0);
        if ratio.at_most { 1.0 / share } else { share }
    };
    ratios.sort_by(|a, b| part(a).total_cmp(&part(b)));
    let reached = ratios.iter().filter(|ratio| ratio.reached() == Some(true)).count();
    let count = match (reached, ratios.len()) {
        (reached, all) if reached == all => format!("{reached} of {all}"),
        (reached, all) => format!("**{reached} of {all}**"),
    };
    let best = match ratios.len() {
        0 | 1 => String::new(),
        last => case(ratios[last - 1]),
    };
    format!("| {count} | {} | {best}", ratios.first().map(|ratio| case(ratio)).unwrap_or_default())
}

fn case(ratio: &Ratio) -> String {
    let [median, min, max] = [ratio.spread.median, ratio.spread.min, ratio.spread.max].map(figure);
    let label = label(ratio);
    let what = label.strip_prefix(&format!("{} of ", ratio.figure)).unwrap_or(&label);
    format!("{median} [{min}–{max}], {} ({what})", asked(ratio))
}

/// What a module costs, in one line.
fn slopes(table: &mut String, report: &Report) {
    let mut slopes = Vec::new();
    let mut unit = "";
    for curve in &report.curves {
        // Over sizes a straight line says little.
        let Some(fit) = curve.fit.filter(|_| curve.axis == "modules") else { continue };
        let of = curve.points.first().and_then(|p| report.line(&p.side, &curve.figure));
        unit = of.map_or("", |line| &*line.unit);
        let [slope, off] = [fit.slope, fit.slope_off].map(figure);
        slopes.push((fit.slope, format!("{slope} ± {off} ({})", curve.series)));
    }
    slopes.sort_by(|(a, _), (b, _)| b.total_cmp(a));
    let texts: Vec<String> = slopes.into_iter().map(|(_, text)| text).collect();
    if let Some((last, others)) = texts.split_last() {
        let _ = writeln!(
            table,
            "| {} | {unit} of one module more | | {} | {last} |",
            report.experiment,
            others.join("; ")
        );
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::{Options, Spread};

    fn report(medians: &[f64]) -> Report {
        let mut report = Report::in_memory("tcp_rr", "", &Options::instant(None));
        for (nth, &median) in medians.iter().enumerate() {
            report.ratios.push(Ratio {
                of: format!("stack {nth}, sleeping"),
                to: "bare, sleeping".into(),
                figure: "rate".into(),
                target: Some(0.5),
                at_most: false,
                spread: Spread::of(vec![median]),
            });
        }
        report
    }

    #[test]
    fn a_question_is_one_line_with_the_worst_case_before_the_best() {
        let table = markdown(&[report(&[0.75, 0.25, 0.5])]);
        let line = table.lines().nth(2).unwrap();
        assert_eq!(
            line,
            "| tcp_rr | rate, against the bare program | **2 of 3** \
             | 0.250 [0.250–0.250], 0.500 (stack 1 / bare; sleeping) \
             | 0.750 [0.750–0.750], 0.500 (stack 0 / bare; sleeping) |"
        );
        assert_eq!(table.lines().count(), 3);
    }

    #[test]
    fn what_may_be_at_most_so_much_is_worst_where_it_is_largest() {
        let mut one = report(&[0.1, 0.9]);
        one.ratios.iter_mut().for_each(|ratio| ratio.at_most = true);
        let table = markdown(&[one]);
        assert!(table.contains("**1 of 2** | 0.900"), "{table}");
    }

    #[test]
    fn a_question_that_was_reached_everywhere_says_so_without_emphasis() {
        assert!(markdown(&[report(&[0.6])]).contains("| 1 of 1 | 0.600"));
    }
}
