//! step: a program that is run from the root of the workspace, and what came of it.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

/// A program to run.
#[derive(Clone, Debug)]
pub(crate) struct Step {
    pub(crate) name: String,
    words: Vec<String>,
    env: Vec<(String, OsString)>,
    folder: PathBuf,
}

/// What came of it.
#[derive(Clone, Debug)]
pub(crate) struct Outcome {
    pub(crate) passed: bool,
    pub(crate) took: Duration,
    /// Its output, where it was kept.
    pub(crate) output: String,
}

impl Step {
    pub(crate) fn new(name: impl Into<String>, line: &str) -> Self {
        let words = line.split_whitespace().map(str::to_owned).collect();
        Self { name: name.into(), words, env: Vec::new(), folder: root() }
    }

    pub(crate) fn env(mut self, key: &str, value: impl Into<OsString>) -> Self {
        self.env.push((key.to_owned(), value.into()));
        self
    }

    pub(crate) fn folder(mut self, folder: &Path) -> Self {
        self.folder = folder.to_owned();
        self
    }

    pub(crate) fn arg(mut self, word: impl Into<String>) -> Self {
        self.words.push(word.into());
        self
    }

    /// Runs it; its output goes to ours.
    pub(crate) fn show(&self) -> Result<Outcome, String> {
        println!("\n== {}", self.name);
        let began = Instant::now();
        let status = self.command().status().map_err(|e| self.cannot(&e))?;
        Ok(Outcome { passed: status.success(), took: began.elapsed(), output: String::new() })
    }

    /// Runs it; its output is kept.
    pub(crate) fn keep(&self) -> Result<Outcome, String> {
        println!("== {}", self.name);
        let began = Instant::now();
        let mut command = self.command();
        command.stdin(Stdio::null());
        let done = command.output().map_err(|e| self.cannot(&e))?;
        let mut output = String::from_utf8_lossy(&done.stdout).into_owned();
        output += &String::from_utf8_lossy(&done.stderr);
        Ok(Outcome { passed: done.status.success(), took: began.elapsed(), output })
    }

    fn command(&self) -> Command {
        let mut command = Command::new(&self.words[0]);
        command.args(&self.words[1..]).current_dir(&self.folder);
        // Cargo tells us about this package; the cargo that we start shall not hear of it.
        for (key, _) in std::env::vars_os() {
            if key.to_str().is_some_and(|key| key.starts_with("CARGO_PKG")) {
                command.env_remove(key);
            }
        }
        for (key, value) in &self.env {
            command.env(key, value);
        }
        command
    }

    fn cannot(&self, cause: &std::io::Error) -> String {
        format!("cannot run {}: {cause}", self.words.join(" "))
    }
}

/// The root of the workspace.
pub(crate) fn root() -> PathBuf {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    here.ancestors().nth(2).unwrap_or(here).to_owned()
}
