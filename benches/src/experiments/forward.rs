//! Kernel TCP through the stack as a router, against the same over one veth.

use crate::Trouble;
use crate::client::{bulk_receive, bulk_send};
use crate::lab::{Lab, Mode, on_core};
use crate::report::{Options, Report, Side};
use crate::stack;
use rustix::net::sockopt::set_tcp_congestion;
use std::cell::RefCell;
use std::net::{IpAddr, SocketAddr, TcpListener, TcpStream};

const ABOUT: &str = "TCP (cubic) from kernel to kernel through the stack (two TAPs, forwarding) \
    and over one veth: bytes per second received";

/// What is asked of the router, of the veth's figure.
const OF_VETH: f64 = 0.5;

/// Bytes of one write.
const PIECES: [(usize, &str); 2] = [(128 << 10, "128 KiB writes"), (1 << 20, "1 MiB writes")];

/// Where the three programs run; over a veth the router's core is left to the receiver.
#[derive(Clone, Copy)]
struct Cores {
    name: &'static str,
    sender: Option<usize>,
    receiver: Option<usize>,
    router: Option<usize>,
    veth_receiver: Option<usize>,
}

const CORES: [Cores; 2] = [
    Cores {
        name: "sender and receiver core 0, router (or the veth's receiver) core 1",
        sender: Some(0),
        receiver: Some(0),
        router: Some(1),
        veth_receiver: Some(1),
    },
    Cores { name: "not pinned", sender: None, receiver: None, router: None, veth_receiver: None },
];

/// Runs the experiment.
///
/// # Errors
/// Without the right to make a namespace.
pub fn run(options: &Options) -> Result<Report, Trouble> {
    drop(Lab::new(0)?);
    let mut report = Report::new("forward", ABOUT, options);
    for cores in CORES {
        for (piece, name) in PIECES {
            compare(&mut report, options, cores, piece, name);
        }
    }
    Ok(report)
}

fn compare(
    report: &mut Report,
    options: &Options,
    cores: Cores,
    piece: usize,
    pieces: &'static str,
) {
    let name = |what: &str| format!("{what}, {pieces}, {}", cores.name);
    let frames = RefCell::new(Vec::new());
    let routed = |mode| {
        let frames = &frames;
        move || {
            let (a, b) = (Lab::new(1)?, Lab::new(2)?);
            let running = stack::router([&a, &b], cores.router, mode)?;
            a.route_to_far()?;
            b.route_to_far()?;
            let before = running.pool()?;
            let to = b.host().address();
            let listener = b.inside(|| Ok(TcpListener::bind((to, PORT))?))?;
            let cores = [cores.sender, cores.receiver];
            let rate = transfer(&a, listener, to, cores, piece, options.seconds)?;
            let copied = running.pool()?.copied_bytes - before.copied_bytes;
            if copied > 0 {
                return Err(format!("the router copied {copied} bytes").into());
            }
            let (count, bytes) = running.frames_in(0)?;
            frames.borrow_mut().push(bytes / count.max(1));
            Ok(vec![rate * 8.0 / 1e9])
        }
    };
    let veth = || {
        let lab = Lab::new(3)?;
        let peer = lab.veth()?;
        let to = lab.far().address();
        let listener = peer.run(|| TcpListener::bind((to, PORT)))??;
        let cores = [cores.sender, cores.veth_receiver];
        Ok(vec![transfer(&lab, listener, to, cores, piece, options.seconds)? * 8.0 / 1e9])
    };
    let figures: &[_] = &[("rate", "Gbit/s")];
    let sides = [
        Side { name: name("router, sleeping"), figures, sample: Box::new(routed(Mode::Sleeping)) },
        Side { name: name("router, polling"), figures, sample: Box::new(routed(Mode::Polling)) },
        Side { name: name("veth"), figures, sample: Box::new(veth) },
    ];
    report.measure(options, &sides);
    drop(sides);
    for router in ["router, sleeping", "router, polling"] {
        report.ratio("rate", &name(router), &name("veth"), Some(OF_VETH));
    }
    let mut frames = frames.into_inner();
    frames.sort_unstable();
    if let Some(median) = frames.get(frames.len() / 2) {
        report.note(format!(
            "{pieces}, {}: no payload copied, frames of {median} bytes on average came in",
            cores.name
        ));
    }
}

const PORT: u16 = 5001;

/// Below so many bytes per second a transfer has not been slow but has stood still; a hundredth
/// of what the slowest line reaches. A ratio to it would say nothing.
const STANDSTILL: f64 = 1e7;

fn transfer(
    from: &Lab,
    listener: TcpListener,
    to: IpAddr,
    [sender, receiver]: [Option<usize>; 2],
    piece: usize,
    seconds: f64,
) -> Result<f64, Trouble> {
    // Inherited by what is accepted; the receiver's choice matters little.
    set_tcp_congestion(&listener, "cubic")?;
    let to = SocketAddr::new(to, PORT);
    let out = from.inside(|| Ok(TcpStream::connect(to)?))?;
    set_tcp_congestion(&out, "cubic")?;
    let (incoming, _) = listener.accept()?;
    std::thread::scope(|scope| {
        let sending = scope.spawn(|| on_core(sender, || bulk_send(&out, piece, seconds)));
        let rate = on_core(receiver, || bulk_receive(&incoming));
        sending.join().map_err(|_| "the sender has panicked")??;
        match rate? {
            rate if rate < STANDSTILL => Err("the transfer stood still".into()),
            rate => Ok(rate),
        }
    })
}
