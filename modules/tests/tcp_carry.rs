//! A connection leaves its stack as bytes, and goes on in another one; its peer learns nothing.

mod hand;

use hand::{Host, Two};
use millstream_core::tpi::{self, Primitive};
use millstream_core::{Errno, StreamId};
use millstream_modules::tcp::{T_EXPORT_REQ, T_IMPORT_REQ};
use millstream_msg::Kind;
use millstream_msg::offload::Can;
use millstream_rig::ms;

/// Octets whose value tells their place.
fn pattern(from: usize, len: usize) -> Vec<u8> {
    (from..from + len).map(|n| (n ^ n >> 8) as u8).collect()
}

/// Sends a request of one or two words with data; number and error number of its answer, and the
/// answer's data.
fn ask(host: &mut Host, stream: StreamId, words: &[i32], data: &[u8]) -> (i32, i32, Vec<u8>) {
    let asked = Primitive::new(words);
    let mut msg = host.p.pool().copy_from(0, asked.as_bytes()).unwrap();
    msg.set_kind(Kind::Proto);
    if !data.is_empty() {
        let data = host.p.pool().copy_from(0, data).unwrap();
        msg.link(data);
    }
    host.p.putmsg(stream, msg).map_err(|(errno, _)| errno).unwrap();
    host.p.turn(host.p.now(), 1000);
    let got = host.p.getmsg(stream).unwrap().unwrap();
    let control = got.control.unwrap();
    let number = tpi::primitive(control.first()).unwrap();
    let errno =
        if number == tpi::T_ERROR_ACK { tpi::word(control.first(), 12).unwrap() } else { 0 };
    host.p.pool().free(control);
    let mut bytes = Vec::new();
    if let Some(data) = got.data {
        bytes.resize(data.len(), 0);
        data.copy_out(0, &mut bytes);
        host.p.pool().free(data);
    }
    (number, errno, bytes)
}

fn read(two: &mut Two, n: usize) -> Vec<u8> {
    let mut bytes = vec![0; 1 << 20];
    let stream = two.ends[n];
    let len = two.hosts[n].p.read(stream, &mut bytes).unwrap_or(0);
    bytes.truncate(len);
    bytes
}

/// Host 1 is another stack from now on, at the same place, and has the connection.
fn move_over(two: &mut Two, pieces: usize) {
    let (number, _, bytes) = ask(&mut two.hosts[1], two.ends[1], &[T_EXPORT_REQ], &[]);
    assert_eq!(number, tpi::T_OK_ACK);
    let mut new = Host::new(2, Can::ALL);
    // Its clock is another.
    new.p.turn(ms(1), 10);
    let stream = new.p.open_mux(new.tcp, "user").unwrap();
    let each = bytes.len().div_ceil(pieces);
    for (n, piece) in bytes.chunks(each).enumerate() {
        let more = i32::from((n + 1) * each < bytes.len());
        let (number, errno, _) = ask(&mut new, stream, &[T_IMPORT_REQ, more], piece);
        assert_eq!((number, errno), (tpi::T_OK_ACK, 0));
    }
    two.hosts[1] = new;
    two.ends[1] = stream;
}

#[test]
fn a_connection_goes_on_in_another_stack_in_both_directions() {
    let mut two = Two::new(Can::ALL);
    let (mut up, mut down) = (0, 0);
    for round in 0..3 {
        for (n, count) in [(0, &mut up), (1, &mut down)] {
            let stream = two.ends[n];
            assert_eq!(two.hosts[n].p.write(stream, &pattern(*count, 5_000)), Ok(5_000));
            *count += 5_000;
        }
        two.pass(ms(20));
        assert_eq!(read(&mut two, 1), pattern(up - 5_000, 5_000));
        assert_eq!(read(&mut two, 0), pattern(down - 5_000, 5_000));
        move_over(&mut two, 1 + round);
        two.pass(ms(20));
    }
    // And it ends in order.
    let stream = two.ends[0];
    two.hosts[0].ask_nothing(stream, &Primitive::ordrel_req());
    two.pass(ms(50));
    assert_eq!(two.hosts[1].control(two.ends[1]), Primitive::ordrel_ind().as_bytes());
}

