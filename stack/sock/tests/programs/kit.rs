//! A stack in a namespace of its own, both ways to its calls, and how a program waits.

use millstream::plan::{Interface, Line, Plan};
use millstream::port::{Client, Id, Ready, Sockets};
use millstream::{Errno, InProcess, Quota, Stack};
use millstream_drivers::netns::Netns;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use std::net::{SocketAddr, TcpListener};
use std::path::PathBuf;
use std::sync::atomic::{AtomicU32, Ordering};

pub(crate) const TCP: (i32, i32, i32) = (2, 1, 0);
pub(crate) const UDP: (i32, i32, i32) = (2, 2, 0);
pub(crate) const PEEK: i32 = 2;
pub(crate) const SO_ERROR: (i32, i32) = (1, 4);

/// A stack in a namespace of its own, the kernel at the other end of its TAP; a reason on stderr
/// without the rights.
pub(crate) fn with_stack(name: &str, test: impl Fn(Stack) + Send + Sync) {
    with_stack_that(name, false, test);
}

/// As [`with_stack`], of one that never sleeps if `polling`.
pub(crate) fn with_stack_that(name: &str, polling: bool, test: impl Fn(Stack) + Send + Sync) {
    let netns = match Netns::new() {
        Ok(netns) => netns,
        Err(why) => return eprintln!("skipped: {name}: {why}"),
    };
    let run = || {
        let host = vec!["10.9.0.1/24".parse().unwrap()];
        let line = Line::Tap { name: "mill0".into(), host, plain: false };
        let addresses = vec!["10.9.0.2/24".parse().unwrap()];
        let interfaces = vec![Interface { line, addresses }];
        match Stack::start(Plan { interfaces, polling, ..Plan::default() }) {
            Ok(stack) => test(stack),
            Err(why) => eprintln!("skipped: {name}: {why}"),
        }
    };
    netns.run(run).unwrap();
}

/// A port of a stack that no other test has.
pub(crate) fn port(stack: &Stack, quota: Quota) -> PathBuf {
    static LAST: AtomicU32 = AtomicU32::new(0);
    let number = LAST.fetch_add(1, Ordering::Relaxed);
    let path = std::env::temp_dir().join(format!("ms-{}-{number}.port", std::process::id()));
    stack.open_port(&path, quota).unwrap();
    path
}

/// The calls in both ways.
pub(crate) fn with_calls(name: &str, test: impl Fn(&dyn Sockets) + Send + Sync) {
    with_stack(name, |stack| {
        test(&InProcess::new(&stack).unwrap());
        test(&Client::attach(&port(&stack, Quota::default())).unwrap());
    });
}

pub(crate) fn at(text: &str) -> SocketAddr {
    text.parse().unwrap()
}

pub(crate) fn open(calls: &dyn Sockets, (domain, kind, protocol): (i32, i32, i32)) -> Id {
    calls.socket(domain, kind, protocol).unwrap()
}

/// A listener of the kernel, and its address.
pub(crate) fn kernel() -> (TcpListener, SocketAddr) {
    let listener = TcpListener::bind("10.9.0.1:0").unwrap();
    let here = listener.local_addr().unwrap();
    (listener, here)
}

/// Waits as a program does until a socket is ready for one of `events`.
pub(crate) fn wait(calls: &dyn Sockets, id: Id, events: Ready) -> Ready {
    calls.sleeps();
    let mut ready = calls.arm(id, events);
    while ready.is_empty() {
        let long = Timespec { tv_sec: 30, tv_nsec: 0 };
        let mut bell = [PollFd::from_borrowed_fd(calls.bell(), PollFlags::IN)];
        assert_ne!(poll(&mut bell, Some(&long)).unwrap(), 0, "the bell did not ring");
        calls.silence();
        ready = calls.ready(id).only(events | Ready::ERR | Ready::HUP);
    }
    calls.disarm(id);
    calls.wakes();
    ready
}

/// Connects, and waits until it has come to something.
pub(crate) fn connect(calls: &dyn Sockets, id: Id, peer: SocketAddr) -> Result<(), Errno> {
    match calls.connect(id, peer) {
        Err(Errno::EINPROGRESS) => {}
        done => return done,
    }
    wait(calls, id, Ready::OUT);
    match error_of(calls, id) {
        0 => Ok(()),
        number => Err(Errno(number)),
    }
}

/// A connection to the kernel.
pub(crate) fn connected_to(calls: &dyn Sockets, here: SocketAddr) -> Id {
    let socket = open(calls, TCP);
    connect(calls, socket, here).unwrap();
    socket
}

/// A connection to a listener of the kernel.
pub(crate) fn connected(calls: &dyn Sockets) -> (Id, std::net::TcpStream, SocketAddr) {
    let (listener, here) = kernel();
    let socket = connected_to(calls, here);
    let (theirs, _) = listener.accept().unwrap();
    (socket, theirs, here)
}

pub(crate) fn error_of(calls: &dyn Sockets, id: Id) -> i32 {
    let mut value = [0; 4];
    assert_eq!(calls.option(id, SO_ERROR.0, SO_ERROR.1, &mut value), Ok(4));
    i32::from_ne_bytes(value)
}

/// Receives until there are so many octets.
pub(crate) fn receive(calls: &dyn Sockets, id: Id, len: usize) -> Vec<u8> {
    let mut out = vec![0; len];
    let mut done = 0;
    while done < len {
        wait(calls, id, Ready::IN);
        // Another program may have been faster.
        let got = match calls.recv(id, &mut out[done..], 0) {
            Err(Errno::EAGAIN) => continue,
            got => got.unwrap(),
        };
        assert!(got.len > 0, "it ends after {done}");
        done += got.len;
    }
    out
}
