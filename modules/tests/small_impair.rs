//! impair between a head and a device, in virtual time.

mod small_kit;

use millstream_modules::impair::Impair;
use millstream_msg::{Gso, Kind, Msg, MsgFlags, Offload};
use small_kit::*;

/// Timers are late by at most so much. Nanoseconds.
const TICK: u64 = 1 << 16;

fn impaired(params: &str) -> Stack {
    let mut s = Stack::with(Impair::new());
    s.set("seed=7");
    s.set(params);
    s
}

impl Stack {
    /// Sends frames `range` of `len` bytes down, all at once.
    fn send(&mut self, range: std::ops::Range<u32>, len: usize) {
        for n in range {
            let msg = self.msg(&numbered(n, len));
            self.down(msg);
        }
    }

    fn sent_numbers(&mut self) -> Vec<u32> {
        self.sent().iter().map(number).collect()
    }

    /// Numbers of what came out between now and `until`, each with its time; turns run as a host
    /// runs them, when a timer is due.
    fn arrivals(&mut self, from: u64, until: u64) -> Vec<(u64, u32)> {
        let (mut now, mut all) = (from, Vec::new());
        loop {
            let turn = self.p.turn(now, 10_000);
            all.extend(self.sent_numbers().into_iter().map(|n| (now, n)));
            now = match turn.next {
                _ if turn.more => now,
                Some(next) if next <= until => next.max(now + 1),
                _ => return all,
            };
        }
    }
}

/// `TCP/IPv4` super-frame of three packets of 1,000 bytes.
fn super_frame(s: &mut Stack) -> Msg {
    let mut bytes = frame(&[0; 40 + 3000]);
    bytes[14] = 0x45;
    bytes[16..18].copy_from_slice(&3040_u16.to_be_bytes());
    bytes[23] = 6;
    bytes[46] = 5 << 4;
    let mut msg = s.msg(&bytes);
    msg.set_offload(Offload {
        needs_csum: true,
        gso: Gso::TcpV4,
        gso_size: 1000,
        hdr_len: 54,
        csum_start: 34,
        csum_offset: 16,
    });
    msg
}

#[test]
fn without_parameters_frames_pass_at_once_and_in_place() {
    let mut s = impaired("");
    let msg = s.msg(&numbered(1, 60));
    let place = msg.blocks().next().unwrap().as_ptr();
    s.down(msg);
    s.turn(0);
    let sent = s.sent();
    assert_eq!(sent[0].blocks().next().unwrap().as_ptr(), place);
    drop(sent);
    s.assert_nothing_leaked();
}

#[test]
fn delay_is_exact_to_a_tick_of_the_timer() {
    let mut s = impaired("delay=50ms");
    s.turn(MS);
    s.send(0..1, 60);
    s.turn(MS);
    s.turn(51 * MS - 1);
    assert_eq!(s.sent_numbers(), []);
    s.turn(51 * MS + TICK);
    assert_eq!(s.sent_numbers(), [0]);
}

#[test]
fn delay_holds_for_a_host_that_sleeps_until_the_next_timer() {
    let mut s = impaired("delay=5ms");
    s.send(0..1, 60);
    let [(at, _)] = s.arrivals(0, 20 * MS)[..] else { panic!("one frame") };
    assert!((5 * MS..=5 * MS + 2 * TICK).contains(&at), "{at}");
}

#[test]
fn directions_have_parameters_of_their_own() {
    let mut s = impaired("up.delay=10ms");
    let msg = s.msg(&numbered(1, 60));
    s.up(msg);
    s.send(2..3, 60);
    s.turn(0);
    assert_eq!(s.sent_numbers(), [2]);
    assert!(s.received().is_empty());
    s.turn(11 * MS);
    assert_eq!(number(&s.received()[0]), 1);
    assert_eq!((s.text("up.delay"), s.text("down.delay")), ("10ms".into(), "0".into()));
}

