//! Multicast and broadcast with the kernel's sockets at the other end.

use crate::lab::{Host, KERNEL, addr};
use std::io::ErrorKind;
use std::net::{IpAddr, Ipv4Addr};
use std::time::{Duration, Instant};

const GROUP: Ipv4Addr = Ipv4Addr::new(239, 9, 9, 9);

#[test]
fn group_datagrams_come_in_while_the_group_is_joined() {
    let test = "group_datagrams_come_in_while_the_group_is_joined";
    let Some(host) = Host::new(test, &[]) else { return };
    let ours = host.socket("0.0.0.0:5007");
    let theirs = host.kernel_socket(&format!("{KERNEL}:0"));
    let mut buf = [0; 64];
    ours.join_multicast(IpAddr::V4(GROUP), 0).unwrap();
    theirs.send_to(b"to the group", (GROUP, 5007)).unwrap();
    let (n, from) = ours.recv_from(&mut buf).unwrap();
    assert_eq!((&buf[..n], from), (&b"to the group"[..], theirs.local_addr().unwrap()));
    // Another group with the same address on the link is not ours.
    theirs.send_to(b"to another", ("239.137.9.9", 5007)).unwrap();
    theirs.send_to(b"to the group again", (GROUP, 5007)).unwrap();
    let (n, _) = ours.recv_from(&mut buf).unwrap();
    assert_eq!(&buf[..n], b"to the group again");
    ours.leave_multicast(IpAddr::V4(GROUP), 0).unwrap();
    theirs.send_to(b"after leaving", (GROUP, 5007)).unwrap();
    theirs.send_to(b"to us", "10.9.0.2:5007").unwrap();
    let (n, _) = ours.recv_from(&mut buf).unwrap();
    assert_eq!(&buf[..n], b"to us");
}

#[test]
fn group_datagrams_go_out_and_come_back_to_members_here() {
    let test = "group_datagrams_go_out_and_come_back_to_members_here";
    let Some(host) = Host::new(test, &[]) else { return };
    let theirs = host.kernel_socket("0.0.0.0:5007");
    let joined = host.netns.run(|| theirs.join_multicast_v4(&GROUP, &KERNEL.parse().unwrap()));
    joined.unwrap().unwrap();
    let member = host.socket("0.0.0.0:5007");
    member.join_multicast(IpAddr::V4(GROUP), 0).unwrap();
    let sender = host.socket("10.9.0.2:5008");
    let to = addr("239.9.9.9:5007");
    let mut buf = [0; 64];
    sender.send_to(b"from the stack", to).unwrap();
    let (n, from) = theirs.recv_from(&mut buf).unwrap();
    assert_eq!((&buf[..n], from), (&b"from the stack"[..], addr("10.9.0.2:5008")));
    let (n, from) = member.recv_from(&mut buf).unwrap();
    assert_eq!((&buf[..n], from), (&b"from the stack"[..], addr("10.9.0.2:5008")));
    // One's own datagrams come back too (IP_MULTICAST_LOOP).
    member.send_to(b"from the member", to).unwrap();
    let (n, _) = member.recv_from(&mut buf).unwrap();
    assert_eq!(&buf[..n], b"from the member");
    let (n, _) = theirs.recv_from(&mut buf).unwrap();
    assert_eq!(&buf[..n], b"from the member");
}

#[test]
fn group_datagrams_of_more_than_a_packet_are_joined() {
    let test = "group_datagrams_of_more_than_a_packet_are_joined";
    let Some(host) = Host::new(test, &[]) else { return };
    let ours = host.socket("0.0.0.0:5007");
    ours.join_multicast(IpAddr::V4(GROUP), 0).unwrap();
    let theirs = host.kernel_socket("0.0.0.0:5007");
    let joined = host.netns.run(|| theirs.join_multicast_v4(&GROUP, &KERNEL.parse().unwrap()));
    joined.unwrap().unwrap();
    let sent: Vec<u8> = (0..9000).map(|i| (i * 7) as u8).collect();
    let mut buf = vec![0; 65_536];
    let source = host.kernel_socket(&format!("{KERNEL}:0"));
    source.send_to(&sent, (GROUP, 5007)).unwrap();
    let (n, _) = ours.recv_from(&mut buf).unwrap();
    assert!(buf[..n] == sent[..], "{n} bytes in");
    // The kernel's own copy comes first.
    let (n, _) = theirs.recv_from(&mut buf).unwrap();
    assert!(buf[..n] == sent[..], "{n} bytes of the kernel");
    ours.send_to(&sent, addr("239.9.9.9:5007")).unwrap();
    let (n, _) = theirs.recv_from(&mut buf).unwrap();
    assert!(buf[..n] == sent[..], "{n} bytes out");
}

#[test]
fn broadcasts_cross_in_both_directions_when_allowed() {
    let test = "broadcasts_cross_in_both_directions_when_allowed";
    let Some(host) = Host::new(test, &[]) else { return };
    let ours = host.socket("0.0.0.0:5007");
    let theirs = host.kernel_socket("0.0.0.0:5009");
    theirs.set_broadcast(true).unwrap();
    let mut buf = [0; 64];
    theirs.send_to(b"to the subnet", "10.9.0.255:5007").unwrap();
    let (n, from) = ours.recv_from(&mut buf).unwrap();
    assert_eq!((&buf[..n], from), (&b"to the subnet"[..], addr("10.9.0.1:5009")));
    // Not allowed: it does not leave. Allowed: it does.
    ours.send_to(b"not allowed", addr("10.9.0.255:5009")).unwrap();
    ours.set_broadcast(true).unwrap();
    ours.send_to(b"to the subnet", addr("10.9.0.255:5009")).unwrap();
    let (n, from) = theirs.recv_from(&mut buf).unwrap();
    assert_eq!((&buf[..n], from), (&b"to the subnet"[..], addr("10.9.0.2:5007")));
    ours.send_to(b"to the link", addr("255.255.255.255:5009")).unwrap();
    let (n, _) = theirs.recv_from(&mut buf).unwrap();
    assert_eq!(&buf[..n], b"to the link");
}

#[test]
fn a_host_that_does_not_answer_is_told_to_the_sender() {
    let test = "a_host_that_does_not_answer_is_told_to_the_sender";
    let Some(host) = Host::new(test, &[]) else { return };
    let ours = host.socket("10.9.0.2:5007");
    ours.connect(addr("10.9.0.77:9")).unwrap();
    ours.send(b"anybody?").unwrap();
    ours.set_read_timeout(Some(Duration::from_millis(200)));
    let end = Instant::now() + crate::lab::DEADLINE;
    loop {
        match ours.recv(&mut [0; 16]) {
            Err(e) if e.kind() == ErrorKind::HostUnreachable => return,
            Err(e) if e.kind() == ErrorKind::WouldBlock => {}
            other => panic!("{other:?}"),
        }
        assert!(Instant::now() < end, "nobody said that the host is silent");
    }
}
