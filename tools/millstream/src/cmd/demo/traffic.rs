//! Traffic of the demo: threads that ping and transfer, and what they have measured.

use super::Reading;
use std::io::{Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

/// Tells all threads of the demo to end.
pub(super) type Stop = Arc<AtomicBool>;

/// Round trips since they were last read.
#[derive(Clone, Debug, Default)]
pub(super) struct Trips(Arc<Mutex<Vec<Option<Duration>>>>);

/// Bytes since they were last read.
#[derive(Clone, Debug)]
pub(super) struct Bytes(Arc<AtomicU64>, Instant);

/// Between two round trips.
const PACE: Duration = Duration::from_millis(50);

/// After this a round trip counts as lost.
pub(super) const PATIENCE: Duration = Duration::from_millis(400);

impl Trips {
    pub(super) fn note(&self, trip: Option<Duration>) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).push(trip);
    }

    pub(super) fn reading(&self) -> Reading {
        let mut all = std::mem::take(&mut *self.0.lock().unwrap_or_else(PoisonError::into_inner));
        let sent = all.len();
        all.retain(Option::is_some);
        all.sort_unstable();
        let median = all.get(all.len() / 2).copied().flatten();
        Reading::RoundTrip { median, lost: sent - all.len(), sent }
    }
}

impl Bytes {
    pub(super) fn new() -> Self {
        Self(Arc::default(), Instant::now())
    }

    pub(super) fn add(&self, bytes: usize) {
        self.0.fetch_add(bytes as u64, Ordering::Relaxed);
    }

    pub(super) fn reading(&mut self) -> Reading {
        let bytes = self.0.swap(0, Ordering::Relaxed);
        let span = std::mem::replace(&mut self.1, Instant::now()).elapsed();
        Reading::Rate(bytes as f64 * 8.0 / span.as_secs_f64().max(1e-9))
    }
}

/// Measures round trips with `once` until stopped.
pub(super) fn repeat(
    stop: &Stop,
    trips: &Trips,
    mut once: impl FnMut() -> Result<Option<Duration>, String>,
) -> Result<(), String> {
    while !stop.load(Ordering::Relaxed) {
        trips.note(once()?);
        std::thread::sleep(PACE);
    }
    Ok(())
}

/// One datagram to an echo service and back.
pub(super) fn udp_trip(socket: &UdpSocket, to: SocketAddr) -> Result<Option<Duration>, String> {
    let start = Instant::now();
    let mark = start.elapsed().as_nanos().to_le_bytes();
    socket.send_to(&mark, to).map_err(super::text)?;
    match socket.recv(&mut [0; 64]) {
        Ok(_) => Ok(Some(start.elapsed())),
        Err(_) => Ok(None),
    }
}

/// Reads a TCP transfer and counts it, until it ends.
pub(super) fn tcp_sink(listener: &TcpListener, stop: &Stop, bytes: &Bytes) -> Result<(), String> {
    let (mut stream, _) = listener.accept().map_err(super::text)?;
    stream.set_read_timeout(Some(PATIENCE)).map_err(super::text)?;
    let mut buffer = vec![0; 1 << 18];
    while !stop.load(Ordering::Relaxed) {
        match stream.read(&mut buffer) {
            Ok(0) => return Ok(()),
            Ok(n) => bytes.add(n),
            Err(e) if e.kind() == std::io::ErrorKind::WouldBlock => {}
            Err(e) => return Err(super::text(e)),
        }
    }
    Ok(())
}

/// Writes a TCP transfer until stopped.
pub(super) fn tcp_source(to: (Ipv4Addr, u16), stop: &Stop) -> Result<(), String> {
    let mut stream = TcpStream::connect(to).map_err(super::text)?;
    // The machine's default may pace; what is shown is the link.
    let _kept_default = rustix::net::sockopt::set_tcp_congestion(&stream, "cubic");
    stream.set_write_timeout(Some(PATIENCE)).map_err(super::text)?;
    let chunk = vec![0x5a; 1 << 17];
    while !stop.load(Ordering::Relaxed) {
        match stream.write(&chunk) {
            Ok(_) => {}
            Err(e) if e.kind() == std::io::ErrorKind::WouldBlock => {}
            // The reader may have ended first.
            Err(_) if stop.load(Ordering::Relaxed) => {}
            Err(e) => return Err(super::text(e)),
        }
    }
    Ok(())
}
