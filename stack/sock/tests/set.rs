//! One thread that waits for many streams, and connections taken by it, on two stacks over a pair.

use millstream::plan::{Interface, Line, Plan};
use millstream::{Errno, PollEvents, Priority, Stack, StreamSet, TcpListener, TcpStream, pipe};
use millstream_drivers::{PairEnd, pair};
use std::collections::HashMap;
use std::io::{ErrorKind, Read, Write};
use std::net::SocketAddr;
use std::time::Duration;

const BAND_0: Priority = Priority::Band(0);

/// No test waits longer than this for a state.
const LONG: Option<Duration> = Some(Duration::from_secs(20));

fn start(end: PairEnd, address: &str) -> Stack {
    let line = Line::Pair("pair0".into(), end);
    let interface = Interface { line, addresses: vec![address.parse().unwrap()] };
    Stack::start(Plan { interfaces: vec![interface], ..Plan::default() }).unwrap()
}

fn two_stacks() -> [Stack; 2] {
    let (a, b) = pair(1500, [[2, 0, 0, 0, 0, 1], [2, 0, 0, 0, 0, 2]]);
    [start(a, "10.9.0.1/24"), start(b, "10.9.0.2/24")]
}

fn names(set: &StreamSet, wait: Option<Duration>) -> Vec<u64> {
    let mut ready = Vec::new();
    set.wait(&mut ready, wait).unwrap();
    let mut names: Vec<u64> = ready.iter().map(|(name, _)| *name).collect();
    names.sort_unstable();
    names
}

#[test]
fn a_set_tells_of_those_that_are_ready_until_they_are_not() {
    let stack = Stack::start(Plan::default()).unwrap();
    let pipes: Vec<_> = (0..3).map(|_| pipe(&stack).unwrap()).collect();
    let set = StreamSet::new(&stack).unwrap();
    for (name, (_, reader)) in (0..).zip(&pipes) {
        set.add(reader, name, PollEvents::READ).unwrap();
    }
    assert!(names(&set, Some(Duration::ZERO)).is_empty());
    for at in [0, 2] {
        pipes[at].0.putmsg(None, Some(b"x"), BAND_0).unwrap();
    }
    assert_eq!(names(&set, LONG), [0, 2]);
    assert_eq!(names(&set, LONG), [0, 2], "nobody has read it");
    pipes[0].1.getmsg().unwrap();
    assert_eq!(names(&set, LONG), [2]);
    set.remove(&pipes[2].1).unwrap();
    assert!(names(&set, Some(Duration::ZERO)).is_empty());
}

#[test]
fn a_set_wakes_who_waits_in_it_from_another_thread() {
    let stack = Stack::start(Plan::default()).unwrap();
    let (writer, reader) = pipe(&stack).unwrap();
    let set = StreamSet::new(&stack).unwrap();
    set.add(&reader, 9, PollEvents::READ).unwrap();
    std::thread::scope(|scope| {
        for _ in 0..100 {
            let told = scope.spawn(|| names(&set, LONG));
            writer.putmsg(None, Some(b"x"), BAND_0).unwrap();
            assert_eq!(told.join().unwrap(), [9]);
            reader.getmsg().unwrap();
        }
    });
}

#[test]
fn a_stream_leaves_its_set_when_it_is_closed_and_may_be_in_another() {
    let stack = Stack::start(Plan::default()).unwrap();
    let (writer, reader) = pipe(&stack).unwrap();
    let [one, other] = [(); 2].map(|()| StreamSet::new(&stack).unwrap());
    one.add(&reader, 1, PollEvents::READ).unwrap();
    writer.putmsg(None, Some(b"x"), BAND_0).unwrap();
    other.add(&reader, 2, PollEvents::READ).unwrap();
    assert!(names(&one, Some(Duration::ZERO)).is_empty());
    assert_eq!(names(&other, LONG), [2], "what came before it was added");
    drop(reader);
    assert!(names(&other, Some(Duration::ZERO)).is_empty());
}

#[test]
fn a_set_takes_no_stream_of_another_stack_or_with_rings_and_ends_with_its_stack() {
    let stacks = [(); 2].map(|()| Stack::start(Plan::default()).unwrap());
    let set = StreamSet::new(&stacks[0]).unwrap();
    let (stranger, _other) = pipe(&stacks[1]).unwrap();
    let refused = set.add(&stranger, 0, PollEvents::READ).unwrap_err();
    assert_eq!(refused.raw_os_error(), Some(Errno::EINVAL.0));
    let ahead = stacks[0].open_ahead("udp").unwrap();
    let refused = set.add(&ahead, 0, PollEvents::READ).unwrap_err();
    assert_eq!(refused.raw_os_error(), Some(Errno::EINVAL.0));
    std::thread::scope(|scope| {
        let waits = scope.spawn(|| set.wait(&mut Vec::new(), LONG));
        let [stack, _kept] = stacks;
        drop(stack);
        assert_eq!(waits.join().unwrap().unwrap_err().kind(), ErrorKind::NotConnected);
    });
}

#[test]
fn one_thread_serves_many_connections_in_a_set() {
    const CLIENTS: u64 = 20;
    let [near, far] = two_stacks();
    let at: SocketAddr = "10.9.0.2:80".parse().unwrap();
    let listener = TcpListener::bind(&far, at).unwrap();
    listener.set_nonblocking(true).unwrap();
    let set = StreamSet::new(&far).unwrap();
    set.add(listener.stream(), 0, PollEvents::READ).unwrap();
    std::thread::scope(|scope| {
        let clients: Vec<_> = (0..CLIENTS)
            .map(|n| {
                let near = &near;
                scope.spawn(move || {
                    let mut stream = TcpStream::connect(near, at).unwrap();
                    stream.write_all(&[n as u8; 100]).unwrap();
                    let mut back = [0; 100];
                    stream.read_exact(&mut back).unwrap();
                    assert_eq!(back, [n as u8; 100]);
                })
            })
            .collect();
        let (mut connections, mut ready) = (HashMap::new(), Vec::new());
        let (mut last, mut over, mut data) = (0, 0, [0; 1000]);
        while over < CLIENTS {
            set.wait(&mut ready, LONG).unwrap();
            assert!(!ready.is_empty(), "nothing came; {over} are over");
            for &(name, _) in &ready {
                if name == 0 {
                    while let Ok((stream, peer)) = listener.accept() {
                        assert_eq!(stream.local_addr().unwrap(), at);
                        assert_eq!(stream.peer_addr().unwrap(), peer);
                        last += 1;
                        stream.set_nonblocking(true).unwrap();
                        set.add(stream.stream(), last, PollEvents::READ).unwrap();
                        connections.insert(last, stream);
                    }
                    continue;
                }
                let mut stream: &TcpStream = &connections[&name];
                match stream.read(&mut data) {
                    Ok(0) => {
                        connections.remove(&name);
                        over += 1;
                    }
                    Ok(n) => stream.write_all(&data[..n]).unwrap(),
                    Err(error) => assert_eq!(error.kind(), ErrorKind::WouldBlock),
                }
            }
        }
        clients.into_iter().for_each(|client| client.join().unwrap());
    });
}
