//! man: the command line's help becomes a manual page.

use super::{Cli, Failure};
use clap::CommandFactory;

/// Print the manual page, of the program or of one command
#[derive(Debug, clap::Args)]
#[command(hide = true)]
pub(crate) struct Man {
    /// The command
    command: Option<String>,
}

impl Man {
    pub(crate) fn run(self) -> Result<(), Failure> {
        let mut program = Cli::command();
        program.build();
        let page = match &self.command {
            None => program,
            Some(name) => program
                .find_subcommand(name)
                .cloned()
                .ok_or_else(|| Failure::Usage(format!("no command {name}: see millstream help")))?,
        };
        let mut text = Vec::new();
        clap_mangen::Man::new(page)
            .render(&mut text)
            .map_err(|e| Failure::Failed(format!("cannot write the page: {e}")))?;
        crate::render::line(String::from_utf8_lossy(&text).trim_end());
        Ok(())
    }
}
