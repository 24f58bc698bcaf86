//! client: the other side of the control socket. One request at a time, one answer each.

use super::line::{Line, Lines};
use super::path::{self, Places};
use super::{CtlError, Request};
use serde::de::DeserializeOwned;
use serde_json::Value;
use std::io::{ErrorKind, Read, Write};
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::time::Duration;

/// A connection to a running stack.
#[derive(Debug)]
pub struct Client {
    name: String,
    path: PathBuf,
    stream: UnixStream,
    lines: Lines<UnixStream>,
}

/// Names of the running stacks of this user, sorted.
pub fn running() -> Vec<String> {
    let mut names: Vec<String> =
        sockets().into_iter().filter(|(_, path)| is_live(path)).map(|(name, _)| name).collect();
    names.sort();
    names.dedup();
    names
}

/// The stack to talk to: the one named, or the only one that runs.
///
/// # Errors
/// [`CtlError::NoneRuns`], [`CtlError::Ambiguous`].
pub fn pick(name: Option<&str>) -> Result<String, CtlError> {
    if let Some(name) = name {
        return Ok(name.to_owned());
    }
    let mut names = running();
    match (names.pop(), names.is_empty()) {
        (None, _) => Err(CtlError::NoneRuns),
        (Some(only), true) => Ok(only),
        (Some(last), false) => {
            names.push(last);
            Err(CtlError::Ambiguous { names })
        }
    }
}

impl Client {
    /// Connects to the stack with this name.
    ///
    /// # Errors
    /// [`CtlError::NoStack`] when none has it.
    pub fn connect(name: &str) -> Result<Self, CtlError> {
        for folder in Places::of_process().existing() {
            let path = path::socket(&folder, name)?;
            match UnixStream::connect(&path) {
                Ok(stream) => return Self::new(name, stream, path),
                Err(e) if is_dead(e.kind()) => {}
                Err(cause) => return Err(CtlError::Io { what: "reach the stack at", path, cause }),
            }
        }
        Err(CtlError::NoStack { name: name.to_owned(), others: running() })
    }

    fn new(name: &str, stream: UnixStream, path: PathBuf) -> Result<Self, CtlError> {
        let prepare = || {
            stream.set_write_timeout(Some(Request::ANSWER_TIME))?;
            stream.try_clone()
        };
        let reader = match prepare() {
            Ok(reader) => reader,
            Err(cause) => return Err(CtlError::Io { what: "use", path, cause }),
        };
        let lines = Lines::new(reader, ANSWER_MAX);
        Ok(Self { name: name.to_owned(), path, stream, lines })
    }

    /// Name of the stack.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The socket that programs of other processes come to, beside that of the control.
    pub fn port(&self) -> PathBuf {
        self.path.with_extension("port")
    }

    /// Asks, and reads the answer as it is.
    ///
    /// # Errors
    /// [`CtlError::Refused`] with the stack's sentence; [`CtlError::Silent`] without an answer;
    /// [`CtlError::Gone`], [`CtlError::Strange`].
    pub fn ask(&mut self, request: &Request) -> Result<Value, CtlError> {
        let mut line = serde_json::to_vec(request).map_err(|e| self.silent(e.to_string()))?;
        let time = request.answer_time();
        self.stream.set_read_timeout(Some(time)).map_err(|e| self.silent(e.to_string()))?;
        line.push(b'\n');
        // A stack that refuses the connection has closed it and left its sentence behind: what
        // can be read says more than a write that fails.
        let _closed = self.stream.write_all(&line);
        let answer = match self.lines.next() {
            Ok(Line::Text(answer)) => answer,
            Ok(Line::TooLong) => return Err(self.strange("its answer is too long".into())),
            Ok(Line::End) => return Err(CtlError::Gone { name: self.name.clone() }),
            Err(e) => return Err(self.failed(&e, time)),
        };
        let strange = |_| self.strange("its answer is no JSON".into());
        let mut answer: Value = serde_json::from_slice(&answer).map_err(strange)?;
        match (answer.get_mut("ok").map(Value::take), answer.get("error").and_then(Value::as_str)) {
            (Some(ok), None) => Ok(ok),
            (_, Some(sentence)) => Err(CtlError::Refused(sentence.to_owned())),
            (None, None) => Err(self.strange("its answer is neither ok nor an error".into())),
        }
    }

    /// Asks, and reads the answer as what it should be.
    ///
    /// # Errors
    /// As [`Client::ask`].
    pub fn ask_for<T: DeserializeOwned>(&mut self, request: &Request) -> Result<T, CtlError> {
        let answer = self.ask(request)?;
        serde_json::from_value(answer)
            .map_err(|e| self.strange(format!("its answer does not fit ({e})")))
    }

    /// Asks for a recording; what follows the answer can be read, and with the other end the
    /// recording is stopped: what is on its way still comes, then the end.
    ///
    /// # Errors
    /// As [`Client::ask`].
    pub fn record(
        mut self,
        streams: Vec<String>,
        snaplen: usize,
    ) -> Result<(impl Read, UnixStream), CtlError> {
        self.ask(&Request::Capture { streams, snaplen })?;
        let Self { name, stream, lines, .. } = self;
        let path = PathBuf::from(name);
        // Nothing may pass for a long time.
        stream.set_read_timeout(None).map_err(|cause| CtlError::Io {
            what: "use the connection to",
            path,
            cause,
        })?;
        Ok((lines.into_rest(), stream))
    }

    /// Waits until the stack has gone, after [`Request::Down`]; false when it has not in time.
    pub fn wait_gone(self, time: Duration) -> bool {
        // The stack closes its connections when it is gone.
        let Self { mut lines, stream, .. } = self;
        let end = std::time::Instant::now() + time;
        loop {
            let left = end.saturating_duration_since(std::time::Instant::now());
            if left.is_zero() || stream.set_read_timeout(Some(left)).is_err() {
                return false;
            }
            match lines.next() {
                Ok(Line::End) => return true,
                Ok(_) => {}
                Err(e) => return !matches!(e.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut),
            }
        }
    }

    fn failed(&self, e: &std::io::Error, time: Duration) -> CtlError {
        match e.kind() {
            ErrorKind::WouldBlock | ErrorKind::TimedOut => {
                self.silent(format!("nothing came within {} s", time.as_secs()))
            }
            ErrorKind::BrokenPipe | ErrorKind::ConnectionReset => {
                CtlError::Gone { name: self.name.clone() }
            }
            _ => self.silent(e.to_string()),
        }
    }

    fn silent(&self, what: String) -> CtlError {
        CtlError::Silent { name: self.name.clone(), what }
    }

    fn strange(&self, what: String) -> CtlError {
        CtlError::Strange { name: self.name.clone(), what }
    }
}

/// Files that are or were sockets of stacks.
fn sockets() -> Vec<(String, PathBuf)> {
    let mut all = Vec::new();
    for folder in Places::of_process().existing() {
        let Ok(entries) = std::fs::read_dir(folder) else { continue };
        for entry in entries.flatten() {
            let path = entry.path();
            if let Some(name) = path::name_of(&path) {
                all.push((name.to_owned(), path.clone()));
            }
        }
    }
    all
}

pub(super) fn is_live(path: &std::path::Path) -> bool {
    UnixStream::connect(path).is_ok()
}

/// Nobody listens there, or nothing is there.
fn is_dead(kind: ErrorKind) -> bool {
    matches!(kind, ErrorKind::ConnectionRefused | ErrorKind::NotFound)
}

/// Longest answer: `stat` of the streams that are listed at most, some KiB each. Bytes.
const ANSWER_MAX: usize = 32 << 20;
