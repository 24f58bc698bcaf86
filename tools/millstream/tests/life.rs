//! Stacks come up, answer, are changed, and go without leaving anything behind.

mod kit;

use kit::{Lab, echoes, prefix, wait_for};
use millstream_drivers::netlink::{Netlink, Via};
use millstream_drivers::netns::Netns;
use millstream_drivers::tun::{TapFd, TapFlags};
use rustix::process::Signal;
use std::net::UdpSocket;
use std::os::fd::AsFd;

const UP: &str = "up --name lab --tap tap0 --host 10.9.0.1/24 --addr 10.9.0.2/24 --service ";

/// Modules of a stream by position, as conf says.
fn modules(lab: &Lab, stream: &str) -> Vec<String> {
    let conf = lab.json("conf");
    let found = conf["streams"].as_array().unwrap().iter().find(|s| s["name"] == stream);
    let nodes = found.unwrap()["nodes"].as_array().unwrap();
    let names = nodes.iter().rev().filter(|n| n["kind"] == "module");
    names.map(|n| n["name"].as_str().unwrap().to_owned()).collect()
}

#[test]
fn a_stack_answers_is_changed_under_traffic_and_goes_on_sigterm() {
    let Some(lab) = Lab::new("a_stack_answers") else { return };
    let mut up = lab.up(&format!("{UP}echo,discard"));
    lab.echoes("10.9.0.2:7");
    assert_eq!(modules(&lab, "tap0"), ["arp"]);
    assert_eq!(modules(&lab, "udp.echo"), ["echo"]);
    lab.ok("insert --name lab tap0 0 impair delay=1ms loss=0%");
    lab.ok("push tap0 count");
    assert_eq!(modules(&lab, "tap0"), ["impair", "arp", "count"]);
    lab.echoes("10.9.0.2:7");
    let found = lab.json("find impair");
    assert_eq!((&found["at"][0]["stream"], &found["at"][0]["pos"]), (&"tap0".into(), &0.into()));
    assert!(lab.ok("replace tap0 2 count").contains("count is in the place of count"));
    for mux in ["ip", "udp"] {
        let text = lab.ok(&format!("replace --name lab {mux} {mux}"));
        assert_eq!(text, format!("{mux} is in the place of {mux}\n"));
        lab.echoes("10.9.0.2:7");
    }
    assert!(lab.fails("replace ip udp").1.contains("ip: "));
    lab.ok("set tap0 0 delay=2ms");
    lab.ok("set --name lab ip forward=on");
    let conf = lab.json("conf");
    assert_eq!(conf["streams"][0]["nodes"][0]["fields"]["forward"], "on");
    let ping = lab.json("ping 10.9.0.1 -c 2 -i 0 -W 30");
    assert_eq!(ping["received"], 2);
    // Up and down through a delay of 2 ms each.
    assert!(ping["rtt_min_ns"].as_u64().unwrap() >= 4_000_000, "{ping}");
    let stat = lab.json("stat");
    let nodes = stat["streams"][0]["nodes"].as_array().unwrap();
    let impair = nodes.iter().find(|n| n["name"] == "impair").unwrap();
    assert!(impair["up"]["msgs"].as_u64().unwrap() >= 3, "{impair}");
    assert!(stat["pool"]["memory_bytes"].as_u64().unwrap() > 0);
    lab.ok("remove tap0 0");
    lab.ok("pop tap0");
    assert_eq!(modules(&lab, "tap0"), ["arp"]);
    lab.echoes("10.9.0.2:7");
    assert!(lab.socket("lab").exists() && lab.has_link("tap0"));
    up.signal(Signal::TERM);
    assert_eq!(up.end().code(), Some(0), "{}", up.said);
    assert_eq!(up.more_stdout(), None, "one line is printed");
    assert!(!lab.socket("lab").exists() && !lab.has_link("tap0"));
}

#[test]
fn a_plan_brings_a_stack_up_with_modules_pushed_and_sighup_stops_it() {
    let Some(lab) = Lab::new("a_plan_brings") else { return };
    let example = concat!(env!("CARGO_MANIFEST_DIR"), "/examples/router.toml");
    let mut up = lab.up(&format!("up --plan {example}"));
    assert_eq!(modules(&lab, "tapb"), ["impair", "arp"]);
    assert_eq!(modules(&lab, "udp.echo"), ["echo", "count"]);
    lab.echoes("10.9.0.2:7");
    let conf = lab.json("conf --name router");
    let ip = conf["muxes"].as_array().unwrap().iter().find(|m| m["name"] == "ip").unwrap();
    assert_eq!(ip["fields"]["forward"], "on");
    up.signal(Signal::HUP);
    assert_eq!(up.end().code(), Some(0), "{}", up.said);
    assert!(!lab.socket("router").exists() && !lab.has_link("tapa"));
}

