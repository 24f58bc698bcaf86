//! TCP_INFO: the figures of a connection, in Linux' layout.

use crate::kit::*;

/// What TCP_INFO says.
struct Info(Vec<u8>);

impl Info {
    fn of(t: &mut T) -> Self {
        let bytes = t.get_bytes(opt::INFO);
        assert_eq!(bytes.len(), 232);
        Self(bytes)
    }

    fn word(&self, at: usize) -> u32 {
        u32::from_ne_bytes(*self.0[at..].first_chunk().unwrap())
    }

    fn long(&self, at: usize) -> u64 {
        u64::from_ne_bytes(*self.0[at..].first_chunk().unwrap())
    }
}

#[test]
fn tcp_info_tells_the_state_and_the_figures() {
    let mut t = T::established_with(full());
    t.write(1000);
    let info = t.get_bytes(opt::INFO);
    assert!(info.len() >= 104, "{} octets", info.len());
    assert_eq!(info[0], State::Established as u8);
    // TCPI_OPT_TIMESTAMPS, SACK, WSCALE.
    assert_eq!(info[5] & 7, 7, "options");
    assert_eq!(info[6] & 15, 7, "the peer's window scale");
    let word = |n: usize| u32::from_ne_bytes(*info[8 + 4 * n..].first_chunk().unwrap());
    let (rto, snd_mss, unacked) = (word(0), word(2), word(4));
    assert!((200_000..=1_100_000).contains(&rto), "RTO {rto} microseconds");
    assert_eq!((snd_mss, unacked), (1448, 1));
}

#[test]
fn tcp_info_tells_what_was_sent_and_delivered() {
    let mut t = T::established_after(20, full());
    for n in 0..50_u32 {
        t.write(1448);
        t.advance(20);
        t.inject(ack(1 + 1448 * (n + 1)));
    }
    t.write(2896);
    let info = Info::of(&mut t);
    assert_eq!(info.word(24), 2, "unacked");
    assert_eq!(info.word(144), 0, "notsent_bytes");
    assert_eq!((info.word(152), info.word(156)), (0, 51), "data_segs_in and out");
    assert_eq!(info.long(120), 50 * 1448, "bytes_acked");
    assert_eq!(info.long(200), 52 * 1448, "bytes_sent");
    assert_eq!((info.long(208), info.word(100)), (0, 0), "nothing was sent again");
    assert_eq!(info.word(192), 50, "delivered");
    let (rtt, least) = (info.word(68), info.word(148));
    assert!((19_000..=21_000).contains(&rtt) && (19_000..=21_000).contains(&least), "{rtt}");
    // A segment each 20 ms.
    assert!((72_000..73_000).contains(&info.long(160)), "delivery_rate {}", info.long(160));
    assert_eq!(info.0[7] & 1, 1, "limited by the application");
    assert_eq!((info.word(44), info.word(12)), (0, 40_000), "last_data_sent, ato");
    assert_eq!((info.word(228), info.word(88)), (0xffff << 7, 3), "snd_wnd, reordering");
    t.advance(30);
    assert_eq!(Info::of(&mut t).word(44), 30, "last_data_sent, ms");
}

#[test]
fn tcp_info_tells_what_is_lost_and_sent_again() {
    let mut t = T::established_after(20, with_sack());
    t.write(10_000);
    t.advance(20);
    t.inject(ack(1).sack(&[(5001, 10_001)]));
    let info = Info::of(&mut t);
    assert_eq!(info.0[1], 3, "recovery");
    assert_eq!(info.word(28), 5, "sacked");
    assert!(info.word(36) >= 1, "retrans");
    assert_eq!(info.word(32) + info.word(36), 5, "lost, or sent again since");
    assert_eq!(info.long(208), u64::from(info.word(100)) * 1000, "bytes_retrans, total_retrans");
    assert_eq!(info.long(200), 10_000 + info.long(208), "bytes_sent has them twice");
    assert_eq!(info.word(192), 5, "delivered");
    assert!(info.word(76) < 10, "ssthresh");
}

#[test]
fn tcp_info_tells_what_came() {
    let mut t = T::established_after(20, with_sack());
    t.inject(data(1000));
    t.inject(data(1000).seq(3001));
    t.inject(data(1000).seq(5001));
    t.advance(100);
    let info = Info::of(&mut t);
    assert_eq!((info.word(152), info.word(224)), (3, 2), "data_segs_in, rcv_ooopack");
    assert_eq!(info.long(128), 1000, "bytes_received");
    assert_eq!(info.word(52), 100, "last_data_recv, ms");
    assert_eq!(info.word(20), 1000, "rcv_mss");
    assert_eq!(info.word(64), info.word(64).min(0xffff), "rcv_ssthresh is what a header can tell");
    assert!(info.word(96) > 0, "rcv_space");
}

#[test]
fn tcp_info_tells_the_pace_and_its_limit() {
    let mut t = T::established_after(100, full());
    let info = Info::of(&mut t);
    // Ten segments a tenth of a second, twice as fast while the window grows.
    assert!((280_000..=300_000).contains(&info.long(104)), "pacing_rate {}", info.long(104));
    assert_eq!(info.long(112), u64::MAX, "max_pacing_rate");
    t.set(opt::MAX_PACING_RATE, 50_000);
    let info = Info::of(&mut t);
    assert_eq!((info.long(104), info.long(112)), (50_000, 50_000));
    t.set(opt::MAX_PACING_RATE, -1);
    assert_eq!(Info::of(&mut t).long(112), u64::MAX);
}
