//! stage: a program on a stack in a fresh namespace, and the kernel's side of it.

use crate::kit::{Lab, Up, wait_for};
use rustix::net::{AddressFamily, SocketType, bind, getsockname, listen, socket};
use rustix::process::{Pid, Signal, kill_process};
use std::fs::File;
use std::io::{BufRead, BufReader, Write};
use std::net::{Ipv4Addr, SocketAddr, SocketAddrV4, TcpListener, TcpStream};
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::Mutex;
use std::sync::mpsc::{RecvTimeoutError, channel};
use std::time::{Duration, Instant};

/// The kernel's address, and the stack's.
pub(crate) const KERNEL: &str = "10.9.0.1";
pub(crate) const STACK: &str = "10.9.0.2";

pub(crate) struct Stage {
    /// Ends first, while its folder is there.
    beside: Option<Up>,
    lab: Lab,
    library: PathBuf,
}

/// Where the stack of a program is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Place {
    /// In the program.
    Inside,
    /// In a process of its own.
    Beside,
    /// In a process of its own, and programs read what it receives.
    Shared,
}

pub(crate) const PLACES: [Place; 2] = [Place::Inside, Place::Beside];
/// Where octets are received in different ways.
pub(crate) const WAYS: [Place; 3] = [Place::Inside, Place::Beside, Place::Shared];

const NAME: &str = "stage";
const TAP: [&str; 6] = ["--tap", "mill0", "--host", "10.9.0.1/24", "--addr", "10.9.0.2/24"];

/// A user who has nothing, everywhere the same.
const NOBODY: u32 = 65_534;
const AS_NOBODY: [&str; 4] = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"];
/// Rights over interfaces, and to open the device of those that are made.
const WITH_RIGHTS: [&str; 2] =
    ["--inh-caps=+net_admin,+dac_override", "--ambient-caps=+net_admin,+dac_override"];

/// A program that runs until this goes.
pub(crate) struct Running(Child);

impl Stage {
    /// `None` where there is no namespace or a program is not to be had; then the test is skipped,
    /// by name. Each program is named with its package.
    pub(crate) fn new(test: &str, place: Place, programs: &[(&str, &str)]) -> Option<Self> {
        let lab = Self::lab(&format!("{test}_{place:?}"))?;
        for (name, package) in programs {
            if !is_there(name) && !install(package) {
                eprintln!("skipped: {test}: {name} is not there, nor to be had: {package}");
                return None;
            }
        }
        let beside = (place != Place::Inside).then(|| Self::up(&lab, place));
        Some(Self { beside, lab, library: library() })
    }

    /// One of nobody's: the stack beside, the programs and the folder are that user's. The stack
    /// has the right to make a TAP, and no other one.
    pub(crate) fn of_nobody(test: &str) -> Option<Self> {
        let mut lab = Self::lab(test)?;
        let nobody = Some(NOBODY);
        if let Err(why) = std::os::unix::fs::chown(&lab.runtime, nobody, nobody) {
            eprintln!("skipped: {test}: {why}");
            return None;
        }
        // Where they are built is closed to others.
        std::fs::create_dir(lab.runtime.join("copied")).unwrap();
        let [program, library] = [lab.program.clone(), library()].map(|file| {
            let copy = lab.runtime.join("copied").join(file.file_name().unwrap());
            std::fs::copy(file, &copy).unwrap();
            copy
        });
        lab.program = program;
        lab.before = [&AS_NOBODY[..], &WITH_RIGHTS].concat();
        let beside = Some(Self::up(&lab, Place::Beside));
        lab.before = AS_NOBODY.to_vec();
        Some(Self { beside, lab, library })
    }

    fn lab(test: &str) -> Option<Lab> {
        let lab = Lab::new(test)?;
        let up = || Command::new("ip").args(["link", "set", "lo", "up"]).status();
        let _without_loopback = lab.netns.run(up);
        Some(lab)
    }

    fn up(lab: &Lab, place: Place) -> Up {
        let shared = if place == Place::Shared { "--shared-arena 8" } else { "" };
        lab.up(&format!("up --name {NAME} {} {shared}", TAP.join(" ")))
    }

    /// Kills the stack that is beside.
    pub(crate) fn kill_stack(&self) {
        self.beside.as_ref().unwrap().signal(Signal::KILL);
    }

    /// Asks the stack that is beside for something.
    pub(crate) fn asks(&self, line: &str) -> serde_json::Value {
        self.lab.json(&format!("{line} --name {NAME}"))
    }

    /// A folder of the test.
    pub(crate) fn folder(&self) -> &Path {
        &self.lab.runtime
    }

    /// A program of the kernel's side.
    pub(crate) fn kernel(&self, line: &str) -> Command {
        let mut words = line.split_whitespace();
        let mut command = self.lab.as_user(words.next().unwrap().as_ref());
        command.args(words).current_dir(self.folder());
        command
    }

    /// A program on the stack.
    pub(crate) fn stack(&self, line: &str) -> Command {
        let mut command = self.lab.command("run --library");
        command.arg(&self.library);
        match self.beside {
            Some(_) => command.args(["--name", NAME]),
            None => command.args(TAP),
        };
        command.arg("--").args(line.split_whitespace()).current_dir(self.folder());
        command
    }

    /// Runs a program to its end, or until it has taken too long.
    pub(crate) fn output(&self, mut command: Command) -> Output {
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        command.env_remove("http_proxy");
        let child = self.inside(|| command.spawn()).unwrap();
        let pid = Pid::from_child(&child);
        let (done, ended) = channel::<()>();
        std::thread::spawn(move || {
            if ended.recv_timeout(TOO_LONG) == Err(RecvTimeoutError::Timeout) {
                let _ended = kill_process(pid, Signal::KILL);
            }
        });
        let output = child.wait_with_output().unwrap();
        drop(done);
        output
    }

