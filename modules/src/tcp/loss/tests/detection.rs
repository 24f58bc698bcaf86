//! What is lost, and what is not.

use super::*;
use millstream_core::Rng;
use proptest::prelude::*;

#[test]
fn three_segments_behind_a_hole_make_it_a_loss_rfc6675_rfc8985_6_2_4() {
    let mut line = Line::full(10);
    line.now += RTT;
    line.ack(0, &[(1, 3)]);
    assert_eq!((line.loss.state(), line.resend()), (State::Disorder, [].to_vec()));
    line.ack(0, &[(1, 4)]);
    assert_eq!((line.loss.state(), line.resend()), (State::Recovery, [(0, 1)].to_vec()));
}

#[test]
fn fewer_make_it_a_loss_a_quarter_of_a_round_trip_later_rfc8985_6_2() {
    let mut line = Line::full(10);
    line.now += RTT;
    line.ack(0, &[(1, 2)]);
    assert_eq!(line.timer(), Some((Timer::Reorder, line.now + RTT / 4)));
    assert_eq!(line.expire(), (Timer::Reorder, Expired::Retransmit));
    assert_eq!(line.resend(), [(0, 1)]);
    assert_eq!(line.loss.state(), State::Recovery);
}

#[test]
fn what_comes_within_the_window_of_reordering_is_no_loss_rfc8985_6_2_3() {
    let mut line = Line::full(10);
    line.now += RTT;
    line.ack(0, &[(1, 2)]);
    line.now += RTT / 8;
    line.ack(2, &[]);
    assert!(line.loss.reordering_seen());
    assert_eq!(line.loss.state(), State::Open);
    line.ack(2, &[(3, 10)]);
    assert_eq!((line.loss.state(), line.resend()), (State::Disorder, [].to_vec()));
}

#[test]
fn retransmission_that_is_lost_is_sent_again_without_a_timeout_rfc8985_6_2_5() {
    let mut line = Line::full(10);
    line.now += RTT;
    line.ack(0, &[(1, 10)]);
    assert_eq!(line.resend(), [(0, 1)]);
    line.now += MS;
    line.send(2);
    line.now += RTT;
    line.ack(0, &[(1, 12)]);
    assert_eq!(line.resend(), [(0, 1)]);
    assert_eq!(line.loss.counters().resent, 2 * MSS);
}

#[test]
fn super_segment_is_split_where_segments_end() {
    let mut line = Line::full(4);
    line.send_together(16);
    line.now += RTT;
    // 2.5 segments: two are sure.
    let half = Range::new(at(6), at(8).add(MSS / 2));
    assert_eq!(line.hear(at(4), &[half], None, false).sacked, 2 * MSS);
    assert_eq!(line.records.len(), 3);
    let odd = Range::new(at(9).add(1), at(12));
    assert_eq!(line.hear(at(4), &[odd], None, false).sacked, 2 * MSS);
    line.ack(4, &[(9, 20)]);
    assert_eq!(line.resend(), [(4, 6), (8, 9)]);
    line.hear(at(5).add(MSS / 2), &[], None, false);
    assert_eq!(line.records.outstanding(), 14 * MSS + MSS / 2);
}

#[test]
fn part_of_a_segment_is_not_taken_for_the_whole() {
    let mut line = Line::full(4);
    line.now += RTT;
    let part = Range::new(at(1).add(1), at(2));
    assert_eq!(line.hear(at(0), &[part], None, false).sacked, 0);
    assert_eq!(line.records.sacked(), 0);
}

#[test]
fn sack_blocks_that_make_no_sense_are_counted_and_ignored() {
    let mut line = Line::full(10);
    line.now += RTT;
    line.ack(2, &[(4, 5)]);
    let blocks = [segments(6, 8), segments(9, 7), segments(8, 8), segments(8, 11)];
    line.hear(at(2), &blocks, None, false);
    assert_eq!(line.records.sacked(), 3 * MSS);
    assert_eq!(line.loss.counters().bad_sacks, 3);
    // What was acknowledged since is old, not bad.
    line.ack(5, &[(6, 8), (4, 5)]);
    assert_eq!(line.loss.counters().bad_sacks, 3);
    let far = Range::new(at(0).sub(1 << 30), at(0).add(1 << 30));
    line.hear(at(5), &[segments(6, 8), far], None, false);
    assert_eq!(line.loss.counters().bad_sacks, 4);
    assert_eq!(line.records.sacked(), 2 * MSS);
}

