//! load: bytes, requests or connections over TCP, and how fast they went. The clients and servers
//! of `millstream load`, and those that the harness measures with.

pub mod bulk;
pub mod calls;
pub mod connect;
mod epoll;
pub mod rr;
pub mod server;
pub mod transport;

pub use transport::{Connection, Kernel, Listener, Transport};

use rustix::thread::{CpuSet, sched_setaffinity};
use std::io::{self, ErrorKind};
use std::net::SocketAddr;
use std::sync::Barrier;
use std::time::{Duration, Instant};

/// How a client or a server behaves, whatever it does.
#[derive(Clone, Copy, Debug, Default)]
pub struct Behaviour {
    /// Core of all its threads; any if `None`.
    pub cpu: Option<usize>,
    /// Asks again and again instead of waiting in the kernel.
    pub polling: bool,
}

/// Why a load could not be put on, for people.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum LoadError {
    /// Nobody answered, or somebody refused.
    #[error("cannot connect to {to}: {cause}{}", hint(cause))]
    Connect {
        /// Whom.
        to: SocketAddr,
        /// Why not.
        cause: io::Error,
    },
    /// The server's address is not to be had.
    #[error("cannot listen on {at}: {cause}")]
    Listen {
        /// The address.
        at: SocketAddr,
        /// Why not.
        cause: io::Error,
    },
    /// A connection failed while it was used.
    #[error("{what}: {cause}{}", reset_hint(cause))]
    Io {
        /// What was tried.
        what: &'static str,
        /// Why not.
        cause: io::Error,
    },
    /// The other end closed before it was done.
    #[error("the other end closed the connection after {bytes} bytes{}", closing_hint(*bytes))]
    Closed {
        /// What had come by then.
        bytes: u64,
    },
    /// Nothing came back for [`PATIENCE`].
    #[error("{what} for {} seconds", PATIENCE.as_secs())]
    Silent {
        /// What was waited for.
        what: &'static str,
    },
    /// There is no such core for us.
    #[error("cannot run on core {cpu}: {cause}")]
    Pin {
        /// Its number.
        cpu: usize,
        /// Why not.
        cause: io::Error,
    },
}

/// The other end is given up after so long without a byte.
pub const PATIENCE: Duration = Duration::from_secs(10);

/// Before measuring: windows open, memory is touched.
pub const WARM_UP: Duration = Duration::from_millis(100);

fn hint(cause: &io::Error) -> &'static str {
    match cause.kind() {
        ErrorKind::ConnectionRefused => ": does a server listen there?",
        ErrorKind::TimedOut | ErrorKind::HostUnreachable => ": is the address right?",
        ErrorKind::ConnectionReset => reset_hint(cause),
        ErrorKind::NotFound => ": the kernel has no congestion control of that name",
        _ => "",
    }
}

/// A service that does not expect what it is sent may end the connection with a reset.
fn reset_hint(cause: &io::Error) -> &'static str {
    match cause.kind() {
        ErrorKind::ConnectionReset => ": is it the right service?",
        _ => "",
    }
}

fn closing_hint(bytes: u64) -> &'static str {
    if bytes == 0 { ": is it the right service?" } else { "" }
}

impl LoadError {
    /// For `map_err`: what failed.
    fn io(what: &'static str) -> impl Fn(io::Error) -> Self {
        move |cause| Self::Io { what, cause }
    }
}

impl Behaviour {
    /// Keeps the calling thread on its core.
    fn pin(self) -> Result<(), LoadError> {
        let Some(cpu) = self.cpu else { return Ok(()) };
        let mut set = CpuSet::new();
        let unknown = || LoadError::Pin { cpu, cause: ErrorKind::NotFound.into() };
        if cpu >= CpuSet::MAX_CPU {
            return Err(unknown());
        }
        set.set(cpu);
        sched_setaffinity(None, &set).map_err(|errno| LoadError::Pin { cpu, cause: errno.into() })
    }

    /// Does a call until it neither would block nor is interrupted. A call that waits in the
    /// kernel gives up by the time-out of its connection, one that does not by ours.
    fn patient<T>(self, mut call: impl FnMut() -> io::Result<T>) -> io::Result<T> {
        let mut since = None;
        let mut asked = 0_u32;
        loop {
            match call() {
                Err(e) if e.kind() == ErrorKind::WouldBlock && self.polling => {
                    asked = asked.wrapping_add(1);
                    // A look at the clock for each try would be a part of what is measured.
                    if asked.is_multiple_of(1 << 14) {
                        let since = since.get_or_insert_with(Instant::now);
                        if since.elapsed() > PATIENCE {
                            return Err(e);
                        }
                    }
                    std::hint::spin_loop();
                }
                Err(e) if e.kind() == ErrorKind::Interrupted => {}
                other => return other,
            }
        }
    }

    /// Reads; 0 at the end.
    fn read(self, from: &mut dyn Connection, into: &mut [u8]) -> Result<usize, LoadError> {
        self.patient(|| from.read(into)).map_err(|cause| match cause.kind() {
            ErrorKind::WouldBlock => LoadError::Silent { what: "nothing came" },
            _ => LoadError::Io { what: "read", cause },
        })
    }

    /// Writes all of it.
    fn write_all(self, to: &mut dyn Connection, mut data: &[u8]) -> Result<(), LoadError> {
        while !data.is_empty() {
            let n = self.patient(|| to.write(data)).map_err(|cause| match cause.kind() {
                ErrorKind::WouldBlock => LoadError::Silent { what: "the other end took nothing" },
                _ => LoadError::Io { what: "write", cause },
            })?;
            data = data.get(n..).unwrap_or_default();
        }
        Ok(())
    }
}

/// Connects `count` times, then runs `work` on a thread for each, all at once.
fn on_each<T: Send>(
    transport: &dyn Transport,
    to: SocketAddr,
    behaviour: Behaviour,
    count: usize,
    work: impl Fn(Box<dyn Connection>) -> Result<T, LoadError> + Sync,
) -> Result<Vec<T>, LoadError> {
    let connections: Vec<_> =
        (0..count).map(|_| open(transport, to, behaviour)).collect::<Result<_, _>>()?;
    let barrier = Barrier::new(count);
    at_once(connections, |connection| {
        let pinned = behaviour.pin();
        barrier.wait();
        pinned?;
        work(connection)
    })
}

/// A thread for each of `all`; the first error, or what all gave.
fn at_once<A: Send, T: Send>(
    all: impl IntoIterator<Item = A>,
    work: impl Fn(A) -> Result<T, LoadError> + Sync,
) -> Result<Vec<T>, LoadError> {
    std::thread::scope(|scope| {
        let work = &work;
        let threads: Vec<_> = all.into_iter().map(|one| scope.spawn(move || work(one))).collect();
        threads
            .into_iter()
            .map(|thread| thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)))
            .collect()
    })
}

/// A connection that waits as the behaviour says.
fn open(
    transport: &dyn Transport,
    to: SocketAddr,
    behaviour: Behaviour,
) -> Result<Box<dyn Connection>, LoadError> {
    let connection = transport.connect(to).map_err(|cause| LoadError::Connect { to, cause })?;
    connection.set_waiting(!behaviour.polling, PATIENCE).map_err(LoadError::io("set up"))?;
    Ok(connection)
}
