//! What a module costs a message: chains without a protocol, by their length, by how messages go
//! from one to the next, and by the size of a message.

use crate::Trouble;
use crate::chain::{Chain, Nested, Style, TRIPS};
use crate::lab::on_core;
use crate::report::{Options, Point, Report, Side};
use std::hint::black_box;
use std::sync::Arc;
use std::time::Instant;

const ABOUT: &str = "chains of modules that pass each message on: nanoseconds per message over the \
    number of modules, with the line through them (its slope is the price of a module)";

const FIGURES: &[(&str, &str)] = &[("message", "ns")];

/// Numbers of modules.
pub(super) const MODULES: [usize; 6] = [0, 1, 2, 4, 8, 16];
/// Bytes of a message.
const BYTES: [usize; 5] = [1, 64, 1500, 9000, 65_536];
/// Modules where sizes are compared.
const AT_SIZES: usize = 4;
/// Threads that a message crosses.
const CROSSINGS: [usize; 4] = [1, 2, 4, 8];

/// A way for messages to go from module to module. `None`: nested calls.
pub(super) type Way = (&'static str, Option<(Style, usize)>);

pub(super) const WAYS: [Way; 5] = [
    ("run list, put only, batches of 32", Some((Style::PerMessage, TRIPS))),
    ("run list, put only, one by one", Some((Style::PerMessage, 1))),
    ("run list, service queue, batches of 32", Some((Style::Service, TRIPS))),
    ("run list, service queue, one by one", Some((Style::Service, 1))),
    ("nested calls that can carry a reply", None),
];

/// Runs the experiment.
///
/// # Errors
/// None; what cannot be measured is said in the report.
pub fn run(options: &Options) -> Result<Report, Trouble> {
    let mut report = Report::in_memory("layers", ABOUT, options);
    // A chain settles within milliseconds; there are many of them.
    let seconds = options.seconds / 5.0;
    let mut sides = Vec::new();
    for (way, form) in WAYS {
        for modules in MODULES {
            let sample = move || on_core(Some(1), || Ok(vec![chain(form, modules, seconds)]));
            sides.push(side(name(way, modules), sample));
        }
    }
    for bytes in BYTES {
        let sample = move || on_core(Some(1), || Ok(vec![sized(bytes, seconds)]));
        sides.push(side(size_name(bytes), sample));
    }
    for crossings in CROSSINGS {
        let sample = move || on_core(Some(1), || cross(crossings, seconds));
        sides.push(side(crossing_name(crossings), sample));
    }
    report.measure(options, &sides);
    for (way, form) in WAYS {
        let points = MODULES.map(|n| Point { x: n as f64, side: name(way, n) });
        // The service queue one by one is an order above the others.
        let plot = match form {
            Some((Style::Service, 1)) => "with a service queue, one by one",
            _ => "a message through modules",
        };
        report.curve(plot, way, "message", "modules", points.into());
    }
    let points = BYTES.map(|bytes| Point { x: bytes as f64, side: size_name(bytes) });
    let plot = "a message through 4 modules, put only, batches of 32";
    report.curve(plot, "by its size", "message", "bytes of a message", points.into());
    let points = CROSSINGS.map(|n| Point { x: n as f64, side: crossing_name(n) });
    let plot = "a message from thread to thread through a ring";
    report.curve(plot, "both threads poll", "message", "crossings", points.into());
    report.note("a module looks at the length of each message; no payload is touched");
    report.note("crossings: a message goes to and fro between cores 1 and 0, alone in the rings");
    Ok(report)
}

fn side<'a>(name: String, sample: impl Fn() -> Result<Vec<f64>, Trouble> + 'a) -> Side<'a> {
    Side { name, figures: FIGURES, sample: Box::new(sample) }
}

pub(super) fn name(way: &str, modules: usize) -> String {
    format!("{way}: {modules} modules")
}

fn size_name(bytes: usize) -> String {
    format!("{AT_SIZES} modules: {bytes} bytes")
}

fn crossing_name(crossings: usize) -> String {
    format!("cross-thread ring: {crossings} crossings")
}

fn chain(form: Option<(Style, usize)>, modules: usize, seconds: f64) -> f64 {
    match form {
        Some((style, batch)) => {
            let mut chain = Chain::new(modules, style, batch, None);
            per_message(seconds, || black_box(&mut chain).cycle())
        }
        None => {
            let mut nested = Nested::new(modules);
            per_message(seconds, || black_box(&mut nested).cycle())
        }
    }
}

fn sized(bytes: usize, seconds: f64) -> f64 {
    let mut chain = Chain::of_bytes(bytes, AT_SIZES, Style::PerMessage, TRIPS, None);
    per_message(seconds, || black_box(&mut chain).cycle())
}

/// Nanoseconds per message: the median of short stretches, so that what else runs on the machine
/// counts little.
fn per_message(seconds: f64, mut cycle: impl FnMut()) -> f64 {
    const CYCLES: usize = 50;
    let mut stretches = Vec::new();
    let start = Instant::now();
    while start.elapsed().as_secs_f64() < seconds || stretches.len() < 3 {
        let began = Instant::now();
        (0..CYCLES).for_each(|_| cycle());
        stretches.push(began.elapsed().as_nanos() as f64 / (CYCLES * TRIPS) as f64);
    }
    stretches.sort_by(f64::total_cmp);
    stretches[stretches.len() / 2]
}

/// The ring of a stack's posts, between a thread here and one on core 0.
fn cross(crossings: usize, seconds: f64) -> Result<Vec<f64>, Trouble> {
    use crossbeam_queue::ArrayQueue;
    use millstream_msg::{Msg, Pool, PoolConfig};
    use std::sync::atomic::{AtomicBool, Ordering};
    const RING: usize = 64;
    let there = Arc::new(ArrayQueue::<Msg>::new(RING));
    let back = Arc::new(ArrayQueue::<Msg>::new(RING));
    let over = Arc::new(AtomicBool::new(false));
    let (their_in, their_out, their_over) = (there.clone(), back.clone(), over.clone());
    let (begins, begun) = std::sync::mpsc::channel();
    let other = crate::lab::Service::start("crossing", Some(0), move |_| {
        begins.send(())?;
        while !their_over.load(Ordering::Relaxed) {
            if let Some(msg) = their_in.pop() {
                their_out.push(msg).map_err(|_| "one message fills no ring")?;
            }
        }
        Ok(())
    })?;
    // It begins on this core: whoever spins here before it has left could keep it from running.
    begun.recv()?;
    let mut pool = Pool::new(PoolConfig::TINY);
    let mut msg = pool.copy_from(64, &[7; 64]).map_err(|why| why.to_string())?;
    let mut stretches = Vec::new();
    let start = Instant::now();
    while start.elapsed().as_secs_f64() < seconds || stretches.len() < 3 {
        const MESSAGES: usize = 100;
        let began = Instant::now();
        for _ in 0..MESSAGES {
            // An odd crossing ends on the other side; half a round trip is one.
            for _ in 0..crossings {
                there.push(msg).map_err(|_| "one message fills no ring")?;
                msg = loop {
                    if let Some(msg) = back.pop() {
                        break msg;
                    }
                    std::hint::spin_loop();
                };
            }
        }
        stretches.push(began.elapsed().as_nanos() as f64 / (2 * MESSAGES) as f64);
    }
    over.store(true, Ordering::Relaxed);
    other.stop()?;
    pool.free(msg);
    stretches.sort_by(f64::total_cmp);
    Ok(vec![stretches[stretches.len() / 2]])
}
