//! sockets: a program with the stack's `TcpListener` and `TcpStream`, written as for those of
//! `std`: a thread for each connection, or one for all that waits for any of them.

use crate::Trouble;
use crate::baseline::{Connection, Does as Answers};
use crate::lab::{self, Lab, Mode, Stop, TICK_MS, on_core};
use crate::stack::interface;
use crate::tcp::{Serving, Setting};
use millstream::plan::Plan;
use millstream::{PollEvents, Stack, StreamSet, TcpListener, TcpStream};
use std::collections::HashMap;
use std::io::{self, ErrorKind, Read, Write};
use std::sync::atomic::Ordering;
use std::time::Duration;

/// What the program does with a connection. All bytes are copied, in and out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Does {
    /// Reads everything.
    Discard,
    /// Writes for ever.
    Chargen,
    /// Sends back what comes.
    Echo,
}

/// Bytes of a buffer.
const PIECE: usize = 128 << 10;

const TICK: Duration = Duration::from_millis(TICK_MS);

/// A thread for each connection.
///
/// # Errors
/// As [`Plan::build`], and those of listening.
pub fn on_threads(lab: &Lab, setting: Setting, does: Does) -> Result<Serving, Trouble> {
    let (stack, listener) = listen(lab, setting)?;
    let serve = move |stop: &Stop| {
        std::thread::scope(|scope| {
            while !stop.load(Ordering::Relaxed) {
                if let Some(stream) = waited(listener.accept().map(|(stream, _)| stream))? {
                    scope.spawn(move || connection(stream, does, stop));
                }
            }
            Ok(())
        })
    };
    let service = lab::Service::start("sockets", setting.core(), serve)?;
    Ok(Box::new((service, stack)))
}

/// One thread for all connections, that answers what comes.
///
/// # Errors
/// As [`on_threads`].
pub fn on_a_set(lab: &Lab, setting: Setting, does: Answers) -> Result<Serving, Trouble> {
    let (stack, listener) = listen(lab, setting)?;
    let set = StreamSet::new(&stack)?;
    let serve = move |stop: &Stop| {
        set.add(listener.stream(), LISTENER, PollEvents::READ)?;
        listener.set_nonblocking(true)?;
        let mut connections = HashMap::new();
        let (mut ready, mut data, mut last) = (Vec::new(), vec![0; PIECE], LISTENER);
        let mut room = Vec::new();
        while !stop.load(Ordering::Relaxed) {
            set.wait(&mut ready, Some(TICK))?;
            for &(name, _) in &ready {
                if name == LISTENER {
                    while let Some((stream, _)) = waited(listener.accept())? {
                        last += 1;
                        stream.set_nonblocking(true)?;
                        set.add(stream.stream(), last, PollEvents::READ)?;
                        connections.insert(last, (stream, Connection::default()));
                    }
                } else if let Some((stream, connection)) = connections.get_mut(&name) {
                    let mut to: &TcpStream = stream;
                    let answer =
                        |came: &[u8]| to.write_all(connection.answer(does, came, &mut room));
                    if answered(stream, &mut data, answer) {
                        connections.remove(&name);
                    }
                }
            }
        }
        Ok(())
    };
    let service = lab::Service::start("sockets", setting.core(), serve)?;
    Ok(Box::new((service, stack)))
}

/// Of the listener in the set; connections have larger ones.
const LISTENER: u64 = 0;

fn listen(lab: &Lab, setting: Setting) -> Result<(Stack, TcpListener), Trouble> {
    let polling = setting.mode == Mode::Polling;
    let plan = Plan { interfaces: vec![interface(lab)?], polling, ..Plan::default() };
    // Its thread stays on the core of the thread that starts it.
    let stack = on_core(setting.core(), || Ok(Stack::start(plan)?))?;
    let listener = TcpListener::bind_backlog(&stack, lab.echo(), BACKLOG)?;
    listener.stream().set_read_timeout(Some(TICK));
    Ok((stack, listener))
}

/// Connections that may wait to be accepted.
const BACKLOG: u32 = 4096;

/// One connection to its end, however that comes.
fn connection(mut stream: TcpStream, does: Does, stop: &Stop) {
    let mut data = vec![b'x'; PIECE];
    stream.stream().set_read_timeout(Some(TICK));
    stream.stream().set_write_timeout(Some(TICK));
    while !stop.load(Ordering::Relaxed) {
        let done = match does {
            Does::Discard => stream.read(&mut data),
            Does::Chargen => stream.write(&data),
            Does::Echo => stream.read(&mut data).and_then(|n| {
                stream.write_all(&data[..n])?;
                Ok(n)
            }),
        };
        match waited(done) {
            Ok(Some(0)) | Err(_) => return,
            Ok(_) => {}
        }
    }
}

/// Answers what is there; is the connection over?
fn answered(
    mut stream: &TcpStream,
    data: &mut [u8],
    answer: impl FnOnce(&[u8]) -> io::Result<()>,
) -> bool {
    let taken = stream.read(data).and_then(|n| {
        answer(&data[..n])?;
        Ok(n)
    });
    matches!(waited(taken), Ok(Some(0)) | Err(_))
}

/// `None` when the time was over.
fn waited<T>(result: io::Result<T>) -> io::Result<Option<T>> {
    match result {
        Ok(value) => Ok(Some(value)),
        Err(error) if error.kind() == ErrorKind::WouldBlock => Ok(None),
        Err(error) => Err(error),
    }
}
