//! How much may be in flight.

use super::*;

#[test]
fn initial_window_is_ten_segments_of_ethernet_rfc6928() {
    assert_eq!(Loss::new(Algorithm::Cubic, 1448).cwnd(), 14_480);
    assert_eq!(Loss::new(Algorithm::Cubic, 536).cwnd(), 5360);
    assert_eq!(Loss::new(Algorithm::Cubic, 4000).cwnd(), 14_600);
    assert_eq!(Loss::new(Algorithm::Cubic, 9000).cwnd(), 18_000);
}

#[test]
fn lost_syn_leaves_one_segment_and_three_seconds_rfc5681_3_1_rfc6298_5_7() {
    let mut loss = Loss::new(Algorithm::Cubic, 536);
    let mut records = Records::default();
    let range = Range::new(START, START.add(1));
    let mut sending = Sending { now: 0, una: START, nxt: START, mss: 536 };
    loss.sent(&mut records, range, &sending);
    sending.nxt = range.end;
    assert_eq!(loss.timer(&records, &sending), Some((Timer::Rto, 1000 * MS)));
    sending.now = 1000 * MS;
    assert_eq!(loss.expired(&mut records, Timer::Rto, &sending, false), Expired::Retransmit);
    assert_eq!(loss.next_lost(&records, &sending), Some(range));
    loss.retransmitted(&mut records, range, &sending);
    assert_eq!(loss.timer(&records, &sending), Some((Timer::Rto, 3000 * MS)), "doubled");
    sending.now = 1100 * MS;
    let ack = Ack {
        ack: range.end,
        sacks: &[],
        sack_ok: true,
        echo: None,
        ece: false,
        pure: true,
        more: false,
    };
    assert!(loss.acked(&mut records, &ack, &sending).all);
    loss.established(1448);
    assert_eq!((loss.cwnd(), loss.rtt().timeout()), (1448, 3000 * MS));
    assert_eq!((loss.backed_off(), loss.ssthresh()), (0, u32::MAX));
}

#[test]
fn slow_start_counts_octets_so_divided_acks_gain_nothing_rfc3465() {
    for parts in [1, 2, 10] {
        let mut line = Line::full(10);
        for part in 1..=parts {
            line.hear(at(0).add(10 * MSS / parts * part), &[], None, false);
        }
        assert_eq!(line.loss.cwnd(), 20 * MSS, "{parts} ACKs");
    }
}

#[test]
fn window_that_is_not_used_does_not_grow_rfc7661() {
    let mut line = Line::full(10);
    line.now += RTT;
    line.ack(10, &[]);
    let cwnd = line.loss.cwnd();
    // For less than a time-out.
    for round in 0..8 {
        line.send(2);
        line.now += RTT / 10;
        line.ack(12 + 2 * round, &[]);
    }
    assert_eq!(line.loss.cwnd(), cwnd);
}

#[test]
fn window_that_is_not_used_falls_to_what_is_half_of_the_way_each_timeout_rfc7661_4_4() {
    let mut line = Line::full(80);
    line.now += RTT;
    line.ack(80, &[]);
    let cwnd = line.loss.cwnd();
    let mut seen = Vec::new();
    for round in 0..100 {
        line.send(20);
        line.now += RTT;
        line.ack(100 + 20 * round, &[]);
        seen.push(line.loss.cwnd());
    }
    seen.dedup();
    let halfway = seen.windows(2).all(|two| two[1] >= 20 * MSS + (two[0] - 20 * MSS) / 2);
    assert!(seen[0] == cwnd && halfway, "{seen:?}");
    // Slow start lets it be twice of what is used, and a round trip's more.
    assert!((20 * MSS..=60 * MSS).contains(&line.loss.cwnd()), "{seen:?}");
    assert!(line.loss.ssthresh() >= cwnd / 2, "back soon by slow start");
}

#[test]
fn window_that_is_hardly_used_keeps_that_of_a_new_connection() {
    let mut line = Line::full(80);
    line.now += RTT;
    line.ack(80, &[]);
    for round in 0..300 {
        line.send(1);
        line.now += RTT;
        line.ack(81 + round, &[]);
    }
    assert!((10 * MSS..11 * MSS).contains(&line.loss.cwnd()), "{}", line.loss.cwnd());
}

#[test]
fn window_that_is_full_again_falls_no_more() {
    let mut line = Line::full(80);
    line.now += RTT;
    line.ack(80, &[]);
    let (mut next, mut least) = (80, u32::MAX);
    for _ in 0..5 {
        let full = line.loss.cwnd() / MSS;
        line.send(full);
        next += full;
        line.now += RTT;
        line.ack(next, &[]);
        least = least.min(line.loss.cwnd());
    }
    assert!(least >= 80 * MSS, "{least}");
}

