//! bulk: as many bytes as there is room for, one way; bytes per second.

use super::{Behaviour, Connection, LoadError, Transport, WARM_UP, on_each};
use serde::Serialize;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

/// What is moved.
#[derive(Clone, Copy, Debug)]
pub struct Bulk {
    /// Which way.
    pub direction: Direction,
    /// How much, over each connection.
    pub amount: Amount,
    /// Bytes of one write, or of the buffer of one read.
    pub piece: usize,
    /// Connections at once.
    pub connections: usize,
}

/// From where to where.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Direction {
    /// To a server that takes everything and closes when we do (discard).
    Out,
    /// From a server that sends for ever (chargen).
    In,
}

/// When it is enough.
#[derive(Clone, Copy, Debug)]
pub enum Amount {
    /// After so long, behind a warm-up.
    For(Duration),
    /// After so many bytes.
    Bytes(u64),
}

/// What was moved over all connections.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Moved {
    /// In the measured time.
    pub bytes: u64,
    /// The longest of the connections' times.
    pub seconds: f64,
}

impl Moved {
    /// Bytes per second.
    pub fn rate(&self) -> f64 {
        self.bytes as f64 / self.seconds.max(f64::MIN_POSITIVE)
    }
}

/// Moves it.
///
/// # Errors
/// The first of any connection.
pub fn run(
    transport: &dyn Transport,
    to: SocketAddr,
    bulk: Bulk,
    behaviour: Behaviour,
) -> Result<Moved, LoadError> {
    let moved = on_each(transport, to, behaviour, bulk.connections, |mut connection| {
        let connection = connection.as_mut();
        match bulk.direction {
            Direction::Out => send(connection, bulk, behaviour),
            Direction::In => receive(connection, bulk, behaviour),
        }
    })?;
    let seconds = moved.iter().map(|moved| moved.seconds).fold(0.0, f64::max);
    Ok(Moved { bytes: moved.iter().map(|moved| moved.bytes).sum(), seconds })
}

/// The clock of one connection: it starts behind the warm-up, unless bytes are counted.
struct Clock {
    amount: Amount,
    measured_from: Instant,
    bytes: u64,
}

impl Clock {
    fn new(amount: Amount) -> Self {
        let warm_up = match amount {
            Amount::For(_) => WARM_UP,
            Amount::Bytes(_) => Duration::ZERO,
        };
        Self { amount, measured_from: Instant::now() + warm_up, bytes: 0 }
    }

    /// Counts what was moved now.
    fn add(&mut self, bytes: usize) {
        if matches!(self.amount, Amount::Bytes(_)) || Instant::now() >= self.measured_from {
            self.bytes += bytes as u64;
        }
    }

    /// Bytes that the next call may move; `None` when it is enough.
    fn next(&self, piece: usize) -> Option<usize> {
        match self.amount {
            Amount::For(time) => (Instant::now() < self.measured_from + time).then_some(piece),
            Amount::Bytes(all) => match all.saturating_sub(self.bytes) {
                0 => None,
                left => Some(left.min(piece as u64) as usize),
            },
        }
    }

    fn moved(&self) -> Moved {
        Moved { bytes: self.bytes, seconds: self.measured_from.elapsed().as_secs_f64() }
    }
}

/// The time ends when the other end has closed, that is, has taken everything.
fn send(to: &mut dyn Connection, bulk: Bulk, behaviour: Behaviour) -> Result<Moved, LoadError> {
    let data = vec![b'x'; bulk.piece];
    let mut clock = Clock::new(bulk.amount);
    while let Some(n) = clock.next(data.len()) {
        behaviour.write_all(to, &data[..n])?;
        clock.add(n);
    }
    to.finish().map_err(LoadError::io("close"))?;
    let mut rest = vec![0; bulk.piece];
    while behaviour.read(to, &mut rest)? > 0 {}
    Ok(clock.moved())
}

fn receive(
    from: &mut dyn Connection,
    bulk: Bulk,
    behaviour: Behaviour,
) -> Result<Moved, LoadError> {
    let mut data = vec![0; bulk.piece];
    let mut clock = Clock::new(bulk.amount);
    while let Some(n) = clock.next(data.len()) {
        match behaviour.read(from, &mut data[..n])? {
            0 => return Err(LoadError::Closed { bytes: clock.bytes }),
            n => clock.add(n),
        }
    }
    Ok(clock.moved())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_count_of_bytes_ends_exactly_there_and_has_no_warm_up() {
        let mut clock = Clock::new(Amount::Bytes(10));
        assert_eq!(clock.next(8), Some(8));
        clock.add(8);
        assert_eq!(clock.next(8), Some(2));
        clock.add(2);
        assert_eq!((clock.next(8), clock.moved().bytes), (None, 10));
    }

    #[test]
    fn bytes_of_the_warm_up_do_not_count() {
        let mut clock = Clock::new(Amount::For(Duration::from_secs(60)));
        clock.add(1000);
        assert_eq!((clock.next(8), clock.moved().bytes), (Some(8), 0));
        clock.measured_from = Instant::now();
        clock.add(8);
        assert_eq!(clock.moved().bytes, 8);
    }
}
