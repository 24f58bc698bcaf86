//! The commands of streamio(7I) with each error number that they can give.

mod common;

use common::line::{Line, line, line_with};
use common::{Holder, Null, Polite, cells};
use millstream_core::{Cx, Errno, Mark, ModInfo, Module, Step, Waiting};
use millstream_msg::{Band, Kind, MsgFlags};
use std::time::Duration;

/// The table of modules.
fn make(name: &str) -> Option<Box<dyn Module>> {
    match name {
        "null" => Some(Box::new(Null)),
        "polite" => Some(Box::new(Polite)),
        "refuses" => Some(Box::new(Refuses)),
        _ => None,
    }
}

fn known(name: &str) -> bool {
    make(name).is_some()
}

struct Refuses;

impl Module for Refuses {
    fn info(&self) -> &'static ModInfo {
        const INFO: ModInfo = ModInfo::new("refuses", "for tests");
        &INFO
    }

    fn open(&mut self, _: &mut Cx<'_>) -> Result<Step, Errno> {
        Err(Errno::EPERM)
    }
}

const EPROTO: &[u8] = &[Errno::EPROTO.0 as u8];

fn push(line: &mut Line, name: &str) -> Result<(), Errno> {
    line.p.push_named(line.stream, name, make).map(drop)
}

#[test]
fn i_push_puts_a_module_below_the_head() {
    let mut line = line();
    assert_eq!(push(&mut line, "null"), Ok(()));
    assert_eq!(push(&mut line, "polite"), Ok(()));
    assert_eq!(line.p.list(line.stream).unwrap(), ["polite", "null", "probe"]);
}

#[test]
fn i_push_of_an_unknown_name_is_einval() {
    assert_eq!(push(&mut line(), "nonesuch"), Err(Errno::EINVAL));
}

#[test]
fn r_i_push_beyond_the_limit_is_einval() {
    let mut line = line();
    let refused = std::iter::repeat_with(|| push(&mut line, "null")).take(100).find(Result::is_err);
    assert_eq!(refused, Some(Err(Errno::EINVAL)));
}

#[test]
fn i_push_gives_the_error_of_the_modules_open() {
    let mut line = line();
    assert_eq!(push(&mut line, "refuses"), Err(Errno::EPERM));
    assert_eq!(line.p.list(line.stream).unwrap(), ["probe"]);
}

#[test]
fn i_push_and_i_pop_after_a_hangup_are_enxio() {
    let mut line = line_with(Null);
    line.arrives(Kind::Hangup, b"");
    assert_eq!(push(&mut line, "null"), Err(Errno::ENXIO));
    assert_eq!(line.p.pop_top(line.stream).err(), Some(Errno::ENXIO));
}

#[test]
fn r_i_push_and_i_pop_on_a_failed_stream_give_the_recorded_error() {
    let mut line = line_with(Null);
    line.arrives(Kind::Error, EPROTO);
    assert_eq!(push(&mut line, "null"), Err(Errno::EPROTO));
    assert_eq!(line.p.pop_top(line.stream).err(), Some(Errno::EPROTO));
    assert_eq!(line.p.chain(line.stream).unwrap().len(), 3);
}

#[test]
fn i_pop_takes_the_topmost_module() {
    let mut line = line_with(Null);
    push(&mut line, "polite").unwrap();
    assert_eq!(line.p.pop_top(line.stream).unwrap().done().unwrap().info().name, "polite");
    assert_eq!(line.p.list(line.stream).unwrap(), ["null", "probe"]);
}

#[test]
fn i_pop_without_a_module_is_einval() {
    let mut line = line();
    assert_eq!(line.p.pop_top(line.stream).err(), Some(Errno::EINVAL));
}

#[test]
fn i_look_names_the_topmost_module() {
    let mut line = line_with(Null);
    push(&mut line, "polite").unwrap();
    assert_eq!(line.p.look(line.stream).unwrap(), "polite");
}

#[test]
fn r_i_look_without_a_module_is_einval() {
    let mut line = line();
    assert_eq!(line.p.look(line.stream), Err(Errno::EINVAL));
}

#[test]
fn i_list_of_a_bare_stream_names_its_driver() {
    let mut line = line();
    assert_eq!(line.p.list(line.stream).unwrap(), ["probe"]);
}

#[test]
fn i_find_tells_whether_a_known_module_is_in_the_stream() {
    let mut line = line_with(Null);
    assert_eq!(line.p.has_module(line.stream, "null", known), Ok(true));
    assert_eq!(line.p.has_module(line.stream, "polite", known), Ok(false));
}

#[test]
fn i_find_of_an_unregistered_name_is_einval_even_if_it_is_the_drivers() {
    let mut line = line();
    for name in ["nonesuch", "probe"] {
        assert_eq!(line.p.has_module(line.stream, name, known), Err(Errno::EINVAL));
    }
}

