//! remove: the module at a position leaves; what it held goes on its way.

use super::{Common, Failure};
use crate::render;
use millstream_host::ctl::Request;

/// Take the module at a position out
#[derive(Debug, clap::Args)]
pub(crate) struct Remove {
    /// Name of the stream
    stream: String,
    /// Position, as conf shows it
    pos: usize,
}

impl Remove {
    pub(crate) fn run(self, common: &Common) -> Result<(), Failure> {
        let Self { stream, pos } = self;
        let answer = common.connect()?.ask(&Request::Remove { stream: stream.clone(), pos })?;
        done(common, &answer, &stream);
        Ok(())
    }
}

/// Says which module has left.
pub(crate) fn done(common: &Common, answer: &serde_json::Value, stream: &str) {
    if common.json {
        return render::json(answer);
    }
    render::line(&format!("{} is out of {stream}", render::plain(&answer["module"])));
}
