//! filter: rules against a matcher that knows how the packets were made, what each action does,
//! and rules that change while messages pass.

mod small_kit;

use etherparse::err::packet::BuildSliceWriteError;
use etherparse::{Ipv4HeaderSlice, PacketBuilder, TcpHeaderSlice};
use millstream_core::tpi::Primitive;
use millstream_core::{Caps, Config, Device, Errno, Format, Formats, Module, Perimeter, Side};
use millstream_modules::arp::Arp;
use millstream_modules::capture::Sink;
use millstream_modules::filter::{Facts, Filter, Link, Rules};
use millstream_modules::ip::{self, Request};
use millstream_modules::udp::Udp;
use millstream_msg::{Gso, Kind, Msg, MsgList, Offload, Pool, PoolConfig, checksum};
use proptest::prelude::*;
use small_kit::*;
use std::sync::{Arc, Mutex};

const A: [u8; 4] = [10, 0, 0, 1];
const B: [u8; 4] = [10, 0, 0, 2];

fn filter(rules: &str) -> Stack {
    let mut stack = Stack::with(Filter::new(Link::Ethernet));
    stack.p.set(stack.stream, 0, "rules", rules).unwrap();
    stack
}

fn set(stack: &mut Stack, rules: &str) -> String {
    match stack.p.set(stack.stream, 0, "rules", rules) {
        Ok(()) => String::new(),
        Err(why) => why.to_string(),
    }
}

fn ethernet() -> etherparse::PacketBuilderStep<etherparse::Ethernet2Header> {
    PacketBuilder::ethernet2([2, 0, 0, 0, 0, 1], [2, 0, 0, 0, 0, 2])
}

/// What an independent builder writes.
fn written<const N: usize>(
    payload: [u8; N],
    write: impl FnOnce(&mut [u8], &[u8]) -> Result<usize, BuildSliceWriteError>,
) -> Vec<u8> {
    let mut out = vec![0; 2000];
    let len = write(&mut out, &payload).unwrap();
    out.truncate(len);
    out
}

fn udp(src: [u8; 4], dst: [u8; 4], sport: u16, dport: u16) -> Vec<u8> {
    written([7; 20], |out, p| ethernet().ipv4(src, dst, 9).udp(sport, dport).write_to_slice(out, p))
}

fn syn(dst: [u8; 4], ack: bool) -> Vec<u8> {
    let tcp = ethernet().ipv4(A, dst, 9).tcp(4000, 80, 1000, 500).syn();
    let tcp = if ack { tcp.ack(77) } else { tcp };
    written([], |out, p| tcp.write_to_slice(out, p))
}

fn icmp() -> Vec<u8> {
    written([1; 8], |out, p| {
        ethernet().ipv4(A, B, 9).icmpv4_echo_request(1, 2).write_to_slice(out, p)
    })
}

impl Stack {
    /// Frames sent down and what leaves below, by their index.
    fn through(&mut self, frames: &[Vec<u8>]) -> Vec<usize> {
        for frame in frames {
            let msg = self.msg(frame);
            self.down(msg);
        }
        self.turn(0);
        let index = |msg: Msg| frames.iter().position(|frame| *frame == bytes(&msg)).unwrap();
        self.sent().into_iter().map(index).collect()
    }
}

#[test]
fn first_rule_that_matches_decides_and_each_counts() {
    let mut s = filter("pass dst 10.0.0.2 dport 53; drop udp; count icmp; drop up");
    let frames = [udp(A, B, 1, 53), udp(A, B, 1, 54), icmp(), udp(B, A, 53, 1)];
    assert_eq!(s.through(&frames), [0, 2]);
    let counts = ["rule.1", "rule.2", "rule.3", "rule.4", "unmatched"].map(|name| s.count(name));
    assert_eq!(counts, [1, 2, 1, 0, 1]);
    assert_eq!(s.count("rule.3.bytes"), icmp().len() as u64);
    assert_eq!(s.drops("filter: rule"), 2);
    s.assert_nothing_leaked();
}

#[test]
fn syn_alone_is_told_from_syn_with_ack() {
    let mut s = filter("drop tcp flags syn,!ack and dst 10.0.0.2");
    assert_eq!(s.through(&[syn(B, false), syn(B, true), syn(A, false)]), [1, 2]);
}

