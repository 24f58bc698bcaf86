//! Closing: each side first, both at once, one direction, TIME-WAIT, linger, abort.

use crate::kit::*;
use millstream_core::StreamId;
use millstream_core::tpi::Primitive;

/// Twice the longest life of a segment, as Linux has it, and some room.
const TWO_MSL_MS: u64 = 60_000;

//= rfc9293#section-3.6
#[test]
fn must_12_the_user_tells_a_close_from_an_abort() {
    let mut t = T::established();
    t.inject(data(10));
    t.inject(fin());
    t.expect_read(10);
    t.expect_event(Event::Ended);
    let mut t = T::established();
    t.inject(data(10));
    t.inject(rst());
    t.expect_read(10);
    t.expect_event(Event::Broken(ECONNRESET, -1));
}

//= rfc9293#section-3.6.1
#[test]
fn must_13_who_closes_first_waits_twice_the_life_of_a_segment() {
    let mut t = T::in_state(State::TimeWait);
    t.expect_nothing_for(TWO_MSL_MS / 2);
    t.inject(fin().seq(1));
    t.expect(ack(2).seq(2));
    // A FIN starts the wait anew.
    t.expect_nothing_for(TWO_MSL_MS / 2 + 10_000);
    t.inject(fin().seq(1));
    t.expect(ack(2).seq(2));
    t.expect_nothing_for(5 * TWO_MSL_MS);
    t.expect_gone();
}

//= rfc9293#section-3.6
#[test]
fn case_1_the_local_user_closes_first() {
    let mut t = T::established();
    t.shutdown();
    t.expect(fin().seq(1).ack(1).len(0));
    t.expect_state(State::FinWait1);
    t.inject(ack(2));
    t.expect_state(State::FinWait2);
    t.inject(fin());
    t.expect(ack(2).seq(2));
    t.expect_event(Event::Ended);
}

//= rfc9293#section-3.6
#[test]
fn case_2_the_peer_closes_first() {
    let mut t = T::established();
    t.inject(fin());
    t.expect_within(500, ack(2).seq(1));
    t.expect_event(Event::Ended);
    t.expect_state(State::CloseWait);
    t.shutdown();
    t.expect(fin().seq(1).ack(2));
    t.inject(ack(2));
    t.expect_gone();
}

//= rfc9293#section-3.6
#[test]
fn case_3_both_close_at_once() {
    let mut t = T::in_state(State::FinWait1);
    t.inject(fin().ack(1));
    t.expect(ack(2).seq(2));
    t.expect_event(Event::Ended);
    t.inject(ack(2));
    // TIME-WAIT, not CLOSED.
    t.inject(fin().seq(1).ack(2));
    t.expect(ack(2).seq(2));
    t.expect_nothing_for(5 * TWO_MSL_MS);
    t.expect_gone();
}

//= rfc9293#section-3.10.7.4
#[test]
fn fin_and_its_ack_in_one_lead_from_fin_wait_1_to_time_wait() {
    let mut t = T::in_state(State::FinWait1);
    t.inject(fin().ack(2));
    t.expect(ack(2).seq(2));
    t.inject(fin().seq(1).ack(2));
    t.expect(ack(2).seq(2));
}

//= rfc9293#section-3.6
#[test]
fn after_the_peers_fin_data_are_still_sent() {
    let mut t = T::in_state(State::CloseWait);
    t.write(2000);
    t.expect(data(1000).seq(1).ack(2));
    t.expect(data(1000).seq(1001).ack(2));
    t.inject(ack(2001));
    t.shutdown();
    t.expect(fin().seq(2001));
}

//= rfc9293#section-3.6
#[test]
fn after_our_fin_data_are_still_taken() {
    for state in [State::FinWait1, State::FinWait2] {
        let mut t = T::in_state(state);
        t.inject_all(&[data(1000), data(1000)]);
        t.expect_read(2000);
        t.expect(ack(2001));
        t.inject(fin());
        t.expect_within(500, ack(2002));
        t.expect_event(Event::Ended);
    }
}

