//! Programs of RPC in a stack, asked by programs of this system that were not written for it:
//! `rpcinfo`, a client that `rpcgen` made over libtirpc, and Wireshark; and by `millstream rpc`.

mod kit;

use kit::{Lab, Up};
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

const UP: &str = "up --name lab --tap tap0 --host 10.9.0.1/24 --addr 10.9.0.2/24";
const STACK: &str = "10.9.0.2";
const SQUARE: &str = "536872241";

fn serving(test: &str, services: &str) -> Option<(Lab, Up)> {
    let lab = Lab::new(test)?;
    let up = lab.up(&format!("{UP} --service {services}"));
    Some((lab, up))
}

/// Runs a program of this system in the namespace; `None` where it is not installed.
fn program(lab: &Lab, test: &str, line: &str) -> Option<Output> {
    let mut words = line.split_whitespace();
    let name = words.next().unwrap();
    let mut command = Command::new(name);
    command.args(words).stdin(Stdio::null());
    match lab.netns.run(|| command.output()).unwrap() {
        Ok(output) => Some(output),
        Err(e) => {
            eprintln!("skipped: {test}: {name}: {e}");
            None
        }
    }
}

/// What it printed, when it ended well.
fn text(output: &Output) -> String {
    assert!(output.status.success(), "{output:?}");
    String::from_utf8_lossy(&output.stdout).into_owned()
}

/// What it printed on either stream, when it failed.
fn refusal(output: &Output) -> String {
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    let both = [&output.stdout[..], &output.stderr].concat();
    String::from_utf8_lossy(&both).into_owned()
}

#[test]
fn rpcinfo_sees_what_the_stack_serves_and_that_it_answers() {
    const TEST: &str = "rpcinfo_sees";
    let Some((lab, _up)) = serving(TEST, "rpcbind,square") else { return };
    let rpcinfo = |args: &str| program(&lab, TEST, &format!("rpcinfo {args}"));
    let Some(list) = rpcinfo(&format!("-p {STACK}")) else { return };
    let list = text(&list);
    let rows: Vec<Vec<&str>> = list.lines().map(|line| line.split_whitespace().collect()).collect();
    for row in [
        ["100000", "2", "udp", "111"],
        ["100000", "4", "tcp", "111"],
        [SQUARE, "1", "tcp", "5001"],
        [SQUARE, "2", "udp", "5001"],
    ] {
        assert!(rows.iter().any(|line| line.starts_with(&row)), "{row:?}: {list}");
    }
    let ask = |args: &str| rpcinfo(args).unwrap();
    for transport in ["tcp", "udp"] {
        let one = text(&ask(&format!("-T {transport} {STACK} {SQUARE} 1")));
        assert!(one.contains("version 1 ready and waiting"), "{one}");
        let all = text(&ask(&format!("-T {transport} {STACK} {SQUARE}")));
        assert!(all.contains("version 1 ready") && all.contains("version 2 ready"), "{all}");
        let none = refusal(&ask(&format!("-T {transport} {STACK} {SQUARE} 9")));
        assert!(none.contains("low version = 1, high version = 2"), "{none}");
        let none = refusal(&ask(&format!("-T {transport} {STACK} 777777 1")));
        assert!(none.contains("not registered"), "{none}");
        let at = text(&ask(&format!("-a {STACK}.19.137 -T {transport} {SQUARE} 1")));
        assert!(at.contains("ready and waiting"), "{at}");
    }
    let short = text(&ask(&format!("-s {STACK}")));
    let line = short.lines().find(|line| line.contains(SQUARE)).unwrap();
    let versions = line.contains("2,1") || line.contains("1,2");
    assert!(versions && line.contains("tcp") && line.contains("square"), "{short}");
    let addresses = text(&ask(&format!("-l {STACK} {SQUARE} 1")));
    assert!(addresses.contains("10.9.0.2.19.137"), "{addresses}");
    let statistics = text(&ask(&format!("-m {STACK}")));
    assert!(statistics.contains("PORTMAP") && statistics.contains("RPCBIND"), "{statistics}");
}

