//! Running stacks are looked into: messages followed, boundaries recorded, queues timed.

mod kit;

use kit::{Lab, wait_for};
use rustix::process::{Pid, Signal, kill_process};
use std::io::Read;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};

const UP: &str = "up --name lab --tap tap0 --host 10.9.0.1/24 --addr 10.9.0.2/24 --service echo";

/// A command that runs beside the test.
fn beside(lab: &Lab, line: &str) -> Child {
    let mut command = lab.command(line);
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command.spawn().unwrap()
}

/// Sends datagrams to the echo service until the command has ended; its standard output.
fn with_traffic(lab: &Lab, mut child: Child) -> String {
    wait_for("the command to end", || {
        lab.echoes("10.9.0.2:7");
        child.try_wait().unwrap().is_some()
    });
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success(), "{output:?}");
    String::from_utf8(output.stdout).unwrap()
}

#[test]
fn a_datagram_is_followed_through_the_stack_to_the_service_and_back() {
    let Some(lab) = Lab::new("a_datagram_is_followed") else { return };
    let _up = lab.up(UP);
    lab.echoes("10.9.0.2:7");
    let mut trace = lab.command("trace --name lab tap0 --way up");
    trace.args(["--match", "udp dport 7"]).stdout(Stdio::piped()).stderr(Stdio::piped());
    let text = with_traffic(&lab, trace.spawn().unwrap());
    // The service turns the same message round.
    let way = [
        "message 1: sent by tap0 of tap0",
        "\n  up   arp (0) of tap0: ran",
        "UDP ",
        "> 7, 21 bytes",
        "up   ip of tap0: waited",
        "up   udp of ",
        "up   echo (0) of udp.echo",
        "T_UNITDATA_IND from 10.9.0.1",
        "down udp of udp.echo",
        "T_UNITDATA_REQ to 10.9.0.1",
        "down ip of ",
        "for ip: to 10.9.0.1, UDP 7 > ",
        "down arp (0) of tap0",
        "down tap0 of tap0",
    ];
    let mut rest = &text[..];
    for part in way {
        let at = rest.find(part).unwrap_or_else(|| panic!("{part:?} in {rest}\nof {text}"));
        rest = &rest[at + part.len()..];
    }
}

#[test]
fn a_trace_names_who_dropped_a_message_and_gives_up_in_time() {
    let Some(lab) = Lab::new("a_trace_names_who") else { return };
    let _up = lab.up(UP);
    lab.ok("insert tap0 0 impair loss=100% direction=up");
    let mut trace = lab.command("trace tap0 --way up --json");
    trace.stdout(Stdio::piped());
    let mut trace = trace.spawn().unwrap();
    wait_for("a message to be dropped", || {
        let ask = lab.netns.run(|| std::net::UdpSocket::bind("10.9.0.1:0").unwrap()).unwrap();
        // Nothing comes back.
        let _sent = ask.send_to(b"lost", "10.9.0.2:7");
        trace.try_wait().unwrap().is_some()
    });
    let mut text = String::new();
    trace.stdout.take().unwrap().read_to_string(&mut text).unwrap();
    let path: serde_json::Value = serde_json::from_str(&text).unwrap();
    assert_eq!(
        (&path["end"], &path["reason"]),
        (&"dropped".into(), &"impair: loss".into()),
        "{text}"
    );
    let (code, text) = lab.fails("trace tap0 --match tcp --timeout 0.1");
    assert_eq!(code, 1);
    assert!(text.contains("no such message came to tap0 within 0.1 s"), "{text}");
    assert!(lab.fails("trace nowhere").1.contains("no stream nowhere: there are"));
    let text = lab.fails("trace tap0 --match colour").1;
    assert!(text.contains("match \"colour\": at 1: colour: one of up, down"), "{text}");
}

