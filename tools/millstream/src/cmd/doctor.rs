//! doctor: tries what a stack needs, one thing after the other, and says what works, what is
//! missing, and what to do.

mod checks;

use super::{Common, Failure};
use crate::render::{self, Table};
use checks::Check;
use serde::Serialize;

/// Say what works on this machine and what is missing, by trying it
///
/// Makes a TAP and takes it away again, asks for each offload, opens a raw socket, makes a user
/// namespace with a veth pair, and a control socket. Nothing is left behind. The exit code is 0
/// when stacks can carry traffic of this machine, 1 when they cannot.
#[derive(Debug, clap::Args)]
pub(crate) struct Doctor {}

/// All that was found.
#[derive(Debug, Serialize)]
struct Findings {
    /// Stacks can carry traffic of this machine.
    main_job: bool,
    /// How, or why not.
    verdict: &'static str,
    checks: Vec<Check>,
}

impl Doctor {
    pub(crate) fn run(self, common: &Common) -> Result<(), Failure> {
        let findings = Findings::of(checks::all());
        if common.json {
            render::json(&findings);
        } else {
            render::line(&findings.text());
        }
        if findings.main_job { Ok(()) } else { Err(Failure::Said) }
    }
}

impl Findings {
    fn of(checks: Vec<Check>) -> Self {
        let works = |what| checks.iter().any(|check| check.what == what && check.works);
        let (main_job, verdict) = if !works(checks::CONTROL) {
            (false, "Stacks cannot run here: each needs its control socket.")
        } else if works(checks::TAP) {
            (true, "Stacks run as you are, with all commands.")
        } else if works(checks::RAW) {
            (true, "Stacks run as you are, on interfaces that are there: millstream up --raw IF.")
        } else if works(checks::OWN_TAP) {
            (
                true,
                "Stacks run in a network of your own: millstream demo makes one; for others, \
                 unshare -Urn and then millstream up --tap IF.",
            )
        } else if works(checks::OWN_RAW) {
            (
                true,
                "Stacks run in a network of your own, on veth pairs: millstream demo makes one; \
                 for others, unshare -Urn, ip link add type veth, and then millstream up --raw IF.",
            )
        } else {
            (false, "Stacks run only in memory: millstream demo, millstream up --loopback NAME.")
        };
        Self { main_job, verdict, checks }
    }

    fn text(&self) -> String {
        let mut table = Table::new(&["what", "state", "how, or what to do"]);
        for check in &self.checks {
            let state = if check.works { "works" } else { "missing" };
            let of_the_tap = checks::OFFLOADS.iter().any(|(name, _)| *name == check.what);
            let indent = if of_the_tap { "  " } else { "" };
            table.row([format!("{indent}{}", check.what), state.to_owned(), check.says.clone()]);
        }
        format!("{}\n\n{}", table.text(), self.verdict)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Findings where only these work.
    fn findings(working: &[&'static str]) -> Findings {
        let all = [checks::TAP, checks::RAW, checks::OWN_TAP, checks::OWN_RAW, checks::CONTROL];
        let check = |what| Check { what, works: working.contains(&what), says: "so".to_owned() };
        Findings::of(all.map(check).into())
    }

    #[test]
    fn the_best_way_that_works_is_named_and_without_one_the_exit_code_says_so() {
        for (working, main_job, part) in [
            (&[checks::TAP, checks::OWN_TAP, checks::CONTROL][..], true, "as you are"),
            (&[checks::RAW, checks::CONTROL], true, "up --raw IF"),
            (&[checks::OWN_TAP, checks::OWN_RAW, checks::CONTROL], true, "millstream up --tap IF"),
            (&[checks::OWN_RAW, checks::CONTROL], true, "veth pairs"),
            (&[checks::CONTROL], false, "only in memory"),
            (&[checks::TAP], false, "Stacks cannot run"),
        ] {
            let found = findings(working);
            assert_eq!(found.main_job, main_job, "{working:?}");
            assert!(found.verdict.contains(part), "{working:?}: {}", found.verdict);
        }
    }

    #[test]
    fn each_check_is_a_row_with_its_state() {
        let text = findings(&[checks::CONTROL]).text();
        assert!(text.lines().any(|line| line.starts_with("TAP ") && line.contains("missing")));
        let control = |line: &str| line.starts_with(checks::CONTROL) && line.contains("works");
        assert!(text.lines().any(control), "{text}");
    }
}
