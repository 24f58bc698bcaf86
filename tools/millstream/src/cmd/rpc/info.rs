//! info: what a host serves, as its rpcbind tells; or whether a program answers.

use super::{Common, Failure, Question, Reach, Target, Way, failed, name, number, program};
use crate::render::{self, Table};
use clap::Args;
use millstream::RpcError;
use millstream::rpc::onc::message::Outcome;
use millstream::rpc::{Caller, Procedure, Transport};
use millstream_programs::rpcbind;
use millstream_programs::wire::rpcbind::{PMAP_IPPROTO_TCP, PMAP_IPPROTO_UDP, RpcbprogV2Client};
use serde::Serialize;
use std::net::SocketAddr;
use std::time::Instant;

#[derive(Debug, Args)]
pub(super) struct Info {
    #[command(flatten)]
    reach: Reach,
    /// See whether this program answers: a number, or a name such as nfs
    #[arg(value_name = "PROGRAM", value_parser = program)]
    program: Option<u32>,
    /// In this version; otherwise in all that it has
    #[arg(value_name = "VERSION", value_parser = number)]
    version: Option<u32>,
}

/// A program without version: all that is served.
pub(super) struct Asked {
    program: Option<u32>,
    version: Option<u32>,
}

/// A line of what a host serves.
#[derive(Debug, Serialize)]
struct Served {
    program: u32,
    version: u32,
    transport: &'static str,
    port: u32,
    name: &'static str,
}

/// A version of a program.
#[derive(Debug, Serialize)]
struct Answer {
    program: u32,
    version: u32,
    answers: bool,
    /// Why it does not.
    why: Option<String>,
    time_us: Option<f64>,
}

impl Info {
    pub(super) fn split(self) -> (Reach, Asked) {
        (self.reach, Asked { program: self.program, version: self.version })
    }
}

impl Question for Asked {
    fn ask(self, way: &impl Way, target: Target, common: &Common) -> Result<(), Failure> {
        match self.program {
            None => list(way, target, common),
            Some(program) => probe(way, target, program, self.version, common),
        }
    }
}

fn list(way: &impl Way, target: Target, common: &Common) -> Result<(), Failure> {
    let at = SocketAddr::new(target.place.host, target.place.port.unwrap_or(rpcbind::PORT));
    let client = way.connect(at, target.transport).map_err(|e| failed(at, &e))?;
    let dump = RpcbprogV2Client::new(client).pmapproc_dump().map_err(|e| failed(at, &e))?;
    let served: Vec<Served> = dump
        .iter()
        .map(|one| one.map)
        .map(|map| Served {
            program: map.prog,
            version: map.vers,
            transport: match map.prot {
                PMAP_IPPROTO_TCP => "tcp",
                PMAP_IPPROTO_UDP => "udp",
                _ => "other",
            },
            port: map.port,
            name: name(map.prog),
        })
        .collect();
    if common.json {
        render::json(&serde_json::json!({ "host": target.place.host, "programs": served }));
        return Ok(());
    }
    let mut table = Table::new(&[">PROGRAM", ">VERSION", "PROTO", ">PORT", "NAME"]);
    for one in served {
        let [program, version, port] = [one.program, one.version, one.port].map(|n| n.to_string());
        table.row([program, version, one.transport.to_owned(), port, one.name.to_owned()]);
    }
    render::line(&table.text());
    Ok(())
}

fn probe(
    way: &impl Way,
    target: Target,
    program: u32,
    version: Option<u32>,
    common: &Common,
) -> Result<(), Failure> {
    let mut client = target.client(way, (program, version.unwrap_or(0)))?;
    let versions = match version {
        Some(version) => vec![version],
        None => versions(&mut client, program).map_err(|why| Failure::Failed(why.to_string()))?,
    };
    let answers: Vec<Answer> =
        versions.into_iter().map(|version| answer(&mut client, program, version)).collect();
    if common.json {
        let transport = if target.transport == Transport::Tcp { "tcp" } else { "udp" };
        let host = target.place.host;
        let all = serde_json::json!({ "host": host, "transport": transport, "answers": answers });
        render::json(&all);
    } else {
        answers.iter().for_each(|answer| render::line(&answer.text()));
    }
    if answers.iter().all(|answer| answer.answers) { Ok(()) } else { Err(Failure::Said) }
}

/// The versions that a program has: it tells when it is asked for one that there cannot be.
fn versions<C: Caller<Error = RpcError>>(
    client: &mut C,
    program: u32,
) -> Result<Vec<u32>, RpcError> {
    match null(client, program, 0) {
        Ok(()) => Ok(vec![0]),
        Err(RpcError::Refused(Outcome::ProgMismatch { low, high })) => {
            Ok((low..=high).take(VERSIONS_MAX).collect())
        }
        Err(error) => Err(error),
    }
}

fn answer<C: Caller<Error = RpcError>>(client: &mut C, program: u32, version: u32) -> Answer {
    let start = Instant::now();
    let done = null(client, program, version);
    let time_us = done.is_ok().then(|| start.elapsed().as_nanos() as f64 / 1e3);
    let why = done.err().map(|error| error.to_string());
    Answer { program, version, answers: why.is_none(), why, time_us }
}

fn null<C: Caller<Error = RpcError>>(
    client: &mut C,
    program: u32,
    version: u32,
) -> Result<(), RpcError> {
    client.call(Procedure { program, version, number: 0 }, |_| Ok(()), |_| Ok(()))
}

impl Answer {
    fn text(&self) -> String {
        let Self { program, version, .. } = self;
        match &self.why {
            None => {
                let time = render::time((self.time_us.unwrap_or(0.0) * 1e3) as u64);
                format!("program {program} version {version} ready and waiting, after {time}")
            }
            Some(why) => format!("program {program} version {version} is not available: {why}"),
        }
    }
}

/// A range may be anything; a program with more versions has not been seen.
const VERSIONS_MAX: usize = 64;
