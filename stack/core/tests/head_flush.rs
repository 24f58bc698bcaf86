//! Flush: what a head asks for, what modules do, one round and no more.

mod common;

use common::line::{Line, line, line_with};
use common::{Polite, cells};
use millstream_core::tpi::flush;
use millstream_core::{Drop, Errno, HeadEvent, Priority, ReadOptions, Side};
use millstream_msg::{Band, Kind};
use millstream_rig::Rig;

/// Messages that the module of a line has seen, upward and downward.
fn seen(line: &Line) -> [u64; 2] {
    line.p.chain(line.stream).unwrap()[1].stat.msgs_in
}

#[test]
fn e60_r_a_flush_of_nothing_or_of_unknown_bits_is_invalid() {
    let mut line = line_with(Polite);
    for bits in [0, 4, 8, 1 | 8, 0xff] {
        assert_eq!(line.p.flush(line.stream, bits), Err(Errno::EINVAL), "{bits:#x}");
        assert_eq!(line.p.flush_band(line.stream, bits, Band(1)), Err(Errno::EINVAL));
    }
    line.settle();
    assert_eq!(seen(&line), [0, 0]);
}

#[test]
fn e60_flushr_empties_the_read_queues_and_the_head() {
    let mut line = line();
    line.arrives(Kind::Data, b"at the head");
    line.p.flush(line.stream, flush::READ).unwrap();
    line.settle();
    assert_eq!(line.read(9), Err(Errno::EAGAIN));
    assert_eq!(cells(&mut line.p), 0);
}

#[test]
fn e60_flushw_empties_the_write_queues_and_leaves_the_head() {
    let mut line = line_with(Polite);
    line.arrives(Kind::Data, b"at the head");
    line.probe.set_room(Some(0));
    line.p.write(line.stream, b"in the driver").unwrap();
    line.settle();
    line.p.flush(line.stream, flush::WRITE).unwrap();
    line.settle();
    assert_eq!(line.dropped("flushed"), 1);
    assert_eq!(line.read(99).unwrap(), b"at the head");
}

#[test]
fn e60_without_memory_a_flush_fails_with_enosr() {
    let mut line = line();
    let mut hoard = Vec::new();
    while let Ok(msg) = line.p.pool().alloc_reserve(0, 2) {
        hoard.push(msg);
    }
    assert_eq!(line.p.flush(line.stream, flush::READ), Err(Errno::ENOSR));
}

#[test]
fn e60_flushband_takes_one_band_on_both_sides() {
    let mut line = line();
    line.arrives(Kind::Data, b"normal");
    line.arrives_in_band(3, b"three");
    line.probe.set_room(Some(0));
    for band in [0, 3] {
        line.p.putpmsg(line.stream, None, Some(b"x"), Priority::Band(band)).unwrap();
        line.settle();
    }
    line.p.flush_band(line.stream, flush::READ | flush::WRITE, Band(3)).unwrap();
    line.settle();
    assert_eq!(line.dropped("flushed"), 2);
    assert_eq!(line.read(99).unwrap(), b"normal");
    line.probe.set_room(None);
    line.p.writable(line.driver);
    assert_eq!(line.sent(), [b"x"]);
}

#[test]
fn e60_flushband_of_band_0_takes_normal_and_high_priority_messages() {
    let mut line = line();
    line.arrives_in_band(3, b"three");
    line.arrives(Kind::Data, b"normal");
    line.arrives(Kind::PcProto, b"high");
    line.p.flush_band(line.stream, flush::READ, Band(0)).unwrap();
    line.settle();
    assert_eq!(line.read(99).unwrap(), b"three");
    line.arrives(Kind::PcProto, b"its slot is free");
    assert!(line.p.getmsg(line.stream).unwrap().unwrap().high);
}