#[test]
fn other_kinds_than_data_pass_whatever_the_rules() {
    let mut s = filter("drop any");
    for kind in [Kind::Proto, Kind::Ctl, Kind::Flush] {
        let mut msg = s.msg(&udp(A, B, 1, 2));
        msg.set_kind(kind);
        s.up(msg);
    }
    s.turn(0);
    assert_eq!((s.drops("filter: rule"), s.module().stat.msgs_out[0]), (0, 3));
}

#[test]
fn a_super_frame_is_matched_by_its_header_and_goes_whole() {
    let mut s = filter("drop super tcp; drop udp len >1000");
    let mut msg = s.msg(&[syn(B, true), vec![0; 3000]].concat());
    msg.set_offload(Offload { gso: Gso::TcpV4, gso_size: 1000, hdr_len: 54, ..Offload::NONE });
    s.down(msg);
    assert_eq!(s.through(&[syn(B, true)]), [0]);
    assert_eq!(s.drops("filter: rule"), 1);
}

#[test]
fn of_fragments_only_the_first_has_ports_and_all_have_addresses() {
    let whole = udp(A, B, 1, 53);
    let part = |offset: u16| {
        let mut frame = whole.clone();
        frame[20..22].copy_from_slice(&offset.to_be_bytes());
        frame
    };
    let (first, later) = (part(0x2000), part(3));
    let frames = [whole.clone(), first, later];
    assert_eq!(filter("drop dport 53").through(&frames), [2], "the first has the header");
    assert_eq!(filter("drop not dport 99").through(&frames), [2], "what is not there is neither");
    assert_eq!(filter("drop fragment dst 10.0.0.2").through(&frames), [0]);
    assert_eq!(filter("drop udp").through(&frames), []);
}

#[test]
fn headers_are_found_behind_tags_and_extension_headers_and_across_blocks() {
    let frame = udp(A, B, 1, 53);
    let tagged = [&frame[..12], &[0x88, 0xa8, 0, 1, 0x81, 0, 0, 2][..], &frame[12..]].concat();
    let v6 = written([9; 9], |out, p| {
        ethernet().ipv6([1; 16], [2; 16], 9).udp(1, 53).write_to_slice(out, p)
    });
    let mut extended = v6.clone();
    extended[20] = 0;
    extended.splice(54..54, [60, 0, 1, 4, 0, 0, 0, 0, 17, 1].into_iter().chain([0; 14]));
    for (frame, fates) in [(&tagged, "ip"), (&v6, "ip6"), (&extended, "ip6")] {
        for rule in ["drop udp dport 53", &format!("drop {fates} not sport 2")] {
            let mut s = filter(rule);
            for cut in [1, 13, 15, 30, 50, 60] {
                let mut msg = s.msg(frame);
                let rest = msg.split_off(s.p.pool(), cut).unwrap();
                msg.link(rest);
                s.down(msg);
            }
            s.turn(0);
            assert_eq!(s.drops("filter: rule"), 6, "{rule}");
        }
    }
}

#[test]
fn rules_are_replaced_all_at_once_or_not_at_all_and_those_that_stay_keep_their_counts() {
    let mut s = filter("count udp; drop dport 53");
    s.through(&[udp(A, B, 1, 53)]);
    assert_eq!(
        set(&mut s, "count udp; drop dprt 53"),
        "rules: at 17: dprt: one of up, down, arp, \
        ip, ip6, ethertype, icmp, icmp6, igmp, tcp, udp, proto, src, dst, host, sport, dport, \
        port, flags, len, fragment, super, band, any"
    );
    assert_eq!(s.text("rules"), "count udp; drop dport 53");
    assert_eq!(set(&mut s, "drop dport 54\n count  udp # both"), "");
    assert_eq!((s.text("rules").as_str(), s.count("rule.2")), ("drop dport 54; count udp", 1));
    assert_eq!(s.through(&[udp(A, B, 1, 53), udp(A, B, 1, 54)]), [0]);
    s.set("reset=all");
    assert_eq!((s.count("rule.1"), s.count("rule.2"), s.count("unmatched")), (0, 0, 0));
    assert_eq!(set(&mut s, ""), "");
    assert_eq!(s.through(&[udp(A, B, 1, 54)]), [0]);
}

