//! replace: a module takes the place of another under running traffic, and its state.

use super::{Common, Failure, params};
use crate::render;
use millstream_host::ctl::{Param, Request};

/// Put a module in the place of another, which hands its state over
///
/// Queues, timers and what is held stay. A module that does not take the state of the other is
/// refused, and the other goes on.
#[derive(Debug, clap::Args)]
pub(crate) struct Replace {
    /// Name of the stream, as conf shows it
    stream: String,
    /// Position of the module that is to go: 0 is just above the driver or multiplexor
    pos: usize,
    /// Name of the module that takes its place, see millstream modules
    module: String,
    /// Its parameters, set afterwards
    #[arg(value_name = "KEY=VALUE", value_parser = params::parse)]
    params: Vec<Param>,
}

impl Replace {
    pub(crate) fn run(self, common: &Common) -> Result<(), Failure> {
        let Self { stream, pos, module, mut params } = self;
        params::settle(&mut params);
        let answer = common.connect()?.ask(&Request::Replace { stream, pos, module, params })?;
        if common.json {
            render::json(&answer);
        } else {
            let [module, was, pos, stream] =
                ["module", "was", "pos", "stream"].map(|key| render::plain(&answer[key]));
            render::line(&format!(
                "{module} is in the place of {was} at position {pos} of {stream}"
            ));
        }
        Ok(())
    }
}
