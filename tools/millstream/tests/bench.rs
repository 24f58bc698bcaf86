//! `millstream bench` and `millstream report` hand over to the program beside them, and say so
//! when there is none.

mod kit;

use std::path::Path;
use std::process::{Command, Output};

/// The command, not as cargo starts it.
fn millstream(program: &Path, arguments: &[&str]) -> Output {
    Command::new(program).args(arguments).env_remove("CARGO").output().unwrap()
}

/// A folder with the command, and beside it a program that tells its arguments.
fn installed(name: &str, with_benches: bool) -> std::path::PathBuf {
    use std::os::unix::fs::PermissionsExt;
    let folder = std::env::temp_dir().join(format!("ms-{name}-{}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    std::fs::copy(kit::PROGRAM, folder.join("millstream")).unwrap();
    if with_benches {
        let beside = folder.join("millstream-benches");
        std::fs::write(&beside, "#!/bin/sh\necho \"$@\"\nexit 7\n").unwrap();
        std::fs::set_permissions(&beside, std::fs::Permissions::from_mode(0o755)).unwrap();
    }
    folder
}

#[test]
fn bench_and_report_give_their_arguments_and_exit_code_to_the_program_beside_them() {
    let folder = installed("beside", true);
    let program = folder.join("millstream");
    for (arguments, given) in [
        (&["bench", "rr", "--quick", "--out", "x"][..], "rr --quick --out x\n"),
        (&["bench", "--help"], "--help\n"),
        (&["bench"], "\n"),
        (&["report", "a.json", "-o", "b.html"], "report a.json -o b.html\n"),
    ] {
        let output = millstream(&program, arguments);
        assert_eq!(String::from_utf8_lossy(&output.stdout), given, "{output:?}");
        assert_eq!(output.status.code(), Some(7));
    }
    std::fs::remove_dir_all(folder).unwrap();
}

#[test]
fn without_that_program_the_command_says_how_to_make_it() {
    let folder = installed("alone", false);
    let output = millstream(&folder.join("millstream"), &["bench", "--list"]);
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(said.contains("cargo build --release -p millstream-benches"), "{said}");
    assert_eq!(output.status.code(), Some(1));
    std::fs::remove_dir_all(folder).unwrap();
}