#[test]
fn sacks_on_a_connection_that_did_not_agree_on_them_say_nothing_rfc2018() {
    let mut line = Line::full_without_sack(10);
    line.now += RTT;
    line.ack(0, &[(1, 4)]);
    assert_eq!(line.records.sacked(), 0);
}

#[test]
fn peer_that_takes_a_sack_back_is_believed_after_the_timeout_rfc2018_8() {
    let mut line = Line::full(4);
    line.now += RTT;
    line.ack(0, &[(1, 4)]);
    line.resend();
    line.now += RTT;
    line.ack(1, &[]);
    assert_eq!(line.records.sacked(), 3 * MSS);
    while line.expire().0 != Timer::Rto {}
    assert_eq!((line.records.sacked(), line.records.lost()), (0, 3 * MSS));
    assert_eq!(line.resend(), [(1, 2)]);
}

#[test]
fn third_duplicate_sends_the_first_again_and_a_partial_ack_the_next_rfc6582_3_2() {
    let mut line = Line::full_without_sack(10);
    line.now += RTT;
    line.ack(0, &[]);
    line.ack(0, &[]);
    assert_eq!(line.resend(), []);
    line.ack(0, &[]);
    assert_eq!(line.resend(), [(0, 1)]);
    assert_eq!((line.loss.state(), line.loss.ssthresh()), (State::Recovery, 5 * MSS));
    for _ in 0..5 {
        line.ack(0, &[]);
    }
    line.now += RTT;
    line.ack(4, &[]);
    assert_eq!(line.resend(), [(4, 5)]);
    line.now += RTT;
    line.ack(10, &[]);
    assert_eq!((line.loss.state(), line.loss.cwnd()), (State::Open, 5 * MSS));
}

#[test]
fn duplicates_after_a_recovery_begin_no_second_one_rfc6582_4() {
    let mut line = Line::full_without_sack(10);
    line.more = false;
    line.expire();
    line.resend();
    line.now += RTT;
    line.ack(9, &[]);
    line.resend();
    line.now += RTT;
    line.ack(10, &[]);
    line.send(4);
    for _ in 0..3 {
        line.ack(10, &[]);
    }
    assert_eq!((line.loss.state(), line.resend()), (State::Disorder, [].to_vec()));
}

#[test]
fn what_was_sent_again_gives_no_round_trip_without_a_timestamp_rfc6298_3() {
    let mut line = Line::full_without_sack(1);
    let before = line.loss.rtt().smoothed();
    line.expire();
    line.resend();
    line.now += 1000 * MS;
    let mut other = Line { loss: line.loss.clone(), records: line.records.clone(), ..line };
    other.ack(1, &[]);
    assert_eq!(other.loss.rtt().smoothed(), before);
    assert_eq!(other.loss.rtt().timeout(), 2 * 300 * MS, "still backed off (Karn)");
    assert_eq!(other.loss.backed_off(), 0);
    line = Line { loss: line.loss.clone(), ..other };
    assert_eq!(line.loss.backed_off(), 1);
}

#[test]
fn timer_restarts_with_each_ack_and_doubles_with_each_timeout_rfc6298_5() {
    let mut line = Line::full_without_sack(10);
    let timeout = line.loss.rtt().timeout();
    assert_eq!(line.timer(), Some((Timer::Rto, line.now + timeout)));
    line.now += RTT;
    line.ack(1, &[]);
    let timeout = line.loss.rtt().timeout();
    assert_eq!(line.timer(), Some((Timer::Rto, line.now + timeout)));
    line.expire();
    line.resend();
    assert_eq!(line.timer(), Some((Timer::Rto, line.now + 2 * timeout)));
    line.expire();
    assert_eq!(line.timer(), Some((Timer::Rto, line.now + 4 * timeout)));
    assert_eq!(line.loss.backed_off(), 2);
    line.ack(10, &[]);
    assert_eq!((line.timer(), line.loss.backed_off()), (None, 0));
}

