//! write(2), putmsg(2) and putpmsg(2) at a head: sizes, room, parts.

mod common;

use common::line::{Line, line, line_with};
use common::{Polite, cells};
use millstream_core::{
    CONTROL_MAX, Cx, DATA_MAX, Errno, Marks, ModInfo, Module, Priority, SetOptions, Side,
};
use millstream_msg::{Band, Kind, Msg, MsgList};

/// A module whose write queue takes messages of these sizes; it keeps what goes down.
struct Sized(&'static ModInfo);

const fn sized(minpsz: u32, maxpsz: u32) -> ModInfo {
    let write = Marks { minpsz, maxpsz, ..Marks::DEFAULT };
    ModInfo { write, ..ModInfo::new("sized", "for tests") }
}

const UP_TO_10: ModInfo = sized(0, 10);
const FROM_4_TO_10: ModInfo = sized(4, 10);
const NOTHING: ModInfo = sized(0, 0);

impl Module for Sized {
    fn info(&self) -> &'static ModInfo {
        self.0
    }
}

/// Full for good: nothing leaves the device, and one byte fills the queue above it.
fn full() -> Line {
    let mut line = line_with(Polite);
    line.probe.set_room(Some(0));
    while line.p.can_put(line.stream, Some(Band(0))).unwrap() {
        line.p.write(line.stream, &[0; 64]).unwrap();
        line.settle();
    }
    line
}

fn lengths(line: &mut Line) -> Vec<usize> {
    line.sent().iter().map(Vec::len).collect()
}

#[test]
fn e20_sizes_are_those_of_the_topmost_module_and_follow_push_and_pop() {
    let mut line = line_with(Sized(&UP_TO_10));
    line.p.write(line.stream, &[0; 25]).unwrap();
    assert_eq!(lengths(&mut line), [10, 10, 5]);
    line.p.push(line.stream, Box::new(common::Null)).unwrap();
    line.p.write(line.stream, &[0; 25]).unwrap();
    assert_eq!(lengths(&mut line), [25]);
    line.p.pop(line.stream).unwrap();
    line.p.write(line.stream, &[0; 25]).unwrap();
    assert_eq!(lengths(&mut line), [10, 10, 5]);
}

#[test]
fn e20_no_message_is_longer_than_the_head_makes() {
    const LONG: ModInfo = sized(0, u32::MAX);
    let mut line = line_with(Sized(&LONG));
    line.p.write(line.stream, &vec![0; DATA_MAX + 1]).unwrap();
    assert_eq!(lengths(&mut line), [DATA_MAX, 1]);
}

#[test]
fn e21_a_write_of_exactly_the_packet_size_makes_no_empty_rest() {
    let mut line = line_with(Sized(&UP_TO_10));
    assert_eq!(line.p.write(line.stream, b"0123456789abcdefghij"), Ok(20));
    assert_eq!(line.sent(), [b"0123456789", b"abcdefghij"]);
}

#[test]
fn e22_with_a_smallest_size_a_write_outside_the_sizes_is_refused() {
    let mut line = line_with(Sized(&FROM_4_TO_10));
    for (len, sent) in [(3, false), (4, true), (10, true), (11, false), (0, false)] {
        let expected = if sent { Ok(len) } else { Err(Errno::ERANGE) };
        assert_eq!(line.p.write(line.stream, &vec![0; len]), expected, "{len}");
        assert_eq!(line.sent().len(), usize::from(sent), "{len}");
    }
}

#[test]
fn e22_a_largest_size_of_0_takes_nothing() {
    let mut line = line_with(Sized(&NOTHING));
    assert_eq!(line.p.write(line.stream, b"abc"), Ok(0));
    assert!(line.sent().is_empty());
}

#[test]
fn e23_a_write_of_nothing_sends_an_empty_message_on_a_device() {
    let mut line = line();
    assert_eq!(line.p.sends_empty(line.stream), Ok(true));
    assert_eq!(line.p.write(line.stream, b""), Ok(0));
    assert_eq!(line.sent(), [b""]);
}

#[test]
fn e23_without_sndzero_a_write_of_nothing_sends_nothing() {
    let mut line = line();
    line.p.set_sends_empty(line.stream, false).unwrap();
    assert_eq!(line.p.write(line.stream, b""), Ok(0));
    assert!(line.sent().is_empty());
}

#[test]
fn e24_a_write_that_finds_no_room_says_so_and_one_that_finds_some_returns_its_part() {
    let mut line = full();
    assert_eq!(line.p.write(line.stream, b"x"), Err(Errno::EAGAIN));
    let mut line = line_with(Sized(&UP_TO_10));
    line.p.push(line.stream, Box::new(Polite)).unwrap();
    line.p.push(line.stream, Box::new(Sized(&UP_TO_10))).unwrap();
    line.probe.set_room(Some(0));
    assert_eq!(line.p.write(line.stream, &[0; 200]), Ok(40), "the high-water mark is 40");
}

