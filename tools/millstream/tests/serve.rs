//! The services over TCP, asked by the kernel's TCP and by programs of this system, and what `ss`
//! says of them.

mod kit;

use kit::{LONG, Lab, Up, wait_for};
use std::io::{Read, Write};
use std::net::{Shutdown, TcpStream};
use std::path::PathBuf;
use std::process::Output;

const UP: &str = "up --name lab --tap tap0 --host 10.9.0.1/24 --addr 10.9.0.2/24 --service ";

/// A stack that serves, and files for it.
fn serving(test: &str, services: &str) -> Option<(Lab, Up, PathBuf)> {
    let lab = Lab::new(test)?;
    let root = lab.runtime.join("files");
    std::fs::create_dir(&root).unwrap();
    let up = lab.up(&format!("{UP}{}", services.replace("DIR", root.to_str().unwrap())));
    Some((lab, up, root))
}

impl Lab {
    fn connect(&self, to: &str) -> TcpStream {
        let socket = self.netns.run(|| TcpStream::connect(to)).unwrap().unwrap();
        socket.set_read_timeout(Some(LONG)).unwrap();
        socket.set_write_timeout(Some(LONG)).unwrap();
        socket
    }

    /// All that comes until the peer ends, after this was sent and our direction ended.
    fn talk(&self, to: &str, text: &[u8]) -> Vec<u8> {
        let mut socket = self.connect(to);
        socket.write_all(text).unwrap();
        socket.shutdown(Shutdown::Write).unwrap();
        let mut answer = Vec::new();
        socket.read_to_end(&mut answer).unwrap();
        answer
    }
}

fn text(output: &Output) -> String {
    assert!(output.status.success(), "{output:?}");
    String::from_utf8_lossy(&output.stdout).into_owned()
}

#[test]
fn the_services_over_tcp_answer_the_kernel() {
    let services = "echo,discard,daytime,time,chargen";
    let Some((lab, _up, _)) = serving("services_over_tcp", services) else { return };
    let data: Vec<u8> = (0..300_000_u32).map(|n| (n % 251) as u8).collect();
    let mut socket = lab.connect("10.9.0.2:7");
    let mut writer = socket.try_clone().unwrap();
    let sent = data.clone();
    let sender = std::thread::spawn(move || {
        writer.write_all(&sent).unwrap();
        writer.shutdown(Shutdown::Write).unwrap();
    });
    let mut back = Vec::new();
    socket.read_to_end(&mut back).unwrap();
    sender.join().unwrap();
    assert!(back == data, "{} of {} octets came back", back.len(), data.len());
    assert_eq!(lab.talk("10.9.0.2:9", &data), b"");
    assert!(lab.talk("10.9.0.2:13", b"").ends_with(b"-UTC\r\n"));
    assert_eq!(lab.talk("10.9.0.2:37", b"").len(), 4);
    let mut lines = vec![0; 200_000];
    lab.connect("10.9.0.2:19").read_exact(&mut lines).unwrap();
    assert!(lines.starts_with(b" !\"#") && lines[7030..].starts_with(b" !\"#"));
    lab.echoes("10.9.0.2:7");
}

#[test]
fn an_echo_whose_peer_does_not_read_closes_the_window_and_goes_on_when_it_does() {
    let Some((lab, _up, _)) = serving("echo_does_not_read", "echo") else { return };
    let mut socket = lab.connect("10.9.0.2:7");
    socket.set_nonblocking(true).unwrap();
    let piece = [7; 65_536];
    let mut sent = 0_usize;
    let memory = || lab.json("stat")["pool"]["memory_bytes"].as_u64().unwrap();
    // It is full when nothing more is taken though all that was taken has arrived.
    let mut taken_at_last = 0;
    wait_for("the window to close", || {
        while let Ok(n) = socket.write(&piece) {
            sent += n;
        }
        let full = sent > 0 && std::mem::replace(&mut taken_at_last, sent) == sent;
        full && lab.json("ss --port 7")["sockets"][0]["send_q"].as_u64() > Some(0)
    });
    assert!(memory() < 64 << 20, "{}", memory());
    socket.set_nonblocking(false).unwrap();
    socket.shutdown(Shutdown::Write).unwrap();
    let mut back = Vec::new();
    socket.read_to_end(&mut back).unwrap();
    assert_eq!(back.len(), sent);
    assert!(back.iter().all(|octet| *octet == 7));
}

