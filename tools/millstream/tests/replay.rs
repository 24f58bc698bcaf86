//! The command replay: a recording goes into a module without a stack.

mod kit;

use kit::{LONG, Lab, PROGRAM, wait_for};
use millstream_core::Side;
use millstream_core::tpi::Primitive;
use millstream_modules::recording;
use millstream_msg::{Kind, Pool, PoolConfig};
use std::io::ErrorKind;
use std::net::UdpSocket;
use std::path::PathBuf;
use std::process::Command;

/// A recording of echo: each datagram that went up, and its answer.
fn recording(name: &str, datagrams: &[&[u8]]) -> PathBuf {
    let mut pool = Pool::new(PoolConfig::TINY);
    let mut bytes = Vec::new();
    recording::head(&mut bytes, 0, "udp.echo");
    for (number, data) in datagrams.iter().enumerate() {
        let peer = "10.0.0.9:5000".parse().unwrap();
        let both = [Primitive::unitdata_ind(peer), Primitive::unitdata_req(peer)];
        for (primitive, side) in both.iter().zip([Side::Read, Side::Write]) {
            let mut msg = pool.copy_from(0, primitive.as_bytes()).unwrap();
            msg.set_kind(Kind::Proto);
            let data = pool.copy_from(0, data).unwrap();
            msg.link(data);
            assert!(recording::message(&mut bytes, number as u64 * 1_000_000, side, &msg));
            pool.free(msg);
        }
    }
    let path = std::env::temp_dir().join(format!("ms-{name}-{}.rec", std::process::id()));
    std::fs::write(&path, bytes).unwrap();
    path
}

/// Exit code, standard output and standard error.
fn replay(file: &std::path::Path, args: &[&str]) -> (i32, String, String) {
    let output = Command::new(PROGRAM).arg("replay").arg(file).args(args).output().unwrap();
    let [out, err] = [output.stdout, output.stderr].map(|b| String::from_utf8(b).unwrap());
    (output.status.code().unwrap(), out, err)
}

#[test]
fn a_recording_of_echo_put_into_echo_has_no_differences() {
    let file = recording("replay-same", &[b"one", b"two"]);
    let (code, out, err) = replay(&file, &["--into", "echo"]);
    assert_eq!((code, err.as_str()), (0, ""));
    let told = "echo: 2 messages in\ndown: 2 out, 2 of the recording\nup: 0 out, not recorded\n\
        no differences\n";
    assert_eq!(out, told);
    std::fs::remove_file(file).unwrap();
}

#[test]
fn differences_are_listed_and_make_exit_code_1() {
    let file = recording("replay-other", &[b"1234", b"5678"]);
    let (code, out, _) = replay(&file, &["--into", "time"]);
    assert_eq!(code, 1, "{out}");
    assert!(out.contains("\n  changed #0: bytes 36-39\n"), "{out}");
    assert!(out.ends_with("\n2 differences\n"), "{out}");
    let (code, out, _) = replay(&file, &["--into", "discard", "--json"]);
    let report: serde_json::Value = serde_json::from_str(&out).unwrap();
    assert_eq!(code, 1);
    assert_eq!(report["down"]["differences"][1]["missing"], 1);
    std::fs::remove_file(file).unwrap();
}

#[test]
fn two_modules_are_compared_on_the_same_messages() {
    let file = recording("replay-against", &[b"1", b"2", b"3"]);
    let rules = ["--set", "link=tpi", "--set", "rules=drop sport 5000"];
    let (code, out, _) =
        replay(&file, &[&["--into", "filter"][..], &rules, &["--against", "null"]].concat());
    assert_eq!(code, 1, "{out}");
    assert!(out.contains("up: 0 out, 3 of null\n  missing #0: 37 bytes\n"), "{out}");
    let other = ["--other", "link=tpi", "--other", "rules=drop udp"];
    let both = [&["--into", "filter"][..], &rules, &["--against", "filter"], &other].concat();
    assert_eq!(replay(&file, &both).0, 0);
    std::fs::remove_file(file).unwrap();
}