#[test]
fn jitter_stays_within_its_bounds_and_keeps_the_order() {
    let mut s = impaired("delay=10ms jitter=4ms");
    let mut all = Vec::new();
    for n in 0..400 {
        let now = u64::from(n) * 20 * MS;
        s.turn(now);
        s.send(n..n + 1, 60);
        all.extend(s.arrivals(now, now + 15 * MS).iter().map(|(at, n)| (at - now, *n)));
    }
    assert!(all.iter().map(|(_, n)| *n).eq(0..400));
    assert!(all.iter().all(|(late, _)| (6 * MS..=14 * MS + 2 * TICK).contains(late)));
    let mean = all.iter().map(|(late, _)| late).sum::<u64>() / 400;
    assert!((9_700_000..10_400_000).contains(&mean), "{mean}");
    // Together, the later ones wait for those before.
    let mut s = impaired("delay=10ms jitter=4ms");
    s.send(0..400, 60);
    assert!(s.arrivals(0, 20 * MS).iter().map(|(_, n)| *n).eq(0..400));
}

#[test]
fn loss_loses_its_share_with_a_reason() {
    let mut s = impaired("down.loss=1%");
    for round in 0..10 {
        s.send(round * 10_000..(round + 1) * 10_000, 60);
        s.turn(0);
        drop(s.sent());
    }
    let lost = s.drops("impair: loss");
    assert!((900..1100).contains(&lost), "{lost} of 100,000 with seed 7");
    assert_eq!(s.count("down.lost"), lost);
    s.assert_nothing_leaked();
}

#[test]
fn bursts_have_their_mean_length_and_the_loss_stays_the_average() {
    let mut s = impaired("loss=5% burst=4");
    let (mut lost, mut bursts, mut before) = (0_u32, 0_u32, 0);
    for round in 0..10 {
        s.send(round * 10_000..(round + 1) * 10_000, 60);
        s.turn(0);
        for n in s.sent_numbers() {
            lost += n - before;
            bursts += u32::from(n > before);
            before = n + 1;
        }
    }
    assert!((4_500..5_500).contains(&lost), "{lost} of 100,000 with seed 7");
    let mean = f64::from(lost) / f64::from(bursts);
    assert!((3.6..4.4).contains(&mean), "{mean} with seed 7");
}

#[test]
fn rate_is_exact_in_virtual_time() {
    let mut s = impaired("rate=10mbit");
    s.send(0..100, 1250);
    let all = s.arrivals(0, 200 * MS);
    assert_eq!(all.len(), 100);
    for (at, n) in all {
        let due = (u64::from(n) + 1) * MS;
        assert!((due..=due + 2 * TICK).contains(&at), "{n} at {at}");
    }
}

#[test]
fn rate_does_not_lose_what_rounding_to_nanoseconds_leaves() {
    let mut s = impaired("rate=3gbit limit=1000000");
    // 100 bytes take 266.67 ns.
    s.send(0..9_000, 100);
    let all = s.arrivals(0, 10 * MS);
    let last = all.last().unwrap();
    assert!((2_400_000..=2_400_000 + 2 * TICK).contains(&last.0), "{last:?}");
}

#[test]
fn limit_in_packets_drops_the_tail_with_a_reason() {
    let mut s = impaired("delay=10ms limit=5");
    s.send(0..8, 60);
    s.turn(0);
    assert_eq!((s.drops("impair: queue full"), s.count("down.held")), (3, 5));
    s.turn(11 * MS);
    assert_eq!(s.sent_numbers(), [0, 1, 2, 3, 4]);
}

#[test]
fn limit_does_not_count_what_passes_at_once() {
    let mut s = impaired("limit=1");
    s.send(0..100, 60);
    s.turn(0);
    assert_eq!(s.sent_numbers().len(), 100);
}

