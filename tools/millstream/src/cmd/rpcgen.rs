//! rpcgen: a .x file becomes Rust.

use super::Failure;
use crate::render;
use millstream_rpcgen::{Form, Options, generate_file};
use std::path::PathBuf;

/// Compile a .x file, the language of rpcgen, to Rust
///
/// The text has the types, a client, a server trait and a program for each program block, in terms
/// of the crate millstream-onc. Programs mostly let their build.rs do it: see the chapter on
/// remote procedure calls. What is wrong with the file is told with line and column; exit code 1.
#[derive(Debug, clap::Args)]
pub(crate) struct Rpcgen {
    /// The file
    file: PathBuf,
    /// Write here instead of to standard output
    #[arg(short, long, value_name = "FILE")]
    out: Option<PathBuf>,
    /// Write one item, a module of this name, for include!
    #[arg(long, value_name = "NAME", value_parser = identifier)]
    module: Option<String>,
    /// Define a name, as #define does; without a value it is 1
    #[arg(short = 'D', long = "define", value_name = "NAME[=VALUE]", value_parser = definition)]
    defines: Vec<(String, String)>,
    /// Look here for files that are included in angle brackets
    #[arg(short = 'I', long = "include", value_name = "DIR")]
    includes: Vec<PathBuf>,
    /// A procedure that may be executed twice: servers do not remember its calls
    #[arg(long, value_name = "PROCEDURE")]
    idempotent: Vec<String>,
}

impl Rpcgen {
    pub(crate) fn run(self) -> Result<(), Failure> {
        let mut options = Options { defines: self.defines, ..Options::default() };
        options.form = self.module.map_or(Form::File, Form::Module);
        options.includes.splice(0..0, self.includes);
        options.idempotent = self.idempotent;
        let text = generate_file(&self.file, &options).map_err(Failure::Failed)?;
        let Some(out) = &self.out else {
            render::line(text.trim_end());
            return Ok(());
        };
        std::fs::write(out, text)
            .map_err(|why| Failure::Failed(format!("cannot write {}: {why}", out.display())))
    }
}

fn definition(text: &str) -> Result<(String, String), String> {
    let (name, value) = text.split_once('=').unwrap_or((text, "1"));
    Ok((identifier(name)?, value.to_owned()))
}

fn identifier(name: &str) -> Result<String, String> {
    let letter = |c: char| c.is_ascii_alphanumeric() || c == '_';
    let good = name.chars().all(letter) && !name.starts_with(|c: char| c.is_ascii_digit());
    if good && !name.is_empty() { Ok(name.to_owned()) } else { Err("is no name".to_owned()) }
}
