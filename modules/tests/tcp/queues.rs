//! Limits of a listener: those who wait for the user, those half-way, and cookies beyond.

use crate::kit::*;
use std::net::SocketAddr;

/// A host of another network, by number.
fn caller(n: u32) -> SocketAddr {
    let [_, a, b, c] = n.to_be_bytes();
    addr([172, 16 + a, b, c], 1024 + (n % 60_000) as u16)
}

/// Fills the queue of those half-way.
fn flood(t: &mut T, count: u32) {
    let (before, mut peer) = (t.peer, 0);
    for n in 0..count {
        if n == 0 {
            peer = t.add_peer(caller(1));
        }
        t.peer = peer;
        t.inject(with_sack().seq(0).from(caller(n + 2)));
        if n % 256 == 0 {
            t.advance(1);
        }
    }
    t.peer = before;
}

//= rfc9293#section-3.9.1.1
#[test]
fn as_many_wait_for_the_user_as_it_said() {
    let mut t = T::new();
    let listener = t.listen(2);
    let mut told = 0;
    for n in 0..8 {
        t.add_peer(caller(n));
        t.inject(plain());
        if !t.sent_now().is_empty() {
            t.inject(ack(1).seq(1));
        }
        told = t.users[listener].events.len();
    }
    assert!((2..=3).contains(&told), "{told} were told");
    // Who is taken makes room for another.
    for user in 0..told {
        t.user = listener;
        t.accept();
        assert!(t.user > user);
    }
    t.add_peer(caller(99));
    t.user = listener;
    t.handshake(plain());
    t.accept();
    t.expect_alive();
}

#[test]
fn a_caller_without_room_is_not_reset_and_comes_in_later() {
    let mut t = T::new();
    let listener = t.listen(1);
    for n in 0..4 {
        t.add_peer(caller(n));
        t.inject(plain());
        if !t.p().seen.is_empty() {
            t.inject(ack(1).seq(1));
        }
    }
    let last = t.peer;
    assert!(t.sent_now().iter().all(|sent| !sent.has(RST)));
    while !t.users[listener].events.is_empty() {
        t.user = listener;
        t.accept();
    }
    // The peer goes on as TCP does: its SYN, or its ACK, again.
    t.peer = last;
    let again = t.sent_in(3500);
    if again.iter().any(|sent| sent.has(SYN)) {
        t.inject(ack(1));
    } else if t.users[listener].events.is_empty() {
        t.inject(plain().seq(0));
        t.sent_now();
        t.inject(ack(1));
    }
    t.user = listener;
    t.accept();
}

//= rfc4987#section-3.6
#[test]
fn a_flood_of_syns_keeps_nobody_out() {
    let mut t = T::listening();
    let listener = t.user;
    let cells = |t: &mut T| {
        let stats = t.rig.perimeter().pool().stats();
        stats.small.out + stats.frame.out + stats.large.out + stats.bare.out
    };
    let before = cells(&mut t);
    flood(&mut t, 5000);
    t.strays.clear();
    assert!(cells(&mut t) <= before + 16, "cells are held for those half-way");
    t.expect_service(listener);
}

//= rfc4987#section-3.6
#[test]
fn a_cookie_brings_what_the_syn_offered() {
    let mut t = T::listening();
    let listener = t.user;
    flood(&mut t, 5000);
    t.strays.clear();
    t.add_peer(addr([10, 0, 0, 20], 2000));
    t.inject(full());
    let answer = t.expect(syn_ack().ack(1).sack_ok().ts_on());
    assert!(answer.wscale.is_some());
    t.inject(ack(1));
    t.user = listener;
    t.accept();
    t.inject(data(100).seq(201));
    t.expect(ack(1).sack(&[(201, 301)]));
    t.write(20_000);
    let sent = t.sent_now();
    let longest = sent.iter().map(Sent::len).max().unwrap_or(0);
    assert!((1200..=1448).contains(&longest), "segments of {longest}");
}

//= rfc4987#section-3.6
#[test]
fn a_cookie_of_a_peer_without_options_keeps_its_mss() {
    let mut t = T::listening();
    let listener = t.user;
    flood(&mut t, 5000);
    t.strays.clear();
    t.add_peer(addr([10, 0, 0, 20], 2000));
    t.inject(syn().mss(1300));
    t.expect(syn_ack().ack(1));
    t.inject(ack(1));
    t.user = listener;
    t.accept();
    t.write(4000);
    let sent = t.sent_now();
    let longest = sent.iter().map(Sent::len).max().unwrap_or(0);
    assert!((536..=1300).contains(&longest), "segments of {longest}");
}

//= rfc4987#section-3.6
#[test]
fn a_made_up_cookie_is_refused() {
    let mut t = T::listening();
    let listener = t.user;
    flood(&mut t, 5000);
    t.strays.clear();
    let before = t.users[listener].events.len();
    for n in 0..500_u32 {
        t.inject(seg().flag(ACK).seq(1).ack(n.wrapping_mul(0x9e37_79b9)).from(caller(90_000 + n)));
    }
    assert_eq!(t.users[listener].events.len(), before);
    assert!(t.strays.iter().all(|sent| sent.has(RST)));
}

//= rfc4987#section-3.6
#[test]
fn a_cookie_grows_old() {
    let mut t = T::listening();
    let listener = t.user;
    flood(&mut t, 5000);
    t.strays.clear();
    t.add_peer(addr([10, 0, 0, 20], 2000));
    t.inject(plain());
    t.expect(syn_ack().ack(1));
    t.sent_in(400_000);
    t.inject(ack(1));
    assert!(t.sent_now().iter().all(|sent| sent.has(RST)));
    assert!(!t.users[listener].events.iter().any(|e| matches!(e, Event::Calls(..))));
}

#[test]
fn without_a_flood_there_are_no_cookies() {
    // The handshake's state is kept: an ACK that nobody asked for opens nothing.
    let mut t = T::listening();
    t.p().irs = Some(1);
    t.inject(ack(12345).seq(1));
    t.expect(rst().seq(12345));
    assert_eq!(t.event(), None);
}

#[test]
fn a_reset_of_one_half_way_makes_room() {
    let mut t = T::listening();
    for n in 0..3000 {
        t.add_peer(caller(n));
        t.inject(plain());
        t.inject(rst());
        t.peers.truncate(1);
        t.peer = 0;
    }
    t.strays.clear();
    t.handshake(plain());
    t.accept();
    t.expect_alive();
}

#[test]
fn unbinding_a_listener_resets_those_that_wait() {
    let mut t = T::listening();
    t.handshake(plain());
    t.close();
    t.expect(rst().any_flag(ACK));
    t.expect_gone();
    t.add_peer(addr(PEER, 6000));
    t.inject(plain());
    t.expect(rst_ack().ack(1));
}
