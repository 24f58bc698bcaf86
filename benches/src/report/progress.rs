//! progress: how far the experiments are, on standard error. On a terminal one line that changes,
//! elsewhere a line for each experiment.

use std::io::{IsTerminal, Write};
use std::time::Instant;

/// Where it is told how far an experiment is. The default tells nobody.
#[derive(Clone, Debug, Default)]
pub struct Progress(Option<Place>);

#[derive(Clone, Debug)]
struct Place {
    nth: usize,
    of: usize,
    experiment: String,
    began: Instant,
    terminal: bool,
}

impl Progress {
    /// Of the `nth` experiment of so many.
    pub fn begin(nth: usize, of: usize, experiment: &str) -> Self {
        let terminal = std::io::stderr().is_terminal();
        if !terminal {
            eprintln!("[{nth}/{of}] {experiment}");
        }
        let (experiment, began) = (experiment.to_owned(), Instant::now());
        Self(Some(Place { nth, of, experiment, began, terminal }))
    }

    /// A side is measured.
    pub(super) fn side(&self, name: &str, run: usize, runs: usize) {
        let Some(Place { nth, of, experiment, began, terminal: true }) = &self.0 else { return };
        let seconds = began.elapsed().as_secs();
        let (minutes, seconds) = (seconds / 60, seconds % 60);
        let mut line = format!(
            "[{nth}/{of}] {experiment} {minutes}:{seconds:02}  run {run} of {runs}: {name}"
        );
        line.truncate(line.floor_char_boundary(COLUMNS));
        overwrite(&line);
    }

    /// The experiment is over: its line goes, for what it has found.
    pub fn end(&self) {
        if self.0.as_ref().is_some_and(|place| place.terminal) {
            overwrite("");
        }
    }
}

/// Columns of a terminal at least: a longer line could not be overwritten.
const COLUMNS: usize = 79;

fn overwrite(line: &str) {
    let mut terminal = std::io::stderr().lock();
    // A terminal that has gone does not stop a measurement.
    let _gone = write!(terminal, "\r\x1b[K{line}").and_then(|()| terminal.flush());
}
