//! gate: a bench that counts instructions with callgrind and holds them against a committed
//! baseline. What it decides is the same on a busy machine as on a quiet one.

use std::fmt::Write as _;
use std::process::{Command, ExitCode};

/// A bench of that kind, a program of its own: it starts itself once for each count.
///
/// `cargo bench --bench NAME` exits with 1 when a figure is more than 3 % above its baseline and
/// the change log says nothing of it. `GATE_BLESS=1` writes the baseline, under the same condition.
/// A note is a line of `CHANGELOG.md` as the bench prints it, with a reason:
///
/// ```text
/// - `hop_count per_message/batch_1`: 83.70 -> 90.00 per module: every message has a stamp now.
/// ```
///
/// A baseline is that of a compiler and of the processor's features that were compiled for; those
/// that libraries choose at run time are pinned. With another compiler, or without valgrind, the
/// bench says that it was skipped, and exits with 0.
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
        let baseline = std::fs::read_to_string(self.baseline).unwrap_or_default();
        let bless = std::env::var_os("GATE_BLESS").is_some();
        let here = toolchain();
        let of_baseline = baseline.lines().find_map(|line| line.strip_prefix(TOOLCHAIN));
        if let Some(other) = of_baseline.filter(|of| *of != here && !bless) {
            println!("skipped: {}: its baseline is of {other}, this is {here}", self.name);
            return ExitCode::SUCCESS;
        }
        let figures = measure(self);
        for (name, values) in &figures {
            let values: Vec<String> = (values.iter().zip(self.values))
                .map(|(value, what)| format!("{value:.2} {what}"))
                .collect();
            println!("{name}: {}", values.join(", "));
        }
        let notes = std::fs::read_to_string(CHANGELOG).unwrap_or_default();
        // With another compiler nothing can be compared.
        let comparable = of_baseline.is_none_or(|of| of == here);
        let rises = if comparable { self.rises(&baseline, &figures) } else { Vec::new() };
        let unnoted: Vec<_> = rises.iter().filter(|rise| !rise.is_in(&notes)).collect();
        for rise in &unnoted {
            println!("WORSE, and not in CHANGELOG.md: - {rise}: WHY");
        }
        if !unnoted.is_empty() {
            return ExitCode::FAILURE;
        }
        if bless {
            let text = self.text(&here, &figures);
            std::fs::write(self.baseline, text).expect("the baseline is writable");
            return ExitCode::SUCCESS;
        }
        let new = self.unknown(&baseline, &figures);
        new.iter().for_each(|line| println!("WITHOUT A BASELINE: {line}"));
        ExitCode::from(u8::from(!new.is_empty()))
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
            .env("GLIBC_TUNABLES", PINNED)
            .output()
            .expect("valgrind runs");
        let text = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{job}: {text}");
        let collected = text.lines().find_map(|line| line.split_once("Collected :"));
        let count = collected.and_then(|(_, count)| count.trim().parse().ok());
        count.unwrap_or_else(|| panic!("no count of {job}: {text}"))
    }

    fn text(&self, toolchain: &str, figures: &[Figure]) -> String {
        let mut text = format!("# instructions: {}\n", self.values.join(", "));
        let _ = writeln!(text, "{TOOLCHAIN}{toolchain}");
        for (name, values) in figures {
            text.push_str(name);
            for value in values {
                let _ = write!(text, " {value:.2}");
            }
            text.push('\n');
        }
        text
    }

    /// The figures with their values, what those are, and what the baseline has.
    fn compared<'a>(
        &'a self,
        baseline: &'a str,
        figures: &'a [Figure],
    ) -> impl Iterator<Item = (Rise<'a>, bool)> {
        figures.iter().flat_map(move |(name, values)| {
            let line = baseline.lines().find_map(|line| line.strip_prefix(&format!("{name} ")));
            let known = line.unwrap_or_default().split(' ').map(|word| word.parse::<f64>().ok());
            let known: Vec<_> = known.collect();
            values.iter().zip(self.values).enumerate().map(move |(nth, (&now, what))| {
                let before = known.get(nth).copied().flatten();
                let known = before.is_some();
                let before = before.unwrap_or(f64::NAN);
                (Rise { gate: self.name, name, what, before, now }, known)
            })
        })
    }

    /// The values that are more than the baseline's and what is tolerated.
    fn rises<'a>(&'a self, baseline: &'a str, figures: &'a [Figure]) -> Vec<Rise<'a>> {
        let all = self.compared(baseline, figures);
        all.filter(|(rise, _)| rise.now > rise.before * TOLERANCE).map(|(rise, _)| rise).collect()
    }

    /// The values that the baseline does not have.
    fn unknown(&self, baseline: &str, figures: &[Figure]) -> Vec<String> {
        let all = self.compared(baseline, figures).filter(|(_, known)| !known);
        all.map(|(rise, _)| format!("{}: {:.2} {}", rise.name, rise.now, rise.what)).collect()
    }
}

/// A value that has become more.
#[derive(Debug)]
struct Rise<'a> {
    gate: &'a str,
    name: &'a str,
    what: &'a str,
    before: f64,
    now: f64,
}

