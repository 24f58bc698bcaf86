//! Super-datagrams through the echo service against a bare program.

use crate::Trouble;
use crate::bare::{self, Wait};
use crate::client::echo_super;
use crate::lab::{Lab, Mode, Pinning, on_core};
use crate::report::{Options, Report, Side};
use crate::stack;

const ABOUT: &str = "UDP echo of super-datagrams (44 datagrams of 1472 bytes, UDP_SEGMENT and \
    UDP_GRO), 8 outstanding: bytes per second that came back";

/// What is asked of the stack, of the bare program's figure.
const OF_BARE: f64 = 0.9;

/// Runs the experiment.
///
/// # Errors
/// Without the right to make a namespace.
pub fn run(options: &Options) -> Result<Report, Trouble> {
    drop(Lab::new(0)?);
    let mut report = Report::new("udp_echo_super", ABOUT, options);
    let set_ups = [
        (Pinning::Two, Mode::Sleeping),
        (Pinning::Two, Mode::Polling),
        (Pinning::Same, Mode::Sleeping),
    ];
    for (pinning, mode) in set_ups {
        compare(&mut report, options, pinning, mode);
    }
    Ok(report)
}

fn compare(report: &mut Report, options: &Options, pinning: Pinning, mode: Mode) {
    let name = |what: &str| format!("{what}, {mode}, {pinning}");
    let core = Some(pinning.server());
    let sample = &|lab: &Lab| {
        let socket = lab.client()?;
        let seconds = options.seconds;
        let rate = on_core(Some(pinning.client()), || echo_super(&socket, seconds))?;
        Ok(vec![rate / 1e9])
    };
    let figures: &[_] = &[("rate", "GB/s")];
    let on_stack = || {
        let lab = Lab::new(1)?;
        let running = stack::echo(&lab, core, mode)?;
        let before = running.pool()?.copied_bytes;
        let sample = sample(&lab);
        match running.pool()?.copied_bytes - before {
            0 => sample,
            copied => Err(format!("the stack copied {copied} bytes").into()),
        }
    };
    let mut sides = vec![Side { name: name("stack"), figures, sample: Box::new(on_stack) }];
    let waits: &[_] = match mode {
        Mode::Sleeping => &[(Wait::Read, "bare read"), (Wait::Epoll, "bare epoll")],
        Mode::Polling => &[(Wait::Poll, "bare read")],
    };
    for &(wait, what) in waits {
        let sample = move || {
            let lab = Lab::new(2)?;
            let _service = bare::echo(&lab, core, wait)?;
            sample(&lab)
        };
        sides.push(Side { name: name(what), figures, sample: Box::new(sample) });
    }
    report.measure(options, &sides);
    let bares: Vec<String> = waits.iter().map(|(_, what)| name(what)).collect();
    if let Some(best) = report.best("rate", &bares) {
        report.ratio("rate", &name("stack"), &best, Some(OF_BARE));
    }
}