/// Interfaces and packets of a recording as tshark reads them; `None` without tshark.
fn tshark(test: &str, file: &Path) -> Option<String> {
    let mut command = Command::new("tshark");
    command.arg("-r").arg(file).args(["-T", "fields", "-e", "frame.interface_name"]);
    command.args(["-e", "frame.encap_type", "-e", "ip.dst", "-e", "udp.dstport"]);
    match command.output() {
        Err(e) => {
            eprintln!("skipped: {test}: tshark: {e}");
            None
        }
        Ok(output) => {
            assert!(output.status.success(), "{output:?}");
            let complaints = String::from_utf8_lossy(&output.stderr).into_owned();
            assert!(!complaints.contains("cut short"), "{complaints}");
            Some(String::from_utf8(output.stdout).unwrap())
        }
    }
}

#[test]
fn a_capture_of_all_boundaries_is_whole_after_an_interrupt_and_tshark_reads_it() {
    let test = "a_capture_of_all_boundaries";
    let Some(lab) = Lab::new(test) else { return };
    let _up = lab.up(UP);
    let file = lab.runtime.join("all.pcapng");
    let child = beside(&lab, &format!("capture --name lab -w {}", file.display()));
    // Bytes come while it runs.
    wait_for("packets in the file", || {
        lab.echoes("10.9.0.2:7");
        file.metadata().is_ok_and(|meta| meta.len() > 2000)
    });
    kill_process(Pid::from_child(&child), Signal::INT).unwrap();
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success(), "{output:?}");
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(said.contains("packets at") && !said.contains("lost"), "{said}");
    let Some(read) = tshark(test, &file) else { return };
    for line in ["tap0 arp(0)-tap0\t1\t10.9.0.2\t7", "tap0 ip-arp(0)\t1\t10.9.0.2\t7"] {
        assert!(read.lines().any(|l| l == line), "{line}: {read}");
    }
    for name in ["udp udp-ip", "udp.echo echo(0)-udp control"] {
        assert!(read.lines().any(|l| l.starts_with(&format!("{name}\t"))), "{name}: {read}");
    }
}

#[test]
fn a_capture_that_cannot_be_written_ends_whole_and_frees_its_place() {
    let Some(lab) = Lab::new("a_capture_that_cannot") else { return };
    let _up = lab.up(UP);
    for _ in 0..5 {
        let (code, text) = lab.fails("capture -w /nonexistent/file");
        assert!(code == 1 && text.contains("cannot make"), "{text}");
    }
    // No file may be longer than 16 blocks of 512 bytes: as on a disk that is full.
    let file = lab.runtime.join("full.pcapng");
    let line =
        format!("trap '' XFSZ; ulimit -f 16; exec {} capture -w {}", kit::PROGRAM, file.display());
    let mut command = Command::new("sh");
    command.args(["-c", &line]).env("XDG_RUNTIME_DIR", &lab.runtime);
    let mut child = command.stdin(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
    wait_for("the disk to be full", || {
        lab.echoes("10.9.0.2:7");
        child.try_wait().unwrap().is_some()
    });
    let output = child.wait_with_output().unwrap();
    let said = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(1), "{said}");
    assert!(said.contains("cannot write") && said.contains("were recorded until then"), "{said}");
    let bytes = std::fs::read(&file).unwrap();
    let mut at = 0;
    while at < bytes.len() {
        let len = u32::from_le_bytes(bytes[at + 4..at + 8].try_into().unwrap()) as usize;
        assert_eq!(bytes[at + len - 4..at + len], (len as u32).to_le_bytes(), "a whole block");
        at += len;
    }
    assert!(at > 0 && lab.run("capture -w - --seconds 0.1").status.success());
}

#[test]
fn a_stack_that_hangs_is_not_waited_for_long() {
    let Some(lab) = Lab::new("a_stack_that_hangs") else { return };
    let up = lab.up(UP);
    up.signal(Signal::STOP);
    let (code, text) = lab.fails("stat --name lab");
    up.signal(Signal::CONT);
    assert_eq!(code, 1);
    assert!(text.contains("the stack lab does not answer: nothing came within 5 s"), "{text}");
}

