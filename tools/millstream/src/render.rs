//! render: answers become text for people. Numbers in columns, rows in tables; a reader that has
//! closed the pipe ends the program quietly.

use serde::Serialize;
use std::io::{ErrorKind, Write};

/// Prints text and a line end, at once.
pub(crate) fn line(text: &str) {
    let mut out = std::io::stdout().lock();
    let written = writeln!(out, "{text}").and_then(|()| out.flush());
    match written {
        Err(e) if e.kind() == ErrorKind::BrokenPipe => std::process::exit(0),
        Err(e) => {
            complain(&format!("cannot write the output: {e}"));
            std::process::exit(1);
        }
        Ok(()) => {}
    }
}

/// Prints a value as a line of JSON.
pub(crate) fn json(value: &impl Serialize) {
    match serde_json::to_string(value) {
        Ok(text) => line(&text),
        Err(e) => complain(&format!("cannot write the answer as JSON: {e}")),
    }
}

/// Says what went wrong, on stderr.
pub(crate) fn complain(sentence: &str) {
    // Nobody is left to be told when stderr is closed.
    let _closed = writeln!(std::io::stderr(), "millstream: {sentence}");
}

/// Rows of cells in columns. Columns are as wide as their widest cell.
#[derive(Debug, Default)]
pub(crate) struct Table {
    rows: Vec<Vec<String>>,
    /// By column: numbers stand at the right.
    right: Vec<bool>,
}

impl Table {
    /// With a heading; a column whose name begins with `>` stands at the right.
    pub(crate) fn new(columns: &[&str]) -> Self {
        let right = columns.iter().map(|name| name.starts_with('>')).collect();
        let heading = columns.iter().map(|name| name.trim_start_matches('>').to_owned()).collect();
        Self { rows: vec![heading], right }
    }

    pub(crate) fn row(&mut self, cells: impl IntoIterator<Item = String>) {
        self.rows.push(cells.into_iter().collect());
    }

    /// The text, without a line end at its end.
    pub(crate) fn text(&self) -> String {
        let width = |column: usize| {
            let cells = self.rows.iter().filter_map(|row| row.get(column));
            cells.map(|cell| cell.chars().count()).max().unwrap_or(0)
        };
        let widths: Vec<usize> = (0..self.right.len()).map(width).collect();
        let mut lines = Vec::new();
        for row in &self.rows {
            let mut text = String::new();
            for ((cell, &width), &right) in row.iter().zip(&widths).zip(&self.right) {
                if !text.is_empty() {
                    text.push_str("  ");
                }
                if right {
                    text.push_str(&format!("{cell:>width$}"));
                } else {
                    text.push_str(&format!("{cell:<width$}"));
                }
            }
            lines.push(text.trim_end().to_owned());
        }
        lines.join("\n")
    }
}

/// A number with thousands apart.
pub(crate) fn count(n: u64) -> String {
    let digits = n.to_string();
    let mut text = String::new();
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// A number in the unit of thousands that leaves one to three digits before the point.
pub(crate) fn short(n: u64) -> String {
    match n {
        0..1_000 => n.to_string(),
        1_000..1_000_000 => format!("{:.1}k", n as f64 / 1e3),
        1_000_000..1_000_000_000 => format!("{:.1}M", n as f64 / 1e6),
        _ => format!("{:.1}G", n as f64 / 1e9),
    }
}

/// A time in the unit that leaves one to three digits before the point.
pub(crate) fn time(ns: u64) -> String {
    match ns {
        0 => "0".to_owned(),
        1..1_000 => format!("{ns} ns"),
        1_000..1_000_000 => format!("{:.1} us", ns as f64 / 1e3),
        1_000_000..1_000_000_000 => format!("{:.1} ms", ns as f64 / 1e6),
        _ => format!("{:.1} s", ns as f64 / 1e9),
    }
}

/// A value of JSON as a parameter would be written.
pub(crate) fn plain(value: &serde_json::Value) -> String {
    match value {
        serde_json::Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}

/// Settings and counters as `key=value`, one for each of several of one name.
pub(crate) fn fields(fields: &serde_json::Map<String, serde_json::Value>) -> Vec<String> {
    let mut all = Vec::new();
    for (key, value) in fields {
        match value {
            serde_json::Value::Array(values) => {
                all.extend(values.iter().map(|value| format!("{key}={}", plain(value))));
            }
            value => all.push(format!("{key}={}", plain(value))),
        }
    }
    all
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_as_wide_as_their_widest_cell() {
        let mut table = Table::new(&["name", ">n"]);
        table.row(["a".to_owned(), "1,000".to_owned()]);
        table.row(["long name".to_owned(), "7".to_owned()]);
        assert_eq!(table.text(), "name           n\na          1,000\nlong name      7");
    }

    #[test]
    fn numbers_are_written_for_people() {
        let counts = [0, 12, 999, 1_000, 1_234_567];
        assert_eq!(counts.map(count), ["0", "12", "999", "1,000", "1,234,567"]);
        assert_eq!([999, 1_500, 2_000_000].map(short), ["999", "1.5k", "2.0M"]);
        let times = [0, 999, 1_500, 2_000_000, 3_600_000_000_000];
        assert_eq!(times.map(time), ["0", "999 ns", "1.5 us", "2.0 ms", "3600.0 s"]);
    }
}
