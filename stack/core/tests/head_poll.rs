//! poll(2) and I_SETSIG: what a head says of itself, and when it says so unasked.

mod common;

use common::Polite;
use common::line::{Line, line, line_with};
use millstream_core::{Errno, HeadEvent, Module, PollEvents, Priority, Signals};
use millstream_msg::{Band, Kind};

const ALL: PollEvents = PollEvents::READ.with(PollEvents::WRITE);

fn poll(line: &mut Line, asked: PollEvents) -> PollEvents {
    line.p.poll_head(line.stream, asked).unwrap()
}

fn put(line: &mut Line, band: u8) -> Result<(), Errno> {
    line.p.putpmsg(line.stream, None, Some(b"ten bytes."), Priority::Band(band))
}

/// Nothing leaves the device; bands 0 and 5 are full down to it.
fn stuck() -> Line {
    let mut line = line_with(Polite);
    line.probe.set_room(Some(0));
    for band in [0, 5] {
        while put(&mut line, band).is_ok() {
            line.settle();
        }
    }
    line
}

/// Takes what the module holds.
fn relieve(line: &mut Line) {
    line.probe.set_room(None);
    line.p.writable(line.driver);
    line.settle();
}

#[test]
fn e50_a_message_of_band_0_is_normal_input() {
    let mut line = line();
    assert_eq!(poll(&mut line, PollEvents::READ), PollEvents::empty());
    line.arrives(Kind::Data, b"x");
    assert_eq!(
        poll(&mut line, ALL).only(PollEvents::READ),
        PollEvents::IN.with(PollEvents::RDNORM)
    );
}

#[test]
fn e50_an_empty_message_counts() {
    let mut line = line();
    line.arrives(Kind::Data, b"");
    assert!(poll(&mut line, PollEvents::IN).contains(PollEvents::IN));
}

#[test]
fn e50_a_message_of_a_band_is_banded_input() {
    let mut line = line();
    line.arrives(Kind::Data, b"x");
    line.arrives_in_band(1, b"x");
    assert_eq!(poll(&mut line, PollEvents::READ), PollEvents::IN.with(PollEvents::RDBAND));
}

#[test]
fn e50_high_priority_is_reported_alone() {
    let mut line = line();
    line.arrives_in_band(1, b"x");
    line.arrives(Kind::PcProto, b"x");
    assert_eq!(poll(&mut line, PollEvents::READ), PollEvents::PRI);
}

#[test]
fn e50_only_what_is_asked_for_is_said() {
    let mut line = line();
    line.arrives(Kind::Data, b"x");
    assert_eq!(poll(&mut line, PollEvents::RDBAND), PollEvents::empty());
    assert_eq!(poll(&mut line, PollEvents::empty()), PollEvents::empty());
}

#[test]
fn e50_output_is_possible_while_band_0_below_has_room_and_relief_is_told() {
    let mut line = stuck();
    line.events();
    assert_eq!(poll(&mut line, PollEvents::OUT), PollEvents::empty());
    relieve(&mut line);
    assert!(line.events().contains(&HeadEvent::Writable));
    let both = PollEvents::OUT.with(PollEvents::WRNORM);
    assert_eq!(poll(&mut line, both), both);
}

#[test]
fn e50_banded_output_is_possible_when_no_band_was_ever_used() {
    let mut line = line_with(Polite);
    assert_eq!(poll(&mut line, PollEvents::WRBAND), PollEvents::WRBAND);
}

#[test]
fn e50_banded_output_is_possible_while_any_used_band_has_room() {
    let mut line = stuck();
    assert_eq!(poll(&mut line, PollEvents::WRBAND), PollEvents::empty(), "band 5 is full");
    put(&mut line, 7).unwrap();
    assert_eq!(poll(&mut line, PollEvents::WRBAND), PollEvents::WRBAND, "band 7 is not");
}

#[test]
fn e50_an_error_is_reported_to_who_asks_about_its_side() {
    let mut line = line();
    line.arrives(Kind::Error, &[5, 0xff]);
    assert!(poll(&mut line, PollEvents::IN).contains(PollEvents::ERR));
    assert!(!poll(&mut line, PollEvents::OUT).contains(PollEvents::ERR));
    line.arrives(Kind::Error, &[0, 5]);
    assert!(!poll(&mut line, PollEvents::PRI).contains(PollEvents::ERR));
    assert!(poll(&mut line, PollEvents::WRBAND).contains(PollEvents::ERR));
}

#[test]
fn e50_a_hangup_is_reported_unasked_and_never_with_output() {
    let mut line = line();
    line.arrives(Kind::Data, b"last");
    line.arrives(Kind::Hangup, b"");
    let input = PollEvents::IN.with(PollEvents::RDNORM);
    assert_eq!(poll(&mut line, ALL), input.with(PollEvents::HUP));
    assert_eq!(poll(&mut line, PollEvents::empty()), PollEvents::HUP);
}