#[test]
fn a_capture_goes_to_standard_output_and_ends_by_itself() {
    let Some(lab) = Lab::new("a_capture_goes_to_stdout") else { return };
    let _up = lab.up(UP);
    let child = beside(&lab, "capture tap0 --seconds 0.3 -w -");
    lab.echoes("10.9.0.2:7");
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success(), "{output:?}");
    assert_eq!(output.stdout[..4], [0x0a, 0x0d, 0x0d, 0x0a], "a section header block");
    // A reader that has seen enough ends it without a complaint.
    let mut child = beside(&lab, "capture tap0 -w -");
    drop(child.stdout.take());
    wait_for("the capture to end", || {
        lab.echoes("10.9.0.2:7");
        child.try_wait().unwrap().is_some()
    });
    let output = child.wait_with_output().unwrap();
    assert_eq!((output.status.code(), output.stderr.len()), (Some(0), 0), "{output:?}");
}

#[test]
fn a_stack_that_goes_under_a_capture_leaves_a_whole_file_and_an_error() {
    let test = "a_stack_that_goes_under";
    let Some(lab) = Lab::new(test) else { return };
    let up = lab.up(UP);
    let file = lab.runtime.join("all.pcapng");
    let child = beside(&lab, &format!("capture --name lab -w {}", file.display()));
    wait_for("packets in the file", || {
        lab.echoes("10.9.0.2:7");
        file.metadata().is_ok_and(|meta| meta.len() > 2000)
    });
    up.signal(Signal::KILL);
    let output = child.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(said.contains("the stack lab has gone; "), "{said}");
    tshark(test, &file);
}

#[test]
fn times_of_queues_are_shown_once_they_are_taken() {
    let Some(lab) = Lab::new("times_of_queues_are_shown") else { return };
    let _up = lab.up(UP);
    let (code, text) = lab.fails("hist tap0 show");
    assert!(code == 1 && text.contains("begin with millstream hist tap0 on"), "{text}");
    assert!(lab.ok("hist tap0 0 on").contains("times of 2 more queues"));
    lab.echoes("10.9.0.2:7");
    let text = lab.ok("hist tap0 show");
    assert!(text.contains("arp (0)  up") && text.contains("service"), "{text}");
    let times = lab.json("hist tap0 show");
    assert!(times["queues"][0]["service"]["count"].as_u64().unwrap() > 0, "{times}");
    assert!(lab.ok("hist tap0 off").contains("times of 2 queues of tap0 are forgotten"));
    assert_eq!(lab.fails("hist tap0 9 on").0, 1);
}

/// The stack's end of a terminal, and what was written to it.
struct Terminal {
    keys: std::fs::File,
    shown: Arc<Mutex<Vec<u8>>>,
}

impl Terminal {
    /// A terminal of 80 columns and 24 lines, and its other end for a program.
    fn new() -> (Self, std::fs::File) {
        use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
        use rustix::termios::{Winsize, tcsetwinsize};
        let ours = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY).unwrap();
        grantpt(&ours).unwrap();
        unlockpt(&ours).unwrap();
        let size = Winsize { ws_row: 24, ws_col: 80, ws_xpixel: 0, ws_ypixel: 0 };
        tcsetwinsize(&ours, size).unwrap();
        let name = ptsname(&ours, Vec::new()).unwrap().into_string().unwrap();
        let theirs = std::fs::OpenOptions::new().read(true).write(true).open(name).unwrap();
        let keys = std::fs::File::from(ours);
        let (mut screen, shown) = (keys.try_clone().unwrap(), Arc::new(Mutex::new(Vec::new())));
        let sink = shown.clone();
        std::thread::spawn(move || {
            let mut piece = [0; 4096];
            // The end of the program is an error of its terminal.
            while let Ok(n @ 1..) = screen.read(&mut piece) {
                sink.lock().unwrap().extend_from_slice(&piece[..n]);
            }
        });
        (Self { keys, shown }, theirs)
    }

    fn press(&mut self, keys: &str) {
        use std::io::Write;
        self.keys.write_all(keys.as_bytes()).unwrap();
    }

    /// Written, whatever it does to the screen.
    fn wrote(&self, text: &str) -> bool {
        String::from_utf8_lossy(&self.shown.lock().unwrap()).contains(text)
    }

    /// Stands on the screen now.
    fn shows(&self, text: &str) -> bool {
        let bytes = self.shown.lock().unwrap().clone();
        screen(&String::from_utf8_lossy(&bytes)).iter().any(|line| line.contains(text))
    }
}

