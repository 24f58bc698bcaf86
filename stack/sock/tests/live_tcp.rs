//! Applications' TCP on a stack behind a TAP, with the kernel's sockets at the other end.

use millstream::plan::{Interface, Line, Plan};
use millstream::{Stack, TcpListener, TcpStream};
use millstream_drivers::netns::Netns;
use millstream_modules::count::Count;
use std::io::{ErrorKind, Read, Write};
use std::net::{Shutdown, SocketAddr};
use std::time::Duration;

const OURS: &str = "10.9.0.2:7000";
const KERNEL: &str = "10.9.0.1:0";
/// Far above what anything here takes, also on a loaded machine.
const LONG: Duration = Duration::from_secs(30);

/// A stack in a namespace of its own; a reason on stderr without the rights.
fn with_stack(name: &str, test: impl FnOnce(&Stack) + Send) {
    let netns = match Netns::new() {
        Ok(netns) => netns,
        Err(why) => return eprintln!("skipped: {name}: {why}"),
    };
    let run = || {
        let host = vec!["10.9.0.1/24".parse().unwrap()];
        let line = Line::Tap { name: "mill0".into(), host, plain: false };
        let addresses = vec!["10.9.0.2/24".parse().unwrap()];
        let interfaces = vec![Interface { line, addresses }];
        let services = vec!["echo".to_owned()];
        match Stack::start(Plan { interfaces, services, ..Plan::default() }) {
            Ok(stack) => test(&stack),
            Err(why) => eprintln!("skipped: {name}: {why}"),
        }
    };
    netns.run(run).unwrap();
}

/// A connection: our end, and the kernel's.
fn pair(stack: &Stack) -> (TcpStream, std::net::TcpStream) {
    let listener = TcpListener::bind(stack, OURS.parse().unwrap()).unwrap();
    let theirs = std::net::TcpStream::connect(OURS).unwrap();
    let (ours, peer) = listener.accept().unwrap();
    assert_eq!(peer, theirs.local_addr().unwrap());
    assert_eq!(ours.local_addr().unwrap(), theirs.peer_addr().unwrap());
    ours.set_read_timeout(Some(LONG)).unwrap();
    theirs.set_read_timeout(Some(LONG)).unwrap();
    (ours, theirs)
}

fn pattern(len: usize) -> Vec<u8> {
    (0..len).map(|at| (at * 7 + at / 251) as u8).collect()
}

#[test]
fn megabytes_cross_both_ways_at_once_and_unchanged() {
    with_stack("both ways", |stack| {
        let (ours, mut theirs) = pair(stack);
        let data = pattern(8 << 20);
        let mut sender = theirs.try_clone().unwrap();
        std::thread::scope(|scope| {
            scope.spawn(|| {
                sender.write_all(&data).unwrap();
                sender.shutdown(Shutdown::Write).unwrap();
            });
            scope.spawn(|| {
                (&ours).write_all(&data).unwrap();
                ours.shutdown(Shutdown::Write).unwrap();
            });
            scope.spawn(|| {
                let mut got = Vec::new();
                theirs.read_to_end(&mut got).unwrap();
                assert!(got == data, "what the kernel got of {} octets", got.len());
            });
            let mut got = Vec::new();
            (&ours).read_to_end(&mut got).unwrap();
            assert!(got == data, "what we got of {} octets", got.len());
        });
    });
}

#[test]
fn connecting_reaches_a_listener_of_the_kernel_and_is_refused_without_one() {
    with_stack("connect", |stack| {
        let listener = std::net::TcpListener::bind(KERNEL).unwrap();
        let there = listener.local_addr().unwrap();
        let mut ours = TcpStream::connect(stack, there).unwrap();
        let (mut theirs, peer) = listener.accept().unwrap();
        assert_eq!(peer, ours.local_addr().unwrap());
        ours.write_all(b"hello").unwrap();
        let mut got = [0; 5];
        theirs.read_exact(&mut got).unwrap();
        assert_eq!(&got, b"hello");
        drop(listener);
        let refused = TcpStream::connect(stack, there).unwrap_err();
        assert_eq!(refused.kind(), ErrorKind::ConnectionRefused);
    });
}

#[test]
fn each_direction_ends_by_itself() {
    with_stack("half-close", |stack| {
        let (mut ours, mut theirs) = pair(stack);
        theirs.write_all(b"question").unwrap();
        theirs.shutdown(Shutdown::Write).unwrap();
        let mut question = String::new();
        ours.read_to_string(&mut question).unwrap();
        assert_eq!(question, "question");
        ours.write_all(b"answer").unwrap();
        ours.shutdown(Shutdown::Write).unwrap();
        let mut answer = String::new();
        theirs.read_to_string(&mut answer).unwrap();
        assert_eq!(answer, "answer");
        let after = ours.write(b"more").unwrap_err();
        assert_eq!(after.kind(), ErrorKind::BrokenPipe);
    });
}

#[test]
fn a_reset_is_told_once_and_then_the_stream_is_at_its_end() {
    with_stack("reset", |stack| {
        let (mut ours, theirs) = pair(stack);
        // Unread data make the kernel reset at close.
        ours.write_all(b"never read").unwrap();
        let mut byte = [0];
        while theirs.peek(&mut byte).unwrap() == 0 {}
        drop(theirs);
        let told = ours.read(&mut byte).unwrap_err();
        assert_eq!(told.kind(), ErrorKind::ConnectionReset);
        assert_eq!(ours.read(&mut byte).unwrap(), 0);
        assert_eq!(ours.write(b"x").unwrap_err().kind(), ErrorKind::BrokenPipe);
    });
}

