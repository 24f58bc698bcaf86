//! Programs in C that say what calls have come to: the same on the stack as on the kernel.

use crate::kit::wait_for;
use crate::stage::{PLACES, Place, STACK, Stage};
use std::path::PathBuf;
use std::process::Command;

const CC: (&str, &str) = ("gcc", "gcc");

/// Compiles a program of the folder; `None` where the C library is not to be had to compile with.
fn compiled(stage: &Stage, name: &str, flags: &[&str]) -> Option<PathBuf> {
    let program = stage.folder().join(name);
    let source = format!("{}/tests/programs/c/{name}.c", env!("CARGO_MANIFEST_DIR"));
    let mut command = Command::new("gcc");
    command.args(["-O1", "-pthread", "-o"]).arg(&program).arg(&source).args(flags);
    let output = command.output().unwrap();
    let text = String::from_utf8_lossy(&output.stderr);
    if !output.status.success() && text.contains("stdio.h: No such file") {
        eprintln!("skipped: {name}: {text}");
        return None;
    }
    assert!(output.status.success(), "{text}");
    Some(program)
}

/// Runs a program on the kernel and on the stack, both ends of its connections there.
fn says_the_same(name: &str, places: &[Place]) {
    for place in places {
        let Some(stage) = Stage::new(name, *place, &[CC]) else { return };
        let Some(program) = compiled(&stage, name, &[]) else { return };
        let kernel = stage.ok(stage.kernel(&format!("{} 127.0.0.1", program.display())));
        let stack = stage.ok(stage.stack(&format!("{} {STACK}", program.display())));
        let pairs = kernel.lines().zip(stack.lines());
        for (at, (kernel, stack)) in pairs.enumerate() {
            assert_eq!(stack, kernel, "line {} of {name}, {place:?}", at + 1);
        }
        assert_eq!(stack, kernel, "{place:?}");
    }
}

#[test]
fn an_edge_is_told_for_each_arrival() {
    says_the_same("edges", &[Place::Beside]);
}

#[test]
fn sets_in_sets_and_sets_of_two_processes_tell_of_sockets() {
    says_the_same("nested", &[Place::Beside]);
}

#[test]
fn octets_that_pass_no_function_arrive() {
    says_the_same("stdio", &[Place::Beside]);
}

#[test]
fn signals_interrupt_calls_that_wait() {
    says_the_same("signals", &PLACES);
}

#[test]
fn a_thread_is_cancelled_where_it_waits() {
    says_the_same("cancel", &PLACES);
}

#[test]
fn descriptors_are_closed_and_copied_over_under_their_users() {
    says_the_same("closing", &PLACES);
}

#[test]
fn octets_move_between_files_pipes_and_sockets() {
    says_the_same("moving", &PLACES);
}

#[test]
fn a_socket_is_passed_to_another_process() {
    says_the_same("passing", &[Place::Beside]);
}

#[test]
fn a_process_forks_while_its_threads_use_sockets() {
    says_the_same("forks", &[Place::Beside]);
}

#[test]
fn who_waits_for_a_stack_that_is_killed_is_told() {
    let Some(stage) = Stage::new("dead", Place::Beside, &[CC]) else { return };
    let Some(program) = compiled(&stage, "dead", &[]) else { return };
    let (_listener, port) = stage.silence();
    let line = format!("{} {STACK} {port}", program.display());
    let mut running = stage.start(stage.stack(&line));
    let said = || std::fs::read_to_string(stage.folder().join("said")).unwrap();
    wait_for("the program to wait", || said().contains("ready"));
    stage.kill_stack();
    assert_eq!(running.end(), Some(0), "{}", said());
    let expected = include_str!("c/dead.txt");
    assert_eq!(said(), expected);
}

#[test]
fn a_program_without_the_library_uses_a_socket_that_it_was_given() {
    let Some(stage) = Stage::new("given", Place::Beside, &[CC]) else { return };
    // A C library to link statically is not everywhere.
    let Some(_) = compiled(&stage, "upper", &["-static"]) else { return };
    let Some(program) = compiled(&stage, "given", &[]) else { return };
    let said = stage.ok(stage.stack(&format!("{} {STACK}", program.display())));
    assert_eq!(said, "the child: 9 \"AS A LINE\"\nthe end: 0 \"\"\n");
}
