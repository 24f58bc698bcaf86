//! insert: a module goes in at any position of a stream, under running traffic.

use super::{Common, Failure, params, push};
use millstream_host::ctl::{Param, Request};

/// Put a module in at a position of a stream
#[derive(Debug, clap::Args)]
pub(crate) struct Insert {
    /// Name of the stream, as conf shows it: that of an interface is the name of its TAP
    stream: String,
    /// Position: 0 is just above the driver or multiplexor
    pos: usize,
    /// Name of the module, see millstream modules
    module: String,
    /// Its parameters
    #[arg(value_name = "KEY=VALUE", value_parser = params::parse)]
    params: Vec<Param>,
}

impl Insert {
    pub(crate) fn run(self, common: &Common) -> Result<(), Failure> {
        let Self { stream, pos, module, mut params } = self;
        params::settle(&mut params);
        let answer = common.connect()?.ask(&Request::Insert { stream, pos, module, params })?;
        push::done(common, &answer);
        Ok(())
    }
}
