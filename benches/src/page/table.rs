//! table: the figures of a plot, as rows.

use super::text::{escape, figure};
use crate::report::{Line, Report};
use std::fmt::{Display, Formatter, Result};

/// Rows under a head.
pub(super) struct Table {
    head: Vec<&'static str>,
    rows: Vec<Vec<String>>,
}

impl Table {
    pub(super) fn new(head: &[&'static str]) -> Self {
        Self { head: head.to_vec(), rows: Vec::new() }
    }

    /// For the figures of lines.
    pub(super) fn of_lines<'a>(
        report: &Report,
        lines: impl IntoIterator<Item = (String, &'a Line)>,
    ) -> Self {
        let mut table = Self::new(&["what", "median", "min", "max", "unit", "runs", "disturbed"]);
        for (what, line) in lines {
            let spread = &line.spread;
            let disturbed = report.disturbed.iter().filter(|run| run.side == line.side).count();
            table.row([
                what,
                figure(spread.median),
                figure(spread.min),
                figure(spread.max),
                line.unit.clone(),
                spread.values.len().to_string(),
                disturbed.to_string(),
            ]);
        }
        table
    }

    pub(super) fn row<const N: usize>(&mut self, cells: [String; N]) {
        self.rows.push(cells.into());
    }

    pub(super) fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }
}

impl Display for Table {
    fn fmt(&self, f: &mut Formatter<'_>) -> Result {
        f.write_str("<table>\n<tr>")?;
        for cell in &self.head {
            write!(f, "<th>{}</th>", escape(cell))?;
        }
        f.write_str("</tr>\n")?;
        for row in &self.rows {
            f.write_str("<tr>")?;
            for cell in row {
                let number = cell.starts_with(|c: char| c.is_ascii_digit() || c == '-');
                let class = if number && cell.len() < 12 { " class=\"number\"" } else { "" };
                write!(f, "<td{class}>{}</td>", escape(cell))?;
            }
            f.write_str("</tr>\n")?;
        }
        f.write_str("</table>\n")
    }
}
