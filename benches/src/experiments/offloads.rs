//! What super-frames and checksums left to the kernel are worth, and what is left of the stack
//! without them: frames of a real MTU, one by one, where it is expected to lose.

use crate::Trouble;
use crate::baseline::Does;
use crate::lab::Lab;
use crate::report::{Options, Report, Side};
use crate::smoltcp::{self, Does as Smol};
use crate::tcp::SETTINGS;
use crate::work::{ECHO, ENTER, INWARDS, KERNEL, OUTWARDS, STRUCTURES, Structure, Work};

const ABOUT: &str = "TCP with all offloads and with none, MTU 1500: frames of up to 64 KiB without \
    checksums against frames of the wire; bulk of 128 KiB writes both ways, and a byte there and \
    back";

/// The names of both forms.
const FORMS: [&str; 2] = ["offloads", "none"];

const SMOLTCP: &str = "smoltcp";

/// smoltcp's form is its own device's.
const PLAIN_SMOLTCP: Structure = (SMOLTCP, |lab, at, does| smol(lab, at, does, true));
const FULL_SMOLTCP: Structure = (SMOLTCP, |lab, at, does| smol(lab, at, does, false));

/// Runs the experiment.
///
/// # Errors
/// Without the right to make a namespace.
pub fn run(options: &Options) -> Result<Report, Trouble> {
    drop(Lab::new(0)?);
    let mut report = Report::new("offloads", ABOUT, options);
    for work in [INWARDS, OUTWARDS, ECHO] {
        compare(&mut report, options, work);
    }
    report.note(
        "none: a TAP without a header in front of frames, through another crate; a veth whose \
         offloads ethtool has taken",
    );
    Ok(report)
}

fn compare(report: &mut Report, options: &Options, work: Work) {
    let setting = SETTINGS[0];
    let name = |what: &str, form: &str| setting.name(&format!("{}, {what}, {form}", work.name));
    let seconds = options.seconds;
    let known = STRUCTURES.iter().filter(|(what, _)| [KERNEL, ENTER].contains(what));
    let mut sides = Vec::new();
    for (plain, form) in [false, true].into_iter().zip(FORMS) {
        let smoltcp = if plain { PLAIN_SMOLTCP } else { FULL_SMOLTCP };
        for (network, structure) in (1..).zip(known.clone().copied().chain([smoltcp])) {
            let sample = move || {
                let lab = Lab::new(network)?;
                let lab = if plain { lab.without_offloads() } else { lab };
                work.sample(&lab, structure, setting, seconds)
            };
            let (name, figures) = (name(structure.0, form), work.figures);
            sides.push(Side { name, figures, sample: Box::new(sample) });
        }
    }
    report.measure(options, &sides);
    let [full, none] = FORMS;
    for what in [ENTER, KERNEL, SMOLTCP] {
        report.ratio("rate", &name(what, none), &name(what, full), None);
    }
    for form in FORMS {
        for peer in [KERNEL, SMOLTCP] {
            report.ratio("rate", &name(ENTER, form), &name(peer, form), None);
        }
    }
}

fn smol(
    lab: &Lab,
    at: crate::tcp::Setting,
    does: Does,
    plain: bool,
) -> Result<crate::tcp::Serving, Trouble> {
    let does = match does {
        Does::Echo | Does::Calls => Smol::Echo,
        Does::Discard => Smol::Discard { copy: true },
        Does::Chargen => Smol::Chargen { copy: true },
    };
    Ok(Box::new(smoltcp::serve(lab, at.core(), at.mode, does, 1, plain)?))
}