#[test]
fn a_plan_whose_module_is_refused_leaves_nothing_behind() {
    let Some(lab) = Lab::new("a_plan_whose") else { return };
    let file = lab.runtime.join("bad.toml");
    let text = "name = \"bad\"\n[[interface]]\ntap = \"tap0\"\naddresses = [\"10.9.0.2/24\"]\n\
                [[module]]\nstream = \"tap0\"\nmodule = \"impair\"\nparams = [\"loss=much\"]\n";
    std::fs::write(&file, text).unwrap();
    let mut up = lab.start(&format!("up --plan {}", file.display()));
    assert_eq!(up.end().code(), Some(1));
    assert!(up.said.contains("bad.toml, line 5: impair: loss=much"), "{}", up.said);
    assert!(!lab.socket("bad").exists() && !lab.has_link("tap0"));
}

#[test]
fn graph_shows_the_way_from_a_service_to_its_tap() {
    let Some(lab) = Lab::new("graph_shows") else { return };
    let _up = lab.up(&format!("{UP}echo"));
    let text = lab.ok("graph --seconds 0.01");
    let order = ["udp.echo\n", "echo (0)", "udp (mux)", "ip (mux)", "arp (0)", "tap0 (driver)"];
    let places: Vec<usize> = order.iter().map(|part| text.find(part).expect(part)).collect();
    assert!(places.is_sorted(), "{text}");
    let dot = lab.ok("graph --dot --seconds 0.01");
    assert!(dot.starts_with("digraph \"lab\" {") && dot.contains("-> \"ip\""), "{dot}");
    let graph = lab.json("graph --seconds 0.01");
    assert_eq!(graph["streams"][0]["nodes"][0]["kind"], "head");
}

#[test]
fn an_interface_leaves_ip_and_comes_back() {
    let Some(lab) = Lab::new("an_interface_leaves") else { return };
    let _up = lab.up(&format!("{UP}echo"));
    lab.echoes("10.9.0.2:7");
    assert!(lab.ok("unlink tap0").contains("tap0 is no longer below ip"));
    assert!(lab.fails("unlink tap0").1.contains("not linked"));
    assert!(lab.ok("link ip tap0").contains("tap0 is linked below ip"));
    let address = ["set", "ip", "address=0 10.9.0.2/24"];
    assert!(lab.command("").args(address).status().unwrap().success());
    lab.echoes("10.9.0.2:7");
}

#[test]
fn down_returns_when_the_stack_is_gone() {
    let Some(lab) = Lab::new("down_returns") else { return };
    let mut up = lab.up(&format!("{UP}none"));
    lab.ok("down --name lab");
    assert!(!lab.socket("lab").exists() && !lab.has_link("tap0"));
    assert_eq!(up.end().code(), Some(0), "{}", up.said);
    assert_eq!(lab.fails("conf --name lab").0, 3);
}

#[test]
fn a_killed_stack_leaves_nothing_that_blocks_the_next() {
    let Some(lab) = Lab::new("a_killed_stack") else { return };
    let mut up = lab.up(&format!("{UP}echo"));
    up.signal(Signal::KILL);
    assert_eq!(up.end().code(), None);
    assert!(lab.socket("lab").exists(), "a killed process cannot clean up");
    let (code, text) = lab.fails("conf");
    assert_eq!(code, 3, "{text}");
    let mut up = lab.up(&format!("{UP}echo"));
    lab.echoes("10.9.0.2:7");
    up.signal(Signal::INT);
    assert_eq!(up.end().code(), Some(0), "{}", up.said);
}

#[test]
fn a_name_in_use_is_refused_before_anything_is_made() {
    let Some(lab) = Lab::new("a_name_in_use") else { return };
    let _up = lab.up(&format!("{UP}echo"));
    let mut second = lab.start("up --name lab --tap tap1 --addr 10.8.0.2/24 --service none");
    assert_eq!(second.end().code(), Some(1));
    assert!(second.said.contains("a stack named lab runs already"), "{}", second.said);
    assert!(!lab.has_link("tap1"));
    lab.echoes("10.9.0.2:7");
    // Another name, and the TAP of the first.
    let mut third = lab.start("up --name other --tap tap0 --addr 10.8.0.2/24 --service none");
    assert_eq!(third.end().code(), Some(1));
    assert!(third.said.contains("another program holds the TAP tap0"), "{}", third.said);
    assert!(!lab.socket("other").exists());
}

