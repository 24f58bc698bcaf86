//! demo: a router between two namespaces, traffic through it, and a link that turns bad and good
//! again while the traffic flows.
//!
//! With the right to make TAPs: three namespaces with a TAP each, joined by a stack. Without it:
//! two stacks in this process, joined by a pair of devices. Nothing is left behind.

mod lab;
mod pair;
mod screen;
mod traffic;

use screen::{Phase, Screen};
use std::fmt::Display;
use std::process::ExitCode;
use std::time::Duration;

/// What the demo has to show: a stack with a link that can be broken, and traffic over it.
trait Stage {
    /// How the parts hang together, for people.
    fn picture(&self) -> String;
    /// What is measured, in the order of [`Stage::sample`].
    fn columns(&self) -> Vec<&'static str>;
    /// What was measured since the last call.
    fn sample(&mut self) -> Vec<Reading>;
    /// The chain of the link that is broken, with counters.
    fn chain(&self) -> Result<Vec<millstream_core::NodeView>, String>;
    /// Puts `impair` into the link.
    fn break_link(&mut self, parameters: &[(&str, &str)]) -> Result<(), String>;
    /// Takes it out again.
    fn mend_link(&mut self) -> Result<(), String>;
}

/// One figure of a column.
#[derive(Clone, Copy, Debug)]
enum Reading {
    /// A median round trip, and how many of how many got no answer.
    RoundTrip { median: Option<Duration>, lost: usize, sent: usize },
    /// Bits per second.
    Rate(f64),
}

/// The fault that the link gets.
const FAULT: [(&str, &str); 2] = [("delay", "25ms"), ("loss", "1%")];

/// Runs the demo; `seconds` is the length of each of its three phases.
pub(crate) fn run(seconds: f64) -> ExitCode {
    let shown = match lab::Lab::start() {
        Ok(mut lab) => play(&mut lab, seconds),
        Err(why) => {
            println!("No TAPs here: {why}");
            println!("So: two stacks in this process, joined by a pair of devices in memory.\n");
            pair::PairStage::start().and_then(|mut stage| play(&mut stage, seconds))
        }
    };
    match shown {
        Ok(()) => ExitCode::SUCCESS,
        Err(why) => {
            eprintln!("millstream demo: {why}");
            ExitCode::FAILURE
        }
    }
}

fn play(stage: &mut impl Stage, seconds: f64) -> Result<(), String> {
    println!("{}", stage.picture());
    let mut screen = Screen::new(stage.columns());
    let phase = Duration::from_secs_f64(seconds);
    screen.play(stage, Phase::Before, phase);
    stage.break_link(&FAULT)?;
    let fault = FAULT.map(|(key, value)| format!("{key}={value}")).join(" ");
    screen.say(&format!("impair {fault} inserted just above the driver, under the traffic"));
    screen.play(stage, Phase::Impaired, phase);
    println!("\n{}", screen::chain(&stage.chain()?));
    stage.mend_link()?;
    screen.say("impair removed; what it held went on its way");
    screen.play(stage, Phase::After, phase);
    println!("\n{}", screen::chain(&stage.chain()?));
    println!("{}", screen.summary());
    screen.verdict()
}

fn text(error: impl Display) -> String {
    error.to_string()
}
