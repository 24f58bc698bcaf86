//! catalog: the name of a module becomes a module for a running stack, with files where it needs
//! them.

use super::request::Param;
use super::sink::Writers;
use millstream_core::Module;
use millstream_modules::table::{self, Env};
use serde::{Deserialize, Serialize};

/// What the table says of a module.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct About {
    /// Its name.
    pub name: String,
    /// One sentence.
    pub about: String,
    /// The UDP port at which it serves, for one that is a service.
    pub port: Option<u16>,
}

/// The modules that can be pushed, in the order of the table.
pub fn modules() -> Vec<About> {
    let about = |info: &millstream_core::ModInfo| About {
        name: info.name.to_owned(),
        about: info.about.to_owned(),
        port: table::service_port(info.name),
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
    let params: Vec<(&str, &str)> = params.iter().map(|Param(k, v)| (&**k, &**v)).collect();
    let mut open = |path: &str| writers.open(path);
    let mut env = Env { place: stream, sink: &mut open };
    table::make(name, &params, &mut env).map_err(|e| e.to_string())
}
