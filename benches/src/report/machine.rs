//! machine: where, when and how figures were taken.

use super::Options;
use serde::{Deserialize, Serialize};
use std::process::Command;
use std::time::{SystemTime, UNIX_EPOCH};

/// The environment of a report. Files of before a field was known lack it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Machine {
    /// Model of the processor.
    pub cpu: String,
    /// Cores that this process may use.
    pub cores: usize,
    /// Release of the kernel.
    pub kernel: String,
    /// What was measured; whether the sources had changed since.
    pub commit: String,
    /// How to get these figures again.
    pub command: String,
    /// When it began, UTC.
    #[serde(default)]
    pub date: String,
    /// MTU and offloads of the interfaces.
    #[serde(default)]
    pub link: String,
    /// Which threads are on which cores.
    #[serde(default)]
    pub pinning: String,
    /// Class of the threads that are measured: others on the machine get less or nothing.
    pub scheduling: String,
    /// Programs that wanted a core in the minute before.
    pub load: f64,
    /// Runs of each line.
    pub runs: usize,
    /// Length of one run.
    pub seconds: f64,
    /// Only a look whether it works: the figures are worth little.
    #[serde(default)]
    pub quick: bool,
}

/// What [`crate::lab::Lab`] makes.
const LINK: &str = "MTU 1500; TAP with the kernel's offloads (CSUM, TSO4, TSO6, TSO_ECN, USO4 and \
    USO6 where it has them) unless a line says plain; veth with all of the kernel's";
const PINNING: &str = "cores 0 and 1, as the lines say; what is in memory on core 1";

impl Machine {
    pub(super) fn this(options: &Options) -> Self {
        let cpuinfo = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
        let model = cpuinfo.lines().find_map(|line| line.strip_prefix("model name"));
        let cpu = model.map_or("unknown", |m| m.trim_start_matches([' ', '\t', ':']));
        let uname = rustix::system::uname();
        Self {
            cpu: cpu.to_owned(),
            cores: std::thread::available_parallelism().map_or(1, Into::into),
            kernel: uname.release().to_string_lossy().into_owned(),
            commit: commit(),
            command: command(),
            date: date(SystemTime::now()),
            link: LINK.into(),
            pinning: PINNING.into(),
            scheduling: scheduling(),
            load: load(),
            runs: options.runs,
            seconds: options.seconds,
            quick: options.quick,
        }
    }
}

fn command() -> String {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    format!("cargo run --release -- bench {}", arguments.join(" ")).trim_end().to_owned()
}

/// Year, month, day, hour and minute. UTC.
fn date(at: SystemTime) -> String {
    let seconds = at.duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs());
    let (days, minutes) = (seconds / 86_400, seconds / 60 % 1440);
    // Years that begin in March have the leap day at their end.
    let days = days + 719_468;
    let (era, day) = (days / 146_097, days % 146_097);
    let year = (day - day / 1460 + day / 36_524 - day / 146_096) / 365;
    let day = day - (365 * year + year / 4 - year / 100);
    let month = (5 * day + 2) / 153;
    let day_of_month = day - (153 * month + 2) / 5 + 1;
    let month = if month < 10 { month + 3 } else { month - 9 };
    let year = year + era * 400 + u64::from(month <= 2);
    let (hour, minute) = (minutes / 60, minutes % 60);
    format!("{year}-{month:02}-{day_of_month:02} {hour:02}:{minute:02}")
}

/// The scheduling class and niceness of this thread, as those that are measured inherit them.
fn scheduling() -> String {
    /// Fields behind the name, which may contain anything.
    const NICE: usize = 16;
    const POLICY: usize = 38;
    let stat = std::fs::read_to_string("/proc/thread-self/stat").unwrap_or_default();
    let fields: Vec<&str> = stat.rsplit(')').next().unwrap_or_default().split(' ').collect();
    let at = |field: usize| fields.get(field + 1).copied();
    let class = match at(POLICY) {
        Some("0") => "SCHED_OTHER",
        Some("1") => "SCHED_FIFO",
        Some("2") => "SCHED_RR",
        _ => "class unknown",
    };
    format!("{class}, nice {}", at(NICE).unwrap_or("unknown"))
}

fn load() -> f64 {
    let load = std::fs::read_to_string("/proc/loadavg").unwrap_or_default();
    load.split(' ').next().and_then(|minute| minute.parse().ok()).unwrap_or_default()
}

fn commit() -> String {
    let git = |arguments: &[&str]| {
        let here = env!("CARGO_MANIFEST_DIR");
        let output = Command::new("git").arg("-C").arg(here).args(arguments).output().ok()?;
        output.status.success().then(|| String::from_utf8_lossy(&output.stdout).trim().to_owned())
    };
    let Some(commit) = git(&["rev-parse", "--short=12", "HEAD"]) else {
        return "commit unknown".into();
    };
    let sources = ["status", "--porcelain", "--", "../stack", "../modules", "../drivers", "."];
    match git(&sources) {
        Some(changes) if changes.is_empty() => commit,
        _ => commit + " with changes",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[test]
    fn dates_are_those_of_the_calendar() {
        let at = |seconds| date(UNIX_EPOCH + Duration::from_secs(seconds));
        assert_eq!(at(0), "1970-01-01 00:00");
        assert_eq!(at(951_782_400), "2000-02-29 00:00");
        assert_eq!(at(1_795_354_740), "2026-11-22 13:39");
        assert_eq!(at(4_102_444_799), "2099-12-31 23:59");
    }
}
