//! From files to files: for `build.rs`, and for the command.

use crate::error::Errors;
use crate::{Form, Options, names, translate};
use std::path::{Path, PathBuf};

/// Compiles `path` into `OUT_DIR`, under the same name with `.rs`: one item, a module of that
/// name. For `build.rs`: it says what the build depends on.
///
/// # Panics
/// With what is wrong, which is what a build script does.
pub fn compile(path: impl AsRef<Path>) {
    compile_with(path, &[]);
}

/// As [`compile`], with [`Options::idempotent`].
///
/// # Panics
/// With what is wrong.
pub fn compile_with(path: impl AsRef<Path>, idempotent: &[&str]) {
    let path = path.as_ref();
    let stem = path.file_stem().and_then(|stem| stem.to_str()).unwrap_or("x");
    let module = names::Scope::default()
        .take(names::snake(&stem.replace(|c: char| !c.is_ascii_alphanumeric(), "_")));
    let idempotent = idempotent.iter().map(|&name| name.to_owned()).collect();
    let options = Options { form: Form::Module(module), idempotent, ..Options::default() };
    let read = |file: &Path| println!("cargo::rerun-if-changed={}", file.display());
    let text = generate_noting(path, &options, &read).unwrap_or_else(|why| panic!("{why}"));
    let folder = std::env::var_os("OUT_DIR").unwrap_or_else(|| panic!("OUT_DIR is not set"));
    let out = PathBuf::from(folder).join(format!("{stem}.rs"));
    std::fs::write(&out, text).unwrap_or_else(|why| panic!("{}: {why}", out.display()));
}

/// Compiles the file `path`. Files that it includes with quotes are beside it, those in angles in
/// [`Options::includes`].
///
/// # Errors
/// A sentence when a file cannot be read, or what is wrong in it, with places.
pub fn generate_file(path: &Path, options: &Options) -> Result<String, String> {
    generate_noting(path, options, &|_| ())
}

fn generate_noting(path: &Path, options: &Options, note: &dyn Fn(&Path)) -> Result<String, String> {
    let read = |path: &Path| {
        note(path);
        let text = std::fs::read(path).map_err(|why| format!("{}: {why}", path.display()))?;
        // Comments of old files are Latin-1.
        Ok::<_, String>(String::from_utf8_lossy(&text).into_owned())
    };
    let loader = |name: &str, angles: bool, from: &str| {
        let beside = Path::new(from).parent().map(Path::to_path_buf);
        let folders = if angles { &options.includes[..] } else { &[] };
        let found = beside.iter().filter(|_| !angles).chain(folders).map(|dir| dir.join(name));
        match found.into_iter().find(|path| path.is_file()) {
            Some(path) => Ok((path.display().to_string(), read(&path)?)),
            None => Err(format!("there is no {name}")),
        }
    };
    let text = read(path)?;
    translate(&path.display().to_string(), &text, options, &loader)
        .map_err(|errors: Errors| errors.to_string())
}
