//! Connect, one byte there and back, close: 16 clients at once.

use crate::Trouble;
use crate::baseline::Does;
use crate::lab::{Lab, Mode};
use crate::report::{Options, Report};
use crate::smoltcp::{self, Does as Smol};
use crate::sockets;
use crate::stack;
use crate::tcp::{Peer, SETTINGS, Setting, kernel, kernel_peer, measure};
use millstream_tools::load::connect::{self, Connects};
use millstream_tools::load::server::Service;
use std::time::Duration;

const ABOUT: &str = "TCP connect, one byte there and back, close; 16 clients at once, which sleep: \
    connections per second";

const CLIENTS: usize = 16;

/// What is asked, of the kernel's single-threaded server.
const OF_KERNEL: f64 = 1.4;

const PEERS: &[Peer] = &[
    ("in the shard", |lab, at| Ok(Box::new(stack::services(lab, at.core(), at.mode, &["echo"])?))),
    ("application", |lab, at| sockets::on_a_set(lab, at, Does::Echo)),
    ("kernel epoll", |lab, at| kernel_peer(lab, at, Service::Echo, true)),
    ("smoltcp, 64 sockets", |lab, at| {
        Ok(Box::new(smoltcp::serve(lab, at.core(), at.mode, Smol::Echo, 64, false)?))
    }),
];

/// Runs the experiment.
///
/// # Errors
/// Without the right to make a namespace.
pub fn run(options: &Options) -> Result<Report, Trouble> {
    drop(Lab::new(0)?);
    let mut report = Report::new("tcp_conn", ABOUT, options);
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
        ("failed", "connections"),
        ("processor", "us per connection"),
        ("switches", "per connection"),
    ];
    let connects = Connects { clients: CLIENTS, time: Duration::from_secs_f64(options.seconds) };
    let client = setting.client(Mode::Sleeping);
    measure(report, options, setting, figures, PEERS, &|lab| {
        // A port is taken for a minute after each connection.
        lab.netns.sysctl("net/ipv4/ip_local_port_range", "1024 65535")?;
        let seen = connect::run(&kernel(true), lab.echo(), connects, client)?;
        let times = seen.times;
        Ok((vec![seen.rate(), times.p50_us, times.p99_us, seen.failed as f64], seen.rate()))
    });
    let [kernel, smoltcp] = ["kernel epoll", "smoltcp, 64 sockets"].map(|what| setting.name(what));
    for what in ["in the shard", "application"] {
        report.ratio("rate", &setting.name(what), &kernel, Some(OF_KERNEL));
        report.ratio("rate", &setting.name(what), &smoltcp, None);
    }
    report.ratio("rate", &smoltcp, &kernel, None);
}
