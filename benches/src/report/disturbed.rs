//! disturbed: what else the machine did during a run. Such a run is marked, never dropped.

use serde::{Deserialize, Serialize};
use std::time::Instant;

/// A run in which others had processor time.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Disturbed {
    /// What was measured.
    pub side: String,
    /// Which run of it, from 0.
    pub run: usize,
    /// Of the time of all cores, what the hypervisor took. Percent.
    pub stolen_percent: f64,
    /// Of the time of all cores, what other programs took. Percent.
    pub others_percent: f64,
}

/// Looks from the beginning of a run to its end.
pub(super) struct Watch {
    before: Option<Times>,
    began: Instant,
}

/// Processor time since the machine came up. Seconds.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Times {
    /// All cores, idle included.
    all: f64,
    stolen: f64,
    /// Programs, and the kernel for them.
    programs: f64,
    /// Of which ours, with children that have ended.
    ours: f64,
}

/// What is taken away above this disturbs: below it is the kernel's own housekeeping, and the
/// grain of the counters. Percent of all cores.
const STOLEN_PERCENT_MAX: f64 = 1.0;
const OTHERS_PERCENT_MAX: f64 = 5.0;

/// The counters of `/proc` count in these. Seconds.
const TICK: f64 = 0.01;

impl Watch {
    pub(super) fn start() -> Self {
        Self { before: Times::now(), began: Instant::now() }
    }

    /// The mark of the run, when it wants one.
    pub(super) fn end(self, side: &str, run: usize) -> Option<Disturbed> {
        let (before, after) = (self.before?, Times::now()?);
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        let all = (after.all - before.all).max(self.began.elapsed().as_secs_f64() * cores as f64);
        let (stolen_percent, others_percent) = after.since(before, all);
        let disturbed = stolen_percent > STOLEN_PERCENT_MAX || others_percent > OTHERS_PERCENT_MAX;
        let side = side.to_owned();
        disturbed.then_some(Disturbed { side, run, stolen_percent, others_percent })
    }
}

impl Times {
    fn now() -> Option<Self> {
        let machine = std::fs::read_to_string("/proc/stat").ok()?;
        let own = std::fs::read_to_string("/proc/self/stat").ok()?;
        Self::parse(&machine, &own)
    }

    fn parse(machine: &str, own: &str) -> Option<Self> {
        /// user, nice, system, idle, iowait, irq, softirq, steal: proc_stat(5).
        const COLUMNS: usize = 8;
        let cpu = machine.lines().next()?.strip_prefix("cpu ")?;
        let ticks: Vec<f64> = cpu.split_whitespace().filter_map(|n| n.parse().ok()).collect();
        let [user, nice, system, _, _, _, _, stolen, ..] = ticks[..] else { return None };
        /// utime, stime, cutime, cstime: fields 14 to 17, of which 2 are before the name's end.
        const FIRST: usize = 14 - 3;
        let fields: Vec<&str> = own.rsplit_once(')')?.1.split_whitespace().collect();
        let ours: f64 = fields.get(FIRST..FIRST + 4)?.iter().flat_map(|n| n.parse::<f64>()).sum();
        Some(Self {
            all: ticks[..COLUMNS].iter().sum::<f64>() * TICK,
            stolen: stolen * TICK,
            programs: (user + nice + system) * TICK,
            ours: ours * TICK,
        })
    }

    /// Percent stolen, and percent of others, of so many seconds of all cores.
    fn since(self, before: Self, all: f64) -> (f64, f64) {
        let percent = |seconds: f64| (seconds / all * 100.0).clamp(0.0, 100.0);
        let programs = self.programs - before.programs;
        let ours = self.ours - before.ours;
        (percent(self.stolen - before.stolen), percent(programs - ours))
    }
}

impl std::fmt::Display for Disturbed {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { side, run, stolen_percent, others_percent } = self;
        let run = run + 1;
        write!(f, "{side}, run {run}: ")?;
        write!(f, "stolen {stolen_percent:.0} %, other programs {others_percent:.0} %")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const OWN: &str = "7 (a (b) c) R 1 1 1 0 -1 0 0 0 0 0 30 20 5 5 20 0 1 0 0";

    #[test]
    fn others_are_the_programs_that_are_not_ours() {
        let before = Times::parse("cpu  100 0 100 500 0 0 0 0 0 0\n", OWN).unwrap();
        assert_eq!(before, Times { all: 7.0, stolen: 0.0, programs: 2.0, ours: 0.6 });
        let later = OWN.replace("30 20", "60 40");
        let after = Times::parse("cpu  160 0 140 560 0 20 10 10 0 0\n", &later).unwrap();
        // 2 s: 1 s of programs, half of it ours, 0.1 s stolen.
        let (stolen, others) = after.since(before, after.all - before.all);
        assert!((stolen - 5.0).abs() < 1e-9, "{stolen}");
        assert!((others - 25.0).abs() < 1e-9, "{others}");
    }

    #[test]
    fn counters_that_are_not_there_mark_nothing() {
        assert_eq!(Times::parse("", OWN), None);
        assert_eq!(Times::parse("cpu  1 2 3\n", OWN), None);
        assert_eq!(Times::parse("cpu  1 2 3 4 5 6 7 8\n", "7 (a) R 1"), None);
    }

    #[test]
    fn this_machine_has_the_counters() {
        let watch = Watch::start();
        assert!(watch.before.is_some());
    }
}
