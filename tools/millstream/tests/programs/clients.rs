//! Programs on the stack that connect to the kernel.

use crate::stage::{PLACES, Place, Stage, WAYS, octets};

const CURL: (&str, &str) = ("curl", "curl");

#[test]
fn curl_fetches_what_the_kernel_serves() {
    for place in WAYS {
        let Some(stage) = Stage::new("curl", place, &[CURL]) else { return };
        let at = stage.http(3_000_000);
        let fetch = format!("curl -s -S -m 50 -o got http://{at}/ http://{at}/ -o again");
        stage.ok(stage.stack(&fetch));
        for file in ["got", "again"] {
            let got = std::fs::read(stage.folder().join(file)).unwrap();
            assert!(got == octets(3_000_000), "{file}");
        }
        // What nobody listens at is told as by the kernel: 7, failed to connect.
        let refused = stage.output(stage.stack("curl -s -m 50 http://10.9.0.1:9/"));
        assert_eq!(refused.status.code(), Some(7), "{refused:?}");
    }
}

#[test]
fn curl_reaches_loopback_through_the_kernel() {
    let Some(stage) = Stage::new("curl_lo", Place::Inside, &[CURL]) else { return };
    let port = stage.http(7).port();
    let got = stage.ok(stage.stack(&format!("curl -s -S -m 50 http://127.0.0.1:{port}/")));
    assert_eq!(got.as_bytes(), octets(7));
}

#[test]
fn wrk_loads_the_kernels_server_from_two_threads() {
    for place in PLACES {
        let Some(stage) = Stage::new("wrk", place, &[("wrk", "wrk")]) else { return };
        let at = stage.http(100);
        let said = stage.ok(stage.stack(&format!("wrk -t2 -c8 -d1s http://{at}/")));
        let requests = said.lines().find_map(|line| line.trim().split_once(" requests in"));
        let requests: u64 = requests.unwrap_or_else(|| panic!("{said}")).0.parse().unwrap();
        assert!(requests > 8 && !said.contains("Socket errors"), "{said}");
    }
}

#[test]
fn a_program_of_a_shell_has_the_sockets_of_its_own() {
    let Some(stage) = Stage::new("shell", Place::Beside, &[CURL]) else { return };
    let at = stage.http(7);
    let mut shell = stage.stack("sh -c");
    shell.arg(format!("curl -s -S -m 50 http://{at}/ && curl -s -S -m 50 http://{at}/"));
    assert_eq!(stage.ok(shell).as_bytes(), [octets(7), octets(7)].concat());
}
