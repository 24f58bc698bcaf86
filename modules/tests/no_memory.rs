//! A pool that is empty at every possible allocation of arp, ip, udp and the echo service: each one
//! of a whole scenario fails once. What is asked is answered, or a drop is counted, or the program
//! is told; nothing panics and nothing leaks.

#[path = "bad_input/frames.rs"]
#[allow(dead_code)]
mod frames;
#[path = "bad_input/lab.rs"]
#[allow(dead_code)]
mod lab;

use frames::{Addr, Ip, Mac, PEER, US};
use lab::Lab;
use millstream_core::tpi::{self, Primitive};
use millstream_core::{Errno, StreamId};
use millstream_msg::{Kind, Msg};

/// A neighbour whose station is not known at the start.
const OTHER: Addr = [10, 0, 0, 8];
const OTHER_MAC: Mac = [4, 0, 0, 0, 0, 8];

/// What came of a scenario.
struct Outcome {
    /// What the line owes to somebody, without the fields that a drop shifts (number and sum of
    /// the IP header).
    sent: Vec<Vec<u8>>,
    /// What the program received, and failed to send.
    told: Vec<Vec<u8>>,
    errors: usize,
    drops: u64,
    asked: u64,
    refused: u64,
}

/// Messages are made before an allocation may fail: those who send them are not under test.
struct Ready {
    frames: Vec<Vec<Msg>>,
    requests: Vec<Msg>,
}

fn ready(lab: &mut Lab) -> Ready {
    let big = vec![7; 2000];
    let datagram = Ip { id: 40, ..Ip::to_us(17) };
    let mut whole = frames::udp(5000, 7, &big);
    let sum = frames::udp_sum(PEER, US, &whole);
    whole[6..8].copy_from_slice(&sum.to_be_bytes());
    let arp = |op, sender_mac, sender| frames::arp(op, sender_mac, sender, [0; 6], US);
    let rounds: [Vec<Vec<u8>>; 5] = [
        // Echoes of UDP and ICMP, together; a closed port; who has our address.
        vec![
            Ip::to_us(17).frame(&frames::udp(5000, 7, b"small")),
            Ip::to_us(17).frame(&frames::udp(5000, 7, &[1; 900])),
            Ip::to_us(1).frame(&frames::echo(8, 1, 1, b"ping")),
            Ip::to_us(17).frame(&frames::udp(5000, 9999, b"nobody")),
            arp(1, OTHER_MAC, [10, 0, 0, 77]),
        ],
        // A datagram in pieces, whose echo leaves in pieces.
        vec![
            datagram.piece(40, 0, true, &whole[..1480]),
            datagram.piece(40, 1480, false, &whole[1480..]),
        ],
        // For the program.
        vec![Ip::to_us(17).frame(&frames::udp(5000, 4000, b"for the program"))],
        // The neighbour that the stack asks for.
        vec![arp(2, OTHER_MAC, OTHER)],
        vec![Ip::to_us(17).frame(&frames::udp(5000, 7, b"last"))],
    ];
    let mut msg = |frame: &Vec<u8>| lab.p.pool().copy_from(64, frame).unwrap();
    let frames = rounds.iter().map(|round| round.iter().map(&mut msg).collect()).collect();
    let mut request = |control: &[u8], data: Option<&[u8]>| {
        let mut msg = lab.p.pool().copy_from(0, control).unwrap();
        let number = tpi::primitive(control).unwrap();
        msg.set_kind(tpi::kind(number).unwrap_or(Kind::Proto));
        if let Some(data) = data {
            msg.link(lab.p.pool().copy_from(64, data).unwrap());
        }
        msg
    };
    let to = |to: Addr| Primitive::unitdata_req((to, 9).into());
    let requests = vec![
        request(Primitive::bind_req(([0, 0, 0, 0], 4000).into()).as_bytes(), None),
        request(Primitive::info_req().as_bytes(), None),
        request(to(PEER).as_bytes(), Some(b"to the neighbour")),
        request(to(OTHER).as_bytes(), Some(b"to one that is asked for")),
        request(to(PEER).as_bytes(), Some(&big)),
    ];
    Ready { frames, requests }
}

