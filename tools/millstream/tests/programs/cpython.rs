//! CPython's own tests of sockets, of Debian's package, on the stack.

use crate::stage::{KERNEL, Place, STACK, Stage};
use std::collections::BTreeMap;
use std::process::Command;

const PYTHON: &str = "/usr/bin/python3";
const SUITE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/programs/suite.py");

#[test]
fn pythons_own_tests_of_connections_datagrams_and_files_pass() {
    let Some(stage) = stage("cpython") else { return };
    let outcomes = outcomes(&stage, stage.stack(&format!("{PYTHON} {SUITE} {STACK}")), &CHOSEN);
    let passed = outcomes.values().filter(|(word, _)| word == "passed").count();
    let failed: Vec<_> = outcomes.iter().filter(|(_, (word, _))| word == "failed").collect();
    assert!(failed.is_empty() && passed > 150, "{passed} passed; {failed:#?}");
}

#[test]
#[ignore = "minutes: cargo xtask nightly"]
fn of_all_pythons_tests_those_pass_that_pass_on_the_kernel() {
    let Some(stage) = stage("cpython_all") else { return };
    let kernel = stage.kernel(&format!("{PYTHON} {SUITE} {KERNEL}"));
    let (kernel, mut stack) = (
        outcomes(&stage, kernel, &[]),
        outcomes(&stage, stage.stack(&format!("{PYTHON} {SUITE} {STACK}")), &[]),
    );
    // They bind to all addresses, which are the stack's then, and connect to loopback, which is
    // the kernel's.
    for name in ["test_tcp4", "test_dual_stack_client_v4", "test_dual_stack_client_v6"] {
        let (word, _) = stack.remove(&format!("CreateServerFunctionalTest.{name}")).unwrap();
        assert_ne!(word, "passed", "{name}: to be taken from this list");
    }
    let differ = |(name, (word, _)): &(&String, &(String, String))| {
        word == "failed" && kernel.get(*name).is_some_and(|(word, _)| word == "passed")
    };
    let failed: Vec<_> = stack.iter().filter(differ).collect();
    assert!(failed.is_empty(), "{failed:#?}");
    println!("{} tests, the same on the kernel", stack.len());
}

/// `None` where the tests are not installed: they come with a newer interpreter, which would be
/// exchanged under other tests, so they are not installed here.
fn stage(test: &str) -> Option<Stage> {
    let there = Command::new(PYTHON).args(["-c", "import test.test_socket"]).output();
    if !there.is_ok_and(|output| output.status.success()) {
        eprintln!("skipped: {test}: {PYTHON} has no test.test_socket: libpython3.N-testsuite");
        return None;
    }
    Stage::new(test, Place::Beside, &[])
}

/// What became of each test, and why.
fn outcomes(
    stage: &Stage,
    mut command: Command,
    classes: &[&str],
) -> BTreeMap<String, (String, String)> {
    command.args(classes);
    let said = stage.ok(command);
    let lines = said.lines().filter_map(|line| {
        let mut words = line.splitn(3, ' ');
        let (word, name) = (words.next()?, words.next()?);
        let why = words.next().unwrap_or_default();
        let is_test = matches!(word, "passed" | "failed" | "skipped");
        is_test.then(|| (name.to_owned(), (word.to_owned(), why.to_owned())))
    });
    lines.collect()
}

/// Classes that take no more than seconds.
const CHOSEN: [&str; 22] = [
    "BasicTCPTest",
    "BasicUDPTest",
    "TCPCloserTest",
    "NonBlockingTCPTests",
    "FileObjectClassTestCase",
    "UnbufferedFileObjectClassTestCase",
    "LineBufferedFileObjectClassTestCase",
    "SmallBufferedFileObjectClassTestCase",
    "UnicodeReadFileObjectClassTestCase",
    "UnicodeWriteFileObjectClassTestCase",
    "UnicodeReadWriteFileObjectClassTestCase",
    "NetworkConnectionNoServer",
    "NetworkConnectionAttributesTest",
    "ContextManagersTest",
    "SendmsgTCPTest",
    "RecvmsgTCPTest",
    "RecvmsgIntoTCPTest",
    "SendmsgUDPTest",
    "RecvmsgUDPTest",
    "RecvmsgIntoUDPTest",
    "InheritanceTest",
    "SendfileUsingSendfileTest",
];