#[test]
fn limit_in_bytes_counts_all_that_is_held_and_queue_only_what_waits_for_the_rate() {
    let mut s = impaired("delay=1s limit=1k");
    s.send(0..12, 100);
    s.turn(0);
    assert_eq!((s.drops("impair: queue full"), s.count("down.held_bytes")), (2, 1000));
    let mut s = impaired("delay=1s rate=8mbit queue=1000b");
    // 100 bytes take 0.1 ms.
    s.send(0..12, 100);
    s.turn(0);
    assert_eq!(s.drops("impair: rate queue full"), 2);
    s.turn(MS);
    s.send(12..14, 100);
    s.turn(MS);
    assert_eq!((s.drops("impair: rate queue full"), s.count("down.held")), (2, 12));
}

#[test]
fn partition_stops_one_direction_or_both() {
    for (partition, down, up) in [("on", 0, 0), ("up", 1, 0), ("down", 0, 1), ("off", 1, 1)] {
        let mut s = impaired(&format!("partition={partition}"));
        let msg = s.msg(&numbered(1, 60));
        s.up(msg);
        s.send(2..3, 60);
        s.turn(0);
        assert_eq!((s.sent().len(), s.received().len()), (down, up), "{partition}");
        assert_eq!(s.drops("impair: partition"), 2 - (down + up) as u64);
    }
}

#[test]
fn direction_leaves_the_other_one_alone() {
    let mut s = impaired("loss=100% direction=up");
    let msg = s.msg(&numbered(1, 60));
    s.up(msg);
    s.send(2..3, 60);
    s.turn(0);
    assert_eq!((s.sent_numbers(), s.received().len()), (vec![2], 0));
}

#[test]
fn duplicates_share_memory_and_follow_at_once() {
    let mut s = impaired("duplicate=100%");
    s.send(0..3, 60);
    s.turn(0);
    let before = s.p.pool().stats().copied_bytes;
    assert_eq!(s.sent_numbers(), [0, 0, 1, 1, 2, 2]);
    assert_eq!((s.count("down.duplicated"), s.p.pool().stats().copied_bytes), (3, before));
    s.assert_nothing_leaked();
}

#[test]
fn corrupt_flips_one_bit_behind_the_link_header() {
    let mut s = impaired("corrupt=100%");
    let plain = frame(&[0x55; 200]);
    let mut places = std::collections::BTreeSet::new();
    for _ in 0..100 {
        let msg = s.msg(&plain);
        s.down(msg);
        s.turn(0);
        let got = bytes(&s.sent()[0]);
        let wrong: Vec<_> = (0..214).filter(|&at| got[at] != plain[at]).collect();
        let [at] = wrong[..] else { panic!("{} bytes differ", wrong.len()) };
        assert_eq!((got[at] ^ plain[at]).count_ones(), 1);
        assert!(at >= 14);
        places.insert(at);
    }
    assert!(places.len() > 60);
    assert_eq!(s.count("down.corrupted"), 100);
}

#[test]
fn corrupt_leaves_a_duplicate_that_shares_the_memory_alone() {
    let mut s = impaired("corrupt=100%");
    let plain = frame(&[0x55; 200]);
    let msg = s.msg(&plain);
    let twin = msg.dup(s.p.pool()).unwrap();
    s.down(msg);
    s.turn(0);
    assert_ne!(bytes(&s.sent()[0]), plain);
    assert_eq!(bytes(&twin), plain);
}

#[test]
fn corrupt_fills_the_checksum_in_first_and_takes_the_trust_away() {
    let mut s = impaired("corrupt=100% cut=off");
    let mut msg = super_frame(&mut s);
    msg.set_flags(MsgFlags::CSUM_OK);
    s.down(msg);
    s.turn(0);
    let sent = s.sent();
    assert_eq!((sent.len(), s.count("down.corrupted")), (3, 1));
    assert!(sent.iter().all(|msg| msg.offload() == Offload::NONE));
    assert!(sent.iter().any(|msg| !msg.flags().contains(MsgFlags::CSUM_OK)));
}

