//! Data leave by the pace that was asked for, in virtual time.

use crate::kit::*;
use millstream_modules::tcp::Tcp;

/// The pace of these tests: a segment of 1000 octets each 10 ms.
const RATE: i32 = 100_000;

fn paced() -> T {
    let mut t = T::established();
    t.set(opt::MAX_PACING_RATE, RATE);
    t.set(opt::SNDBUF, 1 << 20);
    t
}

/// Octets and milliseconds of what leaves from now on; the peer acknowledges all of it at once.
fn leaves(t: &mut T, millis: u64) -> Vec<(u32, u64)> {
    let end = t.ms() + millis;
    let mut all = Vec::new();
    while t.ms() < end {
        let sent = t.sent_in(1);
        all.extend(sent.iter().filter(|sent| sent.len() > 0).map(|s| (s.len() as u32, s.ms())));
        if !sent.is_empty() {
            t.inject(seg().flag(ACK));
        }
    }
    all
}

#[test]
fn data_leave_no_faster_than_the_pace_and_evenly() {
    let mut t = paced();
    t.write(100_000);
    let sent = leaves(&mut t, 900);
    let octets: u32 = sent.iter().map(|(len, _)| len).sum();
    assert!((89_000..=92_000).contains(&octets), "{octets} octets in 900 ms");
    // Two segments at a time at most: no bursts.
    for start in 0..80 {
        let from = start * 10;
        let burst: u32 =
            sent.iter().filter(|s| (from..from + 10).contains(&s.1)).map(|s| s.0).sum();
        assert!(burst <= 2000, "{burst} octets in 10 ms from {from}");
    }
}

#[test]
fn a_pace_holds_for_what_is_written_bit_by_bit_too() {
    let mut t = paced();
    t.set(opt::NODELAY, 1);
    let mut octets = 0;
    for _ in 0..100 {
        t.write(1500);
        octets += leaves(&mut t, 10).iter().map(|(len, _)| len).sum::<u32>();
    }
    assert!((98_000..=103_000).contains(&octets), "{octets} octets in a second");
}

#[test]
fn a_pace_may_change_and_end_while_data_wait() {
    let mut t = paced();
    t.write(200_000);
    let slow: u32 = leaves(&mut t, 200).iter().map(|(len, _)| len).sum();
    t.set(opt::MAX_PACING_RATE, 5 * RATE);
    let fast: u32 = leaves(&mut t, 200).iter().map(|(len, _)| len).sum();
    assert!((4 * slow..6 * slow).contains(&fast), "{slow}, then {fast}");
    t.set(opt::MAX_PACING_RATE, -1);
    t.sent_in(1);
    t.inject(seg().flag(ACK));
    let rest: u32 = leaves(&mut t, 20).iter().map(|(len, _)| len).sum();
    assert!(rest > 50_000, "{rest}");
}

#[test]
fn what_is_sent_again_keeps_the_pace() {
    let mut t = T::established_with(with_sack());
    t.set(opt::SNDBUF, 1 << 20);
    t.write(10_000);
    t.expect_octets(1, 10_001);
    t.set(opt::MAX_PACING_RATE, RATE);
    t.inject(ack(1).sack(&[(9001, 10_001)]));
    let mut at = 1;
    let mut times = Vec::new();
    while at < 9001 {
        for sent in t.sent_in(1) {
            times.push(sent.ms());
            at = at.max(sent.end());
            t.inject(ack(at).sack(&[(9001, 10_001)]));
        }
    }
    let took = times.last().unwrap() - times[0];
    assert!((55..=110).contains(&took), "nine segments in {took} ms");
}

#[test]
fn a_pace_does_not_hold_acknowledgements_resets_and_the_end() {
    let mut t = paced();
    t.write(20_000);
    t.sent_now();
    t.inject(data(1000));
    t.inject(data(1000));
    let acks = t.sent_now();
    assert!(acks.iter().any(|sent| sent.ack == 2001), "{acks:#?}");
    let sent = leaves(&mut t, 250);
    assert_eq!(sent.iter().map(|(len, _)| len).sum::<u32>(), 18_000);
    t.write(2000);
    t.shutdown();
    let sent = t.sent_in(50);
    assert!(sent.last().is_some_and(|sent| sent.has(FIN) && sent.end() == 22_002), "{sent:#?}");
    t.abort();
    t.expect(rst_ack());
}

#[test]
fn a_paced_connection_with_a_closed_window_is_probed() {
    let mut t = paced();
    t.write(4000);
    t.sent_in(100);
    t.p().window = 0;
    t.inject(ack(4001));
    t.write(2000);
    let probe = t.expect_within(2000, seg().flag(ACK));
    assert!(probe.len() <= 1, "{probe:?}");
    t.p().window = 0xffff;
    t.inject(ack(4001));
    t.sent_in(100);
    t.inject(seg().flag(ACK));
    assert_eq!(t.p().rcv_nxt, 6001);
}

#[test]
fn ss_shows_the_pace() {
    let mut t = paced();
    t.write(1000);
    let now = t.rig.now();
    let node = t.rig.perimeter().muxes()[0];
    let tcp = t.rig.perimeter().mux_as::<Tcp>(node).expect("tcp");
    let flows: Vec<_> = tcp.sockets(now).filter_map(|(view, _)| view.flow).collect();
    assert_eq!(flows[0].pacing, Some(RATE as u64));
}
