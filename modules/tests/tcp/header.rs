//! The header and its options: what is read from any segment, and what every segment has.

use crate::kit::*;

/// A peer that answers each flight until `octets` were sent; the largest flight in octets.
fn largest_flight(t: &mut T, octets: usize) -> u32 {
    let mut largest = 0;
    t.write(octets);
    for _ in 0..200 {
        let flight: u32 = t.sent_now().iter().map(Sent::space).sum();
        largest = largest.max(flight);
        if t.p().rcv_nxt as usize > octets {
            return largest;
        }
        t.advance(10);
        t.inject(seg().flag(ACK));
    }
    panic!("{octets} octets take more than 200 round trips");
}

//= rfc9293#section-3.1
#[test]
fn must_1_window_field_is_unsigned() {
    let mut t = T::established();
    t.set(opt::SNDBUF, 1 << 20);
    let largest = largest_flight(&mut t, 400_000);
    assert!((32_768..=65_535).contains(&largest), "{largest} octets in flight");
}

//= rfc7323#section-2.3
#[test]
fn must_1_the_largest_scaled_window_is_unsigned() {
    let mut t = T::established_with(plain().wscale(14));
    t.set(opt::SNDBUF, 1 << 20);
    let largest = largest_flight(&mut t, 400_000);
    assert!(largest > 65_535, "{largest} octets in flight");
}

//= rfc9293#section-3.1
#[test]
fn must_2_every_segment_has_a_right_checksum() {
    let mut t = T::established_with(full());
    for len in 1..40 {
        t.write(len);
        let sent = t.expect_within(300, data(len));
        t.inject(ack(sent.end()));
    }
    t.shutdown();
    t.expect(fin());
}

//= rfc9293#section-3.1
#[test]
fn must_3_a_syn_with_a_wrong_checksum_is_dropped() {
    let mut t = T::listening();
    t.inject(plain().bad_sum());
    t.expect_nothing_for(100);
    assert_eq!(t.drops("checksum"), 1);
}

//= rfc9293#section-3.1
#[test]
fn must_3_data_and_rst_with_a_wrong_checksum_have_no_effect() {
    let mut t = T::established();
    t.inject(data(10).bad_sum());
    t.inject(rst().bad_sum());
    t.expect_nothing_for(600);
    assert_eq!(t.event(), None);
    assert_eq!(t.drops("checksum"), 2);
    t.expect_alive();
}

//= rfc9293#section-3.2
#[test]
fn must_4_end_of_list_no_operation_and_mss_are_supported() {
    let mut t = T::listening();
    // Behind the end there is what looks like a smaller MSS.
    t.inject(syn().mss(700).raw_options(&[1, 1, 2, 4, 2, 188, 1, 0, 2, 4, 0, 99]));
    t.expect(syn_ack().ack(1));
    t.inject(ack(1));
    t.accept();
    t.write(1400);
    t.expect(data(700).seq(1));
    t.expect(data(700).seq(701));
}

//= rfc9293#section-3.1
#[test]
fn must_5_options_are_taken_in_any_segment() {
    let unknown = [253, 4, 1, 2];
    for last in [fin(), rst()] {
        let mut t = T::established();
        t.inject(data(10).raw_options(&[1, 1, 8, 10, 0, 0, 0, 1, 0, 0, 0, 2]));
        t.inject(data(10).raw_options(&unknown));
        t.expect_read(20);
        let closes = last.has(FIN);
        t.inject(last.raw_options(&unknown));
        t.expect_event(if closes { Event::Ended } else { Event::Broken(ECONNRESET, -1) });
    }
}

//= rfc9293#section-3.1
#[test]
fn must_6_unknown_options_are_skipped_by_their_length() {
    let mut t = T::listening();
    t.inject(syn().mss(700).raw_options(&[253, 6, 2, 4, 0, 1, 77, 2, 2, 4, 2, 188]));
    t.expect(syn_ack().ack(1));
    t.inject(ack(1));
    t.accept();
    t.write(700);
    t.expect(data(700).seq(1));
}

