//! The stream head: reading, writing, errors, flush.

mod common;

use common::{Polite, perimeter, settle};
use millstream_core::{Errno, Event, HeadEvent, Mode, NodeId, Perimeter, StreamId};
use millstream_msg::{Band, Kind, Msg};
use millstream_rig::{Probe, Rig};

struct Line {
    p: Perimeter,
    stream: StreamId,
    driver: NodeId,
    probe: Probe,
}

fn line() -> Line {
    let mut p = perimeter();
    let probe = Probe::new();
    let (stream, driver) = p.open_device("probe", Box::new(probe.clone()));
    Line { p, stream, driver, probe }
}

impl Line {
    fn arrives(&mut self, kind: Kind, bytes: &[u8]) {
        let mut msg = self.p.pool().copy_from(0, bytes).unwrap();
        msg.set_kind(kind);
        self.arrives_msg(msg);
    }

    fn arrives_msg(&mut self, msg: Msg) {
        self.probe.arrive(msg);
        self.p.poll(self.driver, 1);
        settle(&mut self.p, 0);
    }

    fn read(&mut self, len: usize) -> Result<Vec<u8>, Errno> {
        let mut out = vec![0; len];
        let n = self.p.read(self.stream, &mut out)?;
        out.truncate(n);
        Ok(out)
    }

    fn events(&mut self) -> Vec<HeadEvent> {
        let of_head = |event| match event {
            Event::Head(_, event) => Some(event),
            _ => None,
        };
        std::iter::from_fn(|| self.p.event()).filter_map(of_head).collect()
    }
}

#[test]
fn a_byte_stream_ignores_boundaries_and_keeps_the_rest_e10() {
    let mut line = line();
    line.arrives(Kind::Data, b"abc");
    line.arrives(Kind::Data, b"def");
    assert_eq!(line.read(4).unwrap(), b"abcd");
    assert_eq!(line.read(9).unwrap(), b"ef");
    assert_eq!(line.read(9), Err(Errno::EAGAIN));
}

#[test]
fn message_mode_stops_at_the_end_and_keeps_or_drops_the_rest_e10() {
    for (mode, second) in [(Mode::MessageKeep, b"cd".as_slice()), (Mode::MessageDiscard, b"ef")] {
        let mut line = line();
        line.p.set_mode(line.stream, mode).unwrap();
        line.arrives(Kind::Data, b"abcd");
        line.arrives(Kind::Data, b"ef");
        assert_eq!(line.read(2).unwrap(), b"ab");
        assert_eq!(line.read(9).unwrap(), second);
    }
}

#[test]
fn a_zero_length_message_ends_a_read_and_is_read_as_zero_e11() {
    let mut line = line();
    line.arrives(Kind::Data, b"ab");
    line.arrives(Kind::Data, b"");
    line.arrives(Kind::Data, b"cd");
    assert_eq!(line.read(9).unwrap(), b"ab");
    assert_eq!(line.read(9).unwrap(), b"");
    assert_eq!(line.read(9).unwrap(), b"cd");
}

#[test]
fn a_control_part_at_the_front_fails_a_read_after_a_short_count_e12() {
    let mut line = line();
    line.arrives(Kind::Data, b"ab");
    line.arrives(Kind::Proto, b"control");
    assert_eq!(line.read(9).unwrap(), b"ab");
    assert_eq!(line.read(9), Err(Errno::EBADMSG));
    let got = line.p.getmsg(line.stream).unwrap().unwrap();
    assert_eq!(got.control.unwrap().first(), b"control");
    assert!(got.data.is_none() && !got.high);
}

#[test]
fn a_passed_descriptor_fails_read_and_getmsg_e13() {
    let mut line = line();
    line.arrives(Kind::PassFp, b"");
    assert_eq!(line.read(9), Err(Errno::EBADMSG));
    assert_eq!(line.p.getmsg(line.stream).unwrap_err(), Errno::EBADMSG);
}

#[test]
fn reading_nothing_returns_at_once_e15() {
    assert_eq!(line().read(0).unwrap(), b"");
}

