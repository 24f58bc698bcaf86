//! rr: a request, its response, the next request; round trips per second and their times.

use super::{Behaviour, Connection, LoadError, Transport, WARM_UP, on_each};
use hdrhistogram::Histogram;
use serde::Serialize;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

/// What is asked.
#[derive(Clone, Copy, Debug)]
pub struct Requests {
    /// Bytes of a request and of its response.
    pub size: usize,
    /// Connections at once, each with one request under way.
    pub connections: usize,
    /// Length of the measured time, behind a warm-up.
    pub time: Duration,
}

/// What came back.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Responses {
    /// Round trips of all connections.
    pub responses: u64,
    /// The longest of the connections' times.
    pub seconds: f64,
    /// How long a round trip took.
    #[serde(flatten)]
    pub times: Times,
}

/// A distribution of times, in microseconds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub struct Times {
    /// Median.
    pub p50_us: f64,
    /// 99th percentile.
    pub p99_us: f64,
    /// 99.9th percentile.
    pub p999_us: f64,
    /// The longest.
    pub max_us: f64,
}

/// Nanoseconds, in buckets of a thousandth.
pub type Nanos = Histogram<u64>;

/// An empty distribution, from a nanosecond to a minute.
pub fn nanos() -> Nanos {
    match Histogram::new_with_bounds(1, 60_000_000_000, 3) {
        Ok(nanos) => nanos,
        Err(_) => unreachable!("the bounds are constants that fit"),
    }
}

impl Times {
    /// Of a distribution in nanoseconds.
    pub fn of(nanos: &Nanos) -> Self {
        let us = |ns: u64| ns as f64 / 1e3;
        let at = |quantile| us(nanos.value_at_quantile(quantile));
        Self { p50_us: at(0.5), p99_us: at(0.99), p999_us: at(0.999), max_us: us(nanos.max()) }
    }
}

impl Responses {
    /// Round trips per second.
    pub fn rate(&self) -> f64 {
        self.responses as f64 / self.seconds.max(f64::MIN_POSITIVE)
    }
}

/// Asks a server that sends back what it gets (echo).
///
/// # Errors
/// The first of any connection.
pub fn run(
    transport: &dyn Transport,
    to: SocketAddr,
    requests: Requests,
    behaviour: Behaviour,
) -> Result<Responses, LoadError> {
    let seen = on_each(transport, to, behaviour, requests.connections, |mut connection| {
        let connection = connection.as_mut();
        ask(connection, requests.size, WARM_UP, behaviour)?;
        ask(connection, requests.size, requests.time, behaviour)
    })?;
    let mut all = nanos();
    let mut seconds = 0.0_f64;
    for (times, took) in &seen {
        // Of the same bounds: nothing is lost.
        all += times;
        seconds = seconds.max(*took);
    }
    Ok(Responses { responses: all.len(), seconds, times: Times::of(&all) })
}

fn ask(
    of: &mut dyn Connection,
    size: usize,
    time: Duration,
    behaviour: Behaviour,
) -> Result<(Nanos, f64), LoadError> {
    let request = vec![b'x'; size];
    let mut response = vec![0; size];
    let mut times = nanos();
    let start = Instant::now();
    let mut asked = start;
    loop {
        behaviour.write_all(of, &request)?;
        let mut got = 0;
        while got < size {
            match behaviour.read(of, &mut response[got..])? {
                0 => return Err(LoadError::Closed { bytes: got as u64 }),
                n => got += n,
            }
        }
        let now = Instant::now();
        times.saturating_record(now.duration_since(asked).as_nanos() as u64);
        asked = now;
        let so_far = now.duration_since(start);
        if so_far >= time {
            return Ok((times, so_far.as_secs_f64()));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_are_told_in_microseconds() {
        let mut times = nanos();
        for us in 1..=1000 {
            times.saturating_record(us * 1000);
        }
        let Times { p50_us, p99_us, p999_us, max_us } = Times::of(&times);
        let near = |is: f64, wanted: f64| (is - wanted).abs() < wanted / 500.0;
        assert!(near(p50_us, 500.0) && near(p99_us, 990.0), "{p50_us} {p99_us}");
        assert!(near(p999_us, 999.0) && near(max_us, 1000.0), "{p999_us} {max_us}");
    }
}
