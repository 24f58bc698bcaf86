//! What a program does with sockets and streams, in both ways.

use crate::kit::*;
use millstream::port::Ready;
use millstream::port::streamio::{I_FIND, I_LIST, I_LOOK, I_POP, I_PUSH};
use millstream::{Errno, Priority, Want};
use std::io::{Read, Write};

#[test]
fn an_echo_goes_there_and_back() {
    with_calls("echo", |calls| {
        let (socket, mut theirs, here) = connected(calls);
        assert_eq!(calls.peer_addr(socket), Ok(here));
        assert_eq!(calls.local_addr(socket).unwrap(), theirs.peer_addr().unwrap());
        assert_eq!(calls.recv(socket, &mut [0], 0), Err(Errno::EAGAIN));
        assert_eq!(calls.send(socket, b"question", 0, None), Ok(8));
        let mut question = [0; 8];
        theirs.read_exact(&mut question).unwrap();
        theirs.write_all(b"answer").unwrap();
        wait(calls, socket, Ready::IN);
        let mut peeked = [0; 3];
        assert_eq!(calls.recv(socket, &mut peeked, PEEK).unwrap().len, 3);
        assert_eq!(&peeked, b"ans");
        assert_eq!(receive(calls, socket, 6), b"answer");
        calls.close(socket).unwrap();
        assert_eq!(theirs.read(&mut question).unwrap(), 0);
        assert_eq!(calls.close(socket), Err(Errno::EBADF));
    });
}

#[test]
fn connecting_is_told_by_readiness_by_so_error_and_by_asking_again() {
    with_calls("connect", |calls| {
        let (socket, _theirs, here) = connected(calls);
        assert_eq!(error_of(calls, socket), 0);
        // Whoever asked for it is told once that it stands.
        if calls.connect(socket, here) == Ok(()) {
            assert_eq!(calls.connect(socket, here), Err(Errno::EISCONN));
        }
        let refused = open(calls, TCP);
        assert!(calls.ready(refused).contains(Ready::OUT | Ready::HUP));
        match calls.connect(refused, at("10.9.0.1:1")) {
            Err(Errno::ECONNREFUSED) => {}
            Err(Errno::EINPROGRESS) => {
                assert!(wait(calls, refused, Ready::OUT).contains(Ready::ERR));
                assert_eq!(error_of(calls, refused), Errno::ECONNREFUSED.0);
            }
            other => panic!("{other:?}"),
        }
        assert_eq!(error_of(calls, refused), 0);
        assert_eq!(calls.recv(refused, &mut [0], 0), Err(Errno::ENOTCONN));
        assert_eq!(calls.send(refused, b"x", 0, None), Err(Errno::EPIPE));
    });
}

#[test]
fn a_listener_gives_its_connections_one_by_one() {
    with_calls("listen", |calls| {
        let listener = open(calls, TCP);
        // Of one that was here before, connections may still be about.
        calls.set_option(listener, 1, 2, &1_i32.to_ne_bytes()).unwrap();
        calls.bind(listener, at("10.9.0.2:7000")).unwrap();
        assert_eq!(calls.bind(listener, at("10.9.0.2:7001")), Err(Errno::EINVAL));
        assert_eq!(calls.accept(listener), Err(Errno::EINVAL));
        calls.listen(listener, 16).unwrap();
        assert_eq!(calls.accept(listener), Err(Errno::EAGAIN));
        let before = calls.changes(listener);
        for _ in 0..3 {
            let theirs = std::net::TcpStream::connect("10.9.0.2:7000").unwrap();
            wait(calls, listener, Ready::IN);
            let (socket, peer) = calls.accept(listener).unwrap();
            assert_eq!(peer, theirs.local_addr().unwrap());
            assert_eq!(calls.local_addr(socket), Ok(at("10.9.0.2:7000")));
            calls.close(socket).unwrap();
        }
        assert_ne!(calls.changes(listener), before);
        let other = open(calls, TCP);
        assert_eq!(calls.bind(other, at("10.9.0.2:7000")), Err(Errno::EADDRINUSE));
    });
}

#[test]
fn the_end_of_a_direction_and_a_reset_are_told() {
    with_calls("ends", |calls| {
        let (socket, mut theirs, _) = connected(calls);
        theirs.write_all(b"last").unwrap();
        theirs.shutdown(std::net::Shutdown::Write).unwrap();
        assert_eq!(receive(calls, socket, 4), b"last");
        wait(calls, socket, Ready::RDHUP);
        assert_eq!(calls.recv(socket, &mut [0], 0).unwrap().len, 0);
        assert!(calls.ready(socket).contains(Ready::IN | Ready::OUT));
        calls.shutdown(socket, 1).unwrap();
        wait(calls, socket, Ready::HUP);
        assert_eq!(calls.send(socket, b"x", 0, None), Err(Errno::EPIPE));

        let (socket, theirs, _) = connected(calls);
        let now = nix::libc::linger { l_onoff: 1, l_linger: 0 };
        nix::sys::socket::setsockopt(&theirs, nix::sys::socket::sockopt::Linger, &now).unwrap();
        drop(theirs);
        assert!(wait(calls, socket, Ready::RDHUP).contains(Ready::ERR));
        assert_eq!(calls.recv(socket, &mut [0], 0), Err(Errno::ECONNRESET));
        assert_eq!(calls.recv(socket, &mut [0], 0).unwrap().len, 0);
        assert_eq!(calls.send(socket, b"x", 0, None), Err(Errno::EPIPE));
    });
}

