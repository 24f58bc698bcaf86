//! Two stacks in one thread, joined by a pair: what a packet costs, both ends together.

use crate::Trouble;
use crate::lab::on_core;
use crate::report::{Options, Report, Side};
use crate::smoltcp::Two;
use std::time::Instant;

const ABOUT: &str = "TCP bulk over a pair in one thread: packets of 1460 bytes, no super-segments, \
    no checksums, ACKs included; ns per packet, both ends together";

/// Payload of a packet.
const PACKET: f64 = 1460.0;

/// Time before measuring.
const WARM_UP: f64 = 0.05;

/// Runs the experiment.
///
/// # Errors
/// None; what cannot be measured is said in the report.
pub fn run(options: &Options) -> Result<Report, Trouble> {
    let mut report = Report::new("tcp_pair", ABOUT, options);
    let seconds = options.seconds;
    let smoltcp = move || {
        on_core(Some(1), || {
            let mut two = Two::connected()?;
            Ok(vec![ns_per_packet(seconds, || two.round())])
        })
    };
    let sides =
        [Side { name: "smoltcp".into(), figures: &[("packet", "ns")], sample: Box::new(smoltcp) }];
    report.measure(options, &sides);
    Ok(report)
}

/// `round` moves bytes and says how many.
fn ns_per_packet(seconds: f64, mut round: impl FnMut() -> usize) -> f64 {
    let mut measure = |seconds: f64| {
        let start = Instant::now();
        let mut bytes = 0;
        loop {
            bytes += round();
            let so_far = start.elapsed().as_secs_f64();
            if so_far >= seconds {
                return so_far * 1e9 / (bytes as f64 / PACKET);
            }
        }
    };
    measure(WARM_UP);
    measure(seconds)
}
