//! wrap: devices around devices. They see every frame between a driver and its line, both ways.
//!
//! | name | parameters | what it does |
//! |---|---|---|
//! | `fault` | see [`Faults::parse`] | a bad line, or one that breaks |
//! | `trace` | `file` (stderr without one) | a line of text for each frame |
//! | `pcap` | `file` | a pcapng recording |
//!
//! Modules such as `impair` and `capture` do more and are put in and out while the stack runs;
//! these are below everything, and work with any device, also without a stack.

mod fault;
mod pcap;
mod trace;

pub use fault::{Fault, Faults};
pub use pcap::Pcap;
pub use trace::Trace;

use millstream_core::{Device, Errno};
use millstream_msg::{Msg, MsgList};
use std::fs::File;
use std::io::{LineWriter, Write};
use std::path::{Path, PathBuf};

/// A device that is to be put around another one.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Wrap {
    /// See [`Fault`].
    Fault(Faults),
    /// See [`Trace`]; to stderr without a file.
    Trace(Option<PathBuf>),
    /// See [`Pcap`].
    Pcap(PathBuf),
}

/// Words that describe no wrapping device.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct BadWrap(String);

/// Why a wrapping device could not be made.
#[derive(Debug, thiserror::Error)]
#[error("cannot write {}: {cause}; choose another file", path.display())]
pub struct WrapError {
    /// The file.
    path: PathBuf,
    /// The system's answer.
    cause: std::io::Error,
}

impl Wrap {
    /// What words like `fault drop=1% seed=7` ask for.
    ///
    /// # Errors
    /// A sentence with what there is.
    pub fn parse<S: AsRef<str>>(words: &[S]) -> Result<Self, BadWrap> {
        let mut words = words.iter().map(AsRef::as_ref);
        let name = words.next().unwrap_or_default();
        let params = words
            .map(|word| word.split_once('=').ok_or_else(|| BadWrap(format!("{word}: {KEY_VALUE}"))))
            .collect::<Result<Vec<_>, _>>()?;
        let unknown = |key: &str, known| BadWrap(format!("{name} has no parameter {key}: {known}"));
        let file = || match params[..] {
            [] => Ok(None),
            [("file", path)] if !path.is_empty() => Ok(Some(PathBuf::from(path))),
            [("file", _), ..] => Err(BadWrap(format!("{name} takes one file=FILE"))),
            [(key, _), ..] => Err(unknown(key, "there is file")),
        };
        match name {
            "fault" => Ok(Self::Fault(Faults::parse(&params)?)),
            "trace" => Ok(Self::Trace(file()?)),
            "pcap" => match file()? {
                Some(path) => Ok(Self::Pcap(path)),
                None => Err(BadWrap("pcap needs a file: pcap file=FILE".to_owned())),
            },
            _ => Err(BadWrap(format!("no device {name:?} wraps others: {KNOWN}"))),
        }
    }

    /// Puts the device around `device`, which is called `name` in what it writes.
    ///
    /// # Errors
    /// [`WrapError`] when its file cannot be made.
    pub fn around(self, device: Box<dyn Device>, name: &str) -> Result<Box<dyn Device>, WrapError> {
        Ok(match self {
            Self::Fault(faults) => Box::new(Fault::new(device, faults)),
            Self::Trace(None) => Box::new(Trace::new(device, name, |line| {
                // Nobody reads it: then nobody misses it.
                let _closed = writeln!(std::io::stderr(), "{line}");
            })),
            Self::Trace(Some(path)) => {
                let mut file = LineWriter::new(make(&path)?);
                Box::new(Trace::new(device, name, move |line| {
                    // A full disk does not stop traffic.
                    let _lost = writeln!(file, "{line}");
                }))
            }
            Self::Pcap(path) => Box::new(Pcap::new(device, name, make(&path)?)),
        })
    }
}

const KEY_VALUE: &str = "write KEY=VALUE";
const KNOWN: &str = "there are fault, trace and pcap";

/// A fresh file that only its user reads: what a link carries is nobody else's business.
fn make(path: &Path) -> Result<File, WrapError> {
    use std::os::unix::fs::OpenOptionsExt;
    let mut options = File::options();
    options.write(true).create(true).truncate(true).mode(0o600);
    options.open(path).map_err(|cause| WrapError { path: path.to_owned(), cause })
}

/// Sends frames one by one, so that it is known of each whether the device took it: `look` sees
/// it before, `taken` gets what `look` made of it.
fn one_by_one<T>(
    device: &mut impl Device,
    batch: &mut MsgList,
    mut look: impl FnMut(&Msg) -> T,
    mut taken: impl FnMut(T),
) -> Result<(), Errno> {
    while let Some(frame) = batch.pop() {
        let seen = look(&frame);
        let mut one: MsgList = [frame].into_iter().collect();
        let outcome = device.send(&mut one);
        match one.pop() {
            Some(back) => {
                batch.push_front(back);
                return outcome;
            }
            None => taken(seen),
        }
        outcome?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pair;
    use millstream_msg::{Pool, PoolConfig};

    #[test]
    fn words_become_devices_and_wrong_ones_sentences() {
        let parse = |line: &str| Wrap::parse(&line.split(' ').collect::<Vec<_>>());
        assert_eq!(parse("trace"), Ok(Wrap::Trace(None)));
        assert_eq!(parse("pcap file=a=b"), Ok(Wrap::Pcap("a=b".into())));
        assert!(matches!(parse("fault drop=1% seed=7"), Ok(Wrap::Fault(_))));
        for (line, part) in [
            ("", "there are fault, trace and pcap"),
            ("foult", "there are fault, trace and pcap"),
            ("pcap", "pcap file=FILE"),
            ("pcap file=", "takes one file"),
            ("trace file", "write KEY=VALUE"),
            ("trace to=x", "trace has no parameter to: there is file"),
            ("fault loss=1%", "fault has no parameter loss"),
            ("fault drop=200%", "drop=200%"),
            ("fault fail-after=x", "fail-after=x"),
        ] {
            let text = parse(line).unwrap_err().to_string();
            assert!(text.contains(part), "{line}: {text}");
        }
    }

    #[test]
    fn a_file_that_cannot_be_made_is_named() {
        let (end, _) = pair(1500, [[2, 0, 0, 0, 0, 1], [2, 0, 0, 0, 0, 2]]);
        let wrap = Wrap::Pcap("/nowhere/at/all.pcapng".into());
        let text = wrap.around(Box::new(end), "tap0").err().unwrap().to_string();
        assert!(text.starts_with("cannot write /nowhere/at/all.pcapng"), "{text}");
    }

    #[test]
    fn what_the_device_does_not_take_stays_and_is_not_counted() {
        let mut pool = Pool::new(PoolConfig { small: 2000, ..PoolConfig::TINY });
        let (mut end, _other) = pair(1500, [[2, 0, 0, 0, 0, 1], [2, 0, 0, 0, 0, 2]]);
        let mut batch: MsgList =
            (0..1003_u32).map(|i| pool.copy_from(0, &i.to_be_bytes()).unwrap()).collect();
        let mut count = 0;
        one_by_one(&mut end, &mut batch, |frame| frame.len(), |len| count += len).unwrap();
        assert_eq!((batch.len(), count), (3, 4000));
        assert_eq!(batch.front().unwrap().first(), 1000_u32.to_be_bytes());
    }
}
