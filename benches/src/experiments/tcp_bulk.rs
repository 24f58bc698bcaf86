//! One TCP connection, as many bytes as there is room for, into what is measured and out of it.

use crate::Trouble;
use crate::bare::Wait;
use crate::bare_tcp::{self, Does as Bare};
use crate::lab::{Lab, Mode, Pinning};
use crate::report::{Options, Report};
use crate::smoltcp::{self, Does as Smol};
use crate::stream::{Does as App, Service as Module, application};
use crate::tcp::{Peer, SETTINGS, Serving, Setting, kernel, kernel_peer, measure};
use crate::{sockets, stack};
use millstream_tools::load::bulk::{self, Amount, Bulk, Direction};
use millstream_tools::load::server::Service;
use std::time::Duration;

const ABOUT: &str = "TCP bulk, one connection, MTU 1500, writes and reads of 128 KiB, the kernel's \
    cubic, the client sleeps: Gbit/s into what is measured and out of it";

/// Below so many bytes per second a transfer has not been slow but has stood still; a hundredth
/// of what the slowest line reaches. A ratio to it would say nothing. A quick run may be too short
/// to move.
const STANDSTILL: f64 = 1e7;

const INWARDS: &[Peer] = &[
    ("inwards, in the shard", |lab, at| application(lab, at, App::Nothing(Module::Discard))),
    ("inwards, application owned", |lab, at| application(lab, at, App::Discard { copy: false })),
    ("inwards, application copy", |lab, at| application(lab, at, App::Discard { copy: true })),
    ("inwards, socket", |lab, at| sockets::on_threads(lab, at, sockets::Does::Discard)),
    ("inwards, kernel", |lab, at| kernel_peer(lab, at, Service::Discard, false)),
    ("inwards, ceiling, ACK per frame", |lab, at| bare(lab, at, Bare::Discard { ack_every: 1 })),
    ("inwards, ceiling, ACK per 8", |lab, at| bare_lazy(lab, at, Bare::Discard { ack_every: 8 })),
    ("inwards, smoltcp owned", |lab, at| smol(lab, at, Smol::Discard { copy: false }, false)),
    ("inwards, smoltcp copy", |lab, at| smol(lab, at, Smol::Discard { copy: true }, false)),
    ("inwards, smoltcp plain TAP", |lab, at| smol(lab, at, Smol::Discard { copy: true }, true)),
];

const OUTWARDS: &[Peer] = &[
    ("outwards, in the shard", |lab, at| application(lab, at, App::Nothing(Module::Chargen))),
    ("outwards, application owned", |lab, at| application(lab, at, App::Chargen { copy: false })),
    ("outwards, application copy", |lab, at| application(lab, at, App::Chargen { copy: true })),
    ("outwards, socket", |lab, at| sockets::on_threads(lab, at, sockets::Does::Chargen)),
    ("outwards, kernel", |lab, at| kernel_peer(lab, at, Service::Chargen, false)),
    ("outwards, ceiling", |lab, at| bare_lazy(lab, at, Bare::Chargen)),
    ("outwards, smoltcp owned", |lab, at| smol(lab, at, Smol::Chargen { copy: false }, false)),
    ("outwards, smoltcp copy", |lab, at| smol(lab, at, Smol::Chargen { copy: true }, false)),
    ("outwards, smoltcp plain TAP", |lab, at| smol(lab, at, Smol::Chargen { copy: true }, true)),
];

/// With as many connections at once as [`MANY`].
const MANY_INWARDS: &[Peer] = &[
    ("8 inwards, in the shard", |lab, at| {
        let name = format!("discard:{}", lab.echo().port());
        Ok(Box::new(stack::services(lab, at.core(), at.mode, &[&name])?))
    }),
    ("8 inwards, socket", |lab, at| sockets::on_threads(lab, at, sockets::Does::Discard)),
    ("8 inwards, kernel", |lab, at| kernel_peer(lab, at, Service::Discard, false)),
    ("8 inwards, smoltcp copy", |lab, at| pool(lab, at, Smol::Discard { copy: true })),
];

const MANY_OUTWARDS: &[Peer] = &[
    ("8 outwards, socket", |lab, at| sockets::on_threads(lab, at, sockets::Does::Chargen)),
    ("8 outwards, kernel", |lab, at| kernel_peer(lab, at, Service::Chargen, false)),
    ("8 outwards, smoltcp copy", |lab, at| pool(lab, at, Smol::Chargen { copy: true })),
];

/// Connections at once.
const MANY: usize = 8;

/// Runs the experiment.
///
/// # Errors
/// Without the right to make a namespace.
pub fn run(options: &Options) -> Result<Report, Trouble> {
    drop(Lab::new(0)?);
    let mut report = Report::new("tcp_bulk", ABOUT, options);
    for setting in SETTINGS {
        one_way(&mut report, options, setting, Direction::Out, INWARDS);
        one_way(&mut report, options, setting, Direction::In, OUTWARDS);
    }
    many(&mut report, options, Direction::Out, MANY_INWARDS);
    many(&mut report, options, Direction::In, MANY_OUTWARDS);
    Ok(report)
}

