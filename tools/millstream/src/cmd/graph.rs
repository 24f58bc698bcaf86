//! graph: the whole stack as it hangs together, with what goes over each edge in a second.

mod draw;
mod model;

use super::rates::per_second;
use super::{Common, Failure};
use crate::render;
use millstream_host::ctl::{self, Request};
use model::Graph;
use std::time::Duration;

/// Draw the whole stack: streams, modules, multiplexors, and the rates between them
///
/// Rates are messages and bytes per second, up and down, over the time that --seconds says. The
/// text shows streams top down; --dot is for graphviz: millstream graph --dot | dot -Tsvg.
#[derive(Debug, clap::Args)]
pub(crate) struct Draw {
    /// Print graphviz's language
    #[arg(long, conflicts_with = "json")]
    dot: bool,
    /// How long rates are measured
    #[arg(long, value_name = "SECS", default_value_t = 1.0, value_parser = seconds)]
    seconds: f64,
}

impl Draw {
    pub(crate) fn run(self, common: &Common) -> Result<(), Failure> {
        let mut client = common.connect()?;
        let before: ctl::Stat = client.ask_for(&Request::Stat {})?;
        std::thread::sleep(Duration::from_secs_f64(self.seconds));
        let now: ctl::Stat = client.ask_for(&Request::Stat {})?;
        let graph = Graph::of(&per_second(&before, &now));
        if common.json {
            render::json(&graph);
        } else if self.dot {
            render::line(&draw::dot(&graph));
        } else {
            render::line(&draw::text(&graph));
        }
        Ok(())
    }
}

fn seconds(text: &str) -> Result<f64, String> {
    match text.parse() {
        Ok(seconds) if (0.01..=50.0).contains(&seconds) => Ok(seconds),
        _ => Err("a number of seconds from 0.01 to 50".to_owned()),
    }
}

#[cfg(test)]
pub(super) mod tests {
    pub(in crate::cmd) use super::model::tests::stack;
}
