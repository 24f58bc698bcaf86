//! install: the library of STREAMS for programs in C, below a folder.

use crate::step::root;
use crate::tree::plant;
use std::path::{Path, PathBuf};

/// `--prefix DIR`, and `--library FILE` for another one than that of the release.
pub(crate) fn run(args: &[String]) -> Result<(), String> {
    let (mut prefix, mut library) = (None, None);
    for pair in args.chunks(2) {
        match pair {
            [name, value] if name == "--prefix" => prefix = Some(PathBuf::from(value)),
            [name, value] if name == "--library" => library = Some(PathBuf::from(value)),
            _ => return Err(USAGE.to_owned()),
        }
    }
    let prefix = prefix.ok_or(USAGE)?;
    let library = library.unwrap_or_else(|| release().join("libmillstream_abi.so"));
    if !library.exists() {
        let name = library.display();
        return Err(format!("no {name}: run `cargo build --release -p millstream-abi` before"));
    }
    let prefix = std::path::absolute(prefix).map_err(|e| e.to_string())?;
    plant(&prefix, &library, &root()).map_err(|e| format!("{}: {e}", prefix.display()))?;
    println!("PKG_CONFIG_PATH={} has millstream", prefix.join("lib/pkgconfig").display());
    Ok(())
}

/// Where cargo puts what is released.
fn release() -> PathBuf {
    let target = std::env::var_os("CARGO_TARGET_DIR").map(PathBuf::from);
    let target = target.unwrap_or_else(|| Path::new("target").to_owned());
    root().join(target).join("release")
}

const USAGE: &str = "install --prefix DIR [--library FILE]";

#[cfg(test)]
mod tests {
    use super::*;

    fn words(line: &str) -> Vec<String> {
        line.split_whitespace().map(str::to_owned).collect()
    }

    #[test]
    fn what_is_missing_is_named() {
        assert_eq!(run(&words("")).unwrap_err(), USAGE);
        assert_eq!(run(&words("--prefix")).unwrap_err(), USAGE);
        let refused = run(&words("--prefix /nowhere --library /no/library")).unwrap_err();
        assert!(refused.starts_with("no /no/library: run"), "{refused}");
    }
}
