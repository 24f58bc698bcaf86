//! Stacks on raw interfaces and loopbacks, devices around devices, and what doctor and demo find.

mod kit;

use kit::{Lab, PROGRAM, prefix, wait_for};
use millstream_drivers::KernelPing;
use millstream_drivers::netlink::Netlink;
use rustix::process::Signal;
use serde_json::Value;
use std::os::unix::process::CommandExt;
use std::process::Command;

/// A lab with the veth pair `kern0`, with 10.9.0.1/24, and `mill0`.
fn veth_lab(test: &str) -> Option<Lab> {
    let lab = Lab::new(test)?;
    let set_up = || {
        let mut netlink = Netlink::open().unwrap();
        netlink.create_veth("kern0", "mill0", None).unwrap();
        netlink.replace_address("kern0", prefix("10.9.0.1/24")).unwrap();
        netlink.set_up("kern0", true).unwrap();
        netlink.set_up("mill0", true).unwrap();
    };
    lab.netns.run(set_up).unwrap();
    Some(lab)
}

const UP: &str = "up --name lab --raw mill0 --addr 10.9.0.2/24 --service echo";

#[test]
fn a_raw_interface_carries_a_stack_and_stays_when_it_stops() {
    let Some(lab) = veth_lab("a_raw_interface_carries") else { return };
    for mac in ["", " --mac 02:00:00:00:09:02"] {
        let mut up = lab.up(&format!("{UP}{mac}"));
        lab.echoes("10.9.0.2:7");
        let trip = lab.netns.run(|| {
            let mut ping = KernelPing::open().unwrap();
            ping.ping("10.9.0.2".parse().unwrap(), 56, kit::LONG).unwrap()
        });
        assert!(trip.unwrap().is_some());
        assert_eq!(lab.json("ping 10.9.0.1 -c 2 -i 0 -W 30")["received"], 2);
        up.signal(Signal::TERM);
        assert_eq!(up.end().code(), Some(0), "{}", up.said);
        assert!(lab.has_link("mill0"));
    }
}

#[test]
fn a_raw_interface_without_offloads_answers_ping() {
    let Some(lab) = veth_lab("a_raw_interface_without_offloads") else { return };
    let _up = lab.up(&format!("{UP} --plain"));
    assert_eq!(lab.json("ping 10.9.0.1 -c 2 -i 0 -W 30")["received"], 2);
}

#[test]
fn a_raw_interface_deleted_under_the_stack_ends_it_with_a_sentence() {
    for plain in ["", " --plain"] {
        let Some(lab) = veth_lab("a_raw_interface_deleted") else { return };
        let mut up = lab.up(&format!("{UP}{plain}"));
        lab.delete_link("mill0");
        assert_eq!(up.end().code(), Some(1));
        assert!(up.said.contains("the interface mill0 is gone"), "{}", up.said);
        assert!(up.said.contains("no interface is left"), "{}", up.said);
        assert!(!lab.socket("lab").exists());
    }
}

#[test]
fn what_no_raw_socket_takes_is_refused_with_the_remedy() {
    let Some(lab) = veth_lab("what_no_raw_socket_takes") else { return };
    for (name, part) in [
        ("lo", "does not carry Ethernet frames"),
        ("eth77", "there are: lo, "),
        ("kern0 --wrap pcap file=/nowhere/x", "cannot write /nowhere/x"),
    ] {
        let line = format!("up --name lab --raw {name} --addr 10.8.0.2/24");
        let mut up = lab.start(&line);
        assert_eq!(up.end().code(), Some(1), "{line}");
        assert!(up.said.contains(part), "{line}: {}", up.said);
    }
}

#[test]
fn devices_around_a_device_tell_record_and_break() {
    let Some(lab) = veth_lab("devices_around_a_device") else { return };
    let (text, pcap) = (lab.runtime.join("frames.txt"), lab.runtime.join("frames.pcapng"));
    let (text_name, pcap_name) = (text.display(), pcap.display());
    let mut up = lab.up(&format!(
        "{UP} --wrap fault fail-after=60 --wrap trace file={text_name} --wrap pcap file={pcap_name}"
    ));
    lab.echoes("10.9.0.2:7");
    let told = std::fs::read_to_string(&text).unwrap();
    assert!(told.contains(" mill0 up ") && told.contains(":7 UDP 21 bytes"), "{told}");
    assert!(told.contains(" mill0 down ") && told.contains("ARP 10.9.0.2 is here"), "{told}");
    // The line breaks under the traffic.
    let pings = lab.run("ping --name lab 10.9.0.1 -c 100 -i 0.01 -W 1");
    assert_eq!(up.end().code(), Some(1), "{pings:?}");
    assert!(up.said.contains("the interface mill0 is gone (input or output failed"), "{}", up.said);
    assert!(up.said.contains("its device has failed"), "{}", up.said);
    let bytes = std::fs::read(pcap).unwrap();
    assert_eq!(bytes[..4], [0x0a, 0x0d, 0x0d, 0x0a], "a section header block");
    let payload = b"to the stack and back";
    assert!(bytes.windows(payload.len()).filter(|w| w == payload).count() >= 2);
}

