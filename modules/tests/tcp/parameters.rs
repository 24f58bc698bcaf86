//! What `set tcp KEY VALUE` changes for streams that are opened from then on.

use crate::kit::*;

/// A host where these were set, before a stream was opened.
fn with(parameters: &[(&str, &str)]) -> T {
    let mut t = T::new();
    for (key, value) in parameters {
        assert!(t.set_mux(key, value), "{key} {value}");
    }
    t
}

#[test]
fn parameters_of_tcp_are_for_connections_from_then_on_and_nonsense_is_refused() {
    let mut t = with(&[("ecn", "on")]);
    t.connect();
    assert!(t.set_mux("ecn", "off") && t.set_mux("congestion", "reno"));
    assert!(!t.set_mux("ecn", "perhaps") && !t.set_mux("congestion", "bbr"));
    assert!(!t.set_mux("eon", "on"));
    t.expect(syn().flag(ECE | CWR));
    assert_eq!(&t.get_bytes(opt::CONGESTION)[..], b"cubic");
    t.add_peer(addr([10, 0, 0, 10], 5000));
    t.connect();
    t.expect(syn().no_flag(ECE | CWR));
    assert_eq!(&t.get_bytes(opt::CONGESTION)[..], b"reno");
}

#[test]
fn timestamps_that_are_off_are_neither_offered_nor_taken() {
    let mut t = with(&[("timestamps", "off")]);
    t.connect();
    t.expect(syn().no_ts().sack_ok());
    t.inject(full().ack(1).flag(ACK));
    t.expect(ack(1).no_ts());
    t.write(100);
    t.expect(data(100).no_ts());

    let mut t = with(&[("timestamps", "off")]);
    t.listen(1);
    t.inject(full().ts(4711, 0));
    t.expect(syn_ack().no_ts().sack_ok());
}

#[test]
fn selective_acknowledgements_that_are_off_are_neither_offered_nor_taken() {
    let mut t = with(&[("sack", "off")]);
    t.connect();
    assert!(!t.expect(syn().ts_on()).sack_ok);

    let mut t = with(&[("sack", "off")]);
    t.listen(1);
    t.inject(full());
    assert!(!t.expect(syn_ack().ts_on()).sack_ok);
}

#[test]
fn the_shift_of_our_windows_is_what_was_set() {
    let mut t = with(&[("window_scale", "9")]);
    t.connect();
    assert_eq!(t.expect(syn()).wscale, Some(9));
    let mut t = with(&[("window_scale", "0")]);
    t.listen(1);
    t.inject(full());
    assert_eq!(t.expect(syn_ack()).wscale, Some(0));
}

//= rfc6928#section-2
#[test]
fn the_first_flight_has_as_many_segments_as_were_set() {
    for segments in [1, 3, 10, 20] {
        let mut t = with(&[("initial_window", &segments.to_string())]);
        t.connect();
        t.expect(syn());
        t.inject(with_sack().mss(1000).ack(1).flag(ACK));
        t.expect(ack(1));
        t.write(50_000);
        let octets: usize = t.sent_now().iter().map(Sent::len).sum();
        assert_eq!(octets, segments * 1000);
    }
}

//= rfc6298#section-2.4
#[test]
fn the_floor_of_the_timeout_is_what_was_set() {
    for (floor_ms, before, at) in [("50", 40, 60), ("1000", 900, 1100)] {
        let mut t = with(&[("rto_min", floor_ms)]);
        t.connect();
        t.expect(syn());
        t.inject(plain().ack(1).flag(ACK));
        t.expect(ack(1));
        // Two segments: the probe of the tail of one would be earlier.
        t.write(100);
        t.expect(data(100));
        t.expect_between(before, at, data(100).seq(1));
    }
}

#[test]
fn numbers_out_of_range_are_refused() {
    let mut t = T::new();
    for (key, value) in [
        ("window_scale", "15"),
        ("window_scale", "-1"),
        ("initial_window", "0"),
        ("initial_window", "101"),
        ("initial_window", "ten"),
        ("rto_min", "0"),
        ("rto_min", "60001"),
        ("rto_min", ""),
        ("timestamps", "1"),
        ("sack", ""),
    ] {
        assert!(!t.set_mux(key, value), "{key} {value}");
    }
}