/// One direction, the client's, on two cores, sleeping.
fn many(report: &mut Report, options: &Options, direction: Direction, peers: &[Peer]) {
    let setting = SETTINGS[0];
    transfer(report, options, setting, (direction, MANY), peers);
    let way = if direction == Direction::Out { "inwards" } else { "outwards" };
    let name = |what: &str| setting.name(&format!("{MANY} {way}, {what}"));
    for what in ["in the shard", "socket"] {
        report.ratio("rate", &name(what), &name("kernel"), Some(1.0));
        report.ratio("rate", &name(what), &name("smoltcp copy"), Some(1.0));
    }
}

/// So many connections; the direction is the client's.
fn transfer(
    report: &mut Report,
    options: &Options,
    setting: Setting,
    (direction, connections): (Direction, usize),
    peers: &[Peer],
) {
    let amount = Amount::For(Duration::from_secs_f64(options.seconds));
    let bulk = Bulk { direction, amount, piece: 128 << 10, connections };
    let client = setting.client(Mode::Sleeping);
    let figures = &[("rate", "Gbit/s"), ("processor", "us per 64 KiB"), ("switches", "per 64 KiB")];
    let sample = |lab: &Lab| match bulk::run(&kernel(false), lab.echo(), bulk, client)?.rate() {
        rate if rate < STANDSTILL => Err("the transfer stood still".into()),
        rate => Ok((vec![rate * 8.0 / 1e9], rate / 65_536.0)),
    };
    measure(report, options, setting, figures, peers, &sample);
}

/// The direction is the client's.
fn one_way(
    report: &mut Report,
    options: &Options,
    setting: Setting,
    direction: Direction,
    peers: &[Peer],
) {
    transfer(report, options, setting, (direction, 1), peers);
    let inwards = direction == Direction::Out;
    let way = if inwards { "inwards" } else { "outwards" };
    let name = |what: &str| setting.name(&format!("{way}, {what}"));
    let ceilings = peers.iter().map(|(what, _)| setting.name(what));
    let ceilings: Vec<String> = ceilings.filter(|what| what.contains("ceiling")).collect();
    let ceiling = report.best("rate", &ceilings).unwrap_or_default();
    let kernel = name("kernel");
    // Asked on two cores.
    let asked = |target: f64| (setting.pinning == Pinning::Two).then_some(target);
    let of_ceiling = if inwards { 0.9 } else { 0.85 };
    let of_kernel = match (inwards, setting.mode) {
        (true, Mode::Sleeping) => [1.05, 1.05],
        (true, Mode::Polling) => [1.2, 1.2],
        (false, _) => [1.5, 1.3],
    };
    let [owned, copied] = of_kernel;
    for (what, like, of_kernel) in [
        ("in the shard", "smoltcp owned", owned),
        ("application owned", "smoltcp owned", owned),
        ("application copy", "smoltcp copy", copied),
        ("socket", "smoltcp copy", copied),
    ] {
        let stack = name(what);
        // A copy for the application is no part of the ceiling, which has none.
        let of_ceiling = asked(of_ceiling).filter(|_| like == "smoltcp owned");
        report.ratio("rate", &stack, &ceiling, of_ceiling);
        report.ratio("rate", &stack, &kernel, asked(of_kernel));
        report.ratio("rate", &stack, &name(like), Some(1.0));
    }
    report.ratio("rate", &ceiling, &kernel, None);
    for what in ["smoltcp owned", "smoltcp copy", "smoltcp plain TAP"] {
        report.ratio("rate", &name(what), &kernel, None);
    }
}

/// Sleeping in read(2).
fn bare(lab: &Lab, at: Setting, does: Bare) -> Result<Serving, Trouble> {
    Ok(Box::new(bare_tcp::serve(lab, at.core(), at.mode.into(), does)?))
}

/// Sleeping in poll(2), when nothing is left to do.
fn bare_lazy(lab: &Lab, at: Setting, does: Bare) -> Result<Serving, Trouble> {
    let wait = match at.mode {
        Mode::Sleeping => Wait::Epoll,
        Mode::Polling => Wait::Poll,
    };
    Ok(Box::new(bare_tcp::serve(lab, at.core(), wait, does)?))
}

/// A socket for each of many connections.
fn pool(lab: &Lab, at: Setting, does: Smol) -> Result<Serving, Trouble> {
    Ok(Box::new(smoltcp::serve(lab, at.core(), at.mode, does, MANY, false)?))
}

fn smol(lab: &Lab, at: Setting, does: Smol, plain: bool) -> Result<Serving, Trouble> {
    Ok(Box::new(smoltcp::serve(lab, at.core(), at.mode, does, 1, plain)?))
}