//= rfc9293#section-3.6
#[test]
fn fin_follows_all_that_was_written() {
    let mut t = T::established();
    t.write(2500);
    t.shutdown();
    t.expect(data(1000).seq(1));
    t.expect(data(1000).seq(1001));
    t.expect(data(500).seq(2001));
    t.expect(fin().seq(2501).len(0));
    t.inject(ack(2502));
    t.expect_state(State::FinWait2);
}

//= rfc9293#section-3.10.7.4
#[test]
fn a_fin_before_a_hole_waits_for_the_hole() {
    let mut t = T::established();
    t.inject(fin().seq(101));
    t.expect(ack(1));
    assert_eq!(t.event(), None);
    t.inject(data(100).seq(1));
    t.expect(ack(102));
    t.expect_read(100);
    t.expect_event(Event::Ended);
}

//= rfc9293#section-3.10.7.4
#[test]
fn fin_is_sent_again_until_it_is_acknowledged() {
    for state in [State::FinWait1, State::Closing, State::LastAck] {
        let mut t = T::in_state(state);
        let first = t.expect_within(1500, fin().seq(1));
        let second = t.expect_within(3000, fin().seq(1));
        let third = t.expect_within(5000, fin().seq(1));
        assert!(third.ms() - second.ms() > second.ms() - first.ms(), "in {state:?}");
    }
}

//= rfc9293#section-3.10.7.4
#[test]
fn a_fin_that_comes_again_is_acknowledged_again() {
    for state in [State::CloseWait, State::Closing, State::LastAck, State::TimeWait] {
        let mut t = T::in_state(state);
        t.inject(fin().seq(1).ack(1));
        t.expect_within(10, ack(2));
        assert_eq!(t.event(), None, "told once, in {state:?}");
    }
}

//= rfc9293#section-3.10.7.4
#[test]
fn data_behind_the_fin_are_ignored() {
    let mut t = T::in_state(State::CloseWait);
    t.inject(data(100).seq(2));
    t.inject(data(100).seq(50));
    t.advance(500);
    assert_eq!(t.event(), None);
    t.expect_state(State::CloseWait);
    assert!(t.sent_now().iter().all(|sent| sent.ack == 2));
}

//= rfc9293#section-3.10.7.4
#[test]
fn last_ack_ends_with_the_ack_of_our_fin_only() {
    let mut t = T::in_state(State::LastAck);
    t.inject(ack(1));
    t.expect_within(2000, fin().seq(1));
    t.inject(ack(2));
    t.expect_nothing_for(10_000);
    t.expect_gone();
}

//= rfc9293#section-3.10.7.4
#[test]
fn closing_goes_to_time_wait_with_the_ack_of_our_fin() {
    let mut t = T::in_state(State::Closing);
    t.inject(ack(2));
    t.expect_nothing_for(10_000);
    t.inject(fin().seq(1).ack(2));
    t.expect(ack(2).seq(2));
}

//= rfc9293#section-3.6.1
//= rfc6191#section-2
#[test]
fn a_syn_beyond_in_time_wait_opens_a_new_connection() {
    let mut t = T::established();
    let listener = 0;
    t.shutdown();
    t.expect(fin().seq(1));
    t.inject(ack(2));
    t.inject(fin());
    t.expect(ack(2));
    t.advance(1000);
    let old = t.p().irs.unwrap();
    let iss = t.p().iss.wrapping_add(70_000);
    t.renew(iss);
    t.user = listener;
    let answer = t.handshake(plain());
    assert!(answer.raw_seq.wrapping_sub(old) as i32 > 1, "numbers of the old one come again");
    t.accept();
    t.expect_alive();
}

//= rfc6191#section-2
#[test]
fn a_later_timestamp_in_time_wait_opens_a_new_connection() {
    let mut t = T::in_state_with(State::TimeWait, full());
    t.advance(1000);
    let iss = t.p().iss.wrapping_sub(70_000);
    t.renew(iss);
    t.user = 0;
    t.handshake(full());
    t.accept();
    t.expect_alive();
}