#[test]
fn timer_that_does_not_run_does_nothing() {
    let mut line = Line::full(4);
    for timer in [Timer::Rto, Timer::Probe, Timer::Reorder] {
        let sending = line.sending();
        let expired = line.loss.expired(&mut line.records, timer, &sending, true);
        assert_eq!(expired, Expired::Nothing);
    }
    assert_eq!((line.loss.state(), line.loss.backed_off()), (State::Open, 0));
}

#[test]
fn probe_is_the_last_segment_two_round_trips_later_and_new_data_if_there_are_rfc8985_7_2() {
    let mut line = Line::full(2);
    line.send_together(3);
    assert_eq!(line.timer(), Some((Timer::Probe, line.now + 2 * RTT + 2 * MS)));
    line.more = false;
    assert_eq!(line.expire(), (Timer::Probe, Expired::ProbeLast(segments(4, 5))));
    assert_eq!(line.timer(), Some((Timer::Rto, line.now + line.loss.rtt().timeout())));
    let mut line = Line::full(5);
    assert_eq!(line.expire(), (Timer::Probe, Expired::ProbeNew));
    assert_eq!(line.loss.counters().probes, 1);
}

/// A flight of five whose last segment was probed and is acknowledged.
fn probed() -> Line {
    let mut line = Line::full(5);
    line.more = false;
    let (_, expired) = line.expire();
    assert_eq!(expired, Expired::ProbeLast(segments(4, 5)));
    let sending = line.sending();
    line.loss.retransmitted(&mut line.records, segments(4, 5), &sending);
    line.now += RTT;
    line.ack(5, &[]);
    line
}

#[test]
fn probe_that_repaired_a_loss_reduces_the_window_rfc8985_7_4_2() {
    let mut line = probed();
    let cwnd = line.loss.cwnd();
    line.send(1);
    line.now += RTT;
    line.ack(6, &[]);
    assert!(line.loss.cwnd() <= cwnd / 2 + MSS, "{} of {cwnd}", line.loss.cwnd());
}

#[test]
fn probe_that_came_twice_reduces_nothing_rfc8985_7_4_2() {
    let mut line = probed();
    let cwnd = line.loss.cwnd();
    line.ack(5, &[(4, 5)]);
    line.send(1);
    line.now += RTT;
    line.ack(6, &[]);
    assert!(line.loss.cwnd() >= cwnd);
    assert!(!line.loss.reordering_seen());
}

#[test]
fn reduction_is_taken_back_when_all_repairs_came_twice_rfc2883_rfc3708() {
    let mut line = Line::full(20);
    line.now += RTT;
    line.ack(0, &[(2, 6)]);
    assert_eq!(line.resend(), [(0, 2)]);
    assert_eq!(line.loss.ssthresh(), 10 * MSS);
    line.now += RTT / 2;
    line.ack(6, &[]);
    line.now += RTT / 2;
    line.ack(20, &[(0, 1)]);
    assert_eq!(line.loss.counters().undone, 0, "one of two");
    let done = line.ack(20, &[(1, 2)]);
    assert!(done.undone);
    assert!(line.loss.cwnd() >= 20 * MSS);
    assert_eq!(line.loss.ssthresh(), u32::MAX);
    assert!(line.loss.reordering_seen());
}

#[test]
fn reduction_is_taken_back_when_a_timestamp_names_the_first_transmission_rfc3522() {
    let mut line = Line::full(10);
    line.now += RTT;
    line.ack(0, &[(1, 6)]);
    assert_eq!(line.resend(), [(0, 1)]);
    line.now += 10 * MS;
    let done = line.hear(at(6), &[], Some(RTT + 10 * MS), false);
    assert!(done.undone);
    assert_eq!((line.loss.state(), line.loss.ssthresh()), (State::Open, u32::MAX));
    // The same with the timestamp of the repair.
    let mut line = Line::full(10);
    line.now += RTT;
    line.ack(0, &[(1, 6)]);
    line.resend();
    line.now += RTT;
    assert!(!line.hear(at(6), &[], Some(RTT), false).undone);
}

