//! Programs of C: from a .x file with C's rpcgen, and gcc.

use std::path::{Path, PathBuf};
use std::process::Command;

/// Compiles `file` of x/ and `main` of tests/c/; `parts` are `clnt` or `svc`. `None`, and said,
/// where rpcgen, gcc or libtirpc is not installed.
pub(crate) fn program(test: &str, file: &str, main: &str, parts: &[&str]) -> Option<PathBuf> {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    // Tests run side by side.
    let folder = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(test);
    let _ = std::fs::remove_dir_all(&folder);
    std::fs::create_dir_all(&folder).unwrap();
    std::fs::copy(here.join("x").join(file), folder.join(file)).unwrap();
    let run = |line: &str| {
        let mut words = line.split_whitespace();
        let mut command = Command::new(words.next().unwrap());
        let output = command.args(words).current_dir(&folder).output();
        let output = output.map_err(|why| format!("{line}: {why}"))?;
        if output.status.success() {
            return Ok(String::from_utf8_lossy(&output.stdout).into_owned());
        }
        Err(format!("{line}: {}", String::from_utf8_lossy(&output.stderr)))
    };
    let installed = || {
        run("gcc --version")?;
        match Command::new("rpcgen").arg("--version").output() {
            Ok(_) => run("pkg-config --cflags --libs libtirpc"),
            Err(why) => Err(format!("rpcgen: {why}")),
        }
    };
    let flags = match installed() {
        Ok(flags) => flags,
        Err(why) => {
            eprintln!("skipped: {test}: {why}");
            return None;
        }
    };
    // All is installed: from here on what fails is a finding.
    let stem = file.trim_end_matches(".x");
    let style = if parts.is_empty() { "-N " } else { "" };
    run(&format!("rpcgen {style}-h -o {stem}.h {file}")).unwrap();
    run(&format!("rpcgen {style}-c -o {stem}_xdr.c {file}")).unwrap();
    let mut sources = format!("{} {stem}_xdr.c", here.join("tests/c").join(main).display());
    for part in parts {
        let option = if *part == "svc" { "-m" } else { "-l" };
        run(&format!("rpcgen {option} -o {stem}_{part}.c {file}")).unwrap();
        sources += &format!(" {stem}_{part}.c");
    }
    run(&format!("gcc -w -I. -o program {sources} {flags}")).unwrap();
    Some(folder.join("program"))
}