//= rfc9293#section-3.6.1
#[test]
fn an_old_syn_in_time_wait_is_answered_by_an_ack() {
    let mut t = T::in_state(State::TimeWait);
    t.p().lax = true;
    t.inject(plain().seq(0));
    t.expect(ack(2).seq(2));
    t.expect_nothing();
}

//= rfc1337#section-3
#[test]
fn a_reset_does_not_end_time_wait() {
    let mut t = T::in_state(State::TimeWait);
    t.inject(rst());
    t.inject(rst().seq(2));
    t.sent_now();
    t.inject(fin().seq(1));
    t.expect(ack(2).seq(2));
}

//= rfc1337#section-2
#[test]
fn old_data_in_time_wait_are_answered_by_the_same_ack() {
    let mut t = T::in_state(State::TimeWait);
    t.inject(data(100).seq(1).ack(2));
    t.expect(ack(2).seq(2));
    t.expect_nothing();
    assert_eq!(t.event(), None);
}

//= rfc9293#section-3.6.1
//= rfc7323#section-5
#[test]
fn shld_4_timestamps_go_on_in_time_wait() {
    let mut t = T::in_state_with(State::TimeWait, full());
    t.advance(1000);
    t.inject(fin().seq(1));
    t.expect(ack(2).ts_on());
}

//= rfc9293#section-3.6.1
#[test]
fn shld_3_close_with_data_unread_resets() {
    let mut t = T::established();
    t.stop_reading();
    t.inject(data(100));
    t.sent_in(500);
    t.close();
    t.expect(rst().any_flag(ACK).seq(1));
    t.expect_gone();
}

//= rfc9293#section-3.6.1
#[test]
fn shld_3_data_that_come_after_close_are_answered_by_reset() {
    let mut t = T::established();
    t.close();
    t.expect(fin().seq(1));
    t.inject(ack(2));
    t.inject(data(100));
    t.expect(rst().any_flag(ACK).seq(2));
    t.expect_gone();
}

//= rfc9293#section-3.10.4
#[test]
fn close_sends_all_that_was_written_in_the_background() {
    let mut t = T::established();
    t.write(25_000);
    t.close();
    let mut octets = 0;
    for _ in 0..20 {
        let sent = t.sent_in(50);
        octets += sent.iter().map(Sent::len).sum::<usize>();
        if sent.iter().any(|sent| sent.has(FIN)) {
            break;
        }
        t.inject(seg().flag(ACK));
    }
    assert_eq!(octets, 25_000);
    t.inject(seg().flag(ACK));
    t.inject(fin());
    t.expect(seg().flag(ACK).ack(2));
}

#[test]
fn fin_wait_2_of_a_closed_stream_does_not_last_for_ever() {
    let mut t = T::established();
    t.close();
    t.expect(fin().seq(1));
    t.inject(ack(2));
    t.expect_nothing_for(200_000);
    t.expect_gone();
}

#[test]
fn what_a_closed_stream_has_left_is_given_up_however_patient_its_user_was() {
    let mut t = T::established();
    t.set(opt::USER_TIMEOUT, i32::MAX);
    t.write(1000);
    t.close();
    t.sent_in(3_600_000);
    t.expect_nothing_for(1_000_000);
    t.expect_gone();
}

#[test]
fn fin_wait_2_of_an_open_stream_lasts() {
    let mut t = T::in_state(State::FinWait2);
    t.expect_nothing_for(600_000);
    t.inject(data(100));
    t.expect_read(100);
}

#[test]
fn linger_2_is_how_long_fin_wait_2_of_a_closed_stream_lasts() {
    let mut t = T::established();
    t.set(opt::LINGER2, 5);
    t.close();
    t.expect(fin().seq(1));
    t.inject(ack(2));
    t.expect_nothing_for(4000);
    t.expect_nothing_for(2500);
    t.expect_gone();
}