#[test]
fn d_sack_of_what_was_never_sent_again_takes_nothing_back() {
    let mut line = Line::full(10);
    line.now += RTT;
    line.ack(0, &[(1, 6)]);
    line.resend();
    line.ack(0, &[(2, 3), (1, 6)]);
    let old = Range::new(START.sub(5 * MSS), START.sub(4 * MSS));
    line.hear(at(0), &[old, segments(1, 6)], None, false);
    assert_eq!(line.loss.state(), State::Recovery);
}

#[test]
fn after_a_timeout_new_data_tell_whether_it_was_spurious_rfc5682_3_1() {
    let timed_out = || {
        let mut line = Line::full(10);
        while line.expire().0 != Timer::Rto {}
        assert_eq!(line.resend(), [(0, 1)]);
        line.now += RTT;
        line.ack(1, &[]);
        assert_eq!(line.resend(), [], "new data go first");
        assert_eq!(line.quota(), 2);
        line.send(2);
        line
    };
    // The next ACK is of what was sent once: all of it is on its way.
    let mut line = timed_out();
    assert!(line.ack(2, &[]).undone);
    assert_eq!((line.loss.state(), line.resend()), (State::Open, [].to_vec()));
    assert!(line.loss.cwnd() >= 10 * MSS);
    // The new data arrive behind a hole: it is lost.
    let mut line = timed_out();
    line.ack(1, &[(10, 11)]);
    assert_eq!(line.loss.state(), State::Loss);
    assert_eq!(line.resend()[0].0, 1);
    // Nothing new to send: what is lost is sent at once.
    let mut line = Line::full(10);
    line.more = false;
    while line.expire().0 != Timer::Rto {}
    line.resend();
    line.now += RTT;
    line.ack(1, &[]);
    assert_eq!(line.resend(), [(1, 3)]);
}

#[test]
fn late_d_sack_finds_its_connection_with_nothing_in_flight() {
    let mut line = probed();
    let (mut none, sending) = (Records::default(), line.sending());
    let told = Ack {
        ack: at(5),
        sacks: &[segments(4, 5)],
        sack_ok: true,
        echo: None,
        ece: false,
        pure: true,
        more: false,
    };
    line.loss.acked(&mut none, &told, &sending);
    let cwnd = line.loss.cwnd();
    line.send(1);
    line.now += RTT;
    line.ack(6, &[]);
    assert!(line.loss.cwnd() >= cwnd);
}

#[test]
fn segments_that_are_too_big_are_sent_again_in_smaller_ones_without_a_reduction_rfc1191_6_4() {
    let mut line = Line::full(2);
    line.loss.window.cwnd = 20 * MSS;
    line.send_together(8);
    let mut sending = Sending { mss: MSS / 2, ..line.sending() };
    line.loss.set_mss(MSS, MSS / 2);
    line.loss.too_large(&mut line.records, &sending);
    let range = line.loss.next_lost(&line.records, &sending).expect("all is to be sent again");
    assert_eq!(range, segments(0, 10));
    line.loss.retransmitted(&mut line.records, range, &sending);
    assert_eq!((line.loss.cwnd(), line.loss.ssthresh()), (10 * MSS, u32::MAX));
    sending.now += RTT;
    let short = Range::new(at(0), at(0).add(MSS / 2));
    line.loss.retransmitted(&mut line.records, short, &sending);
    line.records.recount();
}

