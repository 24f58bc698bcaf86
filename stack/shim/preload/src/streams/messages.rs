//! messages: putmsg and getmsg.

use crate::socket::{STREAM, Socket, Way};
use crate::{errno, table, wait};
use libc::{c_char, c_int};
use millstream_port::{Errno, Priority, Want};

/// A part of a message (`struct strbuf`).
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct StrBuf {
    /// Room of the buffer; bytes. -1: the part is not wanted.
    pub maxlen: c_int,
    /// Bytes that are there; -1: there is no such part.
    pub len: c_int,
    /// The buffer.
    pub buf: *mut c_char,
}

/// `putmsg(2)`.
///
/// # Safety
/// Each part is null or describes memory of the caller's.
#[unsafe(no_mangle)]
pub unsafe extern "C-unwind" fn putmsg(
    fd: c_int,
    control: *const StrBuf,
    data: *const StrBuf,
    flags: c_int,
) -> c_int {
    let priority = match flags {
        0 => Ok(Priority::Band(0)),
        RS_HIPRI => Ok(Priority::High),
        _ => Err(Errno::EINVAL),
    };
    // SAFETY: as the caller promises.
    errno::done(priority.and_then(|priority| unsafe { put(fd, control, data, priority) }))
}

/// `putpmsg(2)`.
///
/// # Safety
/// As [`putmsg`].
#[unsafe(no_mangle)]
pub unsafe extern "C-unwind" fn putpmsg(
    fd: c_int,
    control: *const StrBuf,
    data: *const StrBuf,
    band: c_int,
    flags: c_int,
) -> c_int {
    let priority = match (flags, u8::try_from(band)) {
        (MSG_HIPRI, Ok(0)) => Ok(Priority::High),
        (MSG_BAND, Ok(band)) => Ok(Priority::Band(band)),
        _ => Err(Errno::EINVAL),
    };
    // SAFETY: as the caller promises.
    errno::done(priority.and_then(|priority| unsafe { put(fd, control, data, priority) }))
}

/// # Safety
/// As [`putmsg`].
unsafe fn put(
    fd: c_int,
    control: *const StrBuf,
    data: *const StrBuf,
    priority: Priority,
) -> Result<(), Errno> {
    let socket = stream(fd)?;
    // SAFETY: as the caller promises.
    let (control, data) = unsafe { (sent(control)?, sent(data)?) };
    // Only flow control makes it wait, and that not for one of high priority.
    let deadline = socket.deadline(Way::Send, 0);
    wait::until(socket, fd, deadline, |stack, id| stack.putmsg(id, control, data, priority))
}

/// `getmsg(2)`.
///
/// # Safety
/// Each part is null or describes memory of the caller's; there is a number at `flags`.
#[unsafe(no_mangle)]
pub unsafe extern "C-unwind" fn getmsg(
    fd: c_int,
    control: *mut StrBuf,
    data: *mut StrBuf,
    flags: *mut c_int,
) -> c_int {
    // SAFETY: as the caller promises.
    let Some(flags) = (unsafe { flags.as_mut() }) else { return errno::done(Err(Errno::EFAULT)) };
    let want = match *flags {
        0 => Ok(Want::Any),
        RS_HIPRI => Ok(Want::High),
        _ => Err(Errno::EINVAL),
    };
    // SAFETY: as the caller promises.
    let got = want.and_then(|want| unsafe { get(fd, control, data, want) });
    errno::number(got.map(|got| {
        *flags = if got.high { RS_HIPRI } else { 0 };
        got.more
    }))
}

/// `getpmsg(2)`.
///
/// # Safety
/// As [`getmsg`]; there is a number at `band`.
#[unsafe(no_mangle)]
pub unsafe extern "C-unwind" fn getpmsg(
    fd: c_int,
    control: *mut StrBuf,
    data: *mut StrBuf,
    band: *mut c_int,
    flags: *mut c_int,
) -> c_int {
    // SAFETY: as the caller promises.
    let (Some(band), Some(flags)) = (unsafe { (band.as_mut(), flags.as_mut()) }) else {
        return errno::done(Err(Errno::EFAULT));
    };
    let want = match (*flags, u8::try_from(*band)) {
        (MSG_HIPRI, Ok(0)) => Ok(Want::High),
        (MSG_ANY, Ok(0)) => Ok(Want::Any),
        (MSG_BAND, Ok(least)) => Ok(Want::Band(millstream::msg::Band(least))),
        _ => Err(Errno::EINVAL),
    };
    // SAFETY: as the caller promises.
    let got = want.and_then(|want| unsafe { get(fd, control, data, want) });
    errno::number(got.map(|got| {
        *flags = if got.high { MSG_HIPRI } else { MSG_BAND };
        *band = got.band;
        got.more
    }))
}