/// Notes the headroom of each message of data.
struct Ruler(std::sync::Arc<std::sync::Mutex<Vec<usize>>>);

impl Module for Ruler {
    fn info(&self) -> &'static ModInfo {
        const INFO: ModInfo = ModInfo { headroom: 20, ..ModInfo::new("ruler", "for tests") };
        &INFO
    }

    fn wput(&mut self, cx: &mut Cx<'_>, msg: Msg) {
        let data = if msg.kind() == Kind::Data { msg } else { msg.unlink().1.unwrap() };
        self.0.lock().unwrap().push(data.headroom());
        cx.free(data);
    }
}

#[test]
fn e25_data_has_the_room_in_front_that_modules_declare_or_ask_for() {
    let seen = std::sync::Arc::default();
    let mut line = line_with(Ruler(std::sync::Arc::clone(&seen)));
    line.p.write(line.stream, b"declared").unwrap();
    let ask = SetOptions { write_offset: Some(300), ..SetOptions::default() };
    let ask = ask.to_msg(line.p.pool()).unwrap();
    line.arrives_msg(ask);
    line.p.write(line.stream, b"asked for").unwrap();
    let priority = Priority::Band(0);
    line.p.putpmsg(line.stream, Some(b"c"), Some(b"data part"), priority).unwrap();
    line.settle();
    let seen = seen.lock().unwrap();
    assert!(seen[0] >= 20 && seen[1] >= 300 && seen[2] >= 300, "{seen:?}");
}

#[test]
fn e28_writev_joins_its_pieces_whatever_their_bounds() {
    let mut line = line_with(Sized(&UP_TO_10));
    let pieces: [&[u8]; 5] = [b"", b"0123456", b"", b"789abcdefghijk", b""];
    assert_eq!(line.p.writev(line.stream, &pieces), Ok(21));
    assert_eq!(line.sent(), [b"0123456789".as_slice(), b"abcdefghij", b"k"]);
    assert_eq!(line.p.writev(line.stream, &[]), Ok(0));
    assert_eq!(line.sent(), [b""], "as a write of nothing");
}

/// Keeps everything that goes down.
struct Keeper(std::sync::Arc<std::sync::Mutex<MsgList>>);

impl Module for Keeper {
    fn info(&self) -> &'static ModInfo {
        const INFO: ModInfo = ModInfo::new("keeper", "for tests");
        &INFO
    }

    fn wput(&mut self, _: &mut Cx<'_>, msg: Msg) {
        self.0.lock().unwrap().push(msg);
    }
}

fn kept() -> (Line, std::sync::Arc<std::sync::Mutex<MsgList>>) {
    let kept = std::sync::Arc::default();
    (line_with(Keeper(std::sync::Arc::clone(&kept))), kept)
}

fn shape(msg: &Msg) -> Vec<(Kind, &[u8])> {
    msg.blocks().map(|block| (block.kind(), block.as_slice().unwrap())).collect()
}

#[test]
fn e30_a_control_part_makes_m_proto_with_the_data_behind_it() {
    let (mut line, kept) = kept();
    line.p.putpmsg(line.stream, Some(b"con"), Some(b"data"), Priority::Band(7)).unwrap();
    line.settle();
    let msg = kept.lock().unwrap().pop().unwrap();
    assert_eq!(shape(&msg), [(Kind::Proto, b"con".as_slice()), (Kind::Data, b"data")]);
    assert_eq!(msg.band(), Band(7));
}

#[test]
fn e30_hipri_makes_m_pcproto_and_data_alone_m_data() {
    let (mut line, kept) = kept();
    line.p.putpmsg(line.stream, Some(b"con"), None, Priority::High).unwrap();
    line.p.putpmsg(line.stream, None, Some(b"data"), Priority::Band(0)).unwrap();
    line.settle();
    let mut kept = kept.lock().unwrap();
    let (high, data) = (kept.pop().unwrap(), kept.pop().unwrap());
    assert_eq!(shape(&high), [(Kind::PcProto, b"con".as_slice())]);
    assert_eq!(high.band(), Band(0));
    assert_eq!(shape(&data), [(Kind::Data, b"data".as_slice())]);
}

#[test]
fn e30_a_part_of_length_0_is_there() {
    let (mut line, kept) = kept();
    line.p.putpmsg(line.stream, Some(b""), Some(b""), Priority::Band(0)).unwrap();
    line.settle();
    let msg = kept.lock().unwrap().pop().unwrap();
    assert_eq!(shape(&msg), [(Kind::Proto, b"".as_slice()), (Kind::Data, b"")]);
}

#[test]
fn e31_hipri_without_a_control_part_is_invalid() {
    let mut line = line();
    let put = line.p.putpmsg(line.stream, None, Some(b"data"), Priority::High);
    assert_eq!(put, Err(Errno::EINVAL));
    assert_eq!(line.p.putpmsg(line.stream, None, None, Priority::High), Err(Errno::EINVAL));
}

