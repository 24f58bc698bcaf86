//! The library, loaded by a C program with packetdrill's table: scripts of the calls and packets
//! that packetdrill makes.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

/// The library that was built with this test.
fn library() -> PathBuf {
    let me = std::env::current_exe().unwrap();
    me.parent().unwrap().join("libmillstream_packetdrill.so")
}

/// The loader, compiled; `None` where there is no C compiler.
fn loader(name: &str) -> Option<PathBuf> {
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/loader.c");
    let program = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
    let mut cc = Command::new("cc");
    cc.args(["-Wall", "-Wextra", "-Werror", "-O1", "-pthread", "-o"]).arg(&program).arg(source);
    match cc.arg("-ldl").status() {
        Ok(status) => {
            assert!(status.success(), "{cc:?}");
            Some(program)
        }
        Err(_) => {
            println!("skipped: there is no C compiler (cc)");
            None
        }
    }
}

fn run(loader: &Path, flags: &str) -> Output {
    Command::new(loader).arg(library()).arg(flags).output().unwrap()
}

#[test]
fn calls_and_packets_of_scripts_go_as_they_are_written() {
    let Some(loader) = loader("scripts") else { return };
    let output = run(&loader, "window_scale=8,timestamps=off");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

#[test]
fn flags_that_are_not_understood_end_the_program_with_a_sentence() {
    let Some(loader) = loader("flags") else { return };
    for (flags, said) in [
        ("speed=9", "no flag speed: there are local, gateway"),
        ("mtu=1", "mtu=1: a number from 68 to 65535 is wanted"),
        ("initial_window=0", "1 to 100 segments"),
        ("local=192.168.0.1/16,gateway=10.0.0.1", "the gateway is on no interface's subnet"),
    ] {
        let output = run(&loader, flags);
        let text = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(2), "{flags}: {text}");
        assert!(text.contains(said), "{flags}: {text}");
    }
}
