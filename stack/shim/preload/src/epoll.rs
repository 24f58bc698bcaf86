//! epoll: the program's sets stay the kernel's. What it wants to know of sockets of the stack is
//! kept in a [`Set`] beside; the kernel's has the stack's bell in it, once.

mod members;
mod set;

pub(crate) use members::{closed, forked, tell};
pub(crate) use set::{Set, forget};

use crate::socket::Socket;
use crate::{backend, errno, real, table, wait};
use libc::{c_int, epoll_event, sigset_t, timespec};
use millstream_port::{Errno, Sockets};
use std::time::{Duration, Instant};

/// `epoll_ctl(2)`.
///
/// # Safety
/// As the manual page.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn epoll_ctl(
    set: c_int,
    op: c_int,
    fd: c_int,
    event: *mut epoll_event,
) -> c_int {
    // SAFETY: as the caller promises, here and below.
    let kernel = || unsafe { real::epoll_ctl(set, op, fd, event) };
    let Some(socket) = table::socket(fd) else { return kernel() };
    // SAFETY: as the caller promises.
    let wanted = unsafe { event.as_ref() }.copied();
    if !socket.is_on_stack() {
        let done = kernel();
        if done == 0 {
            socket.note_watch(set, fd, wanted.filter(|_| op != libc::EPOLL_CTL_DEL));
        }
        return done;
    }
    errno::done(match (op, wanted) {
        (libc::EPOLL_CTL_ADD, Some(mut event)) => add(set, fd, socket, &mut event),
        (libc::EPOLL_CTL_MOD, Some(event)) => known(set).and_then(|set| set.change(fd, event)),
        (libc::EPOLL_CTL_DEL, _) => known(set).and_then(|set| set.remove(fd)),
        (libc::EPOLL_CTL_ADD | libc::EPOLL_CTL_MOD, None) => Err(Errno::EFAULT),
        _ => Err(Errno::EINVAL),
    })
}

/// Puts a socket of the stack into a set.
pub(crate) fn add(
    set: c_int,
    fd: c_int,
    socket: &Socket,
    event: &mut epoll_event,
) -> Result<(), Errno> {
    let stack = backend::stack()?;
    let id = socket.id(stack, fd)?;
    let beside = match table::set(set) {
        Some(beside) => beside,
        None => {
            // The kernel says whether it is a set at all.
            wait::ring_in(stack, set)?;
            set::open(set).ok_or(Errno::EBADF)?
        }
    };
    beside.add(stack, fd, id, *event)?;
    socket.arm(stack);
    Ok(())
}

/// A set that has had a socket of the stack: without one there is nothing to change.
fn known(set: c_int) -> Result<&'static Set, Errno> {
    table::set(set).ok_or(Errno::ENOENT)
}

/// `epoll_wait(2)`.
///
/// # Safety
/// As the manual page.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn epoll_wait(
    set: c_int,
    events: *mut epoll_event,
    room: c_int,
    wait_ms: c_int,
) -> c_int {
    // SAFETY: as the caller promises.
    unsafe { epoll_pwait(set, events, room, wait_ms, std::ptr::null()) }
}

/// `epoll_pwait(2)`.
///
/// # Safety
/// As the manual page.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn epoll_pwait(
    set: c_int,
    events: *mut epoll_event,
    room: c_int,
    wait_ms: c_int,
    mask: *const sigset_t,
) -> c_int {
    let Some(beside) = table::set(set) else {
        // SAFETY: as the caller promises.
        return unsafe { real::epoll_pwait(set, events, room, wait_ms, mask) };
    };
    if events.is_null() || room <= 0 {
        return errno::done(Err(Errno::EINVAL));
    }
    // SAFETY: as the caller promises.
    let out = unsafe { std::slice::from_raw_parts_mut(events, room as usize) };
    let end = u64::try_from(wait_ms).ok().map(|ms| Instant::now() + Duration::from_millis(ms));
    errno::number(wait_for(set, beside, out, end, mask))
}

/// `epoll_pwait2(2)`.
///
/// # Safety
/// As the manual page.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn epoll_pwait2(
    set: c_int,
    events: *mut epoll_event,
    room: c_int,
    wait: *const timespec,
    mask: *const sigset_t,
) -> c_int {
    // SAFETY: as the caller promises. Rounded up: never early.
    let wait_ms = unsafe { wait.as_ref() }.map_or(-1, |wait| {
        let wait = crate::transfer::duration(wait) + Duration::from_nanos(999_999);
        c_int::try_from(wait.as_millis()).unwrap_or(c_int::MAX)
    });
    // SAFETY: as the caller promises.
    unsafe { epoll_pwait(set, events, room, wait_ms, mask) }
}

/// Waits for events of both kinds of sockets.
fn wait_for(
    fd: c_int,
    set: &'static Set,
    out: &mut [epoll_event],
    end: Option<Instant>,
    mask: *const sigset_t,
) -> Result<c_int, Errno> {
    let stack = backend::stack()?;
    set.ring_in(stack, fd)?;
    let own = collect(stack, set, out)?;
    if own > 0 {
        // Those of the kernel have their turn, too.
        let others = if set.is_kernels_turn() {
            ask_kernel(fd, &mut out[own..], 0, mask).unwrap_or(0)
        } else {
            0
        };
        return Ok((own + others) as c_int);
    }
    loop {
        let wait_ms = wait::left_ms(end);
        if wait_ms == 0 {
            return ask_kernel(fd, out, 0, mask).map(|others| others as c_int);
        }
        stack.sleeps();
        // What has changed before nobody tells of.
        let own = collect(stack, set, out);
        let woken = match own {
            Ok(0) => ask_kernel(fd, out, wait_ms, mask),
            ready => ready,
        };
        stack.wakes();
        let mut ready = woken?;
        if !matches!(own, Ok(1..)) && ready < out.len() {
            ready += collect(stack, set, &mut out[ready..])?;
        }
        if ready > 0 {
            return Ok(ready as c_int);
        }
    }
}

/// What is ready at the stack.
fn collect(
    stack: &'static dyn Sockets,
    set: &'static Set,
    out: &mut [epoll_event],
) -> Result<usize, Errno> {
    if out.is_empty() {
        return Ok(0);
    }
    let _inside = backend::enter()?;
    set.hear(stack);
    Ok(set.ready(stack, out))
}

/// What is ready at the kernel; the bell is none of the program's events.
fn ask_kernel(
    set: c_int,
    out: &mut [epoll_event],
    wait_ms: c_int,
    mask: *const sigset_t,
) -> Result<usize, Errno> {
    if out.is_empty() {
        return Ok(0);
    }
    let room = c_int::try_from(out.len()).unwrap_or(c_int::MAX);
    // SAFETY: there is room for as many.
    let came = unsafe { real::epoll_pwait(set, out.as_mut_ptr(), room, wait_ms, mask) };
    let came = errno::of_kernel(came)? as usize;
    let mut kept = 0;
    for at in 0..came {
        if { out[at].u64 } != wait::bell_mark() {
            out[kept] = out[at];
            kept += 1;
        }
    }
    Ok(kept)
}
