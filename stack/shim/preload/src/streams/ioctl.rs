//! ioctl: the commands of streamio(7), from the structures of `stropts.h` to the bytes that the
//! stack takes.

use super::described;
use super::messages::{RS_HIPRI, StrBuf, room, sent};
use crate::socket::{Socket, Way};
use crate::{backend, table, wait};
use libc::{c_char, c_int};
use millstream_port::streamio::*;
use millstream_port::{Errno, Id};
use std::ffi::CStr;

/// `ioctl(2)` of a stream.
///
/// # Safety
/// As streamio(7) says for the command.
pub(crate) unsafe fn ioctl(
    socket: &Socket,
    fd: c_int,
    cmd: u32,
    arg: usize,
) -> Result<c_int, Errno> {
    let ask = |number: i64, input: &[u8], out: &mut [u8]| ask(socket, fd, cmd, number, input, out);
    let number = arg as c_int;
    match cmd {
        I_POP | I_FLUSH | I_SRDOPT | I_SWROPT | I_SETSIG | I_CKBAND | I_CANPUT | I_ATMARK
        | I_UNLINK | I_PUNLINK => Ok(ask(number.into(), &[], &mut [])?.0),
        I_LINK | I_PLINK | I_SENDFD => Ok(ask(other(number)?.0.into(), &[], &mut [])?.0),
        I_NREAD | I_GRDOPT | I_GWROPT | I_GETSIG | I_GETBAND | I_GETCLTIME => {
            let mut word = [0; 4];
            let value = ask(0, &[], &mut word)?.0;
            // SAFETY: as the caller promises.
            unsafe { put(arg, c_int::from_ne_bytes(word)) }.map(|()| value)
        }
        // SAFETY: as the caller promises.
        I_SETCLTIME => Ok(ask(unsafe { take::<c_int>(arg) }?.into(), &[], &mut [])?.0),
        I_PUSH | I_FIND => {
            if arg == 0 {
                return Err(Errno::EFAULT);
            }
            // SAFETY: as the caller promises.
            let name = unsafe { CStr::from_ptr(arg as *const c_char) };
            Ok(ask(0, name.to_bytes(), &mut [])?.0)
        }
        I_LOOK => {
            let mut name = [0; NAME];
            let (value, len) = ask(0, &[], &mut name[..NAME - 1])?;
            name[len..].fill(0);
            // SAFETY: as the caller promises.
            unsafe { put(arg, name) }.map(|()| value)
        }
        // SAFETY: as the caller promises.
        I_LIST => unsafe { list(arg, ask) },
        // SAFETY: as the caller promises.
        I_STR => unsafe { str(arg, ask) },
        // SAFETY: as the caller promises.
        I_PEEK => unsafe { peek(arg, ask) },
        // SAFETY: as the caller promises.
        I_FDINSERT => unsafe { fdinsert(arg, ask) },
        I_FLUSHBAND => {
            // SAFETY: as the caller promises.
            let BandInfo { band, flag } = unsafe { take(arg) }?;
            Ok(ask(flag.into(), &[band], &mut [])?.0)
        }
        I_RECVFD => {
            let mut cred = [0; 8];
            let stream = ask(0, &[], &mut cred)?.0;
            let fd = described(backend::stack()?, Id(stream as u32), 0)?;
            let [a, b, c, d, e, f, g, h] = cred;
            let (uid, gid) = ([a, b, c, d], [e, f, g, h]);
            let (uid, gid) = (u32::from_ne_bytes(uid), u32::from_ne_bytes(gid));
            // SAFETY: as the caller promises.
            unsafe { put(arg, RecvFd { fd, uid, gid, fill: [0; 8] }) }.map(|()| 0)
        }
        _ => Err(Errno::EINVAL),
    }
}

/// Asks the stack, and waits for the modules' answer; the value, and the bytes that came.
fn ask(
    socket: &Socket,
    fd: c_int,
    cmd: u32,
    number: i64,
    input: &[u8],
    out: &mut [u8],
) -> Result<(c_int, usize), Errno> {
    // Modules answer whoever does not wait, too: only a descriptor may be long in coming.
    let deadline = if cmd == I_RECVFD { socket.deadline(Way::Receive, 0) } else { None };
    wait::until(socket, fd, deadline, |stack, id| {
        stack.ioctl(id, cmd, number, input, out).map_err(|errno| match errno {
            Errno::EINPROGRESS => Errno::EAGAIN,
            // An answer that is EAGAIN is one.
            errno => errno,
        })
    })
}

/// # Safety
/// As streamio(7) says.
unsafe fn list(
    arg: usize,
    ask: impl Fn(i64, &[u8], &mut [u8]) -> Result<(c_int, usize), Errno>,
) -> Result<c_int, Errno> {
    let mut names = [0; NAMES];
    let (count, len) = ask(0, &[], &mut names)?;
    if arg == 0 {
        return Ok(count);
    }
    // SAFETY: as the caller promises.
    let StrList { room, names: places } = unsafe { take(arg) }?;
    let room = usize::try_from(room).ok().filter(|room| *room > 0).ok_or(Errno::EINVAL)?;
    let mut told = 0;
    for name in names[..len].split(|byte| *byte == 0).filter(|name| !name.is_empty()).take(room) {
        let mut padded = [0; NAME];
        let len = name.len().min(NAME - 1);
        padded[..len].copy_from_slice(&name[..len]);
        // SAFETY: as the caller promises.
        unsafe { places.add(told).write_unaligned(padded) };
        told += 1;
    }
    // SAFETY: as the caller promises.
    unsafe { put(arg, told as c_int) }.map(|()| 0)
}