#[test]
fn faults_of_rules_are_sentences_with_their_place() {
    let mut s = filter("");
    for (rules, fault) in [
        ("drop", "at 1: drop what? a rule that is for all says drop any"),
        ("drop udp; drop", "at 11: drop what? a rule that is for all says drop any"),
        ("dorp udp", "at 1: dorp: one of pass, drop, count, copy, divert, reject, reflect"),
        ("drop dst 10.0.0.0/33", "at 10: 10.0.0.0/33: an address, as 10.0.0.2 or 10.0.0.0/8"),
        ("drop dst", "at 9: an address, as 10.0.0.2 or 10.0.0.0/8, must follow"),
        ("drop port 5-2", "at 11: 5-2: ports, as 53, 8000-8999 or 53,67-68"),
        ("drop and udp", "at 6: and joins two terms"),
        ("drop udp and", "at 10: a term must follow"),
        ("drop not not udp", "at 10: not twice"),
        ("drop \u{e4} udp", "at 6: \u{e4}: one of up, down"),
        ("\u{e4} ", "at 1: \u{e4}: one of pass"),
        ("drop len 5", "at 10: 5: a comparison with bytes, as >1000, <64 or =60"),
        ("copy any", "rule 1, copy any: needs a file: insert the filter with file=PATH"),
    ] {
        let got = set(&mut s, rules);
        assert!(got.starts_with(&format!("rules: {fault}")), "{rules}: {got}");
    }
    let many = "count any;".repeat(33);
    assert_eq!(set(&mut s, &many), "rules: at 321: more than 32 rules");
    let mut s = Stack::with(Filter::new(Link::Ip));
    let got = set(&mut s, "reject tcp");
    assert_eq!(got, "rules: rule 1, reject tcp: is for Ethernet frames: link=ethernet");
}

#[test]
fn terms_alone_are_a_question_and_their_faults_have_their_place() {
    let fault = |text: &str| Rules::of_terms(text).unwrap_err();
    assert!(Rules::of_terms("udp dport 53 and not src 10.0.0.0/8").is_ok());
    assert!(fault("").starts_with("at 1: nothing: one of up, down"));
    assert!(fault("udp dport").starts_with("at 10: ports, as 53"));
    assert!(fault("drop udp").starts_with("at 1: drop: one of up, down"));
    for more in ["udp; tcp", "udp\ntcp"] {
        assert!(fault(more).contains("the terms of one rule end here"), "{more}");
    }
}

#[test]
fn a_rejected_connection_is_reset_in_the_name_of_its_receiver() {
    let mut s = filter("reject tcp");
    assert_eq!(s.through(&[syn(B, false), syn(B, true)]), []);
    let answers: Vec<Vec<u8>> = s.received().iter().map(bytes).collect();
    let tcp = |frame: &[u8]| {
        let ip = Ipv4HeaderSlice::from_slice(&frame[14..]).unwrap().to_header();
        assert_eq!(
            (frame[..6].to_vec(), ip.source, ip.destination),
            (vec![2, 0, 0, 0, 0, 1], B, A)
        );
        assert_eq!(ip.header_checksum, ip.calc_header_checksum());
        let tcp = TcpHeaderSlice::from_slice(&frame[34..]).unwrap().to_header();
        assert_eq!(tcp.checksum, tcp.calc_checksum_ipv4(&ip, &[]).unwrap());
        assert_eq!((tcp.source_port, tcp.destination_port, tcp.rst), (80, 4000, true));
        (tcp.ack, tcp.sequence_number, tcp.acknowledgment_number)
    };
    assert_eq!(tcp(&answers[0]), (true, 0, 1001));
    assert_eq!(tcp(&answers[1]), (false, 77, 0));
    let mut reset = answers[1].clone();
    exchange(&mut reset);
    assert_eq!(s.through(&[reset]), []);
    assert!(s.received().is_empty(), "a reset is not answered");
    s.assert_nothing_leaked();
}