#[test]
fn close_delivers_what_the_send_buffer_had_no_room_for_however_slow_the_peer_is() {
    let mut t = T::established();
    t.set(opt::SNDBUF, 4_000);
    for _ in 0..60 {
        t.write(1000);
    }
    t.inject(seg().flag(ACK).win(0));
    t.sent_now();
    let stream = t.rig.upper(t.user);
    t.close();
    assert!(t.rig.perimeter().chain(stream).is_err(), "nothing waits");
    let begun = t.ms();
    let mut ended = false;
    while !ended && t.ms() - begun < 300_000 {
        // The peer takes three segments, then none for a while.
        t.inject(seg().flag(ACK).win(3000));
        ended = t.sent_in(50).iter().any(|sent| sent.has(FIN));
        t.inject(seg().flag(ACK).win(if ended { 3000 } else { 0 }));
        t.sent_in(3000);
    }
    assert!(t.ms() - begun > 30_000, "the peer is slow");
    t.inject(fin().ack(60_002));
    t.expect(ack(2).seq(60_002));
}

/// SO_LINGER of so many seconds.
fn linger(t: &mut T, seconds: i32) {
    t.set_bytes(opt::LINGER, &[1_i32.to_ne_bytes(), seconds.to_ne_bytes()].concat());
}

/// Does the close of a stream wait?
fn waits(t: &mut T, stream: StreamId) -> bool {
    t.rig.perimeter().pending(stream).is_some()
}

#[test]
fn linger_lets_close_wait_until_the_peer_has_acknowledged_all() {
    let mut t = T::established();
    linger(&mut t, 10);
    t.write(1000);
    t.expect(data(1000));
    let stream = t.rig.upper(t.user);
    t.close();
    t.expect(fin().seq(1001));
    t.inject(ack(1001));
    assert!(waits(&mut t, stream));
    t.inject(ack(1002));
    assert!(!waits(&mut t, stream) && t.rig.perimeter().chain(stream).is_err());
    // One that has nothing to wait for does not.
    let listener = 0;
    t.add_peer(addr([10, 0, 0, 20], 2000));
    t.user = listener;
    t.handshake(plain());
    t.accept();
    linger(&mut t, 10);
    t.shutdown();
    t.expect(fin().seq(1));
    t.inject(ack(2));
    let stream = t.rig.upper(t.user);
    t.close();
    assert!(!waits(&mut t, stream));
}

#[test]
fn close_lingers_no_longer_than_it_was_told_and_the_data_go_on() {
    let mut t = T::established();
    linger(&mut t, 5);
    t.write(1000);
    t.expect(data(1000));
    let stream = t.rig.upper(t.user);
    t.close();
    t.advance(4900);
    assert!(waits(&mut t, stream));
    t.advance(200);
    assert!(!waits(&mut t, stream));
    t.sent_now();
    t.expect_within(20_000, data(1000).seq(1).any_flag(FIN));
    t.inject(ack(1002));
    t.sent_now();
    t.inject(fin());
    t.expect(ack(2).seq(1002));
}

#[test]
fn close_does_not_linger_for_a_peer_that_resets() {
    let mut t = T::established();
    linger(&mut t, 10);
    t.write(1000);
    let stream = t.rig.upper(t.user);
    t.close();
    assert!(waits(&mut t, stream));
    t.inject(rst());
    assert!(!waits(&mut t, stream));
    t.sent_now();
    t.expect_gone();
}

#[test]
fn a_close_that_lingers_beyond_the_close_time_of_its_stream_harms_no_other() {
    let mut t = T::established();
    linger(&mut t, 60);
    t.write(1000);
    let stream = t.rig.upper(t.user);
    t.close();
    t.advance(16_000);
    assert!(t.rig.perimeter().chain(stream).is_err(), "it is given up after 15 s");
    let other = t.open();
    t.sent_now();
    t.inject(ack(1002));
    let stream = t.rig.upper(other);
    assert!(t.rig.perimeter().chain(stream).is_ok());
    t.bind_at(other, addr([0, 0, 0, 0], 81), 0);
}

#[test]
fn linger_of_no_time_makes_close_a_reset() {
    let mut t = T::established();
    linger(&mut t, 0);
    t.write(100);
    t.expect(data(100));
    t.close();
    t.expect(rst().any_flag(ACK));
    t.expect_gone();
}

