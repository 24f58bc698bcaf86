//! pop: the topmost module of a stream leaves; what it held goes on its way.

use super::{Common, Failure, remove};
use millstream_host::ctl::Request;

/// Take the topmost module of a stream out
#[derive(Debug, clap::Args)]
pub(crate) struct Pop {
    /// Name of the stream
    stream: String,
}

impl Pop {
    pub(crate) fn run(self, common: &Common) -> Result<(), Failure> {
        let answer = common.connect()?.ask(&Request::Pop { stream: self.stream.clone() })?;
        remove::done(common, &answer, &self.stream);
        Ok(())
    }
}
