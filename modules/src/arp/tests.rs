//! What the state of ARP does with frames and time, one behaviour per test.

use super::packet::{Op, Packet};
use super::*;
use crate::actions::Actions;
use crate::ether::{self, Mac, ethertype};
use crate::hash::Keyed;
use core::net::Ipv4Addr;
use millstream_msg::{Msg, Pool, PoolConfig};
use proptest::prelude::*;
use std::vec::Vec;

const OUR_MAC: Mac = [2, 0, 0, 0, 0, 1];
const HOST_MAC: Mac = [2, 0, 0, 0, 0, 9];
const OTHER_MAC: Mac = [2, 0, 0, 0, 0, 10];
const OURS: Ipv4Addr = Ipv4Addr::new(10, 0, 0, 1);
const HOST: Ipv4Addr = Ipv4Addr::new(10, 0, 0, 9);
const MS: u64 = 1_000_000;
const SECOND: u64 = 1000 * MS;
const START: u64 = 100 * SECOND;

/// One interface 10.0.0.1/8 with its clock; the announcement is already out.
struct Link {
    arp: Engine,
    pool: Pool,
    now: u64,
    out: Actions<ArpDrop>,
}

impl Link {
    fn new() -> Self {
        let mut link = Self {
            arp: Engine::new(OUR_MAC, Keyed::new(7)),
            pool: Pool::new(PoolConfig::STACK),
            now: START,
            out: Actions::new(),
        };
        link.arp.add_address(OURS, 8, START, &mut link.pool, &mut link.out).unwrap();
        assert_eq!(link.sent().len(), 1);
        link.advance(3 * SECOND);
        link.sent();
        link
    }

    fn send(&mut self, next_hop: Ipv4Addr, payload: &[u8]) {
        let mut msg = self.pool.copy_from(64, payload).unwrap();
        let header = ether::View {
            dst: ether::unresolved(next_hop),
            src: ether::UNSPECIFIED,
            ethertype: ethertype::IPV4,
        };
        header.prepend(&mut msg, &mut self.pool).unwrap();
        self.arp.output(msg, self.now, &mut self.pool, &mut self.out);
    }

    fn receive(&mut self, packet: Packet) {
        let frame = packet.frame(OUR_MAC, &mut self.pool).unwrap();
        self.arp.input(frame, self.now, &mut self.pool, &mut self.out);
    }

    /// Lets time pass in steps of a tick.
    fn advance(&mut self, ns: u64) {
        let end = self.now + ns;
        while self.now < end {
            self.now += 100 * MS;
            if self.arp.next_deadline().is_some_and(|at| at <= self.now) {
                self.arp.timer(self.now, &mut self.pool, &mut self.out);
            }
        }
    }

    /// Frames sent since the last call.
    fn sent(&mut self) -> Vec<Vec<u8>> {
        core::mem::take(&mut self.out.down).map(|msg| bytes(&msg)).collect()
    }

    fn sent_arp(&mut self) -> Vec<(Mac, Packet)> {
        let parse = |f: Vec<u8>| {
            (ether::View::parse(&f).unwrap().dst, Packet::parse(&f[ether::HEADER_LEN..]).unwrap())
        };
        self.sent().into_iter().map(parse).collect()
    }

    fn reasons(&mut self) -> Vec<ArpDrop> {
        self.out.dropped.drain(..).map(|(_, reason)| reason).collect()
    }
}

fn bytes(msg: &Msg) -> Vec<u8> {
    msg.cursor().chunks().flatten().copied().collect()
}

fn packet(op: Op, sender_mac: Mac, sender: Ipv4Addr, target: Ipv4Addr) -> Packet {
    Packet { op, sender_mac, sender, target_mac: OUR_MAC, target }
}

#[test]
fn address_is_announced_twice_rfc5227_2_3() {
    let mut link = Link::new();
    assert_eq!(link.arp.stats().announcements, 2);
    link.advance(60 * SECOND);
    assert_eq!(link.arp.stats().announcements, 2);
}