//= rfc9293#section-3.1
#[test]
fn must_7_illegal_option_lengths_do_no_harm() {
    let illegal: [&[u8]; 9] = [
        &[2, 0, 0, 0],
        &[2, 1, 0, 0],
        &[2, 40, 5, 180],
        &[2, 3, 5, 0],
        &[8, 9, 0, 0, 0, 0, 0, 0, 0],
        &[3, 255, 1, 1],
        &[253, 0],
        &[1, 1, 1, 5],
        &[5, 3, 1, 1],
    ];
    for options in illegal {
        let mut t = T::listening();
        let listener = t.user;
        t.inject(plain().raw_options(options));
        t.sent_in(10);
        t.expect_service(listener);
        let mut t = T::established();
        t.inject(data(10).raw_options(options));
        t.sent_in(600);
        // Whether it was taken or not: sent again it is there once.
        t.inject(data(10).seq(1));
        t.expect_read(10);
        t.expect_alive();
    }
}

//= rfc9293#section-3.7.1
#[test]
fn must_14_mss_is_sent_with_syn_and_syn_ack_and_obeyed() {
    let mut t = T::established_with(syn().mss(700));
    assert!(t.p().host_mss.is_some());
    t.write(2100);
    for n in 0..3 {
        t.expect(data(700).seq(1 + 700 * n));
    }
    let mut t = T::connected_with(syn().mss(700));
    assert!(t.p().host_mss.is_some());
    t.write(1400);
    t.expect(data(700).seq(1));
    t.expect(data(700).seq(701));
}

//= rfc9293#section-3.7.1
#[test]
fn must_15_without_an_mss_option_it_is_536() {
    let mut t = T::established_with(syn());
    t.write(1072);
    t.expect(data(536).seq(1));
    t.expect(data(536).seq(537));
    let mut t = T::connected_with(syn());
    t.write(1072);
    t.expect(data(536).seq(1));
    t.expect(data(536).seq(537));
}

//= rfc9293#section-3.7.1
//= rfc6691#section-2
#[test]
fn must_16_options_make_room_within_the_mss() {
    let mut t = T::established_with(plain().ts_on());
    t.write(1976);
    t.expect(data(988).seq(1));
    t.expect(data(988).seq(989));
}

//= rfc9293#section-3.7.1
#[test]
fn must_16_segments_are_no_longer_than_the_path_takes() {
    let mut t = T::established_with(syn().mss(9000));
    t.write(2920);
    t.expect(data(1460).seq(1));
    t.expect(data(1460).seq(1461));
}

//= rfc9293#section-3.1
#[test]
fn must_64_options_need_no_alignment() {
    let mut t = T::listening();
    let options = [3, 3, 7, 8, 10, 0, 0, 0, 9, 0, 0, 0, 0, 2, 4, 3, 232, 4, 2];
    t.inject(full().mss(1000).ts(9, 0).raw_options(&options));
    t.expect(syn_ack().ack(1).echo(9).sack_ok());
    assert!(t.p().host_wscale.is_some());
    t.inject(ack(1));
    t.accept();
    t.write(988);
    t.expect(data(988));
}

//= rfc9293#section-3.7.1
#[test]
fn must_65_mss_is_in_no_segment_but_syn() {
    // The kit looks at every segment of every test; these are of all sorts.
    let mut t = T::established_with(full());
    t.write(5000);
    t.inject(data(2000));
    t.inject(data(500).seq(5001));
    t.shutdown();
    let sent = t.sent_in(5000);
    assert!(sent.len() > 5 && sent.iter().all(|sent| sent.mss.is_none()));
}

//= rfc9293#section-3.7.1
//= rfc6691#section-2
#[test]
fn must_67_the_mss_offered_is_the_mtu_without_headers() {
    let mut t = T::connecting();
    t.expect(seg().flag(SYN).mss(1460));
    let mut t = T::listening();
    t.inject(full());
    t.expect(syn_ack().mss(1460));
}

//= rfc9293#section-3.2
#[test]
fn must_68_options_unknown_of_any_length_are_skipped() {
    for len in 2..=36_u8 {
        let mut options = vec![200, len];
        options.resize(usize::from(len), 0xaa);
        options.extend([2, 4, 2, 188]);
        let mut t = T::listening();
        t.inject(syn().mss(700).raw_options(&options));
        t.expect(syn_ack().ack(1));
        t.inject(ack(1));
        t.accept();
        t.write(700);
        t.expect(data(700).seq(1));
    }
}

//= rfc9293#section-3.1
#[test]
fn must_69_padding_behind_options_is_zero() {
    // The kit looks at every segment; here are those with most options.
    let mut t = T::established_with(full());
    for hole in 1..=4 {
        t.inject(data(100).seq(1 + 200 * hole));
    }
    let sent = t.sent_in(10);
    assert_eq!(sent.last().unwrap().sacks.len(), 3, "{sent:#?}");
}
