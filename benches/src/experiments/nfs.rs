//! A large file to a server of NFS version 3 and back, by nfs-cp.

use crate::Trouble;
use crate::lab::{Lab, Pinning};
use crate::nfs::{self, Client, NFS_PORT};
use crate::report::{Options, Report, Side};
use crate::tcp::Serving;

const ABOUT: &str = "A file of 1 GiB (less in shorter runs) by nfs-cp of libnfs, from memory to a \
    server of NFS version 3 and from there to memory, which asks for one block after the other: \
    MiB of it a second of wall-clock time, mount and process included. Ours and nfs3_server keep \
    files in memory, nfs-ganesha in a tmpfs. All sleep when there is nothing to do; client core 0, \
    server core 1";

/// Who is measured: a name, how it is started, its export, and where it answers MOUNT.
type Server = (&'static str, fn(&Lab, usize) -> Result<Serving, Trouble>, &'static str, u16);

const SERVERS: &[Server] = &[
    (OURS, |lab, core| Ok(Box::new(nfs::ours(lab, core)?)), "/", NFS_PORT),
    (CRATE, |lab, core| Ok(Box::new(nfs::nfs3_server(lab, core)?)), "/", NFS_PORT),
    (GANESHA, |lab, core| Ok(Box::new(nfs::ganesha(lab, core)?)), "/run/mem", 2050),
];

const OURS: &str = "in the shard";
const CRATE: &str = "nfs3_server";
const GANESHA: &str = "nfs-ganesha";
const FIGURES: &[(&str, &str)] = &[("write", "MiB/s"), ("read", "MiB/s")];

/// Runs the experiment.
///
/// # Errors
/// Without the right to make a namespace.
pub fn run(options: &Options) -> Result<Report, Trouble> {
    drop(Lab::new(0)?);
    let mut report = Report::new("nfs", ABOUT, options);
    let octets = ((options.seconds * A_SECOND) as u64).clamp(BLOCK, 1 << 30);
    let mut sides = Vec::new();
    for (network, &(what, start, export, mount_port)) in (1..).zip(SERVERS) {
        let sample = move || {
            let lab = Lab::new(network)?;
            let _serving = start(&lab, Pinning::Two.server())?;
            let client = Client::new(Pinning::Two, octets, export, mount_port)?;
            Ok(client.run(&lab)?.to_vec())
        };
        sides.push(Side { name: what.into(), figures: FIGURES, sample: Box::new(sample) });
    }
    report.measure(options, &sides);
    for figure in ["write", "read"] {
        report.ratio(figure, OURS, CRATE, Some(1.0));
        report.ratio(figure, OURS, GANESHA, None);
    }
    Ok(report)
}

/// Octets for a second of a run: 1 GiB from 0.2 s on.
const A_SECOND: f64 = 5.0 * (1 << 30) as f64;
const BLOCK: u64 = 1 << 20;