#[test]
fn frame_waits_for_the_answer_and_leaves_with_both_addresses() {
    let mut link = Link::new();
    link.send(HOST, b"one");
    let asked = link.sent_arp();
    assert_eq!((asked.len(), asked[0].0), (1, ether::BROADCAST));
    assert_eq!((asked[0].1.target, asked[0].1.sender), (HOST, OURS));
    link.receive(packet(Op::Reply, HOST_MAC, HOST, OURS));
    let sent = link.sent();
    assert_eq!(&sent[0][..6], &HOST_MAC);
    assert_eq!(&sent[0][6..12], &OUR_MAC);
    assert_eq!(&sent[0][14..], b"one");
    link.send(HOST, b"two");
    assert_eq!(link.sent().len(), 1);
    assert_eq!(link.out.consumed, 1);
}

#[test]
fn frames_of_other_types_pass_whole() {
    let mut link = Link::new();
    let mut msg = link.pool.copy_from(16, b"ip").unwrap();
    let header = ether::View { dst: OUR_MAC, src: HOST_MAC, ethertype: ethertype::IPV4 };
    header.prepend(&mut msg, &mut link.pool).unwrap();
    link.arp.input(msg, link.now, &mut link.pool, &mut link.out);
    assert_eq!(link.out.up.front().unwrap().len(), 16);
}

#[test]
fn silent_host_is_asked_three_times_and_then_held_down() {
    let mut link = Link::new();
    link.send(HOST, b"x");
    link.advance(5 * SECOND);
    assert_eq!(link.sent_arp().len(), 3);
    assert_eq!(link.reasons(), [ArpDrop::HostUnreachable]);
    link.send(HOST, b"y");
    assert!(link.sent().is_empty());
    assert_eq!(link.reasons(), [ArpDrop::HostUnreachable]);
    link.advance(4 * SECOND);
    link.send(HOST, b"z");
    assert_eq!(link.sent_arp().len(), 1);
}

#[test]
fn old_entry_is_probed_by_unicast_then_by_broadcast_then_lost() {
    let mut link = Link::new();
    link.send(HOST, b"x");
    link.receive(packet(Op::Reply, HOST_MAC, HOST, OURS));
    link.advance(31 * SECOND);
    link.sent();
    link.send(HOST, b"used and probed");
    link.advance(6 * SECOND);
    let sent = link.sent();
    assert_eq!(&sent[0][14..], b"used and probed");
    let to: Vec<_> = sent[1..].iter().map(|f| ether::View::parse(f).unwrap().dst).collect();
    let all = ether::BROADCAST;
    assert_eq!(to, [HOST_MAC, HOST_MAC, all, all, all]);
    assert_eq!(link.arp.station(HOST), None);
}

#[test]
fn answer_to_a_probe_renews_the_entry() {
    let mut link = Link::new();
    link.send(HOST, b"x");
    link.receive(packet(Op::Reply, HOST_MAC, HOST, OURS));
    link.advance(31 * SECOND);
    link.send(HOST, b"x");
    link.receive(packet(Op::Reply, OTHER_MAC, HOST, OURS));
    assert_eq!(link.arp.station(HOST), Some(OTHER_MAC));
    link.sent();
    link.advance(10 * SECOND);
    assert!(link.sent().is_empty());
}

#[test]
fn unused_entry_is_forgotten() {
    let mut link = Link::new();
    link.receive(packet(Op::Request, HOST_MAC, HOST, OURS));
    assert_eq!(link.arp.stats().live, 1);
    link.advance(1201 * SECOND);
    assert_eq!(link.arp.stats().live, 0);
    assert_eq!(link.arp.next_deadline(), None);
}

#[test]
fn request_for_us_is_answered_and_its_sender_learnt() {
    let mut link = Link::new();
    link.receive(packet(Op::Request, HOST_MAC, HOST, OURS));
    let sent = link.sent_arp();
    assert_eq!(sent[0].0, HOST_MAC);
    assert_eq!(sent[0].1.op, Op::Reply);
    assert_eq!((sent[0].1.sender_mac, sent[0].1.sender), (OUR_MAC, OURS));
    assert_eq!(link.arp.station(HOST), Some(HOST_MAC));
}

