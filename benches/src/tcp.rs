//! tcp: what TCP experiments have in common: who serves, where, and the client, which is that of
//! `millstream load` in all lines.

use crate::Trouble;
use crate::lab::{Lab, Mode, Pinning, Service};
use crate::report::{Options, Report, Side};
use crate::usage::Usage;
use millstream_tools::load::server::{self, Service as Does};
use millstream_tools::load::{Behaviour, Kernel, Transport};
use std::any::Any;

/// Where and how a line is measured.
#[derive(Clone, Copy, Debug)]
pub struct Setting {
    /// Cores.
    pub pinning: Pinning,
    /// Of what is measured; the client's as the experiment says.
    pub mode: Mode,
}

/// The settings of all TCP experiments.
pub const SETTINGS: [Setting; 3] = [
    Setting { pinning: Pinning::Two, mode: Mode::Sleeping },
    Setting { pinning: Pinning::Two, mode: Mode::Polling },
    Setting { pinning: Pinning::Same, mode: Mode::Sleeping },
];

/// Something that serves until it is dropped.
pub type Serving = Box<dyn Any>;

/// Who is measured: a name, and how it is started in a lab of its own.
pub type Peer = (&'static str, fn(&Lab, Setting) -> Result<Serving, Trouble>);

impl Setting {
    /// Core of what is measured.
    pub fn core(self) -> Option<usize> {
        Some(self.pinning.server())
    }

    /// Core of a program beside what is measured: that one's, or while it polls the client's.
    pub fn place(self) -> usize {
        match self.mode {
            Mode::Sleeping => self.pinning.server(),
            Mode::Polling => self.pinning.client(),
        }
    }

    /// The client's behaviour.
    pub fn client(self, mode: Mode) -> Behaviour {
        Behaviour { cpu: Some(self.pinning.client()), polling: mode == Mode::Polling }
    }

    /// The name of a line.
    pub fn name(self, what: &str) -> String {
        format!("{what}, {}, {}", self.mode, self.pinning)
    }
}

/// The kernel's sockets as all lines have them. The system's choice may be one that paces itself,
/// which would hide what is measured.
pub fn kernel(nodelay: bool) -> Kernel {
    Kernel { congestion: Some("cubic".into()), nodelay }
}

/// The kernel as the peer, on the far side of a veth: a thread that reads and writes, or with
/// `epoll` one for all connections.
///
/// # Errors
/// As [`Lab::veth`].
pub fn kernel_peer(
    lab: &Lab,
    setting: Setting,
    does: Does,
    epoll: bool,
) -> Result<Serving, Trouble> {
    let peer = lab.veth()?;
    let kernel = kernel(does == Does::Echo);
    let behaviour = Behaviour { cpu: None, polling: setting.mode == Mode::Polling };
    let service = if epoll {
        let listener = peer.run(|| server::listen_on_epoll(&kernel, lab.echo()))??;
        Service::start("kernel tcp", setting.core(), move |stop| {
            let _alive = peer;
            server::on_epoll(&listener, does, behaviour, stop)?;
            Ok(())
        })
    } else {
        let listener = peer.run(|| kernel.listen(lab.echo()))??;
        Service::start("kernel tcp", setting.core(), move |stop| {
            let _alive = peer;
            server::on_threads(listener.as_ref(), does, behaviour, stop)?;
            Ok(())
        })
    };
    Ok(Box::new(service?))
}

/// A sample: its figures, and how many of what is counted there were in a second.
pub type Sample = (Vec<f64>, f64);

/// Measures all peers of one setting in turn, each sample in a fresh lab. `sample` runs in the
/// lab's namespace. Two figures are added, which `figures` names last: microseconds of a processor
/// and how often one was given to the threads that serve, for one of what is counted. They are of
/// threads that live as long as the sample: the kernel's threads of connections do not.
pub fn measure(
    report: &mut Report,
    options: &Options,
    setting: Setting,
    figures: &'static [(&'static str, &'static str)],
    peers: &[Peer],
    sample: &(dyn Fn(&Lab) -> Result<Sample, Trouble> + Sync),
) {
    let mut sides = Vec::new();
    for (network, &(name, start)) in (1..).zip(peers) {
        let sample = move || {
            let lab = Lab::new(network)?;
            let _serving = start(&lab, setting)?;
            let before = Usage::now();
            let (mut figures, per_second) = lab.inside(|| sample(&lab))?;
            let used = before.since();
            figures.push(used.cores * 1e6 / per_second);
            figures.push(used.switches / per_second);
            Ok(figures)
        };
        sides.push(Side { name: setting.name(name), figures, sample: Box::new(sample) });
    }
    report.measure(options, &sides);
}
