//! Opening: both ways, both at once, and what comes in CLOSED, LISTEN, SYN-SENT, SYN-RECEIVED.

use crate::kit::*;
use millstream_core::tpi::{self, Primitive};
use millstream_modules::ctl::Ctl;

//= rfc9293#section-3.5
#[test]
fn a_passive_open_goes_by_syn_syn_ack_ack() {
    let mut t = T::listening();
    t.inject(plain());
    t.expect(syn_ack().seq(0).ack(1).len(0));
    assert_eq!(t.event(), None, "nobody is told before the handshake is done");
    t.inject(ack(1));
    let from = t.p().addr;
    let Some(Event::Calls(who, _)) = t.users[t.user].events.front().cloned() else {
        panic!("the user is told")
    };
    assert_eq!(who, from);
    t.accept();
    t.expect_state(State::Established);
    t.expect_alive();
}

//= rfc9293#section-3.5
#[test]
fn an_active_open_goes_by_syn_syn_ack_ack() {
    let mut t = T::connecting();
    t.expect(seg().flag(SYN).seq(0).len(0).no_flag(ACK));
    t.expect_state(State::SynSent);
    t.inject(plain().ack(1));
    t.expect(ack(1).seq(1));
    let peer = t.p().addr;
    t.expect_event(Event::Connected(peer));
    t.expect_state(State::Established);
    t.expect_alive();
}

//= rfc9293#section-3.5
#[test]
fn must_10_both_may_open_at_once() {
    let mut t = T::in_state(State::SynSent);
    t.inject(plain());
    t.expect(syn_ack().seq(0).ack(1));
    t.expect_state(State::SynReceived);
    t.inject(plain().seq(0).ack(1));
    let peer = t.p().addr;
    t.expect_event(Event::Connected(peer));
    t.expect_state(State::Established);
    t.expect_alive();
}

//= rfc9293#section-3.10.7.4
#[test]
fn must_10_a_simultaneous_open_is_ended_by_an_ack_alone() {
    let mut t = T::in_state(State::SynSent);
    t.inject(plain());
    t.expect(syn_ack().seq(0).ack(1));
    t.inject(ack(1));
    let peer = t.p().addr;
    t.expect_event(Event::Connected(peer));
    t.expect_alive();
}

//= rfc9293#section-3.10.7.4
#[test]
fn must_11_a_reset_in_syn_received_returns_a_passive_open_to_listen() {
    let mut t = T::in_state(State::SynReceived);
    t.inject(rst());
    t.expect_nothing_for(10_000);
    assert_eq!(t.event(), None, "the listener is not told");
    t.renew(0x2000_0000);
    t.handshake(plain());
    t.accept();
    t.expect_alive();
}

//= rfc9293#section-3.10.7.4
#[test]
fn must_11_a_reset_in_syn_received_refuses_an_active_open() {
    let mut t = T::in_state(State::SynSent);
    t.inject(plain());
    t.expect(syn_ack().seq(0).ack(1));
    t.inject(rst());
    t.expect_event(Event::Broken(ECONNREFUSED, -1));
    t.expect_nothing_for(10_000);
}

//= rfc9293#section-3.8.3
#[test]
fn must_22_an_open_that_nobody_answers_fails() {
    let mut t = T::connecting();
    t.advance(1_000_000);
    assert!(t.sent_now().iter().all(|sent| sent.flags & !(ECE | CWR) == SYN));
    t.expect_event(Event::Broken(ETIMEDOUT, -1));
    t.expect_nothing_for(200_000);
}

//= rfc9293#section-3.8.3
#[test]
fn must_23_a_syn_is_tried_for_three_minutes() {
    let mut t = T::connecting();
    t.advance(180_000);
    assert_eq!(t.event(), None, "it has given up before");
    let syns = t.sent_now();
    assert!((5..=12).contains(&syns.len()), "{} SYNs", syns.len());
}

