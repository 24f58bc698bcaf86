//! The same TCP program in each structure: in the kernel, inside the stack, beside it in one
//! process, and behind a protocol daemon. The client is the kernel's in all of them.

use crate::Trouble;
use crate::baseline::Does;
use crate::lab::{Lab, Mode, Pinning};
use crate::report::{Options, Report, Side};
use crate::tcp::{SETTINGS, Setting};
use crate::usage::SystemCalls;
use crate::work::{
    DAEMON, DAEMON_SMOLTCP, ECHO, ENTER, FUSED, INWARDS, KERNEL, LAYERS, OUTWARDS, PORT, RPC,
    SMOLTCP, STRUCTURES, THREAD, Work,
};

const ABOUT: &str = "one TCP program in each structure, the same client on the kernel's side, the \
    same TAP, MTU 1500, all offloads: a byte there and back, a NULL call of RPC, bulk of 128 KiB \
    writes both ways; processor time and switches of all threads and processes that serve";

/// What is asked of the in-process form, of the daemon with our modules.
const OF_DAEMON: f64 = 1.5;

/// What is asked of the port, of the same daemon: on one core, and polling.
fn of_port(setting: Setting) -> Option<f64> {
    match (setting.mode, setting.pinning) {
        (Mode::Sleeping, Pinning::Same) => Some(1.2),
        (Mode::Sleeping, Pinning::Two) => None,
        (Mode::Polling, _) => Some(2.0),
    }
}

const CALLS: &[(&str, &str)] = &[("system calls", "per request")];

/// Runs the experiment.
///
/// # Errors
/// Without the right to make a namespace.
pub fn run(options: &Options) -> Result<Report, Trouble> {
    drop(Lab::new(0)?);
    let mut report = Report::new("structures", ABOUT, options);
    for (setting, work) in SETTINGS.into_iter().zip([ECHO; 3]) {
        compare(&mut report, options, setting, work);
    }
    for work in [RPC, INWARDS, OUTWARDS] {
        compare(&mut report, options, SETTINGS[0], work);
    }
    count(&mut report, options);
    report.note(
        "a daemon and its program are two processes, on the same core, as are a stack and its \
         program at the port; where daemon or stack polls, the program sleeps, on the client's \
         core; three layers that poll have no room on one core",
    );
    report.note(
        "in process, enter: a program's thread with the stack's sockets, and the stack's thread; \
         one thread: the program calls the stack and waits for it; bytes are copied in both, but \
         in the module; fused: the same program, and the functions of arp, ip and tcp called one \
         after the other, without STREAMS between them",
    );
    Ok(report)
}

/// All structures in turn, each sample in a fresh lab.
fn compare(report: &mut Report, options: &Options, setting: Setting, work: Work) {
    let name = |what: &str| setting.name(&format!("{}, {what}", work.name));
    let seconds = options.seconds;
    let mut sides = Vec::new();
    // Three processes that poll have no room on one core.
    let fits = |what: &str| setting.mode == Mode::Sleeping || what != LAYERS;
    for (network, &structure) in (1..).zip(STRUCTURES).filter(|(_, (what, _))| fits(what)) {
        let sample = move || work.sample(&Lab::new(network)?, structure, setting, seconds);
        sides.push(Side {
            name: name(structure.0),
            figures: work.figures,
            sample: Box::new(sample),
        });
    }
    report.measure(options, &sides);
    let asked = match (work.does, setting.mode) {
        (Does::Echo | Does::Calls, Mode::Sleeping) => Some(OF_DAEMON),
        _ => None,
    };
    for (of, to, target) in [
        (ENTER, DAEMON, asked),
        (PORT, DAEMON, of_port(setting).filter(|_| work.does == Does::Echo)),
        (PORT, KERNEL, None),
        (THREAD, DAEMON, None),
        (THREAD, FUSED, None),
        (SMOLTCP, DAEMON_SMOLTCP, None),
        (DAEMON, DAEMON_SMOLTCP, None),
        (THREAD, SMOLTCP, None),
        (ENTER, KERNEL, None),
        (DAEMON, KERNEL, None),
        (DAEMON, LAYERS, None),
    ] {
        report.ratio("rate", &name(of), &name(to), target);
    }
}

/// System calls of a request, from outside; what counts them costs time, so nothing else is
/// measured in these runs.
fn count(report: &mut Report, options: &Options) {
    let (setting, seconds) = (SETTINGS[0], options.seconds);
    let mut sides = Vec::new();
    for (network, &(what, start)) in (1..).zip(STRUCTURES) {
        let sample = move || {
            let lab = Lab::new(network)?;
            let _serving = start(&lab, setting, ECHO.does)?;
            // What it does while nobody asks has been done.
            lab.inside(|| (ECHO.run)(&lab, setting, 0.0))?;
            let counting = SystemCalls::count()?;
            let (_, per_second) = lab.inside(|| (ECHO.run)(&lab, setting, seconds))?;
            let per_second_of_calls = counting.end()?;
            Ok(vec![per_second_of_calls / per_second])
        };
        let name = setting.name(&format!("counted, {what}"));
        sides.push(Side { name, figures: CALLS, sample: Box::new(sample) });
    }
    report.measure(options, &sides);
}