#[test]
fn rpcinfo_hears_of_a_program_by_broadcast_when_calls_are_passed_on() {
    const TEST: &str = "rpcinfo_broadcast";
    let Some((lab, _up)) = serving(TEST, "rpcbind=callit,square") else { return };
    let brd = program(&lab, TEST, "ip addr change 10.9.0.1/24 brd + dev tap0");
    let Some(_) = brd.filter(|done| done.status.success()) else { return };
    let Some(heard) = program(&lab, TEST, &format!("rpcinfo -b {SQUARE} 1")) else { return };
    let heard = text(&heard);
    assert!(heard.contains("10.9.0.2.19.137"), "{heard}");
}

/// The client that rpcgen makes of the stack's own square.x, over libtirpc.
fn c_client(lab: &Lab, test: &str) -> Option<PathBuf> {
    let folder = lab.runtime.join("client");
    std::fs::create_dir(&folder).unwrap();
    let x = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../modules/programs/x/square.x");
    std::fs::copy(x, folder.join("square.x")).unwrap();
    std::fs::write(folder.join("client.c"), CLIENT).unwrap();
    let make = "rpcgen -C -h square.x -o square.h && rpcgen -C -c square.x -o square_xdr.c && \
        rpcgen -C -l square.x -o square_clnt.c && \
        gcc -o client client.c square_xdr.c square_clnt.c $(pkg-config --cflags --libs libtirpc)";
    let made = Command::new("sh").args(["-c", make]).current_dir(&folder).output().unwrap();
    if made.status.success() {
        return Some(folder.join("client"));
    }
    eprintln!("skipped: {test}: {}", String::from_utf8_lossy(&made.stderr));
    None
}

const CLIENT: &str = r#"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "square.h"

int main(int argc, char **argv)
{
	char *host = argv[1], *netid = argv[2];
	CLIENT *first = clnt_create(host, SQUARE_PROG, SQUARE_VERS, netid);
	CLIENT *second = clnt_create(host, SQUARE_PROG, SQUARE_VERS2, netid);
	if (!first || !second) {
		clnt_pcreateerror(host);
		return 1;
	}
	first->cl_auth = authunix_create_default();
	square_in in = { 12 };
	square_out *out = squareproc_1(&in, first);
	int n = -70000;
	quad_t *large = squareproc_2(&n, second);
	char octets[5001];
	memset(octets, 'x', sizeof octets);
	echo_data data = { .echo_data_len = sizeof octets, .echo_data_val = octets };
	echo_data *back = echoproc_2(&data, second);
	slow_in slow = { .arg1 = 5, .milliseconds = 50 };
	quad_t *later = slowproc_2(&slow, second);
	if (!out || !large || !back || !later) {
		clnt_perror(second, host);
		return 1;
	}
	int same = back->echo_data_len == sizeof octets &&
	    !memcmp(back->echo_data_val, octets, sizeof octets);
	printf("%d %lld %d %lld\n", out->res1, (long long)*large, same, (long long)*later);
	return 0;
}
"#;

#[test]
fn a_client_made_by_rpcgen_over_libtirpc_gets_its_results_over_tcp_and_udp() {
    const TEST: &str = "rpcgen_client";
    let Some((lab, _up)) = serving(TEST, "rpcbind,square") else { return };
    let Some(client) = c_client(&lab, TEST) else { return };
    for netid in ["tcp", "udp"] {
        let line = format!("{} {STACK} {netid}", client.display());
        let out = text(&program(&lab, TEST, &line).unwrap());
        assert_eq!(out, "144 4900000000 1 25\n", "{netid}");
    }
}