#[test]
fn getmsg_takes_control_and_data_parts_with_their_band_e40() {
    let mut line = line();
    let mut control = line.p.pool().copy_from(0, b"c").unwrap();
    control.set_kind(Kind::Proto);
    control.link(line.p.pool().copy_from(0, b"data").unwrap());
    control.set_band(Band(4));
    line.arrives_msg(control);
    let got = line.p.getmsg(line.stream).unwrap().unwrap();
    assert_eq!(got.control.unwrap().first(), b"c");
    assert_eq!(got.data.unwrap().first(), b"data");
    assert_eq!(got.band, Band(4));
}

#[test]
fn one_high_priority_message_waits_at_a_head_and_goes_first() {
    let mut line = line();
    line.arrives(Kind::Data, b"data");
    line.events();
    line.arrives(Kind::PcProto, b"1");
    assert_eq!(line.events(), [HeadEvent::Readable], "it is first now");
    line.arrives(Kind::PcProto, b"2");
    assert!(line.p.ready(line.stream).unwrap().high);
    let got = line.p.getmsg(line.stream).unwrap().unwrap();
    assert!(got.high);
    assert_eq!(got.control.unwrap().first(), b"1");
    assert_eq!(line.read(9).unwrap(), b"data", "the second one was dropped");
    line.arrives(Kind::PcProto, b"3");
    assert_eq!(line.p.getmsg(line.stream).unwrap().unwrap().control.unwrap().first(), b"3");
}

#[test]
fn ready_names_the_class_of_the_first_message_e50() {
    let mut line = line();
    assert!(!line.p.ready(line.stream).unwrap().readable);
    line.arrives(Kind::Data, b"");
    assert!(line.p.ready(line.stream).unwrap().readable, "zero-length messages count");
    let mut msg = line.p.pool().copy_from(0, b"b").unwrap();
    msg.set_band(Band(1));
    line.arrives_msg(msg);
    let ready = line.p.ready(line.stream).unwrap();
    assert!(ready.band && !ready.readable);
}

#[test]
fn m_error_sets_clears_or_leaves_each_side_e1_e3() {
    let mut line = line();
    let eio = Errno::EIO.0 as u8;
    line.arrives(Kind::Error, &[eio]);
    assert_eq!(line.read(9), Err(Errno::EIO));
    assert_eq!(line.p.write(line.stream, b"x"), Err(Errno::EIO));
    line.arrives(Kind::Error, &[0, 0xff]);
    assert_eq!(line.read(9), Err(Errno::EAGAIN));
    assert_eq!(line.p.write(line.stream, b"x"), Err(Errno::EIO));
    line.arrives(Kind::Error, &[0xff, 0]);
    assert_eq!(line.p.write(line.stream, b"x"), Ok(1));
    assert!(line.p.ready(line.stream).unwrap().writable);
}

#[test]
fn the_first_error_flushes_its_side_below_and_repeats_do_not_e2() {
    let mut line = line();
    line.p.push(line.stream, Box::new(Polite)).unwrap();
    line.probe.set_room(Some(0));
    for _ in 0..20 {
        let _ = line.p.write(line.stream, b"ten bytes.");
        settle(&mut line.p, 0);
    }
    let flushed = |line: &Line| -> u64 {
        let chain = line.p.chain(line.stream).unwrap();
        chain.iter().flat_map(|node| &node.stat.drops).map(|(_, count)| count).sum()
    };
    line.arrives(Kind::Error, &[5]);
    let first = flushed(&line);
    assert!(first > 0);
    line.arrives(Kind::Error, &[5]);
    assert_eq!(flushed(&line), first);
}

#[test]
fn after_a_hangup_queued_data_is_read_then_zero_and_writes_fail_e5() {
    let mut line = line();
    line.arrives(Kind::Data, b"last");
    line.arrives(Kind::Hangup, b"");
    assert_eq!(line.events(), [HeadEvent::Readable, HeadEvent::Hangup]);
    let ready = line.p.ready(line.stream).unwrap();
    assert!(ready.hangup && !ready.writable && ready.readable);
    assert_eq!(line.p.write(line.stream, b"x"), Err(Errno::ENXIO));
    assert_eq!(line.read(9).unwrap(), b"last");
    assert_eq!(line.read(9).unwrap(), b"");
    assert!(line.p.getmsg(line.stream).unwrap().is_none());
    line.arrives(Kind::Unhangup, b"");
    assert_eq!(line.p.write(line.stream, b"x"), Ok(1));
}

