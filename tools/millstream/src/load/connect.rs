//! connect: a connection, one byte there and back, closed, the next; connections per second.

use super::rr::{Nanos, Times, nanos};
use super::{Behaviour, LoadError, Transport, at_once, open};
use serde::Serialize;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

/// What is done.
#[derive(Clone, Copy, Debug)]
pub struct Connects {
    /// Clients at once, each with one connection at a time.
    pub clients: usize,
    /// Length of the measured time.
    pub time: Duration,
}

/// What became of it.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Connected {
    /// Connections that carried their byte.
    pub connections: u64,
    /// Connections that did not come about or were lost.
    pub failed: u64,
    /// Why the first of them failed.
    pub failure: Option<String>,
    /// The longest of the clients' times.
    pub seconds: f64,
    /// From before connecting to after closing.
    #[serde(flatten)]
    pub times: Times,
}

impl Connected {
    /// Connections per second.
    pub fn rate(&self) -> f64 {
        self.connections as f64 / self.seconds.max(f64::MIN_POSITIVE)
    }
}

/// One client.
struct Client {
    times: Nanos,
    failed: u64,
    failure: Option<String>,
    seconds: f64,
}

/// Connects to a server that sends back what it gets (echo), again and again.
///
/// # Errors
/// When the first connection of all fails, or there is no such core. Later failures are counted.
pub fn run(
    transport: &dyn Transport,
    to: SocketAddr,
    connects: Connects,
    behaviour: Behaviour,
) -> Result<Connected, LoadError> {
    once(transport, to, behaviour)?;
    let clients = at_once(0..connects.clients, |_| {
        behaviour.pin()?;
        Ok(client(transport, to, connects.time, behaviour))
    })?;
    let mut all = nanos();
    let (mut failed, mut failure, mut seconds) = (0, None, 0.0_f64);
    for client in clients {
        // Of the same bounds: nothing is lost.
        all += client.times;
        failed += client.failed;
        failure = failure.or(client.failure);
        seconds = seconds.max(client.seconds);
    }
    Ok(Connected { connections: all.len(), failed, failure, seconds, times: Times::of(&all) })
}

fn client(
    transport: &dyn Transport,
    to: SocketAddr,
    time: Duration,
    behaviour: Behaviour,
) -> Client {
    let mut client = Client { times: nanos(), failed: 0, failure: None, seconds: 0.0 };
    let start = Instant::now();
    let mut began = start;
    while client.seconds < time.as_secs_f64() {
        let outcome = once(transport, to, behaviour);
        let now = Instant::now();
        match outcome {
            Ok(()) => client.times.saturating_record(now.duration_since(began).as_nanos() as u64),
            Err(why) => {
                client.failed += 1;
                client.failure.get_or_insert_with(|| why.to_string());
            }
        }
        began = now;
        client.seconds = now.duration_since(start).as_secs_f64();
    }
    client
}

fn once(transport: &dyn Transport, to: SocketAddr, behaviour: Behaviour) -> Result<(), LoadError> {
    let mut connection = open(transport, to, behaviour)?;
    let connection = connection.as_mut();
    behaviour.write_all(connection, b"x")?;
    match behaviour.read(connection, &mut [0])? {
        0 => Err(LoadError::Closed { bytes: 0 }),
        _ => Ok(()),
    }
}
