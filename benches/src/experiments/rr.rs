//! One datagram at a time: what a round trip costs, against a bare program and the kernel.

use super::udp_echo::compare;
use crate::Trouble;
use crate::lab::{Lab, Mode, Pinning};
use crate::report::{Options, Report};

const ABOUT: &str = "UDP request and response of 64 bytes, 1 outstanding, the client sleeps";

/// Runs the experiment.
///
/// # Errors
/// Without the right to make a namespace.
pub fn run(options: &Options) -> Result<Report, Trouble> {
    drop(Lab::new(0)?);
    let mut report = Report::new("rr", ABOUT, options);
    compare(&mut report, options, Pinning::Two, Mode::Sleeping, 1);
    compare(&mut report, options, Pinning::Two, Mode::Polling, 1);
    compare(&mut report, options, Pinning::Same, Mode::Sleeping, 1);
    Ok(report)
}
