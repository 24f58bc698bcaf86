//! Each call's error numbers, in both ways, with the kernel's sockets at the other end.

use crate::kit::*;
use millstream::Errno;
use millstream::port::{Id, Ready, Sockets};
use std::io::{Read, Write};
use std::time::{Duration, Instant};

const NONBLOCK: i32 = 0o4000;
const LONG: Duration = Duration::from_secs(30);

/// Octets that a connection has received, as TCP_INFO counts them.
fn came(calls: &dyn Sockets, id: Id) -> u64 {
    let mut info = [0; 256];
    assert!(calls.option(id, 6, 11, &mut info).unwrap() >= 136);
    u64::from_ne_bytes(info[128..136].try_into().unwrap())
}

/// Waits for something to read, and reads it; how much.
fn read(calls: &dyn Sockets, id: Id, out: &mut [u8]) -> Result<usize, Errno> {
    wait(calls, id, Ready::IN);
    calls.recv(id, out, 0).map(|got| got.len)
}

#[test]
fn kinds_that_there_are_not_have_their_errors() {
    with_calls("socket", |calls| {
        assert_eq!(calls.socket(10, 1, 0), Err(Errno::EAFNOSUPPORT));
        assert_eq!(calls.socket(2, 3, 0), Err(Errno::ESOCKTNOSUPPORT));
        assert_eq!(calls.socket(2, 1, 17), Err(Errno::EPROTONOSUPPORT));
        let stale = open(calls, (2, 1 | NONBLOCK, 0));
        calls.close(stale).unwrap();
        assert_eq!(calls.close(stale), Err(Errno::EBADF));
        assert_eq!(calls.recv(stale, &mut [0], 0), Err(Errno::EBADF));
    });
}

#[test]
fn calls_on_a_socket_without_a_connection_have_their_errors() {
    with_calls("unconnected", |calls| {
        let socket = open(calls, TCP);
        assert_eq!(calls.recv(socket, &mut [0], 0), Err(Errno::ENOTCONN));
        assert_eq!(calls.send(socket, b"x", 0, None), Err(Errno::EPIPE));
        assert_eq!(calls.peer_addr(socket), Err(Errno::ENOTCONN));
        assert_eq!(calls.shutdown(socket, 1), Err(Errno::ENOTCONN));
        assert_eq!(calls.shutdown(socket, 9), Err(Errno::EINVAL));
        assert_eq!(calls.accept(socket), Err(Errno::EINVAL));
        assert_eq!(calls.bind(socket, at("10.9.0.77:1")), Err(Errno::EADDRNOTAVAIL));
        calls.bind(socket, at("10.9.0.2:5000")).unwrap();
        assert_eq!(calls.bind(socket, at("10.9.0.2:5001")), Err(Errno::EINVAL));
        assert_eq!(calls.local_addr(socket), Ok(at("10.9.0.2:5000")));
        let other = open(calls, TCP);
        assert_eq!(calls.bind(other, at("10.9.0.2:5000")), Err(Errno::EADDRINUSE));
        assert_eq!(calls.set_option(socket, 6, 9999, &[0; 4]), Err(Errno::ENOPROTOOPT));
        assert_eq!(calls.set_option(socket, 0, 2, &999_i32.to_ne_bytes()), Err(Errno::EINVAL));
        // The next one binds there, too.
        for socket in [socket, other] {
            calls.close(socket).unwrap();
        }
        let again = open(calls, TCP);
        assert_eq!(calls.bind(again, at("10.9.0.2:5000")), Ok(()));
        calls.close(again).unwrap();
    });
}

#[test]
fn connecting_ends_in_a_connection_or_a_refusal() {
    with_calls("connect", |calls| {
        let (listener, here) = kernel();
        let socket = connected_to(calls, here);
        let (mut theirs, _) = listener.accept().unwrap();
        // Asked again once it is told that it stands, it says so; then that it does already.
        let again = calls.connect(socket, here);
        assert!(matches!(again, Ok(()) | Err(Errno::EISCONN)), "{again:?}");
        assert_eq!(calls.connect(socket, here), Err(Errno::EISCONN));
        assert_eq!(calls.peer_addr(socket), Ok(here));
        assert_eq!(calls.recv(socket, &mut [0], 0), Err(Errno::EAGAIN));
        assert_eq!(calls.send(socket, b"question", 0, None), Ok(8));
        let mut question = [0; 8];
        theirs.read_exact(&mut question).unwrap();
        theirs.write_all(b"ans").unwrap();
        wait(calls, socket, Ready::IN);
        assert_eq!(calls.recv(socket, &mut [0; 6], PEEK).unwrap().len, 3);
        theirs.write_all(b"wer").unwrap();
        assert_eq!(receive(calls, socket, 6), b"answer");
        drop(theirs);
        assert_eq!(read(calls, socket, &mut [0; 6]), Ok(0));
        drop(listener);
        let refused = open(calls, TCP);
        assert_eq!(connect(calls, refused, here), Err(Errno::ECONNREFUSED));
    });
}

