//! Compiles .x files, the language of rpcgen (RFC 4506, RFC 5531), to Rust: types that are read
//! from and written to XDR, clients generic over what carries the calls, and server traits.
//!
//! From a `build.rs`:
//!
//! ```no_run
//! millstream_rpcgen::compile("x/square.x");
//! ```
//!
//! and where the types are wanted, which brings a module `square`:
//!
//! ```ignore
//! include!(concat!(env!("OUT_DIR"), "/square.rs"));
//! ```
//!
//! The way through: `scan` makes tokens and obeys the `#` lines, `parse` makes definitions,
//! `check` finds what is wrong with them and what Rust has to know, `emit` writes.
#![forbid(unsafe_code)]

mod ast;
mod build;
mod check;
mod emit;
mod error;
mod graph;
mod names;
mod parse;
mod scan;
mod source;

pub use build::{compile, compile_with, generate_file};
pub use error::{Error, Errors};

use scan::Loader;
use source::Sources;

/// How a file is compiled.
#[derive(Clone, Debug)]
pub struct Options {
    /// What the generated text is to be.
    pub form: Form,
    /// Names that are defined for `#ifdef`, with their values. RPC_HDR always is: the text holds
    /// what rpcgen puts into the header.
    pub defines: Vec<(String, String)>,
    /// Folders in which `#include <FILE>` looks.
    pub includes: Vec<std::path::PathBuf>,
    /// Names of procedures, in all versions, that may be executed twice: the server does not
    /// remember their calls (`ProcedureInfo::idempotent`). The language has no word for it.
    pub idempotent: Vec<String>,
}

/// What a generated text is.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Form {
    /// A file of its own, for `mod NAME;`.
    File,
    /// One item, `pub mod NAME`, for `include!`.
    Module(String),
}

impl Default for Options {
    fn default() -> Self {
        Self {
            form: Form::File,
            defines: Vec::new(),
            includes: vec!["/usr/include".into()],
            idempotent: Vec::new(),
        }
    }
}

/// Compiles `text`, which is called `name` in errors. It can include no other file.
///
/// # Errors
/// What is wrong with the text, with places.
pub fn generate(name: &str, text: &str, options: &Options) -> Result<String, Errors> {
    translate(name, text, options, &|file, _, _| {
        Err(format!("{file} is not read: the text is no file"))
    })
}

fn translate(
    name: &str,
    text: &str,
    options: &Options,
    loader: &Loader<'_>,
) -> Result<String, Errors> {
    let mut sources = Sources::default();
    let one = |sources: &Sources, fault: error::Fault| Errors(vec![sources.error(fault)]);
    let root = sources.add(name.to_owned(), text.to_owned()).map_err(|f| one(&sources, f))?;
    let tokens =
        scan::scan(&mut sources, root, options, loader).map_err(|fault| one(&sources, fault))?;
    let spec = parse::parse(&tokens, sources.end(root)).map_err(|fault| one(&sources, fault))?;
    let facts = check::check(&spec)
        .map_err(|faults| Errors(faults.into_iter().map(|fault| sources.error(fault)).collect()))?;
    if let Some(unknown) = options.idempotent.iter().find(|name| !spec.has_procedure(name)) {
        let fault = error::Fault::new(sources.end(root), format!("{unknown} is no procedure"));
        return Err(one(&sources, fault));
    }
    Ok(emit::emit(name, &spec, &facts, options))
}