impl Rise<'_> {
    /// Has the change log a line of it, from this baseline to at least as much, with a reason?
    fn is_in(&self, notes: &str) -> bool {
        let Self { gate, name, what, before, .. } = self;
        let begin = format!("- `{gate} {name}`: {before:.2} -> ");
        notes.lines().filter_map(|line| line.strip_prefix(&begin)).any(|rest| {
            let (to, rest) = rest.split_once(' ').unwrap_or_default();
            let reason = rest.strip_prefix(what).and_then(|rest| rest.strip_prefix(": "));
            let enough = to.parse::<f64>().is_ok_and(|to| self.now <= to * NOISE);
            enough && reason.is_some_and(|reason| !matches!(reason.trim(), "" | "WHY"))
        })
    }
}

impl std::fmt::Display for Rise<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { gate, name, what, before, now } = self;
        write!(f, "`{gate} {name}`: {before:.2} -> {now:.2} {what}")
    }
}

/// The compiler, and what it compiles for beyond the least that the target has.
fn toolchain() -> String {
    let told = Command::new("rustc").arg("--version").output();
    let rustc = told.map(|output| String::from_utf8_lossy(&output.stdout).trim().to_owned());
    let mut text = rustc.unwrap_or_else(|why| format!("rustc: {why}"));
    for feature in FEATURES.iter().filter(|(_, there)| *there).map(|(name, _)| name) {
        let _ = write!(text, " +{feature}");
    }
    text
}

macro_rules! features {
    ($($name:literal)*) => { &[$(($name, cfg!(target_feature = $name)),)*] };
}

/// What `-C target-cpu` may add, and changes counts.
const FEATURES: &[(&str, bool)] = features!("sse4.2" "avx" "avx2" "bmi2" "avx512f" "sve");

/// What the C library may not choose by the processor that it runs on.
const PINNED: &str = "glibc.cpu.hwcaps=-AVX2,-AVX512F,-AVX512VL,-AVX512BW,-ERMS,-FSRM";

/// The line of a baseline that names its compiler.
const TOOLCHAIN: &str = "# toolchain: ";

/// Where what costs more is noted.
const CHANGELOG: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../CHANGELOG.md");

/// Names the job of a process that a gate has started.
const JOB: &str = "MILLSTREAM_GATE_JOB";

/// A figure may be so much above its baseline without a note.
const TOLERANCE: f64 = 1.03;

/// Addresses of memory differ from run to run, and hash tables with them: so much above what a note
/// allows is the same.
const NOISE: f64 = 1.005;

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
        let text = GATE.text("rustc 1.0", &figures);
        let head = "# instructions: a message, a module\n# toolchain: rustc 1.0\n";
        assert_eq!(text, format!("{head}a 100.00 7.50\na/b 3.00 0.00\n"));
        assert!(GATE.rises(&text, &figures).is_empty());
        assert!(GATE.unknown(&text, &figures).is_empty());
        let more = [("a".into(), vec![102.9, 7.5]), ("a/b".into(), vec![3.1, 0.0])];
        let rises: Vec<String> = GATE.rises(&text, &more).iter().map(Rise::to_string).collect();
        assert_eq!(rises, ["`gate a/b`: 3.00 -> 3.10 a message"]);
    }

    #[test]
    fn a_figure_without_a_baseline_is_not_passed() {
        let figures = [("new".into(), vec![1.0, 2.0])];
        let baseline = "# instructions\nnew 1.0";
        assert_eq!(GATE.unknown(baseline, &figures), ["new: 2.00 a module"]);
        assert!(GATE.rises(baseline, &figures).is_empty());
    }

    #[test]
    fn more_than_three_percent_want_a_note_of_this_rise_with_a_reason() {
        let baseline = "a 100.00 7.50\n";
        let figures = [("a".into(), vec![104.0, 7.5])];
        let rises = GATE.rises(baseline, &figures);
        let [rise] = &rises[..] else { panic!("{rises:?}") };
        let noted = |line: &str| rise.is_in(&format!("# Changes\n{line}\n"));
        assert!(noted("- `gate a`: 100.00 -> 104.00 a message: it has a stamp."));
        assert!(noted("- `gate a`: 100.00 -> 110.00 a message: it has a stamp."));
        for line in [
            "",
            "- `gate a`: 100.00 -> 104.00 a message: WHY",
            "- `gate a`: 100.00 -> 104.00 a message",
            "- `gate a`: 90.00 -> 104.00 a message: an older one.",
            "- `gate a`: 100.00 -> 103.00 a message: not as much.",
            "- `gate a`: 100.00 -> 104.00 a module: another value.",
            "- `gate b`: 100.00 -> 104.00 a message: another figure.",
        ] {
            assert!(!noted(line), "{line}");
        }
    }

    #[test]
    fn a_toolchain_is_named_with_what_it_compiles_for() {
        let named = toolchain();
        assert!(named.starts_with("rustc "), "{named}");
        assert_eq!(named.contains(" +avx2"), cfg!(target_feature = "avx2"));
    }
}