#[test]
fn ss_shows_connections_with_their_figures_and_listeners() {
    let Some((lab, _up, _)) = serving("ss_shows", "echo,http:8080=DIR") else { return };
    let mut socket = lab.connect("10.9.0.2:7");
    socket.write_all(b"hello").unwrap();
    let mut back = [0; 5];
    socket.read_exact(&mut back).unwrap();
    wait_for("the acknowledgement of the echo", || {
        lab.json("ss")["sockets"][0]["flow"]["acked"].as_u64() >= Some(5)
    });
    let all = lab.json("ss --state estab --port 7");
    let one = &all["sockets"][0];
    assert_eq!((&one["state"], &one["local"]), (&"ESTAB".into(), &"10.9.0.2:7".into()));
    assert_eq!(one["peer"], socket.local_addr().unwrap().to_string());
    assert_eq!((&one["owner"], &one["flow"]["congestion"]), (&"tcp-echo".into(), &"cubic".into()));
    assert!(one["flow"]["cwnd"].as_u64() >= Some(14_000), "{one}");
    assert!(one["flow"]["rtt_ns"].as_u64() > Some(0) && one["flow"]["received"] == 5, "{one}");
    let listeners = lab.ok("ss --listening");
    let lines: Vec<&str> = listeners.lines().collect();
    assert!(lines.len() == 3 && lines[1].starts_with("LISTEN"), "{listeners}");
    assert!(listeners.contains("0.0.0.0:8080") && listeners.contains("tcp.http"), "{listeners}");
    assert_eq!(lab.ok("ss --port 9").lines().count(), 1, "the heading");
    drop(socket);
    wait_for("the connection to end", || lab.json("ss")["sockets"][0].is_null());
    assert_eq!(lab.json("ss --all")["sockets"].as_array().unwrap().len(), 2);
}

#[test]
fn http_answers_on_one_connection_again_and_again_and_in_order() {
    let Some((lab, _up, root)) = serving("http_pipelines", "http=DIR") else { return };
    std::fs::write(root.join("a"), "first").unwrap();
    std::fs::write(root.join("b"), vec![7; 5 << 20]).unwrap();
    let get = |path: &str| format!("GET {path} HTTP/1.1\r\nHost: x\r\n\r\n");
    let all = get("/a") + &get("/b") + &get("/../a") + &get("/a");
    let answer = lab.talk("10.9.0.2:80", all.as_bytes());
    let text = String::from_utf8_lossy(&answer);
    let heads: Vec<&str> = text.split("HTTP/1.1 ").skip(1).map(|head| &head[..3]).collect();
    assert_eq!(heads, ["200", "200", "403", "200"]);
    assert_eq!(answer.iter().filter(|octet| **octet == 7).count(), 5 << 20);
    assert!(text.ends_with("first"));
}

#[test]
fn curl_fetches_files_heads_and_parts_also_a_hundred_at_once() {
    const TEST: &str = "curl_fetches";
    let Some((lab, _up, root)) = serving(TEST, "http=DIR") else { return };
    let large: Vec<u8> = (0..3_000_000_u32).map(|n| (n * 7 % 253) as u8).collect();
    std::fs::write(root.join("large"), &large).unwrap();
    std::fs::write(root.join("index.html"), "<p>hello\n").unwrap();
    let curl = |args: &[&str]| lab.program(TEST, "curl", &[&["-sS", "-m", "60"], args].concat());
    let Some(index) = curl(&["http://10.9.0.2/"]) else { return };
    assert_eq!(text(&index), "<p>hello\n");
    assert!(curl(&["http://10.9.0.2/large"]).unwrap().stdout == large);
    let head = text(&curl(&["-I", "http://10.9.0.2/large"]).unwrap());
    assert!(head.contains("Content-Length: 3000000\r\n"), "{head}");
    let part = curl(&["-r", "1000000-1000009", "http://10.9.0.2/large"]).unwrap().stdout;
    assert_eq!(part, large[1_000_000..1_000_010]);
    let none = curl(&["-f", "http://10.9.0.2/none"]).unwrap();
    assert_eq!(none.status.code(), Some(22), "{none:?}");
    let path = ["--path-as-is", "-o", "/dev/null", "-w", "%{http_code}"];
    let escape = curl(&[&path[..], &["http://10.9.0.2/../../etc/passwd"]].concat()).unwrap();
    assert_eq!(text(&escape), "403");
    let twice = ["-o", "/dev/null", "-o", "/dev/null", "-w", "%{num_connects} "];
    let kept = ["http://10.9.0.2/", "http://10.9.0.2/large"];
    assert_eq!(text(&curl(&[&twice[..], &kept].concat()).unwrap()).trim(), "1 0");
    let many = ["-Z", "--parallel-max", "100", "-o", "/dev/null", "-w", "%{size_download}\n"];
    let sizes = text(&curl(&[&many[..], &["http://10.9.0.2/large?[1-100]"]].concat()).unwrap());
    assert_eq!(sizes.lines().filter(|line| *line == "3000000").count(), 100, "{sizes}");
}

#[test]
fn ab_and_wrk_get_every_answer() {
    const TEST: &str = "ab_and_wrk";
    let Some((lab, _up, root)) = serving(TEST, "http=DIR") else { return };
    std::fs::write(root.join("a.txt"), vec![b'a'; 10_000]).unwrap();
    let url = "http://10.9.0.2/a.txt";
    for keep in [&["-k"][..], &[]] {
        let args = [keep, &["-n", "500", "-c", "20", url]].concat();
        let Some(output) = lab.program(TEST, "ab", &args) else { continue };
        let text = text(&output);
        let line = |what: &str| text.lines().find(|line| line.starts_with(what)).unwrap_or("");
        assert!(line("Complete requests:").ends_with(" 500"), "{text}");
        assert!(line("Failed requests:").ends_with(" 0"), "{text}");
    }
    let Some(output) = lab.program(TEST, "wrk", &["-t1", "-c16", "-d1s", url]) else { return };
    let text = text(&output);
    assert!(text.contains("requests in") && !text.contains("Non-2xx"), "{text}");
    assert!(!text.contains("Socket errors"), "{text}");
}