/// Makes a frame one that its receiver sent.
fn exchange(frame: &mut [u8]) {
    frame[26..34].rotate_left(4);
    frame[34..38].rotate_left(2);
}

#[test]
fn a_rejected_datagram_is_answered_by_icmp_unless_it_was_for_many_or_an_error() {
    let mut s = filter("reject any");
    s.through(&[udp(A, B, 5, 53)]);
    let answer = bytes(&s.received()[0]);
    assert_eq!(answer[23..24], [1], "ICMP");
    assert_eq!(answer[34..36], [3, 3], "port unreachable");
    assert_eq!(answer[42..70], udp(A, B, 5, 53)[14..42], "quotes the header and 8 bytes");
    assert_eq!(checksum::sum_portable(&answer[34..]), 0xffff);
    let mut many = udp(A, B, 5, 53);
    many[0] = 1;
    s.through(&[many, udp(A, [224, 0, 0, 1], 5, 53), answer, vec![2; 5]]);
    assert!(s.received().is_empty());
    assert_eq!(s.drops("filter: rule"), 5);
    let v6 = written([9; 9], |out, p| {
        ethernet().ipv6([1; 16], [2; 16], 9).udp(1, 53).write_to_slice(out, p)
    });
    s.through(&[v6]);
    let answer = bytes(&s.received()[0]);
    assert_eq!((answer[20], &answer[54..56]), (58, &[1, 4][..]));
    s.assert_nothing_leaked();
}

#[test]
fn a_reflected_frame_comes_back_as_an_answer_with_sums_that_are_right() {
    let mut s = filter("reflect udp");
    assert_eq!(s.through(&[udp(A, B, 5, 53)]), []);
    let got = bytes(&s.received()[0]);
    let mut expected = udp(B, A, 53, 5);
    expected[..12].rotate_left(6);
    // The builder counts up nothing: the frames are the same but for their order.
    assert_eq!(got, expected);
    s.assert_nothing_leaked();
}

/// A file in memory.
#[derive(Clone, Default)]
struct File(Arc<Mutex<Vec<u8>>>);

impl Sink for File {
    fn write(&mut self, block: &[u8]) -> bool {
        let mut file = self.0.lock().unwrap();
        // One disk is full at some point.
        let room = file.len() + block.len() < 2000;
        if room {
            file.extend_from_slice(block);
        }
        room
    }
}

#[test]
fn copies_go_on_and_what_is_diverted_does_not_and_both_are_in_the_file() {
    let file = File::default();
    let filter = Filter::new(Link::Ethernet).with_file("f", Box::new(file.clone()), "tap0");
    let mut s = Stack::with(filter);
    assert_eq!(set(&mut s, "copy udp; divert icmp"), "");
    assert_eq!(s.through(&[udp(A, B, 1, 53), icmp(), syn(B, false)]), [0, 2]);
    let text = file.0.lock().unwrap().clone();
    let mut reader = pcap_file::pcapng::PcapNgReader::new(&text[..]).unwrap();
    let mut packets = Vec::new();
    while let Some(block) = reader.next_block() {
        if let pcap_file::pcapng::Block::EnhancedPacket(packet) = block.unwrap() {
            packets.push(packet.data.to_vec());
        }
    }
    assert_eq!(packets, [udp(A, B, 1, 53), icmp()]);
    for _ in 0..20 {
        s.through(&[icmp()]);
    }
    assert!(s.count("file.lost") > 0 && s.count("written") + s.count("file.lost") == 22);
    s.assert_nothing_leaked();
}

