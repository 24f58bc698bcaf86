//! catalog: the name of a module becomes a module for a running stack.

use millstream_core::Module;
use millstream_modules::{count::Count, impair::Impair, null::Null};

/// What the table says of a module.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct About {
    /// Its name.
    pub name: String,
    /// One sentence.
    pub about: String,
}

/// The modules that can be pushed, in order of their names.
pub fn modules() -> Vec<About> {
    let names = ["count", "impair", "null"];
    let made = names.iter().filter_map(|name| make(name).ok());
    let about = |module: Box<dyn Module>| About {
        name: module.info().name.to_owned(),
        about: module.info().about.to_owned(),
    };
    made.map(about).collect()
}

/// A module by its name.
///
/// # Errors
/// A sentence that lists the names there are.
pub(super) fn make(name: &str) -> Result<Box<dyn Module>, String> {
    Ok(match name {
        "null" => Box::new(Null),
        "count" => Box::new(Count::default()),
        "impair" => Box::new(Impair::default()),
        _ => {
            let names: Vec<String> = modules().into_iter().map(|about| about.name).collect();
            return Err(format!("no module {name}: there are {}", names.join(", ")));
        }
    })
}
