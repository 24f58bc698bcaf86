//! completions: the command line's shape becomes a script for a shell.

use super::{Cli, Failure};
use clap::CommandFactory;

/// Print completions for a shell
#[derive(Debug, clap::Args)]
#[command(hide = true)]
pub(crate) struct Completions {
    shell: clap_complete::Shell,
}

impl Completions {
    pub(crate) fn run(self) -> Result<(), Failure> {
        let mut script = Vec::new();
        clap_complete::generate(self.shell, &mut Cli::command(), "millstream", &mut script);
        crate::render::line(String::from_utf8_lossy(&script).trim_end());
        Ok(())
    }
}
