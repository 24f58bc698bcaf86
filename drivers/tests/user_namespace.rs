//! user_namespace: what a program without rights can do: a network of its own, a TAP made for it.
//!
//! Not under the test harness: a user namespace can only be entered by a process of one thread.
//! Prints `skipped: <test>: <reason>` where the system forbids user namespaces.

use millstream_core::Device;
use millstream_drivers::netlink::{Netlink, NetlinkError};
use millstream_drivers::netns::{Netns, NetnsError, enter_user_namespace};
use millstream_drivers::tun::{TapError, TapFd, TapFlags};
use millstream_drivers::{Raw, RawError};
use millstream_msg::{MsgList, Pool, PoolConfig};
use std::error::Error;
use std::os::fd::AsFd;
use std::os::unix::process::CommandExt;
use std::process::{Command, ExitCode};
use std::time::{Duration, Instant};

type Outcome = Result<(), Box<dyn Error + Send + Sync>>;
type Test = (&'static str, fn() -> Outcome);

fn main() -> ExitCode {
    if std::env::args().any(|argument| argument == "--list") {
        return ExitCode::SUCCESS; // What test runners ask a harness.
    }
    let outcomes = match std::env::var(CHILD) {
        Ok(test) => TESTS
            .iter()
            .filter(|(name, _)| *name == test)
            .map(|(name, body)| report(name, body()))
            .collect::<Vec<_>>(),
        Err(_) => TESTS
            .iter()
            .filter(|(name, _)| *name != OWNER_CHILD)
            .map(|(name, _)| run_as_nobody(name))
            .chain([report(OWNER, a_tap_made_for_a_user_is_opened_without_rights())])
            .collect(),
    };
    if outcomes.contains(&false) { ExitCode::FAILURE } else { ExitCode::SUCCESS }
}

fn unprivileged_program_becomes_root_of_its_own_network() -> Outcome {
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

fn unprivileged_program_takes_a_veth_pair_by_raw_sockets() -> Outcome {
    assert!(matches!(Raw::probe("any"), Err(RawError::NoRight { .. })));
    match enter_user_namespace() {
        Err(error @ (NetnsError::UserNamespacesOff | NetnsError::IdMap { .. })) => {
            eprintln!("skipped: {RAW}: {error}");
            return Ok(());
        }
        other => other?,
    }
    let mut netlink = Netlink::open()?;
    netlink.create_veth("ve0", "ve1", None)?;
    netlink.set_up("ve0", true)?;
    netlink.set_up("ve1", true)?;
    let mut pool = Pool::new(PoolConfig::STACK);
    for open in [Raw::open, Raw::open_plain] {
        let (mut near, mut far) = (open("ve0", Some([2, 0, 0, 0, 0, 1]))?, open("ve1", None)?);
        let mut frame = vec![0xff; 60];
        frame[12..14].copy_from_slice(&[0x88, 0xb5]); // Local Experimental EtherType 1.
        let mut batch: MsgList = [pool.copy_from(64, &frame)?].into_iter().collect();
        near.send(&mut batch)?;
        let deadline = Instant::now() + Duration::from_secs(10);
        let mut out = MsgList::new();
        while !out.iter().any(|came| came.first() == frame) {
            far.recv(&mut pool, &mut out, 16)?;
            assert!(Instant::now() < deadline, "the frame did not come");
        }
    }
    Ok(())
}

fn threaded_program_is_told_to_enter_first() -> Outcome {
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

fn a_tap_made_for_a_user_is_opened_without_rights() -> Outcome {
    if !rustix::process::geteuid().is_root() || !std::path::Path::new("/dev/net/tun").exists() {
        eprintln!("skipped: {OWNER}: not root, or no /dev/net/tun");
        return Ok(());
    }
    let namespace = Netns::new()?;
    namespace.run(|| {
        for (name, owner) in [("mine", NOBODY), ("other", NOBODY - 1)] {
            let tap = TapFd::open(name, TapFlags::NONE)?;
            tap.set_persistent(true)?;
            tap.set_owner(owner)?;
        }
        if run_as_nobody(OWNER_CHILD) { Ok(()) } else { Err("the child failed".into()) }
    })?
}

fn owner_opens_its_tap_and_no_other() -> Outcome {
    match TapFd::open("mine", TapFlags::VNET_HEADER) {
        Err(error @ TapError::DeviceForbidden { .. }) => {
            eprintln!("skipped: {OWNER}: {error}");
            return Ok(());
        }
        other => assert_eq!(other?.name(), "mine"),
    }
    for name in ["other", "new0"] {
        let refused = TapFd::open(name, TapFlags::VNET_HEADER).err();
        assert!(matches!(refused, Some(TapError::NoRight { .. })), "{name}: {refused:?}");
    }
    Ok(())
}

/// Runs one of `TESTS` in a process of its own, as the user nobody if we are root.
fn run_as_nobody(test: &str) -> bool {
    let status = std::env::current_exe().and_then(|path| {
        let mut child = Command::new(path);
        child.env(CHILD, test);
        if rustix::process::geteuid().is_root() {
            child.uid(NOBODY).gid(NOBODY);
        }
        child.status()
    });
    match status {
        Ok(status) => status.success(),
        Err(error) => {
            eprintln!("skipped: {test}: the user nobody cannot run this program: {error}");
            true
        }
    }
}

fn report(test: &str, outcome: Outcome) -> bool {
    match &outcome {
        Ok(()) => eprintln!("test {test} ... ok"),
        Err(error) => eprintln!("test {test} ... FAILED: {error}"),
    }
    outcome.is_ok()
}

/// What a child process runs. `main` starts all but the last, which needs what `OWNER` prepares.
const TESTS: [Test; 4] = [
    (UNPRIVILEGED, unprivileged_program_becomes_root_of_its_own_network),
    (RAW, unprivileged_program_takes_a_veth_pair_by_raw_sockets),
    ("threaded_program_is_told_to_enter_first", threaded_program_is_told_to_enter_first),
    (OWNER_CHILD, owner_opens_its_tap_and_no_other),
];
const CHILD: &str = "MILLSTREAM_USER_NAMESPACE_CHILD";
const UNPRIVILEGED: &str = "unprivileged_program_becomes_root_of_its_own_network";
const RAW: &str = "unprivileged_program_takes_a_veth_pair_by_raw_sockets";
const OWNER: &str = "a_tap_made_for_a_user_is_opened_without_rights";
const OWNER_CHILD: &str = "owner_opens_its_tap_and_no_other";
const NOBODY: u32 = 65_534;
