//! What the plumbing of STREAMS costs: the echo of UDP as a stack of modules and as the same
//! protocol functions called directly, in pairs; and as a share of a message through the TAP.

use crate::Trouble;
use crate::client::{Load, SUPER, echo, echo_super};
use crate::fit::median_of_pairs;
use crate::in_memory::{Fused, Layered, Shape, batch};
use crate::lab::{Lab, Mode, Pinning, on_core};
use crate::report::{Options, Report, Side};
use crate::stack;
use std::time::Instant;

const ABOUT: &str = "UDP echo in memory, as driver, arp, ip, udp and echo with queues between \
    them, and fused: the same functions called one after the other; nanoseconds per message, their \
    difference in pairs with its 95 % interval, and the share of it in a message through the TAP";

const PAIRS: &[(&str, &str)] = &[
    ("plumbing", "ns"),
    ("plumbing, at least", "ns"),
    ("plumbing, at most", "ns"),
    ("layered", "ns"),
    ("fused", "ns"),
];
const WHOLE: &[(&str, &str)] = &[("plumbing", "ns")];

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
    report.measure(options, &sides);
    let small = name(Shape::Small, 1);
    let large = name(Shape::Super, SUPERS);
    report.ratio_at_most("plumbing", &small, &through(rr), OF_RR);
    report.ratio_at_most("plumbing", &large, &through(bulk), OF_BULK);
    report
        .note("a pair is 50 batches of each form, the first one by turns; frames are made before");
    report.note(
        "whole: the time per message, client and kernel included, from client core 0 to core 1",
    );
    Ok(report)
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

/// Both forms in turn; the figures of [`PAIRS`].
fn pairs(shape: Shape, count: usize, seconds: f64) -> Result<Vec<f64>, Trouble> {
    const BATCHES_OF_A_PAIR: usize = 50;
    let (mut layered, mut fused) = (Layered::new()?, Fused::new()?);
    let mut times: [Vec<f64>; 2] = Default::default();
    let mut differences = Vec::new();
    let start = Instant::now();
    while start.elapsed().as_secs_f64() < seconds || differences.len() < 3 {
        let mut sums = [0.0; 2];
        let first = differences.len() % 2;
        for form in [first, 1 - first] {
            for _ in 0..BATCHES_OF_A_PAIR {
                sums[form] += match form {
                    0 => batch(&mut layered, shape, count)?,
                    _ => batch(&mut fused, shape, count)?,
                };
            }
        }
        let [a, b] = sums.map(|sum| sum / (BATCHES_OF_A_PAIR * count) as f64);
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
