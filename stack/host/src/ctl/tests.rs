//! A stack on a pair, asked over its socket by clients of all sorts.

use super::request::{Param, Request};
use super::{
    Conf, CtlError, Echo, Found, HistAction, Listener, Server, Stat, Times, Traced, TracedPath,
    Writers,
};
use crate::plan::{Interface, Line, Plan};
use millstream_core::Rng;
use serde_json::{Value, json};
use std::io::{BufRead, BufReader, Write};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::thread::JoinHandle;
use std::time::Duration;

/// Two stacks joined by a pair; the first one has a control socket.
struct Lab {
    folder: PathBuf,
    server: Option<Server>,
    handles: Vec<crate::Handle>,
    threads: Vec<JoinHandle<()>>,
}

impl Lab {
    fn new(test: &str) -> Self {
        let folder = std::env::temp_dir().join(format!("ms-ctl-{test}-{}", std::process::id()));
        std::fs::create_dir_all(&folder).unwrap();
        let (a, b) = millstream_drivers::pair(1500, [[2, 0, 0, 0, 0, 1], [2, 0, 0, 0, 0, 2]]);
        let mut lab = Self { folder, server: None, handles: Vec::new(), threads: Vec::new() };
        for (end, name, addr) in [(a, "left", "10.0.0.1/24"), (b, "right", "10.0.0.2/24")] {
            let line = Line::Pair(name.to_owned(), end);
            let interfaces = vec![Interface { line, addresses: vec![addr.parse().unwrap()] }];
            let stack = Plan { interfaces, ..Plan::default() }.build().unwrap();
            lab.handles.push(stack.shard.handle());
            lab.threads.push(std::thread::spawn(move || stack.shard.run(|_| ()).unwrap()));
        }
        let listener = Listener::claim_in(&lab.folder, "lab").unwrap();
        lab.server = Some(listener.serve(lab.handles[0].clone(), Writers::new(|_| ())).unwrap());
        lab
    }

    fn path(&self) -> PathBuf {
        self.folder.join("lab.sock")
    }

    fn connect(&self) -> Talk {
        Talk::new(&self.path())
    }
}

impl Drop for Lab {
    fn drop(&mut self) {
        self.handles.iter().for_each(crate::Handle::stop);
        self.threads.drain(..).for_each(|thread| thread.join().unwrap());
        self.server = None;
        let _gone = std::fs::remove_dir_all(&self.folder);
    }
}

struct Talk(BufReader<UnixStream>);

impl Talk {
    fn new(path: &Path) -> Self {
        let stream = UnixStream::connect(path).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
        Self(BufReader::new(stream))
    }

    fn send(&mut self, bytes: &[u8]) {
        self.0.get_mut().write_all(bytes).unwrap();
    }

    fn line(&mut self) -> Value {
        let mut line = String::new();
        self.0.read_line(&mut line).unwrap();
        serde_json::from_str(&line).unwrap_or_else(|e| panic!("{line:?}: {e}"))
    }

    fn ask(&mut self, request: &Request) -> Result<Value, String> {
        self.send(&serde_json::to_vec(request).unwrap());
        self.send(b"\n");
        let answer = self.line();
        match answer.get("error") {
            Some(sentence) => Err(sentence.as_str().unwrap().to_owned()),
            None => Ok(answer["ok"].clone()),
        }
    }

    fn ask_for<T: serde::de::DeserializeOwned>(&mut self, request: &Request) -> T {
        serde_json::from_value(self.ask(request).unwrap()).unwrap()
    }

    /// Modules of a stream, from the bottom.
    fn modules(&mut self, stream: &str) -> Vec<String> {
        let conf: Conf = self.ask_for(&Request::Conf {});
        let found = conf.streams.into_iter().find(|s| s.name == stream).unwrap();
        let modules = found.nodes.into_iter().filter(|n| n.kind == "module");
        let mut names: Vec<String> = modules.map(|n| n.name).collect();
        names.reverse();
        names
    }
}

fn insert(pos: usize, module: &str, params: &[(&str, &str)]) -> Request {
    let param = |(key, value): &(&str, &str)| Param((*key).to_owned(), (*value).to_owned());
    Request::Insert {
        stream: "left".to_owned(),
        pos,
        module: module.to_owned(),
        params: params.iter().map(param).collect(),
    }
}