//= rfc9293#section-3.8.3
//= rfc6298#section-2
#[test]
fn must_23_the_wait_for_an_answer_to_a_syn_doubles() {
    let mut t = T::connecting();
    t.expect(seg().flag(SYN).seq(0));
    let mut last = 0;
    for wait in [1000, 2000, 4000, 8000, 16_000] {
        let sent = t.expect_within(wait + 600, seg().flag(SYN).seq(0));
        let after = sent.ms() - last;
        assert!((wait - 100..=wait + 500).contains(&after), "{after} ms, not {wait}");
        last = sent.ms();
    }
}

#[test]
fn the_number_of_syns_is_an_option() {
    let mut t = T::new();
    t.user = t.open();
    t.bind_at(t.user, addr([0, 0, 0, 0], 3000), 0);
    t.set(opt::SYNCNT, 2);
    t.p().host = addr(HOST, 3000);
    let to = t.p().addr;
    t.connect_to(t.user, to);
    let syns = t.sent_in(100_000);
    assert_eq!(syns.len(), 3, "the first and two more");
    t.expect_event(Event::Broken(ETIMEDOUT, -1));
}

//= rfc9293#section-3.9.1.1
#[test]
fn must_41_a_passive_open_leaves_other_connections_alone() {
    let mut t = T::connected();
    let host = t.p().host;
    let mine = t.user;
    let listener = t.open();
    t.bind_at(listener, addr([0, 0, 0, 0], 81), 4);
    t.add_peer(addr(PEER, 6000));
    t.p().host = addr(HOST, 81);
    t.user = listener;
    t.handshake(plain());
    t.accept();
    (t.peer, t.user) = (0, mine);
    assert_eq!(t.p().host, host);
    t.expect_alive();
}

//= rfc9293#section-3.9.1.1
#[test]
fn must_42_several_opens_on_one_port_go_on_at_the_same_time() {
    let mut t = T::listening();
    let listener = t.user;
    let peers: Vec<usize> = (0..8).map(|n| t.add_peer(addr(PEER, 6000 + n))).collect();
    for peer in &peers {
        t.peer = *peer;
        t.inject(plain());
        t.expect(syn_ack().ack(1));
    }
    for peer in peers.iter().rev() {
        t.peer = *peer;
        t.inject(ack(1));
        t.user = listener;
        t.accept();
        t.expect_alive();
    }
}

//= rfc9293#section-3.9.1.1
#[test]
fn must_43_a_passive_open_at_one_address_serves_only_that() {
    let mut t = T::new();
    t.tell(Ctl::AddAddress([10, 0, 0, 2].into(), 24));
    t.user = t.open();
    t.bind_at(t.user, addr([10, 0, 0, 2], PORT), 4);
    t.inject(plain());
    t.expect(rst_ack().ack(1));
    t.add_peer(addr(PEER, 6000));
    t.p().host = addr([10, 0, 0, 2], PORT);
    t.handshake(plain());
    t.accept();
    t.expect_alive();
}

//= rfc9293#section-3.9.1.1
#[test]
fn must_44_an_active_open_finds_the_address_that_leads_there() {
    let mut t = T::new();
    t.tell(Ctl::AddAddress([192, 168, 1, 1].into(), 24));
    for (peer, own) in [([192, 168, 1, 9], [192, 168, 1, 1]), ([10, 0, 0, 8], [10, 0, 0, 1])] {
        let user = t.open();
        let local = t.bind_at(user, addr([0, 0, 0, 0], 0), 0);
        t.add_peer(addr(peer, 5000));
        t.p().host = addr(own, local.port());
        t.connect_to(user, addr(peer, 5000));
        t.expect(seg().flag(SYN));
    }
}

