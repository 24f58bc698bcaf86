//! Buffers of connections grow to what the path and the programs can use, and no further.

mod two_hosts;

use millstream_core::StreamId;
use millstream_core::tpi::option::{Record, Records};
use millstream_core::tpi::{self, Primitive, View};
use millstream_rig::{Faults, ms};
use two_hosts::{Two, pattern};

/// 400 Mbit/s over 50 ms: 5 MB in flight for both ways together.
const LONG: Faults =
    Faults { delay_ns: 25_000_000, rate_bps: 400_000_000, queue_ns: 500_000_000, ..Faults::NONE };

/// SO_SNDBUF and SO_RCVBUF.
const SIZES: [i32; 2] = [7, 8];

/// The size of a buffer of a stream.
fn size(two: &mut Two, host: usize, stream: StreamId, name: i32) -> u32 {
    let record = Record { level: 1, name, status: 0, value: &[0; 4] };
    let asked = Primitive::optmgmt_req(tpi::T_CURRENT).with_option(&record);
    let answer = two.ask(host, stream, &asked);
    let Ok(View::OptmgmtAck(ack)) = View::new(&answer) else { panic!("{answer:?}") };
    let record = Records::new(ack.options()).next().unwrap().unwrap();
    record.word().unwrap() as u32
}

/// Host 0 writes all it can for this time; host 1 reads `most` octets a millisecond, also
/// afterwards until it has all. What it read within the time.
fn bulk(two: &mut Two, ends: (StreamId, StreamId), time_ms: u64, most: usize) -> usize {
    let (mut written, mut got) = (0, 0);
    for _ in 0..time_ms {
        loop {
            let n = two.write(0, ends.0, &pattern(written, 65_536));
            written += n as u64;
            if n < 65_536 {
                break;
            }
        }
        let bytes = two.read_some(1, ends.1, most);
        assert!(bytes == pattern(got as u64, bytes.len()));
        got += bytes.len();
        two.pass(ms(1));
    }
    let within = got;
    while (got as u64) < written {
        got += two.read_some(1, ends.1, most).len();
        two.pass(ms(1));
    }
    // The last acknowledgement.
    two.pass(ms(200));
    within
}

#[test]
fn both_buffers_grow_until_a_long_fat_path_is_full() {
    let mut two = Two::new(LONG);
    let listener = two.listen(1, 80);
    let ends = two.connect(0, listener, 80);
    let first = SIZES.map(|name| size(&mut two, 0, ends.0, name));
    assert_eq!(first, [131_072, 131_072]);
    bulk(&mut two, ends, 2_000, usize::MAX);
    let path = 400_000_000 / 8 / 20;
    let send = size(&mut two, 0, ends.0, 7);
    let receive = size(&mut two, 1, ends.1, 8);
    assert!((path..=4 << 20).contains(&send), "{send}");
    assert!((path..=6 << 20).contains(&receive), "{receive}");
    // The other direction carries nothing.
    assert_eq!([size(&mut two, 0, ends.0, 8), size(&mut two, 1, ends.1, 7)], first);
    let got = bulk(&mut two, ends, 1_000, usize::MAX);
    let full = 400_000_000 / 8;
    assert!(got > full / 10 * 9, "{got} of {full} octets in a second");
}

#[test]
fn a_slow_reader_keeps_a_small_buffer() {
    let mut two = Two::new(LONG);
    let listener = two.listen(1, 80);
    let ends = two.connect(0, listener, 80);
    bulk(&mut two, ends, 2_000, 200);
    let receive = size(&mut two, 1, ends.1, 8);
    assert!(receive <= 262_144, "{receive}");
}

#[test]
fn a_size_that_the_user_sets_stays() {
    let mut two = Two::new(LONG);
    let listener = two.listen(1, 80);
    let ends = two.connect(0, listener, 80);
    for (host, stream, name) in [(0, ends.0, 7), (1, ends.1, 8)] {
        let record = Record { level: 1, name, status: 0, value: &200_000_i32.to_ne_bytes() };
        let asked = Primitive::optmgmt_req(tpi::T_NEGOTIATE).with_option(&record);
        two.ask(host, stream, &asked);
    }
    let before = [size(&mut two, 0, ends.0, 7), size(&mut two, 1, ends.1, 8)];
    bulk(&mut two, ends, 1_000, usize::MAX);
    assert_eq!([size(&mut two, 0, ends.0, 7), size(&mut two, 1, ends.1, 8)], before);
}