#[test]
fn below_a_transport_requests_and_packets_are_matched_alike_and_above_udp_its_primitives() {
    let mut pool = Pool::new(PoolConfig::TINY);
    let payload = [0, 5, 0, 53, 0, 8, 0, 0];
    let mut msg = pool.copy_from(128, &payload).unwrap();
    let request = Request { src: Some(A.into()), ..Request::new(B.into(), 17) };
    request.prepend(&mut msg, &mut pool).unwrap();
    let down = Facts::of(&msg, Link::Ip, Side::Write);
    let request = Request::take(&mut msg, &mut pool).unwrap();
    ip::build::output(&mut msg, &request, A.into(), 0, &mut pool).unwrap();
    let up = Facts::of(&msg, Link::Ip, Side::Read);
    assert_eq!((down.ip, down.sport, down.dport), (up.ip, Some(5), Some(53)));
    assert_eq!((down.ethertype, up.dport), (up.ethertype, Some(53)));

    let mut s = Stack::with(Filter::new(Link::Tpi));
    assert_eq!(set(&mut s, "drop up src 10.0.0.2 sport 53; drop down dport 7"), "");
    let ind = |port| Primitive::unitdata_ind((B, port).into());
    for primitive in [ind(53), ind(54), Primitive::ok_ack(1)] {
        let mut msg = s.msg(primitive.as_bytes());
        msg.set_kind(Kind::Proto);
        s.up(msg);
    }
    for port in [7, 8] {
        let mut msg = s.msg(Primitive::unitdata_req((B, port).into()).as_bytes());
        msg.set_kind(Kind::Proto);
        s.down(msg);
    }
    s.turn(0);
    // The other way's survivor ends at the driver, which knows no primitives.
    assert_eq!((s.received().len(), s.drops("filter: rule")), (2, 2));
    assert_eq!(s.module().stat.msgs_out, [2, 1]);
}

#[test]
fn a_successor_takes_rules_counts_and_file_and_refuses_what_is_not_a_filters() {
    let mut s = filter("count udp");
    s.through(&[udp(A, B, 1, 2)]);
    let mut old = s.p.pop(s.stream).unwrap().done().unwrap();
    let state = old.export().unwrap();
    let mut other = Filter::new(Link::Ip);
    let refused = other.import(state).unwrap_err();
    assert_eq!(refused.why, "its rules are for another link");
    let mut new = Filter::new(Link::Ethernet);
    new.import(refused.state).unwrap();
    assert_eq!(
        (new.rules().text(), new.rules().iter().next().unwrap().messages),
        ("count udp".into(), 1,)
    );
    let mut state = new.export().unwrap();
    state.version = 99;
    let refused = new.import(state).unwrap_err();
    assert_eq!(refused.state.version, 99);
    s.assert_nothing_leaked();
}

#[test]
fn a_filter_is_refused_where_messages_are_something_else_than_its_link_says() {
    let mut p = Perimeter::new(Config { pool: Pool::new(PoolConfig::TINY), seed: 1, clock: None });
    let wire = Framed(Wire::default());
    let (tap, _) = p.open_device("tap", Box::new(wire));
    p.push(tap, Box::new(Arp::new())).unwrap();
    let (ip, udp) = (p.add_mux(Box::new(ip::Ip::new(1))), p.add_mux(Box::new(Udp::new(2))));
    p.link(ip, tap).unwrap();
    let transport = p.open_mux(ip, "transport").unwrap();
    p.link(udp, transport).unwrap();
    let user = p.open_mux(udp, "user").unwrap();
    let places = [(tap, Link::Ethernet), (transport, Link::Ip), (user, Link::Tpi)];
    for (stream, right) in places {
        for link in [Link::Ethernet, Link::Ip, Link::Tpi] {
            let put = p.insert(stream, 0, Box::new(Filter::new(link)));
            assert_eq!(put.is_ok(), link == right, "{link:?} at {stream:?}");
            if let Err(why) = put {
                assert!(why.to_string().contains("filter takes "), "{why}");
            }
        }
    }
    let put = p.insert(user, 0, Box::new(Filter::new(Link::Ethernet)));
    assert_eq!(
        put.unwrap_err().to_string(),
        "filter takes Ethernet frames from below, but udp sends datagrams"
    );
}

/// A device that says that it has frames.
struct Framed(Wire);

impl Device for Framed {
    fn caps(&self) -> Caps {
        self.0.caps()
    }
    fn formats(&self) -> Formats {
        Formats::of(Format::Frames)
    }
    fn recv(&mut self, pool: &mut Pool, out: &mut MsgList, max: usize) -> Result<usize, Errno> {
        self.0.recv(pool, out, max)
    }
    fn send(&mut self, batch: &mut MsgList) -> Result<(), Errno> {
        self.0.send(batch)
    }
}

