//! Programs in C, compiled against the headers and linked with the library, with a stack inside.

use std::path::{Path, PathBuf};
use std::process::Command;

/// Compiles and runs a program of the tests. False where there is no compiler.
fn runs(source: &str) {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    let built = std::env::current_exe().unwrap().with_file_name("libmillstream_abi.so");
    let folder = std::env::temp_dir().join(format!("ms-abi-{source}-{}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    // The name that programs look for is in the library.
    std::os::unix::fs::symlink(&built, folder.join("libmillstream.so.0")).unwrap();
    let program: PathBuf = folder.join("program");
    let compiled = Command::new("cc")
        .args(["-Wall", "-Wextra", "-Werror", "-o"])
        .arg(&program)
        .arg("-I")
        .arg(here.join("include"))
        .arg(here.join("tests").join(source))
        .arg(folder.join("libmillstream.so.0"))
        .output();
    let Ok(compiled) = compiled else { return eprintln!("skipped: {source}: no cc") };
    assert!(compiled.status.success(), "{}", String::from_utf8_lossy(&compiled.stderr));
    let ran = Command::new(&program)
        .env("LD_LIBRARY_PATH", &folder)
        .env("MILLSTREAM_PLAN", "loopback lo1 addr 10.7.0.1/8")
        .output()
        .unwrap();
    let _gone = std::fs::remove_dir_all(&folder);
    assert!(ran.status.success(), "{ran:?}");
    assert_eq!(ran.stdout, b"done\n");
}

#[test]
fn a_program_written_to_the_pages_of_svr4_runs() {
    runs("svr4.c");
}
