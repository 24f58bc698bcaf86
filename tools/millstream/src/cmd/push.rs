//! push: a module goes in just below the head of a stream.

use super::{Common, Failure, params};
use crate::render;
use millstream_host::ctl::{Param, Request};

/// Put a module in at the top of a stream
#[derive(Debug, clap::Args)]
pub(crate) struct Push {
    /// Name of the stream, as conf shows it
    stream: String,
    /// Name of the module, see millstream modules
    module: String,
    /// Its parameters
    #[arg(value_name = "KEY=VALUE", value_parser = params::parse)]
    params: Vec<Param>,
}

impl Push {
    pub(crate) fn run(self, common: &Common) -> Result<(), Failure> {
        let Self { stream, module, mut params } = self;
        params::settle(&mut params);
        let answer = common.connect()?.ask(&Request::Push { stream, module, params })?;
        done(common, &answer);
        Ok(())
    }
}

/// Says where a module is now.
pub(crate) fn done(common: &Common, answer: &serde_json::Value) {
    if common.json {
        return render::json(answer);
    }
    let [module, pos, stream] = ["module", "pos", "stream"].map(|k| render::plain(&answer[k]));
    render::line(&format!("{module} is at position {pos} of {stream}"));
}
