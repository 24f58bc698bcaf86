//! down: a running stack is stopped, and gone when this returns.

use super::{Common, Failure};
use crate::render;
use millstream_host::ctl::Request;
use std::time::Duration;

/// Stop a stack
#[derive(Debug, clap::Args)]
pub(crate) struct Down {}

/// A stack ends within milliseconds; a busy machine may take longer.
const TIME_MAX: Duration = Duration::from_secs(10);

impl Down {
    pub(crate) fn run(self, common: &Common) -> Result<(), Failure> {
        let mut client = common.connect()?;
        let name = client.name().to_owned();
        let answer = client.ask(&Request::Down {})?;
        let pid = answer["pid"].as_u64().unwrap_or_default();
        if !client.wait_gone(TIME_MAX) {
            let s = TIME_MAX.as_secs();
            return Err(Failure::Failed(format!(
                "the stack {name} was told to stop and still runs after {s} s: end its process: \
                 kill {pid}"
            )));
        }
        if common.json {
            render::json(&answer);
        } else {
            render::line(&format!("stopped {name}"));
        }
        Ok(())
    }
}
