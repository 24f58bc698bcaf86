//! What a change of a running stack costs: how long the stack stands still for it, and what the
//! traffic of a stream feels when modules come and go beside it. One process, one thread: the
//! times are those of the core.

use crate::Trouble;
use crate::report::{Options, Report, Side};
use millstream_core::{Caps, Config, Device, Errno, Event, Perimeter, StreamId};
use millstream_modules::count::Count;
use millstream_msg::offload::Can;
use millstream_msg::{MsgList, Pool, PoolConfig};
use std::time::{Duration, Instant};

const ABOUT: &str = "a module inserted and removed while traffic flows: nanoseconds for which the \
    stack stands still, and what messages of 64 bytes through a loop of two modules feel";

const PAUSE: &[(&str, &str)] = &[
    ("p50", "ns"),
    ("p99.9", "ns"),
    ("longest", "ns"),
    ("longest, of the thread", "ns"),
    ("changes", "/s"),
];
const FLOW: &[(&str, &str)] =
    &[("rate", "/s"), ("p50", "ns"), ("p99.9", "ns"), ("longest", "ns"), ("changes", "/s")];

/// Streams of the stack, with two modules each.
const STREAMS: [usize; 2] = [10, 10_000];
/// Changes a second.
const RATES: [u64; 4] = [0, 100, 1000, 10_000];
/// Bytes of a message.
const BYTES: usize = 64;
/// Streams that have a message under way while a change is timed.
const BUSY: usize = 64;

/// Runs the experiment.
///
/// # Errors
/// None of its own.
pub fn run(options: &Options) -> Result<Report, Trouble> {
    let mut report = Report::in_memory("change", ABOUT, options);
    let seconds = options.seconds;
    let pauses = STREAMS.map(|streams| Side {
        name: format!("pause, {streams} streams"),
        figures: PAUSE,
        sample: Box::new(move || pause(streams, seconds)) as Box<dyn Fn() -> _>,
    });
    report.measure(options, &pauses);
    let flows = RATES.map(|rate| Side {
        name: format!("flow, {rate} changes/s"),
        figures: FLOW,
        sample: Box::new(move || flow(rate, seconds)) as Box<dyn Fn() -> _>,
    });
    report.measure(options, &flows);
    report.note(
        "of the thread: its processor time; the other times include what others got of the core",
    );
    report.note("latency: from putmsg to getmsg of the same message, a change in between included");
    Ok(report)
}

/// What is sent comes back.
#[derive(Default)]
struct Loop(MsgList);

impl Device for Loop {
    fn caps(&self) -> Caps {
        Caps { mtu: 1500, mac: [2, 0, 0, 0, 0, 1], can: Can::ALL }
    }

    fn recv(&mut self, _: &mut Pool, out: &mut MsgList, budget: usize) -> Result<usize, Errno> {
        let mut frames = self.0.split_front(budget);
        let count = frames.len();
        out.append(&mut frames);
        Ok(count)
    }

    fn send(&mut self, batch: &mut MsgList) -> Result<(), Errno> {
        self.0.append(batch);
        Ok(())
    }
}

/// A stack of streams on loops.
struct Bench {
    p: Perimeter,
    streams: Vec<(StreamId, millstream_core::NodeId)>,
}

impl Bench {
    fn new(streams: usize) -> Result<Self, Trouble> {
        let pool = Pool::new(PoolConfig { small: 4096, ..PoolConfig::TINY });
        let mut p = Perimeter::new(Config { pool, seed: 1, clock: None });
        let mut all = Vec::with_capacity(streams);
        for n in 0..streams {
            let (stream, driver) = p.open_device(&format!("loop{n}"), Box::new(Loop::default()));
            for _ in 0..2 {
                p.push(stream, Box::new(Count::default())).map_err(|why| why.to_string())?;
            }
            all.push((stream, driver));
        }
        Ok(Self { p, streams: all })
    }

    /// Sends a message of the first streams, as far as its loop.
    fn send(&mut self, at: usize) -> Result<(), Trouble> {
        let msg = self.p.pool().copy_from(0, &[0; BYTES]).map_err(|_| "no memory")?;
        let sent = self.p.putmsg(self.streams[at].0, msg);
        sent.map_err(|(errno, _)| errno.to_string())?;
        Ok(())
    }

