//! user_namespace: a program without rights gets a TAP and interfaces of its own.
//!
//! Not under the test harness: a user namespace can only be entered by a process of one thread. Prints
//! `skipped: <test>: <reason>` where the system forbids user namespaces.

use millstream_drivers::netlink::{Netlink, NetlinkError};
use millstream_drivers::netns::{Netns, NetnsError, enter_user_namespace};
use std::error::Error;
use std::os::fd::AsFd;
use std::os::unix::process::CommandExt;
use std::process::{Command, ExitCode};

fn main() -> ExitCode {
    if std::env::args().any(|argument| argument == "--list") {
        return ExitCode::SUCCESS; // What test runners ask a harness.
    }
    match std::env::var(CHILD).as_deref() {
        Ok("plain") => report(UNPRIVILEGED, unprivileged_program_becomes_root_of_its_own_network()),
        Ok("threaded") => report(THREADED, threaded_program_is_told_to_enter_first()),
        _ => [(UNPRIVILEGED, "plain"), (THREADED, "threaded")]
            .into_iter()
            .map(|(test, mode)| run_as_nobody(test, mode))
            .find(|code| *code != ExitCode::SUCCESS)
            .unwrap_or(ExitCode::SUCCESS),
    }
}

fn unprivileged_program_becomes_root_of_its_own_network() -> Result<(), Box<dyn Error>> {
    assert!(
        matches!(Netns::new(), Err(NetnsError::NoRight { .. })),
        "the test is to have no rights"
    );
    assert!(matches!(
        Netlink::open()?.create_veth("ve0", "ve1", None),
        Err(NetlinkError::NoRight { .. })
    ));
    match enter_user_namespace() {
        Err(error @ (NetnsError::UserNamespacesOff | NetnsError::IdMap { .. })) => {
            eprintln!("skipped: {UNPRIVILEGED}: {error}");
            return Ok(());
        }
        other => other?,
    }
    let mut netlink = Netlink::open()?;
    let names: Vec<_> = netlink.links()?.into_iter().map(|link| link.name).collect();
    assert_eq!(names, ["lo"]);
    assert!(netlink.link("lo")?.is_up);
    let second = Netns::new()?;
    netlink.create_veth("ve0", "ve1", Some(second.as_fd()))?;
    netlink.replace_address("ve0", "10.9.0.1/24".parse()?)?;
    assert_eq!(second.run(|| Netlink::open()?.link("ve1"))??.name, "ve1");
    Ok(())
}

fn threaded_program_is_told_to_enter_first() -> Result<(), Box<dyn Error>> {
    std::thread::scope(|scope| {
        let (done, wait) = std::sync::mpsc::channel::<()>();
        scope.spawn(move || wait.recv());
        let refused = enter_user_namespace();
        drop(done);
        match refused {
            Err(NetnsError::Threaded | NetnsError::UserNamespacesOff) => Ok(()),
            other => Err(format!("entered in spite of a second thread: {other:?}").into()),
        }
    })
}

/// Runs this program again, as the user nobody if we are root.
fn run_as_nobody(test: &str, mode: &str) -> ExitCode {
    let mut child = match std::env::current_exe() {
        Ok(path) => Command::new(path),
        Err(error) => return report(test, Err(error.into())),
    };
    child.env(CHILD, mode);
    if rustix::process::geteuid().is_root() {
        child.uid(NOBODY).gid(NOBODY);
    }
    match child.status() {
        Ok(status) if status.success() => ExitCode::SUCCESS,
        Ok(_) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("skipped: {test}: the user nobody cannot run this program: {error}");
            ExitCode::SUCCESS
        }
    }
}

fn report(test: &str, outcome: Result<(), Box<dyn Error>>) -> ExitCode {
    match outcome {
        Ok(()) => {
            eprintln!("test {test} ... ok");
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!("test {test} ... FAILED: {error}");
            ExitCode::FAILURE
        }
    }
}

const CHILD: &str = "MILLSTREAM_USER_NAMESPACE_CHILD";
const UNPRIVILEGED: &str = "unprivileged_program_becomes_root_of_its_own_network";
const THREADED: &str = "threaded_program_is_told_to_enter_first";
const NOBODY: u32 = 65_534;