#[test]
fn probe_is_answered_by_unicast_and_not_learnt_rfc5227_1_1() {
    let mut link = Link::new();
    link.receive(packet(Op::Request, HOST_MAC, Ipv4Addr::UNSPECIFIED, OURS));
    let sent = link.sent_arp();
    assert_eq!((sent[0].0, sent[0].1.target), (HOST_MAC, Ipv4Addr::UNSPECIFIED));
    assert_eq!(link.arp.stats().live, 0);
}

#[test]
fn bad_input_42_unsolicited_reply_is_not_learnt() {
    let mut link = Link::new();
    link.receive(packet(Op::Reply, HOST_MAC, HOST, OURS));
    assert_eq!(link.reasons(), [ArpDrop::Unsolicited]);
    assert_eq!(link.arp.station(HOST), None);
}

#[test]
fn bad_input_42_request_for_others_is_not_learnt() {
    let mut link = Link::new();
    link.receive(packet(Op::Request, HOST_MAC, HOST, Ipv4Addr::new(10, 0, 0, 77)));
    assert_eq!(link.reasons(), [ArpDrop::NotForUs]);
    assert!(link.sent().is_empty());
    assert_eq!(link.arp.station(HOST), None);
}

#[test]
fn bad_input_42_sender_off_the_link_gets_no_answer() {
    let mut link = Link::new();
    link.receive(packet(Op::Request, HOST_MAC, Ipv4Addr::new(11, 0, 0, 1), OURS));
    assert_eq!(link.reasons(), [ArpDrop::OffLink]);
    assert!(link.sent().is_empty());
}

#[test]
fn bad_input_42_own_station_as_sender_is_refused() {
    let mut link = Link::new();
    link.receive(packet(Op::Request, OUR_MAC, HOST, OURS));
    assert_eq!(link.reasons(), [ArpDrop::OwnFrame]);
}

#[test]
fn bad_input_42_announcement_changes_a_known_entry_only() {
    let mut link = Link::new();
    link.receive(packet(Op::Request, HOST_MAC, HOST, HOST));
    assert_eq!(link.reasons(), [ArpDrop::Unsolicited]);
    link.receive(packet(Op::Request, HOST_MAC, HOST, OURS));
    link.receive(packet(Op::Reply, OTHER_MAC, HOST, HOST));
    assert_eq!(link.arp.station(HOST), Some(OTHER_MAC));
}

#[test]
fn station_just_confirmed_is_not_replaced() {
    let mut link = Link::new();
    link.send(HOST, b"x");
    link.receive(packet(Op::Reply, HOST_MAC, HOST, OURS));
    link.receive(packet(Op::Request, OTHER_MAC, HOST, HOST));
    assert_eq!(link.reasons(), [ArpDrop::TooSoon]);
    assert_eq!(link.arp.station(HOST), Some(HOST_MAC));
}

#[test]
fn bad_input_42_sender_with_our_address_is_a_conflict_defended_once_in_ten_seconds_rfc5227_2_4() {
    let mut link = Link::new();
    for _ in 0..1000 {
        link.receive(packet(Op::Request, HOST_MAC, OURS, OURS));
        link.receive(packet(Op::Reply, HOST_MAC, OURS, HOST));
    }
    let sent = link.sent_arp();
    assert_eq!(sent.len(), 1);
    assert_eq!((sent[0].1.sender, sent[0].1.target), (OURS, OURS));
    assert_eq!(link.arp.stats().conflicts, 2000);
    assert!(link.reasons().iter().all(|r| *r == ArpDrop::Conflict));
    link.advance(11 * SECOND);
    link.receive(packet(Op::Request, HOST_MAC, OURS, HOST));
    assert_eq!(link.sent_arp().len(), 1);
    assert_eq!(link.arp.station(OURS), None);
}