//= rfc9293#section-3.9.1.1
#[test]
fn must_45_the_local_address_stays_for_the_connection() {
    let mut t = T::connected();
    let host = t.p().host;
    t.tell(Ctl::AddAddress([10, 0, 0, 2].into(), 24));
    t.write(3000);
    t.shutdown();
    let sent = t.sent_in(10_000);
    assert!(sent.len() >= 3 && sent.iter().all(|sent| sent.src == host));
    let addresses = t.ask(t.user, &Primitive::addr_req());
    assert_eq!(addresses, Event::Addresses(Some(host), Some(addr(PEER, 5000))));
}

//= rfc9293#section-3.9.2.3
#[test]
fn must_46_opens_to_broadcast_and_multicast_addresses_are_refused() {
    for to in [[255, 255, 255, 255], [224, 0, 0, 1], [10, 0, 0, 255]] {
        let mut t = T::new();
        t.user = t.open();
        t.bind_at(t.user, addr([0, 0, 0, 0], 0), 0);
        match t.ask(t.user, &Primitive::conn_req(addr(to, 80))) {
            Event::Refused(tpi::T_CONN_REQ, ..) => {}
            _ => assert!(matches!(t.event(), Some(Event::Broken(..))), "{to:?}"),
        }
        t.advance(5000);
        assert!(t.strays.is_empty(), "{:?}", t.strays);
    }
}

//= rfc9293#section-3.9.2.3
#[test]
fn must_57_a_syn_to_many_is_dropped_in_silence() {
    for to in [[10, 0, 0, 255], [255, 255, 255, 255], [224, 0, 0, 1]] {
        let mut t = T::listening();
        t.inject(plain().to(addr(to, PORT)));
        t.inject(ack(1).to(addr(to, PORT)));
        t.expect_nothing_for(5000);
        assert!(t.strays.is_empty(), "{:?}", t.strays);
        assert_eq!(t.event(), None);
    }
    let mut t = T::listening();
    t.inject(plain().link_broadcast());
    t.expect_nothing_for(5000);
}

//= rfc9293#section-3.9.2.3
#[test]
fn must_63_a_syn_from_no_single_host_is_ignored() {
    for from in [[127, 0, 0, 1], [255; 4], [224, 0, 0, 1], [0; 4], [240, 0, 0, 1], [10, 0, 0, 255]]
    {
        let mut t = T::listening();
        t.inject(plain().from(addr(from, 5000)));
        t.inject(plain().to(addr(HOST, 9)).from(addr(from, 5000)));
        t.expect_nothing_for(5000);
        assert!(t.strays.is_empty(), "{:?}", t.strays);
    }
}

//= rfc9293#section-3.10.7.1
#[test]
fn closed_answers_a_segment_without_ack_by_reset_and_ack_of_it() {
    let mut t = T::new();
    t.inject(plain());
    t.expect(rst_ack().ack(1).len(0));
    assert_eq!(t.p().irs, None);
    t.p().lax = true;
    t.inject(data(5).no_ack().seq(100));
    let sent = t.expect(rst_ack().ack(105));
    assert_eq!(sent.raw_seq, 0);
    t.inject(seg().flag(FIN).seq(100));
    t.expect(rst_ack().ack(101));
}

//= rfc9293#section-3.10.7.1
#[test]
fn closed_answers_an_ack_by_a_reset_at_its_number() {
    let mut t = T::new();
    t.p().irs = Some(0x7000_0000);
    t.inject(data(5).ack(77));
    let sent = t.expect(rst().seq(77).len(0));
    assert!(!sent.has(ACK));
    assert_eq!(sent.window, 0);
    t.inject(seg().flag(SYN | ACK).ack(78));
    t.expect(rst().seq(78));
}

//= rfc9293#section-3.10.7.1
#[test]
fn closed_drops_a_reset() {
    let mut t = T::new();
    t.inject(rst());
    t.inject(rst_ack().ack(1));
    t.expect_nothing_for(5000);
}

