//! unlink: a stream leaves its multiplexor and has its own head again.

use super::{Common, Failure};
use crate::render;
use millstream_host::ctl::Request;

/// Take a stream from below its multiplexor
#[derive(Debug, clap::Args)]
pub(crate) struct Unlink {
    /// Name of the stream
    stream: String,
}

impl Unlink {
    pub(crate) fn run(self, common: &Common) -> Result<(), Failure> {
        let answer = common.connect()?.ask(&Request::Unlink { stream: self.stream })?;
        if common.json {
            render::json(&answer);
        } else {
            let [stream, mux] = ["stream", "was_below"].map(|key| render::plain(&answer[key]));
            render::line(&format!("{stream} is no longer below {mux}"));
        }
        Ok(())
    }
}
