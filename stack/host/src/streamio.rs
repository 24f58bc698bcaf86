//! streamio: `ioctl(2)` of a stream from inside the shard, for programs in this process and in
//! others. Arguments lie in bytes as `millstream_port::streamio` says.

use crate::ctl::{self, Writers};
use millstream_core::ioctl::{Arg, Cred, IocId, LinkCommand, Progress, Reply, Request};
use millstream_core::{Errno, FdInsert, Mark, Perimeter, Priority, Signals, StreamId, Want};
use millstream_modules::table;
use millstream_msg::Band;
use millstream_port::streamio::*;
use std::time::Duration;

/// One call.
#[derive(Clone, Copy, Debug)]
pub struct Call<'a> {
    /// The command.
    pub cmd: u32,
    /// Its number, if it takes one.
    pub arg: i64,
    /// Its bytes, if it takes some.
    pub input: &'a [u8],
    /// The stream that the argument names, if it names one.
    pub other: Option<StreamId>,
    /// Whom it comes from.
    pub cred: Cred,
}

/// Does what is asked for. What it has come to, and the bytes that it gives.
///
/// # Errors
/// As streamio(7) says for the command; EINVAL for one that there is not.
pub fn ioctl(
    core: &mut Perimeter,
    at: StreamId,
    call: &Call<'_>,
) -> Result<(Asked, Vec<u8>), Errno> {
    match call.cmd {
        I_STR | I_LINK | I_PLINK | I_UNLINK | I_PUNLINK | TRANSPARENT => {
            let id = begun(core, at, call)?;
            progress(core, at, id)
        }
        LOOK => progress(core, at, request(call)),
        COPIED => {
            let failed = Errno((call.arg >> 32) as i32);
            let outcome = if failed.0 == 0 { Ok(call.input) } else { Err(failed) };
            core.ioctl_copied(at, request(call), outcome)?;
            progress(core, at, request(call))
        }
        GIVE_UP => {
            core.ioctl_cancel(at, request(call));
            Ok((Asked::Done(0, 0), Vec::new()))
        }
        _ => at_once(core, at, call).map(|(value, bytes)| (Asked::Done(value, bytes.len()), bytes)),
    }
}

/// Commands of the head. The value of the call, and the bytes it gives.
fn at_once(core: &mut Perimeter, at: StreamId, call: &Call<'_>) -> Result<(i32, Vec<u8>), Errno> {
    let number = u32::try_from(call.arg).map_err(|_| Errno::EINVAL);
    match call.cmd {
        I_PUSH => push(core, at, name(call.input)?),
        I_POP => core.pop_top(at).map(|_| nothing(0)),
        I_LOOK => core.look(at).map(|name| (0, name.into_bytes())),
        I_FIND => {
            let known = |name: &str| table::names().any(|info| info.name == name);
            let found = core.has_module(at, name(call.input)?, known)?;
            Ok(nothing(found.into()))
        }
        I_LIST => {
            let names = core.list(at)?;
            let bytes = names.iter().flat_map(|name| [name.as_bytes(), &[0]].concat());
            Ok((count(names.len()), bytes.collect()))
        }
        I_NREAD => {
            let waiting = core.waiting(at)?;
            Ok((count(waiting.messages), word(count(waiting.bytes))))
        }
        I_FLUSH => core.flush(at, byte(call.arg)?).map(|()| nothing(0)),
        I_FLUSHBAND => {
            let band = *call.input.first().ok_or(Errno::EINVAL)?;
            core.flush_band(at, byte(call.arg)?, Band(band)).map(|()| nothing(0))
        }
        I_CKBAND => Ok(nothing(core.band_waits(at, Band(byte(call.arg)?))?.into())),
        I_CANPUT => {
            let band = if call.arg == -1 { None } else { Some(Band(byte(call.arg)?)) };
            Ok(nothing(core.can_put(at, band)?.into()))
        }
        I_GETBAND => core.first_band(at).map(|Band(band)| (0, word(band.into()))),
        I_ATMARK => {
            let mark = match call.arg {
                1 => Mark::Any,
                2 => Mark::Last,
                _ => return Err(Errno::EINVAL),
            };
            Ok(nothing(core.at_mark(at, mark)?.into()))
        }
        I_PEEK => peek(core, at, call),
        I_FDINSERT => insert(core, at, call),
        _ => options(core, at, call.cmd, number),
    }
}