#[test]
fn an_end_that_was_not_read_is_no_unread_data() {
    with_stack("unread end", |stack| {
        let (ours, mut theirs) = pair(stack);
        theirs.shutdown(Shutdown::Write).unwrap();
        // The word of it is at the head, and nobody reads it.
        let end = std::time::Instant::now() + LONG;
        while ours.stream().waiting().unwrap().messages == 0 {
            assert!(std::time::Instant::now() < end, "no word in {LONG:?}");
            std::thread::yield_now();
        }
        drop(ours);
        assert_eq!(theirs.read(&mut [0]).unwrap(), 0, "an end, and no reset");
    });
}

#[test]
fn reading_waits_as_long_as_it_is_told() {
    with_stack("time-outs", |stack| {
        let (mut ours, mut theirs) = pair(stack);
        let mut byte = [0];
        ours.set_read_timeout(Some(Duration::from_millis(20))).unwrap();
        assert_eq!(ours.read(&mut byte).unwrap_err().kind(), ErrorKind::WouldBlock);
        ours.set_nonblocking(true).unwrap();
        assert_eq!(ours.read(&mut byte).unwrap_err().kind(), ErrorKind::WouldBlock);
        assert!(ours.set_read_timeout(Some(Duration::ZERO)).is_err());
        ours.set_nonblocking(false).unwrap();
        ours.set_read_timeout(Some(LONG)).unwrap();
        theirs.write_all(b"x").unwrap();
        assert_eq!(ours.peek(&mut byte).unwrap(), 1);
        assert_eq!(ours.read(&mut byte).unwrap(), 1);
    });
}

#[test]
fn owned_messages_go_both_ways() {
    with_stack("owned", |stack| {
        let (ours, mut theirs) = pair(stack);
        let data = pattern(60_000);
        ours.send_msg(ours.stream().copy(&data).unwrap()).unwrap();
        let mut got = vec![0; data.len()];
        theirs.read_exact(&mut got).unwrap();
        assert!(got == data);
        theirs.write_all(&data).unwrap();
        let mut received: Vec<u8> = Vec::new();
        while received.len() < data.len() {
            let msg = ours.recv_msg().unwrap().expect("the peer has not ended");
            received.extend(msg.cursor().chunks().flatten());
        }
        assert!(received == data);
    });
}

#[test]
fn a_module_can_be_pushed_and_popped_while_data_flow() {
    with_stack("push", |stack| {
        let (ours, mut theirs) = pair(stack);
        let data = pattern(4 << 20);
        let mut sender = theirs.try_clone().unwrap();
        std::thread::scope(|scope| {
            scope.spawn(|| {
                sender.write_all(&data).unwrap();
                sender.shutdown(Shutdown::Write).unwrap();
            });
            scope.spawn(|| {
                for _ in 0..50 {
                    ours.stream().push(Box::new(Count::default())).unwrap();
                    ours.stream().pop().unwrap();
                }
            });
            let mut got = Vec::new();
            (&ours).read_to_end(&mut got).unwrap();
            assert!(got == data, "{} octets", got.len());
        });
        ours.shutdown(Shutdown::Write).unwrap();
        assert_eq!(theirs.read(&mut [0]).unwrap(), 0);
    });
}

#[test]
fn options_are_kept_and_bad_ones_refused() {
    with_stack("options", |stack| {
        let (ours, _theirs) = pair(stack);
        assert!(!ours.nodelay().unwrap());
        ours.set_nodelay(true).unwrap();
        assert!(ours.nodelay().unwrap());
        ours.set_ttl(7).unwrap();
        assert_eq!(ours.ttl().unwrap(), 7);
        assert_eq!(ours.set_ttl(256).unwrap_err().kind(), ErrorKind::InvalidInput);
        assert_eq!(ours.congestion().unwrap(), "cubic");
        ours.set_congestion("reno").unwrap();
        assert_eq!(ours.congestion().unwrap(), "reno");
        assert!(ours.set_congestion("none of these").is_err());
        assert!(ours.take_error().unwrap().is_none());
    });
}

#[test]
fn a_hundred_clients_at_once_are_served() {
    with_stack("many", |stack| {
        let listener = TcpListener::bind(stack, OURS.parse().unwrap()).unwrap();
        let here: SocketAddr = OURS.parse().unwrap();
        std::thread::scope(|scope| {
            scope.spawn(|| {
                for _ in 0..100 {
                    let (mut stream, _) = listener.accept().unwrap();
                    let mut byte = [0];
                    stream.read_exact(&mut byte).unwrap();
                    stream.write_all(&byte).unwrap();
                }
            });
            for round in 0..10 {
                let clients: Vec<_> = (0..10)
                    .map(|_| std::net::TcpStream::connect(here).expect("the listener takes us"))
                    .collect();
                for (n, mut client) in clients.into_iter().enumerate() {
                    let asked = (round * 10 + n) as u8;
                    client.write_all(&[asked]).unwrap();
                    let mut got = [0];
                    client.read_exact(&mut got).unwrap();
                    assert_eq!(got[0], asked);
                }
            }
        });
    });
}
