//! find: where a module is.

use super::{Common, Failure};
use crate::render;
use millstream_host::ctl::{Found, Request};

/// Show in which streams a module is, and where; fails when it is in none
#[derive(Debug, clap::Args)]
pub(crate) struct Find {
    /// Name of the module
    module: String,
}

impl Find {
    pub(crate) fn run(self, common: &Common) -> Result<(), Failure> {
        let Self { module } = self;
        let found: Found = common.connect()?.ask_for(&Request::Find { module: module.clone() })?;
        if common.json {
            render::json(&found);
            return if found.at.is_empty() { Err(Failure::Said) } else { Ok(()) };
        }
        for at in &found.at {
            render::line(&match (&at.stream, at.pos) {
                (Some(stream), Some(pos)) => format!("{stream}, position {pos}"),
                (Some(stream), None) => format!("{stream}, {}", at.kind),
                (None, _) => format!("{module}, multiplexor"),
            });
        }
        match (found.at.is_empty(), found.in_table) {
            (false, _) => Ok(()),
            (true, true) => Err(Failure::Failed(format!("{module} is in no stream"))),
            (true, false) => Err(Failure::Failed(format!(
                "{module} is in no stream and not in the table of modules: see millstream modules"
            ))),
        }
    }
}