/// # Safety
/// As streamio(7) says.
unsafe fn str(
    arg: usize,
    ask: impl Fn(i64, &[u8], &mut [u8]) -> Result<(c_int, usize), Errno>,
) -> Result<c_int, Errno> {
    // SAFETY: as the caller promises.
    let StrIoctl { cmd, wait, len, data } = unsafe { take(arg) }?;
    let len = usize::try_from(len).map_err(|_| Errno::EINVAL)?;
    let input: &[u8] = match len {
        0 => &[],
        _ if data.is_null() => return Err(Errno::EFAULT),
        // SAFETY: as the caller promises.
        _ => unsafe { std::slice::from_raw_parts(data.cast(), len) },
    };
    let mut out = vec![0; IOCTL_MAX];
    let number = i64::from(wait) << 32 | i64::from(cmd as u32);
    let (value, came) = ask(number, input, &mut out)?;
    if came > 0 && data.is_null() {
        return Err(Errno::EFAULT);
    }
    // SAFETY: as the caller promises: the command says how much may come.
    unsafe { std::ptr::copy_nonoverlapping(out.as_ptr(), data.cast(), came) };
    // SAFETY: as the caller promises.
    unsafe { put(arg, StrIoctl { cmd, wait, len: came as c_int, data }) }.map(|()| value)
}

/// # Safety
/// As streamio(7) says.
unsafe fn peek(
    arg: usize,
    ask: impl Fn(i64, &[u8], &mut [u8]) -> Result<(c_int, usize), Errno>,
) -> Result<c_int, Errno> {
    // SAFETY: as the caller promises.
    let mut peek: StrPeek = unsafe { take(arg) }?;
    if !matches!(peek.flags, 0 | RS_HIPRI) {
        return Err(Errno::EINVAL);
    }
    let rooms = [peek.control.maxlen, peek.data.maxlen];
    let input: Vec<u8> = rooms.iter().flat_map(|room| room.to_ne_bytes()).collect();
    let wanted: usize = rooms.iter().map(|room| usize::try_from(*room).unwrap_or(0)).sum();
    let mut out = vec![0; PEEK_HEAD + wanted];
    let (value, came) = ask(peek.flags.into(), &input, &mut out)?;
    if value == 0 || came < PEEK_HEAD {
        return Ok(0);
    }
    let (head, mut bytes) = out.split_at(PEEK_HEAD);
    let word = |at: usize| {
        head.get(at..at + 4).and_then(|word| Some(c_int::from_ne_bytes(word.try_into().ok()?)))
    };
    for (part, at) in [(&mut peek.control, 0), (&mut peek.data, 4)] {
        part.len = word(at).unwrap_or(-1);
        let len = usize::try_from(part.len).unwrap_or(0).min(bytes.len());
        let (now, later) = bytes.split_at(len);
        // SAFETY: as the caller promises.
        if let Some(place) = unsafe { room(Some(part)) } {
            let len = len.min(place.len());
            place[..len].copy_from_slice(&now[..len]);
        }
        bytes = later;
    }
    peek.flags = if word(8) == Some(1) { RS_HIPRI } else { 0 };
    // SAFETY: as the caller promises.
    unsafe { put(arg, peek) }.map(|()| value)
}

/// # Safety
/// As streamio(7) says.
unsafe fn fdinsert(
    arg: usize,
    ask: impl Fn(i64, &[u8], &mut [u8]) -> Result<(c_int, usize), Errno>,
) -> Result<c_int, Errno> {
    // SAFETY: as the caller promises.
    let insert: StrFdInsert = unsafe { take(arg) }?;
    // SAFETY: as the caller promises.
    let (control, data) = unsafe { (sent(&insert.control)?, sent(&insert.data)?) };
    let control = control.ok_or(Errno::EINVAL)?;
    let len = c_int::try_from(control.len()).map_err(|_| Errno::EINVAL)?;
    let input = [&len.to_ne_bytes(), control, data.unwrap_or_default()].concat();
    let number = i64::from(insert.offset) << 32 | i64::from(other(insert.fd)?.0);
    Ok(ask(number, &input, &mut [])?.0)
}

/// The number of another stream that a command names.
fn other(fd: c_int) -> Result<Id, Errno> {
    let socket = table::on_stack(fd).ok_or(Errno::EINVAL)?;
    socket.id(backend::stack()?, fd)
}

/// # Safety
/// There is one at the address, or that is null.
unsafe fn take<T: Copy>(at: usize) -> Result<T, Errno> {
    // SAFETY: as the caller promises.
    if at == 0 { Err(Errno::EFAULT) } else { Ok(unsafe { (at as *const T).read_unaligned() }) }
}

/// # Safety
/// There is room for one at the address, or that is null.
unsafe fn put<T>(at: usize, value: T) -> Result<(), Errno> {
    if at == 0 {
        return Err(Errno::EFAULT);
    }
    // SAFETY: as the caller promises.
    unsafe { (at as *mut T).write_unaligned(value) };
    Ok(())
}

/// `struct strioctl`.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
struct StrIoctl {
    cmd: c_int,
    /// Seconds; 0 as usual, -1 for ever.
    wait: c_int,
    len: c_int,
    data: *mut c_char,
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
    names: *mut [u8; NAME],
}

/// FMNAMESZ and a zero.
const NAME: usize = 9;
/// Names of as many modules as a stream may have.
const NAMES: usize = 4096;
/// Octets that an ioctl brings back at most.
const IOCTL_MAX: usize = 64 << 10;
/// Two lengths and the class of a message.
const PEEK_HEAD: usize = 12;