//= rfc9293#section-3.10.5
#[test]
fn abort_sends_a_reset_where_the_peer_knows_of_the_connection() {
    let resets = [State::Established, State::FinWait1, State::FinWait2, State::CloseWait];
    for state in resets {
        let mut t = T::in_state(state);
        t.abort();
        t.expect(rst().any_flag(ACK));
        t.expect_nothing_for(10_000);
        t.expect_gone();
    }
}

//= rfc9293#section-3.10.5
#[test]
fn abort_forgets_what_was_written() {
    let mut t = T::established();
    t.write(30_000);
    t.sent_now();
    t.abort();
    let sent = t.sent_in(10_000);
    assert_eq!(sent.len(), 1);
    assert!(sent[0].has(RST) && sent[0].len() == 0);
}

//= rfc9293#section-3.10.4
#[test]
fn after_t_ordrel_req_no_data_are_taken_from_the_user() {
    let mut t = T::in_state(State::FinWait2);
    t.put(t.user, &Primitive::data_req(false), Some(b"late"));
    assert!(matches!(t.event(), Some(Event::Failed(71))), "EPROTO");
}

//= rfc9293#section-3.10.7.4
#[test]
fn a_reset_ends_a_connection_in_every_state() {
    for state in State::SYNCHRONIZED {
        if state == State::TimeWait {
            continue;
        }
        let mut t = T::in_state(state);
        t.inject(rst());
        t.expect_nothing_for(10_000);
        t.expect_gone();
    }
}

//= rfc9293#section-3.10.7.4
#[test]
fn data_that_was_acknowledged_is_read_before_a_reset_is_told() {
    let mut t = T::established();
    t.stop_reading();
    t.inject(data(3000));
    t.expect_within(500, ack(3001));
    t.inject(rst());
    t.expect_read(3000);
    t.expect_event(Event::Broken(ECONNRESET, -1));
    t.expect_gone();
}

//= rfc9293#section-3.10.7.4
#[test]
fn the_word_of_a_reset_goes_up_though_there_is_no_room_so_that_a_writer_is_told() {
    let mut t = T::established();
    t.stop_reading();
    t.inject(data(3000));
    t.expect_within(500, ack(3001));
    t.advance(1000);
    assert_eq!(t.event(), None, "there is no room");
    t.inject(rst());
    t.expect_read(3000);
    t.expect_event(Event::Broken(ECONNRESET, -1));
}

//= rfc9293#section-3.8.3
#[test]
fn data_that_was_acknowledged_is_read_before_a_time_out_is_told() {
    let mut t = T::established();
    t.stop_reading();
    t.inject(data(3000));
    t.expect_within(500, ack(3001));
    t.write(100);
    t.advance(30 * 60 * 1000);
    t.expect_read(3000);
    t.expect_event(Event::Broken(ETIMEDOUT, -1));
}

//= rfc9293#section-3.10.7.4
#[test]
fn data_and_end_are_read_before_a_reset_behind_them_is_told() {
    let mut t = T::established();
    t.stop_reading();
    t.inject(data(500));
    t.inject(fin());
    t.advance(500);
    t.inject(rst());
    t.go_on_reading();
    t.expect_read(500);
    t.expect_event(Event::Ended);
    t.expect_event(Event::Broken(EPIPE, -1));
}

//= rfc9293#section-3.10.7.4
#[test]
fn data_behind_a_hole_do_not_outlive_a_reset() {
    let mut t = T::established();
    t.stop_reading();
    t.inject(data(500));
    t.inject(data(500).seq(600));
    t.inject(rst());
    t.go_on_reading();
    t.expect_read(500);
    t.expect_event(Event::Broken(ECONNRESET, -1));
}

//= rfc9293#section-3.10.7.4
#[test]
fn what_a_reset_left_to_read_is_dropped_with_a_reason_when_nobody_reads_it() {
    let mut t = T::established();
    // Acknowledgements cannot leave: what came is handed up when they can.
    t.rig.full_below(0);
    t.inject(data(500));
    t.inject(rst());
    t.close();
    assert_eq!(t.drops("tcp_gone"), 1);
}
