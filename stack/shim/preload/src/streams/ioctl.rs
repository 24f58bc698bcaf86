//! ioctl: the commands of streamio(7), from the structures of `stropts.h` to the bytes that the
//! stack takes. Commands of modules go down as they are; what their arguments point to is copied
//! when a module asks for it.

use super::described;
use super::memory::{bytes, name, put, put_bytes, take};
use super::messages::{RS_HIPRI, StrBuf};
use crate::errno;
use crate::socket::{Socket, Way};
use crate::{backend, real, table, wait};
use libc::c_int;
use millstream_port::streamio::*;
use millstream_port::{Errno, Id};

/// `ioctl(2)` of a stream.
pub(crate) fn ioctl(
    socket: &'static Socket,
    fd: c_int,
    cmd: u32,
    arg: usize,
) -> Result<c_int, Errno> {
    let ask = |number: i64, input: &[u8], out: &mut [u8]| {
        Asking { socket, fd, cmd, number }.asked(input, out)
    };
    let number = arg as c_int;
    match cmd {
        I_POP | I_FLUSH | I_SRDOPT | I_SWROPT | I_SETSIG | I_CKBAND | I_CANPUT | I_ATMARK
        | I_UNLINK | I_PUNLINK => Ok(ask(number.into(), &[], &mut [])?.0),
        I_LINK | I_PLINK | I_SENDFD => Ok(ask(other(number)?.0.into(), &[], &mut [])?.0),
        I_NREAD | I_GRDOPT | I_GWROPT | I_GETSIG | I_GETBAND | I_GETCLTIME => {
            let mut word = [0; 4];
            let value = ask(0, &[], &mut word)?.0;
            put(arg, c_int::from_ne_bytes(word)).map(|()| value)
        }
        I_SETCLTIME => Ok(ask(take::<c_int>(arg)?.into(), &[], &mut [])?.0),
        I_PUSH | I_FIND => Ok(ask(0, &name(arg, NAME)?, &mut [])?.0),
        I_LOOK => {
            let mut name = [0; NAME];
            let (value, len) = ask(0, &[], &mut name[..NAME - 1])?;
            put_bytes(arg, &name[..len + 1]).map(|()| value)
        }
        I_LIST => list(arg, ask),
        I_STR => str(arg, ask),
        I_PEEK => peek(arg, ask),
        I_FDINSERT => fdinsert(arg, ask),
        I_FLUSHBAND => {
            let BandInfo { band, flag } = take(arg)?;
            Ok(ask(flag.into(), &[band], &mut [])?.0)
        }
        I_RECVFD => {
            // Looked at first: what was taken is not put back.
            let _room: RecvFd = take(arg)?;
            let mut cred = [0; 8];
            let stream = ask(0, &[], &mut cred)?.0;
            let fd = described(backend::stack()?, Id(stream as u32), 0)?;
            let [a, b, c, d, e, f, g, h] = cred;
            let (uid, gid) = ([a, b, c, d], [e, f, g, h]);
            let (uid, gid) = (u32::from_ne_bytes(uid), u32::from_ne_bytes(gid));
            put(arg, RecvFd { fd, uid, gid, fill: [0; 8] }).map(|()| 0)
        }
        cmd if cmd >> 8 == STR => Err(Errno::EINVAL),
        _ => {
            let asking = Asking { socket, fd, cmd: TRANSPARENT, number: arg as i64 };
            Ok(asking.asked(&cmd.to_ne_bytes(), &mut vec![0; IOCTL_MAX])?.0)
        }
    }
}

/// One call.
struct Asking {
    socket: &'static Socket,
    fd: c_int,
    cmd: u32,
    number: i64,
}