/// Commands that set and tell how the head works.
fn options(
    core: &mut Perimeter,
    at: StreamId,
    cmd: u32,
    number: Result<u32, Errno>,
) -> Result<(i32, Vec<u8>), Errno> {
    let told = |number: u32| (0, number.to_ne_bytes().to_vec());
    match cmd {
        I_SRDOPT => {
            let changed = core.read_options(at)?.changed(number?)?;
            core.set_read_options(at, changed).map(|()| nothing(0))
        }
        I_GRDOPT => Ok(told(core.read_options(at)?.number())),
        I_SWROPT => {
            let number = number?;
            if number & !SNDZERO != 0 {
                return Err(Errno::EINVAL);
            }
            core.set_sends_empty(at, number == SNDZERO).map(|()| nothing(0))
        }
        I_GWROPT => Ok(told(if core.sends_empty(at)? { SNDZERO } else { 0 })),
        I_SETSIG => {
            let signals = Signals::from_number(number?).ok_or(Errno::EINVAL)?;
            core.set_signals(at, signals).map(|()| nothing(0))
        }
        I_GETSIG => Ok(told(core.signals(at)?.number().into())),
        I_SETCLTIME => {
            let time = Duration::from_millis(number?.into());
            core.set_close_time(at, time).map(|()| nothing(0))
        }
        I_GETCLTIME => {
            let ms = u32::try_from(core.close_time(at)?.as_millis()).unwrap_or(u32::MAX);
            Ok(told(ms))
        }
        _ => Err(Errno::EINVAL),
    }
}

/// I_PUSH of a module of the table, as it is without parameters.
fn push(core: &mut Perimeter, at: StreamId, name: &str) -> Result<(i32, Vec<u8>), Errno> {
    let make = |name: &str| ctl::make(name, &[], "", &Writers::new(|_| ())).ok();
    let change = core.push_named(at, name, make)?;
    if change.ticket().is_some() {
        settle(core, |core| core.pending(at).is_none());
    }
    Ok(nothing(0))
}

/// Begins a request that what is below answers.
fn begun(core: &mut Perimeter, at: StreamId, call: &Call<'_>) -> Result<IocId, Errno> {
    let other = call.other.ok_or(Errno::EINVAL);
    let muxid = i32::try_from(call.arg).map_err(|_| Errno::EINVAL);
    let command = match call.cmd {
        I_LINK => LinkCommand::Link(other?),
        I_PLINK => LinkCommand::LinkPersistent(other?),
        I_UNLINK => LinkCommand::Unlink(muxid?),
        I_PUNLINK => LinkCommand::UnlinkPersistent(muxid?),
        _ => {
            let (cmd, timeout, arg) = match call.cmd {
                I_STR => (call.arg as u32, (call.arg >> 32) as i32, Arg::Data(call.input)),
                _ => {
                    let cmd = call.input.try_into().map_err(|_| Errno::EINVAL)?;
                    (u32::from_ne_bytes(cmd), FOR_EVER, Arg::Transparent(call.arg as u64))
                }
            };
            return core.ioctl(at, Request { cmd, timeout, cred: call.cred, arg });
        }
    };
    core.link_command(at, command, 0, call.cred)
}

/// The request that an argument names.
fn request(call: &Call<'_>) -> IocId {
    IocId(call.arg as u32)
}