#[test]
fn of_two_stacks_one_must_be_named() {
    let Some(lab) = Lab::new("of_two_stacks") else { return };
    let _a = lab.up("up --name a --tap tapa --addr 10.1.0.2/24 --service none");
    let _b = lab.up("up --name b --tap tapb --addr 10.2.0.2/24 --service none");
    let (code, text) = lab.fails("conf");
    assert_eq!(code, 2);
    assert!(text.contains("choose one with --name: a, b"), "{text}");
    assert_eq!(lab.json("conf --name b")["streams"][0]["name"], "tapb");
    let (code, text) = lab.fails("conf --name c");
    assert_eq!(code, 3);
    assert!(text.contains("no stack named c runs; these do: a, b"), "{text}");
}

#[test]
fn a_tap_that_was_there_stays() {
    let Some(lab) = Lab::new("a_tap_that_was_there") else { return };
    let make = || TapFd::open("tap0", TapFlags::NONE).unwrap().set_persistent(true).unwrap();
    lab.netns.run(make).unwrap();
    let mut up = lab.up(&format!("{UP}echo"));
    lab.echoes("10.9.0.2:7");
    up.signal(Signal::TERM);
    assert_eq!(up.end().code(), Some(0), "{}", up.said);
    assert!(lab.has_link("tap0"));
}

#[test]
fn the_last_tap_deleted_ends_the_stack_with_a_sentence() {
    let Some(lab) = Lab::new("the_last_tap_deleted") else { return };
    let mut up = lab.up(&format!("{UP}echo"));
    lab.delete_link("tap0");
    assert_eq!(up.end().code(), Some(1));
    assert!(up.said.contains("the interface tap0 is gone"), "{}", up.said);
    assert!(up.said.contains("no interface is left"), "{}", up.said);
    assert!(!lab.socket("lab").exists());
}

#[test]
fn with_another_tap_left_the_stack_goes_on() {
    let Some(lab) = Lab::new("with_another_tap_left") else { return };
    let two = " --tap tap1 --host 10.8.0.1/24 --addr 10.8.0.2/24";
    let mut up = lab.up(&format!("{UP}echo{two}"));
    lab.echoes("10.9.0.2:7");
    lab.delete_link("tap0");
    up.says("tap1 goes on");
    lab.echoes("10.8.0.2:7");
    up.signal(Signal::TERM);
    assert_eq!(up.end().code(), Some(0), "{}", up.said);
}

#[test]
fn plain_and_polling_stacks_answer_and_record() {
    let Some(lab) = Lab::new("plain_and_polling") else { return };
    let file = lab.runtime.join("frames.pcapng");
    let mut up = lab.up(&format!("{UP}echo --plain --poll --pcap {}", file.display()));
    lab.echoes("10.9.0.2:7");
    up.signal(Signal::TERM);
    assert_eq!(up.end().code(), Some(0), "{}", up.said);
    let bytes = std::fs::read(file).unwrap();
    assert_eq!(bytes[..4], [0x0a, 0x0d, 0x0d, 0x0a], "a section header block");
    let text = b"to the stack and back";
    assert!(bytes.windows(text.len()).filter(|w| w == text).count() >= 2, "there and back");
}

#[test]
fn two_namespaces_talk_through_a_stack_that_forwards() {
    let Some(lab) = Lab::new("two_namespaces_talk") else { return };
    let other = Netns::new().unwrap();
    let _up = lab.up("up --name lab --tap tapa --host 10.1.0.1/24 --addr 10.1.0.2/24 \
         --tap tapb --addr 10.2.0.2/24 --forward --service none");
    let set_up = || {
        let mut netlink = Netlink::open().unwrap();
        netlink.move_to("tapb", other.as_fd()).unwrap();
        let gateway = Via::Gateway("10.1.0.2".parse().unwrap());
        netlink.replace_route(prefix("10.2.0.0/24"), gateway).unwrap();
    };
    lab.netns.run(set_up).unwrap();
    let echo = other.run(|| {
        let mut netlink = Netlink::open().unwrap();
        netlink.replace_address("tapb", prefix("10.2.0.1/24")).unwrap();
        netlink.set_up("tapb", true).unwrap();
        let gateway = Via::Gateway("10.2.0.2".parse().unwrap());
        netlink.replace_route(prefix("10.1.0.0/24"), gateway).unwrap();
        UdpSocket::bind("10.2.0.1:7").unwrap()
    });
    let echo = echo.unwrap();
    std::thread::spawn(move || {
        let mut bytes = [0; 64];
        while let Ok((n, from)) = echo.recv_from(&mut bytes) {
            // A reply that finds no way is asked for again.
            let _lost = echo.send_to(&bytes[..n], from);
        }
    });
    lab.netns.run(|| echoes("10.2.0.1:7")).unwrap();
    wait_for("the route in conf", || {
        let conf = lab.json("conf --name lab");
        conf["muxes"][0]["fields"]["forward"] == "on"
    });
}
