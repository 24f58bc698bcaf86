//! Sockets by number: each call's error numbers, with the kernel's sockets at the other end.

use millstream::plan::{Interface, Line, Plan};
use millstream::{Errno, PollEvents, SocketId, Sockets, Stack};
use millstream_drivers::netns::Netns;
use std::io::{Read, Write};
use std::net::SocketAddr;
use std::time::{Duration, Instant};

const TCP: (i32, i32, i32) = (2, 1, 0);
const UDP: (i32, i32, i32) = (2, 2, 0);
const NONBLOCK: i32 = 0o4000;
const PEEK: i32 = 2;
const DONTWAIT: i32 = 0x40;
const WAITALL: i32 = 0x100;
const LONG: Duration = Duration::from_secs(30);

/// Sockets on a stack in a namespace of its own; a reason on stderr without the rights.
fn with_sockets(name: &str, test: impl FnOnce(&Sockets) + Send) {
    let netns = match Netns::new() {
        Ok(netns) => netns,
        Err(why) => return eprintln!("skipped: {name}: {why}"),
    };
    let run = || {
        let host = vec!["10.9.0.1/24".parse().unwrap()];
        let line = Line::Tap { name: "mill0".into(), host, plain: false };
        let addresses = vec!["10.9.0.2/24".parse().unwrap()];
        let interfaces = vec![Interface { line, addresses }];
        match Stack::start(Plan { interfaces, ..Plan::default() }) {
            Ok(stack) => test(&Sockets::new(&stack)),
            Err(why) => eprintln!("skipped: {name}: {why}"),
        }
    };
    netns.run(run).unwrap();
}

fn at(text: &str) -> SocketAddr {
    text.parse().unwrap()
}

fn open(sockets: &Sockets, (domain, kind, protocol): (i32, i32, i32)) -> SocketId {
    sockets.socket(domain, kind, protocol).unwrap()
}

/// A listener of the kernel, and its address.
fn kernel() -> (std::net::TcpListener, SocketAddr) {
    let listener = std::net::TcpListener::bind("10.9.0.1:0").unwrap();
    let here = listener.local_addr().unwrap();
    (listener, here)
}

/// Waits until a socket has one of the events.
fn wait(sockets: &Sockets, id: SocketId, asked: PollEvents) {
    let end = Instant::now() + LONG;
    while sockets.poll(id, asked).unwrap() == PollEvents::default() {
        assert!(Instant::now() < end, "no event in {LONG:?}");
        std::thread::yield_now();
    }
}

#[test]
fn kinds_that_there_are_not_have_their_errors() {
    with_sockets("socket", |sockets| {
        assert_eq!(sockets.socket(10, 1, 0), Err(Errno::EAFNOSUPPORT));
        assert_eq!(sockets.socket(2, 3, 0), Err(Errno::ESOCKTNOSUPPORT));
        assert_eq!(sockets.socket(2, 1, 17), Err(Errno::EPROTONOSUPPORT));
        let stale = open(sockets, TCP);
        sockets.close(stale).unwrap();
        assert_eq!(sockets.close(stale), Err(Errno::EBADF));
        assert_eq!(sockets.recv(stale, &mut [0], 0), Err(Errno::EBADF));
    });
}

#[test]
fn calls_on_a_socket_without_a_connection_have_their_errors() {
    with_sockets("unconnected", |sockets| {
        let socket = open(sockets, TCP);
        assert_eq!(sockets.recv(socket, &mut [0], 0), Err(Errno::ENOTCONN));
        assert_eq!(sockets.send(socket, b"x", 0, None), Err(Errno::EPIPE));
        assert_eq!(sockets.peer_addr(socket), Err(Errno::ENOTCONN));
        assert_eq!(sockets.shutdown(socket, 1), Err(Errno::ENOTCONN));
        assert_eq!(sockets.shutdown(socket, 9), Err(Errno::EINVAL));
        assert_eq!(sockets.accept(socket, false).map(|_| ()), Err(Errno::EINVAL));
        assert_eq!(sockets.bind(socket, at("10.9.0.77:1")), Err(Errno::EADDRNOTAVAIL));
        sockets.bind(socket, at("10.9.0.2:5000")).unwrap();
        assert_eq!(sockets.bind(socket, at("10.9.0.2:5001")), Err(Errno::EINVAL));
        assert_eq!(sockets.local_addr(socket), Ok(at("10.9.0.2:5000")));
        let other = open(sockets, TCP);
        assert_eq!(sockets.bind(other, at("10.9.0.2:5000")), Err(Errno::EADDRINUSE));
        assert_eq!(sockets.set_option(socket, 6, 9999, &[0; 4]), Err(Errno::ENOPROTOOPT));
        assert_eq!(sockets.set_option(socket, 0, 2, &999_i32.to_ne_bytes()), Err(Errno::EINVAL));
    });
}

