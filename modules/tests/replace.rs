//! ip and udp are replaced while datagrams are on their way through them: streams, tables, timers
//! and what is held go on in the successors.

#[path = "bad_input/frames.rs"]
#[allow(dead_code)]
mod frames;
#[path = "bad_input/lab.rs"]
#[allow(dead_code)]
mod lab;

use frames::{Ip, PEER};
use lab::Lab;
use millstream_core::tpi::Primitive;
use millstream_core::{
    Cx, Errno, LinkInfo, Lower, Mux, MuxInfo, PlumbError, Refused, Rng, State, Step, StreamId,
    Upper,
};
use millstream_modules::ip::Ip as IpMux;
use millstream_modules::udp::Udp;
use millstream_msg::{Band, Kind, Msg};
use millstream_rig::secs;

/// Puts fresh ones in the place of both.
fn replace_both(lab: &mut Lab) {
    lab.p.replace_mux(lab.ip, Box::new(IpMux::new(1))).unwrap();
    lab.p.replace_mux(lab.udp, Box::new(Udp::new(2))).unwrap();
}

/// A datagram of the neighbour for the echo service.
fn question(number: u32) -> Vec<u8> {
    Ip::to_us(17).frame(&frames::udp(5000, 7, &number.to_be_bytes()))
}

/// The numbers of UDP datagrams in frames.
fn numbers(frames: &[Vec<u8>]) -> Vec<u32> {
    let number = |frame: &Vec<u8>| {
        let payload = frames::parse(frame).payload;
        u32::from_be_bytes(payload[8..12].try_into().unwrap())
    };
    frames.iter().filter(|frame| frame[12..14] == [8, 0]).map(number).collect()
}

fn bound(lab: &mut Lab, port: u16) -> StreamId {
    let stream = lab.open_udp();
    let local = ([0, 0, 0, 0], port).into();
    assert_eq!(lab.request(stream, &Primitive::bind_req(local)), 0);
    stream
}

/// A program sends a number to the neighbour; what happens next is left to later turns.
fn send(lab: &mut Lab, stream: StreamId, number: u32) {
    let to = Primitive::unitdata_req((PEER, 9).into());
    let mut msg = lab.p.pool().copy_from(0, to.as_bytes()).unwrap();
    msg.set_kind(Kind::Proto);
    let data = lab.p.pool().copy_from(64, &number.to_be_bytes()).unwrap();
    msg.link(data);
    lab.p.putmsg(stream, msg).map_err(|(errno, _)| errno).unwrap();
}

#[test]
fn under_traffic_nothing_is_lost_duplicated_or_reordered() {
    let mut lab = Lab::host();
    let program = bound(&mut lab, 4000);
    let (probe, driver) = lab.probes[0].clone();
    let mut rng = Rng::new(millstream_rig::seed(0x5eed));
    let (mut answers, mut sent) = (Vec::new(), Vec::new());
    for round in 0..1000_u32 {
        for n in 0..4 {
            let frame = question(round * 4 + n);
            let msg = lab.p.pool().copy_from(64, &frame).unwrap();
            probe.arrive(msg);
            send(&mut lab, program, round * 4 + n);
        }
        lab.p.poll(driver, 64);
        // Messages are anywhere on their way when one changes.
        for _ in 0..rng.below(12) {
            lab.p.turn(lab.p.now(), 1);
        }
        match rng.below(3) {
            0 => drop(lab.p.replace_mux(lab.ip, Box::new(IpMux::new(1))).unwrap()),
            1 => drop(lab.p.replace_mux(lab.udp, Box::new(Udp::new(2))).unwrap()),
            _ => replace_both(&mut lab),
        }
        lab.advance(1000);
        let (echoed, own): (Vec<_>, Vec<_>) =
            lab.sent().into_iter().partition(|frame| frame[34..36] == [0, 7]);
        answers.extend(numbers(&echoed));
        sent.extend(numbers(&own));
    }
    assert_eq!(answers, (0..4000).collect::<Vec<_>>());
    assert_eq!(sent, (0..4000).collect::<Vec<_>>());
    assert_eq!(lab.dropped(), []);
    lab.p.close(program).unwrap();
    lab.finish();
}

