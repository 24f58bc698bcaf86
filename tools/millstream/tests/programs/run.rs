//! What `millstream run` refuses, before anything is run.

use crate::kit::Lab;
use crate::stage::library;

const TAP: &str = "run --tap mill0 --addr 10.9.0.2/24";

#[test]
fn a_library_that_is_missing_is_named() {
    let Some(lab) = Lab::new("run_library") else { return };
    let (code, text) = lab.fails(&format!("{TAP} --library /nowhere/lib.so -- true"));
    assert_eq!(code, 1);
    assert!(text.contains("/nowhere/lib.so is missing"), "{text}");
}

#[test]
fn a_program_that_cannot_be_served_is_refused_with_the_reason() {
    let Some(lab) = Lab::new("run_refuses") else { return };
    let library = library();
    let run = format!("{TAP} --library {}", library.display());
    let (code, text) = lab.fails(&format!("{run} -- no-such-program"));
    assert_eq!((code, text.contains("no-such-program is not to be found")), (1, true), "{text}");
    let file = lab.runtime.join("text");
    std::fs::write(&file, "no program").unwrap();
    let (code, text) = lab.fails(&format!("{run} -- {}", file.display()));
    assert_eq!((code, text.contains("is no program of this machine")), (1, true), "{text}");
}

#[test]
fn what_is_wrong_with_a_policy_is_told_before_the_program_runs() {
    let Some(lab) = Lab::new("run_policy") else { return };
    let run = format!("{TAP} --library {} --policy fly -- true", library().display());
    let (code, text) = lab.fails(&run);
    assert_eq!((code, text.contains("begins with stack or kernel")), (2, true), "{text}");
    let (code, text) = lab.fails(&format!("{TAP} --name lab -- true"));
    assert_eq!((code, text.contains("or one with a name")), (2, true), "{text}");
    let (code, _) =
        lab.fails(&format!("run --name nobody --library {} -- true", library().display()));
    assert_eq!(code, 3);
}

#[test]
fn a_program_without_sockets_has_no_stack() {
    let Some(lab) = Lab::new("run_plain") else { return };
    let run = format!("{TAP} --library {} -- echo as before", library().display());
    assert_eq!(lab.ok(&run), "as before\n");
}
