//! Initial sequence numbers: a clock, and a secret of each connection (RFC 6528).

use crate::kit::*;
use std::collections::BTreeSet;

/// The number with which the host answers a SYN of this peer.
fn number(t: &mut T, from: u16) -> u32 {
    t.peers.clear();
    let mut peer = Peer::new(addr(PEER, from), addr(HOST, PORT));
    peer.iss = 77_000 + u32::from(from);
    t.peers.push(peer);
    t.peer = 0;
    t.inject(plain());
    let number = t.expect(syn_ack()).raw_seq;
    t.inject(rst());
    number
}

//= rfc9293#section-3.4.1
#[test]
fn must_8_the_number_follows_a_clock() {
    let mut t = T::listening();
    let first = number(&mut t, 5000);
    t.advance(1000);
    let passed = number(&mut t, 5000).wrapping_sub(first);
    // A tick is about 4 microseconds; Linux's is 64 ns.
    assert!((200_000..20_000_000).contains(&passed), "{passed} in a second");
}

//= rfc9293#section-3.4.1
//= rfc6528#section-3
#[test]
fn must_9_numbers_of_different_connections_tell_nothing_of_each_other() {
    let mut t = T::listening();
    let numbers: Vec<u32> = (0..24).map(|n| number(&mut t, 5000 + n)).collect();
    let steps: BTreeSet<u32> = numbers.windows(2).map(|n| n[1].wrapping_sub(n[0])).collect();
    assert!(steps.len() > 20, "steps repeat: {steps:?}");
    let small = steps.iter().filter(|step| (**step as i32).unsigned_abs() < 1 << 20).count();
    assert!(small < 3, "{small} steps are small");
    let (all, none) = numbers.iter().fold((u32::MAX, 0), |(all, any), n| (all & n, any | n));
    assert_eq!((all, none), (0, u32::MAX), "a bit is stuck");
}

//= rfc9293#section-3.4.1
#[test]
fn must_9_the_number_depends_on_the_secret() {
    let of_key = |key| {
        let mut t = T::with_key(key);
        t.listen(4);
        number(&mut t, 5000)
    };
    assert_eq!(of_key(1), of_key(1));
    assert_ne!(of_key(1), of_key(2));
}

//= rfc9293#section-3.4.1
#[test]
fn shld_1_the_number_of_an_active_open_is_secret_too() {
    let of_key = |key| {
        let mut t = T::with_key(key);
        t.connect();
        t.expect(seg().flag(SYN)).raw_seq
    };
    assert_ne!(of_key(1), of_key(2));
}

//= rfc6056#section-3.3
#[test]
fn ephemeral_ports_are_not_to_be_foretold() {
    let mut t = T::new();
    let ports: Vec<u16> = (0..24)
        .map(|_| {
            let user = t.open();
            t.bind_at(user, addr([0, 0, 0, 0], 0), 0).port()
        })
        .collect();
    assert!(ports.iter().all(|port| *port >= 1024));
    assert_eq!(ports.iter().collect::<BTreeSet<_>>().len(), ports.len());
    let near = ports.windows(2).filter(|p| p[0].abs_diff(p[1]) <= 2).count();
    assert!(near < 12, "one behind the other: {ports:?}");
}