/// What a request has come to, which modules mostly answer at once.
fn progress(core: &mut Perimeter, at: StreamId, id: IocId) -> Result<(Asked, Vec<u8>), Errno> {
    let mut told = None;
    settle(core, |core| {
        told = core.ioctl_progress(at, id);
        told.is_some()
    });
    let number = id.0;
    Ok(match told {
        None => (Asked::Waits(number), Vec::new()),
        Some(Progress::Done(result)) => {
            let Reply { rval, data, .. } = result?;
            (Asked::Done(rval, data.len()), data)
        }
        Some(Progress::CopyIn { addr, len }) => (Asked::CopyIn { number, addr, len }, Vec::new()),
        Some(Progress::CopyOut { addr, bytes }) => {
            (Asked::CopyOut { number, addr, len: bytes.len() }, bytes)
        }
    })
}

/// I_PEEK.
fn peek(core: &mut Perimeter, at: StreamId, call: &Call<'_>) -> Result<(i32, Vec<u8>), Errno> {
    let room = |at: usize| {
        let bytes = call.input.get(at..at + 4)?.try_into().ok()?;
        usize::try_from(i32::from_ne_bytes(bytes)).ok().map(|room| room.min(PEEK_MAX))
    };
    let (mut control, mut data) = (room(0).map(buffer), room(4).map(buffer));
    let want = if call.arg == 1 { Want::High } else { Want::Any };
    let first = core.peek(at, want, control.as_deref_mut(), data.as_deref_mut())?;
    let Some(first) = first else { return Ok(nothing(0)) };
    let len = |part: Option<usize>| part.map_or(-1, count);
    let words = [len(first.control), len(first.data), i32::from(first.high)];
    let mut out: Vec<u8> = words.iter().flat_map(|word| word.to_ne_bytes()).collect();
    for (bytes, len) in [(control, first.control), (data, first.data)] {
        out.extend_from_slice(&bytes.unwrap_or_default()[..len.unwrap_or(0)]);
    }
    Ok((1, out))
}

/// I_FDINSERT.
fn insert(core: &mut Perimeter, at: StreamId, call: &Call<'_>) -> Result<(i32, Vec<u8>), Errno> {
    let (len, parts) = call.input.split_first_chunk::<4>().ok_or(Errno::EINVAL)?;
    let len = usize::try_from(i32::from_ne_bytes(*len)).map_err(|_| Errno::EINVAL)?;
    let (control, data) = parts.split_at_checked(len).ok_or(Errno::EINVAL)?;
    let data = (!data.is_empty()).then_some(data);
    let offset = usize::try_from(call.arg >> 32).map_err(|_| Errno::EINVAL)?;
    let other = call.other.ok_or(Errno::EINVAL)?;
    let priority = Priority::Band(0);
    core.fd_insert(at, FdInsert { control, data, priority, other, offset }).map(|()| nothing(0))
}

/// Turns of the stack until `done`, if that is soon.
fn settle(core: &mut Perimeter, mut done: impl FnMut(&mut Perimeter) -> bool) {
    let now = core.now();
    while !done(core) {
        if !core.turn_on(now, DISPATCHES).more {
            done(core);
            return;
        }
    }
}

fn nothing(value: i32) -> (i32, Vec<u8>) {
    (value, Vec::new())
}

fn word(number: i32) -> Vec<u8> {
    number.to_ne_bytes().to_vec()
}

fn count(number: usize) -> i32 {
    i32::try_from(number).unwrap_or(i32::MAX)
}

fn byte(arg: i64) -> Result<u8, Errno> {
    u8::try_from(arg).map_err(|_| Errno::EINVAL)
}

fn name(input: &[u8]) -> Result<&str, Errno> {
    std::str::from_utf8(input).map_err(|_| Errno::EINVAL)
}

fn buffer(len: usize) -> Vec<u8> {
    vec![0; len]
}

/// SNDZERO of I_SWROPT.
const SNDZERO: u32 = 1;
/// Seconds of a request.
const FOR_EVER: i32 = -1;
/// Bytes of a part that I_PEEK copies.
const PEEK_MAX: usize = 1 << 16;
/// A question and its answer are a handful of dispatches.
const DISPATCHES: usize = 64;
