//! replace: a module or multiplexor takes the place of another under running traffic, and its
//! state.

use super::{Common, Failure, params};
use crate::render;
use millstream_host::ctl::{Param, Request};

/// Put a module or multiplexor in the place of another, which hands its state over
///
/// replace tap0 0 count2  (the module at position 0 of tap0);
/// replace udp udp  (the multiplexor udp, by a fresh one).
/// Queues, timers, streams and what is held stay. One that does not take the state of the other
/// is refused, and the other goes on.
#[derive(Debug, clap::Args)]
pub(crate) struct Replace {
    /// Name of the stream, as conf shows it, or of a multiplexor
    target: String,
    /// Position of the module that is to go (0 is just above the driver or multiplexor; none for
    /// a multiplexor), name of what takes its place, its parameters, set afterwards
    #[arg(value_name = "[POS] MODULE [KEY=VALUE]", required = true, num_args = 1..)]
    rest: Vec<String>,
}

impl Replace {
    pub(crate) fn run(self, common: &Common) -> Result<(), Failure> {
        let Self { target, rest } = self;
        let (pos, module, texts) = match &rest[..] {
            [pos, module, texts @ ..] if !module.contains('=') => {
                let pos: usize =
                    pos.parse().map_err(|_| Failure::Usage(format!("{pos} is no position")))?;
                (Some(pos), module, texts)
            }
            [module, texts @ ..] if module.parse::<usize>().is_err() => (None, module, texts),
            _ => {
                return Err(Failure::Usage(
                    "replace by what: write the name of a module".to_owned(),
                ));
            }
        };
        let parsed = texts.iter().map(|text| params::parse(text));
        let mut params: Vec<Param> = parsed.collect::<Result<_, _>>().map_err(Failure::Usage)?;
        params::settle(&mut params);
        let request = Request::Replace { target, pos, module: module.clone(), params };
        let answer = common.connect()?.ask(&request)?;
        if common.json {
            render::json(&answer);
            return Ok(());
        }
        let [module, was, stream] =
            ["module", "was", "stream"].map(|key| render::plain(&answer[key]));
        let at = pos.map(|pos| format!(" at position {pos} of {stream}")).unwrap_or_default();
        render::line(&format!("{module} is in the place of {was}{at}"));
        Ok(())
    }
}
