//! M_ERROR, M_HANGUP and a linked stream, as programs meet them.

mod common;

use common::line::{Line, line, line_with};
use common::{Cross, Polite};
use millstream_core::{
    Errno, ErrorOptions, Event, HeadEvent, PollEvents, Priority, ReadOptions, Signals, Want,
};
use millstream_msg::{Band, Kind};

const EIO: u8 = Errno::EIO.0 as u8;
const EPROTO: u8 = Errno::EPROTO.0 as u8;
const LEAVE: u8 = 0xff;

fn putmsg(line: &mut Line) -> Result<(), Errno> {
    line.p.putpmsg(line.stream, None, Some(b"x"), Priority::Band(0))
}

#[test]
fn e1_one_byte_sets_both_sides() {
    let mut line = line();
    line.arrives(Kind::Error, &[EIO]);
    assert_eq!(line.read(9), Err(Errno::EIO));
    assert_eq!(line.p.write(line.stream, b"x"), Err(Errno::EIO));
}

#[test]
fn e1_two_bytes_set_clear_or_leave_each_side() {
    let mut line = line();
    line.arrives(Kind::Error, &[EIO, EPROTO]);
    assert_eq!(line.read(9), Err(Errno::EIO));
    assert_eq!(putmsg(&mut line), Err(Errno::EPROTO));
    line.arrives(Kind::Error, &[0, LEAVE]);
    assert_eq!(line.read(9), Err(Errno::EAGAIN));
    assert_eq!(putmsg(&mut line), Err(Errno::EPROTO));
    line.arrives(Kind::Error, &[LEAVE, 0]);
    assert_eq!(putmsg(&mut line), Ok(()));
}

#[test]
fn e1_an_error_without_bytes_changes_nothing() {
    let mut line = line();
    line.arrives(Kind::Error, b"");
    assert_eq!(line.read(9), Err(Errno::EAGAIN));
    assert_eq!(putmsg(&mut line), Ok(()));
}

#[test]
fn e2_the_first_error_flushes_its_side_below_and_repeats_do_not() {
    let mut line = line_with(Polite);
    line.probe.set_room(Some(0));
    let fill = |line: &mut Line| {
        for _ in 0..20 {
            let _ = line.p.write(line.stream, b"ten bytes.");
            line.settle();
        }
    };
    fill(&mut line);
    line.arrives(Kind::Error, &[EIO]);
    let first = line.dropped("flushed");
    assert!(first > 0);
    line.arrives(Kind::Error, &[EPROTO]);
    assert_eq!(line.dropped("flushed"), first);
}

#[test]
fn e2_an_error_of_the_read_side_leaves_what_is_on_its_way_down() {
    let mut line = line_with(Polite);
    line.probe.set_room(Some(0));
    line.p.write(line.stream, b"on its way").unwrap();
    line.settle();
    line.arrives(Kind::Error, &[EIO, LEAVE]);
    assert_eq!(line.dropped("flushed"), 0);
}

#[test]
fn e2_an_error_is_told() {
    let mut line = line();
    line.arrives(Kind::Error, &[EIO]);
    assert_eq!(line.events(), [HeadEvent::Error]);
}

#[test]
fn e3_a_read_error_fails_everything_that_reads_or_looks() {
    let mut line = line();
    line.arrives(Kind::Error, &[EPROTO, LEAVE]);
    let (p, stream) = (&mut line.p, line.stream);
    let error = Errno::EPROTO;
    assert_eq!(p.read(stream, &mut [0]), Err(error));
    assert_eq!(p.getmsg(stream).unwrap_err(), error);
    assert_eq!(p.getpmsg_into(stream, Want::Any, None, Some(&mut [0])), Err(error));
    assert_eq!(p.peek(stream, Want::Any, None, None), Err(error));
    assert_eq!(p.waiting(stream), Err(error));
    assert_eq!(p.band_waits(stream, Band(0)), Err(error));
    assert_eq!(p.first_band(stream), Err(error));
    assert_eq!(p.write(stream, b"x"), Ok(1), "writing goes on");
}