#[test]
fn what_waits_for_the_device_leaves_through_the_successors() {
    let mut lab = Lab::host();
    let users = [4000, 4001, 4002].map(|port| bound(&mut lab, port));
    let (probe, driver) = lab.probes[0].clone();
    probe.set_room(Some(0));
    let mut number = 0;
    // Until each user's writes wait at its head.
    while users.iter().any(|&user| lab.p.can_put(user, Some(Band(0))).unwrap()) {
        for user in users {
            if lab.p.can_put(user, Some(Band(0))).unwrap() {
                send(&mut lab, user, number);
                number += 1;
            }
        }
        lab.advance(0);
    }
    replace_both(&mut lab);
    lab.advance(0);
    probe.set_room(None);
    lab.p.writable(driver);
    replace_both(&mut lab);
    lab.advance(0);
    let mut all = numbers(&lab.sent());
    assert_eq!((all.len(), lab.dropped()), (number as usize, vec![]));
    all.sort_unstable();
    all.dedup();
    assert_eq!(all.len(), number as usize, "each once");
    for user in users {
        lab.p.close(user).unwrap();
    }
    lab.finish();
}

#[test]
fn streams_open_and_close_and_timers_fire_in_the_successors() {
    let mut lab = Lab::host();
    let old = bound(&mut lab, 4000);
    // A datagram that will never be whole: its time-out was set by the predecessor.
    lab.feed(&[Ip::to_us(17).piece(77, 0, true, &[0; 64])]);
    assert_eq!(lab.shows(lab.ip, "reassembling"), 1);
    replace_both(&mut lab);
    assert_eq!(lab.shows(lab.ip, "reassembling"), 1);
    let new = lab.open_udp();
    let taken = lab.request(new, &Primitive::bind_req(([0, 0, 0, 0], 4000).into()));
    assert_eq!(taken, Errno::EADDRINUSE.0, "the table of ports has moved");
    lab.p.close(old).unwrap();
    assert_eq!(lab.request(new, &Primitive::bind_req(([0, 0, 0, 0], 4000).into())), 0);
    lab.feed(&[Ip::to_us(17).frame(&frames::udp(5000, 4000, b"in"))]);
    assert_eq!(lab.take(new).len(), 1);
    lab.advance(secs(60));
    assert_eq!(lab.shows(lab.ip, "reassembling"), 0);
    lab.p.close(new).unwrap();
    lab.alive();
    lab.finish();
}

/// Stands where `udp` stood and takes no state of it.
struct Stranger(Udp);

impl Mux for Stranger {
    fn info(&self) -> &'static MuxInfo {
        self.0.info()
    }
    fn uopen(&mut self, _: &mut Cx<'_>, _: Upper) -> Result<Step, Errno> {
        Err(Errno::ENXIO)
    }
    fn uclose(&mut self, _: &mut Cx<'_>, _: Upper) -> Step {
        Step::Done
    }
    fn link(&mut self, _: &mut Cx<'_>, _: Lower, _: LinkInfo) -> Result<(), Errno> {
        Err(Errno::ENXIO)
    }
    fn unlink(&mut self, _: &mut Cx<'_>, _: Lower) {}
    fn uwput(&mut self, cx: &mut Cx<'_>, _: Upper, msg: Msg) {
        cx.free(msg);
    }
    fn lrput(&mut self, cx: &mut Cx<'_>, _: Lower, msg: Msg) {
        cx.free(msg);
    }
    fn import(&mut self, state: State) -> Result<(), Refused> {
        Err(Refused { why: "it was made by another version", state })
    }
}

#[test]
fn a_successor_that_refuses_leaves_the_predecessor_at_work() {
    let mut lab = Lab::host();
    let program = bound(&mut lab, 4000);
    for _ in 0..10 {
        send(&mut lab, program, 1);
        lab.p.turn(lab.p.now(), 2);
        let refused = lab.p.replace_mux(lab.udp, Box::new(Stranger(Udp::new(3))));
        assert_eq!(refused.err(), Some(PlumbError::NotTaken("it was made by another version")));
        lab.advance(0);
        assert_eq!(numbers(&lab.sent()), [1]);
    }
    // One of another kind is refused before anything is moved.
    let refused = lab.p.replace_mux(lab.udp, Box::new(IpMux::new(3)));
    assert!(matches!(refused.err(), Some(PlumbError::Contract(_))));
    lab.alive();
    lab.p.close(program).unwrap();
    lab.finish();
}