/// What a terminal of 80 columns and 24 lines shows after this: only what has changed is written,
/// behind a move of the cursor.
fn screen(written: &str) -> Vec<String> {
    let mut cells = vec![vec![' '; 80]; 24];
    let (mut row, mut column) = (0, 0);
    let mut chars = written.chars();
    while let Some(c) = chars.next() {
        if c == '\x1b' {
            let mut sequence = String::new();
            for c in chars.by_ref() {
                sequence.push(c);
                if c != '[' && ('@'..='~').contains(&c) {
                    break;
                }
            }
            if let Some(place) = sequence.strip_prefix('[').and_then(|s| s.strip_suffix('H')) {
                let mut numbers = place.split(';').map(|n| n.parse().unwrap_or(1_usize));
                row = numbers.next().unwrap_or(1).saturating_sub(1);
                column = numbers.next().unwrap_or(1).saturating_sub(1);
            }
        } else if !c.is_control() {
            if let Some(cell) = cells.get_mut(row).and_then(|line| line.get_mut(column)) {
                *cell = c;
            }
            column += 1;
        }
    }
    cells.into_iter().map(String::from_iter).collect()
}

#[test]
fn top_shows_the_stack_on_a_terminal_and_changes_it_by_keys() {
    let Some(lab) = Lab::new("top_shows_the_stack") else { return };
    let _up = lab.up(UP);
    let (mut terminal, theirs) = Terminal::new();
    let mut top = lab.command("top --name lab --interval 0.1");
    top.env("TERM", "xterm").stdin(theirs.try_clone().unwrap());
    top.stdout(theirs.try_clone().unwrap()).stderr(Stdio::piped());
    let mut child = top.spawn().unwrap();
    drop((top, theirs));
    wait_for("the stack on the screen", || {
        terminal.shows("millstream lab") && terminal.shows("arp")
    });
    let positions = || {
        let found = lab.json("find null");
        found["at"].as_array().unwrap().iter().map(|at| at["pos"].clone()).collect::<Vec<_>>()
    };
    terminal.press("pnull\r");
    wait_for("the push", || lab.run("find null --name lab").status.success());
    assert_eq!(positions(), [1]);
    wait_for("the module on the screen", || terminal.shows("null (1)"));
    terminal.press("o");
    wait_for("the pop", || !lab.run("find null --name lab").status.success());
    terminal.press("t");
    wait_for("a message followed", || {
        lab.echoes("10.9.0.2:7");
        terminal.shows("message 1: ")
    });
    assert!(child.try_wait().unwrap().is_none());
    terminal.press("q");
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success() && output.stderr.is_empty(), "{output:?}");
    // The alternate screen was left.
    wait_for("the screen of before", || terminal.wrote("\x1b[?1049l"));
}

#[test]
fn top_gives_the_terminal_back_when_the_stack_goes() {
    let Some(lab) = Lab::new("top_gives_the_terminal") else { return };
    let up = lab.up(UP);
    let (terminal, theirs) = Terminal::new();
    let mut top = lab.command("top --name lab --interval 0.1");
    top.env("TERM", "xterm").stdin(theirs.try_clone().unwrap());
    top.stdout(theirs.try_clone().unwrap()).stderr(Stdio::piped());
    let child = top.spawn().unwrap();
    drop((top, theirs));
    wait_for("the stack on the screen", || terminal.shows("millstream lab"));
    up.signal(Signal::KILL);
    let output = child.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(said.contains("the stack lab has gone"), "{said}");
    wait_for("the screen of before", || terminal.wrote("\x1b[?1049l"));
}