#[test]
fn a_loopback_needs_no_rights_and_gives_frames_back() {
    let Some(lab) = Lab::new("a_loopback_needs_no_rights") else { return };
    let text = lab.runtime.join("frames.txt");
    let line = "up --name lab --loopback lo0 --addr 10.9.0.2/24 --wrap trace file=";
    let mut up = lab.up(&format!("{line}{}", text.display()));
    // Nobody is there: the question comes back, and no answer.
    lab.run("ping --name lab 10.9.0.9 -c 1 -W 1");
    let asks = "ARP who has 10.9.0.9? tell 10.9.0.2";
    wait_for("the question, both ways", || {
        let told = std::fs::read_to_string(&text).unwrap();
        let asked = |way| told.lines().any(|line| line.contains(way) && line.contains(asks));
        asked(" lo0 down ") && asked(" lo0 up ")
    });
    up.signal(Signal::TERM);
    assert_eq!(up.end().code(), Some(0), "{}", up.said);
}

/// Runs the command, as the user nobody if we are root; `None` where nobody may not run it.
fn as_nobody(lab: &Lab, line: &str) -> Option<(i32, String)> {
    const NOBODY: u32 = 65_534;
    let mut command = Command::new(PROGRAM);
    command.args(line.split(' ')).env("XDG_RUNTIME_DIR", &lab.runtime).current_dir("/");
    if rustix::process::geteuid().is_root() {
        std::os::unix::fs::chown(&lab.runtime, Some(NOBODY), Some(NOBODY)).unwrap();
        command.uid(NOBODY).gid(NOBODY);
    }
    match lab.netns.run(|| command.output()).unwrap() {
        Ok(output) => {
            let text = String::from_utf8(output.stdout).unwrap();
            Some((output.status.code().unwrap(), text))
        }
        Err(e) => {
            eprintln!("skipped: {line}: nobody may not run {PROGRAM}: {e}");
            None
        }
    }
}

/// What doctor says of one thing.
fn works(findings: &Value, what: &str) -> bool {
    let checks = findings["checks"].as_array().unwrap();
    checks.iter().find(|check| check["what"] == what).unwrap()["works"] == true
}

#[test]
fn doctor_finds_what_root_can_do_and_leaves_nothing_behind() {
    let Some(lab) = Lab::new("doctor_finds_what_root") else { return };
    let run = || lab.command("doctor --json").output().unwrap();
    let output = lab.netns.run(run).unwrap();
    let findings: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(output.status.success(), findings["main_job"] == true);
    assert!(works(&findings, "control socket"), "{findings}");
    assert!(works(&findings, "raw socket"), "{findings}");
    if std::path::Path::new("/dev/net/tun").exists() {
        assert!(works(&findings, "TAP") && works(&findings, "CSUM"), "{findings}");
    }
    let links = lab.netns.run(|| Netlink::open().unwrap().links().unwrap());
    assert_eq!(links.unwrap().len(), 1, "only lo");
    assert_eq!(std::fs::read_dir(lab.runtime.join("millstream")).unwrap().count(), 0);
}

#[test]
fn doctor_tells_a_user_without_rights_what_does_not_work() {
    let Some(lab) = Lab::new("doctor_tells_a_user") else { return };
    let Some((code, text)) = as_nobody(&lab, "doctor --json") else { return };
    let findings: Value = serde_json::from_str(&text).unwrap();
    assert_eq!(code == 0, findings["main_job"] == true);
    assert!(!works(&findings, "TAP") && !works(&findings, "raw socket"), "{findings}");
    let check = &findings["checks"][0];
    assert!(check["says"].as_str().unwrap().contains("run as root"), "{check}");
    assert_eq!(findings["main_job"], works(&findings, "raw socket in it"), "{findings}");
}

#[test]
fn the_demo_of_a_user_without_rights_runs_on_what_doctor_found() {
    let Some(lab) = Lab::new("the_demo_of_a_user") else { return };
    let Some((_, text)) = as_nobody(&lab, "doctor --json") else { return };
    let findings: Value = serde_json::from_str(&text).unwrap();
    let expected = if works(&findings, "TAP in it") {
        "On TAPs, in a user namespace of its own"
    } else if works(&findings, "raw socket in it") {
        "So: raw sockets on veth pairs, in a user namespace of its own"
    } else {
        "So: two stacks in this process"
    };
    let (code, text) = as_nobody(&lab, "demo --seconds 1").unwrap();
    assert_eq!(code, 0, "{text}");
    assert!(text.contains(expected), "{text}");
    assert!(text.contains("before        impaired           after"), "{text}");
}
