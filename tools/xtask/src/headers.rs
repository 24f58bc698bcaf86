//! headers: `millstream.h` is made from the source of the library, and is in the tree as it was
//! made last; a test says when it differs. `stropts.h` is as System V has it, by hand.

use crate::step::root;
use cbindgen::{Builder, Config, DocumentationStyle, Language};
use std::path::{Path, PathBuf};

pub(crate) fn run(args: &[String]) -> Result<(), String> {
    if !args.is_empty() {
        return Err("headers takes no arguments".to_owned());
    }
    let text = millstream_h(&root())?;
    let path = checked_in(&root());
    std::fs::write(&path, text).map_err(|e| format!("{}: {e}", path.display()))
}

fn checked_in(root: &Path) -> PathBuf {
    root.join("stack/shim/abi/include/millstream.h")
}

/// The header, as the source of the library has it now.
fn millstream_h(root: &Path) -> Result<String, String> {
    let config = Config {
        usize_is_size_t: true,
        documentation_style: DocumentationStyle::Doxy,
        ..Config::default()
    };
    let builder = Builder::new()
        .with_config(config)
        .with_language(Language::C)
        .with_header(HEADER)
        .with_include_guard("MILLSTREAM_H")
        .with_cpp_compat(true)
        .with_no_includes()
        .with_sys_include("stddef.h")
        .with_src(root.join("stack/shim/abi/src/lib.rs"));
    let mut text = Vec::new();
    builder.generate().map_err(|e| e.to_string())?.write(&mut text);
    let text = String::from_utf8(text).map_err(|e| e.to_string())?;
    Ok(without_safety(&text))
}

/// What Rust wants to be promised goes without saying in C.
fn without_safety(text: &str) -> String {
    let mut skips = false;
    let mut kept: Vec<&str> = Vec::new();
    for line in text.lines() {
        if line.trim() == "* # Safety" {
            skips = true;
            kept.pop_if(|before| before.trim() == "*");
        }
        skips &= line.trim() != "*/";
        if !skips {
            kept.push(line);
        }
    }
    kept.join("\n") + "\n"
}

const HEADER: &str = "/* millstream.h: what libmillstream has beside STREAMS, see stropts.h.
 * Made by `cargo xtask headers` from the source of the library. Link with -lmillstream. */";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_header_in_the_tree_is_what_the_source_gives() {
        let made = millstream_h(&root()).unwrap();
        let kept = std::fs::read_to_string(checked_in(&root())).unwrap();
        assert!(made == kept, "run `cargo xtask headers`; it gives\n{made}");
    }

    #[test]
    fn promises_of_rust_are_not_in_the_header() {
        let made = "/*\n * Does.\n *\n * # Safety\n * It is.\n */\nint f(void);\n";
        assert_eq!(without_safety(made), "/*\n * Does.\n */\nint f(void);\n");
    }
}
