//! getmsg(2), getpmsg(2) and I_PEEK at a head: parts, bands, what is left.

mod common;

use common::cells;
use common::line::{Line, bytes, line};
use millstream_core::{Errno, HeadEvent, Partial, Want};
use millstream_msg::{Band, Kind};

/// Takes into buffers of these sizes; -1: the part is not wanted.
fn take(line: &mut Line, want: Want, control: isize, data: isize) -> Taken {
    let buffer = |len: isize| usize::try_from(len).ok().map(|len| vec![0; len]);
    let (mut control, mut data) = (buffer(control), buffer(data));
    let stream = line.stream;
    let got = line.p.getpmsg_into(stream, want, control.as_deref_mut(), data.as_deref_mut());
    Taken::new(got, control, data)
}

fn peek(line: &mut Line, want: Want, control: isize, data: isize) -> Taken {
    let buffer = |len: isize| usize::try_from(len).ok().map(|len| vec![0; len]);
    let (mut control, mut data) = (buffer(control), buffer(data));
    let got = line.p.peek(line.stream, want, control.as_deref_mut(), data.as_deref_mut());
    Taken::new(got, control, data)
}

struct Taken {
    partial: Result<Option<Partial>, Errno>,
    control: Option<Vec<u8>>,
    data: Option<Vec<u8>>,
}

impl Taken {
    fn new(
        partial: Result<Option<Partial>, Errno>,
        control: Option<Vec<u8>>,
        data: Option<Vec<u8>>,
    ) -> Self {
        let found = partial.ok().flatten().unwrap_or_default();
        let cut = |part: Option<Vec<u8>>, len: Option<usize>| Some(part?[..len?].to_vec());
        Self { partial, control: cut(control, found.control), data: cut(data, found.data) }
    }

    fn parts(&self) -> (Option<&[u8]>, Option<&[u8]>) {
        (self.control.as_deref(), self.data.as_deref())
    }

    fn more(&self) -> (bool, bool) {
        let partial = self.partial.unwrap().unwrap();
        (partial.more_control, partial.more_data)
    }
}

const WHOLE: (bool, bool) = (false, false);

#[test]
fn e40_an_owned_message_comes_as_its_parts_with_their_band() {
    let mut line = line();
    line.arrives_parts(Kind::Proto, 4, b"c", b"data");
    let got = line.p.getmsg(line.stream).unwrap().unwrap();
    assert_eq!(got.control.unwrap().first(), b"c");
    assert_eq!(got.data.unwrap().first(), b"data");
    assert_eq!((got.band, got.high), (Band(4), false));
}

#[test]
fn e40_parts_that_fit_leave_nothing() {
    let mut line = line();
    line.arrives_parts(Kind::Proto, 0, b"con", b"data");
    let got = take(&mut line, Want::Any, 3, 4);
    assert_eq!(got.parts(), (Some(b"con".as_slice()), Some(b"data".as_slice())));
    assert_eq!(got.more(), WHOLE);
    assert_eq!(cells(&mut line.p), 0);
}

#[test]
fn e40_a_part_that_is_absent_is_not_an_empty_one() {
    let mut line = line();
    line.arrives(Kind::Data, b"");
    assert_eq!(take(&mut line, Want::Any, 9, 9).parts(), (None, Some(b"".as_slice())));
    line.arrives(Kind::Proto, b"");
    assert_eq!(take(&mut line, Want::Any, 9, 9).parts(), (Some(b"".as_slice()), None));
}

#[test]
fn e40_what_does_not_fit_is_what_the_next_call_gets() {
    let mut line = line();
    line.arrives_parts(Kind::Proto, 0, b"control", b"data");
    line.arrives(Kind::Data, b"next");
    let first = take(&mut line, Want::Any, 3, 2);
    assert_eq!(first.parts(), (Some(b"con".as_slice()), Some(b"da".as_slice())));
    assert_eq!(first.more(), (true, true));
    let second = take(&mut line, Want::Any, 9, 1);
    assert_eq!(second.parts(), (Some(b"trol".as_slice()), Some(b"t".as_slice())));
    assert_eq!(second.more(), (false, true));
    let third = take(&mut line, Want::Any, 9, 9);
    assert_eq!(third.parts(), (None, Some(b"a".as_slice())));
    assert_eq!(third.more(), WHOLE);
    assert_eq!(take(&mut line, Want::Any, 9, 9).parts(), (None, Some(b"next".as_slice())));
}

#[test]
fn e40_a_part_that_is_not_wanted_stays_queued() {
    let mut line = line();
    line.arrives_parts(Kind::Proto, 0, b"control", b"data");
    let data_only = take(&mut line, Want::Any, -1, 9);
    assert_eq!(data_only.parts(), (None, Some(b"data".as_slice())));
    assert_eq!(data_only.more(), (true, false));
    let control_only = take(&mut line, Want::Any, 9, -1);
    assert_eq!(control_only.parts(), (Some(b"control".as_slice()), None));
    assert_eq!(control_only.more(), WHOLE);
}