#[test]
fn a_device_that_fails_hangs_its_stream_up_and_is_named() {
    let mut line = line();
    line.probe.fail(Errno::ENODEV);
    line.p.poll(line.driver, 1);
    settle(&mut line.p, 0);
    assert_eq!(line.p.event(), Some(Event::DeviceGone(line.driver, Errno::ENODEV)));
    assert_eq!(line.events(), [HeadEvent::Hangup]);
    assert_eq!(line.p.write(line.stream, b"x"), Err(Errno::ENXIO));
}

#[test]
fn a_write_is_cut_at_the_packet_size_without_an_empty_rest_e21() {
    let mut line = line();
    let max = 1 << 16;
    let bytes = vec![7; max * 2];
    assert_eq!(line.p.write(line.stream, &bytes), Ok(max * 2));
    settle(&mut line.p, 0);
    let sent: Vec<usize> = line.probe.sent().map(|msg| msg.len()).collect();
    assert_eq!(sent, [max, max]);
    assert_eq!(line.p.write(line.stream, b""), Ok(0));
    settle(&mut line.p, 0);
    let sent: Vec<usize> = line.probe.sent().map(|msg| msg.len()).collect();
    assert_eq!(sent, [0], "a write of nothing sends an empty message (E23)");
}

#[test]
fn high_priority_is_sent_although_the_stream_is_full_e33() {
    let mut line = line();
    line.probe.set_room(Some(0));
    line.p.push(line.stream, Box::new(Polite)).unwrap();
    for _ in 0..40 {
        let _ = line.p.write(line.stream, &[0; 200]);
    }
    let msg = line.p.pool().copy_from(0, b"x").unwrap();
    assert_eq!(line.p.putmsg(line.stream, msg).unwrap_err().0, Errno::EAGAIN);
    let mut msg = line.p.pool().copy_from(0, b"x").unwrap();
    msg.set_kind(Kind::PcProto);
    assert!(line.p.putmsg(line.stream, msg).is_ok());
}

#[test]
fn a_module_flushes_its_own_queues_and_passes_the_flush_on_e61() {
    use millstream_core::Side;
    let mut rig = Rig::new(Box::new(Polite));
    rig.full(Side::Read);
    rig.full_band(Side::Read, 2);
    rig.up(b"normal");
    let mut msg = rig.msg(b"banded");
    msg.set_band(Band(2));
    rig.put(Side::Read, msg);
    let mut flush = rig.msg(&[1 | 4, 2]);
    flush.set_kind(Kind::Flush);
    rig.put(Side::Write, flush);
    assert_eq!(rig.balance().queued, 1, "only band 2 went");
    assert_eq!(rig.below()[0].kind(), Kind::Flush);
    let mut flush = rig.msg(&[1]);
    flush.set_kind(Kind::Flush);
    rig.put(Side::Write, flush);
    assert_eq!(rig.balance().queued, 0);
    assert_eq!(rig.drops(millstream_core::Drop::FLUSHED), 2);
}

#[test]
fn a_flush_makes_exactly_one_round_e62_e63() {
    let mut line = line();
    line.p.push(line.stream, Box::new(Polite)).unwrap();
    line.arrives(Kind::Data, b"flushed at the head");
    // From the driver with both bits: the head flushes, turns the write half, the driver ends it.
    line.arrives(Kind::Flush, &[3]);
    assert_eq!(line.read(9), Err(Errno::EAGAIN));
    settle(&mut line.p, 0);
    let chain = line.p.chain(line.stream).unwrap();
    let polite = &chain[1].stat;
    assert_eq!(polite.msgs_in, [2, 1], "data and flush up, one flush down");
    assert_eq!(chain[2].stat.msgs_in[1], 1);
    assert!(line.probe.sent().is_empty());
}

#[test]
fn a_stray_ioctl_is_refused_at_both_ends_b1_b2() {
    let mut line = line();
    let mut msg = line.p.pool().copy_from(0, b"?").unwrap();
    msg.set_kind(Kind::Ioctl);
    line.p.putmsg(line.stream, msg).unwrap();
    settle(&mut line.p, 0);
    // The driver's refusal came up to the head, which expects none.
    let chain = line.p.chain(line.stream).unwrap();
    assert_eq!(chain[0].stat.dropped(), 1);
    assert!(line.probe.sent().is_empty());
}
