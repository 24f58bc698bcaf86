//! modules: the table of modules becomes a list.

use super::{Common, Failure};
use crate::render::{self, Table};
use millstream_host::ctl;

/// List the modules that can be pushed and inserted
#[derive(Debug, clap::Args)]
pub(crate) struct Modules {}

impl Modules {
    pub(crate) fn run(self, common: &Common) -> Result<(), Failure> {
        let modules = ctl::modules();
        if common.json {
            render::json(&modules);
            return Ok(());
        }
        let mut table = Table::new(&["module", "what it does"]);
        for module in modules {
            let serves = module.transport.zip(module.port);
            let port = serves.map(|(over, port)| format!(" ({over} port {port})"));
            table.row([module.name, module.about + &port.unwrap_or_default()]);
        }
        render::line(&table.text());
        Ok(())
    }
}
