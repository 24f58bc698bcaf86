//! monitor: whether modules keep the rules of queues.

use super::{Common, Failure};
use crate::render;
use clap::ValueEnum;
use millstream_host::ctl::Request;

/// Look after the rules of queues; stat says which module broke which
///
/// An ordinary message may not overtake the module's own queue, high-priority ones are not put
/// back, nobody puts without room ahead, and no service procedure leaves messages that nothing will
/// fetch. Every dispatch is looked at while it is on.
#[derive(Debug, clap::Args)]
pub(crate) struct Monitor {
    /// Begin or end
    #[arg(value_enum)]
    switch: Switch,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Switch {
    /// Begin
    On,
    /// End
    Off,
}

impl Monitor {
    pub(crate) fn run(self, common: &Common) -> Result<(), Failure> {
        let on = self.switch == Switch::On;
        let answer = common.connect()?.ask(&Request::Monitor { on })?;
        match common.json {
            true => render::json(&answer),
            false if on => render::line("modules are looked after: see millstream stat"),
            false => render::line("modules are not looked after any more"),
        }
        Ok(())
    }
}