#[test]
fn a_bound_socket_listens_and_accepts() {
    with_calls("listen", |calls| {
        let listener = open(calls, TCP);
        calls.bind(listener, at("10.9.0.2:0")).unwrap();
        let here = calls.local_addr(listener).unwrap();
        calls.listen(listener, 5).unwrap();
        calls.listen(listener, 5).unwrap();
        assert_eq!(calls.accept(listener), Err(Errno::EAGAIN));
        assert_eq!(calls.connect(listener, at("10.9.0.1:1")), Err(Errno::EISCONN));
        let mut theirs = std::net::TcpStream::connect(here).unwrap();
        wait(calls, listener, Ready::IN);
        let (socket, peer) = calls.accept(listener).unwrap();
        assert_eq!(peer, theirs.local_addr().unwrap());
        theirs.write_all(b"hello").unwrap();
        assert_eq!(receive(calls, socket, 5), b"hello");
        calls.shutdown(socket, 1).unwrap();
        assert_eq!(theirs.read(&mut [0; 5]).unwrap(), 0);
        assert_eq!(calls.send(socket, b"x", 0, None), Err(Errno::EPIPE));
        assert_eq!(calls.listen(socket, 1), Err(Errno::EINVAL));
        calls.close(listener).unwrap();
    });
}

#[test]
fn data_that_came_before_a_reset_are_read_before_its_error() {
    with_calls("reset behind data", |calls| {
        let (socket, mut theirs, _) = connected(calls);
        let sent: Vec<u8> = (0..300_000_u32).map(|n| n as u8).collect();
        // More than the stream head queues unless it is told.
        calls.set_option(socket, 1, 8, &1_000_000_i32.to_ne_bytes()).unwrap();
        assert_eq!(calls.send(socket, b"never read", 0, None), Ok(10));
        theirs.write_all(&sent).unwrap();
        let end = Instant::now() + LONG;
        while came(calls, socket) < sent.len() as u64 {
            assert!(Instant::now() < end, "{} octets came", came(calls, socket));
        }
        // The kernel resets, since it has not read all.
        drop(theirs);
        let mut got = Vec::new();
        let mut piece = vec![0; 10_000];
        let error = loop {
            match read(calls, socket, &mut piece) {
                Ok(0) => panic!("an end, and no error, after {}", got.len()),
                Ok(n) => got.extend_from_slice(&piece[..n]),
                Err(error) => break error,
            }
        };
        assert!(got == sent, "{} octets", got.len());
        assert_eq!(error, Errno::ECONNRESET);
        assert_eq!(read(calls, socket, &mut piece), Ok(0));
        assert_eq!(calls.send(socket, b"x", 0, None), Err(Errno::EPIPE));
    });
}

#[test]
fn a_write_behind_a_reset_fails_though_data_wait_to_be_read() {
    // Fewer than the stream head queues unless it is told, and more.
    for len in [1000, 300_000_u32] {
        with_calls("write behind reset", |calls| {
            let (socket, mut theirs, _) = connected(calls);
            let sent: Vec<u8> = (0..len).map(|n| n as u8).collect();
            calls.set_option(socket, 1, 8, &1_000_000_i32.to_ne_bytes()).unwrap();
            assert_eq!(calls.send(socket, b"never read", 0, None), Ok(10));
            theirs.write_all(&sent).unwrap();
            let mut byte = [0];
            while theirs.peek(&mut byte).unwrap() == 0 {}
            let end = Instant::now() + LONG;
            while came(calls, socket) < sent.len() as u64 {
                assert!(Instant::now() < end, "{} octets came", came(calls, socket));
            }
            // The kernel resets, since it has not read all.
            drop(theirs);
            let error = loop {
                assert!(Instant::now() < end, "the reset is not told");
                match calls.send(socket, b"x", 0, None) {
                    Ok(_) | Err(Errno::EAGAIN) => {}
                    Err(error) => break error,
                }
            };
            assert_eq!(error, Errno::ECONNRESET);
            assert_eq!(calls.send(socket, b"x", 0, None), Err(Errno::EPIPE));
            assert!(receive(calls, socket, sent.len()) == sent);
            assert_eq!(read(calls, socket, &mut byte), Ok(0), "told once");
        });
    }
}

#[test]
fn datagrams_are_bound_by_their_first_use() {
    with_calls("datagrams", |calls| {
        let kernel = std::net::UdpSocket::bind("10.9.0.1:0").unwrap();
        kernel.set_read_timeout(Some(LONG)).unwrap();
        let here = kernel.local_addr().unwrap();
        let socket = open(calls, UDP);
        assert_eq!(calls.send(socket, b"x", 0, None), Err(Errno::EDESTADDRREQ));
        assert_eq!(calls.listen(socket, 1), Err(Errno::EOPNOTSUPP));
        assert_eq!(calls.send(socket, b"hello", 0, Some(here)), Ok(5));
        let mut got = [0; 9];
        let (n, from) = kernel.recv_from(&mut got).unwrap();
        assert_eq!(&got[..n], b"hello");
        kernel.send_to(b"back", from).unwrap();
        wait(calls, socket, Ready::IN);
        let back = calls.recv(socket, &mut got, 0).unwrap();
        assert_eq!((back.len, back.from), (4, Some(here)));
        assert_eq!(calls.send(socket, &[0; 66_000], 0, Some(here)), Err(Errno::EMSGSIZE));
        assert_eq!(calls.recv(socket, &mut got, 0), Err(Errno::EAGAIN));
    });
}
