//! gate: a bench that counts instructions with callgrind and holds them against a committed
//! baseline. What it decides is the same on a busy machine as on a quiet one.

use std::fmt::Write as _;
use std::process::{Command, ExitCode};

/// A bench of that kind, a program of its own: it starts itself once for each count.
///
/// `cargo bench --bench NAME` exits with 1 when a figure is more than 2 % above its baseline.
/// `GATE_BLESS=1` writes the baseline. Without valgrind the bench says that it was skipped, and
/// exits with 0.
#[derive(Debug)]
pub struct Gate {
    /// Its name.
    pub name: &'static str,
    /// Path of the baseline: a line for each figure, its name and the values.
    pub baseline: &'static str,
    /// What the values of a figure are: head of the baseline.
    pub values: &'static [&'static str],
    /// Does one job, which is a few words.
    pub job: fn(&str),
    /// A short one: what `cargo test --benches` does.
    pub smoke: &'static str,
}

/// What was measured under a name.
pub type Figure = (String, Vec<f64>);

impl Gate {
    /// The whole bench: does a job, or measures all figures and compares them.
    ///
    /// # Panics
    /// When valgrind or a job fails: there is no figure then.
    pub fn run(&self, measure: impl FnOnce(&Self) -> Vec<Figure>) -> ExitCode {
        if let Ok(job) = std::env::var(JOB) {
            (self.job)(&job);
            return ExitCode::SUCCESS;
        }
        // Only `cargo bench` says so.
        if !std::env::args().any(|arg| arg == "--bench") {
            (self.job)(self.smoke);
            return ExitCode::SUCCESS;
        }
        if Command::new("valgrind").arg("--version").output().is_err() {
            println!("skipped: {} (valgrind is not installed)", self.name);
            return ExitCode::SUCCESS;
        }
        let figures = measure(self);
        for (name, values) in &figures {
            let values: Vec<String> = (values.iter().zip(self.values))
                .map(|(value, what)| format!("{value:.2} {what}"))
                .collect();
            println!("{name}: {}", values.join(", "));
        }
        if std::env::var_os("GATE_BLESS").is_some() {
            std::fs::write(self.baseline, self.text(&figures)).expect("the baseline is writable");
            return ExitCode::SUCCESS;
        }
        let baseline = std::fs::read_to_string(self.baseline).unwrap_or_default();
        let worse = self.worse(&baseline, &figures);
        worse.iter().for_each(|line| println!("WORSE: {line}"));
        ExitCode::from(u8::from(!worse.is_empty()))
    }

    /// Instructions of one job in a process of its own; where `within` says so, only those of
    /// functions of that name (with `*`) and what they call.
    ///
    /// # Panics
    /// As [`Gate::run`].
    pub fn instructions(&self, job: &str, within: Option<&str>) -> u64 {
        let output = Command::new("valgrind")
            .args(["--tool=callgrind", "--callgrind-out-file=/dev/null"])
            .args(within.map(|function| format!("--toggle-collect={function}")))
            .arg(std::env::current_exe().expect("the own path"))
            .env(JOB, job)
            .output()
            .expect("valgrind runs");
        let text = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{job}: {text}");
        let collected = text.lines().find_map(|line| line.split_once("Collected :"));
        let count = collected.and_then(|(_, count)| count.trim().parse().ok());
        count.unwrap_or_else(|| panic!("no count of {job}: {text}"))
    }

    fn text(&self, figures: &[Figure]) -> String {
        let mut text = format!("# instructions: {}\n", self.values.join(", "));
        for (name, values) in figures {
            text.push_str(name);
            for value in values {
                let _ = write!(text, " {value:.2}");
            }
            text.push('\n');
        }
        text
    }

    /// The values that are worse than the baseline's, or new.
    fn worse(&self, baseline: &str, figures: &[Figure]) -> Vec<String> {
        let mut worse = Vec::new();
        for (name, values) in figures {
            let line = baseline.lines().find_map(|line| line.strip_prefix(&format!("{name} ")));
            let mut known =
                line.unwrap_or_default().split(' ').map(|word| word.parse::<f64>().ok());
            for (now, what) in values.iter().zip(self.values) {
                match known.next().flatten() {
                    Some(before) if *now <= before * TOLERANCE => {}
                    Some(before) => worse.push(format!("{name}: {before:.2} -> {now:.2} {what}")),
                    None => worse.push(format!("{name}: {now:.2} {what}, no baseline")),
                }
            }
        }
        worse
    }
}

/// Names the job of a process that a gate has started.
const JOB: &str = "MILLSTREAM_GATE_JOB";

/// A figure may be so much above its baseline.
const TOLERANCE: f64 = 1.02;

#[cfg(test)]
mod tests {
    use super::*;

    const GATE: Gate = Gate {
        name: "gate",
        baseline: "",
        values: &["a message", "a module"],
        job: |_| {},
        smoke: "",
    };

    #[test]
    fn what_was_written_is_passed_and_what_costs_more_is_not() {
        let figures = [("a".into(), vec![100.0, 7.5]), ("a/b".into(), vec![3.0, 0.0])];
        let text = GATE.text(&figures);
        assert_eq!(text, "# instructions: a message, a module\na 100.00 7.50\na/b 3.00 0.00\n");
        assert!(GATE.worse(&text, &figures).is_empty());
        let more = [("a".into(), vec![101.9, 7.5]), ("a/b".into(), vec![3.1, 0.0])];
        assert_eq!(GATE.worse(&text, &more), ["a/b: 3.00 -> 3.10 a message"]);
    }

    #[test]
    fn a_figure_without_a_baseline_is_not_passed() {
        let figures = [("new".into(), vec![1.0, 2.0])];
        assert_eq!(
            GATE.worse("# instructions\nnew 1.0", &figures),
            ["new: 2.00 a module, no baseline"]
        );
    }
}
