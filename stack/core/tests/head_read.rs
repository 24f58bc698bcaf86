//! read(2) at a head: boundaries, control parts, nothing to read.

mod common;

use common::cells;
use common::line::{Line, line};
use millstream_core::{ControlMode, Errno, Mode, ReadOptions};
use millstream_msg::{Kind, MsgFlags};

fn reading(mode: Mode, control: ControlMode) -> Line {
    let mut line = line();
    let options = ReadOptions { mode, control, ..ReadOptions::default() };
    line.p.set_read_options(line.stream, options).unwrap();
    line
}

#[test]
fn e10_a_byte_stream_ignores_boundaries_and_keeps_the_rest() {
    let mut line = line();
    line.arrives(Kind::Data, b"abc");
    line.arrives(Kind::Data, b"def");
    assert_eq!(line.read(4).unwrap(), b"abcd");
    assert_eq!(line.read(9).unwrap(), b"ef");
    assert_eq!(line.read(9), Err(Errno::EAGAIN));
}

#[test]
fn e10_message_keep_stops_at_the_end_of_a_message_and_keeps_the_rest() {
    let mut line = reading(Mode::MessageKeep, ControlMode::Refuse);
    line.arrives(Kind::Data, b"abcd");
    line.arrives(Kind::Data, b"ef");
    assert_eq!(line.read(2).unwrap(), b"ab");
    assert_eq!(line.read(9).unwrap(), b"cd");
    assert_eq!(line.read(9).unwrap(), b"ef");
}

#[test]
fn e10_message_discard_stops_at_the_end_of_a_message_and_drops_the_rest() {
    let mut line = reading(Mode::MessageDiscard, ControlMode::Refuse);
    line.arrives(Kind::Data, b"abcd");
    line.arrives(Kind::Data, b"ef");
    assert_eq!(line.read(2).unwrap(), b"ab");
    assert_eq!(line.read(9).unwrap(), b"ef");
    assert_eq!(cells(&mut line.p), 0);
}

#[test]
fn e10_the_rest_of_a_message_of_many_blocks_is_read_whole() {
    let mut line = line();
    let mut msg = line.msg(Kind::Data, b"abc");
    for piece in [b"def".as_slice(), b"", b"ghi"] {
        let block = line.msg(Kind::Data, piece);
        msg.link(block);
    }
    line.arrives_msg(msg);
    assert_eq!(line.read(4).unwrap(), b"abcd");
    assert_eq!(line.read(2).unwrap(), b"ef");
    assert_eq!(line.read(9).unwrap(), b"ghi");
    assert_eq!(cells(&mut line.p), 0);
}

#[test]
fn e11_a_zero_length_message_ends_a_read_and_is_read_as_zero() {
    let mut line = line();
    line.arrives(Kind::Data, b"ab");
    line.arrives(Kind::Data, b"");
    line.arrives(Kind::Data, b"cd");
    assert_eq!(line.read(9).unwrap(), b"ab");
    assert_eq!(line.read(9).unwrap(), b"");
    assert_eq!(line.read(9).unwrap(), b"cd");
}

#[test]
fn e11_a_zero_length_message_is_read_as_zero_in_every_mode() {
    for mode in [Mode::Bytes, Mode::MessageKeep, Mode::MessageDiscard] {
        let mut line = reading(mode, ControlMode::Refuse);
        line.arrives(Kind::Data, b"");
        assert_eq!(line.read(9).unwrap(), b"", "{mode:?}");
        assert_eq!(line.read(9), Err(Errno::EAGAIN), "{mode:?}");
    }
}

#[test]
fn e12_a_control_part_at_the_front_fails_a_read_after_a_short_count() {
    let mut line = line();
    line.arrives(Kind::Data, b"ab");
    line.arrives(Kind::Proto, b"control");
    assert_eq!(line.read(9).unwrap(), b"ab");
    assert_eq!(line.read(9), Err(Errno::EBADMSG));
    let got = line.p.getmsg(line.stream).unwrap().unwrap();
    assert_eq!(got.control.unwrap().first(), b"control", "the message stays");
    assert!(got.data.is_none() && !got.high);
}

#[test]
fn e12_rprotdat_reads_control_bytes_ahead_of_data() {
    let mut line = reading(Mode::Bytes, ControlMode::AsData);
    line.arrives_parts(Kind::Proto, 0, b"con", b"data");
    line.arrives(Kind::Data, b"more");
    assert_eq!(line.read(2).unwrap(), b"co");
    assert_eq!(line.read(3).unwrap(), b"nda");
    assert_eq!(line.read(99).unwrap(), b"tamore");
}

#[test]
fn e12_rprotdat_reads_high_priority_control_and_opens_its_slot() {
    let mut line = reading(Mode::MessageKeep, ControlMode::AsData);
    line.arrives(Kind::Data, b"later");
    line.arrives(Kind::PcProto, b"urgent");
    assert_eq!(line.read(2).unwrap(), b"ur");
    line.arrives(Kind::PcProto, b"next");
    assert_eq!(line.read(9).unwrap(), b"next");
    assert_eq!(line.read(9).unwrap(), b"gent", "the rest is ordinary data");
    assert_eq!(line.read(9).unwrap(), b"later");
}