/// A packet as it is made, and terms as they are meant.
#[derive(Clone, Debug)]
struct Made {
    src: u8,
    dst: u8,
    sport: u16,
    dport: u16,
    tcp: bool,
    syn: bool,
    up: bool,
}

fn made() -> impl Strategy<Value = Made> {
    (0..3_u8, 0..3_u8, 0..4_u16, 0..4_u16, any::<[bool; 3]>()).prop_map(
        |(src, dst, sport, dport, [tcp, syn, up])| Made { src, dst, sport, dport, tcp, syn, up },
    )
}

impl Made {
    fn frame(&self) -> Vec<u8> {
        let ip = ethernet().ipv4([10, 0, 0, self.src], [10, 0, 0, self.dst], 9);
        if self.tcp {
            let tcp = ip.tcp(self.sport, self.dport, 1, 1);
            let tcp = if self.syn { tcp.syn() } else { tcp };
            written([], |out, p| tcp.write_to_slice(out, p))
        } else {
            written([], |out, p| ip.udp(self.sport, self.dport).write_to_slice(out, p))
        }
    }

    /// What a term says of it, in words of this test.
    fn has(&self, term: &str) -> Option<bool> {
        let words: Vec<&str> = term.split(' ').collect();
        let number = |text: &str| text.rsplit(['.', ' ']).next().unwrap().parse::<u16>().unwrap();
        let value = words.get(1).copied().unwrap_or("0");
        Some(match words[0] {
            "udp" => !self.tcp,
            "tcp" => self.tcp,
            "up" => self.up,
            "arp" => false,
            "src" => u16::from(self.src) == number(value),
            "dst" => u16::from(self.dst) == number(value),
            "host" => [self.src, self.dst].map(u16::from).contains(&number(value)),
            "sport" => self.sport == number(value),
            "dport" => self.dport <= number(value.trim_start_matches("0-")),
            "port" => [self.sport, self.dport].contains(&number(value)),
            "flags" if !self.tcp => return None,
            "flags" => self.syn,
            _ => panic!("{term}"),
        })
    }
}

fn term() -> impl Strategy<Value = (bool, String)> {
    let simple = prop::sample::select(vec!["udp", "tcp", "up", "arp", "flags syn"]);
    let address = (prop::sample::select(vec!["src", "dst", "host"]), 0..3_u8)
        .prop_map(|(word, n)| format!("{word} 10.0.0.{n}"));
    let port = (prop::sample::select(vec!["sport ", "dport 0-", "port "]), 0..4_u16)
        .prop_map(|(word, n)| format!("{word}{n}"));
    (any::<bool>(), prop_oneof![simple.prop_map(String::from), address, port])
}

proptest! {
    #[test]
    fn rules_decide_as_a_matcher_that_knows_how_the_packet_was_made(
        rules in prop::collection::vec(
            (any::<bool>(), prop::collection::vec(term(), 1..4)), 1..6,
        ),
        packets in prop::collection::vec(made(), 1..20),
    ) {
        let text: Vec<String> = rules
            .iter()
            .map(|(drop, terms)| {
                let terms: Vec<String> = terms
                    .iter()
                    .map(|(not, term)| format!("{}{term}", if *not { "not " } else { "" }))
                    .collect();
                format!("{} {}", if *drop { "drop" } else { "pass" }, terms.join(" and "))
            })
            .collect();
        let mut parsed = Rules::parse(&text.join(";")).unwrap();
        let mut pool = Pool::new(PoolConfig::TINY);
        for packet in packets {
            let hit = rules.iter().find(|(_, terms)| {
                terms.iter().all(|(not, term)| packet.has(term) == Some(!not))
            });
            let dropped = hit.is_some_and(|(drop, _)| *drop);
            let msg = pool.copy_from(0, &packet.frame()).unwrap();
            let side = if packet.up { Side::Read } else { Side::Write };
            let facts = Facts::of(&msg, Link::Ethernet, side);
            let action = parsed.decide(&facts, &msg, &mut |_| ());
            let got = action == millstream_modules::filter::Action::Drop;
            prop_assert_eq!(got, dropped, "{:?}: {}", packet, text.join("; "));
            pool.free(msg);
        }
    }
}