#[test]
fn wireshark_reads_every_call_and_reply_of_ours() {
    const TEST: &str = "wireshark_reads";
    let Some(lab) = Lab::new(TEST) else { return };
    let file = lab.runtime.join("calls.pcapng");
    let mut up = lab.up(&format!("{UP} --service rpcbind=callit,square --pcap {}", file.display()));
    let ask = |line: &str| {
        let mut command = lab.command(&format!("rpc {line}"));
        text(&lab.netns.run(|| command.output()).unwrap().unwrap())
    };
    for udp in ["", "-u"] {
        ask(&format!("info {udp} {STACK}"));
        ask(&format!("info {udp} {STACK} square"));
        ask(&format!("call {udp} {STACK} square 1 1 12"));
        ask(&format!("call {udp} {STACK} square 2 4 opaque:0102030405"));
        for procedure in [4, 6, 12] {
            ask(&format!("call {udp} {STACK} rpcbind 4 {procedure}"));
        }
        let of = format!("uint:{SQUARE} uint:1");
        for procedure in [3, 9, 11] {
            let none = "string: string: string:";
            ask(&format!("call {udp} {STACK} rpcbind 4 {procedure} {of} {none}"));
        }
        ask(&format!("call {udp} {STACK} rpcbind 2 5 {of} uint:1 opaque:0000000c"));
        ask(&format!("call {udp} {STACK} rpcbind 4 10 {of} uint:1 opaque:0000000c"));
    }
    up.signal(rustix::process::Signal::TERM);
    assert!(up.end().success());
    let mut tshark = Command::new("tshark");
    tshark.args(["-r", file.to_str().unwrap(), "-o", "rpc.dissect_unknown_programs:TRUE"]);
    tshark.args(["-d", "tcp.port==5001,rpc", "-d", "udp.port==5001,rpc"]);
    tshark.args(["-Y", "tcp.len > 0 || udp", "-T", "fields", "-E", "separator=/s"]);
    for field in ["frame.protocols", "rpc.msgtyp", "rpc.program", "_ws.malformed", "rpc.repframe"] {
        tshark.args(["-e", field]);
    }
    let output = match tshark.output() {
        Ok(output) => output,
        Err(e) => return eprintln!("skipped: {TEST}: tshark: {e}"),
    };
    let text = text(&output);
    let of_program = |number: &str, what: &str| {
        let lines = text.lines().filter(|line| line.contains(number) && line.contains(what));
        lines.count()
    };
    for line in text.lines() {
        assert!(line.contains("rpc") && !line.contains("alformed"), "{line}\n{text}");
    }
    assert!(of_program("100000", "portmap") >= 30, "{text}");
    assert!(of_program(SQUARE, "rpc") >= 10, "{text}");
}