#[test]
fn e3_a_write_error_fails_what_writes_and_leaves_reading() {
    let mut line = line();
    line.arrives(Kind::Data, b"data");
    line.arrives(Kind::Error, &[LEAVE, EPROTO]);
    assert_eq!(line.p.write(line.stream, b"x"), Err(Errno::EPROTO));
    assert_eq!(putmsg(&mut line), Err(Errno::EPROTO));
    assert_eq!(line.p.waiting(line.stream).unwrap().messages, 1);
    assert_eq!(line.read(9).unwrap(), b"data");
}

#[test]
fn e3_most_other_operations_fail_on_an_error_of_either_side() {
    for sides in [[EPROTO, LEAVE], [LEAVE, EPROTO]] {
        let mut line = line_with(Polite);
        line.arrives(Kind::Error, &sides);
        let (p, stream) = (&mut line.p, line.stream);
        let error = Errno::EPROTO;
        assert_eq!(p.flush(stream, 3), Err(error));
        assert_eq!(p.can_put(stream, None), Err(error));
        assert_eq!(p.read_options(stream), Err(error));
        assert_eq!(p.set_read_options(stream, ReadOptions::default()), Err(error));
        assert_eq!(p.sends_empty(stream), Err(error));
        assert_eq!(p.close_time(stream), Err(error));
        assert_eq!(p.look(stream), Err(error));
        assert_eq!(p.list(stream), Err(error));
        assert_eq!(p.pop_top(stream).err(), Some(error));
    }
}

#[test]
fn e4_errors_last() {
    let mut line = line();
    line.arrives(Kind::Error, &[EIO]);
    for _ in 0..2 {
        assert_eq!(line.read(9), Err(Errno::EIO));
        assert_eq!(putmsg(&mut line), Err(Errno::EIO));
    }
}

#[test]
fn e4_an_error_that_does_not_last_is_reported_once() {
    let mut line = line();
    let options = ErrorOptions { read_once: true, write_once: false };
    line.p.set_error_options(line.stream, options).unwrap();
    line.arrives(Kind::Error, &[EIO]);
    assert_eq!(line.read(9), Err(Errno::EIO));
    assert_eq!(line.read(9), Err(Errno::EAGAIN));
    assert_eq!(putmsg(&mut line), Err(Errno::EIO));
    assert_eq!(putmsg(&mut line), Err(Errno::EIO), "that side's error lasts");
}

#[test]
fn e4_looking_does_not_use_an_error_up() {
    let mut line = line();
    let options = ErrorOptions { read_once: true, write_once: true };
    line.p.set_error_options(line.stream, options).unwrap();
    line.arrives(Kind::Error, &[EIO]);
    for _ in 0..2 {
        assert_eq!(line.p.peek(line.stream, Want::Any, None, None), Err(Errno::EIO));
        assert_eq!(line.p.waiting(line.stream), Err(Errno::EIO));
    }
    assert_eq!(line.read(9), Err(Errno::EIO));
}

#[test]
fn e4_of_two_errors_the_read_error_is_preferred() {
    let mut line = line();
    line.arrives(Kind::Error, &[EIO, EPROTO]);
    assert_eq!(line.p.flush(line.stream, 3), Err(Errno::EIO));
}

#[test]
fn e4_error_options_are_refused_when_they_contradict_or_are_unknown() {
    let now = ErrorOptions::default();
    for bad in [1 | 2, 4 | 8, 16] {
        assert_eq!(now.changed(bad), Err(Errno::EINVAL), "{bad}");
    }
    let once = now.changed(2).unwrap();
    assert_eq!((once.read_once, once.write_once), (true, false));
    assert_eq!(once.changed(8).unwrap().number(), 2 | 8, "the other side stays");
}

#[test]
fn e5_r_after_a_hangup_queued_data_is_read_then_zero_and_writes_fail_with_enxio() {
    let mut line = line();
    line.arrives(Kind::Data, b"last");
    line.arrives(Kind::Hangup, b"");
    assert_eq!(line.events(), [HeadEvent::Readable, HeadEvent::Hangup]);
    assert_eq!(line.p.write(line.stream, b"x"), Err(Errno::ENXIO));
    assert_eq!(putmsg(&mut line), Err(Errno::ENXIO));
    assert_eq!(line.read(9).unwrap(), b"last");
    assert_eq!(line.read(9).unwrap(), b"");
    assert!(line.p.getmsg(line.stream).unwrap().is_none());
}