#[test]
fn what_cannot_be_read_is_said_and_a_cut_recording_is_used_as_far_as_it_is_sound() {
    let file = recording("replay-cut", &[b"1", b"2"]);
    let bytes = std::fs::read(&file).unwrap();
    std::fs::write(&file, &bytes[..bytes.len() - 3]).unwrap();
    let (code, out, err) = replay(&file, &["--into", "echo"]);
    assert!(err.contains("ends at byte ") && err.contains("cut in the middle"), "{err}");
    assert!(code == 1 && out.contains("added #1"), "its last answer is not in it: {out}");
    std::fs::write(&file, b"text").unwrap();
    let (code, _, err) = replay(&file, &["--into", "echo"]);
    assert!(code == 1 && err.contains("too short for a recording"), "{err}");
    std::fs::remove_file(&file).unwrap();
    let (code, _, err) = replay(&file, &["--into", "echo"]);
    assert!(code == 1 && err.contains("cannot read the recording"), "{err}");
    let output = Command::new(PROGRAM).args(["replay", "--into", "echo"]).output().unwrap();
    assert_eq!(output.status.code(), Some(2), "neither below nor above");
}

/// A count that the first module of a stream from below shows.
fn count(lab: &Lab, stream: &str, name: &str) -> u64 {
    let stat = lab.json("stat");
    let streams = stat["streams"].as_array().unwrap();
    let found = streams.iter().find(|s| s["name"] == stream).unwrap();
    let mut nodes = found["nodes"].as_array().unwrap().iter().rev();
    let node = nodes.find(|node| node["kind"] == "module").unwrap();
    node["fields"][name].as_u64().unwrap_or_else(|| panic!("{name} of {node}"))
}

#[test]
fn on_a_running_stack_a_filter_refuses_and_what_was_recorded_is_replayed() {
    let Some(lab) = Lab::new("filter_record_replay") else { return };
    let tap = "--tap tap0 --host 10.9.0.1/24 --addr 10.9.0.2/24";
    let _up = lab.up(&format!("up --name lab {tap} --service echo"));
    let with = |line: &str, last: &str| {
        let output = lab.command(line).arg(last).output().unwrap();
        assert!(output.status.success(), "{line} {last}: {output:?}");
    };
    with("insert tap0 0 filter", "rules=reject udp dport 7");
    let refused = lab.netns.run(|| {
        let socket = UdpSocket::bind("0.0.0.0:0").unwrap();
        socket.connect("10.9.0.2:7").unwrap();
        socket.set_read_timeout(Some(LONG)).unwrap();
        socket.send(b"anybody?").unwrap();
        socket.recv(&mut [0; 16]).unwrap_err().kind()
    });
    assert_eq!(refused.unwrap(), ErrorKind::ConnectionRefused);
    with("set tap0 0", "rules=count udp; drop tcp");
    lab.echoes("10.9.0.2:7");
    assert!(count(&lab, "tap0", "rule.1") >= 2, "both ways");
    let (code, why) = lab.fails("set tap0 0 rules=drop");
    assert!(code == 1 && why.contains("rules: at 1: drop what?"), "{why}");

    let file = lab.runtime.join("echo.rec");
    let text = file.to_str().unwrap();
    lab.ok(&format!("insert udp.echo 0 record file={text}"));
    for _ in 0..3 {
        lab.echoes("10.9.0.2:7");
    }
    lab.ok("remove udp.echo 0");
    wait_for("the recording is written", || {
        let (code, out, _) = replay(&file, &["--into", "echo"]);
        code == 0 && !out.starts_with("echo: 0 ")
    });
    lab.ok(&format!("insert udp.echo 0 replay speed=max direction=up file={text}"));
    wait_for("it is played", || count(&lab, "udp.echo", "left.bytes") == 0);
    assert!(count(&lab, "udp.echo", "up.played") >= 3);
    lab.ok("remove udp.echo 0");
    lab.echoes("10.9.0.2:7");
}