#[test]
fn i_nread_counts_messages_and_the_data_bytes_of_the_first() {
    let mut line = line();
    assert_eq!(line.p.waiting(line.stream), Ok(Waiting { bytes: 0, messages: 0 }));
    line.arrives_parts(Kind::Proto, 0, b"control", b"data");
    line.arrives(Kind::Data, b"more");
    assert_eq!(line.p.waiting(line.stream), Ok(Waiting { bytes: 4, messages: 2 }));
}

#[test]
fn i_nread_of_an_empty_message_is_0_bytes_and_one_message() {
    let mut line = line();
    line.arrives(Kind::Data, b"");
    assert_eq!(line.p.waiting(line.stream), Ok(Waiting { bytes: 0, messages: 1 }));
}

#[test]
fn i_ckband_finds_a_message_of_the_band_anywhere_in_the_queue() {
    let mut line = line();
    assert_eq!(line.p.band_waits(line.stream, Band(0)), Ok(false));
    for band in [2, 9] {
        line.arrives_in_band(band, b"x");
    }
    let waits = [0, 2, 3, 9].map(|band| line.p.band_waits(line.stream, Band(band)).unwrap());
    assert_eq!(waits, [true, true, false, true], "of band 0: anything");
}

#[test]
fn i_getband_is_the_band_of_the_first_message() {
    let mut line = line();
    line.arrives(Kind::Data, b"x");
    line.arrives_in_band(9, b"x");
    assert_eq!(line.p.first_band(line.stream), Ok(Band(9)));
    line.arrives(Kind::PcProto, b"x");
    assert_eq!(line.p.first_band(line.stream), Ok(Band(0)), "of high priority");
}

#[test]
fn i_getband_without_a_message_is_enodata() {
    let mut line = line();
    assert_eq!(line.p.first_band(line.stream), Err(Errno::ENODATA));
}

#[test]
fn i_canput_asks_for_one_band() {
    let mut line = line_with(Holder);
    line.p.write(line.stream, &[0; 64]).unwrap();
    assert_eq!(line.p.can_put(line.stream, Some(Band(0))), Ok(false));
    assert_eq!(line.p.can_put(line.stream, Some(Band(1))), Ok(true));
}

#[test]
fn r_i_canput_of_anyband_is_true_while_a_band_has_room() {
    let mut line = line_with(Polite);
    line.probe.set_room(Some(0));
    let full = |line: &mut Line, band| {
        while line.p.can_put(line.stream, Some(Band(band))).unwrap() {
            let mut msg = line.msg(Kind::Data, &[0; 64]);
            msg.set_band(Band(band));
            line.p.putmsg(line.stream, msg).unwrap();
        }
    };
    full(&mut line, 0);
    assert_eq!(line.p.can_put(line.stream, None), Ok(true), "no band was used yet");
    full(&mut line, 4);
    assert_eq!(line.p.can_put(line.stream, None), Ok(false));
}

#[test]
fn i_atmark_asks_for_a_mark_on_the_first_message() {
    let mut line = line();
    assert_eq!(line.p.at_mark(line.stream, Mark::Any), Ok(false));
    for _ in 0..2 {
        let mut marked = line.msg(Kind::Data, b"x");
        marked.set_flags(MsgFlags::MARK);
        line.arrives_msg(marked);
    }
    line.arrives(Kind::Data, b"not marked");
    assert_eq!(line.p.at_mark(line.stream, Mark::Any), Ok(true));
    assert_eq!(line.p.at_mark(line.stream, Mark::Last), Ok(false));
    line.p.getmsg(line.stream).unwrap();
    assert_eq!(line.p.at_mark(line.stream, Mark::Last), Ok(true));
    line.p.getmsg(line.stream).unwrap();
    assert_eq!(line.p.at_mark(line.stream, Mark::Any), Ok(false));
}

#[test]
fn i_getcltime_is_15_seconds_until_i_setcltime_changes_it() {
    let mut line = line();
    assert_eq!(line.p.close_time(line.stream), Ok(Duration::from_secs(15)));
    line.p.set_close_time(line.stream, Duration::from_nanos(2_000_001)).unwrap();
    assert_eq!(line.p.close_time(line.stream), Ok(Duration::from_millis(3)), "rounded up");
    line.p.set_close_time(line.stream, Duration::ZERO).unwrap();
    assert_eq!(line.p.close_time(line.stream), Ok(Duration::ZERO));
}

#[test]
fn i_setcltime_of_more_than_fits_is_einval() {
    let mut line = line();
    let set = line.p.set_close_time(line.stream, Duration::from_secs(u64::from(u32::MAX)));
    assert_eq!(set, Err(Errno::EINVAL));
}

#[test]
fn questions_take_nothing_and_leak_nothing() {
    let mut line = line();
    line.arrives(Kind::Data, b"stays");
    for _ in 0..3 {
        line.p.waiting(line.stream).unwrap();
        line.p.first_band(line.stream).unwrap();
        line.p.peek(line.stream, millstream_core::Want::Any, None, Some(&mut [0; 9])).unwrap();
    }
    assert_eq!(line.read(9).unwrap(), b"stays");
    assert_eq!(cells(&mut line.p), 0);
}