#[test]
fn e12_rprotdis_drops_control_parts_and_reads_the_data_behind_them() {
    let mut line = reading(Mode::Bytes, ControlMode::Discard);
    line.arrives_parts(Kind::Proto, 0, b"con", b"data");
    line.arrives(Kind::Proto, b"nothing else");
    line.arrives(Kind::Data, b"more");
    assert_eq!(line.read(99).unwrap(), b"datamore");
    assert_eq!(line.dropped("control part, and only data is read"), 1);
    assert_eq!(cells(&mut line.p), 0);
}

#[test]
fn e12_rprotdis_waits_when_only_control_parts_were_there() {
    let mut line = reading(Mode::Bytes, ControlMode::Discard);
    line.arrives(Kind::Proto, b"nothing else");
    assert_eq!(line.read(9), Err(Errno::EAGAIN));
}

#[test]
fn e12_options_of_two_modes_or_unknown_bits_are_refused() {
    const RMSGD: u32 = 1;
    const RMSGN: u32 = 2;
    const RPROTDAT: u32 = 4;
    const RPROTDIS: u32 = 8;
    let now = ReadOptions::default();
    for bad in [RMSGD | RMSGN, RPROTDAT | RPROTDIS, 64, u32::MAX] {
        assert_eq!(now.changed(bad), Err(Errno::EINVAL), "{bad:#x}");
    }
}

#[test]
fn e12_options_come_back_as_they_were_set() {
    for mode in 0..3 {
        for control in [4, 8, 16] {
            for keep in [0, 32] {
                let number = mode | control | keep;
                let options = ReadOptions::default().changed(number).unwrap();
                assert_eq!(options.number(), number);
                let mut line = line();
                line.p.set_read_options(line.stream, options).unwrap();
                assert_eq!(line.p.read_options(line.stream), Ok(options));
            }
        }
    }
}

#[test]
fn e12_options_without_a_word_on_control_parts_leave_them_as_they_are() {
    let discard = ReadOptions::default().changed(8).unwrap();
    assert_eq!(discard.changed(2).unwrap().control, ControlMode::Discard);
}

#[test]
fn r_control_parts_are_refused_by_default() {
    let mut line = line();
    assert_eq!(line.p.read_options(line.stream).unwrap().number(), 16);
}

#[test]
fn e13_a_passed_descriptor_fails_a_read_in_every_mode_and_stays() {
    for control in [ControlMode::Refuse, ControlMode::AsData, ControlMode::Discard] {
        let mut line = reading(Mode::Bytes, control);
        line.arrives(Kind::PassFp, b"");
        assert_eq!(line.read(9), Err(Errno::EBADMSG));
        assert_eq!(line.p.waiting(line.stream).unwrap().messages, 1);
    }
}

#[test]
fn e14_a_read_that_finds_less_than_it_wants_returns_that() {
    let mut line = line();
    assert_eq!(line.read(9), Err(Errno::EAGAIN));
    line.arrives(Kind::Data, b"abc");
    assert_eq!(line.read(9).unwrap(), b"abc");
}

#[test]
fn e15_reading_nothing_returns_at_once() {
    let mut line = line();
    assert_eq!(line.read(0).unwrap(), b"");
    line.arrives(Kind::Error, &[5]);
    assert_eq!(line.read(0).unwrap(), b"");
}

#[test]
fn e17_a_read_does_not_cross_a_mark() {
    let mut line = line();
    line.arrives(Kind::Data, b"ab");
    let mut marked = line.msg(Kind::Data, b"cd");
    marked.set_flags(MsgFlags::MARK);
    line.arrives_msg(marked);
    line.arrives(Kind::Data, b"ef");
    assert_eq!(line.read(3).unwrap(), b"abc");
    assert_eq!(line.read(9).unwrap(), b"d", "the mark is on the last byte");
    assert_eq!(line.read(9).unwrap(), b"ef");
}

#[test]
fn e27_a_read_stops_at_the_end_of_a_record() {
    let mut line = line();
    let mut ends = line.msg(Kind::Data, b"record");
    ends.set_flags(MsgFlags::DELIM);
    line.arrives_msg(ends);
    line.arrives(Kind::Data, b"next");
    assert_eq!(line.read(99).unwrap(), b"record");
}

#[test]
fn e18_each_of_two_readers_gets_whole_results() {
    let mut line = reading(Mode::MessageDiscard, ControlMode::Refuse);
    line.arrives(Kind::Data, b"first");
    line.arrives(Kind::Data, b"second");
    let (mut one, mut other) = ([0; 9], [0; 9]);
    let n = line.p.read(line.stream, &mut one).unwrap();
    let m = line.p.read(line.stream, &mut other).unwrap();
    assert_eq!((&one[..n], &other[..m]), (b"first".as_slice(), b"second".as_slice()));
}
