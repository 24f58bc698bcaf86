//! The command in a fresh network namespace, with a runtime folder of its own.
#![allow(dead_code)] // Each test program uses a part.

use millstream_drivers::netlink::{Netlink, Prefix};
use millstream_drivers::netns::Netns;
use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;
use std::ffi::OsStr;
use std::io::{BufRead, BufReader, Read};
use std::net::UdpSocket;
use std::os::unix::fs::DirBuilderExt;
use std::path::PathBuf;
use std::process::{Command, ExitStatus, Output, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant};

/// Longest wait for anything; a machine under load is slow.
pub(crate) const LONG: Duration = Duration::from_secs(60);

pub(crate) const PROGRAM: &str = env!("CARGO_BIN_EXE_millstream");

pub(crate) struct Lab {
    pub(crate) netns: Netns,
    pub(crate) runtime: PathBuf,
    /// The command's file.
    pub(crate) program: PathBuf,
    /// Words in front of commands: another user's.
    pub(crate) before: Vec<&'static str>,
}

/// A stack in the foreground.
pub(crate) struct Up {
    pid: Pid,
    ended: Receiver<ExitStatus>,
    over: bool,
    stdout: Receiver<String>,
    stderr: Receiver<String>,
    /// What stderr has said so far.
    pub(crate) said: String,
}

impl Lab {
    /// `None` where a namespace cannot be made; then the test is skipped, by name.
    pub(crate) fn new(test: &str) -> Option<Self> {
        let netns = match Netns::new() {
            Ok(netns) => netns,
            Err(e) => {
                eprintln!("skipped: {test}: {e}");
                return None;
            }
        };
        let runtime = std::env::temp_dir().join(format!("ms-{test}-{}", std::process::id()));
        std::fs::DirBuilder::new().mode(0o700).recursive(true).create(&runtime).unwrap();
        Some(Self { netns, runtime, program: PROGRAM.into(), before: Vec::new() })
    }

    pub(crate) fn socket(&self, name: &str) -> PathBuf {
        self.runtime.join(format!("millstream/{name}.sock"))
    }

    pub(crate) fn command(&self, line: &str) -> Command {
        let mut command = self.as_user(self.program.as_os_str());
        command.args(line.split_whitespace()).env("XDG_RUNTIME_DIR", &self.runtime);
        command
    }

    /// A program, behind the words that are in front of all.
    pub(crate) fn as_user(&self, program: &OsStr) -> Command {
        let mut words = self.before.iter().map(OsStr::new).chain([program]);
        let mut command = Command::new(words.next().unwrap_or(program));
        command.args(words);
        command
    }

    /// Runs a command to its end, outside the namespace: the socket is a file.
    pub(crate) fn run(&self, line: &str) -> Output {
        self.command(line).output().unwrap()
    }

    /// Runs a command that works; its standard output.
    pub(crate) fn ok(&self, line: &str) -> String {
        let output = self.run(line);
        assert!(output.status.success(), "{line}: {output:?}");
        String::from_utf8(output.stdout).unwrap()
    }

    /// Runs a command with --json.
    pub(crate) fn json(&self, line: &str) -> Value {
        let text = self.ok(&format!("{line} --json"));
        serde_json::from_str(&text).unwrap_or_else(|e| panic!("{line}: {e}: {text}"))
    }

    /// Runs a command that fails; its exit code and standard error.
    pub(crate) fn fails(&self, line: &str) -> (i32, String) {
        let output = self.run(line);
        let text = String::from_utf8(output.stderr).unwrap();
        (output.status.code().unwrap(), text)
    }

    /// Starts a stack in the namespace.
    pub(crate) fn start(&self, line: &str) -> Up {
        let mut command = self.command(line);
        command.stdout(Stdio::piped()).stderr(Stdio::piped()).stdin(Stdio::null());
        let mut child = self.netns.run(|| command.spawn()).unwrap().unwrap();
        let pid = Pid::from_child(&child);
        let stdout = lines(child.stdout.take().unwrap());
        let stderr = lines(child.stderr.take().unwrap());
        let (tell, ended) = channel();
        std::thread::spawn(move || {
            // Whoever waits for it may have gone: then nobody wants to know.
            let _unwanted = tell.send(child.wait().unwrap());
        });
        Up { pid, ended, over: false, stdout, stderr, said: String::new() }
    }

