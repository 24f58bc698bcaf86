//! Load over the loopback of a namespace: what clients count is what servers count.

mod kit;

use kit::{Lab, Up};
use rustix::process::Signal;
use serde_json::Value;
use std::net::TcpListener;
use std::process::Output;

/// Runs a client in the namespace of the lab.
fn client(lab: &Lab, line: &str) -> Output {
    let mut command = lab.command(&format!("load {line} --json"));
    lab.netns.run(|| command.output()).unwrap().unwrap()
}

/// What a client that succeeds tells.
fn told(lab: &Lab, line: &str) -> Value {
    let output = client(lab, line);
    assert!(output.status.success(), "{line}: {output:?}");
    serde_json::from_slice(&output.stdout).unwrap()
}

/// The sentence of a client that fails.
fn failure(lab: &Lab, line: &str) -> String {
    let output = client(lab, line);
    assert_eq!(output.status.code(), Some(1), "{line}: {output:?}");
    String::from_utf8(output.stderr).unwrap()
}

fn server(lab: &Lab, line: &str) -> Up {
    lab.up(&format!("load server {line}"))
}

/// Ends a server; the line it has for people.
fn served(mut server: Up) -> String {
    server.signal(Signal::TERM);
    assert_eq!(server.end().code(), Some(0), "{}", server.said);
    server.next_stdout().unwrap()
}

#[test]
fn bulk_out_counts_what_the_server_has_taken() {
    let Some(lab) = Lab::new("bulk_out_counts") else { return };
    for style in ["", "--epoll", "--poll", "--epoll --poll"] {
        let server = server(&lab, &format!("127.0.0.1:9 --service discard {style}"));
        let told = told(&lab, "bulk 127.0.0.1:9 --bytes 3M --connections 2 --size 100K");
        assert_eq!(told["bytes"], 6 << 20, "{style}: {told}");
        assert!(told["per_second"].as_f64().unwrap() > 0.0, "{told}");
        assert_eq!(served(server), "2 connections, 6,291,456 bytes in, 0 out", "{style}");
    }
}

#[test]
fn bulk_in_takes_as_much_as_was_asked_for() {
    let Some(lab) = Lab::new("bulk_in_takes") else { return };
    for style in ["", "--epoll", "--poll"] {
        let server = server(&lab, &format!("127.0.0.1:19 --service chargen {style}"));
        let told_bytes = told(&lab, "bulk 127.0.0.1:19 --in --bytes 5000001 --cpu 0 --poll");
        assert_eq!(
            (&told_bytes["bytes"], &told_bytes["load"]),
            (&5_000_001.into(), &"bulk in".into())
        );
        let told_time = told(&lab, "bulk 127.0.0.1:19 --in --seconds 0.05 --cc reno");
        assert!(told_time["seconds"].as_f64().unwrap() >= 0.05, "{told_time}");
        assert!(served(server).starts_with("2 connections, 0 bytes in"));
    }
}

#[test]
fn requests_and_responses_have_a_distribution_of_times() {
    let Some(lab) = Lab::new("requests_and_responses") else { return };
    for (style, how) in [("", ""), ("--epoll", "--poll"), ("--poll", "--poll --connections 2")] {
        let server = server(&lab, &format!("127.0.0.1:7 --cc cubic {style}"));
        let told =
            told(&lab, &format!("rr 127.0.0.1:7 --size 100 --seconds 0.05 --cc cubic {how}"));
        let at = |name: &str| told[name].as_f64().unwrap();
        assert!(at("responses") > 0.0 && at("seconds") >= 0.05, "{told}");
        assert!(0.0 < at("p50_us") && at("p50_us") <= at("p99_us"), "{told}");
        assert!(at("p99_us") <= at("p999_us") && at("p999_us") <= at("max_us") * 1.001, "{told}");
        served(server);
    }
}

#[test]
fn an_echo_of_more_than_the_sockets_hold_is_whole() {
    let Some(lab) = Lab::new("an_echo_of_more") else { return };
    let server = server(&lab, "127.0.0.1:7 --epoll");
    let told = told(&lab, "rr 127.0.0.1:7 --size 300K --seconds 0.05");
    assert!(told["responses"].as_u64().unwrap() > 0, "{told}");
    let text = served(server);
    let mut words = text.split(' ');
    assert_eq!((words.next(), words.next()), (Some("1"), Some("connections,")));
    let bytes_in = words.next();
    assert_eq!(bytes_in, words.nth(2), "as many bytes out as in: {text}");
}

#[test]
fn connections_come_and_go_and_none_fails() {
    let Some(lab) = Lab::new("connections_come_and_go") else { return };
    for style in ["", "--epoll"] {
        let server = server(&lab, &format!("127.0.0.1:7 {style}"));
        let told = told(&lab, "connect 127.0.0.1:7 --clients 4 --seconds 0.05");
        assert_eq!((&told["failed"], &told["failure"]), (&0.into(), &Value::Null), "{told}");
        // One before the measured time shows that there is a server.
        let all = told["connections"].as_u64().unwrap() + 1;
        let text = served(server).replace(',', "");
        assert_eq!(text, format!("{all} connections {all} bytes in {all} out"));
    }
}

#[test]
fn a_load_that_cannot_be_put_on_says_why() {
    let Some(lab) = Lab::new("a_load_that_cannot") else { return };
    for what in ["bulk", "rr", "connect"] {
        let text = failure(&lab, &format!("{what} 127.0.0.1:7"));
        assert!(text.contains("cannot connect to 127.0.0.1:7: "), "{text}");
        assert!(text.contains("refused") && text.contains("does a server listen"), "{text}");
    }
    let text = failure(&lab, "server 192.0.2.1:7");
    assert!(text.contains("cannot listen on 192.0.2.1:7: "), "{text}");
    let text = failure(&lab, "rr 127.0.0.1:7 --cc unheard-of");
    assert!(text.contains("no congestion control of that name"), "{text}");
    let server = server(&lab, "127.0.0.1:7");
    let text = failure(&lab, "rr 127.0.0.1:7 --cpu 100000");
    assert!(text.contains("cannot run on core 100000"), "{text}");
    drop(server);
}

#[test]
fn a_server_of_another_kind_is_found_out() {
    let Some(lab) = Lab::new("a_server_of_another_kind") else { return };
    let listener = lab.netns.run(|| TcpListener::bind("127.0.0.1:7")).unwrap().unwrap();
    let closer = std::thread::spawn(move || {
        for _ in 0..2 {
            drop(listener.accept());
        }
    });
    for line in ["bulk 127.0.0.1:7 --in", "connect 127.0.0.1:7"] {
        let text = failure(&lab, line);
        // A reset, when something had been asked before the close.
        let ended = ["closed the connection after 0 bytes", "Connection reset"];
        assert!(ended.iter().any(|end| text.contains(end)), "{text}");
        assert!(text.contains("is it the right service?"), "{text}");
    }
    closer.join().unwrap();
}
