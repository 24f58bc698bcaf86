//! Applications' UDP on a stack behind a TAP or a raw socket, with the kernel at the other end.

use millstream::plan::{Interface, Line, Plan};
use millstream::{Prefix, Stack, UdpSocket};
use millstream_drivers::KernelPing;
use millstream_drivers::netlink::Netlink;
use millstream_drivers::netns::Netns;
use nix::sys::socket::{setsockopt, sockopt};
use std::io::ErrorKind;
use std::net::SocketAddr;
use std::time::Duration;

const OURS: &str = "10.9.0.2:7000";
const LINK: &str = "mill0";

/// What is between the stack and the kernel.
#[derive(Clone, Copy)]
enum Below {
    Tap,
    PlainTap,
    /// A raw socket on one end of a veth pair; the kernel has the other.
    Raw,
}

/// A stack in a namespace of its own; a reason on stderr without the rights.
fn with_stack(name: &str, below: Below, test: impl FnOnce(&Stack) + Send) {
    let netns = match Netns::new() {
        Ok(netns) => netns,
        Err(why) => return eprintln!("skipped: {name}: {why}"),
    };
    netns
        .run(|| {
            let plan = Plan {
                interfaces: vec![Interface {
                    line: line(below),
                    addresses: vec!["10.9.0.2/24".parse().unwrap()],
                }],
                services: vec!["echo".to_owned()],
                ..Plan::default()
            };
            match Stack::start(plan) {
                Ok(stack) => test(&stack),
                Err(why) => eprintln!("skipped: {name}: {why}"),
            }
        })
        .unwrap();
}

fn line(below: Below) -> Line {
    let kernel: Prefix = "10.9.0.1/24".parse().unwrap();
    let plain = matches!(below, Below::PlainTap);
    match below {
        Below::Tap | Below::PlainTap => Line::Tap { name: LINK.into(), host: vec![kernel], plain },
        Below::Raw => {
            let mut netlink = Netlink::open().unwrap();
            netlink.create_veth(LINK, "kernel0", None).unwrap();
            netlink.set_up(LINK, true).unwrap();
            netlink.replace_address("kernel0", kernel).unwrap();
            netlink.set_up("kernel0", true).unwrap();
            Line::Raw { name: LINK.into(), mac: None, plain }
        }
    }
}

/// Far above what anything here takes, also on a loaded machine.
const LONG: Duration = Duration::from_secs(20);

fn kernel_socket() -> std::net::UdpSocket {
    let socket = std::net::UdpSocket::bind("10.9.0.1:0").unwrap();
    socket.set_read_timeout(Some(LONG)).unwrap();
    socket
}

fn echo_with_the_kernel(stack: &Stack) {
    let ours = UdpSocket::bind(stack, OURS.parse().unwrap()).unwrap();
    ours.set_read_timeout(Some(LONG));
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
    with_stack("datagrams_of_all_sizes_cross_in_both_directions", Below::Tap, echo_with_the_kernel);
}

#[test]
fn datagrams_of_all_sizes_cross_a_tap_without_offloads() {
    with_stack(
        "datagrams_of_all_sizes_cross_a_tap_without_offloads",
        Below::PlainTap,
        echo_with_the_kernel,
    );
}

#[test]
fn datagrams_of_all_sizes_cross_a_raw_socket() {
    with_stack("datagrams_of_all_sizes_cross_a_raw_socket", Below::Raw, echo_with_the_kernel);
}

#[test]
fn the_kernel_pings_a_stack_behind_a_raw_socket() {
    with_stack("the_kernel_pings_a_stack_behind_a_raw_socket", Below::Raw, |_| {
        let mut ping = KernelPing::open().unwrap();
        for payload in [0, 56, 1472, 20_000] {
            let trip = ping.ping("10.9.0.2".parse().unwrap(), payload, LONG).unwrap();
            assert!(trip.is_some(), "{payload} bytes");
        }
    });
}

#[test]
fn super_datagrams_cross_a_raw_socket_as_fewer_frames_and_come_back_in_order() {
    let test = "super_datagrams_cross_a_raw_socket_as_fewer_frames_and_come_back_in_order";
    with_stack(test, Below::Raw, |stack| {
        const DATAGRAMS: u64 = 200;
        let theirs = kernel_socket();
        setsockopt(&theirs, sockopt::UdpGsoSegment, &1000).unwrap();
        let sent: Vec<u8> = (0..20_000).map(|at| (at * 7 + at / 251) as u8).collect();
        for _ in 0..DATAGRAMS / 20 {
            theirs.send_to(&sent, "10.9.0.2:7").unwrap();
            for piece in sent.chunks(1000) {
                let mut buf = [0; 2000];
                let (n, _) = theirs.recv_from(&mut buf).unwrap();
                assert!(buf[..n] == *piece, "in order and whole");
            }
        }
        let chain = stack.handle().call(|shard| {
            let stream = shard.core().find(LINK).unwrap();
            shard.core().chain(stream).unwrap()
        });
        let driver = chain.unwrap().pop().unwrap();
        let frames = driver.stat.msgs_in[0];
        assert!(frames < DATAGRAMS / 2, "{frames} frames with {DATAGRAMS} datagrams");
    });
}

#[test]
fn a_closed_port_refuses_on_both_sides() {
    with_stack("a_closed_port_refuses_on_both_sides", Below::Tap, |stack| {
        let theirs = kernel_socket();
        theirs.connect("10.9.0.2:9999").unwrap();
        theirs.send(b"anybody?").unwrap();
        let error = theirs.recv(&mut [0; 16]).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::ConnectionRefused);

        let ours = UdpSocket::bind(stack, OURS.parse().unwrap()).unwrap();
        ours.set_read_timeout(Some(LONG));
        ours.connect("10.9.0.1:9998".parse().unwrap()).unwrap();
        ours.send(b"anybody?").unwrap();
        let error = ours.recv(&mut [0; 16]).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::ConnectionRefused);
    });
}

#[test]
fn an_address_is_bound_once() {
    with_stack("an_address_is_bound_once", Below::Tap, |stack| {
        let first = UdpSocket::bind(stack, OURS.parse().unwrap()).unwrap();
        let second = UdpSocket::bind(stack, OURS.parse().unwrap());
        assert_eq!(second.unwrap_err().kind(), ErrorKind::AddrInUse);
        drop(first);
        UdpSocket::bind(stack, OURS.parse().unwrap()).unwrap();
    });
}
