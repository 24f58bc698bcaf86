//! The same UDP echo in three structures: a service inside the shard, an application's thread that
//! comes into the stack, and one that reaches it through rings. Behind a daemon: `structures`.

use crate::Trouble;
use crate::client::{FIGURES, Load, OUTSTANDING_MAX, echo};
use crate::lab::{Lab, Mode, Pinning, on_core};
use crate::report::{Options, Report, Side};
use crate::stack;

const ABOUT: &str = "UDP echo of 64-byte datagrams by structure: answers per second, and \
    microseconds from sending to answer";

/// Runs the experiment.
///
/// # Errors
/// Without the right to make a namespace.
pub fn run(options: &Options) -> Result<Report, Trouble> {
    drop(Lab::new(0)?);
    let mut report = Report::new("structure", ABOUT, options);
    for mode in [Mode::Sleeping, Mode::Polling] {
        for outstanding in [1, OUTSTANDING_MAX] {
            compare(&mut report, options, mode, outstanding);
        }
    }
    report.note(
        "client core 0, shard core 1; the application sleeps: on core 1 when the shard sleeps \
         too, on core 0 when the shard polls, which leaves no time on its core; that which comes \
         in is on core 1 and does in the mode what the shard does",
    );
    Ok(report)
}

fn compare(report: &mut Report, options: &Options, mode: Mode, outstanding: usize) {
    let name = |what: &str| format!("{what}, {outstanding} outstanding, {mode}");
    let [client, shard] = [Pinning::Two.client(), Pinning::Two.server()];
    let application = match mode {
        Mode::Sleeping => shard,
        Mode::Polling => client,
    };
    let cores = [Some(shard), Some(application)];
    let load = Load { outstanding, seconds: options.seconds, mode: Mode::Sleeping };
    let sample = |lab: &Lab| {
        let socket = lab.client()?;
        Ok(on_core(Some(client), || echo(&socket, load))?.figures())
    };
    let side = |what: &str, sample| Side { name: name(what), figures: FIGURES, sample };
    let sides = [
        side(
            "in the shard",
            Box::new(|| {
                let lab = Lab::new(1)?;
                let _running = stack::echo(&lab, cores[0], mode)?;
                sample(&lab)
            }) as Box<dyn Fn() -> Result<Vec<f64>, Trouble>>,
        ),
        side(
            "thread, enter",
            Box::new(|| {
                let lab = Lab::new(4)?;
                let (running, application) = stack::entered(&lab, cores[0], mode)?;
                let seen = sample(&lab);
                drop(application);
                drop(running);
                seen
            }),
        ),
        side(
            "thread, ring",
            Box::new(|| {
                let lab = Lab::new(2)?;
                let (running, application) = stack::application(&lab, cores, mode)?;
                let seen = sample(&lab);
                drop(application);
                drop(running);
                seen
            }),
        ),
    ];
    report.measure(options, &sides);
    drop(sides);
    report.ratio("rate", &name("thread, enter"), &name("in the shard"), None);
    report.ratio("rate", &name("thread, enter"), &name("thread, ring"), None);
    report.ratio("rate", &name("in the shard"), &name("thread, ring"), None);
}
