//! What programs do at the heads of their streams: on pipes and on udp, without any interface.

use millstream::plan::Plan;
use millstream::tpi::{self, flush};
use millstream::{
    ControlMode, Errno, Mode, PollEvents, Priority, ReadOptions, Signals, Stack, Stream, Want, pipe,
};
use millstream_modules::null;
use std::io::{self, IoSlice, Read, Write};
use std::time::Duration;

const BAND_0: Priority = Priority::Band(0);

fn ends() -> (Stack, Stream, Stream) {
    let stack = Stack::start(Plan::default()).unwrap();
    let (one, other) = pipe(&stack).unwrap();
    (stack, one, other)
}

fn number(error: &io::Error) -> Errno {
    Errno(error.raw_os_error().unwrap_or_else(|| panic!("{error}")))
}

/// Control part, data part.
type Sent<'a> = (Option<&'a [u8]>, Option<&'a [u8]>, Priority);

/// Two ends, with messages on their way to the second.
fn sent(messages: &[Sent<'_>]) -> (Stack, Stream, Stream) {
    let (stack, one, other) = ends();
    for &(control, data, priority) in messages {
        one.putmsg(control, data, priority).unwrap();
    }
    other.poll(PollEvents::READ, None).unwrap();
    (stack, one, other)
}

#[test]
fn bytes_are_written_and_read_through_the_traits_of_std() {
    let (_stack, one, other) = ends();
    (&one).write_all(b"hello, ").unwrap();
    let pieces = [IoSlice::new(b"wor"), IoSlice::new(b"ld")];
    assert_eq!(one.write_vectored(&pieces).unwrap(), 5);
    drop(one);
    let mut all = String::new();
    (&other).read_to_string(&mut all).unwrap();
    assert_eq!(all, "hello, world");
}

#[test]
fn a_write_longer_than_flow_control_lets_waits_for_the_reader() {
    let (_stack, one, other) = ends();
    let bytes: Vec<u8> = (0..3_000_000_u32).map(|n| n as u8).collect();
    std::thread::scope(|scope| {
        let writer = scope.spawn(|| one.write(&bytes).unwrap());
        let mut read = vec![0; bytes.len()];
        (&other).read_exact(&mut read).unwrap();
        assert_eq!(writer.join().unwrap(), bytes.len());
        assert!(read == bytes);
    });
}

#[test]
fn a_write_that_does_not_wait_returns_what_there_was_room_for() {
    let (_stack, one, other) = ends();
    one.set_nonblocking(true);
    let n = one.write(&vec![0; 8 << 20]).unwrap();
    assert!(n > 0 && n < 8 << 20, "{n}");
    assert_eq!(one.write(b"x").unwrap_err().kind(), io::ErrorKind::WouldBlock);
    assert_eq!(one.poll(PollEvents::OUT, Some(Duration::ZERO)).unwrap(), PollEvents::empty());
    let reader = std::thread::spawn(move || {
        let mut left = n;
        while left > 0 {
            left -= other.read(&mut vec![0; left]).unwrap();
        }
        other
    });
    assert_eq!(one.poll(PollEvents::OUT, None).unwrap(), PollEvents::OUT);
    reader.join().unwrap();
}

#[test]
fn a_message_is_taken_in_parts_and_peeked_at() {
    let (_stack, _one, other) = sent(&[(Some(b"control"), Some(b"data"), Priority::Band(3))]);
    let (mut control, mut data) = ([0; 3], [0; 9]);
    let seen = other.peek(Want::Any, Some(&mut control), None).unwrap().unwrap();
    assert_eq!((&control, seen.more_control, seen.more_data), (b"con", true, true));
    let got = other.getmsg_into(Want::Any, Some(&mut control), Some(&mut data)).unwrap().unwrap();
    assert_eq!((&control, &data[..got.data.unwrap()]), (b"con", &b"data"[..]));
    assert!(got.more_control && !got.more_data);
    let rest = other.getmsg().unwrap().unwrap();
    assert_eq!((rest.control.as_deref(), rest.data), (Some(&b"trol"[..]), None));
    assert_eq!(rest.priority, Priority::Band(3));
}

#[test]
fn a_reader_of_a_band_sleeps_until_it_comes() {
    let (_stack, one, other) = sent(&[(None, Some(b"low"), Priority::Band(1))]);
    std::thread::scope(|scope| {
        let reader = scope.spawn(|| other.receive_wanted(Want::Band(millstream::msg::Band(5))));
        one.putmsg(None, Some(b"still low"), Priority::Band(2)).unwrap();
        one.putmsg(None, Some(b"it"), Priority::Band(5)).unwrap();
        let got = reader.join().unwrap().unwrap().unwrap();
        assert_eq!(got.data.unwrap().first(), b"it");
    });
    assert_eq!(other.first_band().unwrap(), 2);
    assert!(other.band_waits(1).unwrap() && !other.band_waits(5).unwrap());
}

#[test]
fn read_options_say_what_a_read_does_with_messages() {
    let (_stack, one, other) = ends();
    let options =
        ReadOptions { mode: Mode::MessageDiscard, control: ControlMode::AsData, keeps_high: false };
    other.set_read_options(options).unwrap();
    assert_eq!(other.read_options().unwrap(), options);
    one.putmsg(Some(b"con"), Some(b"data"), BAND_0).unwrap();
    one.putmsg(None, Some(b"next"), BAND_0).unwrap();
    let mut out = [0; 5];
    assert_eq!(other.read(&mut out).unwrap(), 5);
    assert_eq!(&out, b"conda");
    assert_eq!(other.read(&mut out).unwrap(), 4);
    assert_eq!(&out[..4], b"next");
}

#[test]
fn a_flush_has_been_there_and_back_when_it_returns() {
    let (_stack, _one, other) =
        sent(&[(None, Some(b"goes"), BAND_0), (None, Some(b"too"), BAND_0)]);
    assert_eq!(number(&other.flush_queues(0).unwrap_err()), Errno::EINVAL);
    other.flush_queues(flush::READ).unwrap();
    assert_eq!(other.waiting().unwrap().messages, 0);
}

#[test]
fn who_asked_for_a_signal_sleeps_until_it_is_told() {
    let (_stack, one, other) = ends();
    assert_eq!(number(&other.signals().unwrap_err()), Errno::EINVAL);
    other.set_signals(Signals::HIPRI.with(Signals::HANGUP)).unwrap();
    one.putmsg(None, Some(b"not asked for"), BAND_0).unwrap();
    assert_eq!(other.wait_signals(Some(Duration::ZERO)).unwrap(), Signals::empty());
    std::thread::scope(|scope| {
        let waiter = scope.spawn(|| other.wait_signals(None).unwrap());
        one.putmsg(Some(b"urgent"), None, Priority::High).unwrap();
        assert_eq!(waiter.join().unwrap(), Signals::HIPRI);
    });
    drop(one);
    assert_eq!(other.wait_signals(None).unwrap(), Signals::HANGUP);
}

#[test]
fn a_refused_message_leaves_the_stream_as_it_was() {
    let (_stack, one, other) = ends();
    let error = one.putmsg(Some(&[0; 5000]), None, BAND_0).unwrap_err();
    assert_eq!(number(&error), Errno::ERANGE);
    let error = one.putmsg(None, Some(b"x"), Priority::High).unwrap_err();
    assert_eq!(number(&error), Errno::EINVAL);
    one.putmsg(None, Some(b"goes on"), BAND_0).unwrap();
    assert_eq!(other.getmsg().unwrap().unwrap().data.unwrap(), b"goes on");
}

#[test]
fn a_stream_names_its_topmost_module_and_finds_one() {
    let (_stack, one, _other) = ends();
    assert_eq!(number(&one.look().unwrap_err()), Errno::EINVAL);
    one.push(Box::new(null::Null)).unwrap();
    assert_eq!(one.look().unwrap(), "null");
    assert!(one.has_module("null").unwrap() && !one.has_module("count").unwrap());
    assert_eq!(number(&one.has_module("nonesuch").unwrap_err()), Errno::EINVAL);
}

#[test]
fn options_come_back_as_they_were_set() {
    let (_stack, one, _other) = ends();
    assert!(!one.sends_empty().unwrap(), "a pipe");
    one.set_sends_empty(true).unwrap();
    assert!(one.sends_empty().unwrap());
    one.set_close_time(Duration::from_millis(7)).unwrap();
    assert_eq!(one.close_time().unwrap(), Duration::from_millis(7));
    let once = one.error_options().unwrap().changed(2 | 8).unwrap();
    one.set_error_options(once).unwrap();
    assert_eq!(one.error_options().unwrap(), once);
    assert!(one.can_put(Some(0)).unwrap() && one.can_put(None).unwrap());
    assert!(!one.at_mark(millstream::Mark::Any).unwrap());
}

#[test]
fn an_acknowledgement_of_udp_is_polled_for_peeked_at_and_taken_in_parts() {
    let stack = Stack::start(Plan::default()).unwrap();
    let udp = stack.open("udp").unwrap();
    let bind = tpi::Primitive::bind_req("0.0.0.0:1234".parse().unwrap());
    udp.putmsg(Some(bind.as_bytes()), None, BAND_0).unwrap();
    assert_eq!(udp.poll(PollEvents::READ, None).unwrap(), PollEvents::PRI);
    assert_eq!(udp.waiting().unwrap().messages, 1);
    let mut word = [0; 4];
    for _ in 0..2 {
        let seen = udp.peek(Want::High, Some(&mut word), None).unwrap().unwrap();
        assert!(seen.high && seen.more_control);
        assert_eq!(i32::from_ne_bytes(word), tpi::T_BIND_ACK);
    }
    let mut rest = [0; 256];
    let got = udp.getmsg_into(Want::High, Some(&mut word), None).unwrap().unwrap();
    assert_eq!(got.control, Some(4));
    let got = udp.getmsg_into(Want::High, Some(&mut rest), None).unwrap().unwrap();
    assert!(got.control.unwrap() > 0 && !got.more_control);
    udp.set_nonblocking(true);
    assert_eq!(udp.read(&mut rest).unwrap_err().kind(), io::ErrorKind::WouldBlock);
}

#[test]
fn those_who_wait_at_a_head_are_told_when_the_stack_stops() {
    let (stack, one, other) = ends();
    std::thread::scope(|scope| {
        let reader = scope.spawn(|| other.getmsg().map(drop));
        let waiter = scope.spawn(|| one.wait_signals(None).map(drop));
        drop(stack);
        assert!(reader.join().unwrap().is_err() && waiter.join().unwrap().is_err());
    });
}