#[test]
fn modules_are_pushed_inserted_set_found_and_taken_out_by_request() {
    let lab = Lab::new("plumb");
    let mut talk = lab.connect();
    assert_eq!(talk.modules("left"), ["arp"]);
    talk.ask(&insert(0, "null", &[])).unwrap();
    let left = || "left".to_owned();
    let push = Request::Push { stream: left(), module: "count".to_owned(), params: vec![] };
    let pushed = talk.ask(&push).unwrap();
    assert_eq!(pushed, json!({"stream": "left", "pos": 2, "module": "count"}));
    assert_eq!(talk.modules("left"), ["null", "arp", "count"]);
    let found: Found = talk.ask_for(&Request::Find { module: "count".to_owned() });
    assert!(found.in_table && found.at.len() == 1 && found.at[0].pos == Some(2));
    let popped = talk.ask(&Request::Pop { stream: left() }).unwrap();
    assert_eq!(popped, json!({"module": "count"}));
    let removed = talk.ask(&Request::Remove { stream: left(), pos: 0 }).unwrap();
    assert_eq!(removed, json!({"module": "null"}));
    let set = |value: &str| Request::Set {
        target: "ip".to_owned(),
        pos: None,
        params: vec![Param("forward".to_owned(), value.to_owned())],
    };
    talk.ask(&set("on")).unwrap();
    let conf: Conf = talk.ask_for(&Request::Conf {});
    let ip = conf.muxes.iter().find(|mux| mux.name == "ip").unwrap();
    assert_eq!(ip.fields["forward"], json!("on"));
    assert!(talk.ask(&set("perhaps")).unwrap_err().contains("on or off"));
}

#[test]
fn what_cannot_be_done_is_refused_with_what_can() {
    let lab = Lab::new("refuse");
    let mut talk = lab.connect();
    let mut refused = |request: &Request| talk.ask(request).unwrap_err();
    let text = refused(&insert(0, "warp", &[]));
    assert!(text.contains("no module warp") && text.contains("null"), "{text}");
    let text = refused(&insert(7, "null", &[]));
    assert!(text.contains("a position is 0 to 1, not 7"), "{text}");
    let text = refused(&Request::Pop { stream: "nowhere".to_owned() });
    assert!(text.contains("no stream nowhere: there are left, udp"), "{text}");
    let text = refused(&Request::Remove { stream: "left".to_owned(), pos: 9 });
    assert!(text.contains("no module at position 9"), "{text}");
    let set = |target: &str| Request::Set {
        target: target.to_owned(),
        pos: None,
        params: vec![Param("a".to_owned(), "b".to_owned())],
    };
    assert!(refused(&set("sctp")).contains("there are ip, udp, tcp"));
    assert!(refused(&set("left")).contains("give the position"));
    let none = Request::Set { target: "ip".to_owned(), pos: None, params: vec![] };
    assert!(refused(&none).contains("key=value"));
}

#[test]
fn a_refused_parameter_leaves_the_stream_as_it_was() {
    let lab = Lab::new("param");
    let mut talk = lab.connect();
    let text = talk.ask(&insert(0, "null", &[("delay", "much")])).unwrap_err();
    assert!(text.contains("null: no parameter delay"), "{text}");
    assert_eq!(talk.modules("left"), ["arp"]);
}

#[test]
fn the_stack_pings_its_neighbour_and_says_when_nobody_answers() {
    let lab = Lab::new("ping");
    let mut talk = lab.connect();
    let ping = |last: u8, seq, timeout_ms| Request::Ping {
        addr: [10, 0, 0, last].into(),
        seq,
        size: 100,
        timeout_ms,
    };
    for seq in 0..3 {
        let echo: Echo = talk.ask_for(&ping(2, seq, 10_000));
        assert_eq!((echo.seq, echo.bytes, echo.ttl), (seq, Some(108), Some(64)));
        assert!(echo.rtt_ns.is_some());
    }
    let echo: Echo = talk.ask_for(&ping(77, 3, 10));
    assert_eq!((echo.rtt_ns, echo.failure), (None, None));
    // arp gives up after some seconds, and says so.
    let echo: Echo = talk.ask_for(&ping(77, 4, 20_000));
    assert_eq!(echo.failure.as_deref(), Some("the host does not answer"));
    let far = Request::Ping { addr: [192, 0, 2, 1].into(), seq: 5, size: 0, timeout_ms: 10_000 };
    let echo: Echo = talk.ask_for(&far);
    assert_eq!(echo.failure.as_deref(), Some("no way to the network"));
    let six = Request::Ping { addr: [0; 16].into(), seq: 0, size: 0, timeout_ms: 1 };
    assert!(talk.ask(&six).unwrap_err().contains("IPv4 only"));
    let stat: Stat = talk.ask_for(&Request::Stat {});
    let left = stat.streams.iter().find(|s| s.name == "left").unwrap();
    let arp = left.nodes.iter().find(|n| n.name == "arp").unwrap();
    assert!(arp.up.msgs >= 4 && arp.up.msgs_per_call >= 1.0 && arp.up.bytes >= 3 * 108);
    assert!(stat.muxes.iter().any(|mux| mux.name == "ip" && mux.down.msgs >= 4));
    assert_eq!(stat.pool.kinds.len(), 5);
    drop(talk);
    // The stream of the pings goes with its connection.
    let mut talk = lab.connect();
    let deadline = std::time::Instant::now() + Duration::from_secs(10);
    loop {
        let conf: Conf = talk.ask_for(&Request::Conf {});
        if !conf.streams.iter().any(|s| s.name.starts_with("ping")) {
            break;
        }
        assert!(std::time::Instant::now() < deadline, "{conf:?}");
    }
}