#[test]
fn bad_input_43_ten_thousand_silent_hosts_hold_no_memory_and_evict_no_live_one() {
    let mut link = Link::new();
    link.receive(packet(Op::Request, HOST_MAC, HOST, OURS));
    link.sent();
    for n in 0..10_000_u32 {
        link.send(Ipv4Addr::from(0x0a01_0000 + n), b"scan");
        link.out.dropped.clear();
    }
    let stats = link.arp.stats();
    assert_eq!((stats.live, stats.unresolved), (1, UNRESOLVED_MAX));
    assert!(link.pool.stats().small.out < 1024, "waiting frames are bounded");
    assert!(link.sent_arp().len() <= 256, "broadcasts are limited");
    assert_eq!(link.arp.station(HOST), Some(HOST_MAC));
    link.advance(20 * SECOND);
    assert_eq!(link.arp.stats().unresolved, 0);
}

#[test]
fn no_address_no_question() {
    let mut link = Link::new();
    link.arp.remove_address(OURS);
    link.send(HOST, b"x");
    assert_eq!(link.reasons(), [ArpDrop::NoAddress]);
}

#[test]
fn broadcast_frame_gets_our_station_as_source() {
    let mut link = Link::new();
    let mut msg = link.pool.copy_from(64, b"x").unwrap();
    let header =
        ether::View { dst: ether::BROADCAST, src: ether::UNSPECIFIED, ethertype: ethertype::IPV4 };
    header.prepend(&mut msg, &mut link.pool).unwrap();
    link.arp.output(msg, link.now, &mut link.pool, &mut link.out);
    assert_eq!(&link.sent()[0][..12], &[255, 255, 255, 255, 255, 255, 2, 0, 0, 0, 0, 1]);
}

proptest! {
    #[test]
    fn random_frames_never_panic_and_none_is_lost(
        frames in proptest::collection::vec(proptest::collection::vec(any::<u8>(), 0..60), 0..40),
        as_arp: bool,
    ) {
        let mut link = Link::new();
        let before = link.out.created;
        let count = frames.len();
        for mut frame in frames {
            if as_arp {
                let fixed = [8, 6, 0, 1, 8, 0, 6, 4, 0];
                for (to, from) in frame.iter_mut().skip(12).zip(fixed) {
                    *to = from;
                }
            }
            let msg = link.pool.copy_from(0, &frame).unwrap();
            link.arp.input(msg, link.now, &mut link.pool, &mut link.out);
        }
        let out = &link.out;
        prop_assert_eq!(out.up.len() + out.dropped.len() + out.consumed as usize, count);
        prop_assert_eq!(out.down.len(), (out.created - before) as usize);
    }
}

#[test]
fn station_that_is_doubted_is_asked_at_once_and_all_if_it_is_silent_rfc1122_2_3_2_1() {
    let mut link = Link::new();
    link.send(HOST, b"one");
    link.sent();
    link.receive(packet(Op::Reply, HOST_MAC, HOST, OURS));
    link.sent();
    link.arp.doubt(Ipv4Addr::new(10, 0, 0, 200), link.now, &mut link.pool, &mut link.out);
    assert_eq!(link.sent_arp(), [], "nobody knows that one");
    for _ in 0..2 {
        link.arp.doubt(HOST, link.now, &mut link.pool, &mut link.out);
    }
    let asked = link.sent_arp();
    assert_eq!((asked.len(), asked[0].0), (1, HOST_MAC), "once, itself");
    link.advance(3 * SECOND);
    let to: Vec<Mac> = link.sent_arp().into_iter().map(|(to, _)| to).collect();
    assert_eq!(to, [HOST_MAC, ether::BROADCAST, ether::BROADCAST]);
    // Another station has the address now.
    link.receive(packet(Op::Reply, OTHER_MAC, HOST, OURS));
    assert_eq!(link.arp.station(HOST), Some(OTHER_MAC));
}
