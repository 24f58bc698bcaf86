//! How requests per second grow with the number of clients, each with a connection, in each
//! structure that serves all of them on one thread; and with that of programs over one daemon.

use crate::Trouble;
use crate::baseline::{Behind, shared};
use crate::lab::{Lab, Mode};
use crate::report::{Options, Point, Report, Side};
use crate::tcp::{SETTINGS, Setting, kernel};
use crate::usage::Usage;
use crate::work::{DAEMON, DAEMON_SMOLTCP, ECHO, ENTER, KERNEL, SMOLTCP, STRUCTURES, THREAD};
use millstream_tools::load::rr::{self, Requests, Responses};
use std::net::SocketAddr;
use std::time::Duration;

const ABOUT: &str = "a byte there and back over so many connections at once, a client's thread for \
    each: all requests per second, and processor time of those that serve for each";

const FIGURES: &[(&str, &str)] = &[
    ("rate", "/s"),
    ("p50", "us"),
    ("p99.9", "us"),
    ("processor", "us per request"),
    ("switches", "per request"),
];

/// Clients at once: as many as a pool of smoltcp has sockets.
const CLIENTS: [usize; 5] = [1, 2, 4, 8, 16];

/// Those that are compared.
const COMPARED: [&str; 6] = [KERNEL, ENTER, THREAD, SMOLTCP, DAEMON, DAEMON_SMOLTCP];

/// Those that several programs share.
const DAEMONS: [Behind; 2] = [Behind::Modules, Behind::Smoltcp];

fn by_programs(setting: Setting, behind: Behind, programs: usize) -> String {
    setting.name(&format!("{programs} programs, daemon of {}", behind.name()))
}

/// As many programs over one daemon, each with a client; the figures of [`FIGURES`].
fn programs_on_one(
    network: u8,
    setting: Setting,
    behind: Behind,
    programs: usize,
    seconds: f64,
) -> Result<Vec<f64>, Trouble> {
    let lab = Lab::new(network)?;
    let _serving = shared(&lab, setting, behind, ECHO.does, programs as u16)?;
    let before = Usage::now();
    let time = Duration::from_secs_f64(seconds);
    let requests = Requests { size: 1, connections: 1, time };
    let client = setting.client(Mode::Sleeping);
    let ask = |nth: usize| {
        let at = SocketAddr::new(lab.echo().ip(), lab.echo().port() + nth as u16);
        lab.inside(|| Ok(rr::run(&kernel(true), at, requests, client)?))
    };
    let seen = std::thread::scope(|scope| {
        let ask = &ask;
        let asking: Vec<_> = (0..programs).map(|nth| scope.spawn(move || ask(nth))).collect();
        let seen = asking.into_iter().map(|one| one.join().map_err(|_| "a client has panicked")?);
        seen.collect::<Result<Vec<_>, Trouble>>()
    })?;
    let used = before.since();
    let rate: f64 = seen.iter().map(Responses::rate).sum();
    let slowest = |of: fn(&Responses) -> f64| seen.iter().map(of).fold(0.0, f64::max);
    Ok(vec![
        rate,
        slowest(|one| one.times.p50_us),
        slowest(|one| one.times.p999_us),
        used.cores * 1e6 / rate,
        used.switches / rate,
    ])
}

/// Runs the experiment.
///
/// # Errors
/// Without the right to make a namespace.
pub fn run(options: &Options) -> Result<Report, Trouble> {
    drop(Lab::new(0)?);
    let mut report = Report::new("scale", ABOUT, options);
    let (setting, seconds) = (SETTINGS[0], options.seconds);
    let clients = if options.quick { &CLIENTS[..2] } else { &CLIENTS };
    let name = |what: &str, clients: usize| setting.name(&format!("{clients} clients, {what}"));
    let compared = STRUCTURES.iter().filter(|(what, _)| COMPARED.contains(what));
    let mut sides = Vec::new();
    for (network, &(what, start)) in (1..).zip(compared) {
        for &connections in clients {
            let sample = move || {
                let lab = Lab::new(network)?;
                let _serving = start(&lab, setting, ECHO.does)?;
                let before = Usage::now();
                let time = Duration::from_secs_f64(seconds);
                let requests = Requests { size: 1, connections, time };
                let client = setting.client(Mode::Sleeping);
                let seen =
                    lab.inside(|| Ok(rr::run(&kernel(true), lab.echo(), requests, client)?))?;
                let (used, rate) = (before.since(), seen.rate());
                let times = seen.times;
                let (processor, switches) = (used.cores * 1e6 / rate, used.switches / rate);
                Ok(vec![rate, times.p50_us, times.p999_us, processor, switches])
            };
            let name = name(what, connections);
            sides.push(Side { name, figures: FIGURES, sample: Box::new(sample) });
        }
    }
    for (network, behind) in (1..).zip(DAEMONS) {
        for &programs in clients {
            let sample = move || programs_on_one(network, setting, behind, programs, seconds);
            let name = by_programs(setting, behind, programs);
            sides.push(Side { name, figures: FIGURES, sample: Box::new(sample) });
        }
    }
    report.measure(options, &sides);
    for behind in DAEMONS {
        let points =
            clients.iter().map(|&n| Point { x: n as f64, side: by_programs(setting, behind, n) });
        let series = format!("daemon of {}", behind.name());
        report.curve("requests of programs", &series, "rate", "programs", points.collect());
    }
    report.note(
        "programs: processes over one daemon, each with a port, and a client's thread for each; \
         p50 is that of the slowest program",
    );
    for what in COMPARED {
        let points = |_: ()| clients.iter().map(|&n| Point { x: n as f64, side: name(what, n) });
        for (plot, figure) in [("requests", "rate"), ("processor time of a request", "processor")] {
            report.curve(plot, what, figure, "clients", points(()).collect());
        }
    }
    if let Some(&most) = clients.last() {
        for (of, to) in [(ENTER, KERNEL), (ENTER, DAEMON), (ENTER, SMOLTCP)] {
            report.ratio("rate", &name(of, most), &name(to, most), None);
        }
    }
    Ok(report)
}