#[test]
fn e5_after_a_hangup_changes_fail_and_questions_are_answered() {
    let mut line = line_with(Polite);
    line.arrives(Kind::Hangup, b"");
    let (p, stream) = (&mut line.p, line.stream);
    assert_eq!(p.push_named(stream, "null", |_| unreachable!()), Err(Errno::ENXIO));
    assert_eq!(p.pop_top(stream).err(), Some(Errno::ENXIO));
    assert_eq!(p.flush(stream, 3), Err(Errno::ENXIO));
    assert_eq!(p.flush_band(stream, 3, Band(1)), Err(Errno::ENXIO));
    assert_eq!(p.look(stream).unwrap(), "polite");
    assert_eq!(p.list(stream).unwrap(), ["polite", "probe"]);
    assert_eq!(p.has_module(stream, "polite", |_| true), Ok(true));
    assert_eq!(p.read_options(stream), Ok(ReadOptions::default()));
    p.set_signals(stream, Signals::INPUT).unwrap();
    assert_eq!(p.signals(stream), Ok(Signals::INPUT));
}

#[test]
fn e5_unhangup_lets_writing_go_on() {
    let mut line = line();
    line.arrives(Kind::Error, &[LEAVE, EIO]);
    line.arrives(Kind::Hangup, b"");
    line.events();
    line.arrives(Kind::Unhangup, b"");
    assert_eq!(line.events(), [HeadEvent::Writable]);
    assert_eq!(line.p.write(line.stream, b"x"), Ok(1));
}

#[test]
fn a_device_that_fails_hangs_its_stream_up_and_is_named() {
    let mut line = line();
    line.probe.fail(Errno::ENODEV);
    line.p.poll(line.driver, 1);
    line.settle();
    assert_eq!(line.p.event(), Some(Event::DeviceGone(line.driver, Errno::ENODEV)));
    assert_eq!(line.events(), [HeadEvent::Hangup]);
    assert_eq!(line.p.write(line.stream, b"x"), Err(Errno::ENXIO));
}

#[test]
fn e6_of_a_linked_stream_every_operation_is_invalid() {
    let mut line = line();
    let mux = line.p.add_mux(Box::new(Cross::default()));
    line.p.link(mux, line.stream).unwrap();
    let (p, stream) = (&mut line.p, line.stream);
    let error = Errno::EINVAL;
    assert_eq!(p.read(stream, &mut [0]), Err(error));
    assert_eq!(p.write(stream, b"x"), Err(error));
    assert_eq!(p.putpmsg(stream, None, Some(b"x"), Priority::Band(0)), Err(error));
    assert_eq!(p.getmsg(stream).unwrap_err(), error);
    assert_eq!(p.peek(stream, Want::Any, None, None), Err(error));
    assert_eq!(p.waiting(stream), Err(error));
    assert_eq!(p.first_band(stream), Err(error));
    assert_eq!(p.band_waits(stream, Band(0)), Err(error));
    assert_eq!(p.can_put(stream, None), Err(error));
    assert_eq!(p.flush(stream, 3), Err(error));
    assert_eq!(p.look(stream), Err(error));
    assert_eq!(p.list(stream), Err(error));
    assert_eq!(p.read_options(stream), Err(error));
    assert_eq!(p.push_named(stream, "null", |_| unreachable!()), Err(error));
    assert_eq!(p.poll_head(stream, PollEvents::READ), Ok(PollEvents::NVAL));
    p.unlink(stream).unwrap();
    assert_eq!(p.write(stream, b"x"), Ok(1));
}

#[test]
fn of_a_closed_stream_every_operation_is_a_bad_descriptor() {
    let mut line = line();
    line.p.close(line.stream).unwrap();
    let (p, stream) = (&mut line.p, line.stream);
    let error = Errno::EBADF;
    assert_eq!(p.read(stream, &mut [0]), Err(error));
    assert_eq!(p.write(stream, b"x"), Err(error));
    assert_eq!(p.putpmsg(stream, None, None, Priority::Band(0)), Err(error));
    assert_eq!(p.getmsg(stream).unwrap_err(), error);
    assert_eq!(p.poll_head(stream, PollEvents::READ), Err(error));
    assert_eq!(p.look(stream), Err(error));
    assert_eq!(p.push_named(stream, "null", |_| unreachable!()), Err(error));
}