#[test]
fn e40_the_rest_goes_back_in_front_of_its_band_and_with_its_type() {
    let mut line = line();
    line.arrives_parts(Kind::Proto, 3, b"control", b"data");
    let mut behind = line.msg(Kind::Data, b"behind");
    behind.set_band(Band(3));
    line.arrives_msg(behind);
    line.arrives_in_band(2, b"lower");
    let got = take(&mut line, Want::Any, 3, -1);
    assert_eq!(got.more(), (true, true));
    line.arrives_in_band(9, b"higher");
    assert_eq!(take(&mut line, Want::Any, 9, 9).parts().1, Some(b"higher".as_slice()));
    let got = line.p.getmsg(line.stream).unwrap().unwrap();
    assert_eq!(bytes(&got.control).unwrap(), b"trol");
    assert_eq!((bytes(&got.data).unwrap(), got.band), (b"data".to_vec(), Band(3)));
    assert_eq!(take(&mut line, Want::Any, 9, 9).parts().1, Some(b"behind".as_slice()));
    assert_eq!(take(&mut line, Want::Any, 9, 9).parts().1, Some(b"lower".as_slice()));
}

#[test]
fn e40_an_empty_buffer_takes_an_empty_part_and_leaves_a_longer_one() {
    let mut line = line();
    line.arrives_parts(Kind::Proto, 0, b"", b"data");
    let got = take(&mut line, Want::Any, 0, 0);
    assert_eq!(got.parts(), (Some(b"".as_slice()), Some(b"".as_slice())));
    assert_eq!(got.more(), (false, true));
    assert_eq!(take(&mut line, Want::Any, 9, 9).parts(), (None, Some(b"data".as_slice())));
}

#[test]
fn e40_control_parts_of_many_blocks_are_one_part() {
    let mut line = line();
    let mut msg = line.msg(Kind::Proto, b"abc");
    for (kind, piece) in [(Kind::Proto, b"def"), (Kind::Data, b"ghi"), (Kind::Data, b"jkl")] {
        let block = line.msg(kind, piece);
        msg.link(block);
    }
    line.arrives_msg(msg);
    let got = take(&mut line, Want::Any, 4, 4);
    assert_eq!(got.parts(), (Some(b"abcd".as_slice()), Some(b"ghij".as_slice())));
    let got = take(&mut line, Want::Any, 4, 4);
    assert_eq!(got.parts(), (Some(b"ef".as_slice()), Some(b"kl".as_slice())));
    assert_eq!(cells(&mut line.p), 0);
}

#[test]
fn e41_getmsg_says_that_a_message_was_of_high_priority() {
    let mut line = line();
    line.arrives(Kind::PcProto, b"urgent");
    let got = take(&mut line, Want::High, 9, 9);
    assert!(got.partial.unwrap().unwrap().high);
    line.arrives(Kind::Proto, b"ordinary");
    assert!(!take(&mut line, Want::Any, 9, 9).partial.unwrap().unwrap().high);
}

#[test]
fn e41_getpmsg_of_a_band_takes_that_band_higher_ones_and_high_priority() {
    let mut line = line();
    for band in [5, 6] {
        line.arrives_in_band(band, b"x");
        let got = take(&mut line, Want::Band(Band(5)), 9, 9).partial.unwrap().unwrap();
        assert_eq!((got.band, got.high), (Band(band), false));
    }
    line.arrives(Kind::PcProto, b"urgent");
    assert!(take(&mut line, Want::Band(Band(255)), 9, 9).partial.unwrap().unwrap().high);
}

#[test]
fn e42_getmsg_hipri_waits_when_an_ordinary_message_is_first() {
    let mut line = line();
    line.arrives_in_band(200, b"ordinary");
    assert_eq!(take(&mut line, Want::High, 9, 9).partial, Err(Errno::EAGAIN));
    assert_eq!(line.p.getpmsg(line.stream, Want::High).unwrap_err(), Errno::EAGAIN);
}

#[test]
fn e42_getpmsg_of_a_band_waits_when_a_lower_band_is_first() {
    let mut line = line();
    line.arrives_in_band(4, b"lower");
    assert_eq!(take(&mut line, Want::Band(Band(5)), 9, 9).partial, Err(Errno::EAGAIN));
    line.arrives_in_band(5, b"it");
    assert_eq!(take(&mut line, Want::Band(Band(5)), 9, 9).parts().1, Some(b"it".as_slice()));
}

#[test]
fn e43_with_two_empty_buffers_and_nothing_queued_it_returns_at_once() {
    let mut line = line();
    assert_eq!(take(&mut line, Want::Any, 0, 0).partial, Ok(None));
    assert_eq!(take(&mut line, Want::Any, 0, 1).partial, Err(Errno::EAGAIN));
}

