//! One byte there and back over a TCP connection, again and again.

use crate::Trouble;
use crate::bare_tcp::{self, Does as Bare};
use crate::lab::{Lab, Mode};
use crate::report::{Options, Report};
use crate::smoltcp::{self, Does as Smol};
use crate::sockets;
use crate::stack;
use crate::stream::{Does as App, application};
use crate::tcp::{Peer, SETTINGS, Setting, kernel, kernel_peer, measure};
use millstream_tools::load::rr::{self, Requests};
use millstream_tools::load::server::Service;
use std::time::Duration;

const ABOUT: &str = "TCP request and response of one byte, one connection; sleeping or polling is \
    what both ends do";

const PEERS: &[Peer] = &[
    ("in the shard", |lab, at| Ok(Box::new(stack::services(lab, at.core(), at.mode, &["echo"])?))),
    ("application", |lab, at| application(lab, at, App::Echo)),
    ("socket", |lab, at| sockets::on_threads(lab, at, sockets::Does::Echo)),
    ("kernel", |lab, at| kernel_peer(lab, at, Service::Echo, false)),
    ("bare", |lab, at| Ok(Box::new(bare_tcp::serve(lab, at.core(), at.mode.into(), Bare::Echo)?))),
    ("smoltcp", |lab, at| {
        Ok(Box::new(smoltcp::serve(lab, at.core(), at.mode, Smol::Echo, 1, false)?))
    }),
];

/// Runs the experiment.
///
/// # Errors
/// Without the right to make a namespace.
pub fn run(options: &Options) -> Result<Report, Trouble> {
    drop(Lab::new(0)?);
    let mut report = Report::new("tcp_rr", ABOUT, options);
    for setting in SETTINGS {
        compare(&mut report, options, setting);
    }
    Ok(report)
}

fn compare(report: &mut Report, options: &Options, setting: Setting) {
    let figures = &[
        ("rate", "/s"),
        ("p50", "us"),
        ("p99", "us"),
        ("p99.9", "us"),
        ("processor", "us per request"),
        ("switches", "per request"),
    ];
    let time = Duration::from_secs_f64(options.seconds);
    let requests = Requests { size: 1, connections: 1, time };
    let client = setting.client(setting.mode);
    measure(report, options, setting, figures, PEERS, &|lab| {
        let seen = rr::run(&kernel(true), lab.echo(), requests, client)?;
        let times = seen.times;
        Ok((vec![seen.rate(), times.p50_us, times.p99_us, times.p999_us], seen.rate()))
    });
    let (of_bare, of_kernel) = match setting.mode {
        Mode::Sleeping => (Some(0.95), None),
        Mode::Polling => (None, Some(1.2)),
    };
    let [bare, kernel, smoltcp] = ["bare", "kernel", "smoltcp"].map(|what| setting.name(what));
    for what in ["in the shard", "application", "socket"] {
        let stack = setting.name(what);
        report.ratio("rate", &stack, &bare, of_bare);
        report.ratio("rate", &stack, &kernel, of_kernel);
        report.ratio("rate", &stack, &smoltcp, None);
        // A shorter time is the better one.
        report.ratio("p99", &kernel, &stack, Some(1.0));
    }
    report.ratio("rate", &bare, &kernel, None);
    report.ratio("rate", &smoltcp, &kernel, None);
}