//= rfc9293#section-3.10.7.2
#[test]
fn listen_looks_for_reset_then_ack_then_syn() {
    let mut t = T::listening();
    t.inject(rst());
    t.inject(rst_ack().ack(5));
    t.inject(seg().flag(RST | SYN));
    t.expect_nothing();
    t.p().irs = Some(0x7000_0000);
    t.inject(ack(55));
    t.expect(rst().seq(55));
    t.inject(syn().ack(56));
    t.expect(rst().seq(56));
    t.inject(fin().ack(57));
    t.expect(rst().seq(57));
    // Neither: dropped.
    t.inject(seg());
    t.inject(seg().flag(FIN));
    t.inject(data(5).no_ack());
    t.expect_nothing_for(5000);
    assert_eq!(t.event(), None);
}

//= rfc9293#section-3.10.7.3
#[test]
fn syn_sent_answers_an_ack_of_what_was_not_sent_by_a_reset() {
    let mut t = T::in_state(State::SynSent);
    for number in [0, 2, 0x8000_0000] {
        t.inject(ack(number));
        t.expect(rst().seq(number));
        t.inject(plain().seq(0).ack(number));
        t.expect(rst().seq(number));
    }
    t.expect_state(State::SynSent);
}

//= rfc9293#section-3.10.7.3
#[test]
fn syn_sent_is_refused_by_a_reset_with_its_ack_only() {
    let mut t = T::in_state(State::SynSent);
    t.inject(rst());
    t.inject(rst_ack().ack(0));
    t.inject(rst_ack().ack(2));
    t.expect_nothing();
    assert_eq!(t.event(), None);
    t.inject(rst_ack().ack(1));
    t.expect_event(Event::Broken(ECONNREFUSED, -1));
    t.expect_nothing_for(10_000);
}

//= rfc9293#section-3.10.7.3
#[test]
fn syn_sent_drops_what_is_neither_syn_nor_reset() {
    let mut t = T::in_state(State::SynSent);
    t.inject(ack(1));
    t.inject(data(10).seq(1).ack(1));
    t.inject(data(10).seq(1).no_ack());
    t.inject(fin().seq(1).ack(1));
    t.expect_nothing();
    t.expect_state(State::SynSent);
    t.inject(plain().seq(0).ack(1));
    t.expect(ack(1));
}

//= rfc9293#section-3.10.7.3
#[test]
fn data_with_the_syn_ack_are_taken_or_sent_again() {
    let mut t = T::in_state(State::SynSent);
    t.inject(plain().seq(0).ack(1).len(100));
    let peer = t.p().addr;
    t.expect_event(Event::Connected(peer));
    t.sent_in(600);
    t.inject(data(100).seq(1).ack(1));
    t.expect_read(100);
}

//= rfc9293#section-3.10.7.4
#[test]
fn syn_received_sends_its_syn_again() {
    let mut t = T::in_state(State::SynReceived);
    for wait in [1000, 2000, 4000] {
        t.expect_between(wait - 100, wait + 500, syn_ack().seq(0).ack(1));
    }
    t.inject(ack(1));
    t.accept();
    t.expect_alive();
}

//= rfc9293#section-3.10.7.4
#[test]
fn a_syn_that_comes_again_is_answered_again() {
    let mut t = T::in_state(State::SynReceived);
    t.inject(plain().seq(0));
    t.expect(ack(1).any_flag(SYN));
    t.inject(ack(1));
    t.accept();
    t.expect_alive();
}

//= rfc9293#section-3.10.7.4
#[test]
fn syn_received_answers_an_ack_of_what_was_not_sent_by_a_reset() {
    let mut t = T::in_state(State::SynReceived);
    for number in [0, 2, 0x4000_0000] {
        t.inject(ack(number));
        t.expect(rst().seq(number));
    }
    t.inject(ack(1));
    t.accept();
    t.expect_alive();
}

