//! A flood to a stream whose reader never reads: memory stays at its bound, the rest goes on.

use crate::Trouble;
use crate::client::{Load, echo, flood};
use crate::lab::{Lab, Mode, Pinning, on_core};
use crate::report::{Options, Report, Side};
use crate::stack;
use millstream_msg::PoolConfig;
use std::net::SocketAddr;

const ABOUT: &str = "64-byte datagrams to a bound stream that nobody reads, then one echo on \
    another port: what the pool holds, and where the datagrams went";

/// Datagrams of the flood.
const DATAGRAMS: u64 = 10_000_000;
const DATAGRAMS_QUICK: u64 = 200_000;

/// Port of the stream that nobody reads.
pub const BLOCKED: u16 = 9;

/// What a flood has left.
#[derive(Debug)]
pub struct Flooded {
    /// Memory of the pool before and after. Bytes.
    pub memory_bytes: [usize; 2],
    /// Datagrams that reached the stack.
    pub arrived: u64,
    /// Drops of `udp` by reason.
    pub drops: Vec<(&'static str, u64)>,
    /// Answers of the echo afterwards, per second.
    pub echoed_per_second: f64,
}

/// Runs the experiment. The flood is one run, however many are asked for.
///
/// # Errors
/// Without the right to make a namespace.
pub fn run(options: &Options) -> Result<Report, Trouble> {
    drop(Lab::new(0)?);
    let mut report = Report::new("flood", ABOUT, options);
    let datagrams = if options.quick { DATAGRAMS_QUICK } else { DATAGRAMS };
    let reasons = std::cell::RefCell::new(Vec::new());
    let sides = [Side {
        name: format!("{datagrams} datagrams"),
        figures: &[
            ("before", "bytes"),
            ("after", "bytes"),
            ("bound", "bytes"),
            ("arrived", "datagrams"),
            ("dropped", "datagrams"),
            ("echo", "/s afterwards"),
        ],
        sample: Box::new(|| {
            let Flooded { memory_bytes: [before, after], arrived, drops, echoed_per_second } =
                once(datagrams)?;
            let dropped: u64 = drops.iter().map(|(_, count)| count).sum();
            *reasons.borrow_mut() = drops;
            let bound = PoolConfig::STACK.bytes();
            let counts = [before as f64, after as f64, bound as f64, arrived as f64];
            Ok([&counts[..], &[dropped as f64, echoed_per_second]].concat())
        }),
    }];
    report.measure(&Options { runs: 1, ..options.clone() }, &sides);
    drop(sides);
    for (reason, count) in reasons.into_inner() {
        report.note(format!("dropped by udp: {reason} {count}"));
    }
    Ok(report)
}

/// One flood.
///
/// # Errors
/// Without rights; when the stack does not answer afterwards.
pub fn once(datagrams: u64) -> Result<Flooded, Trouble> {
    let lab = Lab::new(1)?;
    let running = stack::echo(&lab, Some(Pinning::Two.server()), Mode::Sleeping)?;
    let blocked = SocketAddr::new(lab.far().address(), BLOCKED);
    let udp = running.udp;
    running.handle.call(move |shard| stack::bound(shard.core(), udp, blocked).map(drop))??;
    // The echo once before: the address is resolved, and the pool has what it needs for that.
    answers(&lab)?;
    let before = running.pool()?.memory_bytes;
    let socket = lab.client()?;
    socket.connect(blocked)?;
    let (arrived_before, _) = running.frames_in(0)?;
    on_core(Some(Pinning::Two.client()), || flood(&socket, datagrams))?;
    let after = running.pool()?.memory_bytes;
    let (arrived_after, _) = running.frames_in(0)?;
    Ok(Flooded {
        memory_bytes: [before, after],
        arrived: arrived_after - arrived_before,
        drops: running.udp_drops()?,
        echoed_per_second: answers(&lab)?,
    })
}

fn answers(lab: &Lab) -> Result<f64, Trouble> {
    let load = Load { outstanding: 1, seconds: 0.1, mode: Mode::Sleeping };
    Ok(echo(&lab.client()?, load)?.per_second)
}
