//! application: a thread that has a connection of the stack as a program has one, and comes into
//! the shard for each call.

use super::{BACKLOG, Service, accept, free, listen};
use crate::Trouble;
use crate::lab::{self, Lab, Stop, TICK_MS};
use crate::stack::{Running, on_tap, tick};
use crate::tcp::{Serving, Setting};
use bytes::Bytes;
use millstream_core::{Errno, Perimeter, StreamId};
use millstream_host::{End, EndError, Handle};
use millstream_msg::{Pool, PoolConfig};
use std::sync::atomic::Ordering;
use std::time::Duration;

/// What the application does with a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Does {
    /// Takes everything: owned messages, or copied into its buffer.
    Discard {
        /// Copied.
        copy: bool,
    },
    /// Sends for ever: owned messages, or copied out of its buffer.
    Chargen {
        /// Copied.
        copy: bool,
    },
    /// Sends back what comes, through its buffer.
    Echo,
    /// Nothing: a module in the stream gives the service, within the shard.
    Nothing(Service),
}

/// Bytes of the application's buffer.
const PIECE: usize = 128 << 10;

/// Of the application: only cells for what it lends.
const POOL: PoolConfig = PoolConfig { external: 4096, ..PoolConfig::TINY };

/// What one owned message carries: 44 packets of 1460 bytes.
static DATA: [u8; 44 * 1460] = [b'x'; 44 * 1460];

/// Serves a lab's TAP: one connection after the other.
///
/// # Errors
/// As [`on_tap`].
pub fn application(lab: &Lab, setting: Setting, does: Does) -> Result<Serving, Trouble> {
    Ok(Box::new(on_stack(lab, setting, does)?.1))
}

/// As [`application`], with what reaches the stack.
///
/// # Errors
/// As [`on_tap`].
pub fn on_stack(
    lab: &Lab,
    setting: Setting,
    does: Does,
) -> Result<(Handle, lab::Service), Trouble> {
    let (mut tcp, mut listener) = (None, None);
    let running = on_tap(lab, setting.core(), setting.mode, |stack| {
        tcp = Some(stack.tcp);
        listener = Some(listen(stack.shard.core(), stack.tcp, lab.echo(), BACKLOG)?);
        Ok(())
    })?;
    let (tcp, listener) = (tcp.ok_or("no tcp")?, listener.ok_or("no listener")?);
    let listener = End::attach_head(&running.handle, listener)?;
    let handle = running.handle.clone();
    let service = lab::Service::start("application", setting.core(), move |stop| {
        while !stop.load(Ordering::Relaxed) {
            let taken = listener.until(Some(tick()), |core, stream| {
                accept(core, tcp, stream).map_err(|_| Errno::EPROTO)?.ok_or(Errno::EAGAIN)
            });
            match taken {
                Ok(stream) => connection(&running, stream, does, stop)?,
                Err(EndError::WouldBlock) => {}
                Err(why) => return Err(why.into()),
            }
        }
        Ok(())
    })?;
    Ok((handle, service))
}

/// One connection to its end, however that comes.
fn connection(running: &Running, stream: StreamId, does: Does, stop: &Stop) -> Result<(), Trouble> {
    let end = End::attach_head(&running.handle, stream)?;
    if let Does::Nothing(service) = does {
        return beside(&end, service, stop);
    }
    let mut data = vec![b'x'; PIECE];
    let mut pool = Pool::new(POOL);
    while !stop.load(Ordering::Relaxed) {
        // Memory that was lent comes back.
        pool.run_deferred();
        let done = match does {
            Does::Discard { copy: true } => read(&end, &mut data),
            Does::Discard { copy: false } => end.until(Some(tick()), take),
            Does::Chargen { copy: true } => write(&end, &data),
            Does::Chargen { copy: false } => {
                let msg = pool.wrap_bytes(Bytes::from_static(&DATA));
                let msg = msg.map_err(|why| why.to_string())?;
                end.put_at_head(msg, Some(tick())).map(|()| DATA.len())
            }
            Does::Echo => match read(&end, &mut data) {
                Ok(n) => write_all(&end, &data[..n]),
                failed => failed,
            },
            Does::Nothing(_) => Ok(0),
        };
        match done {
            // The peer has closed: what was read is a control part, or nothing.
            Ok(0) | Err(EndError::Failed(_)) => break,
            Ok(_) | Err(EndError::WouldBlock) => {}
            Err(why) => return Err(why.into()),
        }
    }
    Ok(())
}

/// Looks now and then whether the peer has gone; the shard does the rest.
fn beside(end: &End, service: Service, stop: &Stop) -> Result<(), Trouble> {
    end.at_head(|core, stream| core.push(stream, service.module()).map(drop))?
        .map_err(|why| why.to_string())?;
    while !stop.load(Ordering::Relaxed) {
        std::thread::sleep(Duration::from_millis(TICK_MS));
        match end.at_head(take)? {
            Err(Errno::EAGAIN) => {}
            Ok(0) | Err(_) => break,
            Ok(_) => {}
        }
    }
    Ok(())
}

/// Takes what is there and frees it; 0 at the end, which a control part tells of.
fn take(core: &mut Perimeter, stream: StreamId) -> Result<usize, Errno> {
    let mut bytes = 0;
    loop {
        match core.getmsg(stream) {
            Err(Errno::EAGAIN) if bytes > 0 => return Ok(bytes),
            Err(errno) => return Err(errno),
            Ok(None) => return Ok(0),
            Ok(Some(got)) if got.control.is_some() => {
                free(core, got);
                return Ok(0);
            }
            Ok(Some(got)) => bytes += free(core, got),
        }
    }
}

fn read(end: &End, into: &mut [u8]) -> Result<usize, EndError> {
    end.until(Some(tick()), |core, stream| match core.read(stream, into) {
        // The peer has closed: that is read too, or our close would leave something unread.
        Err(Errno::EBADMSG) => take(core, stream),
        read => read,
    })
}

fn write(end: &End, data: &[u8]) -> Result<usize, EndError> {
    end.until(Some(tick()), |core, stream| core.write(stream, data))
}

fn write_all(end: &End, mut data: &[u8]) -> Result<usize, EndError> {
    let all = data.len();
    while !data.is_empty() {
        data = &data[write(end, data)?..];
    }
    Ok(all)
}
