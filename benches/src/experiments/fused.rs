//! What the plumbing of STREAMS costs: the echo of UDP and a program over TCP, as a stack of
//! modules and as the same protocol functions called directly, in pairs; and as a share of a
//! message through the TAP.

use crate::Trouble;
use crate::baseline::Does;
use crate::client::{Load, SUPER, echo, echo_super};
use crate::fit::median_of_pairs;
use crate::in_memory::tcp::{Connected, Form, MESSAGE, Talk};
use crate::in_memory::{Fused, Layered, Shape, batch};
use crate::lab::{Lab, Mode, Pinning, on_core};
use crate::report::{Options, Report, Side};
use crate::tcp::{SETTINGS, Setting};
use crate::work::{ECHO, INWARDS, OUTWARDS, STRUCTURES, THREAD, Work};
use crate::{instructions, stack};
use std::time::Instant;

const ABOUT: &str = "UDP echo and a program over TCP in memory, as driver, arp, ip and udp or \
    tcp with queues between them, and fused: the same functions called one after the other; \
    nanoseconds per message, their difference in pairs with its 95 % interval, and the share of it \
    in a message through the TAP";

const PAIRS: &[(&str, &str)] = &[
    ("plumbing", "ns"),
    ("plumbing, at least", "ns"),
    ("plumbing, at most", "ns"),
    ("layered", "ns"),
    ("fused", "ns"),
];
const WHOLE: &[(&str, &str)] = &[("plumbing", "ns")];
const COUNTED: &[(&str, &str)] =
    &[("plumbing", "instructions"), ("layered", "instructions"), ("fused", "instructions")];

/// What is asked: the most that the plumbing may be of the whole.
const OF_BULK: f64 = 0.02;
const OF_RR: f64 = 0.03;

/// Frames that a driver reads at once.
const BATCHES: [usize; 2] = [32, 1];
const SUPERS: usize = 8;

/// Runs the experiment.
///
/// # Errors
/// None; what cannot be measured is said in the report.
pub fn run(options: &Options) -> Result<Report, Trouble> {
    let mut report = Report::new("fused", ABOUT, options);
    let seconds = options.seconds;
    let mut sides = Vec::new();
    for shape in Shape::ALL {
        for count in batches(shape) {
            let sample = move || on_core(Some(1), || pairs(shape, count, seconds));
            sides.push(Side { name: name(shape, count), figures: PAIRS, sample: Box::new(sample) });
        }
    }
    let [rr, bulk] = ["one datagram and back, both sides polling", "super-frames, sleeping"];
    let through = |what: &str| format!("whole, through the TAP: {what}");
    sides.push(Side {
        name: through(rr),
        figures: WHOLE,
        sample: Box::new(move || one_and_back(seconds)),
    });
    sides.push(Side {
        name: through(bulk),
        figures: WHOLE,
        sample: Box::new(move || supers(seconds)),
    });
    for &talk in talks(options) {
        let sample = move || on_core(Some(1), || tcp_pairs(talk, seconds));
        sides.push(Side { name: of_tcp(talk), figures: PAIRS, sample: Box::new(sample) });
        let sample = move || {
            let [layered, fused] = [Form::Layered, Form::Fused].map(|form| counted(form, talk));
            let (layered, fused) = (layered?, fused?);
            Ok(vec![layered - fused, layered, fused])
        };
        let name = format!("counted, {}", of_tcp(talk));
        sides.push(Side { name, figures: COUNTED, sample: Box::new(sample) });
    }
    for (what, setting, work, plain) in WHOLES {
        let sample = move || whole(setting, work, plain, seconds);
        sides.push(Side { name: through(what), figures: WHOLE, sample: Box::new(sample) });
    }
    report.measure(options, &sides);
    let small = name(Shape::Small, 1);
    let large = name(Shape::Super, SUPERS);
    report.ratio_at_most("plumbing", &small, &through(rr), OF_RR);
    report.ratio_at_most("plumbing", &large, &through(bulk), OF_BULK);
    for (talk, (what, ..), target) in [
        (Talk::Echo, WHOLES[0], Some(OF_RR)),
        (Talk::Inwards, WHOLES[1], Some(OF_BULK)),
        (Talk::Outwards, WHOLES[2], Some(OF_BULK)),
        (Talk::InwardsPlain, WHOLES[3], None),
    ] {
        match target {
            Some(most) => report.ratio_at_most("plumbing", &of_tcp(talk), &through(what), most),
            None => report.ratio("plumbing", &of_tcp(talk), &through(what), None),
        }
    }
    report
        .note("a pair is 50 batches of each form, the first one by turns; frames are made before");
    report.note(
        "whole: the time per message, client and kernel included, from client core 0 to core 1",
    );
    report.note(
        "TCP: a program's thread with the engine of `in process, one thread`, and of `in process, \
         fused`; the caller, modules in both, is not in the time; a message is 44 segments with \
         their timestamps, as one super-frame or as frames of the MTU",
    );
    Ok(report)
}