#[test]
fn a_stream_is_unlinked_and_linked_again_and_wrong_ends_are_named() {
    let lab = Lab::new("link");
    let mut talk = lab.connect();
    let unlink = || Request::Unlink { stream: "left".to_owned() };
    let link =
        |mux: &str, stream: &str| Request::Link { mux: mux.to_owned(), stream: stream.to_owned() };
    assert!(talk.ask(&link("ip", "left")).unwrap_err().contains("linked below a multiplexor"));
    assert_eq!(talk.ask(&unlink()).unwrap()["was_below"], "ip");
    let conf: Conf = talk.ask_for(&Request::Conf {});
    let left = conf.streams.iter().find(|s| s.name == "left").unwrap();
    assert_eq!(left.nodes[0].kind, "head");
    assert!(talk.ask(&unlink()).unwrap_err().contains("left: "));
    assert!(talk.ask(&link("tcp4", "left")).unwrap_err().contains("there are ip, udp"));
    assert!(talk.ask(&link("ip", "up")).unwrap_err().contains("no stream up"));
    assert_eq!(talk.ask(&link("ip", "left")).unwrap()["below"], "ip");
    let address = Param("address".to_owned(), "0 10.0.0.1/24".to_owned());
    let set = Request::Set { target: "ip".to_owned(), pos: None, params: vec![address] };
    talk.ask(&set).unwrap();
    let ping = Request::Ping { addr: [10, 0, 0, 2].into(), seq: 0, size: 8, timeout_ms: 10_000 };
    assert!(talk.ask_for::<Echo>(&ping).rtt_ns.is_some());
}

#[test]
fn a_module_is_replaced_with_its_state_and_one_that_takes_none_is_refused() {
    let lab = Lab::new("replace");
    let mut talk = lab.connect();
    talk.ask(&insert(0, "filter", &[("rules", "count icmp")])).unwrap();
    let replace = |pos, module: &str, params: &[(&str, &str)]| {
        let param = |(key, value): &(&str, &str)| Param((*key).to_owned(), (*value).to_owned());
        let (target, module) = ("left".to_owned(), module.to_owned());
        let params = params.iter().map(param).collect();
        Request::Replace { target, pos: Some(pos), module, params }
    };
    let answer = talk.ask(&replace(0, "filter", &[])).unwrap();
    assert_eq!((&answer["module"], &answer["was"]), (&"filter".into(), &"filter".into()));
    let conf: Conf = talk.ask_for(&Request::Conf {});
    let left = conf.streams.iter().find(|s| s.name == "left").unwrap();
    let filter = left.nodes.iter().find(|n| n.name == "filter").unwrap();
    let shown = serde_json::to_string(&filter.fields).unwrap();
    assert!(shown.contains("count icmp"), "{shown}");
    let text = talk.ask(&replace(0, "nth", &[])).unwrap_err();
    assert!(text.contains("left, position 0: "), "{text}");
    assert!(talk.ask(&replace(7, "filter", &[])).unwrap_err().contains("position 7"));
    assert!(talk.ask(&replace(0, "fly", &[])).unwrap_err().contains("no module fly"));
    let text = talk.ask(&replace(0, "filter", &[("rules", "fly")])).unwrap_err();
    assert!(text.contains("filter is in the place of filter, but "), "{text}");
    assert_eq!(talk.modules("left"), ["filter", "arp"]);
}

