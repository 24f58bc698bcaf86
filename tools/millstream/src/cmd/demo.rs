//! demo: a router between two namespaces, traffic through it, and a link that turns bad and good
//! again while the traffic flows.
//!
//! With the right to make TAPs: three namespaces with a TAP each, joined by a stack. Without it:
//! two stacks in this process, joined by a pair of devices. Nothing is left behind.

mod lab;
mod link;
mod pair;
mod screen;
mod traffic;

use super::Failure;
use crate::render;
use screen::{Phase, Screen};
use std::fmt::Display;
use std::time::Duration;

/// What the demo has to show: a stack with a link that can be broken, and traffic over it.
trait Stage {
    /// How the parts hang together, for people.
    fn picture(&self) -> String;
    /// What is measured, in the order of [`Stage::sample`].
    fn columns(&self) -> Vec<&'static str>;
    /// What was measured since the last call.
    fn sample(&mut self) -> Vec<Reading>;
    /// The link that is broken.
    fn link(&self) -> link::Link;
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
static FAULT: [(&str, &str); 2] = [("delay", "25ms"), ("loss", "1%")];

/// Show the main job: traffic through a router, and a link that turns bad and good again
///
/// As root: three network namespaces with a TAP each, pings, UDP, and a TCP transfer between two
/// kernels. Without rights: two stacks in memory. Nothing is left behind.
#[derive(Debug, clap::Args)]
pub(crate) struct Demo {
    /// Length of each of the three phases
    #[arg(long, value_name = "SECONDS", default_value_t = 3.0, value_parser = phase_length)]
    seconds: f64,
}

impl Demo {
    pub(crate) fn run(self) -> Result<(), Failure> {
        let shown = match lab::Lab::start() {
            Ok(mut lab) => play(&mut lab, self.seconds),
            Err(why) => {
                render::line(&format!("No TAPs here: {why}"));
                render::line("So: two stacks in this process, joined by devices in memory.\n");
                pair::PairStage::start().and_then(|mut stage| play(&mut stage, self.seconds))
            }
        };
        shown.map_err(Failure::Failed)
    }
}

fn phase_length(text: &str) -> Result<f64, String> {
    match text.parse() {
        Ok(seconds) if (0.5..=3600.0).contains(&seconds) => Ok(seconds),
        _ => Err("0.5 to 3600 seconds".to_owned()),
    }
}

fn play(stage: &mut impl Stage, seconds: f64) -> Result<(), String> {
    render::line(&stage.picture());
    let mut screen = Screen::new(stage.columns());
    let phase = Duration::from_secs_f64(seconds);
    screen.play(stage, Phase::Before, phase);
    stage.link().impair(&FAULT)?;
    let fault = FAULT.map(|(key, value)| format!("{key}={value}")).join(" ");
    screen.say(&format!("impair {fault} inserted just above the driver, under the traffic"));
    screen.play(stage, Phase::Impaired, phase);
    render::line(&format!("\n{}", screen::chain(&stage.link().chain()?)));
    stage.link().mend()?;
    screen.say("impair removed; what it held went on its way");
    screen.play(stage, Phase::After, phase);
    render::line(&format!("\n{}", screen::chain(&stage.link().chain()?)));
    render::line(&screen.summary());
    screen.verdict()
}

fn text(error: impl Display) -> String {
    error.to_string()
}
