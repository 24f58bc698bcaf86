//! server: the other end of a load. Echoes, takes everything, or sends for ever; on a thread for
//! each connection, or with all of them on one thread behind epoll.

use super::transport::{Connection, Kernel, Listener};
use super::{Behaviour, LoadError, epoll};
use serde::Serialize;
use std::io::{self, ErrorKind};
use std::net::TcpListener;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

/// What a server does with a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Service {
    /// Sends back what comes (RFC 862).
    Echo,
    /// Takes everything, closes when the other end does (RFC 863).
    Discard,
    /// Sends as much as the other end takes (RFC 864, without its lines).
    Chargen,
}

/// What a server has done.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Served {
    /// Connections accepted.
    pub connections: u64,
    /// Bytes that came.
    pub bytes_in: u64,
    /// Bytes that went.
    pub bytes_out: u64,
}

/// A server looks this often whether it shall stop.
pub const TICK: Duration = Duration::from_millis(50);

/// Bytes of one read or write, as many programs have it.
pub(super) const PIECE: usize = 128 << 10;

/// Serves with a thread for each connection until `stop` is set.
///
/// # Errors
/// When accepting fails, or there is no such core. A connection that fails is over.
pub fn on_threads(
    listener: &dyn Listener,
    service: Service,
    behaviour: Behaviour,
    stop: &AtomicBool,
) -> Result<Served, LoadError> {
    behaviour.pin()?;
    std::thread::scope(|scope| {
        let mut threads = Vec::new();
        while !stop.load(Ordering::Relaxed) {
            if let Some(connection) = listener.accept(TICK).map_err(LoadError::io("accept"))? {
                // Threads inherit the core.
                threads.push(scope.spawn(move || serve(connection, service, behaviour, stop)));
            }
        }
        let mut sum = Served { connections: threads.len() as u64, ..Served::default() };
        for thread in threads {
            let served = thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic));
            sum.bytes_in += served.bytes_in;
            sum.bytes_out += served.bytes_out;
        }
        Ok(sum)
    })
}

/// Listens with the kernel's sockets for [`on_epoll`].
///
/// # Errors
/// [`LoadError::Listen`].
pub fn listen_on_epoll(
    kernel: &Kernel,
    at: std::net::SocketAddr,
) -> Result<TcpListener, LoadError> {
    kernel.listener(at).map_err(|cause| LoadError::Listen { at, cause })
}

/// Serves all connections of the kernel on the calling thread until `stop` is set.
///
/// # Errors
/// When accepting or waiting fails, or there is no such core. A connection that fails is over.
pub fn on_epoll(
    listener: &TcpListener,
    service: Service,
    behaviour: Behaviour,
    stop: &AtomicBool,
) -> Result<Served, LoadError> {
    behaviour.pin()?;
    epoll::serve(listener, service, behaviour, stop)
}

/// Serves one connection to its end.
fn serve(
    mut connection: Box<dyn Connection>,
    service: Service,
    behaviour: Behaviour,
    stop: &AtomicBool,
) -> Served {
    let mut served = Served::default();
    if connection.set_waiting(!behaviour.polling, TICK).is_err() {
        return served;
    }
    let connection = connection.as_mut();
    let mut data = vec![b'x'; PIECE];
    loop {
        let n = match service {
            Service::Chargen => data.len(),
            Service::Echo | Service::Discard => {
                match ask(behaviour, stop, || connection.read(&mut data)) {
                    None | Some(0) => return served,
                    Some(n) => n,
                }
            }
        };
        if service != Service::Chargen {
            served.bytes_in += n as u64;
        }
        let mut out = 0;
        while service != Service::Discard && out < n {
            let Some(n) = ask(behaviour, stop, || connection.write(&data[out..n])) else {
                return served;
            };
            served.bytes_out += n as u64;
            out += n;
        }
    }
}

/// A call again until it does not block; `None` when it fails or the server stops.
fn ask(
    behaviour: Behaviour,
    stop: &AtomicBool,
    mut call: impl FnMut() -> io::Result<usize>,
) -> Option<usize> {
    loop {
        match call() {
            Ok(n) => return Some(n),
            Err(e) if e.kind() == ErrorKind::WouldBlock => {
                if stop.load(Ordering::Relaxed) {
                    return None;
                }
                if behaviour.polling {
                    std::hint::spin_loop();
                }
            }
            Err(e) if e.kind() == ErrorKind::Interrupted => {}
            Err(_) => return None,
        }
    }
}