/// What came, beside its parts.
#[derive(Debug, Default)]
struct Got {
    high: bool,
    band: c_int,
    /// MORECTL, MOREDATA.
    more: c_int,
}

/// # Safety
/// As [`getmsg`].
unsafe fn get(
    fd: c_int,
    control: *mut StrBuf,
    data: *mut StrBuf,
    want: Want,
) -> Result<Got, Errno> {
    let socket = stream(fd)?;
    let deadline = socket.deadline(Way::Receive, 0);
    // SAFETY: as the caller promises.
    let (control, data) = unsafe { (control.as_mut(), data.as_mut()) };
    let taken = wait::until(socket, fd, deadline, |stack, id| {
        // SAFETY: as the caller promises.
        let (control, data) = unsafe { (room(control.as_deref())?, room(data.as_deref())?) };
        stack.getmsg(id, want, control, data)
    })?;
    let told = |part: Option<&mut StrBuf>, len: Option<usize>| {
        if let Some(part) = part {
            part.len = len.map_or(-1, |len| len as c_int);
        }
    };
    let Some(taken) = taken else {
        // The line is gone: parts of no length.
        told(control, Some(0));
        told(data, Some(0));
        return Ok(Got::default());
    };
    told(control, taken.control);
    told(data, taken.data);
    let more =
        if taken.more_control { MORECTL } else { 0 } | if taken.more_data { MOREDATA } else { 0 };
    Ok(Got { high: taken.high, band: taken.band.0.into(), more })
}

/// The stream of a descriptor.
fn stream(fd: c_int) -> Result<&'static Socket, Errno> {
    table::on_stack(fd).filter(|socket| socket.kind() == STREAM).ok_or(Errno::ENOSTR)
}

/// A part that is sent; none without buffer, or with a length of -1.
///
/// # Safety
/// It is null or describes memory of the caller's.
unsafe fn sent<'a>(part: *const StrBuf) -> Result<Option<&'a [u8]>, Errno> {
    // SAFETY: as the caller promises.
    let Some(part) = (unsafe { part.as_ref() }) else { return Ok(None) };
    match usize::try_from(part.len) {
        Err(_) => Ok(None),
        Ok(0) => Ok(Some(&[])),
        Ok(_) if part.buf.is_null() => Err(Errno::EFAULT),
        // SAFETY: as the caller promises.
        Ok(len) => Ok(Some(unsafe { std::slice::from_raw_parts(part.buf.cast(), len) })),
    }
}

/// Room for a part that comes; none if it is not wanted.
///
/// # Safety
/// It describes memory of the caller's.
unsafe fn room<'a>(part: Option<&StrBuf>) -> Result<Option<&'a mut [u8]>, Errno> {
    let Some(part) = part else { return Ok(None) };
    match usize::try_from(part.maxlen) {
        Err(_) => Ok(None),
        Ok(0) => Ok(Some(&mut [])),
        Ok(_) if part.buf.is_null() => Err(Errno::EFAULT),
        // SAFETY: as the caller promises.
        Ok(len) => Ok(Some(unsafe { std::slice::from_raw_parts_mut(part.buf.cast(), len) })),
    }
}

/// Flags of getmsg and putmsg.
pub(super) const RS_HIPRI: c_int = 1;
/// Flags of getpmsg and putpmsg.
const MSG_HIPRI: c_int = 1;
const MSG_ANY: c_int = 2;
const MSG_BAND: c_int = 4;
/// Values of getmsg and getpmsg.
const MORECTL: c_int = 1;
const MOREDATA: c_int = 2;