#[test]
fn millstream_rpc_tells_calls_and_measures_over_the_kernels_sockets() {
    const TEST: &str = "millstream_rpc";
    let Some((lab, _up)) = serving(TEST, "rpcbind,square") else { return };
    let run = |line: &str| {
        let mut command = lab.command(&format!("rpc {line}"));
        lab.netns.run(|| command.output()).unwrap().unwrap()
    };
    let json = |line: &str| -> serde_json::Value {
        serde_json::from_str(&text(&run(&format!("{line} --json")))).unwrap()
    };
    for udp in ["", "-u"] {
        let list = json(&format!("info {udp} {STACK}"));
        let programs = list["programs"].as_array().unwrap();
        assert_eq!(programs.len(), 10, "{list}");
        assert!(programs.iter().any(|one| one["name"] == "square" && one["port"] == 5001));
        let answers = json(&format!("info {udp} {STACK} square"));
        let versions: Vec<_> =
            answers["answers"].as_array().unwrap().iter().map(|a| a["version"].clone()).collect();
        assert_eq!(versions, [1, 2]);
        let called = text(&run(&format!("call {udp} {STACK} square 1 1 12 --as int")));
        assert_eq!(called, "144\n");
        let octets = text(&run(&format!("call {udp} {STACK}:5001 square 1 1 hex:0000000c")));
        assert_eq!(octets, "00000090\n");
        let bench = json(&format!("bench {udp} {STACK} square 1 --window 8 --seconds 0.2"));
        assert!(bench["calls"].as_u64() > Some(0) && bench["window"] == 8, "{bench}");
        let sync = json(&format!("bench {udp} {STACK} square 1 --seconds 0.2"));
        assert!(sync["p50_us"].as_f64() > Some(0.0), "{sync}");
    }
    for (line, part) in [
        (format!("info {STACK} 777777"), "knows none"),
        (format!("info {STACK}:5001 777777 1"), "is not there"),
        (format!("info {STACK} square 9"), "versions 1 to 2"),
        (format!("call {STACK} square 1 9"), "no such procedure"),
        (format!("call {STACK} square 1 1"), "other arguments"),
        (format!("call {STACK} square 1 1 12 --as string"), "results"),
        (format!("bench {STACK}:9 square 1"), "refused"),
        (format!("bench {STACK}:5001 777777 1"), "is not there"),
    ] {
        let why = refusal(&run(&line));
        assert!(why.contains(part), "{line}: {why}");
    }
}

#[test]
fn millstream_rpc_asks_through_a_stack_of_its_own() {
    const TEST: &str = "millstream_rpc_stack";
    let Some(lab) = Lab::new(TEST) else { return };
    let _up = lab.up(&format!("{UP} --gateway 10.9.0.1 --service rpcbind,square"));
    // The kernel is the router between both stacks.
    let forward = program(&lab, TEST, "sysctl -w net.ipv4.ip_forward=1");
    let Some(_) = forward.filter(|done| done.status.success()) else { return };
    let own = "--tap tap1 --host 10.8.0.1/24 --addr 10.8.0.2/24 --gateway 10.8.0.1";
    let run = |line: &str| {
        let mut command = lab.command(&format!("rpc {line} {own}"));
        text(&lab.netns.run(|| command.output()).unwrap().unwrap())
    };
    for udp in ["", "-u"] {
        let list = run(&format!("info {udp} {STACK}"));
        assert!(list.contains("square"), "{list}");
        assert_eq!(run(&format!("call {udp} {STACK} square 2 1 -3 --as hyper")), "9\n");
        let bench = run(&format!("bench {udp} {STACK} square 1 --window 4 --seconds 0.2"));
        assert!(bench.contains("calls in"), "{bench}");
    }
}

#[test]
fn stat_tells_of_calls_by_procedure_and_of_refusals_by_cause() {
    const TEST: &str = "rpc_stat";
    let Some((lab, _up)) = serving(TEST, "square") else { return };
    let run = |line: &str| {
        let mut command = lab.command(line);
        lab.netns.run(|| command.output()).unwrap().unwrap()
    };
    for _ in 0..3 {
        text(&run(&format!("rpc call {STACK}:5001 square 1 1 12")));
    }
    refusal(&run(&format!("rpc call {STACK}:5001 square 1 99")));
    refusal(&run(&format!("rpc call {STACK}:5001 square 1 1")));
    let told = text(&run("stat"));
    let line = told.lines().find(|line| line.contains("536872241.1.1 SQUAREPROC")).expect(&told);
    assert!(line.contains("calls 4, queue p50") && line.contains("service p50"), "{line}");
    let count = |name: &str| {
        let words: Vec<&str> = told.split_whitespace().collect();
        let at = words.iter().position(|word| word.trim_end_matches([':', '=']) == name);
        words[at.unwrap_or_else(|| panic!("{name}: {told}")) + 1].to_owned()
    };
    assert_eq!(count("proc-unavail").trim_end_matches(','), "1", "{told}");
    assert_eq!(count("garbage-args").trim_end_matches(','), "1", "{told}");
}
