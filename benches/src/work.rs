//! work: what a TCP program is asked to do, in each structure that it can have, and what a sample
//! of it is. The client is the kernel's.

use crate::Trouble;
use crate::baseline::{Behind, Carrier, Does, in_process, over_port, served};
use crate::lab::{Lab, Mode};
use crate::stream::{Does as App, Service as Module, application};
use crate::tcp::{Sample, Serving, Setting, kernel, kernel_peer};
use crate::usage::Usage;
use crate::{rpc, sockets, stack};
use millstream_tools::load::bulk::{self, Amount, Bulk, Direction};
use millstream_tools::load::calls::{self, Calls};
use millstream_tools::load::rr::{self, Requests};
use millstream_tools::load::server::Service;
use std::time::Duration;

/// Below so many bytes per second a transfer has stood still.
const STANDSTILL: f64 = 1e7;

/// A structure: its name, and how the program is started in it.
pub type Structure = (&'static str, fn(&Lab, Setting, Does) -> Result<Serving, Trouble>);

/// The kernel's TCP on both sides of a veth.
pub const KERNEL: &str = "kernel to kernel";
/// The service is a module on a stream of `tcp`.
pub const SHARD: &str = "module in the stack";
/// The program's thread comes into the stack.
pub const ENTER: &str = "in process, enter";
/// The program and our modules on one thread.
pub const THREAD: &str = "in process, one thread";
/// The program and the functions of our protocols on one thread, without modules around them.
pub const FUSED: &str = "in process, fused";
/// The program and smoltcp on one thread.
pub const SMOLTCP: &str = "in process, smoltcp";
/// The program in a process of its own, with memory that it shares with the stack.
pub const PORT: &str = "shared-memory port";
/// The program over the daemon, our modules behind it.
pub const DAEMON: &str = "daemon";
/// The program over the daemon, smoltcp behind it.
pub const DAEMON_SMOLTCP: &str = "daemon, smoltcp";
/// The program over the daemon, and a process for each layer.
pub const LAYERS: &str = "a process for each layer";

/// All structures.
pub const STRUCTURES: &[Structure] = &[
    (KERNEL, |lab, at, does| match does {
        Does::Echo => kernel_peer(lab, at, Service::Echo, true),
        Does::Discard => kernel_peer(lab, at, Service::Discard, false),
        Does::Chargen => kernel_peer(lab, at, Service::Chargen, false),
        Does::Calls => Ok(Box::new(rpc::bare(lab, at.core(), at.mode)?)),
    }),
    (SHARD, |lab, at, does| {
        let square = format!("square:{}", lab.echo().port());
        let name = match does {
            Does::Echo => "echo",
            Does::Calls => &square,
            Does::Discard => return application(lab, at, App::Nothing(Module::Discard)),
            Does::Chargen => return application(lab, at, App::Nothing(Module::Chargen)),
        };
        Ok(Box::new(stack::services(lab, at.core(), at.mode, &[name])?))
    }),
    (ENTER, |lab, at, does| match does {
        Does::Echo | Does::Calls => sockets::on_a_set(lab, at, does),
        Does::Discard => application(lab, at, App::Discard { copy: true }),
        Does::Chargen => application(lab, at, App::Chargen { copy: true }),
    }),
    (THREAD, |lab, at, does| in_process(lab, at, Behind::Modules, does)),
    (FUSED, |lab, at, does| in_process(lab, at, Behind::Fused, does)),
    (SMOLTCP, |lab, at, does| in_process(lab, at, Behind::Smoltcp, does)),
    (PORT, over_port),
    (DAEMON, |lab, at, does| served(lab, at, Behind::Modules, Carrier::Stream, does)),
    ("daemon, packets", |lab, at, does| served(lab, at, Behind::Modules, Carrier::Packets, does)),
    ("daemon, pipes", |lab, at, does| served(lab, at, Behind::Modules, Carrier::Pipes, does)),
    (DAEMON_SMOLTCP, |lab, at, does| served(lab, at, Behind::Smoltcp, Carrier::Stream, does)),
    (LAYERS, |lab, at, does| served(lab, at, Behind::Layers, Carrier::Stream, does)),
];

/// What is done in each structure.
#[derive(Clone, Copy, Debug)]
pub struct Work {
    /// Of the lines.
    pub name: &'static str,
    /// Of the program.
    pub does: Does,
    /// Names and units.
    pub figures: &'static [(&'static str, &'static str)],
    /// Figures of a run in a lab, and how many of what is counted there were in a second.
    pub run: fn(&Lab, Setting, f64) -> Result<Sample, Trouble>,
}

const PER_REQUEST: &[(&str, &str)] = &[
    ("rate", "/s"),
    ("p50", "us"),
    ("p99", "us"),
    ("p99.9", "us"),
    ("processor", "us per request"),
    ("switches", "per request"),
];
const PER_GB: &[(&str, &str)] =
    &[("rate", "Gbit/s"), ("processor", "s per GB"), ("switches", "per GB")];

/// A byte there and back.
pub const ECHO: Work = Work {
    name: "one byte and back",
    does: Does::Echo,
    figures: PER_REQUEST,
    run: |lab, setting, seconds| {
        let time = Duration::from_secs_f64(seconds);
        let requests = Requests { size: 1, connections: 1, time };
        let seen = rr::run(&kernel(true), lab.echo(), requests, setting.client(setting.mode))?;
        let times = seen.times;
        Ok((vec![seen.rate(), times.p50_us, times.p99_us, times.p999_us], seen.rate()))
    },
};

/// A NULL call of RPC.
pub const RPC: Work = Work {
    name: "RPC call",
    does: Does::Calls,
    figures: &[
        ("rate", "/s"),
        ("p50", "us"),
        ("p99", "us"),
        ("processor", "us per request"),
        ("switches", "per request"),
    ],
    run: |lab, setting, seconds| {
        let time = Duration::from_secs_f64(seconds);
        let asked = Calls { program: rpc::PROGRAM, version: 1, window: 1, time };
        let seen = calls::run(&kernel(true), lab.echo(), asked, setting.client(setting.mode))?;
        let times = seen.times.ok_or("no times")?;
        Ok((vec![seen.rate(), times.p50_us, times.p99_us], seen.rate()))
    },
};

/// Bulk into the program.
pub const INWARDS: Work = Work {
    name: "bulk inwards",
    does: Does::Discard,
    figures: PER_GB,
    run: |lab, setting, seconds| transfer(lab, setting, seconds, Direction::Out),
};

/// Bulk out of it.
pub const OUTWARDS: Work = Work {
    name: "bulk outwards",
    does: Does::Chargen,
    figures: PER_GB,
    run: |lab, setting, seconds| transfer(lab, setting, seconds, Direction::In),
};

impl Work {
    /// A sample in a lab of its own: the figures, with those of the threads and processes that
    /// serve behind them.
    ///
    /// # Errors
    /// What serves does not start; the client's.
    pub fn sample(
        self,
        lab: &Lab,
        (_, start): Structure,
        setting: Setting,
        seconds: f64,
    ) -> Result<Vec<f64>, Trouble> {
        let _serving = start(lab, setting, self.does)?;
        let before = Usage::now();
        let (mut figures, per_second) = lab.inside(|| (self.run)(lab, setting, seconds))?;
        let used = before.since();
        // Microseconds of a request, or seconds of a gigabyte.
        let unit = if self.figures == PER_GB { 1.0 } else { 1e6 };
        figures.push(used.cores * unit / per_second);
        figures.push(used.switches / per_second);
        Ok(figures)
    }
}

/// Bytes in the client's direction, in gigabytes per second.
fn transfer(
    lab: &Lab,
    setting: Setting,
    seconds: f64,
    direction: Direction,
) -> Result<Sample, Trouble> {
    let amount = Amount::For(Duration::from_secs_f64(seconds));
    let bulk = Bulk { direction, amount, piece: 128 << 10, connections: 1 };
    let client = setting.client(Mode::Sleeping);
    match bulk::run(&kernel(false), lab.echo(), bulk, client)?.rate() {
        rate if rate < STANDSTILL => Err("the transfer stood still".into()),
        rate => Ok((vec![rate * 8.0 / 1e9], rate / 1e9)),
    }
}
