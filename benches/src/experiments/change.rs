//! What a change of a running stack costs: how long the stack stands still for it, and what the
//! traffic of a stream feels when modules come and go beside it: in one thread, where the times are
//! those of the core, and through a TAP.

use crate::Trouble;
use crate::lab::{Lab, Service, TICK_MS};
use crate::report::{Options, Report, Side};
use crate::stack;
use crate::tcp::{SETTINGS, Setting};
use crate::work::ECHO;
use millstream_core::{Caps, Config, Device, Errno, Event, Perimeter, StreamId};
use millstream_modules::count::Count;
use millstream_msg::offload::Can;
use millstream_msg::{MsgList, Pool, PoolConfig};
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

const ABOUT: &str = "a module inserted and removed while traffic flows: nanoseconds for which the \
    stack stands still, what messages of 64 bytes through a loop of two modules feel, and what a \
    byte over TCP through a TAP and back does, whose interface's stream is changed";

const PAUSE: &[(&str, &str)] = &[
    ("p50", "ns"),
    ("p99.9", "ns"),
    ("longest", "ns"),
    ("longest, of the thread", "ns"),
    ("changes", "/s"),
];
const FLOW: &[(&str, &str)] =
    &[("rate", "/s"), ("p50", "ns"), ("p99.9", "ns"), ("longest", "ns"), ("changes", "/s")];

const TAP: &[(&str, &str)] = &[
    ("rate", "/s"),
    ("p50", "us"),
    ("p99", "us"),
    ("p99.9", "us"),
    ("pause, p99.9", "us"),
    ("changes", "/s"),
];

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
    through_a_tap(&mut report, options);
    report.note(
        "of the thread: its processor time; the other times include what others got of the core",
    );
    report.note("latency: from putmsg to getmsg of the same message, a change in between included");
    Ok(report)
}

/// Requests and responses through the TAP, while a module comes and goes between the driver and
/// arp.
fn through_a_tap(report: &mut Report, options: &Options) {
    let setting = SETTINGS[0];
    let name = |rate: u64, what: Doing| setting.name(&format!("TAP, {rate} {what}"));
    let mut sides = Vec::new();
    let seconds = options.seconds;
    let all = RATES.map(|rate| (rate, Doing::Changes)).into_iter();
    for (rate, what) in all.chain([(RATES[3], Doing::Nothing)]) {
        let sample = move || on_tap(setting, rate, what, seconds);
        sides.push(Side { name: name(rate, what), figures: TAP, sample: Box::new(sample) });
    }
    report.measure(options, &sides);
    let still = name(0, Doing::Changes);
    for (rate, what) in RATES[1..].iter().map(|rate| (*rate, Doing::Changes)) {
        for figure in ["rate", "p99.9"] {
            report.ratio(figure, &name(rate, what), &still, None);
        }
    }
    report.ratio("p99.9", &name(RATES[3], Doing::Nothing), &still, None);
    report.note(
        "TAP: the changes are made by another thread, on the client's core, which comes into the \
         stack for each; empty calls come in as often and change nothing; pause is how long one \
         took inside the stack",
    );
}

/// What another thread does in the stack meanwhile.
#[derive(Clone, Copy, Debug)]
enum Doing {
    Changes,
    Nothing,
}

impl std::fmt::Display for Doing {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Changes => "changes/s",
            Self::Nothing => "empty calls/s",
        })
    }
}

/// The figures of [`TAP`].
fn on_tap(setting: Setting, rate: u64, what: Doing, seconds: f64) -> Result<Vec<f64>, Trouble> {
    let lab = Lab::new(1)?;
    let running = stack::services(&lab, setting.core(), setting.mode, &["echo"])?;
    let (handle, stream) = (running.handle.clone(), running.interfaces[0]);
    let changed = Arc::new(Mutex::new(Vec::new()));
    let theirs = changed.clone();
    let changer = Service::start("changes", Some(setting.pinning.client()), move |stop| {
        let start = Instant::now();
        let (mut there, mut done) = (false, 0_u64);
        while rate > 0 && !stop.load(Ordering::Relaxed) {
            let due = Duration::from_nanos(done * 1_000_000_000 / rate);
            if let Some(early) = due.checked_sub(start.elapsed()) {
                std::thread::sleep(early.min(Duration::from_millis(TICK_MS)));
                continue;
            }
            let pause = handle.call(|shard| -> Result<f64, Trouble> {
                let began = Instant::now();
                if let Doing::Changes = what {
                    put_or_take(shard.core(), stream, &mut there)?;
                }
                Ok(began.elapsed().as_nanos() as f64 / 1e3)
            })??;
            done += 1;
            theirs.lock().unwrap_or_else(PoisonError::into_inner).push(pause);
        }
        Ok(())
    })?;
    let began = Instant::now();
    let (mut figures, _) = lab.inside(|| (ECHO.run)(&lab, setting, seconds))?;
    let took = began.elapsed().as_secs_f64();
    changer.stop()?;
    let mut pauses = std::mem::take(&mut *changed.lock().unwrap_or_else(PoisonError::into_inner));
    let [_, longest, _] = quantiles(&mut pauses);
    figures.extend([longest, pauses.len() as f64 / took]);
    Ok(figures)
}

/// A module above the driver, or no longer.
fn put_or_take(core: &mut Perimeter, stream: StreamId, there: &mut bool) -> Result<(), Trouble> {
    if std::mem::replace(there, !*there) {
        drop(core.remove(stream, 0).map_err(|why| why.to_string())?);
    } else {
        core.insert(stream, 0, Box::new(Count::default())).map_err(|why| why.to_string())?;
    }
    Ok(())
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
