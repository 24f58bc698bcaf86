//! link: a stream goes below a multiplexor, whole: its head makes place for a queue of the
//! multiplexor.

use super::{Common, Failure};
use crate::render;
use millstream_host::ctl::Request;

/// Link a stream below a multiplexor
///
/// What waits at the head of the stream is the multiplexor's then. An interface below ip needs
/// addresses afterwards: set ip address="0 10.0.0.2/24".
#[derive(Debug, clap::Args)]
pub(crate) struct Link {
    /// Name of the multiplexor, as conf shows it
    mux: String,
    /// Name of the stream
    stream: String,
}

impl Link {
    pub(crate) fn run(self, common: &Common) -> Result<(), Failure> {
        let Self { mux, stream } = self;
        let answer = common.connect()?.ask(&Request::Link { mux, stream })?;
        if common.json {
            render::json(&answer);
        } else {
            let [stream, mux] = ["stream", "below"].map(|key| render::plain(&answer[key]));
            render::line(&format!("{stream} is linked below {mux}"));
        }
        Ok(())
    }
}
