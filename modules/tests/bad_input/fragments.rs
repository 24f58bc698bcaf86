//! Fragments that overlap, contradict each other, or are none.

use crate::frames::{Ip, echo, parse, udp};
use crate::lab::Lab;

/// Feeds the pieces of one datagram: nobody answers, not even when its time is over, and they are
/// dropped for these reasons. Then the same datagram is sent in a sound way and answered.
fn wrong(reasons: &[&str], pieces: &[Vec<u8>]) {
    let mut lab = Lab::host();
    assert_eq!(lab.feed(pieces), Vec::<Vec<u8>>::new(), "nothing is delivered");
    let dropped = lab.dropped();
    assert!(!dropped.is_empty(), "something was wrong");
    assert!(dropped.iter().all(|(name, _)| reasons.contains(&&**name)), "{dropped:?}");
    lab.advance(millstream_rig::secs(60));
    lab.sent();
    lab.dropped();
    let data = datagram(64);
    let sound = [piece(0, true, &data[..32]), piece(32, false, &data[32..])];
    assert_eq!(parse(&lab.feed(&sound)[0]).payload[8..], data[8..], "the number is free again");
    assert_eq!(lab.shows(lab.ip, "reassembling"), 0);
    lab.finish();
}

/// A datagram to the echo service; no checksum, so that only reassembly can save us.
fn datagram(len: usize) -> Vec<u8> {
    let data: Vec<u8> = (0..len - 8).map(|i| i as u8).collect();
    let mut bytes = udp(5000, 7, &data);
    bytes[6..8].fill(0);
    bytes
}

fn piece(at: u16, more: bool, payload: &[u8]) -> Vec<u8> {
    Ip::to_us(17).piece(0x77, at, more, payload)
}

#[test]
fn bad_input_07_overlapping_fragments_with_different_data() {
    let data = datagram(64);
    for (at, len) in [(8, 24), (16, 16), (24, 40), (0, 40), (0, 24), (8, 8)] {
        let end = usize::from(at) + len;
        let other = vec![0xee; len];
        wrong(
            &["frag_overlap", "frag_poisoned", "frag_end"],
            &[
                piece(0, true, &data[..32]),
                piece(at, end < 64, &other),
                piece(32, false, &data[32..]),
            ],
        );
    }
}

#[test]
fn bad_input_07_teardrop_a_fragment_within_another() {
    let data = datagram(64);
    wrong(
        &["frag_overlap", "frag_end", "frag_poisoned"],
        &[piece(0, true, &data[..40]), piece(24, false, &[1; 4]), piece(40, false, &data[40..])],
    );
    wrong(
        &["frag_overlap", "frag_end", "frag_poisoned"],
        &[piece(24, false, &[1; 4]), piece(0, true, &data[..40]), piece(40, false, &data[40..])],
    );
}

#[test]
fn bad_input_07_fragment_past_65535() {
    for (at, len) in [(65_528, 8), (65_528, 100), (65_000, 1400), (64_120, 1400)] {
        wrong(&["frag_past_end"], &[piece(at, false, &vec![0; len])]);
        wrong(&["frag_past_end"], &[piece(at, true, &vec![0; len / 8 * 8])]);
    }
}

#[test]
fn bad_input_09_first_fragment_shorter_than_the_transport_header() {
    let tcp = |at: u16, more: bool, len: usize| Ip::to_us(6).piece(9, at, more, &vec![2; len]);
    wrong(&["frag_tiny"], &[tcp(0, true, 8)]);
    wrong(&["frag_tiny"], &[tcp(0, true, 16), tcp(16, false, 20)]);
    // RFC 3128: the second one would write over the flags of the first.
    wrong(&["frag_tiny"], &[tcp(8, true, 16)]);
    wrong(&["frag_tiny"], &[tcp(16, false, 16)]);
}

#[test]
fn bad_input_09_smallest_legal_pieces_are_joined() {
    let mut lab = Lab::host();
    let data = datagram(120);
    let pieces: Vec<_> = data
        .chunks(8)
        .enumerate()
        .map(|(i, part)| piece(8 * i as u16, i < 14, part))
        .rev()
        .collect();
    assert_eq!(parse(&lab.feed(&pieces)[0]).payload[8..], data[8..]);
    lab.finish();
}

#[test]
fn bad_input_10_fragments_without_data() {
    wrong(&["frag_empty"], &[piece(0, true, b"")]);
    wrong(&["frag_empty"], &[piece(800, true, b"")]);
    wrong(&["frag_empty"], &[piece(800, false, b"")]);
}

#[test]
fn bad_input_10_last_fragment_twice_with_a_different_end() {
    let data = datagram(64);
    for (at, len) in [(32, 40), (32, 24), (40, 40), (40, 8), (16, 8)] {
        wrong(
            &["frag_end", "frag_poisoned", "frag_overlap"],
            &[
                piece(32, false, &data[32..]),
                piece(at, false, &vec![0; len]),
                piece(0, true, &data[..32]),
            ],
        );
    }
}

#[test]
fn bad_input_10_fragment_beyond_the_last_one() {
    let data = datagram(64);
    wrong(
        &["frag_end", "frag_poisoned"],
        &[piece(32, false, &data[32..]), piece(64, true, &[0; 8]), piece(0, true, &data[..32])],
    );
    wrong(
        &["frag_end", "frag_poisoned"],
        &[piece(64, true, &[0; 8]), piece(32, false, &data[32..]), piece(0, true, &data[..32])],
    );
}

#[test]
fn bad_input_10_more_to_come_and_no_multiple_of_8() {
    for len in [1, 7, 9, 1001] {
        wrong(&["frag_length"], &[piece(0, true, &vec![0; len])]);
    }
}

#[test]
fn bad_input_10_repeated_fragments_count_once() {
    let mut lab = Lab::host();
    let data = datagram(64);
    let (first, last) = (piece(0, true, &data[..32]), piece(32, false, &data[32..]));
    let sent = lab.feed(&[first.clone(), first.clone(), first, last]);
    assert_eq!(sent.len(), 1);
    assert_eq!(parse(&sent[0]).payload[8..], data[8..]);
    assert_eq!(lab.dropped_only("frag_duplicate"), 2);
    lab.finish();
}

#[test]
fn bad_input_17_echo_of_65507_bytes_in_fragments() {
    let mut lab = Lab::host();
    let data: Vec<u8> = (0..65_507).map(|i| (i % 251) as u8).collect();
    let request = echo(8, 1, 1, &data);
    let pieces: Vec<_> = request
        .chunks(1480)
        .enumerate()
        .map(|(i, part)| {
            let at = 1480 * i;
            Ip::to_us(1).piece(3, at as u16, at + part.len() < request.len(), part)
        })
        .collect();
    let sent = lab.feed(&pieces);
    let answer: Vec<u8> = sent.iter().flat_map(|frame| parse(frame).payload).collect();
    assert_eq!(answer.len(), 65_515);
    assert_eq!((answer[0], &answer[8..]), (0, &data[..]));
    assert_eq!(lab.dropped(), []);
    lab.finish();
}