#[test]
fn octets_that_are_not_acknowledged_come_along_and_arrive() {
    let mut two = Two::new(Can::ALL);
    let stream = two.ends[1];
    // What host 1 sends is lost with the stack that sent it.
    assert_eq!(two.hosts[1].p.write(stream, &pattern(0, 60_000)), Ok(60_000));
    two.hosts[1].p.turn(two.now, 1000);
    for frame in two.hosts[1].probe.sent() {
        drop(frame);
    }
    move_over(&mut two, 3);
    let mut got = Vec::new();
    for _ in 0..3_000 {
        two.pass(ms(1));
        got.extend(read(&mut two, 0));
    }
    assert!(got == pattern(0, 60_000), "{}", got.len());
}

#[test]
fn what_is_no_connection_is_refused_and_the_stream_is_as_before() {
    let mut two = Two::new(Can::ALL);
    let (_, _, bytes) = ask(&mut two.hosts[1], two.ends[1], &[T_EXPORT_REQ], &[]);
    let stream = two.ends[1];
    let import =
        |two: &mut Two, bytes: &[u8]| ask(&mut two.hosts[1], stream, &[T_IMPORT_REQ, 0], bytes).1;
    let einval = Errno::EINVAL.0;
    for len in 0..bytes.len() {
        assert_eq!(import(&mut two, &bytes[..len]), einval, "{len} of {}", bytes.len());
    }
    assert_eq!(import(&mut two, &[&bytes[..], &[0]].concat()), einval);
    let mut elsewhere = bytes.clone();
    elsewhere[19] = 77;
    assert_eq!(import(&mut two, &elsewhere), Errno::EADDRNOTAVAIL.0);
    let stream = two.ends[1];
    let (number, errno, _) = ask(&mut two.hosts[1], stream, &[T_IMPORT_REQ, 0], &bytes);
    assert_eq!((number, errno), (tpi::T_OK_ACK, 0));
    // Twice is once too often; and one that is connected takes none.
    let second = two.hosts[1].p.open_mux(two.hosts[1].tcp, "second").unwrap();
    let busy = ask(&mut two.hosts[1], second, &[T_IMPORT_REQ, 0], &bytes);
    assert_eq!(busy.1, Errno::EADDRINUSE.0);
    assert_ne!(ask(&mut two.hosts[1], stream, &[T_IMPORT_REQ, 0], &bytes).0, tpi::T_OK_ACK);
    assert_ne!(ask(&mut two.hosts[1], second, &[T_EXPORT_REQ], &[]).0, tpi::T_OK_ACK);
}

#[test]
fn any_other_word_is_refused_or_makes_a_connection_that_its_peer_may_not_like() {
    let mut two = Two::new(Can::ALL);
    let len = ask(&mut two.hosts[1], two.ends[1], &[T_EXPORT_REQ], &[]).2.len();
    for at in (44..len).step_by(4) {
        for fill in [0xff, 0x7f, 0] {
            let mut two = Two::new(Can::ALL);
            let stream = two.ends[1];
            let mut bytes = ask(&mut two.hosts[1], stream, &[T_EXPORT_REQ], &[]).2;
            bytes[at..at + 4].fill(fill);
            if ask(&mut two.hosts[1], stream, &[T_IMPORT_REQ, 0], &bytes).1 == 0 {
                two.hosts[1].p.write(stream, &pattern(0, 3_000)).unwrap();
                let peer = two.ends[0];
                two.hosts[0].p.write(peer, &pattern(0, 3_000)).unwrap();
                two.pass(ms(20));
            }
        }
    }
}