impl Asking {
    /// Asks the stack, and waits for the modules' answer; the value, and the bytes that came.
    fn asked(self, input: &[u8], out: &mut [u8]) -> Result<(c_int, usize), Errno> {
        let mut step = self.step((self.cmd, self.number), input, out)?;
        loop {
            let (number, copied) = match step {
                Asked::Done(value, len) => return Ok((value, len)),
                // One that waits is over when it is told of; this is none.
                Asked::Waits(number) => (number, Err(Errno::EPROTO)),
                Asked::CopyIn { number, addr, len } => (number, bytes(addr as usize, len)),
                Asked::CopyOut { number, addr, len } => {
                    let stored = out.get(..len).ok_or(Errno::EFAULT);
                    let stored = stored.and_then(|bytes| put_bytes(addr as usize, bytes));
                    (number, stored.map(|()| Vec::new()))
                }
            };
            let errno = copied.as_ref().map_or_else(|errno| errno.0, |_| 0);
            let number = i64::from(errno) << 32 | i64::from(number);
            step = self.step((COPIED, number), copied.as_deref().unwrap_or_default(), out)?;
        }
    }

    /// One question, until it is answered.
    fn step(
        &self,
        (cmd, number): (u32, i64),
        input: &[u8],
        out: &mut [u8],
    ) -> Result<Asked, Errno> {
        // Others are not refused for want of something that may come.
        let waits_for = match cmd {
            I_RECVFD => Some(Way::Receive),
            I_FDINSERT => Some(Way::Send),
            _ => None,
        };
        let deadline = waits_for.and_then(|way| self.socket.deadline(way, 0));
        let mut begun = None;
        let told = wait::until(self.socket, self.fd, deadline, |stack, id| {
            let asked = match begun {
                None => stack.ask(id, cmd, number, input, out),
                Some(number) => stack.ask(id, LOOK, i64::from(number), &[], out),
            };
            match asked {
                Ok(Asked::Waits(number)) => {
                    begun = Some(number);
                    Err(Errno::EAGAIN)
                }
                Err(Errno::EAGAIN) if waits_for.is_none() => Ok(Err(Errno::EAGAIN)),
                Err(errno) if begun.is_some() => Ok(Err(errno)),
                asked => asked.map(Ok),
            }
        });
        if let (Err(_), Some(number)) = (&told, begun) {
            // A signal has come, and nobody waits for the answer.
            let _over = backend::with(self.socket, self.fd, |stack, id| {
                stack.ask(id, GIVE_UP, number.into(), &[], &mut [])
            });
        }
        told?
    }
}

type Answer = Result<(c_int, usize), Errno>;

fn list(arg: usize, ask: impl Fn(i64, &[u8], &mut [u8]) -> Answer) -> Result<c_int, Errno> {
    let mut names = vec![0; NAMES];
    let (count, len) = ask(0, &[], &mut names)?;
    if arg == 0 {
        return Ok(count);
    }
    let StrList { room, names: places } = take(arg)?;
    let room = usize::try_from(room).ok().filter(|room| *room > 0).ok_or(Errno::EINVAL)?;
    let mut told = 0;
    for name in names[..len].split(|byte| *byte == 0).filter(|name| !name.is_empty()).take(room) {
        let mut padded = [0; NAME];
        let len = name.len().min(NAME - 1);
        padded[..len].copy_from_slice(&name[..len]);
        put(places + told * NAME, padded)?;
        told += 1;
    }
    put(arg, told as c_int).map(|()| 0)
}

fn str(arg: usize, ask: impl Fn(i64, &[u8], &mut [u8]) -> Answer) -> Result<c_int, Errno> {
    let StrIoctl { cmd, wait, len, data } = take(arg)?;
    let len = usize::try_from(len).ok().filter(|len| *len <= IOCTL_MAX).ok_or(Errno::EINVAL)?;
    let input = bytes(data, len)?;
    let mut out = vec![0; IOCTL_MAX];
    let number = i64::from(wait) << 32 | i64::from(cmd as u32);
    let (value, came) = ask(number, &input, &mut out)?;
    put_bytes(data, &out[..came])?;
    put(arg, StrIoctl { cmd, wait, len: came as c_int, data }).map(|()| value)
}