#[test]
fn reorder_lets_others_overtake_every_gap_th_packet() {
    let mut s = impaired("delay=1ms reorder=100% gap=5 reorder-delay=2ms");
    let mut all = Vec::new();
    for n in 0..10 {
        let now = u64::from(n) * MS;
        s.turn(now);
        s.send(n..n + 1, 60);
        all.extend(s.arrivals(now, now + MS - 1));
    }
    all.extend(s.arrivals(10 * MS, 20 * MS));
    let order: Vec<_> = all.iter().map(|(_, n)| *n).collect();
    // 4 leaves at 7 ms as 6 does, and before it, having come first.
    assert_eq!(order, [0, 1, 2, 3, 5, 4, 6, 7, 8, 9]);
    assert_eq!(s.count("down.reordered"), 2);
}

#[test]
fn the_same_seed_gives_the_same_fate_and_another_one_another() {
    let run = |seed: u64| {
        let mut s = impaired("delay=5ms jitter=3ms loss=10% burst=2 reorder=5% duplicate=5%");
        s.set("corrupt=5% rate=50mbit limit=200");
        s.set(&format!("seed={seed}"));
        s.send(0..500, 300);
        let times = s.arrivals(0, 100 * MS);
        let mut msgs = Vec::new();
        s.send(500..1000, 300);
        s.turn(100 * MS);
        s.turn(200 * MS);
        msgs.extend(s.sent().iter().map(bytes));
        (times, msgs)
    };
    assert_eq!(run(41), run(41));
    assert_ne!(run(41), run(42));
}

#[test]
fn the_same_packets_are_lost_with_and_without_jitter() {
    let survivors = |params: &str| {
        let mut s = impaired(params);
        s.send(0..1000, 60);
        s.turn(0);
        s.turn(50 * MS);
        s.sent_numbers()
    };
    assert_eq!(survivors("loss=20%"), survivors("loss=20% delay=10ms jitter=5ms duplicate=0.1%"));
}

#[test]
fn a_super_frame_is_cut_where_packets_count_and_a_loss_is_one_packet() {
    let mut s = impaired("loss=30%");
    for _ in 0..100 {
        let msg = super_frame(&mut s);
        s.down(msg);
        s.turn(0);
    }
    let sent = s.sent();
    assert!(sent.iter().all(|msg| msg.len() == 1054 && !msg.offload().is_super()));
    let lost = s.count("down.lost");
    assert_eq!(lost + sent.len() as u64, 300);
    assert!((60..120).contains(&lost), "{lost} of 300 with seed 7");
    assert_eq!(s.count("down.cut_super_frames"), 100);
    drop(sent);
    s.assert_nothing_leaked();
}

#[test]
fn a_super_frame_stays_whole_with_cut_off_or_under_a_delay_alone() {
    for params in ["loss=0.0000001% cut=off", "delay=5ms"] {
        let mut s = impaired(params);
        let msg = super_frame(&mut s);
        s.down(msg);
        s.turn(0);
        s.turn(6 * MS);
        let sent = s.sent();
        assert_eq!((sent.len(), sent[0].len()), (1, 3054), "{params}");
        assert!(sent[0].offload().is_super());
    }
}

#[test]
fn a_super_frame_that_lies_is_dropped_with_a_reason() {
    let mut s = impaired("loss=1%");
    let mut msg = s.msg(&frame(&[0xff; 100]));
    msg.set_offload(Offload { gso: Gso::TcpV4, gso_size: 10, ..Offload::NONE });
    s.down(msg);
    s.turn(0);
    assert_eq!(s.drops("bad offload request"), 1);
}