    /// Starts a stack and waits until it is ready.
    pub(crate) fn up(&self, line: &str) -> Up {
        let mut up = self.start(line);
        match up.stdout.recv_timeout(LONG) {
            Ok(text) if text.starts_with("ready") => up,
            other => panic!("{line}: {other:?}: {:?} {}", up.end(), up.said),
        }
    }

    pub(crate) fn has_link(&self, name: &str) -> bool {
        self.netns.run(|| Netlink::open().unwrap().link(name).is_ok()).unwrap()
    }

    pub(crate) fn delete_link(&self, name: &str) {
        self.netns.run(|| Netlink::open().unwrap().delete_link(name).unwrap()).unwrap();
    }

    /// Sends a datagram and waits for its echo; again, as UDP may lose it.
    pub(crate) fn echoes(&self, to: &str) {
        self.netns.run(|| echoes(to)).unwrap();
    }

    /// Runs a program of this system in the namespace; `None` where it is not installed.
    pub(crate) fn program(&self, test: &str, name: &str, args: &[&str]) -> Option<Output> {
        let mut command = Command::new(name);
        command.args(args).stdin(Stdio::null()).env_remove("http_proxy");
        match self.netns.run(|| command.output()).unwrap() {
            Ok(output) => Some(output),
            Err(e) => {
                eprintln!("skipped: {test}: {name}: {e}");
                None
            }
        }
    }
}

impl Drop for Lab {
    fn drop(&mut self) {
        let _gone = std::fs::remove_dir_all(&self.runtime);
    }
}

impl Up {
    pub(crate) fn signal(&self, signal: Signal) {
        kill_process(self.pid, signal).unwrap();
    }

    /// Waits for the end.
    pub(crate) fn end(&mut self) -> ExitStatus {
        let status = self.ended.recv_timeout(LONG).expect("the stack does not end");
        self.over = true;
        self.said.extend(self.stderr.iter().map(|line| line + "\n"));
        status
    }

    /// Waits for a line of stderr that contains this.
    pub(crate) fn says(&mut self, part: &str) {
        loop {
            let line = self.stderr.recv_timeout(LONG);
            let line = line.unwrap_or_else(|e| panic!("{part:?}: {e}: {}", self.said));
            self.said += &line;
            if line.contains(part) {
                return;
            }
        }
    }

    /// The next line of stdout; `None` when there are no more.
    pub(crate) fn next_stdout(&self) -> Option<String> {
        self.stdout.recv_timeout(LONG).ok()
    }

    pub(crate) fn more_stdout(&self) -> Option<String> {
        self.stdout.try_recv().ok()
    }
}

impl Drop for Up {
    fn drop(&mut self) {
        if !self.over {
            let _ended = kill_process(self.pid, Signal::KILL);
        }
    }
}

fn lines(from: impl Read + Send + 'static) -> Receiver<String> {
    let (tell, told) = channel();
    std::thread::spawn(move || {
        for line in BufReader::new(from).lines().map_while(Result::ok) {
            if tell.send(line).is_err() {
                return;
            }
        }
    });
    told
}

/// In the calling thread's namespace.
pub(crate) fn echoes(to: &str) {
    let socket = UdpSocket::bind("0.0.0.0:0").unwrap();
    socket.set_read_timeout(Some(Duration::from_millis(500))).unwrap();
    let deadline = Instant::now() + LONG;
    let mut answer = [0; 64];
    loop {
        // The kernel may still report an earlier datagram that found no way.
        let sent = socket.send_to(b"to the stack and back", to);
        if let Ok((n, _)) = socket.recv_from(&mut answer) {
            assert_eq!(&answer[..n], b"to the stack and back");
            return;
        }
        assert!(Instant::now() < deadline, "no echo from {to}: {sent:?}");
    }
}

/// Asks again until it is so.
pub(crate) fn wait_for(what: &str, mut so: impl FnMut() -> bool) {
    let deadline = Instant::now() + LONG;
    while !so() {
        assert!(Instant::now() < deadline, "waited for: {what}");
        std::thread::yield_now();
    }
}

pub(crate) fn prefix(text: &str) -> Prefix {
    text.parse().unwrap()
}
