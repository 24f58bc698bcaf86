//! Programs that wait with poll(2) for streams and sockets, on two stacks over a pair.

use millstream::plan::{Interface, Line, Plan};
use millstream::{PollEvents, Priority, Stack, UdpSocket, pipe};
use millstream_drivers::{PairEnd, pair};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use std::io::{self, Read};
use std::os::fd::BorrowedFd;
use std::time::Duration;

const BAND_0: Priority = Priority::Band(0);

/// No test waits longer than this for a state.
const LONG: Duration = Duration::from_secs(20);

fn start(end: PairEnd, address: &str) -> Stack {
    let line = Line::Pair("pair0".into(), end);
    let interface = Interface { line, addresses: vec![address.parse().unwrap()] };
    Stack::start(Plan { interfaces: vec![interface], ..Plan::default() }).unwrap()
}

fn two_stacks() -> [Stack; 2] {
    let (a, b) = pair(1500, [[2, 0, 0, 0, 0, 1], [2, 0, 0, 0, 0, 2]]);
    [start(a, "10.9.0.1/24"), start(b, "10.9.0.2/24")]
}

fn readable(fd: BorrowedFd<'_>, wait: Duration) -> bool {
    let wait = Timespec { tv_sec: wait.as_secs() as i64, tv_nsec: 0 };
    let mut fds = [PollFd::from_borrowed_fd(fd, PollFlags::IN)];
    poll(&mut fds, Some(&wait)).unwrap() == 1
}

fn now(fd: BorrowedFd<'_>) -> bool {
    readable(fd, Duration::ZERO)
}

#[test]
fn a_socket_polls_readable_while_datagrams_are_there() {
    let [near, far] = two_stacks();
    let from = UdpSocket::bind(&near, "10.9.0.1:1000".parse().unwrap()).unwrap();
    let to = UdpSocket::bind(&far, "10.9.0.2:2000".parse().unwrap()).unwrap();
    to.set_nonblocking(true);
    let fd = to.ready_fd().unwrap();
    assert!(!now(fd));
    for n in 0..3_u8 {
        from.send_to(&[n], to.local_addr()).unwrap();
    }
    let mut buf = [0; 8];
    for n in 0..3_u8 {
        let got = loop {
            assert!(readable(fd, LONG), "datagram {n} does not show");
            match to.recv_from(&mut buf) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                got => break got.unwrap(),
            }
        };
        assert_eq!((got, buf[0]), ((1, from.local_addr()), n));
    }
    assert_eq!(to.recv_from(&mut buf).unwrap_err().kind(), io::ErrorKind::WouldBlock);
    assert!(!now(fd), "nothing is left");
}

#[test]
fn datagrams_wait_where_they_are_while_a_socket_asks_for_something() {
    let [near, far] = two_stacks();
    let from = UdpSocket::bind(&near, "10.9.0.1:1000".parse().unwrap()).unwrap();
    let to = UdpSocket::bind(&far, "10.9.0.2:2000".parse().unwrap()).unwrap();
    let fd = to.ready_fd().unwrap();
    from.send_to(b"first", to.local_addr()).unwrap();
    assert!(readable(fd, LONG));
    to.connect(from.local_addr()).unwrap();
    to.set_broadcast(true).unwrap();
    assert!(now(fd));
    from.send_to(b"second", to.local_addr()).unwrap();
    let mut buf = [0; 8];
    assert_eq!(to.recv(&mut buf).unwrap(), 5);
    assert_eq!(to.recv(&mut buf).unwrap(), 6);
    assert_eq!(to.set_ttl(300).unwrap_err().kind(), io::ErrorKind::InvalidInput);
}

#[test]
fn a_writer_waits_for_room_and_a_reader_for_the_end() {
    let stack = Stack::start(Plan::default()).unwrap();
    let (writer, reader) = pipe(&stack).unwrap();
    writer.set_nonblocking(true);
    let room = writer.ready_fd(PollEvents::OUT).unwrap();
    assert!(now(room));
    let sent = writer.write(&vec![0; 8 << 20]).unwrap();
    assert!(!now(room), "{sent} bytes fill it");
    let end = reader.ready_fd(PollEvents::READ).unwrap();
    assert!(now(end));
    (&reader).read_exact(&mut vec![0; sent]).unwrap();
    assert!(readable(room, LONG) && !now(end));
    // The same descriptor stands for something else from now on.
    assert!(!now(writer.ready_fd(PollEvents::READ).unwrap()));
    drop(writer);
    assert!(readable(end, LONG));
    assert_eq!(reader.read(&mut [0; 8]).unwrap(), 0);
}

#[test]
fn a_stack_that_stops_wakes_those_who_poll() {
    let stack = Stack::start(Plan::default()).unwrap();
    let (_writer, reader) = pipe(&stack).unwrap();
    let fd = reader.ready_fd(PollEvents::READ).unwrap();
    assert!(!now(fd));
    drop(stack);
    assert!(readable(fd, LONG));
    assert!(reader.putmsg(None, Some(b"x"), BAND_0).is_err());
}
