//! ping: a running stack sends echo requests, and the replies are shown with their times.

use super::{Common, Failure};
use crate::render;
use millstream_host::ctl::{Echo, Request};
use serde::Serialize;
use std::net::IpAddr;
use std::time::{Duration, Instant};

/// Let the stack ping an address
#[derive(Debug, clap::Args)]
pub(crate) struct Ping {
    /// Whom
    addr: IpAddr,
    /// How many requests
    #[arg(short, long, value_name = "N", default_value_t = 4,
        value_parser = clap::value_parser!(u16).range(1..))]
    count: u16,
    /// Seconds from one request to the next
    #[arg(short, long, value_name = "SECS", default_value_t = 1.0, value_parser = seconds)]
    interval: f64,
    /// Seconds to wait for a reply
    #[arg(short = 'W', long, value_name = "SECS", default_value_t = 1.0, value_parser = seconds)]
    timeout: f64,
    /// Bytes behind the ICMP header
    #[arg(short, long, value_name = "BYTES", default_value_t = 56)]
    size: u16,
}

#[derive(Debug, Serialize)]
struct Summary {
    addr: IpAddr,
    sent: usize,
    received: usize,
    rtt_min_ns: Option<u64>,
    rtt_mean_ns: Option<u64>,
    rtt_max_ns: Option<u64>,
    echoes: Vec<Echo>,
}

impl Ping {
    pub(crate) fn run(self, common: &Common) -> Result<(), Failure> {
        let mut client = common.connect()?;
        let timeout_ms = (self.timeout * 1e3) as u64;
        let began = Instant::now();
        let mut echoes = Vec::new();
        for seq in 0..self.count {
            let due = began + Duration::from_secs_f64(self.interval) * u32::from(seq);
            std::thread::sleep(due.saturating_duration_since(Instant::now()));
            let request = Request::Ping { addr: self.addr, seq, size: self.size, timeout_ms };
            let echo: Echo = client.ask_for(&request)?;
            if !common.json {
                render::line(&self.text(&echo));
            }
            echoes.push(echo);
        }
        let summary = Summary::new(self.addr, echoes);
        if common.json {
            render::json(&summary);
        } else {
            render::line(&summary.text());
        }
        if summary.received == 0 { Err(Failure::Said) } else { Ok(()) }
    }

    fn text(&self, echo: &Echo) -> String {
        match (echo.bytes, echo.ttl, echo.rtt_ns) {
            (Some(bytes), Some(ttl), Some(rtt)) => format!(
                "{bytes} bytes from {}: seq={} ttl={ttl} time={}",
                self.addr,
                echo.seq,
                render::time(rtt)
            ),
            _ => match &echo.failure {
                Some(why) => format!("{} unreachable: seq={}: {why}", self.addr, echo.seq),
                None => format!("no reply from {}: seq={}", self.addr, echo.seq),
            },
        }
    }
}

impl Summary {
    fn new(addr: IpAddr, echoes: Vec<Echo>) -> Self {
        let times: Vec<u64> = echoes.iter().filter_map(|echo| echo.rtt_ns).collect();
        Self {
            addr,
            sent: echoes.len(),
            received: times.len(),
            rtt_min_ns: times.iter().min().copied(),
            rtt_mean_ns: times.iter().sum::<u64>().checked_div(times.len() as u64),
            rtt_max_ns: times.iter().max().copied(),
            echoes,
        }
    }

    fn text(&self) -> String {
        let lost = 100 * (self.sent - self.received) / self.sent.max(1);
        let mut text = format!("{} sent, {} received, {lost} % lost", self.sent, self.received);
        if let (Some(min), Some(mean), Some(max)) =
            (self.rtt_min_ns, self.rtt_mean_ns, self.rtt_max_ns)
        {
            let [min, mean, max] = [min, mean, max].map(render::time);
            text += &format!("; round trip min {min}, mean {mean}, max {max}");
        }
        text
    }
}

/// Up to 30: the stack closes a connection that is silent for a minute.
fn seconds(text: &str) -> Result<f64, String> {
    match text.parse() {
        Ok(seconds) if (0.0..=30.0).contains(&seconds) => Ok(seconds),
        _ => Err("a number of seconds from 0 to 30".to_owned()),
    }
}