#[test]
fn e31_without_parts_nothing_is_sent() {
    let mut line = line();
    assert_eq!(line.p.putpmsg(line.stream, None, None, Priority::Band(0)), Ok(()));
    line.settle();
    assert_eq!(line.p.chain(line.stream).unwrap()[1].stat.msgs_in[Side::Write as usize], 0);
}

#[test]
fn e31_other_types_and_a_banded_high_priority_message_are_invalid() {
    let mut line = line();
    for kind in [Kind::Ioctl, Kind::Flush, Kind::PassFp, Kind::Ctl, Kind::IocAck] {
        let msg = line.msg(kind, b"forged");
        assert_eq!(line.p.putmsg(line.stream, msg).unwrap_err().0, Errno::EINVAL, "{kind:?}");
    }
    let mut msg = line.msg(Kind::PcProto, b"x");
    msg.set_band(Band(1));
    assert_eq!(line.p.putmsg(line.stream, msg).unwrap_err().0, Errno::EINVAL);
}

#[test]
fn a_word_between_modules_is_sent_by_the_owner_of_the_stack_only() {
    let (mut line, kept) = kept();
    let word = line.msg(Kind::Ctl, b"word");
    line.p.put_ctl(line.stream, word).map_err(|(errno, _)| errno).unwrap();
    line.settle();
    assert_eq!(shape(&kept.lock().unwrap().pop().unwrap()), [(Kind::Ctl, b"word".as_slice())]);
    let other = line.msg(Kind::Ioctl, b"word");
    assert_eq!(line.p.put_ctl(line.stream, other).unwrap_err().0, Errno::EINVAL);
}

#[test]
fn e32_a_data_part_outside_the_sizes_of_the_topmost_module_is_refused() {
    let mut line = line_with(Sized(&FROM_4_TO_10));
    for (len, sent) in [(3, false), (4, true), (10, true), (11, false)] {
        let put = line.p.putpmsg(line.stream, None, Some(&vec![0; len]), Priority::Band(0));
        assert_eq!(put, if sent { Ok(()) } else { Err(Errno::ERANGE) }, "{len}");
        assert_eq!(line.sent().len(), usize::from(sent), "never in pieces");
    }
}

#[test]
fn e32_an_owned_message_outside_the_sizes_comes_back() {
    let mut line = line_with(Sized(&UP_TO_10));
    let mut msg = line.msg(Kind::Proto, b"the control part does not count");
    let data = line.msg(Kind::Data, b"elevenbytes");
    msg.link(data);
    let (errno, msg) = line.p.putmsg(line.stream, msg).unwrap_err();
    assert_eq!((errno, msg.len()), (Errno::ERANGE, 42));
    line.p.pool().free(msg);
    assert_eq!(cells(&mut line.p), 0);
}

#[test]
fn e32_a_control_part_has_a_largest_size() {
    let mut line = line();
    let priority = Priority::High;
    let (fits, long) = (vec![0; CONTROL_MAX], vec![0; CONTROL_MAX + 1]);
    assert_eq!(line.p.putpmsg(line.stream, Some(&fits), None, priority), Ok(()));
    assert_eq!(line.p.putpmsg(line.stream, Some(&long), None, priority), Err(Errno::ERANGE));
    let msg = line.msg(Kind::Proto, &long);
    assert_eq!(line.p.putmsg(line.stream, msg).unwrap_err().0, Errno::ERANGE);
}

#[test]
fn e33_a_message_is_refused_by_its_band_only() {
    let mut line = full();
    let band = |band| Priority::Band(band);
    assert_eq!(line.p.putpmsg(line.stream, None, Some(b"x"), band(0)), Err(Errno::EAGAIN));
    assert_eq!(line.p.putpmsg(line.stream, None, Some(b"x"), band(3)), Ok(()));
}

#[test]
fn e33_high_priority_is_sent_although_the_stream_is_full() {
    let mut line = full();
    assert_eq!(line.p.putpmsg(line.stream, Some(b"x"), None, Priority::High), Ok(()));
    let msg = line.msg(Kind::PcProto, b"x");
    assert!(line.p.putmsg(line.stream, msg).is_ok());
}

#[test]
fn e34_r_without_memory_putmsg_fails_with_enosr_and_sends_nothing() {
    let mut line = line();
    let mut hoard = Vec::new();
    while let Ok(msg) = line.p.pool().alloc(0, 1) {
        hoard.push(msg);
    }
    let put = |line: &mut Line| {
        let (control, data) = (Some(b"con".as_slice()), Some(b"data".as_slice()));
        line.p.putpmsg(line.stream, control, data, Priority::Band(0))
    };
    assert_eq!(put(&mut line), Err(Errno::ENOSR));
    assert_eq!(line.p.write(line.stream, b"x"), Err(Errno::ENOSR));
    // With one cell, the part made first is not lost.
    hoard.pop();
    let before = cells(&mut line.p);
    assert_eq!(put(&mut line), Err(Errno::ENOSR));
    assert_eq!(cells(&mut line.p), before);
    assert!(line.sent().is_empty());
}
