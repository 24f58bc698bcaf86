//! `http` on a rig whose lower end plays `tcp`, with files that are in memory.

use bytes::Bytes;
use millstream_core::tpi::{self, Primitive};
use millstream_core::{SetOptions, Side};
use millstream_modules::services::http::{
    Content, File, Files, Found, HEAD_NS, Http, IDLE_NS, Missing, Pieces, REQUEST_MAX, STUCK_NS,
};
use millstream_modules::services::stream::Served;
use millstream_msg::{Kind, Msg};
use millstream_rig::Rig;

/// `a.txt`, a folder `d` with an index, one without, and a file of a megabyte that is read.
struct Disk;

#[derive(Debug)]
struct Reader(u64);

impl Pieces for Reader {
    fn read(&mut self, from: u64, most: usize) -> Option<Bytes> {
        let len = self.0.saturating_sub(from).min(most as u64) as usize;
        (len > 0).then(|| Bytes::from_static(&[b'x'; 1 << 18]).slice(..len))
    }
}

impl Files for Disk {
    fn find(&mut self, path: &str) -> Result<Found, Missing> {
        let here = |bytes: &'static [u8]| Content::Here(Bytes::from_static(bytes));
        let (len, content) = match path {
            "" | "d" | "e" => return Ok(Found::Folder),
            "a.txt" => (12, here(b"twelve bytes")),
            "empty" => (0, here(b"")),
            "d/index.html" => (4, here(b"<p>\n")),
            "big" => (1 << 20, Content::Pieces(Box::new(Reader(1 << 20)))),
            "huge" => (1 << 30, Content::Pieces(Box::new(Reader(1 << 30)))),
            "cut" => (1 << 20, Content::Pieces(Box::new(Reader(1 << 19)))),
            "secret" => return Err(Missing::Forbidden),
            "slow" => return Err(Missing::Busy),
            _ => return Err(Missing::None),
        };
        Ok(Found::File(File { len, modified_s: 784_111_777, content }))
    }
}

struct Client {
    rig: Rig,
}

impl Client {
    fn new() -> Self {
        let mut rig = Rig::new(Box::new(Served::new(Http::new(Box::new(Disk), "disk"))));
        let opts = SetOptions { hiwat: Some(1 << 20), ..SetOptions::default() };
        let opts = opts.to_msg(rig.perimeter().pool()).unwrap();
        rig.put(Side::Read, opts);
        drop(rig.above());
        Self { rig }
    }

    fn send(&mut self, text: &str) {
        self.rig.up(text.as_bytes());
    }

    fn ends(&mut self) {
        let word = Primitive::ordrel_ind();
        let mut msg = self.rig.msg(word.as_bytes());
        msg.set_kind(Kind::Proto);
        self.rig.put(Side::Read, msg);
    }

    /// What was sent since, and whether the direction has ended behind it.
    fn answer(&mut self) -> (String, bool) {
        let (mut text, mut ended) = (String::new(), false);
        for msg in self.rig.below() {
            if msg.kind() == Kind::Data {
                assert!(!ended, "nothing follows the end");
                text += &String::from_utf8(octets(&msg)).unwrap();
            } else {
                ended |= tpi::primitive(msg.first()) == Some(tpi::T_ORDREL_REQ);
            }
        }
        (text, ended)
    }

    fn ask(&mut self, text: &str) -> String {
        self.send(text);
        let (answer, ended) = self.answer();
        assert_eq!(ended, answer.contains("\r\nConnection: close\r\n"), "{answer}");
        answer
    }

    /// Status and content of the answer to a GET with these fields.
    fn get(&mut self, path: &str, fields: &str) -> (u16, String) {
        let answer = self.ask(&format!("GET {path} HTTP/1.1\r\nHost: x\r\n{fields}\r\n"));
        let (head, content) = answer.split_once("\r\n\r\n").expect(&answer);
        (head[9..12].parse().unwrap(), content.to_owned())
    }
}

fn octets(msg: &Msg) -> Vec<u8> {
    msg.cursor().chunks().flatten().copied().collect()
}

#[test]
fn http_serves_a_file_its_head_and_the_index_of_a_folder() {
    let mut client = Client::new();
    assert_eq!(client.get("/a.txt", ""), (200, "twelve bytes".to_owned()));
    assert_eq!(client.get("/d/?q", ""), (200, "<p>\n".to_owned()));
    assert_eq!(client.get("/empty", ""), (200, String::new()));
    let head = client.ask("HEAD /a.txt HTTP/1.1\r\nHost: x\r\n\r\n");
    assert!(head.contains("Content-Length: 12\r\n") && head.ends_with("\r\n\r\n"), "{head}");
    assert!(head.contains("Content-Type: text/plain; charset=utf-8\r\n"));
    client.rig.finish();
}

