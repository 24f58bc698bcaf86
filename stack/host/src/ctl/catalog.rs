//! catalog: the name of a module becomes a module for a running stack, with files where it needs
//! them.

use super::answer::resolve;
use super::request::Param;
use super::sink::Writers;
use crate::files::Folder;
use crate::plan::random_key;
use millstream_core::{Change, Module, Perimeter, StreamId};
use millstream_modules::services::http::Files;
use millstream_modules::table::{self, Env};
use serde::{Deserialize, Serialize};
use std::io::Read;

/// What the table says of a module.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct About {
    /// Its name.
    pub name: String,
    /// One sentence.
    pub about: String,
    /// The port at which it serves, for one that is a service.
    pub port: Option<u16>,
    /// Over what it serves: `UDP` or `TCP`.
    pub transport: Option<String>,
}

/// The modules that can be pushed, in the order of the table.
pub fn modules() -> Vec<About> {
    let about = |info: &millstream_core::ModInfo| {
        let (transport, port) = table::serves(info.name).unzip();
        let (name, about) = (info.name.to_owned(), info.about.to_owned());
        About { name, about, port, transport: transport.map(str::to_owned) }
    };
    table::names().map(about).collect()
}

/// A module by its name, for a stream. It may open files: not on the shard's thread.
///
/// # Errors
/// A sentence.
pub fn make(
    name: &str,
    params: &[Param],
    stream: &str,
    writers: &Writers,
) -> Result<Box<dyn Module>, String> {
    let folder = |path: &str| Ok(Box::new(Folder::open(path)?) as Box<dyn Files>);
    make_with(name, params, stream, writers, folder)
}

/// As [`make`], where somebody else says which files are served.
pub(crate) fn make_with(
    name: &str,
    params: &[Param],
    stream: &str,
    writers: &Writers,
    mut files: impl FnMut(&str) -> Result<Box<dyn Files>, String>,
) -> Result<Box<dyn Module>, String> {
    let params: Vec<(&str, &str)> = params.iter().map(|Param(k, v)| (&**k, &**v)).collect();
    let mut open = |path: &str| writers.open(path);
    let mut source = read_recording;
    let (key, source, files) = (random_key(), &mut source, &mut files);
    let mut env = Env { place: stream, sink: &mut open, source, files, key };
    table::make(name, &params, &mut env).map_err(|e| e.to_string())
}

/// Reads a recording.
///
/// # Errors
/// A sentence.
pub fn read_recording(path: &str) -> Result<Vec<u8>, String> {
    let refused = |e: std::io::Error| format!("cannot read the recording {path}: {e}");
    let mut bytes = Vec::new();
    let file = std::fs::File::open(path).map_err(refused)?;
    file.take(RECORDING_MAX + 1).read_to_end(&mut bytes).map_err(refused)?;
    if bytes.len() as u64 > RECORDING_MAX {
        return Err(format!("the recording {path} is longer than {RECORDING_MAX} bytes"));
    }
    Ok(bytes)
}

/// Bytes of a recording, which is held in memory while it is played.
const RECORDING_MAX: u64 = 1 << 30;

/// Names of the modules of a stream, from the bottom.
pub(super) fn modules_of(core: &Perimeter, id: StreamId) -> Result<Vec<String>, String> {
    let chain = core.chain(id).map_err(|e| e.to_string())?;
    Ok(chain.into_iter().rev().filter(|v| v.kind == "module").map(|v| v.name).collect())
}

/// Where a module is to be put in: at a position from the bottom, or at the top.
pub(super) fn position(
    core: &Perimeter,
    stream: &str,
    pos: Option<usize>,
) -> Result<usize, String> {
    let count = modules_of(core, resolve(core, stream)?)?.len();
    match pos {
        Some(pos) if pos > count => {
            let s = if count == 1 { "" } else { "s" };
            Err(format!(
                "the stream {stream} has {count} module{s}: a position is 0 to {count}, not {pos}"
            ))
        }
        pos => Ok(pos.unwrap_or(count)),
    }
}

/// Puts a module in, at a position from the bottom or at the top, and sets its parameters; all of
/// it or nothing. Where it is then, unless its open is pending.
///
/// # Errors
/// A sentence, also when another change of the stream is pending.
pub fn place(
    core: &mut Perimeter,
    stream: &str,
    pos: Option<usize>,
    module: Box<dyn Module>,
    params: &[Param],
) -> Result<Change<usize>, String> {
    let name = module.info().name;
    let id = resolve(core, stream)?;
    if core.pending(id).is_some() {
        return Err(format!("{name} on {stream}: another change is pending"));
    }
    let pos = position(core, stream, pos)?;
    let change = core.insert(id, pos, module).map_err(|e| format!("{name} on {stream}: {e}"))?;
    for Param(key, value) in params {
        // No message has come by: between two turns nothing runs.
        if let Err(e) = core.set(id, pos, key, value) {
            let left = core.remove(id, pos).err();
            let left = left.map(|e| format!("; and it stays in: {e}")).unwrap_or_default();
            return Err(format!("{name}: {e}{left}"));
        }
    }
    Ok(match change {
        Change::Done(()) => Change::Done(pos),
        Change::Pending(ticket) => Change::Pending(ticket),
    })
}