#[test]
fn a_shorter_delay_lets_what_is_held_leave_so_much_earlier() {
    let mut s = impaired("delay=50ms");
    s.send(0..1, 60);
    s.turn(0);
    s.set("delay=20ms");
    s.turn(20 * MS - 1);
    assert_eq!(s.sent_numbers(), []);
    s.turn(20 * MS + TICK);
    assert_eq!(s.sent_numbers(), [0]);
    // To nothing: at once.
    s.set("delay=1s");
    s.send(1..3, 60);
    s.turn(21 * MS);
    s.set("delay=0");
    s.send(3..4, 60);
    s.turn(22 * MS);
    assert_eq!(s.sent_numbers(), [1, 2, 3]);
}

#[test]
fn a_longer_delay_is_for_what_comes_later() {
    let mut s = impaired("delay=10ms");
    s.send(0..1, 60);
    s.turn(0);
    s.set("delay=30ms");
    s.send(1..2, 60);
    s.turn(0);
    s.turn(10 * MS + TICK);
    assert_eq!(s.sent_numbers(), [0]);
    s.turn(30 * MS + TICK);
    assert_eq!(s.sent_numbers(), [1]);
}

#[test]
fn what_waits_for_the_rate_goes_at_the_new_one() {
    let mut s = impaired("rate=1mbit");
    // 1,250 bytes take 10 ms.
    s.send(0..10, 1250);
    s.turn(0);
    s.set("rate=10mbit");
    let all = s.arrivals(0, 100 * MS);
    assert_eq!(all.len(), 10);
    assert!((10 * MS..=10 * MS + 2 * TICK).contains(&all[9].0), "{:?}", all[9]);
    s.set("rate=1bit");
    s.send(10..20, 1250);
    s.turn(100 * MS);
    s.set("rate=off");
    s.turn(101 * MS);
    assert!(s.sent_numbers().into_iter().eq(10..20));
}

#[test]
fn changes_under_traffic_lose_nothing_and_keep_the_order() {
    let mut s = impaired("");
    let changes =
        ["delay=9ms", "rate=2mbit", "jitter=3ms", "delay=1ms", "rate=off", "delay=4ms", "jitter=0"];
    let mut all = Vec::new();
    for n in 0..2_000 {
        s.turn(u64::from(n) * MS / 4);
        s.set(changes[(n / 7) as usize % changes.len()]);
        s.send(n..n + 1, 100);
        all.extend(s.sent_numbers());
    }
    s.turn(2_000 * MS);
    s.turn(2_100 * MS);
    all.extend(s.sent_numbers());
    let wrong = all.iter().zip(0..).find(|(n, at)| **n != *at);
    assert_eq!((wrong, all.len()), (None, 2_000));
    s.assert_nothing_leaked();
}

#[test]
fn taking_it_out_lets_what_is_held_go_as_it_came() {
    let mut s = impaired("delay=50ms reorder=30% gap=2");
    s.send(0..100, 60);
    let msg = s.msg(&numbered(7, 60));
    s.up(msg);
    s.turn(0);
    assert_eq!((s.count("down.held"), s.count("up.held")), (100, 1));
    s.p.pop(s.stream).unwrap();
    s.turn(0);
    assert!(s.sent_numbers().into_iter().eq(0..100));
    assert_eq!(number(&s.received()[0]), 7);
    s.assert_nothing_leaked();
}

#[test]
fn taking_it_out_while_the_device_is_full_keeps_the_order() {
    let mut s = impaired("delay=1ms");
    s.wire.ends().room = Some(0);
    s.send(0..10, 60);
    s.turn(0);
    s.turn(2 * MS);
    s.send(10..20, 60);
    s.turn(2 * MS);
    s.p.pop(s.stream).unwrap();
    s.wire.ends().room = None;
    s.p.writable(s.driver);
    s.turn(2 * MS);
    assert!(s.sent_numbers().into_iter().eq(0..20));
}