fn peek(arg: usize, ask: impl Fn(i64, &[u8], &mut [u8]) -> Answer) -> Result<c_int, Errno> {
    let mut peek: StrPeek = take(arg)?;
    if !matches!(peek.flags, 0 | RS_HIPRI) {
        return Err(Errno::EINVAL);
    }
    let rooms = [peek.control, peek.data].map(|part| part.maxlen.min(PART_MAX));
    let input: Vec<u8> = rooms.iter().flat_map(|room| room.to_ne_bytes()).collect();
    let mut out =
        vec![0; PEEK_HEAD + rooms.iter().map(|room| room.max(&0)).sum::<c_int>() as usize];
    let (value, came) = ask(peek.flags.into(), &input, &mut out)?;
    if value == 0 || came < PEEK_HEAD {
        return Ok(0);
    }
    let (head, mut bytes) = out[..came].split_at(PEEK_HEAD);
    let word = |at: usize| {
        head.get(at..at + 4).and_then(|word| Some(c_int::from_ne_bytes(word.try_into().ok()?)))
    };
    for (part, at) in [(&mut peek.control, 0), (&mut peek.data, 4)] {
        part.len = word(at).unwrap_or(-1);
        let len = usize::try_from(part.len).unwrap_or(0).min(bytes.len());
        let (now, later) = bytes.split_at(len);
        put_bytes(part.buf as usize, now)?;
        bytes = later;
    }
    peek.flags = if word(8) == Some(1) { RS_HIPRI } else { 0 };
    put(arg, peek).map(|()| value)
}

fn fdinsert(arg: usize, ask: impl Fn(i64, &[u8], &mut [u8]) -> Answer) -> Result<c_int, Errno> {
    let insert: StrFdInsert = take(arg)?;
    if insert.flags != 0 {
        return Err(Errno::EINVAL);
    }
    let part = |part: StrBuf| match usize::try_from(part.len) {
        Ok(len) if len > PART_MAX as usize => Err(Errno::ERANGE),
        Ok(len) => bytes(part.buf as usize, len).map(Some),
        Err(_) => Ok(None),
    };
    let (control, data) = (part(insert.control)?, part(insert.data)?);
    let control = control.ok_or(Errno::EINVAL)?;
    let len = control.len() as c_int;
    let input = [&len.to_ne_bytes()[..], &control, &data.unwrap_or_default()].concat();
    let number = i64::from(insert.offset) << 32 | i64::from(other(insert.fd)?.0);
    Ok(ask(number, &input, &mut [])?.0)
}

/// The number of another stream that a command names.
fn other(fd: c_int) -> Result<Id, Errno> {
    match table::on_stack(fd) {
        Some(socket) => socket.id(backend::stack()?, fd),
        None => {
            // SAFETY: no memory is named.
            errno::of_kernel(unsafe { real::fcntl(fd, libc::F_GETFD, 0) })?;
            Err(Errno::EINVAL)
        }
    }
}

/// `struct strioctl`.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
struct StrIoctl {
    cmd: c_int,
    /// Seconds; 0 as usual, -1 for ever.
    wait: c_int,
    len: c_int,
    data: usize,
}

/// `struct strpeek`.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
struct StrPeek {
    control: StrBuf,
    data: StrBuf,
    flags: c_int,
}

/// `struct strfdinsert`.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
struct StrFdInsert {
    control: StrBuf,
    data: StrBuf,
    flags: c_int,
    fd: c_int,
    offset: c_int,
}

/// `struct strrecvfd`.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
struct RecvFd {
    fd: c_int,
    uid: u32,
    gid: u32,
    fill: [u8; 8],
}

/// `struct bandinfo`.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
struct BandInfo {
    band: u8,
    flag: c_int,
}

/// `struct str_list`.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
struct StrList {
    room: c_int,
    names: usize,
}

/// FMNAMESZ and a zero.
const NAME: usize = 32;
/// Names of as many modules as a stream may have.
const NAMES: usize = 4096;
/// Octets that an ioctl takes, and brings back, at most.
const IOCTL_MAX: usize = 64 << 10;
/// Octets of a part that is looked at, or that names another stream.
const PART_MAX: c_int = 32 << 10;
/// Two lengths and the class of a message.
const PEEK_HEAD: usize = 12;
/// What commands of streams begin with.
const STR: u32 = b'S' as u32;
