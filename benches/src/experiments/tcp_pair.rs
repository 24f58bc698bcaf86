//! Two stacks in one thread, joined by a pair: what a packet costs, both ends together.

use crate::Trouble;
use crate::lab::on_core;
use crate::report::{Options, Report, Side};
use crate::smoltcp;
use crate::stream;
use std::time::Instant;

const ABOUT: &str = "TCP bulk over a pair in one thread: packets of 1460 bytes, no super-segments, \
    no checksums, ACKs included; ns per packet, both ends together";

/// Connections that stand and are still.
const IDLE: usize = 100_000;
const ALONE: &str = "millstream, one connection";
const BESIDE_IDLE: &str = "millstream, beside 100,000 idle connections";

/// Payload of a packet.
const PACKET: f64 = 1460.0;

/// Time before measuring.
const WARM_UP: f64 = 0.05;

/// Runs the experiment.
///
/// # Errors
/// None; what cannot be measured is said in the report.
pub fn run(options: &Options) -> Result<Report, Trouble> {
    let mut report = Report::in_memory("tcp_pair", ABOUT, options);
    let seconds = options.seconds;
    let figures: &[_] = &[("packet", "ns")];
    let stack = move || {
        on_core(Some(1), || {
            let mut two = stream::Two::new()?;
            let connection = two.connected()?;
            Ok(vec![ns_per_packet(seconds, || two.round(connection))?])
        })
    };
    let idle = if options.quick { 100 } else { IDLE };
    let beside_idle = move || {
        on_core(Some(1), || {
            let mut two = stream::Two::new()?;
            let connection = two.connected()?;
            let _idle = two.idle(idle)?;
            Ok(vec![ns_per_packet(seconds, || two.round(connection))?])
        })
    };
    let smoltcp = move || {
        on_core(Some(1), || {
            let mut two = smoltcp::Two::connected()?;
            Ok(vec![ns_per_packet(seconds, || Ok(two.round()))?])
        })
    };
    let sides = [
        Side { name: ALONE.into(), figures, sample: Box::new(stack) },
        Side { name: BESIDE_IDLE.into(), figures, sample: Box::new(beside_idle) },
        Side { name: "smoltcp".into(), figures, sample: Box::new(smoltcp) },
    ];
    report.measure(options, &sides);
    report.ratio("packet", "smoltcp", ALONE, Some(1.0));
    report.ratio("packet", ALONE, BESIDE_IDLE, None);
    Ok(report)
}

/// `round` moves bytes and says how many.
fn ns_per_packet(
    seconds: f64,
    mut round: impl FnMut() -> Result<usize, Trouble>,
) -> Result<f64, Trouble> {
    let mut measure = |seconds: f64| {
        let start = Instant::now();
        let mut bytes = 0;
        loop {
            bytes += round()?;
            let so_far = start.elapsed().as_secs_f64();
            if so_far >= seconds {
                return Ok(so_far * 1e9 / (bytes as f64 / PACKET));
            }
        }
    };
    measure(WARM_UP).and_then(|_| measure(seconds))
}