#[test]
fn http_says_why_there_is_nothing_and_goes_on() {
    let mut client = Client::new();
    for (path, status) in [
        ("/none", 404),
        ("/a.txt/", 404),
        ("/e/", 403),
        ("/", 403),
        ("/secret", 403),
        ("/../etc/passwd", 403),
        ("/%2e%2e/etc/passwd", 403),
        ("/%00", 400),
        ("/slow", 503),
    ] {
        assert_eq!(client.get(path, "").0, status, "{path}");
    }
    let moved = client.ask("GET /d HTTP/1.1\r\nHost: x\r\n\r\n");
    assert!(moved.contains("301 Moved") && moved.contains("\r\nLocation: /d/\r\n"), "{moved}");
    assert_eq!(client.get("/a.txt", "").0, 200);
    client.rig.finish();
}

#[test]
fn http_refuses_what_is_no_request_and_ends_the_connection() {
    for (text, status) in [
        ("POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\n\r\nabc", 405),
        ("BREW / HTTP/1.1\r\nHost: x\r\n\r\n", 501),
        ("GET / HTTP/1.1\r\n\r\n", 400),
        ("GET / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 400),
        ("GET / HTTP/1.1\r\nHost: x\r\nContent-Length: 99999999\r\n\r\n", 413),
        ("GET / HTTP/3.0\r\nHost: x\r\n\r\n", 505),
        ("\u{16}\u{3}\u{1}\n\n", 400),
    ] {
        let mut client = Client::new();
        let answer = client.ask(&format!("{text}GET /a.txt HTTP/1.1\r\nHost: x\r\n\r\n"));
        assert!(answer.starts_with(&format!("HTTP/1.1 {status} ")), "{text}: {answer}");
        assert_eq!(answer.matches("HTTP/1.1").count(), 1, "what follows is not looked at");
        client.send("GET /a.txt HTTP/1.1\r\nHost: x\r\n\r\n");
        assert_eq!(client.answer(), (String::new(), false));
        client.rig.finish();
    }
    for head in ["a".repeat(REQUEST_MAX + 1), format!("GET /{}", "\r\nX: y".repeat(2000))] {
        let mut client = Client::new();
        assert!(client.ask(&head).starts_with("HTTP/1.1 431 "));
        client.rig.finish();
    }
    let mut client = Client::new();
    let target = "a".repeat(5000);
    let answer = client.ask(&format!("GET /{target} HTTP/1.1\r\nHost: x\r\n\r\n"));
    assert!(answer.starts_with("HTTP/1.1 414 "), "{answer}");
    client.rig.finish();
}

#[test]
fn http_answers_requests_that_follow_one_another_in_order_and_in_pieces() {
    let mut client = Client::new();
    let get = |path: &str| format!("GET {path} HTTP/1.1\r\nHost: x\r\n\r\n");
    let body = "GET /d/ HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\n12345";
    let answer = client.ask(&(get("/a.txt") + "\r\n" + body + &get("/none") + &get("/a.txt")));
    let places: Vec<_> = ["twelve", "<p>", "404 Not Found\n", "twelve bytes"]
        .map(|part| answer.rfind(part).unwrap_or_else(|| panic!("{part}: {answer}")))
        .to_vec();
    assert_eq!(answer.matches("HTTP/1.1 200 OK").count(), 3, "{answer}");
    assert!(places[1] < places[2] && places[2] < places[3]);
    let mut pieces = String::new();
    for byte in (get("/a.txt") + &get("/d/")).bytes() {
        client.rig.up(&[byte]);
        pieces += &client.answer().0;
    }
    assert_eq!(pieces.matches("HTTP/1.1 200 OK").count(), 2, "{pieces}");
    client.rig.finish();
}

#[test]
fn http_10_ends_unless_it_asks_to_be_kept() {
    let mut client = Client::new();
    let kept = client.ask("GET /a.txt HTTP/1.0\r\nConnection: keep-alive\r\n\r\n");
    assert!(kept.contains("\r\nConnection: keep-alive\r\n"), "{kept}");
    let last = client.ask("GET /a.txt HTTP/1.0\r\n\r\n");
    assert!(last.contains("\r\nConnection: close\r\n"), "{last}");
    client.ends();
    let above = client.rig.above();
    assert_eq!(tpi::primitive(above[0].first()), Some(tpi::T_ORDREL_IND));
    drop(above);
    client.rig.finish();
}

#[test]
fn http_gives_parts_and_nothing_that_the_client_has() {
    let mut client = Client::new();
    assert_eq!(client.get("/a.txt", "Range: bytes=7-\r\n"), (206, "bytes".to_owned()));
    assert_eq!(client.get("/a.txt", "Range: bytes=12-\r\n").0, 416);
    assert_eq!(client.get("/a.txt", "Range: bytes=0-1,3-4\r\n").1, "twelve bytes");
    let same = "Sun, 06 Nov 1994 08:49:37 GMT";
    let older = "Sun, 06 Nov 1994 08:49:36 GMT";
    let since = |date: &str| format!("If-Modified-Since: {date}\r\n");
    assert_eq!(client.get("/a.txt", &since(same)), (304, String::new()));
    assert_eq!(client.get("/a.txt", &since(older)).0, 200);
    assert_eq!(client.get("/a.txt", &(since(same) + "If-None-Match: \"x\"\r\n")).0, 200);
    let if_range = |date: &str| format!("Range: bytes=0-0\r\nIf-Range: {date}\r\n");
    assert_eq!(client.get("/a.txt", &if_range(same)), (206, "t".to_owned()));
    assert_eq!(client.get("/a.txt", &if_range(older)).0, 200);
    client.rig.finish();
}

#[test]
fn http_sends_a_large_file_as_there_is_room_and_asks_for_no_more_meanwhile() {
    let mut client = Client::new();
    client.rig.full(Side::Write);
    client.send("GET /big HTTP/1.1\r\nHost: x\r\n\r\n");
    assert_eq!(client.rig.below().len(), 0);
    client.rig.relieve(Side::Write);
    let (answer, _) = client.answer();
    let content = answer.split_once("\r\n\r\n").unwrap().1;
    assert!(content.len() == 1 << 20 && content.bytes().all(|byte| byte == b'x'));
    assert_eq!(client.rig.overruns(Side::Write), 0);
    client.rig.finish();
}

#[test]
fn http_lends_a_file_and_copies_no_octet_of_it() {
    let mut client = Client::new();
    let request = client.rig.msg(b"GET /a.txt HTTP/1.1\r\nHost: x\r\n\r\n");
    let before = client.rig.perimeter().pool().stats().copied_bytes;
    client.rig.put(Side::Read, request);
    let answer = client.rig.below();
    let copied = client.rig.perimeter().pool().stats().copied_bytes - before;
    assert_eq!(copied as usize, answer[0].len() - "twelve bytes".len(), "the head is made");
    drop(answer);
    client.rig.finish();
}

#[test]
fn http_gives_up_a_file_that_has_become_shorter() {
    let mut client = Client::new();
    client.send("GET /cut HTTP/1.1\r\nHost: x\r\n\r\n");
    let below = client.rig.below();
    let last = below.last().unwrap();
    assert_eq!(tpi::primitive(last.first()), Some(tpi::T_DISCON_REQ), "the client sees it");
    drop(below);
    assert_eq!(client.rig.above().len(), 1, "and the stream is closed");
    client.rig.finish();
}

#[test]
fn http_limits_the_time_of_a_head_and_of_an_idle_connection() {
    let mut client = Client::new();
    client.send("GET /a.txt HTTP/1.1\r\n");
    for _ in 0..9 {
        client.rig.advance(HEAD_NS / 10);
        client.send("X: y\r\n");
    }
    assert_eq!(client.answer().0, "");
    client.rig.advance(HEAD_NS / 10 + 1_000_000);
    let (answer, ended) = client.answer();
    assert!(answer.starts_with("HTTP/1.1 408 ") && ended, "{answer}");
    client.rig.finish();
    let mut client = Client::new();
    for _ in 0..4 {
        client.rig.advance(IDLE_NS / 2);
        assert_eq!(client.get("/a.txt", "").0, 200, "it is not idle");
    }
    client.rig.advance(IDLE_NS + 1_000_000);
    assert_eq!(client.answer(), (String::new(), true));
    client.rig.finish();
}

#[test]
fn http_gives_up_a_client_that_does_not_read() {
    let mut client = Client::new();
    client.send("GET /huge HTTP/1.1\r\nHost: x\r\n\r\n");
    // What was sent is held below: no block is left to lend more.
    let held = client.rig.below();
    client.rig.advance(STUCK_NS - 1_000_000);
    assert_eq!(client.rig.below().len(), 0);
    client.rig.advance(2_000_000);
    let below = client.rig.below();
    assert_eq!(tpi::primitive(below[0].first()), Some(tpi::T_DISCON_REQ));
    drop((held, below));
    drop(client.rig.above());
    client.rig.finish();
}

#[test]
fn http_waits_for_memory() {
    let mut client = Client::new();
    let request = "GET /a.txt HTTP/1.1\r\nHost: x\r\n\r\n";
    for nth in 1..=2 {
        let msg = client.rig.msg(request.as_bytes());
        client.rig.perimeter().pool().fail_nth(nth);
        client.rig.put(Side::Read, msg);
        client.rig.advance(50_000_000);
        client.rig.perimeter().pool().fail_none();
        let (answer, _) = client.answer();
        assert!(answer.ends_with("twelve bytes"), "allocation {nth}: {answer}");
    }
    client.rig.finish();
}

#[test]
fn http_that_is_popped_leaves_the_head_it_had_to_whoever_is_above() {
    let mut client = Client::new();
    client.send("GET /a");
    drop(client.rig.remove());
    assert_eq!(client.rig.above_bytes(), [b"GET /a"]);
}