#[test]
fn ordinary_messages_keep_their_place_and_are_never_lost() {
    let mut s = impaired("delay=5ms");
    s.send(0..2, 60);
    s.turn(0);
    s.set("loss=100% limit=1");
    let mut proto = s.msg(&numbered(2, 60));
    proto.set_kind(Kind::Proto);
    s.p.putmsg(s.stream, proto).unwrap();
    s.turn(0);
    assert_eq!(s.count("down.held"), 3);
    s.turn(6 * MS);
    // A driver takes data only: the request reached it, in its turn.
    assert_eq!(s.p.chain(s.stream).unwrap()[2].stat.dropped(), 1);
}

#[test]
fn high_priority_messages_pass_what_is_held() {
    let mut s = impaired("delay=5ms");
    let data = s.msg(&numbered(1, 60));
    let mut urgent = s.msg(b"urgent");
    urgent.set_kind(Kind::PcProto);
    s.up(data);
    s.up(urgent);
    s.turn(0);
    let got = s.received();
    assert_eq!((got.len(), got[0].kind()), (1, Kind::PcProto));
}

#[test]
fn a_full_stream_ahead_stops_writers_and_loses_nothing() {
    let mut s = impaired("delay=1ms");
    s.wire.ends().room = Some(0);
    let (mut accepted, mut now) = (0, 0);
    // 1 MiB and more in the driver, then as much in the queue here.
    loop {
        now += 2 * MS;
        s.turn(now);
        let msg = s.msg(&numbered(accepted, 1500));
        match s.p.putmsg(s.stream, msg) {
            Ok(()) => accepted += 1,
            Err((_, msg)) => break drop(msg),
        }
        assert!(accepted < 10_000, "never refused");
    }
    assert!(accepted > 1_000);
    s.wire.ends().room = None;
    s.p.writable(s.driver);
    s.turn(now + 10 * MS);
    assert!(s.sent_numbers().into_iter().eq(0..accepted));
    assert_eq!(s.module().stat.dropped(), 0);
}

#[test]
fn what_is_shown_can_be_set_on_another() {
    let mut s = impaired("delay=50ms up.jitter=5ms loss=1% burst=2.5 reorder=0.1% gap=3");
    s.set("reorder-delay=7ms duplicate=2% corrupt=0.01% rate=10mbit queue=64k limit=1m");
    s.set("partition=down direction=up cut=off seed=99 down.limit=50");
    let settings = |s: &Stack| -> Vec<String> {
        let fields = s.module().fields.0;
        let settings = fields.iter().filter_map(|(name, value)| match value {
            millstream_core::Value::Text(text) => Some(format!("{name}={text}")),
            _ => None,
        });
        settings.collect()
    };
    let shown = settings(&s);
    let mut other = Stack::with(Impair::new());
    other.set(&shown.join(" "));
    assert_eq!(settings(&other), shown);
    assert!(shown.contains(&"burst=2.5".into()) && shown.contains(&"down.limit=50".into()));
}

#[test]
fn errors_name_the_parameter_the_value_and_what_it_takes() {
    let mut s = impaired("loss=1%");
    let time = "a time of at most 1h, as 50ms (units ns, us, ms, s)";
    assert_eq!(s.set_error("delay=50"), format!("delay=50: {time}"));
    assert_eq!(s.set_error("up.delay=2h"), format!("up.delay=2h: {time}"));
    assert_eq!(s.set_error("loss=1"), "loss=1: a share from 0% to 100%, as 0.1%");
    assert!(s.set_error("rate=0").starts_with("rate=0: off or a rate"));
    assert!(s.set_error("partition=yes").ends_with("one of on, off, up, down"));
    assert_eq!(s.set_error("colour=red"), "no parameter colour");
    assert_eq!(s.set_error("left.delay=1ms"), "no parameter left.delay");
    s.set("loss=60% burst=2");
    assert!(s.set_error("loss=70%").contains("a mean burst of N packets"));
    assert_eq!(s.text("loss"), "60%");
}
