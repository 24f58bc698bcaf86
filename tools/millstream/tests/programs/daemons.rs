//! Servers of caches and of proxies: memcached, haproxy.

use crate::stage::{KERNEL, PLACES, Place, Running, STACK, Stage, octets};
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpStream, UdpSocket};
use std::time::Duration;

const CURL: (&str, &str) = ("curl", "curl");

#[test]
fn memcached_keeps_what_many_connections_store() {
    for place in PLACES {
        let Some(stage) = Stage::new("memcached", place, &[MEMCACHED]) else { return };
        let line = format!("memcached -u nobody -l {STACK} -p 11211 -U 11211 -t 2");
        let _server = stage.start(stage.stack(&line));
        stage.answers(&format!("{STACK}:11211"));
        let mut clients: Vec<_> = (0..8).map(|_| Cache::new(&stage)).collect();
        for (key, client) in clients.iter_mut().enumerate() {
            client.store(key, &octets(100_000 + key));
        }
        // What one has stored another one reads, whichever thread has its connection.
        clients.rotate_left(3);
        for (key, client) in clients.iter_mut().enumerate() {
            assert!(client.fetch(key) == octets(100_000 + key), "{place:?}, {key}");
        }
        assert!(version_by_datagram(&stage).starts_with("VERSION "), "{place:?}");
    }
}

/// A connection to memcached.
struct Cache(BufReader<TcpStream>);

impl Cache {
    fn new(stage: &Stage) -> Self {
        let socket = stage.inside(|| TcpStream::connect((STACK, 11211))).unwrap();
        socket.set_read_timeout(Some(crate::kit::LONG)).unwrap();
        Self(BufReader::new(socket))
    }

    fn store(&mut self, key: usize, value: &[u8]) {
        let head = format!("set key{key} 0 0 {}\r\n", value.len());
        let request = [head.as_bytes(), value, b"\r\n"].concat();
        self.0.get_mut().write_all(&request).unwrap();
        assert_eq!(self.line(), "STORED\r\n");
    }

    fn fetch(&mut self, key: usize) -> Vec<u8> {
        self.0.get_mut().write_all(format!("get key{key}\r\n").as_bytes()).unwrap();
        let head = self.line();
        let len = head.split_whitespace().nth(3).unwrap_or_else(|| panic!("{head:?}"));
        let mut value = vec![0; len.parse().unwrap()];
        self.0.read_exact(&mut value).unwrap();
        assert_eq!(self.line() + &self.line(), "\r\nEND\r\n");
        value
    }

    fn line(&mut self) -> String {
        let mut line = String::new();
        self.0.read_line(&mut line).unwrap();
        line
    }
}

/// Its datagrams have a head of eight octets; again, as one may be lost.
fn version_by_datagram(stage: &Stage) -> String {
    let socket = stage.inside(|| UdpSocket::bind((KERNEL, 0))).unwrap();
    socket.set_read_timeout(Some(Duration::from_millis(500))).unwrap();
    let mut answer = [0; 1500];
    let mut said = String::new();
    crate::kit::wait_for("an answer by UDP", || {
        socket.send_to(b"\0\x01\0\0\0\x01\0\0version\r\n", (STACK, 11211)).unwrap();
        let len = socket.recv(&mut answer).unwrap_or(0);
        said = String::from_utf8_lossy(answer.get(8..len).unwrap_or_default()).into_owned();
        len > 0
    });
    said
}

#[test]
fn haproxy_passes_requests_on_from_one_thread_and_from_two() {
    for (place, threads) in [(Place::Inside, 1), (Place::Beside, 1), (Place::Beside, 2)] {
        let Some(stage) = Stage::new("haproxy", place, &[HAPROXY, CURL]) else { return };
        let behind = stage.http(300_000);
        let _server = haproxy(&stage, threads, &behind.to_string());
        for port in [8080, 8081] {
            let at = format!("{STACK}:{port}");
            stage.answers(&at);
            // Two requests on each of eight connections at once.
            let url = format!("http://{at}/[1-16]");
            let fetch = format!("curl -s -S -m 50 -Z --parallel-max 8 -o got#1 {url}");
            stage.ok(stage.kernel(&fetch));
            for n in 1..=16 {
                let got = std::fs::read(stage.folder().join(format!("got{n}"))).unwrap();
                assert!(got == octets(300_000), "{place:?}, {threads}, {port}: {n}");
            }
        }
    }
}

/// What comes from the kernel goes back to it: as requests at 8080, as octets at 8081.
fn haproxy(stage: &Stage, threads: usize, behind: &str) -> Running {
    let conf = format!(
        "global
            nbthread {threads}
            maxconn 200
        defaults
            timeout connect 50s
            timeout client 50s
            timeout server 50s
        listen requests
            mode http
            bind {STACK}:8080
            server one {behind}
        listen octets
            mode tcp
            bind {STACK}:8081
            server one {behind}\n"
    );
    std::fs::write(stage.folder().join("conf"), conf).unwrap();
    let line = format!("/usr/sbin/haproxy -db -f {}/conf", stage.folder().display());
    stage.start(stage.stack(&line))
}

const MEMCACHED: (&str, &str) = ("memcached", "memcached");
const HAPROXY: (&str, &str) = ("haproxy", "haproxy");