/// Through the TAP: what, where, the work of it, and whether frames have the size of the MTU.
type Through = (&'static str, Setting, Work, bool);

const WHOLES: [Through; 4] = [
    ("TCP, a byte there and back, both sides polling", SETTINGS[1], ECHO, false),
    ("TCP inwards, 64 KiB, sleeping", SETTINGS[0], INWARDS, false),
    ("TCP outwards, 64 KiB, sleeping", SETTINGS[0], OUTWARDS, false),
    ("TCP inwards, 64 KiB without offloads, sleeping", SETTINGS[0], INWARDS, true),
];

/// Time of a message by a program with modules on its thread. Nanoseconds.
fn whole(setting: Setting, work: Work, plain: bool, seconds: f64) -> Result<Vec<f64>, Trouble> {
    let lab = Lab::new(1)?;
    let lab = if plain { lab.without_offloads() } else { lab };
    let known = STRUCTURES.iter().find(|(name, _)| *name == THREAD);
    let figures = work.sample(&lab, *known.ok_or("no such structure")?, setting, seconds)?;
    Ok(vec![match work.does {
        Does::Echo | Does::Calls => 1e9 / figures[0],
        Does::Discard | Does::Chargen => MESSAGE as f64 * 8.0 / figures[0],
    }])
}

/// A quick look has those that something is asked of.
fn talks(options: &Options) -> &'static [Talk] {
    if options.quick { &[Talk::Echo, Talk::Inwards] } else { &Talk::ALL }
}

fn of_tcp(talk: Talk) -> String {
    format!("TCP, {talk}")
}

/// Instructions of a message in one form, without the caller's.
fn counted(form: Form, talk: Talk) -> Result<f64, Trouble> {
    let form = if form == Form::Layered { "layered" } else { "fused" };
    Ok(instructions::of(&format!("tcp {form} {}", talk.word()))?.iter().sum())
}

/// Both forms in turn over TCP; the figures of [`PAIRS`].
fn tcp_pairs(talk: Talk, seconds: f64) -> Result<Vec<f64>, Trouble> {
    let mut layered = Connected::new(Form::Layered, talk, None)?;
    let mut fused = Connected::new(Form::Fused, talk, None)?;
    in_pairs([&mut || layered.round(), &mut || fused.round()], seconds)
}

fn batches(shape: Shape) -> Vec<usize> {
    match shape {
        Shape::Super => vec![SUPERS, 1],
        _ => BATCHES.into(),
    }
}

fn name(shape: Shape, count: usize) -> String {
    match count {
        1 => format!("UDP echo, {shape}, one by one"),
        _ => format!("UDP echo, {shape}, batches of {count}"),
    }
}

/// Both forms in turn over UDP; the figures of [`PAIRS`].
fn pairs(shape: Shape, count: usize, seconds: f64) -> Result<Vec<f64>, Trouble> {
    let (mut layered, mut fused) = (Layered::new()?, Fused::new()?);
    let messages = count as f64;
    in_pairs(
        [&mut || Ok((batch(&mut layered, shape, count)?, messages)), &mut || {
            Ok((batch(&mut fused, shape, count)?, messages))
        }],
        seconds,
    )
}

/// What a form does once: nanoseconds, and messages.
type Once<'a> = &'a mut dyn FnMut() -> Result<(f64, f64), Trouble>;

/// Two forms in turn, the first one by turns; the figures of [`PAIRS`].
fn in_pairs(forms: [Once<'_>; 2], seconds: f64) -> Result<Vec<f64>, Trouble> {
    const ROUNDS_OF_A_PAIR: usize = 50;
    let mut times: [Vec<f64>; 2] = Default::default();
    let mut differences = Vec::new();
    let start = Instant::now();
    while start.elapsed().as_secs_f64() < seconds || differences.len() < 3 {
        let mut per_message = [0.0; 2];
        let first = differences.len() % 2;
        for form in [first, 1 - first] {
            let (mut ns, mut messages) = (0.0, 0.0);
            for _ in 0..ROUNDS_OF_A_PAIR {
                let (took, count) = forms[form]()?;
                (ns, messages) = (ns + took, messages + count);
            }
            per_message[form] = ns / messages.max(1.0);
        }
        let [a, b] = per_message;
        times[0].push(a);
        times[1].push(b);
        differences.push(a - b);
    }
    let medians = times.map(|all| median_of_pairs(all).map_or(f64::NAN, |[median, ..]| median));
    let [plumbing, least, most] = median_of_pairs(differences).ok_or("no pair")?;
    Ok(vec![plumbing, least, most, medians[0], medians[1]])
}

fn one_and_back(seconds: f64) -> Result<Vec<f64>, Trouble> {
    let lab = Lab::new(1)?;
    let _running = stack::echo(&lab, Some(Pinning::Two.server()), Mode::Polling)?;
    let socket = lab.client()?;
    let load = Load { outstanding: 1, seconds, mode: Mode::Polling };
    let seen = on_core(Some(Pinning::Two.client()), || echo(&socket, load))?;
    Ok(vec![1e9 / seen.per_second])
}

fn supers(seconds: f64) -> Result<Vec<f64>, Trouble> {
    let lab = Lab::new(1)?;
    let _running = stack::echo(&lab, Some(Pinning::Two.server()), Mode::Sleeping)?;
    let socket = lab.client()?;
    let per_second = on_core(Some(Pinning::Two.client()), || echo_super(&socket, seconds))?;
    Ok(vec![SUPER as f64 / per_second * 1e9])
}
