//! bench: procedure 0 again and again.

use super::{ByKernel, Common, Failure, Reach, Way, failed, number, program, seconds};
use crate::render;
use clap::Args;
use millstream::rpc::{Caller, Procedure, Transport};
use millstream_tools::load::calls::{self, Answers, Calls};
use millstream_tools::load::rr::{Times, nanos};
use millstream_tools::load::{Behaviour, Kernel};
use serde::Serialize;
use std::collections::VecDeque;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

#[derive(Debug, Args)]
pub(super) struct Bench {
    #[command(flatten)]
    reach: Reach,
    /// Number of the program, or a name such as nfs
    #[arg(value_name = "PROGRAM", value_parser = program)]
    program: u32,
    /// Its version
    #[arg(value_name = "VERSION", value_parser = number)]
    version: u32,
    /// Calls under way at once
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = window)]
    window: usize,
    /// Length of the measured time
    #[arg(long, value_name = "SECS", default_value = "1", value_parser = seconds)]
    seconds: Duration,
    /// Stay on one core
    #[arg(long, value_name = "CORE")]
    cpu: Option<usize>,
    /// Ask the kernel's sockets again and again instead of sleeping
    #[arg(long)]
    poll: bool,
}

#[derive(Debug, Serialize)]
struct Outcome {
    load: &'static str,
    to: SocketAddr,
    window: usize,
    per_second: f64,
    #[serde(flatten)]
    answers: Answers,
}

impl Bench {
    pub(super) fn run(self, common: &Common) -> Result<(), Failure> {
        let Self { reach, program, version, window, seconds: time, .. } = self;
        let calls = Calls { program, version, window, time };
        let (target, patience) = (reach.target(), reach.timeout);
        let behaviour = Behaviour { cpu: self.cpu, polling: self.poll };
        let (to, answers) = match reach.stack()? {
            Some(way) => {
                let to = target.at(&way, (program, version))?;
                (to, by_calls(&way, to, target.transport, calls)?)
            }
            None => {
                let way = ByKernel { patience };
                let to = target.at(&way, (program, version))?;
                let answers = if target.transport == Transport::Tcp {
                    let kernel = Kernel { congestion: None, nodelay: true };
                    calls::run(&kernel, to, calls, behaviour)?
                } else {
                    by_calls(&way, to, target.transport, calls)?
                };
                (to, answers)
            }
        };
        let per_second = answers.rate();
        if common.json {
            render::json(&Outcome { load: "rpc", to, window, per_second, answers });
            return Ok(());
        }
        let (done, rate) = (render::count(answers.calls), render::count(per_second as u64));
        render::line(&format!("{done} calls in {:.3} s: {rate} /s", answers.seconds));
        if let Some(times) = answers.times {
            render::line(&super::super::load::text(times));
        }
        Ok(())
    }
}

/// Through a client, call by call.
fn by_calls<W: Way>(
    way: &W,
    to: SocketAddr,
    transport: Transport,
    calls: Calls,
) -> Result<Answers, Failure> {
    let mut client = way.connect(to, transport).map_err(|e| failed(to, &e))?;
    let null = Procedure { program: calls.program, version: calls.version, number: 0 };
    let mut under_way = VecDeque::with_capacity(calls.window);
    let mut times = nanos();
    let (start, mut done) = (Instant::now(), 0);
    let mut over = None;
    loop {
        while over.is_none() && under_way.len() < calls.window {
            let call = client.start(null, |_| Ok(())).map_err(|e| failed(to, &e))?;
            under_way.push_back((call, Instant::now()));
        }
        let Some((call, since)) = under_way.pop_front() else { break };
        client.finish(call, |_| Ok(())).map_err(|e| failed(to, &e))?;
        times.saturating_record(since.elapsed().as_nanos() as u64);
        if over.is_none() {
            done += 1;
            over = Some(start.elapsed()).filter(|so_far| *so_far >= calls.time);
        }
    }
    let seconds = over.unwrap_or_default().as_secs_f64();
    let times = (calls.window == 1).then(|| Times::of(&times));
    Ok(Answers { calls: done, seconds, times })
}

fn window(text: &str) -> Result<usize, String> {
    /// What a client of the stack may have under way.
    const MOST: usize = 4096;
    match text.parse() {
        Ok(n @ 1..=MOST) => Ok(n),
        _ => Err(format!("a number from 1 to {MOST}")),
    }
}
