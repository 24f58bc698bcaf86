//! Programs in C, compiled against the headers and linked with the library, with a stack inside.

use std::path::{Path, PathBuf};
use std::process::Command;

/// Compiles a program and runs it with a stack inside; what it prints. `None` where there is no
/// compiler.
fn runs(name: &str, source: &Path) -> Option<String> {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    let built = std::env::current_exe().unwrap().with_file_name("libmillstream_abi.so");
    let folder = folder(name);
    // The name that programs look for is in the library.
    std::os::unix::fs::symlink(&built, folder.join("libmillstream.so.0")).unwrap();
    let program = folder.join("program");
    let compiled = Command::new("cc")
        .args(["-Wall", "-Wextra", "-Werror", "-Wno-parentheses", "-o"])
        .arg(&program)
        .arg("-I")
        .arg(here.join("include"))
        .arg(source)
        .arg(folder.join("libmillstream.so.0"))
        .output();
    let Ok(compiled) = compiled else {
        eprintln!("skipped: {name}: no cc");
        return None;
    };
    assert!(compiled.status.success(), "{}", String::from_utf8_lossy(&compiled.stderr));
    let ran = Command::new(&program)
        .env("LD_LIBRARY_PATH", &folder)
        .env("MILLSTREAM_PLAN", "loopback lo1 addr 10.7.0.1/8")
        .output()
        .unwrap();
    let _gone = std::fs::remove_dir_all(&folder);
    assert!(ran.status.success(), "{ran:?}");
    Some(String::from_utf8(ran.stdout).unwrap())
}

fn folder(name: &str) -> PathBuf {
    let folder = std::env::temp_dir().join(format!("ms-abi-{name}-{}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    folder
}

/// Runs a program of this folder, which says that it is done.
fn is_done(source: &str) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests").join(source);
    if let Some(said) = runs(source, &path) {
        assert_eq!(said, "done\n");
    }
}

#[test]
fn a_program_written_to_the_pages_of_svr4_runs() {
    is_done("svr4.c");
}

#[test]
fn modules_requests_links_and_pipes_are_had_from_c() {
    is_done("devices.c");
}

#[test]
fn the_program_of_the_readme_does_what_it_says() {
    let readme = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../README.md");
    let text = std::fs::read_to_string(readme).unwrap();
    let program = text.split("```c\n").nth(1).and_then(|rest| rest.split("```").next());
    let source = folder("readme-source").join("readme.c");
    std::fs::write(&source, program.expect("the README has a program in C")).unwrap();
    let said = runs("readme", &source);
    let _gone = std::fs::remove_dir_all(source.parent().unwrap());
    if let Some(said) = said {
        assert_eq!(said, "hello came back through count\n");
    }
}
