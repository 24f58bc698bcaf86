//! What the demo prints: a row of figures twice a second, chains of modules, a summary.

use super::{Reading, Stage};
use crate::render;
use millstream_core::NodeView;
use std::fmt::Write;
use std::time::{Duration, Instant};

/// Rows and what they add up to.
pub(super) struct Screen {
    columns: Vec<&'static str>,
    start: Instant,
    /// Per phase, per column.
    seen: [Vec<Vec<Reading>>; 3],
}

/// Parts of the demo.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Phase {
    /// The link as it is.
    Before,
    /// With `impair` in it.
    Impaired,
    /// After it was taken out.
    After,
}

const WIDTH: usize = 22;
const ROW: Duration = Duration::from_millis(500);

impl Screen {
    pub(super) fn new(columns: Vec<&'static str>) -> Self {
        let mut head = format!("{:>7}  ", "time");
        for column in &columns {
            let _infallible = write!(head, "{column:>WIDTH$}");
        }
        render::line(&head);
        Self { columns, start: Instant::now(), seen: Default::default() }
    }

    /// Shows a phase, row by row.
    pub(super) fn play(&mut self, stage: &mut impl Stage, phase: Phase, length: Duration) {
        let end = Instant::now() + length;
        // What was measured across the change belongs to neither phase.
        stage.sample();
        while Instant::now() < end {
            std::thread::sleep(ROW.min(end.saturating_duration_since(Instant::now())));
            let row = stage.sample();
            let mut line = format!("{:>6.1}s  ", self.start.elapsed().as_secs_f64());
            for reading in &row {
                let _infallible = write!(line, "{:>WIDTH$}", show(*reading));
            }
            render::line(&line);
            self.seen[phase as usize].push(row);
        }
    }

    /// Prints a line between the rows.
    pub(super) fn say(&self, what: &str) {
        render::line(&format!("{:>6.1}s  -- {what}", self.start.elapsed().as_secs_f64()));
    }

    /// Each column over the three phases.
    pub(super) fn summary(&self) -> String {
        let mut out = format!("{:<24}{:>16}{:>16}{:>16}\n", "", "before", "impaired", "after");
        for (at, column) in self.columns.iter().enumerate() {
            let _infallible = write!(out, "{column:<24}");
            for phase in [Phase::Before, Phase::Impaired, Phase::After] {
                let cell = self.over(phase, at).map_or_else(|| "-".into(), show);
                let _infallible = write!(out, "{cell:>16}");
            }
            out.push('\n');
        }
        out
    }

    /// Whether everything that was to be shown was seen.
    pub(super) fn verdict(&self) -> Result<(), String> {
        let names = [Phase::Before, Phase::Impaired, Phase::After];
        for (phase, at) in names.iter().flat_map(|p| (0..self.columns.len()).map(move |c| (p, c))) {
            let silent = match self.over(*phase, at) {
                Some(Reading::RoundTrip { median, .. }) => median.is_none(),
                Some(Reading::Rate(rate)) => rate <= 0.0,
                None => true,
            };
            if silent {
                return Err(format!("nothing came through in {:?} ({phase:?})", self.columns[at]));
            }
        }
        Ok(())
    }

    /// A column over a phase: the median of its rows.
    fn over(&self, phase: Phase, column: usize) -> Option<Reading> {
        let rows: Vec<Reading> =
            self.seen[phase as usize].iter().filter_map(|row| row.get(column).copied()).collect();
        let mut trips = Vec::new();
        let (mut lost_in_all, mut sent_in_all, mut rates) = (0, 0, Vec::new());
        for row in &rows {
            match *row {
                Reading::RoundTrip { median, lost, sent } => {
                    trips.extend(median);
                    lost_in_all += lost;
                    sent_in_all += sent;
                }
                Reading::Rate(rate) => rates.push(rate),
            }
        }
        if !rates.is_empty() {
            return Some(Reading::Rate(rates.iter().sum::<f64>() / rates.len() as f64));
        }
        trips.sort_unstable();
        let median = trips.get(trips.len() / 2).copied();
        (!rows.is_empty()).then_some(Reading::RoundTrip {
            median,
            lost: lost_in_all,
            sent: sent_in_all,
        })
    }
}

fn show(reading: Reading) -> String {
    match reading {
        Reading::RoundTrip { median: None, .. } => "no answer".into(),
        Reading::RoundTrip { median: Some(rtt), lost: 0, .. } => millis(rtt),
        Reading::RoundTrip { median: Some(rtt), lost, sent } => {
            format!("{} ({lost}/{sent} lost)", millis(rtt))
        }
        Reading::Rate(bits) if bits >= 1e9 => format!("{:.2} Gbit/s", bits / 1e9),
        Reading::Rate(bits) => format!("{:.2} Mbit/s", bits / 1e6),
    }
}

fn millis(rtt: Duration) -> String {
    format!("{:.2} ms", rtt.as_secs_f64() * 1e3)
}

/// A chain of nodes, top down, with counters.
pub(super) fn chain(nodes: &[NodeView]) -> String {
    let mut out = format!(
        "{:<18}{:>4}{:>12}{:>12}{:>12}{:>12}{:>10}{:>8}\n",
        "link, top down", "pos", "msgs up", "MB up", "msgs down", "MB down", "ns/msg", "drops"
    );
    for (at, node) in nodes.iter().enumerate() {
        let name = if at == 0 { node.name.clone() } else { format!("| {}", node.name) };
        let pos = node.pos.map_or_else(String::new, |pos| pos.to_string());
        let stat = &node.stat;
        let ns = stat.ns_per_msg().map_or_else(|| "-".into(), |ns| ns.to_string());
        let mega = |bytes: u64| format!("{:.1}", bytes as f64 / 1e6);
        let _infallible = writeln!(
            out,
            "{name:<18}{pos:>4}{:>12}{:>12}{:>12}{:>12}{ns:>10}{:>8}",
            stat.msgs_in[0],
            mega(stat.bytes_in[0]),
            stat.msgs_in[1],
            mega(stat.bytes_in[1]),
            stat.dropped(),
        );
        for (reason, count) in &stat.drops {
            let _infallible = writeln!(out, "{:<18}      {count} x {}", "|", reason.0);
        }
    }
    out
}