#[test]
fn a_multiplexor_is_replaced_with_its_streams_and_one_of_another_kind_is_refused() {
    let lab = Lab::new("replace-mux");
    let mut talk = lab.connect();
    let ping = Request::Ping { addr: [10, 0, 0, 2].into(), seq: 0, size: 8, timeout_ms: 10_000 };
    let replace = |target: &str, module: &str, params: &[(&str, &str)]| {
        let param = |(key, value): &(&str, &str)| Param((*key).to_owned(), (*value).to_owned());
        let (target, module) = (target.to_owned(), module.to_owned());
        let params = params.iter().map(param).collect();
        Request::Replace { target, pos: None, module, params }
    };
    let mut asked = |target, module, params| talk.ask(&replace(target, module, params));
    let answer = asked("ip", "ip", &[]).unwrap();
    assert_eq!((&answer["module"], &answer["was"]), (&"ip".into(), &"ip".into()));
    assert!(asked("udp", "udp", &[]).is_ok());
    for (target, module, why) in [
        ("ip", "udp", "ip: "),
        ("udp", "dlpi", "udp: "),
        ("udp", "fly", "no multiplexor fly; there are ip, udp, dlpi"),
        ("fly", "udp", "no multiplexor fly: there are"),
        ("left", "filter", "left is a stream: give the position"),
    ] {
        let text = asked(target, module, &[]).unwrap_err();
        assert!(text.contains(why), "{text}");
    }
    let text = asked("ip", "ip", &[("forward", "maybe")]).unwrap_err();
    assert!(text.contains("ip is in the place of ip, but "), "{text}");
    assert!(talk.ask_for::<Echo>(&ping).rtt_ns.is_some(), "addresses and routes are there");
}

fn trace(stream: &str, matching: Option<&str>, count: usize) -> Request {
    let (stream, matching) = (stream.to_owned(), matching.map(str::to_owned));
    Request::Trace { stream, way: None, matching, count }
}

#[test]
fn messages_are_followed_for_one_connection_at_a_time() {
    let lab = Lab::new("trace");
    let mut talk = lab.connect();
    let wanted = "icmp and host 10.0.0.2";
    assert_eq!(talk.ask(&trace("left", Some(wanted), 2)).unwrap()["following"], 2);
    let mut other = lab.connect();
    let text = other.ask(&trace("left", None, 1)).unwrap_err();
    assert!(text.contains("another program traces this stack"), "{text}");
    let ping = Request::Ping { addr: [10, 0, 0, 2].into(), seq: 0, size: 8, timeout_ms: 10_000 };
    assert!(other.ask_for::<Echo>(&ping).rtt_ns.is_some());
    let mut paths = Vec::new();
    while paths.len() < 2 {
        let traced: Traced = talk.ask_for(&Request::Traced { wait_ms: 10_000, last: false });
        assert!(!traced.paths.is_empty(), "{paths:?}");
        paths.extend(traced.paths);
    }
    let nodes = |path: &TracedPath| {
        path.hops.iter().map(|hop| format!("{} {}", hop.side, hop.node)).collect::<Vec<_>>()
    };
    assert_eq!(nodes(&paths[0]), ["down arp", "down left"]);
    assert_eq!(paths[0].end.as_deref(), Some("sent"));
    // The reply comes up to the stream of the ping.
    assert_eq!(nodes(&paths[1]), ["up arp", "up ip", "up head"]);
    assert_eq!(
        (paths[1].end.as_deref(), &*paths[1].hops[0].begins),
        (Some("delivered"), "ethernet")
    );
    assert_eq!(paths[1].hops[2].begins, "packet");
    // The last answer waits for its time, and has what came meanwhile.
    talk.ask(&trace("left", Some(wanted), 2)).unwrap();
    assert!(other.ask_for::<Echo>(&ping).rtt_ns.is_some());
    let last: Traced = talk.ask_for(&Request::Traced { wait_ms: 100, last: true });
    assert_eq!(last.paths.len(), 2);
    assert!(other.ask(&trace("left", None, 1)).is_ok(), "the place is free again");
}

