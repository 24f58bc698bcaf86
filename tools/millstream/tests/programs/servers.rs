//! Programs on the stack that the kernel connects to.

use crate::stage::{KERNEL, PLACES, Place, Running, STACK, Stage, WAYS, octets};
use rustix::process::Signal;
use serde_json::Value;
use std::process::Command;

const CURL: (&str, &str) = ("curl", "curl");

/// Fetches a file of the folder from a server on the stack, and again over a new connection.
fn serves_files(stage: &Stage, port: u16) {
    std::fs::write(stage.folder().join("file"), octets(3_000_000)).unwrap();
    stage.answers(&format!("{STACK}:{port}"));
    for _ in 0..2 {
        stage.ok(stage.kernel(&format!("curl -s -S -m 50 -o got http://{STACK}:{port}/file")));
        let got = std::fs::read(stage.folder().join("got")).unwrap();
        assert!(got == octets(3_000_000), "{} octets", got.len());
    }
}

#[test]
fn python_serves_files() {
    for place in PLACES {
        let Some(stage) = Stage::new("python_http", place, &[PYTHON, CURL]) else { return };
        let _server = stage.start(stage.stack("/usr/bin/python3 -m http.server 8000"));
        serves_files(&stage, 8000);
    }
}

#[test]
fn pythons_sockets_selectors_and_asyncio_work() {
    for place in PLACES {
        let Some(stage) = Stage::new("python_calls", place, &[PYTHON]) else { return };
        let _server = stage.start(stage.kernel(&format!("/usr/bin/python3 {SCRIPTS}/echo.py")));
        stage.answers("127.0.0.1:7000");
        let said = stage.ok(stage.stack(&format!("/usr/bin/python3 {SCRIPTS}/calls.py")));
        assert_eq!(said, "done\n");
    }
}

#[test]
fn python_serves_with_asyncio_and_with_children() {
    for (place, script) in
        [(Place::Inside, "echo.py"), (Place::Beside, "echo.py"), (Place::Beside, "forking.py")]
    {
        let Some(stage) = Stage::new("python_echo", place, &[PYTHON]) else { return };
        let _server = stage.start(stage.stack(&format!("/usr/bin/python3 {SCRIPTS}/{script}")));
        stage.answers(&format!("{STACK}:7000"));
        let said = stage.ok(stage.kernel(&format!("/usr/bin/python3 {SCRIPTS}/ask.py")));
        assert_eq!(said, "done\n", "{script}");
    }
}

#[test]
fn redis_answers_its_benchmark() {
    let programs = [("redis-server", "redis-server"), ("redis-benchmark", "redis-tools")];
    for place in PLACES {
        let Some(stage) = Stage::new("redis", place, &programs) else { return };
        let line = "redis-server --protected-mode no --appendonly no --port 6379";
        let mut server = stage.stack(line);
        server.args(["--save", ""]);
        let _server = stage.start(server);
        stage.answers(&format!("{STACK}:6379"));
        let client = format!("redis-cli -h {STACK}");
        assert_eq!(stage.ok(stage.kernel(&format!("{client} set key value"))), "OK\n");
        assert_eq!(stage.ok(stage.kernel(&format!("{client} get key"))), "value\n");
        let bench = format!("redis-benchmark -h {STACK} -t get,set -n 2000 -c 20 -P 4 --csv");
        let said = stage.ok(stage.kernel(&bench));
        assert!(said.contains("\"SET\"") && said.contains("\"GET\""), "{said}");
    }
}

#[test]
fn iperf3_measures_both_ways() {
    for place in WAYS {
        let Some(stage) = Stage::new("iperf3", place, &[("iperf3", "iperf3")]) else { return };
        let _server = stage.start(stage.stack("iperf3 -s"));
        stage.answers(&format!("{STACK}:5201"));
        for way in ["", "-R"] {
            let client = format!("iperf3 -c {STACK} -n 20M {way}");
            let mut said = String::new();
            // It takes the connection that asked whether it is there for a test.
            crate::kit::wait_for("iperf3", || {
                let output = stage.output(stage.kernel(&client));
                said = String::from_utf8_lossy(&output.stdout).into_owned();
                output.status.success()
            });
            assert!(said.contains("iperf Done"), "{said}");
        }
    }
}