#[test]
fn connecting_ends_in_a_connection_or_a_refusal() {
    with_sockets("connect", |sockets| {
        let (listener, here) = kernel();
        let socket = open(sockets, TCP);
        sockets.connect(socket, here).unwrap();
        let (mut theirs, _) = listener.accept().unwrap();
        assert_eq!(sockets.connect(socket, here), Err(Errno::EISCONN));
        assert_eq!(sockets.peer_addr(socket), Ok(here));
        assert_eq!(sockets.recv(socket, &mut [0], DONTWAIT), Err(Errno::EAGAIN));
        assert_eq!(sockets.send(socket, b"question", 0, None), Ok(8));
        let mut question = [0; 8];
        theirs.read_exact(&mut question).unwrap();
        theirs.write_all(b"ans").unwrap();
        let mut answer = [0; 6];
        assert_eq!(sockets.recv(socket, &mut answer, PEEK), Ok((3, None)));
        theirs.write_all(b"wer").unwrap();
        assert_eq!(sockets.recv(socket, &mut answer, WAITALL), Ok((6, None)));
        assert_eq!(&answer, b"answer");
        drop(theirs);
        assert_eq!(sockets.recv(socket, &mut answer, 0), Ok((0, None)));
        drop(listener);
        let refused = open(sockets, TCP);
        assert_eq!(sockets.connect(refused, here), Err(Errno::ECONNREFUSED));
    });
}

#[test]
fn connecting_without_waiting_is_told_by_poll_and_by_so_error() {
    with_sockets("nonblocking connect", |sockets| {
        let (listener, here) = kernel();
        let socket = open(sockets, (2, 1 | NONBLOCK, 0));
        match sockets.connect(socket, here) {
            Ok(()) | Err(Errno::EINPROGRESS) => {}
            other => panic!("{other:?}"),
        }
        wait(sockets, socket, PollEvents::WRITE);
        assert_eq!(sockets.option(socket, 1, 4).unwrap(), 0_i32.to_ne_bytes());
        assert_eq!(sockets.connect(socket, here), Err(Errno::EISCONN));
        drop(listener);
        let refused = open(sockets, (2, 1 | NONBLOCK, 0));
        match sockets.connect(refused, here) {
            Err(Errno::ECONNREFUSED) => return,
            Err(Errno::EINPROGRESS) => {}
            other => panic!("{other:?}"),
        }
        wait(sockets, refused, PollEvents::WRITE);
        let error = sockets.option(refused, 1, 4).unwrap();
        assert_eq!(error, Errno::ECONNREFUSED.0.to_ne_bytes());
    });
}

#[test]
fn a_bound_socket_listens_and_accepts() {
    with_sockets("listen", |sockets| {
        let listener = open(sockets, (2, 1 | NONBLOCK, 0));
        sockets.bind(listener, at("10.9.0.2:6000")).unwrap();
        sockets.listen(listener, 5).unwrap();
        sockets.listen(listener, 5).unwrap();
        assert_eq!(sockets.accept(listener, false).map(|_| ()), Err(Errno::EAGAIN));
        assert_eq!(sockets.connect(listener, at("10.9.0.1:1")), Err(Errno::EISCONN));
        let mut theirs = std::net::TcpStream::connect("10.9.0.2:6000").unwrap();
        wait(sockets, listener, PollEvents::READ);
        let (socket, peer) = sockets.accept(listener, false).unwrap();
        assert_eq!(peer, theirs.local_addr().unwrap());
        theirs.write_all(b"hello").unwrap();
        let mut got = [0; 5];
        assert_eq!(sockets.recv(socket, &mut got, WAITALL), Ok((5, None)));
        sockets.shutdown(socket, 1).unwrap();
        assert_eq!(theirs.read(&mut got).unwrap(), 0);
        assert_eq!(sockets.send(socket, b"x", 0, None), Err(Errno::EPIPE));
        assert_eq!(sockets.listen(socket, 1), Err(Errno::EINVAL));
    });
}