#[test]
fn a_trace_that_makes_no_sense_is_refused_with_a_reason() {
    let lab = Lab::new("trace-bad");
    let mut talk = lab.connect();
    for (request, part) in [
        (trace("left", Some("colour blue"), 1), "match \"colour blue\""),
        (trace("left", Some("udp; drop any"), 1), "the terms of one rule"),
        (trace("left", None, 0), "1 to 64"),
        (trace("left", None, 65), "1 to 64"),
        (trace("up", None, 1), "no stream up"),
        (Request::Traced { wait_ms: 0, last: false }, "nothing is traced"),
    ] {
        let text = talk.ask(&request).unwrap_err();
        assert!(text.contains(part), "{text}");
    }
    // What was refused has not kept the place.
    talk.ask(&trace("left", None, 1)).unwrap();
}

#[test]
fn times_of_queues_are_taken_shown_and_forgotten() {
    let lab = Lab::new("hist");
    let mut talk = lab.connect();
    let hist = |pos, action| Request::Hist { stream: "left".to_owned(), pos, action };
    assert!(talk.ask_for::<Times>(&hist(None, HistAction::Show)).queues.is_empty());
    assert_eq!(talk.ask(&hist(None, HistAction::On)).unwrap()["queues"], 6);
    let ping = Request::Ping { addr: [10, 0, 0, 2].into(), seq: 0, size: 8, timeout_ms: 10_000 };
    assert!(talk.ask_for::<Echo>(&ping).rtt_ns.is_some());
    let times: Times = talk.ask_for(&hist(Some(0), HistAction::Show));
    let sides: Vec<_> = times.queues.iter().map(|q| (&*q.at.node, &*q.at.side)).collect();
    assert_eq!(sides, [("arp", "up"), ("arp", "down")]);
    let up = &times.queues[0];
    assert!(up.service.count >= 1 && up.service.max_ns > 0 && up.inbox.p50_ns.is_some(), "{up:?}");
    assert_eq!(up.service.buckets.iter().map(|b| b[2]).sum::<u64>(), up.service.count);
    assert!(talk.ask(&hist(Some(1), HistAction::On)).unwrap_err().contains("no module at"));
    assert_eq!(talk.ask(&hist(None, HistAction::Off)).unwrap()["queues"], 6);
    assert!(talk.ask_for::<Times>(&hist(None, HistAction::Show)).queues.is_empty());
}

#[test]
fn boundaries_are_recorded_into_the_connection_until_the_client_ends_it() {
    use std::io::Read;
    let lab = Lab::new("boundaries");
    let capture = |streams: &[&str], snaplen| Request::Capture {
        streams: streams.iter().map(|s| (*s).to_owned()).collect(),
        snaplen,
    };
    let mut talk = lab.connect();
    assert!(talk.ask(&capture(&["up"], 100)).unwrap_err().contains("no stream up"));
    assert!(talk.ask(&capture(&[], 3)).unwrap_err().contains("bytes from 14"));
    assert_eq!(talk.ask(&capture(&["left"], 100)).unwrap()["format"], "pcapng");
    let mut other = lab.connect();
    assert!(other.ask(&capture(&[], 100)).unwrap_err().contains("another program captures"));
    let ping = Request::Ping { addr: [10, 0, 0, 2].into(), seq: 0, size: 8, timeout_ms: 10_000 };
    assert!(other.ask_for::<Echo>(&ping).rtt_ns.is_some());
    talk.0.get_ref().shutdown(std::net::Shutdown::Write).unwrap();
    let mut file = Vec::new();
    talk.0.read_to_end(&mut file).unwrap();
    assert_eq!(file[..4], [0x0a, 0x0d, 0x0d, 0x0a]);
    for name in ["left ip-arp(0)", "left arp(0)-left"] {
        assert!(file.windows(name.len()).any(|w| w == name.as_bytes()), "{name}");
    }
    assert!(other.ask(&capture(&[], 100)).is_ok(), "the place is free again");
}

#[test]
fn a_capture_is_put_in_records_to_its_file_and_is_refused_without_one() {
    let lab = Lab::new("capture");
    let mut talk = lab.connect();
    assert!(talk.ask(&insert(0, "capture", &[])).unwrap_err().contains("file=PATH"));
    let path = lab.folder.join("left.pcapng");
    let file = path.to_str().unwrap();
    talk.ask(&insert(0, "capture", &[("file", file), ("direction", "down")])).unwrap();
    let ping = Request::Ping { addr: [10, 0, 0, 2].into(), seq: 0, size: 8, timeout_ms: 10_000 };
    assert!(talk.ask_for::<Echo>(&ping).rtt_ns.is_some());
    talk.ask(&Request::Remove { stream: "left".to_owned(), pos: 0 }).unwrap();
    let deadline = std::time::Instant::now() + Duration::from_secs(10);
    // Section header block, then the packets.
    while std::fs::read(&path).map_or(0, |bytes| bytes.len()) < 300 {
        assert!(std::time::Instant::now() < deadline, "{:?}", std::fs::read(&path));
    }
    assert_eq!(std::fs::read(&path).unwrap()[..4], [0x0a, 0x0d, 0x0d, 0x0a]);
}