#[test]
fn pause_halves_the_window_for_each_timeout_down_to_ten_segments_rfc5681_4_1() {
    let mut line = Line::full(80);
    line.now += RTT;
    line.ack(80, &[]);
    let cwnd = line.loss.cwnd();
    line.loss.idle_restart(&line.records, &line.sending());
    assert_eq!(line.loss.cwnd(), cwnd, "no pause");
    line.now += line.loss.rtt().timeout() + MS;
    line.loss.idle_restart(&line.records, &line.sending());
    assert_eq!(line.loss.cwnd(), cwnd / 2);
    line.now += 60_000 * MS;
    line.loss.idle_restart(&line.records, &line.sending());
    assert_eq!(line.loss.cwnd(), 10 * MSS);
    assert!(line.loss.ssthresh() >= cwnd / 4 * 3, "back soon by slow start");
}

#[test]
fn first_duplicates_let_new_data_leave_rfc3042() {
    for sack in [true, false] {
        let mut line = if sack { Line::full(10) } else { Line::full_without_sack(10) };
        line.now += RTT;
        line.ack(0, &[(1, 2)]);
        assert_eq!(line.quota(), 1, "sack {sack}");
        line.ack(0, &[(1, 3)]);
        assert_eq!(line.quota(), 2, "sack {sack}");
        assert_eq!(line.loss.cwnd(), 10 * MSS, "sack {sack}");
        assert_eq!(line.resend(), []);
    }
}

#[test]
fn recovery_halves_once_and_ends_at_the_threshold_rfc6675_rfc9937() {
    let mut line = Line::full(20);
    line.now += RTT;
    for last in 2..=20 {
        line.ack(0, &[(1, last)]);
        line.resend();
        while line.quota() > 0 {
            line.send(1);
        }
    }
    assert_eq!(line.loss.state(), State::Recovery);
    assert_eq!(line.loss.ssthresh(), 10 * MSS);
    let sent = line.nxt.since(at(20)) / MSS;
    assert!((9..=11).contains(&sent), "half of what was delivered: {sent}");
    line.now += RTT;
    // Two of them left before it was known.
    line.ack(21, &[]);
    assert_eq!(line.loss.state(), State::Recovery);
    line.ack(22, &[]);
    assert_eq!((line.loss.state(), line.loss.cwnd()), (State::Open, 10 * MSS));
}

#[test]
fn echo_reduces_once_a_round_trip_and_asks_for_cwr_rfc3168_6_1_2() {
    let mut line = Line::full(20);
    line.now += RTT;
    assert!(line.hear(at(2), &[], None, true).cwr);
    assert_eq!((line.loss.state(), line.loss.ssthresh()), (State::Cwr, 10 * MSS));
    assert!(!line.hear(at(4), &[], None, true).cwr);
    assert_eq!(line.loss.ssthresh(), 10 * MSS);
    assert_eq!(line.resend(), [], "nothing was lost");
    line.ack(20, &[]);
    assert_eq!((line.loss.state(), line.loss.cwnd()), (State::Open, 10 * MSS));
    line.send(10);
    line.now += RTT;
    assert!(line.hear(at(30), &[], None, true).cwr, "the next window is marked too");
    assert_eq!((line.loss.state(), line.loss.cwnd()), (State::Open, 5 * MSS));
}

#[test]
fn timeout_leaves_one_segment_and_slow_start_to_the_half_rfc5681_3_1() {
    let mut line = Line::full(20);
    line.more = false;
    let (timer, _) = line.expire();
    assert_eq!(timer, Timer::Probe);
    let (timer, expired) = line.expire();
    assert_eq!((timer, expired), (Timer::Rto, Expired::Retransmit));
    assert_eq!((line.loss.cwnd(), line.loss.ssthresh()), (MSS, 10 * MSS));
    assert_eq!(line.resend(), [(0, 1)]);
    line.now += RTT;
    line.ack(1, &[]);
    assert_eq!(line.resend(), [(1, 3)]);
    line.now += RTT;
    line.ack(3, &[]);
    assert_eq!(line.resend(), [(3, 7)]);
}

#[test]
fn smaller_segments_keep_their_number_rfc1191() {
    let mut line = Line::full(20);
    line.loss.set_mss(MSS, MSS / 2);
    assert_eq!(line.loss.cwnd(), 10 * MSS);
    line.loss.set_mss(MSS / 2, MSS);
    assert_eq!(line.loss.cwnd(), 10 * MSS);
}

#[test]
fn another_controller_goes_on_from_the_window_as_it_is() {
    let mut line = Line::full(20);
    line.loss.set_algorithm(Algorithm::Cubic);
    assert_eq!((line.loss.algorithm(), line.loss.cwnd()), (Algorithm::Cubic, 20 * MSS));
    line.now += RTT;
    line.ack(0, &[(1, 5)]);
    assert_eq!(line.loss.ssthresh(), 14 * MSS);
}
