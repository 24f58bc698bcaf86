//! Applications' UDP on a stack behind a TAP, with the kernel at the other end.

use millstream::plan::{Interface, Line, Plan};
use millstream::{Stack, UdpSocket};
use millstream_drivers::netns::Netns;
use std::io::ErrorKind;
use std::net::SocketAddr;
use std::time::Duration;

const OURS: &str = "10.9.0.2:7000";

/// A stack on a TAP in a namespace of its own; false and a reason on stderr without the rights.
fn with_stack(name: &str, plain: bool, test: impl FnOnce(&Stack) + Send) {
    let netns = match Netns::new() {
        Ok(netns) => netns,
        Err(why) => return eprintln!("skipped: {name}: {why}"),
    };
    netns
        .run(|| {
            let host = vec!["10.9.0.1/24".parse().unwrap()];
            let line = Line::Tap { name: "tap0".into(), host, plain };
            let tap = Interface { line, addresses: vec!["10.9.0.2/24".parse().unwrap()] };
            let plan = Plan { interfaces: vec![tap], ..Plan::default() };
            match Stack::start(plan) {
                Ok(stack) => test(&stack),
                Err(why) => eprintln!("skipped: {name}: {why}"),
            }
        })
        .unwrap();
}

fn kernel_socket() -> std::net::UdpSocket {
    let socket = std::net::UdpSocket::bind("10.9.0.1:0").unwrap();
    socket.set_read_timeout(Some(Duration::from_secs(5))).unwrap();
    socket
}

fn echo_with_the_kernel(stack: &Stack) {
    let ours = UdpSocket::bind(stack, OURS.parse().unwrap()).unwrap();
    ours.set_read_timeout(Some(Duration::from_secs(5)));
    let theirs = kernel_socket();
    for len in [0, 1, 64, 1472, 1473, 9000, 60_000] {
        let sent: Vec<u8> = (0..len).map(|i| (i * 7) as u8).collect();
        theirs.send_to(&sent, OURS).unwrap();
        let mut buf = vec![0; 65_536];
        let (n, from) = ours.recv_from(&mut buf).unwrap();
        assert_eq!((&buf[..n], from), (&sent[..], theirs.local_addr().unwrap()), "{len} in");
        ours.send_to(&buf[..n], from).unwrap();
        let (n, from) = theirs.recv_from(&mut buf).unwrap();
        let expected: SocketAddr = OURS.parse().unwrap();
        assert_eq!((&buf[..n], from), (&sent[..], expected), "{len} out");
    }
}

#[test]
fn datagrams_of_all_sizes_cross_in_both_directions() {
    with_stack("datagrams_of_all_sizes_cross_in_both_directions", false, echo_with_the_kernel);
}

#[test]
fn datagrams_of_all_sizes_cross_a_tap_without_offloads() {
    with_stack("datagrams_of_all_sizes_cross_a_tap_without_offloads", true, echo_with_the_kernel);
}

#[test]
fn a_closed_port_refuses_on_both_sides() {
    with_stack("a_closed_port_refuses_on_both_sides", false, |stack| {
        let theirs = kernel_socket();
        theirs.connect("10.9.0.2:9999").unwrap();
        theirs.send(b"anybody?").unwrap();
        let error = theirs.recv(&mut [0; 16]).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::ConnectionRefused);

        let ours = UdpSocket::bind(stack, OURS.parse().unwrap()).unwrap();
        ours.set_read_timeout(Some(Duration::from_secs(5)));
        ours.connect("10.9.0.1:9998".parse().unwrap()).unwrap();
        ours.send(b"anybody?").unwrap();
        let error = ours.recv(&mut [0; 16]).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::ConnectionRefused);
    });
}

#[test]
fn an_address_is_bound_once() {
    with_stack("an_address_is_bound_once", false, |stack| {
        let first = UdpSocket::bind(stack, OURS.parse().unwrap()).unwrap();
        let second = UdpSocket::bind(stack, OURS.parse().unwrap());
        assert_eq!(second.unwrap_err().kind(), ErrorKind::AddrInUse);
        drop(first);
        UdpSocket::bind(stack, OURS.parse().unwrap()).unwrap();
    });
}