#[test]
fn random_lines_are_refused_and_the_connection_goes_on() {
    let lab = Lab::new("fuzz");
    let seed = 0x6d73_6374;
    eprintln!("seed {seed:#x}");
    let mut rng = Rng::new(seed);
    let known = [
        r#"{"op":"push","stream":"left","module":"null","params":[["a","b"]]}"#,
        r#"{"op":"insert","stream":"left","pos":0,"module":"count"}"#,
        r#"{"op":"remove","stream":"left","pos":0}"#,
        r#"{"op":"set","target":"ip","params":[["route","0.0.0.0/0 via 10.0.0.2"]]}"#,
        r#"{"op":"stat"}"#,
        r#"{"op":"trace","stream":"left","match":"udp dport 7","count":2}"#,
        r#"{"op":"traced","wait_ms":0}"#,
        r#"{"op":"hist","stream":"left","pos":0,"do":"on"}"#,
        r#"{"op":"link","mux":"ip","stream":"left"}"#,
    ];
    let mut talk = lab.connect();
    for _ in 0..2000 {
        let mut line = known[rng.next_u32() as usize % known.len()].as_bytes().to_vec();
        match rng.next_u32() % 3 {
            // Bytes of no meaning.
            0 => line.iter_mut().for_each(|byte| *byte = rng.next_u32() as u8),
            // A request with a few bytes changed.
            1 => {
                for _ in 0..=rng.next_u32() % 4 {
                    let at = rng.next_u32() as usize % line.len();
                    line[at] = rng.next_u32() as u8;
                }
            }
            // A request that ends early.
            _ => line.truncate(rng.next_u32() as usize % line.len()),
        }
        line.retain(|&byte| byte != b'\n');
        line.push(b'\n');
        talk.send(&line);
        let answer = talk.line();
        assert!(answer.get("ok").is_some() ^ answer.get("error").is_some(), "{answer}");
    }
    let mut long = vec![b'x'; 200_000];
    long.push(b'\n');
    talk.send(&long);
    assert!(talk.line()["error"].as_str().unwrap().contains("at most 65536 bytes"));
    assert_eq!(talk.ask(&Request::Version {}).unwrap()["name"], "lab");
}

#[test]
fn the_seventeenth_connection_is_told_why_it_is_refused() {
    let lab = Lab::new("many");
    let mut open: Vec<Talk> = (0..16).map(|_| lab.connect()).collect();
    for talk in &mut open {
        talk.ask(&Request::Version {}).unwrap();
    }
    let text = lab.connect().line()["error"].as_str().unwrap().to_owned();
    assert!(text.contains("16 programs are connected"), "{text}");
}

#[test]
fn a_name_in_use_is_refused_and_a_dead_stacks_socket_is_replaced() {
    let lab = Lab::new("name");
    let error = Listener::claim_in(&lab.folder, "lab").unwrap_err();
    assert!(error.to_string().contains("a stack named lab runs already"), "{error}");
    assert!(matches!(error, CtlError::Runs { .. }));
    // A socket that nobody listens on, as a killed stack leaves it.
    let dead = lab.folder.join("dead.sock");
    drop(std::os::unix::net::UnixListener::bind(&dead).unwrap());
    assert!(dead.exists());
    let taken = Listener::claim_in(&lab.folder, "dead").unwrap();
    assert_eq!(dead.metadata().unwrap().permissions().mode() & 0o777, 0o600);
    drop(taken);
    assert!(!dead.exists());
}

#[test]
fn down_answers_then_stops_the_stack_and_the_socket_goes_with_the_server() {
    let mut lab = Lab::new("down");
    let mut talk = lab.connect();
    assert_eq!(talk.ask(&Request::Down {}).unwrap()["stopping"], "lab");
    lab.threads.remove(0).join().unwrap();
    assert!(talk.ask(&Request::Conf {}).unwrap_err().contains("the stack has stopped"));
    lab.server = None;
    assert!(!lab.path().exists());
    let mut line = String::new();
    assert_eq!(talk.0.read_line(&mut line).unwrap(), 0, "the connection is closed: {line}");
}
