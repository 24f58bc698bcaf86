//! demo: a router between two namespaces, traffic through it, and a link that turns bad and good
//! again while the traffic flows.
//!
//! With the right to open TAPs: three namespaces with a TAP each, joined by a stack. Without it:
//! veth pairs and raw sockets. Who has no rights at all gets them in a user namespace; and where
//! that is forbidden there are two stacks in this process, joined by a pair of devices. Nothing is
//! left behind.

mod lab;
mod link;
mod pair;
mod screen;
mod traffic;

use super::Failure;
use crate::render;
use lab::{Lab, Wire};
use millstream_drivers::netns::{enter_user_namespace, may_make_networks};
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
/// Three network namespaces, pings, UDP, and a TCP transfer between two kernels through a stack.
/// On TAPs where they can be opened, else on veth pairs with raw sockets, in a user namespace of
/// its own when you are not root; and where neither is allowed, two stacks in memory. It says
/// which, and why. Nothing is left behind.
#[derive(Debug, clap::Args)]
pub(crate) struct Demo {
    /// Length of each of the three phases
    #[arg(long, value_name = "SECONDS", default_value_t = 3.0, value_parser = phase_length)]
    seconds: f64,
}

impl Demo {
    pub(crate) fn run(self) -> Result<(), Failure> {
        // First of all: a user namespace is for a process of one thread.
        let place = if may_make_networks() {
            Ok("namespaces of its own")
        } else {
            enter_user_namespace().map(|()| "a user namespace of its own")
        };
        let shown = match place {
            Ok(place) => self.between_kernels(place),
            Err(why) => self.in_memory(&format!("No network of its own here: {why}")),
        };
        shown.map_err(Failure::Failed)
    }

    fn between_kernels(&self, place: &str) -> Result<(), String> {
        let no_tap = match Lab::start(Wire::Tap) {
            Ok(mut lab) => {
                render::line(&format!("On TAPs, in {place}: /dev/net/tun can be opened.\n"));
                return play(&mut lab, self.seconds);
            }
            Err(why) => why,
        };
        render::line(&format!("No TAPs here: {no_tap}"));
        match Lab::start(Wire::Veth) {
            Ok(mut lab) => {
                render::line(&format!("So: raw sockets on veth pairs, in {place}.\n"));
                play(&mut lab, self.seconds)
            }
            Err(why) => self.in_memory(&format!("No raw sockets on veth pairs either: {why}")),
        }
    }

    fn in_memory(&self, why: &str) -> Result<(), String> {
        render::line(why);
        render::line("So: two stacks in this process, joined by devices in memory.\n");
        pair::PairStage::start().and_then(|mut stage| play(&mut stage, self.seconds))
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
