//! The echo service on a TAP against a bare program and the kernel's own echo over a veth.

use crate::Trouble;
use crate::bare::{self, Wait};
use crate::client::{FIGURES, Load, OUTSTANDING_MAX, echo};
use crate::kernel::{self, Calls};
use crate::lab::{Lab, Mode, Pinning, on_core};
use crate::report::{Options, Report, Side};
use crate::stack;

const ABOUT: &str = "UDP echo of 64-byte datagrams, 64 outstanding, one kernel client with \
    sendmmsg and recvmmsg: answers per second";

/// What is asked of the stack, of the bare program's figure and of the kernel's.
const OF_BARE: f64 = 0.9;
const OF_KERNEL: f64 = 1.5;

/// Runs the experiment.
///
/// # Errors
/// Without the right to make a namespace.
pub fn run(options: &Options) -> Result<Report, Trouble> {
    drop(Lab::new(0)?);
    let mut report = Report::new("udp_echo", ABOUT, options);
    let set_ups = [
        (Pinning::Two, Mode::Sleeping),
        (Pinning::Two, Mode::Polling),
        (Pinning::Same, Mode::Sleeping),
    ];
    for (pinning, mode) in set_ups {
        compare(&mut report, options, pinning, mode, OUTSTANDING_MAX);
    }
    report.note("the client sleeps in all lines; polling is said of the echo");
    Ok(report)
}

/// All echoes in one set-up, and the ratios of the stack to them.
pub(super) fn compare(
    report: &mut Report,
    options: &Options,
    pinning: Pinning,
    mode: Mode,
    outstanding: usize,
) {
    let name = |what: &str| format!("{what}, {mode}, {pinning}");
    let figures = FIGURES;
    let load = Load { outstanding, seconds: options.seconds, mode: Mode::Sleeping };
    let core = Some(pinning.server());
    let sample = &|lab: &Lab| {
        let socket = lab.client()?;
        Ok(on_core(Some(pinning.client()), || echo(&socket, load))?.figures())
    };
    let stack = name("stack");
    let mut sides = vec![Side {
        name: stack.clone(),
        figures,
        sample: Box::new(|| {
            let lab = Lab::new(1)?;
            let _running = stack::echo(&lab, core, mode)?;
            sample(&lab)
        }),
    }];
    let waits: &[_] = match mode {
        Mode::Sleeping => &[(Wait::Read, "bare read"), (Wait::Epoll, "bare epoll")],
        Mode::Polling => &[(Wait::Poll, "bare read")],
    };
    let mut bares = Vec::new();
    for &(wait, what) in waits {
        bares.push(name(what));
        let sample = move || {
            let lab = Lab::new(2)?;
            let _service = bare::echo(&lab, core, wait)?;
            sample(&lab)
        };
        sides.push(Side { name: name(what), figures, sample: Box::new(sample) });
    }
    let mut kernels = Vec::new();
    for (calls, what) in [(Calls::Many, "kernel mmsg"), (Calls::One, "kernel recvfrom")] {
        kernels.push(name(what));
        let sample = move || {
            let lab = Lab::new(3)?;
            let _service = kernel::echo(&lab, core, calls, mode)?;
            sample(&lab)
        };
        sides.push(Side { name: name(what), figures, sample: Box::new(sample) });
    }
    report.measure(options, &sides);
    let many = outstanding > 1;
    if let Some(best) = report.best("rate", &bares) {
        report.ratio("rate", &stack, &best, many.then_some(OF_BARE));
    }
    if let Some(best) = report.best("rate", &kernels) {
        report.ratio("rate", &stack, &best, many.then_some(OF_KERNEL));
    }
}
