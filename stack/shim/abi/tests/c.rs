//! Programs in C, compiled against the headers and linked with the library, with a stack inside and
//! on the stack of another process.

// As `cargo xtask install` does it.
#[path = "../../../../tools/xtask/src/tree.rs"]
mod tree;

use millstream::{Quota, Stack};
use std::path::{Path, PathBuf};
use std::process::Command;

/// The stack of every program.
const PLAN: &str = "loopback lo1 addr 10.7.0.1/8";

/// Compiles a program and runs it in both ways; what it prints. None where there is no compiler.
fn runs(name: &str, source: &Path) -> Vec<String> {
    let folder = folder(name);
    tree::plant(&folder, &library(), &root()).unwrap();
    let program = folder.join("program");
    let include = folder.join("include/millstream");
    let compiled = Command::new("cc")
        .args(["-Wall", "-Wextra", "-Werror", "-Wno-parentheses", "-pthread"])
        .args([Path::new("-o"), &program, Path::new("-I"), &include, source])
        .arg(folder.join("lib/libmillstream.so"))
        .output();
    let Ok(compiled) = compiled else {
        eprintln!("skipped: {name}: no cc");
        return Vec::new();
    };
    assert!(compiled.status.success(), "{}", String::from_utf8_lossy(&compiled.stderr));
    let said = both_ways(&program, &folder);
    let _gone = std::fs::remove_dir_all(&folder);
    said
}

/// Runs a program with the library that is installed below a folder.
fn both_ways(program: &Path, folder: &Path) -> Vec<String> {
    let stack = Stack::start(PLAN.parse().unwrap()).unwrap();
    let port = folder.join("port");
    stack.open_port(&port, Quota::default()).unwrap();
    let said = [("MILLSTREAM_PLAN", Path::new(PLAN)), ("MILLSTREAM_PORT", &port)];
    let said = said.map(|(how, what)| {
        let mut command = Command::new(program);
        command.env_remove("MILLSTREAM_PLAN").env_remove("MILLSTREAM_PORT");
        command.env("LD_LIBRARY_PATH", folder.join("lib")).env(how, what);
        let ran = command.output().unwrap();
        assert!(ran.status.success(), "{how}: {ran:?}");
        String::from_utf8(ran.stdout).unwrap()
    });
    said.into()
}

/// The library as cargo has built it for these tests.
fn library() -> PathBuf {
    std::env::current_exe().unwrap().with_file_name("libmillstream_abi.so")
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../..")
}

fn folder(name: &str) -> PathBuf {
    let folder = std::env::temp_dir().join(format!("ms-abi-{name}-{}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    folder
}

/// Runs a program of this folder, which says that it is done.
fn is_done(source: &str) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests").join(source);
    for said in runs(source, &path) {
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
fn each_command_of_streamio_gives_its_error_numbers() {
    is_done("streamio.c");
}

#[test]
fn modules_answer_late_and_copy_the_callers_memory() {
    is_done("answers.c");
}

#[test]
fn streams_are_shared_by_processes_and_threads_and_calls_end_with_signals() {
    is_done("processes.c");
}

#[test]
fn arguments_that_make_no_sense_give_error_numbers() {
    is_done("nonsense.c");
}

#[test]
fn buffers_on_loan_are_sent_from_where_they_lie_and_come_back() {
    is_done("loans.c");
}

/// With what pkg-config says, and nothing else.
#[test]
fn the_program_of_the_readme_is_built_with_pkg_config_and_does_what_it_says() {
    let folder = folder("readme");
    tree::plant(&folder, &library(), &root()).unwrap();
    let told = Command::new("pkg-config")
        .args(["--cflags", "--libs", "millstream"])
        .env("PKG_CONFIG_PATH", folder.join("lib/pkgconfig"))
        .output();
    let Ok(told) = told else { return eprintln!("skipped: readme: no pkg-config") };
    assert!(told.status.success(), "{told:?}");
    let text = std::fs::read_to_string(root().join("README.md")).unwrap();
    let program = text.split("```c\n").nth(1).and_then(|rest| rest.split("```").next());
    let (source, built) = (folder.join("readme.c"), folder.join("readme"));
    std::fs::write(&source, program.expect("the README has a program in C")).unwrap();
    let flags = String::from_utf8(told.stdout).unwrap();
    let compiled = Command::new("cc")
        .args([&source, Path::new("-o"), &built])
        .args(flags.split_whitespace())
        .output();
    let Ok(compiled) = compiled else { return eprintln!("skipped: readme: no cc") };
    assert!(compiled.status.success(), "{}", String::from_utf8_lossy(&compiled.stderr));
    for said in both_ways(&built, &folder) {
        assert_eq!(said, "hello came back through count\n");
    }
    let _gone = std::fs::remove_dir_all(&folder);
}

#[test]
fn the_headers_are_c_and_cpp() {
    let include = Path::new(env!("CARGO_MANIFEST_DIR")).join("include");
    for (compiler, language) in [("cc", "c"), ("c++", "c++")] {
        let file = folder("headers").join(format!("all.{language}"));
        std::fs::write(&file, "#include <millstream.h>\n#include <stropts.h>\n").unwrap();
        let compiled = Command::new(compiler)
            .args(["-Wall", "-Wextra", "-pedantic", "-Werror", "-fsyntax-only", "-x", language])
            .args([Path::new("-I"), &include, &file])
            .output();
        let _gone = std::fs::remove_file(&file);
        let Ok(compiled) = compiled else {
            eprintln!("skipped: headers in {language}: no {compiler}");
            continue;
        };
        assert!(compiled.status.success(), "{}", String::from_utf8_lossy(&compiled.stderr));
    }
    let _gone = std::fs::remove_dir_all(folder("headers"));
}