#[test]
fn e51_a_program_is_told_only_what_it_asked_for() {
    let mut line = line();
    line.arrives(Kind::Data, b"x");
    assert_eq!(line.signals(), []);
    line.p.set_signals(line.stream, Signals::RDBAND).unwrap();
    line.p.getmsg(line.stream).unwrap();
    line.arrives(Kind::Data, b"x");
    assert_eq!(line.signals(), []);
    line.arrives_in_band(1, b"x");
    assert_eq!(line.signals(), [Signals::RDBAND]);
}

#[test]
fn e51_input_signals_name_the_class_of_the_message_that_became_first() {
    let mut line = line();
    line.p.set_signals(line.stream, Signals::ALL).unwrap();
    line.arrives(Kind::Data, b"x");
    assert_eq!(line.signals(), [Signals::INPUT.with(Signals::RDNORM)]);
    line.arrives(Kind::Data, b"not the first");
    assert_eq!(line.signals(), []);
    line.arrives_in_band(1, b"x");
    let band = Signals::INPUT.with(Signals::RDBAND).with(Signals::BANDURG);
    assert_eq!(line.signals(), [band]);
    line.arrives(Kind::PcProto, b"x");
    assert_eq!(line.signals(), [Signals::HIPRI]);
}

#[test]
fn e51_relief_of_band_0_is_s_wrnorm_and_of_another_band_s_wrband() {
    let mut line = line_with(Polite);
    line.p.set_signals(line.stream, Signals::OUTPUT.with(Signals::WRBAND)).unwrap();
    line.probe.set_room(Some(0));
    while put(&mut line, 0).is_ok() {
        line.settle();
    }
    relieve(&mut line);
    assert_eq!(line.signals(), [Signals::OUTPUT]);
    line.probe.set_room(Some(0));
    while put(&mut line, 5).is_ok() {
        line.settle();
    }
    relieve(&mut line);
    assert_eq!(line.signals(), [Signals::WRBAND]);
}

#[test]
fn e51_errors_and_hangups_are_told() {
    let mut line = line();
    line.p.set_signals(line.stream, Signals::ERROR.with(Signals::HANGUP)).unwrap();
    line.arrives(Kind::Error, &[5]);
    line.arrives(Kind::Hangup, b"");
    assert_eq!(line.signals(), [Signals::ERROR, Signals::HANGUP]);
}

#[test]
fn e51_nothing_unregisters_and_is_invalid_when_nothing_was_registered() {
    let mut line = line();
    let (p, stream) = (&mut line.p, line.stream);
    assert_eq!(p.set_signals(stream, Signals::empty()), Err(Errno::EINVAL));
    assert_eq!(p.signals(stream), Err(Errno::EINVAL));
    p.set_signals(stream, Signals::INPUT).unwrap();
    assert_eq!(p.signals(stream), Ok(Signals::INPUT));
    p.set_signals(stream, Signals::empty()).unwrap();
    assert_eq!(p.signals(stream), Err(Errno::EINVAL));
}

#[test]
fn e51_unknown_signals_are_no_set() {
    assert_eq!(Signals::from_number(0x3ff), Some(Signals::ALL));
    assert_eq!(Signals::from_number(0x400), None);
    assert_eq!(Signals::from_number(0x1_0001), None);
}

#[test]
fn e52_m_sig_is_told_when_it_reaches_the_front_and_m_pcsig_at_once() {
    let mut line = line();
    line.p.set_signals(line.stream, Signals::MSG).unwrap();
    line.arrives(Kind::Data, b"x");
    line.arrives(Kind::Sig, &[1]);
    assert_eq!(line.signals(), []);
    line.arrives(Kind::PcSig, &[1]);
    assert_eq!(line.signals(), [Signals::MSG]);
    assert_eq!(line.read(9).unwrap(), b"x");
    assert_eq!(line.signals(), [Signals::MSG]);
    assert_eq!(line.read(9), Err(Errno::EAGAIN), "it is no message to read");
    line.arrives(Kind::Sig, &[1]);
    assert_eq!(line.signals(), [Signals::MSG], "first at once");
}

#[test]
fn relief_below_is_told_again_after_a_module_came_in_between() {
    let mut line = stuck();
    line.events();
    let module: Box<dyn Module> = Box::new(common::Holder);
    line.p.push(line.stream, module).unwrap();
    line.settle();
    assert!(line.events().contains(&HeadEvent::Writable), "there is room in the new queue");
    assert!(line.p.can_put(line.stream, Some(Band(0))).unwrap());
}