    /// Lets what is under way of a stream come back; what was read.
    fn receive(&mut self, at: usize) -> usize {
        let (stream, driver) = self.streams[at];
        self.p.turn(0, 10_000);
        self.p.poll(driver, 64);
        self.p.turn(0, 10_000);
        let mut count = 0;
        while let Ok(Some(got)) = self.p.getmsg(stream) {
            for part in [got.control, got.data].into_iter().flatten() {
                self.p.pool().free(part);
            }
            count += 1;
        }
        while let Some(event) = self.p.event() {
            debug_assert!(!matches!(event, Event::DeviceGone(..)), "a loop does not fail");
        }
        count
    }

    /// Puts a module into the middle of a stream, or takes it out again.
    fn change(&mut self, at: usize, there: &mut bool) -> Result<(), Trouble> {
        let stream = self.streams[at].0;
        if std::mem::replace(there, !*there) {
            drop(self.p.remove(stream, 1).map_err(|why| why.to_string())?);
        } else {
            let module = Box::new(Count::default());
            self.p.insert(stream, 1, module).map_err(|why| why.to_string())?;
        }
        Ok(())
    }
}

/// One change after the other, each with messages in the inboxes of other streams.
fn pause(streams: usize, seconds: f64) -> Result<Vec<f64>, Trouble> {
    let mut bench = Bench::new(streams)?;
    let busy = BUSY.min(streams);
    let (mut pauses, mut there, mut at) = (Vec::new(), vec![false; streams], 0);
    let end = Instant::now() + Duration::from_secs_f64(seconds);
    let (mut spent, mut longest_own) = (Duration::ZERO, 0.0_f64);
    while Instant::now() < end {
        for stream in 0..busy {
            bench.send(stream)?;
        }
        for _ in 0..16 {
            at = (at + 7919) % streams;
            let (own, began) = (thread_ns(), Instant::now());
            bench.change(at, &mut there[at])?;
            let pause = began.elapsed();
            longest_own = longest_own.max(thread_ns() - own);
            spent += pause;
            pauses.push(pause.as_nanos() as f64);
        }
        for stream in 0..busy {
            bench.receive(stream);
        }
    }
    let per_second = pauses.len() as f64 / spent.as_secs_f64();
    let [p50, p999, longest] = quantiles(&mut pauses);
    Ok(vec![p50, p999, longest, longest_own, per_second])
}

/// One message at a time through one of 10,000 streams, which is changed at a rate.
fn flow(rate: u64, seconds: f64) -> Result<Vec<f64>, Trouble> {
    let mut bench = Bench::new(STREAMS[1])?;
    let (mut times, mut there, mut changes) = (Vec::new(), false, 0_u64);
    let start = Instant::now();
    loop {
        let began = start.elapsed();
        if began.as_secs_f64() >= seconds {
            break;
        }
        bench.send(0)?;
        if changes < began.as_micros() as u64 * rate / 1_000_000 {
            bench.change(0, &mut there)?;
            changes += 1;
        }
        if bench.receive(0) != 1 {
            return Err("a message did not come back".into());
        }
        times.push((start.elapsed() - began).as_nanos() as f64);
    }
    let seconds = start.elapsed().as_secs_f64();
    let per_second = times.len() as f64 / seconds;
    let [p50, p999, longest] = quantiles(&mut times);
    Ok(vec![per_second, p50, p999, longest, changes as f64 / seconds])
}

/// Processor time that this thread has had. Nanoseconds.
fn thread_ns() -> f64 {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::ThreadCPUTime);
    time.tv_sec as f64 * 1e9 + time.tv_nsec as f64
}

/// Median, 99.9 % and the longest.
fn quantiles(times: &mut [f64]) -> [f64; 3] {
    times.sort_by(f64::total_cmp);
    let last = times.len().saturating_sub(1);
    let at = |share: f64| times.get((last as f64 * share) as usize).copied().unwrap_or_default();
    [at(0.5), at(0.999), at(1.0)]
}