#[test]
fn cost_of_sacks_is_that_of_what_they_newly_cover() {
    // 10,000 segments; every ACK repeats blocks over nearly all of them.
    let count = 10_000;
    let mut line = Line::full(count);
    line.now += RTT;
    line.loss.past_mut().reordering.seen = true;
    let before = line.records.looked();
    for hole in 1..count / 2 {
        let hole = 2 * hole;
        let blocks = [segments(hole + 1, hole + 2), segments(1, 2), segments(1, hole - 1)];
        let told = Ack {
            ack: at(0),
            sacks: &blocks,
            sack_ok: true,
            echo: None,
            ece: false,
            pure: true,
            more: true,
        };
        let sending = line.sending();
        line.loss.acked(&mut line.records, &told, &sending);
    }
    line.check();
    let looked = line.records.looked() - before;
    assert!(looked < 8 * u64::from(count), "{looked} records looked at");
}

#[test]
fn same_traffic_takes_no_more_memory_than_the_first_time() {
    let mut line = Line::full(40);
    let mut memory = Vec::new();
    for round in 0..6 {
        let first = line.una.since(START) / MSS;
        line.loss.window.cwnd = 80 * MSS;
        line.send_together(40);
        line.now += RTT;
        for hole in (first..first + 78).step_by(2) {
            line.ack(first, &[(hole + 1, hole + 2)]);
        }
        line.resend();
        line.now += RTT;
        line.ack(first + 80, &[]);
        line.send(40);
        // The first rounds find the room that is needed.
        memory.extend((round > 1).then(|| line.records.heap_bytes()));
    }
    assert!(memory.windows(2).all(|pair| pair[0] == pair[1] && pair[0] > 0), "{memory:?}");
}

#[test]
fn splits_stop_before_a_peer_makes_too_many_records() {
    let mut line = Line::full(1);
    line.loss.window.cwnd = u32::MAX / 4;
    for _ in 0..3000 {
        line.send_together(20);
    }
    line.now += RTT;
    for piece in (1..60_000).step_by(2) {
        let sending = line.sending();
        let told = Ack {
            ack: at(0),
            sacks: &[segments(piece, piece + 1)],
            sack_ok: true,
            echo: None,
            ece: false,
            pure: true,
            more: true,
        };
        line.loss.acked(&mut line.records, &told, &sending);
    }
    line.check();
    assert!(line.records.len() <= 8193, "{}", line.records.len());
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn any_sequence_of_acks_and_timers_keeps_the_accounts(
        seed: u64,
        sack: bool,
        cubic: bool,
        steps in 20_usize..150,
    ) {
        let mut rng = Rng::new(seed);
        let algorithm = if cubic { Algorithm::Cubic } else { Algorithm::NewReno };
        let mut line = Line::new(algorithm);
        line.sack = sack;
        for _ in 0..steps {
            let flight = line.nxt.since(line.una) / MSS;
            line.now += rng.below(50) * MS;
            line.more = rng.below(2) == 0;
            match rng.below(6) {
                0 | 1 => {
                    let room = line.quota().min(30);
                    if room > 0 {
                        line.send_together(1 + rng.below(u64::from(room)) as u32);
                    }
                }
                2 if flight > 0 => match line.expire().1 {
                    Expired::ProbeNew => line.send(1),
                    Expired::ProbeLast(range) => {
                        let sending = line.sending();
                        line.loss.retransmitted(&mut line.records, range, &sending);
                    }
                    _ => {}
                },
                3 => drop(line.resend()),
                _ if flight == 0 => {}
                _ => {
                    let some = |rng: &mut Rng| rng.below(u64::from(flight) * u64::from(MSS) + 1);
                    let ack = match rng.below(3) {
                        0 => line.una,
                        1 => line.una.add(some(&mut rng) as u32 / MSS * MSS),
                        _ => line.una.add(some(&mut rng) as u32),
                    };
                    let mut blocks = Vec::new();
                    for _ in 0..rng.below(4) {
                        let (start, end) = (some(&mut rng) as u32, some(&mut rng) as u32);
                        let round = if rng.below(4) > 0 { MSS } else { 1 };
                        let start = line.una.add(start / round * round);
                        blocks.push(Range::new(start, line.una.add(end / round * round)));
                    }
                    let echo = (rng.below(2) == 0).then(|| rng.below(500) * MS);
                    let ece = rng.below(10) == 0;
                    line.hear(ack, &blocks, echo, ece);
                }
            }
            line.check();
        }
    }
}