    /// Runs a program that works; its standard output.
    pub(crate) fn ok(&self, command: Command) -> String {
        let said = format!("{command:?}");
        let output = self.output(command);
        assert!(output.status.success(), "{said}: {output:?}");
        String::from_utf8_lossy(&output.stdout).into_owned()
    }

    /// Starts a program; what it says goes into a file of the folder.
    pub(crate) fn start(&self, command: Command) -> Running {
        self.start_as("said", command)
    }

    /// As [`Stage::start`]: the file is named.
    pub(crate) fn start_as(&self, file: &str, mut command: Command) -> Running {
        let said = File::create(self.folder().join(file)).unwrap();
        command.stdin(Stdio::null()).stdout(said.try_clone().unwrap()).stderr(said);
        Running(self.inside(|| command.spawn()).unwrap())
    }

    /// Waits until somebody listens.
    pub(crate) fn answers(&self, at: &str) {
        wait_for(at, || self.inside(|| TcpStream::connect(at)).is_ok());
    }

    /// Does something on the kernel's side.
    pub(crate) fn inside<T: Send>(&self, work: impl FnOnce() -> T + Send) -> T {
        self.lab.netns.run(work).unwrap()
    }

    /// A port of the kernel's side where nobody answers whoever connects: as many as wait there
    /// already are enough.
    pub(crate) fn silence(&self) -> (OwnedFd, u16) {
        let listener = || -> std::io::Result<(OwnedFd, u16)> {
            let fd = socket(AddressFamily::INET, SocketType::STREAM, None)?;
            bind(&fd, &SocketAddrV4::new(Ipv4Addr::UNSPECIFIED, 0))?;
            listen(&fd, 0)?;
            let at = SocketAddr::try_from(getsockname(&fd)?)?;
            Ok((fd, at.port()))
        };
        self.inside(listener).unwrap()
    }

    /// A server of HTTP on the kernel's side, which says so many octets to everything.
    pub(crate) fn http(&self, octets: usize) -> SocketAddr {
        let listener = self.inside(|| TcpListener::bind("0.0.0.0:0")).unwrap();
        let port = listener.local_addr().unwrap().port();
        std::thread::spawn(move || {
            for socket in listener.incoming().flatten() {
                std::thread::spawn(move || serve(socket, octets));
            }
        });
        SocketAddr::new(KERNEL.parse().unwrap(), port)
    }
}

impl Running {
    /// Waits for its end; its code.
    pub(crate) fn end(&mut self) -> Option<i32> {
        let mut code = None;
        wait_for("the program's end", || {
            let ended = self.0.try_wait().unwrap();
            code = ended.and_then(|status| status.code());
            ended.is_some()
        });
        code
    }

    pub(crate) fn id(&self) -> u32 {
        self.0.id()
    }

    pub(crate) fn signal(&self, signal: Signal) {
        kill_process(Pid::from_child(&self.0), signal).unwrap();
    }
}

impl Drop for Running {
    /// It has children that are to end with it.
    fn drop(&mut self) {
        if self.0.try_wait().is_ok_and(|ended| ended.is_some()) {
            return;
        }
        self.signal(Signal::TERM);
        let end = Instant::now() + PATIENCE;
        while self.0.try_wait().is_ok_and(|ended| ended.is_none()) && Instant::now() < end {
            std::thread::yield_now();
        }
        let _ended = self.0.kill();
        let _waited = self.0.wait();
    }
}

/// Octets that are not all the same.
pub(crate) fn octets(len: usize) -> Vec<u8> {
    (0..len).map(|n| (n % 251) as u8).collect()
}

fn serve(mut socket: TcpStream, octets: usize) {
    let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {octets}\r\n\r\n");
    let answer = [head.into_bytes(), self::octets(octets)].concat();
    let mut requests = BufReader::new(socket.try_clone().unwrap());
    let mut line = String::new();
    while requests.read_line(&mut line).is_ok_and(|len| len > 0) {
        if line == "\r\n" && socket.write_all(&answer).is_err() {
            return;
        }
        line.clear();
    }
}

/// Is a program of this name in the path, which for root has that of servers?
pub(crate) fn is_there(name: &str) -> bool {
    let path = std::env::var("PATH").unwrap_or_default() + ":/usr/sbin:/usr/bin";
    path.split(':').any(|folder| Path::new(folder).join(name).is_file())
}

/// Installs a package of Debian, if this is root there.
pub(crate) fn install(package: &str) -> bool {
    // One at a time: the package manager has a lock.
    static ONE: Mutex<()> = Mutex::new(());
    let _one = ONE.lock().unwrap_or_else(|broken| broken.into_inner());
    let mut command = Command::new("apt-get");
    command.args(["install", "-y", "--no-install-recommends", package]);
    command.env("DEBIAN_FRONTEND", "noninteractive").stdin(Stdio::null());
    rustix::process::geteuid().is_root()
        && command.output().is_ok_and(|output| output.status.success())
}

/// The library of this build, which lies beside this program.
pub(crate) fn library() -> PathBuf {
    std::env::current_exe().unwrap().with_file_name("libmillstream_preload.so")
}

/// A program that is to end by itself has so long: some run for a minute on a machine under load.
const TOO_LONG: Duration = Duration::from_secs(400);
/// A program that was asked to end has so long.
const PATIENCE: Duration = Duration::from_secs(5);