#[test]
fn data_that_came_before_a_reset_are_read_before_its_error() {
    with_sockets("reset behind data", |sockets| {
        let (listener, here) = kernel();
        let socket = open(sockets, TCP);
        sockets.connect(socket, here).unwrap();
        let (mut theirs, _) = listener.accept().unwrap();
        let sent: Vec<u8> = (0..300_000_u32).map(|n| n as u8).collect();
        // More than the stream head queues unless it is told.
        sockets.set_option(socket, 1, 8, &1_000_000_i32.to_ne_bytes()).unwrap();
        assert_eq!(sockets.send(socket, b"never read", 0, None), Ok(10));
        theirs.write_all(&sent).unwrap();
        let end = Instant::now() + LONG;
        let came = || {
            let info = sockets.option(socket, 6, 11).unwrap();
            u64::from_ne_bytes(info[128..136].try_into().unwrap())
        };
        while came() < sent.len() as u64 {
            assert!(Instant::now() < end, "{} octets came", came());
        }
        // The kernel resets, since it has not read all.
        drop(theirs);
        let mut got = Vec::new();
        let mut piece = vec![0; 10_000];
        let error = loop {
            match sockets.recv(socket, &mut piece, 0) {
                Ok((0, _)) => panic!("an end, and no error, after {}", got.len()),
                Ok((n, _)) => got.extend_from_slice(&piece[..n]),
                Err(error) => break error,
            }
        };
        assert!(got == sent, "{} octets", got.len());
        assert_eq!(error, Errno::ECONNRESET);
        assert_eq!(sockets.recv(socket, &mut piece, 0), Ok((0, None)));
        assert_eq!(sockets.send(socket, b"x", 0, None), Err(Errno::EPIPE));
    });
}

#[test]
fn a_write_behind_a_reset_fails_though_data_wait_to_be_read() {
    // Fewer than the stream head queues unless it is told, and more.
    for len in [1000, 300_000_u32] {
        with_sockets("write behind reset", |sockets| {
            let (listener, here) = kernel();
            let socket = open(sockets, TCP);
            sockets.connect(socket, here).unwrap();
            let (mut theirs, _) = listener.accept().unwrap();
            let sent: Vec<u8> = (0..len).map(|n| n as u8).collect();
            sockets.set_option(socket, 1, 8, &1_000_000_i32.to_ne_bytes()).unwrap();
            assert_eq!(sockets.send(socket, b"never read", 0, None), Ok(10));
            theirs.write_all(&sent).unwrap();
            let mut byte = [0];
            while theirs.peek(&mut byte).unwrap() == 0 {}
            let end = Instant::now() + LONG;
            let info = |at: usize| {
                let info = sockets.option(socket, 6, 11).unwrap();
                u64::from_ne_bytes(info[at..at + 8].try_into().unwrap())
            };
            while info(128) < sent.len() as u64 {
                assert!(Instant::now() < end, "{} octets came", info(128));
            }
            // The kernel resets, since it has not read all.
            drop(theirs);
            let error = loop {
                assert!(Instant::now() < end, "the reset is not told");
                match sockets.send(socket, b"x", DONTWAIT, None) {
                    Ok(_) | Err(Errno::EAGAIN) => {}
                    Err(error) => break error,
                }
            };
            assert_eq!(error, Errno::ECONNRESET);
            assert_eq!(sockets.send(socket, b"x", 0, None), Err(Errno::EPIPE));
            let mut got = vec![0; sent.len()];
            let mut at = 0;
            while at < got.len() {
                at += sockets.recv(socket, &mut got[at..], 0).unwrap().0;
            }
            assert!(got == sent);
            assert_eq!(sockets.recv(socket, &mut byte, 0), Ok((0, None)), "told once");
        });
    }
}

#[test]
fn datagrams_are_bound_by_their_first_use() {
    with_sockets("datagrams", |sockets| {
        let kernel = std::net::UdpSocket::bind("10.9.0.1:0").unwrap();
        kernel.set_read_timeout(Some(LONG)).unwrap();
        let here = kernel.local_addr().unwrap();
        let socket = open(sockets, UDP);
        assert_eq!(sockets.send(socket, b"x", 0, None), Err(Errno::EDESTADDRREQ));
        assert_eq!(sockets.listen(socket, 1), Err(Errno::EOPNOTSUPP));
        assert_eq!(sockets.send(socket, b"hello", 0, Some(here)), Ok(5));
        let mut got = [0; 9];
        let (n, from) = kernel.recv_from(&mut got).unwrap();
        assert_eq!(&got[..n], b"hello");
        kernel.send_to(b"back", from).unwrap();
        assert_eq!(sockets.recv(socket, &mut got, 0), Ok((4, Some(here))));
        assert_eq!(sockets.send(socket, &[0; 66_000], 0, Some(here)), Err(Errno::EMSGSIZE));
        assert_eq!(sockets.recv(socket, &mut got, DONTWAIT), Err(Errno::EAGAIN));
    });
}