#[test]
fn iperf3_measures_datagrams_as_server_and_as_client() {
    for place in PLACES {
        let Some(stage) = Stage::new("iperf3_udp", place, &[("iperf3", "iperf3")]) else { return };
        let server = stage.start(stage.stack("iperf3 -s"));
        stage.answers(&format!("{STACK}:5201"));
        for way in DIRECTIONS {
            measures(&stage, || stage.kernel(&format!("iperf3 -c {STACK} {way}")));
        }
        // A stack in the program has the interface for itself.
        drop(server);
        let _server = stage.start(stage.kernel("iperf3 -s"));
        stage.answers("127.0.0.1:5201");
        for way in DIRECTIONS {
            measures(&stage, || stage.stack(&format!("iperf3 -c {KERNEL} {way}")));
        }
    }
}

/// To the server, from it, and two at once: each has a socket of its own at the server's port.
const DIRECTIONS: [&str; 3] = ["", "-R", "-P 2"];

/// Datagrams arrive; how many does not matter: the kernel's buffer is full while its program waits
/// for a processor.
fn measures(stage: &Stage, client: impl Fn() -> Command) {
    let (mut lost, mut packets) = (0, 0);
    // It takes the connection that asked whether it is there for a test.
    crate::kit::wait_for("iperf3", || {
        let mut client = client();
        client.args(["-u", "-b", "20M", "-n", "1M", "-l", "1400", "-J"]);
        let said = stage.output(client).stdout;
        let said: Value = serde_json::from_slice(&said).unwrap_or_default();
        let sum = |what: &str| said["end"]["sum"][what].as_u64();
        (lost, packets) = (sum("lost_packets").unwrap_or(0), sum("packets").unwrap_or(0));
        packets > 0
    });
    assert!(lost < packets, "{lost} of {packets} are lost");
}

#[test]
fn ss_names_the_programs_that_have_a_socket() {
    let Some(stage) = Stage::new("ss_owner", Place::Beside, &[PYTHON]) else { return };
    let server = stage.start(stage.stack("/usr/bin/python3 -m http.server 8000"));
    stage.answers(&format!("{STACK}:8000"));
    let listeners = stage.asks("ss --listening");
    let owner = &listeners["sockets"][0]["programs"][0];
    assert_eq!((&owner["name"], &owner["pid"]), (&"python3".into(), &server.id().into()));
}

#[test]
fn nginx_serves_files_from_one_process() {
    for place in PLACES {
        let Some(stage) = Stage::new("nginx_one", place, &[NGINX, CURL]) else { return };
        let _server = nginx(&stage, "master_process off;");
        serves_files(&stage, 8080);
    }
}

#[test]
fn nginx_serves_files_from_workers_and_after_a_reload() {
    for workers in [1, 3] {
        let Some(stage) = Stage::new("nginx_workers", Place::Beside, &[NGINX, CURL]) else {
            return;
        };
        let server = nginx(&stage, &format!("user root; worker_processes {workers};"));
        serves_files(&stage, 8080);
        server.signal(Signal::HUP);
        for _ in 0..10 {
            serves_files(&stage, 8080);
        }
    }
}

fn nginx(stage: &Stage, processes: &str) -> Running {
    let folder = stage.folder().display();
    let temporary = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"]
        .map(|kind| format!("{kind}_temp_path {folder}/{kind};"))
        .concat();
    let conf = format!(
        "daemon off; {processes} pid {folder}/pid; error_log {folder}/errors;
        events {{ }}
        http {{ access_log off; {temporary} sendfile on;
            server {{ listen 8080; root {folder}; }} }}"
    );
    std::fs::write(stage.folder().join("conf"), conf).unwrap();
    stage.start(stage.stack(&format!("/usr/sbin/nginx -c {folder}/conf")))
}

const PYTHON: (&str, &str) = ("python3", "python3-minimal");
const NGINX: (&str, &str) = ("nginx", "nginx-light");
/// Programs of the tests.
const SCRIPTS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/programs");
