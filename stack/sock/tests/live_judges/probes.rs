//! Tools that ask: ping, arping, nmap, hping3.

use crate::lab::{Host, STACK, said, text};

#[test]
fn ping_of_all_sizes_is_answered() {
    let Some(host) = Host::new("ping_of_all_sizes_is_answered", &["ping"]) else { return };
    for size in [0, 1, 15, 56, 1472, 1473, 3000, 65_000, 65_507] {
        let output = host.tool(&format!("ping -n -c 3 -i 0.05 -W 10 -s {size} {STACK}"));
        assert!(text(&output.stdout).contains("3 received, 0% packet loss"), "{}", said(&output));
        // ping compares the data from the sixteenth byte on.
        assert!(!text(&output.stdout).contains("wrong data byte"), "{}", said(&output));
    }
}

#[test]
fn ping_flood_of_1000_is_answered() {
    let Some(host) = Host::new("ping_flood_of_1000_is_answered", &["ping"]) else { return };
    let output = host.tool(&format!("ping -n -q -f -c 1000 -W 10 {STACK}"));
    assert!(text(&output.stdout).contains("1000 received, 0% packet loss"), "{}", said(&output));
}

#[test]
fn ping_with_ip_options_is_answered() {
    let Some(host) = Host::new("ping_with_ip_options_is_answered", &["ping"]) else { return };
    for option in ["-R", "-T tsonly", "-T tsandaddr", "-Q 0x10"] {
        let output = host.tool(&format!("ping -n {option} -c 1 -W 10 {STACK}"));
        assert!(output.status.success(), "{}", said(&output));
    }
}

#[test]
fn ping_to_many_is_not_answered_rfc1122_3_2_2_6() {
    let test = "ping_to_many_is_not_answered_rfc1122_3_2_2_6";
    let Some(host) = Host::new(test, &["ping"]) else { return };
    for to in ["-b 10.9.0.255", "-I tap0 224.0.0.1", "-I tap0 224.0.0.22"] {
        let output = host.tool(&format!("ping -n -c 2 -i 0.1 -w 1 {to}"));
        assert!(text(&output.stdout).contains(" 0 received"), "{}", said(&output));
    }
    host.alive();
}

#[test]
fn arping_finds_the_stack_and_its_address_is_taken() {
    let test = "arping_finds_the_stack_and_its_address_is_taken";
    let Some(host) = Host::new(test, &["arping"]) else { return };
    let found = host.tool(&format!("arping -c 2 -w 10 -I tap0 {STACK}"));
    assert!(found.status.success(), "{}", said(&found));
    // A probe has the sender 0.0.0.0 (RFC 5227); an answer says that somebody has the address.
    let taken = host.tool(&format!("arping -D -c 2 -w 10 -I tap0 {STACK}"));
    assert_eq!(taken.status.code(), Some(1), "{}", said(&taken));
    let free = host.tool("arping -D -c 1 -w 1 -I tap0 10.9.0.77");
    assert!(free.status.success(), "{}", said(&free));
    for announcement in ["-U", "-A"] {
        host.tool(&format!("arping {announcement} -c 1 -w 1 -I tap0 10.9.0.1"));
    }
    host.alive();
}

#[test]
fn nmap_sees_the_ports_that_are_open() {
    let Some(host) = Host::new("nmap_sees_the_ports_that_are_open", &["nmap"]) else { return };
    let output = host.tool(&format!("nmap -n -Pn -sU -p 7,9,9999 --max-retries 3 {STACK}"));
    let seen = text(&output.stdout);
    let state = |port: &str| {
        let line = seen.lines().find(|line| line.starts_with(port)).unwrap_or_default();
        line.split_whitespace().nth(1).unwrap_or_default().to_owned()
    };
    // nmap's own datagram for echo may be empty; an answer or none, it is not closed.
    assert!(state("7/udp").starts_with("open"), "{seen}");
    assert!(state("9/udp").starts_with("open"), "{seen}");
    assert_eq!(state("9999/udp"), "closed", "{seen}");
    host.alive();
}

#[test]
fn nmap_scans_of_protocols_and_of_the_system_do_no_harm() {
    let test = "nmap_scans_of_protocols_and_of_the_system_do_no_harm";
    let Some(host) = Host::new(test, &["nmap"]) else { return };
    let output = host.tool(&format!("nmap -n -Pn -sO -p 1,2,17,99 --max-retries 3 {STACK}"));
    let seen = text(&output.stdout);
    let line = |protocol: &str| seen.lines().any(|l| l.starts_with(protocol));
    assert!(line("1 ") && line("17 ") && line("99 "), "{seen}");
    host.alive();
    // With the limit nmap looks whether it is worth the effort; without, it sends all it has.
    for limit in ["--osscan-limit", "--max-os-tries 2"] {
        let os = format!("-O {limit} --host-timeout 60s");
        host.tool(&format!("nmap -n -Pn -sSU -p U:7,9999,T:1 {os} {STACK}"));
        host.alive();
    }
    host.tool(&format!("nmap -n -Pn -sS -f -p 1-20 --max-retries 1 --host-timeout 30s {STACK}"));
    host.alive();
}

#[test]
fn hping3_with_odd_lengths_is_answered() {
    let Some(host) = Host::new("hping3_with_odd_lengths_is_answered", &["hping3"]) else { return };
    for len in [0, 1, 3, 33, 1001, 1471] {
        let line = format!("hping3 -n -q -c 3 -i u10000 -2 -s 5000 -k -p 7 -d {len} {STACK}");
        let output = host.tool(&line);
        assert!(said(&output).contains("3 packets received"), "{}", said(&output));
        let output = host.tool(&format!("hping3 -n -q -c 3 -i u10000 -1 -d {len} {STACK}"));
        assert!(said(&output).contains("3 packets received"), "{}", said(&output));
    }
}

#[test]
fn hping3_fragments_are_joined() {
    let Some(host) = Host::new("hping3_fragments_are_joined", &["hping3"]) else { return };
    // The identification is said: by itself hping3 takes octets of its process id, and where they
    // are zero the kernel gives each fragment one of its own.
    for (len, mtu) in [(100, 16), (1000, 64), (1400, 256)] {
        let line = format!("hping3 -n -q -c 2 -i u50000 -1 -N 77 -f -m {mtu} -d {len} {STACK}");
        let output = host.tool(&line);
        assert!(said(&output).contains("2 packets received"), "{}", said(&output));
    }
    host.alive();
}

#[test]
fn hping3_with_damaged_packets_is_not_answered() {
    let test = "hping3_with_damaged_packets_is_not_answered";
    let Some(host) = Host::new(test, &["hping3"]) else { return };
    for damage in [
        "-2 -p 7 -b -d 20",
        "-1 -b -d 20",
        "-2 -p 7 -x -d 24",
        "-2 -p 7 --fragoff 8 -d 24",
        "-1 -x --fragoff 65528 -d 200",
        "-1 --icmp-ipver 9 -C 3 -d 8",
        "-0 -H 4 -d 100",
        "-0 -H 2 -d 3",
        "-2 -p 7 -a 10.9.0.2 -d 8",
        "-2 -p 7 -a 127.0.0.1 -d 8",
        "-2 -p 7 -a 224.0.0.1 -d 8",
    ] {
        let output = host.tool(&format!("hping3 -n -q -c 20 -i u1000 {damage} {STACK}"));
        let answered = said(&output);
        // About a protocol that nobody takes the stack may say so, which hping3 counts.
        let allowed = damage.starts_with("-0") || answered.contains(" 0 packets received");
        assert!(allowed, "{damage}: {answered}");
        host.alive();
    }
}