/// Feeds and sends all of it; allocation `nth` fails (0: none does).
fn scenario(nth: u64) -> Outcome {
    let mut lab = Lab::host();
    let program = lab.open_udp();
    let Ready { frames, requests } = ready(&mut lab);
    let (probe, driver) = lab.probes[0].clone();
    lab.dropped();
    let refused = lab.p.pool().stats().refused;
    let (mut told, mut errors) = (Vec::new(), 0);
    lab.p.pool().fail_nth(nth);
    for msg in requests {
        if let Err((errno, msg)) = lab.p.putmsg(program, msg) {
            // An M_ERROR told the program before.
            assert!(matches!(errno, Errno::EPROTO | Errno::ENOSR), "{errno}");
            errors += 1;
            lab.p.pool().free(msg);
        }
        lab.advance(0);
        told.extend(received(&mut lab, program));
    }
    for round in frames {
        round.into_iter().for_each(|msg| probe.arrive(msg));
        while lab.p.poll(driver, 64) > 0 {}
        lab.advance(0);
    }
    let asked = lab.p.pool().fail_none();
    told.extend(received(&mut lab, program));
    errors += usize::from(lab.p.getmsg(program).is_err_and(|errno| errno != Errno::EAGAIN));
    // Whoever waits for a neighbour that was not asked for gives up.
    let mut sent: Vec<Vec<u8>> = probe.sent_bytes();
    lab.rest();
    lab.p.close(program).unwrap();
    let drops = lab.dropped().iter().map(|(_, count)| count).sum();
    let refused = lab.p.pool().stats().refused - refused;
    lab.finish();
    sent.retain(|frame| owed(frame));
    for frame in sent.iter_mut().filter(|frame| frame[12..14] == [8, 0]) {
        frame[18..20].fill(0);
        frame[24..26].fill(0);
    }
    Outcome { sent, told, errors, drops, asked, refused }
}

/// What the program has got: control and data in one.
fn received(lab: &mut Lab, program: StreamId) -> Vec<Vec<u8>> {
    lab.take(program).into_iter().map(|(control, data)| [control, data].concat()).collect()
}

/// A request for a station is made again by its timer, and an error is about a datagram whose own
/// drop is counted: who makes neither for want of memory loses nothing.
fn owed(frame: &[u8]) -> bool {
    let icmp_error = frame[12..14] == [8, 0] && frame[23] == 1 && frame[34] == 3;
    !icmp_error && !frames::asks_for(frame, OTHER)
}

/// What is in `all` and not in `some`, each as often as it is.
fn missing(all: &[Vec<u8>], some: &[Vec<u8>]) -> usize {
    let mut rest = some.to_vec();
    let found = |one: &&Vec<u8>| match rest.iter().position(|other| other == *one) {
        Some(at) => {
            rest.swap_remove(at);
            true
        }
        None => false,
    };
    all.len() - all.iter().filter(found).count()
}

#[test]
fn every_allocation_of_an_exchange_may_fail_alone_and_what_is_lost_is_counted() {
    let whole = scenario(0);
    // Four echoes and one in two pieces, an ARP reply, the program's two and one in two pieces.
    assert_eq!((whole.sent.len(), whole.told.len(), whole.errors), (11, 3, 0));
    // The datagram for nobody.
    assert_eq!((whole.refused, whole.drops), (0, 1));
    assert!(whole.asked >= 15, "{} allocations", whole.asked);
    for nth in 1..=whole.asked {
        let with = scenario(nth);
        assert_eq!(with.refused, 1, "allocation {nth}");
        let lost = missing(&whole.sent, &with.sent) + missing(&whole.told, &with.told);
        let accounted = with.drops - 1 + with.errors as u64;
        assert!(lost == 0 || accounted > 0, "allocation {nth}: {lost} missing, nothing counted");
    }
}
