//! M_SETOPTS at a head: options that modules and drivers ask for.

mod common;

use common::cells;
use common::line::{Line, line, line_with};
use millstream_core::{
    ControlMode, Cx, Errno, ErrorOptions, Event, Invalid, ModInfo, Mode, Module, ReadOptions,
    SetOptions, Side,
};
use millstream_msg::{Band, Kind};

/// A module that asks its head for options, and whether there is room for a band above.
struct Asker(SetOptions);

impl Module for Asker {
    fn info(&self) -> &'static ModInfo {
        const INFO: ModInfo = ModInfo::new("asker", "for tests");
        &INFO
    }

    fn set(&mut self, cx: &mut Cx<'_>, key: &str, value: &str) -> Result<(), Invalid> {
        match key {
            "ask" => {
                let msg = self.0.to_msg(cx.pool()).unwrap();
                cx.put(Side::Read, msg);
                Ok(())
            }
            _ if cx.canput(Side::Read, Band(value.parse().unwrap())) => Ok(()),
            _ => Err(Invalid::unknown(key)),
        }
    }
}

/// The options are asked for by a module, so that a full line does not stop them.
fn asked(options: SetOptions) -> Line {
    let mut line = line_with(Asker(options));
    ask(&mut line);
    line
}

fn ask(line: &mut Line) {
    line.p.set(line.stream, 0, "ask", "").unwrap();
    line.settle();
}

fn room(line: &mut Line, band: u8) -> bool {
    line.p.set(line.stream, 0, "room", &band.to_string()).is_ok()
}

#[test]
fn e70_so_readopt_sets_the_read_mode() {
    let mut line = asked(SetOptions { read: Some(1 | 4 | 32), ..SetOptions::default() });
    let expected =
        ReadOptions { mode: Mode::MessageDiscard, control: ControlMode::AsData, keeps_high: true };
    assert_eq!(line.p.read_options(line.stream), Ok(expected));
    assert_eq!(cells(&mut line.p), 0);
}

#[test]
fn e70_so_hiwat_sets_where_the_head_is_full() {
    let mut line = asked(SetOptions { hiwat: Some(3000), ..SetOptions::default() });
    // Each message weighs its bytes and 1024.
    for full_after in [true, true, false] {
        line.arrives(Kind::Data, &[0; 100]);
        assert_eq!(room(&mut line, 0), full_after);
    }
}

#[test]
fn e70_marks_that_make_room_call_waiting_writers_back_at_once() {
    let marks = SetOptions { hiwat: Some(1 << 20), lowat: Some(1 << 19), ..SetOptions::default() };
    let mut line = line_with(Asker(marks));
    let low = SetOptions { hiwat: Some(1), lowat: Some(1), ..SetOptions::default() };
    let low = low.to_msg(line.p.pool()).unwrap();
    line.arrives_msg(low);
    line.arrives(Kind::Data, b"fills it");
    assert_eq!(line.p.poll(line.driver, 1), 0);
    assert_eq!(line.count_events(|e| matches!(e, Event::ReadBlocked(_))), 1);
    ask(&mut line);
    assert_eq!(line.count_events(|e| matches!(e, Event::ReadResumed(_))), 1);
}

#[test]
fn e70_so_lowat_sets_when_waiting_writers_are_called_back() {
    let marks = SetOptions { hiwat: Some(4000), lowat: Some(1100), ..SetOptions::default() };
    let mut line = asked(marks);
    for _ in 0..4 {
        line.arrives(Kind::Data, b"");
    }
    assert!(!room(&mut line, 0));
    assert_eq!(line.p.poll(line.driver, 1), 0, "it waits too");
    line.events();
    let mut left = 4;
    while line.count_events(|e| matches!(e, Event::ReadResumed(_))) == 0 {
        line.p.getmsg(line.stream).unwrap();
        line.settle();
        left -= 1;
    }
    assert_eq!(left, 1, "one weighs less than the low-water mark");
}

#[test]
fn e70_so_band_sets_the_marks_of_that_band_only() {
    let of_band = SetOptions { hiwat: Some(1), band: Some(Band(4)), ..SetOptions::default() };
    let mut line = asked(of_band);
    for band in [0, 3, 4] {
        line.arrives_in_band(band, b"x");
    }
    assert_eq!([0, 3, 4].map(|band| room(&mut line, band)), [true, true, false]);
    line.p.getpmsg(line.stream, millstream_core::Want::Band(Band(4))).unwrap();
    assert!(room(&mut line, 4));
}

#[test]
fn e70_so_erropt_makes_errors_pass() {
    let mut line = asked(SetOptions { errors: Some(2 | 8), ..SetOptions::default() });
    let expected = ErrorOptions { read_once: true, write_once: true };
    assert_eq!(line.p.error_options(line.stream), Ok(expected));
    line.arrives(Kind::Error, &[5]);
    assert_eq!(line.read(9), Err(Errno::EIO));
    assert_eq!(line.read(9), Err(Errno::EAGAIN));
}

#[test]
fn e70_so_wroff_is_the_headroom_of_the_stream() {
    let line = asked(SetOptions { write_offset: Some(77), ..SetOptions::default() });
    assert_eq!(line.p.headroom(line.stream), Ok(77));
}

#[test]
fn e70_options_that_are_not_asked_for_stay() {
    let mut line = asked(SetOptions { read: Some(2), ..SetOptions::default() });
    let other = SetOptions { write_offset: Some(9), ..SetOptions::default() };
    let other = other.to_msg(line.p.pool()).unwrap();
    line.arrives_msg(other);
    assert_eq!(line.p.read_options(line.stream).unwrap().mode, Mode::MessageKeep);
}

#[test]
fn e71_so_minpsz_and_so_maxpsz_do_not_cut_writes() {
    let sizes = SetOptions { minpsz: Some(5), maxpsz: Some(6), ..SetOptions::default() };
    let mut line = asked(sizes);
    assert_eq!(line.p.write(line.stream, b"longer than that"), Ok(16));
    assert_eq!(line.p.write(line.stream, b"x"), Ok(1));
    assert_eq!(line.sent(), [b"longer than that".as_slice(), b"x"]);
}

#[test]
fn malformed_options_are_dropped_with_a_reason_and_change_nothing() {
    let mut line = line();
    let contradiction = SetOptions { read: Some(3), errors: Some(2), ..SetOptions::default() };
    let contradiction = contradiction.to_msg(line.p.pool()).unwrap();
    line.arrives_msg(contradiction);
    for len in [0, 1, 4, 63] {
        line.arrives(Kind::SetOpts, &[0xff; 64][..len]);
    }
    assert_eq!(line.dropped("malformed options"), 5);
    assert_eq!(line.p.read_options(line.stream), Ok(ReadOptions::default()));
    assert_eq!(line.p.error_options(line.stream), Ok(ErrorOptions::default()));
    assert_eq!(cells(&mut line.p), 0);
}