#[test]
fn e43_after_a_hangup_what_is_queued_comes_and_then_nothing() {
    let mut line = line();
    line.arrives(Kind::Data, b"last");
    line.arrives(Kind::Hangup, b"");
    assert_eq!(take(&mut line, Want::Any, 9, 9).parts().1, Some(b"last".as_slice()));
    assert_eq!(take(&mut line, Want::Any, 9, 9).partial, Ok(None));
    assert!(line.p.getmsg(line.stream).unwrap().is_none());
}

#[test]
fn e13_a_passed_descriptor_fails_getmsg_and_peek() {
    let mut line = line();
    line.arrives(Kind::PassFp, b"");
    assert_eq!(line.p.getmsg(line.stream).unwrap_err(), Errno::EBADMSG);
    assert_eq!(take(&mut line, Want::Any, 9, 9).partial, Err(Errno::EBADMSG));
    assert_eq!(peek(&mut line, Want::Any, 9, 9).partial, Err(Errno::EBADMSG));
}

#[test]
fn e44_one_high_priority_message_waits_and_goes_first() {
    let mut line = line();
    line.arrives(Kind::Data, b"data");
    line.arrives(Kind::PcProto, b"1");
    line.arrives(Kind::PcProto, b"2");
    let got = line.p.getmsg(line.stream).unwrap().unwrap();
    assert!(got.high);
    assert_eq!(got.control.unwrap().first(), b"1");
    assert_eq!(line.read(9).unwrap(), b"data");
    assert_eq!(line.dropped("receiver full"), 1, "the second one");
    line.arrives(Kind::PcProto, b"3");
    assert_eq!(take(&mut line, Want::High, 9, 9).parts().0, Some(b"3".as_slice()));
}

#[test]
fn e44_the_slot_stays_taken_while_high_priority_control_is_left() {
    let mut line = line();
    line.arrives_parts(Kind::PcProto, 0, b"control", b"data");
    assert_eq!(take(&mut line, Want::Any, 3, 9).more(), (true, false));
    line.arrives(Kind::PcProto, b"dropped");
    let got = take(&mut line, Want::High, 9, 9);
    assert_eq!(got.parts(), (Some(b"trol".as_slice()), None));
    assert_eq!(line.dropped("receiver full"), 1);
}

#[test]
fn e44_data_left_of_a_high_priority_message_is_ordinary_and_opens_the_slot() {
    let mut line = line();
    line.arrives_parts(Kind::PcProto, 0, b"control", b"data");
    line.arrives(Kind::Data, b"behind");
    assert_eq!(take(&mut line, Want::Any, 9, 1).more(), (false, true));
    line.arrives(Kind::PcProto, b"second");
    assert_eq!(take(&mut line, Want::Any, 9, 9).parts().0, Some(b"second".as_slice()));
    let rest = take(&mut line, Want::Any, 9, 9);
    assert_eq!(rest.parts(), (None, Some(b"ata".as_slice())));
    assert!(!rest.partial.unwrap().unwrap().high);
    assert_eq!(take(&mut line, Want::Any, 9, 9).parts().1, Some(b"behind".as_slice()));
}

#[test]
fn e45_a_message_of_another_class_that_comes_to_the_front_is_told() {
    let mut line = line();
    line.arrives(Kind::Data, b"normal");
    line.arrives_in_band(1, b"band");
    line.arrives(Kind::PcProto, b"high");
    line.events();
    for _ in 0..2 {
        line.p.getmsg(line.stream).unwrap();
        assert_eq!(line.events(), [HeadEvent::Readable]);
    }
    line.arrives(Kind::Data, b"as before");
    assert_eq!(line.events(), []);
    line.p.getmsg(line.stream).unwrap();
    assert_eq!(line.events(), [], "of the same band");
}

#[test]
fn e45_data_left_of_a_high_priority_message_is_told_as_ordinary() {
    let mut line = line();
    line.arrives_parts(Kind::PcProto, 0, b"control", b"data");
    line.events();
    take(&mut line, Want::Any, 9, 1);
    assert_eq!(line.events(), [HeadEvent::Readable]);
}

#[test]
fn peek_shows_what_getmsg_would_give_and_leaves_it() {
    let mut line = line();
    line.arrives_parts(Kind::Proto, 7, b"control", b"data");
    for _ in 0..2 {
        let got = peek(&mut line, Want::Any, 3, 9);
        assert_eq!(got.parts(), (Some(b"con".as_slice()), Some(b"data".as_slice())));
        assert_eq!(got.more(), (true, false));
        assert_eq!(got.partial.unwrap().unwrap().band, Band(7));
    }
    assert_eq!(peek(&mut line, Want::Any, -1, 2).parts(), (None, Some(b"da".as_slice())));
    assert_eq!(take(&mut line, Want::Any, 9, 9).parts().0, Some(b"control".as_slice()));
}

#[test]
fn peek_finds_nothing_instead_of_waiting() {
    let mut line = line();
    assert_eq!(peek(&mut line, Want::Any, 9, 9).partial, Ok(None));
    line.arrives(Kind::Data, b"ordinary");
    assert_eq!(peek(&mut line, Want::High, 9, 9).partial, Ok(None));
}