//= rfc9293#section-3.10.7.4
#[test]
fn syn_received_gives_up() {
    let mut t = T::in_state(State::SynReceived);
    let sent = t.sent_in(400_000);
    assert!((3..=12).contains(&sent.len()), "{} times", sent.len());
    assert!(sent.iter().all(|sent| sent.has(SYN) && sent.has(ACK)));
    t.expect_nothing_for(100_000);
    t.inject(ack(1));
    t.expect(rst().seq(1));
}

//= rfc9293#section-3.10.7.4
#[test]
fn data_and_fin_behind_the_handshakes_ack_are_taken() {
    let mut t = T::in_state(State::SynReceived);
    t.inject(data(10).ack(1));
    t.inject(fin());
    t.accept();
    t.expect_read(10);
    t.expect_event(Event::Ended);
    t.expect_state(State::CloseWait);
}

//= rfc9293#section-3.10.7.4
#[test]
fn fin_in_syn_received_leads_to_close_wait() {
    let mut t = T::in_state(State::SynReceived);
    t.inject(fin().ack(1));
    t.accept();
    t.expect_event(Event::Ended);
    t.expect_state(State::CloseWait);
}

#[test]
fn a_caller_is_refused_by_a_reset_when_the_user_says_so() {
    let mut t = T::listening();
    t.handshake(plain());
    let Some(Event::Calls(_, sequence)) = t.event() else { panic!("nobody calls") };
    let done = t.ask(t.user, &Primitive::discon_req(sequence));
    assert_eq!(done, Event::Done(tpi::T_DISCON_REQ));
    t.expect(rst().any_flag(ACK));
    t.expect_gone();
}

#[test]
fn a_caller_with_data_is_refused_and_leaves_nothing() {
    let mut t = T::listening();
    t.handshake(plain());
    t.inject_all(&[data(1000), data(500).seq(3001)]);
    t.sent_now();
    let Some(Event::Calls(_, sequence)) = t.event() else { panic!("nobody calls") };
    t.ask(t.user, &Primitive::discon_req(sequence));
    t.expect(rst().any_flag(ACK));
    t.expect_gone();
}

#[test]
fn a_caller_that_is_gone_is_told_by_its_number() {
    let mut t = T::listening();
    t.handshake(plain());
    let Some(Event::Calls(_, sequence)) = t.event() else { panic!("nobody calls") };
    t.inject(rst());
    assert!(matches!(t.event(), Some(Event::Broken(_, of)) if of == sequence));
}

#[test]
fn an_open_that_the_user_gives_up_leaves_nothing() {
    let mut t = T::in_state(State::SynSent);
    t.abort();
    t.sent_now();
    t.expect_nothing_for(100_000);
    t.inject(plain().seq(0).ack(1));
    t.expect(rst().seq(1));
}

//= rfc9293#section-3.5
#[test]
fn an_old_duplicate_syn_is_found_out_by_the_peers_reset() {
    // Figure 9: the old one is answered, refused, and the new one comes through.
    let mut t = T::listening();
    let new = t.p().iss;
    t.p().iss = new.wrapping_sub(50_000);
    t.inject(plain());
    let answer = t.expect(syn_ack().ack(1));
    t.inject(rst().seq(answer.ack));
    t.renew(new);
    t.handshake(plain());
    t.accept();
    t.expect_alive();
}

//= rfc9293#section-3.10.7.4
#[test]
fn a_syn_ack_that_comes_again_is_acknowledged_again() {
    let mut t = T::connected();
    t.inject(plain().seq(0).ack(1));
    t.expect(ack(1).seq(1));
    t.expect_state(State::Established);
    t.expect_alive();
}

//= rfc9293#section-3.5.1
#[test]
fn a_connection_of_which_the_peer_knows_nothing_is_reset_by_its_answer() {
    // Figure 11: the active side finds a half-open connection.
    let mut t = T::established();
    t.write(100);
    let sent = t.expect(data(100));
    t.inject(rst().seq(sent.ack));
    t.expect_event(Event::Broken(ECONNRESET, -1));
    t.expect_nothing_for(10_000);
}