#[test]
fn more_than_there_is_room_for_is_sent_bit_by_bit() {
    with_calls("bulk", |calls| {
        const LEN: usize = 8 << 20;
        let (socket, mut theirs, _) = connected(calls);
        let (begin, begins) = std::sync::mpsc::channel();
        // Nobody reads before there is no room.
        let reader = std::thread::spawn(move || {
            begins.recv().unwrap();
            let mut all = Vec::new();
            theirs.read_to_end(&mut all).unwrap();
            all
        });
        let data: Vec<u8> = (0..LEN).map(|at| (at % 251) as u8).collect();
        let (mut done, mut refused) = (0, 0);
        while done < LEN {
            match calls.send(socket, &data[done..], 0, None) {
                Ok(n) => done += n,
                Err(Errno::EAGAIN) => {
                    refused += 1;
                    let _reads_already = begin.send(());
                    wait(calls, socket, Ready::OUT);
                }
                other => panic!("{other:?}"),
            }
        }
        assert!(refused > 0);
        calls.shutdown(socket, 1).unwrap();
        assert!(reader.join().unwrap() == data, "what came is what was sent");
    });
}

#[test]
fn datagrams_go_to_whom_they_are_sent_and_errors_come_to_who_is_connected() {
    with_calls("udp", |calls| {
        let kernel = std::net::UdpSocket::bind("10.9.0.1:0").unwrap();
        let here = kernel.local_addr().unwrap();
        let socket = open(calls, UDP);
        assert_eq!(calls.send(socket, b"x", 0, None), Err(Errno::EDESTADDRREQ));
        for flags in [0, PEEK] {
            assert_eq!(calls.recv(socket, &mut [0], flags), Err(Errno::EAGAIN));
        }
        assert_eq!(calls.send(socket, b"question", 0, Some(here)), Ok(8));
        let mut buf = [0; 64];
        let (n, peer) = kernel.recv_from(&mut buf).unwrap();
        assert_eq!(&buf[..n], b"question");
        kernel.send_to(b"answer", peer).unwrap();
        wait(calls, socket, Ready::IN);
        let mut out = [0; 3];
        let got = calls.recv(socket, &mut out, PEEK).unwrap();
        assert_eq!((got.len, got.whole, got.from), (3, 6, Some(here)));
        let got = calls.recv(socket, &mut out, 0).unwrap();
        assert_eq!((got.len, got.whole, got.from), (3, 6, Some(here)));
        assert_eq!(calls.send(socket, &[0; 65_508], 0, Some(here)), Err(Errno::EMSGSIZE));

        calls.connect(socket, at("10.9.0.1:9")).unwrap();
        assert_eq!(calls.peer_addr(socket), Ok(at("10.9.0.1:9")));
        calls.send(socket, b"nobody", 0, None).unwrap();
        assert!(wait(calls, socket, Ready::IN).contains(Ready::ERR));
        assert_eq!(calls.recv(socket, &mut out, 0), Err(Errno::ECONNREFUSED));
    });
}

#[test]
fn a_placeholder_leads_back_to_its_socket() {
    with_calls("placeholder", |calls| {
        let socket = open(calls, TCP);
        let (fd, cookie) = calls.placeholder().unwrap();
        assert_eq!(rustix::net::sockopt::socket_cookie(&fd).unwrap(), cookie.0);
        assert_eq!(calls.adopt(cookie), Err(Errno::EBADF));
        calls.tie(socket, cookie).unwrap();
        assert_eq!(calls.tie(socket, cookie), Err(Errno::EINVAL));
        let again = calls.adopt(cookie).unwrap();
        assert!(calls.ready(again).contains(Ready::HUP));
    });
}

#[test]
fn streams_are_changed_by_ioctl_and_speak_in_messages() {
    with_calls("streams", |calls| {
        assert_eq!(calls.open("nothing"), Err(Errno::ENODEV));
        let (one, other) = calls.pipe().unwrap();
        let none = &mut [][..];
        assert_eq!(calls.ioctl(one, I_PUSH, 0, b"count", none), Ok((0, 0)));
        let mut name = [0; 16];
        assert_eq!(calls.ioctl(one, I_LOOK, 0, b"", &mut name), Ok((0, 5)));
        assert_eq!(&name[..5], b"count");
        assert_eq!(calls.ioctl(one, I_LIST, 0, b"", &mut name), Ok((1, 6)));
        assert_eq!(calls.ioctl(one, I_FIND, 0, b"count", none), Ok((1, 0)));
        assert_eq!(calls.ioctl(one, I_PUSH, 0, b"no-such", none), Err(Errno::EINVAL));
        calls.putmsg(one, Some(b"control"), Some(b"data"), Priority::Band(0)).unwrap();
        wait(calls, other, Ready::IN);
        let (mut control, mut data) = ([0; 16], [0; 2]);
        let got = calls.getmsg(other, Want::Any, Some(&mut control), Some(&mut data));
        let got = got.unwrap().unwrap();
        assert_eq!((got.control, got.data, got.more_data), (Some(7), Some(2), true));
        assert_eq!(calls.getmsg(other, Want::High, Some(&mut control), None), Err(Errno::EAGAIN));
        assert_eq!(calls.ioctl(one, I_POP, 0, b"", none), Ok((0, 0)));
        assert_eq!(calls.ioctl(one, I_POP, 0, b"", none), Err(Errno::EINVAL));
        assert_eq!(calls.ioctl(one, 77, 0, b"", none), Err(Errno::EINVAL));
        assert_eq!(calls.recv(one, &mut data, 0), Err(Errno::EOPNOTSUPP));
    });
}