#[test]
fn e61_a_module_flushes_its_own_queues_and_passes_the_flush_on() {
    let mut rig = Rig::new(Box::new(Polite));
    rig.full(Side::Read);
    rig.full_band(Side::Read, 2);
    rig.up(b"normal");
    let mut msg = rig.msg(b"banded");
    msg.set_band(Band(2));
    rig.put(Side::Read, msg);
    let mut flush = rig.msg(&[flush::READ | flush::BAND, 2]);
    flush.set_kind(Kind::Flush);
    rig.put(Side::Write, flush);
    assert_eq!(rig.balance().queued, 1, "only band 2 went");
    assert_eq!(rig.below()[0].kind(), Kind::Flush);
    let mut flush = rig.msg(&[flush::READ]);
    flush.set_kind(Kind::Flush);
    rig.put(Side::Write, flush);
    assert_eq!(rig.balance().queued, 0);
    assert_eq!(rig.drops(Drop::FLUSHED), 2);
}

#[test]
fn e62_the_driver_ends_a_flush_of_the_write_side_and_turns_one_of_the_read_side() {
    let mut line = line_with(Polite);
    line.p.flush(line.stream, flush::WRITE).unwrap();
    line.settle();
    assert_eq!(seen(&line), [0, 1]);
    line.p.flush(line.stream, flush::READ | flush::WRITE).unwrap();
    line.settle();
    assert_eq!(seen(&line), [1, 2]);
}

#[test]
fn e63_a_flush_from_the_driver_makes_exactly_one_round() {
    let mut line = line_with(Polite);
    line.arrives(Kind::Data, b"flushed at the head");
    line.arrives(Kind::Flush, &[flush::READ | flush::WRITE]);
    assert_eq!(line.read(9), Err(Errno::EAGAIN));
    assert_eq!(seen(&line), [2, 1], "data and flush up, one flush down");
    assert_eq!(line.p.chain(line.stream).unwrap()[2].stat.msgs_in[1], 1);
    assert_eq!(cells(&mut line.p), 0);
    assert!(line.sent().is_empty());
}

#[test]
fn e63_a_flush_storm_ends() {
    let mut line = line_with(Polite);
    for _ in 0..1000 {
        line.p.flush(line.stream, flush::READ | flush::WRITE).unwrap();
        let flush = line.msg(Kind::Flush, &[flush::READ | flush::WRITE]);
        line.probe.arrive(flush);
    }
    line.p.poll(line.driver, 2000);
    line.settle();
    assert_eq!(seen(&line), [2000, 2000]);
    assert_eq!(cells(&mut line.p), 0);
}

#[test]
fn e63_a_flush_without_bytes_ends_at_the_head_and_at_the_driver() {
    let mut line = line_with(Polite);
    line.arrives(Kind::Flush, b"");
    line.arrives(Kind::Flush, &[flush::BAND | flush::READ]);
    assert_eq!(cells(&mut line.p), 0);
}

#[test]
fn e64_rflushpcprot_keeps_a_high_priority_message_and_its_slot() {
    let mut line = line();
    let options = ReadOptions { keeps_high: true, ..ReadOptions::default() };
    line.p.set_read_options(line.stream, options).unwrap();
    line.arrives(Kind::Data, b"goes");
    line.arrives(Kind::PcProto, b"stays");
    line.p.flush(line.stream, flush::READ).unwrap();
    line.settle();
    line.arrives(Kind::PcProto, b"dropped");
    let got = line.p.getmsg(line.stream).unwrap().unwrap();
    assert_eq!(got.control.unwrap().first(), b"stays");
    assert_eq!(line.read(9), Err(Errno::EAGAIN));
    assert_eq!(line.dropped("receiver full"), 1);
}

#[test]
fn e64_a_flush_wakes_blocked_writers() {
    let mut line = line_with(Polite);
    line.probe.set_room(Some(0));
    while line.p.can_put(line.stream, Some(Band(0))).unwrap() {
        line.p.write(line.stream, &[0; 64]).unwrap();
        line.settle();
    }
    line.events();
    line.p.flush(line.stream, flush::WRITE).unwrap();
    line.settle();
    assert_eq!(line.events(), [HeadEvent::Writable]);
    assert_eq!(line.p.write(line.stream, b"x"), Ok(1));
}
